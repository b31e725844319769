//! The handle: groups, order, faults, and the end.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use landbridge_proto::machine::contract::{Guard, Store, Write};
use landbridge_proto::machine::step::{Batch, NotReleased, Outcome, Step};
use landbridge_proto::wire::name::Timestamp;
use landbridge_store::{Fault, Handle, Options, memory};

use crate::make::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// An engine whose commits wait for the test, or fail, or panic.
struct Gated {
    inner: memory::Engine,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    turn: Condvar,
}

#[derive(Default)]
struct State {
    open: bool,
    entered: bool,
    groups: Vec<usize>,
    fail: Option<Failure>,
}

#[derive(Clone, Copy)]
enum Failure {
    Fault,
    Panic,
}

impl Gate {
    fn entered(&self) {
        let state = self.state.lock().unwrap();
        let _entered = self.turn.wait_while(state, |state| !state.entered).unwrap();
    }

    fn open(&self, fail: Option<Failure>) {
        let mut state = self.state.lock().unwrap();
        (state.open, state.fail) = (true, fail);
        self.turn.notify_all();
    }
}

impl Store for Gated {
    type Fault = Fault;
    fn apply(&mut self, group: &[Batch]) -> Result<Vec<Outcome>, Fault> {
        let mut state = self.gate.state.lock().unwrap();
        state.entered = true;
        state.groups.push(group.len());
        self.gate.turn.notify_all();
        let state = self.gate.turn.wait_while(state, |state| !state.open).unwrap();
        let fail = state.fail;
        drop(state);
        match fail {
            None => self.inner.apply(group),
            Some(Failure::Fault) => Err(Fault::Closed),
            Some(Failure::Panic) => panic!("planted"),
        }
    }
}

fn gated(options: &Options) -> (Handle, Arc<Gate>) {
    let (inner, gate) = (memory::Engine::default(), Arc::new(Gate::default()));
    let store = Gated { inner: inner.clone(), gate: Arc::clone(&gate) };
    (Handle::spawn(store, inner, options).unwrap(), gate)
}

fn audit(n: u64) -> Batch {
    batch(vec![], vec![Write::Audit(event(n))])
}

/// Waits until so many batches are queued behind the group in progress.
fn queued(handle: &Handle, count: usize) {
    while handle.stats().queued < count {
        std::thread::yield_now();
    }
}

#[test]
fn what_waits_shares_one_commit_in_order() {
    let (handle, gate) = gated(&Options { group_batches: 4, ..Options::default() });
    let runtime = runtime();
    let commit = |n| {
        let handle = handle.clone();
        runtime.spawn(async move { handle.commit(audit(n)).await.map(drop) })
    };
    let mut tasks = vec![commit(1)];
    gate.entered();
    for n in 2..=7 {
        tasks.push(commit(n));
        queued(&handle, tasks.len() - 1);
    }
    gate.open(None);
    for task in tasks {
        runtime.block_on(task).unwrap().unwrap();
    }
    assert_eq!(gate.state.lock().unwrap().groups, [1, 4, 2]);
    let rows = handle.reads().audit(0, 100).unwrap();
    let expected: Vec<_> =
        (1..=7).map(|n| landbridge_proto::machine::audit::event_text(&event(n)).unwrap()).collect();
    assert_eq!(rows.into_iter().map(|row| row.event).collect::<Vec<_>>(), expected);
    let stats = handle.stats();
    assert_eq!((stats.groups, stats.batches, stats.largest_group, stats.queued), (3, 7, 4, 0));
}

#[test]
fn a_group_is_bounded_in_bytes_but_a_large_batch_still_goes() {
    let (handle, gate) = gated(&Options { group_bytes: 2048, ..Options::default() });
    let runtime = runtime();
    let large = || {
        let lines = vec!["x".repeat(4096)];
        let append = Write::AppendFrames { run: run_id(1), first: 1, lines };
        batch(vec![Guard::InviteUnused { id: digest(1) }], vec![append])
    };
    let commit = |batch| {
        let handle = handle.clone();
        runtime.spawn(async move { handle.commit(batch).await.map(drop) })
    };
    let mut tasks = vec![commit(audit(1))];
    gate.entered();
    for batch in [audit(2), audit(3), large(), audit(4), audit(5)] {
        tasks.push(commit(batch));
        queued(&handle, tasks.len() - 1);
    }
    gate.open(None);
    for task in tasks {
        runtime.block_on(task).unwrap().unwrap();
    }
    assert_eq!(gate.state.lock().unwrap().groups, [1, 2, 1, 2]);
}

#[test]
fn committers_wait_when_the_queue_is_full() {
    let (handle, gate) = gated(&Options { queue: 1, ..Options::default() });
    let runtime = runtime();
    let commit = |n| {
        let handle = handle.clone();
        runtime.spawn(async move { handle.commit(audit(n)).await.map(drop) })
    };
    let first = commit(1);
    gate.entered();
    let second = commit(2);
    queued(&handle, 1);
    let mut third = commit(3);
    let soon = Duration::from_millis(50);
    assert!(runtime.block_on(async { tokio::time::timeout(soon, &mut third).await }).is_err());
    assert_eq!(handle.stats().queued, 1, "the third has no place yet");
    gate.open(None);
    for task in [first, second, third] {
        runtime.block_on(task).unwrap().unwrap();
    }
}

#[test]
fn a_fault_answers_everybody_and_stays() {
    for failure in [Failure::Fault, Failure::Panic] {
        let (handle, gate) = gated(&Options::default());
        let runtime = runtime();
        let commit = |n| {
            let handle = handle.clone();
            runtime.spawn(async move { handle.commit(audit(n)).await.map(drop) })
        };
        let waiting = handle.clone();
        let closed = runtime.spawn(async move { waiting.closed().await });
        let mut tasks = vec![commit(1)];
        gate.entered();
        for n in 2..=5 {
            tasks.push(commit(n));
            queued(&handle, tasks.len() - 1);
        }
        gate.open(Some(failure));
        let same = |fault: &Fault| match failure {
            Failure::Fault => matches!(fault, Fault::Closed),
            Failure::Panic => matches!(fault, Fault::WriterPanicked),
        };
        for task in tasks {
            assert!(same(&runtime.block_on(task).unwrap().unwrap_err()));
        }
        assert!(same(&handle.commit_blocking(audit(6)).unwrap_err()));
        assert!(same(&runtime.block_on(closed).unwrap()));
        assert_eq!(handle.reads().audit_head().unwrap().0, 0);
    }
}

#[test]
fn the_last_handle_waits_for_what_is_queued() {
    let dir = private_dir();
    let handle = Handle::open(dir.path(), &Options::default()).unwrap();
    let runtime = runtime();
    for n in 0..50 {
        let handle = handle.clone();
        runtime.spawn(async move { handle.commit(audit(n)).await.map(drop) });
    }
    while handle.stats().batches == 0 {
        std::thread::yield_now();
    }
    // The tasks are cancelled wherever they wait; what they queued is durable all the same.
    drop(runtime);
    drop(handle);
    assert!(!dir.path().join("landbridge.db-wal").exists(), "the log was emptied and removed");
    let handle = Handle::open(dir.path(), &Options::default()).expect("the lock is free again");
    let rows = handle.reads().audit(0, 100).unwrap();
    assert!(landbridge_proto::machine::audit::verify(&rows).unwrap().n > 0);
}

#[test]
fn receipts_release_their_own_step_only() {
    for handle in [Handle::memory(), sqlite().0] {
        let step = |n| {
            let guard = Guard::JtiUnseen { issuer: gateway(1), jti: jti(n) };
            let write = Write::Jti { issuer: gateway(1), jti: jti(n), keep_until: Timestamp(9) };
            Step::new(vec![guard], vec![write], n).split()
        };
        let ((first, held_first), (second, held_second)) = (step(1), step(2));
        let first = handle.commit_blocking(first).unwrap();
        let second = handle.commit_blocking(second).unwrap();
        assert_eq!(held_first.release(first), Ok(1));
        let (again, held) = step(1);
        assert_eq!(held.release(second), Err(NotReleased::OtherBatch));
        let stale = handle.commit_blocking(again).unwrap();
        assert_eq!(held_second.release(stale), Err(NotReleased::OtherBatch));
        let (again, held) = step(1);
        let stale = handle.commit_blocking(again).unwrap();
        assert!(matches!(held.release(stale), Err(NotReleased::Stale(_))));
    }
}

#[test]
fn a_blocking_commit_works_inside_a_runtime() {
    let (handle, _dir) = sqlite();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for n in 0..300 {
            handle.commit_blocking(audit(n)).unwrap();
        }
    });
    assert_eq!(handle.reads().audit_head().unwrap().0, 300);
}

#[test]
fn a_read_after_a_commit_sees_it() {
    let (handle, _dir) = sqlite();
    std::thread::scope(|scope| {
        for worker in 0..4_u64 {
            let handle = handle.clone();
            scope.spawn(move || {
                for n in 0..50 {
                    let (name, value) = (format!("worker {worker}"), format!("{n}"));
                    let put = Write::PutMeta { name: name.clone(), value: value.clone() };
                    handle.commit_blocking(batch(vec![], vec![put])).unwrap();
                    assert_eq!(handle.reads().meta(&name).unwrap(), Some(value));
                }
            });
        }
    });
}

#[test]
#[ignore = "measures, and judges nothing"]
fn commit_rate() {
    for committers in [1, 16, 256] {
        let (handle, _dir) = sqlite();
        let (runtime, begun) = (runtime(), std::time::Instant::now());
        let each = 20_480 / committers.max(16);
        let tasks: Vec<_> = (0..committers)
            .map(|_| {
                let handle = handle.clone();
                runtime.spawn(async move {
                    for n in 0..each {
                        handle.commit(audit(n)).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            runtime.block_on(task).unwrap();
        }
        let rate = (committers * each) as f64 / begun.elapsed().as_secs_f64();
        println!("{committers} committers: {rate:.0} batches/s, {:?}", handle.stats());
    }
}

fn sqlite() -> (Handle, tempfile::TempDir) {
    let dir = private_dir();
    (Handle::open(dir.path(), &Options::default()).unwrap(), dir)
}
