//! Problems (RFC 9457) and the closed registry of their codes.
//!
//! One object serves everywhere: an operation's refusal, an `error` frame and a `terminal`. A peer
//! learns the code; the log learns the story. What one code means for a retry is fixed here, so that no
//! two places can disagree on it.

use std::fmt;

use serde::{Deserialize, Serialize};

use landbridge_planted::planted;

use super::limit;
use super::stream::SideEffects;

/// How a caller may try again.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RetryMode {
    /// Sign a new request, with the same idempotency key. Never a verdict on the run.
    ResignSameKey,
    /// A new decision is needed: another idempotency key.
    NewKey,
    /// Something must be changed first, by a person or a configuration.
    AfterChange,
}

macro_rules! codes {
    ($($code:ident, $text:literal, $status:literal, $retryable:literal, $retry:expr, $meaning:literal;)*) => {
        /// A problem's code. The registry is `spec/problems.md`.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Code { $(#[doc = $meaning] $code,)* }

        impl Code {
            /// Every code, in the registry's order.
            pub const ALL: &[Self] = &[$(Self::$code,)*];

            /// The code on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$code => $text,)* }
            }

            /// The HTTP status that carries it.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$code => $status,)* }
            }

            /// Whether trying again in the way of [`Code::retry_mode`] may succeed although nobody
            /// changed a configuration or an input.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $(Self::$code => $retryable,)* }
            }

            /// How a caller may try again.
            #[must_use]
            pub const fn retry_mode(self) -> Option<RetryMode> {
                match self { $(Self::$code => $retry,)* }
            }

            /// What it means, one sentence for people.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$code => $meaning,)* }
            }
        }
    };
}

//= PRB-3
codes! {
    Malformed, "malformed", 400, false, Some(RetryMode::AfterChange), "The bytes are not the form that the spec gives: HTTP shape, envelope, JSON form, schema.";
    ProtocolUnsupported, "protocol_unsupported", 400, false, Some(RetryMode::AfterChange), "No protocol version of the request is spoken here, or it is below the root's min_proto.";
    VerificationFailed, "verification_failed", 401, false, Some(RetryMode::AfterChange), "A signature, a signer, a document, the issuer or the audience did not check out; the reason stays in the executor's audit.";
    UnknownPeer, "unknown_peer", 401, false, Some(RetryMode::AfterChange), "The issuer is not a pinned peer; the peer is told verification_failed.";
    WrongAudience, "wrong_audience", 401, false, Some(RetryMode::AfterChange), "Aud is another gateway; the peer is told verification_failed.";
    ClockSkew, "clock_skew", 401, true, Some(RetryMode::ResignSameKey), "Iat or exp lies outside what the executor's clock allows.";
    NotGranted, "not_granted", 403, false, Some(RetryMode::AfterChange), "No grant of the executor covers the operation, the agent, the mode, the tool or the session.";
    PeerSuspended, "peer_suspended", 403, false, Some(RetryMode::AfterChange), "The executor has suspended or quarantined this caller.";
    PeerRevoked, "peer_revoked", 403, false, Some(RetryMode::AfterChange), "The executor has revoked this caller for good; what it led for it was stopped and is not told.";
    Halted, "halted", 503, true, Some(RetryMode::ResignSameKey), "The gateway's own operator stopped its bridge; it does nothing until its operator lets it go on.";
    RolledBack, "rolled_back", 503, true, Some(RetryMode::ResignSameKey), "The executor finds that it was restored from a backup, and does nothing until a person recovers it.";
    NotSupported, "not_supported", 501, false, Some(RetryMode::AfterChange), "The executor does not offer this form of work.";
    NotFound, "not_found", 404, false, None, "No such run, key or route for this caller and tenant pair.";
    MethodNotAllowed, "method_not_allowed", 405, false, Some(RetryMode::AfterChange), "The route exists and takes another method.";
    RequestTimeout, "request_timeout", 408, true, Some(RetryMode::ResignSameKey), "The request was not complete in time.";
    RootUnknown, "root_unknown", 409, true, Some(RetryMode::ResignSameKey), "The executor does not have the caller's current root; have is the newest version that it has.";
    StatusStale, "status_stale", 409, true, Some(RetryMode::ResignSameKey), "The stapled status expired, or is older than one already seen.";
    Replayed, "replayed", 409, true, Some(RetryMode::ResignSameKey), "The jti was accepted before.";
    CursorAhead, "cursor_ahead", 409, false, None, "After is larger than the run's last seq.";
    CancelledBeforeStart, "cancelled_before_start", 409, false, Some(RetryMode::NewKey), "The key was cancelled before a start with it arrived; it is blocked for good.";
    AlreadyResolved, "already_resolved", 409, false, None, "The approval was decided otherwise before.";
    CursorGone, "cursor_gone", 410, false, None, "Frames right after after are no longer kept.";
    KeyExpired, "key_expired", 410, false, Some(RetryMode::NewKey), "The key is unknown and invokedAt is older than the key window.";
    LostHistory, "lost_history", 410, false, Some(RetryMode::NewKey), "The key is unknown and invokedAt is older than the executor's incarnation, or the run belongs to an earlier one.";
    TooLarge, "too_large", 413, false, Some(RetryMode::AfterChange), "A size limit of limits.md is exceeded.";
    UnsupportedEncoding, "unsupported_encoding", 415, false, Some(RetryMode::AfterChange), "A content coding other than identity, or a media type other than application/json.";
    KeyConflict, "key_conflict", 422, false, Some(RetryMode::NewKey), "The key is bound to a body with another print.";
    InputRefused, "input_refused", 422, false, Some(RetryMode::AfterChange), "The gateway refuses this input.";
    RateLimited, "rate_limited", 429, true, Some(RetryMode::ResignSameKey), "A quota of this peer or tenant pair is used up.";
    Internal, "internal", 500, true, Some(RetryMode::ResignSameKey), "A fault of the executor; nothing was decided.";
    Overloaded, "overloaded", 503, true, Some(RetryMode::ResignSameKey), "The executor takes no work now, whoever asks.";
    Draining, "draining", 503, true, Some(RetryMode::ResignSameKey), "The executor is shutting down; it, or its successor, will take the same key soon.";
    StoreUnavailable, "store_unavailable", 503, true, Some(RetryMode::ResignSameKey), "The executor cannot write durably now; nothing was acknowledged.";
    GatewayUnavailable, "gateway_unavailable", 503, true, Some(RetryMode::NewKey), "The executor's gateway could not be reached, or refused the bridge.";
    GatewayUnsupported, "gateway_unsupported", 502, false, Some(RetryMode::AfterChange), "The gateway's version is not one that the bridge speaks.";
    GatewayError, "gateway_error", 502, true, Some(RetryMode::NewKey), "The gateway ended the run for a reason of its own.";
    ModelError, "model_error", 502, true, Some(RetryMode::NewKey), "The model failed.";
    ToolError, "tool_error", 502, false, Some(RetryMode::NewKey), "The tool that was called failed.";
    AgentUnknown, "agent_unknown", 404, false, Some(RetryMode::AfterChange), "The grant names an agent that the gateway does not have.";
    SessionUnknown, "session_unknown", 404, false, Some(RetryMode::AfterChange), "The session of a turn or subagent is gone.";
    ToolUnavailable, "tool_unavailable", 404, false, Some(RetryMode::AfterChange), "The grant names a tool that the gateway does not offer to the agent.";
    SubagentUnavailable, "subagent_unavailable", 501, false, Some(RetryMode::AfterChange), "The gateway does not let the session start a subagent.";
    Interrupted, "interrupted", 503, true, Some(RetryMode::NewKey), "The gateway or the bridge was restarted under the run, and the run did not survive.";
    Cancelled, "cancelled", 409, false, Some(RetryMode::NewKey), "The run was stopped because its caller asked.";
    DeadlineExceeded, "deadline_exceeded", 504, true, Some(RetryMode::NewKey), "The run did not end by its deadline.";
    BudgetExceeded, "budget_exceeded", 403, false, Some(RetryMode::AfterChange), "A limit of the grant or of the request on tokens, cost, frames or bytes is used up.";
    ApprovalUnknown, "approval_unknown", 404, false, Some(RetryMode::AfterChange), "No such approval of a run of this caller and tenant pair.";
    ApprovalRefused, "approval_refused", 403, false, Some(RetryMode::AfterChange), "The decision does not count here: a signature, a scope, a projection, a constraint or a time did not check out.";
    ApprovalDenied, "approval_denied", 403, false, Some(RetryMode::NewKey), "Operators denied what was asked.";
    ApprovalExpired, "approval_expired", 410, false, Some(RetryMode::NewKey), "Not enough operators approved in time.";
    NoApprovalRoute, "no_approval_route", 501, false, Some(RetryMode::AfterChange), "The run stopped for an approval that nobody of the caller could give; it was denied at once.";
    RunLost, "run_lost", 410, false, Some(RetryMode::NewKey), "The caller's own terminal: no sealed terminal can come any more.";
    Equivocation, "equivocation", 409, false, None, "Two validly signed and contradicting objects of one peer are held as evidence; the peer is quarantined.";
    PeerUnreachable, "peer_unreachable", 503, true, Some(RetryMode::ResignSameKey), "No endpoint of the peer answers.";
}

impl Code {
    /// The code with this text, if the registry has it.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What went wrong, for a peer's eyes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Problem {
    /// A code of the registry; a reader takes others too.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::code")
    )]
    code: String,
    /// What happened this time, one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(max = limit::DETAIL_BYTES_MAX), regex(pattern = crate::wire::schema::NO_CONTROLS)))]
    pub detail: Option<String>,
    /// The newest root version that the receiver has, with `root_unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub have: Option<u64>,
    /// Wait at least so long before trying again, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// How to try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_mode: Option<RetryMode>,
    /// Whether trying again can help.
    pub retryable: bool,
    /// What may have happened in the world.
    pub side_effects: SideEffects,
    /// The HTTP status.
    pub status: u16,
}

impl Problem {
    /// A problem before anything had an effect.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self {
            code: code.as_str().to_owned(),
            detail: None,
            have: None,
            retry_after_ms: None,
            retry_mode: code.retry_mode(),
            retryable: code.retryable(),
            side_effects: SideEffects::None,
            status: code.status(),
        }
    }

    /// The code, if this version knows it.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        Code::from_text(&self.code)
    }

    /// The code's text, known or not.
    #[must_use]
    pub fn code_text(&self) -> &str {
        &self.code
    }

    /// Whether a signed answer with this problem ends the caller's run.
    ///
    /// Replay, clock, status, root and load refusals never do: a duplicated packet must not make a
    /// caller give up a live run.
    #[must_use]
    pub fn is_verdict(&self) -> bool {
        if planted!("every_refusal_a_verdict") {
            return true;
        }
        if planted!("no_refusal_is_a_verdict") {
            return false;
        }
        //= PRB-5
        //= PRB-7
        match self.code() {
            Some(code) => code.retry_mode() != Some(RetryMode::ResignSameKey),
            None => true,
        }
    }

    /// With what happened this time.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        let mut text: String = detail.into();
        text.retain(|c| !c.is_control());
        let end = (0..=limit::DETAIL_BYTES_MAX.min(text.len()))
            .rev()
            .find(|&at| text.is_char_boundary(at))
            .unwrap_or(0);
        text.truncate(end);
        self.detail = Some(text);
        self
    }

    /// With what may have happened in the world.
    #[must_use]
    pub fn with_side_effects(mut self, side_effects: SideEffects) -> Self {
        self.side_effects = side_effects;
        self
    }

    /// With the least time to wait before trying again.
    #[must_use]
    pub fn with_retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// With the newest root version that the receiver has.
    #[must_use]
    pub fn with_have(mut self, version: u64) -> Self {
        self.have = Some(version);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_problem_reads_back_as_it_was_written() {
        for &code in Code::ALL {
            let problem = Problem::new(code).with_detail("a\u{7}b");
            let text = serde_json::to_string(&problem).unwrap();
            let again: Problem = serde_json::from_str(&text).unwrap();
            assert_eq!((again.code(), again.detail.as_deref()), (Some(code), Some("ab")));
        }
    }

    //= PRB-5
    #[test]
    fn transport_faults_are_never_verdicts() {
        use Code::{
            ClockSkew, KeyConflict, NotGranted, Overloaded, Replayed, RootUnknown, StatusStale,
        };
        for code in [Replayed, ClockSkew, StatusStale, RootUnknown, Overloaded] {
            assert!(!Problem::new(code).is_verdict(), "{code}");
        }
        assert!(Problem::new(KeyConflict).is_verdict() && Problem::new(NotGranted).is_verdict());
    }

    //= PRB-3
    #[test]
    fn the_registry_of_the_specification_is_this_one() {
        let text = include_str!("../../../../spec/problems.md");
        for &code in Code::ALL {
            let mode = match code.retry_mode() {
                None => "-".to_owned(),
                Some(RetryMode::ResignSameKey) => "`resign_same_key`".to_owned(),
                Some(RetryMode::NewKey) => "`new_key`".to_owned(),
                Some(RetryMode::AfterChange) => "`after_change`".to_owned(),
            };
            let retryable = if code.retryable() { "yes" } else { "no" };
            let row = format!("| `{code}` | {} | {retryable} | {mode} |", code.status());
            assert!(text.contains(&row), "spec/problems.md lacks: {row}");
        }
        let rows =
            text.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 8);
        assert_eq!(rows.count(), Code::ALL.len());
    }

    //= PRB-7
    #[test]
    fn an_unknown_code_is_kept_and_ends_the_attempt() {
        let text = r#"{"code":"novelty","retryable":false,"sideEffects":"none","status":400}"#;
        let problem: Problem = serde_json::from_str(text).unwrap();
        assert_eq!((problem.code(), problem.code_text()), (None, "novelty"));
        assert!(problem.is_verdict() && !problem.retryable);
    }
}
