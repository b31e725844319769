//! A gateway's status: that its root is current, which keys it disowns, and how long its log is.

use serde::{Deserialize, Serialize};

use super::{FormVersion, proven};
use crate::wire::digest::Digest;
use crate::wire::kind::Kind;
use crate::wire::limit;
use crate::wire::name::{GatewayId, KeyId, Timestamp};

/// A status whose figures fit together.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(try_from = "RawStatus", into = "RawStatus")]
pub struct Status(RawStatus);

/// A status as it is written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawStatus {
    /// How long the gateway's audit log is, and its head: every peer that keeps it is a witness.
    pub audit: AuditHead,
    /// When this status stops being good.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub expires: Timestamp,
    /// Which life of the gateway this is; a new one begins after a restored backup.
    pub incarnation: Incarnation,
    /// The gateway.
    pub iss: GatewayId,
    /// When it was issued.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub issued: Timestamp,
    /// How soon a reader should ask for the next one.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1, max = limit::STATUS_LIFE_MS_MAX)))]
    pub refresh_ms: i64,
    /// Keys that the gateway disowns, in the order of their ids, each once.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(max = limit::REVOCATIONS_MAX)))]
    pub revoked: Vec<Revocation>,
    /// The digest of the newest root.
    pub root: Digest,
    /// The newest root's version.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub root_version: u64,
    /// The issuance time in milliseconds; strictly increasing.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 0)))]
    pub seq: i64,
    /// The form's version.
    pub v: FormVersion,
}

/// A life of a gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Incarnation {
    /// Its number, from 1.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub n: u64,
    /// When it began.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub since: Timestamp,
}

/// The end of an audit log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AuditHead {
    /// The digest of its last record and all before.
    pub head: Digest,
    /// How many records it has.
    pub size: u64,
}

/// A key that its gateway disowns.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// The key.
    pub kid: KeyId,
    /// Why.
    pub reason: RevocationReason,
    /// Since when, in its owner's words. It takes effect when it is received, whatever this says.
    pub since: Timestamp,
}

/// Why a key is disowned.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RevocationReason {
    /// Somebody else may have it.
    Compromised,
    /// Another key took its place.
    Superseded,
    /// Its role is gone.
    Retired,
}

/// Why a status does not fit together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidStatus {
    /// `seq` is not the issuance time.
    #[error("a status is numbered by its issuance time in milliseconds")]
    SeqIsNotIssued,
    /// Expires before it is issued, or lives longer than allowed.
    #[error("a status lives 1 to {max_ms} milliseconds")]
    BadLife {
        /// The longest life allowed.
        max_ms: i64,
    },
    /// A refresh interval that is not within the life.
    #[error("the refresh interval is not within the life")]
    BadRefresh,
    /// Incarnation 0, or one that begins after the status was issued.
    #[error("incarnations count from 1 and begin before their statuses")]
    BadIncarnation,
    /// Root version 0.
    #[error("roots are numbered from 1")]
    RootVersionZero,
    /// Too many revocations, out of order, or a key twice.
    #[error("a status has at most {max} revocations, in the order of their keys, each once")]
    BadRevocations {
        /// The most allowed.
        max: usize,
    },
}

proven!(Status, RawStatus, InvalidStatus, Kind::Status, limit::DOCUMENT_BYTES_MAX);

fn check(raw: &RawStatus) -> Result<(), InvalidStatus> {
    if raw.issued.0 < 0 || raw.seq != raw.issued.0 {
        //= ID-17
        return Err(InvalidStatus::SeqIsNotIssued);
    }
    let life_ms = raw.expires.since_ms(raw.issued);
    if !(1..=limit::STATUS_LIFE_MS_MAX).contains(&life_ms) {
        //= ID-17
        return Err(InvalidStatus::BadLife { max_ms: limit::STATUS_LIFE_MS_MAX });
    }
    if !(1..=life_ms).contains(&raw.refresh_ms) {
        return Err(InvalidStatus::BadRefresh);
    }
    if raw.incarnation.n == 0 || raw.incarnation.since.0 < 0 || raw.incarnation.since > raw.issued {
        return Err(InvalidStatus::BadIncarnation);
    }
    if raw.root_version == 0 {
        return Err(InvalidStatus::RootVersionZero);
    }
    let sorted = raw.revoked.windows(2).all(|pair| pair[0].kid < pair[1].kid);
    if raw.revoked.len() > limit::REVOCATIONS_MAX || !sorted {
        return Err(InvalidStatus::BadRevocations { max: limit::REVOCATIONS_MAX });
    }
    Ok(())
}
