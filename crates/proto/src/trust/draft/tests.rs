#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::trust::testing::{Holders, NOW, chain_of, kid, secret, sign_any, signer};
use crate::wire::document::EndpointUrl;
use crate::wire::kind::Kind;

const LATER: Timestamp = NOW.plus_ms(5000);

/// A gateway whose root wants two of the keys 10, 30 and 31.
fn two_of_three() -> TrustedRoot {
    let holders = Holders::new(10).with_root(&[10, 30, 31], 2);
    chain_of(&sign_any(Kind::Root, &holders.raw(1, None, NOW), &[10, 31]))
}

fn draft(change: &RootChange) -> RootDraft {
    RootDraft::new(two_of_three(), change, LATER).unwrap()
}

/// As it comes to another machine.
fn carried(draft: &RootDraft) -> RootDraft {
    RootDraft::parse(&draft.to_bytes().unwrap()).unwrap()
}

fn root_key(seed: u8) -> crate::trust::signer::KeySigner {
    signer(seed, Role::Root)
}

/// One key of three goes and another comes.
fn replaced() -> RootChange {
    RootChange { add: vec![secret(40).public()], remove: [kid(31)].into(), ..RootChange::default() }
}

//= ID-6
#[test]
fn a_root_with_one_key_replaced_is_signed_on_three_machines() {
    let mut one = draft(&replaced());
    assert_eq!(one.missing(), (2, 2));
    one.sign(&root_key(10)).unwrap();
    assert_eq!(one.missing(), (1, 1));
    let too_few = one.finish(LATER).unwrap_err();
    assert!(matches!(too_few, DraftError::TooFew { before: 1, after: 1 }));
    // The key that comes signs for the next root, the one that goes for the present one.
    let (mut two, mut three) = (carried(&one), carried(&one));
    two.sign(&root_key(40)).unwrap();
    assert_eq!(two.missing(), (1, 0));
    assert!(matches!(two.finish(LATER), Err(DraftError::TooFew { before: 1, after: 0 })));
    three.sign(&root_key(31)).unwrap();
    assert!(matches!(three.finish(LATER), Err(DraftError::TooFew { before: 0, after: 1 })));
    let mut all = carried(&two);
    all.join(carried(&three)).unwrap();
    let envelope = all.finish(LATER).unwrap();
    let walked = two_of_three().advance(std::slice::from_ref(&envelope), LATER).unwrap();
    let kids: Vec<_> = walked.keys(Role::Root).unwrap().kids().cloned().collect();
    assert_eq!(kids.len(), 3);
    assert!(kids.contains(&kid(40)) && !kids.contains(&kid(31)));
}

#[test]
fn two_keys_that_stay_are_enough_and_each_counts_once() {
    let mut draft = draft(&replaced());
    draft.sign(&root_key(10)).unwrap();
    draft.sign(&root_key(10)).unwrap();
    assert_eq!(draft.missing(), (1, 1));
    let copy = carried(&draft);
    draft.join(copy).unwrap();
    assert!(draft.finish(LATER).is_err());
    draft.sign(&root_key(30)).unwrap();
    let envelope = draft.finish(LATER).unwrap();
    assert_eq!(envelope.signatures().len(), 2);
    assert_eq!(two_of_three().advance(&[envelope], LATER).unwrap().version(), 2);
}

#[test]
fn a_key_without_a_say_signs_nothing() {
    let mut draft = draft(&replaced());
    let refused = draft.sign(&root_key(99)).unwrap_err();
    assert!(matches!(refused, DraftError::KeyWithoutSay { version: 1, .. }));
    let policy = draft.sign(&signer(10, Role::Policy)).unwrap_err();
    assert!(matches!(policy, DraftError::NotSigned(SignError::KindOfAnotherRole { .. })));
    assert_eq!(draft.missing(), (2, 2));
    draft.sign(&root_key(40)).unwrap();
}

#[test]
fn a_draft_that_was_changed_on_the_way_is_refused() {
    let mut good = draft(&replaced());
    good.sign(&root_key(10)).unwrap();
    good.sign(&root_key(40)).unwrap();
    let bytes = good.to_bytes().unwrap();
    assert_eq!(RootDraft::parse(&bytes).unwrap().missing(), (1, 0));
    let mut survived = 0;
    for at in (0..bytes.len()).step_by(23) {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        // The white space at the end means nothing, and is not met here.
        survived += usize::from(RootDraft::parse(&bad).is_ok_and(|read| read.missing() == (1, 0)));
    }
    assert_eq!(survived, 0);
    // Somebody else's root under these signatures, and a signature of nobody.
    let mut other: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    other["next"]["issued"] = (LATER.0 + 1).into();
    let read = RootDraft::parse(other.to_string().as_bytes()).unwrap_err();
    assert!(matches!(read, DraftError::SignedAnother | DraftError::BadSignature(_)), "{read:?}");
    let mut other: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let foreign = sign_any(Kind::Root, good.next(), &[99]);
    other["signed"][0] = serde_json::to_value(&foreign).unwrap();
    let read = RootDraft::parse(other.to_string().as_bytes()).unwrap_err();
    assert!(matches!(read, DraftError::BadSignature(VerifyError::SignedWithForeignKey { .. })));
    for text in [&b""[..], b"{}", b"[]", &bytes[..bytes.len() / 2]] {
        assert!(matches!(RootDraft::parse(text), Err(DraftError::NotADraft)));
    }
}

#[test]
fn a_draft_goes_on_with_its_own_chain_only() {
    let mut good: serde_json::Value =
        serde_json::from_slice(&draft(&RootChange::default()).to_bytes().unwrap()).unwrap();
    let raw = Holders::new(20).with_root(&[20, 50, 51], 2).raw(1, None, NOW);
    let other = sign_any(Kind::Root, &raw, &[20, 50]);
    good["roots"] = serde_json::json!([other]);
    let read = RootDraft::parse(good.to_string().as_bytes()).unwrap_err();
    assert!(matches!(read, DraftError::Chain(RootError::PrevMismatch { version: 2 })));
}

#[test]
fn two_drafts_of_one_version_do_not_mix() {
    let mut one = draft(&replaced());
    let refused = one.join(draft(&RootChange::default())).unwrap_err();
    assert!(matches!(refused, DraftError::DifferentDrafts));
}

#[test]
fn a_single_key_becomes_two_of_three() {
    let chain = chain_of(&Holders::new(10).first());
    let change = RootChange {
        add: vec![secret(40).public(), secret(41).public()],
        threshold: Some(2),
        ..RootChange::default()
    };
    let mut draft = RootDraft::new(chain.clone(), &change, LATER).unwrap();
    assert_eq!(draft.missing(), (1, 2));
    draft.sign(&root_key(40)).unwrap();
    draft.sign(&root_key(41)).unwrap();
    assert!(matches!(draft.finish(LATER), Err(DraftError::TooFew { before: 1, after: 0 })));
    draft.sign(&root_key(10)).unwrap();
    let next = chain.advance(&[draft.finish(LATER).unwrap()], LATER).unwrap();
    let holders = &next.root().roles[&Role::Root];
    assert_eq!((holders.keyids.len(), holders.threshold), (3, 2));
}

#[test]
fn endpoints_change_and_everything_else_stays() {
    let endpoint =
        Endpoint { tls_spki: None, url: EndpointUrl::new("https://new.example:7443").unwrap() };
    let change = RootChange { endpoints: Some(vec![endpoint.clone()]), ..RootChange::default() };
    let chain = two_of_three();
    let draft = draft(&change);
    assert_eq!(draft.next().endpoints, [endpoint]);
    assert_eq!(draft.next().roles, chain.root().roles);
    assert_eq!((draft.next().version, draft.next().prev), (2, Some(chain.digest())));
    let unchanged = RootDraft::new(chain.clone(), &RootChange::default(), LATER).unwrap();
    assert_eq!(unchanged.next().endpoints, chain.root().endpoints);
    assert!(unchanged.next().expires > chain.root().expires);
    let end = |root: &Root, role: Role| {
        let kid = root.roles[&role].keyids.first().unwrap();
        root.keys[kid].exp
    };
    for role in [Role::Root, Role::Policy] {
        assert_eq!(end(unchanged.next(), role), unchanged.next().expires);
    }
    //= ID-55
    for role in [Role::Stream, Role::Request, Role::Status] {
        assert_eq!(end(unchanged.next(), role), end(chain.root(), role));
    }
}

#[test]
fn a_change_that_does_not_fit_is_refused() {
    let chain = two_of_three();
    let refused = |change: RootChange| RootDraft::new(chain.clone(), &change, LATER).unwrap_err();
    let remove = |seeds: &[u8]| RootChange {
        remove: seeds.iter().map(|&seed| kid(seed)).collect(),
        ..RootChange::default()
    };
    assert!(matches!(refused(remove(&[99])), DraftError::NoSuchKey { .. }));
    // Two keys left cannot be three of them; none cannot be two of them.
    assert!(RootDraft::new(chain.clone(), &remove(&[31]), LATER).is_ok());
    assert!(matches!(
        refused(remove(&[30, 31])),
        DraftError::Unfit(InvalidRoot::BadThreshold { .. })
    ));
    let add = |seed| RootChange { add: vec![secret(seed).public()], ..RootChange::default() };
    assert!(matches!(refused(add(30)), DraftError::KeyThere { .. }));
    assert!(matches!(refused(add(11)), DraftError::KeyThere { .. }), "a key of another role");
    let zero = RootChange { threshold: Some(0), ..RootChange::default() };
    assert!(matches!(refused(zero), DraftError::Unfit(InvalidRoot::BadThreshold { .. })));
}
