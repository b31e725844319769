#![allow(clippy::unwrap_used, reason = "tests")]
use serde::{Deserialize, Serialize};

use super::*;
use crate::trust::signer::{KeySigner, SignError, Signer, sign_typed};
use crate::trust::testing::{HOUR_MS, NOW, kid, secret, sign_any, sign_bytes};
use crate::wire::kind::Role;

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    n: i64,
    text: String,
}

impl PayloadKind for Seal {
    const KIND: Kind = Kind::Seal;
    const BYTES_MAX: usize = 64;
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct Accept {
    n: i64,
    text: String,
}

impl PayloadKind for Accept {
    const KIND: Kind = Kind::Accept;
    const BYTES_MAX: usize = 64;
}

fn keys(threshold: usize, seeds: &[u8]) -> RoleKeys {
    keys_of(SignedBy::Role(Role::Stream), threshold, seeds)
}

fn keys_of(by: SignedBy, threshold: usize, seeds: &[u8]) -> RoleKeys {
    let (nbf, exp) = (NOW, NOW.plus_ms(HOUR_MS));
    let windows = seeds.iter().map(|&seed| KeyWindow { public: secret(seed).public(), nbf, exp });
    RoleKeys::new(by, threshold, windows)
}

fn seal() -> Seal {
    Seal { n: 1, text: "x".into() }
}

fn judge(envelope: &Envelope, keys: &RoleKeys) -> Result<Seal, VerifyError> {
    verify::<Seal>(envelope, keys, NOW).map(Verified::into_value)
}

//= ENV-15
#[test]
fn what_was_signed_is_what_is_read() {
    let envelope = sign_any(Kind::Seal, &seal(), &[1]);
    let verified = verify::<Seal>(&envelope, &keys(1, &[1, 2]), NOW).unwrap();
    assert_eq!(*verified.value(), seal());
    assert_eq!(*verified.signer(), kid(1));
    assert_eq!(verified.digest(), envelope.digest());
    assert_eq!(*verified.envelope(), envelope);
}

//= ENV-10
#[test]
fn every_flipped_bit_is_refused() {
    let keys = keys(2, &[1, 2]);
    let bytes = sign_any(Kind::Seal, &seal(), &[1, 2]).to_bytes();
    assert!(judge(&Envelope::parse(&bytes).unwrap(), &keys).is_ok());
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let read = Envelope::parse(&bad).map(|envelope| judge(&envelope, &keys));
        assert!(!matches!(read, Ok(Ok(_))), "bit {bit}");
    }
}

//= ENV-9
//= ENV-10
#[test]
fn a_second_signature_that_is_not_needed_counts_too() {
    // Otherwise its bits could be changed unnoticed.
    let keys = keys(1, &[1, 2]);
    let bytes = sign_any(Kind::Seal, &seal(), &[1, 2]).to_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let read = Envelope::parse(&bad).map(|envelope| judge(&envelope, &keys));
        assert!(!matches!(read, Ok(Ok(_))), "bit {bit}");
    }
}

//= ENV-8
#[test]
fn another_kind_is_refused_even_with_the_same_members_and_key() {
    let envelope = sign_any(Kind::Accept, &seal(), &[1]);
    assert_eq!(
        judge(&envelope, &keys(1, &[1])),
        Err(VerifyError::SentAnotherKind { expected: Kind::Seal, found: Kind::Accept })
    );
    assert!(verify::<Accept>(&envelope, &keys(1, &[1]), NOW).is_ok());
}

#[test]
fn keys_of_another_role_are_refused() {
    let envelope = sign_any(Kind::Seal, &seal(), &[1]);
    for by in [SignedBy::Role(Role::Request), SignedBy::FederationRoot, SignedBy::Operator] {
        let found = judge(&envelope, &keys_of(by, 1, &[1]));
        assert_eq!(found, Err(VerifyError::KeysOfAnotherRole { kind: Kind::Seal, keys: by }));
    }
}

//= ENV-9
#[test]
fn keys_outside_the_role_are_refused() {
    let stranger =
        VerifyError::SignedWithForeignKey { kid: kid(9), role: SignedBy::Role(Role::Stream) };
    assert_eq!(judge(&sign_any(Kind::Seal, &seal(), &[9]), &keys(1, &[1])), Err(stranger.clone()));
    // Also beside one that would do, and where there is nothing to check against.
    let both = sign_any(Kind::Seal, &seal(), &[1, 9]);
    assert_eq!(judge(&both, &keys(1, &[1])), Err(stranger.clone()));
    assert_eq!(judge(&sign_any(Kind::Seal, &seal(), &[9]), &keys(0, &[])), Err(stranger));
    // Its positive twin: a key of the role.
    assert!(judge(&sign_any(Kind::Seal, &seal(), &[1]), &keys(1, &[1])).is_ok());
}

#[test]
fn one_keys_signature_under_another_keys_id_is_refused() {
    let one = sign_any(Kind::Seal, &seal(), &[1]).to_bytes();
    let text = String::from_utf8(one).unwrap().replace(kid(1).as_str(), kid(2).as_str());
    let envelope = Envelope::parse(text.as_bytes()).unwrap();
    assert_eq!(
        judge(&envelope, &keys(1, &[1, 2])),
        Err(VerifyError::ForgedSignature { kid: kid(2) })
    );
    // Its positive twin: the same signature under its own id.
    assert!(judge(&sign_any(Kind::Seal, &seal(), &[1]), &keys(1, &[1, 2])).is_ok());
}

//= ENV-11
#[test]
fn a_threshold_counts_distinct_keys() {
    let keys = keys(2, &[1, 2, 3]);
    let few = VerifyError::SignedByTooFew { have: 1, need: 2 };
    assert_eq!(judge(&sign_any(Kind::Seal, &seal(), &[1]), &keys), Err(few.clone()));
    assert!(judge(&sign_any(Kind::Seal, &seal(), &[1, 3]), &keys).is_ok());
    assert!(judge(&sign_any(Kind::Seal, &seal(), &[1, 2, 3]), &keys).is_ok());
    // One key listed twice among the keys is still one key.
    let twice = keys_of(SignedBy::Role(Role::Stream), 2, &[1, 1]);
    assert_eq!(judge(&sign_any(Kind::Seal, &seal(), &[1]), &twice), Err(few));
}

//= ENV-13
#[test]
fn a_key_is_good_within_its_window() {
    let envelope = sign_any(Kind::Seal, &seal(), &[1]);
    let at = |ms| verify::<Seal>(&envelope, &keys(1, &[1]), NOW.plus_ms(ms)).map(|_| ());
    let (nbf, exp) = (NOW, NOW.plus_ms(HOUR_MS));
    assert_eq!(at(-1), Err(VerifyError::SignedBeforeKeyWasValid { kid: kid(1), nbf }));
    assert_eq!(at(0), Ok(()));
    assert_eq!(at(HOUR_MS - 1), Ok(()));
    assert_eq!(at(HOUR_MS), Err(VerifyError::SignedWithExpiredKey { kid: kid(1), exp }));
}

//= ENV-7
#[test]
fn sizes_are_exact() {
    let sized =
        |bytes: usize| Seal { n: 1, text: "x".repeat(bytes - r#"{"n":1,"text":""}"#.len()) };
    let exact = sign_any(Kind::Seal, &sized(64), &[1]);
    assert_eq!(exact.payload_len(), 64);
    assert!(judge(&exact, &keys(1, &[1])).is_ok());
    let long = sign_any(Kind::Seal, &sized(65), &[1]);
    let found = judge(&long, &keys(1, &[1]));
    assert_eq!(found, Err(VerifyError::SentTooMuch { kind: Kind::Seal, max: 64, bytes: 65 }));
    let signer = KeySigner::new(secret(1), SignedBy::Role(Role::Stream));
    assert!(sign_typed(&signer, &sized(64)).is_ok());
    assert!(matches!(sign_typed(&signer, &sized(65)), Err(SignError::TooLong { .. })));
}

//= ENV-16
//= ENV-19
#[test]
fn signed_payloads_in_another_spelling_are_refused() {
    assert!(judge(&sign_bytes(Kind::Seal, br#"{"n":1,"text":"x"}"#, &[1]), &keys(1, &[1])).is_ok());
    for payload in [
        r#"{"text":"x","n":1}"#,
        r#"{"n":1,"n":1,"text":"x"}"#,
        r#"{"n":1,"text":"x","text":"x"}"#,
        r#"{"n":1, "text":"x"}"#,
        r#"{"n":1e0,"text":"x"}"#,
        r#"{"n":-0,"text":"x"}"#,
        r#"{"n":1,"text":"\u0078"}"#,
        r#"{"n":1,"text":"x","z":0}"#,
        r#"{"n":"1","text":"x"}"#,
        r#"{"n":1}"#,
        "",
        "{}",
    ] {
        let found = judge(&sign_bytes(Kind::Seal, payload.as_bytes(), &[1]), &keys(1, &[1]));
        assert!(
            matches!(found, Err(VerifyError::SignedMalformedPayload { .. })),
            "{payload}: {found:?}"
        );
    }
}

#[test]
fn a_signer_refuses_kinds_of_another_role() {
    let signer = KeySigner::new(secret(1), SignedBy::Role(Role::Stream));
    for &kind in Kind::ALL {
        let allowed = kind.signed_by() == SignedBy::Role(Role::Stream);
        assert_eq!(signer.sign(kind, b"{}").is_ok(), allowed, "{kind}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let signer = KeySigner::new(secret(0xab), SignedBy::Role(Role::Stream));
    let text = format!("{signer:?}");
    assert!(!text.contains("171") && !text.contains("abab"), "{text}");
    assert!(text.contains("secret"), "{text}");
}
