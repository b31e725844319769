//! Local API v1: what workflow engines, the command line and the console say and hear.
//!
//! Members are camelCase, times are RFC 3339 in UTC, durations are texts such as `"10m"`. Errors are
//! `application/problem+json` with the codes of `spec/problems.md` and of this API.

use std::collections::BTreeMap;
use std::fmt;

use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::name::{
    AgentName, Alias, GatewayId, IdempotencyKey, RunId, SessionHandle, TenantPair, ToolName,
};
use landbridge_proto::wire::problem::Problem;
use landbridge_proto::wire::request::{CallerIdentity, Mode};
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
    /// Pass as `before` for the next page.
    pub next: Option<RunId>,
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
}

/// A peer, as `peer list` and `peer show` print it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerView {
    /// Our name for it.
    pub alias: Alias,
    /// Who it is.
    pub gateway: GatewayId,
    /// `active`, `suspended`, `revoked`, or `awaitingAccept` before both sides accepted.
    pub state: String,
    /// The twelve words, while it waits for acceptance.
    pub words: Option<String>,
    /// Its endpoints.
    pub endpoints: Vec<String>,
    /// Newest root version known.
    pub root_version: Option<u64>,
    /// When its newest status was issued.
    pub status_issued: Option<String>,
    /// Tenant pairs: (local, remote).
    pub tenants: Vec<TenantLink>,
    /// What it may ask of us.
    pub grants: Vec<serde_json::Value>,
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
    /// One line for the other side's `peer join`.
    pub invite: String,
    /// When it stops working.
    pub expires: String,
}

impl fmt::Debug for InviteView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InviteView").field("expires", &self.expires).finish_non_exhaustive()
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
    /// `read`, `run`, `cancel`; empty: all three.
    #[serde(default)]
    pub verbs: Vec<String>,
    /// For how long, such as `"90d"`; for ever by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
}

/// A token; `secret` only in the answer that made it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenView {
    /// Its public id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Routes.
    pub routes: Vec<Alias>,
    /// Verbs.
    pub verbs: Vec<String>,
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
            .field("verbs", &self.verbs)
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
    /// The peer behind it.
    pub peer: Alias,
    /// Our tenant and its tenant.
    pub tenant: TenantLink,
    /// The agent, where the route names one.
    pub agent: Option<AgentName>,
    /// The peering works as far as we know: active, root valid, endpoint known.
    pub usable: bool,
    /// Why not, or what is worth knowing.
    pub detail: String,
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
            "secret": "hush"});
        let texts = [
            debug::<StartRun>(start),
            debug::<StartRun>(call),
            debug::<Join>(json!({"invite": "hush", "alias": "eu"})),
            debug::<InviteView>(json!({"invite": "hush", "expires": ""})),
            debug::<TokenView>(token),
        ];
        for text in texts {
            assert!(!text.contains("hush"), "{text}");
        }
    }
}
