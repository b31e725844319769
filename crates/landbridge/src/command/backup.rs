//! `backup`, `restore`, `recover`: the state's way out and back.
//!
//! The last two work on a stopped bridge only. They replace what a daemon would be in the middle of using,
//! and the store's lock makes sure that none is.

use std::io::{BufRead as _, Write as _};
use std::path::Path;

use landbridge_node::backup::{self, BackupError};
use landbridge_node::clock::{Clock as _, SystemClock};
use landbridge_node::config::Home;
use landbridge_node::identity;
use landbridge_node::rollback::{self, RecoverError};
use landbridge_store::OpenError;
use serde_json::{Value, json};

use crate::cli::{BackupArgs, RecoverArgs, RestoreArgs};
use crate::client::Client;
use crate::command::init::home_failure;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::offline::identity_failure;
use crate::out::{Look, Out, instant};

/// Copies the state, through the daemon where one runs.
pub(super) async fn backup(client: &Client, args: &BackupArgs, out: &Out) -> Result<Exit, Failure> {
    let home = Home::open(client.home()).map_err(|fault| home_failure(&fault))?;
    let own = identity::own_root(home.path()).map_err(|error| identity_failure(&error))?;
    let directory = std::path::absolute(&args.directory)
        .or_fail(Exit::Usage, || "this is not a directory's name")?;
    backup::begin(&directory).map_err(failure)?;
    let state = directory.join(backup::STATE);
    match backup::copy_database_offline(&home.state(), &state) {
        Ok(()) => {}
        Err(BackupError::Open(OpenError::InUse { .. })) => {
            let _done: Value =
                client.post("/v1/admin/backup", &json!({ "directory": state })).await?;
        }
        Err(error) => return Err(failure(error)),
    }
    let made = SystemClock.now();
    let manifest =
        backup::finish(&home, own.gateway(), &directory, args.with_keys, made).map_err(failure)?;
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    out.data(&manifest, |manifest| {
        let (count, place) = (manifest.files.len(), directory.display());
        format!("{place}: {count} files, {bytes} bytes, as of {}", instant(made))
    })?;
    if !args.with_keys {
        out.say(Look::Dim, "keys are not in it: keep them, and offline/, somewhere else");
    }
    Ok(Exit::Success)
}

/// Puts a backup in place.
pub(super) fn restore(home: &Path, args: &RestoreArgs, out: &Out) -> Result<Exit, Failure> {
    let home = Home::open(home).map_err(|fault| home_failure(&fault))?;
    let manifest = backup::verify(&args.directory).map_err(failure)?;
    let question = format!(
        "Replace the state in {} by the backup from {}?",
        home.path().display(),
        instant(manifest.made)
    );
    confirm(args.yes, &question, out)?;
    // A home without keys takes them from the backup; one that has keys takes only its own backups.
    let own = identity::own_root(home.path()).ok();
    let own = own.as_ref().map(|root| root.gateway());
    let (_, aside) =
        backup::restore(&home, own, &args.directory, SystemClock.now()).map_err(failure)?;
    out.data(&json!({ "restored": args.directory, "replaced": aside }), |_| {
        format!("restored; what was there is in {}", aside.display())
    })?;
    out.say(Look::Yellow, "the bridge does nothing until it is recovered: landbridge recover");
    Ok(Exit::Success)
}

/// Begins the next incarnation.
pub(super) fn recover(home: &Path, args: &RecoverArgs, out: &Out) -> Result<Exit, Failure> {
    let home = Home::open(home).map_err(|fault| home_failure(&fault))?;
    let own = identity::own_root(home.path()).map_err(|error| identity_failure(&error))?;
    let question = "Runs of peers that are open here are given up for good. If newer state exists, put \
                    it back instead. Begin a new incarnation?";
    confirm(args.yes, question, out)?;
    let now = SystemClock.now();
    let done =
        rollback::recover(&home.state(), own.gateway(), now, args.unnoticed).map_err(|error| {
            match error {
                RecoverError::NotRolledBack => Failure::new(Exit::Failed, error)
                    .next("landbridge serve, or --unnoticed when you know that history was lost"),
                RecoverError::Open(error) => failure(BackupError::Open(error)),
                other => Failure::new(Exit::Failed, "nothing was recovered").because(other),
            }
        })?;
    let view = json!({
        "incarnation": done.incarnation.n, "since": instant(done.incarnation.since),
        "abandoned": done.abandoned, "calling": done.calling,
        "toldBy": done.found.as_ref().map(|found| found.told_by.clone()),
    });
    out.data(&view, |_| {
        format!(
            "incarnation {} begins; {} runs of peers given up, {} of our own go on",
            done.incarnation.n, done.abandoned, done.calling
        )
    })?;
    let next = "next: landbridge serve. Then look at peers, grants and tokens: changes made after the \
                backup are undone, so revoke again what was revoked since";
    out.say(Look::Yellow, next);
    Ok(Exit::Success)
}

fn confirm(yes: bool, question: &str, out: &Out) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !out.interactive() {
        return Err(Failure::new(Exit::Usage, "nobody is here to decide")
            .next("the same command with --yes"));
    }
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{question} [y/N] ");
    let _ = stderr.flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.or_fail(Exit::Failed, || "cannot read the answer")?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new(Exit::Failed, "nothing was changed")),
    }
}

fn failure(error: BackupError) -> Failure {
    match error {
        BackupError::Open(error @ OpenError::InUse { .. }) => {
            Failure::new(Exit::Failed, error).next("stop the bridge; then the same command")
        }
        BackupError::Exists(_) => Failure::new(Exit::CannotCreate, error).next("another directory"),
        BackupError::Differs { .. } | BackupError::NoManifest(_) | BackupError::Foreign { .. } => {
            Failure::new(Exit::Failed, error).next("another backup")
        }
        other => Failure::new(Exit::Failed, "the files could not be used").because(other),
    }
}
