//! Who may open a store, and what it leaves on the disk.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use landbridge_proto::machine::contract::{Reads, Store, Write};
use landbridge_store::sqlite::Engine;
use landbridge_store::{Handle, OpenError, Options};

use crate::make::*;

fn open(dir: &std::path::Path) -> Result<Engine, OpenError> {
    Engine::open(dir, &Options::default())
}

#[test]
fn a_second_opener_is_told_who_has_it() {
    let dir = private_dir();
    let first = open(dir.path()).unwrap();
    match open(dir.path()) {
        Err(OpenError::InUse { pid, .. }) => assert_eq!(pid, std::process::id().to_string()),
        other => panic!("{other:?}"),
    }
    drop(first);
    open(dir.path()).unwrap();
}

#[test]
fn files_belong_to_their_owner_alone() {
    let dir = private_dir();
    let home = dir.path().join("deep/store");
    let mut engine = open(&home).unwrap();
    engine.apply(&[batch(vec![], vec![Write::Audit(event(1))])]).unwrap();
    assert_eq!(fs::metadata(&home).unwrap().permissions().mode() & 0o777, 0o700);
    let mut names = Vec::new();
    for found in fs::read_dir(&home).unwrap() {
        let found = found.unwrap();
        assert_eq!(found.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{found:?}");
        names.push(found.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(
        names,
        ["landbridge.db", "landbridge.db-shm", "landbridge.db-wal", "lock", "reserve"]
    );
}

#[test]
fn what_others_can_read_is_refused() {
    let dir = private_dir();
    drop(open(dir.path()).unwrap());
    for (path, mode, back) in [("", 0o750, 0o700), ("landbridge.db", 0o604, 0o600)] {
        let path = dir.path().join(path);
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        match open(dir.path()) {
            Err(OpenError::Exposed { mode: found, .. }) => assert_eq!(found, mode),
            other => panic!("{other:?}"),
        }
        fs::set_permissions(&path, Permissions::from_mode(back)).unwrap();
    }
    open(dir.path()).unwrap();
}

#[test]
fn a_database_behind_a_link_is_refused() {
    let dir = private_dir();
    let home = dir.path().join("store");
    drop(open(&home).unwrap());
    fs::rename(home.join("landbridge.db"), dir.path().join("elsewhere")).unwrap();
    symlink(dir.path().join("elsewhere"), home.join("landbridge.db")).unwrap();
    assert!(matches!(open(&home), Err(OpenError::File { .. })));
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let dir = private_dir();
    drop(open(dir.path()).unwrap());
    fs::write(dir.path().join("landbridge.db"), "not a database, but long enough ".repeat(40))
        .unwrap();
    assert!(matches!(open(dir.path()), Err(OpenError::Database(_))));
}

#[test]
fn everything_is_there_after_reopening() {
    let dir = private_dir();
    let mut engine = open(dir.path()).unwrap();
    engine.apply(&[batch(vec![], vec![Write::CreateRun(run(1)), Write::Audit(event(1))])]).unwrap();
    let head = engine.readers().audit_head().unwrap();
    drop(engine);
    let reads = open(dir.path()).unwrap().readers();
    assert_eq!(reads.run(&run_id(1)).unwrap(), Some(run(1)));
    assert_eq!(reads.audit_head().unwrap(), head);
}

#[test]
fn the_write_ahead_log_stays_bounded() {
    let dir = private_dir();
    let mut engine = open(dir.path()).unwrap();
    let value = "x".repeat(4 * 1024 * 1024);
    let mut largest = 0;
    for n in 0..40 {
        let put = Write::PutMeta { name: format!("name {n}"), value: value.clone() };
        engine.apply(&[batch(vec![], vec![put])]).unwrap();
        largest = largest.max(engine.wal_bytes());
    }
    assert!(largest > 0 && largest <= 64 * 1024 * 1024, "{largest}");
}

#[test]
fn a_large_unchanged_request_is_not_written_again() {
    let dir = private_dir();
    let mut engine = open(dir.path()).unwrap();
    let mut row = run(1);
    row.request = "r".repeat(1024 * 1024);
    engine.apply(&[batch(vec![], vec![Write::CreateRun(row.clone())])]).unwrap();
    let before = engine.wal_bytes();
    for revision in 0..10 {
        row.revision = revision;
        engine.apply(&[batch(vec![], vec![Write::PutRun(row.clone())])]).unwrap();
    }
    let grown = engine.wal_bytes().saturating_sub(before);
    assert!(grown < 256 * 1024, "{grown} bytes for ten small changes");
}

#[test]
fn a_backup_is_a_whole_database_and_never_overwrites() {
    let dir = private_dir();
    let home = dir.path().join("store");
    let handle = Handle::open(&home, &Options::default()).unwrap();
    handle.commit_blocking(batch(vec![], vec![Write::CreateRun(run(1))])).unwrap();
    let copy = dir.path().join("copy");
    fs::create_dir(&copy).unwrap();
    fs::set_permissions(&copy, Permissions::from_mode(0o700)).unwrap();
    handle.backup_to(&copy.join("landbridge.db")).unwrap();
    assert!(handle.backup_to(&copy.join("landbridge.db")).is_err());
    let restored = Handle::open(&copy, &Options::default()).unwrap();
    assert_eq!(restored.reads().run(&run_id(1)).unwrap(), Some(run(1)));
}
