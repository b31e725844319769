//! Base64 with exactly one spelling for each byte string.
//!
//! Common decoders accept line breaks, missing padding, padding in the middle or stray trailing bits,
//! so that a proxy can change the text without changing the bytes. Here a text is accepted only when
//! encoding what it decodes to gives the same text again.

use data_encoding::{BASE64, BASE64URL_NOPAD, Encoding};

use landbridge_planted::planted;

/// Why a text is not base64 in its one allowed spelling.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidBase64 {
    /// A character outside the alphabet, a wrong length or wrong padding.
    #[error("not base64 at character {at}")]
    BadCharacter {
        /// Offset of the first fault.
        at: usize,
    },
    /// Decodes, and has another spelling: trailing bits, or padding in the middle.
    #[error("not the canonical base64 of its bytes")]
    NotCanonical,
}

/// Writes standard base64 with padding, as DSSE envelopes use it.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Reads standard base64 with padding.
///
/// # Errors
///
/// Returns what is wrong with the text; only the spelling that [`encode`] writes is accepted.
pub fn decode(text: &str) -> Result<Vec<u8>, InvalidBase64> {
    if planted!("base64_lenient") {
        let forgiving = &data_encoding::BASE64_MIME_PERMISSIVE;
        return forgiving.decode(text.as_bytes()).or_else(|_| strict(&BASE64, text));
    }
    if planted!("base64_two_alphabets") {
        return strict(&BASE64, &text.replace('-', "+").replace('_', "/"));
    }
    strict(&BASE64, text)
}

/// Writes base64url without padding, as digests, key ids and public keys use it.
#[must_use]
pub fn encode_url(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// Reads base64url without padding.
///
/// # Errors
///
/// Returns what is wrong with the text; only the spelling that [`encode_url`] writes is accepted.
pub fn decode_url(text: &str) -> Result<Vec<u8>, InvalidBase64> {
    strict(&BASE64URL_NOPAD, text)
}

fn strict(encoding: &Encoding, text: &str) -> Result<Vec<u8>, InvalidBase64> {
    let bytes = encoding
        .decode(text.as_bytes())
        .map_err(|error| InvalidBase64::BadCharacter { at: error.position })?;
    if encoding.encode(&bytes) != text {
        //= ENV-3
        return Err(InvalidBase64::NotCanonical);
    }
    if planted!("no_base64_is_read") {
        return Err(InvalidBase64::NotCanonical);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    //= ENV-3
    #[test]
    fn one_spelling_is_accepted() {
        assert_eq!(decode("Zg=="), Ok(b"f".to_vec()));
        assert_eq!(decode("Zm9v"), Ok(b"foo".to_vec()));
        assert_eq!(decode_url("Zg"), Ok(b"f".to_vec()));
        for bad in [
            "Zg", "Zg=", "Zh==", "Zg==\n", " Zg==", "Zg==Zg==", "Z-__", "Zm9v====", "Zm 9v",
            "Zm9v\0",
        ] {
            assert!(decode(bad).is_err(), "{bad:?}");
        }
        for bad in ["Zg==", "Zh", "Zm9/", "Zm9+", "Zg\n", "Z"] {
            assert!(decode_url(bad).is_err(), "{bad:?}");
        }
    }
}
