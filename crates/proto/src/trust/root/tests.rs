#![allow(clippy::unwrap_used, reason = "tests")]
use std::collections::BTreeMap;

use super::*;
use crate::trust::testing::{DAY_MS, Holders, NOW, chain_of, id_of, kid, secret, sign_any};
use crate::wire::document::root::{InvalidRoot, RoleHolders};
use crate::wire::document::{Endpoint, EndpointUrl, RootKey, raw};
use crate::wire::json::InvalidJson;

/// Enough later than every root of these tests.
const LATER: Timestamp = NOW.plus_ms(1000);

fn fault(result: Result<TrustedRoot, RootError>) -> RootError {
    result.unwrap_err()
}

//= ID-4
#[test]
fn a_first_root_is_the_gateway_that_its_digest_names() {
    let first = Holders::new(10).first();
    let chain = chain_of(&first);
    assert_eq!((chain.version(), chain.digest()), (1, first.digest()));
    assert_eq!(chain.genesis_digest(), first.digest());
    let other = id_of(&Holders::new(20).first());
    let found = fault(TrustedRoot::genesis(&first, &other));
    assert!(matches!(found, RootError::ForeignGenesis { .. }));
}

//= ID-4
#[test]
fn a_first_root_signed_by_others_is_refused() {
    let raw = Holders::new(10).raw(1, None, NOW);
    for seeds in [&[11_u8] as &[u8], &[99], &[10, 99]] {
        let found = fault(TrustedRoot::introduced(&sign_any(Kind::Root, &raw, seeds)));
        assert!(matches!(found, RootError::Unverified { .. }), "{seeds:?}");
    }
}

#[test]
fn every_flipped_bit_of_a_root_is_refused() {
    let first = Holders::new(10).first();
    let bytes = first.to_bytes();
    let gateway = id_of(&first);
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let read =
            Envelope::parse(&bad).map(|envelope| TrustedRoot::genesis(&envelope, &gateway).is_ok());
        assert!(!matches!(read, Ok(true)), "bit {bit}");
    }
}

#[test]
fn a_later_root_cannot_be_the_first() {
    let (one, two) = (Holders::new(10), Holders::new(20));
    let first = one.first();
    let second = two.next(2, &first, &[10, 20]);
    assert!(matches!(
        fault(TrustedRoot::introduced(&second)),
        RootError::Unverified { .. } | RootError::VersionNotNext { .. }
    ));
    let lone = two.next(2, &first, &[20]);
    assert_eq!(
        fault(TrustedRoot::introduced(&lone)),
        RootError::VersionNotNext { have: 0, found: 2 }
    );
}

//= ID-6
#[test]
fn a_rotation_needs_a_threshold_of_both_sets() {
    let old = Holders::new(10).with_root(&[10, 30, 31], 2);
    let new = Holders::new(20).with_root(&[40, 41, 42], 2);
    let first = sign_any(Kind::Root, &old.raw(1, None, NOW), &[10, 30]);
    let chain = chain_of(&first);
    let walk = |seeds: &[u8]| chain.advance(&[new.next(2, &first, seeds)], LATER);
    let walked = walk(&[10, 31, 40, 42]).unwrap();
    assert_eq!(walked.version(), 2);
    assert!(
        walked.keys(Role::Root).unwrap().kids().all(|held| ![10, 30, 31].map(kid).contains(held))
    );
    for seeds in [
        &[10_u8, 31] as &[u8],
        &[40, 42],
        &[10, 40, 42],
        &[10, 31, 40],
        &[10, 30, 31],
        &[40, 41, 42],
    ] {
        let found = fault(walk(seeds));
        let few = matches!(
            found,
            RootError::Unverified {
                at: 0,
                fault: VerifyError::SignedByTooFew { have: 0 | 1, need: 2 }
            }
        );
        assert!(few, "{seeds:?}: {found:?}");
    }
    let found = fault(walk(&[10, 31, 40, 42, 99]));
    assert!(matches!(
        found,
        RootError::Unverified { fault: VerifyError::SignedWithForeignKey { .. }, .. }
    ));
}

#[test]
fn a_key_in_both_sets_counts_once_in_each() {
    let old = Holders::new(10).with_root(&[10, 30], 2);
    let new = Holders::new(20).with_root(&[10, 40], 2);
    let first = sign_any(Kind::Root, &old.raw(1, None, NOW), &[10, 30]);
    let chain = chain_of(&first);
    assert!(chain.advance(&[new.next(2, &first, &[10, 30, 40])], LATER).is_ok());
    assert!(chain.advance(&[new.next(2, &first, &[10, 30])], LATER).is_err());
    assert!(chain.advance(&[new.next(2, &first, &[10, 40])], LATER).is_err());
}

//= ID-6
#[test]
fn one_of_three_root_keys_is_replaced_by_two_of_each_side_and_no_fewer() {
    let old = Holders::new(10).with_root(&[10, 30, 31], 2);
    let new = Holders::new(20).with_root(&[10, 30, 40], 2);
    let first = sign_any(Kind::Root, &old.raw(1, None, NOW), &[10, 30]);
    let chain = chain_of(&first);
    let walk = |seeds: &[u8]| chain.advance(&[new.next(2, &first, seeds)], LATER);
    for seeds in [&[10_u8, 30] as &[u8], &[10, 31, 40], &[30, 31, 40], &[10, 30, 31, 40]] {
        assert_eq!(walk(seeds).unwrap().version(), 2, "{seeds:?}");
    }
    // The key that goes counts for the old root alone, and the key that comes for the new one alone.
    for seeds in [&[10_u8, 31] as &[u8], &[10, 40], &[31, 40], &[10], &[31]] {
        let found = fault(walk(seeds));
        let few = matches!(
            found,
            RootError::Unverified {
                fault: VerifyError::SignedByTooFew { have: 0 | 1, need: 2 },
                ..
            }
        );
        assert!(few, "{seeds:?}: {found:?}");
    }
}

//= ID-5
//= ID-12
#[test]
fn versions_and_predecessors_are_exact() {
    let holders = Holders::new(10);
    let first = holders.first();
    let chain = chain_of(&first);
    let second = holders.next(2, &first, &[10]);
    let chain2 = chain.advance(std::slice::from_ref(&second), LATER).unwrap();
    let step = |chain: &TrustedRoot, version, prev: &Envelope| {
        fault(chain.advance(&[holders.next(version, prev, &[10])], LATER))
    };
    assert_eq!(step(&chain, 3, &first), RootError::VersionNotNext { have: 1, found: 3 });
    let another_second = Holders::new(10).with(Role::Stream, 77).next(2, &first, &[10]);
    let found = fault(chain2.advance(std::slice::from_ref(&another_second), LATER));
    assert_eq!(found, RootError::VersionNotNext { have: 2, found: 2 });
    assert_eq!(step(&chain2, 3, &another_second), RootError::PrevMismatch { version: 3 });
    assert_eq!(step(&chain2, 3, &first), RootError::PrevMismatch { version: 3 });
    assert!(chain2.advance(&[holders.next(3, &second, &[10])], LATER).is_ok());
}

#[test]
fn known_roots_in_front_are_passed_over() {
    let holders = Holders::new(10);
    let first = holders.first();
    let second = holders.next(2, &first, &[10]);
    let third = holders.next(3, &second, &[10]);
    let chain = chain_of(&first).advance(&[first.clone(), second.clone()], LATER).unwrap();
    let all = [first.clone(), second.clone(), third];
    assert_eq!(chain.advance(&all, LATER).unwrap().version(), 3);
    assert_eq!(chain.advance(&all[..1], LATER).unwrap().version(), 2);
    let restored = TrustedRoot::restore(&all, chain.gateway()).unwrap();
    assert_eq!(
        restored.roots().map(Verified::digest).collect::<Vec<_>>(),
        all.map(|root| root.digest())
    );
    assert!(chain.check_pin(2, &second.digest()).is_ok());
    assert_eq!(chain.check_pin(2, &first.digest()), Err(RootError::PinMissed { version: 2 }));
    assert_eq!(chain.check_pin(3, &second.digest()), Err(RootError::PinMissed { version: 3 }));
    assert_eq!(fault(TrustedRoot::restore(&[], chain.gateway())), RootError::Empty);
}

//= ID-9
#[test]
fn an_expired_root_in_the_middle_is_walked_over_and_one_at_the_end_is_not_current() {
    let holders = Holders::new(10);
    let first = holders.first();
    let issued = NOW.plus_ms(299 * DAY_MS);
    let second = sign_any(Kind::Root, &holders.raw(2, Some(first.digest()), issued), &[10]);
    let now = NOW.plus_ms(400 * DAY_MS);
    let chain = chain_of(&first);
    let expires = NOW.plus_ms(300 * DAY_MS);
    assert_eq!(chain.check_current(now), Err(RootError::Expired { version: 1, expires }));
    assert_eq!(chain.check_current(expires), Err(RootError::Expired { version: 1, expires }));
    assert_eq!(chain.check_current(expires.plus_ms(-1)), Ok(()));
    let walked = chain.advance(&[second], now).unwrap();
    assert_eq!(walked.check_current(now), Ok(()));
}

#[test]
fn root_keys_are_judged_when_the_root_was_issued() {
    let holders = Holders::new(10);
    let first = holders.first();
    let chain = chain_of(&first);
    let at = |issued| {
        chain.advance(
            &[sign_any(Kind::Root, &holders.raw(2, Some(first.digest()), issued), &[10])],
            NOW.plus_ms(390 * DAY_MS),
        )
    };
    assert!(at(NOW.plus_ms(300 * DAY_MS - 1)).is_ok());
    assert!(matches!(
        fault(at(NOW.plus_ms(300 * DAY_MS))),
        RootError::Unverified { fault: VerifyError::SignedWithExpiredKey { .. }, .. }
    ));
    assert_eq!(fault(at(NOW.plus_ms(-1))), RootError::IssuedBeforePrev { version: 2 });
}

#[test]
fn a_root_of_the_future_is_refused() {
    let holders = Holders::new(10);
    let first = holders.first();
    let chain = chain_of(&first);
    let second =
        |ms| sign_any(Kind::Root, &holders.raw(2, Some(first.digest()), NOW.plus_ms(ms)), &[10]);
    assert!(chain.advance(&[second(limit::CLOCK_SKEW_MS_MAX)], NOW).is_ok());
    let found = fault(chain.advance(&[second(limit::CLOCK_SKEW_MS_MAX + 1)], NOW));
    assert_eq!(found, RootError::IssuedInFuture { version: 2 });
}

//= ID-10
#[test]
fn one_update_brings_at_most_32_roots() {
    let holders = Holders::new(10);
    let mut roots = vec![holders.first()];
    for version in 2..=limit::ROOT_STEPS_MAX as u64 + 2 {
        roots.push(holders.next(version, roots.last().unwrap(), &[10]));
    }
    let chain = chain_of(&roots[0]);
    let max = limit::ROOT_STEPS_MAX;
    assert_eq!(fault(chain.advance(&roots[1..], LATER)), RootError::TooManySteps { max });
    let walked = chain.advance(&roots[1..=max], LATER).unwrap();
    assert_eq!(walked.advance(&roots, LATER).unwrap().version(), max as u64 + 2);
    assert_eq!(TrustedRoot::restore(&roots, chain.gateway()).unwrap().version(), max as u64 + 2);
}

#[test]
fn another_kind_is_no_root() {
    let raw = Holders::new(10).raw(1, None, NOW);
    let found = fault(TrustedRoot::introduced(&sign_any(Kind::Status, &raw, &[10])));
    assert!(matches!(
        found,
        RootError::Unverified { fault: VerifyError::SentAnotherKind { .. }, .. }
    ));
}

fn endpoint(text: &str) -> Endpoint {
    Endpoint { tls_spki: None, url: EndpointUrl::new(text).unwrap() }
}

/// Changes a good raw root, says why it does not fit, and that it is refused as a first root too.
fn refused(change: impl FnOnce(&mut raw::Root)) -> InvalidRoot {
    let mut raw = Holders::new(10).raw(1, None, NOW);
    assert!(Root::try_from(raw.clone()).is_ok());
    change(&mut raw);
    let found = fault(TrustedRoot::introduced(&sign_any(Kind::Root, &raw, &[10])));
    let shape = matches!(
        found,
        RootError::Unverified {
            fault: VerifyError::SignedMalformedPayload {
                fault: InvalidJson::WrongShape { .. },
                ..
            },
            ..
        }
    );
    assert!(shape, "{found:?}");
    Root::try_from(raw).unwrap_err()
}

//= ID-1
//= ID-7
//= ID-8
#[test]
fn roots_that_do_not_fit_together_are_refused() {
    assert_eq!(refused(|raw| raw.version = 0), InvalidRoot::VersionZero);
    assert_eq!(refused(|raw| raw.prev = Some(Digest::of(b"", &[]))), InvalidRoot::PrevMisplaced);
    assert_eq!(refused(|raw| raw.version = 2), InvalidRoot::PrevMisplaced);
    assert!(matches!(refused(|raw| raw.expires = raw.issued), InvalidRoot::BadLife { .. }));
    assert!(matches!(
        refused(|raw| raw.expires = raw.issued.plus_ms(limit::ROOT_LIFE_MS_MAX + 1)),
        InvalidRoot::BadLife { .. }
    ));
    assert_eq!(refused(|raw| raw.min_proto = 0), InvalidRoot::MinProtoZero);
    assert!(matches!(refused(|raw| raw.keys = BTreeMap::new()), InvalidRoot::BadKeyCount { .. }));
    assert_eq!(
        refused(|raw| {
            raw.keys.insert(kid(99), RootKey::new(secret(99).public(), NOW, raw.expires));
        }),
        InvalidRoot::KeyWithoutRole
    );
    let foreign = refused(|raw| {
        raw.keys.insert(kid(99), RootKey::new(secret(98).public(), NOW, raw.expires));
    });
    assert_eq!(foreign, InvalidRoot::ForeignKeyId { kid: kid(99) });
    let long = refused(|raw| raw.keys.get_mut(&kid(12)).unwrap().exp = raw.expires.plus_ms(1));
    assert_eq!(long, InvalidRoot::BadKeyLife { kid: kid(12) });
    let never = refused(|raw| {
        let key = raw.keys.get_mut(&kid(12)).unwrap();
        key.nbf = key.exp;
    });
    assert_eq!(never, InvalidRoot::BadKeyLife { kid: kid(12) });
    assert_eq!(
        refused(|raw| {
            raw.roles.remove(&Role::Stream);
        }),
        InvalidRoot::RoleMissing { role: Role::Stream }
    );
    for threshold in [0, 2, u64::MAX / 4096] {
        let found = refused(|raw| raw.roles.get_mut(&Role::Root).unwrap().threshold = threshold);
        assert_eq!(found, InvalidRoot::BadThreshold { role: Role::Root });
    }
    let unknown = refused(|raw| {
        raw.roles.insert(Role::Stream, RoleHolders { keyids: [kid(99)].into(), threshold: 1 });
    });
    assert_eq!(unknown, InvalidRoot::UnknownKey { role: Role::Stream, kid: kid(99) });
    let shared = refused(|raw| {
        raw.roles.insert(Role::Request, raw.roles[&Role::Stream].clone());
    });
    assert!(matches!(shared, InvalidRoot::KeyWithTwoRoles { .. }));
    assert!(matches!(
        refused(|raw| raw.endpoints = vec![endpoint("https://a"); 2]),
        InvalidRoot::BadEndpoints { .. }
    ));
}

#[test]
fn catalog_and_operator_roles_may_be_absent() {
    let mut raw = Holders::new(10).raw(1, None, NOW);
    for role in [Role::Catalog, Role::OperatorCa] {
        let holders = raw.roles.remove(&role).unwrap();
        raw.keys.retain(|kid, _| !holders.keyids.contains(kid));
    }
    raw.endpoints = vec![endpoint("https://a"), endpoint("https://a:1")];
    let chain = TrustedRoot::introduced(&sign_any(Kind::Root, &raw, &[10])).unwrap();
    assert!(chain.keys(Role::Catalog).is_none());
    assert!(chain.keys(Role::Stream).is_some());
}
