#![allow(clippy::unwrap_used, reason = "tests")]
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::scalar::Scalar;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha512};

use super::*;

fn hex<const N: usize>(text: &str) -> [u8; N] {
    HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
}

/// RFC 8032, section 7.1, tests 1 to 3 and "SHA(abc)": seed, key, message, signature.
const VECTORS: [(&str, &str, &str, &str); 4] = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
];

#[test]
fn published_vectors_hold_and_their_changes_do_not() {
    for (seed, public, message, sig) in VECTORS {
        let key = PublicKey::admit(&hex(public)).unwrap();
        assert_eq!(key, PublicKey::of(&SigningKey::from_bytes(&hex(seed))));
        let message = HEXLOWER.decode(message.as_bytes()).unwrap();
        let sig: [u8; 64] = hex(sig);
        assert_eq!(key.check(&message, &sig), Ok(()));
        for bit in 0..512 {
            let mut bad = sig;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.check(&message, &bad), Err(BadSignature), "bit {bit}");
        }
        let longer = [message.as_slice(), b"x"].concat();
        assert_eq!(key.check(&longer, &sig), Err(BadSignature));
    }
}

//= ID-2
#[test]
fn keys_of_small_order_are_refused() {
    for point in EIGHT_TORSION {
        assert_eq!(PublicKey::admit(point.compress().as_bytes()), Err(InvalidKey::SmallOrder));
    }
    // Its positive twin: a point of the large order.
    assert!(PublicKey::admit(ED25519_BASEPOINT_POINT.compress().as_bytes()).is_ok());
}

//= ID-2
#[test]
fn keys_of_mixed_order_are_refused() {
    let key = ED25519_BASEPOINT_POINT * Scalar::from(7_u64);
    assert!(PublicKey::admit(key.compress().as_bytes()).is_ok());
    for torsion in &EIGHT_TORSION[1..] {
        let mixed = (key + torsion).compress();
        assert_eq!(PublicKey::admit(mixed.as_bytes()), Err(InvalidKey::MixedOrder));
    }
}

//= ID-2
#[test]
fn keys_in_another_encoding_are_refused() {
    // y + p for the small y that fit, and the sign bit where x is zero.
    let mut decoded = 0;
    for sign in [0, 0x80] {
        for low in 0xed_u8..=0xff {
            let mut bytes = [0xff; 32];
            bytes[0] = low;
            bytes[31] = 0x7f | sign;
            let found = PublicKey::admit(&bytes).unwrap_err();
            assert!(
                matches!(found, InvalidKey::NotCanonical | InvalidKey::NotOnCurve),
                "{found:?}"
            );
            decoded += u32::from(found == InvalidKey::NotCanonical);
        }
    }
    let mut negative_zero = [0; 32];
    (negative_zero[0], negative_zero[31]) = (1, 0x80);
    assert!(PublicKey::admit(&negative_zero).is_err());
    assert!(decoded > 0, "the library decodes some of them, which is why we check");
    // Its positive twin: a small y in its one encoding, of the first point that has a good order.
    let canonical = |low: u8| {
        let mut bytes = [0; 32];
        bytes[0] = low;
        PublicKey::admit(&bytes)
    };
    assert!((0..=0xff).any(|low| canonical(low).is_ok()));
}

//= ENV-12
#[test]
fn a_scalar_beyond_the_order_is_refused() {
    let order: [u8; 32] = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let (_, public, _, sig) = VECTORS[0];
    let mut sig: [u8; 64] = hex(sig);
    let key = PublicKey::admit(&hex(public)).unwrap();
    assert_eq!(key.check(b"", &sig), Ok(()));
    let mut carry = 0;
    for (byte, add) in sig[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(key.check(b"", &sig), Err(BadSignature));
}

//= ENV-12
#[test]
fn signatures_that_only_a_cofactor_makes_valid_are_refused() {
    let (secret, nonce) = (Scalar::from(11_u64), Scalar::from(13_u64));
    let public = (ED25519_BASEPOINT_POINT * secret).compress();
    let key = PublicKey::admit(public.as_bytes()).unwrap();
    let sign = |torsion: curve25519_dalek::EdwardsPoint| {
        let r = (ED25519_BASEPOINT_POINT * nonce + torsion).compress();
        let hash = Sha512::new()
            .chain_update(r.as_bytes())
            .chain_update(public.as_bytes())
            .chain_update(b"m");
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        let mut sig = [0; 64];
        sig[..32].copy_from_slice(r.as_bytes());
        sig[32..].copy_from_slice((nonce + k * secret).as_bytes());
        sig
    };
    assert_eq!(key.check(b"m", &sign(EIGHT_TORSION[0])), Ok(()), "the construction is right");
    for torsion in &EIGHT_TORSION[1..] {
        assert_eq!(key.check(b"m", &sign(*torsion)), Err(BadSignature));
    }
}

//= ENV-12
#[test]
fn a_small_order_commitment_is_refused() {
    // R of small order with s = k·a satisfies the cofactorless equation when R is the identity.
    let secret = Scalar::from(11_u64);
    let public = (ED25519_BASEPOINT_POINT * secret).compress();
    let key = PublicKey::admit(public.as_bytes()).unwrap();
    assert_eq!(key.check(b"", &[0; 64]), Err(BadSignature));
    for r in EIGHT_TORSION.map(|point| point.compress()) {
        let hash = Sha512::new()
            .chain_update(r.as_bytes())
            .chain_update(public.as_bytes())
            .chain_update(b"m");
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        let mut sig = [0; 64];
        sig[..32].copy_from_slice(r.as_bytes());
        sig[32..].copy_from_slice((k * secret).as_bytes());
        assert_eq!(key.check(b"m", &sig), Err(BadSignature));
    }
    // Its positive twin: a commitment of the large order, made in the same way.
    let nonce = Scalar::from(13_u64);
    let r = (ED25519_BASEPOINT_POINT * nonce).compress();
    let hash =
        Sha512::new().chain_update(r.as_bytes()).chain_update(public.as_bytes()).chain_update(b"m");
    let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    let mut sig = [0; 64];
    sig[..32].copy_from_slice(r.as_bytes());
    sig[32..].copy_from_slice((nonce + k * secret).as_bytes());
    assert_eq!(key.check(b"m", &sig), Ok(()));
}

//= ENV-12
#[test]
fn a_commitment_in_another_encoding_is_refused() {
    // The identity with y + p in place of y: the equation holds for who reads R as a point.
    let secret = Scalar::from(11_u64);
    let public = (ED25519_BASEPOINT_POINT * secret).compress();
    let key = PublicKey::admit(public.as_bytes()).unwrap();
    let mut other = [0xff; 32];
    (other[0], other[31]) = (0xee, 0x7f);
    let sign = |r: [u8; 32], nonce: Scalar| {
        let hash = Sha512::new().chain_update(r).chain_update(public.as_bytes()).chain_update(b"m");
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        let mut sig = [0; 64];
        sig[..32].copy_from_slice(&r);
        sig[32..].copy_from_slice((nonce + k * secret).as_bytes());
        sig
    };
    assert_eq!(key.check(b"m", &sign(other, Scalar::ZERO)), Err(BadSignature));
    let nonce = Scalar::from(13_u64);
    let honest = (ED25519_BASEPOINT_POINT * nonce).compress().to_bytes();
    assert_eq!(key.check(b"m", &sign(honest, nonce)), Ok(()), "the construction is right");
}

#[test]
fn key_text_is_strict() {
    let key = PublicKey::admit(&hex(VECTORS[0].1)).unwrap();
    assert_eq!(PublicKey::try_from(key.to_string()), Ok(key.clone()));
    assert!(PublicKey::try_from(format!("{key}=")).is_err());
    assert_eq!(PublicKey::try_from("AAAA".to_owned()), Err(InvalidKey::BadLength { bytes: 3 }));
    assert_ne!(key.kid(), PublicKey::admit(&hex(VECTORS[1].1)).unwrap().kid());
}
