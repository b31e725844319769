//! How an operator's key proves that it signed: the kind of the key decides, and nothing in a message.

use landbridge_planted::planted;

use crate::wire::approval::{KeyMethod, OperatorKey, OperatorPublic, Proof, SignedApproval};
use crate::wire::base64;

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadProof {
    /// The proof is of another kind than the key.
    #[error("signed as {found:?}, and the key is {expected:?}")]
    AnotherKind {
        /// What the key is.
        expected: KeyMethod,
        /// What the proof is.
        found: KeyMethod,
    },
    /// A part that is not base64 in its one spelling, or has another length than a signature.
    #[error("a part of the proof is not of its form")]
    Unreadable,
    /// The signature does not hold.
    #[error("the signature does not hold")]
    Forged,
}

/// Checks the proof of a signed approval against the key of the credential.
pub(super) fn check(signed: &SignedApproval, key: &OperatorKey) -> Result<(), BadProof> {
    let (expected, found) = (key.kind, signed.proof().method());
    if expected != found && !planted!("proof_chooses_its_kind") {
        return Err(BadProof::AnotherKind { expected, found });
    }
    let bytes = signed.signed_bytes();
    match signed.proof() {
        Proof::File { sig, .. } => file(&bytes, key.public(), sig),
        Proof::Ssh { .. } | Proof::SshSk { .. } | Proof::Webauthn { .. } => {
            Err(BadProof::Unreadable)
        }
    }
}

//= APR-19
fn file(signed: &[u8], public: &OperatorPublic, sig: &str) -> Result<(), BadProof> {
    let OperatorPublic::Ed25519(public) = public else { return Err(BadProof::Forged) };
    let sig = base64::decode(sig).map_err(|_| BadProof::Unreadable)?;
    let sig = <[u8; 64]>::try_from(sig).map_err(|_| BadProof::Unreadable)?;
    let held = public.check(signed, &sig).map_err(|_| BadProof::Forged);
    if planted!("file_proof_unchecked") { Ok(()) } else { held }
}
