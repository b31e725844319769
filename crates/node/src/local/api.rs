//! Local API v1: what workflow engines, the command line and the console say and hear.
//!
//! Members are camelCase, times are RFC 3339 in UTC, durations are texts such as `"10m"`. Errors are
//! `application/problem+json` with the codes of `spec/problems.md` and of this API.

// long on purpose: what clients read stands in one place, in the order of the API.

use std::collections::BTreeMap;
use std::fmt;

use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::name::{
    AgentName, Alias, GatewayId, IdempotencyKey, RunId, SessionHandle, TenantId, TenantPair,
    ToolName,
};
use landbridge_proto::wire::problem::Problem;
use landbridge_proto::wire::request::{CallerIdentity, Mode, StartLimits};
use serde::{Deserialize, Serialize};

/// `POST /v1/runs`: start a run at another gateway.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartRun {
    /// The logical gateway id, a route of the configuration or a peer's alias.
    pub gateway: Alias,
    /// The agent; needed unless the route names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// In which session; a fresh one by default.
    #[serde(default)]
    pub mode: Mode,
    /// The session of an earlier run, for `turn` and `subagent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionHandle>,
    /// The text for the agent; exactly one of this and `toolCall` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// One tool to call, without a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call: Option<CallTool>,
    /// The caller's name for this decision; the same key and body give the same run.
    pub idempotency_key: IdempotencyKey,
    /// On whose behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_identity: Option<CallerIdentity>,
    /// How long the run may take, such as `"10m"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// What the run may use at most; it can only lower what the peer's grant allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<StartLimits>,
    /// Labels to find it by; kept here, and sent with the caller identity only when put there.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// `toolCall` of a start.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CallTool {
    /// The tool, as the executor's gateway names it.
    pub tool: ToolName,
    /// Its arguments.
    #[serde(default)]
    pub args: serde_json::Map<String, serde_json::Value>,
}

impl fmt::Debug for CallTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallTool").field("tool", &self.tool).finish_non_exhaustive()
    }
}

impl fmt::Debug for StartRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartRun")
            .field("gateway", &self.gateway)
            .field("agent", &self.agent)
            .field("mode", &self.mode)
            .field("session", &self.session)
            .field("tool_call", &self.tool_call)
            .field("idempotency_key", &self.idempotency_key)
            .field("caller_identity", &self.caller_identity)
            .field("deadline", &self.deadline)
            .field("limits", &self.limits)
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

/// A run, as its client sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    /// The run, as this bridge names it.
    pub run: RunId,
    /// The logical gateway id.
    pub gateway: Alias,
    /// The executor.
    pub peer: GatewayId,
    /// The tenant pair.
    pub tenant: TenantPair,
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// The key.
    pub idempotency_key: IdempotencyKey,
    /// `awaitAccept`, `streaming` or `settled`.
    pub phase: String,
    /// `succeeded`, `failed`, `cancelled`, `rejected`, `expired` or `lost`, once settled.
    pub outcome: Option<String>,
    /// The executor's name of the run.
    pub remote_run: Option<RunId>,
    /// The session that it is led in.
    pub session: Option<SessionHandle>,
    /// Frames received so far.
    pub frames: u64,
    /// A cancel was asked for.
    pub cancel_requested: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// When it was invoked.
    pub created: String,
    /// When it must have ended.
    pub deadline: String,
    /// When it ended here.
    pub ended: Option<String>,
    /// This answer attached to a run that the key had started before.
    #[serde(default)]
    pub attached: bool,
    /// How the connection to the executor does, while the run is open: one sentence.
    pub connection: Option<String>,
}

/// `GET /v1/runs`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunList {
    /// Newest first.
    pub runs: Vec<RunView>,
    /// Pass as `cursor`, with the same filters, for the next page; `null` on the last.
    pub next: Option<String>,
}

/// `POST /v1/runs/{run}/cancel`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelView {
    /// The run.
    pub run: RunId,
    /// `requested` or `alreadyTerminal`.
    pub state: String,
}

/// `GET /v1/admin/bridge`: who this bridge is and how it does.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BridgeView {
    /// Our gateway id.
    pub gateway: GatewayId,
    /// The software's version.
    pub version: String,
    /// Our root's version.
    pub root_version: u64,
    /// When our root expires.
    pub root_expires: String,
    /// Where peers reach us.
    pub endpoints: Vec<String>,
    /// The adapter's view of the gateway.
    pub adapter: crate::adapter::Description,
    /// Process id.
    pub pid: u32,
    /// Open runs that we execute.
    pub executing: u64,
    /// Open runs that we asked of others.
    pub calling: u64,
    /// Audit rows and head.
    pub audit: String,
    /// Which life of this gateway this is.
    #[serde(default)]
    pub incarnation: u64,
    /// That the bridge lost history and waits for a person; absent where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<crate::rollback::RolledBack>,
}

/// Where a copy of the database is put; `landbridge backup` adds the rest.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackupInto {
    /// A directory of the bridge's machine; the copy must not be there yet.
    pub directory: std::path::PathBuf,
}

/// `GET /v1/admin/settings`: one setting as it holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[serde(rename_all = "camelCase")]
pub struct PeerView {
    /// Our name for it.
    pub alias: Alias,
    /// Who it is.
    pub gateway: GatewayId,
    /// `active`, `suspended`, `revoked` or `quarantined`; before both sides accepted, `awaitingAccept`
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
    /// Its endpoints.
    pub endpoints: Vec<String>,
    /// Newest root version known.
    pub root_version: Option<u64>,
    /// When its newest status was issued.
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
#[serde(rename_all = "camelCase")]
pub struct TenantLink {
    /// Our tenant.
    pub local: String,
    /// The peer's tenant.
    pub remote: String,
}

/// `POST /v1/admin/invites`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewInvite {
    /// What we will call the newcomer.
    pub alias: Alias,
    /// For how long, such as `"24h"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
}

/// The invite, shown once.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InviteView {
    /// Its public id.
    pub id: String,
    /// One line for the other side's `peer join`.
    pub invite: String,
    /// When it stops working.
    pub expires: String,
    /// An earlier invite for the same name was open, and is withdrawn now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaced: bool,
}

/// `GET /v1/admin/invites`: an invite that was made here, without its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenInvite {
    /// Its public id.
    pub id: String,
    /// What the newcomer will be called here.
    pub alias: Alias,
    /// `open`, `used`, `withdrawn` or `expired`.
    pub state: String,
    /// When it was made.
    pub created: String,
    /// Until when it works, or would have.
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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LookAt {
    /// `https://host:port`.
    pub url: String,
}

/// What was found there: the peer, by its own signature.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[serde(rename_all = "camelCase")]
pub struct FederationView {
    /// Its version; 0 before the first.
    pub version: u64,
    /// The envelope, canonical bytes; `None` before the first.
    pub envelope: Option<String>,
}

/// `POST /v1/admin/tokens`.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// `read`, `run`, `cancel`; empty: all three.
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
    pub expires_in: Option<String>,
}

/// Which runs exist for a token.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
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
    pub created: String,
    /// When it stops working.
    pub expires: Option<String>,
    /// When it was revoked.
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

/// `GET /v1/gateways`: what may be reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteView {
    /// The logical gateway id.
    pub gateway: Alias,
    /// The peer behind it, as we call it.
    pub peer: Alias,
    /// Who that is; `null` when there is no such peer.
    pub peer_gateway: Option<GatewayId>,
    /// `active`, `suspended`, `revoked`, `quarantined`, or `unknown` when there is no such peer.
    pub peer_status: String,
    /// Our tenant and its tenant.
    pub tenant: TenantLink,
    /// The agent, where the route names one.
    pub agent: Option<AgentName>,
    /// The peering works as far as we know: active, root valid, endpoint known.
    pub usable: bool,
    /// Why not, or what is worth knowing.
    pub detail: String,
    /// What this side saw of the peer.
    pub health: HealthView,
    /// What this side allows a run by this route.
    pub limits: GatewayLimits,
}

/// What this side saw of a peer; nobody was asked for it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthView {
    /// Whether the last attempt reached it; `null`: there was none since this bridge started.
    pub reachable: Option<bool>,
    /// When something of it last verified.
    pub last_contact: Option<String>,
    /// The last attempt that gave nothing usable, however long ago.
    pub last_error: Option<ContactError>,
    /// When its newest known status was issued.
    pub status_issued: Option<String>,
    /// Until when that status is good.
    pub status_expires: Option<String>,
    /// What it signs can be verified now, without asking it anew.
    pub status_fresh: bool,
}

/// An attempt that gave nothing usable.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactError {
    /// When.
    pub at: String,
    /// Why.
    pub detail: String,
}

/// What this side allows a run by a route. What the peer grants is for the peer to say.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayLimits {
    /// The deadline of a run that names none.
    pub deadline_default: String,
    /// The longest deadline.
    pub deadline_max: String,
    /// The largest prompt, in bytes.
    pub prompt_bytes_max: Option<usize>,
}

/// `POST /v1/gateways/{gateway}/test`: a real, signed round trip that starts nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteTest {
    /// The executor answered with its own signature.
    pub ok: bool,
    /// What was found, step by step.
    pub steps: Vec<String>,
    /// Round trip in milliseconds.
    pub round_trip_ms: Option<u64>,
    /// What is wrong.
    pub problem: Option<Problem>,
}

/// `PUT /v1/admin/federation`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PutFederation {
    /// The new version's envelope, canonical bytes, signed by our policy key.
    pub envelope: String,
}

/// Evidence that a peer contradicted itself, as `evidence list` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    pub found: String,
    /// The run of ours in which it was found.
    pub run: Option<RunId>,
    /// The peer is quarantined now.
    pub quarantined: bool,
}

/// One piece of evidence, as `evidence show` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resume {
    /// Why, in a person's words: for the audit log.
    pub because: String,
}

/// A quarantine that ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resumed {
    /// The peer.
    pub gateway: GatewayId,
    /// Why.
    pub because: String,
}

/// `GET /v1/admin/audit`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditList {
    /// In order.
    pub rows: Vec<AuditView>,
    /// Pass as `after` for the next page; absent on the last.
    pub next: Option<u64>,
}

/// One of `GET /v1/admin/audit/heads`: how long a peer's audit log was, as its newest status told us.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditHeadView {
    /// The peer.
    pub alias: Alias,
    /// Its gateway.
    pub gateway: GatewayId,
    /// When it said so.
    pub issued: String,
    /// How many rows its log had.
    pub rows: u64,
    /// The chain's head after the last of them.
    pub head: Digest,
}

/// One row of the audit log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditView {
    /// Its number, from 1.
    pub n: u64,
    /// The event as JSON text: the exact bytes that the chain hashes.
    pub event: String,
    /// The chain's head after this row.
    pub head: Digest,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn debug<T: serde::de::DeserializeOwned + fmt::Debug>(value: serde_json::Value) -> String {
        format!("{:?}", serde_json::from_value::<T>(value).unwrap())
    }

    #[test]
    fn prompts_and_secrets_are_not_in_the_debug_text() {
        let key = "0123456789abcdef";
        let start = json!({"gateway": "eu", "prompt": "hush", "idempotencyKey": key});
        let call = json!({"gateway": "eu", "toolCall": {"tool": "t", "args": {"a": "hush"}},
            "idempotencyKey": key});
        let token = json!({"id": "t1", "name": "ci", "routes": [], "verbs": [], "created": "",
            "tenants": [], "sees": "own", "runsOpen": 0, "runsOpenMax": 1, "startsPerMinuteMax": 1,
            "secret": "hush"});
        let texts = [
            debug::<StartRun>(start),
            debug::<StartRun>(call),
            debug::<Join>(json!({"invite": "hush", "alias": "eu"})),
            debug::<InviteView>(json!({"id": "", "invite": "hush", "expires": ""})),
            debug::<TokenView>(token),
        ];
        for text in texts {
            assert!(!text.contains("hush"), "{text}");
        }
    }
}
