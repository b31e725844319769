//! The embedded engine: one SQLite database in WAL mode with `synchronous=FULL`.
//!
//! One connection writes, a group of batches to a transaction; a small pool of read-only connections
//! reads what is committed. SQLite rather than a log of our own: its crash behaviour is known, and an
//! operator can look into it with tools that exist.

mod list;
pub mod open;
mod read;
mod row;
mod schema;
mod write;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use landbridge_proto::machine::contract::Store;
use landbridge_proto::machine::step::{Batch, Outcome};
use rusqlite::{Connection, TransactionBehavior};

use self::open::{Lock, OpenError, Options};
pub use self::read::Readers;
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
        let path = open::database(dir)?;
        let mut db = open::writer(&path, options)?;
        schema::migrate(&mut db)?;
        let readers = Arc::new(Readers::open(&path, options)?);
        Ok(Self { db: Mutex::new(db), readers, wal: open::wal(dir), _lock: lock })
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
        let db = self.db.get_mut().unwrap_or_else(PoisonError::into_inner);
        #[cfg(planted = "store_ack_before_commit")]
        if !db.is_autocommit() {
            db.execute_batch("COMMIT")?;
        }
        let mut tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut outcomes = Vec::with_capacity(group.len());
        for batch in group {
            // Dropped without `commit`, the savepoint rolls back; a fault drops the whole group.
            let point = tx.savepoint()?;
            match write::first_stale(&point, batch.guards())? {
                Some(guard) => {
                    #[cfg(planted = "store_keep_stale")]
                    {
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
        #[cfg(planted = "store_ack_before_commit")]
        {
            tx.set_drop_behavior(rusqlite::DropBehavior::Ignore);
            drop(tx);
        }
        #[cfg(not(planted = "store_ack_before_commit"))]
        tx.commit()?;
        if std::fs::metadata(&self.wal)?.len() > WAL_BYTES_SOFT {
            truncate_wal(db)?;
        }
        Ok(outcomes)
    }
}

/// Empties the write-ahead log; a reader in its way makes it try again after the next group.
fn truncate_wal(db: &Connection) -> Result<(), Fault> {
    let busy = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))?;
    if busy {
        tracing::debug!("the write-ahead log could not be emptied: a reader holds it");
    }
    Ok(())
}
