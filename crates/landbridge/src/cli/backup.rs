//! Backup, restore and recover: the way back, and what each step costs.

use std::path::PathBuf;

use clap::Args;

pub(super) const BACKUP: &str = "\
Copies the bridge's state to a new directory, while it runs or not.

The copy is of one moment: the database (runs, frames, journal, peers, tokens, audit), the public roots
and the settings, with a manifest of digests. Keys are not in it unless --with-keys is given; the offline
keys never are. A backup can be put in place with `landbridge restore`.

A backup is for a lost disk, not for going back in time: what a bridge did after its backup, others
remember. See `landbridge recover --help`.";

pub(super) const RESTORE: &str = "\
Puts a backup in place of the state; the bridge then waits to be recovered.

  1. Stop the bridge.
  2. landbridge restore DIR      checks every file, keeps what it replaces in <home>/replaced-*
  3. landbridge recover          begins a new incarnation; says what is given up
  4. landbridge serve
  5. landbridge doctor, then look at peers, grants and tokens: changes made after the backup are undone,
     so revoke again what you revoked since.";

pub(super) const RECOVER: &str = "\
Begins a new incarnation of a bridge that lost history, so that it works again.

A bridge whose state is older than what it has done stops by itself: it was restored from a backup, its
database was copied back, or a peer showed something that it had signed and does not have. If newer state
still exists, put that back instead of recovering.

Recovering gives up, for good:
  - runs of peers that were open in this state are closed and never executed again; their gateway runs
    are stopped; their callers are told `lost`, with side effects unknown;
  - keys that peers used before now and that are unknown here are answered `lost_history`.
Runs that this bridge asked of others go on where they are.

  1. Stop the bridge.
  2. landbridge recover
  3. landbridge serve";

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// Where to; it must not exist
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
    /// Copy the keys too: whoever has this backup then is this bridge
    #[arg(long)]
    pub(crate) with_keys: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RecoverArgs {
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Also where nothing shows that history was lost, because you know that it was
    #[arg(long)]
    pub(crate) unnoticed: bool,
}
