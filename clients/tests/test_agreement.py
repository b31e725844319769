"""Two real bridges, the Python client, and three verifiers that have to agree.

`LANDBRIDGE_BIN` names the program and `LANDBRIDGE_JUDGE` the TypeScript verifier's `judge.js`.
"""

import asyncio
import base64
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
import uuid
from pathlib import Path

from landbridge import AsyncClient, Client, Problem, verify

HERE = Path(__file__).resolve().parent
TREE = HERE.parents[1]
BIN = os.environ.get("LANDBRIDGE_BIN")
JUDGE = os.environ.get("LANDBRIDGE_JUDGE")

ANSWER = 'think Hm.\ntool harbour.tide {"port":"Lisbon"} => {"metres":2.1}\nslow 40 one two three four five six\nusage 12 5\n'


def rust(data, pin):
    command = [BIN, "--json", "verify", "-", "--pin", pin]
    done = subprocess.run(command, input=data, capture_output=True)
    told = json.loads(done.stdout)
    summary = told["summary"]
    return done.returncode, told["outcome"].get("line"), summary["frames"], summary["outcome"]


def python(data, pin):
    verdict = verify(data, pin)
    return verdict.exit, verdict.line, verdict.frames, verdict.outcome


def typescript(pairs):
    lines = (json.dumps({"pin": pin, "transcript": base64.b64encode(data).decode()}) for data, pin in pairs)
    done = subprocess.run(
        ["node", "--no-warnings", JUDGE], input="\n".join(lines).encode(), stdout=subprocess.PIPE, check=True
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return [(one["exit"], one["line"], one["frames"], one["outcome"]) for one in told]


def key():
    return f"test-{uuid.uuid4()}"


class Cutter:
    """A socket in front of the bridge's that closes each connection after so many bytes of its answer."""

    def __init__(self, to, after):
        self.folder = tempfile.TemporaryDirectory()
        self.path, self.to, self.after, self.cuts = os.path.join(self.folder.name, "s"), to, list(after), 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            left = self.after.pop(0) if self.after else None
            with client, socket.socket(socket.AF_UNIX) as bridge:
                bridge.connect(self.to)
                bridge.sendall(client.recv(65536))
                while piece := bridge.recv(4096 if left is None else min(4096, left)):
                    client.sendall(piece)
                    if left is not None and (left := left - len(piece)) <= 0:
                        self.cuts += 1
                        break

    def close(self):
        self.listener.close()
        self.folder.cleanup()


class Bridges(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not (BIN and JUDGE):
            raise RuntimeError("LANDBRIDGE_BIN and LANDBRIDGE_JUDGE are not set: `cargo xtask ci --only clients` sets them")
        cls.pair = subprocess.Popen(
            [sys.executable, str(HERE / "pair.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        line = cls.pair.stdout.readline()
        if not line:
            raise RuntimeError("the bridges did not come up")
        cls.told = json.loads(line)
        cls.pin = cls.told["executor"]
        cls.client = Client(cls.told["socket"])

    @classmethod
    def tearDownClass(cls):
        cls.pair.stdin.close()
        cls.pair.wait(60)
        cls.pair.stdout.close()

    def agree(self, data, expected, what):
        told = {"rust": rust(data, self.pin), "python": python(data, self.pin), "typescript": typescript([(data, self.pin)])[0]}
        self.assertEqual(len(set(told.values())), 1, f"{what}: {told}")
        self.assertEqual(told["rust"][0], expected, what)

    def test_a_run_whose_stream_is_cut_again_and_again(self):
        cutter = Cutter(self.told["socket"], [20, 400, 500, 700, 1, 900])
        run = self.client.start("eu", key(), prompt=ANSWER, labels={"suite": "clients"})
        frames = list(Client(cutter.path).stream(run["run"]))
        cutter.close()
        self.assertEqual([frame.seq for frame in frames], list(range(1, len(frames) + 1)))
        self.assertEqual((frames[0].event, frames[-1].event, cutter.cuts), ("started", "terminal", 6))
        self.assertEqual(self.client.wait(run["run"], timeout=30)["outcome"], "succeeded")
        exported = self.client.export(run["run"])
        lines = [json.loads(line) for line in exported.splitlines()]
        self.assertEqual([line["value"] for line in lines if line["type"] == "frame"], [frame.line for frame in frames])
        self.agree(exported, 0, "as it was exported")
        self.assertIn(run["run"], [one["run"] for one in self.client.list(labels={"suite": "clients"}, limit=1)])

    def test_tampered_copies(self):
        run = self.client.start("eu", key(), prompt="say hello")
        self.client.wait(run["run"], timeout=30)
        whole = self.client.export(run["run"])
        self.agree(whole, 0, "as it was exported")
        chance = random.Random(20260107)
        copies = []
        lines = whole.splitlines(keepends=True)
        for at in range(len(lines)):
            copies.append(b"".join(lines[:at] + lines[at + 1 :]))
            copies.append(b"".join(lines[: at + 1] + lines[at:]))
            copies.append(b"".join(lines[:at]))
        for _ in range(150):
            copy = bytearray(whole)
            copy[chance.randrange(len(copy))] ^= 1 << chance.randrange(8)
            copies.append(bytes(copy))
        copies += [copy[: chance.randrange(len(whole))] for copy in copies[:20]]
        judged = typescript([(copy, self.pin) for copy in copies])
        for at, (copy, third) in enumerate(zip(copies, judged)):
            one, two = rust(copy, self.pin), python(copy, self.pin)
            self.assertEqual((one, one), (two, third), f"copy {at}")

    def test_vectors_and_the_lines_at_which_they_are_refused(self):
        folder = TREE / "vectors/transcripts"
        whole = json.loads((folder / "whole.json").read_text("utf-8"))["lines"]
        names, pairs = [], []
        for file in sorted(folder.glob("*.json")):
            vector = json.loads(file.read_text("utf-8"))
            lines = [whole[line - 1] if isinstance(line, int) else line for line in vector["lines"]]
            names.append(file.stem)
            pairs.append(("".join(lines).encode(), vector["pin"]))
        for name, pair, third in zip(names, pairs, typescript(pairs)):
            one, two = rust(*pair), python(*pair)
            self.assertEqual((one, one), (two, third), name)

    def test_a_cancelled_run(self):
        run = self.client.start("eu", key(), prompt="say I wait.\nhang")
        asked = None
        for frame in self.client.stream(run["run"]):
            if asked is None:
                asked = self.client.cancel(run["run"])
        self.assertEqual((asked, frame.payload["outcome"]), ("requested", "cancelled"))
        settled = self.client.wait(run["run"], timeout=30)
        self.assertEqual((settled["outcome"], self.client.cancel(run["run"])), ("cancelled", "alreadyTerminal"))
        self.agree(self.client.export(run["run"]), 0, "a cancelled run")

    def test_an_open_run_is_unfinished(self):
        run = self.client.start("eu", key(), prompt="say I wait.\nhang")
        for frame in self.client.stream(run["run"]):
            if frame.seq == 2:
                break
        with self.assertRaises(TimeoutError):
            self.client.wait(run["run"], timeout=0.5)
        exported = self.client.export(run["run"])
        self.client.cancel(run["run"])
        self.agree(exported, 5, "an open run")

    def test_the_same_key_is_the_same_run(self):
        name = key()
        first = self.client.start("eu", name, prompt="say hello")
        again = self.client.start("eu", name, prompt="say hello")
        self.assertEqual((again["run"], again["attached"]), (first["run"], True))
        with self.assertRaises(Problem) as raised:
            self.client.start("eu", name, prompt="say goodbye")
        self.assertEqual(raised.exception.code, "key_conflict")

    def test_a_token_over_tcp(self):
        client = Client(url=self.told["url"], token=self.told["token"])
        run = client.start("eu", key(), tool_call={"tool": "harbour.tide", "args": {"port": "Lisbon"}})
        settled = client.wait(run["run"], timeout=30)
        self.assertEqual(settled["gateway"], "eu")
        self.assertEqual([(one["gateway"], one["usable"]) for one in client.gateways()], [("eu", True)])
        with self.assertRaises(Problem) as raised:
            Client(url=self.told["url"], token="lbt_" + "A" * 43).show(run["run"])
        self.assertEqual(raised.exception.code, "unauthorized")

    def test_several_at_once_with_asyncio(self):
        async def lead(client, word):
            run = await client.start("eu", key(), prompt=f"slow 20 {word} {word} {word}")
            text = [frame.payload["text"] async for frame in client.stream(run["run"]) if frame.event == "output"]
            settled = await client.wait(run["run"])
            listed = [one["run"] async for one in client.list(state="settled", limit=2)]
            return "".join(text), settled["outcome"], run["run"] in listed, await client.export(run["run"])

        async def all_of_them():
            client = AsyncClient(self.told["socket"])
            return await asyncio.gather(*(lead(client, word) for word in ("one", "two", "three")))

        for text, outcome, listed, exported in asyncio.run(all_of_them()):
            self.assertEqual((len(text.split()), outcome, listed), (3, "succeeded", True))
            self.agree(exported, 0, text)


if __name__ == "__main__":
    unittest.main()
