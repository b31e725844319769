//! The keys of an offline role that are at hand, opened, and enough of them.
//!
//! Which files hold keys that count is the newest root's word alone: a name says nothing, a copy of a key
//! is the same key, and keys of other gateways on the same stick are passed over. Nobody is asked for a
//! passphrase before it is certain that enough files are there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use landbridge_node::clock::{Clock as _, SystemClock};
use landbridge_node::config::{Config, Home};
use landbridge_node::identity::{self, IdentityError, KeyFile};
use landbridge_proto::trust::signer::{KeySigner, Signer as _};
use landbridge_proto::wire::document::Root;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::name::KeyId;

use super::passphrase::Passphrases;
use super::{identity_failure, short_kid};
use crate::cli::{OfflineArgs, RootKeyArgs};
use crate::command::config::environment;
use crate::exit::{Exit, Failure};
use crate::out::Out;

/// Root keys, opened: as many as `root` demands, or all that were named.
///
/// # Errors
///
/// Says which keys are missing, and what to do about it.
pub(crate) fn root_signers(
    home: &Path,
    args: &RootKeyArgs,
    root: &Root,
    out: &Out,
) -> Result<Vec<KeySigner>, Failure> {
    let mut passphrases = Passphrases::given(&args.offline.passphrase, out)?;
    let directory = directory(home, &args.offline);
    signers(Role::Root, &args.root_keys, &directory, root, &mut passphrases, out)
}

/// The policy key, opened.
///
/// # Errors
///
/// As [`root_signers`].
pub(crate) fn policy_signer(
    home: &Path,
    named: Option<&PathBuf>,
    args: &OfflineArgs,
    root: &Root,
    out: &Out,
) -> Result<KeySigner, Failure> {
    let mut passphrases = Passphrases::given(&args.passphrase, out)?;
    let named: Vec<PathBuf> = named.into_iter().cloned().collect();
    let directory = directory(home, args);
    let signers = signers(Role::Policy, &named, &directory, root, &mut passphrases, out)?;
    // The latest of several: one that replaces another is listed beside it for a while.
    let now = SystemClock.now();
    let key = |signer: &KeySigner| root.keys.get(signer.kid());
    let valid = |signer: &KeySigner| key(signer).is_some_and(|key| key.nbf <= now && now < key.exp);
    let latest = signers.into_iter().filter(valid).max_by_key(|signer| key(signer).map(|key| key.nbf));
    latest.ok_or_else(|| {
        Failure::new(Exit::Failed, "no policy key is valid now")
            .why(format!("as root {} has it", root.version))
            .next("landbridge doctor")
    })
}

/// Where the offline keys are: by flag, by setting, or in the home.
pub(crate) fn directory(home: &Path, args: &OfflineArgs) -> PathBuf {
    if let Some(directory) = &args.offline_dir {
        return directory.clone();
    }
    let home = Home::at(home);
    // Settings that are wrong are for `config check` to tell.
    Config::load(&home, &environment()).map_or_else(|_| home.offline(), |config| config.offline)
}

fn signers(
    role: Role,
    named: &[PathBuf],
    directory: &Path,
    root: &Root,
    passphrases: &mut Passphrases,
    out: &Out,
) -> Result<Vec<KeySigner>, Failure> {
    let files = if named.is_empty() { found(role, directory)? } else { read(role, named)? };
    let wanted = Wanted::of(role, root);
    let mut held: BTreeMap<KeyId, KeyFile> = BTreeMap::new();
    for file in files {
        if wanted.kids.contains(file.kid()) {
            held.entry(file.kid().clone()).or_insert(file);
        } else if !named.is_empty() {
            return Err(Failure::new(
                Exit::Failed,
                format!("{} is no {role} key of this gateway", file.path().display()),
            )
            .why(format!("root {} does not name key {} as one", root.version, short_kid(file.kid()))));
        }
    }
    if held.len() < wanted.threshold {
        return Err(wanted.missing(&held, named, directory));
    }
    let enough = match (role, named.is_empty()) {
        (Role::Root, true) => wanted.threshold,
        _ => held.len(),
    };
    held.values().take(enough).map(|file| passphrases.open(file, out)).collect()
}

/// The keys of a role, and how many of them must sign.
struct Wanted<'a> {
    role: Role,
    version: u64,
    kids: Vec<&'a KeyId>,
    threshold: usize,
}

impl<'a> Wanted<'a> {
    fn of(role: Role, root: &'a Root) -> Self {
        let holders = root.roles.get(&role);
        let kids = holders.into_iter().flat_map(|holders| &holders.keyids).collect();
        let threshold = holders.map_or(1, |holders| holders.threshold);
        let threshold = usize::try_from(threshold).unwrap_or(usize::MAX);
        Self { role, version: root.version, kids, threshold }
    }

    fn missing(&self, held: &BTreeMap<KeyId, KeyFile>, named: &[PathBuf], directory: &Path) -> Failure {
        let Self { role, version, kids, threshold } = self;
        let keys = |count: usize| if count == 1 { "key" } else { "keys" };
        let what = format!(
            "root {version} wants {threshold} of its {} {role} {}, and {} here",
            kids.len(),
            keys(kids.len()),
            if held.len() == 1 { "one is".to_owned() } else { format!("{} are", held.len()) }
        );
        let missing: Vec<_> =
            kids.iter().filter(|kid| !held.contains_key(**kid)).map(|kid| short_kid(kid)).collect();
        let place = if named.is_empty() {
            format!("looked for in {}", directory.display())
        } else {
            "looked at the files that were named".to_owned()
        };
        let next = match role {
            Role::Root => {
                "the same command with --root-key FILE for each root key, or, where they are on \
                 different machines, landbridge root draft"
            }
            _ => "the same command with --policy-key FILE or --offline-dir DIR, where the policy key is",
        };
        let failure = Failure::new(Exit::Failed, what)
            .why(place)
            .why(format!("not here: {}", missing.join(", ")));
        failure.next(next)
    }
}

fn read(role: Role, paths: &[PathBuf]) -> Result<Vec<KeyFile>, Failure> {
    let read = |path: &PathBuf| KeyFile::read(path)?.of_role(role);
    paths.iter().map(|path| read(path).map_err(|error| identity_failure(&error))).collect()
}

/// The keys of a role in a directory, whatever their files are called.
fn found(role: Role, directory: &Path) -> Result<Vec<KeyFile>, Failure> {
    let failure = |error: IdentityError| {
        let failure = identity_failure(&error);
        match error {
            IdentityError::File { .. } => failure.next(format!(
                "bring the offline keys to {}, or the same command with --offline-dir DIR",
                directory.display()
            )),
            _ => failure,
        }
    };
    identity::check_closed(directory).map_err(failure)?;
    let fault = |fault| failure(IdentityError::File { path: directory.to_path_buf(), fault });
    let mut keys = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || !name.ends_with(".key") {
            continue;
        }
        match KeyFile::read(&path) {
            Ok(file) if file.role() == role => keys.push(file),
            // A stick may carry other things that are called keys.
            Ok(_) | Err(IdentityError::NotAKey { .. }) => {}
            Err(error) => return Err(identity_failure(&error)),
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests;
