"""What an executor answers to a request, as far as its documents, its keys and its clock decide it (the order of checks)."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, Optional

from landbridge._documents import WORK
from landbridge._form import Envelope, digest, text64, write

from .documents import own_document
from .forms import REQUEST_LIFE_MS_MAX
from .members import counted
from .operation import at_roots, operation
from .standing import CLOCK_SKEW_MS_MAX, ROOT_STEPS_MAX, Gateway, Refusal, envelope_of

PROTO = 1


class Executor:
    """A gateway that is asked: its documents, what it knows of its peers, and the keys that it remembers."""

    def __init__(self, vector: Mapping[str, Any]) -> None:
        self.now: int = vector["now"]
        self.own = Gateway.known(vector["roots"], self.now)
        self.document = own_document(self.own, vector)
        self.issued, self.incarnation, self.key_window_ms = vector["issued"], vector["incarnation"], vector["key_window_ms"]
        self.keys: List[Dict[str, Any]] = vector["keys"]
        self.memberships: List[Any] = vector["memberships"]
        self.peers = {peer["gid"]: peer for peer in self.document["peers"]}
        self.standing = {gid: Gateway(gid, peer["min_root_version"]) for gid, peer in self.peers.items()}
        for known in vector["peers"]:
            gateway = Gateway.known(known["roots"], self.now, known["gateway"], self.peers[known["gateway"]]["min_root_version"])
            gateway.take_status(known["status"], known["at"])
            self.standing[gateway.gid] = gateway

    def judge(self, body: bytes, route: str) -> str:
        """Steps 1 to 18. No `jti` was seen before, and of runs nothing is known that `held` could contradict (ID-42)."""
        asked = operation(body, "request", ROOT_STEPS_MAX)
        sender = self._sender(asked.status)
        with at_roots():
            sender.update(asked.roots, self.now)
        self._take_status(sender, asked.status)
        said: Dict[str, Any] = sender.verify(asked.request, "request", "request", self.now)
        if (said["iss"], said["aud"]) != (sender.gid, self.own.gid):
            raise Refusal("REQ-11", "verification_failed", "party", "of or for another gateway")
        if said["op"] != route:
            raise _refused("REQ-12", "malformed", "it arrived at another operation's route")
        tenants = self._tenants(sender.gid)
        grant = self._grant(sender.gid, said["tenant"], tenants)
        self._in_time(said)
        if PROTO not in said["proto"] or self.own.roots[-1].said["min_proto"] > PROTO:
            raise _refused("REQ-16", "protocol_unsupported", "no version that is spoken here")
        self._nothing_forgotten(said["seen"])
        return self._start(sender.gid, said, grant) if said["op"] == "start" else "accepted"

    def _sender(self, status: Envelope) -> Gateway:
        """Step 5: nothing but `iss` is read, to choose the keys."""
        try:
            said = json.loads(status.payload.decode(), object_pairs_hook=list)
        except (ValueError, RecursionError):
            said = []
        members = [pair for pair in said if isinstance(pair, tuple)] if isinstance(said, list) else []
        named = [value for name, value in members if name == "iss"]
        if len(named) != 1 or not isinstance(named[0], str) or named[0] not in self.standing:
            raise Refusal("REQ-9", "verification_failed", "status", "of no pinned peer")
        return self.standing[named[0]]

    def _take_status(self, sender: Gateway, status: Envelope) -> None:
        try:
            sender.take_status(status, self.now)
        except Refusal as refusal:
            if refusal.verdict == "equivocating":
                raise Refusal(refusal.clause, "verification_failed", "status", str(refusal)) from None
            raise

    def _tenants(self, gid: str) -> Optional[List[str]]:
        """Step 12. Gives the tenants of a member, or None for a peer that is none (ID-61, ID-70)."""
        status = self.peers[gid]["status"]
        if status != "active":
            raise _refused("ID-61", f"peer_{status}", "the peer is not active")
        root = next((root["name"] for root in self.document["roots"] if gid in root.get("members", [])), None)
        if root is None:
            return None
        shown = [said for said in map(self._counted, self.memberships) if said and (said["member"], said["federation"]) == (gid, root)]
        if not shown:
            raise _refused("ID-70", "peer_suspended", "no membership counts")
        newest = max(shown, key=lambda said: int(said["issued"]))
        return list(newest["tenants"])

    def _counted(self, membership: Any) -> Optional[Dict[str, Any]]:
        try:
            return counted(envelope_of(membership), self.document, self.now)
        except Refusal:
            return None

    def _grant(self, gid: str, tenant: Mapping[str, str], tenants: Optional[List[str]]) -> Optional[Dict[str, Any]]:
        """Step 13: the grant of the tenant pair, or None where only keys are kept under it (REQ-13, ID-71)."""
        for grant in self.peers[gid]["grants"]:
            if (grant["remote"], grant["local"]) == (tenant["src"], tenant["dst"]) and (tenants is None or grant["remote"] in tenants):
                return dict(grant)
        if not any((kept["caller"], kept["tenant"]) == (gid, tenant) for kept in self.keys):
            raise _refused("REQ-13", "not_granted", "no grant, and no key")
        return None

    def _in_time(self, said: Mapping[str, Any]) -> None:
        """Step 14."""
        if not 1 <= said["exp"] - said["iat"] <= REQUEST_LIFE_MS_MAX:
            raise _refused("REQ-15", "malformed", "its life")
        if said["iat"] > self.now + CLOCK_SKEW_MS_MAX or said["exp"] < self.now - CLOCK_SKEW_MS_MAX:
            raise _refused("REQ-14", "clock_skew", "out of time")

    def _nothing_forgotten(self, seen: Mapping[str, int]) -> None:
        """Step 16: a status that lies beyond the newest one of our own was issued and forgotten (ID-41)."""
        if seen["seq"] and (seen["n"], seen["seq"]) > (self.issued["n"], self.issued["seq"]):
            raise _refused("ID-41", "rolled_back", "a status of ours that we do not remember")

    def _start(self, gid: str, said: Mapping[str, Any], grant: Optional[Mapping[str, Any]]) -> str:
        """Step 18 of a start."""
        body, scope = said["body"], (gid, said["tenant"], said["body"]["idempotencyKey"])
        known = next((kept for kept in self.keys if (kept["caller"], kept["tenant"], kept["key"]) == scope), None)
        if known is not None and "blocked" in known:
            raise _of_key("REQ-32", "cancelled_before_start", "it was cancelled")
        if known is not None:
            if known["print"] != text64(digest(b"GFP-BODY-v1\n", write(body))):
                raise _of_key("REQ-20", "key_conflict", "the key is bound to another body")
            return "known"
        if self.incarnation["n"] > 1 and body["invokedAt"] < self.incarnation["since"]:
            raise _of_key("REQ-21", "lost_history", "invoked before the incarnation")
        if body["invokedAt"] < self.now - self.key_window_ms:
            raise _of_key("REQ-21", "key_expired", "invoked before the key window")
        if body["invokedAt"] > self.now + CLOCK_SKEW_MS_MAX:
            raise _of_key("REQ-68", "clock_skew", "invoked in the future")
        if grant is None or not _covers(grant, body):
            raise _of_key("REQ-22", "not_granted", "no grant covers it")
        return "accepted"


def _covers(grant: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Kind of work, agent, mode and tool; what goes to operators names no agent of the grant's, and a tool call leads no session."""
    work = next(name for name in WORK if name in body)
    target = body["agentTarget"]
    return (
        work in grant["asks"]
        and (work not in ("prompt", "toolCall") or target["agent"] in grant["agents"])
        and (work != "prompt" or target["mode"] in grant["modes"])
        and (work != "toolCall" or body["toolCall"]["tool"] in grant["tools"])
    )


def _refused(clause: str, code: str, why: str) -> Refusal:
    return Refusal(clause, code, "request", why)


def _of_key(clause: str, code: str, why: str) -> Refusal:
    return Refusal(clause, code, "key", why)
