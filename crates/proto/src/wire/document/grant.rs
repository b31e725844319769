//! What a peer's tenant may ask of a local tenant. Nothing is reachable that no grant names.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::wire::approval::ApprovalRule;
use crate::wire::limit;
use crate::wire::name::{AgentName, TenantId, TenantPair, ToolName};

/// What one tenant pair may ask for, how much of it, and what its frames may show.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[cfg_attr(any(test, feature = "schemas"), schemars(extend("allOf" = crate::wire::schema::rule::grant())))]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Agents of the local gateway. No two tenant pairs share one.
    pub agents: BTreeSet<AgentName>,
    /// What is needed when a run under the grant stops for a person's approval; absent: it is denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalRule>,
    /// The kinds of work.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1)))]
    pub asks: BTreeSet<Ask>,
    /// Frame bytes of one run; the contract's limit where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub bytes_max: Option<u64>,
    /// Runs at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub concurrent_max: Option<u64>,
    /// Millionths of a dollar in a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub cost_micro_usd_per_day: Option<u64>,
    /// The longest deadline of a run.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1, max = limit::DEADLINE_MS_MAX)))]
    pub deadline_ms_max: i64,
    /// What frames may show.
    pub disclose: Disclose,
    /// Frames of one run; the contract's limit where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub frames_max: Option<u64>,
    /// The tenant of this gateway.
    pub local: TenantId,
    /// How sessions may be used; empty only where no prompt may be asked.
    pub modes: BTreeSet<Mode>,
    /// The peer's tenant.
    pub remote: TenantId,
    /// Runs started in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub starts_per_second: Option<u64>,
    /// Model tokens in a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub tokens_per_day: Option<u64>,
    /// Tools that may be called directly; empty exactly where no tool call may be asked.
    pub tools: BTreeSet<ToolName>,
}

/// A kind of work.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
pub enum Ask {
    /// Deliver a grant.
    #[serde(rename = "approvalGrant")]
    ApprovalGrant,
    /// Ask operators to decide.
    #[serde(rename = "approvalRequest")]
    ApprovalRequest,
    /// Lead an agent's turn.
    #[serde(rename = "prompt")]
    Prompt,
    /// Call one tool.
    #[serde(rename = "toolCall")]
    ToolCall,
}

/// How a run uses a session.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A fresh session.
    #[default]
    Session,
    /// A child run under a session that the same owner started.
    Subagent,
    /// One more turn of a session that the same owner started.
    Turn,
}

/// What frames may show of a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Disclose {
    /// The agent's words.
    pub output: Disclosure,
    /// What tools are called with.
    pub tool_args: Disclosure,
    /// What tools answer.
    pub tool_results: Disclosure,
}

/// How much of something is shown.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Disclosure {
    /// Nothing.
    None,
    /// Its digest and size.
    Digest,
    /// All of it.
    Full,
}

/// Why a grant does not fit together.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidGrant {
    /// Names no agent or no kind of work.
    #[error("a grant names at least one agent and one kind of work")]
    GrantsNothing,
    /// Prompts without a mode.
    #[error("a grant of prompts names at least one mode")]
    PromptWithoutMode,
    /// Tool calls without a tool, or tools without tool calls.
    #[error("a grant names tools exactly where it allows tool calls")]
    ToolsMisplaced,
    /// A deadline outside the contract's.
    #[error("a deadline is 1 to {max_ms} milliseconds")]
    BadDeadline {
        /// The longest allowed.
        max_ms: i64,
    },
    /// A rule for approvals that nobody could meet, or that names what never crosses.
    #[error("an approval needs 1 to 16 people and a scope that does not begin with operator.")]
    ApprovalImpossible,
    /// A quota of zero, which would be no grant.
    #[error("a quota is at least 1")]
    QuotaZero,
}

impl Grant {
    /// The pair whose work this allows.
    #[must_use]
    pub fn pair(&self) -> TenantPair {
        TenantPair { src: self.remote.clone(), dst: self.local.clone() }
    }

    pub(super) fn check(&self) -> Result<(), InvalidGrant> {
        let needs_agent = |ask: &Ask| matches!(ask, Ask::Prompt | Ask::ToolCall);
        if self.asks.is_empty() || (self.agents.is_empty() && self.asks.iter().any(needs_agent)) {
            return Err(InvalidGrant::GrantsNothing);
        }
        if self.approval.as_ref().is_some_and(|rule| !rule.is_possible()) {
            return Err(InvalidGrant::ApprovalImpossible);
        }
        if self.asks.contains(&Ask::Prompt) && self.modes.is_empty() {
            return Err(InvalidGrant::PromptWithoutMode);
        }
        if self.asks.contains(&Ask::ToolCall) == self.tools.is_empty() {
            return Err(InvalidGrant::ToolsMisplaced);
        }
        if !(1..=limit::DEADLINE_MS_MAX).contains(&self.deadline_ms_max) {
            return Err(InvalidGrant::BadDeadline { max_ms: limit::DEADLINE_MS_MAX });
        }
        let quotas = [
            self.bytes_max,
            self.concurrent_max,
            self.cost_micro_usd_per_day,
            self.frames_max,
            self.starts_per_second,
            self.tokens_per_day,
        ];
        if quotas.contains(&Some(0)) {
            return Err(InvalidGrant::QuotaZero);
        }
        Ok(())
    }
}
