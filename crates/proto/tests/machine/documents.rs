//! Every kind of signed document, with every bit of it changed, and with pieces cut out, moved in or doubled.
//!
//! A reader may refuse at the envelope, at the signature or at the payload: which one is not the question here. What
//! the two gateways signed is accepted, and no other bytes are.

use landbridge_proto::machine::receive::Reception;
use landbridge_proto::trust::approval::{Question, judge};
use landbridge_proto::trust::federation::{FederationDraft, TrustedFederation};
use landbridge_proto::trust::pairing::InviteSecret;
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::verified::verify;
use landbridge_proto::wire::approval::{
    ApprovalRequest, Catalog, Decision, KeyMethod, OperatorCredential, SignedApproval,
};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{
    FederationRoot, FormVersion, Membership, Peer, PeerStatus, RootKey, raw,
};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::json::canonical;
use landbridge_proto::wire::kind::{Kind, Role};
use landbridge_proto::wire::name::{Alias, Jti, TenantId};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{
    Answer, Body, CancelResult, Findings, Receipt, Refusal, Request,
};
use landbridge_proto::wire::stream::{Accept, One, Seal};
use proptest::prelude::*;
use zeroize::Zeroizing;

use crate::approvals::key::Key;
use crate::approvals::scene::{self, Scene};
use crate::gate::grant;
use crate::gateway::{Gateway, HOUR_MS, NOW};
use crate::run::{Run, request_of, start};

/// Says whether these bytes are accepted as what was signed.
type Reader = Box<dyn Fn(&[u8]) -> bool>;

/// Flips each bit in turn; the unchanged bytes are accepted before and after.
#[track_caller]
fn no_changed_bit_is_accepted((envelope, reader): &(Envelope, Reader)) {
    let bytes = envelope.to_bytes();
    assert!(reader(&bytes), "unchanged, it is accepted");
    let mut bad = bytes.clone();
    for bit in 0..bytes.len() * 8 {
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(!reader(&bad), "bit {bit} of {}", String::from_utf8_lossy(&bytes));
        bad[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(reader(&bad));
}

fn reader(accepts: impl Fn(&Envelope) -> bool + 'static) -> Reader {
    Box::new(move |bytes| Envelope::parse(bytes).is_ok_and(|envelope| accepts(&envelope)))
}

/// A message that a gateway's role signs, read as its peer reads it.
macro_rules! message {
    ($view:expr, $type:ty) => {{
        let view: PeerView = $view;
        reader(move |envelope| view.verify::<$type>(envelope, NOW.plus_ms(10_000)).is_ok())
    }};
}

fn root() -> (Envelope, Reader) {
    let gateway = Gateway::new(1);
    let id = gateway.id();
    let accepts = move |envelope: &Envelope| TrustedRoot::genesis(envelope, &id).is_ok();
    (gateway.roots[0].clone(), reader(accepts))
}

fn later_root() -> (Envelope, Reader) {
    let gateway = Gateway::new(1);
    let newer = gateway.rotated(Role::Root, NOW);
    let accepts = move |one: &Envelope| {
        let walked = gateway.chain.advance(std::slice::from_ref(one), NOW);
        walked.is_ok_and(|chain| chain.version() == 2)
    };
    (newer.roots[1].clone(), reader(accepts))
}

fn status() -> (Envelope, Reader) {
    let gateway = Gateway::new(1);
    let newer = gateway.status(NOW.plus_ms(1));
    let view = gateway.view();
    (newer, reader(move |envelope| view.with_status(envelope, NOW.plus_ms(2)).is_ok()))
}

fn draft(own: &Gateway, peer: &Gateway) -> FederationDraft {
    let mut draft = FederationDraft::first(own.id());
    draft.put_peer(Peer {
        alias: Alias::new("a").unwrap(),
        endpoints: Vec::new(),
        genesis: peer.chain.genesis_digest(),
        gid: peer.id(),
        grants: vec![grant()],
        min_root_version: 1,
        projections: Vec::new(),
        status: PeerStatus::Active,
    });
    let voucher = Gateway::new(61);
    let public = voucher.chain.root().keys[&voucher.kid(Role::Policy)].public.clone();
    let key = RootKey::new(public, NOW, NOW.plus_ms(HOUR_MS));
    draft.put_federation_root(FederationRoot {
        keys: [(voucher.kid(Role::Policy), key)].into(),
        max_members: 8,
        members: [peer.id()].into(),
        name: Alias::new("guild").unwrap(),
        tenants: [TenantId::new("acme").unwrap()].into(),
        threshold: 1,
    });
    draft
}

fn federation() -> (Envelope, Reader) {
    let (own, peer) = (Gateway::new(21), Gateway::new(1));
    let document = draft(&own, &peer).finish(NOW).unwrap();
    let envelope = own.sign(Kind::Federation, Role::Policy, &document);
    let accepts = move |one: &Envelope| TrustedFederation::open(one, &own.chain, 1, NOW).is_ok();
    (envelope, reader(accepts))
}

fn membership() -> (Envelope, Reader) {
    let (own, member) = (Gateway::new(21), Gateway::new(1));
    let document = draft(&own, &member).finish(NOW).unwrap();
    let document = own.sign(Kind::Federation, Role::Policy, &document);
    let document = TrustedFederation::open(&document, &own.chain, 1, NOW).unwrap();
    let keys = document.federation_keys(&Alias::new("guild").unwrap()).unwrap();
    let said = raw::Membership {
        expires: NOW.plus_ms(HOUR_MS),
        federation: Alias::new("guild").unwrap(),
        genesis: member.chain.genesis_digest(),
        issued: NOW,
        member: member.id(),
        tenants: [TenantId::new("acme").unwrap()].into(),
        v: FormVersion,
    };
    let envelope = Gateway::new(61).sign(Kind::Membership, Role::Policy, &said);
    (envelope, reader(move |one| verify::<Membership>(one, &keys, NOW).is_ok()))
}

fn pairing() -> (Envelope, Reader) {
    let (inviter, joiner) = (Gateway::new(21), Gateway::new(1));
    let secret = InviteSecret::from_entropy(&Zeroizing::new([7; 32]));
    let said = raw::PairingRequest {
        aud: inviter.id(),
        exp: NOW.plus_ms(60_000),
        genesis: joiner.chain.genesis_digest(),
        iat: NOW,
        invite: secret.invite_id(),
        iss: joiner.id(),
        jti: Jti::new("j".repeat(22)).unwrap(),
        proof: secret.proof(&inviter.id(), &joiner.id()),
        v: FormVersion,
    };
    let envelope = joiner.sign(Kind::Pairing, Role::Request, &said);
    (envelope, message!(joiner.view(), landbridge_proto::wire::document::PairingRequest))
}

fn admission() -> (Envelope, Reader) {
    let (member, other) = (Gateway::new(1), Gateway::new(21));
    let said = raw::Admission {
        aud: other.id(),
        exp: NOW.plus_ms(60_000),
        iat: NOW,
        iss: member.id(),
        membership: Digest::of(b"membership", &[]),
        v: FormVersion,
    };
    let envelope = member.sign(Kind::Admission, Role::Request, &said);
    (envelope, message!(member.view(), landbridge_proto::wire::document::Admission))
}

fn request() -> (Envelope, Reader) {
    let (caller, executor) = (Gateway::new(1), Gateway::new(21));
    let said = request_of(&caller, &executor, Body::Start(Box::new(start())));
    (caller.sign(Kind::Request, Role::Request, &said), message!(caller.view(), Request))
}

fn accept() -> (Envelope, Reader) {
    let run = Run::new();
    (run.accept.envelope().clone(), message!(run.executor.view(), Accept))
}

fn seal() -> (Envelope, Reader) {
    let run = Run::new();
    (run.seals[0].1.clone(), message!(run.executor.view(), Seal))
}

fn answer() -> (Envelope, Reader) {
    let (caller, executor) = (Gateway::new(1), Gateway::new(21));
    let said = Answer {
        aud: caller.id(),
        iss: executor.id(),
        request: Digest::of(b"request", &[]),
        result: Findings { cancel: Some(CancelResult::Blocked), ..Findings::default() },
        root_version: 1,
        t: NOW,
        v: One,
    };
    (executor.sign(Kind::Answer, Role::Stream, &said), message!(executor.view(), Answer))
}

fn problem() -> (Envelope, Reader) {
    let (caller, executor) = (Gateway::new(1), Gateway::new(21));
    let said = Refusal {
        aud: caller.id(),
        iss: executor.id(),
        problem: Problem::new(Code::NotGranted),
        request: Digest::of(b"request", &[]),
        root_version: 1,
        t: NOW,
        v: One,
    };
    (executor.sign(Kind::Problem, Role::Stream, &said), message!(executor.view(), Refusal))
}

fn receipt() -> (Envelope, Reader) {
    let run = Run::new();
    (run.receipt(40, None), message!(run.caller.view(), Receipt))
}

fn scene() -> Scene {
    Scene::new(Key::new(KeyMethod::File, 201))
}

/// As [`message!`], long after the gateways began.
macro_rules! about_approvals {
    ($view:expr, $type:ty) => {{
        let view: PeerView = $view;
        reader(move |envelope| view.verify::<$type>(envelope, scene::AT).is_ok())
    }};
}

fn catalog() -> (Envelope, Reader) {
    (scene().catalog_envelope(), about_approvals!(scene().view(), Catalog))
}

fn operator_credential() -> (Envelope, Reader) {
    (scene().credential_envelope(), about_approvals!(scene().view(), OperatorCredential))
}

fn approval_request() -> (Envelope, Reader) {
    let relying = scene().relying;
    let view = PeerView::new(relying.chain.clone());
    let view = view.with_status(&relying.status(scene::AT), scene::AT).unwrap();
    (scene().request_envelope(), about_approvals!(view, ApprovalRequest))
}

/// Every kind that is signed today, but an operator's approval, which has a container of its own.
fn all() -> Vec<(Envelope, Reader)> {
    vec![
        root(),
        later_root(),
        status(),
        federation(),
        membership(),
        pairing(),
        admission(),
        request(),
        accept(),
        seal(),
        answer(),
        problem(),
        receipt(),
        catalog(),
        operator_credential(),
        approval_request(),
    ]
}

//= ENV-10
#[test]
fn no_changed_bit_of_a_first_root_is_accepted() {
    no_changed_bit_is_accepted(&root());
}

//= ENV-10
#[test]
fn no_changed_bit_of_a_later_root_is_accepted() {
    no_changed_bit_is_accepted(&later_root());
}

//= ENV-10
#[test]
fn no_changed_bit_of_a_status_is_accepted() {
    no_changed_bit_is_accepted(&status());
}

//= ENV-10
#[test]
fn no_changed_bit_of_a_federation_document_is_accepted() {
    no_changed_bit_is_accepted(&federation());
}

//= ENV-10
#[test]
fn no_changed_bit_of_a_membership_is_accepted() {
    no_changed_bit_is_accepted(&membership());
}

//= ENV-10
#[test]
fn no_changed_bit_of_a_pairing_is_accepted() {
    no_changed_bit_is_accepted(&pairing());
}

//= ENV-10
#[test]
fn no_changed_bit_of_an_admission_is_accepted() {
    no_changed_bit_is_accepted(&admission());
}

//= ENV-10
#[test]
fn no_changed_bit_of_a_request_is_accepted() {
    no_changed_bit_is_accepted(&request());
}

//= ENV-10
#[test]
fn no_changed_bit_of_an_accept_is_accepted() {
    no_changed_bit_is_accepted(&accept());
}

//= ENV-10
#[test]
fn no_changed_bit_of_a_seal_is_accepted() {
    no_changed_bit_is_accepted(&seal());
}

//= ENV-10
#[test]
fn no_changed_bit_of_an_answer_is_accepted() {
    no_changed_bit_is_accepted(&answer());
}

//= ENV-10
#[test]
fn no_changed_bit_of_a_problem_is_accepted() {
    no_changed_bit_is_accepted(&problem());
}

//= ENV-10
#[test]
fn no_changed_bit_of_a_receipt_is_accepted() {
    no_changed_bit_is_accepted(&receipt());
}

//= ENV-10
#[test]
fn no_changed_bit_of_a_catalog_is_accepted() {
    no_changed_bit_is_accepted(&catalog());
}

//= ENV-10
#[test]
fn no_changed_bit_of_an_operator_credential_is_accepted() {
    no_changed_bit_is_accepted(&operator_credential());
}

//= ENV-10
#[test]
fn no_changed_bit_of_an_approval_request_is_accepted() {
    no_changed_bit_is_accepted(&approval_request());
}

/// The container of an approval, signed with each kind of key: a changed byte is refused, or it is one of
/// what a passkey's browser may say besides and then it is under the signature.
//= APR-19
//= APR-20
//= APR-21
#[test]
fn no_changed_byte_of_an_approval_is_accepted() {
    for (method, seed) in [
        (KeyMethod::File, 201),
        (KeyMethod::Ssh, 202),
        (KeyMethod::SshSk, 203),
        (KeyMethod::Webauthn, 204),
        (KeyMethod::Webauthn, 205),
    ] {
        let scene = Scene::new(Key::new(method, seed));
        let (view, decision) = (scene.view(), scene.decision());
        let question = Question {
            request: &ApprovalRequest::try_from(scene.request.clone()).unwrap(),
            digest: scene.request_envelope().digest(),
            deciding: &view,
            projections: &scene.projections,
            kept: None,
            now: scene.now,
        };
        let accepts = |bytes: &[u8]| {
            let read = canonical::from_slice::<SignedApproval>(bytes);
            read.is_ok_and(|approval| {
                judge(&question, &Decision { approval, ..decision.clone() }).is_ok()
            })
        };
        let bytes = canonical::to_vec(&decision.approval).unwrap();
        assert!(accepts(&bytes));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << (at % 7);
            assert!(!accepts(&bad), "byte {at} of {}", String::from_utf8_lossy(&bytes));
        }
    }
}

//= ENV-8
#[test]
fn no_document_is_accepted_in_place_of_another_one() {
    let all = all();
    for (at, (envelope, _)) in all.iter().enumerate() {
        for (other, (_, reader)) in all.iter().enumerate() {
            assert_eq!(reader(&envelope.to_bytes()), at == other, "{at} read as {other}");
        }
    }
}

//= STR-10
#[test]
fn a_seal_that_was_changed_anywhere_releases_no_frame() {
    let run = Run::new();
    let view = run.executor.view();
    let bytes = run.seals[0].1.to_bytes();
    let mut reception = Reception::start(&run.accept);
    let before = reception.clone();
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] = bad[at].wrapping_add(1);
        if let Ok(seal) = Envelope::parse(&bad) {
            assert!(reception.take(&view, run.batch(0).to_vec(), &seal, NOW).is_err(), "{at}");
            assert_eq!(reception, before, "nothing moved");
        }
    }
    let released = reception.take(&view, run.batch(0).to_vec(), &run.seals[0].1, NOW).unwrap();
    assert_eq!(released.lines(), run.batch(0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_spliced_document_is_accepted(
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let all = all();
        for (at, (envelope, reader)) in all.iter().enumerate() {
            let bytes = envelope.to_bytes();
            // A piece is replaced by noise, or by a piece of another document.
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let (from, to) = (from.min(to), from.max(to));
            let donor = all[(at + 1) % all.len()].0.to_bytes();
            let start = other.index(donor.len());
            let piece = &donor[start..(start + to - from).min(donor.len())];
            for piece in [noise.as_slice(), piece] {
                let spliced = [&bytes[..from], piece, &bytes[to..]].concat();
                prop_assert!(spliced == bytes || !reader(&spliced));
            }
        }
    }
}
