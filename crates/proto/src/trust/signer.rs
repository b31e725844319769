//! Signing: what leaves a key is always an envelope of a kind that the key's role may sign.
//!
//! A trait, because a key may live in a file, in an agent or in a token; the rest of the daemon does
//! not know which.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use landbridge_planted::planted;
use serde::Serialize;

use super::key::{PublicKey, SecretKey};
use crate::wire::envelope::Envelope;
use crate::wire::json::{InvalidJson, canonical};
use crate::wire::kind::{Kind, PayloadKind, SignedBy};
use crate::wire::name::KeyId;

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The kind belongs to another role than the key.
    #[error("a key of {has} does not sign a {kind}")]
    KindOfAnotherRole {
        /// The kind asked for.
        kind: Kind,
        /// What the key is for.
        has: SignedBy,
    },
    /// The payload is longer than its kind allows.
    #[error("a {kind} has at most {max} bytes, not {bytes}")]
    TooLong {
        /// The kind.
        kind: Kind,
        /// The most bytes allowed.
        max: usize,
        /// The bytes it would have.
        bytes: usize,
    },
    /// The payload cannot be written in its one spelling.
    #[error("the payload of a {kind} has no canonical form")]
    NotCanonical {
        /// The kind.
        kind: Kind,
        /// Why not.
        #[source]
        fault: InvalidJson,
    },
    /// The key was revoked by its own gateway.
    #[error(
        "our own key {kid} ({role}) is revoked; make a new one: landbridge key rotate ROLE --now"
    )]
    Revoked {
        /// The key.
        kid: KeyId,
        /// What it was for.
        role: SignedBy,
    },
    /// The keeper of the key did not sign.
    #[error("the key cannot be used now: {reason}")]
    Unavailable {
        /// What the keeper said.
        reason: String,
    },
}

/// Something that signs with one key of one role.
pub trait Signer {
    /// The key's id.
    fn kid(&self) -> &KeyId;

    /// Signs a payload as one of `kind`.
    ///
    /// # Errors
    ///
    /// Refuses a kind of another role, and says when the key cannot be used.
    fn sign(&self, kind: Kind, payload: &[u8]) -> Result<Envelope, SignError>;
}

/// Writes a payload in its one spelling and signs it.
///
/// # Errors
///
/// Refuses a payload that a reader would refuse, and what the signer refuses.
pub fn sign_typed<T: PayloadKind + Serialize>(
    signer: &(impl Signer + ?Sized),
    value: &T,
) -> Result<Envelope, SignError> {
    let payload = canonical::to_vec(value)
        .map_err(|fault| SignError::NotCanonical { kind: T::KIND, fault })?;
    if payload.len() > T::BYTES_MAX {
        return Err(SignError::TooLong { kind: T::KIND, max: T::BYTES_MAX, bytes: payload.len() });
    }
    signer.sign(T::KIND, &payload)
}

/// A secret key in this process, bound to what it may sign.
pub struct KeySigner {
    key: SecretKey,
    signed_by: SignedBy,
    /// Its own gateway revoked it: it signs nothing any more.
    revoked: AtomicBool,
}

impl KeySigner {
    /// Binds a key to its role for good.
    #[must_use]
    pub const fn new(key: SecretKey, signed_by: SignedBy) -> Self {
        Self { key, signed_by, revoked: AtomicBool::new(false) }
    }

    /// Has the key sign nothing any more, for as long as this process lives.
    pub fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
    }

    /// Whether the key signs nothing any more.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire)
    }

    /// What the key is for.
    #[must_use]
    pub const fn signed_by(&self) -> SignedBy {
        self.signed_by
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.key.public()
    }
}

impl Signer for KeySigner {
    fn kid(&self) -> &KeyId {
        self.key.kid()
    }

    fn sign(&self, kind: Kind, payload: &[u8]) -> Result<Envelope, SignError> {
        if kind.signed_by() != self.signed_by {
            return Err(SignError::KindOfAnotherRole { kind, has: self.signed_by });
        }
        //= ID-60
        if self.is_revoked() && !planted!("own_revoked_key_signs") {
            return Err(SignError::Revoked { kid: self.kid().clone(), role: self.signed_by });
        }
        Ok(self.key.sign(kind, payload))
    }
}

impl fmt::Debug for KeySigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySigner")
            .field("key", &self.key)
            .field("signed_by", &self.signed_by)
            .finish()
    }
}
