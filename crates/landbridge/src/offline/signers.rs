//! The keys of an offline role that are at hand, opened, and enough of them.
//!
//! Which files hold keys that count is the newest root's word alone: a name says nothing, a copy of a key
//! is the same key, and keys of other gateways on the same stick are passed over. Nobody is asked for a
//! passphrase before it is certain that enough files are there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use landbridge_node::clock::{Clock as _, SystemClock};
use landbridge_node::config::{Config, Home};
use landbridge_node::identity::{self, IdentityError, KeyFile, Passphrase};
use landbridge_proto::trust::signer::KeySigner;
use landbridge_proto::wire::document::Root;
use landbridge_proto::wire::kind::{Role, SignedBy};
use landbridge_proto::wire::name::KeyId;

use super::passphrase::Passphrases;
use super::{identity_failure, short_kid};
use crate::cli::{OfflineArgs, RootKeyArgs};
use crate::command::config::environment;
use crate::exit::{Exit, Failure};
use crate::out::Out;

/// The root keys that are at hand, not opened yet.
pub(crate) struct RootKeys {
    files: Vec<KeyFile>,
    named: bool,
    place: PathBuf,
    passphrases: Passphrases,
}

impl RootKeys {
    /// The files that were named, or else the root keys of the offline directory.
    pub(crate) fn find(home: &Path, args: &RootKeyArgs, out: &Out) -> Result<Self, Failure> {
        let passphrases = Passphrases::given(&args.offline.passphrase, out)?;
        let place = directory(home, &args.offline);
        let named = !args.root_keys.is_empty();
        let files =
            if named { read(Role::Root, &args.root_keys)? } else { found(Role::Root, &place)? };
        Ok(Self { files, named, place, passphrases })
    }

    /// Also this file: a key that was just made.
    pub(crate) fn add(&mut self, path: &Path) -> Result<(), Failure> {
        self.files.extend(read(Role::Root, &[path.to_path_buf()])?);
        Ok(())
    }

    /// Where the first of them is: a successor goes beside it.
    pub(crate) fn directory(&self) -> &Path {
        self.files.first().and_then(|file| file.path().parent()).unwrap_or(&self.place)
    }

    /// The offline directory.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Opens another file with what is known by now.
    pub(crate) fn open(&mut self, file: &KeyFile, out: &Out) -> Result<KeySigner, Failure> {
        self.passphrases.open(file, out)
    }

    /// The passphrase of the first of them, for a successor; `None` where it has none.
    pub(crate) fn passphrase(&mut self, out: &Out) -> Result<Option<&Passphrase>, Failure> {
        match self.files.first() {
            Some(file) => self.passphrases.of(file, out),
            None => Ok(None),
        }
    }

    /// Signers for `to`, which follows `from` or is the same: a threshold of each, and of files that were
    /// named all that have a say. Nobody is asked for a passphrase before enough files are there.
    ///
    /// # Errors
    ///
    /// Says which keys are missing, and what to do about it.
    pub(crate) fn signers(
        &mut self,
        from: &Root,
        to: &Root,
        out: &Out,
    ) -> Result<Vec<KeySigner>, Failure> {
        let wanted = [Wanted::of(Role::Root, from), Wanted::of(Role::Root, to)];
        let says = |file: &KeyFile| wanted.iter().filter(|one| one.has(file.kid())).count();
        let mut held: BTreeMap<KeyId, &KeyFile> = BTreeMap::new();
        for file in self.files.iter().filter(|file| says(file) > 0) {
            held.entry(file.kid().clone()).or_insert(file);
        }
        for one in &wanted {
            let here: Vec<_> = held.keys().filter(|kid| one.has(kid)).collect();
            if here.len() < one.threshold {
                return Err(one.missing(&here, self.named, &self.place));
            }
        }
        // Keys that count for both come first, so that as few as possible have to be opened.
        let mut files: Vec<&KeyFile> = held.into_values().collect();
        files.sort_by_key(|file| std::cmp::Reverse(says(file)));
        let mut left = wanted.each_ref().map(|one| one.threshold);
        let mut signers = Vec::new();
        for file in files {
            let helps =
                wanted.iter().zip(&left).any(|(one, left)| *left > 0 && one.has(file.kid()));
            if !helps && !self.named {
                continue;
            }
            for (one, left) in wanted.iter().zip(&mut left) {
                *left = left.saturating_sub(usize::from(one.has(file.kid())));
            }
            signers.push(self.passphrases.open(file, out)?);
        }
        Ok(signers)
    }
}

/// The policy key, opened.
///
/// # Errors
///
/// As [`RootKeys::signers`].
pub(crate) fn policy_signer(
    home: &Path,
    named: Option<&PathBuf>,
    args: &OfflineArgs,
    root: &Root,
    out: &Out,
) -> Result<KeySigner, Failure> {
    let mut passphrases = Passphrases::given(&args.passphrase, out)?;
    let place = directory(home, args);
    let files = match named {
        Some(path) => read(Role::Policy, std::slice::from_ref(path))?,
        None => found(Role::Policy, &place)?,
    };
    let wanted = Wanted::of(Role::Policy, root);
    let (ours, others): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| wanted.has(file.kid()));
    if let (Some(path), Some(other), true) = (named, others.first(), ours.is_empty()) {
        let what = format!("{} is not the policy key of this gateway", path.display());
        let why =
            format!("root {} does not name key {} as one", root.version, short_kid(other.kid()));
        return Err(Failure::new(Exit::Failed, what).why(why));
    }
    if ours.is_empty() {
        return Err(wanted.missing(&[], named.is_some(), &place));
    }
    // The latest of several: one that replaces another is listed beside it for a while.
    let now = SystemClock.now();
    let key = |file: &KeyFile| root.keys.get(file.kid());
    let valid = |file: &KeyFile| key(file).is_some_and(|key| key.nbf <= now && now < key.exp);
    let latest =
        ours.iter().filter(|file| valid(file)).max_by_key(|file| key(file).map(|key| key.nbf));
    match latest {
        Some(file) => passphrases.open(file, out),
        None => Err(Failure::new(Exit::Failed, "no policy key is valid now")
            .why(format!("as root {} has it", root.version))
            .next("landbridge doctor")),
    }
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

    fn has(&self, kid: &KeyId) -> bool {
        self.kids.contains(&kid)
    }

    fn missing(&self, here: &[&KeyId], named: bool, directory: &Path) -> Failure {
        let Self { role, version, kids, threshold } = self;
        let what = match (kids.len(), here.len()) {
            (1, _) => format!("the {role} key of root {version} is not here"),
            (count, have) => {
                let have = if have == 1 { "1 is".to_owned() } else { format!("{have} are") };
                format!(
                    "root {version} wants {threshold} of its {count} {role} keys, and {have} here"
                )
            }
        };
        let missing: Vec<_> =
            kids.iter().filter(|kid| !here.contains(*kid)).map(|kid| short_kid(kid)).collect();
        let place = if named {
            "looked at the files that were named".to_owned()
        } else {
            format!("looked for in {}", directory.display())
        };
        let next = match role {
            Role::Root => {
                "the same command with --root-key FILE for each root key, or, where they are on \
                 different machines, landbridge root draft"
            }
            _ => {
                "the same command with --policy-key FILE or --offline-dir DIR, where the policy key is"
            }
        };
        Failure::new(Exit::Failed, what)
            .why(place)
            .why(format!("missing: {}", missing.join(", ")))
            .next(next)
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
            Ok(file) if file.holder() == SignedBy::Role(role) => keys.push(file),
            // A stick may carry other things that are called keys.
            Ok(_) | Err(IdentityError::NotAKey { .. }) => {}
            Err(error) => return Err(identity_failure(&error)),
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests;
