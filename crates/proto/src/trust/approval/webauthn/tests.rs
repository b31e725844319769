#![allow(clippy::unwrap_used, reason = "tests")]

mod vectors;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use data_encoding::HEXLOWER;

use self::vectors::{VECTORS, Vector};
use super::*;
use crate::wire::key::PublicKey;

fn bytes(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn public(bytes: &[u8]) -> OperatorPublic {
    match <[u8; 65]>::try_from(bytes) {
        Ok(point) => OperatorPublic::Es256(point),
        Err(_) => OperatorPublic::Ed25519(PublicKey::admit(bytes.try_into().unwrap()).unwrap()),
    }
}

fn judge(vector: &Vector) -> Result<(), BadAssertion> {
    let origins = ["https://example.org".to_owned()].into();
    let public = public(&bytes(vector.public));
    let expected = Expected {
        challenge: &bytes(vector.challenge),
        origins: &origins,
        rp_id: "example.org",
        public: &public,
    };
    let made = Assertion {
        authenticator_data: &bytes(vector.authenticator_data),
        client_data: vector.client_data.as_bytes(),
        sig: &bytes(vector.sig),
    };
    check(&expected, &made)
}

/// Most of the published assertions are by authenticators that did not verify the person, and some are
/// from frames: those must hold as signatures and be refused for what they are.
//= APR-21
#[test]
fn published_assertions_are_judged_as_their_members_say() {
    let mut counted = 0;
    for vector in VECTORS {
        let verified = bytes(vector.authenticator_data)[32] & USER_VERIFIED != 0;
        let framed = vector.client_data.contains(r#""crossOrigin":true"#);
        let wanted = match (framed, verified) {
            (true, _) => Err(BadAssertion::CrossOrigin),
            (_, false) => Err(BadAssertion::NotVerified),
            (false, true) => Ok(()),
        };
        assert_eq!(judge(vector), wanted, "{}", vector.name);
        counted += usize::from(wanted.is_ok());
    }
    assert!(counted >= 3, "{counted}");
}

#[test]
fn published_signatures_hold_and_none_does_when_a_bit_is_changed() {
    for vector in VECTORS {
        let public = public(&bytes(vector.public));
        let mut signed = bytes(vector.authenticator_data);
        signed.extend_from_slice(&Sha256::digest(vector.client_data.as_bytes()));
        let sig = bytes(vector.sig);
        assert!(check_signature(&public, &signed, &sig), "{}", vector.name);
        for at in 0..sig.len() {
            let mut bad = sig.clone();
            bad[at] ^= 1 << (at % 8);
            assert!(!check_signature(&public, &signed, &bad), "{} {at}", vector.name);
        }
        signed[0] ^= 1;
        assert!(!check_signature(&public, &signed, &sig), "{}", vector.name);
    }
}

/// A passkey of a test, whose signatures another library makes.
struct Passkey {
    pair: EcdsaKeyPair,
    origins: BTreeSet<String>,
}

const CHALLENGE: &[u8] = &[9; 32];

impl Passkey {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self { pair, origins: ["https://ops.example.org".to_owned()].into() }
    }

    fn public(&self) -> OperatorPublic {
        public(self.pair.public_key().as_ref())
    }

    fn judge(&self, authenticator_data: &[u8], client_data: &str) -> Result<(), BadAssertion> {
        let mut signed = authenticator_data.to_vec();
        signed.extend_from_slice(&Sha256::digest(client_data.as_bytes()));
        let sig = self.pair.sign(&SystemRandom::new(), &signed).unwrap();
        self.judge_signed(authenticator_data, client_data, sig.as_ref())
    }

    fn judge_signed(
        &self,
        authenticator_data: &[u8],
        client_data: &str,
        sig: &[u8],
    ) -> Result<(), BadAssertion> {
        let public = self.public();
        let expected = Expected {
            challenge: CHALLENGE,
            origins: &self.origins,
            rp_id: "example.org",
            public: &public,
        };
        let client_data = client_data.as_bytes();
        check(&expected, &Assertion { authenticator_data, client_data, sig })
    }
}

fn authenticator_data(rp_id: &str, flags: u8) -> Vec<u8> {
    let mut data = Sha256::digest(rp_id.as_bytes()).to_vec();
    data.push(flags);
    data.extend_from_slice(&7_u32.to_be_bytes());
    data
}

fn client_data() -> String {
    let challenge = base64::encode_url(CHALLENGE);
    format!(
        r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"https://ops.example.org","crossOrigin":false}}"#
    )
}

/// Attack 90, the passkey's part. Each case differs from the first in one thing, and is signed well.
//= APR-21
#[test]
fn assertions_made_for_something_else_are_refused() {
    let passkey = Passkey::new();
    let good = authenticator_data("example.org", 0x05);
    assert_eq!(passkey.judge(&good, &client_data()), Ok(()));
    let with = |from: &str, to: &str| {
        let changed = client_data().replacen(from, to, 1);
        assert_ne!(changed, client_data());
        passkey.judge(&good, &changed).unwrap_err()
    };
    assert_eq!(with("webauthn.get", "webauthn.create"), BadAssertion::Type);
    assert_eq!(with("webauthn.get", "payment.get"), BadAssertion::Type);
    let other = base64::encode_url(&[8; 32]);
    assert_eq!(with(&base64::encode_url(CHALLENGE), &other), BadAssertion::Challenge);
    for origin in [
        "https://evil-ops.example.org",
        "https://ops.example.org.evil.org",
        "https://ops.example.org/",
        "https://ops.example.org:8443",
        "http://ops.example.org",
        "https://OPS.example.org",
        "https://example.org",
        "",
    ] {
        assert_eq!(with("https://ops.example.org", origin), BadAssertion::Origin, "{origin}");
    }
    assert_eq!(with("false", "true"), BadAssertion::CrossOrigin);
    assert_eq!(with("false", r#"false,"topOrigin":"https://a.org""#), BadAssertion::CrossOrigin);
    let twice = r#"webauthn.get","type":"webauthn.get"#;
    assert_eq!(with("webauthn.get", twice), BadAssertion::ClientData);
    assert_eq!(with("false", "\"false\""), BadAssertion::ClientData);
    assert_eq!(with("}", "}}"), BadAssertion::ClientData);

    let forged = passkey.pair.sign(&SystemRandom::new(), b"something else").unwrap();
    let forged = passkey.judge_signed(&good, &client_data(), forged.as_ref());
    assert_eq!(forged, Err(BadAssertion::Forged));
    let flags = |flags| passkey.judge(&authenticator_data("example.org", flags), &client_data());
    assert_eq!(flags(0x04), Err(BadAssertion::NobodyPresent));
    assert_eq!(flags(0x01), Err(BadAssertion::NotVerified));
    assert_eq!(flags(0x1d), Ok(()));
    assert_eq!(flags(0x85), Err(BadAssertion::AuthenticatorData));
    let other = authenticator_data("example.org.evil.org", 0x05);
    assert_eq!(passkey.judge(&other, &client_data()), Err(BadAssertion::RelyingParty));
    let short = passkey.judge(&good[..36], &client_data());
    assert_eq!(short, Err(BadAssertion::AuthenticatorData));
    let long = [good.as_slice(), b"x"].concat();
    assert_eq!(passkey.judge(&long, &client_data()), Err(BadAssertion::AuthenticatorData));
    let extended = [authenticator_data("example.org", 0x85).as_slice(), b"\xa0"].concat();
    assert_eq!(passkey.judge(&extended, &client_data()), Ok(()));
}

/// Attack 90: the key of the credential decides which algorithm a signature is of.
#[test]
fn a_signature_of_another_algorithm_is_refused() {
    let passkey = Passkey::new();
    let data = authenticator_data("example.org", 0x05);
    let mut signed = data.clone();
    signed.extend_from_slice(&Sha256::digest(client_data().as_bytes()));
    let es256 = passkey.pair.sign(&SystemRandom::new(), &signed).unwrap();
    let seed = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap();
    let eddsa = seed.sign(&signed);
    let ed25519 = public(seed.public_key().as_ref());
    assert!(check_signature(&ed25519, &signed, eddsa.as_ref()));
    assert!(!check_signature(&ed25519, &signed, es256.as_ref()));
    assert!(check_signature(&passkey.public(), &signed, es256.as_ref()));
    assert!(!check_signature(&passkey.public(), &signed, eddsa.as_ref()));
    // The two numbers of an ECDSA signature side by side, without DER.
    let plain = p256::ecdsa::Signature::from_der(es256.as_ref()).unwrap().to_bytes();
    assert!(!check_signature(&passkey.public(), &signed, &plain));
    let trailing = [es256.as_ref(), b"\0"].concat();
    assert!(!check_signature(&passkey.public(), &signed, &trailing));
}

#[test]
fn a_point_off_the_curve_verifies_nothing() {
    let mut point = [7; 65];
    point[0] = 4;
    assert!(!check_signature(&OperatorPublic::Es256(point), b"x", &bytes(VECTORS[0].sig)));
}
