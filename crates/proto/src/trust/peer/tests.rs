#![allow(clippy::unwrap_used, reason = "tests")]
use serde::{Deserialize, Serialize};

use super::*;
use crate::trust::testing::{
    DAY_MS, HOUR_MS, Holders, NOW, chain_of, kid, peer, raw_status, sign_any, sign_status,
};
use crate::wire::document::{Federation, Membership, Revocation, RevocationReason, Root, Status};
use crate::wire::kind::Role;

macro_rules! payloads {
    ($($name:ident)*) => {$(
        #[derive(Debug, Deserialize, Serialize)]
        #[serde(deny_unknown_fields)]
        struct $name { n: i64 }
        impl PayloadKind for $name {
            const KIND: Kind = Kind::$name;
            const BYTES_MAX: usize = 100;
        }
    )*};
}
payloads!(Seal Request Catalog Approval);

const ROOT: u8 = 10;
const STREAM: u8 = 11;
const REQUEST: u8 = 12;
const STATUS: u8 = 13;

fn judge<T: PayloadKind + Serialize + DeserializeOwned>(
    view: &PeerView,
    value: &T,
    seed: u8,
    now: Timestamp,
) -> Result<(), VerifyError> {
    view.verify::<T>(&sign_any(T::KIND, value, &[seed]), now).map(|_| ())
}

#[test]
fn the_type_chooses_the_role() {
    let view = peer(10);
    assert_eq!(judge(&view, &Seal { n: 1 }, STREAM, NOW), Ok(()));
    assert_eq!(judge(&view, &Request { n: 1 }, REQUEST, NOW), Ok(()));
    for (role, seed) in Role::ALL.into_iter().zip(ROOT..) {
        assert_eq!(judge(&view, &Seal { n: 1 }, seed, NOW).is_ok(), role == Role::Stream, "{role}");
        assert_eq!(
            judge(&view, &Request { n: 1 }, seed, NOW).is_ok(),
            role == Role::Request,
            "{role}"
        );
    }
    let seal_by_request_key = judge(&view, &Seal { n: 1 }, REQUEST, NOW).unwrap_err();
    assert!(matches!(seal_by_request_key, VerifyError::SignedWithForeignKey { .. }));
}

#[test]
fn what_another_peer_signed_is_refused() {
    assert_eq!(judge(&peer(10), &Seal { n: 1 }, 11, NOW), Ok(()));
    assert!(judge(&peer(10), &Seal { n: 1 }, 21, NOW).is_err());
    assert_eq!(judge(&peer(20), &Seal { n: 1 }, 21, NOW), Ok(()));
}

#[test]
fn nothing_verifies_without_a_fresh_status() {
    let bare = PeerView::new(chain_of(&Holders::new(10).first()));
    assert_eq!(judge(&bare, &Seal { n: 1 }, STREAM, NOW), Err(VerifyError::StatusMissing));
    let expires = NOW.plus_ms(HOUR_MS);
    assert_eq!(judge(&peer(10), &Seal { n: 1 }, STREAM, expires.plus_ms(-1)), Ok(()));
    assert_eq!(
        judge(&peer(10), &Seal { n: 1 }, STREAM, expires),
        Err(VerifyError::StatusStale { expires })
    );
}

#[test]
fn nothing_verifies_under_an_expired_root() {
    let view = peer(10);
    let late = NOW.plus_ms(300 * DAY_MS);
    let found = judge(&view, &Seal { n: 1 }, STREAM, late);
    assert_eq!(found, Err(VerifyError::RootExpired { expires: late }));
}

#[test]
fn a_root_before_the_agreed_version_is_not_good_enough() {
    let view = peer(10).at_least(2);
    let found = judge(&view, &Seal { n: 1 }, STREAM, NOW);
    assert_eq!(found, Err(VerifyError::RootTooOld { have: 1, min: 2 }));
    let next = Holders::new(10).next(2, &Holders::new(10).first(), &[ROOT]);
    let view = view.with_roots(&[next], NOW).unwrap();
    assert_eq!(judge(&view, &Seal { n: 1 }, STREAM, NOW.plus_ms(10)), Ok(()));
}

#[test]
fn a_revoked_key_is_refused_from_its_arrival_on() {
    let view = peer(10);
    let mut raw = raw_status(view.chain(), NOW.plus_ms(1));
    let since = NOW.plus_ms(-DAY_MS);
    raw.revoked =
        vec![Revocation { kid: kid(STREAM), reason: RevocationReason::Compromised, since }];
    let arrival = NOW.plus_ms(100);
    let revoked = view.with_status(&sign_status(raw, STATUS), arrival).unwrap();
    let seal = sign_any(Kind::Seal, &Seal { n: 1 }, &[STREAM]);
    assert!(view.verify::<Seal>(&seal, arrival).is_ok(), "the old view is untouched");
    let found = revoked.verify::<Seal>(&seal, arrival).unwrap_err();
    assert_eq!(found, VerifyError::SignedWithRevokedKey { kid: kid(STREAM) });
    assert_eq!(judge(&revoked, &Request { n: 1 }, REQUEST, arrival), Ok(()));
    // What was received before stands: a peer cannot disown its past by a date.
    assert!(revoked.verify_recorded::<Seal>(&seal, arrival.plus_ms(-1)).is_ok());
    assert!(revoked.verify_recorded::<Seal>(&seal, arrival).is_err());
    assert_eq!(revoked.revocation(&kid(STREAM)).unwrap().since, since);
    let later = revoked
        .with_status(
            &sign_status(raw_status(view.chain(), NOW.plus_ms(2)), STATUS),
            arrival.plus_ms(5),
        )
        .unwrap();
    assert!(later.verify::<Seal>(&seal, arrival.plus_ms(5)).is_err(), "sticky");
}

#[test]
fn a_rotated_key_is_refused_as_soon_as_the_root_is_known() {
    let view = peer(10);
    let holders = Holders::new(10).with(Role::Stream, 77);
    let next = holders.next(2, &Holders::new(10).first(), &[ROOT]);
    let view = view.with_roots(&[next], NOW).unwrap();
    assert!(judge(&view, &Seal { n: 1 }, STREAM, NOW.plus_ms(10)).is_err());
    assert_eq!(judge(&view, &Seal { n: 1 }, 77, NOW.plus_ms(10)), Ok(()));
}

#[test]
fn roots_statuses_and_what_no_role_signs_do_not_come_this_way() {
    let view = peer(10);
    let first = Holders::new(10).first();
    assert!(matches!(
        view.verify::<Root>(&first, NOW),
        Err(VerifyError::NotFromAGateway { kind: Kind::Root })
    ));
    let status = sign_status(raw_status(view.chain(), NOW), STATUS);
    assert!(matches!(
        view.verify::<Status>(&status, NOW),
        Err(VerifyError::NotFromAGateway { .. })
    ));
    assert!(matches!(
        view.verify::<Membership>(&first, NOW),
        Err(VerifyError::NotFromAGateway { .. })
    ));
    assert!(matches!(
        judge(&view, &Approval { n: 1 }, STREAM, NOW),
        Err(VerifyError::NotFromAGateway { .. })
    ));
    assert!(matches!(
        view.verify::<Federation>(&first, NOW),
        Err(VerifyError::SentAnotherKind { .. })
    ));
}

#[test]
fn a_role_that_nobody_has_signs_nothing() {
    let mut holders = Holders::new(10);
    holders.online.remove(&Role::Catalog);
    let chain = chain_of(&holders.first());
    let status = sign_status(raw_status(&chain, NOW), STATUS);
    let view = PeerView::new(chain).with_status(&status, NOW).unwrap();
    let found = judge(&view, &Catalog { n: 1 }, 14, NOW);
    assert_eq!(found, Err(VerifyError::RoleMissing { role: Role::Catalog }));
    assert_eq!(judge(&peer(10), &Catalog { n: 1 }, 14, NOW), Ok(()));
}
