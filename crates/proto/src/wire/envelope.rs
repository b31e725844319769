//! DSSE envelopes: exact bytes, their kind, and who signed them.
//!
//! The signature is over the payload's bytes as they came, so nothing has to be canonicalised before
//! it can be checked. The envelope around them is not under the signature; it therefore has exactly
//! one spelling too (members and signatures sorted, strict base64), and no bit of it can change
//! unnoticed. An envelope's identity is the digest of what was signed, never of its text.

use std::fmt;

use serde::{Deserialize, Serialize};

use landbridge_planted::planted;

use super::digest::Digest;
use super::json::{InvalidJson, canonical};
use super::kind::Kind;
use super::name::KeyId;
use super::{base64, limit};

/// A payload, its kind, and at least one signature that nobody has checked yet.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Envelope {
    kind: Kind,
    payload: Vec<u8>,
    signatures: Vec<Signature>,
}

/// One signature of an envelope.
#[derive(Clone, Eq, PartialEq)]
pub struct Signature {
    keyid: KeyId,
    sig: [u8; 64],
}

/// Why bytes are not an [`Envelope`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidEnvelope {
    /// Longer than any envelope may be.
    #[error("an envelope has at most {max} bytes")]
    TooLong {
        /// The most bytes allowed.
        max: usize,
    },
    /// Not JSON in its one spelling.
    #[error("the envelope is not canonical JSON")]
    NotCanonical(#[source] InvalidJson),
    /// A payload type that no kind has.
    #[error("unknown payload type")]
    UnknownPayloadType,
    /// The payload or a signature is not strict base64.
    #[error("the {member} is not strict base64")]
    NotBase64 {
        /// Which member.
        member: &'static str,
        /// What is wrong with it.
        #[source]
        fault: base64::InvalidBase64,
    },
    /// A signature of another length than 64 bytes.
    #[error("a signature has 64 bytes, not {bytes}")]
    BadSignatureLength {
        /// The length found.
        bytes: usize,
    },
    /// No signature at all.
    #[error("an envelope without a signature")]
    Unsigned,
    /// More signatures than allowed.
    #[error("an envelope has at most {max} signatures")]
    TooManySignatures {
        /// The most allowed.
        max: usize,
    },
    /// Signatures out of order, or two by one key.
    #[error("signatures are not in the order of their keys, each key once")]
    SignaturesUnsorted,
    /// Two envelopes to be joined that hold different payloads.
    #[error("the envelopes hold different payloads")]
    DifferentPayloads,
}

impl Envelope {
    /// An envelope with one signature.
    #[must_use]
    pub fn new(kind: Kind, payload: Vec<u8>, signature: Signature) -> Self {
        Self { kind, payload, signatures: vec![signature] }
    }

    /// Reads an envelope from its canonical bytes, and from no others.
    ///
    /// # Errors
    ///
    /// Returns the first fault found.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidEnvelope> {
        if bytes.len() > limit::ENVELOPE_BYTES_MAX && !planted!("envelope_size_unchecked") {
            return Err(InvalidEnvelope::TooLong { max: limit::ENVELOPE_BYTES_MAX });
        }
        //= ENV-2
        let raw: Raw = canonical::from_slice(bytes).map_err(InvalidEnvelope::NotCanonical)?;
        Self::try_from(raw)
    }

    /// Joins the signatures of two envelopes over one payload, for a threshold.
    ///
    /// # Errors
    ///
    /// Refuses another payload or kind, a key that would sign twice, and too many signatures.
    pub fn join(mut self, other: Self) -> Result<Self, InvalidEnvelope> {
        if self.kind != other.kind || self.payload != other.payload {
            return Err(InvalidEnvelope::DifferentPayloads);
        }
        self.signatures.extend(other.signatures);
        self.signatures.sort_by(|a, b| a.keyid.cmp(&b.keyid));
        check_signatures(&self.signatures)?;
        Ok(self)
    }

    /// The envelope's canonical bytes: one line without a line end.
    #[must_use]
    //= ENV-1
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.payload.len() / 3 * 4 + 256);
        out.extend_from_slice(b"{\"payload\":\"");
        out.extend_from_slice(base64::encode(&self.payload).as_bytes());
        out.extend_from_slice(b"\",\"payloadType\":\"");
        out.extend_from_slice(self.kind.payload_type().as_bytes());
        out.extend_from_slice(b"\",\"signatures\":[");
        for (at, signature) in self.signatures.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"keyid\":\"");
            out.extend_from_slice(signature.keyid.as_str().as_bytes());
            out.extend_from_slice(b"\",\"sig\":\"");
            out.extend_from_slice(base64::encode(&signature.sig).as_bytes());
            out.extend_from_slice(b"\"}");
        }
        out.extend_from_slice(b"]}");
        out
    }

    /// What the envelope claims to hold; a claim until a signature was checked.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The signatures, in the order of their keys.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// How long the payload is.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        self.payload.len()
    }

    /// The identity of what was signed: the digest of kind and payload.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(b"", &[&self.signed_bytes()])
    }

    /// The payload. Only for those who check signatures: what has not been verified is not read.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The bytes under the signatures.
    pub(crate) fn signed_bytes(&self) -> Vec<u8> {
        pre_authentication_encoding(self.kind, &self.payload)
    }
}

impl Signature {
    /// A signature as it comes out of a key. Anybody may claim one; the layer above checks it.
    #[must_use]
    pub const fn new(keyid: KeyId, sig: [u8; 64]) -> Self {
        Self { keyid, sig }
    }

    /// The id of the key that is said to have signed.
    #[must_use]
    pub fn keyid(&self) -> &KeyId {
        &self.keyid
    }

    /// The signature's 64 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.sig
    }
}

/// DSSE's pre-authentication encoding: lengths in front, so that type and payload cannot shift.
#[must_use]
pub fn pre_authentication_encoding(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let kind = kind.payload_type();
    let mut out = Vec::with_capacity(payload.len() + kind.len() + 32);
    out.extend_from_slice(format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).as_bytes());
    out.extend_from_slice(payload);
    out
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("kind", &self.kind)
            .field("digest", &self.digest())
            .field("payload_len", &self.payload.len())
            .field("signatures", &self.signatures)
            .finish()
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", self.keyid)
    }
}

/// The envelope as it is written.
#[derive(Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Raw {
    /// The signed bytes, base64.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::any_payload")
    )]
    payload: String,
    /// What the payload is.
    #[serde(rename = "payloadType")]
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::any_payload_type")
    )]
    payload_type: String,
    /// Who signed, in the order of their keys.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1, max = limit::SIGNATURES_MAX)))]
    signatures: Vec<RawSignature>,
}

/// One signature as it is written.
#[derive(Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[cfg_attr(any(test, feature = "schemas"), schemars(rename = "Signature"))]
#[serde(deny_unknown_fields)]
struct RawSignature {
    /// The id of the key that is said to have signed.
    keyid: KeyId,
    /// The signature, base64.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::signature")
    )]
    sig: String,
}

impl TryFrom<Raw> for Envelope {
    type Error = InvalidEnvelope;

    fn try_from(raw: Raw) -> Result<Self, InvalidEnvelope> {
        let kind = Kind::from_payload_type(&raw.payload_type)
            .ok_or(InvalidEnvelope::UnknownPayloadType)?;
        let payload = base64::decode(&raw.payload)
            .map_err(|fault| InvalidEnvelope::NotBase64 { member: "payload", fault })?;
        if raw.signatures.len() > limit::SIGNATURES_MAX && !planted!("signature_count_unchecked") {
            return Err(InvalidEnvelope::TooManySignatures { max: limit::SIGNATURES_MAX });
        }
        let signatures =
            raw.signatures.into_iter().map(Signature::try_from).collect::<Result<Vec<_>, _>>()?;
        check_signatures(&signatures)?;
        Ok(Self { kind, payload, signatures })
    }
}

impl TryFrom<RawSignature> for Signature {
    type Error = InvalidEnvelope;

    fn try_from(raw: RawSignature) -> Result<Self, InvalidEnvelope> {
        let mut sig = base64::decode(&raw.sig)
            .map_err(|fault| InvalidEnvelope::NotBase64 { member: "signature", fault })?;
        if planted!("signature_length_unchecked") {
            sig.resize(64, 0);
        }
        //= ENV-6
        let sig = <[u8; 64]>::try_from(sig)
            .map_err(|sig| InvalidEnvelope::BadSignatureLength { bytes: sig.len() })?;
        Ok(Self { keyid: raw.keyid, sig })
    }
}

impl From<Envelope> for Raw {
    fn from(envelope: Envelope) -> Self {
        let signature =
            |one: Signature| RawSignature { sig: base64::encode(&one.sig), keyid: one.keyid };
        Self {
            payload: base64::encode(&envelope.payload),
            payload_type: envelope.kind.payload_type().to_owned(),
            signatures: envelope.signatures.into_iter().map(signature).collect(),
        }
    }
}

fn check_signatures(signatures: &[Signature]) -> Result<(), InvalidEnvelope> {
    if signatures.is_empty() && !planted!("unsigned_accepted") {
        //= ENV-4
        return Err(InvalidEnvelope::Unsigned);
    }
    if signatures.len() > limit::SIGNATURES_MAX && !planted!("signature_count_unchecked") {
        return Err(InvalidEnvelope::TooManySignatures { max: limit::SIGNATURES_MAX });
    }
    let unsorted = signatures.windows(2).any(|pair| pair[0].keyid >= pair[1].keyid);
    if unsorted && !planted!("signature_counted_twice") {
        //= ENV-5
        return Err(InvalidEnvelope::SignaturesUnsorted);
    }
    if planted!("no_envelope_is_read") {
        return Err(InvalidEnvelope::Unsigned);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
