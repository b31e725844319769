//! Operators: the people who decide, and their keys.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::offline::PassphraseArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum OperatorCommand {
    /// An operator's own key, where it is a file
    #[command(subcommand)]
    Key(OperatorKeyCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum OperatorKeyCommand {
    /// Make a key for an operator; needs no bridge
    ///
    /// The file is the operator's own and stays with them: it signs their approvals and nothing else. An SSH key
    /// that somebody has already, also one on a security key, does as well and needs no file of ours.
    New(OperatorKeyNewArgs),
}

#[derive(Debug, Args)]
pub(crate) struct OperatorKeyNewArgs {
    /// Where the key goes; its directory must be closed to others
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}
