//! What every engine promises, one promise a test. A new engine joins by one more constructor.

use std::sync::Arc;

use landbridge_proto::machine::audit;
use landbridge_proto::machine::contract::{
    DocumentKind, DocumentRow, EntryFilter, EntryPhase, EntryPlace, EntryRow, EvidenceRow, Guard,
    InviteRow, KeyRecord, Reads, RunPhase, RunRow, StopRow, Store, Write,
};
use landbridge_proto::machine::report::StopReason;
use landbridge_proto::machine::step::{Batch, Outcome};
use landbridge_proto::wire::name::Timestamp;
use landbridge_store::sqlite::Engine;
use landbridge_store::{Broken, Fault, Options, memory};

use crate::make::*;

/// An engine under test.
pub(crate) struct Bench {
    store: Box<dyn Store<Fault = Fault>>,
    pub(crate) reads: Arc<dyn Reads<Fault = Fault>>,
    _dir: Option<tempfile::TempDir>,
}

impl Bench {
    pub(crate) fn memory() -> Self {
        let engine = memory::Engine::default();
        Self { store: Box::new(engine.clone()), reads: Arc::new(engine), _dir: None }
    }

    pub(crate) fn sqlite() -> Self {
        let dir = private_dir();
        let engine = Engine::open(dir.path(), &Options::default()).unwrap();
        let reads = engine.readers();
        Self { store: Box::new(engine), reads, _dir: Some(dir) }
    }

    pub(crate) fn group(&mut self, group: &[Batch]) -> Result<Vec<Outcome>, Fault> {
        self.store.apply(group)
    }

    pub(crate) fn one(&mut self, guards: Vec<Guard>, writes: Vec<Write>) -> Outcome {
        self.group(&[batch(guards, writes)]).unwrap().remove(0)
    }

    pub(crate) fn write(&mut self, writes: Vec<Write>) {
        assert_eq!(self.one(vec![], writes), Outcome::Committed);
    }

    fn breaks(&mut self, writes: Vec<Write>, expected: Broken) {
        match self.group(&[batch(vec![], writes)]) {
            Err(Fault::Broken(broken)) => assert_eq!(broken, expected),
            other => panic!("{other:?} instead of {expected}"),
        }
    }

    fn holds(&mut self, guard: Guard) -> bool {
        match self.one(vec![guard.clone()], vec![]) {
            Outcome::Committed => true,
            Outcome::Full => panic!("there is room"),
            Outcome::Stale(stale) => {
                assert_eq!(stale, guard);
                false
            }
        }
    }
}

macro_rules! suite {
    ($($name:ident)*) => {
        mod on_memory {
            $(#[test] fn $name() { super::$name(&mut super::Bench::memory()); })*
        }
        mod on_sqlite {
            $(#[test] fn $name() { super::$name(&mut super::Bench::sqlite()); })*
        }
    };
}

mod approvals;
mod entries;
mod further;
mod groups;
mod prune;
mod runs;
mod trust;

suite! {
    an_empty_store_reads_as_empty
}

fn put(row: RunRow) -> Write {
    Write::PutRun(row)
}

fn append(n: u64, first: u64, count: u64) -> Write {
    Write::AppendFrames { run: run_id(n), first, lines: lines(first, count) }
}

fn settled(n: u64, revision: u64, seq: u64, ended: i64) -> RunRow {
    let ended = Some(Timestamp(ended));
    RunRow { phase: RunPhase::Settled, revision, seq, ended, ..run(n) }
}

fn received(n: u64, first: u64, count: u64) -> Write {
    Write::AppendReceived {
        run: run_id(n),
        first,
        lines: lines(first, count),
        seal: format!("seal {first}+{count}"),
        at: Timestamp(30),
    }
}

fn an_empty_store_reads_as_empty(bench: &mut Bench) {
    let reads = &bench.reads;
    assert_eq!(reads.run(&run_id(1)).unwrap(), None);
    assert_eq!(reads.entry(&run_id(1)).unwrap(), None);
    assert_eq!(reads.key(&owner(1), &key(1)).unwrap(), None);
    assert_eq!(reads.clock().unwrap(), Timestamp(0));
    assert_eq!(reads.audit_head().unwrap(), (0, audit::start()));
    assert!(reads.frames(&run_id(1), 0, 10, 10).unwrap().is_empty());
    assert!(reads.entries(&EntryFilter { limit: 9, ..Default::default() }).unwrap().is_empty());
}
