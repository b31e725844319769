//! A joiner's answer to an invite.
//!
//! It travels with the joiner's root chain and status, like every operation, and is signed by the
//! joiner's `request` role. The proof shows that the joiner was given the invite's secret, without
//! showing the secret to whoever answers at the address.

use serde::{Deserialize, Serialize};

use super::{FormVersion, proven};
use crate::wire::digest::Digest;
use crate::wire::kind::Kind;
use crate::wire::limit;
use crate::wire::name::{GatewayId, Jti, Timestamp};

/// A pairing request whose figures fit together.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(try_from = "RawPairingRequest", into = "RawPairingRequest")]
pub struct PairingRequest(RawPairingRequest);

/// A pairing request as it is written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawPairingRequest {
    /// The inviting gateway.
    pub aud: GatewayId,
    /// When the request stops being good.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub exp: Timestamp,
    /// The digest of the joiner's first root.
    pub genesis: Digest,
    /// When it was signed.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub iat: Timestamp,
    /// The invite's public id.
    pub invite: Digest,
    /// The joining gateway.
    pub iss: GatewayId,
    /// The request's random id.
    pub jti: Jti,
    /// The keyed digest that shows knowledge of the invite's secret.
    pub proof: Digest,
    /// The form's version.
    pub v: FormVersion,
}

/// Why a pairing request does not fit together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidPairingRequest {
    /// Expires before it is signed, or lives longer than a request may.
    #[error("a pairing request lives 1 to {max_ms} milliseconds")]
    BadLife {
        /// The longest life allowed.
        max_ms: i64,
    },
    /// A gateway id that does not come from the first root's digest.
    #[error("the joiner's id is not that of its first root")]
    ForeignGatewayId,
    /// A gateway that would pair with itself.
    #[error("a gateway does not pair with itself")]
    PairsWithItself,
}

proven!(
    PairingRequest,
    RawPairingRequest,
    InvalidPairingRequest,
    Kind::Pairing,
    limit::DOCUMENT_BYTES_MAX
);

fn check(raw: &RawPairingRequest) -> Result<(), InvalidPairingRequest> {
    let life_ms = raw.exp.since_ms(raw.iat);
    if raw.iat.0 < 0 || !(1..=limit::REQUEST_LIFE_MS_MAX).contains(&life_ms) {
        return Err(InvalidPairingRequest::BadLife { max_ms: limit::REQUEST_LIFE_MS_MAX });
    }
    if super::root::gateway_id(&raw.genesis) != raw.iss {
        return Err(InvalidPairingRequest::ForeignGatewayId);
    }
    if raw.iss == raw.aud {
        return Err(InvalidPairingRequest::PairsWithItself);
    }
    Ok(())
}
