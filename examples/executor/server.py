"""HTTP/1.1 over TLS 1.3: what an executor is asked, and how it is told (request.md, Binding)."""

import contextlib
import os
import socket
import socketserver
import sqlite3
import ssl
import threading
import time
import traceback
from http import HTTPStatus

import pairing
import wire
from wire import Problem, malformed, unverified

OPERATION_BYTES_MAX, HEAD_BYTES_MAX, CONNECTIONS_MAX = 4_194_304, 16_384, 128
RECEIVE_SECONDS, SEND_SECONDS, IDLE_SECONDS = 15, 30, 60
ENVELOPE, PROBLEM = "application/vnd.gfp.envelope+json", "application/problem+json"
POSTS = {"/runs": "start", "/runs/attach": "attach", "/runs/cancel": "cancel", "/runs/inspect": "inspect",
         "/catalog": "catalog", "/pairing": "pairing", "/admission": "admission"}


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, executor):
        self.executor, self.places = executor, threading.BoundedSemaphore(CONNECTIONS_MAX)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.minimum_version = ssl.TLSVersion.TLSv1_3  # ID-37
        self.tls.load_cert_chain(os.path.join(executor.home, "tls.pem"))
        self.tls.set_alpn_protocols(["http/1.1"])
        super().__init__(address, Connection)


class Connection(socketserver.BaseRequestHandler):
    def handle(self):
        if not self.server.places.acquire(blocking=False):
            return  # step 1: a connection beyond the caps is closed without an answer
        try:
            self.request.settimeout(RECEIVE_SECONDS)
            with self.server.tls.wrap_socket(self.request, server_side=True) as self.socket:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.buffer = b""
                while self.exchange():
                    pass
        except (OSError, ValueError):
            pass  # the other side left, or never spoke TLS 1.3
        finally:
            self.server.places.release()

    def more(self, deadline):
        self.socket.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            data = self.socket.recv(65_536)
        except TimeoutError:
            raise Problem("request_timeout") from None
        if not data:
            raise ConnectionError
        self.buffer += data

    def take(self, size, deadline):
        parts, have = [], 0
        while True:
            part, self.buffer = self.buffer[:size - have], self.buffer[size - have:]
            parts.append(part)
            have += len(part)
            if have == size:
                return b"".join(parts)
            self.more(deadline)

    def line(self, end, deadline, most=HEAD_BYTES_MAX):
        while end not in self.buffer:
            if len(self.buffer) > most:
                raise malformed("a head or a line too long")
            self.more(deadline)
        found, _, self.buffer = self.buffer.partition(end)
        return found

    def exchange(self):
        """One request and its answer; gives whether the connection can be used again."""
        self.asked, self.unread = None, True
        try:
            if not self.buffer:
                self.more(time.monotonic() + IDLE_SECONDS)
        except Problem:
            return False  # nothing was asked
        try:
            return self.answer()
        except Problem as problem:
            return self.refuse(problem)
        except (OSError, ssl.SSLError):
            raise
        except sqlite3.OperationalError as wrong:
            return self.refuse(Problem("store_unavailable", repr(wrong)))
        except Exception as wrong:  # a fault of ours: said, and nothing was decided
            traceback.print_exc()
            return self.refuse(Problem("internal", repr(wrong)))

    def answer(self):
        deadline, executor = time.monotonic() + RECEIVE_SECONDS, self.server.executor
        lines = self.line(b"\r\n\r\n", deadline).decode("latin-1").split("\r\n")
        pairs = [line.partition(":") for line in lines[1:]]
        self.headers = {name.lower(): value.strip() for name, _, value in pairs}
        names, first = [name.lower() for name, _, _ in pairs], lines[0].split(" ")
        if len(first) != 3 or first[2] != "HTTP/1.1" or any(not colon or name != name.strip() for name, colon, _ in pairs):
            raise malformed("HTTP")
        if any(names.count(name) > 1 for name in ("content-length", "content-type", "content-encoding", "transfer-encoding")):
            raise malformed("HTTP")
        chunked, length = self.headers.get("transfer-encoding"), self.headers.get("content-length", "0")
        if chunked not in (None, "chunked") or not (length.isascii() and length.isdigit()) or chunked and length != "0":
            raise malformed("HTTP")
        if len(length) > 16 or int(length) > OPERATION_BYTES_MAX:
            raise Problem("too_large", "a body")  # step 1
        method, path = first[:2]  # step 2, byte for byte
        name = path.removeprefix("/federation/v1") if path.startswith("/federation/v1/") else ""
        if name in POSTS:
            if method != "POST":
                raise Problem("method_not_allowed")
            coding = self.headers.get("content-encoding", "identity")
            if self.headers.get("content-type") != "application/json" or coding != "identity":
                raise Problem("unsupported_encoding")
            data = self.body(chunked, int(length), deadline)
            self.unread = False
            return self.operation(executor, POSTS[name], data)
        document = executor.document(name[1:].split("/"))
        if method != "GET":
            raise Problem("method_not_allowed")
        self.unread = chunked or length != "0"
        return self.send(200, ENVELOPE, document)

    def body(self, chunked, length, deadline):
        if self.headers.get("expect", "").lower() == "100-continue":
            self.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not chunked:
            return self.take(length, deadline)
        data = b""
        while True:
            digits = self.line(b"\r\n", deadline, 64).partition(b";")[0]
            if not 1 <= len(digits) <= 8 or digits.strip(b"0123456789abcdefABCDEF"):
                raise malformed("a chunk")
            size = int(digits, 16)
            if len(data) + size > OPERATION_BYTES_MAX:
                raise Problem("too_large", "a body")
            data += self.take(size, deadline)
            if self.take(2, deadline) != b"\r\n":
                raise malformed("a chunk")  # trailers are not taken
            if not size:
                return data

    def operation(self, executor, op, data):
        if op == "pairing":
            return self.send(200, ENVELOPE, pairing.pair(executor, data).text)
        if op == "admission":
            raise unverified("no federation root is trusted here")
        self.asked = executor.authenticate(data)
        executor.admit(self.asked, op)
        result = executor.decide(self.asked)
        if op in ("cancel", "inspect"):
            return self.send(200, ENVELOPE, executor.answer(self.asked, result).text)
        self.socket.settimeout(SEND_SECONDS)  # STR-19: who does not read is left; no more than one event waits
        self.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
                            b"Transfer-Encoding: chunked\r\n\r\n")
        for event in executor.events(self.asked, *result):
            self.socket.sendall(b"%x\r\n%b\r\n" % (len(event), event))
        self.socket.sendall(b"0\r\n\r\n")
        return True

    def refuse(self, problem):
        """A problem, signed where the request is authenticated (PRB-1, PRB-2)."""
        executor, retry = self.server.executor, problem.more.get("retryAfterMs")
        more = f"Retry-After: {-(-retry // 1000)}\r\n" if retry is not None else ""
        if self.asked is None:
            executor.count_refusal(problem.code)
            return self.send(wire.REGISTRY[problem.code][0], PROBLEM, wire.write(problem.object()), more)
        executor.record_refusal(self.asked.gid, problem)
        return self.send(wire.REGISTRY[problem.code][0], ENVELOPE, executor.refusal(problem, self.asked).text, more)

    def send(self, status, media, body, more=""):
        more += "Connection: close\r\n" if self.unread else ""
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {media}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        self.socket.settimeout(SEND_SECONDS)
        self.socket.sendall(head.encode() + body)
        if self.unread:  # what was not read is dropped for a moment, or a reset would overtake the answer
            with contextlib.suppress(Problem):
                self.take(OPERATION_BYTES_MAX, time.monotonic() + 2)
        return not self.unread
