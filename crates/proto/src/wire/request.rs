//! What a caller asks, signed: start, attach, cancel, inspect; and the executor's signed answers.
//!
//! A start's body is kept as the bytes that were first sent: an idempotency key is bound to them, so a
//! retry signs a new request around the same bytes. Canonical form makes "the bytes" well defined.

mod answer;
#[cfg(any(test, feature = "schemas"))]
mod schema;
mod target;

use std::collections::BTreeMap;

use landbridge_planted::planted;
use serde::{Deserialize, Serialize};

pub use self::answer::{
    Answer, CancelResult, Findings, Lost, PairingResult, Receipt, Refusal, RunState,
};
pub use self::target::{Attach, Cancel, Target};
use self::target::{RawTarget, inspected};
use super::approval::{Decision, OPERATORS_AGENT};
pub use super::document::{Ask, Mode};
use super::envelope::Envelope;
use super::kind::{Kind, PayloadKind};
use super::limit;
use super::name::{
    AgentName, ApprovalId, GatewayId, IdempotencyKey, Jti, SessionHandle, TenantPair, Timestamp,
    ToolName,
};
use super::stream::{One, Seen};
use super::tool_args::ToolArgs;

/// An operation; its route is `/federation/v1/` and its path.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Start a run, or attach to the one that the key is bound to.
    Start,
    /// Read a run's stream from a cursor.
    Attach,
    /// Ask a run to stop.
    Cancel,
    /// Ask where a run stands.
    Inspect,
    /// Ask for the scopes of a tenant.
    Catalog,
}

impl Op {
    /// Every operation.
    pub const ALL: [Self; 5] =
        [Self::Start, Self::Attach, Self::Cancel, Self::Inspect, Self::Catalog];

    /// The path of its route.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Start => "/federation/v1/runs",
            Self::Attach => "/federation/v1/runs/attach",
            Self::Cancel => "/federation/v1/runs/cancel",
            Self::Inspect => "/federation/v1/runs/inspect",
            Self::Catalog => "/federation/v1/catalog",
        }
    }
}

/// A signed request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawRequest", into = "RawRequest")]
pub struct Request {
    /// The executor's gateway: one string.
    pub aud: GatewayId,
    /// What is asked.
    pub body: Body,
    /// When it stops being good; at most 300 s after `iat`.
    pub exp: Timestamp,
    /// When it was signed.
    pub iat: Timestamp,
    /// The caller's gateway.
    pub iss: GatewayId,
    /// Random, never used again.
    pub jti: Jti,
    /// The protocol versions that the caller speaks.
    pub proto: Vec<u32>,
    /// The newest of the executor that the caller knows.
    pub seen: Seen,
    /// The tenant pair.
    pub tenant: TenantPair,
    /// W3C trace context of the caller's client, never interpreted.
    pub traceparent: Option<String>,
}

/// A request's body, by operation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Body {
    /// `op: start`.
    Start(Box<Start>),
    /// `op: attach`.
    Attach(Attach),
    /// `op: cancel`.
    Cancel(Cancel),
    /// `op: inspect`.
    Inspect(Target),
    /// `op: catalog`.
    Catalog,
}

impl Body {
    /// The operation that this body belongs to.
    #[must_use]
    pub const fn op(&self) -> Op {
        match self {
            Self::Start(_) => Op::Start,
            Self::Attach(_) => Op::Attach,
            Self::Cancel(_) => Op::Cancel,
            Self::Inspect(_) => Op::Inspect,
            Self::Catalog => Op::Catalog,
        }
    }
}

/// The body of a start.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[cfg_attr(any(test, feature = "schemas"), schemars(extend("allOf" = crate::wire::schema::rule::start())))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Start {
    /// For whom at the executor.
    pub agent_target: AgentTarget,
    /// Deliver a grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_grant: Option<ApprovalGrant>,
    /// Ask the executor's operators to decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_request: Option<ApprovalAsked>,
    /// On whose behalf, as the caller vouches for it.
    pub caller_identity: CallerIdentity,
    /// The latest end that the caller wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// The caller's name for this decision.
    pub idempotency_key: IdempotencyKey,
    /// When the caller decided.
    pub invoked_at: Timestamp,
    /// What the run may use at most; it can only lower what the grant allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<StartLimits>,
    /// Run an agent turn over this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The caller's own id for the run; echoed, never interpreted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(max = limit::CLAIM_BYTES_MAX)))]
    pub remote_run_id: Option<String>,
    /// Call one tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call: Option<ToolCall>,
}

/// What one run may use at most, as its caller asks. At least one member, each at least 1.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[cfg_attr(any(test, feature = "schemas"), schemars(extend("minProperties" = 1)))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartLimits {
    /// Frame bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub bytes: Option<u64>,
    /// Millionths of a dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub cost_micro_usd: Option<u64>,
    /// Frames, the terminal included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub frames: Option<u64>,
    /// Model tokens of every kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub tokens: Option<u64>,
}

/// A decision of the caller's operators about a run of the executor.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ApprovalGrant {
    /// The question, as the executor named it.
    pub approval: ApprovalId,
    /// The decision.
    pub decision: Box<Decision>,
}

/// A question to the executor's operators.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ApprovalAsked {
    /// The approval request, signed by the caller.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(
            schema_with = "crate::wire::schema::envelope::<super::approval::ApprovalRequest>"
        )
    )]
    pub request: Envelope,
    /// The subject's bytes.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(max = limit::SUBJECT_BYTES_MAX)))]
    pub subject: String,
}

/// One tool, called directly.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    /// Its arguments.
    pub args: ToolArgs,
    /// The tool.
    pub tool: ToolName,
}

/// For whom at the executor.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[cfg_attr(any(test, feature = "schemas"), schemars(extend("allOf" = crate::wire::schema::rule::agent_target())))]
#[serde(deny_unknown_fields)]
pub struct AgentTarget {
    /// The agent.
    pub agent: AgentName,
    /// In which session.
    pub mode: Mode,
    /// The session of an earlier run of the same owner, for `turn` and `subagent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionHandle>,
}

/// On whose behalf a caller asks. A claim that its gateway vouches for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CallerIdentity {
    /// The caller's own labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::labels")
    )]
    pub labels: BTreeMap<String, String>,
    /// A person or service of the caller.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1, max = limit::CLAIM_BYTES_MAX)))]
    pub principal: String,
    /// A step of the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(max = limit::CLAIM_BYTES_MAX)))]
    pub step: Option<String>,
    /// A workflow of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(max = limit::CLAIM_BYTES_MAX)))]
    pub workflow: Option<String>,
}

/// A body that asks for nothing in particular.
#[derive(Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl PayloadKind for Request {
    const KIND: Kind = Kind::Request;
    const BYTES_MAX: usize = limit::REQUEST_BYTES_MAX;
}

#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawRequest {
    /// The executor's gateway: one string.
    aud: GatewayId,
    /// What is asked, in the form of `op`.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::anything")
    )]
    body: serde_json::Value,
    /// When it stops being good; at most 300 s after `iat`.
    exp: Timestamp,
    /// When it was signed.
    iat: Timestamp,
    /// The caller's gateway.
    iss: GatewayId,
    /// Random, never used again.
    jti: Jti,
    /// Which operation.
    op: Op,
    /// The protocol versions that the caller speaks, ascending.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1, max = limit::PROTO_VERSIONS_MAX), extend("uniqueItems" = true)))]
    proto: Vec<u32>,
    /// The newest of the executor that the caller knows.
    seen: Seen,
    /// The tenant pair.
    tenant: TenantPair,
    /// W3C trace context of the caller's client, never interpreted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(max = limit::TRACEPARENT_BYTES_MAX)))]
    traceparent: Option<String>,
    /// The form's version.
    v: One,
}

/// Why a request's members do not fit together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MalformedRequest {
    /// The body is not the operation's.
    #[error("the body does not fit the operation: {0}")]
    Body(String),
    /// Not exactly one thing is asked.
    #[error("a start asks for exactly one of prompt, toolCall, approvalGrant and approvalRequest")]
    NotOneAsk,
    /// Not exactly one of run and key.
    #[error("a run is named by exactly one of run and idempotencyKey")]
    NotOneTarget,
    /// A session is named where the mode has none, or the reverse.
    #[error("a session is named exactly when the mode is turn or subagent")]
    SessionAndMode,
    /// Limits that limit nothing, or to nothing.
    #[error("limits name at least one limit, each at least 1")]
    Limits,
    /// A tool call that names a session of an earlier run.
    #[error("a toolCall has the mode session: it belongs to no conversation")]
    ToolCallInSession,
    /// A start about approvals that names an agent of the gateway, or a session.
    #[error("a start about approvals is for the agent operators, in the mode session")]
    ApprovalForAgent,
    /// A subject that is longer than the contract allows.
    #[error("a subject has at most {} bytes", limit::SUBJECT_BYTES_MAX)]
    SubjectTooLong,
    /// A label's name outside its alphabet.
    #[error("a label's name is made of a-z A-Z 0-9 . _ / -")]
    LabelName,
    /// A claim, label or trace context is too long, or too many of them.
    #[error("{0} is larger than the contract allows")]
    TooLong(&'static str),
    /// No or too many protocol versions.
    #[error("a request lists 1 to 16 protocol versions")]
    Versions,
}

impl TryFrom<RawRequest> for Request {
    type Error = MalformedRequest;

    fn try_from(raw: RawRequest) -> Result<Self, MalformedRequest> {
        let is_ascending = raw.proto.is_sorted_by(|one, next| one < next);
        if raw.proto.is_empty() || raw.proto.len() > limit::PROTO_VERSIONS_MAX || !is_ascending {
            return Err(MalformedRequest::Versions);
        }
        if raw.traceparent.as_ref().is_some_and(|trace| trace.len() > limit::TRACEPARENT_BYTES_MAX)
        {
            return Err(MalformedRequest::TooLong("traceparent"));
        }
        let body = match raw.op {
            Op::Start => Body::Start(Box::new(read::<Start>(raw.body)?.checked()?)),
            Op::Attach => Body::Attach(Attach::try_from(read::<RawTarget>(raw.body)?)?),
            Op::Cancel => Body::Cancel(Cancel::try_from(read::<RawTarget>(raw.body)?)?),
            Op::Inspect => Body::Inspect(inspected(read(raw.body)?)?),
            Op::Catalog => read::<Nothing>(raw.body).map(|Nothing {}| Body::Catalog)?,
        };
        Ok(Self {
            aud: raw.aud,
            body,
            exp: raw.exp,
            iat: raw.iat,
            iss: raw.iss,
            jti: raw.jti,
            proto: raw.proto,
            seen: raw.seen,
            tenant: raw.tenant,
            traceparent: raw.traceparent,
        })
    }
}

impl From<Request> for RawRequest {
    fn from(request: Request) -> Self {
        let op = request.body.op();
        let body = match &request.body {
            Body::Start(start) => serde_json::to_value(start),
            Body::Attach(attach) => {
                let target = RawTarget::new(&attach.target);
                serde_json::to_value(RawTarget { after: Some(attach.after), ..target })
            }
            Body::Cancel(cancel) => {
                let target = RawTarget::new(&cancel.target);
                serde_json::to_value(RawTarget { reason: cancel.reason.clone(), ..target })
            }
            Body::Inspect(target) => serde_json::to_value(RawTarget::new(target)),
            Body::Catalog => serde_json::to_value(Nothing {}),
        };
        Self {
            aud: request.aud,
            // Our own bodies are plain structs: they always have a JSON form.
            body: body.unwrap_or_default(),
            exp: request.exp,
            iat: request.iat,
            iss: request.iss,
            jti: request.jti,
            op,
            proto: request.proto,
            seen: request.seen,
            tenant: request.tenant,
            traceparent: request.traceparent,
            v: One,
        }
    }
}

impl Start {
    /// The kind of work that is asked for.
    #[must_use]
    pub const fn ask(&self) -> Ask {
        if self.tool_call.is_some() {
            Ask::ToolCall
        } else if self.approval_grant.is_some() {
            Ask::ApprovalGrant
        } else if self.approval_request.is_some() {
            Ask::ApprovalRequest
        } else {
            Ask::Prompt
        }
    }

    /// The same body, known to keep the rules between its members.
    ///
    /// # Errors
    ///
    /// Returns the rule that is broken.
    pub fn checked(self) -> Result<Self, MalformedRequest> {
        let asks = [
            self.prompt.is_some(),
            self.tool_call.is_some(),
            self.approval_grant.is_some(),
            self.approval_request.is_some(),
        ];
        //= REQ-8
        if asks.iter().filter(|&&asked| asked).count() != 1 {
            return Err(MalformedRequest::NotOneAsk);
        }
        if (self.agent_target.mode == Mode::Session) == self.agent_target.session.is_some() {
            return Err(MalformedRequest::SessionAndMode);
        }
        //= REQ-40
        if self.tool_call.is_some() && self.agent_target.mode != Mode::Session {
            return Err(MalformedRequest::ToolCallInSession);
        }
        //= APR-32
        let about_approvals = self.approval_grant.is_some() || self.approval_request.is_some();
        let target = &self.agent_target;
        let to_operators = target.agent.as_str() == OPERATORS_AGENT && target.mode == Mode::Session;
        if about_approvals && !to_operators && !planted!("approval_agent_unchecked") {
            return Err(MalformedRequest::ApprovalForAgent);
        }
        let subject = self.approval_request.as_ref().map(|asked| asked.subject.len());
        if subject.is_some_and(|bytes| bytes > limit::SUBJECT_BYTES_MAX) {
            return Err(MalformedRequest::SubjectTooLong);
        }
        self.caller_identity.check()?;
        let own = self.remote_run_id.as_ref();
        if own.is_some_and(|own| own.len() > limit::CLAIM_BYTES_MAX) && !planted!("claim_unlimited")
        {
            return Err(MalformedRequest::TooLong("remoteRunId"));
        }
        //= REQ-58
        if self.limits.as_ref().is_some_and(|limits| !limits.are_limits()) {
            return Err(MalformedRequest::Limits);
        }
        Ok(self)
    }
}

impl StartLimits {
    fn are_limits(&self) -> bool {
        let all = [self.bytes, self.cost_micro_usd, self.frames, self.tokens];
        all.iter().any(Option::is_some) && !all.contains(&Some(0))
    }
}

impl CallerIdentity {
    fn check(&self) -> Result<(), MalformedRequest> {
        let long =
            |text: &Option<String>| text.as_ref().is_some_and(|t| t.len() > limit::CLAIM_BYTES_MAX);
        if self.principal.is_empty() || self.principal.len() > limit::CLAIM_BYTES_MAX {
            return Err(MalformedRequest::TooLong("callerIdentity.principal"));
        }
        if long(&self.workflow) || long(&self.step) {
            return Err(MalformedRequest::TooLong("callerIdentity.workflow or step"));
        }
        //= ID-3
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte);
        if self.labels.keys().any(|name| name.is_empty() || !name.bytes().all(named)) {
            return Err(MalformedRequest::LabelName);
        }
        let bad_label = |(name, value): (&String, &String)| {
            name.len() > limit::LABEL_NAME_BYTES_MAX || value.len() > limit::LABEL_VALUE_BYTES_MAX
        };
        if self.labels.len() > limit::LABELS_MAX || self.labels.iter().any(bad_label) {
            return Err(MalformedRequest::TooLong("callerIdentity.labels"));
        }
        Ok(())
    }
}

fn read<T: for<'de> Deserialize<'de>>(body: serde_json::Value) -> Result<T, MalformedRequest> {
    serde_json::from_value(body).map_err(|error| MalformedRequest::Body(error.to_string()))
}
