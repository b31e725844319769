"""How a gateway stands with another one: its roots, what its statuses said, and which of its keys count now."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import dropwhile
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from landbridge import _ed25519
from landbridge._form import (
    DOCUMENT_BYTES_MAX, ENVELOPE_BYTES_MAX, MEDIA, REQUEST_BYTES_MAX, Envelope, Malformed, Refused, gateway_id, raw64, read,
)  # fmt: skip

from . import bodies, federation, forms

CLOCK_SKEW_MS_MAX = 60_000
ROOT_LIFE_MS_MAX = 400 * 86_400_000
ROOT_STEPS_MAX = 32
REVOCATIONS_KEPT_MAX = 4_096
CREDENTIAL_LIFE_MS_MAX = 86_400_000
#: The keys of a root come from the root itself, and so it is walked instead.
KINDS = {**forms.KINDS, "federation": federation.document, "request": bodies.request}
REQUIRED = {"root", "stream", "request", "status", "policy"}


class Refusal(Exception):
    """Why something does not count: the clause, the code if one crosses, and where it was noticed."""

    def __init__(self, clause: str, code: Optional[str], phase: str, why: str, verdict: str = "refused") -> None:
        super().__init__(f"{clause}: {why}")
        self.clause, self.code, self.phase, self.verdict = clause, code, phase, verdict


@contextmanager
def formed(clause: str, phase: str, code: Optional[str] = "malformed") -> Iterator[None]:
    """What is malformed in here is refused so, and a key that is not what it says as ID-1 and ID-2 have it."""
    try:
        yield
    except Malformed as fault:
        raise Refusal(clause, code, phase, str(fault)) from None
    except Refused as fault:
        raise Refusal("ID-1", "verification_failed", phase, str(fault)) from None


def envelope_of(value: Any) -> Envelope:
    """Reads an envelope from its JSON value (ENV-1 to ENV-7), where that was not done yet."""
    if isinstance(value, Envelope):
        return value
    if isinstance(value, dict) and isinstance(value.get("payload"), str):
        payload = value["payload"]
        limit = REQUEST_BYTES_MAX if MEDIA.get(str(value.get("payloadType"))) == "request" else DOCUMENT_BYTES_MAX
        if len(payload) // 4 * 3 - payload.count("=") > limit:
            raise Refusal("ENV-7", "too_large", "envelope", "the payload is too large")
    with formed("ENV-2", "envelope"):
        return Envelope.of(value)


def envelope_in(data: bytes) -> Envelope:
    """Reads an envelope from the bytes that stand alone."""
    if len(data) > ENVELOPE_BYTES_MAX:
        raise Refusal("ENV-7", "too_large", "envelope", "the envelope is too large")
    with formed("ENV-2", "envelope"):
        value = read(data)
    return envelope_of(value)


def of_kind(envelope: Envelope, kind: str) -> Envelope:
    if envelope.kind != kind:
        raise Refusal("ENV-8", "verification_failed", "envelope", f"a {envelope.kind} in the place of a {kind}")
    return envelope


def signed(envelope: Envelope, keys: Mapping[str, bytes], threshold: int) -> None:
    """Verifies every signature, under keys that may sign here and now (ENV-9 to ENV-13)."""
    try:
        envelope.verify(keys, threshold)
    except Refused as fault:
        raise Refusal("ENV-10", "verification_failed", "signature", str(fault)) from None


def payload_of(envelope: Envelope) -> Any:
    """The payload of an envelope that verified, in the form of its kind (ENV-15 to ENV-19)."""
    with formed("ENV-16", "json"):
        value = read(envelope.payload)
    with formed("ENV-19", "payload"):
        KINDS[envelope.kind](value)
    return value


def good_keys(keys: Mapping[str, Any], at: int) -> Dict[str, bytes]:
    """The keys that are good at a time (ENV-13)."""
    return {kid: raw64(key["pub"]) for kid, key in keys.items() if key["nbf"] <= at < key["exp"]}


class Root(NamedTuple):
    """A root that verified, and its digest."""

    said: Dict[str, Any]
    digest: bytes

    def keys(self, role: str) -> Dict[str, Any]:
        named = self.said["roles"].get(role, {"keyids": []})["keyids"]
        return {kid: self.said["keys"][kid] for kid in named}

    def threshold(self, role: str) -> int:
        return int(self.said["roles"][role]["threshold"]) if role in self.said["roles"] else 1


class Kept(NamedTuple):
    """A status that was accepted, and the version of the root that had brought the status keys of then."""

    said: Dict[str, Any]
    digest: bytes
    keys_since: int


class Gateway:
    """What is known of one gateway by another, which has a clock and remembers."""

    def __init__(self, gid: str, min_root_version: int = 0) -> None:
        self.gid, self.min_root_version = gid, min_root_version
        self.roots: List[Root] = []
        self.statuses: List[Kept] = []
        #: The keys that it revoked, and when that was learnt.
        self.revoked: Dict[str, int] = {}

    @classmethod
    def known(cls, roots: List[Any], now: int, gateway_id: Optional[str] = None, min_root_version: int = 0) -> "Gateway":
        """A gateway of which these roots were accepted earlier, so that the last one may have expired by now."""
        gateway = cls(gateway_id or _first_id(roots), min_root_version)
        gateway.walk(roots, now)
        return gateway

    def update(self, roots: Sequence[Any], now: int) -> None:
        """Walks the roots of one update. What is kept of a chain that is refused is for the caller to say (ID-81)."""
        envelopes = self._new(roots)
        if len(envelopes) - (not self.roots) > ROOT_STEPS_MAX:
            raise Refusal("ID-10", "too_large", "root", "too many roots at once")
        self.walk(envelopes, now)
        self.fresh(now)

    def _new(self, roots: Sequence[Any]) -> List[Envelope]:
        """An update without what is on record already, as far as it stands first."""
        envelopes, known = [envelope_of(root) for root in roots], {root.digest for root in self.roots}
        return list(dropwhile(lambda envelope: envelope.digest in known, envelopes))

    def walk(self, roots: Sequence[Any], now: int) -> None:
        """Walks a chain, as long as it may be."""
        for root in self._new(roots):
            self.take_root(root, now)

    def fresh(self, now: int) -> None:
        """ID-9: only the last root of a chain has to be good now."""
        if self.roots and self.roots[-1].said["expires"] <= now:
            raise _bad_root("ID-9", "the last root has expired")

    def take_root(self, value: Any, now: int) -> None:
        """Walks one root further."""
        envelope = of_kind(envelope_of(value), "root")
        with formed("ID-7", "json", "verification_failed"):
            said = read(envelope.payload)
        with formed("ID-7", "payload", "verification_failed"):
            forms.root(said)
        root = Root(said, envelope.digest)
        _well_made(root)
        self._follows(root, now)
        own = good_keys(root.keys("root"), said["issued"])
        if not self.roots:
            signed(envelope, own, root.threshold("root"))
        else:
            before = self.roots[-1]
            old = good_keys(before.keys("root"), said["issued"])
            signed(envelope, {**old, **own}, 1)
            signers = {kid for kid, _ in envelope.signatures}
            if len(signers & old.keys()) < before.threshold("root") or len(signers & own.keys()) < root.threshold("root"):
                raise Refusal("ID-6", "verification_failed", "signature", "too few root keys of the former root or of this one")
        self.roots.append(root)

    def _follows(self, root: Root, now: int) -> None:
        said = root.said
        if said["version"] != len(self.roots) + 1 or ("prev" in said) != bool(self.roots):
            raise _bad_root("ID-5", "the version is not the next one")
        if not self.roots and gateway_id(root.digest) != self.gid:
            raise _bad_root("ID-4", "the first root does not make the gateway id")
        if self.roots and (raw64(said["prev"]) != self.roots[-1].digest or said["issued"] < self.roots[-1].said["issued"]):
            raise _bad_root("ID-5", "the root does not follow the one before")
        if said["issued"] > now + CLOCK_SKEW_MS_MAX:
            raise _bad_root("ID-5", "the root is of the future")

    def _unrevoked(self, keys: Mapping[str, Any]) -> Dict[str, Any]:
        """ID-22: what a key signs that was revoked counts no more, whenever it was signed; root keys are not revoked."""
        return {kid: key for kid, key in keys.items() if kid not in self.revoked}

    def signed(self, envelope: Envelope, role: str, now: int) -> None:
        """Verifies under the newest root, without what was revoked (ENV-9 to ENV-13, ID-22, ID-30)."""
        newest = self.roots[-1]
        signed(envelope, good_keys(self._unrevoked(newest.keys(role)), now), newest.threshold(role))

    def verify(self, envelope: Envelope, kind: str, role: str, now: int) -> Any:
        """Verifies what the gateway signed, and gives its payload."""
        of_kind(envelope, kind)
        if self.statuses and self.statuses[-1].said["expires"] <= now:
            raise Refusal("ID-21", "status_stale", "status", "the newest status has expired")
        if len(self.roots) < self.min_root_version:
            raise Refusal("ID-31", "root_unknown", "status", "the newest known root is not enough")
        self.signed(envelope, role, now)
        return payload_of(envelope)

    def take_status(self, value: Any, now: int) -> Dict[str, Any]:
        """Accepts a status (ID-15 to ID-20, ID-22, ID-82)."""
        envelope = of_kind(envelope_of(value), "status")
        self.signed(envelope, "status", now)
        said: Dict[str, Any] = payload_of(envelope)
        if said["iss"] != self.gid:
            raise Refusal("ID-15", "verification_failed", "status", "the status is another gateway's")
        if said["root_version"] > len(self.roots):
            raise Refusal("ID-15", "root_unknown", "status", "the status names a root that is not known")
        if raw64(said["root"]) != self.roots[said["root_version"] - 1].digest:
            raise Refusal("ID-15", "verification_failed", "status", "the status names another root")
        if said["seq"] > now + CLOCK_SKEW_MS_MAX:
            raise Refusal("ID-17", "verification_failed", "status", "the status is of the future")
        if said["expires"] <= now:
            raise Refusal("ID-16", "status_stale", "status", "the status has expired")
        self._goes_on(said, envelope.digest)
        revoked = {**{entry["kid"]: now for entry in said["revoked"]}, **self.revoked}
        named = {kid for root in self.roots for kid in root.said["keys"]}
        others = [kid for kid, at in revoked.items() if kid not in named and now - at < CREDENTIAL_LIFE_MS_MAX]
        if len(others) > REVOCATIONS_KEPT_MAX:
            raise Refusal("ID-82", "verification_failed", "status", "more revocations than are remembered")
        self.statuses.append(Kept(said, envelope.digest, self._keys_since(len(self.roots))))
        self.revoked = revoked
        return said

    def _keys_since(self, version: int) -> int:
        """The root, up to this version, with which the keys of the role `status` changed last."""
        while version > 1 and self.roots[version - 1].keys("status").keys() == self.roots[version - 2].keys("status").keys():
            version -= 1
        return version

    def _goes_on(self, said: Dict[str, Any], digest: bytes) -> None:
        """ID-18 to ID-20: nothing goes back, and one number has one content."""
        if not self.statuses:
            return
        self._numbered(said, digest)
        before, now = self.statuses[-1].said, said["incarnation"]
        if now != before["incarnation"] and (
            now["n"] <= before["incarnation"]["n"] or now["since"] < before["incarnation"]["since"]
        ):
            raise Refusal("ID-18", "status_stale", "status", "the incarnation goes back")
        if said["root_version"] < before["root_version"]:
            raise Refusal("ID-18", "status_stale", "status", "the root goes back")

    def _numbered(self, said: Dict[str, Any], digest: bytes) -> None:
        """Whether a number is the next one, or says something else than it said before."""
        counting = [kept for kept in self.statuses if kept.keys_since >= self._keys_since(said["root_version"])]
        newest = max(counting, key=lambda kept: int(kept.said["seq"]), default=None)
        if newest is None or said["seq"] > newest.said["seq"] or digest == newest.digest:
            return
        if said["seq"] < newest.said["seq"]:
            raise Refusal("ID-18", "status_stale", "status", "older than one that was accepted")
        raise Refusal("ID-19", "equivocation", "status", "one number and two contents", verdict="equivocating")


def _first_id(roots: List[Any]) -> str:
    return gateway_id(envelope_of(roots[0]).digest)


def _bad_root(clause: str, why: str) -> Refusal:
    return Refusal(clause, "verification_failed", "root", why)


def _well_made(root: Root) -> None:
    """What one root says: ID-1, ID-2, ID-7, ID-8."""
    said = root.said
    if not 1 <= said["expires"] - said["issued"] <= ROOT_LIFE_MS_MAX:
        raise _bad_root("ID-8", "its life")
    if not said["roles"].keys() >= REQUIRED:
        raise _bad_root("ID-7", "a required role is missing")
    named = [kid for role in said["roles"].values() for kid in role["keyids"]]
    if len(named) != len(set(named)) or set(named) != said["keys"].keys():
        raise _bad_root("ID-7", "a key in two roles or in none, or a role without its key")
    if not all(1 <= role["threshold"] <= len(role["keyids"]) for role in said["roles"].values()):
        raise _bad_root("ID-7", "a threshold")
    if any(not key["nbf"] < key["exp"] <= said["expires"] for key in said["keys"].values()):
        raise _bad_root("ID-7", "a key is good at no time, or outlives the root")
    if not forms.own_ids(said["keys"]):
        raise _bad_root("ID-1", "a key under another name")
    if not all(_ed25519.good_key(raw64(key["pub"])) for key in said["keys"].values()):
        raise _bad_root("ID-2", "a key that is none")
