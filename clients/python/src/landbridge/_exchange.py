"""The local API as conversations without sockets: generators that say what they need and are told what came.

Each conversation is written once here. `Client` drives it with blocking sockets and `AsyncClient` with asyncio, so
the two cannot differ in what they send, how they read, or when they try again.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Generator, Mapping, Optional, Tuple, TypeVar
from urllib.parse import quote, urlencode

from ._api import RunList, RunView
from .types import Frame, Problem

#: A conversation. It asks its driver to `open`, `send`, `receive` and `pause`, and to hand a `frame` on.
T = TypeVar("T")
Talk = Generator[Any, Any, T]

HEAD_BYTES_MAX = 65_536
LINE_BYTES_MAX = 1_048_576
#: The bridge sends a comment every 15 seconds, so a longer silence is a dead connection.
SILENCE_S = 45.0
PAUSE_S, PAUSE_S_MAX = 0.2, 5.0


class Cut(ConnectionError):
    """The connection ended early, or what came is not a bridge's answer. Nothing is known: ask again."""


class _Answer:
    """An answer whose body is still to be read."""

    def __init__(self) -> None:
        self.status, self.headers = 0, {}  # type: int, Dict[str, str]
        self._rest, self._left, self._chunked, self._ended = b"", 0, False, False

    def _more(self) -> Talk[None]:
        data = yield ("receive", SILENCE_S)
        if not data:
            raise Cut("the connection was cut")
        self._rest += data

    def _line(self) -> Talk[str]:
        while b"\r\n" not in self._rest:
            if len(self._rest) > HEAD_BYTES_MAX:
                raise Cut("a line of the answer's head is too long")
            yield from self._more()
        line, self._rest = self._rest.split(b"\r\n", 1)
        return line.decode("latin-1")

    def read_head(self) -> Talk[None]:
        try:
            self.status = int((yield from self._line()).split(" ")[1])
            while line := (yield from self._line()):
                name, _, value = line.partition(":")
                self.headers[name.lower()] = value.strip()
            self._chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
            self._left = int(self.headers["content-length"]) if not self._chunked else 0
        except (IndexError, KeyError, ValueError):
            raise Cut("not an HTTP answer, or one whose end cannot be known") from None

    def piece(self) -> Talk[bytes]:
        """The next bytes of the body, none at its end. An end that is missing is a `Cut`."""
        if self._chunked and self._left == 0 and not self._ended:
            try:
                self._left = int((yield from self._line()).split(";")[0], 16)
            except ValueError:
                raise Cut("a chunk without a size") from None
            self._ended = self._left == 0
        if self._left == 0:
            return b""
        if not self._rest:
            yield from self._more()
        piece, self._rest = self._rest[: self._left], self._rest[self._left :]
        self._left -= len(piece)
        if self._chunked and self._left == 0:
            yield from self._line()
        return piece

    def whole(self) -> Talk[bytes]:
        data = b""
        while piece := (yield from self.piece()):
            data += piece
        return data


def _send(
    method: str, path: str, headers: Mapping[str, str], body: Optional[Any] = None, accept: str = "application/json"
) -> Talk[_Answer]:
    """Sends a request and reads the head of its answer; a refusal is raised as a `Problem`."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", f"Accept: {accept}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += ["Content-Type: application/json"] * (body is not None)
    lines += [f"Content-Length: {len(content)}"] * (method != "GET")
    yield ("open", None)
    yield ("send", "\r\n".join(lines).encode() + b"\r\n\r\n" + content)
    answer = _Answer()
    yield from answer.read_head()
    media = answer.headers.get("content-type", "").split(";")[0].strip().lower()
    if not 200 <= answer.status < 300:
        problem = media == "application/problem+json"
        raise Problem.read(answer.status, (yield from answer.whole()) if problem else b"")
    if media != accept:
        raise Cut(f"the answer is {media or 'of no type'}, not {accept}")
    return answer


def at(run: str) -> str:
    return f"/v1/runs/{quote(run, safe='')}"


def ask(
    fits: Callable[[Any], bool], method: str, path: str, headers: Mapping[str, str], body: Optional[Any] = None
) -> Talk[Any]:
    """One request with a JSON answer, which has to be what was asked for."""
    answer = yield from _send(method, path, headers, body)
    data = yield from answer.whole()
    try:
        told = json.loads(data)
    except ValueError:
        raise Cut("the answer is not JSON") from None
    if not fits(told):
        raise Cut("the answer is not what was asked for")
    return told


def is_run(told: Any) -> bool:
    return has(told, "run", str)


def has(told: Any, name: str, kind: type) -> bool:
    return isinstance(told, dict) and isinstance(told.get(name), kind)


def export(run: str, headers: Mapping[str, str]) -> Talk[bytes]:
    """The transcript of a run, whole."""
    answer = yield from _send("GET", f"{at(run)}/transcript", headers, accept="application/jsonl")
    return (yield from answer.whole())


def page(filters: Mapping[str, Any], cursor: Optional[str], headers: Mapping[str, str]) -> Talk[RunList]:
    """One page of the list of runs."""
    query = [(name, str(value)) for name, value in filters.items() if value is not None and name != "labels"]
    query += [("label", f"{name}={value}") for name, value in (filters.get("labels") or {}).items()]
    query += [("cursor", cursor)] if cursor else []
    path = "/v1/runs" + ("?" + urlencode(query) if query else "")
    told: RunList = yield from ask(lambda told: has(told, "runs", list), "GET", path, headers)
    return told


class _Events:
    """The events of one connection."""

    def __init__(self, answer: _Answer) -> None:
        self._answer, self._rest = answer, b""

    def _line(self) -> Talk[Optional[str]]:
        while b"\n" not in self._rest:
            piece = yield from self._answer.piece()
            if not piece:
                return None
            self._rest += piece
            if len(self._rest) > LINE_BYTES_MAX:
                raise Cut("a line of the stream is too long")
        line, self._rest = self._rest.split(b"\n", 1)
        return line.rstrip(b"\r").decode()

    def next(self) -> Talk[Optional[Tuple[str, str]]]:
        """The next event's name and data; None at the end of the connection."""
        name, data = "", None  # type: str, Optional[str]
        while (line := (yield from self._line())) is not None:
            field, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if field == "event":
                name = value
            elif field == "data":
                data = value if data is None else f"{data}\n{value}"
            elif not line and data is not None:
                return name, data
            elif not line:
                name = ""
        return None


def frames(run: str, after: int, headers: Mapping[str, str], give_up_after_s: float) -> Talk[None]:
    """Every frame behind the cursor, each once, over as many connections as it takes, to the terminal."""
    waited, pause = 0.0, PAUSE_S
    while True:
        try:
            path = f"{at(run)}/frames?after={after}"
            events = _Events((yield from _send("GET", path, headers, accept="text/event-stream")))
            while event := (yield from events.next()):
                if event[0] == "problem":
                    raise Problem.read(0, event[1].encode())
                frame = Frame.read(event[1])
                if frame.seq != after + 1:
                    raise Cut(f"frame {frame.seq} came after frame {after}")
                after, waited, pause = frame.seq, 0.0, PAUSE_S
                yield ("frame", frame)
                if frame.terminal:
                    return
            why: Exception = Cut("the stream ended without a terminal")
        except (OSError, ValueError) as fault:
            # Also while the bridge is being restarted: nothing is known, so ask again from the cursor.
            why = fault
        except Problem as problem:
            if not problem.retryable:
                raise
            why, pause = problem, max(pause, (problem.retry_after_ms or 0) / 1000)
        if waited >= give_up_after_s:
            raise why
        yield ("pause", pause)
        waited, pause = waited + pause, min(pause * 2, PAUSE_S_MAX)


def wait(run: str, headers: Mapping[str, str], give_up_after_s: float) -> Talk[RunView]:
    """The run, once it is settled."""
    pause = PAUSE_S / 4
    while True:
        shown: RunView = yield from ask(is_run, "GET", at(run), headers)
        if shown.get("ended") is not None:
            return shown
        yield from frames(run, shown.get("frames", 0), headers, give_up_after_s)
        # The terminal is told a moment before the run is settled.
        yield ("pause", pause)
        pause = min(pause * 2, PAUSE_S_MAX)
