//! Grants: what a peer may ask of this gateway.

use clap::{Args, Subcommand, ValueEnum};
use landbridge_proto::wire::name::{AgentName, Alias, ScopeName, ToolName};

use super::limit::LimitArgs;
use super::peer::{PolicyArgs, TenantArg};
use super::run::ModeChoice;

#[derive(Debug, Subcommand)]
pub(crate) enum GrantCommand {
    /// Let a peer use an agent
    Add(GrantAddArgs),
    /// List what peers may ask
    List(GrantListArgs),
    /// Take a grant back
    Remove(GrantRemoveArgs),
}

#[derive(Debug, Args)]
pub(crate) struct GrantAddArgs {
    /// The peer's alias
    #[arg(value_name = "PEER")]
    pub(crate) peer: Alias,
    /// An agent of this gateway that the peer may use; may be repeated. Not needed where only approvals may be asked
    #[arg(long = "agent", value_name = "AGENT", required_unless_present_any = ["asks", "approval_scope"])]
    pub(crate) agents: Vec<AgentName>,
    /// For which tenants: ours and theirs
    #[arg(long, value_name = "LOCAL:REMOTE", default_value = "default:default")]
    pub(crate) tenant: TenantArg,
    /// What may be asked; may be repeated [default: prompt, or tool-call when tools are named]
    #[arg(long = "ask", value_enum, value_name = "ASK")]
    pub(crate) asks: Vec<AskChoice>,
    /// A tool of the agent that the peer may call directly; may be repeated
    #[arg(long = "tool", value_name = "TOOL")]
    pub(crate) tools: Vec<ToolName>,
    /// How sessions may be used: session (a fresh one for each run), turn (go on in one of its own) or subagent (a child under one of its own); may be repeated [default: session]
    #[arg(long = "mode", value_enum, value_name = "MODE")]
    pub(crate) modes: Vec<ModeChoice>,
    /// Let a run that stops for a person's approval wait for this scope of ours, which `scope map` lets peers fulfil
    #[arg(long, value_name = "SCOPE")]
    pub(crate) approval_scope: Option<ScopeName>,
    /// People who must approve at least [default: 1]
    #[arg(long, value_name = "COUNT", requires = "approval_scope", value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) approval_quorum: Option<u32>,
    /// Deny every approval that a run stops for, as without a rule
    #[arg(long, conflicts_with = "approval_scope")]
    pub(crate) no_approval: bool,
    /// The longest deadline of a run [default: 1h]
    #[arg(long = "deadline", alias = "deadline-max", value_name = "DURATION", value_parser = duration_ms)]
    pub(crate) deadline_max: Option<i64>,
    /// How much the peer sees of what the agent says [default: full]
    #[arg(long, value_enum, value_name = "HOW_MUCH")]
    pub(crate) disclose_output: Option<DisclosureChoice>,
    /// How much the peer sees of what tools are called with [default: digest]
    #[arg(long, value_enum, value_name = "HOW_MUCH")]
    pub(crate) disclose_tool_args: Option<DisclosureChoice>,
    /// How much the peer sees of what tools answer [default: digest]
    #[arg(long, value_enum, value_name = "HOW_MUCH")]
    pub(crate) disclose_tool_results: Option<DisclosureChoice>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

/// A kind of work that a peer may ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum AskChoice {
    /// Lead an agent's turn
    Prompt,
    /// Call one of the named tools
    ToolCall,
    /// Deliver what its operators decided
    ApprovalGrant,
    /// Ask our operators to decide
    ApprovalRequest,
}

/// How much of something a peer sees.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum DisclosureChoice {
    /// Nothing
    None,
    /// Its digest and size
    Digest,
    /// All of it
    Full,
}

pub(super) fn duration_ms(text: &str) -> Result<i64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (count, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("a duration is a number and ms, s, m, h or d, as in 10m".to_owned()),
    };
    let count: i64 = count.parse().map_err(|_| "a duration begins with a number".to_owned())?;
    count.checked_mul(unit_ms).ok_or_else(|| "the duration is too long".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct GrantListArgs {
    /// Only this peer's
    #[arg(value_name = "PEER")]
    pub(crate) peer: Option<Alias>,
}

#[derive(Debug, Args)]
pub(crate) struct GrantRemoveArgs {
    /// The peer's alias
    #[arg(value_name = "PEER")]
    pub(crate) peer: Alias,
    /// Only this agent; may be repeated [default: the whole grant]
    #[arg(long = "agent", value_name = "AGENT")]
    pub(crate) agents: Vec<AgentName>,
    /// Only this tool; may be repeated
    #[arg(long = "tool", value_name = "TOOL", conflicts_with = "agents")]
    pub(crate) tools: Vec<ToolName>,
    /// For which tenants: ours and theirs
    #[arg(long, value_name = "LOCAL:REMOTE", default_value = "default:default")]
    pub(crate) tenant: TenantArg,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}
