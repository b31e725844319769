//! `init`: how the root and policy keys are kept.
//!
//! Whoever has them can speak for the gateway for ever and decide whom it trusts, so a person at a
//! terminal is asked for a passphrase. A script gets what it says, and a plain warning when it says nothing.

use std::path::PathBuf;

use landbridge_node::config::{Config, Home};
use landbridge_node::identity::{IdentityError, NewOffline, RootKeys};

use crate::cli::NewOfflineArgs;
use crate::command::config::{environment, wrong};
use crate::exit::{Exit, Failure, OrFail as _};
use crate::offline::identity_failure;
use crate::offline::passphrase::{Passphrases, ask_new};
use crate::out::{Look, Out};

/// What the flags, the environment and the person say.
pub(super) fn chosen(home: &Home, args: &NewOfflineArgs, out: &Out) -> Result<NewOffline, Failure> {
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
    let directory =
        args.offline_dir.as_ref().map(std::slice::from_ref).map(absolute).transpose()?;
    let mut offline = NewOffline {
        directory: directory.and_then(|mut one| one.pop()),
        root_keys: args.root_keys,
        root_directories,
        passphrase: None,
    };
    same_as_settings(home, &offline)?;
    // Before a person thinks of a passphrase, and before anything is made.
    offline.check().map_err(|error| unusable(&error))?;
    offline.passphrase = match Passphrases::given(&args.passphrase, out)?.into_first() {
        None if out.interactive() && !out.json() => ask_new("the root and policy keys", out)?,
        given => given,
    };
    if args.encrypt_offline && offline.passphrase.is_none() {
        return Err(Failure::new(
            Exit::Usage,
            "there is no passphrase to encrypt the offline keys with",
        )
        .next("init with --passphrase-file FILE, or on a terminal"));
    }
    Ok(offline)
}

/// Settings that an earlier try left behind stay as they are, so they must not say another directory.
fn same_as_settings(home: &Home, offline: &NewOffline) -> Result<(), Failure> {
    if !home.config().exists() {
        return Ok(());
    }
    let config = Config::load(home, &environment()).map_err(|errors| wrong(&errors))?;
    let asked = offline.directory.clone().unwrap_or_else(|| home.offline());
    if config.offline == asked {
        return Ok(());
    }
    let file = home.config();
    Err(Failure::new(
        Exit::Usage,
        format!("{} says another directory for the offline keys", file.display()),
    )
    .why(format!("offline.dir is {}", config.offline.display()))
    .next(format!("init with --offline-dir {}, or without that file", config.offline.display())))
}

fn unusable(error: &IdentityError) -> Failure {
    let failure = identity_failure(error);
    match error {
        IdentityError::File { path, fault } if fault.kind() == std::io::ErrorKind::NotFound => {
            let parent = path.parent().unwrap_or(path).display().to_string();
            failure.next(format!("mount what {parent} is on, or mkdir -m 700 {parent}"))
        }
        IdentityError::Exists { .. } => {
            failure.next("another directory, or the medium that is meant")
        }
        _ => failure,
    }
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
