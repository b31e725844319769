#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::trust::testing::{
    HOUR_MS, Holders, NOW, chain_of, kid, raw_status, sign_any, sign_status,
};
use crate::wire::document::status::InvalidStatus;
use crate::wire::document::{Incarnation, Revocation, raw};
use crate::wire::kind::Kind;

const STATUS: u8 = 13;

fn chain() -> TrustedRoot {
    chain_of(&Holders::new(10).first())
}

fn at(ms: i64, change: impl FnOnce(&mut raw::Status)) -> Envelope {
    let mut raw = raw_status(&chain(), NOW.plus_ms(ms));
    change(&mut raw);
    sign_status(raw, STATUS)
}

fn first() -> TrustedStatus {
    TrustedStatus::first(&at(0, |_| {}), &chain(), NOW).unwrap()
}

fn next(envelope: &Envelope) -> Result<TrustedStatus, StatusError> {
    first().advance(envelope, &chain(), NOW.plus_ms(10))
}

fn revocation(seed: u8) -> Revocation {
    Revocation { kid: kid(seed), reason: RevocationReason::Compromised, since: NOW.plus_ms(-5) }
}

//= ID-18
#[test]
fn numbers_only_go_up() {
    assert_eq!(next(&at(1, |_| {})).unwrap().newest().value().seq, NOW.0 + 1);
    assert_eq!(next(&at(0, |_| {})).unwrap().newest().value().seq, NOW.0);
    assert_eq!(
        next(&at(-1, |_| {})).unwrap_err(),
        StatusError::WentBack { have: NOW.0, found: NOW.0 - 1 }
    );
}

//= ID-19
#[test]
fn one_number_for_two_statuses_is_equivocation() {
    let found = next(&at(0, |raw| raw.audit.size = 2)).unwrap_err();
    assert!(
        matches!(found, StatusError::Equivocated { seq, first, other } if seq == NOW.0 && first != other)
    );
}

//= ID-18
#[test]
fn incarnations_only_go_up() {
    let since = NOW.plus_ms(-1);
    let found = |incarnation| next(&at(1, |raw| raw.incarnation = incarnation));
    assert!(found(Incarnation { n: 2, since }).is_ok());
    assert!(matches!(
        found(Incarnation { n: 1, since }),
        Err(StatusError::IncarnationWentBack { have: 1, found: 1 })
    ));
    let second = found(Incarnation { n: 2, since }).unwrap();
    let back = second.advance(&at(2, |_| {}), &chain(), NOW.plus_ms(10)).unwrap_err();
    assert_eq!(back, StatusError::IncarnationWentBack { have: 2, found: 1 });
}

//= ID-16
//= ID-17
#[test]
fn time_bounds_are_exact() {
    let judge = |ms, now| TrustedStatus::first(&at(ms, |_| {}), &chain(), now).map(|_| ());
    assert_eq!(judge(limit::CLOCK_SKEW_MS_MAX, NOW), Ok(()));
    let future = limit::CLOCK_SKEW_MS_MAX + 1;
    assert_eq!(judge(future, NOW), Err(StatusError::IssuedInFuture { seq: NOW.0 + future }));
    assert_eq!(judge(0, NOW.plus_ms(HOUR_MS - 1)), Ok(()));
    let expires = NOW.plus_ms(HOUR_MS);
    assert_eq!(judge(0, expires), Err(StatusError::Expired { expires }));
    assert_eq!(first().check_fresh(&chain(), expires.plus_ms(-1)), Ok(()));
    assert_eq!(first().check_fresh(&chain(), expires), Err(VerifyError::StatusStale { expires }));
}

#[test]
fn only_the_status_key_of_the_same_gateway_signs() {
    for seed in [10, 11, 12, 14, 99] {
        let envelope = sign_any(Kind::Status, &raw_status(&chain(), NOW), &[seed]);
        let found = TrustedStatus::first(&envelope, &chain(), NOW).unwrap_err();
        assert!(
            matches!(found, StatusError::Unverified(VerifyError::SignedWithForeignKey { .. })),
            "{seed}"
        );
    }
    let other = chain_of(&Holders::new(20).first());
    let found =
        TrustedStatus::first(&at(0, |raw| raw.iss = other.gateway().clone()), &chain(), NOW);
    assert!(matches!(found, Err(StatusError::Foreign { .. })));
}

//= ID-15
#[test]
fn the_root_told_is_the_root_known() {
    let told = |version, root| {
        TrustedStatus::first(
            &at(0, |raw| (raw.root_version, raw.root) = (version, root)),
            &chain(),
            NOW,
        )
    };
    let other = Digest::of(b"", &[]);
    assert_eq!(told(1, other).unwrap_err(), StatusError::RootForked { version: 1 });
    assert_eq!(told(2, other).unwrap_err(), StatusError::RootUnknown { have: 1, told: 2 });
    assert!(told(1, chain().digest()).is_ok());
}

//= ID-20
#[test]
fn a_root_that_changes_the_status_role_begins_the_numbers_anew() {
    let first_root = Holders::new(10).first();
    let ahead = sign_status(raw_status(&chain(), NOW.plus_ms(50_000)), STATUS);
    let stolen = TrustedStatus::first(&ahead, &chain(), NOW).unwrap();
    let same = chain().advance(&[Holders::new(10).next(2, &first_root, &[10])], NOW).unwrap();
    let back = sign_status(raw_status(&same, NOW.plus_ms(5)), STATUS);
    assert!(matches!(
        stolen.advance(&back, &same, NOW.plus_ms(10)),
        Err(StatusError::WentBack { .. })
    ));
    let rotated = Holders::new(10).with(Role::Status, 66).next(2, &first_root, &[10]);
    let rotated = chain().advance(&[rotated], NOW).unwrap();
    assert_eq!(stolen.check_fresh(&rotated, NOW), Err(VerifyError::StatusMissing));
    // Under the former root nothing begins anew, so no older status comes back by the change.
    let former = sign_any(Kind::Status, &raw_status(&chain(), NOW.plus_ms(5)), &[66]);
    assert!(matches!(
        stolen.advance(&former, &rotated, NOW.plus_ms(10)),
        Err(StatusError::WentBack { .. })
    ));
    let anew = sign_status(raw_status(&rotated, NOW.plus_ms(5)), 66);
    let taken = stolen.advance(&anew, &rotated, NOW.plus_ms(10)).unwrap();
    assert_eq!(taken.newest().value().seq, NOW.0 + 5);
    assert_eq!(taken.check_fresh(&rotated, NOW.plus_ms(10)), Ok(()));
    // And the root version does not go back with the numbers.
    let older = sign_any(Kind::Status, &raw_status(&chain(), NOW.plus_ms(6)), &[66]);
    assert!(matches!(
        taken.advance(&older, &rotated, NOW.plus_ms(10)),
        Err(StatusError::RootWentBack { have: 2, found: 1 })
    ));
}

//= ID-22
#[test]
fn a_revocation_stays() {
    let now = NOW.plus_ms(10);
    let revoking = next(&at(1, |raw| raw.revoked = vec![revocation(11)])).unwrap();
    let silent = revoking.advance(&at(2, |_| {}), &chain(), now.plus_ms(1)).unwrap();
    let expected =
        Revoked { received: now, reason: RevocationReason::Compromised, since: NOW.plus_ms(-5) };
    assert_eq!(silent.revocation(&kid(11)), Some(&expected));
    assert_eq!(silent.revocation(&kid(12)), None);
    let restored = TrustedStatus::restore(
        silent.newest().envelope(),
        now,
        silent.revocations().map(|(kid, revoked)| (kid.clone(), *revoked)),
        &chain(),
    )
    .unwrap();
    assert_eq!(restored.revocation(&kid(11)), Some(&expected));
    assert_eq!(
        restored.advance(&at(-1, |_| {}), &chain(), now).unwrap_err(),
        StatusError::WentBack { have: NOW.0 + 2, found: NOW.0 - 1 }
    );
}

#[test]
fn a_revoked_status_key_says_nothing_more() {
    let revoked = next(&at(1, |raw| raw.revoked = vec![revocation(STATUS)])).unwrap();
    assert_eq!(revoked.check_fresh(&chain(), NOW.plus_ms(10)), Err(VerifyError::StatusMissing));
    let found = revoked.advance(&at(2, |_| {}), &chain(), NOW.plus_ms(10)).unwrap_err();
    assert_eq!(
        found,
        StatusError::Unverified(VerifyError::SignedWithRevokedKey { kid: kid(STATUS) })
    );
}

#[test]
fn a_status_is_restored_under_the_root_of_its_time() {
    let rotated = Holders::new(10).with(Role::Status, 66).next(2, &Holders::new(10).first(), &[10]);
    let rotated = chain().advance(&[rotated], NOW).unwrap();
    let restored = TrustedStatus::restore(&at(0, |_| {}), NOW, [], &rotated).unwrap();
    assert_eq!(restored.check_fresh(&rotated, NOW), Err(VerifyError::StatusMissing));
    let stranger = sign_any(Kind::Status, &raw_status(&chain(), NOW), &[99]);
    assert!(TrustedStatus::restore(&stranger, NOW, [], &rotated).is_err());
}

#[test]
fn every_flipped_bit_is_refused() {
    let chain = chain();
    let bytes = at(0, |raw| raw.revoked = vec![revocation(11)]).to_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let read = Envelope::parse(&bad)
            .map(|envelope| TrustedStatus::first(&envelope, &chain, NOW).is_ok());
        assert!(!matches!(read, Ok(true)), "bit {bit}");
    }
}

//= ID-17
#[test]
fn statuses_that_do_not_fit_together_are_refused() {
    let refused = |change: fn(&mut raw::Status)| {
        let mut raw = raw_status(&chain(), NOW);
        change(&mut raw);
        let envelope = sign_any(Kind::Status, &raw, &[STATUS]);
        let found = TrustedStatus::first(&envelope, &chain(), NOW).unwrap_err();
        assert!(
            matches!(found, StatusError::Unverified(VerifyError::SignedMalformedPayload { .. })),
            "{found:?}"
        );
        Status::try_from(raw).unwrap_err()
    };
    assert_eq!(refused(|raw| raw.seq += 1), InvalidStatus::SeqIsNotIssued);
    assert!(matches!(refused(|raw| raw.expires = raw.issued), InvalidStatus::BadLife { .. }));
    assert!(matches!(
        refused(|raw| raw.expires = raw.issued.plus_ms(limit::STATUS_LIFE_MS_MAX + 1)),
        InvalidStatus::BadLife { .. }
    ));
    assert_eq!(refused(|raw| raw.refresh_ms = 0), InvalidStatus::BadRefresh);
    assert_eq!(refused(|raw| raw.incarnation.n = 0), InvalidStatus::BadIncarnation);
    assert_eq!(
        refused(|raw| raw.incarnation.since = raw.issued.plus_ms(1)),
        InvalidStatus::BadIncarnation
    );
    assert_eq!(refused(|raw| raw.root_version = 0), InvalidStatus::RootVersionZero);
    assert!(matches!(
        refused(|raw| raw.revoked = vec![revocation(11); 2]),
        InvalidStatus::BadRevocations { .. }
    ));
}

//= ID-82
#[test]
fn of_ids_that_no_root_names_the_newest_revocations_are_remembered_and_of_its_own_keys_all() {
    let chain = chain();
    let own = chain.root().roles[&Role::Stream].keyids.first().unwrap().clone();
    let fresh = |n: i64| {
        let of = |i: i64| {
            KeyId::new(Digest::of(b"id\n", &[&n.to_be_bytes(), &i.to_be_bytes()]).to_string())
        };
        let mut kids: Vec<KeyId> = (0..256).map(|i| of(i).unwrap()).collect();
        kids.sort();
        kids
    };
    let tell = |n: i64, kids: Vec<KeyId>| {
        let one = |kid| Revocation { kid, reason: RevocationReason::Retired, since: NOW };
        at(n, |raw| raw.revoked = kids.into_iter().map(one).collect())
    };
    let mut status = first().advance(&tell(1, vec![own.clone()]), &chain, NOW).unwrap();
    for n in 2..18 {
        status = status.advance(&tell(n, fresh(n)), &chain, NOW.plus_ms(n)).unwrap();
    }
    let known = |status: &TrustedStatus, n: i64| {
        fresh(n).iter().filter(|kid| status.revocation(kid).is_some()).count()
    };
    assert_eq!(status.revocations().count(), limit::REVOCATIONS_KEPT_MAX + 1);
    // What such an id signed may still be shown: nothing is forgotten, and no more is taken.
    let refused = status.advance(&tell(18, fresh(18)), &chain, NOW.plus_ms(18)).unwrap_err();
    let max = limit::REVOCATIONS_KEPT_MAX;
    assert_eq!(refused, StatusError::TooManyRevocations { max });
    let same = status.advance(&tell(18, fresh(17)), &chain, NOW.plus_ms(18)).unwrap();
    assert_eq!((known(&same, 2), known(&same, 17)), (256, 256));
    // A day later the oldest go, and a key of its own never does.
    let later = limit::CREDENTIAL_LIFE_MS_MAX + limit::CLOCK_SKEW_MS_MAX + 3;
    let status = status.advance(&tell(later, fresh(18)), &chain, NOW.plus_ms(later)).unwrap();
    assert_eq!(status.revocations().count(), max + 1);
    assert_eq!((known(&status, 2), known(&status, 3), known(&status, 18)), (0, 256, 256));
    assert!(status.revocation(&own).is_some());
    let restored = TrustedStatus::restore(&tell(later + 1, fresh(19)), NOW, [], &chain).unwrap();
    let restored = restored.remembering(status, &chain);
    assert_eq!(restored.revocations().count(), max + 1);
    assert!(restored.revocation(&own).is_some());
}
