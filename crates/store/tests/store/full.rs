//! A full disk: nothing is acknowledged that is not there, what was there stays readable, ends have room
//! that nobody else gets, and everything goes on when there is room again.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use landbridge_proto::machine::contract::{Room, Write};
use landbridge_proto::machine::step::{Batch, NotReleased, Outcome, Step};
use landbridge_store::{Handle, Options, memory};

use crate::make::*;

#[path = "../../../../tests/harness/src/skip.rs"]
mod skip;

const MIB: u64 = 1024 * 1024;
/// What the store keeps for ends in these tests.
const RESERVE: u64 = 2 * MIB;

/// A small file system of its own; only root may make one.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let dir = private_dir();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs"])
            .arg(dir.path())
            .output()
            .is_ok_and(|done| done.status.success());
        if !mounted {
            skip::skipped(
                "no file system can be mounted, so no disk was filled",
                skip::may_mount(),
            );
        }
        mounted.then_some(Self(dir))
    }

    fn store(&self) -> PathBuf {
        self.0.path().join("store")
    }

    fn open(&self) -> Handle {
        let options = Options { reserve_bytes: RESERVE, ..Options::default() };
        Handle::open(&self.store(), &options).unwrap()
    }

    /// Takes every byte that is left.
    fn fill(&self) -> Filling {
        let path = self.0.path().join("filling");
        let mut file = File::create(&path).unwrap();
        let mut size = 64 * 1024;
        while size > 0 {
            // What fitted of it is written all the same.
            size = if file.write_all(&vec![7; size]).is_ok() { size } else { size / 2 };
        }
        Filling(path)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}

/// Somebody else's file; gone when it is dropped.
struct Filling(PathBuf);

impl Drop for Filling {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Ordinary work that needs new pages.
fn ordinary(n: u64) -> Batch {
    step(n).split().0
}

/// The same, as the end of something.
fn end(n: u64) -> Batch {
    step(n).with_reserve().split().0
}

fn step(n: u64) -> Step<()> {
    let (name, value) = (format!("name {n}"), "x".repeat(16 * 1024));
    Step::new(vec![], vec![Write::PutMeta { name, value }, Write::Audit(event(n))], ())
}

/// Commits ordinary batches until one finds no room; how many did.
fn until_full(handle: &Handle) -> u64 {
    let before = handle.reads().audit_head().unwrap().0;
    for n in before + 1..before + 2000 {
        match handle.commit_blocking(ordinary(n)).unwrap().outcome() {
            Outcome::Committed => {}
            Outcome::Full => return n - 1,
            Outcome::Stale(guard) => panic!("{guard}"),
        }
    }
    panic!("the disk never filled up");
}

fn recovers(handle: &Handle) {
    let until = Instant::now() + Duration::from_secs(5);
    while *handle.room().borrow() == Room::Short {
        assert!(Instant::now() < until, "there is room, and it was not noticed");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn reserve(store: &Path) -> bool {
    std::fs::metadata(store.join("reserve")).is_ok_and(|file| file.len() == RESERVE)
}

#[test]
fn what_finds_no_room_is_not_there_and_everything_acknowledged_is() {
    let Some(small) = Small::mount() else { return };
    let handle = small.open();
    assert_eq!(*handle.room().borrow(), Room::Enough);
    assert!(reserve(&small.store()));
    let filling = small.fill();
    let last = until_full(&handle);
    assert_eq!(*handle.room().borrow(), Room::Short);
    assert!(!reserve(&small.store()), "given away");
    assert_eq!(handle.reads().audit_head().unwrap().0, last, "reads go on");
    assert_eq!(handle.reads().meta(&format!("name {}", last + 1)).unwrap(), None);
    let (batch, held) = step(last + 1).split();
    let receipt = handle.commit_blocking(batch).unwrap();
    assert_eq!(held.release(receipt), Err(NotReleased::Full), "the room that is left is for ends");

    drop(filling);
    recovers(&handle);
    assert!(reserve(&small.store()), "and built anew");
    assert_eq!(*handle.commit_blocking(ordinary(last + 1)).unwrap().outcome(), Outcome::Committed);
    assert!(until_full(&handle) > last);
    drop(handle);
    let handle = small.open();
    let rows = handle.reads().audit(0, 5000).unwrap();
    assert!(landbridge_proto::machine::audit::verify(&rows).is_ok(), "one chain, without a gap");
}

#[test]
fn ends_have_room_and_it_ends_too() {
    let Some(small) = Small::mount() else { return };
    let handle = small.open();
    let filling = small.fill();
    let last = until_full(&handle);
    let mut ended = last;
    for n in last + 1..last + 1000 {
        match handle.commit_blocking(end(n)).unwrap().outcome() {
            Outcome::Committed => ended = n,
            Outcome::Full => break,
            Outcome::Stale(guard) => panic!("{guard}"),
        }
    }
    let from_reserve = (ended - last) * 16 * 1024;
    assert!(from_reserve > RESERVE / 4, "{from_reserve} bytes of ends fitted");
    assert!(ended < last + 999, "a reserve is bounded");
    assert_eq!(handle.reads().audit_head().unwrap().0, ended);
    // Killed here: what ended is durable, and the next process knows what happened.
    let copy = private_dir();
    for name in ["landbridge.db", "landbridge.db-wal"] {
        std::fs::copy(small.store().join(name), copy.path().join(name)).unwrap();
    }
    let after = Handle::open(copy.path(), &Options::default()).unwrap();
    assert_eq!(after.reads().audit_head().unwrap().0, ended);
    assert!(after.reserve_was_used());

    drop(filling);
    recovers(&handle);
    assert_eq!(*handle.commit_blocking(ordinary(ended + 1)).unwrap().outcome(), Outcome::Committed);
}

#[test]
fn a_group_that_meets_a_full_disk_is_answered_batch_by_batch_and_truly() {
    let Some(small) = Small::mount() else { return };
    let handle = small.open();
    let _filling = small.fill();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let tasks: Vec<_> = (0..400_u64)
        .map(|n| {
            let handle = handle.clone();
            let batch = if n % 8 == 0 { end(n) } else { ordinary(n) };
            runtime.spawn(async move { (n, handle.commit(batch).await.unwrap().outcome().clone()) })
        })
        .collect();
    let (mut committed, mut full) = (0, 0);
    for task in tasks {
        let (n, outcome) = runtime.block_on(task).unwrap();
        let there = handle.reads().meta(&format!("name {n}")).unwrap().is_some();
        assert_eq!(there, outcome == Outcome::Committed, "{n}: {outcome:?}");
        committed += u32::from(there);
        full += u32::from(!there);
    }
    assert!(committed > 0 && full > 0, "{committed} committed, {full} not");
    assert_eq!(handle.reads().audit_head().unwrap().0, u64::from(committed));
}

#[test]
fn a_store_that_opens_on_a_full_disk_takes_ends_at_most_and_recovers() {
    let Some(small) = Small::mount() else { return };
    let handle = small.open();
    let last = until_full(&handle);
    drop(handle);
    let filling = small.fill();
    let handle = small.open();
    assert!(handle.reserve_was_used());
    assert_eq!(*handle.room().borrow(), Room::Short);
    assert_eq!(*handle.commit_blocking(ordinary(last + 1)).unwrap().outcome(), Outcome::Full);
    assert_eq!(handle.reads().audit_head().unwrap().0, last);
    drop(filling);
    let grown = Command::new("mount").args(["-o", "remount,size=32m"]).arg(small.0.path()).output();
    assert!(grown.unwrap().status.success());
    recovers(&handle);
    assert_eq!(*handle.commit_blocking(ordinary(last + 1)).unwrap().outcome(), Outcome::Committed);
    drop(handle);
    assert!(!small.open().reserve_was_used(), "a reserve that is whole says so");
}

#[test]
fn the_model_refuses_and_recovers_like_the_database() {
    let engine = memory::Engine::default();
    let handle = Handle::inline(engine.clone(), engine.clone());
    engine.set_room(Room::Short);
    assert_eq!(*handle.commit_blocking(ordinary(1)).unwrap().outcome(), Outcome::Full);
    assert_eq!(*handle.commit_blocking(end(2)).unwrap().outcome(), Outcome::Committed);
    assert_eq!(*handle.room().borrow(), Room::Short);
    engine.set_room(Room::Enough);
    assert_eq!(*handle.commit_blocking(ordinary(3)).unwrap().outcome(), Outcome::Committed);
    assert_eq!(*handle.room().borrow(), Room::Enough);
    assert_eq!(handle.reads().audit_head().unwrap().0, 2);
}
