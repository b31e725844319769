//! What administrators say and hear: the bridge, peers, tokens, evidence, the audit log.

use std::fmt;

use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::name::{Alias, GatewayId, RunId, TenantId};
use serde::{Deserialize, Serialize};

use crate::local::standing::PeerTold;

/// `GET /v1/admin/bridge`: who this bridge is and how it does.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BridgeView {
    /// Our gateway id.
    pub gateway: GatewayId,
    /// The software's version.
    pub version: String,
    /// Our root's version.
    pub root_version: u64,
    /// When our root expires.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub root_expires: String,
    /// Where peers reach us.
    pub endpoints: Vec<String>,
    /// The adapter's view of the gateway.
    pub adapter: crate::adapter::Description,
    /// Process id.
    pub pid: u32,
    /// Open runs that we execute. With `waiting`, as many as places for runs are taken.
    pub executing: u64,
    /// Open runs that wait until an earlier run of their session has ended.
    #[serde(default)]
    pub waiting: u64,
    /// Open runs that we asked of others.
    pub calling: u64,
    /// Audit rows and head.
    pub audit: String,
    /// Which life of this gateway this is.
    #[serde(default)]
    pub incarnation: u64,
    /// That the audit log is not the one that our newest status told of; absent where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_altered: Option<String>,
    /// What halts the bridge, by its operator's order; absent where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halted: Option<crate::halt::Halted>,
    /// Our own keys that are revoked and not replaced, by role: they sign nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdrawn: Vec<String>,
    /// That the bridge lost history and waits for a person; absent where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<crate::rollback::RolledBack>,
}

/// Where a copy of the database is put; `landbridge backup` adds the rest.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackupInto {
    /// A directory of the bridge's machine; the copy must not be there yet.
    pub directory: std::path::PathBuf,
}

/// `GET /v1/admin/settings`: one setting as it holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SettingView {
    /// Its name, such as `retention.journal`.
    pub setting: String,
    /// Its value, as TOML.
    pub value: String,
    /// Where it was written, or `default`.
    pub origin: String,
}

/// A peer, as `peer list` and `peer show` print it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PeerView {
    /// Our name for it.
    pub alias: Alias,
    /// Who it is.
    pub gateway: GatewayId,
    /// `active`, `suspended`, `revoked`, `quarantined` or `unusable`; before both sides accepted, `awaitingAccept`
    /// (a person of this side is waited for) or `awaitingPeer` (accepted here; the other side is).
    pub state: String,
    /// The twelve words, until both sides have accepted.
    pub words: Option<String>,
    /// How the pairing stands, until both sides have accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairing: Option<PairingStanding>,
    /// Why it could not be reached the last time, when it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// What a person should look at: its audit log went back, or what is kept of it cannot be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
    /// Its endpoints.
    pub endpoints: Vec<String>,
    /// Newest root version known.
    pub root_version: Option<u64>,
    /// When its newest status was issued.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub status_issued: Option<String>,
    /// Evidence that it contradicted itself, by id, oldest first.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// Tenant pairs: (local, remote).
    pub tenants: Vec<TenantLink>,
    /// What it may ask of us.
    pub grants: Vec<serde_json::Value>,
}

/// Why a peer could not be reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// One sentence.
    pub detail: String,
    /// Somebody answers at its address who does not have its TLS key: another gateway, or what became
    /// of this one when its keys were lost.
    pub another_key: bool,
}

/// How an unfinished pairing stands on both sides.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PairingStanding {
    /// A person of this side accepted.
    pub accepted_here: bool,
    /// A person of the other side accepted; absent when it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_there: Option<bool>,
    /// We followed its invite (`true`), or it followed ours.
    pub joined: bool,
    /// What else is known: why it could not be asked, or that it does not know the pairing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A tenant pair of a peer, from our side.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TenantLink {
    /// Our tenant.
    pub local: String,
    /// The peer's tenant.
    pub remote: String,
}

/// `POST /v1/admin/invites`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewInvite {
    /// What we will call the newcomer.
    pub alias: Alias,
    /// For how long, such as `"24h"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("pattern" = super::DURATION)))]
    pub expires_in: Option<String>,
}

/// The invite, shown once.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct InviteView {
    /// Its public id.
    pub id: String,
    /// One line for the other side's `peer join`.
    pub invite: String,
    /// When it stops working.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub expires: String,
    /// An earlier invite for the same name was open, and is withdrawn now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaced: bool,
}

/// `GET /v1/admin/invites`: an invite that was made here, without its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OpenInvite {
    /// Its public id.
    pub id: String,
    /// What the newcomer will be called here.
    pub alias: Alias,
    /// `open`, `used`, `withdrawn` or `expired`.
    pub state: String,
    /// When it was made.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub created: String,
    /// Until when it works, or would have.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub expires: String,
    /// Who used it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<GatewayId>,
}

impl fmt::Debug for InviteView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InviteView")
            .field("id", &self.id)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// `POST /v1/admin/joins`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Join {
    /// The invite's line.
    pub invite: String,
    /// What we will call the inviter.
    pub alias: Alias,
    /// It is a peer here already, and the other side does not know this bridge any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

impl fmt::Debug for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("alias", &self.alias).finish_non_exhaustive()
    }
}

/// A pairing that waits for a person, or was just made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PairingView {
    /// The other gateway.
    pub gateway: GatewayId,
    /// Our name for it.
    pub alias: Alias,
    /// The words that both sides must see.
    pub words: String,
    /// The digest of its first root.
    pub genesis: String,
    /// Its endpoints, from its verified root.
    pub endpoints: Vec<String>,
    /// Its root version.
    pub root_version: u64,
    /// A person of this side accepted already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepted_here: bool,
}

/// `POST /v1/admin/peers/{gateway}/address`: where a peer is to be looked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LookAt {
    /// `https://host:port`.
    pub url: String,
}

/// What was found there: the peer, by its own signature.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FoundAt {
    /// Its root version, as far as it is known now.
    pub root_version: u64,
    /// Where it says that it is.
    pub endpoints: Vec<String>,
    /// The digest of its TLS key, as its root names it.
    pub tls_spki: String,
    /// Its root names the address that was looked at: nothing more has to be done.
    pub told_by_root: bool,
}

/// `GET` and `PUT /v1/admin/federation`: our signed federation document.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FederationView {
    /// Its version; 0 before the first.
    pub version: u64,
    /// The envelope, canonical bytes; `None` before the first.
    pub envelope: Option<String>,
    /// Where a change took keys from operators: which peers heard of it at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<PeerTold>,
}

/// `POST /v1/admin/tokens`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewToken {
    /// What people call it.
    pub name: String,
    /// Logical gateways that it may use; empty: all.
    #[serde(default)]
    pub routes: Vec<Alias>,
    /// Our tenants whose routes it may use; empty: all.
    #[serde(default)]
    pub tenants: Vec<TenantId>,
    /// Which runs exist for it.
    #[serde(default)]
    pub sees: SeesView,
    /// `read`, `run`, `cancel`, `decide`; empty: the first three.
    #[serde(default)]
    pub verbs: Vec<String>,
    /// How many runs it may have open at once; by default what the configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_open_max: Option<u64>,
    /// How many runs it may start in a minute; by default what the configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_per_minute_max: Option<u32>,
    /// For how long, such as `"90d"`; for ever by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("pattern" = super::DURATION)))]
    pub expires_in: Option<String>,
}

/// Which runs exist for a token.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum SeesView {
    /// Those that it started itself.
    #[default]
    Own,
    /// All of its tenants, whoever started them.
    Tenants,
}

/// A token; `secret` only in the answer that made it.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TokenView {
    /// Its public id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Logical gateways that it may use; empty: all.
    pub routes: Vec<Alias>,
    /// Our tenants whose routes it may use; empty: all.
    pub tenants: Vec<TenantId>,
    /// Which runs exist for it.
    pub sees: SeesView,
    /// Verbs.
    pub verbs: Vec<String>,
    /// How many runs it has open.
    pub runs_open: u64,
    /// How many runs it may have open at once, its own quota or the configured one.
    pub runs_open_max: u64,
    /// How many runs it may start in a minute, likewise.
    pub starts_per_minute_max: u32,
    /// When it was made.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub created: String,
    /// When it stops working.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub expires: Option<String>,
    /// When it was revoked.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub revoked: Option<String>,
    /// The secret, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl fmt::Debug for TokenView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenView")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("routes", &self.routes)
            .field("tenants", &self.tenants)
            .field("sees", &self.sees)
            .field("verbs", &self.verbs)
            .field("runs_open_max", &self.runs_open_max)
            .field("starts_per_minute_max", &self.starts_per_minute_max)
            .field("created", &self.created)
            .field("expires", &self.expires)
            .field("revoked", &self.revoked)
            .finish_non_exhaustive()
    }
}

/// `PUT /v1/admin/federation`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PutFederation {
    /// The new version's envelope, canonical bytes, signed by our policy key.
    pub envelope: String,
    /// Why, in a person's words: for the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// `PUT /v1/admin/root`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PutRoot {
    /// The next root's envelope, canonical bytes, signed by a threshold of the root keys of both roots.
    pub envelope: String,
}

/// The root of our own that is in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OwnRootView {
    /// Its version.
    pub version: u64,
}

/// Evidence that a peer contradicted itself, as `evidence list` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct EvidenceView {
    /// Its id.
    pub id: String,
    /// Our name for the peer, while it has one.
    pub peer: Option<Alias>,
    /// The peer.
    pub gateway: GatewayId,
    /// `seals`, `accepts` or `statuses`: which two statements contradict each other.
    pub kind: String,
    /// When it was found.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub found: String,
    /// The run of ours in which it was found.
    pub run: Option<RunId>,
    /// The peer is quarantined now.
    pub quarantined: bool,
}

/// One piece of evidence, as `evidence show` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct EvidenceDetail {
    /// What it is.
    #[serde(flatten)]
    pub evidence: EvidenceView,
    /// What a verifier reads from it.
    pub summary: serde_json::Value,
    /// The number of the first line of `kept` and `other`.
    pub first_frame: u64,
    /// Frames of our journal where the histories differ; they are no part of the proof.
    pub kept: Vec<String>,
    /// The frames that came later.
    pub other: Vec<String>,
}

/// `POST /v1/admin/peers/{gateway}/resume`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resume {
    /// Why, in a person's words: for the audit log.
    pub because: String,
}

/// A quarantine that ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Resumed {
    /// The peer.
    pub gateway: GatewayId,
    /// Why.
    pub because: String,
}

/// `GET /v1/admin/audit`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AuditList {
    /// In order.
    pub rows: Vec<AuditView>,
    /// Pass as `after` for the next page; absent on the last.
    pub next: Option<u64>,
}

/// One of `GET /v1/admin/audit/heads`: how long a peer's audit log was, as its newest status told us; with
/// `all=true`, as each kept status tells, our own included.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AuditHeadView {
    /// The peer; absent for our own log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Alias>,
    /// Whose log it is.
    pub gateway: GatewayId,
    /// When it said so.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub issued: String,
    /// How many rows its log had.
    pub rows: u64,
    /// The chain's head after the last of them.
    pub head: Digest,
}

/// One row of the audit log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AuditView {
    /// Its number, from 1.
    pub n: u64,
    /// The event as JSON text: the exact bytes that the chain hashes.
    pub event: String,
    /// The chain's head after this row.
    pub head: Digest,
}
