//! Backups: a consistent copy of a bridge's state with a manifest, and putting one in place again.
//!
//! The database is copied by SQLite while commits go on, so a backup is of one moment. Keys are left out
//! unless they are asked for: who has them is the bridge. A backup that is put in place says so in its
//! own database before it gets there, so that the bridge starts stopped on any machine, also on one
//! that has no witness of what came after the backup.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use data_encoding::HEXLOWER;
use landbridge_proto::wire::name::{GatewayId, Timestamp};
use landbridge_store::{Fault, Handle, OpenError};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::Home;
use crate::rollback::{RecoverError, mark_restored};
use crate::serve::store_options;

/// What a backup consists of.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// The form of this file: 1.
    pub v: u32,
    /// Whose backup it is.
    pub gateway: GatewayId,
    /// When it was made.
    pub made: Timestamp,
    /// The software that made it.
    pub software: String,
    /// Whether the keys are in it.
    pub keys: bool,
    /// Every file, by its path inside the backup.
    pub files: Vec<FileEntry>,
}

/// One file of a backup.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its path, with `/`.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// Why a backup was not made or not put in place.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It is never written over.
    #[error("{} exists already; backups are never overwritten", .0.display())]
    Exists(PathBuf),
    /// A file or directory could not be used.
    #[error("cannot use {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        fault: io::Error,
    },
    /// The database was not copied.
    #[error("the database was not copied")]
    Copy(#[from] Fault),
    /// The store cannot be opened; a running bridge is the usual reason.
    #[error("the store cannot be opened")]
    Open(#[from] OpenError),
    /// No manifest, or none of this form.
    #[error("{} is no manifest of a backup", .0.display())]
    NoManifest(PathBuf),
    /// A file that is not as the manifest says.
    #[error("{path} is not as the manifest says; this backup was changed or is not complete")]
    Differs {
        /// Its path inside the backup.
        path: String,
    },
    /// Another gateway's backup.
    #[error("this is a backup of {found}, and this home is {own}")]
    Foreign {
        /// Whose backup it is.
        found: GatewayId,
        /// Whose home this is.
        own: GatewayId,
    },
    /// The restored database does not say that it is one.
    #[error("the restored database could not be marked")]
    Mark(#[from] RecoverError),
}

/// Copies the database of a running bridge, or of a stopped one, into the directory `into`.
///
/// # Errors
///
/// [`BackupError`]; an incomplete copy may stay behind.
pub fn copy_database(store: &Handle, into: &Path) -> Result<(), BackupError> {
    make(into)?;
    let path = into.join(DATABASE);
    if path.exists() {
        return Err(BackupError::Exists(path));
    }
    Ok(store.backup_to(&path)?)
}

/// As [`copy_database`], for a bridge that does not run.
///
/// # Errors
///
/// [`BackupError::Open`] while a bridge runs.
pub fn copy_database_offline(state: &Path, into: &Path) -> Result<(), BackupError> {
    copy_database(&Handle::open_inline(state, &store_options(state))?, into)
}

/// Makes the backup's directory, which must not exist.
///
/// # Errors
///
/// [`BackupError::Exists`], or why it cannot be made.
pub fn begin(directory: &Path) -> Result<(), BackupError> {
    if directory.exists() {
        return Err(BackupError::Exists(directory.to_owned()));
    }
    make(directory)
}

/// Adds the other files to a backup whose database is there, and writes the manifest last: a backup
/// without one is not complete.
///
/// # Errors
///
/// [`BackupError`].
pub fn finish(
    home: &Home,
    gateway: &GatewayId,
    directory: &Path,
    keys: bool,
    made: Timestamp,
) -> Result<Manifest, BackupError> {
    let mut places = PUBLIC.to_vec();
    if keys {
        places.extend(SECRET);
    }
    for place in places {
        copy_tree(&home.path().join(place), &directory.join(place))?;
    }
    let mut files = Vec::new();
    list(directory, directory, &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let manifest = Manifest {
        v: 1,
        gateway: gateway.clone(),
        made,
        software: format!("landbridge {}", env!("CARGO_PKG_VERSION")),
        keys,
        files,
    };
    let path = directory.join(MANIFEST);
    let text = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    write_new(&path, &text).map_err(failed(&path))?;
    sync(directory)?;
    Ok(manifest)
}

/// Reads a backup's manifest and compares every file with it.
///
/// # Errors
///
/// [`BackupError::Differs`] for the first file that is not as it must be.
pub fn verify(directory: &Path) -> Result<Manifest, BackupError> {
    let path = directory.join(MANIFEST);
    let text = fs::read(&path).map_err(failed(&path))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|_| BackupError::NoManifest(path.clone()))?;
    let plain = |entry: &FileEntry| {
        Path::new(&entry.path).components().all(|part| matches!(part, Component::Normal(_)))
    };
    if manifest.v != 1 || !manifest.files.iter().all(plain) {
        return Err(BackupError::NoManifest(path));
    }
    let mut found = Vec::new();
    list(directory, directory, &mut found)?;
    for entry in &manifest.files {
        if !found.contains(entry) {
            return Err(BackupError::Differs { path: entry.path.clone() });
        }
    }
    let known = |entry: &FileEntry| manifest.files.iter().any(|known| known.path == entry.path);
    match found.into_iter().find(|entry| !known(entry)) {
        Some(extra) => Err(BackupError::Differs { path: extra.path }),
        None => Ok(manifest),
    }
}

/// Puts a verified backup in place of what is in `home`, which is kept aside in the returned directory.
/// The bridge then starts stopped, until it is recovered.
///
/// # Errors
///
/// [`BackupError`]; what was replaced until then is in the directory aside.
pub fn restore(
    home: &Home,
    own: Option<&GatewayId>,
    directory: &Path,
    now: Timestamp,
) -> Result<(Manifest, PathBuf), BackupError> {
    let manifest = verify(directory)?;
    if let Some(own) = own.filter(|own| **own != manifest.gateway) {
        return Err(BackupError::Foreign { found: manifest.gateway, own: own.clone() });
    }
    let state = home.state();
    // Held until the end: no bridge starts in between.
    let _lock = landbridge_store::lock(&state)?;
    let staged = home.path().join(format!("restoring-{now}"));
    begin(&staged)?;
    copy_tree(&directory.join(STATE), &staged.join(STATE))?;
    mark_restored(&staged.join(STATE), &manifest.gateway, now)?;
    let aside = home.path().join(format!("replaced-{now}"));
    begin(&aside)?;
    make(&aside.join(STATE))?;
    for name in [DATABASE.to_owned(), format!("{DATABASE}-wal"), format!("{DATABASE}-shm")] {
        move_if_there(&state.join(&name), &aside.join(STATE).join(&name))?;
        move_if_there(&staged.join(STATE).join(&name), &state.join(&name))?;
    }
    sync(&state)?;
    // Roots that peers may know by now are not taken back, nor are the keys that they list.
    let is_newer = roots_in(home.path()) > roots_in(directory);
    let places = PUBLIC.into_iter().chain(SECRET);
    let places = places.filter(|place| !(is_newer && IDENTITY.contains(place)));
    for place in places.filter(|place| directory.join(place).exists()) {
        move_if_there(&home.path().join(place), &aside.join(place))?;
        copy_tree(&directory.join(place), &home.path().join(place))?;
    }
    fs::remove_dir_all(&staged).map_err(failed(&staged))?;
    sync(home.path())?;
    Ok((manifest, aside))
}

/// How many roots there are.
fn roots_in(place: &Path) -> usize {
    fs::read_dir(place.join("root")).map_or(0, Iterator::count)
}

fn failed(path: &Path) -> impl Fn(io::Error) -> BackupError {
    let path = path.to_owned();
    move |fault| BackupError::File { path: path.clone(), fault }
}

fn make(directory: &Path) -> Result<(), BackupError> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed(directory))
}

fn move_if_there(from: &Path, to: &Path) -> Result<(), BackupError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(failed(from)),
    }
}

/// Copies a file or a directory that is there, readable by its owner only. Links are not followed.
fn copy_tree(from: &Path, to: &Path) -> Result<(), BackupError> {
    let found = match fs::symlink_metadata(from) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(from)(error)),
    };
    if found.is_dir() {
        make(to)?;
        for entry in fs::read_dir(from).map_err(failed(from))? {
            let entry = entry.map_err(failed(from))?;
            copy_tree(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if !found.is_file() {
        return Ok(());
    }
    let copy = || {
        let mut source = File::open(from)?;
        let mut target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
        io::copy(&mut source, &mut target)?;
        target.sync_all()
    };
    copy().map_err(failed(from))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync(directory: &Path) -> Result<(), BackupError> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(failed(directory))
}

/// Every file below `at` but the manifest itself, with its digest.
fn list(root: &Path, at: &Path, files: &mut Vec<FileEntry>) -> Result<(), BackupError> {
    for entry in fs::read_dir(at).map_err(failed(at))? {
        let path = entry.map_err(failed(at))?.path();
        if path.is_dir() {
            list(root, &path, files)?;
            continue;
        }
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        if name != MANIFEST {
            let (bytes, sha256) = digest(&path).map_err(failed(&path))?;
            files.push(FileEntry { path: name, bytes, sha256 });
        }
    }
    Ok(())
}

fn digest(path: &Path) -> io::Result<(u64, String)> {
    let (mut file, mut hash, mut bytes) = (File::open(path)?, Sha256::new(), 0);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok((bytes, HEXLOWER.encode(&hash.finalize())));
        }
        hash.update(&buffer[..count]);
        bytes += count as u64;
    }
}

/// Where the database lies, in a home and in a backup.
pub const STATE: &str = "state";
const DATABASE: &str = "landbridge.db";
const MANIFEST: &str = "manifest.json";
/// What anybody may know, and what a bridge is set up by.
const PUBLIC: [&str; 2] = ["root", "landbridge.toml"];
/// What fits together: the roots, and the keys that the newest of them lists.
const IDENTITY: [&str; 3] = ["root", "keys", "tls"];
/// What makes somebody this bridge. The keys that are kept elsewhere are never in a backup.
const SECRET: [&str; 3] = ["keys", "tls", "gateway"];

#[cfg(test)]
mod tests;
