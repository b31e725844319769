//! A federation root's word that a gateway is a member: it admits, and never grants.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{FormVersion, proven};
use crate::wire::digest::Digest;
use crate::wire::kind::Kind;
use crate::wire::limit;
use crate::wire::name::{Alias, GatewayId, TenantId, Timestamp};

/// A membership whose figures fit together.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(try_from = "RawMembership", into = "RawMembership")]
pub struct Membership(RawMembership);

/// A membership as it is written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawMembership {
    /// When it stops being good.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub expires: Timestamp,
    /// The federation root's name.
    pub federation: Alias,
    /// The digest of the member's first root.
    pub genesis: Digest,
    /// When it was issued.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub issued: Timestamp,
    /// The member.
    pub member: GatewayId,
    /// The tenants that the member may speak for.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1)))]
    pub tenants: BTreeSet<TenantId>,
    /// The form's version.
    pub v: FormVersion,
}

/// Why a membership does not fit together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidMembership {
    /// Expires before it is issued, or lives longer than allowed.
    #[error("a membership lives 1 to {max_ms} milliseconds")]
    BadLife {
        /// The longest life allowed.
        max_ms: i64,
    },
    /// A gateway id that does not come from the first root's digest.
    #[error("the member's id is not that of its first root")]
    ForeignGatewayId,
    /// No tenant at all.
    #[error("a membership names at least one tenant")]
    NoTenant,
}

proven!(Membership, RawMembership, InvalidMembership, Kind::Membership, limit::DOCUMENT_BYTES_MAX);

fn check(raw: &RawMembership) -> Result<(), InvalidMembership> {
    let life_ms = raw.expires.since_ms(raw.issued);
    if raw.issued.0 < 0 || !(1..=limit::MEMBERSHIP_LIFE_MS_MAX).contains(&life_ms) {
        return Err(InvalidMembership::BadLife { max_ms: limit::MEMBERSHIP_LIFE_MS_MAX });
    }
    if super::root::gateway_id(&raw.genesis) != raw.member {
        return Err(InvalidMembership::ForeignGatewayId);
    }
    if raw.tenants.is_empty() {
        return Err(InvalidMembership::NoTenant);
    }
    Ok(())
}
