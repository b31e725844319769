"""Transcripts with a fault in what was signed. CC0 1.0."""

from make.base import DAY, NOW, Key, b64u, dsse_digest, jcs, sha, sign
from make.story import case, set_in, part_case, root_case

# Roots.


@root_case("root_threshold_zero", "ID-7")
def _(story, b, document):
    document["roles"]["stream"]["threshold"] = 0


@root_case("root_threshold_two_of_one", "ID-7")
def _(story, b, document):
    document["roles"]["stream"]["threshold"] = 2


@root_case("root_key_in_two_roles", "ID-7")
def _(story, b, document):
    document["roles"]["request"]["keyids"] = document["roles"]["stream"]["keyids"]
    del document["keys"][b.key["request"].kid]


@root_case("root_key_of_no_role", "ID-7")
def _(story, b, document):
    key = Key(99)
    document["keys"][key.kid] = {"alg": "ed25519", "exp": NOW + DAY, "nbf": NOW, "pub": b64u(key.public)}


@root_case("root_role_without_key", "ID-7")
def _(story, b, document):
    del document["keys"][b.key["request"].kid]


@root_case("root_role_missing", "ID-7")
def _(story, b, document):
    del document["roles"]["policy"]
    del document["keys"][b.key["policy"].kid]


@root_case("root_key_outlives_it", "ID-7")
def _(story, b, document):
    document["keys"][b.key["stream"].kid]["exp"] = NOW + 400 * DAY + 1


@root_case("root_life_too_long", "ID-8")
def _(story, b, document):
    document["expires"] = NOW + 400 * DAY + 1


@root_case("root_life_zero", "ID-8")
def _(story, b, document):
    document["expires"] = NOW
    for key in document["keys"].values():
        key["exp"] = NOW


@root_case("root_key_under_other_name", "ID-1")
def _(story, b, document):
    kid = b.key["stream"].kid
    document["keys"][kid]["pub"] = b64u(Key(99).public)


@root_case("root_alg_unknown", "ENV-19")
def _(story, b, document):
    document["keys"][b.key["stream"].kid]["alg"] = "rsa"


@root_case("root_prev_in_version_1", "ID-4")
def _(story, b, document):
    document["prev"] = b64u(sha(b"x"))


@root_case("root_version_0", "ID-5")
def _(story, b, document):
    document["version"] = 0


@root_case("root_version_2_first", "ID-5")
def _(story, b, document):
    document["version"] = 2


@root_case("root_url_with_path", "ENV-19")
def _(story, b, document):
    document["endpoints"][0]["url"] = "https://b.example:7443/x"


@root_case("root_url_http", "ENV-19")
def _(story, b, document):
    document["endpoints"][0]["url"] = "http://b.example:7443"


@root_case("root_nine_endpoints", "ENV-19")
def _(story, b, document):
    document["endpoints"] = [{"url": f"https://b{at}.example:7443"} for at in range(9)]


@root_case("root_no_endpoint", "ENV-19", 0)
def _(story, b, document):
    document["endpoints"] = []


@root_case("root_signed_by_policy", "ID-4")
def _(story, b, document):
    b.key = {**b.key, "root": b.key["policy"]}


@root_case("root_key_not_yet_valid", "ENV-13")
def _(story, b, document):
    document["keys"][b.key["root"].kid]["nbf"] = NOW + 1


@root_case("root_threshold_two", "ENV-11")
def _(story, b, document):
    key = Key(99)
    document["keys"][key.kid] = {"alg": "ed25519", "exp": NOW + DAY, "nbf": NOW, "pub": b64u(key.public)}
    document["roles"]["root"] = {"keyids": sorted([b.key["root"].kid, key.kid]), "threshold": 2}


def weak_key(name, public):
    @root_case(f"root_key_{name}", "ID-2")
    def _(story, b, document):
        kid = b64u(sha(b"GFP-KEY-v1\ned25519\n", public))
        del document["keys"][b.key["policy"].kid]
        document["keys"][kid] = {"alg": "ed25519", "exp": NOW + DAY, "nbf": NOW, "pub": b64u(public)}
        document["roles"]["policy"]["keyids"] = [kid]


weak_key("identity", (1).to_bytes(32, "little"))
weak_key("order_2", (2**255 - 20).to_bytes(32, "little"))
weak_key("order_4", bytes(32))
weak_key("order_8", bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"))
weak_key("not_canonical", (2**255 - 19 + 4).to_bytes(32, "little"))
weak_key("no_point", (2).to_bytes(32, "little"))


def mixed_order():
    """The sum of a good key and a point of order 8."""
    p = 2**255 - 19
    d = -121665 * pow(121666, p - 2, p) % p

    def decode(raw):
        y = int.from_bytes(raw, "little")
        sign, y = y >> 255, y & (2**255 - 1)
        u, v = y * y - 1, d * y * y + 1
        x = u * pow(v, 3, p) * pow(u * pow(v, 7, p), (p - 5) // 8, p) % p
        if (v * x * x - u) % p:
            x = x * pow(2, (p - 1) // 4, p) % p
        return (x if x & 1 == sign else p - x), y

    (x1, y1), (x2, y2) = decode(Key(50).public), decode(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"))
    k = d * x1 * x2 * y1 * y2 % p
    x = (x1 * y2 + x2 * y1) * pow(1 + k, p - 2, p) % p
    y = (y1 * y2 + x1 * x2) * pow(1 - k, p - 2, p) % p
    return (y | (x & 1) << 255).to_bytes(32, "little")


weak_key("mixed_order", mixed_order())


def second_root(story, *signers, side="b", role="stream", **changes):
    """A root 2 with a new key in one role. The root key is the former one."""
    b, key = getattr(story, side), Key(40)
    document = {**b.document, "version": 2, "issued": NOW + 1000, "keys": dict(b.document["keys"]), "roles": dict(b.document["roles"])}
    b.found()
    document["prev"] = b64u(dsse_digest(b.root))
    del document["keys"][b.key[role].kid]
    document["keys"][key.kid] = {"alg": "ed25519", "exp": NOW + 400 * DAY, "nbf": NOW, "pub": b64u(key.public)}
    document["roles"][role] = {"keyids": [key.kid], "threshold": 1}
    document.update(changes)
    story.later["caller" if side == "a" else "executor"] = [sign("root", document, *(signers or [b.key["root"]]))]
    return key


@case("request_by_key_of_second_root", "STR-37", "none", 0)
def _(story):
    key = second_root(story, side="a", role="request")
    story.keys["request"] = story.keys["receipt"] = (key,)
    set_in("receipt", root_version=2)(story)


@case("request_by_key_of_first_root", "STR-37", "none", 0)
def _(story):
    second_root(story, side="a", role="request")


@case("receipt_under_second_root_by_key_of_first", "ENV-9", "signature", 2)
def _(story):
    second_root(story, side="a", role="request")
    set_in("receipt", root_version=2)(story)


@case("accept_under_second_root_by_key_of_first", "ENV-9", "signature", 2)
def _(story):
    second_root(story)
    set_in("accept", root_version=2)(story)


@case("status_by_key_of_second_root", "ID-15", "none", 0)
def _(story):
    key = second_root(story, role="status")
    story.keys["executor status"] = (key,)
    set_in("executor status", root_version=2, root=b64u(dsse_digest(story.later["executor"][0])))(story)


@case("status_root_version_goes_back", "ID-18", "status", 2)
def _(story):
    second_root(story)
    two = story.later["executor"][0]
    story.statuses["executor"] = [story.b.status(NOW, root=two, version=2), story.b.status(NOW + 1)]


@case("thirty_four_roots", "STR-36", "none", 0)
def _(story):
    b = story.b
    b.found()
    before = b.root
    for version in range(2, 35):
        document = {**b.document, "version": version, "prev": b64u(dsse_digest(before))}
        before = sign("root", document, b.key["root"])
        story.later["executor"].append(before)


@case("second_root", "ID-5", "none", 0)
def _(story):
    second_root(story)


@case("second_root_seals", "STR-37", "none", 0)
def _(story):
    key = second_root(story)
    story.keys["final seal"] = (key,)
    set_in("final seal", root_version=2)(story)


@case("second_root_seals_under_first", "ENV-9", "signature", 2)
def _(story):
    story.keys["final seal"] = (second_root(story),)


@case("second_root_version_3", "ID-5", "root", 2)
def _(story):
    second_root(story, version=3)


@case("second_root_prev_is_another", "ID-5", "root", 2)
def _(story):
    second_root(story, prev=b64u(sha(b"x")))


@case("second_root_prev_missing", "ID-5", "root", 2)
def _(story):
    second_root(story)
    import base64
    import json

    document = json.loads(base64.b64decode(story.later["executor"][0]["payload"]))
    del document["prev"]
    story.later["executor"] = [sign("root", document, story.b.key["root"])]


@case("second_root_issued_earlier", "ID-5", "root", 2)
def _(story):
    second_root(story, issued=NOW - 1)


@case("second_root_signed_by_stranger", "ID-6", "root", 2)
def _(story):
    second_root(story, Key(41))


def new_root_key(story, *signers):
    b, key = story.b, Key(42)
    keys = {kid: one for kid, one in b.document["keys"].items() if kid not in (b.key["root"].kid, b.key["stream"].kid)}
    for one in (key, Key(40)):
        keys[one.kid] = {"alg": "ed25519", "exp": NOW + 400 * DAY, "nbf": NOW, "pub": b64u(one.public)}
    roles = {**b.document["roles"], "root": {"keyids": [key.kid], "threshold": 1}, "stream": {"keyids": [Key(40).kid], "threshold": 1}}
    second_root(story, *[{"old": b.key["root"], "new": key}[one] for one in signers], keys=keys, roles=roles)


case("new_root_key_signed_by_both", "ID-6", "none", 0)(lambda story: new_root_key(story, "old", "new"))
case("new_root_key_signed_by_old_only", "ID-6", "root", 2)(lambda story: new_root_key(story, "old"))
case("new_root_key_signed_by_new_only", "ID-6", "root", 2)(lambda story: new_root_key(story, "new"))


@case("executor_is_another", "STR-36", "pin", 3)
def _(story):
    story.b.document["min_proto"] = 2


@case("caller_is_another", "STR-36", "none", 0)
def _(story):
    story.a.document["min_proto"] = 2


# Statuses.

part_case("status_of_another", "ID-15", 2, "executor status", iss="gw1-" + "a" * 52)
part_case("status_of_unknown_root", "ID-15", 2, "executor status", root_version=2)
part_case("status_root_digest_is_another", "ID-15", 2, "executor status", root=b64u(sha(b"x")))
part_case("status_life_zero", "ID-17", 2, "executor status", expires=NOW)
part_case("status_life_too_long", "ID-17", 2, "executor status", expires=NOW + DAY + 1)
part_case("status_seq_is_not_issued", "ID-17", 2, "executor status", seq=NOW + 1)
part_case("status_life_longest", "ID-17", 0, "executor status", expires=NOW + DAY)
part_case("status_before_key", "STR-37", 2, "executor status", issued=NOW - 1, seq=NOW - 1)
part_case("status_reason_unknown", "ENV-19", 2, "executor status", revoked=[{"kid": b64u(sha(b"x")), "reason": "lost", "since": NOW}])
part_case("status_member_missing", "ENV-19", 2, "executor status", refresh_ms=None)
part_case("status_incarnation_zero", "ENV-19", 2, "executor status", incarnation={"n": 0, "since": NOW})
part_case("status_times_negative", "ENV-19", 2, "executor status", refresh_ms=-1)


def statuses(*changes):
    def make(story):
        story.statuses["executor"] = [story.b.status(NOW + at, **change) for at, change in enumerate(changes)]

    return make


case("statuses_in_order", "ID-18", "none", 0)(statuses({}, {"incarnation": {"n": 2, "since": NOW}}))
case("status_incarnation_goes_back", "ID-18", "status", 2)(statuses({"incarnation": {"n": 2, "since": NOW}}, {}))


@case("status_seq_goes_back", "ID-18", "status", 2)
def _(story):
    story.statuses["executor"] = [story.b.status(NOW + 1), story.b.status(NOW)]


@case("status_revocations_not_ascending", "ENV-19", "status", 2)
def _(story):
    kids = sorted((b64u(sha(b"x")), b64u(sha(b"y"))), reverse=True)
    set_in("executor status", revoked=[{"kid": kid, "reason": "retired", "since": NOW} for kid in kids])(story)


@case("status_revokes_stream_key", "STR-37", "none", 0)
def _(story):
    set_in("executor status", revoked=[{"kid": story.b.key["stream"].kid, "reason": "compromised", "since": NOW}])(story)


@case("status_revokes_status_key", "STR-37", "none", 0)
def _(story):
    revoked = [{"kid": story.b.key["status"].kid, "reason": "compromised", "since": NOW}]
    story.statuses["executor"] = [story.b.status(NOW, revoked=revoked), story.b.status(NOW + 1, revoked=revoked)]


# Requests.

part_case("request_of_another", "STR-36", 2, "request", iss="gw1-" + "a" * 52)
part_case("request_for_another", "STR-36", 2, "request", aud="gw1-" + "a" * 52)
part_case("request_not_a_start", "STR-34", 2, "request", op="attach")
part_case("request_life_longest", "REQ-15", 0, "request", exp=NOW + 301_000)
part_case("request_before_key", "STR-37", 2, "request", iat=NOW - 1)
part_case("request_proto_empty", "ENV-19", 2, "request", proto=[])
part_case("request_proto_1_2", "ENV-19", 0, "request", proto=[1, 2])
part_case("request_jti_short", "ID-3", 2, "request", jti="A" * 21)
part_case("request_jti_long", "ID-3", 2, "request", jti="A" * 65)
part_case("request_jti_alphabet", "ID-3", 2, "request", jti="A" * 21 + "+")
part_case("request_tenant_upper", "ID-3", 2, "request", tenant={"dst": "ops", "src": "Acme"})
part_case("request_tenant_empty", "ID-3", 2, "request", tenant={"dst": "ops", "src": ""})
part_case("request_traceparent", "ENV-19", 0, "request", traceparent="x" * 55)
part_case("request_traceparent_long", "ENV-19", 2, "request", traceparent="x" * 56)
part_case("request_seen_missing", "ENV-19", 2, "request", seen=None)


def body_case(name, clause, exit, **members):
    def make(story):
        for key, value in members.items():
            if value is None:
                story.body.pop(key)
            else:
                story.body[key] = value

    case(f"body_{name}", clause, "payload", exit)(make)


target = {"agent": "triage", "mode": "session"}
body_case("no_work", "REQ-8", 2, prompt=None)
body_case("two_works", "REQ-8", 2, toolCall={"args": "{}", "tool": "t"})
body_case("tool_call", "REQ-8", 0, prompt=None, toolCall={"args": "{}", "tool": "t"})
body_case("tool_call_args_not_json", "REQ-40", 2, prompt=None, toolCall={"args": "{", "tool": "t"})
body_case("tool_call_args_a_list", "REQ-40", 2, prompt=None, toolCall={"args": "[]", "tool": "t"})
body_case("tool_call_args_member_twice", "REQ-40", 2, prompt=None, toolCall={"args": '{"a":1,"a":1}', "tool": "t"})
body_case("tool_call_args_with_white_space", "REQ-40", 0, prompt=None, toolCall={"args": '{ "b": 1.5, "a": 2e3 }', "tool": "t"})
body_case("tool_call_args_deep", "REQ-40", 2, prompt=None, toolCall={"args": '{"a":' + "[" * 16 + "]" * 16 + "}", "tool": "t"})
body_case("tool_call_args_deepest", "REQ-40", 0, prompt=None, toolCall={"args": '{"a":' + "[" * 15 + "]" * 15 + "}", "tool": "t"})
body_case("tool_call_in_a_turn", "REQ-40", 2, prompt=None, agentTarget={**target, "mode": "turn", "session": "s"}, toolCall={"args": "{}", "tool": "t"})
for name, exit, args in (
    ("half_of_a_pair", 2, '{"a":"\\ud800"}'),
    ("same_name_escaped", 2, '{"a":1,"\\u0061":1}'),
    ("member_twice_inside", 2, '{"b":[{"a":1,"a":1}]}'),
    ("large_number", 0, '{"a":' + "9" * 50 + "}"),
    ("nan", 2, '{"a":NaN}'),
    ("trailing_comma", 2, '{"a":1,}'),
    ("two_texts", 2, "{}{}"),
    ("white_space_around", 0, " {}\n"),
    ("empty", 2, ""),
):
    body_case(f"tool_call_args_{name}", "REQ-40", exit, prompt=None, toolCall={"args": args, "tool": "t"})
body_case("session_without_turn", "REQ-8", 2, agentTarget={**target, "session": "s"})
body_case("turn_without_session", "REQ-8", 2, agentTarget={**target, "mode": "turn"})
body_case("turn", "REQ-8", 0, agentTarget={**target, "mode": "turn", "session": "s"})
body_case("mode_unknown", "ENV-19", 2, agentTarget={**target, "mode": "fork"})
body_case("agent_empty", "ID-3", 2, agentTarget={**target, "agent": ""})
body_case("agent_dot_first", "ID-3", 2, agentTarget={**target, "agent": ".a"})
body_case("agent_long", "ID-3", 2, agentTarget={**target, "agent": "a" * 129})
body_case("agent_longest", "ID-3", 0, agentTarget={**target, "agent": "a" * 128})
body_case("labels_empty", "ENV-19", 2, callerIdentity={"principal": "p", "labels": {}})
body_case("labels", "ENV-19", 0, callerIdentity={"principal": "p", "labels": {"a/b": "c"}})
body_case("label_name", "ID-3", 2, callerIdentity={"principal": "p", "labels": {"a b": "c"}})
body_case("principal_missing", "ENV-19", 2, callerIdentity={"workflow": "w"})
body_case("principal_empty", "ENV-19", 2, callerIdentity={"principal": ""})
body_case("principal_long", "ENV-19", 2, callerIdentity={"principal": "p" * 257})
body_case("limits_empty", "REQ-58", 2, limits={})
body_case("limits_zero", "REQ-58", 2, limits={"tokens": 0})
body_case("limits", "REQ-58", 0, limits={"tokens": 1})
body_case("limits_unknown", "ENV-19", 2, limits={"seconds": 1})
body_case("member_unknown", "ENV-19", 2, note="x")
body_case("prompt_empty", "ENV-19", 0, prompt="")
body_case("prompt_with_controls", "ENV-16", 0, prompt="\u0000\u001f\u007f\n\t\"\\/ äö\u2028\U0001f600")
body_case("invoked_at_missing", "ENV-19", 2, invokedAt=None)
body_case("remote_run_id", "ENV-19", 0, remoteRunId="wf-81")

# Accepts.

part_case("accept_for_another", "REQ-30", 2, "accept", aud="gw1-" + "a" * 52)
part_case("accept_of_another", "REQ-30", 2, "accept", iss="gw1-" + "a" * 52)
part_case("accept_tenant_is_another", "REQ-30", 2, "accept", tenant={"dst": "ops", "src": "other"})
part_case("accept_key_is_another", "REQ-30", 2, "accept", key="example-2023-11-15")
part_case("accept_print_is_another", "REQ-30", 2, "accept", print=b64u(sha(b"x")))
part_case("accept_proto_not_offered", "REQ-30", 2, "accept", proto=2)
part_case("accept_run_is_another", "STR-36", 2, "accept", run="run-" + "a" * 26)
part_case("accept_of_unknown_root", "ENV-9", 2, "accept", root_version=2)
part_case("accept_of_root_zero", "ENV-19", 2, "accept", root_version=0)
part_case("accept_key_short", "ID-3", 2, "accept", key="short")
part_case("accept_deadline_missing", "ENV-19", 2, "accept", deadline=None)
part_case("accept_deadline_early", "REQ-27", 0, "accept", deadline=NOW)


@case("accept_key_valid_after_request", "STR-37", "signature", 2)
def _(story):
    story.b.document["keys"][story.b.key["stream"].kid]["nbf"] = NOW + 1500


# Seals.

for at in ("seal", "final seal"):
    short = at.replace(" ", "_")
    part_case(f"{short}_accept_is_another", "STR-11", 2, at, accept=b64u(sha(b"x")))
    part_case(f"{short}_run_is_another", "STR-11", 2, at, run="run-" + "a" * 26)
    part_case(f"{short}_seq_is_another", "STR-11", 2, at, seq=1)
    part_case(f"{short}_head_is_another", "STR-11", 2, at, head=b64u(sha(b"x")))
    part_case(f"{short}_of_unknown_root", "ENV-9", 2, at, root_version=2)
    part_case(f"{short}_before_key", "STR-37", 2, at, t=NOW - 1)
    part_case(f"{short}_at_key_end", "STR-37", 2, at, t=NOW + 400 * DAY)
    part_case(f"{short}_just_before_key_end", "STR-37", 0, at, t=NOW + 400 * DAY - 1)
part_case("seal_is_final_early", "STR-11", 2, "seal", final=True)
part_case("final_seal_is_not_final", "STR-11", 2, "final seal", final=False)

# Frames, rightly sealed.


def frames(*frames, seals=None, **more):
    def make(story):
        story.frames = list(frames)
        story.seals = [(len(frames), NOW + 2000)] if seals is None else seals

    return make


started = ("started", {"agent": "triage", "session": "s-1", "software": "example 1"})
end = {"by": "executor", "outcome": "succeeded", "sideEffects": "none"}
problem = {"code": "cancelled", "retryMode": "new_key", "retryable": False, "sideEffects": "none", "status": 409}
case("one_frame", "STR-26", "none", 0)(frames(("terminal", end)))
case("unknown_event", "STR-8", "none", 0)(frames(started, ("whatever", {"a": [1, {"b": None}]}), ("terminal", end)))
case("event_name_long", "STR-8", "none", 0)(frames(("e" * 65, {}), ("terminal", end)))
case("event_name_odd", "STR-8", "none", 0)(frames(("a b", {}), ("terminal", end)))
case("frame_after_terminal", "STR-28", "stream", 2)(frames(("terminal", end), ("output", {"channel": "answer", "text": "x"}), seals=[(2, NOW + 2000)]))
case("two_terminals", "STR-28", "stream", 2)(frames(("terminal", end), ("terminal", end), seals=[(2, NOW + 2000)]))
case("started_payload_unknown_member", "STR-5", "stream", 0)(frames(("started", {"x": 1}), ("terminal", end)))
case("frame_payload_deepest", "ENV-18", "none", 0)(frames(("x", {"a": __import__("json").loads("[" * 15 + "]" * 15)}), ("terminal", end)))
case("frame_payload_deeper", "ENV-18", "line", 4)(frames(("x", {"a": __import__("json").loads("[" * 16 + "]" * 16)}), ("terminal", end)))
case("terminal_cancelled", "STR-33", "none", 0)(frames(("terminal", {**end, "outcome": "cancelled", "problem": problem})))
case("terminal_succeeded_with_problem", "STR-33", "stream", 0)(frames(("terminal", {**end, "problem": problem})))
case("terminal_outcome_unknown", "STR-26", "stream", 2)(frames(("terminal", {**end, "outcome": "fine"})))
case("terminal_side_effects_unknown_word", "STR-26", "stream", 2)(frames(("terminal", {**end, "sideEffects": "some"})))
case("terminal_ext", "ENV-19", "none", 0)(frames(("terminal", {**end, "ext": {"x": 1}})))
case("terminal_member_missing", "ENV-19", "stream", 2)(frames(("terminal", {"by": "executor", "outcome": "succeeded"})))
case("terminal_result_cut", "STR-31", "none", 0)(frames(("terminal", {**end, "result": "a", "truncated": True, "digest": b64u(sha(b"ab")), "size": 2})))
case("terminal_result_digest_only", "STR-32", "none", 0)(frames(("terminal", {**end, "digest": b64u(sha(b"ab")), "size": 2})))
usage = {"input": 1, "output": 1, "cacheRead": 0, "cacheWrite": 0, "total": 2}
case("terminal_usage", "STR-26", "none", 0)(frames(("terminal", {**end, "usage": usage})))
case("terminal_usage_with_cost", "STR-26", "none", 0)(frames(("terminal", {**end, "usage": {**usage, "costMicroUsd": 3, "model": "m"}})))
case("terminal_usage_short", "STR-26", "stream", 2)(frames(("terminal", {**end, "usage": {"input": 1}})))
case("terminal_problem_unknown_code", "PRB-7", "none", 0)(frames(("terminal", {**end, "outcome": "failed", "problem": {**problem, "code": "new_code"}})))
case("terminal_problem_empty", "PRB-3", "stream", 2)(frames(("terminal", {**end, "outcome": "failed", "problem": {}})))
case("terminal_digest_short", "ENV-19", "stream", 2)(frames(("terminal", {**end, "digest": "abc", "size": 2})))

# Receipts.

part_case("receipt_for_another", "STR-36", 2, "receipt", aud="gw1-" + "a" * 52)
part_case("receipt_of_another", "STR-36", 2, "receipt", iss="gw1-" + "a" * 52)
part_case("receipt_accept_is_another", "STR-36", 2, "receipt", accept=b64u(sha(b"x")))
part_case("receipt_accept_missing", "STR-36", 2, "receipt", accept=None)
part_case("receipt_run_is_another", "STR-36", 2, "receipt", run="run-" + "a" * 26)
part_case("receipt_key_is_another", "STR-36", 2, "receipt", key="example-2023-11-15")
part_case("receipt_head_is_another", "STR-36", 2, "receipt", head=b64u(sha(b"x")))
part_case("receipt_head_missing", "STR-36", 2, "receipt", head=None)
part_case("receipt_seq_less", "STR-36", 2, "receipt", seq=2)
part_case("receipt_seq_more", "STR-36", 2, "receipt", seq=4)
part_case("receipt_of_unknown_root", "ENV-9", 2, "receipt", root_version=2)
part_case("receipt_before_key", "STR-37", 2, "receipt", t=NOW - 1)
part_case("receipt_lost_and_whole", "STR-36", 2, "receipt", lost={"code": "run_lost", "side_effects": "unknown"})


def lost(code="run_lost", effects="unknown"):
    def make(story):
        story.lost = {"code": code, "side_effects": effects}
        story.frames = story.frames[:2]

    return make


case("lost_after_two_frames", "STR-29", "none", 5)(lost())
case("lost_code_new", "PRB-7", "none", 5)(lost("new_code"))
case("lost_side_effects_word", "ENV-19", "payload", 2)(lost(effects="some"))




@case("lost_before_first_frame", "STR-29", "none", 5)
def _(story):
    lost()(story)
    story.frames = []


@case("lost_before_accept", "STR-29", "none", 5)
def _(story):
    lost()(story)
    story.frames = []
    set_in("receipt", accept=None, head=None, run=None)(story)
    lines = [line for line in story.lines() if line["type"] != "accept"]
    del lines[0]["run"]
    return [jcs(line) for line in lines]


@case("lost_before_accept_with_head", "STR-36", "payload", 2)
def _(story):
    lost()(story)
    story.frames = []
    set_in("receipt", accept=None, run=None)(story)
    lines = [line for line in story.lines() if line["type"] != "accept"]
    del lines[0]["run"]
    return [jcs(line) for line in lines]
