//! The embedded engine: one SQLite database in WAL mode with `synchronous=FULL`.
//!
//! One connection writes, a group of batches to a transaction; a small pool of read-only connections
//! reads what is committed. SQLite rather than a log of our own: its crash behaviour is known, and an
//! operator can look into it with tools that exist.

mod list;
pub mod open;
mod read;
mod reserve;
mod row;
mod schema;
pub mod witness;
mod write;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use landbridge_planted::planted;
use landbridge_proto::machine::contract::{Room, Store};
use landbridge_proto::machine::step::{Batch, Outcome};
use rusqlite::{Connection, TransactionBehavior};

use self::open::{Lock, OpenError, Options};
pub use self::read::Readers;
use self::reserve::Reserve;
pub(crate) use self::reserve::is_full;
use self::witness::{Behind, Counter};
use crate::fault::Fault;

/// The WAL is emptied into the database when its file is larger than this, in bytes.
///
/// Half of the published bound: one more group and the pages that a reader still holds fit on top.
const WAL_BYTES_SOFT: u64 = 32 * 1024 * 1024;

/// The database of one bridge, and the lock that keeps every other process out of it.
#[derive(Debug)]
pub struct Engine {
    // Before `db`: the last connection to close empties the log into the database, and a reader
    // could not.
    readers: Arc<Readers>,
    /// Never contended: a mutex only because a connection cannot be shared between threads.
    db: Mutex<Connection>,
    wal: PathBuf,
    counter: Counter,
    reserve: Reserve,
    room: Room,
    /// What failed after a group was durable: the group's answer was true, and there is no next one.
    late: Option<Fault>,
    reserve_was_used: bool,
    _lock: Lock,
}

impl Engine {
    /// Opens the database in `dir`, makes it if there is none, and brings it to this version.
    ///
    /// # Errors
    ///
    /// Returns why it cannot be used: another process has it, its files are open to other users, it
    /// is newer than this program, or it is not ours.
    pub fn open(dir: &Path, options: &Options) -> Result<Self, OpenError> {
        let lock = open::secure(dir)?;
        let reserve = Reserve::of(dir, options.reserve_bytes);
        let reserve_was_used = open::has_database(dir) && !reserve.is_whole();
        let path = open::database(dir)?;
        let mut db = open::writer(&path, options)?;
        schema::migrate(&mut db)?;
        let counter = Counter::open(&db, options.witness.as_deref())?;
        let readers = Arc::new(Readers::open(&path, options)?);
        let (db, wal) = (Mutex::new(db), open::wal(dir));
        let (room, late) = (Room::Short, None);
        let mut engine =
            Self { readers, db, wal, counter, reserve, room, late, reserve_was_used, _lock: lock };
        engine.look_for_room();
        Ok(engine)
    }

    /// Whether the process before this one may have been short of room to its end: the reserve was
    /// not whole when the store was opened.
    #[must_use]
    pub const fn reserve_was_used(&self) -> bool {
        self.reserve_was_used
    }

    /// What the witness shows that the database has lost, as it was opened.
    #[must_use]
    pub const fn behind(&self) -> Option<&Behind> {
        self.counter.behind()
    }

    /// Begins a history of its own: from now on the witness compares with what follows.
    ///
    /// # Errors
    ///
    /// Returns the fault; the former history then still counts.
    pub fn begin_history(&mut self) -> Result<(), Fault> {
        let db = self.db.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.counter.begin(db)
    }

    /// The reading half; outlives the engine.
    #[must_use]
    pub fn readers(&self) -> Arc<Readers> {
        Arc::clone(&self.readers)
    }

    /// Bytes of the write-ahead log's file.
    #[must_use]
    pub fn wal_bytes(&self) -> u64 {
        std::fs::metadata(&self.wal).map_or(0, |found| found.len())
    }
}

impl Store for Engine {
    type Fault = Fault;

    fn apply(&mut self, group: &[Batch]) -> Result<Vec<Outcome>, Fault> {
        if let Some(fault) = self.late.clone() {
            return Err(fault);
        }
        if self.room == Room::Enough {
            match self.transact(group) {
                Ok(outcomes) => {
                    self.bound_wal();
                    return Ok(outcomes);
                }
                Err(fault) if self.is_full(&fault) => self.fall_short(),
                Err(fault) => return Err(fault),
            }
        }
        // One by one: what is too large for the room that is left is no other's misfortune.
        group.iter().map(|batch| self.apply_from_reserve(batch)).collect()
    }

    fn room(&self) -> Room {
        self.room
    }

    fn look_for_room(&mut self) -> Room {
        if self.room == Room::Short {
            match self.reserve.build() {
                Ok(()) => self.room = Room::Enough,
                Err(error) => tracing::debug!(%error, "there is no reserve"),
            }
        }
        self.room
    }
}

impl Engine {
    /// Makes a group durable in one transaction; a fault leaves nothing of it.
    fn transact(&mut self, group: &[Batch]) -> Result<Vec<Outcome>, Fault> {
        let db = self.db.get_mut().unwrap_or_else(PoisonError::into_inner);
        if planted!("store_ack_before_commit") && !db.is_autocommit() {
            db.execute_batch("COMMIT")?;
        }
        let mut tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut outcomes = Vec::with_capacity(group.len());
        for batch in group {
            // Dropped without `commit`, the savepoint rolls back; a fault drops the whole group.
            let point = tx.savepoint()?;
            match write::first_stale(&point, batch.guards())? {
                Some(guard) => {
                    if planted!("store_keep_stale") {
                        write::apply(&point, batch.writes())?;
                        point.commit()?;
                    }
                    outcomes.push(Outcome::Stale(guard.clone()));
                }
                None => {
                    write::apply(&point, batch.writes())?;
                    point.commit()?;
                    outcomes.push(Outcome::Committed);
                }
            }
        }
        self.counter.count(&tx)?;
        if planted!("store_ack_before_commit") {
            tx.set_drop_behavior(rusqlite::DropBehavior::Ignore);
            drop(tx);
        } else {
            tx.commit()?;
        }
        self.counter.committed();
        Ok(outcomes)
    }

    /// Writes a batch where there is no room but the reserve's.
    fn apply_from_reserve(&mut self, batch: &Batch) -> Result<Outcome, Fault> {
        if !batch.may_use_reserve() && !planted!("store_reserve_for_all") {
            return Ok(Outcome::Full);
        }
        match self.transact(std::slice::from_ref(batch)) {
            Ok(mut outcomes) => Ok(outcomes.pop().unwrap_or(Outcome::Full)),
            Err(fault) if planted!("store_ack_when_full") && self.is_full(&fault) => {
                Ok(Outcome::Committed)
            }
            Err(fault) if self.is_full(&fault) => Ok(Outcome::Full),
            Err(fault) => Err(fault),
        }
    }

    /// Gives the reserve away, and lets the log begin anew in the room that its file has already.
    fn fall_short(&mut self) {
        self.room = Room::Short;
        self.reserve.release();
        let db = self.db.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = checkpoint(db, "PRAGMA wal_checkpoint(PASSIVE)") {
            // Then the log goes on where it is; a disk that fails otherwise says so at the next step.
            tracing::debug!(%error, "the write-ahead log could not be emptied on a full disk");
        }
    }

    fn is_full(&self, fault: &Fault) -> bool {
        fault.is_full() || (fault.is_write_failure() && self.reserve.disk_is_full())
    }

    /// Keeps the log's file small. The group before it is durable whatever comes of this.
    fn bound_wal(&mut self) {
        if self.wal_bytes() <= WAL_BYTES_SOFT {
            return;
        }
        let db = self.db.get_mut().unwrap_or_else(PoisonError::into_inner);
        match checkpoint(db, "PRAGMA wal_checkpoint(TRUNCATE)") {
            Ok(()) => {}
            Err(fault) if self.is_full(&fault) => self.fall_short(),
            Err(fault) => self.late = Some(fault),
        }
    }
}

/// Empties the write-ahead log; a reader in its way makes it try again after the next group.
fn checkpoint(db: &Connection, pragma: &str) -> Result<(), Fault> {
    let busy = db.query_row(pragma, [], |row| row.get::<_, bool>(0))?;
    if busy {
        tracing::debug!("the write-ahead log could not be emptied: a reader holds it");
    }
    Ok(())
}
