//! Runs: what starts one, and what its clients see of it.

use std::collections::BTreeMap;
use std::fmt;

use landbridge_proto::wire::name::{
    AgentName, Alias, GatewayId, IdempotencyKey, RunId, SessionHandle, TenantPair, ToolName,
};
use landbridge_proto::wire::request::{CallerIdentity, Mode, StartLimits};
use serde::{Deserialize, Serialize};

/// `POST /v1/runs`: start a run at another gateway.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    #[cfg_attr(test, schemars(extend("pattern" = super::DURATION)))]
    pub deadline: Option<String>,
    /// What the run may use at most; it can only lower what the peer's grant allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<StartLimits>,
    /// The client's own id of the run, sent along and echoed in `started`; never interpreted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_run_id: Option<String>,
    /// The client's W3C trace context, sent along with each request of the run; never interpreted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("pattern" = super::TRACEPARENT)))]
    pub traceparent: Option<String>,
    /// Labels to find it by; kept here, and sent with the caller identity only when put there.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// `toolCall` of a start.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    #[cfg_attr(test, schemars(extend("enum" = ["awaitAccept", "streaming", "settled"])))]
    pub phase: String,
    /// `succeeded`, `failed`, `cancelled`, `rejected`, `expired` or `lost`, once settled.
    #[cfg_attr(test, schemars(extend("enum" = super::outcomes_or_null())))]
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
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub created: String,
    /// When it must have ended.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub deadline: String,
    /// When it ended here.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub ended: Option<String>,
    /// This answer attached to a run that the key had started before.
    #[serde(default)]
    pub attached: bool,
    /// How the connection to the executor does, while the run is open: one sentence.
    pub connection: Option<String>,
    /// That a key which signed for this run was revoked by its owner with effect from before what it signed
    /// arrived here; absent where that is not so. What was received stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disputed: Option<crate::local::standing::DisputeView>,
}

/// `GET /v1/runs`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RunList {
    /// Newest first.
    pub runs: Vec<RunView>,
    /// Pass as `cursor`, with the same filters, for the next page; `null` on the last.
    pub next: Option<String>,
}

/// `POST /v1/runs/{run}/cancel`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CancelView {
    /// The run.
    pub run: RunId,
    /// `requested` or `alreadyTerminal`.
    #[cfg_attr(test, schemars(extend("enum" = ["requested", "alreadyTerminal"])))]
    pub state: String,
}
