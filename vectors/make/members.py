"""Memberships, and the bodies of admissions that show them. CC0 1.0."""

import base64
import json

from make.base import DAY, NOW, Gateway, Key, b64u, dsse_digest, jcs, sha, sign
from make.federations import root
from make.form import HOUR, Folder, edited, federation, grant, peer, request, seal

OWN, M, OTHER, PAIRED = (Gateway(seed, f"https://{name}.example:7443") for seed, name in ((17, "b"), (1, "a"), (40, "c"), (60, "d")))
AT = NOW + 2 * HOUR
WEEK = 7 * DAY
VF = "verification_failed"
ONE, TWO, THREE, STRANGER = (Key(seed) for seed in (90, 91, 92, 99))


def guild(name="acme-prod", keys=(ONE,), nbf=NOW, exp=AT + 100 * DAY, **changes):
    listed = {key.kid: {"alg": "ed25519", "exp": exp, "nbf": nbf, "pub": b64u(key.public)} for key in keys}
    return root(name, keys=listed, tenants=["dev", "ops"], **changes)


def trusting(roots=None, peers=()):
    peers = sorted(peers, key=lambda said: said["gid"])
    return sign("federation", federation(OWN, peers, AT - HOUR, roots=[guild()] if roots is None else roots), OWN.key["policy"])


def as_peer(gateway, alias, **changes):
    return peer(gateway, [], alias=alias, **changes)


def member(of=M, keys=None, raw=None, kind="membership", **changes):
    said = edited({"expires": AT + DAY, "federation": "acme-prod", "genesis": b64u(dsse_digest(of.root)), "issued": AT - HOUR,
                   "member": of.gid, "tenants": ["ops"], "v": 1}, **changes)
    return sign(kind, raw(jcs(said)) if raw else said, *(keys or [ONE]))


MEMBERSHIPS = Folder({"roots": [OWN.root], "federation": trusting(), "now": AT, "membership": member()})
MEMBERSHIPS.clause = "ID-32"


def put(name, clause, code, membership, phase="membership", **members):
    MEMBERSHIPS.put(name, clause, phase, code, membership=membership, **members)


def mem(name, clause, code, phase="membership", view=None, **changes):
    put(name, clause, code, member(**changes), phase, **(view or {}))


# Nothing wrong.
BOTH = {"federation": trusting([guild(keys=(ONE, TWO, THREE), threshold=2)])}
mem("of_all_tenants", "ID-32", "ok", tenants=["dev", "ops"])
mem("life_of_a_week", "ID-32", "ok", expires=AT - HOUR + WEEK)
mem("life_of_a_millisecond", "ID-32", "ok", issued=AT, expires=AT + 1)
mem("on_its_last_instant", "ID-32", "ok", expires=AT + 1)
mem("threshold_two_of_three", "ID-32", "ok", view=BOTH, keys=[ONE, THREE])
mem("threshold_three_of_three", "ID-32", "ok", view=BOTH, keys=[ONE, TWO, THREE])
mem("of_the_second_of_two_roots", "ID-32", "ok", view={"federation": trusting([guild("acme"), guild(keys=(TWO,))])}, keys=[TWO])
ALONE = guild(members=[M.gid], max_members=1)
mem("of_a_member_that_has_the_last_place", "ID-32", "ok", view={"federation": trusting([ALONE], [as_peer(M, "m")])})
mem("last_place_is_free", "ID-32", "ok", view={"federation": trusting([guild(members=[OTHER.gid], max_members=2)], [as_peer(OTHER, "o")])})
mem("a_revoked_member_takes_no_place", "ID-32", "ok", view={"federation": trusting(
    [guild(members=[OTHER.gid], max_members=1)], [as_peer(OTHER, "o", status="revoked")])})

# Who signed.
mem("signed_by_a_stranger", "ID-32", VF, "signature", keys=[STRANGER])
mem("signed_by_the_member", "ID-32", VF, "signature", keys=[M.key["root"]])
mem("signed_by_the_policy_of_the_receiver", "ID-32", VF, "signature", keys=[OWN.key["policy"]])
mem("signed_by_another_root", "ID-32", VF, "signature", view={"federation": trusting([guild("acme", keys=(TWO,)), guild()])}, keys=[TWO])
mem("also_signed_by_a_stranger", "ENV-9", VF, "signature", keys=[ONE, STRANGER])
mem("threshold_one_of_two", "ID-32", VF, "signature", view=BOTH, keys=[TWO])
mem("threshold_second_a_stranger", "ID-32", VF, "signature", view=BOTH, keys=[TWO, STRANGER])
FORGED = member(keys=[ONE, TWO])
put("threshold_second_forged", "ENV-10", VF, {**FORGED, "signatures": [FORGED["signatures"][0], {
    **FORGED["signatures"][1], "sig": FORGED["signatures"][0]["sig"]}]}, "signature", **BOTH)
put("changed_after_signing", "ENV-10", VF, {**member(), "payload": member(tenants=["dev"])["payload"]}, "signature")
put("of_another_kind", "ENV-8", VF, member(kind="admission"), "envelope")
mem("key_before_nbf", "ENV-13", VF, "signature", view={"federation": trusting([guild(nbf=AT + 1)])})
mem("key_at_exp", "ENV-13", VF, "signature", view={"federation": trusting([guild(exp=AT)])})
mem("key_on_its_last_instant", "ENV-13", "ok", view={"federation": trusting([guild(exp=AT + 1)])})

# Whether it counts (ID-32).
mem("of_a_root_that_is_not_known", "ID-32", VF, federation="acme-test")
mem("where_no_root_is_known", "ID-32", VF, view={"federation": trusting([])})
mem("expired", "ID-32", VF, expires=AT - 1)
mem("long_expired", "ID-32", VF, issued=NOW - 10 * DAY, expires=NOW - 5 * DAY)
mem("at_its_end", "ID-32", VF, expires=AT)
mem("issued_later_than_tolerated", "ID-32", VF, issued=AT + 60_001, expires=AT + DAY)
mem("issued_as_late_as_tolerated", "ID-32", "ok", issued=AT + 60_000, expires=AT + DAY)
mem("genesis_of_another", "ID-32", VF, genesis=b64u(dsse_digest(OTHER.root)))
mem("life_longer_than_a_week", "ID-32", VF, expires=AT - HOUR + WEEK + 1)
mem("life_zero", "ID-32", VF, issued=AT + 1, expires=AT + 1)
mem("life_negative", "ID-32", VF, issued=AT + 2, expires=AT + 1)
mem("of_a_tenant_that_the_root_lacks", "ID-32", VF, tenants=["finance"])
mem("of_two_tenants_of_which_the_root_has_one", "ID-32", VF, tenants=["finance", "ops"])
mem("of_a_tenant_in_capitals", "ID-3", VF, tenants=["OPS"], phase="payload")
mem("beyond_max_members", "ID-32", VF, view={"federation": trusting([guild(members=[OTHER.gid], max_members=1)], [as_peer(OTHER, "o")])})
mem("beyond_max_members_of_which_one_is_suspended", "ID-32", VF, view={"federation": trusting(
    [guild(members=[OTHER.gid], max_members=1)], [as_peer(OTHER, "o", status="suspended")])})

# Its form.
mem("with_space", "ENV-16", VF, "json", raw=lambda j: j.replace(b'":', b'": ', 1))
mem("member_twice", "ENV-19", VF, "json", raw=lambda j: j.replace(b'"v":1}', b'"v":1,"v":1}'))
for name, changes in (("member_unknown", {"grants": []}), ("of_a_later_form", {"v": 2}), ("without_expires", {"expires": None}),
                      ("without_tenants", {"tenants": None}), ("tenants_descend", {"tenants": ["ops", "dev"]}),
                      ("tenant_twice", {"tenants": ["ops", "ops"]}), ("without_genesis", {"genesis": None}), ("member_a_list", {"member": [M.gid]})):
    mem(name, "ENV-19", VF, "payload", **changes)

# Admissions: M shows its membership to OWN.


def stapled(of=M, at=AT - 1000, key=None, **changes):
    return sign("status", of.status(at=at, **changes), key or of.key["status"])


def asked(shown=None, by=M, key=None, keys=None, raw=None, kind="admission", **changes):
    said = edited({"aud": OWN.gid, "exp": AT + 120_000, "iat": AT, "iss": by.gid, "membership": b64u(dsse_digest(shown or member())), "v": 1},
                  **changes)
    return sign(kind, raw(jcs(said)) if raw else said, *(keys or [key or by.key["request"]]))


def body(said=None, held=None, roots=None, status=None):
    parts = {"roots": [M.root] if roots is None else roots, "status": status or stapled(), "request": said or asked(),
             "held": [member()] if held is None else held}
    return json.dumps({name: value for name, value in parts.items() if value != "absent"}, separators=(",", ":"))


ADMISSIONS = Folder({"roots": [OWN.root], "federation": trusting(), "kept": None, "now": AT, "body": body()})
ADMISSIONS.clause = "ID-68"


def show(name, clause, code, written, phase="admission", **members):
    ADMISSIONS.put(name, clause, phase, code, body=written, **members)


def admit(name, clause, code, phase="admission", **changes):
    show(name, clause, code, body(asked(**changes)), phase)


def with_membership(name, clause, code, phase="membership", view=None, **changes):
    """The admission is right; the membership that it shows is changed."""
    shown = member(**changes)
    show(name, clause, code, body(asked(shown), [shown]), phase, **(view or {}))


AS_MEMBER = {"federation": trusting([guild(members=[M.gid])], [as_peer(M, "m")])}
show("of_a_member", "ID-69", "ok", body(), **AS_MEMBER)
show("the_same_again", "ID-72", "ok", body(), kept=member())
show("newer_than_kept", "ID-72", "ok", body(), kept=member(issued=AT - HOUR - 1))
show("issued_with_the_one_that_is_kept", "ID-72", "ok", body(), kept=member(expires=AT + DAY + 1))
for name, changes in (("life_of_a_millisecond", {"exp": AT + 1}), ("life_as_long_as_may_be", {"exp": AT + 300_000}),
                      ("signed_a_minute_ahead", {"iat": AT + 60_000, "exp": AT + 90_000}),
                      ("ended_a_minute_ago", {"iat": AT - 61_000, "exp": AT - 60_000})):
    admit(name, "ID-68", "ok", **changes)

# The body.
W = body()
for name, wrong in (("with_space", W.replace(',"held"', ', "held"')), ("cut", W[:-1]), ("held_empty", body(held=[])), ("held_before_request", W.replace(
        W[W.index(',"request"'):W.index(',"held"')], "")[:-1] + W[W.index(',"request"'):W.index(',"held"')] + "}"),
        ("request_missing", W.replace(W[W.index(',"request"'):W.index(',"held"')], "")), ("member_unknown", W[:-1] + ',"x":1}')):
    show(f"body_{name}", "REQ-1", "malformed", wrong, "body")
show("without_a_membership", "ID-68", "malformed", body(held="absent"), "body")
show("with_two_memberships", "ID-68", "malformed", body(held=[member(), member()]), "body")
show("with_four_memberships", "REQ-2", "too_large", body(held=[member()] * 4), "body")
show("without_roots", "ID-79", "malformed", body(roots="absent"), "body")
ROOT = json.dumps(M.root, separators=(",", ":"))
show("with_257_roots", "ID-79", "too_large", ['{"roots":[', [ROOT + ",", 256], ROOT + "]," + W[W.index('"status"'):]], "body")
show("request_of_another_kind", "ENV-8", VF, body(asked(kind="pairing")), "envelope")
show("an_operation_in_its_place", "ENV-8", VF, body(sign("request", request(M, OWN, AT), M.key["request"])), "envelope")
show("status_of_another_kind", "ENV-8", VF, body(status=sign("seal", seal(AT), M.key["stream"])), "envelope")
show("a_seal_in_place_of_the_membership", "ENV-8", VF, body(asked(sign("seal", seal(AT), ONE)), [sign("seal", seal(AT), ONE)]), "envelope")

# Who shows it.
show("first_root_signed_by_another", "ID-4", VF, body(roots=[sign("root", M.document, OTHER.key["root"])]), "root")
show("chain_of_another_gateway", "ID-30", VF, body(roots=[OTHER.root]), "signature")
show("status_expired", "ID-16", "status_stale", body(status=stapled(at=AT - 2 * HOUR)), "status")
show("status_signed_by_another_gateway", "ID-30", VF, body(status=stapled(key=OTHER.key["status"])), "signature")
show("status_that_revokes_the_key", "ID-22", VF, body(status=stapled(revoked=[
    {"kid": M.key["request"].kid, "reason": "compromised", "since": AT}])), "signature")
for role in ("root", "stream", "status", "policy"):
    admit(f"signed_by_{role}", "ENV-9", VF, "signature", key=M.key[role])
admit("signed_by_another_gateway", "ID-30", VF, "signature", key=OTHER.key["request"])
admit("signed_by_the_federation_root", "ENV-9", VF, "signature", key=ONE)
admit("also_signed_by_the_federation_root", "ENV-9", VF, "signature", keys=[M.key["request"], ONE])
show("changed_after_signing", "ENV-10", VF, body({**asked(), "payload": asked(exp=AT + 1)["payload"]}), "signature")

# What it says (ID-68).
admit("with_space", "ENV-16", "malformed", "json", raw=lambda j: j.replace(b'":', b'": ', 1))
for name, changes in (("member_unknown", {"note": "x"}), ("with_a_jti", {"jti": "A" * 22}), ("without_membership", {"membership": None}),
                      ("of_a_later_form", {"v": 2}), ("aud_a_list", {"aud": [OWN.gid]})):
    admit(name, "ENV-19", "malformed", "payload", **changes)
for name, exp in (("life_zero", AT), ("life_negative", AT - 1), ("life_too_long", AT + 300_001)):
    admit(name, "REQ-15", "malformed", "payload", exp=exp)
admit("aud_is_iss", "ENV-19", "malformed", "payload", aud=M.gid)
admit("aud_of_another", "ID-68", VF, aud=OTHER.gid)
admit("iss_of_another", "ID-68", VF, iss=OTHER.gid)
admit("of_another_membership", "ID-68", VF, shown=member(tenants=["dev"]))
admit("of_no_membership", "ID-68", VF, membership=b64u(sha(b"membership")))
admit("membership_by_its_payload_alone", "ID-68", VF, membership=b64u(sha(base64.b64decode(member()["payload"]))))
admit("signed_later_than_tolerated", "ID-68", VF, iat=AT + 60_001, exp=AT + 90_000)
admit("ended_earlier_than_tolerated", "ID-68", VF, iat=AT - 61_000, exp=AT - 60_001)
show("shown_by_another_than_its_member", "ID-68", VF, body(
    asked(by=OTHER), roots=[OTHER.root], status=stapled(OTHER)))
show("shown_by_another_in_its_name", "ID-68", VF, body(asked(by=OTHER, iss=M.gid), roots=[OTHER.root], status=stapled(OTHER)))

# The membership that it shows.
with_membership("membership_signed_by_a_stranger", "ID-32", VF, "signature", keys=[STRANGER])
with_membership("membership_signed_by_its_member", "ID-32", VF, "signature", keys=[M.key["request"]])
with_membership("membership_expired", "ID-32", VF, expires=AT - 1)
with_membership("membership_lives_too_long", "ID-32", VF, expires=AT - HOUR + WEEK + 1)
with_membership("membership_of_a_root_that_is_not_known", "ID-32", VF, federation="acme-test")
with_membership("membership_of_another_tenant", "ID-32", VF, tenants=["finance"])
with_membership("membership_with_space", "ENV-16", VF, "json", raw=lambda j: j.replace(b'":', b'": ', 1))
with_membership("membership_beyond_max_members", "ID-32", VF, view={"federation": trusting(
    [guild(members=[OTHER.gid], max_members=1)], [as_peer(OTHER, "o")])})
with_membership("membership_with_an_unknown_member", "ENV-19", VF, "payload", grants=[])
with_membership("membership_where_no_root_is_known", "ID-32", VF, view={"federation": trusting([])})
with_membership("membership_of_another_genesis", "ID-32", VF, genesis=b64u(dsse_digest(OTHER.root)))
show("issued_before_the_one_that_is_kept", "ID-72", VF, body(), "membership", kept=member(issued=AT - HOUR + 1))
show("issued_before_the_one_that_is_kept_of_a_member", "ID-72", VF, body(), "membership", kept=member(issued=AT - HOUR + 1), **AS_MEMBER)
