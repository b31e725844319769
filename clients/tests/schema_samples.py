"""Values as the specification describes them, for what has no vectors, and forms that the vectors do not show.

Digests, keys and signatures have the right form and no meaning.
"""

PREFIX = "application/vnd.gfp."
SUFFIX = ".v1+json"

GATEWAYS = ["gw1-" + letter * 52 for letter in "ab"]
DIGEST = "A" * 43
ENVELOPE = {"payload": "e30=", "signatures": [{"keyid": DIGEST, "sig": "A" * 86 + "=="}]}
KEY = {"alg": "ed25519", "kid": DIGEST, "pub": DIGEST}
PASSKEY = {**KEY, "kind": "webauthn", "origins": ["https://a.example"], "rp_id": "a.example"}


def envelope_of(kind: str) -> dict[str, object]:
    return {**ENVELOPE, "payloadType": PREFIX + kind + SUFFIX}


DECISION = {
    "approval": {
        "payload": "e30=",
        "payloadType": PREFIX + "approval" + SUFFIX,
        "proof": {"kind": "file", "kid": DIGEST, "sig": "A" * 86 + "=="},
    },
    "catalog": envelope_of("catalog"),
    "credential": envelope_of("operator-credential"),
}
CREDENTIAL = {
    "expires": 2, "iss": GATEWAYS[0], "issued": 1, "keys": [{**KEY, "kind": "file"}], "scopes": ["sre"],
    "sub": "ada@acme", "tenant": "acme", "v": 1,
}
LIFE = {"exp": 2, "iat": 1}
START = {
    "agentTarget": {"agent": "triage", "mode": "session"}, "callerIdentity": {"principal": "ci"},
    "idempotencyKey": "k" * 16, "invokedAt": 1, "prompt": "Hello.",
}
TO_OPERATORS: dict[str, object] = {**START, "agentTarget": {"agent": "operators", "mode": "session"}}
del TO_OPERATORS["prompt"]
APPROVAL = "apr-" + "a" * 26
RUN = "run-" + "a" * 26
SUBJECT = {"binding": "exact", "digest": DIGEST, "media": "text/plain", "size": 1, "text": "x"}


def frame(event: str, **payload: object) -> dict[str, object]:
    return {"seq": 1, "event": event, "payload": payload}


PROBLEM = {"code": "novelty", "retryable": False, "sideEffects": "none", "status": 400}
GRANT = {
    "agents": ["triage"], "approval": {"quorum": 1, "scope": "sre"}, "asks": ["prompt"], "deadline_ms_max": 1,
    "disclose": {"output": "full", "tool_args": "digest", "tool_results": "none"},
    "frames_max": 1, "local": "ops", "modes": ["turn"], "remote": "acme", "tools": [],
}
PROJECTION = {
    "constraints": {
        "max_ttl_ms": 1, "methods": ["file"], "min_signers": 1, "observed": False, "subject_kinds": ["exec"],
    },
    "entry": DIGEST, "exp": 2, "local": "ops", "local_scope": "sre", "nbf": 1, "remote": "acme", "remote_scope": "sre",
}
PEER = {
    "alias": "eu", "endpoints": [{"tls_spki": DIGEST, "url": "https://[::1]:7443"}], "genesis": DIGEST,
    "gid": GATEWAYS[1], "grants": [GRANT], "min_root_version": 1, "projections": [PROJECTION], "status": "active",
}
OPERATOR = {
    "keys": [{**KEY, "kind": "ssh_sk", "application": "ssh:"}], "name": "ada", "scopes": ["sre"], "tenant": "ops",
}
FEDERATION_ROOT = {
    "keys": {DIGEST: {"alg": "ed25519", "exp": 2, "nbf": 1, "pub": DIGEST}}, "max_members": 1,
    "members": [GATEWAYS[1]], "name": "acme-prod", "tenants": ["ops"], "threshold": 1,
}
FEDERATION = {
    "iss": GATEWAYS[0], "issued": 1,
    "operators": [OPERATOR], "peers": [PEER], "roots": [FEDERATION_ROOT], "v": 1, "version": 1,
}

SAMPLES: list[tuple[str, dict[str, object]]] = [
    ("membership", {
        "expires": 2, "federation": "acme-prod", "genesis": DIGEST, "issued": 1, "member": GATEWAYS[0],
        "tenants": ["ops"], "v": 1,
    }),
    ("admission", {"aud": GATEWAYS[0], **LIFE, "iss": GATEWAYS[1], "membership": DIGEST, "v": 1}),
    ("pairing", {
        "aud": GATEWAYS[0], **LIFE, "genesis": DIGEST, "invite": DIGEST, "iss": GATEWAYS[1], "jti": "j" * 22,
        "proof": DIGEST, "v": 1,
    }),
    ("invite", {
        "endpoint": {"url": "https://eu.example:7443"}, "expires": 1, "genesis": DIGEST, "root": DIGEST,
        "root_version": 1, "secret": DIGEST, "v": 1,
    }),
    ("federation", FEDERATION),
    ("problem-object", {**PROBLEM, "detail": "Not so.", "retryAfterMs": 1, "retryMode": "new_key"}),
    ("operator-credential", CREDENTIAL),
    ("operator-credential", {**CREDENTIAL, "keys": [PASSKEY]}),
    ("decision", DECISION),
    ("start", START),
    ("start", {
        **START, "agentTarget": {"agent": "a", "mode": "turn", "session": "s"}, "deadline": 2,
        "limits": {"tokens": 1}, "remoteRunId": "wf",
    }),
    ("start", {**TO_OPERATORS, "approvalGrant": {"approval": APPROVAL, "decision": DECISION}}),
    ("start", {**TO_OPERATORS, "approvalRequest": {"request": envelope_of("approval-request"), "subject": "rm"}}),
    ("frame", frame("output", channel="thinking", text="Hm.", replace=True)),
    ("frame", frame("output", channel="answer", digest=DIGEST, size=3, truncated=True)),
    ("frame", frame("tokenUsage", input=1, output=1, cacheRead=0, cacheWrite=0, total=2, costMicroUsd=3, model="m")),
    ("frame", frame("toolCall", callId="c", tool="t", args="{}")),
    ("frame", frame("toolResult", callId="c", ok=False, error="No.")),
    ("frame", frame("phaseEnd", phase="p", outcome="expired", startedAt=1, endedAt=2)),
    ("frame", frame(
        "approvalRequested", approval=APPROVAL, expires=1, kind="exec", request="{}", scopes=["sre"], subject=SUBJECT,
    )),
    ("frame", frame("approvalResolved", approval=APPROVAL, by="peer", decision="deny", evidence="{}")),
    ("frame", frame("error", **PROBLEM)),
    ("frame", frame("terminal", by="executor", outcome="failed", problem=PROBLEM, sideEffects="possible")),
    ("approval-record-line", {"id": APPROVAL, "relying": GATEWAYS[0], "type": "approval", "v": 1}),
    *(("approval-record-line", {"type": kind, "value": envelope_of(of)}) for kind, of in (
        ("root", "root"), ("status", "status"), ("federation", "federation"), ("request", "approval-request"),
    )),
    ("approval-record-line", {"type": "subject", "value": "rm"}),
    ("approval-record-line", {"gateway": GATEWAYS[0], "type": "asked"}),
    ("approval-record-line", {"at": 1, "type": "decision", "value": DECISION}),
    ("approval-record-line", {"type": "verdict", "value": "undecided"}),
    *(
        ("evidence-line", {"gateway": GATEWAYS[0], "kind": kind, "type": "evidence", "v": 1})
        for kind in ("seals", "accepts", "statuses")
    ),
    ("evidence-line", {"type": "said", "value": envelope_of("status")}),
    ("evidence-line", {"type": "body", "value": "{}"}),
    ("stream-event", {"event": "problem", "data": [envelope_of("problem")]}),
    ("stream-event", {"event": "status", "data": [envelope_of("status")]}),
]
