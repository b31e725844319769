//! The one door between the bridge and a gateway: what the executor asks, what it is told.
//!
//! The executor commits an [`Intent`] before [`Adapter::start`] is called, and calls it at most once
//! for an intent. After a crash it only looks: [`Adapter::adopt`] reports what happened since and never
//! starts anything. There is no separate cursor to keep in step: what was already reported is read back
//! from the run's own frames ([`Progress`]), so adapter and log cannot disagree.

use std::collections::BTreeSet;
use std::convert::Infallible;

use async_trait::async_trait;
pub use landbridge_proto::machine::report::{
    ApprovalDecided, ApprovalNeeded, Binding, Channel, Ending, Report, ResolvedBy, SideEffects,
    StopReason, Trouble, TroubleCode, Usage, Vote,
};
pub use landbridge_proto::wire::document::Mode;
use landbridge_proto::wire::name::{
    AgentName, GatewayId, RunId, SessionHandle, TenantPair, Timestamp, ToolName,
};
use landbridge_proto::wire::request::{ApprovalAsked, ApprovalGrant};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

/// What one run asks of the gateway. Persisted with the run; equal after every restart.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// The run, as the executor's bridge names it.
    pub run: RunId,
    /// The gateway that asked.
    pub caller: GatewayId,
    /// The tenant pair that it asked for.
    pub tenant: TenantPair,
    /// The agent that the grant allows.
    pub agent: AgentName,
    /// How it uses a session.
    #[serde(default)]
    pub mode: Mode,
    /// The session to continue, or under which a child is started; `None` for a fresh one.
    pub session: Option<SessionHandle>,
    /// What to do.
    pub ask: Ask,
    /// When the run must have ended.
    pub deadline: Timestamp,
}

/// What a run asks for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ask {
    /// An agent turn over this text, taken literally.
    Prompt(String),
    /// One call of a tool, under the tool policy of the agent.
    ToolCall {
        /// The tool.
        tool: ToolName,
        /// Its arguments, JSON text.
        args: String,
    },
    /// A matter of people. The bridge leads it itself: no gateway's adapter is ever given one.
    Operators(Box<Matter>),
}

impl Ask {
    /// The text that a gateway is given; empty where none is.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Prompt(text) | Self::ToolCall { args: text, .. } => text,
            Self::Operators(_) => "",
        }
    }
}

/// What a run is about that people decide.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Matter {
    /// A decision of the caller's operators about a run of ours.
    Grant(ApprovalGrant),
    /// A question to our operators.
    Question(ApprovalAsked),
}

/// Under which names the gateway will know the run. Opaque to the bridge, committed before the call.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Intent(pub serde_json::Value);

/// What the run's own frames say was already reported: where an adopting adapter goes on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// `started` was reported.
    pub started: bool,
    /// The answer text so far, since the last `replace`.
    pub answer: String,
    /// The thinking text so far, since the last `replace`.
    pub thinking: String,
    /// Call ids of reported tool calls.
    pub calls: BTreeSet<String>,
    /// Call ids of reported tool results.
    pub results: BTreeSet<String>,
    /// The last reported usage.
    pub usage: Option<Usage>,
    /// Names of reported phase ends, in order.
    pub phases: Vec<String>,
    /// How many reported troubles did not end the run.
    pub errors: usize,
    /// The log holds text only in part, because of what the peer may see: the texts above cannot be
    /// compared with the gateway's.
    pub reduced: bool,
}

/// Where an adapter sends its reports. Closed when the bridge no longer watches.
pub type Reports = mpsc::Sender<Report>;

/// Held by an adapter for as long as the bridge's end would lose the run: from the start until the
/// gateway has taken the work, so that [`Adapter::adopt`] of a later process finds it.
///
/// Letting go of it tells; there is nothing to call that could be forgotten. A bridge that stops waits
/// for it, though not for ever.
#[derive(Debug)]
pub struct Hold {
    _end: oneshot::Sender<Infallible>,
}

/// The bridge's side of a [`Hold`].
#[derive(Debug)]
pub struct Held(oneshot::Receiver<Infallible>);

impl Hold {
    /// A hold, and what tells when it was let go.
    #[must_use]
    pub fn new() -> (Self, Held) {
        let (end, held) = oneshot::channel();
        (Self { _end: end }, Held(held))
    }
}

impl Held {
    /// Waits until the hold was let go.
    pub async fn let_go(&mut self) {
        let Err(_) = (&mut self.0).await;
    }
}

/// What the gateway answered to a stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stopped {
    /// It stops; the reports will say how.
    Stopping,
    /// It had ended already, or never began.
    NotRunning,
    /// The gateway has no way to stop it: it goes on, and the reports will say what came of it.
    GoesOn,
}

/// The gateway as the bridge sees it now.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// Which adapter: `openclaw` or `scripted`.
    pub adapter: String,
    /// The gateway's software and version, empty while it was never reached.
    pub software: String,
    /// The gateway can be asked now.
    pub reachable: bool,
    /// Why not, or what is worth knowing.
    pub detail: Option<String>,
    /// The gateway's agents, where it tells them.
    pub agents: Vec<String>,
    /// Why a run of this gateway cannot wait for an approval; `None` when it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<String>,
    /// Settings of the gateway that weaken what grants promise, each one sentence with the remedy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cautions: Vec<String>,
}

/// The gateway cannot be asked now.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", .0.detail)]
pub struct AdapterFault(pub Trouble);

/// Agents and tools of one gateway.
#[async_trait]
pub trait Adapter: Send + Sync + 'static {
    /// Tells what the gateway is and whether it can be asked. Never waits longer than a second.
    async fn describe(&self) -> Description;

    /// Chooses the names under which the gateway will know the run. Calls nothing that has an effect.
    ///
    /// # Errors
    ///
    /// Returns why the gateway cannot be asked now; nothing was started, and nothing will be.
    async fn intend(&self, work: &Work) -> Result<Intent, AdapterFault>;

    /// Starts the work and reports until it has settled. Called at most once for an intent, after the
    /// intent is durable. Returns early only when `reports` is closed. Lets go of `hold` as soon as a
    /// later process could adopt the work; work that nobody can adopt is held until it has settled.
    ///
    /// Looks first: a bridge that was restored from a backup may have forgotten that it started this
    /// very work, and then has the same run and the same names for it. What the gateway knows already
    /// is reported as by [`Adapter::adopt`], and nothing is started.
    async fn start(&self, work: Work, intent: Intent, reports: Reports, hold: Hold);

    /// Looks for the work of an earlier process and reports what is not in `progress`, until it has
    /// settled. Questions for people are reported again, open ones and decided ones: the bridge knows
    /// which it asked. Starts nothing: what cannot be found ends as failed, side effects unknown.
    async fn adopt(&self, work: Work, intent: Intent, progress: Progress, reports: Reports);

    /// Asks the gateway to stop the run, wherever it is. May be called again.
    ///
    /// # Errors
    ///
    /// Returns why the gateway could not be asked; the bridge asks again.
    async fn stop(
        &self,
        work: &Work,
        intent: &Intent,
        why: StopReason,
    ) -> Result<Stopped, AdapterFault>;

    /// Asks the gateway to stop everything that this bridge ever started there, by what the gateway itself
    /// knows: for a bridge that is halted and cannot read its own records. May be called again. Returns how
    /// much there was to stop.
    ///
    /// # Errors
    ///
    /// Returns why the gateway could not be asked; the bridge asks again.
    async fn stop_all(&self) -> Result<usize, AdapterFault>;

    /// Answers a question that stops a run, at the gateway. May be called again with the same vote: a
    /// gateway takes one answer for a question, and tells a second time what it took.
    ///
    /// # Errors
    ///
    /// Returns why the gateway could not be asked; the bridge asks again while the question is open.
    async fn resolve(
        &self,
        work: &Work,
        question: &str,
        vote: Vote,
    ) -> Result<ApprovalDecided, AdapterFault> {
        let (run, vote) = (&work.run, vote.as_str());
        let detail = format!("the gateway asked nothing like {question} in {run}: no {vote}");
        Err(AdapterFault(Trouble { code: TroubleCode::ApprovalUnknown, detail }))
    }
}
