//! Versions of the federation document, and memberships.

use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::Endpoint;
use landbridge_proto::wire::name::{Alias, GatewayId, KeyId, TenantId};
use serde::{Deserialize, Serialize};

/// `POST /v1/admin/admissions`: show a membership of ours at another gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShowMembership {
    /// The membership's envelope, canonical bytes.
    pub membership: String,
    /// The gateway.
    pub gateway: GatewayId,
    /// Where it is, while it is no peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// What to call it here, while it is no peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Alias>,
}

/// What became of a membership that was shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MembershipShown {
    /// The gateway.
    pub gateway: GatewayId,
    /// Whether it waits for a person there; otherwise it counts.
    pub waits: bool,
    /// Words that are the same on both sides.
    pub words: String,
}

/// A membership that is kept of another gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MembershipView {
    /// The gateway.
    pub gateway: GatewayId,
    /// The federation root that vouches for it.
    pub federation: Alias,
    /// When it was issued.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub issued: String,
    /// From when on it does not count; absent when it does not count now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub until: Option<String>,
    /// Why it does not count; absent when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Its tenants, where it counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<TenantId>,
}

/// A kept version of our federation document.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FederationVersionView {
    /// Its version.
    pub version: u64,
    /// Since when it is, or was, in force.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub in_force_since: String,
    /// Whether it is as our policy key signed it.
    pub verifies: bool,
    /// Its digest; absent when it does not verify.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// When it was signed; absent when it does not verify.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub issued: Option<String>,
    /// The policy keys that signed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<KeyId>,
    /// What it changed, in a few words; absent when it does not verify.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
}
