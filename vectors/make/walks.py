"""Roots from the first on, in one update or several, and the id that is expected. CC0 1.0."""

import base64
import copy

from make import ed25519
from make.base import DAY, NOW, Gateway, Key, b64u, dsse_digest, jcs, sha, sign
from make.form import Folder, deciding, list_key

LIFE = 400 * DAY


def add(document, role, key, threshold=None, nbf=None, exp=None):
    window = {"nbf": document["issued"] if nbf is None else nbf, "exp": document["expires"] if exp is None else exp}
    document["keys"][key.kid] = {"alg": "ed25519", "pub": b64u(key.public), **window}
    holders = document["roles"].setdefault(role, {"keyids": [], "threshold": 1})
    holders["keyids"] = sorted([*holders["keyids"], key.kid])
    if threshold:
        holders["threshold"] = threshold


def remove(document, role, key):
    document["keys"].pop(key.kid)
    document["roles"][role]["keyids"].remove(key.kid)


def rotate(document, role, old, new):
    add(document, role, new)
    remove(document, role, old)


class Walk:
    """Roots of one gateway; each follows from the one before it, changed."""

    def __init__(self, gateway=None):
        self.gateway = gateway or Gateway(1, "https://a.example:7443")
        self.key = self.gateway.key["root"]
        self.document = self.gateway.document
        self.roots = [self.gateway.root]
        self.signers = [self.key]

    def next(self, edit=None, signers=None, raw=None, kind="root"):
        """Adds a root. `edit` gets its document; `signers` sign it."""
        document = copy.deepcopy(self.document)
        document["version"] += 1
        document["prev"] = b64u(dsse_digest(self.roots[-1]))
        document["issued"] += DAY
        document["expires"] += DAY
        if edit:
            document = edit(document) or document
        self.roots.append(sign(kind, raw(jcs(document)) if raw else document, *(signers or self.signers)))
        self.document = document
        return self

    def members(self, now=None, updates=None):
        updates = [len(self.roots)] if updates is None else updates
        split, at = [], 0
        for size in updates:
            split.append(self.roots[at:at + size])
            at += size
        assert at == len(self.roots)
        now = self.document["issued"] + 1000 if now is None else now
        return {"gateway": self.gateway.gid, "now": now, "updates": split}


def ordinary():
    """Four roots: the stream key, the root key and the status key change."""
    walk, new = Walk(), Key(50)
    a = walk.gateway
    walk.next(lambda document: rotate(document, "stream", a.key["stream"], Key(51)))
    walk.next(lambda document: rotate(document, "root", a.key["root"], new), [a.key["root"], new])
    walk.signers = [new]
    return walk.next(lambda document: rotate(document, "status", a.key["status"], Key(52)))


ORDINARY = ordinary()
CASES = Folder({**ORDINARY.members(), "version": 4})
CASES.clause = "ID-6"


def put(name, clause, code, walk, phase="root", **members):
    put_members(name, clause, code, walk.members(**members), len(walk.roots), phase)


def put_members(name, clause, code, members, version, phase="root"):
    CASES.put(name, clause, phase, code, **members, version=version if code == "ok" else None)


VF = "verification_failed"
ROOT, NEW = Walk().key, Key(50)

# Chains that hold.
put("first_alone", "ID-4", "ok", Walk())
put("in_two_updates", "ID-14", "ok", ORDINARY, updates=[2, 2])
put("in_four_updates", "ID-14", "ok", ORDINARY, updates=[1, 1, 1, 1])
put("with_roles_of_approvals", "ID-7", "ok", Walk(deciding(1, "https://a.example:7443")).next())
put("issued_as_the_one_before", "ID-5", "ok", Walk().next(lambda d: d.update(issued=NOW, expires=NOW + LIFE)), now=NOW + 1000)
put("issued_as_late_as_tolerated", "ID-5", "ok", Walk().next(), now=NOW + DAY - 60_000)
put("life_as_long_as_may_be", "ID-8", "ok", Walk().next(lambda d: d.update(expires=d["issued"] + LIFE)))
put("on_its_last_instant", "ID-9", "ok", Walk().next(), now=NOW + DAY + LIFE - 1)


def shorter(document, life):
    """The same keys, in a root of this life."""
    document["expires"] = document["issued"] + life
    for one in document["keys"].values():
        one["exp"] = min(one["exp"], document["expires"])


def longer(document, life=LIFE):
    document["expires"] = document["issued"] + life
    for one in document["keys"].values():
        one["exp"] = document["expires"]


put("second_long_expired", "ID-9", "ok", Walk().next(lambda document: shorter(document, 2 * DAY)).next(longer), now=NOW + 30 * DAY)
first_short = Walk()
shorter(first_short.document, 3 * DAY)
first_short.gateway.found()
first_short.roots = [first_short.gateway.root]
first_short.next(longer)
put("first_long_expired", "ID-9", "ok", first_short, now=NOW + 100 * DAY)
put("keys_added_and_removed", "ID-6", "ok", Walk().next(lambda d: add(d, "stream", Key(60))).next(
    lambda d: add(d, "root", Key(61)), [ROOT, Key(61)]).next(lambda d: remove(d, "root", ROOT), [ROOT, Key(61)]))
put("new_root_key_beside_the_old_signed_by_the_old", "ID-6", "ok", Walk().next(lambda d: add(d, "root", Key(61))))


def of_three(threshold=2):
    """A gateway with three root keys, two of which must sign."""
    gateway = Gateway(1, "https://a.example:7443")
    for seed in (61, 62):
        list_key(gateway, "root", Key(seed), threshold=threshold)
    gateway.found()
    gateway.root = sign("root", gateway.document, ROOT, Key(61))
    walk = Walk(gateway)
    walk.signers = [ROOT, Key(61)]
    return walk


put("threshold_two_of_three", "ID-6", "ok", of_three().next())
put("threshold_by_two_others", "ID-6", "ok", of_three().next(signers=[Key(61), Key(62)]))
put("threshold_all_three", "ID-6", "ok", of_three().next(signers=[ROOT, Key(61), Key(62)]))
put("threshold_raised", "ID-6", "ok", Walk().next(lambda d: add(d, "root", Key(61), 2), [ROOT, Key(61)]))
put("threshold_lowered_by_two", "ID-6", "ok", of_three().next(lambda d: d["roles"]["root"].update(threshold=1)))


def long_walk(steps):
    walk = Walk()
    for _ in range(steps):
        walk.next()
    return walk


put("thirty_two_steps", "ID-10", "ok", long_walk(32), updates=[1, 32])
put("thirty_three_steps_in_two_updates", "ID-10", "ok", long_walk(33), updates=[1, 20, 13])
put("first_and_thirty_two_steps", "ID-10", "ok", long_walk(32))
put("first_and_thirty_three_steps", "ID-10", "too_large", long_walk(33))
put("thirty_three_steps", "ID-10", "too_large", long_walk(33), updates=[1, 33])
put("thirty_three_steps_after_three", "ID-10", "too_large", long_walk(36), updates=[4, 33])


# The first root.
def first(name, clause, code, edit=None, signers=None, gid=None, raw=None, phase="root", kind="root"):
    gateway = Gateway(1, "https://a.example:7443")
    if edit:
        gateway.document = edit(gateway.document) or gateway.document
    gateway.found()
    if signers or raw or kind != "root":
        gateway.root = sign(kind, raw(jcs(gateway.document)) if raw else gateway.document, *(signers or [ROOT]))
    if raw:
        found = dsse_digest(gateway.root)
        gateway.gid = "gw1-" + base64.b32encode(found).decode().lower().rstrip("=")
    if gid:
        gateway.gid = gid
    put(name, clause, code, Walk(gateway), phase=phase, now=NOW + 1000)


OTHER = Gateway(17, "https://b.example:7443").gid
first("first_of_another_gateway", "ID-4", VF, gid=OTHER)
first("first_signed_by_stream", "ID-4", VF, signers=[Key(2)], phase="signature")
first("first_signed_by_a_stranger", "ID-4", VF, signers=[Key(99)], phase="signature")
first("first_signed_by_a_stranger_too", "ENV-9", VF, signers=[ROOT, Key(99)], phase="signature")
first("first_of_version_2", "ID-4", VF, lambda d: d.update(version=2, prev=b64u(sha(b"prev"))))
first("first_of_version_0", "ID-4", VF, lambda d: d.update(version=0))
first("first_with_prev", "ID-4", VF, lambda d: d.update(prev=b64u(sha(b"prev"))))
first("first_of_another_kind", "ENV-8", VF, kind="status", phase="envelope")
first("first_issued_beyond_the_clock", "ID-5", VF, lambda d: d.update(
    issued=NOW + 62_000, expires=NOW + 62_000 + DAY) or shorter(d, DAY) or [
        one.update(nbf=NOW + 62_000) for one in d["keys"].values()] and None)
below = of_three()
below.gateway.root = sign("root", below.document, ROOT)
below.roots = [below.gateway.root]
put("first_below_its_threshold", "ID-4", VF, below, phase="signature")
second_only = ORDINARY.members()
second_only["updates"] = [ORDINARY.roots[1:]]
put_members("first_missing", "ID-4", VF, second_only, None)

# The step to the second.
def wrong(name, clause, edit=None, code=VF, signers=None, phase="root", now=None, **more):
    put(name, clause, code, Walk().next(edit, signers, **more), phase=phase, now=now)


def skipping(*left_out):
    members = ORDINARY.members()
    members["updates"] = [[root for at, root in enumerate(ORDINARY.roots, 1) if at not in left_out]]
    return members


put_members("second_missing", "ID-5", VF, skipping(2), None)
put_members("third_missing", "ID-5", VF, skipping(3), None)
put_members("second_and_third_missing", "ID-5", VF, skipping(2, 3), None)
swapped = ORDINARY.members()
swapped["updates"] = [[ORDINARY.roots[at] for at in (0, 2, 1, 3)]]
put_members("in_another_order", "ID-5", VF, swapped, None)
late = ORDINARY.members(updates=[2, 2])
late["updates"][1] = ORDINARY.roots[3:]
put_members("missing_between_updates", "ID-5", VF, late, None)
wrong("version_skipped", "ID-5", lambda d: d.update(version=3))
wrong("version_stays", "ID-5", lambda d: d.update(version=1))
wrong("version_as_large_as_may_be", "ID-5", lambda d: d.update(version=2**53 - 1))
wrong("prev_of_nothing", "ID-5", lambda d: d.update(prev=b64u(sha(b"prev"))))
wrong("prev_missing", "ID-5", lambda d: d.pop("prev") and None)
wrong("prev_is_the_digest_of_the_payload", "ID-5", lambda d: d.update(prev=b64u(sha(jcs(Walk().document)))))
skipped_prev = Walk().next().next(lambda d: d.update(prev=b64u(dsse_digest(Walk().roots[0]))))
put("prev_of_the_one_before_the_last", "ID-5", VF, skipped_prev)
early = Gateway(1, "https://a.example:7443")
for one in early.document["keys"].values():
    one.update(nbf=NOW - DAY, exp=NOW + 300 * DAY)
early.document["expires"] = NOW + 300 * DAY
early.found()
put("issued_before_the_one_before", "ID-5", VF, Walk(early).next(lambda d: d.update(issued=NOW - 1)), now=NOW + 1000)
wrong("issued_later_than_tolerated", "ID-5", now=NOW + DAY - 60_001)
wrong("life_too_long", "ID-8", lambda d: d.update(expires=d["issued"] + LIFE + 1))
wrong("life_zero", "ID-8", lambda d: shorter(d, 0))
wrong("life_negative", "ID-8", lambda d: shorter(d, -1))
wrong("expired", "ID-9", now=NOW + DAY + LIFE)
wrong("long_expired", "ID-9", now=NOW + 2 * LIFE)

# Who signs the step.
to_new = lambda d: rotate(d, "root", ROOT, NEW)  # noqa: E731
wrong("signed_by_the_old_key_only", "ID-6", to_new, signers=[ROOT], phase="signature")
wrong("signed_by_the_new_key_only", "ID-6", to_new, signers=[NEW], phase="signature")
wrong("signed_by_a_stranger", "ID-6", signers=[Key(99)], phase="signature")
wrong("signed_by_a_stranger_too", "ENV-9", signers=[ROOT, Key(99)], phase="signature")
wrong("signed_by_stream", "ID-6", signers=[Key(2)], phase="signature")
wrong("signed_by_policy", "ID-6", signers=[Key(5)], phase="signature")
wrong("signed_by_stream_too", "ENV-9", signers=[ROOT, Key(2)], phase="signature")
wrong("stream_key_becomes_root_key_by_itself", "ID-6", lambda d: remove(d, "stream", Key(2)) or rotate(
    d, "root", ROOT, Key(2)) or add(d, "stream", Key(51)), signers=[Key(2)], phase="signature")
retired = Walk().next(to_new, [ROOT, NEW]).next(signers=[ROOT])
put("signed_by_a_retired_key", "ID-6", VF, retired, phase="signature")
put("signed_by_a_retired_key_too", "ENV-9", VF, Walk().next(to_new, [ROOT, NEW]).next(signers=[ROOT, NEW]), phase="signature")
put("second_by_the_retired_key_of_a_fork", "ID-6", VF, Walk().next(to_new, [ROOT, NEW]).next(
    lambda d: rotate(d, "root", NEW, Key(53)), signers=[ROOT, Key(53)]), phase="signature")
for name, signers in (("one_of_two", [ROOT]), ("one_and_a_stranger", [ROOT, Key(99)])):
    put(f"threshold_{name}", "ID-6", VF, of_three().next(signers=signers), phase="signature")
put("threshold_raised_by_one", "ID-6", VF, Walk().next(lambda d: add(d, "root", Key(61), 2), [ROOT]), phase="signature")
put("threshold_raised_by_the_new_alone", "ID-6", VF, Walk().next(
    lambda d: add(d, "root", Key(61)) or add(d, "root", Key(62), 2), [Key(61), Key(62)]), phase="signature")
put("threshold_lowered_by_one", "ID-6", VF, of_three().next(lambda d: d["roles"]["root"].update(threshold=1), [ROOT]),
    phase="signature")
put("threshold_lowered_to_the_key_that_signs", "ID-6", VF, of_three().next(
    lambda d: remove(d, "root", Key(61)) or remove(d, "root", Key(62)) or d["roles"]["root"].update(threshold=1), [ROOT]),
    phase="signature")
doubled = of_three().next()
forged = doubled.roots[1]["signatures"]
doubled.roots[1] = {**doubled.roots[1], "signatures": [forged[0], {**forged[1], "sig": forged[0]["sig"]}]}
put("threshold_second_forged", "ENV-10", VF, doubled, phase="signature")
changed = Walk().next()
changed.roots[1] = {**changed.roots[1], "payload": base64.b64encode(jcs({**changed.document, "min_proto": 2})).decode()}
put("changed_after_signing", "ENV-10", VF, changed, phase="signature")
wrong("of_another_kind", "ENV-8", phase="envelope", kind="status")

# When root keys are good: at the `issued` of the root that they sign.
timed = Gateway(1, "https://a.example:7443")
timed.document["keys"][ROOT.kid]["exp"] = NOW + DAY
timed.found()
put("root_key_ended", "ENV-13", VF, Walk(timed).next(lambda d: d["keys"][ROOT.kid].update(exp=d["expires"])), phase="signature")
put("root_key_on_its_last_instant", "ENV-13", "ok", Walk(timed).next(lambda d: d.update(
    issued=NOW + DAY - 1, expires=NOW + LIFE)), now=NOW + 200 * DAY)
put("root_key_not_begun", "ENV-13", VF, Walk().next(lambda d: add(d, "root", NEW, nbf=d["issued"] + 1), [ROOT, NEW]),
    phase="signature")
put("root_key_begins_as_issued", "ENV-13", "ok", Walk().next(lambda d: add(d, "root", NEW), [ROOT, NEW]))

# Another document of a version that is known.
fork = Walk().next()
other = Walk().next(lambda d: d.update(min_proto=2))
put_members("another_second", "ID-12", VF, {**fork.members(), "updates": [fork.roots, [other.roots[1]]]}, None)
put_members("another_third_of_a_fork", "ID-12", VF, {
    **fork.members(now=NOW + 3 * DAY), "updates": [fork.roots, Walk().next(lambda d: d.update(min_proto=2)).next().roots[1:]]}, None)


# What is on record already stands first, or does not follow.
put_members("first_again_before_the_second", "ID-12", "ok", {**fork.members(), "updates": [fork.roots[:1], fork.roots]}, 2)
put_members("all_again_with_the_next", "ID-12", "ok", {**ORDINARY.members(), "updates": [ORDINARY.roots[:3], ORDINARY.roots]}, 4)
put_members("first_again_after_the_second", "ID-5", VF, {**fork.members(), "updates": [fork.roots[:1], [*fork.roots[1:], fork.roots[0]]]}, None)

# Keys and roles.
EIGHT = ed25519.torsion()


def raw_key(public):
    """A key that nobody has."""
    key = copy.copy(Key(2))
    key.public = public
    key.kid = b64u(sha(b"GFP-KEY-v1\ned25519\n", public))
    return key


stream = Key(2)
for at in range(8):
    public = ed25519.encode(ed25519.times(at, EIGHT))
    wrong(f"key_of_small_order_{at}", "ID-2", lambda d, public=public: rotate(d, "stream", stream, raw_key(public)))
for name, public in (
    ("not_canonical", (ed25519.P + 3).to_bytes(32, "little")), ("no_point", (2).to_bytes(32, "little")),
    ("identity_not_canonical", (ed25519.P + 1).to_bytes(32, "little")),
    ("identity_with_sign", (1 | 1 << 255).to_bytes(32, "little")),
    ("with_torsion", ed25519.encode(ed25519.add(ed25519.decode(stream.public), EIGHT))),
    ("with_torsion_2", ed25519.encode(ed25519.add(ed25519.decode(stream.public), ed25519.times(4, EIGHT)))),
):
    wrong(f"key_{name}", "ID-2", lambda d, public=public: rotate(d, "stream", stream, raw_key(public)))


def renamed(document):
    document["keys"][Key(51).kid] = document["keys"].pop(stream.kid)
    document["roles"]["stream"]["keyids"] = [Key(51).kid]


wrong("key_under_another_name", "ID-1", renamed)
for name, edit in (
    ("key_in_two_roles", lambda d: d["roles"]["status"].update(keyids=[stream.kid]) or d["keys"].pop(Key(4).kid) and None),
    ("key_in_two_roles_while_another_has_none", lambda d: d["roles"]["status"].update(keyids=[stream.kid])),
    ("key_is_good_at_no_time", lambda d: d["keys"][stream.kid].update(exp=d["keys"][stream.kid]["nbf"])),
    ("root_key_in_stream_too", lambda d: d["roles"]["stream"].update(keyids=sorted([stream.kid, ROOT.kid]))),
    ("key_outlives_the_root", lambda d: d["keys"][stream.kid].update(exp=d["expires"] + 1)),
    ("role_missing_policy", lambda d: d["keys"].pop(Key(5).kid) and d["roles"].pop("policy") and None),
    ("role_missing_stream", lambda d: d["keys"].pop(stream.kid) and d["roles"].pop("stream") and None),
    ("role_names_no_key", lambda d: d["roles"]["stream"].update(keyids=sorted([stream.kid, Key(51).kid]))),
    ("key_of_no_role", lambda d: d["keys"].update({Key(51).kid: {**d["keys"][stream.kid], "pub": b64u(Key(51).public)}})),
    ("role_empty", lambda d: d["keys"].pop(stream.kid) and d["roles"]["stream"].update(keyids=[])),
    ("threshold_zero", lambda d: d["roles"]["stream"].update(threshold=0)),
    ("threshold_of_root_zero", lambda d: d["roles"]["root"].update(threshold=0)),
    ("threshold_larger_than_the_keys", lambda d: d["roles"]["stream"].update(threshold=2)),
):
    wrong(name, "ID-7", edit)

# The form of a root. That which is not of the form is refused like one that does not verify (ID-7).
for name, clause, edit in (
    ("role_unknown", "ENV-19", lambda d: add(d, "admin", Key(51))),
    ("keyids_descend", "ENV-19", lambda d: add(d, "stream", Key(51)) or d["roles"]["stream"]["keyids"].reverse()),
    ("keyid_twice", "ENV-19", lambda d: d["roles"]["stream"].update(keyids=[stream.kid] * 2)),
    ("member_unknown", "ENV-19", lambda d: d.update(note="x")), ("form_of_version_2", "ENV-19", lambda d: d.update(v=2)),
    ("algorithm_unknown", "ENV-19", lambda d: d["keys"][stream.kid].update(alg="ed448")),
    ("key_member_missing", "ENV-19", lambda d: d["keys"][stream.kid].pop("nbf") and None),
    ("url_of_http", "ENV-19", lambda d: d.update(endpoints=[{"url": "http://a.example:7443"}])),
    ("url_with_path", "ENV-19", lambda d: d.update(endpoints=[{"url": "https://a.example:7443/x"}])),
    ("url_with_slash", "ENV-19", lambda d: d.update(endpoints=[{"url": "https://a.example:7443/"}])),
    ("url_with_query", "ENV-19", lambda d: d.update(endpoints=[{"url": "https://a.example:7443?x"}])),
    ("url_with_user", "ENV-19", lambda d: d.update(endpoints=[{"url": "https://u@a.example:7443"}])),
    ("url_too_long", "ENV-19", lambda d: d.update(endpoints=[{"url": "https://" + "a" * 60 + (".b" * 100) + ":7443"}])),
    ("url_in_capitals", "ENV-19", lambda d: d.update(endpoints=[{"url": "https://A.example:7443"}])),
    ("url_of_port_zero", "ENV-19", lambda d: d.update(endpoints=[{"url": "https://a.example:0"}])),
    ("url_of_port_65536", "ENV-19", lambda d: d.update(endpoints=[{"url": "https://a.example:65536"}])),
    ("url_of_port_with_zero_first", "ENV-19", lambda d: d.update(endpoints=[{"url": "https://a.example:0443"}])),
    ("url_without_port_after_the_colon", "ENV-19", lambda d: d.update(endpoints=[{"url": "https://a.example:"}])),
    ("url_with_an_underscore", "ENV-19", lambda d: d.update(endpoints=[{"url": "https://a_b.example:7443"}])),
    ("url_of_a_label_of_64", "ENV-19", lambda d: d.update(endpoints=[{"url": f"https://{'a' * 64}.example:7443"}])),
    ("url_of_a_label_that_ends_with_a_hyphen", "ENV-19", lambda d: d.update(endpoints=[{"url": "https://a-.example:7443"}])),
    ("url_of_an_empty_label", "ENV-19", lambda d: d.update(endpoints=[{"url": "https://a..example:7443"}])),
    ("url_of_an_address_in_another_spelling", "ENV-19", lambda d: d.update(endpoints=[{"url": "https://[2001:db8:0::1]:7443"}])),
    ("url_of_a_mapped_address", "ENV-19", lambda d: d.update(endpoints=[{"url": "https://[::ffff:192.0.2.1]:7443"}])),
    ("url_of_a_mapped_address_in_hexadecimal", "ENV-19", lambda d: d.update(endpoints=[{"url": "https://[::ffff:c000:201]:7443"}])),
    ("key_begins_before_the_epoch", "ENV-19", lambda d: d["keys"][stream.kid].update(nbf=-1)),
    ("url_of_an_address_in_capitals", "ENV-19", lambda d: d.update(endpoints=[{"url": "https://[2001:DB8::1]:7443"}])),
    ("url_twice", "ENV-19", lambda d: d.update(endpoints=[{"url": "https://a.example:7443"}] * 2)),
    ("nine_endpoints", "ENV-19", lambda d: d.update(endpoints=[{"url": f"https://a{at}.example:7443"} for at in range(9)])),
    ("thirty_three_keys", "ENV-19", lambda d: [add(d, "stream", Key(100 + at)) for at in range(28)] and None),
):
    wrong(name, clause, edit, phase="payload")
for name, url in (("of_an_address", "https://[2001:db8::1]:7443"), ("of_port_65535", "https://a.example:65535"), ("without_port", "https://a.example"),
                  ("of_a_label_of_63", f"https://{'a' * 63}.example:7443"), ("with_a_hyphen", "https://a-1.example:7443"),
                  ("of_256_bytes", "https://" + "a" * 59 + ".b" * 92 + ":7443")):
    put(f"url_{name}", "ENV-19", "ok", Walk().next(lambda d, url=url: d.update(endpoints=[{"url": url}])))
put("thirty_two_keys", "ID-7", "ok", Walk().next(lambda d: [add(d, "stream", Key(100 + at)) for at in range(27)] and None))
put("eight_endpoints", "ID-7", "ok", Walk().next(
    lambda d: d.update(endpoints=[{"url": f"https://a{at}.example:7443"} for at in range(8)])))
for name, clause, raw in (
    ("space", "ENV-16", lambda j: j.replace(b'":', b'": ', 1)), ("member_twice", "ENV-19", lambda j: j[:-1] + b',"version":2}'),
    ("fraction", "ENV-17", lambda j: j.replace(b'"v":1,', b'"v":1.0,')), ("byte_order_mark", "ENV-16", lambda j: b"\xef\xbb\xbf" + j),
    ("version_twice", "ENV-19", lambda j: j.replace(b'"version":', b'"version":1,"version":')),
):
    wrong(f"payload_{name}", clause, raw=raw, phase="json")
