//! The schema's versions, each applied once, in one transaction, and then never edited.
//!
//! A migration's text is kept in the database and compared at every start: an edited migration would
//! otherwise give two databases of one version and different tables.

use rusqlite::{Connection, TransactionBehavior, params};

use super::open::OpenError;

/// Marks the file as ours: the bytes `GFPb`.
pub(super) const APPLICATION_ID: i32 = 0x4746_5062;

/// What takes a database from the version before to the next; version 1 is the first.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001_first.sql"),
    include_str!("schema/0002_usage.sql"),
    include_str!("schema/0003_evidence.sql"),
    include_str!("schema/0004_sessions.sql"),
    include_str!("schema/0005_tokens_and_lists.sql"),
    include_str!("schema/0006_heads.sql"),
    include_str!("schema/0007_memberships.sql"),
    include_str!("schema/0008_lingering_and_agents.sql"),
    include_str!("schema/0009_pairing.sql"),
    include_str!("schema/0010_approvals.sql"),
    include_str!("schema/0011_traces.sql"),
];

/// Brings the database to this program's version.
///
/// Everything happens in one transaction, so that a crash leaves the version before, whole.
pub(super) fn migrate(db: &mut Connection) -> Result<(), OpenError> {
    apply(db, MIGRATIONS)
}

fn apply(db: &mut Connection, migrations: &[&str]) -> Result<(), OpenError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    let id: i32 = tx.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let found: u32 = tx.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let found = found as usize;
    let objects: i64 = tx.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let fresh = id == 0 && found == 0 && objects == 0;
    if !fresh && id != APPLICATION_ID {
        return Err(OpenError::Foreign { found: id });
    }
    let known = migrations.len();
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    if fresh {
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.execute_batch(
            "CREATE TABLE migrations (version INTEGER NOT NULL PRIMARY KEY, sql TEXT NOT NULL) STRICT",
        )?;
    }
    for (version, sql) in (1_i64..).zip(migrations).take(found) {
        let same = tx.query_row(
            "SELECT EXISTS (SELECT 1 FROM migrations WHERE version = ?1 AND sql = ?2)",
            params![version, sql],
            |row| row.get::<_, bool>(0),
        )?;
        if !same {
            return Err(OpenError::OtherMigration { version });
        }
    }
    for (version, sql) in (1_i64..).zip(migrations).skip(found) {
        tx.execute_batch(sql)?;
        tx.execute("INSERT INTO migrations (version, sql) VALUES (?1, ?2)", params![version, sql])?;
        tx.pragma_update(None, "user_version", version)?;
    }
    tx.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn version(db: &Connection) -> i64 {
        db.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db).unwrap();
        db.execute("INSERT INTO meta (name, value) VALUES ('a', 'b')", []).unwrap();
        migrate(&mut db).unwrap();
        let count: i64 = db.query_row("SELECT count(*) FROM meta", [], |row| row.get(0)).unwrap();
        assert_eq!((version(&db), count), (MIGRATIONS.len() as i64, 1));
    }

    #[test]
    fn a_newer_database_is_refused_untouched() {
        let mut db = Connection::open_in_memory().unwrap();
        apply(&mut db, &[MIGRATIONS[0], "CREATE TABLE later (a INTEGER) STRICT"]).unwrap();
        let refused = apply(&mut db, &MIGRATIONS[..1]);
        assert!(matches!(refused, Err(OpenError::Newer { found: 2, known: 1 })), "{refused:?}");
        assert_eq!(version(&db), 2);
    }

    #[test]
    fn a_migration_that_fails_leaves_the_version_before() {
        let mut db = Connection::open_in_memory().unwrap();
        apply(&mut db, &MIGRATIONS[..1]).unwrap();
        let half = "CREATE TABLE half (a INTEGER) STRICT; SELECT * FROM missing";
        assert!(apply(&mut db, &[MIGRATIONS[0], half]).is_err());
        assert_eq!(version(&db), 1);
        let halves = "SELECT count(*) FROM sqlite_schema WHERE name = 'half'";
        assert_eq!(db.query_row(halves, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
        apply(&mut db, &[MIGRATIONS[0], "CREATE TABLE half (a INTEGER) STRICT"]).unwrap();
        assert_eq!(version(&db), 2);
    }

    #[test]
    fn an_edited_migration_is_noticed() {
        let mut db = Connection::open_in_memory().unwrap();
        apply(&mut db, &["CREATE TABLE a (a INTEGER) STRICT"]).unwrap();
        let edited = apply(&mut db, &["CREATE TABLE a (b INTEGER) STRICT"]);
        assert!(matches!(edited, Err(OpenError::OtherMigration { version: 1 })), "{edited:?}");
    }

    #[test]
    fn a_foreign_database_is_refused() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE mine (a INTEGER)").unwrap();
        assert!(matches!(migrate(&mut db), Err(OpenError::Foreign { found: 0 })));
    }
}
