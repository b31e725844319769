//! What a document says before anybody verified it, for the person who is about to sign about it.
//!
//! Not a way around [`super::verified`]: what comes out is a plain value that no decision of the bridge takes.
//! A person who signs a digest has to see what stands under that very digest, whoever else says what it is.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::verified::VerifyError;
use crate::wire::envelope::Envelope;
use crate::wire::json::canonical;
use crate::wire::kind::PayloadKind;

/// Reads a payload of one kind without asking who signed it.
///
/// # Errors
///
/// What is wrong with its form.
pub fn claimed<T: PayloadKind + Serialize + DeserializeOwned>(
    envelope: &Envelope,
) -> Result<T, VerifyError> {
    let (kind, max, bytes) = (T::KIND, T::BYTES_MAX, envelope.payload_len());
    if envelope.kind() != kind {
        return Err(VerifyError::SentAnotherKind { expected: kind, found: envelope.kind() });
    }
    if bytes > max {
        return Err(VerifyError::SentTooMuch { kind, max, bytes });
    }
    canonical::from_slice(envelope.payload())
        .map_err(|fault| VerifyError::SignedMalformedPayload { kind, fault })
}
