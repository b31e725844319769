"""Clients of one bridge's local API: start, stream, cancel, list, wait, export."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import TYPE_CHECKING, Any, AsyncGenerator, AsyncIterator, Dict, Generator, Iterator, List, Optional
from urllib.parse import urlsplit

from . import _exchange
from ._api import CallTool, CancelView, Filters, RouteView, RunView as Run, StartOptions
from ._exchange import Cut, T, Talk, at, has, is_run
from .types import Frame

if TYPE_CHECKING:
    from typing_extensions import Unpack

CONNECT_S = 10.0


class _Api:
    """Where the bridge is, and what is said to it; without I/O."""

    def __init__(
        self,
        socket_path: Optional[str] = None,
        url: Optional[str] = None,
        token: Optional[str] = None,
        give_up_after_s: float = 60.0,
    ) -> None:
        """Names the bridge by its socket (by default that of this user's home), or by URL and token.

        `give_up_after_s` is how long a stream is asked for in vain before the last error is raised; each
        frame that arrives begins the time anew.
        """
        if url is not None and socket_path is not None:
            raise ValueError("either a socket or a URL")
        self._address: Any
        self._headers: Dict[str, str] = {"Host": "landbridge"}
        if url is not None:
            parts = urlsplit(url)
            if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
                raise ValueError("the local API's URL is http://host:port")
            self._address = (parts.hostname, parts.port or 80)
            self._headers["Host"] = parts.netloc
        else:
            home = os.environ.get("LANDBRIDGE_HOME") or os.path.expanduser("~/.landbridge")
            self._address = socket_path or os.path.join(home, "landbridge.sock")
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._give_up_after_s = give_up_after_s

    def _start(self, **members: Any) -> Talk[Run]:
        if (members["prompt"] is None) == (members["toolCall"] is None):
            raise ValueError("exactly one of prompt and tool_call")
        body = {name: value for name, value in members.items() if value is not None}
        return _exchange.ask(is_run, "POST", "/v1/runs", self._headers, body)

    def _show(self, run: str) -> Talk[Run]:
        return _exchange.ask(is_run, "GET", at(run), self._headers)

    def _cancel(self, run: str) -> Talk[CancelView]:
        return _exchange.ask(lambda told: has(told, "state", str), "POST", f"{at(run)}/cancel", self._headers)

    def _gateways(self) -> Talk[List[RouteView]]:
        return _exchange.ask(lambda told: isinstance(told, list), "GET", "/v1/gateways", self._headers)

    def _frames(self, run: str, after: int) -> Talk[None]:
        return _exchange.frames(run, after, self._headers, self._give_up_after_s)

    def _wait(self, run: str) -> Talk[Run]:
        return _exchange.wait(run, self._headers, self._give_up_after_s)


class Client(_Api):
    """A client that blocks. Safe to use from several threads: each call has a connection of its own."""

    def start(
        self,
        gateway: str,
        key: str,
        *,
        prompt: Optional[str] = None,
        tool_call: Optional[CallTool] = None,
        **more: "Unpack[StartOptions]",
    ) -> Run:
        """Starts a run, or finds the one that `key` started.

        `key` names the decision to start this work: keep it before the call, and repeat the call with it, and the
        same request, whenever the answer is unknown. `more` are members of the request as the local API names
        them: `agent`, `mode`, `session`, `callerIdentity`, `deadline`, `limits`, `labels`, `remoteRunId`.
        """
        work = {"prompt": prompt, "toolCall": tool_call}
        return self._drive(self._start(gateway=gateway, idempotencyKey=key, **work, **more))

    def show(self, run: str) -> Run:
        """The run as it is now."""
        return self._drive(self._show(run))

    def stream(self, run: str, after: int = 0) -> Iterator[Frame]:
        """The run's frames behind `after`, each once and in order, until the terminal.

        A connection that breaks is replaced, and the stream goes on behind the last frame. Keep `frame.seq` where
        it survives you, and go on from there.
        """
        return _sync(self._frames(run, after), self._address, None)

    def wait(self, run: str, timeout: Optional[float] = None) -> Run:
        """Waits until the run is settled. TimeoutError after so many seconds; the run goes on."""
        return self._drive(self._wait(run), timeout)

    def cancel(self, run: str) -> str:
        """Asks for the end of a run: `requested`, or `alreadyTerminal`."""
        return self._drive(self._cancel(run))["state"]

    def list(self, **filters: "Unpack[Filters]") -> Iterator[Run]:
        """Runs, the newest first: `gateway`, `state`, `outcome`, `labels`, `since`, `until`, `limit` (of a page)."""
        cursor: Optional[str] = None
        while True:
            page = self._drive(_exchange.page(filters, cursor, self._headers))
            yield from page["runs"]
            cursor = page["next"]
            if cursor is None:
                return

    def gateways(self) -> List[RouteView]:
        """What may be reached, and how it does."""
        return self._drive(self._gateways())

    def export(self, run: str) -> bytes:
        """The run's transcript, for `verify`."""
        return self._drive(_exchange.export(run, self._headers))

    def _drive(self, talk: Talk[T], timeout: Optional[float] = None) -> T:
        runner = _sync(talk, self._address, timeout)
        while True:
            try:
                next(runner)
            except StopIteration as end:
                result: T = end.value
                return result


def _sync(talk: Talk[T], address: Any, timeout: Optional[float]) -> Generator[Frame, None, T]:
    """Does what a conversation asks for; yields its frames, and returns what it returns."""
    until = None if timeout is None else time.monotonic() + timeout
    connection: Optional[socket.socket] = None
    answer: Any = None
    fault: Optional[BaseException] = None

    def left(seconds: float) -> float:
        rest = seconds if until is None else min(seconds, until - time.monotonic())
        if rest <= 0:
            raise TimeoutError("the time to wait is over; the run goes on")
        return rest

    try:
        while True:
            try:
                need = talk.throw(fault) if fault else talk.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer, fault = None, None
            try:
                if need[0] == "frame":
                    yield need[1]
                elif need[0] == "open":
                    if connection is not None:
                        connection.close()
                    connection = _connect(address, left(CONNECT_S))
                elif need[0] == "pause":
                    time.sleep(left(need[1]))
                    left(1)
                else:
                    assert connection is not None
                    connection.settimeout(left(need[1] if need[0] == "receive" else CONNECT_S))
                    if need[0] == "receive":
                        answer = connection.recv(65_536)
                    else:
                        connection.sendall(need[1])
            except OSError as broken:
                if until is not None and time.monotonic() >= until:
                    raise TimeoutError("the time to wait is over; the run goes on") from None
                fault = Cut(f"{type(broken).__name__}: {broken}")
    finally:
        if connection is not None:
            connection.close()


def _connect(address: Any, timeout: float) -> socket.socket:
    if isinstance(address, tuple):
        return socket.create_connection(address, timeout)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(timeout)
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


class AsyncClient(_Api):
    """The same for asyncio. Waiting is bounded with `asyncio.wait_for`."""

    async def start(
        self,
        gateway: str,
        key: str,
        *,
        prompt: Optional[str] = None,
        tool_call: Optional[CallTool] = None,
        **more: "Unpack[StartOptions]",
    ) -> Run:
        """See `Client.start`."""
        work = {"prompt": prompt, "toolCall": tool_call}
        return await self._drive(self._start(gateway=gateway, idempotencyKey=key, **work, **more))

    async def show(self, run: str) -> Run:
        """The run as it is now."""
        return await self._drive(self._show(run))

    async def stream(self, run: str, after: int = 0) -> AsyncIterator[Frame]:
        """See `Client.stream`."""
        frames = _async(self._frames(run, after), self._address, [])
        try:
            async for frame in frames:
                yield frame
        finally:
            await frames.aclose()

    async def wait(self, run: str) -> Run:
        """Waits until the run is settled."""
        return await self._drive(self._wait(run))

    async def cancel(self, run: str) -> str:
        """Asks for the end of a run: `requested`, or `alreadyTerminal`."""
        return (await self._drive(self._cancel(run)))["state"]

    async def list(self, **filters: "Unpack[Filters]") -> AsyncIterator[Run]:
        """See `Client.list`."""
        cursor: Optional[str] = None
        while True:
            page = await self._drive(_exchange.page(filters, cursor, self._headers))
            for run in page["runs"]:
                yield run
            cursor = page["next"]
            if cursor is None:
                return

    async def gateways(self) -> List[RouteView]:
        """What may be reached, and how it does."""
        return await self._drive(self._gateways())

    async def export(self, run: str) -> bytes:
        """The run's transcript, for `verify`."""
        return await self._drive(_exchange.export(run, self._headers))

    async def _drive(self, talk: Talk[T]) -> T:
        result: List[T] = []
        async for _ in _async(talk, self._address, result):
            pass
        return result[0]


async def _async(talk: Talk[T], address: Any, result: List[T]) -> AsyncGenerator[Frame, None]:
    """Does what a conversation asks for; yields its frames, and leaves what it returns in `result`."""
    reader: Optional[asyncio.StreamReader] = None
    writer: Optional[asyncio.StreamWriter] = None
    answer: Any = None
    fault: Optional[BaseException] = None
    try:
        while True:
            try:
                need = talk.throw(fault) if fault else talk.send(answer)
            except StopIteration as end:
                result.append(end.value)
                return
            answer, fault = None, None
            try:
                if need[0] == "frame":
                    yield need[1]
                elif need[0] == "open":
                    if writer is not None:
                        writer.close()
                    if isinstance(address, tuple):
                        opening: Any = asyncio.open_connection(*address)
                    else:
                        opening = asyncio.open_unix_connection(address)
                    reader, writer = await asyncio.wait_for(opening, CONNECT_S)
                elif need[0] == "pause":
                    await asyncio.sleep(need[1])
                elif need[0] == "receive":
                    assert reader is not None
                    answer = await asyncio.wait_for(reader.read(65_536), need[1])
                else:
                    assert writer is not None
                    writer.write(need[1])
                    await asyncio.wait_for(writer.drain(), CONNECT_S)
            except (OSError, asyncio.TimeoutError) as broken:
                fault = Cut(f"{type(broken).__name__}: {broken}")
    finally:
        if writer is not None:
            writer.close()
