#!/usr/bin/env python3
"""Two real bridges on this machine, introduced to each other, for the clients' tests.

Prints one JSON object when both are ready (`home`, `socket`, `url`, `token`, `executor` and its `endpoint`), and goes on until its
standard input ends. `LANDBRIDGE_BIN` names the program.
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

READY_WITHIN_S = 60


def free_port():
    """A free port below those that the system gives to outgoing connections, which could take it in between."""
    while True:
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", random.randrange(20_000, 32_000)))
                return listener.getsockname()[1]
            except OSError:
                pass


class Bridge:
    def __init__(self, program, home, port):
        self.program, self.home, self.process = program, home, None
        at = f"127.0.0.1:{port}"
        made = self.json(
            "init", "--listen", at, "--endpoint", f"https://{at}", "--adapter", "scripted",
            "--danger-allow-addresses", "127.0.0.0/8",
        )
        self.gateway, self.endpoint = made["gateway"], f"https://{at}"

    def environment(self):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LANDBRIDGE_")}
        return {**kept, "LANDBRIDGE_HOME": self.home}

    def json(self, *arguments):
        command = [self.program, "--json", *arguments]
        done = subprocess.run(command, env=self.environment(), stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.decode()}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def add(self, text):
        with open(os.path.join(self.home, "landbridge.toml"), "a") as file:
            file.write(text)

    def serve(self):
        command = [self.program, "--json", "serve", "--log", "warn"]
        log = open(os.path.join(self.home, "bridge.log"), "ab")
        self.process = subprocess.Popen(
            command, env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
        )
        signal.signal(signal.SIGALRM, lambda *_: self.process.kill())
        signal.alarm(READY_WITHIN_S)
        for line in self.process.stdout:
            if b'"ready"' in line:
                signal.alarm(0)
                return
        with open(log.name) as said:
            raise RuntimeError("a bridge did not start: " + said.read()[-2000:])

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def main():
    program = os.environ["LANDBRIDGE_BIN"]
    place = tempfile.mkdtemp(prefix="lb-")
    bridges = []
    try:
        a = Bridge(program, os.path.join(place, "a"), free_port())
        b = Bridge(program, os.path.join(place, "b"), free_port())
        bridges = [a, b]
        port = free_port()
        a.add('\n[routes.eu]\npeer = "eu"\ntenant = { local = "default", remote = "default" }\nagent = "demo"\n')
        # Written into the file's own section, wherever `init` put it.
        path = os.path.join(a.home, "landbridge.toml")
        with open(path) as file:
            text = file.read()
        if "\n[local]" in text:
            text = text.replace("\n[local]", f'\n[local]\nlisten = "127.0.0.1:{port}"', 1)
        else:
            text += f'\n[local]\nlisten = "127.0.0.1:{port}"\n'
        with open(path, "w") as file:
            file.write(text)
        a.serve()
        b.serve()
        invite = b.json("peer", "invite", "us")["invite"]
        words_a = a.json("peer", "join", invite, "--alias", "eu")["words"]
        words_b = b.json("peer", "show", "us")["words"]
        a.json("peer", "accept", "eu", "--words", words_b)
        b.json("peer", "accept", "us", "--words", words_a)
        b.json("grant", "add", "us", "--agent", "demo", "--disclose-tool-args", "full", "--disclose-tool-results", "full")
        token = a.json("token", "create", "tests")["secret"]
        told = {
            "home": a.home, "socket": os.path.join(a.home, "landbridge.sock"), "url": f"http://127.0.0.1:{port}",
            "token": token, "executor": b.gateway, "endpoint": b.endpoint,
        }
        print(json.dumps(told), flush=True)
        sys.stdin.read()
    finally:
        for bridge in bridges:
            bridge.stop()
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
