//! Assertions by passkeys (W3C Web Authentication, Level 3, section 7.2), as far as an approval needs them.
//!
//! What the browser and the authenticator say of themselves is under the signature, so all of it is checked:
//! that it is an assertion and not a registration, on a page of ours and not in a frame of another, made for
//! this approval, by somebody who was there and proved who they are.

use std::collections::BTreeSet;

use landbridge_planted::planted;
use p256::ecdsa::signature::Verifier as _;
use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};

use crate::wire::approval::OperatorPublic;
use crate::wire::base64;
use crate::wire::digest::{Digest, tag};

/// Why an assertion does not count.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadAssertion {
    /// The client's data are not the JSON that a browser writes.
    #[error("the client data are not of their form")]
    ClientData,
    /// Something else than an assertion, a registration for example.
    #[error("no assertion")]
    Type,
    /// Made for something else.
    #[error("another challenge")]
    Challenge,
    /// Made on another page.
    #[error("another origin")]
    Origin,
    /// Made in a frame of another page.
    #[error("made in a frame of another origin")]
    CrossOrigin,
    /// The authenticator's data are cut short, or have more than their flags say.
    #[error("the authenticator data are not of their form")]
    AuthenticatorData,
    /// Made for another relying party.
    #[error("another relying party")]
    RelyingParty,
    /// Nobody touched the authenticator.
    #[error("nobody was present")]
    NobodyPresent,
    /// The authenticator did not check who was present.
    #[error("the person was not verified")]
    NotVerified,
    /// The signature does not hold, or is of another algorithm.
    #[error("the signature does not hold")]
    Forged,
}

/// The challenge of an approval: what the passkey is asked to sign. `signed` are the bytes of
/// [`crate::wire::approval::SignedApproval::to_be_signed`].
#[must_use]
pub fn challenge(signed: &[u8]) -> Digest {
    Digest::of(tag::WEBAUTHN, &[signed])
}

/// For what an assertion must have been made.
pub(super) struct Expected<'a> {
    pub(super) challenge: &'a [u8],
    pub(super) origins: &'a BTreeSet<String>,
    pub(super) rp_id: &'a str,
    pub(super) public: &'a OperatorPublic,
}

/// The parts of an assertion.
pub(super) struct Assertion<'a> {
    pub(super) authenticator_data: &'a [u8],
    pub(super) client_data: &'a [u8],
    pub(super) sig: &'a [u8],
}

/// Members that a browser adds later are not ours to judge; those that are known are there once.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
    top_origin: Option<IgnoredAny>,
}

//= APR-21
pub(super) fn check(expected: &Expected<'_>, made: &Assertion<'_>) -> Result<(), BadAssertion> {
    check_client(expected, made.client_data)?;
    check_authenticator(expected.rp_id, made.authenticator_data)?;
    let mut signed = made.authenticator_data.to_vec();
    signed.extend_from_slice(&Sha256::digest(made.client_data));
    if planted!("no_passkey_is_good") {
        return Err(BadAssertion::Forged);
    }
    if check_signature(expected.public, &signed, made.sig) || planted!("passkey_unchecked") {
        Ok(())
    } else {
        Err(BadAssertion::Forged)
    }
}

fn check_client(expected: &Expected<'_>, bytes: &[u8]) -> Result<(), BadAssertion> {
    let client: ClientData = serde_json::from_slice(bytes).map_err(|_| BadAssertion::ClientData)?;
    if client.r#type != "webauthn.get" && !planted!("passkey_type_unchecked") {
        return Err(BadAssertion::Type);
    }
    let challenge = base64::encode_url(expected.challenge);
    if client.challenge != challenge && !planted!("passkey_challenge_unchecked") {
        return Err(BadAssertion::Challenge);
    }
    let suffix = |origin: &String| {
        planted!("passkey_origin_suffix")
            && client.origin.ends_with(origin.trim_start_matches("https://"))
    };
    if !expected.origins.contains(&client.origin) && !expected.origins.iter().any(suffix) {
        return Err(BadAssertion::Origin);
    }
    let foreign = client.cross_origin || client.top_origin.is_some();
    if foreign && !planted!("passkey_in_a_frame") {
        return Err(BadAssertion::CrossOrigin);
    }
    Ok(())
}

fn check_authenticator(rp_id: &str, bytes: &[u8]) -> Result<(), BadAssertion> {
    let (rp_hash, rest) = bytes.split_at_checked(32).ok_or(BadAssertion::AuthenticatorData)?;
    let (&flags, rest) = rest.split_first().ok_or(BadAssertion::AuthenticatorData)?;
    let more = rest.get(COUNTER_BYTES..).ok_or(BadAssertion::AuthenticatorData)?;
    if more.is_empty() == (flags & HAS_MORE != 0) {
        return Err(BadAssertion::AuthenticatorData);
    }
    if rp_hash != Sha256::digest(rp_id.as_bytes()).as_slice() && !planted!("passkey_rp_unchecked") {
        return Err(BadAssertion::RelyingParty);
    }
    if flags & USER_PRESENT == 0 && !planted!("passkey_presence_unchecked") {
        return Err(BadAssertion::NobodyPresent);
    }
    if flags & USER_VERIFIED == 0 && !planted!("passkey_person_unchecked") {
        return Err(BadAssertion::NotVerified);
    }
    Ok(())
}

/// Whether the signature holds under the key's own algorithm.
fn check_signature(public: &OperatorPublic, signed: &[u8], sig: &[u8]) -> bool {
    match public {
        OperatorPublic::Ed25519(public) => {
            <&[u8; 64]>::try_from(sig).is_ok_and(|sig| public.check(signed, sig).is_ok())
        }
        OperatorPublic::Es256(point) => {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point);
            let sig = p256::ecdsa::Signature::from_der(sig);
            key.and_then(|key| key.verify(signed, &sig?)).is_ok()
        }
    }
}

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
/// Attested credential data or extensions follow.
const HAS_MORE: u8 = 0x40 | 0x80;
const COUNTER_BYTES: usize = 4;

#[cfg(test)]
mod tests;
