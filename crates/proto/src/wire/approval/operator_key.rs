//! Keys of people. Each kind of key has one way to sign, so no message chooses an algorithm.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::wire::base64;
use crate::wire::digest::{Digest, tag};
use crate::wire::key::PublicKey;
use crate::wire::limit;
use crate::wire::name::KeyId;

/// What a person's key is, and how it signs.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeyMethod {
    /// An Ed25519 key in a file.
    File,
    /// An SSH key, through `ssh-keygen` or an agent.
    Ssh,
    /// An SSH key on a security key.
    SshSk,
    /// A passkey.
    Webauthn,
}

impl KeyMethod {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::File, Self::Ssh, Self::SshSk, Self::Webauthn];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Ssh => "ssh",
            Self::SshSk => "ssh_sk",
            Self::Webauthn => "webauthn",
        }
    }
}

/// A person's public key whose members fit its kind.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(try_from = "RawOperatorKey", into = "RawOperatorKey")]
pub struct OperatorKey {
    raw: RawOperatorKey,
    public: OperatorPublic,
}

/// A person's public key as it is written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[cfg_attr(any(test, feature = "schemas"), schemars(extend("allOf" = crate::wire::schema::rule::operator_key())))]
#[serde(deny_unknown_fields)]
pub struct RawOperatorKey {
    /// The algorithm.
    pub alg: OperatorAlgorithm,
    /// Of a security key: what it signs for, usually `ssh:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1, max = limit::URL_BYTES_MAX)))]
    pub application: Option<String>,
    /// The key's id, from algorithm and bytes.
    pub kid: KeyId,
    /// What it is.
    pub kind: KeyMethod,
    /// Of a passkey: the pages on which it may be used.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1, max = limit::ENDPOINTS_MAX), inner(length(min = 1, max = limit::URL_BYTES_MAX))))]
    pub origins: BTreeSet<String>,
    /// Its bytes, base64url.
    #[serde(rename = "pub")]
    pub public: String,
    /// Of a passkey: whom it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1, max = limit::URL_BYTES_MAX)))]
    pub rp_id: Option<String>,
}

/// Algorithms of people's keys.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
pub enum OperatorAlgorithm {
    /// Ed25519 (RFC 8032), as strict as everywhere else.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// ECDSA over P-256 with SHA-256 (RFC 7518). Passkeys only.
    #[serde(rename = "es256")]
    Es256,
}

/// The public bytes, read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OperatorPublic {
    /// An admitted Ed25519 key.
    Ed25519(PublicKey),
    /// An uncompressed P-256 point (SEC 1), not yet known to lie on the curve: whoever verifies finds out.
    Es256([u8; 65]),
}

/// Why a person's key does not fit together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidOperatorKey {
    /// The bytes are no key of the algorithm.
    #[error("the public key of {kid} is no {what}")]
    BadPublic {
        /// The id it stands under.
        kid: KeyId,
        /// What was expected.
        what: &'static str,
    },
    /// An id that is not the key's own.
    #[error("key {kid} does not have this id")]
    ForeignKeyId {
        /// The id it stands under.
        kid: KeyId,
    },
    /// Members of another kind of key, or none where its kind has some.
    #[error("the members of key {kid} are not those of its kind")]
    MembersMisplaced {
        /// The key.
        kid: KeyId,
    },
}

impl TryFrom<RawOperatorKey> for OperatorKey {
    type Error = InvalidOperatorKey;

    fn try_from(raw: RawOperatorKey) -> Result<Self, InvalidOperatorKey> {
        let bad = |what| InvalidOperatorKey::BadPublic { kid: raw.kid.clone(), what };
        let public = match raw.alg {
            OperatorAlgorithm::Ed25519 => {
                let key = PublicKey::try_from(raw.public.clone());
                OperatorPublic::Ed25519(key.map_err(|_| bad("admitted Ed25519 key"))?)
            }
            OperatorAlgorithm::Es256 => {
                let what = "uncompressed point of P-256";
                let bytes = base64::decode_url(&raw.public).map_err(|_| bad(what))?;
                let point = <[u8; 65]>::try_from(bytes).map_err(|_| bad(what))?;
                let uncompressed = point.first() == Some(&4);
                OperatorPublic::Es256(uncompressed.then_some(point).ok_or_else(|| bad(what))?)
            }
        };
        if public.kid() != raw.kid {
            return Err(InvalidOperatorKey::ForeignKeyId { kid: raw.kid });
        }
        if !raw.members_fit() {
            return Err(InvalidOperatorKey::MembersMisplaced { kid: raw.kid });
        }
        Ok(Self { raw, public })
    }
}

impl From<OperatorKey> for RawOperatorKey {
    fn from(key: OperatorKey) -> Self {
        key.raw
    }
}

impl std::ops::Deref for OperatorKey {
    type Target = RawOperatorKey;

    fn deref(&self) -> &RawOperatorKey {
        &self.raw
    }
}

impl OperatorKey {
    /// The public bytes, read.
    #[must_use]
    pub const fn public(&self) -> &OperatorPublic {
        &self.public
    }

    /// A key of a file or an SSH key, under the id that is its own.
    #[must_use]
    pub fn ed25519(
        kind: KeyMethod,
        public: &PublicKey,
        application: Option<String>,
    ) -> RawOperatorKey {
        RawOperatorKey {
            alg: OperatorAlgorithm::Ed25519,
            application,
            kid: public.kid(),
            kind,
            origins: BTreeSet::new(),
            public: public.to_string(),
            rp_id: None,
        }
    }
}

impl RawOperatorKey {
    fn members_fit(&self) -> bool {
        let short = |text: &String| !text.is_empty() && text.len() <= limit::URL_BYTES_MAX;
        let passkey = self.kind == KeyMethod::Webauthn;
        let sized = self.application.iter().chain(&self.rp_id).chain(&self.origins).all(short);
        sized
            && (self.alg == OperatorAlgorithm::Ed25519 || passkey)
            && self.application.is_some() == (self.kind == KeyMethod::SshSk)
            && self.rp_id.is_some() == passkey
            && self.origins.is_empty() != passkey
            && self.origins.len() <= limit::ENDPOINTS_MAX
    }
}

impl OperatorPublic {
    /// The key's id.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a digest's text has the form of a key id")]
    pub fn kid(&self) -> KeyId {
        let (alg, bytes): (&str, &[u8]) = match self {
            Self::Ed25519(key) => return key.kid(),
            Self::Es256(point) => ("es256", point),
        };
        let digest = Digest::of(tag::KEY, &[alg.as_bytes(), b"\n", bytes]);
        KeyId::new(digest.to_string()).expect("43 characters of base64url")
    }
}
