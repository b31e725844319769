//! Routes and runs: asking other gateways.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use landbridge_proto::wire::name::{
    AgentName, Alias, IdempotencyKey, RunId, SessionHandle, ToolName,
};

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
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<IdempotencyKey>,
    /// How long the run may take
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    pub(crate) deadline: String,
    /// A label to find it by; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub(crate) labels: Vec<(String, String)>,
    /// In which session
    #[arg(long, value_enum, default_value_t = ModeChoice::Session)]
    pub(crate) mode: ModeChoice,
    /// The session of an earlier run, for the modes turn and subagent
    #[arg(long, value_name = "SESSION")]
    pub(crate) session: Option<SessionHandle>,
    /// On whose behalf
    #[arg(long, value_name = "NAME")]
    pub(crate) principal: Option<String>,
    /// Print the run and leave it to itself
    #[arg(long)]
    pub(crate) detach: bool,
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
    /// Only runs with this label
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    pub(crate) label: Option<(String, String)>,
    /// Only runs older than this one
    #[arg(long, value_name = "RUN")]
    pub(crate) before: Option<RunId>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub(crate) limit: u32,
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
