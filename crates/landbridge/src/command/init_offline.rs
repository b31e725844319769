//! `init`: how the root and policy keys are kept.
//!
//! Whoever has them can speak for the gateway for ever and decide whom it trusts, so a person at a
//! terminal is asked for a passphrase. A script gets what it says, and a plain warning when it says nothing.

use std::path::PathBuf;

use landbridge_node::config::Home;
use landbridge_node::identity::{NewOffline, RootKeys};

use crate::cli::NewOfflineArgs;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::offline::passphrase::{Passphrases, ask_new};
use crate::out::{Look, Out};

/// What the flags, the environment and the person say.
pub(super) fn chosen(args: &NewOfflineArgs, out: &Out) -> Result<NewOffline, Failure> {
    let count = usize::from(args.root_keys.count());
    let places = args.root_key_dirs.len();
    if places != 0 && places != count {
        return Err(Failure::new(
            Exit::Usage,
            format!("{count} root keys go to {count} directories, not to {places}"),
        )
        .next("--root-key-dir DIR once for each root key, or not at all"));
    }
    let root_directories = absolute(&args.root_key_dirs)?;
    let distinct: std::collections::BTreeSet<_> = root_directories.iter().collect();
    if distinct.len() != root_directories.len() {
        return Err(Failure::new(Exit::Usage, "two root keys would go to one directory")
            .why("a thief of one would have both"));
    }
    let given = Passphrases::given(&args.passphrase, out)?;
    let asked = given.is_empty();
    let passphrase = match given.into_first() {
        Some(passphrase) => Some(passphrase),
        None if out.interactive() && !out.json() => ask_new("the root and policy keys", out)?,
        None => None,
    };
    if args.encrypt_offline && passphrase.is_none() {
        let what = if asked { "no passphrase was given" } else { "the passphrase is empty" };
        return Err(Failure::new(Exit::Usage, "the offline keys were not encrypted")
            .why(what)
            .next("init with --passphrase-file FILE, or on a terminal"));
    }
    let directory =
        args.offline_dir.as_ref().map(std::slice::from_ref).map(absolute).transpose()?;
    Ok(NewOffline {
        directory: directory.and_then(|mut one| one.pop()),
        root_keys: args.root_keys,
        root_directories,
        passphrase,
    })
}

fn absolute(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let absolute = |path: &PathBuf| {
        std::path::absolute(path)
            .or_fail(Exit::Usage, || format!("{} is not a directory's name", path.display()))
    };
    paths.iter().map(absolute).collect()
}

/// Says what was made and what to do with it now.
pub(super) fn say(home: &Home, offline: &NewOffline, keys: &[PathBuf], out: &Out) {
    let beside = keys.iter().filter(|key| key.starts_with(home.path())).count();
    if offline.root_keys != RootKeys::SINGLE {
        let (threshold, count) = (offline.root_keys.threshold(), offline.root_keys.count());
        out.say(Look::Plain, format!("{threshold} of these {count} root keys make a new root:"));
        for key in keys.iter().take(usize::from(count)) {
            out.say(Look::Plain, format!("  {}", key.display()));
        }
        let directories: std::collections::BTreeSet<_> =
            keys.iter().take(usize::from(count)).map(|key| key.parent()).collect();
        if directories.len() == 1 && count > 1 {
            out.say(
                Look::Yellow,
                "move each to a place of its own now: together they protect no more than one",
            );
        }
    }
    match (offline.passphrase.is_some(), beside) {
        (true, 0) => {}
        (true, _) => out.say(
            Look::Plain,
            "the root and policy keys are encrypted; keep a copy of them, and the passphrase, elsewhere",
        ),
        (false, 0) => out.say(
            Look::Yellow,
            "the root and policy keys are not encrypted: whoever holds the medium has the gateway",
        ),
        (false, _) => out.say(
            Look::Yellow,
            format!(
                "{} holds the root and policy keys, not encrypted: the running bridge never reads them, \
                 and whoever breaks in can. Take them off this machine, or encrypt them: landbridge key \
                 passphrase FILE",
                home.offline().display()
            ),
        ),
    }
}
