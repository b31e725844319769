"""Approval requests, as the gateway judges them whose operators are asked. CC0 1.0."""

from make.approvals import A, AT, B, NO, RUN, SUBJECT, SUBJECT_DIGEST, TENANTS
from make.base import DAY, Gateway, Key, b64u, jcs, sha, sign
from make.form import HOUR, Folder, edited

C = Gateway(40, "https://c.example:7443")


def stapled(**changes):
    return sign("status", A.status(at=AT - 1000, **changes), A.key["status"])


def asked(key=None, keys=None, raw=None, kind="approval-request", subject=None, **changes):
    said = edited({
        "aud": B.gid, "expires": AT + HOUR, "id": "apr-" + RUN[4:], "iss": A.gid, "issued": AT - 60_000, "quorum": 1,
        "requester": {"gateway": A.gid, "principal": "ci@acme"}, "run": RUN, "scope": "sre-lead", "scopes": ["dba", "sre-lead"],
        "subject": edited({"binding": "exact", "digest": SUBJECT_DIGEST, "kind": "exec", "media": "application/json", "size": len(SUBJECT)},
                          **(subject or {})),
        "tenant": TENANTS, "v": 1,
    }, **changes)
    return sign(kind, raw(jcs(said)) if raw else said, *(keys or [key or A.key["request"]]))


CASES = Folder({
    "relying": [A.root], "status": stapled(), "gateway": B.gid, "tenant": TENANTS, "subject": SUBJECT.decode(), "now": AT,
    "request": asked(),
})
CASES.clause = "APR-14"


def put(name, clause, code, request, phase="ask", **members):
    CASES.put(name, clause, phase, code, request=request, **members)


def ask(name, clause, code, phase="ask", **changes):
    put(name, clause, code, asked(**changes), phase)


def about(subject, **changes):
    raw = subject.encode()
    return {"subject": {"digest": b64u(sha(b"GFP-SUBJECT-v1\n", raw)), "size": len(raw), **changes}}


ask("without_a_run", "APR-14", "ok", run=None)
ask("of_sixteen", "APR-9", "ok", quorum=16)
ask("life_of_a_day", "APR-14", "ok", issued=AT - 1000, expires=AT - 1000 + DAY)
ask("on_its_last_instant", "APR-14", "ok", expires=AT + 1)
ask("begins_as_late_as_the_clock_allows", "APR-14", "ok", issued=AT + 60_000)
put("observed", "APR-14", "ok", asked(subject={"binding": "observed"}))
put("about_a_text_beyond_ascii", "APR-14", "ok", asked(**about("größer \U0001f600\n")), subject="größer \U0001f600\n")
put("about_as_much_as_may_be", "APR-14", "ok", asked(**about("x" * 65_536)), subject=[["x", 65_536]])

for role in ("root", "stream", "status", "policy"):
    ask(f"signed_by_{role}", "APR-14", NO, "signature", key=A.key[role])
ask("signed_by_the_gateway_that_is_asked", "APR-14", NO, "signature", key=B.key["request"])
ask("signed_by_a_third_gateway", "APR-14", NO, "signature", key=C.key["request"])
ask("also_signed_by_a_stranger", "APR-14", NO, "signature", keys=[A.key["request"], Key(99)])
put("changed_after_signing", "APR-14", NO, {**asked(), "payload": asked(quorum=2)["payload"]}, "signature")
put("by_a_revoked_key", "APR-14", NO, asked(), "signature", status=stapled(revoked=[
    {"kid": A.key["request"].kid, "reason": "compromised", "since": AT}]))
ask("of_another_kind", "APR-14", NO, "envelope", kind="request")
for name, changes in (
    ("iss_of_a_third_gateway", {"iss": C.gid}), ("iss_is_the_gateway_that_is_asked", {"iss": B.gid}), ("aud_of_a_third_gateway", {"aud": C.gid}),
    ("aud_is_its_own", {"aud": A.gid}), ("tenants_swapped", {"tenant": {"deciding": "acme", "relying": "acme-eu"}}),
    ("deciding_tenant_of_another", {"tenant": {**TENANTS, "deciding": "acme-us"}}),
    ("relying_tenant_of_another", {"tenant": {**TENANTS, "relying": "other"}}), ("expired", {"expires": AT - 1}), ("expires_now", {"expires": AT}),
    ("not_begun", {"issued": AT + 60_001}), ("long_expired", {"issued": AT - 3 * HOUR, "expires": AT - 2 * HOUR}), ("life_zero", {"issued": AT + 1, "expires": AT + 1}),
    ("life_negative", {"issued": AT + 2, "expires": AT + 1}), ("life_longer_than_a_day", {"issued": AT - 1000, "expires": AT - 999 + DAY}),
):
    ask(name, "APR-14", NO, "payload" if name.startswith("life") else "ask", **changes)
for name, subject in (
    ("digest_of_another", {"digest": b64u(sha(b"GFP-SUBJECT-v1\n", SUBJECT + b" "))}), ("digest_without_tag", {"digest": b64u(sha(SUBJECT))}),
    ("size_less", {"size": len(SUBJECT) - 1}), ("size_more", {"size": len(SUBJECT) + 1}),
):
    ask(f"subject_{name}", "APR-14", NO, subject=subject)
put("subject_changed", "APR-14", NO, asked(), subject=SUBJECT.decode().replace("web", "api"))
put("subject_with_a_line_end", "APR-14", NO, asked(), subject=SUBJECT.decode() + "\n")
put("subject_missing", "APR-14", NO, asked(), subject="")

ask("with_space", "ENV-16", NO, "json", raw=lambda j: j.replace(b'":', b'": ', 1))
ask("member_twice", "ENV-19", NO, "json", raw=lambda j: j.replace(b'"v":1}', b'"v":1,"v":1}'))
for name, changes in (
    ("quorum_zero", {"quorum": 0}), ("quorum_of_seventeen", {"quorum": 17}), ("scopes_empty", {"scopes": []}),
    ("scopes_descend", {"scopes": ["sre-lead", "dba"]}), ("scope_twice", {"scopes": ["dba", "dba"]}),
    ("without_requester", {"requester": None}), ("member_unknown", {"note": "x"}), ("of_a_later_form", {"v": 2}),
):
    ask(name, "ENV-19", NO, "payload", **changes)
for name, changes in (
    ("run_short", {"run": "run-1"}), ("id_of_a_run", {"id": RUN}), ("id_short", {"id": "apr-1"}), ("scope_in_capitals", {"scope": "SRE"}),
):
    ask(name, "ID-3", NO, "payload", **changes)
MANY = [f"s{at:02}" for at in range(65)]
ask("of_sixty_four_scopes", "ENV-19", "ok", scopes=MANY[:64])
ask("of_sixty_five_scopes", "ENV-19", NO, "payload", scopes=MANY)
put("about_nothing", "ENV-19", NO, asked(**about("")), "payload", subject="")
for name, subject in (("binding_unknown", {"binding": "partial"}), ("kind_of_33", {"kind": "k" * 33}), ("media_of_129", {"media": "m" * 129}),
                      ("size_beyond", {"size": 65_537}), ("size_zero", {"size": 0}), ("without_digest", {"digest": None}),
                      ("member_unknown", {"text": "x"}), ("media_empty", {"media": ""})):
    ask(f"subject_{name}", "ENV-19", NO, "payload", subject=subject)
for name, subject in (("empty", {"kind": ""}), ("in_capitals", {"kind": "Exec"}), ("that_begins_with_a_digit", {"kind": "1exec"})):
    ask(f"subject_kind_{name}", "ID-3", NO, "payload", subject=subject)
for name, principal in (("empty", ""), ("of_257", "p" * 257)):
    ask(f"principal_{name}", "ENV-19", NO, "payload", requester={"gateway": A.gid, "principal": principal})
