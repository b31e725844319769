//! Keys of this gateway.

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Revoke a key of this gateway for good, and tell every peer
    #[command(long_about = REVOKE)]
    Revoke(KeyRevokeArgs),
}

const REVOKE: &str = "\
Revoke a key of this gateway for good, and tell every peer.

The running bridge signs nothing with it from then on. Its next status, issued at once, tells peers, and
what they received under the key before that stands; with --since in the past they mark it as disputed.
A revoked key does not come back: make a new one with `landbridge key rotate`. Until then the bridge does
not do what the key was for (stream: answer peers; request: ask peers; status: anything with peers).";

#[derive(Debug, Args)]
pub(crate) struct KeyRevokeArgs {
    /// The key's id, or the role that it holds: stream, request, status, policy, catalog, operator-ca
    #[arg(value_name = "KID|ROLE")]
    pub(crate) key: String,
    /// Why
    #[arg(long, value_enum)]
    pub(crate) reason: ReasonChoice,
    /// Since when the key may have been in other hands, as in 2026-11-22T21:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ReasonChoice {
    /// Somebody else may have it
    Compromised,
    /// Its role is gone
    Retired,
    /// Another key took its place
    Superseded,
}
