//! Memberships: for who runs a federation root, who is a member, and who admits members.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::EndpointUrl;
use landbridge_proto::wire::name::{Alias, GatewayId, TenantId};

use super::peer::PolicyArgs;

#[derive(Debug, Subcommand)]
#[command(after_long_help = MEMBERSHIP_HELP)]
pub(crate) enum MembershipCommand {
    /// For who runs a federation root: make a key, and print its public half
    Key(MembershipKeyArgs),
    /// For who runs a federation root: sign that a gateway is a member
    Issue(MembershipIssueArgs),
    /// For who runs a federation root: sign what somebody else signed already, to reach a threshold
    Sign(MembershipSignArgs),
    /// For a member: show a membership at a gateway that is no peer yet
    Join(MembershipJoinArgs),
    /// For a member: show a newer membership at a peer, before the last one lapses
    Renew(MembershipRenewArgs),
    /// For who admits: accept a member that waits, and sign it with the policy key
    Accept(MembershipAcceptArgs),
    /// For who admits: list the memberships that gateways showed here
    List,
}

const MEMBERSHIP_HELP: &str = "\
A membership is a federation root's word that a gateway belongs to it. It takes the place of an invite:
a gateway that shows one waits for a person, and may ask nothing until a grant says so. It lapses after
seven days at most; its gateway is then treated as suspended until it shows a newer one.";

#[derive(Debug, Args)]
pub(crate) struct MembershipKeyArgs {
    /// The key's file; must not exist yet
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct MembershipIssueArgs {
    /// What the gateways that trust it call the federation root
    #[arg(long, value_name = "NAME")]
    pub(crate) federation: Alias,
    /// The member
    #[arg(long, value_name = "ID")]
    pub(crate) member: GatewayId,
    /// A tenant that it may speak for; repeated for each of them
    #[arg(
        long = "tenant",
        alias = "tenants",
        value_name = "TENANT",
        required = true,
        value_delimiter = ','
    )]
    pub(crate) tenants: Vec<TenantId>,
    /// For how long it counts, at most seven days
    #[arg(long, value_name = "DURATION", default_value = "7d")]
    pub(crate) expires_in: String,
    /// A key's file; repeated for each key that signs
    #[arg(long = "key", value_name = "FILE", required = true, value_hint = clap::ValueHint::FilePath)]
    pub(crate) keys: Vec<PathBuf>,
    /// Where to; must not exist yet [default: standard output]
    #[arg(long, short, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct MembershipSignArgs {
    /// The membership
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// A key's file; repeated for each key that signs
    #[arg(long = "key", value_name = "FILE", required = true, value_hint = clap::ValueHint::FilePath)]
    pub(crate) keys: Vec<PathBuf>,
    /// Where to; must not exist yet [default: standard output]
    #[arg(long, short, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Sign without asking; only a terminal is asked
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MembershipJoinArgs {
    /// The membership
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// The gateway to join
    #[arg(long, value_name = "ID")]
    pub(crate) gateway: GatewayId,
    /// Where it is
    #[arg(long, value_name = "https://HOST:PORT", value_parser = endpoint)]
    pub(crate) endpoint: EndpointUrl,
    /// The digest of the key that it shows on TLS; without one, its certificate must be publicly trusted
    #[arg(long, value_name = "DIGEST", allow_hyphen_values = true)]
    pub(crate) tls_spki: Option<Digest>,
    /// What to call it here
    #[arg(long, value_name = "ALIAS")]
    pub(crate) alias: Alias,
}

#[derive(Debug, Args)]
pub(crate) struct MembershipRenewArgs {
    /// The membership
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// The peer's alias
    #[arg(long, value_name = "ALIAS")]
    pub(crate) peer: Alias,
}

#[derive(Debug, Args)]
pub(crate) struct MembershipAcceptArgs {
    /// The member as `peer list` calls it
    #[arg(value_name = "ALIAS")]
    pub(crate) alias: Alias,
    /// What to call it from now on
    #[arg(long = "as", value_name = "ALIAS")]
    pub(crate) name: Option<Alias>,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

fn endpoint(text: &str) -> Result<EndpointUrl, String> {
    EndpointUrl::new(text).map_err(|error| error.to_string())
}
