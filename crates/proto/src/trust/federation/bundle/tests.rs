#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::trust::federation::FederationDraft;
use crate::trust::signer::sign_typed;
use crate::trust::testing::{Holders, NOW, chain_of, sign_any, signer};
use crate::wire::kind::{Kind, Role};

const POLICY: u8 = 16;

fn bundle() -> Bundle {
    let first = Holders::new(10).first();
    // The second root has another policy key: the version of before stays provable.
    let second = Holders::new(10).with(Role::Policy, 90).next(2, &first, &[10]);
    let gateway = chain_of(&first).gateway().clone();
    let document = FederationDraft::first(gateway).finish(NOW).unwrap();
    let federation = sign_typed(&signer(POLICY, Role::Policy), &document).unwrap();
    Bundle { federation, roots: vec![first, second], v: FormVersion }
}

fn gateway() -> GatewayId {
    bundle().claimed_gateway().unwrap()
}

#[test]
fn an_old_version_verifies_by_the_root_of_its_time() {
    let bytes = serde_json::to_vec(&bundle()).unwrap();
    let (chain, document) = Bundle::parse(&bytes).unwrap().open(&gateway()).unwrap();
    assert_eq!((chain.version(), document.document().version), (2, 1));
}

#[test]
fn a_bundle_of_another_gateway_is_not_taken_for_the_pinned_one() {
    let other = chain_of(&Holders::new(50).first()).gateway().clone();
    let found = bundle().open(&other).unwrap_err();
    assert_eq!(found, BundleError::Foreign { found: gateway() });
    // A document of another gateway under our own keys is not ours either.
    let document = FederationDraft::first(other.clone()).finish(NOW).unwrap();
    let federation = sign_typed(&signer(POLICY, Role::Policy), &document).unwrap();
    let found = Bundle { federation, ..bundle() }.open(&gateway()).unwrap_err();
    assert_eq!(found, BundleError::Foreign { found: other });
}

#[test]
fn keys_of_another_role_or_time_prove_nothing() {
    let gateway = gateway();
    let document = FederationDraft::first(gateway.clone()).finish(NOW).unwrap();
    for seed in [10, 11, 99] {
        let federation = sign_any(Kind::Federation, &document, &[seed]);
        assert!(matches!(
            Bundle { federation, ..bundle() }.open(&gateway),
            Err(BundleError::Document(_))
        ));
    }
    // The second root's policy key is not good for a document from before that root.
    let early = FederationDraft::first(gateway.clone()).finish(NOW.plus_ms(-120_000)).unwrap();
    let federation = sign_any(Kind::Federation, &early, &[90]);
    assert!(Bundle { federation, ..bundle() }.open(&gateway).is_err());
}

#[test]
fn every_changed_byte_is_refused() {
    let bytes = serde_json::to_vec(&bundle()).unwrap();
    let gateway = gateway();
    let mut refused = 0;
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let opened = Bundle::parse(&changed).and_then(|bundle| bundle.open(&gateway));
        assert!(opened.is_err(), "byte {at}");
        refused += 1;
    }
    assert_eq!(refused, bytes.len());
    assert!(Bundle::parse(br#"{"federation":"","roots":[],"v":1}"#).is_err());
}
