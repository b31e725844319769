//! The daemon's hold on its store: commits through one writer thread, reads inline.
//!
//! An `fsync` costs between a tenth of a millisecond and several, so batches that arrive while one
//! group is being written form the next group and share its `fsync`. In a simulation with virtual time
//! no real thread may take part: there a handle is `inline`, and each commit is its own group.

mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use landbridge_proto::machine::contract::{Reads, Room, Store};
use landbridge_proto::machine::step::{Batch, Receipt};
use tokio::sync::watch;

use self::writer::Writer;
use crate::fault::Fault;
use crate::memory;
use crate::sqlite::open::{OpenError, Options};
use crate::sqlite::witness::Behind;
use crate::sqlite::{Engine, Readers};

/// The store of one bridge; clones share it, and dropping the last one waits for the writer.
#[derive(Clone)]
pub struct Handle {
    reads: Arc<dyn Reads<Fault = Fault>>,
    database: Option<Arc<Readers>>,
    behind: Option<Behind>,
    reserve_was_used: bool,
    // Last, so that the writing connection outlives the reading ones and empties the log.
    writer: Arc<Writer>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Handle {
    /// Opens the database in `dir` and starts its writer.
    ///
    /// # Errors
    ///
    /// Returns why the database cannot be used; see [`OpenError`].
    pub fn open(dir: &Path, options: &Options) -> Result<Self, OpenError> {
        let engine = Engine::open(dir, options)?;
        let (readers, behind) = (engine.readers(), engine.behind().cloned());
        let reserve_was_used = engine.reserve_was_used();
        let writer = Arc::new(Writer::spawn(engine, options).map_err(OpenError::Thread)?);
        let reads: Arc<dyn Reads<Fault = Fault>> = Arc::clone(&readers) as _;
        Ok(Self { writer, reads, database: Some(readers), behind, reserve_was_used })
    }

    /// Opens the database in `dir` without a writer thread: each commit runs where it is called.
    ///
    /// # Errors
    ///
    /// Returns why the database cannot be used; see [`OpenError`].
    pub fn open_inline(dir: &Path, options: &Options) -> Result<Self, OpenError> {
        let engine = Engine::open(dir, options)?;
        let (readers, behind) = (engine.readers(), engine.behind().cloned());
        let reserve_was_used = engine.reserve_was_used();
        let reads: Arc<dyn Reads<Fault = Fault>> = Arc::clone(&readers) as _;
        let writer = Arc::new(Writer::inline(engine));
        Ok(Self { writer, reads, database: Some(readers), behind, reserve_was_used })
    }

    /// An empty store in memory, without a thread: for tests and simulations.
    #[must_use]
    pub fn memory() -> Self {
        let engine = memory::Engine::default();
        Self::inline(engine.clone(), engine)
    }

    /// A store over any engine, without a thread; such as one that fails on purpose.
    #[must_use]
    pub fn inline<S, R>(store: S, reads: R) -> Self
    where
        S: Store<Fault = Fault> + Send + 'static,
        R: Reads<Fault = Fault> + 'static,
    {
        let writer = Arc::new(Writer::inline(store));
        Self {
            writer,
            reads: Arc::new(reads),
            database: None,
            behind: None,
            reserve_was_used: false,
        }
    }

    /// A store over any engine, with a writer thread.
    ///
    /// # Errors
    ///
    /// Returns [`OpenError::Thread`] when the thread cannot be started.
    pub fn spawn<S, R>(store: S, reads: R, options: &Options) -> Result<Self, OpenError>
    where
        S: Store<Fault = Fault> + Send + 'static,
        R: Reads<Fault = Fault> + 'static,
    {
        let writer = Writer::spawn(store, options).map_err(OpenError::Thread)?;
        let (writer, reads) = (Arc::new(writer), Arc::new(reads));
        Ok(Self { writer, reads, database: None, behind: None, reserve_was_used: false })
    }

    /// Makes a batch durable, together with whatever else waits.
    ///
    /// A future that is dropped after its first poll may or may not have committed: do not `select!`
    /// over it.
    ///
    /// # Errors
    ///
    /// Returns the store's fault. From then on every commit returns it, and the process should stop. A
    /// full disk is none: the receipt says so.
    pub async fn commit(&self, batch: Batch) -> Result<Receipt, Fault> {
        self.writer.commit(batch).await
    }

    /// Makes a batch durable and blocks the thread until it is; for commands and tests.
    ///
    /// # Errors
    ///
    /// As [`Handle::commit`].
    pub fn commit_blocking(&self, batch: Batch) -> Result<Receipt, Fault> {
        writer::block_on(self.writer.commit(batch))
    }

    /// What is durable. A read that begins after a commit was answered sees that commit.
    #[must_use]
    pub fn reads(&self) -> &dyn Reads<Fault = Fault> {
        &*self.reads
    }

    /// Whether there is room for ordinary work: its present value, and each change of it. While there is
    /// none, it is looked for every second.
    #[must_use]
    pub fn room(&self) -> watch::Receiver<Room> {
        self.writer.room()
    }

    /// Whether the process before this one may have been short of room to its end.
    #[must_use]
    pub const fn reserve_was_used(&self) -> bool {
        self.reserve_was_used
    }

    /// Waits until the writer has failed, and says why. Never returns while the store is well.
    pub async fn closed(&self) -> Fault {
        self.writer.closed().await
    }

    /// Writes a consistent copy of the database to a new file, while commits go on.
    ///
    /// Blocks for as long as the copy takes: call it where blocking is allowed.
    ///
    /// # Errors
    ///
    /// Returns the fault; there is no copy of a store in memory.
    pub fn backup_to(&self, path: &Path) -> Result<(), Fault> {
        match &self.database {
            Some(readers) => readers.backup_to(path),
            None => Err(std::io::Error::other("a store in memory has no file").into()),
        }
    }

    /// What the witness showed, at the opening, that the database has lost.
    #[must_use]
    pub const fn behind(&self) -> Option<&Behind> {
        self.behind.as_ref()
    }

    /// What the writer did so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.writer.stats()
    }
}

/// What the writer did so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Batches that wait for the next group.
    pub queued: usize,
    /// Groups that were committed.
    pub groups: u64,
    /// Batches of these groups, stale ones included.
    pub batches: u64,
    /// Batches of the last group.
    pub last_group: usize,
    /// Batches of the largest group.
    pub largest_group: usize,
    /// How long the last group took, with its `fsync`.
    pub last_commit: Duration,
    /// How long the slowest group took.
    pub slowest_commit: Duration,
    /// How long all groups took together.
    pub commit_time: Duration,
}
