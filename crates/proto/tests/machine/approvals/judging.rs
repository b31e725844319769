//! One clause after the other: what counts, and what does not when one thing is wrong.

use landbridge_proto::trust::approval::{
    BadProof, Ballot, Counted, Standing, Tally, Uncounted, check_ask, check_catalog, check_vote,
    sign_file,
};
use landbridge_proto::trust::key::SecretKey;
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::signer::KeySigner;
use landbridge_proto::trust::verified::VerifyError;
use landbridge_proto::wire::approval::{
    Approval, ApprovalRequest, Binding, KeyMethod, OperatorCredential, Vote,
};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::kind::{Role, SignedBy};
use landbridge_proto::wire::name::SubjectKind;
use landbridge_proto::wire::problem::Code;
use zeroize::Zeroizing;

use super::key::Key;
use super::scene::{AT, MINUTE_MS, Scene, jti, operator, scope, tenant};
use crate::gateway::{Gateway, HOUR_MS};

fn scene() -> Scene {
    Scene::new(Key::new(KeyMethod::File, 201))
}

/// What is said of the scene when one thing of it is changed.
#[track_caller]
fn refused(change: impl FnOnce(&mut Scene)) -> Uncounted {
    let mut changed = scene();
    change(&mut changed);
    let fault = changed.judge().unwrap_err();
    assert_eq!(fault.code(), Code::ApprovalRefused);
    fault
}

#[test]
fn a_decision_with_each_kind_of_key_counts() {
    for (method, seed) in [
        (KeyMethod::File, 201),
        (KeyMethod::Ssh, 202),
        (KeyMethod::SshSk, 203),
        (KeyMethod::Webauthn, 204),
        (KeyMethod::Webauthn, 205),
    ] {
        let scene = Scene::new(Key::new(method, seed));
        let judged = scene.judge().unwrap();
        assert_eq!((judged.sub(), judged.vote()), (&operator("alice"), Vote::Approve));
        assert_eq!((judged.method(), judged.kid()), (method, &scene.key.kid()));
        assert_eq!((judged.needed(), judged.scope()), (1, &scope("sre-lead")));
        assert_eq!(judged.digest(), scene.signed().digest());
        assert_eq!(judged.gateway(), &scene.deciding.id());
    }
}

/// Attack 88: a catalog of somebody else, one that went back, one that says two things.
//= APR-4
#[test]
fn a_catalog_of_another_or_of_before_is_refused() {
    let other = refused(|scene| scene.catalog.iss = scene.relying.id());
    assert!(matches!(other, Uncounted::CatalogOfAnother { .. }));
    let other = refused(|scene| scene.catalog.tenant = tenant("acme-us"));
    assert!(matches!(other, Uncounted::CatalogOfAnother { .. }));
    let back = refused(|scene| scene.kept = Some((8, Digest::of(b"", &[]))));
    assert_eq!(back, Uncounted::CatalogWentBack { have: 8, found: 7 });
    let twice = refused(|scene| scene.kept = Some((7, Digest::of(b"", &[]))));
    assert!(matches!(twice, Uncounted::CatalogEquivocated { version: 7, .. }));
    let role = refused(|scene| scene.catalog_role = Role::OperatorCa);
    assert!(matches!(role, Uncounted::CatalogUnverified(_)));
    // Their twins: the same again, and a newer one.
    let mut again = scene();
    again.kept = Some((7, again.catalog_envelope().digest()));
    assert!(again.judge().is_ok());
    again.catalog.version = 8;
    assert_eq!(again.judge().unwrap().catalog().value().version, 8);
}

//= APR-4
#[test]
fn a_fetched_catalog_is_held_to_the_same() {
    let scene = scene();
    let (view, envelope) = (scene.view(), scene.catalog_envelope());
    let check = |tenant, kept| check_catalog(&view, &tenant, kept, &envelope, AT).map(|_| ());
    assert_eq!(check(tenant("acme-eu"), None), Ok(()));
    assert_eq!(check(tenant("acme-eu"), Some((7, envelope.digest()))), Ok(()));
    let went_back = Err(Uncounted::CatalogWentBack { have: 8, found: 7 });
    assert_eq!(check(tenant("acme-eu"), Some((8, envelope.digest()))), went_back);
    assert!(check(tenant("acme-us"), None).is_err());
}

/// Attack 88: scopes that nobody mapped, and maps that would have to be stretched.
//= APR-6
#[test]
fn only_a_projection_for_exactly_these_scopes_and_tenants_counts() {
    let unmapped = |change: fn(&mut Scene)| {
        assert!(matches!(refused(change), Uncounted::Unmapped { .. }));
    };
    unmapped(|scene| scene.projections.clear());
    unmapped(|scene| scene.projections[0].local = tenant("acme-eu"));
    unmapped(|scene| scene.projections[0].remote = tenant("ops"));
    unmapped(|scene| scene.projections[0].local_scope = scope("sre-lead"));
    unmapped(|scene| scene.projections[0].remote_scope = scope("prod-change"));
    // Names that only look alike, and a chain over a scope in between.
    unmapped(|scene| scene.projections[0].remote_scope = scope("sre-lead2"));
    unmapped(|scene| {
        let mut second = scene.projections[0].clone();
        scene.projections[0].local_scope = scope("between");
        second.remote_scope = scope("between");
        scene.projections.push(second);
    });
}

/// Attack 88: words that changed after somebody mapped them.
//= APR-7
#[test]
fn a_changed_entry_or_an_expired_catalog_suspends_the_projection() {
    let changed = refused(|scene| scene.catalog.scopes[0].description.push('!'));
    assert!(matches!(changed, Uncounted::EntryChanged { .. }));
    let weaker = refused(|scene| {
        scene.put_scope(|scope| scope.assurance.min_signers = 2);
        scene.catalog.scopes[0].assurance.min_signers = 1;
    });
    assert!(matches!(weaker, Uncounted::EntryChanged { .. }));
    let gone = refused(|scene| scene.catalog.scopes[0].name = scope("sre-lead-2"));
    assert_eq!(gone, Uncounted::ScopeGone { scope: scope("sre-lead") });
    let expired = refused(|scene| scene.catalog.expires = AT);
    assert_eq!(expired, Uncounted::CatalogExpired { expires: AT });
    let early = refused(|scene| scene.catalog.issued = AT.plus_ms(MINUTE_MS + 1));
    assert!(matches!(early, Uncounted::CatalogExpired { .. }));
}

/// Attack 88: a projection that ended.
//= APR-8
#[test]
fn a_projection_counts_in_its_time_and_within_its_constraints() {
    let ended = refused(|scene| scene.projections[0].exp = AT);
    assert!(matches!(ended, Uncounted::ProjectionNotNow { .. }));
    let early = refused(|scene| scene.projections[0].nbf = AT.plus_ms(1));
    assert!(matches!(early, Uncounted::ProjectionNotNow { .. }));
    let tool = || SubjectKind::new("tool").unwrap();
    let kind = refused(|scene| scene.request.subject.kind = tool());
    assert_eq!(kind, Uncounted::KindNotAllowed);
    let observed = refused(|scene| scene.request.subject.binding = Binding::Observed);
    assert_eq!(observed, Uncounted::ObservedNotAllowed);
    let method = refused(|scene| {
        scene.projections[0].constraints.methods = [KeyMethod::SshSk].into();
    });
    assert_eq!(method, Uncounted::MethodNotAllowed);
    let long = refused(|scene| scene.approval.exp = AT.plus_ms(9 * MINUTE_MS + 1));
    let (life_ms, max_ms) = (10 * MINUTE_MS + 1, 10 * MINUTE_MS);
    assert_eq!(long, Uncounted::LivesTooLong { life_ms, max_ms });
    let mut observed = scene();
    observed.request.subject.binding = Binding::Observed;
    observed.projections[0].constraints.observed = true;
    assert!(observed.judge().is_ok());
}

//= APR-40
#[test]
fn a_kind_of_key_that_the_catalog_does_not_assure_does_not_count() {
    let method = refused(|scene| {
        scene.put_scope(|scope| scope.assurance.methods = [KeyMethod::Webauthn].into());
    });
    assert_eq!(method, Uncounted::MethodNotAssured { scope: scope("sre-lead") });
}

//= APR-9
#[test]
fn the_largest_number_of_people_that_anything_asks_for_is_needed() {
    let needed = |change: fn(&mut Scene)| {
        let mut scene = scene();
        change(&mut scene);
        scene.judge().unwrap().needed()
    };
    assert_eq!(needed(|_| {}), 1);
    assert_eq!(needed(|scene| scene.request.quorum = 3), 3);
    assert_eq!(needed(|scene| scene.projections[0].constraints.min_signers = 4), 4);
    assert_eq!(needed(|scene| scene.put_scope(|scope| scope.assurance.min_signers = 5)), 5);
}

/// Attack 89: a credential that is not the deciding gateway's, not the operator's, or not good now.
//= APR-11
#[test]
fn only_the_operators_own_present_credential_counts() {
    let role = refused(|scene| scene.credential_role = Role::Catalog);
    assert!(matches!(role, Uncounted::CredentialUnverified(_)));
    let expired = refused(|scene| scene.credential.expires = AT);
    assert!(matches!(expired, Uncounted::CredentialNotNow { .. }));
    let early = refused(|scene| scene.credential.issued = AT.plus_ms(MINUTE_MS + 1));
    assert!(matches!(early, Uncounted::CredentialNotNow { .. }));
    let long = refused(|scene| scene.credential.issued = AT.plus_ms(-23 * HOUR_MS - 1));
    let long =
        matches!(long, Uncounted::CredentialUnverified(VerifyError::SignedMalformedPayload { .. }));
    assert!(long);
    let of_another = |change: fn(&mut Scene)| match refused(change) {
        Uncounted::CredentialOfAnother { what } => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(of_another(|scene| scene.credential.iss = scene.relying.id()), "iss");
    assert_eq!(of_another(|scene| scene.credential.tenant = tenant("acme-us")), "tenant");
    assert_eq!(of_another(|scene| scene.credential.sub = operator("bob")), "sub");
    assert_eq!(
        of_another(|scene| {
            scene.unbound = true;
            scene.approval.request = scene.request_envelope().digest();
        }),
        "credential"
    );
}

/// Attack 89: a scope that the operator does not hold, a key that is not theirs, a key that was stolen.
//= APR-12
#[test]
fn scope_and_key_must_be_the_operators_and_not_revoked() {
    let held = refused(|scene| scene.credential.scopes = [scope("other")].into());
    assert!(matches!(held, Uncounted::ScopeNotHeld { .. }));
    let listed =
        refused(|scene| scene.credential.keys = vec![Key::new(KeyMethod::File, 210).listed()]);
    assert!(matches!(listed, Uncounted::KeyNotListed { .. }));
    let revoked = refused(|scene| scene.revoke(scene.key.kid()));
    assert_eq!(revoked, Uncounted::KeyRevoked { kid: scene().key.kid() });
    let mut other = scene();
    other.revoke(Key::new(KeyMethod::File, 210).kid());
    assert!(other.judge().is_ok());
}

/// Attack 89: an approval of something else, for somebody else.
//= APR-17
#[test]
fn an_approval_counts_for_exactly_its_question() {
    let of_another = |change: fn(&mut Scene)| match refused(change) {
        Uncounted::OfAnother { what } => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(of_another(|scene| scene.approval.iss = scene.relying.id()), "iss");
    assert_eq!(of_another(|scene| scene.approval.aud = scene.deciding.id()), "aud");
    assert_eq!(of_another(|scene| scene.approval.tenant.relying = tenant("ops2")), "tenant");
    assert_eq!(of_another(|scene| scene.approval.tenant.deciding = tenant("acme")), "tenant");
    assert_eq!(
        of_another(|scene| {
            scene.unbound = true;
            scene.approval.credential = scene.credential_envelope().digest();
        }),
        "request"
    );
    let subject = refused(|scene| scene.approval.subject = Digest::of(b"other", &[]));
    assert_eq!(subject, Uncounted::OtherSubject);
    let asked = refused(|scene| scene.request.scopes = [scope("another")].into());
    assert_eq!(asked, Uncounted::ScopeNotAsked { scope: scope("sre-lead") });
}

/// Attack 89: an approval that expired, or that was there before anybody asked.
//= APR-18
#[test]
fn an_approval_counts_in_its_life_and_after_its_question() {
    let not_now = |change: fn(&mut Scene)| {
        assert!(matches!(refused(change), Uncounted::NotNow { .. }));
    };
    not_now(|scene| scene.approval.exp = AT);
    not_now(|scene| {
        scene.approval.iat = AT.plus_ms(MINUTE_MS + 1);
    });
    let before = refused(|scene| scene.request.issued = AT.plus_ms(1));
    assert_eq!(before, Uncounted::BeforeQuestion);
    let before = refused(|scene| scene.credential.issued = AT.plus_ms(1));
    assert_eq!(before, Uncounted::BeforeCredential);
    let long = refused(|scene| {
        scene.approval.exp = scene.approval.iat.plus_ms(24 * HOUR_MS + 1);
        scene.projections[0].constraints.max_ttl_ms = 24 * HOUR_MS;
    });
    assert!(matches!(long, Uncounted::Malformed(_)), "{long:?}");
    // What two clocks may differ by is no lie.
    let mut close = scene();
    close.request.issued = AT;
    assert!(close.judge().is_ok());
}

//= APR-19
#[test]
fn a_forged_signature_of_a_file_key_is_refused() {
    let forged = refused(|scene| scene.key.forged = true);
    assert_eq!(forged, Uncounted::BadProof(BadProof::Forged));
}

/// Attack 90: the kind of the key decides how a signature is checked, and nothing in the message.
//= APR-19
//= APR-20
//= APR-21
#[test]
fn a_proof_of_another_kind_than_its_key_is_refused() {
    // One key in two kinds: an honest signature of the one, under a credential with the other.
    for method in KeyMethod::ALL {
        for other in KeyMethod::ALL {
            let mut scene = Scene::new(Key::new(method, 207));
            scene.credential.keys = vec![Key::new(other, 207).listed()];
            let found = scene.judge().map(|_| ());
            let expected =
                Uncounted::BadProof(BadProof::AnotherKind { expected: other, found: method });
            assert_eq!(found, if method == other { Ok(()) } else { Err(expected) });
        }
    }
}

//= APR-25
#[test]
fn nothing_counts_from_the_questions_end_on() {
    let mut late = scene();
    late.request.expires = AT;
    let fault = late.judge().unwrap_err();
    assert_eq!(fault, Uncounted::TooLate { expires: AT });
    assert_eq!(fault.code(), Code::AlreadyResolved);
    late.request.expires = AT.plus_ms(1);
    assert!(late.judge().is_ok());
}

#[test]
fn nothing_counts_of_a_gateway_that_is_not_fresh() {
    let mut stale = scene();
    stale.now = AT.plus_ms(HOUR_MS);
    stale.request.expires = AT.plus_ms(2 * HOUR_MS);
    assert!(matches!(stale.judge(), Err(Uncounted::NotFresh(VerifyError::StatusStale { .. }))));
}

/// Attack 89: the person on whose behalf it happens.
//= APR-22
#[test]
fn the_requester_never_counts() {
    let own = refused(|scene| scene.request.requester.principal = "alice".to_owned());
    assert_eq!(own, Uncounted::ByRequester { sub: operator("alice") });
    let deny = refused(|scene| {
        scene.request.requester.principal = "alice".to_owned();
        scene.approval.decision = Vote::Deny;
    });
    assert_eq!(deny, Uncounted::ByRequester { sub: operator("alice") });
    // A person of that name elsewhere is somebody else.
    let mut other = scene();
    other.request.requester.principal = "alice".to_owned();
    other.request.requester.gateway = other.relying.id();
    assert!(other.judge().is_ok());
}

fn two() -> (Scene, Tally) {
    let mut scene = scene();
    scene.request.quorum = 2;
    let tally = Tally::new(&ApprovalRequest::try_from(scene.request.clone()).unwrap());
    (scene, tally)
}

/// Attacks 89 and 101: one person twice, with two keys, on two consoles; one key for two people.
//= APR-22
#[test]
fn people_and_keys_count_once() {
    let (alice, mut tally) = two();
    assert_eq!(tally.standing(), Standing::Open { have: 0, need: 2 });
    assert_eq!(tally.count(&alice.judge().unwrap()), Counted::Added);
    assert_eq!(tally.count(&alice.judge().unwrap()), Counted::AddsNothing);
    let second_console = alice.by("alice", Key::new(KeyMethod::Webauthn, 206), 2);
    assert_eq!(tally.count(&second_console.judge().unwrap()), Counted::AddsNothing);
    let same_key = alice.by("bob", Key::new(KeyMethod::File, 201), 3);
    assert_eq!(tally.count(&same_key.judge().unwrap()), Counted::AddsNothing);
    assert_eq!(tally.standing(), Standing::Open { have: 1, need: 2 });
    let bob = alice.by("bob", Key::new(KeyMethod::Ssh, 202), 4);
    assert_eq!(tally.count(&bob.judge().unwrap()), Counted::Added);
    assert_eq!(tally.standing(), Standing::Approved);
}

/// The same seed as a file and as an SSH key is one key: its id comes from algorithm and bytes.
//= APR-22
#[test]
fn a_key_in_two_kinds_is_one_key() {
    let (alice, mut tally) = two();
    assert_eq!(tally.count(&alice.judge().unwrap()), Counted::Added);
    let same = alice.by("bob", Key::new(KeyMethod::Ssh, 201), 2);
    assert_eq!(tally.count(&same.judge().unwrap()), Counted::AddsNothing);
}

/// Attack 89: a deny that is counted as an approval. Attack 101: a deny that comes too late.
//= APR-23
#[test]
fn one_deny_ends_it_unless_enough_approved_before() {
    let (alice, mut tally) = two();
    let mut bob = alice.by("bob", Key::new(KeyMethod::Ssh, 202), 2);
    bob.approval.decision = Vote::Deny;
    let carol = alice.by("carol", Key::new(KeyMethod::SshSk, 203), 3);
    tally.count(&alice.judge().unwrap());
    assert_eq!(tally.count(&bob.judge().unwrap()), Counted::Added);
    assert_eq!(tally.standing(), Standing::Denied);
    assert_eq!(tally.count(&carol.judge().unwrap()), Counted::AddsNothing);
    assert_eq!(tally.standing(), Standing::Denied);

    let (_, mut tally) = two();
    tally.count(&alice.judge().unwrap());
    tally.count(&carol.judge().unwrap());
    assert_eq!(tally.standing(), Standing::Approved);
    assert_eq!(tally.count(&bob.judge().unwrap()), Counted::AddsNothing);
    assert_eq!(tally.standing(), Standing::Approved, "a late deny changes nothing");

    // Whoever approved may still deny, as long as it is open.
    let (_, mut tally) = two();
    let mut regrets = alice.clone();
    regrets.approval.decision = Vote::Deny;
    tally.count(&alice.judge().unwrap());
    assert_eq!(tally.count(&regrets.judge().unwrap()), Counted::Added);
    assert_eq!(tally.standing(), Standing::Denied);
}

//= APR-9
#[test]
fn a_projection_that_needs_more_people_than_the_question_is_heard() {
    let mut alice = scene();
    alice.projections[0].constraints.min_signers = 2;
    let request = ApprovalRequest::try_from(alice.request.clone()).unwrap();
    let mut tally = Tally::new(&request);
    tally.count(&alice.judge().unwrap());
    assert_eq!(tally.standing(), Standing::Open { have: 1, need: 2 });
    assert_eq!((tally.have(), tally.need()), (1, 2));
}

/// Attack 89: a question that was never asked so, or whose bytes are others.
//= APR-14
#[test]
fn a_question_is_shown_only_as_it_was_asked() {
    let scene = scene();
    let relying = PeerView::new(scene.relying.chain.clone());
    let relying = relying.with_status(&scene.relying.status(AT), AT).unwrap();
    let ask = |change: fn(&mut Scene), own: &Gateway, now| {
        let mut changed = scene.clone();
        change(&mut changed);
        let tenants = &scene.request.tenant;
        let (envelope, subject) = (changed.request_envelope(), changed.subject.as_bytes());
        check_ask(&envelope, &relying, &own.id(), tenants, subject, now).map(|_| ())
    };
    let own = &scene.deciding;
    assert_eq!(ask(|_| {}, own, AT), Ok(()));
    let of_another = |what| Err(Uncounted::AskOfAnother { what });
    assert_eq!(ask(|_| {}, &scene.relying, AT), of_another("aud"));
    let iss = ask(|scene| scene.request.iss = Gateway::new(61).id(), own, AT);
    assert_eq!(iss, of_another("iss"));
    let turned = ask(|scene| scene.request.tenant.deciding = tenant("acme"), own, AT);
    assert_eq!(turned, of_another("tenant"));
    let subject = ask(|scene| scene.subject.push(' '), own, AT);
    assert_eq!(subject, Err(Uncounted::AskOtherSubject));
    let size = ask(|scene| scene.request.subject.size += 1, own, AT);
    assert_eq!(size, Err(Uncounted::AskOtherSubject));
    let late = ask(|scene| scene.request.expires = AT, own, AT);
    assert!(matches!(late, Err(Uncounted::AskNotNow { .. })));
    let early = ask(|scene| scene.request.issued = AT.plus_ms(2 * MINUTE_MS), own, AT);
    assert!(matches!(early, Err(Uncounted::AskNotNow { .. })));
    let long = ask(|scene| scene.request.issued = AT.plus_ms(-24 * HOUR_MS), own, AT);
    assert!(matches!(long, Err(Uncounted::AskUnverified(_))));
    let envelope = scene.deciding.sign(
        landbridge_proto::wire::kind::Kind::ApprovalRequest,
        Role::Request,
        &scene.request,
    );
    let tenants = &scene.request.tenant;
    let subject = scene.subject.as_bytes();
    let forged = check_ask(&envelope, &relying, &own.id(), tenants, subject, AT);
    assert!(matches!(forged, Err(Uncounted::AskUnverified(_))));
}

fn vote(scene: &Scene, change: impl FnOnce(&mut Scene)) -> Result<(), Uncounted> {
    let operator = scene.enrolled();
    let mut changed = scene.clone();
    change(&mut changed);
    let credential = OperatorCredential::try_from(changed.credential.clone()).unwrap();
    let ballot = Ballot {
        request: &ApprovalRequest::try_from(changed.request.clone()).unwrap(),
        digest: changed.request_envelope().digest(),
        operator: &operator,
        credential: &credential,
        credential_digest: changed.credential_envelope().digest(),
        now: changed.now,
    };
    check_vote(&ballot, &changed.signed()).map(|_| ())
}

//= APR-16
#[test]
fn an_operators_vote_is_checked_before_it_leaves() {
    let scene = scene();
    assert_eq!(vote(&scene, |_| {}), Ok(()));
    let late = vote(&scene, |scene| scene.request.expires = scene.now);
    assert_eq!(late, Err(Uncounted::TooLate { expires: AT }));
    let unknown = vote(&scene, |scene| {
        scene.key = Key::new(KeyMethod::Ssh, 210);
        scene.credential.keys = vec![scene.key.listed()];
    });
    assert!(matches!(unknown, Err(Uncounted::KeyNotListed { .. })));
    let another = vote(&scene, |scene| scene.approval.sub = operator("bob"));
    assert!(matches!(another, Err(Uncounted::NotEnrolled { what: "sub", .. })));
    let elsewhere = vote(&scene, |scene| scene.credential.tenant = tenant("acme-us"));
    assert!(matches!(elsewhere, Err(Uncounted::NotEnrolled { what: "tenant", .. })));
    let scope = vote(&scene, |scene| scene.credential.scopes = [scope("other")].into());
    assert!(matches!(scope, Err(Uncounted::ScopeNotHeld { .. })));
    let own = vote(&scene, |scene| scene.request.requester.principal = "alice".to_owned());
    assert!(matches!(own, Err(Uncounted::ByRequester { .. })));
    let subject = vote(&scene, |scene| scene.approval.subject = Digest::of(b"", &[]));
    assert_eq!(subject, Err(Uncounted::OtherSubject));
    let forged = vote(&scene, |scene| scene.key.forged = true);
    assert_eq!(forged, Err(Uncounted::BadProof(BadProof::Forged)));
    let expired = vote(&scene, |scene| scene.credential.expires = AT);
    assert!(matches!(expired, Err(Uncounted::CredentialNotNow { .. })));
    let unbound = vote(&scene, |scene| {
        scene.unbound = true;
        scene.approval.request = scene.request_envelope().digest();
    });
    assert!(matches!(unbound, Err(Uncounted::CredentialOfAnother { .. })));
}

#[test]
fn a_key_in_a_file_signs_what_is_judged() {
    let scene = scene();
    let approval = {
        let mut raw = scene.approval.clone();
        raw.request = scene.request_envelope().digest();
        raw.credential = scene.credential_envelope().digest();
        Approval::try_from(raw).unwrap()
    };
    let key = SecretKey::from_seed(&Zeroizing::new([201; 32]));
    let signed = sign_file(&KeySigner::new(key, SignedBy::Operator), &approval).unwrap();
    assert_eq!(signed, scene.signed());
    let key = SecretKey::from_seed(&Zeroizing::new([201; 32]));
    let gateway = KeySigner::new(key, SignedBy::Role(Role::Request));
    assert!(sign_file(&gateway, &approval).is_err(), "a gateway's key signs no approval");
}

/// Attack 89: what was approved once is not approved a second time, and not for another question.
#[test]
fn an_approval_of_one_question_is_none_of_another() {
    let asked = scene();
    let mut again = scene();
    again.request.issued = again.request.issued.plus_ms(1);
    assert_eq!(asked.judge_as(&again).unwrap_err(), Uncounted::OfAnother { what: "request" });
    let mut changed = scene();
    changed.subject.push('!');
    changed.request.subject.digest =
        landbridge_proto::wire::approval::Subject::digest_of(changed.subject.as_bytes());
    assert!(asked.judge_as(&changed).is_err());
    assert_eq!(asked.judge().unwrap().jti(), &jti(1));
}
