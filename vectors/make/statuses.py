"""What is known of a gateway, and its next status. CC0 1.0."""

from make.base import DAY, NOW, Gateway, Key, b64u, dsse_digest, sha, sign, spare
from make.form import Folder, HOUR, edited, seal
from make.walks import Walk, rotate

A = Gateway(1, "https://a.example:7443")
OTHER = Gateway(17, "https://b.example:7443")
AT = NOW + 2 * DAY
STATUS_KEY, STREAM, NEW_STATUS, NEW_STREAM = Key(4), Key(2), Key(52), Key(51)
TWO = Walk().next(lambda document: rotate(document, "stream", STREAM, NEW_STREAM)).roots
RENAMED = Walk().next(lambda document: rotate(document, "status", STATUS_KEY, NEW_STATUS)).roots
VF, STALE = "verification_failed", "status_stale"


def document(at=AT, roots=None, **changes):
    roots = roots or [A.root]
    return edited(A.status(at=at, root=roots[-1], version=len(roots)), **changes)


def told(at=AT, roots=None, key=STATUS_KEY, keys=None, **changes):
    return sign("status", document(at, roots, **changes), *(keys or [key]))


CASES = Folder({"roots": [A.root], "min_root_version": 1, "before": [], "remembered": None, "now": AT + 1000, "status": told(),
                "then": None})
CASES.clause = "ID-15"


def put(name, clause, code, status, before=(), roots=None, now=None, phase="status", **more):
    earlier = [{"at": at, **step} for at, step in before]
    CASES.put(name, clause, phase, code, status=status, before=earlier, roots=roots or [A.root],
              now=AT + 1000 if now is None else now, **more)


def taken(status, at=AT - HOUR + 1000):
    return [(at, {"status": status})]


BEFORE = taken(told(AT - HOUR))
put("after_an_earlier_one", "ID-18", "ok", told(), BEFORE)
put("the_same_again", "ID-18", "ok", told(), taken(told(), AT + 500))
put("on_its_last_instant", "ID-16", "ok", told(), now=AT + HOUR - 1)
put("issued_as_late_as_tolerated", "ID-17", "ok", told(), now=AT - 60_000)
put("life_of_a_day", "ID-17", "ok", told(expires=AT + DAY))
put("life_of_a_millisecond", "ID-17", "ok", told(expires=AT + 1, refresh_ms=1), now=AT)
put("next_incarnation", "ID-18", "ok", told(incarnation={"n": 2, "since": AT - 60_000}), BEFORE)
put("incarnation_skipped", "ID-18", "ok", told(incarnation={"n": 9, "since": AT - 60_000}), BEFORE)
put("of_a_newer_root", "ID-18", "ok", told(roots=TWO), [
    *taken(told(AT - HOUR)), (AT, {"roots": TWO[1:]})])
put("of_the_root_before", "ID-15", "ok", told(roots=TWO[:1]), roots=TWO)
put("audit_shorter", "ID-83", "ok", told(audit={"head": b64u(sha(b"x")), "size": 3}), taken(
    told(AT - HOUR, audit={"head": b64u(sha(b"y")), "size": 4})))
put("audit_with_another_head", "ID-83", "ok", told(audit={"head": b64u(sha(b"x")), "size": 4}), taken(
    told(AT - HOUR, audit={"head": b64u(sha(b"y")), "size": 4})))

# The one status.
put("expired", "ID-16", STALE, told(), now=AT + HOUR + 1)
put("long_expired", "ID-16", STALE, told(), now=AT + 100 * DAY)
put("replayed_after_a_day", "ID-16", STALE, told(), BEFORE, now=AT + DAY)
put("issued_later_than_tolerated", "ID-17", VF, told(), now=AT - 60_001)
put("issued_a_year_ahead", "ID-17", VF, told(AT + 365 * DAY))
for name, changes in (("life_longer_than_a_day", {"expires": AT + DAY + 1}), ("life_zero", {"expires": AT}),
                      ("life_negative", {"expires": AT - 1}), ("seq_after_issued", {"seq": AT + 1}),
                      ("seq_before_issued", {"seq": AT - 1}), ("seq_one", {"seq": 1})):
    put(name, "ID-17", "malformed", told(**changes), phase="payload")
put("iss_of_another", "ID-15", VF, told(iss=OTHER.gid))
put("root_digest_of_nothing", "ID-15", VF, told(root=b64u(sha(b"root"))))
put("root_digest_of_another_gateway", "ID-15", VF, told(root=b64u(dsse_digest(OTHER.root))))
put("root_digest_of_another_version", "ID-15", VF, told(roots=TWO, root=b64u(dsse_digest(TWO[0]))), roots=TWO)
put("root_version_of_another_digest", "ID-15", VF, told(roots=TWO, root_version=1), roots=TWO)
put("root_unknown", "ID-15", "root_unknown", told(roots=TWO))
put("root_of_a_far_version", "ID-15", "root_unknown", told(root_version=2**53 - 1))
put("signed_by_another_gateway", "ID-30", VF, told(key=OTHER.key["status"]), phase="signature")
for role in ("root", "stream", "request", "policy"):
    put(f"signed_by_{role}", "ENV-9", VF, told(key=A.key[role]), phase="signature")
put("signed_by_another_role_too", "ENV-9", VF, told(keys=[STATUS_KEY, STREAM]), phase="signature")
put("signed_by_a_former_key", "ENV-9", VF, told(roots=RENAMED), roots=RENAMED, phase="signature")
put("signed_by_a_former_key_under_its_own_root", "ENV-9", VF, told(), roots=RENAMED, phase="signature")
put("signed_by_a_later_key", "ENV-9", VF, told(key=NEW_STATUS), phase="signature")
put("another_kind", "ENV-8", VF, sign("seal", seal(AT), STREAM), phase="envelope")
late_key = Gateway(1, "https://a.example:7443")
late_key.document["keys"][STATUS_KEY.kid]["nbf"] = AT + 2000
late_key.found()
put("key_before_nbf", "ENV-13", VF, sign("status", late_key.status(at=AT), STATUS_KEY), roots=[late_key.root], phase="signature")
put("key_at_nbf", "ENV-13", "ok", sign("status", late_key.status(at=AT), STATUS_KEY), roots=[late_key.root], now=AT + 2000)
ended = Gateway(1, "https://a.example:7443")
ended.document["keys"][STATUS_KEY.kid]["exp"] = AT + 1000
ended.found()
put("key_at_exp", "ENV-13", VF, sign("status", ended.status(at=AT), STATUS_KEY), roots=[ended.root], phase="signature")
put("key_on_its_last_instant", "ENV-13", "ok", sign("status", ended.status(at=AT), STATUS_KEY), roots=[ended.root], now=AT + 999)

# Its members.
for name, changes in (("refresh_zero", {"refresh_ms": 0}), ("refresh_longer_than_the_life", {"refresh_ms": HOUR + 1}),
                      ("incarnation_begins_after_it", {"incarnation": {"n": 1, "since": AT + 1}}),
                      ("incarnation_since_before_the_epoch", {"incarnation": {"n": 1, "since": -1}}),
                      ("incarnation_zero", {"incarnation": {"n": 0, "since": NOW}}), ("root_version_zero", {"root_version": 0}),
                      ("root_with_spare_bits", {"root": spare(b64u(dsse_digest(A.root)))})):
    put(name, "ENV-19", "malformed", told(**changes), phase="payload")
put("refresh_as_long_as_the_life", "ENV-19", "ok", told(refresh_ms=HOUR))
put("incarnation_begins_with_it", "ENV-19", "ok", told(incarnation={"n": 1, "since": AT}))
put("at_its_end", "ID-16", STALE, told(), now=AT + HOUR)

# Going back.
put("older_than_one_before", "ID-18", STALE, told(AT - 1), taken(told(), AT))
put("older_by_half_an_hour", "ID-18", STALE, told(AT - HOUR // 2), taken(told(), AT))
put("older_than_the_first_of_two", "ID-18", STALE, told(AT - 1), [*taken(told(), AT), *taken(told(AT + 10), AT + 20)])
put("incarnation_goes_back", "ID-18", STALE, told(), taken(told(AT - HOUR, incarnation={"n": 2, "since": NOW})))
put("incarnation_goes_back_to_its_beginning", "ID-18", STALE, told(incarnation={"n": 2, "since": NOW + 20}), taken(
    told(AT - HOUR, incarnation={"n": 3, "since": NOW + 30})))
put("root_goes_back", "ID-18", STALE, told(roots=TWO[:1]), taken(told(AT - HOUR, roots=TWO)), roots=TWO)
put("older_though_of_a_newer_root", "ID-18", STALE, told(AT - 1, roots=TWO), [
    *taken(told(), AT), (AT + 1, {"roots": TWO[1:]})])
put("older_though_of_a_newer_incarnation", "ID-18", STALE, told(AT - 1, incarnation={"n": 2, "since": AT - 10}), taken(told(), AT))
put("twice_with_another_audit_head", "ID-19", "equivocation", told(audit={"head": b64u(sha(b"x")), "size": 0}), taken(told(), AT),
    verdict="equivocating")
put("twice_with_another_life", "ID-19", "equivocation", told(expires=AT + 2 * HOUR), taken(told(), AT), verdict="equivocating")
put("twice_with_a_revocation", "ID-19", "equivocation", told(revoked=[{
    "kid": STREAM.kid, "reason": "compromised", "since": AT}]), taken(told(), AT), verdict="equivocating")
put("twice_with_another_refresh", "ID-19", "equivocation", told(refresh_ms=60_000), taken(told(), AT), verdict="equivocating")
put("twice_with_an_earlier_incarnation", "ID-19", "equivocation", told(), taken(told(incarnation={"n": 2, "since": NOW}), AT),
    verdict="equivocating")
put("twice_of_an_earlier_root", "ID-19", "equivocation", told(roots=TWO[:1]), taken(told(roots=TWO), AT), roots=TWO, verdict="equivocating")
put("another_of_a_number_before_the_newest", "ID-18", STALE, told(refresh_ms=60_000), [*taken(told(), AT), *taken(told(AT + 10), AT + 20)])
put("twice_of_a_newer_root", "ID-19", "equivocation", told(roots=TWO), [*taken(told(), AT), (AT + 1, {"roots": TWO[1:]})],
    verdict="equivocating")

# A new status key begins a numbering of its own.
CHANGED = [*taken(told(), AT), (AT + 1, {"roots": RENAMED[1:]})]
put("older_by_a_new_key", "ID-20", "ok", told(AT - 1000, RENAMED, NEW_STATUS), CHANGED)
put("same_seq_by_a_new_key", "ID-20", "ok", told(AT, RENAMED, NEW_STATUS), CHANGED)
put("older_by_a_new_key_that_names_the_root_before", "ID-20", STALE, told(AT - 1000, RENAMED[:1], NEW_STATUS), CHANGED)
put("same_seq_by_a_new_key_that_names_the_root_before", "ID-20", "equivocation", told(
    AT, RENAMED[:1], NEW_STATUS, audit={"head": b64u(sha(b"x")), "size": 0}), CHANGED, verdict="equivocating")
put("older_twice_by_a_new_key", "ID-18", STALE, told(AT - 1000, RENAMED, NEW_STATUS), [
    *CHANGED, *taken(told(AT - 900, RENAMED, NEW_STATUS), AT + 2)])
put("incarnation_goes_back_by_a_new_key", "ID-18", STALE, told(AT + 10, RENAMED, NEW_STATUS), [
    *taken(told(incarnation={"n": 2, "since": NOW + 5}), AT), (AT + 1, {"roots": RENAMED[1:]})])
put("former_key_far_ahead_after_a_new_key", "ENV-9", VF, told(AT + 50_000), CHANGED, phase="signature")


# Revocations.
def entry(key, since=AT, reason="compromised"):
    return {"kid": key.kid, "reason": reason, "since": since}


def then(envelope, at=AT + 2000):
    return {"at": at, "kind": "seal", "envelope": envelope}


def sealed(key=STREAM, at=AT + 1500):
    return sign("seal", seal(at), key)


for reason in ("compromised", "retired", "superseded"):
    put(f"revokes_a_key_{reason}", "ID-22", "ok", told(revoked=[entry(STREAM, reason=reason)]))
    put(f"seal_by_a_key_{reason}", "ID-22", VF, told(revoked=[entry(STREAM, reason=reason)]), then=then(sealed()), phase="signature")
put("revokes_a_key_of_nobody", "ID-22", "ok", told(revoked=[entry(Key(99))]))
put("seal_by_a_key_that_is_not_revoked", "ID-22", "ok", told(revoked=[entry(Key(3))]), then=then(sealed()))
put("seal_after_no_revocation", "ID-22", "ok", told(), then=then(sealed()))
put("seal_by_a_key_revoked_from_tomorrow_on", "ID-22", VF, told(revoked=[entry(STREAM, AT + DAY)]), then=then(sealed()),
    phase="signature")
put("seal_of_before_the_revocation_shown_after_it", "ID-22", VF, told(revoked=[entry(STREAM, AT)]),
    then=then(sealed(at=AT - HOUR)), phase="signature")
put("seal_by_a_key_revoked_before_and_not_told_again", "ID-22", VF, told(), taken(told(AT - HOUR, revoked=[entry(STREAM)])),
    then=then(sealed()), phase="signature")
put("seal_by_a_key_revoked_two_statuses_ago", "ID-22", VF, told(), [
    *taken(told(AT - HOUR, revoked=[entry(STREAM)])), *taken(told(AT - 1000), AT - 500)], then=then(sealed()), phase="signature")
put("seal_by_a_revoked_key_of_a_newer_root", "ID-22", VF, told(roots=TWO, revoked=[entry(NEW_STREAM)]), roots=TWO,
    then=then(sealed(NEW_STREAM)), phase="signature")
put("revoked_before_its_root_was_known", "ID-22", VF, told(roots=TWO), [
    *taken(told(AT - HOUR, revoked=[entry(NEW_STREAM)])), (AT - 100, {"roots": TWO[1:]})], then=then(sealed(NEW_STREAM)),
    phase="signature")
put("status_key_revokes_itself", "ID-22", "ok", told(revoked=[entry(STATUS_KEY)]))
put("status_by_a_key_that_revoked_itself", "ID-22", VF, told(), taken(told(AT - HOUR, revoked=[entry(STATUS_KEY)])),
    phase="signature")
put("new_status_key_revokes_the_former", "ID-22", "ok", told(AT, RENAMED, NEW_STATUS, revoked=[entry(STATUS_KEY)]), roots=RENAMED)
ROOT_KEY = A.key["root"]
put("of_a_root_signed_by_a_revoked_root_key", "ID-22", "ok", told(roots=TWO), [
    *taken(told(AT - HOUR, revoked=[entry(ROOT_KEY)])), (AT - 100, {"roots": TWO[1:]})])
NOBODY = Key(99)
for name, code, count, at, key in (
    ("one_more_than_are_remembered", VF, 4096, AT - HOUR, NOBODY), ("one_more_than_are_remembered_of_yesterday", VF, 4096, AT - DAY + HOUR, NOBODY),
    ("as_many_as_are_remembered", "ok", 4095, AT - HOUR, NOBODY), ("one_more_where_the_others_are_old", "ok", 4096, AT - DAY - HOUR, NOBODY),
    ("a_key_of_its_root_beyond_those_that_are_remembered", "ok", 4096, AT - HOUR, STREAM),
):
    put(f"revokes_{name}", "ID-82", code, told(revoked=[entry(key)]), BEFORE, remembered={"count": count, "at": at})
TWO_KEYS = sorted([STREAM, Key(3)], key=lambda key: key.kid)
put("revocations_ascend", "ENV-19", "ok", told(revoked=[entry(key) for key in TWO_KEYS]))
put("revocations_descend", "ENV-19", "malformed", told(revoked=[entry(key) for key in TWO_KEYS[::-1]]), phase="payload")
put("revocation_twice", "ENV-19", "malformed", told(revoked=[entry(STREAM)] * 2), phase="payload")
put("revocation_twice_with_two_reasons", "ENV-19", "malformed", told(revoked=[entry(STREAM), entry(STREAM, reason="retired")]),
    phase="payload")
put("revocation_without_since", "ENV-19", "malformed", told(revoked=[edited(entry(STREAM), since=None)]), phase="payload")

# What is good afterwards.
put("seal_after_the_status_expired", "ID-21", STALE, told(), then=then(sealed(at=AT + HOUR), AT + HOUR + 1), phase="status")
put("seal_before_the_status_expires", "ID-21", "ok", told(), then=then(sealed(at=AT + HOUR - 1), AT + HOUR - 1))
put("seal_by_a_retired_key", "ENV-9", VF, told(roots=TWO), roots=TWO, then=then(sealed()), phase="signature")
put("seal_by_the_new_key", "ENV-9", "ok", told(roots=TWO), roots=TWO, then=then(sealed(NEW_STREAM)))
put("seal_by_a_key_of_a_root_that_is_not_known", "ENV-9", VF, told(), then=then(sealed(NEW_STREAM)), phase="signature")
put("seal_by_the_peer_of_the_peer", "ID-30", VF, told(), then=then(sealed(OTHER.key["stream"])), phase="signature")
put("root_before_the_lowest_that_counts", "ID-31", "root_unknown", told(), then=then(sealed()), min_root_version=2, phase="status")
put("of_a_root_before_the_lowest_that_counts", "ID-31", "ok", told(), min_root_version=2)
put("root_as_the_lowest_that_counts", "ID-31", "ok", told(roots=TWO), roots=TWO, then=then(sealed(NEW_STREAM)), min_root_version=2)
