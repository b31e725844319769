"""The client against a bridge that is not one: cut connections, refusals, pages."""

import asyncio
import json
import os
import socket
import tempfile
import threading
import unittest

from landbridge import AsyncClient, Client, Cut, Problem

RUN = "run-" + "a" * 26
LINES = [
    '{"seq":1,"event":"started","payload":{"agent":"demo"}}',
    '{"seq":2,"event":"output","payload":{"channel":"answer","text":"ä: b\\n"}}',
    '{"seq":3,"event":"terminal","payload":{"by":"executor","outcome":"succeeded","sideEffects":"none"}}',
]


class Fake:
    """Answers each request by what `answer` makes of its method, path and body, and closes."""

    def __init__(self, answer):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "s")
        self.answer, self.asked = answer, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                data = b""
                while b"\r\n\r\n" not in data:
                    data += connection.recv(65536)
                head, body = data.split(b"\r\n\r\n", 1)
                lines = head.decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines[1:])
                while len(body) < int(headers.get("content-length", 0)):
                    body += connection.recv(65536)
                method, path, _ = lines[0].split(" ")
                self.asked.append((method, path, headers, body))
                try:
                    connection.sendall(self.answer(method, path, body))
                except OSError:
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.folder.cleanup()


def answer(status, body, media=None):
    media = media or ("application/problem+json" if status >= 400 else "application/json")
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 %d x\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (status, media.encode(), len(data), data)


def stream(after, lines=LINES, problem=None):
    pieces = [b"retry: 1000\n\n", b": still here\n\n"]
    for at, line in enumerate(lines[after:], after + 1):
        name = json.loads(line)["event"]
        pieces.append(f"id: {at}\nevent: {name}\ndata: {line}\n\n".encode())
    if problem:
        pieces.append(b"event: problem\ndata: " + json.dumps(problem).encode() + b"\n\n")
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + body


def after_of(path):
    return int(path.split("after=")[1])


class Streams(unittest.TestCase):
    def setUp(self):
        from landbridge import _exchange

        self.module, self.pause, _exchange.PAUSE_S = _exchange, _exchange.PAUSE_S, 0.001

    def tearDown(self):
        self.module.PAUSE_S = self.pause

    def test_a_stream_that_is_cut_at_any_byte_goes_on_from_its_cursor(self):
        whole = len(stream(0))
        for cut in range(0, whole):
            first = []

            def say(_method, path, _body, cut=cut, first=first):
                first.append(path)
                return stream(after_of(path))[: cut if len(first) == 1 else None]

            with Fake(say) as fake:
                seen = [frame.line for frame in Client(fake.path).stream(RUN)]
            self.assertEqual(seen, LINES, f"cut at {cut}")

    def test_it_is_the_same_for_asyncio(self):
        async def read(path):
            return [frame.line async for frame in AsyncClient(path).stream(RUN)]

        for cut in range(0, len(stream(0)), 7):
            first = []

            def say(_method, path, _body, cut=cut, first=first):
                first.append(path)
                return stream(after_of(path))[: cut if len(first) == 1 else None]

            with Fake(say) as fake:
                self.assertEqual(asyncio.run(read(fake.path)), LINES, f"cut at {cut}")

    def test_a_cursor_is_where_it_goes_on(self):
        with Fake(lambda _method, path, _body: stream(after_of(path))) as fake:
            self.assertEqual([frame.seq for frame in Client(fake.path).stream(RUN, after=2)], [3])

    def test_an_end_without_a_terminal_is_asked_again_and_then_raised(self):
        with Fake(lambda _method, path, _body: stream(after_of(path), LINES[:2])) as fake:
            seen = []
            with self.assertRaises(Cut):
                for frame in Client(fake.path, give_up_after_s=0.01).stream(RUN):
                    seen.append(frame.seq)
        self.assertEqual(seen, [1, 2])
        self.assertGreater(len(fake.asked), 2)

    def test_a_frame_that_is_left_out_is_never_handed_on(self):
        with Fake(lambda _method, path, _body: stream(after_of(path)).replace(b'{"seq":2', b'{"seq":4')) as fake:
            seen = []
            with self.assertRaises(Cut):
                for frame in Client(fake.path, give_up_after_s=0.01).stream(RUN):
                    seen.append(frame.seq)
        self.assertEqual(seen, [1])

    def test_a_problem_ends_a_stream_when_asking_again_is_vain(self):
        final = {"code": "unauthorized", "retryable": False}
        with Fake(lambda *_: stream(0, LINES[:1], final)) as fake:
            with self.assertRaises(Problem) as raised:
                list(Client(fake.path).stream(RUN))
        self.assertEqual((raised.exception.code, len(fake.asked)), ("unauthorized", 1))

    def test_a_problem_that_passes_is_asked_again(self):
        def say(_method, path, _body, first=[]):
            first.append(path)
            passing = {"code": "halted", "retryable": True} if len(first) == 1 else None
            return stream(after_of(path), LINES[:1] if passing else LINES, passing)

        with Fake(say) as fake:
            self.assertEqual([frame.seq for frame in Client(fake.path).stream(RUN)], [1, 2, 3])


class Calls(unittest.TestCase):
    def test_a_start_says_what_was_asked(self):
        with Fake(lambda *_: answer(201, {"run": RUN})) as fake:
            run = Client(fake.path, token="lbt_x").start("eu", "k" * 16, prompt="hello", labels={"team": "sre"}, agent=None)
        method, path, headers, body = fake.asked[0]
        self.assertEqual((run["run"], method, path, headers["authorization"]), (RUN, "POST", "/v1/runs", "bearer lbt_x"))
        asked = {"gateway": "eu", "idempotencyKey": "k" * 16, "prompt": "hello", "labels": {"team": "sre"}}
        self.assertEqual(json.loads(body), asked)
        with self.assertRaises(ValueError):
            Client(fake.path).start("eu", "k" * 16)

    def test_a_refusal_is_a_problem(self):
        refusal = {"code": "key_conflict", "detail": "used", "retryable": False, "retryMode": "new_key", "status": 422}
        with Fake(lambda *_: answer(422, refusal)) as fake, self.assertRaises(Problem) as raised:
            Client(fake.path).show(RUN)
        problem = raised.exception
        self.assertEqual((problem.status, problem.code, problem.retry_mode), (422, "key_conflict", "new_key"))
        with Fake(lambda *_: answer(502, b"<html>")) as fake, self.assertRaises(Problem) as raised:
            Client(fake.path).show(RUN)
        self.assertEqual((raised.exception.status, raised.exception.code), (502, "unknown"))

    def test_pages_are_one_list(self):
        def say(_method, path, _body):
            return answer(200, {"runs": [{"run": path}], "next": None if "cursor=" in path else "a b"})

        with Fake(say) as fake:
            runs = [run["run"] for run in Client(fake.path).list(state="open", labels={"a": "b"}, limit=1)]
        filters = "/v1/runs?state=open&limit=1&label=a%3Db"
        self.assertEqual(runs, [filters, filters + "&cursor=a+b"])

    def test_half_a_transcript_is_none(self):
        with Fake(lambda *_: answer(200, b"line\n" * 100, "application/jsonl")[:-1]) as fake, self.assertRaises(Cut):
            Client(fake.path).export(RUN)
        with Fake(lambda *_: answer(200, b"line\n" * 100, "application/jsonl")) as fake:
            self.assertEqual(Client(fake.path).export(RUN), b"line\n" * 100)

    def test_nobody_there_is_a_cut(self):
        with self.assertRaises(Cut):
            Client("/no/such/socket").show(RUN)

    def test_waiting_ends_with_the_run_or_the_time(self):
        def say(_method, path, _body, shown=[]):
            if "frames" in path:
                return stream(after_of(path))
            shown.append(path)
            return answer(200, {"run": RUN, "frames": 1, "ended": None if len(shown) == 1 else "2030-01-31T12:00:00Z"})

        with Fake(say) as fake:
            self.assertIsNotNone(Client(fake.path).wait(RUN)["ended"])
        with Fake(say) as fake:
            self.assertIsNotNone(asyncio.run(AsyncClient(fake.path).wait(RUN))["ended"])

        def never(_method, path, _body):
            return stream(after_of(path), LINES[:1]) if "frames" in path else answer(200, {"run": RUN, "frames": 0, "ended": None})

        with Fake(never) as fake, self.assertRaises(TimeoutError):
            Client(fake.path).wait(RUN, timeout=0.3)

    def test_a_url_is_of_the_local_api(self):
        for url in ("https://127.0.0.1:1", "http://127.0.0.1:1/v1", "nonsense"):
            with self.assertRaises(ValueError):
                Client(url=url)


if __name__ == "__main__":
    unittest.main()
