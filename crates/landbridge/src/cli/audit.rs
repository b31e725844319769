//! The audit log: shown, exported, checked.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use landbridge_proto::machine::audit::Head;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Print audit rows, oldest first
    Show(AuditShowArgs),
    /// Write the whole log, a JSON object for each row
    Export(AuditExportArgs),
    /// Check that no row was altered, deleted, moved or cut off
    Verify(AuditVerifyArgs),
    /// List what the peers' statuses say of their logs: give it to them when they ask for a witness
    Heads,
}

#[derive(Debug, Args)]
pub(crate) struct AuditShowArgs {
    /// Only rows after this one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) after: u64,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub(crate) limit: u64,
}

#[derive(Debug, Args)]
pub(crate) struct AuditExportArgs {
    /// Where to; must not exist yet [default: standard output]
    #[arg(long, short, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_long_help = VERIFY_HELP)]
pub(crate) struct AuditVerifyArgs {
    /// An export, `-` for standard input [default: the running bridge's log]
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// A head that was kept elsewhere, as `audit heads` prints it at a peer; may be repeated
    #[arg(long = "head", value_name = "ROWS:HEAD", value_parser = head)]
    pub(crate) heads: Vec<Head>,
}

const VERIFY_HELP: &str = "\
The log alone shows every change before its end. That its end was cut off, or that all of it was
written anew, shows only against a head that was kept elsewhere: every status tells the peers the
head of the moment, and `landbridge audit heads` prints at a peer what it kept.

It ends with 0 when the log is whole, 2 when it was changed and 4 when it cannot be read.";

fn head(text: &str) -> Result<Head, String> {
    let form = "a head is ROWS:HEAD, as `landbridge audit heads` prints it";
    let (rows, digest) = text.split_once(':').ok_or(form)?;
    let n = rows.parse().map_err(|_| form)?;
    let digest = digest.parse().map_err(|error| format!("{form}: {error}"))?;
    Ok(Head { n, digest })
}
