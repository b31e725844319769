"""Bytes and their one spelling: control documents (ENV-16 to ENV-19), envelopes (ENV-1 to ENV-7), digests."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, NoReturn, Tuple

from . import _ed25519

INTEGER_MAX = 2**53 - 1
DEPTH_MAX = 16
SIGNATURES_MAX = 16
ENVELOPE_BYTES_MAX = 1_406_296
REQUEST_BYTES_MAX = 1_048_576
DOCUMENT_BYTES_MAX = 65_536

KINDS = (
    "root status federation membership pairing admission request receipt accept seal answer "
    "problem catalog operator-credential approval-request approval"
).split()
MEDIA = {f"application/vnd.gfp.{kind}.v1+json": kind for kind in KINDS}


class Malformed(ValueError):
    """The bytes do not have the form that the contract gives."""


class Refused(ValueError):
    """The bytes have the form, and what they say does not hold."""


def digest(*parts: bytes) -> bytes:
    """SHA-256 over the parts, one after the other."""
    return hashlib.sha256(b"".join(parts)).digest()


def text64(raw: bytes) -> str:
    """Base64url without padding: how digests and ids are written."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def raw64(text: str) -> bytes:
    """The bytes of a base64url text without padding that has one spelling."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise Malformed("not base64url") from None
    if text64(raw) != text:
        raise Malformed("not the one spelling of base64url")
    return raw


def _standard64(text: object) -> bytes:
    if not isinstance(text, str):
        raise Malformed("base64 is a text")
    try:
        raw = base64.b64decode(text.encode("ascii"))
    except ValueError:
        raise Malformed("not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise Malformed("not the one spelling of base64")
    return raw


def write(value: Any) -> bytes:
    """The one spelling of a value: RFC 8785, for what control documents may hold."""
    return utf8(json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True))


def utf8(text: str) -> bytes:
    """The bytes of a text that has some."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Malformed("a text has half of a surrogate pair") from None


def _integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > INTEGER_MAX:
        raise Malformed("an integer is too large")
    return int(text)


def _no_number(text: str) -> NoReturn:
    raise Malformed("a number is not an integer")


def _any_object(members: List[Tuple[str, Any]]) -> Dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise Malformed("a member stands twice")
    return value


def _double(text: str) -> float:
    if math.isinf(float(text)):
        raise Malformed("a number beyond every double")
    return float(text)


def _object(members: List[Tuple[str, Any]]) -> Dict[str, Any]:
    value = _any_object(members)
    if not all(name.isascii() for name in value):
        raise Malformed("a member's name is not ASCII")
    return value


_MARKS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]', re.DOTALL)


def _depth(data: bytes) -> int:
    depth = deepest = 0
    for mark in _MARKS.finditer(data):
        first = mark.group()[:1]
        depth += first in (b"[", b"{")
        depth -= first in (b"]", b"}")
        deepest = max(deepest, depth)
    return deepest


def parse(data: bytes, around: int = 0) -> Any:
    """Reads JSON with integers only, bounded in depth, without duplicate members; not yet one spelling."""
    if _depth(data) > DEPTH_MAX + around:
        raise Malformed("nested too deeply")
    try:
        return json.loads(
            data.decode(),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_no_number,
            parse_constant=_no_number,
        )
    except Malformed:
        raise
    except (ValueError, RecursionError):
        raise Malformed("not JSON") from None


def read(data: bytes) -> Any:
    """Reads a control document."""
    value = parse(data)
    if write(value) != data:
        raise Malformed("not canonical JSON")
    return value


def is_object(text: str) -> bool:
    """Tells whether a tool's arguments are the JSON text of one object, no member twice (REQ-40)."""
    data = text.encode("utf-8", "surrogatepass")
    if _depth(data) > DEPTH_MAX:
        return False
    try:
        value = json.loads(
            text, object_pairs_hook=_any_object, parse_int=_double, parse_float=_double, parse_constant=_no_number
        )
        write(value)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict)


def gateway_id(root_digest: bytes) -> str:
    """The id of the gateway whose first root has this digest."""
    return "gw1-" + base64.b32encode(root_digest).decode().lower().rstrip("=")


def key_id(public: bytes) -> str:
    """The id of an Ed25519 key."""
    return text64(digest(b"GFP-KEY-v1\ned25519\n", public))


@dataclass(frozen=True)
class Envelope:
    """Signed bytes, their kind, and the signatures; its form holds, and nothing is verified yet."""

    kind: str
    payload: bytes
    signed: bytes
    signatures: Tuple[Tuple[str, bytes], ...]

    @classmethod
    def of(cls, value: Any) -> "Envelope":
        """Takes an envelope that was read as a JSON value from its canonical bytes (ENV-1 to ENV-7)."""
        if not isinstance(value, dict) or set(value) != {"payload", "payloadType", "signatures"}:
            raise Malformed("not an envelope")
        media, listed = value["payloadType"], value["signatures"]
        if not isinstance(media, str) or media not in MEDIA:
            raise Malformed("no kind has this media type")
        if not isinstance(listed, list) or not 1 <= len(listed) <= SIGNATURES_MAX:
            raise Malformed("no signature, or too many")
        if any(not isinstance(one, dict) or set(one) != {"keyid", "sig"} for one in listed):
            raise Malformed("not a signature")
        signatures = tuple((one["keyid"], _standard64(one["sig"])) for one in listed)
        ids = [key for key, _ in signatures]
        if any(not isinstance(key, str) or not re.fullmatch("[A-Za-z0-9_-]{43}", key) for key in ids):
            raise Malformed("not a key id")
        if any(one >= two for one, two in zip(ids, ids[1:])):
            raise Malformed("the key ids do not ascend")
        if any(len(signature) != 64 for _, signature in signatures):
            raise Malformed("a signature is not 64 bytes long")
        payload, kind = _standard64(value["payload"]), MEDIA[media]
        limit = REQUEST_BYTES_MAX if kind == "request" else DOCUMENT_BYTES_MAX
        if len(payload) > limit or len(write(value)) > ENVELOPE_BYTES_MAX:
            raise Malformed("the envelope is too large")
        signed = b"DSSEv1 %d %b %d %b" % (len(media), media.encode(), len(payload), payload)
        return cls(kind, payload, signed, signatures)

    @property
    def digest(self) -> bytes:
        """D(envelope)."""
        return digest(self.signed)

    def verify(self, keys: Mapping[str, bytes], threshold: int) -> None:
        """Verifies every signature under keys that may sign here (ENV-9 to ENV-12)."""
        for key, signature in self.signatures:
            if key not in keys:
                raise Refused(f"key {key} may not sign a {self.kind}")
            if not _ed25519.verify(keys[key], signature, self.signed):
                raise Refused(f"the signature of key {key} does not verify")
        if len(self.signatures) < threshold:
            raise Refused(f"{len(self.signatures)} of {threshold} signatures")
