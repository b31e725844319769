//! The record of an approval: who wrote it is not believed, and whoever reads it needs nothing else.

use landbridge_proto::machine::approval_record::{Outcome, Record, verify};
use landbridge_proto::trust::federation::FederationDraft;
use landbridge_proto::wire::approval::{KeyMethod, Vote};
use landbridge_proto::wire::approval_record::{Line, Standing};
use landbridge_proto::wire::document::{PeerStatus, Revocation, RevocationReason};
use landbridge_proto::wire::kind::{Kind, Role};

use super::key::Key;
use super::scene::{AT, MINUTE_MS, Scene, operator, text};
use crate::gateway::{Gateway, HOUR_MS, NOW};

fn people() -> [Scene; 2] {
    let mut alice = Scene::new(Key::new(KeyMethod::Webauthn, 204));
    alice.request.quorum = 2;
    let mut bob = alice.by("bob", Key::new(KeyMethod::SshSk, 203), 2);
    bob.now = AT.plus_ms(MINUTE_MS);
    [alice, bob]
}

fn record() -> Record {
    let [alice, bob] = people();
    Scene::record(&[&alice, &bob])
}

fn outcome(record: &Record, verdict: Standing) -> Outcome {
    let pin = Gateway::new(21).id();
    verify(&text(&Scene::lines(record, verdict)), &pin).outcome
}

#[track_caller]
fn not_proven(record: &Record) -> (Option<&'static str>, String) {
    match outcome(record, Standing::Approved) {
        Outcome::NotProven { what, reason, .. } => (reason, what),
        other => panic!("{other:?}"),
    }
}

//= APR-36
//= APR-37
#[test]
fn a_record_says_who_approved_what() {
    let written = record().write().unwrap();
    assert_eq!(written.as_bytes(), text(&Scene::lines(&record(), Standing::Approved)));
    let report = verify(written.as_bytes(), &Gateway::new(21).id());
    assert_eq!((&report.outcome, report.exit_code()), (&Outcome::Approved, 0));
    let summary = report.summary;
    assert_eq!((summary.have, summary.need), (2, 2));
    assert_eq!(summary.warnings, Vec::<String>::new());
    let who: Vec<_> = summary.decisions.iter().map(|one| (&one.sub, one.method, one.at)).collect();
    let (alice, bob) = (operator("alice"), operator("bob"));
    let later = AT.plus_ms(MINUTE_MS);
    assert_eq!(who, [(&alice, KeyMethod::Webauthn, AT), (&bob, KeyMethod::SshSk, later)]);
    assert!(summary.decisions.iter().all(|one| one.counted && one.vote == Vote::Approve));
    assert_eq!(summary.subject.unwrap().kind.as_str(), "exec");
}

//= APR-37
#[test]
fn every_end_has_its_exit_code() {
    let [mut alice, bob] = people();
    let pin = Gateway::new(21).id();
    let open = Scene::record(&[&alice]).write().unwrap();
    let report = verify(open.as_bytes(), &pin);
    assert_eq!((report.outcome.clone(), report.exit_code()), (Outcome::Undecided, 5));
    alice.approval.decision = Vote::Deny;
    let denied = Scene::record(&[&alice, &bob]).write().unwrap();
    let report = verify(denied.as_bytes(), &pin);
    assert_eq!((report.outcome.clone(), report.exit_code()), (Outcome::Denied, 5));
    assert_eq!(report.summary.decisions.len(), 2);
    assert!(!report.summary.decisions[1].counted, "what comes after the end adds nothing");
    let another = verify(denied.as_bytes(), &Gateway::new(99).id());
    assert_eq!(another.outcome, Outcome::NotThePinnedSigner { found: pin.clone() });
    assert_eq!(another.exit_code(), 3);
    let unreadable = verify(b"{}\n", &pin);
    assert_eq!(unreadable.exit_code(), 4);
    assert_eq!(verify(b"", &pin).exit_code(), 4);
    let short = denied.lines().count() - 1;
    let cut: String = denied.split_inclusive('\n').take(short).collect();
    let cut = verify(cut.as_bytes(), &pin);
    assert_eq!((cut.exit_code(), matches!(cut.outcome, Outcome::NotProven { .. })), (2, true));
}

/// A verdict is compared, never believed.
//= APR-37
#[test]
fn a_verdict_that_the_decisions_do_not_come_to_is_a_lie() {
    let [mut alice, _] = people();
    let few = Scene::record(&[&alice]);
    assert_eq!(not_proven(&few).0, None);
    let twice = alice.by("alice", Key::new(KeyMethod::File, 201), 2);
    assert!(not_proven(&Scene::record(&[&alice, &twice])).1.contains("come to undecided"));
    alice.approval.decision = Vote::Deny;
    assert!(not_proven(&Scene::record(&[&alice])).1.contains("come to denied"));
    assert!(matches!(outcome(&record(), Standing::Denied), Outcome::NotProven { .. }));
}

//= APR-38
#[test]
fn policy_question_and_subject_must_be_the_relying_gateways_and_one() {
    let [alice, bob] = people();
    let mut changed = record();
    changed.subject.push(' ');
    assert!(not_proven(&changed).1.contains("subject"));
    let document = || {
        let mut draft = FederationDraft::first(alice.relying.id());
        draft.put_peer(alice.peer(PeerStatus::Active));
        draft.finish(NOW.plus_ms(HOUR_MS)).unwrap()
    };
    let mut forged = record();
    forged.federation = vec![alice.deciding.sign(Kind::Federation, Role::Policy, &document())];
    assert!(not_proven(&forged).1.contains("federation document"));
    let mut twice = record();
    twice.federation.push(twice.federation[0].clone());
    assert!(not_proven(&twice).1.contains("version"));
    let mut asked = record();
    asked.asked[0].request =
        alice.deciding.sign(Kind::ApprovalRequest, Role::Request, &alice.request);
    assert!(not_proven(&asked).1.contains("approval request"));
    let mut other = record();
    other.id = "apr-bbbbbbbbbbbbbbbbbbbbbbbbbb".to_owned().try_into().unwrap();
    assert!(not_proven(&other).1.contains("id"));
    // Two questions in one record are about one thing.
    let mut two = Scene::record(&[&alice, &bob]);
    let mut second = two.asked[0].clone();
    let mut request = alice.request.clone();
    request.quorum = 1;
    second.request = alice.relying.sign(Kind::ApprovalRequest, Role::Request, &request);
    second.decisions.clear();
    two.asked.push(second);
    assert!(not_proven(&two).1.contains("quorum"));
}

//= APR-39
#[test]
fn a_decision_is_judged_by_what_was_known_and_trusted_then() {
    let [alice, bob] = people();
    for status in [PeerStatus::Suspended, PeerStatus::Revoked] {
        let mut suspended = record();
        suspended.federation = vec![alice.federation(status)];
        assert!(not_proven(&suspended).1.contains("no active peer"));
    }
    let mut early = alice.clone();
    early.now = NOW;
    let (reason, what) = not_proven(&Scene::record(&[&early]));
    assert_eq!((reason, what.contains("no federation document")), (None, true), "{what}");
    let mut revoked = alice.clone();
    revoked.revoke(alice.key.kid());
    assert_eq!(not_proven(&Scene::record(&[&revoked, &bob])).0, Some("key_revoked"));
    // A projection that was taken away later was there at the time; one taken away before was not.
    let document = |issued| {
        let mut draft = FederationDraft::first(alice.relying.id()).numbered(2);
        let mut peer = alice.peer(PeerStatus::Active);
        peer.projections.clear();
        draft.put_peer(peer);
        let document = draft.finish(issued).unwrap();
        alice.relying.sign(Kind::Federation, Role::Policy, &document)
    };
    let mut later = record();
    later.federation.push(document(AT.plus_ms(2 * MINUTE_MS)));
    assert_eq!(outcome(&later, Standing::Approved), Outcome::Approved);
    let mut before = record();
    before.federation.push(document(AT));
    assert_eq!(not_proven(&before).0, Some("unmapped"));
}

/// Keys that changed, and a revocation that came after the decision.
//= APR-39
#[test]
fn later_roots_and_statuses_do_not_undo_a_decision_and_are_told() {
    let [alice, bob] = people();
    let rotated = alice.deciding.rotated(Role::OperatorCa, AT.plus_ms(HOUR_MS));
    let mut later = record();
    later.asked[0].told.roots = rotated.roots.clone();
    let revoked = Revocation {
        kid: alice.key.kid(),
        reason: RevocationReason::Compromised,
        since: AT.plus_ms(-2 * HOUR_MS),
    };
    later.asked[0].told.statuses.push(rotated.status_revoking(AT.plus_ms(HOUR_MS), vec![revoked]));
    let written = later.write().unwrap();
    let report = verify(written.as_bytes(), &Gateway::new(21).id());
    assert_eq!(report.outcome, Outcome::Approved);
    assert!(report.summary.warnings.iter().any(|text| text.contains("was revoked")));
    // Signed under the new root before that root began.
    let mut new = bob.clone();
    new.deciding = rotated;
    let mut early = Scene::record(&[&new]);
    early.asked[0].told = later.asked[0].told.clone();
    assert_eq!(not_proven(&early).0, Some("credential_unverified"));
    // Without a status nobody can say whether it was fresh; that is told.
    let mut silent = record();
    silent.asked[0].told.statuses.clear();
    let report = verify(silent.write().unwrap().as_bytes(), &Gateway::new(21).id());
    assert_eq!(report.outcome, Outcome::Approved);
    assert!(report.summary.warnings.iter().any(|text| text.contains("fresh")));
}

/// Operators of two gateways, who were asked the same.
#[test]
fn decisions_of_several_gateways_count_together() {
    let [alice, _] = people();
    let mut carol = alice.by("carol", Key::new(KeyMethod::Ssh, 202), 3);
    carol.deciding = Gateway::deciding(61);
    let gateway = carol.deciding.id();
    carol.request.aud = gateway.clone();
    carol.catalog.iss = gateway.clone();
    carol.credential.iss = gateway.clone();
    carol.approval.iss = gateway;
    let mut both = Scene::record(&[&alice]);
    both.asked.extend(Scene::record(&[&carol]).asked);
    let mut draft = FederationDraft::first(alice.relying.id());
    draft.put_peer(alice.peer(PeerStatus::Active));
    let mut second = carol.peer(PeerStatus::Active);
    second.alias = "us".to_owned().try_into().unwrap();
    draft.put_peer(second);
    let document = draft.finish(NOW.plus_ms(HOUR_MS)).unwrap();
    both.federation = vec![alice.relying.sign(Kind::Federation, Role::Policy, &document)];
    let report = verify(both.write().unwrap().as_bytes(), &Gateway::new(21).id());
    assert_eq!(report.outcome, Outcome::Approved, "{:?}", report.summary);
    let gateways: Vec<_> = report.summary.decisions.iter().map(|one| &one.gateway).collect();
    assert_eq!(gateways, [&alice.deciding.id(), &carol.deciding.id()]);
}

#[test]
fn no_changed_byte_and_no_missing_line_leaves_it_approved() {
    let lines = Scene::lines(&record(), Standing::Approved);
    let pin = Gateway::new(21).id();
    let whole = text(&lines);
    // When a decision was taken is the relying gateway's word; what it may be, other bytes say.
    let is_at = |at: usize| {
        let end = whole[at..].iter().position(|&byte| byte == b'\n').unwrap() + at;
        let begin = whole[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |one| one + 1);
        whole[begin..end].starts_with(b"{\"at\":") && at < begin + 20
    };
    for at in (0..whole.len()).step_by(37).filter(|&at| !is_at(at)) {
        let mut bad = whole.clone();
        bad[at] ^= 1;
        assert_ne!(verify(&bad, &pin).outcome, Outcome::Approved, "byte {at}");
    }
    for at in 0..lines.len() {
        // Statuses may be missing: that is told, and breaks nothing.
        if matches!(lines[at], Line::Status { .. }) {
            continue;
        }
        let mut fewer = lines.clone();
        fewer.remove(at);
        assert_ne!(verify(&text(&fewer), &pin).outcome, Outcome::Approved, "line {at}");
        let mut twice = lines.clone();
        twice.insert(at, lines[at].clone());
        // A decision that stands there twice counts once.
        if !matches!(lines[at], Line::Decision { .. }) {
            assert_ne!(verify(&text(&twice), &pin).outcome, Outcome::Approved, "line {at} twice");
        }
    }
}

#[test]
fn nothing_is_written_that_would_not_convince() {
    let [mut alice, _] = people();
    alice.key.forged = true;
    let refused = Scene::record(&[&alice]).write().unwrap_err();
    assert!(refused.to_string().contains("does not count"), "{refused}");
    let mut empty = record();
    empty.relying.roots.clear();
    assert!(empty.write().is_err());
}
