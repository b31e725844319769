//! SHA-256 digests and the labels that keep their uses apart.
//!
//! A digest over "some bytes" can be replayed where other bytes are meant. So every hash of the
//! contract begins with a label of its own, and the labels are listed here and nowhere else.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::base64;

/// Labels that begin what is hashed. Each ends with a line feed and none is a prefix of another.
pub mod tag {
    /// Begins what a key id is the digest of.
    pub const KEY: &[u8] = b"GFP-KEY-v1\n";
    /// Begins what a request body's print is the digest of.
    pub const BODY: &[u8] = b"GFP-BODY-v1\n";
    /// Begins what a stream's chain starts from.
    pub const STREAM: &[u8] = b"GFP-STREAM-v1\n";
    /// Begins one frame's leaf.
    pub const LEAF: &[u8] = b"GFP-LEAF-v1\n";
    /// Begins one link of a stream's chain.
    pub const CHAIN: &[u8] = b"GFP-CHAIN-v1\n";
    /// Begins what the words of a pairing are taken from.
    pub const WORDS: &[u8] = b"GFP-WORDS-v1\n";
    /// Begins what the proof of an invite's secret is computed over.
    pub const PAIRING: &[u8] = b"GFP-PAIRING-v1\n";
    /// Begins one link of the audit log's chain.
    pub const AUDIT: &[u8] = b"GFP-AUDIT-v1\n";
    /// Begins what an invite's public id is the digest of.
    pub const INVITE: &[u8] = b"GFP-INVITE-v1\n";
    /// Begins what pins one scope of a catalog.
    pub const SCOPE: &[u8] = b"GFP-SCOPE-v1\n";
    /// Begins the digest of what is approved.
    pub const SUBJECT: &[u8] = b"GFP-SUBJECT-v1\n";
    /// Begins what a WebAuthn challenge is the digest of.
    pub const WEBAUTHN: &[u8] = b"GFP-WEBAUTHN-v1\n";
    /// Begins what the check at the end of an invite's text is taken from.
    pub const INVITE_TEXT: &[u8] = b"GFP-INVITE-TEXT-v1\n";
}

/// A SHA-256 digest; as text 43 characters of base64url.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// Why a text is not a [`Digest`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidDigest {
    /// Not base64url in its one spelling.
    #[error("a digest is 43 characters of base64url")]
    BadText(#[source] base64::InvalidBase64),
    /// Another number of bytes than 32.
    #[error("a digest has 32 bytes, not {bytes}")]
    BadLength {
        /// The length found.
        bytes: usize,
    },
}

impl Digest {
    /// Hashes `tag` and then `parts`, one after the other.
    ///
    /// Parts are joined without separators, as the contract's formulas are written: all of them but
    /// the last must have a fixed length or end with a delimiter.
    #[must_use]
    pub fn of(tag: &[u8], parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        hash.update(tag);
        for part in parts {
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// The digest with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Compares without telling by its duration where the difference lies.
    ///
    /// For digests that act as proofs of a secret; public digests are compared with `==`.
    #[must_use]
    pub fn eq_secret(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let bytes = base64::decode_url(text).map_err(InvalidDigest::BadText)?;
        let bytes = <[u8; 32]>::try_from(bytes)
            .map_err(|bytes| InvalidDigest::BadLength { bytes: bytes.len() })?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        base64::encode_url(&digest.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64::encode_url(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn text_form_is_strict_and_round_trips() {
        let digest = Digest::of(b"", &[b"a", b"bc"]);
        assert_eq!(digest.to_string(), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert!(digest.eq_secret(&Digest::of(b"a", &[b"bc"])));
        assert!(!digest.eq_secret(&Digest::of(b"a", &[b"bd"])));
        for bad in [
            "",
            "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa",
            "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa1",
            "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0",
            "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0=",
            "AAAA",
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
