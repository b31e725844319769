//! A full disk: nothing is acknowledged that is not there, and what was there stays readable.

use std::path::Path;
use std::process::Command;

use landbridge_proto::machine::contract::Write;
use landbridge_store::{Handle, Options};

use crate::make::*;

/// A small file system of its own; only root may make one.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let dir = private_dir();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs"])
            .arg(dir.path())
            .output()
            .is_ok_and(|done| done.status.success());
        mounted.then_some(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).output();
    }
}

#[test]
fn a_full_disk_is_a_fault_and_loses_nothing_acknowledged() {
    let Some(small) = Small::mount() else {
        eprintln!("skipped: this user may not mount a file system");
        return;
    };
    let home = small.path().join("store");
    let handle = Handle::open(&home, &Options::default()).unwrap();
    let put = |n: u64| {
        let (name, value) = (format!("name {n}"), "x".repeat(64 * 1024));
        batch(vec![], vec![Write::PutMeta { name, value }, Write::Audit(event(n))])
    };
    let mut last = 0;
    let fault = loop {
        match handle.commit_blocking(put(last + 1)) {
            Ok(_) => last += 1,
            Err(fault) => break fault,
        }
        assert!(last < 1000, "the disk never filled up");
    };
    assert!(fault.is_full(), "{fault:?}");
    assert!(handle.commit_blocking(put(0)).unwrap_err().is_full(), "the fault stays");
    assert_eq!(handle.reads().audit_head().unwrap().0, last, "reads go on");
    drop(handle);

    let remounted =
        Command::new("mount").args(["-o", "remount,size=32m"]).arg(small.path()).output().unwrap();
    assert!(remounted.status.success());
    let handle = Handle::open(&home, &Options::default()).unwrap();
    assert_eq!(handle.reads().audit_head().unwrap().0, last);
    assert!(handle.reads().meta(&format!("name {last}")).unwrap().is_some());
    handle.commit_blocking(put(last + 1)).unwrap();
    drop(handle);
}
