"""A receiver that knows its peers, and the body of an operation. CC0 1.0."""

import base64
import json

from make.base import DAY, NOW, Gateway, Key, b64u, jcs, sha, sign
from make.form import HOUR, RUN, Folder, accept, edited, federation, grant, peer, receipt, request, seal, start
from make.members import ONE, STRANGER, TWO, guild, member
from make.walks import Walk, rotate

A, B = Gateway(1, "https://a.example:7443"), Gateway(17, "https://b.example:7443")
C = Gateway(40, "https://c.example:7443")
AT = NOW + 2 * HOUR
VF = "verification_failed"
SESSION = {"agent": "triage", "mode": "turn", "session": "fed-1"}
TOOL = {"args": '{"title":"disk full"}', "tool": "ticket_create"}


def envelope(value):
    return json.dumps(value, separators=(",", ":"))


def stapled(at=AT - 1000, **changes):
    return sign("status", A.status(at=at, **changes), A.key["status"])


def asked(op="start", body=None, key=None, keys=None, raw=None, **changes):
    """A request of A to B, signed."""
    document = edited(request(A, B, AT, op, start() if body is None else body), **changes)
    return sign("request", raw(jcs(document)) if raw else document, *(keys or [key or A.key["request"]]))


def body(said=None, status=None, roots=None, held=None):
    parts = [f'"status":{envelope(status or stapled())}', f'"request":{envelope(said or asked())}']
    if roots is not None:
        parts.insert(0, '"roots":[%s]' % ",".join(map(envelope, roots)))
    if held is not None:
        parts.append('"held":[%s]' % ",".join(map(envelope, held)))
    return "{" + ",".join(parts) + "}"


def trusting(grants=None, gateway=A, **changes):
    return sign("federation", federation(B, [peer(gateway, grants, **changes)]), B.key["policy"])


WIDE = [grant(asks=["prompt", "toolCall"], modes=["session", "turn"], tools=["ticket_create"])]
CASES = Folder({
    "roots": [B.root], "federation": trusting(), "issued": {"n": 1, "seq": AT - 500},
    "peers": [{"gateway": A.gid, "roots": [A.root], "status": sign("status", A.status(at=NOW), A.key["status"]), "at": NOW}],
    "keys": [], "memberships": [], "incarnation": {"n": 1, "since": NOW}, "key_window_ms": 7 * DAY, "now": AT, "route": "start", "body": body(),
})
CASES.clause = "REQ-9"


def put(name, clause, code, written, phase="request", **members):
    CASES.put(name, clause, phase, code, body=written, **members)


def req(name, clause, code, phase="request", view=None, **changes):
    put(name, clause, code, body(asked(**changes)), phase, **(view or {}))


# Nothing wrong.
put("attach", "REQ-9", "ok", body(asked("attach", {"after": 17, "run": RUN})), route="attach")
put("attach_by_key", "REQ-9", "ok", body(asked("attach", {"after": 0, "idempotencyKey": "example-2023-11-14"})), route="attach")
put("cancel", "REQ-9", "ok", body(asked("cancel", {"run": RUN})), route="cancel")
put("cancel_with_reason", "REQ-9", "ok", body(asked("cancel", {"idempotencyKey": "example-2023-11-14", "reason": "operator"})),
    route="cancel")
put("inspect", "REQ-9", "ok", body(asked("inspect", {"run": RUN})), route="inspect")
put("attach_with_held", "ID-43", "ok", body(asked("attach", {"after": 1, "run": RUN}), held=[
    sign("accept", accept(A, B, AT - 9000), B.key["stream"]), sign("seal", seal(AT - 8000), B.key["stream"])]), route="attach")
put("attach_with_a_receipt_held", "ID-42", "ok", body(asked("attach", {"after": 1, "run": RUN}), held=[
    sign("receipt", receipt(A, B, AT - 8000), A.key["request"])]), route="attach")
for name, clause, changes in (
    ("life_of_a_millisecond", "REQ-15", {"exp": AT + 1}), ("life_as_long_as_may_be", "REQ-15", {"exp": AT + 300_000}),
    ("signed_a_minute_ahead", "REQ-14", {"iat": AT + 60_000, "exp": AT + 90_000}),
    ("ended_a_minute_ago", "REQ-14", {"iat": AT - 61_000, "exp": AT - 60_000}),
    ("of_two_versions", "REQ-16", {"proto": [1, 2]}), ("of_sixteen_versions", "REQ-16", {"proto": list(range(1, 17))}), ("has_seen_nothing", "ID-41", {"seen": {"n": 0, "seq": 0}}),
    ("has_seen_nothing_of_a_later_incarnation", "ID-41", {"seen": {"n": 5, "seq": 0}}),
    ("has_seen_the_newest", "ID-41", {"seen": {"n": 1, "seq": AT - 500}}),
    ("traced", "ENV-19", {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}),
    ("jti_of_64", "ID-3", {"jti": "A" * 64}), ("jti_of_22", "ID-3", {"jti": "_" * 22}),
):
    req(name, clause, "ok", **changes)
ROTATED = Walk().next(lambda document: rotate(document, "request", Key(3), Key(50)))
LATER = ROTATED.roots


def later_status(roots=LATER):
    return stapled(root=roots[-1], version=len(roots))


ON = {"now": NOW + DAY + HOUR}
SIGNED_ON = {"iat": ON["now"], "exp": ON["now"] + 60_000}


put("with_a_newer_root", "ID-10", "ok", body(
    asked(key=Key(50), **SIGNED_ON), sign("status", A.status(at=NOW + DAY + HOUR - 1000, root=LATER[1], version=2), A.key["status"]), LATER[1:]), **ON)

# The body (REQ-1).
W = body()
for name, wrong in (
    ("empty", ""), ("empty_object", "{}"), ("a_list", "[" + W + "]"), ("space_first", " " + W), ("line_end_after", W + "\n"),
    ("space_inside", W.replace(',"request"', ', "request"')), ("byte_order_mark", "\ufeff" + W), ("member_unknown", W[:-1] + ',"x":1}'),
    ("request_missing", "{" + f'"status":{envelope(stapled())}' + "}"), ("status_missing", "{" + f'"request":{envelope(asked())}' + "}"),
    ("request_before_status", "{" + f'"request":{envelope(asked())},"status":{envelope(stapled())}' + "}"),
    ("request_twice", W[:-1] + f',"request":{envelope(asked())}' + "}"), ("status_twice", "{" + f'"status":{envelope(stapled())},' + W[1:]),
    ("roots_empty", body(roots=[])), ("held_empty", body(held=[])), ("roots_null", '{"roots":null,' + W[1:]),
    ("roots_an_envelope", '{"roots":' + envelope(A.root) + "," + W[1:]), ("roots_last", W[:-1] + f',"roots":[{envelope(A.root)}]' + "}"),
    ("held_first", '{"held":[' + envelope(stapled()) + "]," + W[1:]), ("request_null", W[:W.index(',"request"')] + ',"request":null}'),
    ("request_a_text", W[:W.index(',"request"')] + ',"request":' + json.dumps(envelope(asked())) + "}"), ("two_bodies", W + W),
    ("cut", W[:-1]), ("member_escaped", W.replace('"status"', '"st\\u0061tus"', 1)),
):
    put(f"body_{name}", "REQ-1", "malformed", wrong, "body")
put("request_with_space", "ENV-2", "malformed", W.replace('"signatures":[', '"signatures": [', 2), "envelope")
put("request_members_in_other_order", "ENV-2", "malformed", body({key: asked()[key] for key in ("payloadType", "payload", "signatures")}),
    "envelope")
put("request_without_signature", "ENV-4", "malformed", body({**asked(), "signatures": []}), "envelope")
put("status_without_signature", "ENV-4", "malformed", body(status={**stapled(), "signatures": []}), "envelope")
put("request_signed_twice_by_one_key", "ENV-5", "malformed", body({**asked(), "signatures": asked()["signatures"] * 2}), "envelope")
put("request_of_another_kind", "ENV-8", VF, body(sign("receipt", request(A, B, AT), A.key["request"])), "envelope")
put("status_of_another_kind", "ENV-8", VF, body(status=asked()), "envelope")
put("status_and_request_swapped", "ENV-8", VF, body(stapled(), asked()), "envelope")
put("root_of_another_kind", "ENV-8", VF, body(roots=[stapled()]), "envelope")
put("kind_of_a_later_version", "ENV-8", "malformed", body(sign("request", request(A, B, AT), A.key["request"],
                                                             media="application/vnd.gfp.request.v2+json")), "envelope")
put("thirty_three_roots", "REQ-2", "too_large", body(roots=[LATER[1]] * 33), "body")
put("thirty_three_roots_that_are_known", "REQ-2", "too_large", body(roots=[A.root] * 33), "body")
put("with_a_root_that_is_known", "ID-12", "ok", body(roots=[A.root]))

# How many bytes (REQ-2): what is held here proves nothing, and says nothing.


def large(size):
    """A body of so many bytes."""
    filling = json.dumps(sign("request", request(B, A, AT, body={**start(), "prompt": "x" * 1_047_900}), B.key["request"]), separators=(",", ":"))
    begins = filling.index("eHh4")
    ends = filling.rindex("eHh4") + 4
    around = [W[:-1] + ',"held":[' + filling[:begins], filling[ends:] + "," + filling[:begins], filling[ends:] + "," + filling[:begins]]
    signature = filling[filling.index('{"keyid"'):-2]
    last, others = filling[ends:-2], []
    left = size - sum(map(len, around)) - len(last) - len("]}]}")
    while left % 4:
        others.append({"keyid": b64u(sha(bytes([len(others)]))), "sig": json.loads(signature)["sig"]})
        left -= len(envelope(others[-1])) + 1
    signed = sorted([json.loads(signature), *others], key=lambda one: one["keyid"])
    last = last.replace(signature, ",".join(map(envelope, signed)))
    units = left // 4
    each = [min(units // 3, 349_500)] * 2
    each.append(units - sum(each))
    written = [part for text, count in zip(around, each) for part in (text, ["eHh4", count])] + [last + "]}]}"]
    assert sum(len(part) if isinstance(part, str) else len(part[0]) * part[1] for part in written) == size
    return written


put("body_as_large_as_it_may_be", "REQ-2", "ok", large(4_194_304))
put("body_too_large", "REQ-2", "too_large", large(4_194_305), "body")

# Who asks.
stranger = sign("status", C.status(at=AT - 1000), C.key["status"])
put("of_a_stranger", "REQ-9", VF, body(asked(iss=C.gid, key=C.key["request"]), stranger), "status")
put("of_a_stranger_who_brings_its_root", "ENV-14", VF, body(asked(iss=C.gid, key=C.key["request"]), stranger, [C.root]), "status")
put("status_of_the_receiver_itself", "REQ-9", VF, body(status=sign("status", B.status(at=AT - 1000), B.key["status"])), "status")
for role in ("root", "stream", "status", "policy"):
    req(f"request_signed_by_{role}", "ENV-9", VF, "signature", key=A.key[role])
req("request_signed_by_a_stranger", "ENV-9", VF, "signature", key=Key(99))
req("request_signed_by_the_receiver", "ID-30", VF, "signature", key=B.key["request"])
req("request_also_signed_by_a_stranger", "ENV-9", VF, "signature", keys=[A.key["request"], Key(99)])
req("request_signed_by_another_peer", "ID-30", VF, "signature", key=C.key["request"], view={
    "federation": sign("federation", federation(B, sorted(
        [peer(A), peer(C, [grant(local="dev", agents=["other"])], alias="c")], key=lambda one: one["gid"])), B.key["policy"]),
    "peers": [*CASES.whole["peers"], {"gateway": C.gid, "roots": [C.root], "status": sign("status", C.status(at=NOW), C.key["status"]),
                                      "at": NOW}]})
changed = base64.b64encode(jcs(edited(request(A, B, AT), tenant={"dst": "ops", "src": "root"}))).decode()
put("request_changed_after_signing", "ENV-10", VF, body({**asked(), "payload": changed}), "signature")
put("status_changed_after_signing", "ENV-10", VF, body(status={**stapled(), "payload": base64.b64encode(
    jcs(A.status(at=AT - 900))).decode()}), "signature")
req("iss_of_another", "REQ-11", VF, "party", iss=C.gid)
req("iss_is_the_receiver", "REQ-11", VF, "party", iss=B.gid)
req("aud_of_another", "REQ-11", VF, "party", aud=C.gid)
req("aud_is_the_caller", "REQ-11", VF, "party", aud=A.gid)
req("aud_a_list", "ENV-19", "malformed", "payload", aud=[B.gid])

# The status that is stapled.
put("status_expired", "ID-16", "status_stale", body(status=stapled(AT - HOUR - 1)), "status")
put("status_older_than_known", "ID-18", "status_stale", body(), "status", peers=[
    {**CASES.whole["peers"][0], "status": stapled(AT - 999), "at": AT - 500}])
put("status_of_the_future", "ID-17", VF, body(status=stapled(AT + 60_001)), "status")
put("status_as_late_as_tolerated", "ID-17", "ok", body(status=stapled(AT + 60_000)))
put("status_of_an_unknown_root", "ID-15", "root_unknown", body(status=later_status()), "status")
put("status_of_another_root", "ID-15", VF, body(status=stapled(root=B.root)), "status")
put("status_signed_by_request", "ENV-9", VF, body(status=sign("status", A.status(at=AT - 1000), A.key["request"])), "signature")
put("status_with_space", "ENV-16", "malformed", body(status=sign(
    "status", jcs(A.status(at=AT - 1000)).replace(b'":', b'": ', 1), A.key["status"])), "json")
put("status_life_too_long", "ID-17", "malformed", body(status=stapled(expires=AT + 2 * DAY)), "payload")
put("status_twice_with_another_content", "ID-19", VF, body(), "status", peers=[
    {**CASES.whole["peers"][0], "status": stapled(refresh_ms=60_000), "at": AT - 500}])
put("status_without_root_version", "ENV-19", "malformed", body(status=sign(
    "status", edited(A.status(at=AT - 1000), root_version=None), A.key["status"])), "payload")
put("status_with_a_fraction", "ENV-17", "malformed", body(status=sign(
    "status", jcs(A.status(at=AT - 1000)).replace(b'"root_version":1', b'"root_version":1.5'), A.key["status"])), "json")
put("status_no_json", "REQ-9", VF, body(status=sign("status", b"gfp", A.key["status"])), "status")
put("status_without_iss", "REQ-9", VF, body(status=sign("status", edited(A.status(at=AT - 1000), iss=None), A.key["status"])), "status")
put("status_with_iss_twice", "REQ-9", VF, body(status=sign(
    "status", jcs(A.status(at=AT - 1000)).replace(b'"iss":', b'"iss":"%s","iss":' % A.gid.encode(), 1), A.key["status"])), "status")
put("status_revokes_the_request_key", "ID-22", VF, body(status=stapled(revoked=[
    {"kid": A.key["request"].kid, "reason": "compromised", "since": AT}])), "signature")
put("status_revokes_another_key", "ID-22", "ok", body(status=stapled(revoked=[
    {"kid": A.key["stream"].kid, "reason": "compromised", "since": AT}])))
put("root_that_does_not_follow", "ID-5", VF, body(roots=[Walk().next().next().roots[2]]), "root")
put("root_by_a_stranger", "ID-6", VF, body(roots=[Walk().next(signers=[Key(99)]).roots[1]]), "root")
put("root_older_than_the_lowest", "ID-31", "root_unknown", body(), "status", federation=trusting(min_root_version=2))
put("former_key_after_a_newer_root", "ENV-9", VF, body(
    asked(**SIGNED_ON), sign("status", A.status(at=NOW + DAY + HOUR - 1000, root=LATER[1], version=2), A.key["status"]), LATER[1:]), "signature", **ON)

# The form of the payload.
for name, clause, raw in (
    ("space", "ENV-16", lambda j: j.replace(b'":', b'": ', 1)), ("member_twice", "ENV-19", lambda j: j.replace(b'"v":1}', b'"v":1,"v":1}')),
    ("fraction", "ENV-17", lambda j: j.replace(b'"v":1}', b'"v":1.0}')), ("not_sorted", "ENV-16", lambda j: b'{"v":1,' + j[1:].replace(
        b',"v":1}', b"}")), ("body_not_sorted", "ENV-16", lambda j: j.replace(b'"agent":"triage","mode":"session"', b'"mode":"session","agent":"triage"')),
):
    req(f"payload_{name}", clause, "malformed", "json", raw=raw)
for name, clause, changes in (
    ("member_unknown", "ENV-19", {"note": 1}), ("form_of_version_2", "ENV-19", {"v": 2}), ("jti_missing", "ENV-19", {"jti": None}),
    ("seen_missing", "ENV-19", {"seen": None}), ("tenant_missing", "ENV-19", {"tenant": None}), ("proto_missing", "ENV-19", {"proto": None}),
    ("jti_of_21", "ID-3", {"jti": "A" * 21}), ("jti_of_65", "ID-3", {"jti": "A" * 65}), ("jti_with_plus", "ID-3", {"jti": "A" * 21 + "+"}),
    ("tenant_in_capitals", "ID-3", {"tenant": {"dst": "ops", "src": "Acme"}}), ("tenant_empty", "ID-3", {"tenant": {"dst": "ops", "src": ""}}),
    ("tenant_begins_with_dot", "ID-3", {"tenant": {"dst": "ops", "src": ".acme"}}),
    ("tenant_of_65", "ID-3", {"tenant": {"dst": "ops", "src": "a" * 65}}), ("tenant_with_slash", "ID-3", {"tenant": {"dst": "../ops", "src": "acme"}}),
    ("op_unknown", "ENV-19", {"op": "stop"}), ("iat_a_text", "ENV-19", {"iat": str(AT)}), ("traceparent_too_long", "ENV-19", {"traceparent": "0" * 56}),
    ("life_zero", "REQ-15", {"exp": AT}), ("life_negative", "REQ-15", {"exp": AT - 1}), ("life_too_long", "REQ-15", {"exp": AT + 300_001}),
):
    req(name, clause, "malformed", "request" if clause == "REQ-15" else "payload", **changes)


OPERATORS = {"agent": "operators", "mode": "session"}
APPROVAL = "apr-aaaqeayeaudaocajbifqydiob4"
DECISION = {
    "approval": {"payload": "e30=", "payloadType": "application/vnd.gfp.approval.v1+json", "proof": {"kind": "file", "kid": Key(99).kid, "sig": "AAAA"}},
    "catalog": sign("catalog", {"v": 1}, Key(99)), "credential": sign("operator-credential", {"v": 1}, Key(99)),
}


# What a start asks.
def starting(name, clause, code, phase="payload", view=None, at=AT, **changes):
    put(f"start_{name}", clause, code, body(asked(body=edited(start(), **changes))), phase, **(view or {}))


def target(**changes):
    return edited({"agent": "triage", "mode": "session"}, **changes)


for name, clause, changes in (
    ("asks_nothing", "REQ-8", {"prompt": None}), ("asks_twice", "REQ-8", {"toolCall": TOOL}),
    ("session_in_a_fresh_one", "REQ-8", {"agentTarget": target(session="fed-1")}), ("turn_without_session", "REQ-8", {"agentTarget": target(mode="turn")}),
    ("subagent_without_session", "REQ-8", {"agentTarget": target(mode="subagent")}), ("mode_unknown", "ENV-19", {"agentTarget": target(mode="loop")}),
    ("limits_empty", "REQ-58", {"limits": {}}), ("limits_of_zero", "REQ-58", {"limits": {"tokens": 0}}),
    ("limits_unknown", "ENV-19", {"limits": {"seconds": 1}}), ("key_of_15", "ID-3", {"idempotencyKey": "k" * 15}),
    ("key_of_129", "ID-3", {"idempotencyKey": "k" * 129}), ("key_with_space", "ID-3", {"idempotencyKey": "k" * 16 + " "}),
    ("key_beyond_ascii", "ID-3", {"idempotencyKey": "k" * 16 + "ä"}), ("agent_empty", "ID-3", {"agentTarget": target(agent="")}),
    ("agent_of_129", "ID-3", {"agentTarget": target(agent="a" * 129)}), ("agent_with_space", "ID-3", {"agentTarget": target(agent="tri age")}),
    ("session_of_129", "ID-3", {"agentTarget": {**SESSION, "session": "s" * 129}}), ("member_unknown", "ENV-19", {"model": "x"}),
    ("key_missing", "ENV-19", {"idempotencyKey": None}), ("invoked_missing", "ENV-19", {"invokedAt": None}),
    ("identity_missing", "ENV-19", {"callerIdentity": None}), ("principal_a_number", "ENV-19", {"callerIdentity": {"principal": 1}}),
    ("principal_of_257", "ENV-19", {"callerIdentity": {"principal": "p" * 257}}),
    ("label_name_with_space", "ENV-19", {"callerIdentity": {"principal": "ci", "labels": {"a b": "x"}}}),
    ("labels_empty", "ENV-19", {"callerIdentity": {"principal": "ci", "labels": {}}}),
    ("label_name_of_64", "ENV-19", {"callerIdentity": {"principal": "ci", "labels": {"a" * 64: "x"}}}),
    ("thirty_three_labels", "ENV-19", {"callerIdentity": {"principal": "ci", "labels": {f"l{at}": "x" for at in range(33)}}}),
    ("remote_id_of_257", "ENV-19", {"remoteRunId": "r" * 257}),
    ("tool_in_a_turn", "REQ-40", {"prompt": None, "toolCall": TOOL, "agentTarget": SESSION}),
    ("grant_without_decision", "ENV-19", {"prompt": None, "agentTarget": OPERATORS, "approvalGrant": {"approval": APPROVAL}}),
    ("grant_without_approval", "ENV-19", {"prompt": None, "agentTarget": OPERATORS, "approvalGrant": {"decision": DECISION}}),
    ("grant_of_an_id_that_is_short", "ID-3", {"prompt": None, "agentTarget": OPERATORS, "approvalGrant": {
        "approval": APPROVAL[:-1], "decision": DECISION}}),
    ("grant_with_an_envelope_as_approval", "ENV-19", {"prompt": None, "agentTarget": OPERATORS, "approvalGrant": {
        "approval": APPROVAL, "decision": {**DECISION, "approval": stapled()}}}),
    ("grant_of_a_proof_of_no_kind", "ENV-19", {"prompt": None, "agentTarget": OPERATORS, "approvalGrant": {
        "approval": APPROVAL, "decision": {**DECISION, "approval": {**DECISION["approval"], "proof": {"kind": "voice"}}}}}),
    ("asked_without_subject", "ENV-19", {"prompt": None, "agentTarget": OPERATORS, "approvalRequest": {"request": stapled()}}),
    ("asked_without_request", "ENV-19", {"prompt": None, "agentTarget": OPERATORS, "approvalRequest": {"subject": "x"}}),
    ("asked_with_a_text_as_request", "ENV-19", {"prompt": None, "agentTarget": OPERATORS, "approvalRequest": {"request": "x", "subject": "x"}}),
    ("asked_of_an_unsigned_request", "ENV-4", {"prompt": None, "agentTarget": OPERATORS, "approvalRequest": {
        "request": {**stapled(), "signatures": []}, "subject": "x"}}),
    ("asked_with_a_subject_of_65537", "ENV-19", {"prompt": None, "agentTarget": OPERATORS, "approvalRequest": {
        "request": stapled(), "subject": "x" * 65_537}}),
    ("approval_for_an_agent", "APR-32", {"prompt": None, "approvalRequest": {"request": stapled(), "subject": "x"}}),
):
    starting(name, clause, "malformed", **changes)
for name, args in (("a_list", "[]"), ("a_text", '"x"'), ("not_json", "{"), ("empty", ""), ("member_twice", '{"a":1,"a":2}'),
                   ("member_twice_escaped", '{"a":1,"\\u0061":2}'), ("member_twice_inside", '{"x":{"a":1,"a":2}}'),
                   ("depth_17", '{"a":' * 16 + "{}" + "}" * 16), ("two_objects", "{}{}")):
    starting(f"tool_args_{name}", "REQ-40", "malformed", prompt=None, toolCall={"args": args, "tool": "ticket_create"})
VIEW = {"federation": trusting(WIDE)}
for name, args in (("empty_object", "{}"), ("with_space", '{ "a" : 1.5e3 }'), ("depth_16", '{"a":' * 15 + "{}" + "}" * 15)):
    starting(f"tool_args_{name}", "REQ-40", "ok", view=VIEW, prompt=None, toolCall={"args": args, "tool": "ticket_create"})
starting("turn", "REQ-8", "ok", view=VIEW, agentTarget=SESSION)
starting("with_limits", "REQ-58", "ok", limits={"tokens": 1})
starting("with_labels", "ENV-19", "ok", callerIdentity={"principal": "ci", "labels": {"env/x": "prod"}, "step": "s", "workflow": "w"})
starting("prompt_empty", "REQ-8", "ok", prompt="")
for op, name, clause, asked_body in (
    ("attach", "after_missing", "ENV-19", {"run": RUN}), ("attach", "after_negative", "ENV-19", {"after": -1, "run": RUN}),
    ("attach", "of_nothing", "ENV-19", {"after": 0}), ("attach", "of_run_and_key", "ENV-19", {"after": 0, "run": RUN, "idempotencyKey": "k" * 16}),
    ("attach", "with_reason", "ENV-19", {"after": 0, "run": RUN, "reason": "x"}), ("attach", "run_short", "ID-3", {"after": 0, "run": RUN[:-1]}),
    ("attach", "run_in_capitals", "ID-3", {"after": 0, "run": RUN.upper()}), ("attach", "run_with_digit_1", "ID-3", {"after": 0, "run": RUN[:-1] + "1"}),
    ("cancel", "of_nothing", "ENV-19", {}), ("cancel", "of_run_and_key", "ENV-19", {"run": RUN, "idempotencyKey": "k" * 16}),
    ("cancel", "with_after", "ENV-19", {"after": 0, "run": RUN}), ("inspect", "with_reason", "ENV-19", {"run": RUN, "reason": "x"}),
    ("inspect", "of_nothing", "ENV-19", {}), ("catalog", "of_something", "ENV-19", {"run": RUN}),
):
    put(f"{op}_{name}", clause, "malformed", body(asked(op, asked_body)), "payload", route=op)

# For this receiver, now.
put("op_of_another_route", "REQ-12", "malformed", body(asked("cancel", {"run": RUN})))
put("start_at_cancel", "REQ-12", "malformed", body(), route="cancel")
put("inspect_at_cancel", "REQ-12", "malformed", body(asked("inspect", {"run": RUN})), route="cancel")
put("peer_suspended", "REQ-9", "peer_suspended", body(), federation=trusting(status="suspended"))
put("peer_revoked", "ID-61", "peer_revoked", body(), federation=trusting(status="revoked"))
for name, pair in (("src_of_another", {"dst": "ops", "src": "acme-eu"}), ("dst_of_another", {"dst": "dev", "src": "acme"}),
                   ("swapped", {"dst": "acme", "src": "ops"}), ("by_prefix", {"dst": "ops", "src": "acm"})):
    req(f"tenant_{name}", "REQ-13", "not_granted", tenant=pair)
put("no_grant_at_all", "REQ-13", "not_granted", body(), federation=trusting([]))
for name, changes in (("signed_later_than_tolerated", {"iat": AT + 60_001, "exp": AT + 90_000}),
                      ("ended_earlier_than_tolerated", {"iat": AT - 61_000, "exp": AT - 60_001}),
                      ("a_day_old", {"iat": AT - DAY, "exp": AT - DAY + 1000})):
    req(name, "REQ-14", "clock_skew", **changes)
req("of_a_later_version_only", "REQ-16", "protocol_unsupported", proto=[2])
EARLIER_NOT = Gateway(17, "https://b.example:7443")
EARLIER_NOT.document["min_proto"] = 2
EARLIER_NOT.found()
for name, proto in (("of_a_version_before_the_lowest", [1]), ("of_the_version_before_the_lowest_and_one_that_is_not_spoken", [1, 2])):
    req(name, "REQ-16", "protocol_unsupported", aud=EARLIER_NOT.gid, proto=proto, view={"roots": [EARLIER_NOT.root], "federation": sign(
        "federation", federation(EARLIER_NOT, [peer(A)]), EARLIER_NOT.key["policy"])})
req("of_two_later_versions", "REQ-16", "protocol_unsupported", proto=[2, 3])
req("has_seen_a_later_status", "ID-41", "rolled_back", seen={"n": 1, "seq": AT - 499})
req("has_seen_a_later_incarnation", "ID-41", "rolled_back", seen={"n": 2, "seq": AT - 500})
put("has_seen_an_earlier_incarnation", "ID-41", "ok", body(asked(seen={"n": 1, "seq": AT + 1})), issued={"n": 2, "seq": AT - 500},
    incarnation={"n": 2, "since": NOW})

# The key.
PRINT = b64u(sha(b"GFP-BODY-v1\n", jcs(start())))
OWNER = {"caller": A.gid, "tenant": {"dst": "ops", "src": "acme"}, "key": start()["idempotencyKey"]}


def key(name, clause, code, keys, verdict=None, written=None, **members):
    CASES.put(name, clause, "none" if verdict else "key", code, verdict, body=written or body(), keys=keys, **members)


BOUND = [{**OWNER, "run": RUN, "print": PRINT}]
key("key_known", "REQ-19", None, BOUND, "known")
key("key_known_and_no_longer_granted", "REQ-19", None, BOUND, "known", federation=trusting([]))
key("key_known_for_another_agent_granted", "REQ-19", None, BOUND, "known", federation=trusting([grant(agents=["other"])]))
key("key_known_and_invoked_long_ago", "REQ-19", None, BOUND, "known", key_window_ms=DAY, now=AT)
key("key_known_with_another_print", "REQ-20", "key_conflict", [{**OWNER, "run": RUN, "print": b64u(sha(b"other"))}])
for name, changes in (("prompt", {"prompt": "Say hello!"}), ("invoked_at", {"invokedAt": NOW + 1001}), ("deadline", {"deadline": AT + HOUR}),
                      ("identity", {"callerIdentity": {"principal": "cd@acme"}}), ("remote_id", {"remoteRunId": "wf-1"})):
    key(f"key_known_with_another_{name}", "REQ-20", "key_conflict", BOUND, written=body(asked(body=edited(start(), **changes))))
key("key_blocked", "REQ-32", "cancelled_before_start", [{**OWNER, "blocked": AT - 1000}])
key("key_of_another_tenant_pair", "REQ-19", "ok", [{**BOUND[0], "tenant": {"dst": "ops", "src": "other"}, "print": b64u(sha(b"x"))}])
key("key_of_another_caller", "REQ-19", "ok", [{**BOUND[0], "caller": C.gid, "print": b64u(sha(b"x"))}])
SECOND = {"issued": {"n": 2, "seq": AT - 500}, "incarnation": {"n": 2, "since": NOW + HOUR}}
key("invoked_before_the_incarnation", "REQ-21", "lost_history", [], **SECOND)
key("invoked_as_the_incarnation_begins", "REQ-21", "ok", [], **{**SECOND, "incarnation": {"n": 2, "since": NOW + 1000}})
key("known_from_before_the_incarnation", "REQ-19", None, BOUND, "known", **SECOND)
key("invoked_before_the_first_incarnation", "REQ-21", "ok", [], incarnation={"n": 1, "since": NOW + HOUR})
OLD = body(asked(body=edited(start(), invokedAt=AT - 7 * DAY - 1)))
key("invoked_before_the_window", "REQ-21", "key_expired", [], written=OLD)
key("invoked_as_the_window_begins", "REQ-21", "ok", [], written=body(asked(body=edited(start(), invokedAt=AT - 7 * DAY))))
key("invoked_later_than_tolerated", "REQ-68", "clock_skew", [], written=body(asked(body=edited(start(), invokedAt=AT + 60_001))))
key("invoked_as_late_as_tolerated", "REQ-68", "ok", [], written=body(asked(body=edited(start(), invokedAt=AT + 60_000))))
for name, grants, changes in (
    ("agent", [grant(agents=["other"])], {}), ("agent_in_capitals", [grant(agents=["Triage"])], {}),
    ("mode", [grant(modes=["turn"])], {}), ("turn", None, {"agentTarget": SESSION}),
    ("subagent", WIDE, {"agentTarget": {**SESSION, "mode": "subagent"}}), ("tool_call", None, {"prompt": None, "toolCall": TOOL}),
    ("tool", WIDE, {"prompt": None, "toolCall": {**TOOL, "tool": "ticket_delete"}}),
    ("tool_by_prefix", WIDE, {"prompt": None, "toolCall": {**TOOL, "tool": "ticket"}}),
    ("prompt", [grant(asks=["toolCall"], tools=["ticket_create"])], {}),
):
    key(f"not_granted_{name}", "REQ-22", "not_granted", [], written=body(asked(body=edited(start(), **changes))), federation=trusting(grants))
key("tool_call_whatever_the_modes", "REQ-22", "ok", [], written=body(asked(body=edited(start(), prompt=None, toolCall=TOOL))), federation=trusting(
    [grant(asks=["prompt", "toolCall"], modes=["turn"], tools=["ticket_create"])]))
key("not_granted_tool_call_of_another_agent", "REQ-22", "not_granted", [], written=body(asked(body=edited(
    start(), prompt=None, toolCall=TOOL, agentTarget={"agent": "writer", "mode": "session"}))), federation=trusting(WIDE))
put("cancel_where_a_blocked_key_is_kept", "REQ-13", "ok", body(asked("cancel", {"idempotencyKey": OWNER["key"]})), route="cancel",
    federation=trusting([]), keys=[{**OWNER, "blocked": AT - 1000}])
key("no_grant_but_another_key_is_kept", "REQ-22", "not_granted", [{**OWNER, "key": "another-key-of-long-ago", "run": RUN, "print": PRINT}],
    federation=trusting([]))

# More of the form.
req("proto_empty", "ENV-19", "malformed", "payload", proto=[])
req("proto_descending", "ENV-19", "malformed", "payload", proto=[2, 1])
req("proto_twice", "ENV-19", "malformed", "payload", proto=[1, 1])
req("proto_of_seventeen", "ENV-19", "malformed", "payload", proto=list(range(1, 18)))
starting("subagent", "REQ-8", "ok", view={"federation": trusting([grant(modes=["subagent"])])}, agentTarget={**SESSION, "mode": "subagent"})
starting("deadline_with_fraction", "ENV-17", "malformed", "json", deadline=0.5)
put("four_held", "REQ-2", "too_large", body(asked("attach", {"after": 1, "run": RUN}), held=[
    sign("seal", seal(AT), B.key["stream"])] * 4), "body", route="attach")

# A peer that is a member of a federation root (ID-70, ID-71).


def by_membership(name, clause, code, memberships, roots=None, status="active", **how):
    listed = roots or [edited(guild(members=[A.gid], **how), tenants=["acme", "beta"])]
    trusted = sign("federation", federation(B, [peer(A, status=status)], roots=listed), B.key["policy"])
    put(f"member_{name}", clause, code, body(), federation=trusted, memberships=memberships)


OF_A = member(tenants=["acme"])
by_membership("of_a_root", "ID-70", "ok", [OF_A])
by_membership("of_two_tenants", "ID-71", "ok", [member(tenants=["acme", "beta"])])
by_membership("on_its_last_instant", "ID-70", "ok", [member(tenants=["acme"], expires=AT + 1)])
by_membership("of_no_root_where_there_is_one", "ID-70", "ok", [], [edited(guild(), tenants=["acme"])])
for name, memberships in (
    ("without_a_membership", []), ("with_one_that_expired", [member(tenants=["acme"], expires=AT - 1)]),
    ("with_one_by_a_stranger", [member(tenants=["acme"], keys=[STRANGER])]), ("with_one_by_itself", [member(tenants=["acme"], keys=[A.key["root"]])]),
    ("with_one_of_another", [member(C, tenants=["acme"])]), ("with_one_of_a_root_that_is_not_known", [member(tenants=["acme"], federation="acme-test")]),
    ("with_one_of_a_tenant_that_the_root_lacks", [member(tenants=["acme", "finance"])]),
):
    by_membership(name, "ID-70", "peer_suspended", memberships)
by_membership("with_one_of_another_root", "ID-70", "peer_suspended", [member(tenants=["acme"], keys=[TWO], federation="guild")], [
    edited(guild(members=[A.gid]), tenants=["acme"]), edited(guild("guild", keys=(TWO,)), tenants=["acme"])])
by_membership("with_one_by_a_key_that_ended", "ID-70", "peer_suspended", [OF_A], exp=AT)
by_membership("of_a_threshold_of_two_with_one", "ID-70", "peer_suspended", [OF_A], keys=(ONE, TWO), threshold=2)
by_membership("that_is_suspended", "REQ-9", "peer_suspended", [OF_A], status="suspended")
by_membership("with_one_of_another_tenant", "ID-71", "not_granted", [member(tenants=["beta"])])
