//! One operator's decision, and all that is needed to judge it.
//!
//! An approval is signed in the way of the operator's own key, so it has a container of its own where
//! other documents have an envelope. What is signed is the same: payload and kind, by the
//! pre-authentication encoding.

use serde::{Deserialize, Serialize};

use crate::wire::base64;
use crate::wire::digest::Digest;
use crate::wire::document::{FormVersion, proven};
use crate::wire::envelope::{Envelope, pre_authentication_encoding};
use crate::wire::json::{InvalidJson, canonical};
use crate::wire::kind::Kind;
use crate::wire::limit;
use crate::wire::name::{GatewayId, Jti, KeyId, OperatorName, ScopeName, Timestamp};

use super::ask::ApprovalTenants;
use super::operator_key::KeyMethod;

/// An approval whose members fit together.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(try_from = "RawApproval", into = "RawApproval")]
pub struct Approval(RawApproval);

/// An approval as it is written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawApproval {
    /// The relying gateway.
    pub aud: GatewayId,
    /// `D(credential)`.
    pub credential: Digest,
    /// What was decided.
    pub decision: Vote,
    /// When it stops being good.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub exp: Timestamp,
    /// When it was signed.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub iat: Timestamp,
    /// The deciding gateway.
    pub iss: GatewayId,
    /// Random, counted once.
    pub jti: Jti,
    /// How often it may be used: once.
    pub max_uses: FormVersion,
    /// `D(approval-request)`.
    pub request: Digest,
    /// Under which scope of the deciding gateway.
    pub scope: ScopeName,
    /// Who decided.
    pub sub: OperatorName,
    /// The digest of the subject that was shown.
    pub subject: Digest,
    /// Of whom it was asked, and for whom.
    pub tenant: ApprovalTenants,
    /// The form's version.
    pub v: FormVersion,
}

/// What an operator decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Vote {
    /// Let it happen, once.
    Approve,
    /// Do not.
    Deny,
}

impl Vote {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }
}

/// Why an approval does not fit together.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidApproval {
    /// Ends before it begins, or lives longer than allowed.
    #[error("an approval lives 1 to {max_ms} milliseconds")]
    BadLife {
        /// The longest life allowed.
        max_ms: i64,
    },
}

proven!(Approval, RawApproval, InvalidApproval, Kind::Approval, limit::DOCUMENT_BYTES_MAX);

//= APR-18
fn check(raw: &RawApproval) -> Result<(), InvalidApproval> {
    let life_ms = raw.exp.since_ms(raw.iat);
    if raw.iat.0 < 0 || !(1..=limit::APPROVAL_LIFE_MS_MAX).contains(&life_ms) {
        return Err(InvalidApproval::BadLife { max_ms: limit::APPROVAL_LIFE_MS_MAX });
    }
    Ok(())
}

/// How an approval is signed, by the kind of its key.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Proof {
    /// An Ed25519 signature.
    File {
        /// The key.
        kid: KeyId,
        /// The signature, base64.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(schema_with = "crate::wire::schema::signature")
        )]
        sig: String,
    },
    /// An SSHSIG.
    Ssh {
        /// The key.
        kid: KeyId,
        /// Its bytes, base64, without armour.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(schema_with = "crate::wire::schema::base64")
        )]
        sig: String,
    },
    /// An SSHSIG by a security key.
    SshSk {
        /// The key.
        kid: KeyId,
        /// Its bytes, base64, without armour.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(schema_with = "crate::wire::schema::base64")
        )]
        sig: String,
    },
    /// A WebAuthn assertion.
    Webauthn {
        /// The authenticator's data, base64.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(schema_with = "crate::wire::schema::base64")
        )]
        authenticator_data: String,
        /// The client's data (JSON), base64.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(schema_with = "crate::wire::schema::base64")
        )]
        client_data: String,
        /// The key.
        kid: KeyId,
        /// The signature, base64.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(schema_with = "crate::wire::schema::base64")
        )]
        sig: String,
    },
}

impl Proof {
    /// The key that signed.
    #[must_use]
    pub const fn kid(&self) -> &KeyId {
        match self {
            Self::File { kid, .. }
            | Self::Ssh { kid, .. }
            | Self::SshSk { kid, .. }
            | Self::Webauthn { kid, .. } => kid,
        }
    }

    /// The kind of key that signs so.
    #[must_use]
    pub const fn method(&self) -> KeyMethod {
        match self {
            Self::File { .. } => KeyMethod::File,
            Self::Ssh { .. } => KeyMethod::Ssh,
            Self::SshSk { .. } => KeyMethod::SshSk,
            Self::Webauthn { .. } => KeyMethod::Webauthn,
        }
    }

    /// Every text of it that is base64.
    fn texts(&self) -> impl Iterator<Item = &String> {
        let (one, two, three) = match self {
            Self::File { sig, .. } | Self::Ssh { sig, .. } | Self::SshSk { sig, .. } => {
                (sig, None, None)
            }
            Self::Webauthn { authenticator_data, client_data, sig, .. } => {
                (sig, Some(authenticator_data), Some(client_data))
            }
        };
        [Some(one), two, three].into_iter().flatten()
    }
}

/// An approval's payload with its proof. What it says is known once the proof was checked, and lent by
/// nothing here.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(try_from = "RawSignedApproval", into = "RawSignedApproval")]
pub struct SignedApproval {
    payload: Vec<u8>,
    proof: Proof,
}

/// An approval's payload with its proof, as it is written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawSignedApproval {
    /// The bytes that the operator signed, base64.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::payload::<Approval>")
    )]
    payload: String,
    /// What the payload is: an approval.
    #[serde(rename = "payloadType")]
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::payload_type::<Approval>")
    )]
    payload_type: String,
    /// How it is signed.
    proof: Proof,
}

/// Why bytes are no signed approval.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidSignedApproval {
    /// Another payload type.
    #[error("the payload is no approval")]
    OtherPayloadType,
    /// Not base64 in its one spelling.
    #[error("the {member} is not strict base64")]
    NotBase64 {
        /// Of the container.
        member: &'static str,
        /// The fault.
        #[source]
        fault: base64::InvalidBase64,
    },
    /// The proof is larger than any honest one.
    #[error("a proof has at most {} bytes", limit::PROOF_BYTES_MAX)]
    ProofTooLong,
    /// The payload is larger than a document may be.
    #[error("an approval has at most {} bytes", limit::DOCUMENT_BYTES_MAX)]
    TooLong,
}

impl TryFrom<RawSignedApproval> for SignedApproval {
    type Error = InvalidSignedApproval;

    //= APR-52
    fn try_from(raw: RawSignedApproval) -> Result<Self, InvalidSignedApproval> {
        if raw.payload_type != Kind::Approval.payload_type() {
            return Err(InvalidSignedApproval::OtherPayloadType);
        }
        let strict = |member, text: &str| {
            let read = base64::decode(text);
            read.map_err(|fault| InvalidSignedApproval::NotBase64 { member, fault })
        };
        let payload = strict("payload", &raw.payload)?;
        if payload.len() > limit::DOCUMENT_BYTES_MAX {
            return Err(InvalidSignedApproval::TooLong);
        }
        let mut bytes = 0;
        for text in raw.proof.texts() {
            bytes += strict("proof", text)?.len();
        }
        if bytes > limit::PROOF_BYTES_MAX {
            return Err(InvalidSignedApproval::ProofTooLong);
        }
        Ok(Self { payload, proof: raw.proof })
    }
}

impl From<SignedApproval> for RawSignedApproval {
    fn from(signed: SignedApproval) -> Self {
        Self {
            payload: base64::encode(&signed.payload),
            payload_type: Kind::Approval.payload_type().to_owned(),
            proof: signed.proof,
        }
    }
}

impl std::fmt::Debug for SignedApproval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignedApproval({}, by {})", self.digest(), self.proof.kid())
    }
}

impl SignedApproval {
    /// An approval with the proof that an operator's key made over [`SignedApproval::to_be_signed`].
    #[must_use]
    pub const fn new(payload: Vec<u8>, proof: Proof) -> Self {
        Self { payload, proof }
    }

    /// The payload of an approval, and the bytes that are to be signed.
    ///
    /// # Errors
    ///
    /// [`InvalidJson`] when the approval has no canonical form.
    pub fn to_be_signed(approval: &Approval) -> Result<(Vec<u8>, Vec<u8>), InvalidJson> {
        let payload = canonical::to_vec(approval)?;
        let signed = pre_authentication_encoding(Kind::Approval, &payload);
        Ok((payload, signed))
    }

    /// The proof.
    #[must_use]
    pub const fn proof(&self) -> &Proof {
        &self.proof
    }

    /// `D(approval)`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(b"", &[&self.signed_bytes()])
    }

    /// The bytes under the proof.
    pub(crate) fn signed_bytes(&self) -> Vec<u8> {
        pre_authentication_encoding(Kind::Approval, &self.payload)
    }

    /// The payload, for whoever has checked the proof.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// A decision with all that is needed to judge it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The operator's word.
    pub approval: SignedApproval,
    /// The deciding gateway's scopes.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::envelope::<super::Catalog>")
    )]
    pub catalog: Envelope,
    /// Who the operator is.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::envelope::<super::OperatorCredential>")
    )]
    pub credential: Envelope,
}
