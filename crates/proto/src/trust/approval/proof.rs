//! How an operator's key proves that it signed: the kind of the key decides, and nothing in a message.

use landbridge_planted::planted;

use super::ssh::{self, BadSsh};
use super::webauthn::{self, Assertion, BadAssertion, Expected};
use crate::wire::approval::{KeyMethod, OperatorKey, OperatorPublic, Proof, SignedApproval};
use crate::wire::base64;
use crate::wire::key::PublicKey;

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadProof {
    /// The proof is of another kind than the key.
    #[error("signed as {}, and the key is {}", found.as_str(), expected.as_str())]
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
    /// An SSHSIG that does not count.
    #[error("SSH signature: {0}")]
    Ssh(BadSsh),
    /// An assertion that does not count.
    #[error("passkey: {0}")]
    Passkey(BadAssertion),
}

/// Checks the proof of a signed approval against the key of the credential.
pub(super) fn check(signed: &SignedApproval, key: &OperatorKey) -> Result<(), BadProof> {
    let (expected, found) = (key.kind, signed.proof().method());
    if expected != found && !planted!("proof_chooses_its_kind") {
        return Err(BadProof::AnotherKind { expected, found });
    }
    let bytes = signed.signed_bytes();
    match signed.proof() {
        Proof::File { sig, .. } => file(&bytes, ed25519(key)?, &decoded(sig)?),
        Proof::Ssh { sig, .. } | Proof::SshSk { sig, .. } => {
            ssh::check(&bytes, key, ed25519(key)?, &decoded(sig)?).map_err(BadProof::Ssh)
        }
        Proof::Webauthn { authenticator_data, client_data, sig, .. } => {
            let challenge = webauthn::challenge(&bytes);
            let expected = Expected {
                challenge: challenge.as_bytes(),
                origins: &key.origins,
                rp_id: key.rp_id.as_deref().unwrap_or_default(),
                public: key.public(),
            };
            let made = Assertion {
                authenticator_data: &decoded(authenticator_data)?,
                client_data: &decoded(client_data)?,
                sig: &decoded(sig)?,
            };
            webauthn::check(&expected, &made).map_err(BadProof::Passkey)
        }
    }
}

//= APR-19
fn file(signed: &[u8], public: &PublicKey, sig: &[u8]) -> Result<(), BadProof> {
    let sig = <&[u8; 64]>::try_from(sig).map_err(|_| BadProof::Unreadable)?;
    let held = public.check(signed, sig).map_err(|_| BadProof::Forged);
    if planted!("file_proof_unchecked") { Ok(()) } else { held }
}

/// Only passkeys have another algorithm, so for other kinds this never fails.
fn ed25519(key: &OperatorKey) -> Result<&PublicKey, BadProof> {
    match key.public() {
        OperatorPublic::Ed25519(public) => Ok(public),
        OperatorPublic::Es256(_) => Err(BadProof::Forged),
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, BadProof> {
    base64::decode(text).map_err(|_| BadProof::Unreadable)
}
