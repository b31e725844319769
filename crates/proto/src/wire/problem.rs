//! Problems (RFC 9457) and the closed registry of their codes.
//!
//! One object serves everywhere: an operation's refusal, an `error` frame and a `terminal`. A peer
//! learns the code; the log learns the story. What one code means for a retry is fixed here, so that no
//! two places can disagree on it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::stream::SideEffects;

/// How a caller may try again.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
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
    ($($(#[$doc:meta])* $code:ident, $text:literal, $status:literal, $retry:expr, $title:literal;)*) => {
        /// A problem's code. The registry is `spec/problems.md`.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Code { $($(#[$doc])* $code,)* }

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

            /// How a caller may try again; `None`: trying again is useless.
            #[must_use]
            pub const fn retry_mode(self) -> Option<RetryMode> {
                match self { $(Self::$code => $retry,)* }
            }

            /// One sentence for people.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$code => $title,)* }
            }
        }
    };
}

codes! {
    /// Bytes that do not parse, or break a size or shape rule.
    Malformed, "malformed", 400, None, "The message does not have the form that the contract asks for.";
    /// Longer than a limit.
    TooLarge, "too_large", 413, None, "The message is larger than the contract allows.";
    /// A `Content-Encoding` other than identity.
    UnsupportedEncoding, "unsupported_encoding", 415, None, "Only identity encoding and JSON are accepted.";
    /// Any failure of signature, signer, role, issuer or audience: one public code.
    VerificationFailed, "verification_failed", 401, Some(RetryMode::AfterChange), "The request could not be verified.";
    /// The executor lacks newer roots of the caller.
    RootUnknown, "root_unknown", 409, Some(RetryMode::ResignSameKey), "Newer roots of the sender are needed.";
    /// The stapled status is stale, missing or older than one already seen.
    StatusStale, "status_stale", 409, Some(RetryMode::ResignSameKey), "A fresh status of the sender is needed.";
    /// `iat` or `exp` outside the window.
    ClockSkew, "clock_skew", 401, Some(RetryMode::ResignSameKey), "The request's times do not fit the receiver's clock.";
    /// The `jti` was accepted before.
    Replayed, "replayed", 409, Some(RetryMode::ResignSameKey), "This request was already received.";
    /// No protocol version in common.
    ProtocolUnsupported, "protocol_unsupported", 400, Some(RetryMode::AfterChange), "No common protocol version.";
    /// One side was restored from a backup and must be recovered by a person.
    RolledBack, "rolled_back", 503, Some(RetryMode::ResignSameKey), "The receiver was restored from a backup and waits for an operator.";
    /// The peer is suspended or revoked.
    PeerSuspended, "peer_suspended", 403, Some(RetryMode::AfterChange), "The peering is suspended.";
    /// No grant covers what was asked.
    NotGranted, "not_granted", 403, Some(RetryMode::AfterChange), "No grant of the receiver covers this.";
    /// A form of work that this executor does not offer.
    NotSupported, "not_supported", 501, Some(RetryMode::AfterChange), "The receiver does not offer this.";
    /// Too many starts.
    RateLimited, "rate_limited", 429, Some(RetryMode::ResignSameKey), "Too many starts; try later.";
    /// No capacity.
    Overloaded, "overloaded", 503, Some(RetryMode::ResignSameKey), "The receiver has no capacity now; try later.";
    /// The bridge is shutting down.
    Draining, "draining", 503, Some(RetryMode::ResignSameKey), "The receiver is restarting; try again soon.";
    /// The key is bound to another body.
    KeyConflict, "key_conflict", 422, Some(RetryMode::NewKey), "The idempotency key is bound to a different request.";
    /// The key was invoked before the window, so its fate is not known any more.
    KeyExpired, "key_expired", 410, Some(RetryMode::NewKey), "The idempotency key is older than the receiver remembers.";
    /// The key was invoked before the receiver lost its history.
    LostHistory, "lost_history", 410, Some(RetryMode::NewKey), "The receiver lost the history that the key belongs to.";
    /// A cancel came before the start.
    CancelledBeforeStart, "cancelled_before_start", 409, Some(RetryMode::NewKey), "The key was cancelled before its start arrived.";
    /// Unknown, or not yours.
    NotFound, "not_found", 404, None, "There is no such run.";
    /// The cursor is behind what is kept.
    CursorGone, "cursor_gone", 410, None, "Frames at this cursor are no longer kept.";
    /// The cursor is ahead of the log.
    CursorAhead, "cursor_ahead", 409, None, "The cursor is ahead of the run's log.";
    /// The gateway could not be reached.
    GatewayUnavailable, "gateway_unavailable", 503, Some(RetryMode::NewKey), "The executor's gateway could not be reached.";
    /// The gateway's version is not supported.
    GatewayUnsupported, "gateway_unsupported", 503, Some(RetryMode::AfterChange), "The executor's gateway has an unsupported version.";
    /// The gateway does not have the agent.
    AgentUnknown, "agent_unknown", 404, Some(RetryMode::AfterChange), "The executor's gateway has no such agent.";
    /// The model failed.
    ModelError, "model_error", 502, Some(RetryMode::NewKey), "The model failed.";
    /// The gateway failed.
    GatewayError, "gateway_error", 502, Some(RetryMode::NewKey), "The executor's gateway ended the run.";
    /// The gateway or the bridge was restarted under the run.
    Interrupted, "interrupted", 503, Some(RetryMode::NewKey), "The run was interrupted by a restart.";
    /// The gateway refused the input.
    InputRefused, "input_refused", 422, Some(RetryMode::NewKey), "The executor's gateway refused the input.";
    /// The deadline passed.
    DeadlineExceeded, "deadline_exceeded", 504, Some(RetryMode::NewKey), "The deadline passed.";
    /// The caller asked for the end.
    Cancelled, "cancelled", 409, Some(RetryMode::NewKey), "The run was cancelled.";
    /// The run grew past a limit of its grant or of the contract.
    BudgetExceeded, "budget_exceeded", 403, Some(RetryMode::AfterChange), "The run exceeded its budget.";
    /// The caller gave up: no terminal of the executor can be had.
    Lost, "lost", 504, Some(RetryMode::NewKey), "No terminal of the executor could be had.";
    /// Two sealed histories of one run.
    Equivocation, "equivocation", 409, Some(RetryMode::AfterChange), "The executor sealed two different histories.";
    /// A fault of the receiver.
    Internal, "internal", 500, Some(RetryMode::ResignSameKey), "The receiver failed; try again.";
}

impl Code {
    /// Whether trying again, in some mode, can help.
    #[must_use]
    pub const fn retryable(self) -> bool {
        self.retry_mode().is_some()
    }

    /// Whether a signed answer with this code ends the caller's run.
    ///
    /// Replay, clock, status, root and load refusals never do: a duplicated packet must not make a
    /// caller give up a live run.
    #[must_use]
    pub fn is_verdict(self) -> bool {
        self.retry_mode() != Some(RetryMode::ResignSameKey)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What went wrong, for a peer's eyes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Problem {
    /// The code.
    pub code: Code,
    /// What happened this time, one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    /// One sentence for people.
    pub title: String,
    /// `urn:gfp:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
}

impl Problem {
    /// A problem before anything had an effect.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self {
            code,
            detail: None,
            have: None,
            retry_after_ms: None,
            retry_mode: code.retry_mode(),
            retryable: code.retryable(),
            side_effects: SideEffects::None,
            status: code.status(),
            title: code.title().to_owned(),
            kind: format!("urn:gfp:problem:{code}"),
        }
    }

    /// With what happened this time.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
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
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_code_reads_back_as_it_was_written() {
        for &code in Code::ALL {
            let text = serde_json::to_string(&code).unwrap();
            assert_eq!(text, format!("\"{code}\""));
            assert_eq!(serde_json::from_str::<Code>(&text).unwrap(), code);
        }
    }

    #[test]
    fn transport_faults_are_never_verdicts() {
        for code in [
            Code::Replayed,
            Code::ClockSkew,
            Code::StatusStale,
            Code::RootUnknown,
            Code::Overloaded,
        ] {
            assert!(!code.is_verdict(), "{code}");
        }
        assert!(Code::KeyConflict.is_verdict() && Code::NotGranted.is_verdict());
    }
}
