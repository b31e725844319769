//! Ed25519 public keys, admitted once and strictly.
//!
//! Libraries disagree about which points are keys and which signatures are valid. Everything that
//! they disagree about is refused here, when a key is admitted (canonical encoding, no small order,
//! no torsion) and when a signature is checked (cofactorless, `S < L`, canonical `R`), so that two
//! implementations reach one verdict. There is no batch verification: it accepts more.

use std::fmt;

use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use landbridge_planted::planted;

use super::base64;
use super::digest::{Digest, tag};
use super::name::KeyId;

/// Signature algorithms. The algorithm belongs to the key; no message chooses it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
pub enum Algorithm {
    /// Ed25519 (RFC 8032), with the strict rules of this module.
    #[serde(rename = "ed25519")]
    Ed25519,
}

impl Algorithm {
    /// The algorithm's name, as it is hashed into key ids.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
        }
    }
}

/// An admitted public key; as text 43 characters of base64url.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(VerifyingKey);

/// Why bytes are not a public key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidKey {
    /// Not base64url in its one spelling.
    #[error("a public key is 43 characters of base64url")]
    BadText(#[source] base64::InvalidBase64),
    /// Another number of bytes than 32.
    #[error("a public key has 32 bytes, not {bytes}")]
    BadLength {
        /// The length found.
        bytes: usize,
    },
    /// No point of the curve.
    #[error("the public key is no point of the curve")]
    NotOnCurve,
    /// A point with another, canonical encoding.
    #[error("the public key is not canonically encoded")]
    NotCanonical,
    /// A point of small order: signatures under it prove nothing.
    #[error("the public key has small order")]
    SmallOrder,
    /// A point with a torsion component: implementations disagree about its signatures.
    #[error("the public key has a torsion component")]
    MixedOrder,
}

/// A signature that does not hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct BadSignature;

impl PublicKey {
    /// Admits a public key.
    ///
    /// # Errors
    ///
    /// Refuses what is not the canonical encoding of a point of the prime-order subgroup.
    pub fn admit(bytes: &[u8; 32]) -> Result<Self, InvalidKey> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| InvalidKey::NotOnCurve)?;
        let point = key.to_edwards();
        if point.compress().as_bytes() != bytes && !planted!("key_encoding_unchecked") {
            //= ID-2
            return Err(InvalidKey::NotCanonical);
        }
        if point.is_small_order() && !planted!("key_order_unchecked") {
            return Err(InvalidKey::SmallOrder);
        }
        if !point.is_torsion_free() && !planted!("key_torsion_unchecked") {
            return Err(InvalidKey::MixedOrder);
        }
        if planted!("no_key_is_admitted") {
            return Err(InvalidKey::NotOnCurve);
        }
        Ok(Self(key))
    }

    /// The public half of a secret key; it lies in the right subgroup by construction.
    pub(crate) fn of(signing: &SigningKey) -> Self {
        Self(signing.verifying_key())
    }

    /// The key's 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The key's algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        Algorithm::Ed25519
    }

    /// The key's id: a digest over algorithm and key, never a name that somebody chose.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a digest's text has the form of a key id")]
    pub fn kid(&self) -> KeyId {
        let digest =
            Digest::of(tag::KEY, &[self.algorithm().as_str().as_bytes(), b"\n", self.as_bytes()]);
        KeyId::new(digest.to_string()).expect("43 characters of base64url")
    }

    /// Checks a signature over the bytes under it.
    //= ENV-12
    pub(crate) fn check(&self, signed: &[u8], sig: &[u8; 64]) -> Result<(), BadSignature> {
        #[cfg(plantable)]
        if let Some(said) = loose::check(self, signed, sig) {
            return said;
        }
        let signature = ed25519_dalek::Signature::from_bytes(sig);
        let held = self.0.verify_strict(signed, &signature).map_err(|_| BadSignature);
        if planted!("no_signature_holds") { Err(BadSignature) } else { held }
    }
}

impl TryFrom<String> for PublicKey {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<Self, InvalidKey> {
        let mut bytes = base64::decode_url(&text).map_err(InvalidKey::BadText)?;
        if planted!("key_length_unchecked") {
            bytes.resize(32, 0);
        }
        let bytes = <[u8; 32]>::try_from(bytes)
            .map_err(|bytes| InvalidKey::BadLength { bytes: bytes.len() })?;
        Self::admit(&bytes)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        base64::encode_url(key.as_bytes())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64::encode_url(self.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

#[cfg(test)]
mod agreement;
#[cfg(plantable)]
mod loose;
#[cfg(test)]
mod tests;
