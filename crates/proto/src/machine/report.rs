//! What an adapter reports of a run, before disclosure and limits turn it into frames.

use serde::{Deserialize, Serialize};

pub use crate::wire::approval::{Binding, Vote};
use crate::wire::name::{SessionHandle, SubjectKind, Timestamp};
use crate::wire::problem::Code;
pub use crate::wire::stream::{
    ApprovalRequested, ApprovalResolved, Channel, Ending, ResolvedBy, SideEffects, Usage,
};

/// What happened in a run, in order. A [`Report::Settled`] is the last.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Report {
    /// The gateway took the run.
    Started {
        /// The session that the run is led in, as its owner may name it later.
        session: SessionHandle,
        /// The gateway's software and version.
        software: String,
    },
    /// Text: a delta, or the whole so far when `replace` is set.
    Output {
        /// The channel.
        channel: Channel,
        /// The text.
        text: String,
        /// The text replaces all of this channel that came before.
        replace: bool,
    },
    /// Usage so far.
    Usage(Usage),
    /// The model called a tool.
    ToolCall {
        /// Unique in the run.
        call: String,
        /// The tool.
        tool: String,
        /// Its arguments, JSON text.
        args: String,
    },
    /// A tool answered.
    ToolResult {
        /// The call that it answers.
        call: String,
        /// The tool did what was asked.
        ok: bool,
        /// The result or the error, text as the model saw it.
        text: String,
    },
    /// A phase of the run ended.
    PhaseEnd {
        /// Its name.
        phase: String,
        /// How it ended.
        ending: Ending,
        /// When it began.
        started: Timestamp,
        /// When it ended.
        ended: Timestamp,
    },
    /// The gateway stopped the run until a person decides. From an adapter.
    ApprovalNeeded(Box<ApprovalNeeded>),
    /// The peer's operators are asked. Made of [`Report::ApprovalNeeded`] by the bridge, which signs the request.
    ApprovalRequested(Box<ApprovalRequested>),
    /// The gateway goes on: the question was decided there.
    ApprovalDecided(ApprovalDecided),
    /// The same, in the contract's words. Made of [`Report::ApprovalDecided`] by the bridge.
    ApprovalResolved(ApprovalResolved),
    /// Something went wrong that does not end the run.
    Error(Trouble),
    /// The run and all that it started have settled. Nothing follows.
    Settled {
        /// How.
        ending: Ending,
        /// The authoritative answer.
        result: Option<String>,
        /// Why, unless it succeeded.
        trouble: Option<Trouble>,
        /// The final usage.
        usage: Option<Usage>,
        /// What may have happened in the world.
        side_effects: SideEffects,
    },
}

/// A question of the gateway, in the gateway's words.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalNeeded {
    /// The gateway's own id of the question.
    pub question: String,
    /// The tool call that waits.
    pub call: Option<String>,
    /// What is to be approved.
    pub kind: SubjectKind,
    /// The media type of `subject`.
    pub media: String,
    /// The bytes that will be acted on, or what is seen of them.
    pub subject: String,
    /// Which of both.
    pub binding: Binding,
    /// When the gateway gives up waiting.
    pub expires: Timestamp,
}

/// How a question of the gateway ended there.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalDecided {
    /// The gateway's own id of the question.
    pub question: String,
    /// What the gateway acts on.
    pub vote: Vote,
    /// Who decided: [`ResolvedBy::Peer`] where it was this bridge.
    pub by: ResolvedBy,
    /// What the gateway said, ready for a peer's eyes.
    pub evidence: String,
}

/// Why something went wrong, ready for a peer's eyes: no secret, no path, no stack.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// What kind.
    pub code: TroubleCode,
    /// One sentence for people.
    pub detail: String,
}

/// The problem codes that an adapter may use.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TroubleCode {
    /// The gateway could not be reached, or refused the bridge.
    GatewayUnavailable,
    /// The gateway's version is not one that this adapter speaks.
    GatewayUnsupported,
    /// The gateway does not have the agent.
    AgentUnknown,
    /// The model failed.
    ModelError,
    /// The gateway ended the run for a reason of its own.
    GatewayError,
    /// The gateway was restarted under the run, and the run did not survive.
    Interrupted,
    /// The gateway refused the input.
    InputRefused,
    /// The session of a turn or subagent is gone.
    SessionUnknown,
    /// The gateway does not let the session start a subagent.
    SubagentUnavailable,
    /// The tool that was called failed.
    ToolError,
    /// The gateway does not offer the tool to the agent.
    ToolUnavailable,
    /// The gateway cannot do what was asked, such as stopping a tool.
    NotSupported,
    /// An approval was needed and nobody could be asked.
    NoApprovalRoute,
    /// No such question.
    ApprovalUnknown,
    /// The decision does not count.
    ApprovalRefused,
    /// The question was decided otherwise before.
    AlreadyResolved,
    /// Operators denied what was asked.
    ApprovalDenied,
    /// Not enough operators approved in time.
    ApprovalExpired,
}

impl TroubleCode {
    /// The code of the problem registry.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::GatewayUnavailable => Code::GatewayUnavailable,
            Self::GatewayUnsupported => Code::GatewayUnsupported,
            Self::AgentUnknown => Code::AgentUnknown,
            Self::ModelError => Code::ModelError,
            Self::GatewayError => Code::GatewayError,
            Self::Interrupted => Code::Interrupted,
            Self::InputRefused => Code::InputRefused,
            Self::SessionUnknown => Code::SessionUnknown,
            Self::SubagentUnavailable => Code::SubagentUnavailable,
            Self::ToolError => Code::ToolError,
            Self::ToolUnavailable => Code::ToolUnavailable,
            Self::NotSupported => Code::NotSupported,
            Self::NoApprovalRoute => Code::NoApprovalRoute,
            Self::ApprovalUnknown => Code::ApprovalUnknown,
            Self::ApprovalRefused => Code::ApprovalRefused,
            Self::AlreadyResolved => Code::AlreadyResolved,
            Self::ApprovalDenied => Code::ApprovalDenied,
            Self::ApprovalExpired => Code::ApprovalExpired,
        }
    }
}

/// Why the bridge stops a run. Recorded before the gateway is asked, because its answers look alike.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopReason {
    /// The caller asked.
    Cancel,
    /// The deadline passed.
    Deadline,
    /// The run grew past a limit of its grant or of the contract.
    Budget,
    /// Its caller was revoked here.
    Revoked,
    /// The operator halted the bridge.
    Halt,
}

impl StopReason {
    /// The word in the audit log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
            Self::Revoked => "revoked",
            Self::Halt => "halt",
        }
    }
}
