//! Keys: which there are, their successors, and their end.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::offline::{PassphraseArgs, RootKeyArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// List this gateway's keys: since when, until when, where, and which are in use
    List,
    /// Make successors of keys, and the root that lists them
    #[command(long_about = ROTATE)]
    Rotate(KeyRotateArgs),
    /// Revoke a key of this gateway for good, and tell every peer
    #[command(long_about = REVOKE)]
    Revoke(KeyRevokeArgs),
    /// Encrypt the file of an offline key, or change its passphrase; needs no bridge
    Passphrase(KeyPassphraseArgs),
}

const ROTATE: &str = "\
Make successors of keys, and the root that lists them.

A new online key is listed ahead of its use, so that peers know it by the time it signs, and the former
one stays good after it; the running bridge changes by itself. Nothing has to be restarted and no run
is disturbed. The root that lists them is signed here, with the root key, which the bridge itself
never opens; it lives for another year from now on. A bridge that does not run is changed in its
files.

A crash leaves the old keys in force, or the new ones: repeat the command, or look at `key list`.";

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(crate) struct KeyRotateArgs {
    /// Which keys
    #[arg(value_enum, value_name = "ROLE", group = "what")]
    pub(crate) roles: Vec<KeyChoice>,
    /// Every key that the running bridge uses: stream, request, status, catalog, operator-ca and tls
    #[arg(long, group = "what")]
    pub(crate) all_online: bool,
    /// Only what has less than a third of its life left, and nothing when there is nothing: for a timer
    #[arg(long)]
    pub(crate) due: bool,
    /// At once, and without the former keys: when somebody else may have them
    #[arg(long)]
    pub(crate) now: bool,
    /// From now until a new key takes over [default: 2h]
    #[arg(long, value_name = "DURATION", conflicts_with = "now")]
    pub(crate) lead: Option<String>,
    /// From then until the former key is not good any more [default: 48h]
    #[arg(long, value_name = "DURATION", conflicts_with = "now")]
    pub(crate) overlap: Option<String>,
    #[command(flatten)]
    pub(crate) root: RootKeyArgs,
}

/// What can be given a successor.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, ValueEnum)]
pub(crate) enum KeyChoice {
    /// Signs accepts, seals and answers
    Stream,
    /// Signs requests and receipts
    Request,
    /// Signs statuses
    Status,
    /// Signs catalogs of scopes
    Catalog,
    /// Signs operators' credentials
    OperatorCa,
    /// The key of TLS connections; it changes at once
    Tls,
    /// Signs the federation document
    Policy,
    /// Signs roots
    Root,
}

#[derive(Debug, Args)]
pub(crate) struct KeyPassphraseArgs {
    /// The key's file; may be repeated
    #[arg(value_name = "FILE", required = true, value_hint = clap::ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    /// A file with one line, the new passphrase [default: asked on a terminal]
    #[arg(long, value_name = "FILE", conflicts_with = "danger_remove", value_hint = clap::ValueHint::FilePath)]
    pub(crate) new_passphrase_file: Option<PathBuf>,
    /// Leave the key readable by whoever has the file
    #[arg(long)]
    pub(crate) danger_remove: bool,
}

const REVOKE: &str = "\
Revoke a key of this gateway for good, and tell every peer.

The running bridge signs nothing with it from then on. Its next status, issued at once, tells peers, and
what they received under the key before that stands; with --since in the past they mark it as disputed.
A revoked key does not come back: make a new one with `key rotate ROLE --now`. Until then the bridge does
not do what the key was for (stream: answer peers; request: ask peers; status: anything with peers).";

#[derive(Debug, Args)]
pub(crate) struct KeyRevokeArgs {
    /// The key's id, or the role that it holds: stream, request, status, policy, catalog, operator-ca
    #[arg(value_name = "KID|ROLE", allow_hyphen_values = true)]
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
