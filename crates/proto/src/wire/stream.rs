//! What crosses a stream: the accept, frames, and the seals that cover them.
//!
//! Frames are hashed as the bytes that they are and parsed once. Events that this version does not know
//! are delivered unread, so [`Frame`] keeps the payload as text and [`Event`] is what we write.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use landbridge_planted::planted;

use std::collections::BTreeSet;

use super::approval::{Binding, Vote};
use super::digest::Digest;
pub use super::document::FormVersion as One;
use super::json::canonical;
use super::kind::{Kind, PayloadKind};
use super::limit;
use super::name::{
    AgentName, ApprovalId, GatewayId, IdempotencyKey, RunId, ScopeName, SessionHandle, SubjectKind,
    TenantPair, Timestamp,
};
use super::problem::Problem;

/// The newest of the other side that a bridge knows: how a rollback is noticed.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Its incarnation.
    pub n: u64,
    /// The `seq` of its newest status.
    pub seq: u64,
}

/// The executor's signed word that a key is bound to a run: the session-level signature.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Accept {
    /// The caller's gateway.
    pub aud: GatewayId,
    /// When the run must have ended; always fixed by the executor.
    pub deadline: Timestamp,
    /// The executor's gateway.
    pub iss: GatewayId,
    /// The caller's key.
    pub key: IdempotencyKey,
    /// The digest of the body that the key is bound to.
    pub print: Digest,
    /// The protocol version that was chosen from the request's list.
    pub proto: u32,
    /// The executor's root version.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub root_version: u64,
    /// The run.
    pub run: RunId,
    /// The newest of the caller that the executor knew.
    pub seen: Seen,
    /// The tenant pair.
    pub tenant: TenantPair,
    /// The document's version: 1.
    pub v: One,
}

impl PayloadKind for Accept {
    const KIND: Kind = Kind::Accept;
    const BYTES_MAX: usize = limit::DOCUMENT_BYTES_MAX;
}

/// The executor's signature over the head of a run's chain.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// `D(accept)`.
    pub accept: Digest,
    /// The covered frames end with `terminal`.
    #[serde(rename = "final")]
    pub last: bool,
    /// The chain's head at `seq`.
    pub head: Digest,
    /// The executor's root version.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub root_version: u64,
    /// The run.
    pub run: RunId,
    /// The last covered frame.
    pub seq: u64,
    /// When it was sealed.
    pub t: Timestamp,
    /// The document's version: 1.
    pub v: One,
}

impl PayloadKind for Seal {
    const KIND: Kind = Kind::Seal;
    const BYTES_MAX: usize = limit::DOCUMENT_BYTES_MAX;
}

/// One frame as it crosses: exact bytes, read once.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its number, from 1.
    pub seq: u64,
    /// The event's name, known or not.
    pub event: String,
    /// The payload, JSON text.
    pub payload: Box<RawValue>,
}

/// Why a line is not a frame.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MalformedFrame {
    /// Longer than a frame may be.
    #[error("a frame has at most {max} bytes", max = limit::FRAME_BYTES_MAX)]
    TooLong,
    /// Not the compact JSON object with exactly `seq`, `event` and `payload`, in this order.
    #[error("a frame is a compact JSON object of seq, event and payload")]
    BadShape,
    /// The payload is not in canonical form.
    #[error("a frame's payload has sorted members and integers only")]
    BadPayload,
}

impl Frame {
    /// Reads a frame line, without its line feed.
    ///
    /// # Errors
    ///
    /// Returns why the line is not a frame.
    //= STR-8
    pub fn parse(line: &str) -> Result<Self, MalformedFrame> {
        #[derive(Deserialize, Serialize)]
        #[serde(deny_unknown_fields)]
        struct Shape {
            seq: u64,
            event: String,
            payload: Box<RawValue>,
        }
        if line.len() > limit::FRAME_BYTES_MAX {
            return Err(MalformedFrame::TooLong);
        }
        let shape: Shape = serde_json::from_str(line).map_err(|_| MalformedFrame::BadShape)?;
        let again = serde_json::to_string(&shape).map_err(|_| MalformedFrame::BadShape)?;
        let one_spelling = again == line || planted!("frame_spelling_unchecked");
        if !one_spelling || !shape.payload.get().starts_with('{') {
            return Err(MalformedFrame::BadShape);
        }
        canonical::from_slice::<serde_json::Value>(shape.payload.get().as_bytes())
            .map_err(|_| MalformedFrame::BadPayload)?;
        if planted!("no_frame_is_read") {
            return Err(MalformedFrame::BadShape);
        }
        Ok(Self { seq: shape.seq, event: shape.event, payload: shape.payload })
    }

    /// The frame ends the run.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.event == "terminal"
    }

    /// The session that a `started` tells.
    #[must_use]
    pub fn session(&self) -> Option<SessionHandle> {
        #[derive(Deserialize)]
        struct Told {
            session: SessionHandle,
        }
        if self.event != "started" {
            return None;
        }
        serde_json::from_str::<Told>(self.payload.get()).ok().map(|told| told.session)
    }

    /// The payload of a `terminal`.
    #[must_use]
    pub fn terminal(&self) -> Option<Terminal> {
        self.is_terminal().then(|| serde_json::from_str(self.payload.get()).ok()).flatten()
    }
}

/// A text's channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// The answer.
    Answer,
    /// Reasoning that the model shows.
    Thinking,
}

/// Cumulative usage of a run. Counts are tokens; cost is in millionths of a US dollar.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Tokens read by the model.
    pub input: u64,
    /// Tokens written by the model.
    pub output: u64,
    /// Input tokens served from a cache.
    pub cache_read: u64,
    /// Input tokens written to a cache.
    pub cache_write: u64,
    /// All tokens.
    pub total: u64,
    /// Cost, where the gateway knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_micro_usd: Option<u64>,
    /// The model, where the gateway tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// How a phase ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// It did what was asked.
    Succeeded,
    /// It did not.
    Failed,
    /// It was stopped on request.
    Cancelled,
    /// A time limit ended it.
    Expired,
}

/// What may have happened in the world.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SideEffects {
    /// Nothing was started, so nothing happened.
    None,
    /// Work was started; its tools may have acted.
    Possible,
    /// It cannot be known.
    Unknown,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It did what was asked.
    Succeeded,
    /// It did not.
    Failed,
    /// It was stopped on request.
    Cancelled,
    /// The executor refused it.
    Rejected,
    /// The deadline ended it.
    Expired,
    /// No terminal of the executor can be had.
    Lost,
}

impl Outcome {
    /// All of them, in the order of the contract.
    pub const ALL: [Self; 6] =
        [Self::Succeeded, Self::Failed, Self::Cancelled, Self::Rejected, Self::Expired, Self::Lost];

    /// The outcome of a word on the wire.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Lost => "lost",
        }
    }
}

/// What stands for a text that disclosure or a limit has reduced.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
pub struct Rest {
    /// The SHA-256 of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The size of the whole in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The text was cut.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::only_true")
    )]
    pub truncated: bool,
}

/// The payload of `terminal`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[cfg_attr(any(test, feature = "schemas"), schemars(extend("allOf" = crate::wire::schema::rule::terminal())))]
#[serde(rename_all = "camelCase")]
pub struct Terminal {
    /// How.
    pub outcome: Outcome,
    /// Who says so: `executor`, or `caller` in a caller's own `lost` and `rejected`.
    pub by: By,
    /// What may have happened in the world.
    pub side_effects: SideEffects,
    /// The authoritative answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// What stands for it where it was reduced.
    #[serde(flatten)]
    pub rest: Rest,
    /// Why, unless it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// The final usage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// Which side ended the run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The executor, in its sealed log.
    Executor,
    /// The caller, in its own journal.
    Caller,
}

/// The payload of `approvalRequested`. What counts is the signed request; the rest is for readers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ApprovalRequested {
    /// The question.
    pub approval: ApprovalId,
    /// The tool call that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// When it is too late.
    pub expires: Timestamp,
    /// What the subject is.
    pub kind: SubjectKind,
    /// The approval request's envelope, canonical JSON text.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::envelope_text")
    )]
    pub request: String,
    /// The caller's scopes that would do.
    pub scopes: BTreeSet<ScopeName>,
    /// What is to be approved, whole.
    pub subject: SubjectShown,
}

/// A subject with its bytes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
pub struct SubjectShown {
    /// Whether the bytes are all that will be acted on.
    pub binding: Binding,
    /// Their digest.
    pub digest: Digest,
    /// Their media type.
    pub media: String,
    /// How many bytes.
    pub size: u64,
    /// The bytes.
    pub text: String,
}

/// The payload of `approvalResolved`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
pub struct ApprovalResolved {
    /// The question.
    pub approval: ApprovalId,
    /// Who decided.
    pub by: ResolvedBy,
    /// What.
    pub decision: Vote,
    /// What the gateway answered, or the decision itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

/// Who decided an approval.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ResolvedBy {
    /// Operators of the other gateway, through this contract.
    Peer,
    /// An operator of the executor, in a run that asks for one.
    Operator,
    /// Somebody at the executor's gateway.
    Gateway,
    /// Nobody in time.
    Expiry,
    /// The gateway withdrew the question.
    Closed,
}

/// What an executor of this version writes into frames.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(
    tag = "event",
    content = "payload",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Event {
    /// The gateway took the run.
    Started {
        /// The session, for a later `turn` of the same owner.
        session: SessionHandle,
        /// The agent.
        agent: AgentName,
        /// The executor's gateway software and version.
        software: String,
        /// The caller's own id for the run, echoed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remote_run_id: Option<String>,
    },
    /// Text.
    Output {
        /// The channel.
        channel: Channel,
        /// The text: a delta, or all of the channel so far when `replace` is set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// What stands for it where it was reduced.
        #[serde(flatten)]
        rest: Rest,
        /// All earlier text of the channel is void.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(schema_with = "crate::wire::schema::only_true")
        )]
        replace: bool,
    },
    /// Usage so far.
    TokenUsage(Usage),
    /// The model called a tool.
    ToolCall {
        /// Unique in the run.
        call_id: String,
        /// The tool.
        tool: String,
        /// Its arguments, JSON text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        args: Option<String>,
        /// What stands for them where they were reduced.
        #[serde(flatten)]
        rest: Rest,
    },
    /// A tool answered.
    ToolResult {
        /// The call that it answers.
        call_id: String,
        /// It did what was asked.
        ok: bool,
        /// The result, as the model saw it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<String>,
        /// The error, as the model saw it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// What stands for it where it was reduced.
        #[serde(flatten)]
        rest: Rest,
    },
    /// A phase ended.
    PhaseEnd {
        /// Its name.
        phase: String,
        /// How.
        outcome: Ending,
        /// When it began.
        started_at: Timestamp,
        /// When it ended.
        ended_at: Timestamp,
    },
    /// The gateway waits for a person's approval.
    ApprovalRequested(Box<ApprovalRequested>),
    /// An approval was decided.
    ApprovalResolved(ApprovalResolved),
    /// Something went wrong; never the end.
    Error(Problem),
    /// The end.
    Terminal(Terminal),
}

impl Event {
    /// The frame line of this event: compact JSON of `seq`, `event` and `payload`.
    ///
    /// # Errors
    ///
    /// [`MalformedFrame`] when the line is longer than a frame may be.
    pub fn line(&self, seq: u64) -> Result<String, MalformedFrame> {
        #[derive(Serialize, Deserialize)]
        struct Parts {
            event: String,
            payload: serde_json::Value,
        }
        let parts: Parts = serde_json::to_value(self)
            .and_then(serde_json::from_value)
            .map_err(|_| MalformedFrame::BadShape)?;
        let payload = canonical::to_vec(&parts.payload).map_err(|_| MalformedFrame::BadPayload)?;
        let payload = String::from_utf8(payload).map_err(|_| MalformedFrame::BadPayload)?;
        let line = format!(r#"{{"seq":{seq},"event":"{}","payload":{payload}}}"#, parts.event);
        if line.len() > limit::FRAME_BYTES_MAX { Err(MalformedFrame::TooLong) } else { Ok(line) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_event_reads_back_from_its_line() {
        let event = Event::Output {
            channel: Channel::Answer,
            text: Some("hi\n".into()),
            rest: Rest::default(),
            replace: false,
        };
        let line = event.line(7).unwrap();
        assert_eq!(
            line,
            r#"{"seq":7,"event":"output","payload":{"channel":"answer","text":"hi\n"}}"#
        );
        let frame = Frame::parse(&line).unwrap();
        assert_eq!((frame.seq, frame.event.as_str()), (7, "output"));
    }

    //= STR-5
    #[test]
    fn a_line_with_other_bytes_is_refused() {
        for bad in [
            r#"{"seq":1, "event":"output","payload":{}}"#,
            r#"{"event":"output","seq":1,"payload":{}}"#,
            r#"{"seq":1,"event":"output","payload":[]}"#,
            r#"{"seq":1,"seq":2,"event":"output","payload":{}}"#,
            r#"{"seq":1,"event":"outp\u0075t","payload":{}}"#,
            r#"{"seq":1,"event":"output","payload":{},"x":1}"#,
            r#"{"seq":-1,"event":"output","payload":{}}"#,
            r#"{"seq":1,"event":"output","payload":{"b":1,"a":1}}"#,
            r#"{"seq":1,"event":"output","payload":{"a":1.5}}"#,
            r#"{"seq":1,"event":"output","payload":{"a":1,"a":1}}"#,
        ] {
            assert!(Frame::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unknown_event_is_delivered() {
        let frame = Frame::parse(r#"{"seq":1,"event":"novelty","payload":{"x":1}}"#).unwrap();
        assert_eq!((frame.event.as_str(), frame.payload.get()), ("novelty", r#"{"x":1}"#));
    }
}
