"""An inviting gateway, and the body of a pairing. CC0 1.0."""

import base64
import hashlib
import hmac
import json

from make.base import DAY, NOW, Gateway, Key, b64u, dsse_digest, jcs, sha, sign, spare
from make.form import HOUR, Folder, edited, request, seal
from make.walks import Walk, rotate

A, B, C = (Gateway(seed, f"https://{name}.example:7443") for seed, name in ((1, "a"), (17, "b"), (40, "c")))
AT = NOW + 2 * HOUR
VF = "verification_failed"
SECRET, ANOTHER = bytes(range(32)), bytes(range(32, 64))


def invite_id(secret=SECRET):
    return b64u(sha(b"GFP-INVITE-v1\n", secret))


def proof(secret=SECRET, inviter=B, joiner=A, tag="GFP-PAIRING-v1"):
    return b64u(hmac.new(secret, f"{tag}\n{inviter.gid}\n{joiner.gid}".encode(), hashlib.sha256).digest())


def invite(secret=SECRET, used_by=None, withdrawn=None, **changes):
    """What the inviting gateway keeps of an invite: its document, and what became of it."""
    document = {"endpoint": {"url": "https://b.example:7443"}, "expires": NOW + DAY, "genesis": b64u(dsse_digest(B.root)),
                "root": b64u(dsse_digest(B.root)), "root_version": 1, "secret": b64u(secret), "v": 1, **changes}
    return {"document": document, "id": invite_id(secret), "used_by": used_by, "withdrawn": withdrawn}


def stapled(at=AT - 1000, key=None, **changes):
    return sign("status", A.status(at=at, **changes), key or A.key["status"])


def asked(now=AT, key=None, keys=None, raw=None, kind="pairing", **changes):
    document = edited({
        "aud": B.gid, "exp": now + 120_000, "genesis": b64u(dsse_digest(A.root)), "iat": now, "invite": invite_id(), "iss": A.gid,
        "jti": "AAECAwQFBgcICQoLDA0ODw", "proof": proof(), "v": 1,
    }, **changes)
    return sign(kind, raw(jcs(document)) if raw else document, *(keys or [key or A.key["request"]]))


def body(said, status=None, roots=None, held=None):
    parts = {"roots": [A.root] if roots is None else roots, "status": status or stapled(), "request": said, "held": held}
    return json.dumps({name: value for name, value in parts.items() if value is not None}, separators=(",", ":"))


CASES = Folder({"roots": [B.root], "invites": [invite()], "now": AT, "body": body(asked())})
CASES.clause = "ID-34"


def put(name, clause, code, written, phase="pairing", **members):
    CASES.put(name, clause, phase, code, body=written, **members)


def pair(name, clause, code, phase="pairing", view=None, **changes):
    put(name, clause, code, body(asked(**changes)), phase, **(view or {}))


# Nothing wrong.
TWO = Walk().next(lambda document: rotate(document, "request", Key(3), Key(50)))
ON = NOW + DAY + HOUR
NEWER = {"invites": [invite(expires=ON + DAY)], "now": ON}
put("with_its_whole_chain", "ID-79", "ok", body(asked(ON, Key(50)), stapled(ON - 1000, root=TWO.roots[1], version=2), TWO.roots), **NEWER)


pair("with_another_invite_beside_it", "ID-34", "ok", view={"invites": [invite(ANOTHER), invite()]})
pair("with_an_expired_invite_beside_it", "ID-34", "ok", view={"invites": [invite(ANOTHER, expires=AT - 1), invite()]})
pair("on_the_last_instant_of_its_invite", "ID-34", "ok", view={"invites": [invite(expires=AT + 1)]})
for name, clause, changes in (
    ("life_of_a_millisecond", "REQ-15", {"exp": AT + 1}), ("life_as_long_as_may_be", "REQ-15", {"exp": AT + 300_000}),
    ("signed_a_minute_ahead", "REQ-14", {"iat": AT + 60_000, "exp": AT + 90_000}),
    ("ended_a_minute_ago", "REQ-14", {"iat": AT - 61_000, "exp": AT - 60_000}),
    ("jti_of_22", "ID-3", {"jti": "_" * 22}), ("jti_of_64", "ID-3", {"jti": "A" * 64}),
):
    pair(name, clause, "ok", **changes)

# The body (REQ-1).
W = body(asked())
TAIL = W[W.index('"status"'):]
for name, wrong in (
    ("empty", ""), ("space_inside", W.replace(',"request"', ', "request"')), ("line_end_after", W + "\n"), ("cut", W[:-1]),
    ("member_unknown", W[:-1] + ',"x":1}'), ("roots_empty", '{"roots":[],' + TAIL), ("roots_last", "{" + TAIL[:-1] + "," + W[1:W.index(',"status"')] + "}"),
    ("request_missing", W[:W.index(',"request"')] + "}"), ("status_missing", W[:W.index('"status"')] + W[W.index('"request"'):]),
    ("held_empty", W[:-1] + ',"held":[]}'),
):
    put(f"body_{name}", "REQ-1", "malformed", wrong, "body")
ROOT = json.dumps(A.root, separators=(",", ":"))
put("with_257_roots", "ID-79", "too_large", ['{"roots":[', [ROOT + ",", 256], ROOT + "]," + TAIL], "body")
HELD = sign("seal", seal(AT), B.key["stream"])
put("with_three_held", "REQ-2", "ok", body(asked(), held=[HELD] * 3))
put("with_four_held", "REQ-2", "too_large", body(asked(), held=[HELD] * 4), "body")
put("without_roots", "ID-79", "malformed", "{" + TAIL, "body")
put("request_without_signature", "ENV-4", "malformed", body({**asked(), "signatures": []}), "envelope")
put("request_of_another_kind", "ENV-8", VF, body(asked(kind="admission")), "envelope")
put("an_operation_in_its_place", "ENV-8", VF, body(sign("request", request(A, B, AT), A.key["request"])), "envelope")
put("status_of_another_kind", "ENV-8", VF, body(asked(), sign("seal", seal(AT), A.key["stream"])), "envelope")
put("root_of_another_kind", "ENV-8", VF, body(asked(), roots=[stapled()]), "envelope")

# The chain.
put("without_the_first_root", "ID-79", VF, body(asked(ON, Key(50)), stapled(ON - 1000, root=TWO.roots[1], version=2), TWO.roots[1:]), "root", **NEWER)
put("roots_in_other_order", "ID-5", VF, body(asked(ON, Key(50)), stapled(ON - 1000, root=TWO.roots[1], version=2), TWO.roots[::-1]), "root", **NEWER)
FOREIGN = sign("root", TWO.document, B.key["root"])
put("second_root_signed_by_another", "ID-6", VF, body(asked(ON, Key(50)), stapled(ON - 1000, root=FOREIGN, version=2), [A.root, FOREIGN]), "root", **NEWER)
put("first_root_signed_by_another", "ID-4", VF, body(asked(), roots=[sign("root", A.document, B.key["root"])]), "root")
put("first_root_changed_after_signing", "ENV-10", VF, body(asked(), roots=[
    {**A.root, "payload": base64.b64encode(jcs({**A.document, "min_proto": 2})).decode()}]), "root")
put("chain_of_the_inviting_gateway", "ID-30", VF, body(asked(), roots=[B.root]), "signature")
put("chain_of_a_third_gateway", "ID-30", VF, body(asked(), roots=[C.root]), "signature")
put("newest_root_expired", "ID-9", VF, body(asked(NOW + 401 * DAY), stapled(NOW + 401 * DAY - 1000)), "signature",
    invites=[invite(expires=NOW + 500 * DAY)], now=NOW + 401 * DAY)

# The status.
put("status_expired", "ID-16", "status_stale", body(asked(), stapled(AT - 2 * HOUR)), "status")
put("status_of_another_gateway", "ID-15", VF, body(asked(), stapled(iss=C.gid)), "status")
put("status_signed_by_another_gateway", "ID-30", VF, body(asked(), stapled(key=C.key["status"])), "signature")
put("status_signed_by_request", "ENV-9", VF, body(asked(), stapled(key=A.key["request"])), "signature")
put("status_of_a_root_that_is_not_shown", "ID-15", "root_unknown", body(asked(), stapled(root=TWO.roots[1], version=2)), "status")
put("status_of_tomorrow", "ID-17", VF, body(asked(), stapled(AT + DAY)), "status")
put("status_that_revokes_the_key", "ID-22", VF, body(asked(), stapled(revoked=[
    {"kid": A.key["request"].kid, "reason": "compromised", "since": AT}])), "signature")

# Who signed.
for role in ("root", "stream", "status", "policy"):
    pair(f"signed_by_{role}", "ENV-9", VF, "signature", key=A.key[role])
pair("signed_by_the_inviting_gateway", "ID-30", VF, "signature", key=B.key["request"])
pair("also_signed_by_a_stranger", "ENV-9", VF, "signature", keys=[A.key["request"], Key(99)])
put("changed_after_signing", "ENV-10", VF, body({**asked(), "payload": asked(jti="B" * 22)["payload"]}), "signature")
put("signed_by_a_former_key", "ENV-9", VF, body(asked(ON), stapled(ON - 1000, root=TWO.roots[1], version=2), TWO.roots), "signature", **NEWER)

# What it says.
pair("with_space", "ENV-16", "malformed", "json", raw=lambda j: j.replace(b'":', b'": ', 1))
pair("member_twice", "ENV-19", "malformed", "json", raw=lambda j: j.replace(b'"v":1}', b'"v":1,"v":1}'))
for name, changes in (("member_unknown", {"note": "x"}), ("without_jti", {"jti": None}), ("without_proof", {"proof": None}),
                      ("without_genesis", {"genesis": None}), ("of_a_later_form", {"v": 2}), ("proof_short", {"proof": "abc"}), ("proof_with_spare_bits", {"proof": spare(proof())}),
                      ("aud_a_list", {"aud": [B.gid]}), ("iat_a_text", {"iat": str(AT)})):
    pair(name, "ENV-19", "malformed", "payload", **changes)
for name, changes in (("jti_of_21", {"jti": "A" * 21}), ("jti_of_65", {"jti": "A" * 65}), ("jti_in_standard_base64", {"jti": "+" * 22})):
    pair(name, "ID-3", "malformed", "payload", **changes)
for name, exp in (("life_zero", AT), ("life_negative", AT - 1), ("life_too_long", AT + 300_001)):
    pair(name, "REQ-15", "malformed", "payload", exp=exp)
pair("signed_later_than_tolerated", "REQ-14", "clock_skew", iat=AT + 60_001, exp=AT + 90_000)
pair("ended_earlier_than_tolerated", "REQ-14", "clock_skew", iat=AT - 61_000, exp=AT - 60_001)
pair("iss_of_another", "ENV-19", "malformed", "payload", iss=C.gid)
pair("genesis_of_another", "ENV-19", "malformed", "payload", genesis=b64u(dsse_digest(C.root)))
pair("iss_and_genesis_of_another", "ID-34", VF, iss=C.gid, genesis=b64u(dsse_digest(C.root)))
pair("aud_is_iss", "ENV-19", "malformed", "payload", aud=A.gid)
pair("aud_of_another", "ID-34", VF, aud=C.gid)
pair("aud_of_another_with_its_proof", "ID-34", VF, aud=C.gid, proof=proof(inviter=C))

# The invite and its proof (ID-34).
for name, changes in (
    ("proof_of_another_secret", {"proof": proof(ANOTHER)}), ("proof_for_another_inviter", {"proof": proof(inviter=C)}),
    ("proof_of_another_joiner", {"proof": proof(joiner=C)}), ("proof_with_both_swapped", {"proof": proof(inviter=A, joiner=B)}),
    ("proof_with_another_tag", {"proof": proof(tag="GFP-INVITE-v1")}), ("proof_without_gateways", {"proof": b64u(hmac.new(SECRET, b"GFP-PAIRING-v1\n", hashlib.sha256).digest())}),
    ("proof_a_plain_digest", {"proof": b64u(sha(SECRET, f"GFP-PAIRING-v1\n{B.gid}\n{A.gid}".encode()))}),
    ("proof_is_the_id", {"proof": invite_id()}), ("proof_is_the_secret", {"proof": b64u(SECRET)}), ("proof_of_zeros", {"proof": b64u(bytes(32))}),
    ("invite_of_nobody", {"invite": b64u(sha(b"invite"))}), ("invite_is_the_secret", {"invite": b64u(SECRET)}),
    ("invite_id_without_tag", {"invite": b64u(sha(SECRET))}),
):
    pair(name, "ID-34", VF, **changes)
EXPIRED = invite(expires=AT - 1)
pair("invite_expired", "ID-34", VF, view={"invites": [EXPIRED]})
pair("invite_at_its_end", "ID-34", VF, view={"invites": [invite(expires=AT)]})
pair("invite_long_expired", "ID-34", VF, view={"invites": [invite(expires=NOW)]})
pair("no_invite_was_given_out", "ID-34", VF, view={"invites": []})
pair("invite_used_by_another", "ID-34", VF, view={"invites": [invite(used_by=C.gid)]})
pair("invite_withdrawn", "ID-34", VF, view={"invites": [invite(withdrawn=AT - 1000)]})
pair("proof_of_another_invite", "ID-34", VF, view={"invites": [invite(ANOTHER), invite()]}, proof=proof(ANOTHER))
pair("id_of_another_invite", "ID-34", VF, view={"invites": [invite(ANOTHER), invite()]}, invite=invite_id(ANOTHER))
pair("expired_invite_beside_an_open_one", "ID-34", VF, view={"invites": [invite(ANOTHER), EXPIRED]})
