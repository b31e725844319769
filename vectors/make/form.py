"""What the folders share: cases, and documents that are right. CC0 1.0."""

import copy

from make.base import DAY, NOW, Gateway, Key, b64u, dsse_digest, jcs, sha

HOUR = 3_600_000
RUN = "run-aaaqeayeaudaocajbifqydiob4"


class Folder:
    """Cases by name. A member that equals the one of `whole` is left out."""

    def __init__(self, whole):
        self.whole, self.cases = whole, []

    def put(self, name, clause, phase, code, verdict=None, **members):
        """`code` is `ok`, the code of the refusal, or None where the specification names none."""
        verdict = verdict or ("accepted" if code == "ok" else "refused")
        if code == "ok":
            code, phase = None, "none"
        self.cases.append((name, clause, phase, verdict, code, members))

    def __call__(self):
        yield "whole", {"clause": self.clause, "phase": "none", "verdict": self.verdict, "code": None, **self.whole}
        for name, clause, phase, verdict, code, members in self.cases:
            unknown = set(members) - set(self.whole)
            assert not unknown, (name, unknown)
            own = {key: value for key, value in members.items() if value != self.whole[key]}
            yield name, {"clause": clause, "phase": phase, "verdict": verdict, "code": code, **own}

    #: Of `whole`.
    clause, verdict = "ENV-1", "accepted"


def edited(document, **members):
    """A copy with other members; None takes one away."""
    out = copy.deepcopy(document)
    for name, value in members.items():
        if value is None:
            out.pop(name, None)
        else:
            out[name] = value
    return out


def list_key(gateway, role, key, nbf=NOW, exp=NOW + 400 * DAY, threshold=None):
    """Lists a key in the gateway's document."""
    document = gateway.document
    document["keys"][key.kid] = {"alg": "ed25519", "exp": exp, "nbf": nbf, "pub": b64u(key.public)}
    holders = document["roles"].setdefault(role, {"keyids": [], "threshold": 1})
    holders["keyids"] = sorted([*holders["keyids"], key.kid])
    if threshold:
        holders["threshold"] = threshold


def deciding(first_seed, url):
    """A gateway that also has the roles of approvals."""
    gateway = Gateway(first_seed, url)
    for at, role in enumerate(("catalog", "operator-ca")):
        gateway.key[role] = Key(first_seed + 8 + at)
        list_key(gateway, role, gateway.key[role])
    gateway.found()
    return gateway


def start():
    return {
        "agentTarget": {"agent": "triage", "mode": "session"},
        "callerIdentity": {"principal": "ci@acme"},
        "idempotencyKey": "example-2023-11-14",
        "invokedAt": NOW + 1000,
        "prompt": "Say hello.",
    }


def request(a, b, now, op="start", body=None):
    return {
        "aud": b.gid, "body": start() if body is None else body, "exp": now + 60_000, "iat": now, "iss": a.gid,
        "jti": "AAECAwQFBgcICQoLDA0ODw", "op": op, "proto": [1], "seen": {"n": 1, "seq": NOW},
        "tenant": {"dst": "ops", "src": "acme"}, "v": 1,
    }


def accept(a, b, now):
    return {
        "aud": a.gid, "deadline": now + 600_000, "iss": b.gid, "key": "example-2023-11-14",
        "print": b64u(sha(b"GFP-BODY-v1\n", jcs(start()))), "proto": 1, "root_version": 1, "run": RUN,
        "seen": {"n": 1, "seq": NOW}, "tenant": {"dst": "ops", "src": "acme"}, "v": 1,
    }


def seal(now):
    return {"accept": b64u(sha(b"accept")), "final": False, "head": b64u(sha(b"head")), "root_version": 1,
            "run": RUN, "seq": 2, "t": now, "v": 1}


def receipt(a, b, now):
    return {"accept": b64u(sha(b"accept")), "aud": b.gid, "head": b64u(sha(b"head")), "iss": a.gid,
            "key": "example-2023-11-14", "root_version": 1, "run": RUN, "seq": 3, "t": now, "v": 1}


def problem(a, b, now):
    return {"aud": a.gid, "iss": b.gid, "problem": {
        "code": "not_granted", "retryMode": "after_change", "retryable": False, "sideEffects": "none", "status": 403,
    }, "request": b64u(sha(b"request")), "root_version": 1, "t": now, "v": 1}


def answer(a, b, now):
    return {"aud": a.gid, "iss": b.gid, "request": b64u(sha(b"request")),
            "result": {"cancel": "requested", "run": RUN}, "root_version": 1, "t": now, "v": 1}


def grant(**changes):
    return edited({
        "agents": ["triage"], "asks": ["prompt"], "deadline_ms_max": 600_000,
        "disclose": {"output": "full", "tool_args": "full", "tool_results": "full"},
        "local": "ops", "modes": ["session"], "remote": "acme", "tools": [],
    }, **changes)


def peer(gateway, grants=None, **changes):
    return edited({
        "alias": "a", "endpoints": [], "genesis": b64u(dsse_digest(gateway.root)), "gid": gateway.gid,
        "grants": [grant()] if grants is None else grants, "min_root_version": 1, "status": "active",
    }, **changes)


def federation(own, peers, now=NOW, **changes):
    return edited({"iss": own.gid, "issued": now, "peers": peers, "roots": [], "v": 1, "version": 1}, **changes)


def scope(name="sre-lead", **changes):
    return edited({
        "assurance": {"methods": ["file", "ssh"], "min_signers": 1},
        "description": "Leads an incident; may change production.", "name": name,
    }, **changes)


def catalog(gateway, now, scopes=None, **changes):
    return edited({"expires": now + 12 * HOUR, "iss": gateway.gid, "issued": now,
                   "scopes": scopes or [scope()], "tenant": "acme-eu", "v": 1, "version": 7}, **changes)


def operator_key(key, kind="file", **changes):
    return edited({"alg": "ed25519", "kid": key.kid, "kind": kind, "pub": b64u(key.public)}, **changes)


def credential(gateway, key, now, **changes):
    return edited({"expires": now + 12 * HOUR, "iss": gateway.gid, "issued": now, "keys": [operator_key(key)],
                   "scopes": ["sre-lead"], "sub": "alice", "tenant": "acme-eu", "v": 1}, **changes)
