//! The command tree: a noun, then a verb.
//!
//! The whole tree stands in one place, because it is the program's contract with scripts: a changed
//! name or flag is a visible line here. What a command does is in `command/`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use landbridge_proto::wire::name::{
    AgentName, Alias, IdempotencyKey, RunId, SessionHandle, TenantId,
};

use crate::exit;

/// Federates OpenClaw gateways: each keeps its own trust, workspace and operators.
#[derive(Debug, Parser)]
#[command(name = "landbridge", version, about, long_about = LONG_ABOUT, after_long_help = exit::HELP)]
#[command(propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// The bridge's home: keys, configuration, state and socket
    #[arg(long, global = true, env = "LANDBRIDGE_HOME", value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) home: Option<PathBuf>,
    /// Print data as JSON, one document or one line each; errors as JSON on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const LONG_ABOUT: &str = "\
Federates OpenClaw gateways: each keeps its own trust, workspace and operators.

A bridge runs beside each gateway. `landbridge demo` shows two of them at work. To set one up:
`landbridge init`, `landbridge serve`, then `landbridge peer invite` here and `landbridge peer join`
at the other side.

Data goes to standard output and talk to standard error. Commands other than init, verify, config,
completions and demo speak with the running bridge through <home>/landbridge.sock.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new bridge: keys, certificate, first root and configuration
    Init(InitArgs),
    /// Run the bridge until it is told to stop
    Serve(ServeArgs),
    /// Peers: other gateways' bridges
    #[command(subcommand)]
    Peer(PeerCommand),
    /// Grants: what a peer may ask of this gateway
    #[command(subcommand)]
    Grant(GrantCommand),
    /// Tokens: how workflow engines use the local API
    #[command(subcommand)]
    Token(TokenCommand),
    /// Routes: logical gateways that runs can be sent to
    #[command(subcommand)]
    Route(RouteCommand),
    /// Runs at other gateways
    #[command(subcommand)]
    Run(RunCommand),
    /// The OpenClaw gateway beside this bridge
    #[command(subcommand)]
    Gateway(GatewayCommand),
    /// Check a transcript against the gateway that must have signed it, offline
    Verify(VerifyArgs),
    /// Look for what is wrong here, and say what to do
    Doctor,
    /// The configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Print a script that completes commands in a shell
    Completions(CompletionsArgs),
    /// Show two bridges at work on this machine, in under twenty seconds
    Demo(DemoArgs),
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Where the federation plane listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7443")]
    pub(crate) listen: std::net::SocketAddr,
    /// How peers reach it; may be repeated [default: https:// and the listen address]
    #[arg(long = "endpoint", value_name = "https://HOST:PORT")]
    pub(crate) endpoints: Vec<String>,
    /// What runs the work that peers ask for
    #[arg(long, value_enum, default_value_t = AdapterChoice::Openclaw)]
    pub(crate) adapter: AdapterChoice,
    /// The OpenClaw gateway's WebSocket [default: ws://127.0.0.1:18789]
    #[arg(long, value_name = "URL")]
    pub(crate) gateway_url: Option<String>,
    /// A block of addresses that are not public and may be dialled, such as 127.0.0.0/8; may be repeated
    #[arg(long, value_name = "BLOCK")]
    pub(crate) danger_allow_addresses: Vec<String>,
}

/// The adapters that this binary has.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum AdapterChoice {
    /// An OpenClaw gateway
    Openclaw,
    /// An embedded script interpreter, for trying things out
    Scripted,
}

impl AdapterChoice {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Openclaw => "openclaw",
            Self::Scripted => "scripted",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Listen here on the federation plane, whatever the configuration says
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// Which events to log, such as `debug` or `warn,landbridge_node=debug`
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PeerCommand {
    /// Make an invite for a new peer
    Invite(PeerInviteArgs),
    /// Use another bridge's invite
    Join(PeerJoinArgs),
    /// Accept a pairing after comparing the words, and sign it with the policy key
    Accept(PeerAcceptArgs),
    /// List peers and pairings that wait
    List,
    /// Show one peer
    Show(PeerShowArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PeerInviteArgs {
    /// What to call the newcomer here
    #[arg(value_name = "ALIAS")]
    pub(crate) alias: Alias,
    /// For how long the invite works
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    pub(crate) expires_in: String,
}

#[derive(Debug, Args)]
pub(crate) struct PeerJoinArgs {
    /// The invite, or `-` to read it from standard input
    #[arg(value_name = "INVITE")]
    pub(crate) invite: String,
    /// What to call the inviter here
    #[arg(long, value_name = "ALIAS")]
    pub(crate) alias: Alias,
}

#[derive(Debug, Args)]
pub(crate) struct PeerAcceptArgs {
    /// The pairing's alias
    #[arg(value_name = "ALIAS")]
    pub(crate) alias: Alias,
    /// The twelve words that the other side sees; asked for on a terminal
    #[arg(long, value_name = "WORDS")]
    pub(crate) words: Option<String>,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PeerShowArgs {
    /// The peer's alias
    #[arg(value_name = "ALIAS")]
    pub(crate) alias: Alias,
}

/// What every command needs that signs the federation document.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    /// The policy key's file [default: HOME/offline/policy.key]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) policy_key: Option<PathBuf>,
    /// Show the change and sign nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `LOCAL:REMOTE`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TenantArg {
    pub(crate) local: TenantId,
    pub(crate) remote: TenantId,
}

impl std::str::FromStr for TenantArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (local, remote) =
            text.split_once(':').ok_or("a pair of tenants is LOCAL:REMOTE, as in acme:acme-eu")?;
        let tenant = |text: &str| TenantId::new(text).map_err(|error| error.to_string());
        Ok(Self { local: tenant(local)?, remote: tenant(remote)? })
    }
}

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
    /// An agent of this gateway that the peer may use; may be repeated
    #[arg(long = "agent", value_name = "AGENT", required = true)]
    pub(crate) agents: Vec<AgentName>,
    /// For which tenants: ours and theirs
    #[arg(long, value_name = "LOCAL:REMOTE", default_value = "default:default")]
    pub(crate) tenant: TenantArg,
    /// How sessions may be used; may be repeated [default: session]
    #[arg(long = "mode", value_enum, value_name = "MODE")]
    pub(crate) modes: Vec<ModeChoice>,
    /// The longest deadline of a run [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = duration_ms)]
    pub(crate) deadline_max: Option<i64>,
    /// Runs at the same time
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) concurrent_max: Option<u64>,
    /// Runs started in a second
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) starts_per_second: Option<u64>,
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
    pub(crate) policy: PolicyArgs,
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

fn duration_ms(text: &str) -> Result<i64, String> {
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
    /// For which tenants: ours and theirs
    #[arg(long, value_name = "LOCAL:REMOTE", default_value = "default:default")]
    pub(crate) tenant: TenantArg,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; its secret is printed once
    Create(TokenCreateArgs),
    /// List tokens
    List,
    /// Revoke a token, from now on and for good
    Revoke(TokenRevokeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TokenCreateArgs {
    /// What to call it
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// A logical gateway that it may use; may be repeated [default: all]
    #[arg(long = "route", value_name = "GATEWAY")]
    pub(crate) routes: Vec<Alias>,
    /// What it may do; may be repeated [default: all]
    #[arg(long = "verb", value_enum, value_name = "VERB")]
    pub(crate) verbs: Vec<Verb>,
    /// For how long it works, such as `90d` [default: until revoked]
    #[arg(long, value_name = "DURATION")]
    pub(crate) expires_in: Option<String>,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Verb {
    /// Read runs and frames
    Read,
    /// Start runs
    Run,
    /// Cancel runs
    Cancel,
}

impl Verb {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Run => "run",
            Self::Cancel => "cancel",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct TokenRevokeArgs {
    /// The token's public id
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

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

#[derive(Debug, Subcommand)]
pub(crate) enum GatewayCommand {
    /// Pair this bridge's own device with the gateway, with the fewest scopes
    Connect(GatewayConnectArgs),
    /// Show how the gateway does
    Status,
}

#[derive(Debug, Args)]
pub(crate) struct GatewayConnectArgs {
    /// The gateway's WebSocket [default: the configured one]
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) token: GatewayTokenArgs,
}

/// The gateway's shared token: used once, to pair, and never stored.
#[derive(Debug, Args)]
pub(crate) struct GatewayTokenArgs {
    /// A file with the gateway's shared token, used once and never stored
    /// [default: OPENCLAW_GATEWAY_TOKEN in the environment]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The transcript, or `-` for standard input
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// The gateway that must have signed it
    #[arg(long, value_name = "ID")]
    pub(crate) pin: landbridge_proto::wire::name::GatewayId,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration file
    Check(ConfigCheckArgs),
    /// Print a configuration file with every key explained
    Example,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigCheckArgs {
    /// The file [default: HOME/landbridge.toml]
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Print audit rows, oldest first
    Show(AuditShowArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AuditShowArgs {
    /// Only rows after this one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) after: u64,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub(crate) limit: u64,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Leave both bridges running, and say what to try next
    #[arg(long)]
    pub(crate) keep: bool,
    /// Use this OpenClaw gateway on the executing side
    #[arg(long, value_name = "URL")]
    pub(crate) openclaw: Option<String>,
    #[command(flatten)]
    pub(crate) token: GatewayTokenArgs,
    /// The gateway's agent that answers [default: main, or the scripted gateway's demo]
    #[arg(long, value_name = "AGENT")]
    pub(crate) agent: Option<AgentName>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_start_says_what_it_says() {
        let line = "landbridge run start eu --agent ops --prompt hi --label a=b=c --detach --json";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        assert!(cli.json);
        let Command::Run(RunCommand::Start(start)) = cli.command else { panic!() };
        assert_eq!(start.labels, [("a".to_owned(), "b=c".to_owned())]);
        assert!(start.detach && start.key.is_none());
    }

    #[test]
    fn wrong_words_are_refused() {
        for line in [
            "landbridge run start EU",
            "landbridge run start eu --prompt a --prompt-file b",
            "landbridge run start eu --key short",
            "landbridge run start eu --label =x",
            "landbridge run list --open --settled",
            "landbridge grant add eu",
            "landbridge grant add eu --agent a --tenant acme",
            "landbridge grant add eu --agent a --deadline-max 10",
            "landbridge verify run.jsonl",
            "landbridge verify run.jsonl --pin gw1-short",
            "landbridge token create ci --verb admin",
            "landbridge",
            "landbridge peer",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
