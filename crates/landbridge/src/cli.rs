//! The command tree: a noun, then a verb.
//!
//! The tree is the program's contract with scripts: a changed name or flag is a visible line here and
//! in the files below. What a command does is in `command/`.

mod approval;
mod audit;
mod backup;
mod evidence;
mod gateway;
mod grant;
mod halt;
mod key;
mod limit;
mod membership;
mod offline;
mod operator;
mod peer;
mod root;
mod run;
mod scope;
mod token;
mod trust;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use landbridge_node::identity::RootKeys;
use landbridge_proto::wire::name::AgentName;

pub(crate) use self::approval::{
    ApprovalCommand, ApprovalDecideArgs, ApprovalExportArgs, ApprovalListArgs, ApprovalRequestArgs,
    ApprovalSideChoice, ApprovalStateChoice,
};
pub(crate) use self::audit::{
    AuditCommand, AuditExportArgs, AuditHeadsArgs, AuditShowArgs, AuditVerifyArgs, Since,
};
pub(crate) use self::backup::{BackupArgs, RecoverArgs, RestoreArgs};
pub(crate) use self::evidence::{EvidenceCommand, EvidenceExportArgs, EvidenceVerifyArgs};
pub(crate) use self::gateway::{GatewayCommand, GatewayConnectArgs, GatewayTokenArgs};
pub(crate) use self::grant::{
    AskChoice, DisclosureChoice, GrantAddArgs, GrantCommand, GrantListArgs, GrantRemoveArgs,
};
pub(crate) use self::halt::HaltArgs;
pub(crate) use self::key::{
    KeyChoice, KeyCommand, KeyPassphraseArgs, KeyRevokeArgs, KeyRotateArgs, ReasonChoice,
};
pub(crate) use self::limit::dollars;
pub(crate) use self::membership::{
    MembershipAcceptArgs, MembershipCommand, MembershipIssueArgs, MembershipJoinArgs,
    MembershipKeyArgs, MembershipRenewArgs, MembershipSignArgs,
};
pub(crate) use self::offline::{OfflineArgs, PassphraseArgs, RootKeyArgs};
pub(crate) use self::operator::{
    OperatorCommand, OperatorEnrolArgs, OperatorKeyCommand, OperatorKeyNewArgs, OperatorRevokeArgs,
};
pub(crate) use self::peer::{
    PeerAcceptArgs, PeerAddressArgs, PeerCommand, PeerDecideArgs, PeerDeclineArgs, PeerInviteArgs,
    PeerInvitesArgs, PeerJoinArgs, PeerRenameArgs, PeerWithdrawArgs, PolicyArgs, TenantArg,
};
pub(crate) use self::root::{
    RootCommand, RootDraftArgs, RootNewKeyArgs, RootPublishArgs, RootSignArgs,
};
pub(crate) use self::run::{
    ModeChoice, RouteCommand, RouteTestArgs, RunCommand, RunExportArgs, RunListArgs, RunStartArgs,
};
pub(crate) use self::scope::{
    ScopeCommand, ScopeExportArgs, ScopeMapAddArgs, ScopeMapArgs, ScopeMapCommand,
    ScopeMapConfirmArgs, ScopeMapListArgs, ScopeMapRemoveArgs, ScopePublishArgs, ScopeShowArgs,
};
pub(crate) use self::token::{SeesChoice, TokenCommand, TokenCreateArgs};
pub(crate) use self::trust::{
    TrustCommand, TrustDiffArgs, TrustExportArgs, TrustRestoreArgs, TrustRootAddArgs,
    TrustRootCommand, TrustRootRemoveArgs, TrustShowArgs, TrustVerifyArgs,
};
use crate::exit;

/// Federates OpenClaw gateways: each keeps its own trust, workspace and operators.
#[derive(Debug, Parser)]
#[command(name = "landbridge", version, about, long_about = LONG_ABOUT, after_long_help = exit::HELP)]
#[command(propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// The bridge's home: keys, configuration, state and socket [default: ~/.landbridge]
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

Data goes to standard output and talk to standard error. Most commands speak with the running
bridge through <home>/landbridge.sock. init, serve, gateway connect, verify, trust verify,
membership key and issue, root sign and new-key, operator key, config, completions and demo need none; doctor says
when there is none; halt and resume work without; restore and recover need it stopped.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new bridge: keys, certificate, first root and configuration
    Init(InitArgs),
    /// Run the bridge until it is told to stop
    ///
    /// The first SIGTERM or SIGINT takes no new work, lets connections end and waits, at most
    /// `gateway.handover_max`, until the gateway has taken what it was just asked to start and has answered
    /// tool calls. Other runs go on there, and are taken up at the next start. A second signal cuts
    /// connections; a third ends at once with 130.
    Serve(ServeArgs),
    /// Peers: other gateways' bridges
    #[command(subcommand)]
    Peer(PeerCommand),
    /// Keys of this gateway, their successors, and their end
    #[command(subcommand)]
    Key(KeyCommand),
    /// Grants: what a peer may ask of this gateway
    #[command(subcommand)]
    Grant(GrantCommand),
    /// Scopes: what our operators may decide, and whose decisions count here
    #[command(subcommand)]
    Scope(ScopeCommand),
    /// Operators: the people of this gateway who may decide
    #[command(subcommand)]
    Operator(OperatorCommand),
    /// The federation document: whom this gateway trusts, and what for
    #[command(subcommand)]
    Trust(TrustCommand),
    /// Memberships: gateways that a federation root vouches for
    #[command(subcommand)]
    Membership(MembershipCommand),
    /// Tokens: how workflow engines use the local API
    #[command(subcommand)]
    Token(TokenCommand),
    /// Routes: logical gateways that runs can be sent to
    #[command(subcommand)]
    Route(RouteCommand),
    /// Runs at other gateways
    #[command(subcommand)]
    Run(RunCommand),
    /// Approvals: what operators are asked, and what they decide
    #[command(subcommand)]
    Approval(ApprovalCommand),
    /// The next root, where its keys are on different machines
    #[command(subcommand)]
    Root(RootCommand),
    /// The OpenClaw gateway beside this bridge
    #[command(subcommand)]
    Gateway(GatewayCommand),
    /// Check a transcript, or the record of an approval, offline
    ///
    /// A transcript must have been signed by the gateway that is pinned, which executed the run. The record of an
    /// approval (`landbridge approval export`) must be that of the pinned gateway, which needed the answer: whose
    /// decisions count there, its own policy key signed.
    Verify(VerifyArgs),
    /// Evidence against peers that contradicted themselves under their signatures
    #[command(subcommand)]
    Evidence(EvidenceCommand),
    /// Look for what is wrong here, and say what to do
    Doctor,
    /// The configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Copy the bridge's state to a new directory, while it runs or not
    #[command(long_about = backup::BACKUP)]
    Backup(BackupArgs),
    /// Put a backup in place of the state; the bridge then waits to be recovered
    #[command(long_about = backup::RESTORE)]
    Restore(RestoreArgs),
    /// Begin a new incarnation of a bridge that lost history, so that it works again
    #[command(long_about = backup::RECOVER)]
    Recover(RecoverArgs),
    /// The kill switch: stop everything, whatever state the bridge is in
    #[command(long_about = halt::HALT)]
    Halt(HaltArgs),
    /// Take the kill switch back
    Resume,
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
    #[command(flatten)]
    pub(crate) offline: NewOfflineArgs,
}

/// How the keys are kept that the running bridge never reads.
#[derive(Debug, Args)]
pub(crate) struct NewOfflineArgs {
    /// Put the root and policy keys there, such as on a stick [default: HOME/offline]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) offline_dir: Option<PathBuf>,
    /// Encrypt the root and policy keys with a passphrase; a passphrase that is given does it too
    #[arg(long)]
    pub(crate) encrypt_offline: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    /// How many root keys to make, and how many of them must sign a new root
    #[arg(long, value_name = "M-of-N", default_value = "1-of-1")]
    pub(crate) root_keys: RootKeys,
    /// Where one root key goes; repeated, once for each of them [default: with the policy key]
    #[arg(long = "root-key-dir", value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) root_key_dirs: Vec<PathBuf>,
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

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The transcript or the record, or `-` for standard input
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// The gateway that must have executed the run, or needed the approval
    #[arg(long, value_name = "ID")]
    pub(crate) pin: landbridge_proto::wire::name::GatewayId,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration file
    Check(ConfigCheckArgs),
    /// Show every setting that the running bridge goes by, and where it was written
    Show,
    /// Print a configuration file with every key explained
    Example,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigCheckArgs {
    /// The file [default: HOME/landbridge.toml]
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
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

    /// One base64url text in 64 begins so: no key may be one that cannot be typed.
    #[test]
    fn an_id_that_begins_with_a_hyphen_is_a_value() {
        let (id, gid) = (format!("-j{}", "A".repeat(41)), format!("gw1-{}", "a".repeat(52)));
        for line in [
            "landbridge trust root add guild --max-members 2 --tenant acme --key ID",
            "landbridge membership join FILE --gateway GID --alias eu --endpoint https://a:1 --tls-spki ID",
            "landbridge root draft FILE --remove-root-key ID",
            "landbridge key revoke ID --reason compromised",
            "landbridge key revoke --reason compromised ID",
            "landbridge run start eu --prompt x --key ID",
        ] {
            let line = line.replace("GID", &gid).replace("ID", &id);
            Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
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
            "landbridge evidence verify proof.jsonl",
            "landbridge peer resume eu",
            "landbridge scope map add eu --remote-scope sre-lead",
            "landbridge scope map add eu --remote-scope a --scope b --method pgp",
            "landbridge operator enrol",
            "landbridge grant add eu --approval-quorum 2 --agent a",
            "landbridge verify run.jsonl --pin gw1-short",
            "landbridge token create ci --verb admin",
            "landbridge approval approve --key k",
            "landbridge approval approve apr-aaaaaaaaaaaaaaaaaaaaaaaaaa",
            "landbridge approval deny apr-aaaaaaaaaaaaaaaaaaaaaaaaaa --key k --assertion a",
            "landbridge approval approve apr-short --key k",
            "landbridge approval request --scope s --kind exec",
            "landbridge approval request --scope s --kind exec --text a --file b",
            "landbridge approval request --scope s --kind exec --text a --timeout 1m",
            "landbridge approval list --all --state open",
            "landbridge",
            "landbridge peer",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
