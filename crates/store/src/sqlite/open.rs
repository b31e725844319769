//! Opening: who may, which files, which settings.
//!
//! The database holds request bodies and audit, so nobody but its owner may read it; and two bridges
//! on one database would both believe to be the only driver, so an exclusive lock of the operating
//! system keeps the second out. The kernel drops that lock when its holder dies, however it dies.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use landbridge_planted::planted;
use rusqlite::{Connection, OpenFlags};

const DATABASE: &str = "landbridge.db";
const LOCK: &str = "lock";

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Read-only connections.
    pub readers: usize,
    /// Batches of one group at most.
    pub group_batches: usize,
    /// Bytes of one group after which no further batch joins it.
    pub group_bytes: usize,
    /// Batches that may wait for the writer before committers wait too.
    pub queue: usize,
    /// How long a connection waits for a lock of the database.
    pub busy_timeout: Duration,
    /// The file outside of the store that witnesses how far it came; `None`: there is no witness.
    pub witness: Option<PathBuf>,
    /// Room that is kept beside the database for when the disk is full, in bytes; 0: none.
    ///
    /// Twice the log's usual size (it is emptied at 8 MiB, and one more group fits on top), so that what
    /// waits in the log finds its place in the database and as much is left for ends.
    pub reserve_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            readers: 4,
            group_batches: 256,
            group_bytes: 8 * 1024 * 1024,
            queue: 1024,
            busy_timeout: Duration::from_secs(5),
            witness: None,
            reserve_bytes: 32 * 1024 * 1024,
        }
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the lock.
    #[error("the store in {dir} is in use by process {pid}; stop it first")]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The other process, as it wrote itself down.
        pid: String,
    },
    /// Other users can get at a file or a directory of the store.
    #[error("{path} is accessible to other users (mode {mode:o}); run: chmod go-rwx {path}")]
    Exposed {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file or directory belongs to another user.
    #[error("{path} belongs to user {uid}, not to the user of this process")]
    NotOurs {
        /// The file or directory.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// A file or directory cannot be used.
    #[error("{path} cannot be used")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database was written by a newer program.
    #[error("the database has version {found}, this program knows up to {known}; use a newer one")]
    Newer {
        /// The database's version.
        found: usize,
        /// The newest version that this program knows.
        known: usize,
    },
    /// The database of this version was made by other statements than this program's.
    #[error("the database was made by another build: its migration {version} differs")]
    OtherMigration {
        /// The migration.
        version: i64,
    },
    /// The file is a database of something else.
    #[error("the database is not one of landbridge (application id {found})")]
    Foreign {
        /// Its application id.
        found: i32,
    },
    /// SQLite refused a setting that durability rests on.
    #[error("sqlite did not accept {setting}: it says {found}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What it says instead.
        found: String,
    },
    /// SQLite failed.
    #[error("the database cannot be opened")]
    Database(#[from] rusqlite::Error),
    /// The writer's thread could not be started.
    #[error("the writer's thread cannot be started")]
    Thread(#[source] io::Error),
}

/// The operating system's lock on the store; gone when it is dropped or its process dies.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

/// Makes the directory if there is none, checks who may enter it, and takes the lock.
///
/// # Errors
///
/// [`OpenError::InUse`] while another process has it, or what is wrong with the directory.
pub fn secure(dir: &Path) -> Result<Lock, OpenError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::File { path, source }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed(dir))?;
    private(dir, &dir.metadata().map_err(failed(dir))?)?;

    let path = dir.join(LOCK);
    let mut file = private_file(&path).map_err(failed(&path))?;
    private(&path, &file.metadata().map_err(failed(&path))?)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.take(32).read_to_string(&mut pid);
            let pid = if pid.trim().is_empty() { "unknown" } else { pid.trim() }.to_owned();
            return Err(OpenError::InUse { dir: dir.to_owned(), pid });
        }
        Err(TryLockError::Error(source)) => return Err(OpenError::File { path, source }),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(failed(&path))?;
    Ok(Lock(file))
}

/// Whether there is a database already.
pub(super) fn has_database(dir: &Path) -> bool {
    dir.join(DATABASE).exists()
}

/// Makes the database's file if there is none, and checks who may read it.
///
/// SQLite would make it with the process's umask, and gives its log the mode of the database.
pub(super) fn database(dir: &Path) -> Result<PathBuf, OpenError> {
    let path = dir.join(DATABASE);
    let found = private_file(&path).and_then(|file| {
        let found = file.metadata()?;
        if found.nlink() > 1 || !found.is_file() {
            return Err(io::Error::other("not a file of its own"));
        }
        Ok(found)
    });
    match found {
        Ok(found) => private(&path, &found).map(|()| path),
        Err(source) => Err(OpenError::File { path, source }),
    }
}

/// Where SQLite keeps the write-ahead log.
pub(super) fn wal(dir: &Path) -> PathBuf {
    dir.join(format!("{DATABASE}-wal"))
}

/// Opens the writing connection.
pub(super) fn writer(path: &Path, options: &Options) -> Result<Connection, OpenError> {
    let db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    db.busy_timeout(options.busy_timeout)?;
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(OpenError::Setting { setting: "journal_mode=WAL", found: mode });
    }
    db.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA secure_delete = FAST;
         PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA cache_size = -16384;
         PRAGMA wal_autocheckpoint = 2000;
         PRAGMA journal_size_limit = 16777216;",
    )?;
    if planted!("store_synchronous_off") {
        db.execute_batch("PRAGMA synchronous = OFF")?;
    }
    let level: i64 = db.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
    if level != 2 {
        return Err(OpenError::Setting { setting: "synchronous=FULL", found: level.to_string() });
    }
    db.set_prepared_statement_cache_capacity(128);
    Ok(db)
}

/// Opens a reading connection.
pub(super) fn reader(path: &Path, options: &Options) -> Result<Connection, OpenError> {
    let db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    db.busy_timeout(options.busy_timeout)?;
    db.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cache_size = -4096;")?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// Opens or makes a file that only its owner may touch.
fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

fn private(path: &Path, found: &std::fs::Metadata) -> Result<(), OpenError> {
    let path = path.to_owned();
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(OpenError::NotOurs { path, uid: found.uid() });
    }
    match found.mode() & 0o777 {
        mode if mode & 0o077 != 0 => Err(OpenError::Exposed { path, mode }),
        _ => Ok(()),
    }
}

/// Makes a file that only its owner may touch; one that exists is left alone.
pub(super) fn new_private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
