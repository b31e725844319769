//! The next root, where its keys are on different machines; and the keys themselves.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use landbridge_proto::trust::key::PublicKey;
use landbridge_proto::wire::name::KeyId;

use super::offline::PassphraseArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum RootCommand {
    /// Write the next root, signed by nobody, to a file that is carried to those who hold root keys
    Draft(RootDraftArgs),
    /// Show what a draft would change and add one signature; needs no bridge
    Sign(RootSignArgs),
    /// Put a draft in force that enough keys have signed
    Publish(RootPublishArgs),
    /// Make a root key for a later root; needs no bridge
    NewKey(RootNewKeyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RootDraftArgs {
    /// Where to write the draft
    #[arg(value_name = "DRAFT", value_hint = clap::ValueHint::FilePath)]
    pub(crate) draft: PathBuf,
    /// Where peers reach the gateway from now on, all of it; may be repeated [default: as before]
    #[arg(long = "endpoint", value_name = "https://HOST:PORT")]
    pub(crate) endpoints: Vec<String>,
    /// A root key that comes, as `root new-key` printed it; may be repeated
    #[arg(
        long = "add-root-key",
        value_name = "PUBLIC_KEY",
        value_parser = public_key,
        allow_hyphen_values = true
    )]
    pub(crate) add_root_keys: Vec<PublicKey>,
    /// A root key that goes, by its id; may be repeated
    #[arg(long = "remove-root-key", value_name = "KEY_ID", allow_hyphen_values = true)]
    pub(crate) remove_root_keys: Vec<KeyId>,
    /// How many root keys must sign from now on [default: as before]
    #[arg(long, value_name = "M")]
    pub(crate) root_threshold: Option<u64>,
}

fn public_key(text: &str) -> Result<PublicKey, String> {
    PublicKey::try_from(text.to_owned()).map_err(|error| error.to_string())
}

#[derive(Debug, Args)]
pub(crate) struct RootSignArgs {
    /// The draft; the signature is written into it
    #[arg(value_name = "DRAFT", value_hint = clap::ValueHint::FilePath)]
    pub(crate) draft: PathBuf,
    /// The root key's file; may be repeated
    #[arg(long = "key", value_name = "FILE", required = true, value_hint = clap::ValueHint::FilePath)]
    pub(crate) keys: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    /// Sign without asking; for scripts that have looked at the draft
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RootPublishArgs {
    /// The draft; copies that were signed apart may be named together
    #[arg(value_name = "DRAFT", required = true, value_hint = clap::ValueHint::FilePath)]
    pub(crate) drafts: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RootNewKeyArgs {
    /// Where the key goes; its directory must be closed to others
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}
