//! The audit log: shown, exported, checked.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use landbridge_node::config::Period;
use landbridge_proto::machine::audit::Head;
use landbridge_proto::wire::name::Timestamp;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Print audit rows, oldest first
    Show(AuditShowArgs),
    /// Write the whole log, a JSON object for each row
    Export(AuditExportArgs),
    /// Check that no row was altered, deleted, moved or cut off
    Verify(AuditVerifyArgs),
    /// List what the peers' statuses say of their logs: give it to them when they ask for a witness
    Heads(AuditHeadsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AuditHeadsArgs {
    /// Of every kept status, those of this bridge included; not only of each peer's newest
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AuditShowArgs {
    /// Only rows after this one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) after: u64,
    /// At most so many; no limit with `--follow`
    #[arg(long, value_name = "COUNT", default_value_t = 100, conflicts_with = "follow")]
    pub(crate) limit: u64,
    /// Go on with what is written from now on, until interrupted
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Only what happened since then: a time such as 2026-01-31T12:00:00Z, or a duration such as 2h
    #[arg(long, value_name = "TIME|DURATION", value_parser = since)]
    pub(crate) since: Option<Since>,
    /// Only this deed, such as federation_changed; may be repeated
    #[arg(long = "deed", value_name = "DEED")]
    pub(crate) deeds: Vec<String>,
    /// Only what was done to, or by, what has this in its name: a gateway, a run, a token
    #[arg(long, value_name = "TEXT")]
    pub(crate) subject: Option<String>,
}

/// From when on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Since {
    /// A moment.
    At(Timestamp),
    /// So long ago, in milliseconds.
    Ago(i64),
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Since::At(Timestamp(at.as_millisecond())));
    }
    let period: Period =
        text.parse().map_err(|error| format!("no time, and no duration: {error}"))?;
    Ok(Since::Ago(period.as_ms()))
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
    /// An earlier export: whatever was in it must still be there; may be repeated
    #[arg(long = "against", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) against: Vec<PathBuf>,
}

const VERIFY_HELP: &str = "\
The log alone shows every change before its end. That its end was cut off, or that all of it was
written anew, shows only against a head that was kept elsewhere: every status tells the peers the
head of the moment, and `landbridge audit heads` prints at a peer what it kept. An earlier export is as
good a witness: name it with --against. Where neither is named, the running bridge's log is held against
the bridge's own statuses: whoever changed the one may have forgotten the other.

It ends with 0 when the log is whole, 2 when it was changed and 4 when it cannot be read.";

fn head(text: &str) -> Result<Head, String> {
    let form = "a head is ROWS:HEAD, as `landbridge audit heads` prints it";
    let (rows, digest) = text.split_once(':').ok_or(form)?;
    let n = rows.parse().map_err(|_| form)?;
    let digest = digest.parse().map_err(|error| format!("{form}: {error}"))?;
    Ok(Head { n, digest })
}
