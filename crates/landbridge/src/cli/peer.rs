//! Peers: invites, pairings, and what every signed change needs.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use landbridge_proto::wire::name::{Alias, TenantId};

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
    /// Test the way to a peer, from its address to its signature
    Test(PeerShowArgs),
    /// Stop working with a peer until it is resumed; its runs here go on
    Suspend(PeerDecideArgs),
    /// Work with a suspended or quarantined peer again; evidence against it stays
    Resume(PeerDecideArgs),
    /// End a peer for good, and stop its runs here; only a new pairing makes it a peer again
    Revoke(PeerDecideArgs),
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

#[derive(Debug, Args)]
pub(crate) struct PeerDecideArgs {
    /// The peer's alias
    #[arg(value_name = "ALIAS")]
    pub(crate) alias: Alias,
    /// Why, for the audit log: what was found out, and by whom
    #[arg(long, value_name = "TEXT")]
    pub(crate) because: String,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
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
