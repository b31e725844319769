"""A gateway's own federation document. CC0 1.0."""

from make.base import DAY, NOW, Gateway, Key, b64u, dsse_digest, jcs, sha, sign
from make.form import HOUR, Folder, edited, federation, grant, list_key, operator_key, peer

OWN = Gateway(1, "https://a.example:7443")
B, C, D = (Gateway(seed, f"https://{name}.example:7443") for seed, name in ((17, "b"), (40, "c"), (60, "d")))
AT = NOW + 2 * HOUR
VF = "verification_failed"
STRANGER = Key(99)
NAMES = {B.gid: "eu", C.gid: "us", D.gid: "ap"}
QUOTAS = ("bytes_max", "concurrent_max", "cost_micro_usd_per_day", "frames_max", "starts_per_second", "tokens_per_day")


def one(gateway=B, **changes):
    """A peer; unless it is told otherwise, each has an agent of its own."""
    agent = {B.gid: "triage", C.gid: "writer", D.gid: "reader"}.get(gateway.gid, "other")
    return edited(peer(gateway, [grant(agents=[agent])], alias=NAMES.get(gateway.gid, "other")), **changes)


def document(peers=None, ordered=True, **changes):
    peers = [one(B), one(C)] if peers is None else peers
    if ordered:
        peers = sorted(peers, key=lambda said: said.get("gid", ""))
    return federation(OWN, peers, AT - HOUR, **changes)


def signed(said=None, keys=None, raw=None, kind="federation", **changes):
    said = edited(said or document(), **changes)
    return sign(kind, raw(jcs(said)) if raw else said, *(keys or [OWN.key["policy"]]))


CASES = Folder({"roots": [OWN.root], "used": 1, "now": AT, "federation": signed()})
CASES.clause = "ID-29"


def put(name, clause, code, envelope, phase="payload", verdict=None, **members):
    CASES.put(name, clause, phase, code, verdict, federation=envelope, **members)


def fed(name, clause, code, said, phase="payload", **members):
    put(name, clause, code, signed(said), phase, **members)


def granting(name, clause, code, **changes):
    """One peer with one grant, changed."""
    fed(name, clause, code, document([one(grants=[grant(**changes)])]))


def root(name="guild", key=STRANGER, **changes):
    """A federation root."""
    keys = {key.kid: {"alg": "ed25519", "exp": AT + 100 * DAY, "nbf": NOW, "pub": b64u(key.public)}}
    return edited({"keys": keys, "max_members": 8, "name": name, "tenants": ["acme"], "threshold": 1}, **changes)


def projection(**changes):
    constraints = {"max_ttl_ms": HOUR, "methods": ["file", "ssh"], "min_signers": 1, "observed": False, "subject_kinds": ["exec"]}
    constraints.update(changes.pop("constraints", {}))
    return edited({"constraints": constraints, "entry": b64u(sha(b"entry")), "exp": NOW + 100 * DAY, "local": "ops",
                   "local_scope": "sre-lead", "nbf": NOW, "remote": "acme", "remote_scope": "sre-lead"}, **changes)


def operator(name="alice", keys=None, **changes):
    return edited({"keys": [operator_key(Key(70))] if keys is None else keys, "name": name, "scopes": ["sre-lead"], "tenant": "ops"},
                  **changes)


BOTH_KEYS = sorted([operator_key(Key(70)), operator_key(Key(72))], key=lambda key: key["kid"])


def es256_kid(point):
    return b64u(sha(b"GFP-KEY-v1\nes256\n", point))


#: The generator of P-256 as a passkey's key, in the long spelling of a point and in the short one.
LONG = b"\x04" + bytes.fromhex("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
                               "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
SHORT = b"\x03" + LONG[1:33]
PASSKEY = {"alg": "es256", "kid": es256_kid(LONG), "kind": "webauthn", "origins": ["https://ops.example"], "pub": b64u(LONG),
           "rp_id": "ops.example"}

# Nothing wrong.
fed("no_peer", "ID-29", "ok", document([]))
fed("three_peers", "ID-29", "ok", document([one(B), one(C), one(D)]))
fed("of_a_version_used_before", "ID-28", "ok", document(version=7), used=7)
fed("of_a_version_that_was_skipped", "ID-28", "ok", document(version=9), used=7)
fed("one_agent_twice_where_one_is_revoked", "ID-29", "ok", document([
    one(B, grants=[grant()], status="revoked"), one(C, grants=[grant()])]))
fed("one_agent_in_two_spellings_of_one_grant", "ID-29", "ok", document([one(grants=[grant(agents=["Triage", "triage"])])]))
fed("two_grants", "ID-29", "ok", document([one(grants=[grant(), grant(agents=["writer"], remote="beta")])]))
granting("tools_where_they_may_be_called", "ENV-19", "ok", asks=["prompt", "toolCall"], tools=["ticket_create"])
granting("no_agent_where_approvals_alone_are_asked", "ENV-19", "ok", agents=[], asks=["approvalGrant"], modes=[])
granting("all_quotas", "ENV-19", "ok", **dict.fromkeys(QUOTAS, 1))
granting("deadline_of_a_day", "ENV-19", "ok", deadline_ms_max=DAY)
granting("approval_by_sixteen", "ENV-19", "ok", approval={"quorum": 16, "scope": "sre-lead"})
fed("member_of_a_root", "ID-67", "ok", document(roots=[root(members=[B.gid])]))
fed("as_many_members_as_may_be", "ID-67", "ok", document(roots=[root(members=[B.gid], max_members=1)]))
fed("revoked_member_takes_no_place", "ID-67", "ok", document([one(B, status="revoked"), one(C)], roots=[
    root(members=sorted([B.gid, C.gid]), max_members=1)]))
fed("projection", "APR-5", "ok", document([one(projections=[projection()])]))
fed("projection_of_the_longest_life", "APR-5", "ok", document([one(projections=[projection(exp=NOW + 400 * DAY)])]))
fed("operators", "ENV-19", "ok", document(operators=[operator("alice"), operator("bob", [operator_key(Key(71))])]))

fed("operator_with_two_keys", "ENV-19", "ok", document(operators=[operator(keys=BOTH_KEYS)]))
fed("operator_with_a_passkey_over_p256", "ENV-19", "ok", document(operators=[operator(keys=[PASSKEY])]))
fed("projections_by_remote_before_local_scope", "ENV-19", "ok", document([one(projections=[
    projection(local_scope="zeta"), projection(remote="beta", local_scope="alpha")])]))
fed("revoked_member_with_a_grant_of_another_tenant", "ID-67", "ok", document([one(B, status="revoked"), one(C)], roots=[
    root(members=[B.gid], tenants=["beta"])]))
fed("two_roots", "ENV-19", "ok", document(roots=[root("alpha"), root("beta")]))

# Who signed, and what is older (ID-27, ID-28).
for role in ("root", "stream", "request", "status"):
    put(f"signed_by_{role}", "ID-27", VF, signed(keys=[OWN.key[role]]), "signature")
put("signed_by_a_peer", "ID-27", VF, signed(keys=[B.key["policy"]]), "signature")
put("signed_by_a_stranger", "ID-27", VF, signed(keys=[STRANGER]), "signature")
put("also_signed_by_a_stranger", "ENV-9", VF, signed(keys=[OWN.key["policy"], STRANGER]), "signature")
put("changed_after_signing", "ENV-10", VF, {**signed(), "payload": signed(document([]))["payload"]}, "signature")
put("another_kind", "ENV-8", VF, signed(kind="membership"), "envelope")
put("iss_of_another", "ID-27", None, signed(iss=D.gid))
fed("older_than_one_used", "ID-28", None, document(version=6), used=7)
STRICT = Gateway(1, "https://a.example:7443")
list_key(STRICT, "policy", Key(35), threshold=2)
STRICT.found()
for name, code, keys in (("threshold_reached", "ok", [STRICT.key["policy"], Key(35)]),
                         ("threshold_one_of_two", VF, [STRICT.key["policy"]]),
                         ("threshold_second_a_stranger", VF, [STRICT.key["policy"], STRANGER])):
    put(name, "ENV-11", code, sign("federation", federation(STRICT, [one(B)], AT - HOUR), *keys), "signature", roots=[STRICT.root])
LATE = Gateway(1, "https://a.example:7443")
LATE.document["keys"][LATE.key["policy"].kid].update(nbf=AT + 1)
LATE.found()
put("key_before_nbf", "ENV-13", VF, sign("federation", federation(LATE, [one(B)], AT - HOUR), LATE.key["policy"]), "signature",
    roots=[LATE.root])

# Peers (ID-29).
fed("two_peers_of_one_gid", "ID-29", "malformed", document([one(B), one(B, alias="eu2", grants=[])]))
fed("two_peers_of_one_alias", "ID-29", "malformed", document([one(B, alias="x"), one(C, alias="x")]))
fed("itself_a_peer", "ID-29", "malformed", document([one(OWN)]))
fed("genesis_of_another", "ID-29", "malformed", document([one(B, genesis=b64u(dsse_digest(C.root)))]))
fed("gid_of_another", "ID-29", "malformed", document([one(B, gid=D.gid)]))
fed("tenant_pair_twice", "ID-29", "malformed", document([one(grants=[grant(), grant(agents=["writer"])])]))
fed("one_agent_in_two_grants_of_a_peer", "ID-29", "malformed", document([one(grants=[grant(), grant(remote="beta")])]))
fed("one_agent_of_two_peers", "ID-29", "malformed", document([one(B, grants=[grant()]), one(C, grants=[grant()])]))
fed("one_agent_of_two_peers_in_two_spellings", "ID-29", "malformed", document([
    one(B, grants=[grant()]), one(C, grants=[grant(agents=["TRIAGE"])])]))
fed("one_agent_of_a_peer_that_is_suspended", "ID-29", "malformed", document([
    one(B, grants=[grant()], status="suspended"), one(C, grants=[grant()])]))
fed("one_of_many_agents_twice", "ID-29", "malformed", document([
    one(B, grants=[grant(agents=["alpha", "triage"])]), one(C, grants=[grant(agents=["triage", "zeta"])])]))
DESCENDING = sorted([one(B), one(C)], key=lambda said: said["gid"], reverse=True)
fed("peers_descend", "ENV-19", "malformed", document(DESCENDING, ordered=False))
fed("grants_descend", "ENV-19", "malformed", document([one(grants=[grant(remote="beta"), grant(agents=["writer"])])]))
fed("grants_by_remote_first", "ENV-19", "malformed", document([one(grants=[
    grant(local="zeta", remote="acme"), grant(local="ops", agents=["writer"], remote="beta")])]))
for name, changes in (("alias_of_33", {"alias": "a" * 33}),):
    fed(name, "ID-3", "malformed", document([one(**changes)]))
for name, changes in (
    ("min_root_version_zero", {"min_root_version": 0}), ("peer_member_unknown", {"note": "x"}), ("peer_without_gid", {"gid": None}),
    ("peer_without_grants", {"grants": None}), ("status_unknown", {"status": "paused"}), ("projections_empty_and_there", {"projections": []}),
    ("endpoint_over_http", {"endpoints": [{"url": "http://b.example:7443"}]}),
    ("endpoint_with_a_path", {"endpoints": [{"url": "https://b.example:7443/x"}]}),
    ("nine_endpoints", {"endpoints": [{"url": f"https://b{at}.example"} for at in range(9)]}),
):
    fed(name, "ENV-19", "malformed", document([one(**changes)]))

# Grants.
for name, changes in (
    ("grant_asks_nothing", {"asks": []}), ("ask_unknown", {"asks": ["prompt", "shell"]}), ("asks_descend", {"asks": ["toolCall", "prompt"], "tools": ["t"]}),
    ("ask_twice", {"asks": ["prompt", "prompt"]}), ("agents_descend", {"agents": ["zeta", "alpha"]}), ("agent_twice", {"agents": ["triage", "triage"]}),
    ("no_agent_for_prompts", {"agents": []}), ("mode_unknown", {"modes": ["fork"]}), ("no_mode_for_prompts", {"modes": []}),
    ("tools_where_none_may_be_called", {"tools": ["ticket_create"]}), ("no_tool_for_tool_calls", {"asks": ["prompt", "toolCall"]}),
    ("deadline_zero", {"deadline_ms_max": 0}), ("deadline_longer_than_a_day", {"deadline_ms_max": DAY + 1}),
    ("disclose_unknown", {"disclose": {"output": "part", "tool_args": "full", "tool_results": "full"}}),
    ("disclose_of_two", {"disclose": {"output": "full", "tool_args": "full"}}), ("grant_member_unknown", {"note": "x"}),
    ("grant_without_disclose", {"disclose": None}), ("approval_by_nobody", {"approval": {"quorum": 0, "scope": "sre-lead"}}),
    ("approval_by_operator", {"approval": {"quorum": 1, "scope": "operator"}}),
    ("approval_by_a_reserved_scope", {"approval": {"quorum": 1, "scope": "operator.admin"}}),
    ("modes_descend", {"modes": ["turn", "session"]}), ("mode_twice", {"modes": ["session", "session"]}),
    ("tools_descend", {"asks": ["prompt", "toolCall"], "tools": ["b", "a"]}),
    ("tool_twice", {"asks": ["prompt", "toolCall"], "tools": ["a", "a"]}),
    ("approval_by_seventeen", {"approval": {"quorum": 17, "scope": "sre-lead"}}),
):
    granting(name, "ENV-19", "malformed", **changes)
for quota in QUOTAS:
    granting(f"{quota}_zero", "ENV-19", "malformed", **{quota: 0})
for name, changes in (("agent_empty", {"agents": [""]}), ("agent_with_space", {"agents": ["a b"]}), ("agent_of_129", {"agents": ["a" * 129]}),
                      ("local_in_capitals", {"local": "Ops"}), ("remote_empty", {"remote": ""}), ("tenant_of_65", {"local": "t" * 65}),
                      ("tool_with_space", {"asks": ["prompt", "toolCall"], "tools": ["a b"]})):
    granting(name, "ID-3", "malformed", **changes)

# Federation roots and their members (ID-67).
for name, clause, roots in (
    ("member_is_no_peer", "ID-67", [root(members=[D.gid])]), ("member_is_itself", "ID-67", [root(members=[OWN.gid])]),
    ("member_of_two_roots", "ID-67", [root("alpha", members=[B.gid]), root("beta", members=[B.gid])]),
    ("more_members_than_may_be", "ID-67", [root(members=sorted([B.gid, C.gid]), max_members=1)]),
    ("member_with_a_grant_of_another_tenant", "ID-67", [root(members=[B.gid], tenants=["beta"])]),
    ("members_descend", "ENV-19", [root(members=sorted([B.gid, C.gid], reverse=True))]),
    ("members_empty_and_there", "ENV-19", [root(members=[])]), ("max_members_zero", "ENV-19", [root(max_members=0)]),
    ("max_members_of_1025", "ENV-19", [root(max_members=1025)]), ("roots_descend", "ENV-19", [root("beta"), root("alpha")]),
    ("root_twice", "ENV-19", [root(), root()]), ("seventeen_roots", "ENV-19", [root(f"r{at:02}") for at in range(17)]),
    ("root_tenants_descend", "ENV-19", [root(tenants=["beta", "acme"])]), ("root_tenant_twice", "ENV-19", [root(tenants=["acme", "acme"])]),
    ("member_twice", "ENV-19", [root(members=[B.gid, B.gid])]),
    ("root_key_good_at_no_time", "ENV-19", [root(keys={STRANGER.kid: {**root()["keys"][STRANGER.kid], "exp": NOW}})]),
    ("root_without_tenants", "ENV-19", [root(tenants=[])]), ("root_threshold_zero", "ENV-19", [root(threshold=0)]),
    ("root_threshold_of_more_keys_than_it_has", "ENV-19", [root(threshold=2)]), ("root_without_keys", "ENV-19", [root(keys={})]),
    ("root_member_unknown", "ENV-19", [root(note="x")]),
):
    fed(name, clause, "malformed", document(roots=roots))
WRONG_NAME = root(keys={Key(98).kid: root()["keys"][STRANGER.kid]})
fed("root_key_under_another_name", "ID-1", None, document(roots=[WRONG_NAME]))
SMALL = bytes([1]) + bytes(31)
SMALL_KID = b64u(sha(b"GFP-KEY-v1\ned25519\n", SMALL))
fed("root_key_of_small_order", "ID-2", None, document(roots=[root(keys={SMALL_KID: {
    "alg": "ed25519", "exp": AT + DAY, "nbf": NOW, "pub": b64u(SMALL)}})]))

# Projections (APR-5).
for name, changes in (
    ("projection_of_a_reserved_local_scope", {"local_scope": "operator.admin"}),
    ("projection_of_a_reserved_remote_scope", {"remote_scope": "operator.approvals"}),
    ("projection_ends_as_it_begins", {"exp": NOW}), ("projection_ends_before_it_begins", {"exp": NOW - 1}),
    ("projection_lives_too_long", {"exp": NOW + 400 * DAY + 1}), ("projection_allows_no_method", {"constraints": {"methods": []}}),
    ("projection_allows_no_subject", {"constraints": {"subject_kinds": []}}),
):
    fed(name, "APR-5", "malformed", document([one(projections=[projection(**changes)])]))
fed("projection_twice", "APR-5", "malformed", document([one(projections=[projection(), projection(exp=NOW + DAY)])]))
fed("projections_descend", "ENV-19", "malformed", document([one(projections=[projection(local_scope="b"), projection(local_scope="a")])]))
fed("projections_by_local_scope_before_remote", "ENV-19", "malformed", document([one(projections=[
    projection(remote="beta", local_scope="alpha"), projection(local_scope="zeta")])]))
for name, constraints in (("subject_kinds_descend", {"subject_kinds": ["tool", "exec"]}), ("method_twice", {"methods": ["ssh", "ssh"]}),
                          ("method_unknown", {"methods": ["sms"]}), ("methods_descend", {"methods": ["ssh", "file"]}),
                          ("by_nobody", {"min_signers": 0}), ("by_seventeen", {"min_signers": 17}), ("life_zero", {"max_ttl_ms": 0}),
                          ("life_longer_than_a_day", {"max_ttl_ms": DAY + 1})):
    fed(f"projection_{name}", "ENV-19", "malformed", document([one(projections=[projection(constraints=constraints)])]))
fed("projection_member_unknown", "ENV-19", "malformed", document([one(projections=[projection(note="x")])]))

# Operators.
for name, operators in (
    ("operators_empty_and_there", []), ("operator_twice", [operator(), operator(keys=[operator_key(Key(71))])]),
    ("operators_descend", [operator("bob", [operator_key(Key(71))]), operator("alice")]),
    ("operator_without_keys", [operator(keys=[])]), ("operator_without_scopes", [operator(scopes=[])]),
    ("operator_keys_descend", [operator(keys=BOTH_KEYS[::-1])]), ("operator_key_twice", [operator(keys=BOTH_KEYS[:1] * 2)]),
    ("operator_scopes_descend", [operator(scopes=["sre-lead", "audit"])]), ("operator_scope_twice", [operator(scopes=["audit", "audit"])]),
    ("operator_key_of_a_compressed_point", [operator(keys=[{**PASSKEY, "kid": es256_kid(SHORT), "pub": b64u(SHORT)}])]),
    ("operator_with_nine_keys", [operator(keys=sorted([operator_key(Key(100 + at)) for at in range(9)], key=lambda key: key["kid"]))]),
    ("operator_member_unknown", [operator(note="x")]),
):
    fed(name, "ENV-19", "malformed", document(operators=operators))
fed("operator_key_of_small_order", "ID-2", None, document(operators=[operator(keys=[
    {**operator_key(Key(70)), "kid": SMALL_KID, "pub": b64u(SMALL)}])]))
fed("one_key_of_two_operators", "ID-29", "malformed", document(operators=[operator("alice"), operator("bob")]))
fed("operator_key_under_another_name", "ID-1", None, document(operators=[operator(keys=[operator_key(Key(70), kid=Key(71).kid)])]))

# The document.
put("with_space", "ENV-16", "malformed", signed(raw=lambda j: j.replace(b'":', b'": ', 1)), "json")
put("peer_member_twice", "ENV-19", "malformed", signed(raw=lambda j: j.replace(b'"status":"active"', b'"status":"active","status":"active"', 1)),
    "json")
for name, changes in (("version_zero", {"version": 0}), ("version_a_text", {"version": "1"}), ("of_a_later_form", {"v": 2}),
                      ("without_roots", {"roots": None}), ("member_unknown", {"note": "x"}), ("without_iss", {"iss": None})):
    put(name, "ENV-19", "malformed", signed(**changes))
MANY = [grant(agents=[f"a{at}"], remote=f"t{at:02}") for at in range(65)]
fed("sixty_four_grants", "ENV-19", "ok", document([one(grants=MANY[:64])]))
fed("sixty_five_grants", "ENV-19", "malformed", document([one(grants=MANY)]))


def strangers(count):
    """Peers that nobody knows more of than the digest of their first root."""
    import base64
    for at in range(count):
        genesis = sha(b"peer %d" % at)
        gid = "gw1-" + base64.b32encode(genesis).decode().lower().rstrip("=")
        yield edited(one(B), alias=f"p{at}", genesis=b64u(genesis), gid=gid, grants=[])


fed("sixty_four_peers", "ENV-19", "ok", document(list(strangers(64))))
fed("sixty_five_peers", "ENV-19", "malformed", document(list(strangers(65))))
SCOPES = [projection(local_scope=f"s{at:02}") for at in range(65)]
fed("sixty_four_projections", "ENV-19", "ok", document([one(projections=SCOPES[:64])]))
fed("sixty_five_projections", "ENV-19", "malformed", document([one(projections=SCOPES)]))
