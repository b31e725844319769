//! Peers: invites, pairings, and what every signed change needs.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use landbridge_proto::wire::name::{Alias, TenantId};

use super::offline::OfflineArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum PeerCommand {
    /// Make an invite for a new peer: one line, and a QR code on a terminal
    #[command(long_about = INVITE)]
    Invite(PeerInviteArgs),
    /// List the invites that are open
    Invites(PeerInvitesArgs),
    /// Withdraw an open invite: its text is of no use any more
    Withdraw(PeerWithdrawArgs),
    /// Use another bridge's invite
    #[command(long_about = JOIN)]
    Join(PeerJoinArgs),
    /// Accept a pairing after comparing the words, and sign it with the policy key
    #[command(long_about = ACCEPT)]
    Accept(PeerAcceptArgs),
    /// Forget a pairing that nobody here wants
    Decline(PeerDeclineArgs),
    /// List peers and pairings, and whom each waits for
    List,
    /// Show one peer, and what it waits for
    Show(PeerShowArgs),
    /// Call a peer by another name here, and sign it with the policy key
    #[command(long_about = RENAME)]
    Rename(PeerRenameArgs),
    /// Say where a peer is that moved and cannot be asked any more
    #[command(long_about = ADDRESS)]
    Address(PeerAddressArgs),
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
    /// Draw the QR code even where nobody seems to look at a terminal
    #[arg(long)]
    pub(crate) qr: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PeerInvitesArgs {
    /// Show also those that were used, withdrawn or have expired
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PeerWithdrawArgs {
    /// The invite: its id as listed, or the name that it is open for
    #[arg(value_name = "INVITE")]
    pub(crate) invite: String,
}

#[derive(Debug, Args)]
pub(crate) struct PeerJoinArgs {
    /// The invite, or `-` to read it from standard input
    #[arg(value_name = "INVITE")]
    pub(crate) invite: String,
    /// What to call the inviter here
    #[arg(long, value_name = "ALIAS")]
    pub(crate) alias: Alias,
    /// The inviter is a peer here, and does not know this bridge any more
    #[arg(long)]
    pub(crate) again: bool,
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
pub(crate) struct PeerDeclineArgs {
    /// The pairing's alias
    #[arg(value_name = "ALIAS")]
    pub(crate) alias: Alias,
}

#[derive(Debug, Args)]
pub(crate) struct PeerRenameArgs {
    /// What the peer is called here
    #[arg(value_name = "OLD")]
    pub(crate) old: Alias,
    /// What it shall be called here
    #[arg(value_name = "NEW")]
    pub(crate) new: Alias,
    /// Rename it although routes or tokens name it
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PeerAddressArgs {
    /// The peer's alias
    #[arg(value_name = "ALIAS")]
    pub(crate) alias: Alias,
    /// Where its people say that it is
    #[arg(value_name = "https://HOST:PORT", required_unless_present = "forget")]
    pub(crate) url: Option<String>,
    /// Look for it only where its own root says, again
    #[arg(long, conflicts_with = "url")]
    pub(crate) forget: bool,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

const INVITE: &str = "\
Make an invite for a new peer: one line, and a QR code on a terminal.

Give it to the other side by a way that only the two of you read; it is a secret and good once. There:
`landbridge peer join`. Then both sides compare twelve words by another way, such as a call, and each runs
`landbridge peer accept`. An invite for the same name that is still open is withdrawn.";

const JOIN: &str = "\
Use another bridge's invite.

Pass the invite on standard input (`-`) where others can read the arguments of commands. The other bridge is
asked for its documents, and is shown ours. It is no peer before both sides have compared the twelve words and
accepted. The same invite again gives the same pairing.";

const ACCEPT: &str = "\
Accept a pairing after comparing the words, and sign it with the policy key.

Ask the other side for its words by another way than the invite took. On a terminal they are shown and asked
about; else pass what the other side sees with --words. When they differ, somebody may stand between the two
bridges: nothing is accepted.";

const RENAME: &str = "\
Call a peer by another name here, and sign it with the policy key.

Names are this side's alone: the other side need not know, and open runs go on. Routes of the configuration and
tokens that name the peer keep the old name; the command lists them and renames only with --force. A name
is free again afterwards, also for a peer that lost its keys and is paired anew.";

const ADDRESS: &str = "\
Say where a peer is that moved and cannot be asked any more.

A peer that can still be reached, or that asks for runs here, tells its new address itself, in a root that it signs;
nothing has to be done. Otherwise this looks there. What answers must prove, by the peer's own
signatures and its TLS key, that it is the peer. When its root names the address, that is all; otherwise the address
is signed into the federation document with the policy key. Another gateway at the address is never taken for the peer.";

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
    /// The policy key's file [default: the one in the offline directory]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) policy_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) offline: OfflineArgs,
    /// Show the change and sign nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Sign without asking; only a terminal is asked
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) yes: bool,
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
