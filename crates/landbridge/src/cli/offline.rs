//! Offline keys: where they are, and what opens them.

use std::path::PathBuf;

use clap::Args;

/// What every command needs that signs with an offline key.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct OfflineArgs {
    /// Where the offline keys are [default: the setting offline.dir, or HOME/offline]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) offline_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

/// What opens encrypted keys. The variable LANDBRIDGE_PASSPHRASE does as well.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct PassphraseArgs {
    /// A file with one line, the passphrase of an offline key; may be repeated [default: the variable LANDBRIDGE_PASSPHRASE, or asked on a terminal]
    #[arg(long = "passphrase-file", env = "LANDBRIDGE_PASSPHRASE_FILE", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) passphrase_files: Vec<PathBuf>,
}

/// Which root keys sign.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RootKeyArgs {
    /// A root key's file; may be repeated [default: those in the offline directory]
    #[arg(long = "root-key", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) root_keys: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) offline: OfflineArgs,
}
