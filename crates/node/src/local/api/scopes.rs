//! Scopes, who holds them here, and whose count.

use std::collections::BTreeSet;

use landbridge_proto::wire::approval::{OperatorKey, Projection, Scope};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::{Alias, GatewayId, KeyId, OperatorName, ScopeName, TenantId};
use serde::{Deserialize, Serialize};

/// A catalog: one of `GET /v1/scopes`, or `GET /v1/scopes/{gateway}` of a peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CatalogView {
    /// Whose.
    pub gateway: GatewayId,
    /// Of which tenant.
    pub tenant: TenantId,
    /// Its version.
    pub version: u64,
    /// When it was issued.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub issued: String,
    /// When it stops being good.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub expires: String,
    /// It is good now.
    pub good: bool,
    /// The scopes, as the catalog has them.
    pub scopes: Vec<Scope>,
    /// The catalog's digest.
    pub digest: Digest,
    /// The catalog itself, signed.
    pub catalog: Envelope,
}

/// `POST /v1/admin/scopes/publish`: what is to be published, each tenant's scopes whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Publish {
    /// The tenants. Those that are not named stay as they are.
    pub catalogs: Vec<PublishTenant>,
}

/// What is to be published of one tenant.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PublishTenant {
    /// The tenant.
    pub tenant: TenantId,
    /// Its scopes, by name; none where it has none any more.
    pub scopes: Vec<Scope>,
}

/// `POST /v1/admin/scopes/learn`: a peer's catalog that somebody brought.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LearnCatalog {
    /// The peer, as it is called here.
    pub peer: Alias,
    /// Of which tenant it must be.
    pub tenant: TenantId,
    /// The catalog, signed.
    pub catalog: Envelope,
}

/// One of `GET /v1/admin/projections`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProjectionView {
    /// The peer.
    pub peer: Alias,
    /// Its gateway.
    pub gateway: GatewayId,
    /// The projection, as the federation document has it.
    pub projection: Projection,
    /// Whether an approval can count through it now.
    pub state: ProjectionState,
    /// What it is suspended, ended or warned of, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When it ends.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub expires: String,
    /// What was read when it was signed, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Scope>,
    /// What the newest catalog says, where it has the scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<Scope>,
}

/// Whether an approval can count through a projection.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ProjectionState {
    /// It can.
    Active,
    /// Its time is to come, or over.
    NotNow,
    /// The peer says something else of the scope than what was read, or has it no more.
    Suspended,
    /// No catalog of the peer is kept that is good now; an approval brings one with it.
    NoCatalog,
}

/// One of `GET /v1/operators`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OperatorView {
    /// What they are called.
    pub name: OperatorName,
    /// For which tenant.
    pub tenant: TenantId,
    /// What they may decide.
    pub scopes: BTreeSet<ScopeName>,
    /// Those of them that no catalog of ours has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpublished: Vec<ScopeName>,
    /// Their keys.
    pub keys: Vec<OperatorKey>,
}

/// `GET /v1/operators`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OperatorList {
    /// By tenant and name.
    pub operators: Vec<OperatorView>,
    /// Keys that were taken from operators; they are never enrolled again.
    pub revoked: Vec<KeyId>,
}

/// `GET /v1/operators/{name}/credential`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CredentialView {
    /// When it stops being good.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub expires: String,
    /// Its digest, which the operator's approval names.
    pub digest: Digest,
    /// The credential, signed.
    pub credential: Envelope,
}
