//! Why a store cannot go on. None of it is transient: whoever sees a [`Fault`] stops the process. A full
//! disk never gets so far: it is an outcome of each batch that found no room.

use std::sync::Arc;

use landbridge_proto::wire::name::{ApprovalId, IdempotencyKey, Jti, RunId};

/// Why the store failed. Cheap to clone, because one fault answers everybody who waits.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// The database refused or failed: an input or output error, a row that does not parse.
    #[error("the database failed")]
    Database(#[source] Arc<rusqlite::Error>),
    /// Two parts of this program disagree about what is stored.
    #[error("an expectation about what is stored is broken; please report this: {0}")]
    Broken(Broken),
    /// A text that is stored or was to be stored is not JSON of the expected form.
    #[error("stored JSON cannot be read or written")]
    Json(#[source] Arc<serde_json::Error>),
    /// A file of the store cannot be looked at or written.
    #[error("a file of the store failed")]
    File(#[source] Arc<std::io::Error>),
    /// The writer's thread panicked: a bug, and nothing more can be written.
    #[error("the store's writer panicked")]
    WriterPanicked,
    /// The writer was told to stop.
    #[error("the store is closed")]
    Closed,
}

impl Fault {
    /// Whether the disk is full, in the words of who noticed: what an operator can repair without us.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Database(error) => {
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
            }
            Self::File(error) => crate::sqlite::is_full(error),
            _ => false,
        }
    }

    /// Whether something could not be written, grown or synced, for a reason that SQLite does not pass
    /// on; a full disk is one of them.
    #[must_use]
    pub fn is_write_failure(&self) -> bool {
        use rusqlite::ffi;
        let Self::Database(error) = self else { return false };
        let Some(error) = error.sqlite_error() else { return false };
        matches!(
            error.extended_code,
            ffi::SQLITE_IOERR_WRITE
                | ffi::SQLITE_IOERR_FSYNC
                | ffi::SQLITE_IOERR_DIR_FSYNC
                | ffi::SQLITE_IOERR_TRUNCATE
                | ffi::SQLITE_IOERR_SHMOPEN
                | ffi::SQLITE_IOERR_SHMSIZE
                | ffi::SQLITE_IOERR_SHMMAP
                | ffi::SQLITE_CANTOPEN_FULLPATH
                | ffi::SQLITE_CANTOPEN
        )
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(Arc::new(error))
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::File(Arc::new(error))
    }
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// A write that contradicts what is stored, although its batch's guards held: a bug of ours.
///
/// Every engine answers the same write with the same variant.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Broken {
    /// Other evidence under an id that is taken.
    #[error("other evidence is kept as {0}")]
    EvidenceDiffers(String),
    /// A request's id is written twice.
    #[error("request {0} is already remembered")]
    JtiExists(Jti),
    /// A run is created twice.
    #[error("{0} exists")]
    RunExists(RunId),
    /// A key is bound or blocked twice.
    #[error("key {0} is already bound or blocked")]
    KeyTaken(IdempotencyKey),
    /// A write to a run that does not exist.
    #[error("{0} does not exist")]
    RunUnknown(RunId),
    /// The row to be put has another revision, owner, key or print than the stored one.
    #[error("{0} is not the row that was read")]
    RunChanged(RunId),
    /// Frames do not follow the stored ones.
    #[error("frames of {run} begin at {first} where {expected} is next")]
    NotContiguous {
        /// The run, or the journal entry.
        run: RunId,
        /// The first frame's `seq`.
        first: u64,
        /// The `seq` that is next.
        expected: u64,
    },
    /// A batch would leave a row whose `seq` is not that of its last frame.
    #[error("{run} says seq {seq}, its last frame is {last}")]
    SeqDiffers {
        /// The run, or the journal entry.
        run: RunId,
        /// What the row says.
        seq: u64,
        /// The last stored frame.
        last: u64,
    },
    /// A journal entry is created twice.
    #[error("{0} of the journal exists")]
    EntryExists(RunId),
    /// A journal key is bound twice.
    #[error("key {0} is already bound in the journal")]
    EntryKeyTaken(IdempotencyKey),
    /// A write to a journal entry that does not exist.
    #[error("{0} of the journal does not exist")]
    EntryUnknown(RunId),
    /// The row to be put has another revision, peer, tenant pair or key than the stored one.
    #[error("{0} of the journal is not the row that was read")]
    EntryChanged(RunId),
    /// A trust document would be replaced by one with other bytes.
    #[error("version {0} of a trust document is stored with other bytes")]
    DocumentDiffers(u64),
    /// Two tokens with one secret.
    #[error("the secret of token {0} belongs to another token")]
    TokenHashTaken(String),
    /// An invite is created twice.
    #[error("the invite exists")]
    InviteExists,
    /// An invite is used or withdrawn that is not open.
    #[error("the invite is used, withdrawn or unknown")]
    InviteNotOpen,
    /// An approval is created twice.
    #[error("{0} exists")]
    ApprovalExists(ApprovalId),
    /// A write to an approval that does not exist.
    #[error("{0} does not exist")]
    ApprovalUnknown(ApprovalId),
    /// The row to be put has another revision, or another value of what never changes.
    #[error("{0} is not the row that was read")]
    ApprovalChanged(ApprovalId),
    /// An approval would be open and have ended, or have ended at no time.
    #[error("{0} is open with an end, or ended without one")]
    ApprovalUndated(ApprovalId),
    /// A catalog would be replaced by an older one.
    #[error("version {0} of a catalog is older than the one that is kept")]
    CatalogOlder(u64),
    /// A catalog would be replaced by one of the same version with other bytes.
    #[error("version {0} of a catalog is kept with other bytes")]
    CatalogDiffers(u64),
    /// A number that the database cannot hold.
    #[error("the number {0} cannot be stored")]
    OutOfRange(u64),
}
