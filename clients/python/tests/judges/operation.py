"""The body of an operation: what stands in it, before anything is verified (REQ-1, REQ-2, steps 1 to 4 of the order of checks)."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import Iterator, List, NamedTuple

from landbridge._form import Envelope

from .standing import Refusal, envelope_in, of_kind

OPERATION_BYTES_MAX = 4_194_304
HELD_MAX = 3
_DECODER = json.JSONDecoder()


class Operation(NamedTuple):
    """Roots, status and request, in the order in which they are verified, and what the sender holds."""

    roots: List[Envelope]
    status: Envelope
    request: Envelope
    held: List[Envelope]


def _misshapen(why: str) -> Refusal:
    return Refusal("REQ-1", "malformed", "body", why)


class _Reading:
    """A text that has one spelling only, so it is read piece by piece and nothing is skipped."""

    def __init__(self, data: bytes) -> None:
        try:
            self.text, self.at = data.decode(), 0
        except UnicodeDecodeError:
            raise _misshapen("not a text") from None

    def next_is(self, piece: str) -> bool:
        found = self.text.startswith(piece, self.at)
        self.at += len(piece) * found
        return found

    def expect(self, piece: str) -> None:
        if not self.next_is(piece):
            raise _misshapen(f"no {piece} at character {self.at}")

    def value(self) -> bytes:
        try:
            value, end = _DECODER.raw_decode(self.text, self.at)
        except (ValueError, RecursionError):
            raise _misshapen(f"no JSON at character {self.at}") from None
        if not isinstance(value, dict):
            raise _misshapen("no object in the place of an envelope")
        start, self.at = self.at, end
        return self.text[start:end].encode("utf-8", "surrogatepass")

    def values(self) -> List[bytes]:
        values = [self.value()]
        while self.next_is(","):
            values.append(self.value())
        self.expect("]")
        return values


def operation(data: bytes, kind: str, roots_max: int) -> Operation:
    """Reads a body whose request is of a kind, and which brings so many roots at most."""
    if len(data) > OPERATION_BYTES_MAX:
        raise Refusal("REQ-2", "too_large", "body", "the body is too large")
    reading = _Reading(data)
    reading.expect("{")
    roots: List[bytes] = []
    if reading.next_is('"roots":['):
        roots = reading.values()
        reading.expect(",")
    reading.expect('"status":')
    status = reading.value()
    reading.expect(',"request":')
    request = reading.value()
    held = reading.values() if reading.next_is(',"held":[') else []
    reading.expect("}")
    if reading.at != len(reading.text):
        raise _misshapen("something after the end")
    if len(roots) > roots_max:
        raise Refusal("REQ-2", "too_large", "body", "a chain that is too long")
    if len(held) > HELD_MAX:
        raise Refusal("REQ-2", "too_large", "body", "too much is held")
    found = Operation([envelope_in(one) for one in roots], envelope_in(status), envelope_in(request), [envelope_in(one) for one in held])
    for root in found.roots:
        of_kind(root, "root")
    of_kind(found.status, "status")
    of_kind(found.request, kind)
    return found


@contextmanager
def at_roots() -> Iterator[None]:
    """Whatever is wrong with the roots that came with an operation is noticed in one place, before the status."""
    try:
        yield
    except Refusal as refusal:
        raise Refusal(refusal.clause, refusal.code, "root", str(refusal)) from None
