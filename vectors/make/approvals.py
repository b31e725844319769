"""Catalogs, and decisions of another gateway's operators. CC0 1.0."""

import base64

from make.base import DAY, NOW, Gateway, Key, b64u, dsse_digest, jcs, pae, sha, sign
from make.form import HOUR, RUN, Folder, catalog, credential, deciding, edited, operator_key, scope

A = Gateway(1, "https://a.example:7443")
B = deciding(17, "https://b.example:7443")
ALICE, BOB = Key(70), Key(71)
AT = NOW + 2 * HOUR
VF, NO = "verification_failed", "approval_refused"
STATUS = sign("status", B.status(at=AT - 1000), B.key["status"])


def listed(key=None, keys=None, raw=None, **changes):
    document = edited(catalog(B, AT - HOUR), **changes)
    return sign("catalog", raw(jcs(document)) if raw else document, *(keys or [key or B.key["catalog"]]))


CATALOGS = Folder({"roots": [B.root], "status": STATUS, "tenant": "acme-eu", "kept": None, "now": AT, "catalog": listed()})
CATALOGS.clause = "APR-4"


def cat(name, clause, code, phase="payload", kept=None, **changes):
    kept = kept and {"version": kept[0], "digest": b64u(dsse_digest(kept[1]))}
    CATALOGS.put(name, clause, phase, code, catalog=listed(**changes), kept=kept)


MANY = [scope(f"s{at:02}") for at in range(65)]
cat("newer", "APR-4", "ok", kept=(6, listed(version=6)))
cat("the_same_again", "APR-4", "ok", kept=(7, listed()))
cat("sixty_four_scopes", "APR-1", "ok", scopes=MANY[:64])
cat("life_of_a_day", "APR-1", "ok", expires=AT - HOUR + DAY)
cat("with_a_scope_that_is_not_mapped_anew", "APR-1", "ok", scopes=[scope(deprecated=True)])
cat("of_all_methods", "APR-1", "ok", scopes=[scope(assurance={"methods": ["file", "ssh", "ssh_sk", "webauthn"], "min_signers": 2})])
cat("of_sixteen_signers", "ENV-19", "ok", scopes=[scope(assurance={"methods": ["file"], "min_signers": 16})])
cat("description_of_512", "ENV-19", "ok", scopes=[scope(description="d" * 512)])
cat("without_scopes", "APR-1", "ok", scopes=[])
cat("expired", "APR-4", "ok", issued=AT - DAY, expires=AT)
cat("of_the_future", "APR-4", "ok", issued=AT + HOUR, expires=AT + 2 * HOUR)
cat("older_than_kept", "APR-4", VF, "catalog", kept=(8, listed(version=8)))
cat("twice_with_other_bytes", "APR-4", VF, "catalog", kept=(7, listed(expires=AT + HOUR)))
cat("iss_of_another", "APR-4", VF, "catalog", iss=A.gid)
cat("of_another_tenant", "APR-4", VF, "catalog", tenant="acme-us")
for role in ("root", "stream", "request", "status", "policy", "operator-ca"):
    cat(f"signed_by_{role}", "ENV-9", VF, "signature", key=B.key[role])
cat("signed_by_another_gateway", "ID-30", VF, "signature", key=A.key["request"])
cat("also_signed_by_a_stranger", "ENV-9", VF, "signature", keys=[B.key["catalog"], Key(99)])
for name, clause, changes in (
    ("life_zero", "APR-1", {"expires": AT - HOUR}), ("life_negative", "APR-1", {"expires": AT - HOUR - 1}),
    ("life_too_long", "APR-1", {"expires": AT - HOUR + DAY + 1}), ("scopes_descend", "APR-1", {"scopes": [scope("b"), scope("a")]}),
    ("scope_twice", "APR-1", {"scopes": [scope(), scope()]}), ("sixty_five_scopes", "APR-1", {"scopes": MANY}),
    ("scope_in_capitals", "ID-3", {"scopes": [scope("SRE")]}), ("scope_empty", "ID-3", {"scopes": [scope("")]}),
    ("scope_begins_with_dash", "ID-3", {"scopes": [scope("-sre")]}), ("scope_of_65", "ID-3", {"scopes": [scope("s" * 65)]}),
    ("description_of_513", "ENV-19", {"scopes": [scope(description="d" * 513)]}), ("member_unknown", "ENV-19", {"note": 1}),
    ("method_unknown", "ENV-19", {"scopes": [scope(assurance={"methods": ["sms"], "min_signers": 1})]}),
    ("deprecated_false", "ENV-19", {"scopes": [scope(deprecated=False)]}), ("tenant_missing", "ENV-19", {"tenant": None}),
    ("scope_member_unknown", "ENV-19", {"scopes": [scope(note="x")]}), ("version_missing", "ENV-19", {"version": None}),
    ("version_zero", "ENV-19", {"version": 0}), ("description_empty", "ENV-19", {"scopes": [scope(description="")]}),
    ("methods_empty", "ENV-19", {"scopes": [scope(assurance={"methods": [], "min_signers": 1})]}),
    ("methods_descend", "ENV-19", {"scopes": [scope(assurance={"methods": ["ssh", "file"], "min_signers": 1})]}),
    ("method_twice", "ENV-19", {"scopes": [scope(assurance={"methods": ["file", "file"], "min_signers": 1})]}),
    ("of_no_signer", "ENV-19", {"scopes": [scope(assurance={"methods": ["file"], "min_signers": 0})]}),
    ("of_seventeen_signers", "ENV-19", {"scopes": [scope(assurance={"methods": ["file"], "min_signers": 17})]}),
):
    cat(name, clause, "malformed", **changes)
cat("with_space", "ENV-16", "malformed", "json", raw=lambda j: j.replace(b'":', b'": ', 1))
cat("member_twice", "ENV-19", "malformed", "json", raw=lambda j: j.replace(b'"version":7}', b'"version":7,"version":7}'))

# Decisions: A relies, operators of B decide.
TENANTS = {"deciding": "acme-eu", "relying": "acme"}
SUBJECT = b'{"command":"systemctl restart web"}'
SUBJECT_DIGEST = b64u(sha(b"GFP-SUBJECT-v1\n", SUBJECT))
MEDIA = "application/vnd.gfp.approval.v1+json"


def question(**changes):
    return sign("approval-request", edited({
        "aud": B.gid, "expires": AT + HOUR, "id": "apr-" + RUN[4:], "iss": A.gid, "issued": AT - 60_000, "quorum": 1,
        "requester": {"gateway": A.gid, "principal": "ci@acme"}, "run": RUN, "scope": "sre-lead", "scopes": ["sre-lead"],
        "subject": {"binding": "exact", "digest": SUBJECT_DIGEST, "kind": "exec", "media": "application/json", "size": len(SUBJECT)},
        "tenant": TENANTS, "v": 1,
    }, **changes), A.key["request"])


def held(key=ALICE, by=None, **changes):
    return sign("operator-credential", edited(credential(B, key, AT - HOUR), **changes), by or B.key["operator-ca"])


def projection(of=None, **changes):
    entry = b64u(sha(b"GFP-SCOPE-v1\n", jcs(of or scope())))
    constraints = {"max_ttl_ms": HOUR, "methods": ["file", "ssh"], "min_signers": 1, "observed": False, "subject_kinds": ["exec"]}
    constraints.update(changes.pop("constraints", {}))
    return edited({"constraints": constraints, "entry": entry, "exp": NOW + 100 * DAY, "local": "acme", "local_scope": "sre-lead",
                   "nbf": NOW, "remote": "acme-eu", "remote_scope": "sre-lead"}, **changes)


def decided(asked=None, shown=None, listing=None, key=ALICE, proof=None, raw=None, over=None, **changes):
    asked, shown = asked or question(), shown or held()
    approval = edited({
        "aud": A.gid, "credential": b64u(dsse_digest(shown)), "decision": "approve", "exp": AT + 600_000, "iat": AT - 1000, "iss": B.gid,
        "jti": "AAECAwQFBgcICQoLDA0ODw", "max_uses": 1, "request": b64u(dsse_digest(asked)), "scope": "sre-lead", "sub": "alice",
        "subject": SUBJECT_DIGEST, "tenant": TENANTS, "v": 1,
    }, **changes)
    payload = raw(jcs(approval)) if raw else jcs(approval)
    sig = key.secret.sign(over(payload) if over else pae(MEDIA, payload))
    return {"approval": {"payload": base64.b64encode(payload).decode(), "payloadType": MEDIA, "proof": {
        "kid": key.kid, "kind": "file", "sig": base64.b64encode(sig).decode(), **(proof or {})}},
        "catalog": listing or listed(), "credential": shown}


CASES = Folder({
    "relying": [A.root], "roots": [B.root], "status": STATUS, "request": question(), "projections": [projection()], "kept": None,
    "at": AT, "now": AT, "decision": decided(),
})
CASES.clause = "APR-6"


def put(name, clause, code, decision=None, phase="approval", **members):
    CASES.put(name, clause, phase, code, decision=decision or decided(), **members)


def form(name, decision, clause="APR-52"):
    """A decision that has not its form."""
    put(name, clause, "malformed", decision, "envelope")


put("deny", "APR-23", "ok", decided(decision="deny"))
put("on_its_last_instant", "APR-18", "ok", decided(exp=AT + 1))
put("issued_as_its_request_but_for_the_clock", "APR-18", "ok", decided(iat=AT - 120_000))
put("life_as_long_as_the_projection_lets_it", "APR-8", "ok", decided(exp=AT - 1000 + HOUR))
TWO_KEYS = sorted((operator_key(ALICE), operator_key(BOB)), key=lambda key: key["kid"])
put("credential_with_two_keys", "APR-12", "ok", decided(shown=held(keys=TWO_KEYS), key=BOB))
put("begins_as_late_as_the_clock_allows", "APR-18", "ok", decided(iat=AT + 60_000, exp=AT + 120_000))
put("credential_begins_as_late_as_the_clock_allows", "APR-11", "ok", decided(shown=held(issued=AT + 60_000, expires=AT + HOUR), iat=AT))
put("catalog_begins_as_late_as_the_clock_allows", "APR-7", "ok", decided(listing=listed(issued=AT + 60_000, expires=AT + HOUR)))
put("iss_of_another_in_the_credential_too", "APR-17", NO, decided(shown=held(iss=A.gid), iss=A.gid))
put("life_zero", "APR-18", NO, decided(iat=AT + 1000, exp=AT + 1000))
put("ends_before_it_begins", "APR-18", NO, decided(iat=AT + 1000, exp=AT + 500))
for name, life in (("zero", 0), ("negative", -1)):
    put(f"credential_life_{name}", "APR-11", NO, decided(shown=held(issued=AT + 1000, expires=AT + 1000 + life)))
for name, clause, changes in (
    ("iss_of_another", "APR-17", {"iss": A.gid}), ("aud_of_another", "APR-17", {"aud": B.gid}),
    ("tenant_deciding_of_another", "APR-17", {"tenant": {**TENANTS, "deciding": "acme-us"}}),
    ("tenant_relying_of_another", "APR-17", {"tenant": {**TENANTS, "relying": "other"}}),
    ("request_of_another", "APR-17", {"request": b64u(sha(b"request"))}), ("subject_of_another", "APR-17", {"subject": b64u(sha(b"subject"))}),
    ("subject_without_prefix", "APR-17", {"subject": b64u(sha(SUBJECT))}),
    ("sub_of_another", "APR-11", {"sub": "bob"}), ("expired", "APR-18", {"exp": AT - 1, "iat": AT - 1000}),
    ("expires_now", "APR-18", {"exp": AT}), ("not_begun", "APR-18", {"iat": AT + 60_001}),
    ("before_its_request", "APR-18", {"iat": AT - 120_001}),
):
    put(name, clause, NO, decided(**changes))
DBA = scope("dba")
put("scope_not_asked", "APR-17", NO, decided(shown=held(scopes=["dba"]), listing=listed(scopes=[DBA]), scope="dba"),
    projections=[projection(DBA, remote_scope="dba")])
put("credential_of_another", "APR-11", NO, decided(credential=b64u(sha(b"credential"))))
put("request_asked_again", "APR-17", NO, decided(asked=question(issued=AT - 59_999)))
put("decision_for_a_longer_life_than_any", "APR-18", NO, decided(iat=AT - 1000, exp=AT - 1000 + DAY + 1))
fresh = held(issued=AT - 10, expires=AT + HOUR)
put("before_its_credential", "APR-18", NO, decided(shown=held(issued=AT, expires=AT + HOUR), iat=AT - 60_001), request=question(),
    now=AT)
put("credential_later_than_it_within_the_clock", "APR-18", "ok", decided(shown=fresh, iat=AT - 1000))
# The credential.
for role in ("root", "request", "status", "catalog", "policy"):
    put(f"credential_signed_by_{role}", "APR-11", NO, decided(shown=held(by=B.key[role])), "signature")
put("credential_of_the_relying_gateway", "APR-11", NO, decided(shown=held(by=A.key["policy"])), "signature")
for name, changes in (("expired", {"expires": AT - 1}), ("not_begun", {"issued": AT + 60_001, "expires": AT + HOUR}),
                      ("lives_too_long", {"expires": AT - HOUR + DAY + 1}), ("iss_of_another", {"iss": A.gid}),
                      ("of_another_tenant", {"tenant": "acme-us"}), ("of_another_person", {"sub": "bob"})):
    # Signed late enough for APR-18.
    put(f"credential_{name}", "APR-11", NO, decided(shown=held(**changes), iat=AT + 1 if name == "not_begun" else AT - 1000))
put("scope_not_held", "APR-12", NO, decided(shown=held(scopes=["dba"])))
put("key_not_listed", "APR-12", NO, decided(key=BOB))
put("key_revoked", "APR-12", NO, status=sign("status", B.status(at=AT - 1000, revoked=[
    {"kid": ALICE.kid, "reason": "compromised", "since": AT}]), B.key["status"]))
put("another_key_revoked", "APR-12", "ok", status=sign("status", B.status(at=AT - 1000, revoked=[
    {"kid": BOB.kid, "reason": "compromised", "since": AT}]), B.key["status"]))
put("credential_key_under_another_name", "ID-1", NO, decided(shown=held(keys=[operator_key(ALICE, kid=BOB.kid)]), proof={"kid": BOB.kid}),
    "payload")
SMALL = b64u(bytes(32))
SMALL_KID = b64u(sha(b"GFP-KEY-v1\ned25519\n", bytes(32)))


def by_kid(*keys):
    return sorted(keys, key=lambda key: key["kid"])


MANY_KEYS = [operator_key(key) for key in (ALICE, *(Key(200 + at) for at in range(8)))]
put("credential_with_eight_keys", "ENV-19", "ok", decided(shown=held(keys=by_kid(*MANY_KEYS[:8]))))
for name, clause, changes in (
    ("with_a_second_key_of_small_order", "ID-2", {"keys": by_kid(operator_key(ALICE), operator_key(ALICE, kid=SMALL_KID, pub=SMALL))}),
    ("with_nine_keys", "ENV-19", {"keys": by_kid(*MANY_KEYS)}), ("without_keys", "ENV-19", {"keys": []}),
    ("keys_descend", "ENV-19", {"keys": by_kid(operator_key(ALICE), operator_key(BOB))[::-1]}),
    ("key_twice", "ENV-19", {"keys": [operator_key(ALICE), operator_key(ALICE)]}),
    ("key_as_a_file_and_as_ssh", "ENV-19", {"keys": [operator_key(ALICE), operator_key(ALICE, "ssh")]}),
    ("without_scopes", "ENV-19", {"scopes": []}), ("scope_twice", "ENV-19", {"scopes": ["sre-lead", "sre-lead"]}),
    ("scopes_descend", "ENV-19", {"scopes": ["sre-lead", "dba"]}), ("sub_in_capitals", "ID-3", {"sub": "Alice"}),
):
    put(f"credential_{name}", clause, NO, decided(shown=held(**changes)), "payload")
put("credential_of_another_kind", "ENV-8", NO, decided(shown=listed()), "envelope")
put("catalog_of_another_kind", "ENV-8", NO, decided(listing=held()), "envelope")
# The proof.
put("signed_by_another_key", "APR-19", NO, decided(key=BOB, proof={"kid": ALICE.kid}), "signature")
put("signed_over_the_payload", "APR-19", NO, decided(over=lambda payload: payload), "signature")
put("signed_over_another_kind", "APR-19", NO, decided(over=lambda payload: pae(MEDIA.replace("approval", "request"), payload)), "signature")
put("proof_of_another_kind_of_key", "APR-20", NO, decided(proof={"kind": "ssh"}), "signature")
put("key_of_another_kind", "APR-20", NO, decided(shown=held(keys=[operator_key(ALICE, "ssh")])), "signature")
changed = decided()
changed["approval"]["payload"] = decided(decision="deny")["approval"]["payload"]
put("changed_after_signing", "APR-19", NO, changed, "signature")
put("payload_with_space", "ENV-16", NO, decided(raw=lambda j: j.replace(b'":', b'": ', 1)), "json")
put("payload_member_twice", "ENV-19", NO, decided(raw=lambda j: j.replace(b'"v":1}', b'"v":1,"v":1}')), "json")
put("member_unknown", "ENV-19", NO, decided(note=1), "payload")
put("for_two_uses", "ENV-19", NO, decided(max_uses=2), "payload")
put("decision_unknown", "ENV-19", NO, decided(decision="maybe"), "payload")
# Projection, catalog and assurance.
put("no_projection", "APR-6", NO, projections=[], phase="projection")
for name, changes in (("of_another_local_scope", {"local_scope": "dba"}), ("of_another_remote_scope", {"remote_scope": "dba"}),
                      ("of_another_local_tenant", {"local": "acme-us"}), ("of_another_remote_tenant", {"remote": "acme-us"}),
                      ("of_tenants_swapped", {"local": "acme-eu", "remote": "acme"})):
    put(f"projection_{name}", "APR-6", NO, projections=[projection(**changes)], phase="projection")
put("projection_of_another_entry", "APR-7", NO, projections=[projection(scope(description="Other words."))], phase="projection")
put("projection_of_an_entry_deprecated_since", "APR-7", NO, decided(listing=listed(scopes=[scope(deprecated=True)])), phase="projection")
put("catalog_without_the_scope", "APR-7", NO, decided(listing=listed(scopes=[scope("dba")])), phase="projection")
put("catalog_expired", "APR-7", NO, decided(listing=listed(issued=AT - DAY, expires=AT - 1)), phase="projection")
put("catalog_ends_now", "APR-7", NO, decided(listing=listed(issued=AT - DAY, expires=AT)), phase="projection")
put("catalog_not_begun", "APR-7", NO, decided(listing=listed(issued=AT + 60_001, expires=AT + HOUR)), phase="projection")
put("catalog_life_too_long", "APR-1", NO, decided(listing=listed(expires=AT - HOUR + DAY + 1)), "payload")
put("catalog_newer_than_kept", "APR-4", "ok", kept={"version": 6, "digest": b64u(sha(b"x"))})
put("catalog_as_kept", "APR-4", "ok", kept={"version": 7, "digest": b64u(dsse_digest(listed()))})
put("catalog_of_a_kept_version_with_other_bytes", "APR-4", NO, kept={"version": 7, "digest": b64u(sha(b"x"))}, phase="projection")
put("catalog_of_another_tenant", "APR-4", NO, decided(listing=listed(tenant="acme-us")), phase="projection")
put("catalog_older_than_kept", "APR-7", NO, kept={"version": 8, "digest": b64u(sha(b"x"))}, phase="projection")
put("catalog_signed_by_operator_ca", "ENV-9", NO, decided(listing=listed(key=B.key["operator-ca"])), "signature")
put("projection_ended", "APR-8", NO, projections=[projection(exp=AT)], phase="projection")
put("projection_on_its_last_instant", "APR-8", "ok", projections=[projection(exp=AT + 1)])
put("projection_not_begun", "APR-8", NO, projections=[projection(nbf=AT + 1)], phase="projection")
put("projection_begins_now", "APR-8", "ok", projections=[projection(nbf=AT)])
for name, constraints in (("subject_kind", {"subject_kinds": ["tool"]}), ("method", {"methods": ["ssh"]}), ("life", {"max_ttl_ms": 600_999})):
    put(f"projection_against_its_{name}", "APR-8", NO, projections=[projection(constraints=constraints)], phase="projection")
put("projection_with_the_very_life", "APR-8", "ok", projections=[projection(constraints={"max_ttl_ms": 601_000})])
SEEN = question(subject={"binding": "observed", "digest": SUBJECT_DIGEST, "kind": "exec", "media": "application/json", "size": len(SUBJECT)})
put("subject_observed", "APR-8", NO, decided(SEEN), request=SEEN, phase="projection")
put("subject_observed_where_that_will_do", "APR-8", "ok", decided(SEEN), request=SEEN, projections=[projection(constraints={"observed": True})])
STRICT = scope(assurance={"methods": ["ssh"], "min_signers": 1})
put("method_not_assured", "APR-40", NO, decided(listing=listed(scopes=[STRICT])), projections=[projection(STRICT)], phase="projection")
OWN = question(requester={"gateway": B.gid, "principal": "alice"})
put("requester_decides", "APR-22", NO, decided(OWN), request=OWN)
put("requester_denies", "APR-22", NO, decided(OWN, decision="deny"), request=OWN)
put("deny_without_a_projection", "APR-23", NO, decided(decision="deny"), projections=[], phase="projection")
put("deny_with_a_catalog_of_another_entry", "APR-23", NO, decided(decision="deny", listing=listed(scopes=[scope(description="Other words.")])),
    phase="projection")
NAMESAKE = question(requester={"gateway": A.gid, "principal": "alice"})
put("namesake_of_the_requester_decides", "APR-22", "ok", decided(NAMESAKE), request=NAMESAKE)
ENDED = question(expires=AT - 1)
NOW_ENDED = question(expires=AT)
put("request_ends_now", "APR-25", "already_resolved", decided(NOW_ENDED), request=NOW_ENDED)
LAST = question(expires=AT + 1)
put("request_on_its_last_instant", "APR-25", "ok", decided(LAST), request=LAST)
put("request_ended", "APR-25", "already_resolved", decided(ENDED), request=ENDED)
# What is known of the deciding gateway.
OLD = sign("status", B.status(at=AT - HOUR), B.key["status"])
put("status_on_its_last_instant", "ID-21", "ok", status=OLD, at=AT - HOUR, now=AT - 1, decision=decided(iat=AT - 2000))
put("status_expired", "ID-21", None, status=OLD, at=AT - HOUR, now=AT + 1, phase="status")
put("status_long_expired", "ID-21", None, status=sign("status", B.status(at=NOW), B.key["status"]), at=NOW, phase="status")
# The form of a decision.


def reshaped(change):
    """A right decision, changed in its form."""
    decision = decided()
    change(decision)
    return decision


def respelled(text):
    """The same bytes in a second spelling of base64, whose last bits are not zero."""
    assert text.endswith("==")
    return text[:-3] + chr(ord(text[-3]) + 1) + "=="


for name, change in (
    ("without_catalog", lambda one: one.pop("catalog")), ("with_another_member", lambda one: one.update(note="x")),
    ("without_proof", lambda one: one["approval"].pop("proof")), ("of_another_type", lambda one: one["approval"].update(
        payloadType=MEDIA.replace("approval", "receipt"))), ("proof_of_no_kind", lambda one: one["approval"]["proof"].update(kind="pgp")),
    ("proof_with_another_member", lambda one: one["approval"]["proof"].update(alg="ed25519")),
    ("proof_in_a_second_spelling", lambda one: one["approval"]["proof"].update(sig=respelled(one["approval"]["proof"]["sig"]))),
    ("proof_without_padding", lambda one: one["approval"]["proof"].update(sig=one["approval"]["proof"]["sig"].rstrip("="))),
    ("payload_in_base64url", lambda one: one["approval"].update(payload="_" + one["approval"]["payload"][1:])),
    ("catalog_of_no_kind", lambda one: one["catalog"].update(payloadType=MEDIA.replace("approval", "list"))),
    ("credential_without_signatures", lambda one: one["credential"].update(signatures=[])),
):
    form(f"form_{name}", reshaped(change))
ROOMY = 65_536 - len(jcs({"note": ""}))
put("payload_of_another_form_as_long_as_may_be", "ENV-19", NO, decided(raw=lambda j: jcs({"note": "x" * ROOMY})), "payload")
form("form_payload_longer_than_may_be", decided(raw=lambda j: jcs({"note": "x" * (ROOMY + 1)})))
for name, cut in (("of_63_bytes", lambda sig: sig[:-1]), ("of_65_bytes", lambda sig: sig + bytes(1)), ("empty", lambda sig: b"")):
    put(f"file_signature_{name}", "APR-19", NO, reshaped(lambda one, cut=cut: one["approval"]["proof"].update(
        sig=base64.b64encode(cut(base64.b64decode(one["approval"]["proof"]["sig"]))).decode())), "signature")
