//! Keys: what can be done with one.

use clap::Subcommand;

use super::root::KeyPassphraseArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Encrypt the file of an offline key, or change its passphrase; needs no bridge
    Passphrase(KeyPassphraseArgs),
}
