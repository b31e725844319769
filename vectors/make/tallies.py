"""Several decisions on one question, and what they come to. CC0 1.0."""

from make.approvals import A, ALICE, AT, B, BOB, DAY, STATUS, decided, held, listed, projection, question
from make.base import Key, sign
from make.form import Folder, operator_key, scope

CAROL = Key(72)
JTI = iter(f"{at:022}" for at in range(1000))


def says(sub, asked, key=None, keys=None, shown=None, scopes=("sre-lead",), **changes):
    """A decision of somebody with a key of their own, unless it is told otherwise."""
    key = key or {"alice": ALICE, "bob": BOB, "carol": CAROL}[sub]
    shown = shown or held(key, sub=sub, keys=keys or [operator_key(key)], scopes=list(scopes))
    return decided(asked, shown, key=key, sub=sub, jti=next(JTI), **changes)


ONE, TWO, THREE = (question(quorum=quorum) for quorum in (1, 2, 3))
CASES = Folder({
    "relying": [A.root], "roots": [B.root], "status": STATUS, "request": ONE, "projections": [projection()], "kept": None, "at": AT, "now": AT,
    "decisions": [says("alice", ONE)],
})
CASES.clause, CASES.verdict = "APR-22", "approved"


def put(name, clause, verdict, decisions, request=TWO, **members):
    CASES.put(name, clause, "none" if verdict == "approved" else "count", None, verdict, request=request, decisions=decisions, **members)


put("two_people", "APR-22", "approved", [says("alice", TWO), says("bob", TWO)])
put("a_key_of_somebody_who_counted_by_another", "APR-22", "approved", [says("alice", TWO), says("alice", TWO, key=BOB), says("bob", TWO)])
put("three_people_where_two_do", "APR-22", "approved", [says("alice", TWO), says("bob", TWO), says("carol", TWO)])
put("one_person_again_and_another", "APR-22", "approved", [says("alice", TWO), says("alice", TWO), says("bob", TWO)])
put("deny_after_enough", "APR-23", "approved", [says("alice", ONE), says("bob", ONE, decision="deny")], ONE)
put("deny_that_does_not_count", "APR-23", "approved", [
    says("bob", ONE, shown=held(BOB, sub="bob", keys=[operator_key(BOB)], expires=AT - 1), decision="deny"), says("alice", ONE)], ONE)
put("nobody", "APR-22", "undecided", [], ONE)
put("one_of_two", "APR-9", "undecided", [says("alice", TWO)])
put("one_person_twice", "APR-22", "undecided", [says("alice", TWO), says("alice", TWO)])
SAME = says("alice", TWO)
put("one_decision_twice", "APR-22", "undecided", [SAME, SAME])
put("one_person_with_two_keys", "APR-22", "undecided", [says("alice", TWO), says("alice", TWO, key=BOB)])
put("two_people_with_one_key", "APR-22", "undecided", [says("alice", TWO), says("bob", TWO, key=ALICE)])
put("three_people_with_two_keys", "APR-22", "undecided", [
    says("alice", THREE), says("bob", THREE), says("carol", THREE, key=BOB)], THREE)
put("two_of_three", "APR-9", "undecided", [says("alice", THREE), says("bob", THREE)], THREE)
OWN = question(quorum=2, requester={"gateway": B.gid, "principal": "alice"})
put("one_of_two_is_the_requester", "APR-22", "undecided", [says("alice", OWN), says("bob", OWN)], OWN)
put("requester_and_two_others", "APR-22", "approved", [says("alice", OWN), says("bob", OWN), says("carol", OWN)], OWN)
ASKS = question(quorum=1, requester={"gateway": B.gid, "principal": "alice"})
put("requester_alone", "APR-22", "undecided", [says("alice", ASKS)], ASKS)
put("one_of_two_has_expired", "APR-18", "undecided", [says("alice", TWO), says("bob", TWO, exp=AT - 1)])
put("one_of_two_is_on_another_question", "APR-17", "undecided", [says("alice", TWO), says("bob", ONE)])
put("one_of_two_by_a_revoked_key", "APR-12", "undecided", [says("alice", TWO), says("bob", TWO)], status=sign("status", B.status(
    at=AT - 1000, revoked=[{"kid": BOB.kid, "reason": "compromised", "since": AT - DAY}]), B.key["status"]))
put("one_of_two_holds_another_scope", "APR-12", "undecided", [says("alice", TWO), says("bob", TWO, scopes=["dba"])])
put("deny_first", "APR-23", "denied", [says("alice", ONE, decision="deny"), says("bob", ONE)], ONE)
put("deny_alone", "APR-23", "denied", [says("alice", ONE, decision="deny")], ONE)
put("deny_before_enough", "APR-23", "denied", [says("alice", TWO), says("bob", TWO, decision="deny"), says("carol", TWO)])
put("deny_of_the_requester", "APR-22", "approved", [says("alice", ASKS, decision="deny"), says("bob", ASKS)], ASKS)

# How many are needed (APR-9).
PAIR = {"projections": [projection(constraints={"min_signers": 2})]}
put("one_where_the_projection_needs_two", "APR-9", "undecided", [says("alice", ONE)], ONE, **PAIR)
put("two_where_the_projection_needs_two", "APR-9", "approved", [says("alice", ONE), says("bob", ONE)], ONE, **PAIR)
STRICT = scope(assurance={"methods": ["file", "ssh"], "min_signers": 2})
LISTED = listed(scopes=[STRICT])
put("one_where_the_catalog_needs_two", "APR-9", "undecided", [says("alice", ONE, listing=LISTED)], ONE, projections=[projection(STRICT)])
put("two_where_the_catalog_needs_two", "APR-9", "approved", [says("alice", ONE, listing=LISTED), says("bob", ONE, listing=LISTED)], ONE,
    projections=[projection(STRICT)])
put("two_where_the_catalog_needs_two_and_the_request_three", "APR-9", "undecided", [
    says("alice", THREE, listing=LISTED), says("bob", THREE, listing=LISTED)], THREE, projections=[projection(STRICT)])
EITHER = question(quorum=1, scopes=["dba", "sre-lead"])
DBA = scope("dba", assurance=STRICT["assurance"])
BOTH = listed(scopes=[DBA, scope()])
WAYS = {"projections": [projection(DBA, remote_scope="dba"), projection()]}
put("one_by_the_way_that_needs_one", "APR-9", "approved", [says("alice", EITHER, listing=BOTH)], EITHER, **WAYS)
put("one_by_the_way_that_needs_two", "APR-9", "undecided", [
    says("alice", EITHER, scopes=["dba"], scope="dba", listing=BOTH)], EITHER, **WAYS)
put("two_by_both_ways", "APR-9", "approved", [
    says("alice", EITHER, scopes=["dba"], scope="dba", listing=BOTH), says("bob", EITHER, listing=BOTH)], EITHER, **WAYS)
# Ways that need more than the request does.
HARD = {"projections": [projection(scope("dba"), remote_scope="dba", constraints={"min_signers": 3}), projection()]}
EASY = listed(scopes=[scope("dba"), scope()])


def by_dba(sub, **changes):
    return says(sub, EITHER, scopes=["dba"], scope="dba", listing=EASY, **changes)


def by_lead(sub, listing=EASY, **changes):
    return says(sub, EITHER, listing=listing, **changes)


put("one_by_the_way_that_needs_three_then_one_by_the_way_that_needs_one", "APR-9", "undecided", [by_dba("alice"), by_lead("bob")], EITHER, **HARD)
put("one_by_the_way_that_needs_three_then_two_by_the_way_that_needs_one", "APR-9", "approved", [
    by_dba("alice"), by_lead("bob"), by_lead("carol")], EITHER, **HARD)
put("one_by_the_way_that_needs_one_then_one_by_the_way_that_needs_three", "APR-9", "approved", [by_lead("alice"), by_dba("bob")], EITHER, **HARD)
put("deny_by_the_way_that_needs_three", "APR-23", "denied", [by_dba("alice", decision="deny"), by_lead("bob")], EITHER, **HARD)

# The catalog of a decision that was counted is the one that is kept (APR-4).
LATER = listed(version=8)
put("catalog_older_than_that_of_the_decision_before", "APR-4", "undecided", [says("alice", TWO, listing=LATER), says("bob", TWO)])
put("catalog_newer_than_that_of_the_decision_before", "APR-4", "approved", [says("alice", TWO), says("bob", TWO, listing=LATER)])
put("catalog_of_one_version_with_other_bytes_than_before", "APR-4", "undecided", [
    says("alice", TWO), says("bob", TWO, listing=listed(expires=AT + 1000))])
put("catalog_older_than_that_of_a_decision_that_was_refused", "APR-4", "approved", [
    says("bob", ONE, listing=LATER, exp=AT - 1), says("alice", ONE)], ONE)
put("catalog_older_than_that_of_a_decision_that_added_nothing", "APR-4", "approved", [
    says("alice", TWO), says("alice", TWO, listing=LATER), says("bob", TWO)])
put("catalog_of_another_entry_with_a_decision_that_is_refused", "APR-7", "approved", [
    says("alice", TWO), says("carol", TWO, listing=listed(version=8, scopes=[scope(description="Other words.")])), says("bob", TWO)])
TWO_WAYS = question(quorum=2, scopes=["dba", "sre-lead"])
GONE = {"projections": [projection(scope("dba"), remote_scope="dba"), projection()]}
put("scope_of_the_decision_before_is_gone_from_a_newer_catalog", "APR-7", "undecided", [
    says("alice", TWO_WAYS, scopes=["dba"], scope="dba", listing=EASY), says("bob", TWO_WAYS, listing=LATER)], TWO_WAYS, **GONE)
put("scope_of_the_decision_before_is_in_a_newer_catalog", "APR-7", "approved", [
    says("alice", TWO_WAYS, scopes=["dba"], scope="dba", listing=EASY),
    says("bob", TWO_WAYS, listing=listed(version=8, scopes=[scope("dba"), scope()]))], TWO_WAYS, **GONE)

# What comes when the request has ended, and what cannot be read (APR-25, APR-52).
LATE = question(quorum=1, expires=AT)
put("request_ends_now", "APR-25", "denied", [says("alice", LATE)], LATE)
put("request_ended_before_anybody_decided", "APR-25", "denied", [], LATE)
BROKEN = says("bob", TWO)
del BROKEN["credential"]
put("one_of_two_has_no_credential", "APR-52", "undecided", [says("alice", TWO), BROKEN])
put("one_of_three_has_no_credential", "APR-52", "approved", [says("alice", TWO), BROKEN, says("carol", TWO)])
