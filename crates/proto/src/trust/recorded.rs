//! Verifying what was recorded: by the root that a signed object names, at the time that it states.
//!
//! [`super::peer::PeerView`] answers whether something may be acted on now. A transcript asks another
//! question: whether it was good when it was made, years later and without a clock. So the object itself
//! says which root and which instant are to be used. It is believed only as far as that: the same bytes
//! must then verify under that root's keys, inside their windows and inside the root's life.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::root::{TrustedRoot, role_keys};
use super::verified::{Verified, VerifyError, verify};
use crate::wire::document::Root;
use crate::wire::envelope::Envelope;
use crate::wire::json::canonical;
use crate::wire::kind::{PayloadKind, Role, SignedBy};
use crate::wire::limit;
use crate::wire::name::Timestamp;

/// What a signed object says of its own signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stated {
    /// The version of the root whose key signed; `None`: whichever was good at `at`.
    pub root_version: Option<u64>,
    /// When it was signed.
    pub at: Timestamp,
}

/// What is wrong with a recorded object.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RecordedError {
    /// Its signatures or its payload do not hold.
    #[error("it does not verify at the time that it states")]
    Unverified(#[source] VerifyError),
    /// It names a root that the chain does not have, or that was not good at the time.
    #[error("no root of the chain was good at {at}")]
    NoRoot {
        /// The time that it states.
        at: Timestamp,
    },
}

/// Verifies an envelope against a chain of roots, at the time and under the root that it states.
///
/// # Errors
///
/// Returns what does not hold. Nothing of the payload is returned then.
pub fn verify_stated<T: PayloadKind + Serialize + DeserializeOwned>(
    chain: &TrustedRoot,
    envelope: &Envelope,
    stated: impl Fn(&T) -> Stated,
) -> Result<Verified<T>, RecordedError> {
    let SignedBy::Role(role) = T::KIND.signed_by() else {
        return Err(RecordedError::Unverified(VerifyError::NotFromAGateway { kind: T::KIND }));
    };
    let Stated { root_version, at } = stated(&claim(envelope)?);
    let mut fault = RecordedError::NoRoot { at };
    for root in chain.roots().rev().map(Verified::value) {
        if !is_good(root, at) || root_version.is_some_and(|version| version != root.version) {
            continue;
        }
        match verify_by(root, role, envelope, at) {
            Ok(verified) => return Ok(verified),
            // The newest root's fault says most.
            Err(found) if matches!(fault, RecordedError::NoRoot { .. }) => fault = found,
            Err(_) => {}
        }
    }
    Err(fault)
}

//= STR-37
fn verify_by<T: PayloadKind + Serialize + DeserializeOwned>(
    root: &Root,
    role: Role,
    envelope: &Envelope,
    at: Timestamp,
) -> Result<Verified<T>, RecordedError> {
    verify(envelope, &role_keys(root, role), at).map_err(RecordedError::Unverified)
}

fn is_good(root: &Root, at: Timestamp) -> bool {
    at.plus_ms(limit::CLOCK_SKEW_MS_MAX) >= root.issued && at < root.expires
}

/// Reads what an object claims, to learn which keys must have signed it. The claim never leaves this
/// module: the value that does is read again, after the signatures held.
fn claim<T: PayloadKind + Serialize + DeserializeOwned>(
    envelope: &Envelope,
) -> Result<T, RecordedError> {
    let refuse = |fault| Err(RecordedError::Unverified(fault));
    let (kind, bytes) = (T::KIND, envelope.payload_len());
    if envelope.kind() != kind {
        return refuse(VerifyError::SentAnotherKind { expected: kind, found: envelope.kind() });
    }
    if bytes > T::BYTES_MAX {
        return refuse(VerifyError::SentTooMuch { kind, max: T::BYTES_MAX, bytes });
    }
    canonical::from_slice(envelope.payload()).map_err(|fault| {
        RecordedError::Unverified(VerifyError::SignedMalformedPayload { kind, fault })
    })
}
