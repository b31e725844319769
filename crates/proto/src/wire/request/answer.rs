//! What comes back: signed answers and refusals, bound to the request, and the caller's own statement.

use serde::{Deserialize, Serialize};

use crate::wire::digest::Digest;
use crate::wire::kind::{Kind, PayloadKind};
use crate::wire::limit;
use crate::wire::name::{GatewayId, IdempotencyKey, RunId, Timestamp};
use crate::wire::problem::Problem;
use crate::wire::stream::{One, Outcome, SideEffects};

/// Signed answer to a cancel, an inspect or a pairing, bound to the request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The caller's gateway.
    pub aud: GatewayId,
    /// The executor's gateway.
    pub iss: GatewayId,
    /// `D(request)`.
    pub request: Digest,
    /// What was found or done.
    pub result: Findings,
    /// The version of the executor's root whose key signed.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub root_version: u64,
    /// When.
    pub t: Timestamp,
    /// The document's version: 1.
    pub v: One,
}

impl PayloadKind for Answer {
    const KIND: Kind = Kind::Answer;
    const BYTES_MAX: usize = limit::DOCUMENT_BYTES_MAX;
}

/// What an executor found or did.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Findings {
    /// Of an inspect: `D(accept)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<Digest>,
    /// Of a cancel: what came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<CancelResult>,
    /// Of an inspect: when the run must have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Of an inspect: the chain's head at `seq`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Digest>,
    /// Of an inspect: how the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Of a pairing: whether a person of the inviter has accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairing: Option<PairingResult>,
    /// The run, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Of an inspect: the last frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Of an inspect: whether the run goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RunState>,
}

/// What came of a cancel.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CancelResult {
    /// Recorded; the stream says what comes of it.
    Requested,
    /// The run had ended.
    AlreadyTerminal,
    /// No run has the key, and none will.
    Blocked,
}

/// Whether a person has accepted a pairing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PairingResult {
    /// Not yet.
    Pending,
    /// Yes.
    Accepted,
}

/// Whether a run goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It does.
    Running,
    /// Its terminal frame is in the log.
    Terminal,
}

/// A signed problem, bound to the request that it answers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The caller's gateway.
    pub aud: GatewayId,
    /// The executor's gateway.
    pub iss: GatewayId,
    /// What is wrong.
    pub problem: Problem,
    /// `D(request)`.
    pub request: Digest,
    /// The version of the executor's root whose key signed.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub root_version: u64,
    /// When.
    pub t: Timestamp,
    /// The document's version: 1.
    pub v: One,
}

impl PayloadKind for Refusal {
    const KIND: Kind = Kind::Problem;
    const BYTES_MAX: usize = limit::DOCUMENT_BYTES_MAX;
}

/// The caller's own signed statement about what it received of a run.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// `D(accept)`, where one was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<Digest>,
    /// The executor's gateway.
    pub aud: GatewayId,
    /// The chain's head at `seq`; absent while `seq` is 0 and no accept was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Digest>,
    /// The caller's gateway.
    pub iss: GatewayId,
    /// The idempotency key.
    pub key: IdempotencyKey,
    /// The caller ended the run itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
    /// The version of the caller's root whose key signed.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub root_version: u64,
    /// The executor's name of the run, where an accept told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The last verified frame.
    pub seq: u64,
    /// When.
    pub t: Timestamp,
    /// The document's version: 1.
    pub v: One,
}

impl PayloadKind for Receipt {
    const KIND: Kind = Kind::Receipt;
    const BYTES_MAX: usize = limit::DOCUMENT_BYTES_MAX;
}

/// Why a caller ended a run itself.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Lost {
    /// The problem's code.
    pub code: String,
    /// What may have happened in the world.
    pub side_effects: SideEffects,
}
