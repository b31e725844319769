//! Keys: which there are, and their successors.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// List this gateway's keys: since when, until when, where, and which are in use
    List,
    /// Make successors of keys, and the root that lists them
    #[command(long_about = ROTATE)]
    Rotate(KeyRotateArgs),
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
    /// Every key that the running bridge uses: stream, request, status and tls
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
    /// A root key's file; may be repeated [default: every root key in HOME/offline]
    #[arg(long = "root-key", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) root_keys: Vec<PathBuf>,
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
    /// The key of TLS connections; it changes at once
    Tls,
    /// Signs the federation document
    Policy,
    /// Signs roots
    Root,
}
