//! Where the keys of a new identity go that the daemon never reads.
//!
//! They may lie on a stick, and each root key on one of its own. A file cannot be renamed from one file
//! system to another, so what lies elsewhere is written under a draft's name where it belongs, and gets
//! its own name just before the home becomes complete. Which names those are is noted beside the whole
//! identity, so that an interrupted `init` is finished as it was begun.

use std::fmt;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use landbridge_proto::trust::signer::KeySigner;
use landbridge_proto::wire::kind::Role;

use serde::{Deserialize, Serialize};

use super::sealed::Passphrase;
use super::{IdentityError, KeyFile, check_closed, file_fault, key_file_name};
use crate::clock::Entropy;
use crate::net::file;

/// How many root keys there are, and how many of them must sign a root.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RootKeys {
    threshold: u8,
    count: u8,
}

/// Why a text is not `M-of-N`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("root keys are M-of-N, as in 2-of-3: {max} keys at most, and at least one of them signs")]
pub struct RootKeysError {
    /// The most keys allowed.
    max: u8,
}

impl RootKeys {
    /// One key, which signs alone.
    pub const SINGLE: Self = Self { threshold: 1, count: 1 };

    /// How many must sign.
    #[must_use]
    pub const fn threshold(self) -> u8 {
        self.threshold
    }

    /// How many there are.
    #[must_use]
    pub const fn count(self) -> u8 {
        self.count
    }
}

impl FromStr for RootKeys {
    type Err = RootKeysError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = RootKeysError { max: ROOT_KEYS_MAX };
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u8>().ok()).flatten().ok_or(wrong)
        };
        let (threshold, count) = text.split_once("-of-").ok_or(wrong)?;
        let (threshold, count) = (number(threshold)?, number(count)?);
        if count > ROOT_KEYS_MAX || !(1..=count).contains(&threshold) {
            return Err(wrong);
        }
        Ok(Self { threshold, count })
    }
}

impl fmt::Display for RootKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-of-{}", self.threshold, self.count)
    }
}

/// How the offline keys of a new identity are kept.
#[derive(Debug)]
pub struct NewOffline {
    /// Where they go; `None`: into the home, in `offline/`.
    pub directory: Option<PathBuf>,
    /// How many root keys, and how many of them sign.
    pub root_keys: RootKeys,
    /// Where each root key goes, one directory for each; empty: all where the policy key goes.
    pub root_directories: Vec<PathBuf>,
    /// What they are encrypted with; `None`: whoever has the files has the keys.
    pub passphrase: Option<Passphrase>,
}

impl NewOffline {
    /// Makes the directories outside of the home that are not there yet, and checks that keys can go
    /// there: before anything else is made.
    ///
    /// # Errors
    ///
    /// Refuses a directory without a parent, one that others may open, and one that holds such keys.
    pub fn check(&self) -> Result<(), IdentityError> {
        let root =
            (0..self.root_keys.count()).map(|at| (self.root_directory(at), self.root_name(at)));
        let policy = (self.directory.as_ref(), key_file_name(Role::Policy));
        for (directory, name) in root.chain([policy]) {
            let Some(directory) = directory else { continue };
            directory_of_keys(directory)?;
            let kept = directory.join(name);
            if kept.symlink_metadata().is_ok() {
                return Err(IdentityError::Exists { path: kept });
            }
        }
        Ok(())
    }

    fn root_directory(&self, at: u8) -> Option<&PathBuf> {
        self.root_directories.get(usize::from(at)).or(self.directory.as_ref())
    }

    fn root_name(&self, at: u8) -> String {
        match self.root_keys.count() {
            1 => key_file_name(Role::Root),
            _ => format!("root-{}.key", at + 1),
        }
    }
}

impl Default for NewOffline {
    fn default() -> Self {
        Self {
            directory: None,
            root_keys: RootKeys::SINGLE,
            root_directories: Vec::new(),
            passphrase: None,
        }
    }
}

/// The files of the offline keys while an identity is made.
pub(super) struct Places {
    root: Vec<Place>,
    policy: Place,
}

#[derive(Serialize, Deserialize)]
struct Place {
    /// Where the key is written first.
    draft: PathBuf,
    /// Where it is in the end.
    kept: PathBuf,
    /// The draft gets its name here; otherwise with the whole directory of the home.
    elsewhere: bool,
}

impl Places {
    /// Decides where each key goes, and checks that it can go there and overwrites nothing.
    pub(super) fn prepare(
        new: &NewOffline,
        home: &Path,
        draft: &Path,
    ) -> Result<Self, IdentityError> {
        new.check()?;
        let at_home = (draft.join(super::OFFLINE), home.join(super::OFFLINE));
        let place = |directory: Option<&PathBuf>, name: &str| {
            let Some(directory) = directory else {
                let (draft, kept) = (at_home.0.join(name), at_home.1.join(name));
                return Ok(Place { draft, kept, elsewhere: false });
            };
            let draft = directory.join(format!("{}-{name}", super::DRAFT));
            match fs::remove_file(&draft) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(file_fault(&draft)(error))
                }
                _ => Ok(Place { draft, kept: directory.join(name), elsewhere: true }),
            }
        };
        let root =
            (0..new.root_keys.count()).map(|at| place(new.root_directory(at), &new.root_name(at)));
        Ok(Self {
            root: root.collect::<Result<_, _>>()?,
            policy: place(new.directory.as_ref(), &key_file_name(Role::Policy))?,
        })
    }

    /// Makes the keys of an offline role.
    pub(super) fn make(
        &self,
        role: Role,
        passphrase: Option<&Passphrase>,
        entropy: &dyn Entropy,
    ) -> Result<Vec<KeySigner>, IdentityError> {
        let places = if role == Role::Root {
            self.root.as_slice()
        } else {
            std::slice::from_ref(&self.policy)
        };
        let make = |place: &Place| KeyFile::create(&place.draft, role, passphrase, entropy);
        places.iter().map(make).collect()
    }

    /// Notes beside the whole identity where the keys belong.
    pub(super) fn note(&self, draft: &Path) -> Result<(), IdentityError> {
        let path = draft.join(NOTE);
        let all: Vec<&Place> = self.all().collect();
        let text = serde_json::to_vec(&all).map_err(|error| file_fault(&path)(error.into()))?;
        file::write_private(&path, &text).map_err(file_fault(&path))
    }

    fn all(&self) -> impl Iterator<Item = &Place> {
        self.root.iter().chain(std::iter::once(&self.policy))
    }
}

/// Gives the keys that lie elsewhere their names, as often as it takes, and says where all of them are.
pub(super) fn settle(made: &Path) -> Result<Vec<PathBuf>, IdentityError> {
    let path = made.join(NOTE);
    let text = fs::read(&path).map_err(file_fault(&path))?;
    let places: Vec<Place> =
        serde_json::from_slice(&text).map_err(|error| file_fault(&path)(error.into()))?;
    for place in places.iter().filter(|place| place.elsewhere) {
        if !place.draft.exists() {
            // It has its name already, or what it is on was taken away: then it must come back first.
            fs::metadata(&place.kept).map_err(file_fault(&place.kept))?;
            continue;
        }
        fs::rename(&place.draft, &place.kept).map_err(file_fault(&place.kept))?;
        if let Some(directory) = place.kept.parent() {
            let sync = fs::File::open(directory).and_then(|directory| directory.sync_all());
            sync.map_err(file_fault(directory))?;
        }
    }
    Ok(places.into_iter().map(|place| place.kept).collect())
}

/// Makes the directory where there is none. Not its parents: a stick that is not mounted has none, and
/// its keys would land on this machine's disk.
fn directory_of_keys(path: &Path) -> Result<(), IdentityError> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(file_fault(path)(error));
        }
        _ => {}
    }
    check_closed(path)
}

/// Where it is noted which key belongs where.
const NOTE: &str = "offline.json";
/// Enough for any board of people, and a root has room for two such sets while one replaces another.
const ROOT_KEYS_MAX: u8 = 9;

#[cfg(test)]
mod tests;
