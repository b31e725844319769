//! A gateway's request to be admitted as a member: it shows a membership, and shows it itself.
//!
//! A membership is no secret, and anybody who saw one could show it. So the gateway that it names signs
//! who shows it to whom, and when. Shown twice it changes nothing, so it needs no `jti`.

use serde::{Deserialize, Serialize};

use super::{FormVersion, proven};
use crate::wire::digest::Digest;
use crate::wire::kind::Kind;
use crate::wire::limit;
use crate::wire::name::{GatewayId, Timestamp};

/// An admission whose figures fit together.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(try_from = "RawAdmission", into = "RawAdmission")]
pub struct Admission(RawAdmission);

/// An admission as it is written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawAdmission {
    /// The gateway that is to admit.
    pub aud: GatewayId,
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
    /// The member.
    pub iss: GatewayId,
    /// The digest of the membership that is shown.
    pub membership: Digest,
    /// The form's version.
    pub v: FormVersion,
}

/// Why an admission does not fit together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidAdmission {
    /// Expires before it is signed, or lives longer than a request may.
    #[error("an admission lives 1 to {max_ms} milliseconds")]
    BadLife {
        /// The longest life allowed.
        max_ms: i64,
    },
    /// A gateway that would admit itself.
    #[error("a gateway does not admit itself")]
    AdmitsItself,
}

proven!(Admission, RawAdmission, InvalidAdmission, Kind::Admission, limit::DOCUMENT_BYTES_MAX);

fn check(raw: &RawAdmission) -> Result<(), InvalidAdmission> {
    let life_ms = raw.exp.since_ms(raw.iat);
    if raw.iat.0 < 0 || !(1..=limit::REQUEST_LIFE_MS_MAX).contains(&life_ms) {
        return Err(InvalidAdmission::BadLife { max_ms: limit::REQUEST_LIFE_MS_MAX });
    }
    if raw.iss == raw.aud {
        return Err(InvalidAdmission::AdmitsItself);
    }
    Ok(())
}
