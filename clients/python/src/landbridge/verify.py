"""Judges a transcript offline, by its bytes and one pinned gateway id (STR-35 to STR-37).

Written from `spec/` alone. Nothing here asks a network or a clock, and nothing trusts a bridge.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple, Union

from . import _documents as form
from . import _ed25519
from ._form import Envelope, Malformed, Refused, digest, gateway_id, is_object, key_id, parse, raw64, read, text64, write

LINE_BYTES_MAX = 1_407_320
FRAME_BYTES_MAX = 262_144
ROOT_LIFE_MS_MAX = 400 * 86_400_000
STATUS_LIFE_MS_MAX = 86_400_000

EXITS = {"verified": 0, "tampered": 2, "not_the_pinned_signer": 3, "unreadable": 4, "unfinished": 5}
_PLACES = ("header", "caller", "executor", "caller's", "executor's", "request", "accept", "stream", "receipt")


@dataclass
class Verdict:
    """What a transcript is worth, and what it tells as far as it verified."""

    #: `verified`, `tampered`, `not_the_pinned_signer`, `unreadable` or `unfinished`.
    verdict: str = "unfinished"
    #: The first line that does not hold, from 1, and why.
    line: Optional[int] = None
    what: Optional[str] = None
    run: Optional[str] = None
    caller: Optional[str] = None
    executor: Optional[str] = None
    tenant: Optional[Dict[str, str]] = None
    #: How many frames a seal covers.
    frames: int = 0
    #: The sealed terminal's; or `lost`, where the caller's receipt says that it ended the run itself.
    outcome: Optional[str] = None
    sealed_at: Optional[int] = None
    warnings: List[str] = field(default_factory=list)

    @property
    def exit(self) -> int:
        """The exit code of `landbridge verify` for this verdict (STR-36)."""
        return EXITS[self.verdict]

    @property
    def ok(self) -> bool:
        """Whether everything verified up to a final seal."""
        return self.verdict == "verified"


class _Side:
    """One gateway: its chain of roots and its statuses."""

    def __init__(self, gid: str) -> None:
        self.gid = gid
        self.roots: List[Tuple[Dict[str, Any], bytes]] = []
        self.status: Optional[Dict[str, Any]] = None
        self.revoked: Dict[str, int] = {}

    def keys(self, root: Dict[str, Any], role: str, at: int) -> Dict[str, bytes]:
        """The keys of a role that are good at a time (ENV-13)."""
        keys = {kid: root["keys"][kid] for kid in root["roles"][role]["keyids"]}
        good = {kid: key for kid, key in keys.items() if key["nbf"] <= at < key["exp"]}
        return {kid: raw64(key["pub"]) for kid, key in good.items()}

    def verify(self, envelope: Envelope, version: int, role: str, at: int) -> None:
        if not 1 <= version <= len(self.roots):
            raise Refused(f"there is no root {version} in the lines before")
        root = self.roots[version - 1][0]
        envelope.verify(self.keys(root, role, at), root["roles"][role]["threshold"])

    def take_root(self, envelope: Envelope) -> None:
        """Walks one root further (ID-1, ID-2, ID-4 to ID-8)."""
        root = read(envelope.payload)
        form.root(root)
        _well_made(root)
        if root["version"] != len(self.roots) + 1 or ("prev" in root) != bool(self.roots):
            raise Refused("the version is not the next one")
        own, at = self.keys(root, "root", root["issued"]), root["issued"]
        threshold = root["roles"]["root"]["threshold"]
        if not self.roots:
            if gateway_id(envelope.digest) != self.gid:
                raise Refused("the first root does not make the gateway id")
            envelope.verify(own, threshold)
        else:
            before, before_digest = self.roots[-1]
            if raw64(root["prev"]) != before_digest or root["issued"] < before["issued"]:
                raise Refused("the root does not follow the one before")
            old = self.keys(before, "root", at)
            envelope.verify({**old, **own}, 1)
            signers = {kid for kid, _ in envelope.signatures}
            if len(signers & set(old)) < before["roles"]["root"]["threshold"] or len(signers & set(own)) < threshold:
                raise Refused("too few root keys signed, of the former or of the new ones")
        self.roots.append((root, envelope.digest))

    def take_status(self, envelope: Envelope) -> None:
        """ID-15, ID-17 and ID-18, as far as they need no clock."""
        status = read(envelope.payload)
        form.status(status)
        kids = [entry["kid"] for entry in status["revoked"]]
        if any(one >= two for one, two in zip(kids, kids[1:])):
            raise Malformed("the revocations do not ascend")
        if status["iss"] != self.gid:
            raise Refused("the status is another gateway's")
        self.verify(envelope, status["root_version"], "status", status["issued"])
        if raw64(status["root"]) != self.roots[status["root_version"] - 1][1]:
            raise Refused("the status names another root")
        life = status["expires"] - status["issued"]
        if not 1 <= life <= STATUS_LIFE_MS_MAX or status["seq"] != status["issued"]:
            raise Malformed("the status's life or number is wrong")
        if not 1 <= status["refresh_ms"] <= life or status["incarnation"]["since"] > status["issued"]:
            raise Malformed("the status is renewed after its life, or its incarnation begins after it")
        before = self.status
        if before is not None and (
            status["seq"] <= before["seq"]
            or status["incarnation"]["n"] < before["incarnation"]["n"]
            or status["root_version"] < before["root_version"]
        ):
            raise Refused("the status goes back")
        self.status = status
        for entry in status["revoked"]:
            self.revoked.setdefault(entry["kid"], entry["since"])


def _well_made(root: Dict[str, Any]) -> None:
    """ID-1, ID-2, ID-7, ID-8."""
    if not 1 <= root["expires"] - root["issued"] <= ROOT_LIFE_MS_MAX:
        raise Refused("a root's life is wrong")
    named: List[str] = [kid for role in root["roles"].values() for kid in role["keyids"]]
    if len(named) != len(set(named)) or set(named) != set(root["keys"]):
        raise Refused("a key stands in two roles, or in none")
    for role in root["roles"].values():
        if not 1 <= role["threshold"] <= len(role["keyids"]):
            raise Refused("a threshold is wrong")
    for kid, key in root["keys"].items():
        public = raw64(key["pub"])
        if key_id(public) != kid or not _ed25519.good_key(public):
            raise Refused(f"key {kid} is not good, or not under its own name")
        if key["exp"] > root["expires"] or key["nbf"] >= key["exp"]:
            raise Refused(f"key {kid} outlives the root, or lives not at all")


class _Reading:
    """The lines so far, and what the next one has to fit."""

    def __init__(self, pin: str) -> None:
        self.pin, self.verdict, self.place = pin, Verdict(), -1
        self.sides: Dict[str, _Side] = {}
        self.request: Dict[str, Any] = {}
        self.print = b""
        self.accept: Dict[str, Any] = {}
        self.accept_digest = self.head = b""
        self.count = self.sealed_line = 0
        self.terminal: Optional[Dict[str, Any]] = None
        self.seals: List[Tuple[int, Tuple[str, ...]]] = []

    def take(self, line: bytes) -> None:
        if len(line) > LINE_BYTES_MAX:
            raise _NotALine("the line is too long")
        try:
            value = read(line)
            kind, place = _shape(value)
            envelope = Envelope.of(value["value"]) if kind not in ("header", "frame") else None
            if envelope is not None and envelope.kind != kind:
                raise Malformed(f"a {envelope.kind} in the place of a {kind}")
            body = _frame(value["value"]) if kind == "frame" else value
        except Malformed as fault:
            raise _NotALine(str(fault)) from None
        self._order(kind, place)
        if place > 2 and self.place <= 2 and self.place >= 0:
            self.judge_pin()
        self.place = place
        if envelope is None:
            self._frame(value["value"].encode(), body) if kind == "frame" else self._header(value)
            return
        if kind == "root":
            self.sides[value["of"]].take_root(envelope)
        elif kind == "status":
            self.sides[value["of"]].take_status(envelope)
        else:
            getattr(self, "_" + kind)(envelope)

    def judge_pin(self) -> None:
        executor = self.sides["executor"]
        if executor.roots and executor.gid != self.pin:
            raise _OtherGateway(executor.gid)

    def _order(self, kind: str, place: int) -> None:
        if (place < self.place and kind != "header") or (kind == "header") != (self.place < 0):
            raise _NotALine("a line out of order")
        if place == self.place and kind in ("request", "accept", "receipt"):
            raise _NotALine("a line that stands once")
        needed = {3: ("caller",), 4: ("executor",)}.get(place, ("caller", "executor") if place > 4 else ())
        if not all(self.sides[name].roots for name in needed):
            raise _NotALine("a line before the roots")
        if (place > 5 and not self.request) or (place == 7 and not self.accept):
            raise _NotALine("a line before the request, or before the accept")
        if kind == "seal" and self.count == self.verdict.frames:
            raise _NotALine("a seal that covers no new frame")

    def _header(self, header: Dict[str, Any]) -> None:
        self.sides = {name: _Side(header[name]) for name in ("caller", "executor")}
        self.verdict.caller, self.verdict.executor = header["caller"], header["executor"]
        self.verdict.run = header.get("run")

    def _request(self, envelope: Envelope) -> None:
        request = read(envelope.payload)
        form.request(request)
        caller, why = self.sides["caller"], "no root"
        if (request["iss"], request["aud"]) != (caller.gid, self.sides["executor"].gid):
            raise Refused("the request is of or for another gateway")
        if request["op"] != "start":
            raise Malformed("not a start")
        body = request["body"]
        form.start(body)
        if sum(work in body for work in form.WORK) != 1:
            raise Malformed("not exactly one kind of work")
        if ("session" in body["agentTarget"]) != (body["agentTarget"]["mode"] != "session"):
            raise Malformed("a session that does not fit its mode")
        if "toolCall" in body and (body["agentTarget"]["mode"] != "session" or not is_object(body["toolCall"]["args"])):
            raise Malformed("a tool call in a conversation, or arguments that are not one object")
        # A request names no root; any of the chain in which its key has the role may have been the one.
        for version in range(len(caller.roots), 0, -1):
            try:
                caller.verify(envelope, version, "request", request["iat"])
                break
            except Refused as fault:
                why = str(fault)
        else:
            raise Refused(why)
        self.request, self.print = request, digest(b"GFP-BODY-v1\n", write(body))
        self.verdict.tenant = request["tenant"]

    def _accept(self, envelope: Envelope) -> None:
        accept = read(envelope.payload)
        form.accept(accept)
        # An accept states no time; it is judged at that of the request which it answers.
        request = self.request
        self.sides["executor"].verify(envelope, accept["root_version"], "stream", request["iat"])
        if (accept["aud"], accept["iss"]) != (request["iss"], request["aud"]) or accept["tenant"] != request["tenant"]:
            raise Refused("the accept is not between these two")
        if accept["key"] != request["body"]["idempotencyKey"] or raw64(accept["print"]) != self.print:
            raise Refused("the accept is of another start")
        if accept["proto"] not in request["proto"] or accept["run"] != self.verdict.run:
            raise Refused("the accept names another protocol, or another run than the header")
        self.accept, self.accept_digest = accept, envelope.digest
        self.head = digest(b"GFP-STREAM-v1\n", envelope.digest)

    def _frame(self, line: bytes, frame: Dict[str, Any]) -> None:
        if frame["seq"] != self.count + 1:
            raise Refused(f"expected frame {self.count + 1}, got {frame['seq']}")
        if self.terminal is not None:
            raise Refused("a frame after the terminal")
        if frame["event"] == "terminal":
            form.terminal(frame["payload"])
            self.terminal = frame["payload"]
        self.count += 1
        leaf = digest(b"GFP-LEAF-v1\n", line)
        self.head = digest(b"GFP-CHAIN-v1\n", self.head, self.count.to_bytes(8, "big"), leaf)

    def _seal(self, envelope: Envelope) -> None:
        seal = read(envelope.payload)
        form.seal(seal)
        self.sides["executor"].verify(envelope, seal["root_version"], "stream", seal["t"])
        if raw64(seal["accept"]) != self.accept_digest or seal["run"] != self.accept["run"]:
            raise Refused("the seal belongs to another stream")
        if seal["seq"] != self.count or raw64(seal["head"]) != self.head:
            raise Refused(f"the seal covers other bytes than the {self.count} frames before it")
        if seal["final"] != (self.terminal is not None):
            raise Refused("the seal is final where the frame is not, or the reverse")
        self.verdict.frames = self.count
        self.seals.append((self.count, tuple(kid for kid, _ in envelope.signatures)))
        if self.terminal is not None:
            self.verdict.outcome, self.verdict.sealed_at = self.terminal["outcome"], seal["t"]

    def _receipt(self, envelope: Envelope) -> None:
        if self.count != self.verdict.frames:
            raise Refused("frames that no seal covers stand before the receipt")
        receipt = read(envelope.payload)
        form.receipt(receipt)
        caller = self.sides["caller"]
        caller.verify(envelope, receipt["root_version"], "request", receipt["t"])
        request = self.request
        if (receipt["aud"], receipt["iss"]) != (request["aud"], request["iss"]):
            raise Refused("the receipt is not between these two")
        said = tuple(receipt.get(name) for name in ("accept", "head", "run"))
        held = (text64(self.accept_digest), text64(self.head), self.accept["run"]) if self.accept else (None,) * 3
        if receipt["key"] != request["body"]["idempotencyKey"] or said != held or receipt["seq"] != self.count:
            raise Refused("the receipt tells of another run")
        if "lost" in receipt and self.terminal is not None:
            raise Refused("the receipt tells of another end")
        if "lost" in receipt:
            self.verdict.outcome = "lost"

    def finish(self) -> Verdict:
        """What a file is worth whose every line holds."""
        verdict, executor = self.verdict, self.sides["executor"]
        self.judge_pin()
        verdict.verdict = "verified" if verdict.sealed_at is not None else "unfinished"
        for kid, since in sorted(executor.revoked.items()):
            seals = [seq for seq, kids in self.seals if kid in kids]
            if seals:
                verdict.warnings.append(f"{len(seals)} seals by key {kid}, which is revoked since {since}")
        if self.place < 8:
            verdict.warnings.append("the caller's receipt is missing")
        if self.count != verdict.frames:
            verdict.warnings.append("no seal covers the last frames")
        return verdict


class _NotALine(Exception):
    pass


class _OtherGateway(Exception):
    pass


_SIDED = form.has(of=form.one_of("caller", "executor"), type=form.anything, value=form.anything)
_PLAIN = form.has(type=form.anything, value=form.anything)
_LINES = {
    "header": form.has({"run": form.run}, caller=form.gateway, executor=form.gateway, type=form.anything, v=form.one),
    **dict.fromkeys(("root", "status"), _SIDED),
    **dict.fromkeys(("request", "accept", "frame", "seal", "receipt"), _PLAIN),
}


def _shape(value: Any) -> Tuple[str, int]:
    """The type of a line, and its place in the order of lines."""
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _LINES:
        raise Malformed("no such line")
    _LINES[kind](value)
    if kind in ("root", "status"):
        return kind, _PLACES.index(value["of"] if kind == "root" else value["of"] + "'s")
    return kind, _PLACES.index("stream" if kind in ("frame", "seal") else kind)


def _frame(line: Any) -> Dict[str, Any]:
    """Reads a frame: `seq`, `event`, `payload` in this order, compact."""
    data = line.encode() if isinstance(line, str) else b""
    if not 0 < len(data) <= FRAME_BYTES_MAX:
        raise Malformed("not a frame")
    # The bound on depth is the payload's, and the frame is one level around it.
    frame = parse(data, 1)
    form.has(seq=form.integer(), event=form.any_text, payload=form.named(form.anything, form.anything))(frame)
    payload = write(frame["payload"])
    if data != b'{"seq":%d,"event":%b,"payload":%b}' % (frame["seq"], write(frame["event"]), payload):
        raise Malformed("a frame is a compact object of seq, event and payload")
    assert isinstance(frame, dict)
    return frame


def verify(transcript: Union[str, bytes], pin: str) -> Verdict:
    """Judges a transcript against the gateway that must have sealed it.

    Raises ValueError when `pin` is not a gateway id. Everything else is said by the verdict.
    """
    if not re.fullmatch("gw1-[a-z2-7]{52}", pin):
        raise ValueError("the pin is not a gateway id")
    data = transcript.encode("utf-8", "surrogatepass") if isinstance(transcript, str) else transcript
    reading, lines = _Reading(pin), data.split(b"\n")
    verdict = reading.verdict
    at = 0
    try:
        for at, line in enumerate(lines[:-1], 1):
            reading.take(line)
        at += 1
        if lines[-1] or at == 1:
            raise _NotALine("the last line has no end" if lines[-1] else "there is no line")
        return reading.finish()
    except _OtherGateway as fault:
        verdict.verdict, verdict.what = "not_the_pinned_signer", f"signed by {fault}"
    except (_NotALine, Malformed, Refused) as fault:
        verdict.verdict = "unreadable" if isinstance(fault, _NotALine) else "tampered"
        verdict.line, verdict.what = at, str(fault)
    return verdict
