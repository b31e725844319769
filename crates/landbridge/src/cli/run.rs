//! Routes and runs: asking other gateways.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use landbridge_node::config::Period;
use landbridge_proto::wire::name::{
    AgentName, Alias, IdempotencyKey, RunId, SessionHandle, Timestamp, ToolName,
};
use landbridge_proto::wire::stream::Outcome;

use super::limit::RunLimitArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum RouteCommand {
    /// List the logical gateways that runs can be sent to
    List,
    /// Make a real, signed round trip that starts nothing
    Test(RouteTestArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RouteTestArgs {
    /// The logical gateway
    #[arg(value_name = "GATEWAY")]
    pub(crate) gateway: Alias,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunCommand {
    /// Start a run at another gateway, and follow it to its end
    Start(Box<RunStartArgs>),
    /// List runs, newest first
    List(RunListArgs),
    /// Wait until runs have ended; the exit code tells how
    Wait(RunWaitArgs),
    /// Show one run
    Show(RunArgs),
    /// Follow a run from a cursor to its end
    Tail(RunTailArgs),
    /// Ask a run to stop
    Cancel(RunArgs),
    /// Write a run's transcript, for `landbridge verify`
    Export(RunExportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunStartArgs {
    /// The logical gateway: a route or a peer's alias
    #[arg(value_name = "GATEWAY")]
    pub(crate) gateway: Alias,
    /// The agent [default: the route's]
    #[arg(long, value_name = "AGENT")]
    pub(crate) agent: Option<AgentName>,
    /// The text for the agent [default: standard input]
    #[arg(long, value_name = "TEXT", conflicts_with = "prompt_file")]
    pub(crate) prompt: Option<String>,
    /// A file with the text for the agent
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) prompt_file: Option<PathBuf>,
    /// Call one tool of the agent, without a model, instead of giving it a prompt
    #[arg(long, value_name = "TOOL", conflicts_with_all = ["prompt", "prompt_file"])]
    pub(crate) tool: Option<ToolName>,
    /// The tool's arguments: a JSON object, or @ and the name of a file that holds one [default: {}]
    #[arg(long, value_name = "JSON|@FILE", requires = "tool")]
    pub(crate) args: Option<String>,
    /// The idempotency key: the same key and the same request give the same run [default: random]
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) key: Option<IdempotencyKey>,
    /// How long the run may take
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    pub(crate) deadline: String,
    #[command(flatten)]
    pub(crate) limits: RunLimitArgs,
    /// A label to find it by; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub(crate) labels: Vec<(String, String)>,
    /// In which session
    #[arg(long, value_enum, default_value_t = ModeChoice::Session)]
    pub(crate) mode: ModeChoice,
    /// The session of an earlier run, for the modes turn and subagent
    #[arg(long, value_name = "SESSION", required_if_eq_any([("mode", "turn"), ("mode", "subagent")]))]
    pub(crate) session: Option<SessionHandle>,
    /// On whose behalf
    #[arg(long, value_name = "NAME")]
    pub(crate) principal: Option<String>,
    /// An id of your own for the run: sent along, and echoed in its first frame
    #[arg(long, value_name = "ID")]
    pub(crate) remote_run_id: Option<String>,
    /// The W3C trace context of what asks for the run: sent along, and kept in its transcript
    #[arg(long, value_name = "TRACE")]
    pub(crate) traceparent: Option<String>,
    /// Print the run and leave it to itself
    #[arg(long)]
    pub(crate) detach: bool,
    /// Print no frames: wait for the end, and print the run
    #[arg(long, conflicts_with = "detach")]
    pub(crate) wait: bool,
    /// With --wait: for how long to wait; the run goes on [default: to its end]
    #[arg(long, value_name = "DURATION", requires = "wait")]
    pub(crate) timeout: Option<Period>,
}

/// In which session a run is led.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ModeChoice {
    /// A fresh one
    Session,
    /// Continue one that an earlier run started
    Turn,
    /// A child of one that an earlier run started
    Subagent,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a label is NAME=VALUE, as in ticket=42".to_owned()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct RunListArgs {
    /// Only runs at this logical gateway
    #[arg(long, value_name = "GATEWAY")]
    pub(crate) gateway: Option<Alias>,
    /// Only runs that go on
    #[arg(long, conflicts_with = "settled")]
    pub(crate) open: bool,
    /// Only runs that ended
    #[arg(long)]
    pub(crate) settled: bool,
    /// Only runs that ended so
    #[arg(long, value_parser = outcome(), value_name = "OUTCOME", conflicts_with = "open")]
    pub(crate) outcome: Option<Outcome>,
    /// Only runs with this label; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub(crate) labels: Vec<(String, String)>,
    /// Only runs invoked at this time or later: a time, or how long ago, such as `2h`
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) since: Option<Timestamp>,
    /// Only runs invoked before this time: a time, or how long ago
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) until: Option<Timestamp>,
    /// Only runs after this place in the list, as the page before said
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
    /// At most so many in a page
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) limit: u32,
    /// Every page; with --json one line for each run
    #[arg(long, conflicts_with_all = ["cursor", "limit"])]
    pub(crate) all: bool,
}

/// How a run ended, by its word on the wire.
fn outcome() -> impl TypedValueParser<Value = Outcome> {
    let help = |outcome| match outcome {
        Outcome::Succeeded => "The executor finished it",
        Outcome::Failed => "It failed",
        Outcome::Cancelled => "It was cancelled",
        Outcome::Rejected => "The executor refused it",
        Outcome::Expired => "Its deadline passed",
        Outcome::Lost => "No terminal of the executor can be had",
    };
    let word = |outcome: Outcome| PossibleValue::new(outcome.as_str()).help(help(outcome));
    // Only these words arrive at the second step.
    PossibleValuesParser::new(Outcome::ALL.map(word))
        .try_map(|word| Outcome::of(&word).ok_or("not an outcome"))
}

/// A time, or how long ago.
fn instant(text: &str) -> Result<Timestamp, String> {
    if let Ok(period) = text.parse::<Period>() {
        return Ok(Timestamp(jiff::Timestamp::now().as_millisecond()).plus_ms(-period.as_ms()));
    }
    text.parse::<jiff::Timestamp>()
        .map(|at| Timestamp(at.as_millisecond()))
        .map_err(|_| "a time such as 2030-01-31T12:00:00Z, or how long ago, such as 2h".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct RunWaitArgs {
    /// The runs
    #[arg(value_name = "RUN", required = true, num_args = 1..=64)]
    pub(crate) runs: Vec<RunId>,
    /// For how long to wait; the runs go on [default: to their end]
    #[arg(long, value_name = "DURATION")]
    pub(crate) timeout: Option<Period>,
    /// Wait for the first that ends, and exit as it did
    #[arg(long, conflicts_with = "all")]
    pub(crate) any: bool,
    /// Wait for all, and exit as the first of them that did not succeed, which is the default
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: RunId,
}

#[derive(Debug, Args)]
pub(crate) struct RunTailArgs {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: RunId,
    /// Only frames after this one
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    pub(crate) after: u64,
}

#[derive(Debug, Args)]
pub(crate) struct RunExportArgs {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: RunId,
    /// Where to [default: standard output]
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}
