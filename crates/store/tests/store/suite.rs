//! What every engine promises, one promise a test. A new engine joins by one more constructor.

use std::sync::Arc;

use landbridge_proto::machine::audit;
use landbridge_proto::machine::contract::{
    DocumentKind, EntryFilter, EntryPhase, EntryRow, Guard, InviteRow, KeyRecord, Reads, RunPhase,
    RunRow, StopRow, Store, Write,
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

    fn one(&mut self, guards: Vec<Guard>, writes: Vec<Write>) -> Outcome {
        self.group(&[batch(guards, writes)]).unwrap().remove(0)
    }

    fn write(&mut self, writes: Vec<Write>) {
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

suite! {
    an_empty_store_reads_as_empty
    a_request_id_is_accepted_once
    a_run_comes_back_as_it_was_created
    a_put_run_is_read_whole_and_one_revision_later
    a_key_is_bound_by_its_run_and_free_for_others
    a_blocked_key_stays_blocked
    a_stale_batch_writes_nothing_and_names_its_guard
    guards_see_earlier_batches_of_the_group
    a_run_guard_checks_epoch_and_revision
    a_fault_undoes_the_whole_group
    frames_are_contiguous_and_paged
    writes_to_rows_that_are_not_there_are_faults
    a_row_and_its_frames_agree
    an_entry_comes_back_as_it_was_written
    entry_keys_are_per_peer_and_tenant_pair
    received_frames_come_with_their_seals
    entries_are_listed_newest_first_and_filtered
    open_runs_are_listed_oldest_first
    documents_are_kept_and_never_replaced
    tokens_are_found_by_their_hash
    an_invite_is_used_once_and_loses_its_secret
    pairings_come_and_go
    meta_is_replaced
    the_clock_never_goes_back
    audit_rows_are_chained_in_the_order_of_application
    a_stale_batch_leaves_no_audit_row
    pruning_forgets_what_is_past_and_only_that
    pruning_is_bounded_and_takes_the_oldest_first
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

fn a_request_id_is_accepted_once(bench: &mut Bench) {
    let unseen = || Guard::JtiUnseen { issuer: gateway(1), jti: jti(1) };
    let write = || Write::Jti { issuer: gateway(1), jti: jti(1), keep_until: Timestamp(9) };
    assert_eq!(bench.one(vec![unseen()], vec![write()]), Outcome::Committed);
    assert_eq!(bench.one(vec![unseen()], vec![write()]), Outcome::Stale(unseen()));
    assert!(bench.reads.jti_seen(&gateway(1), &jti(1)).unwrap());
    assert!(!bench.reads.jti_seen(&gateway(2), &jti(1)).unwrap(), "per issuer");
    assert!(bench.holds(Guard::JtiUnseen { issuer: gateway(2), jti: jti(1) }));
    bench.breaks(vec![write()], Broken::JtiExists(jti(1)));
}

fn a_run_comes_back_as_it_was_created(bench: &mut Bench) {
    let full = RunRow {
        intent: Some("{\"boot\":1}".into()),
        stop: Some(StopRow { reason: StopReason::Cancel, at: Timestamp(-3) }),
        epoch: 7,
        revision: 4,
        bytes: 99,
        outcome: Some("failed".into()),
        ended: Some(Timestamp(5)),
        phase: RunPhase::Settled,
        ..run(2)
    };
    let stop = Some(StopRow { reason: StopReason::Budget, at: Timestamp(1) });
    let running = RunRow { phase: RunPhase::Running, stop, ..run(3) };
    for row in [run(1), full, running] {
        bench.write(vec![Write::CreateRun(row.clone())]);
        assert_eq!(bench.reads.run(&row.run).unwrap(), Some(row));
    }
}

fn a_put_run_is_read_whole_and_one_revision_later(bench: &mut Bench) {
    bench.write(vec![Write::CreateRun(run(1))]);
    let next = RunRow {
        phase: RunPhase::Running,
        intent: Some("intent".into()),
        stop: Some(StopRow { reason: StopReason::Deadline, at: Timestamp(4) }),
        epoch: 3,
        deadline: Timestamp(1),
        head: digest(5),
        bytes: 12,
        seq: 2,
        outcome: Some("succeeded".into()),
        ended: Some(Timestamp(6)),
        request: "other request".into(),
        accept: "other accept".into(),
        work: "[1]".into(),
        terms: "[2]".into(),
        accept_digest: digest(6),
        ..run(1)
    };
    bench.write(vec![append(1, 1, 2), put(next.clone())]);
    let stored = bench.reads.run(&run_id(1)).unwrap().unwrap();
    assert_eq!(stored, RunRow { revision: 1, ..next.clone() });
    bench.breaks(vec![put(next)], Broken::RunChanged(run_id(1)));
    bench.write(vec![put(stored.clone())]);
    assert_eq!(bench.reads.run(&run_id(1)).unwrap().unwrap().revision, 2);
    let stolen = RunRow { owner: owner(2), revision: 2, ..stored };
    bench.breaks(vec![put(stolen)], Broken::RunChanged(run_id(1)));
}

fn a_key_is_bound_by_its_run_and_free_for_others(bench: &mut Bench) {
    let free = |n| Guard::KeyFree { owner: owner(n), key: key(1) };
    assert!(bench.holds(free(1)));
    bench.write(vec![Write::CreateRun(run(1))]);
    let bound = Some(KeyRecord::Run { run: run_id(1), print: digest(1) });
    assert_eq!(bench.reads.key(&owner(1), &key(1)).unwrap(), bound);
    assert!(!bench.holds(free(1)));
    assert!(bench.holds(free(2)), "another owner's key is another key");
    bench.breaks(vec![Write::CreateRun(run(1))], Broken::RunExists(run_id(1)));
    let same_key = RunRow { run: run_id(2), ..run(1) };
    bench.breaks(vec![Write::CreateRun(same_key.clone())], Broken::KeyTaken(key(1)));
    bench.write(vec![Write::CreateRun(RunRow { owner: owner(2), ..same_key })]);
}

fn a_blocked_key_stays_blocked(bench: &mut Bench) {
    let block = || Write::BlockKey { owner: owner(1), key: key(1), at: Timestamp(4) };
    bench.write(vec![block()]);
    let record = Some(KeyRecord::Blocked { at: Timestamp(4) });
    assert_eq!(bench.reads.key(&owner(1), &key(1)).unwrap(), record);
    assert!(!bench.holds(Guard::KeyFree { owner: owner(1), key: key(1) }));
    bench.breaks(vec![Write::CreateRun(run(1))], Broken::KeyTaken(key(1)));
    bench.breaks(vec![block()], Broken::KeyTaken(key(1)));
    bench.write(vec![Write::CreateRun(run(2))]);
    let bound = Write::BlockKey { owner: owner(1), key: key(2), at: Timestamp(4) };
    bench.breaks(vec![bound], Broken::KeyTaken(key(2)));
}

fn a_stale_batch_writes_nothing_and_names_its_guard(bench: &mut Bench) {
    let meta = |name: &str| Write::PutMeta { name: name.into(), value: "set".into() };
    let stale = Guard::InviteUnused { id: digest(1) };
    let outcomes = bench
        .group(&[
            batch(vec![], vec![meta("before")]),
            batch(
                vec![Guard::KeyFree { owner: owner(1), key: key(1) }, stale.clone()],
                vec![meta("stale"), Write::CreateRun(run(1)), Write::Clock(Timestamp(5))],
            ),
            batch(vec![], vec![meta("after")]),
        ])
        .unwrap();
    assert_eq!(outcomes, [Outcome::Committed, Outcome::Stale(stale), Outcome::Committed]);
    for (name, found) in [("before", true), ("stale", false), ("after", true)] {
        assert_eq!(bench.reads.meta(name).unwrap().is_some(), found, "{name}");
    }
    assert_eq!(bench.reads.run(&run_id(1)).unwrap(), None);
    assert_eq!(bench.reads.clock().unwrap(), Timestamp(0));
}

fn guards_see_earlier_batches_of_the_group(bench: &mut Bench) {
    let free = || Guard::KeyFree { owner: owner(1), key: key(1) };
    let start =
        |n| batch(vec![free()], vec![Write::CreateRun(RunRow { run: run_id(n), ..run(1) })]);
    let outcomes = bench.group(&[start(1), start(2)]).unwrap();
    assert_eq!(outcomes, [Outcome::Committed, Outcome::Stale(free())]);
    assert_eq!(bench.reads.open_runs().unwrap().len(), 1);
}

fn a_run_guard_checks_epoch_and_revision(bench: &mut Bench) {
    let guard = |run, epoch, revision| Guard::Run { run: run_id(run), epoch, revision };
    bench.write(vec![Write::CreateRun(run(1))]);
    assert!(bench.holds(guard(1, 1, 0)));
    assert!(!bench.holds(guard(2, 1, 0)), "unknown");
    assert!(!bench.holds(guard(1, 0, 0)) && !bench.holds(guard(1, 2, 0)), "another driver");
    bench.write(vec![put(RunRow { epoch: 2, ..run(1) })]);
    assert!(!bench.holds(guard(1, 1, 0)) && !bench.holds(guard(1, 2, 0)), "changed");
    assert!(bench.holds(guard(1, 2, 1)));

    bench.write(vec![Write::CreateEntry(entry(1))]);
    assert!(bench.holds(Guard::Entry { run: run_id(1), revision: 0 }));
    bench.write(vec![Write::PutEntry(entry(1))]);
    assert!(!bench.holds(Guard::Entry { run: run_id(1), revision: 0 }));
    assert!(bench.holds(Guard::Entry { run: run_id(1), revision: 1 }));
    assert!(!bench.holds(Guard::Entry { run: run_id(2), revision: 0 }));
}

fn a_fault_undoes_the_whole_group(bench: &mut Bench) {
    let meta = || Write::PutMeta { name: "first".into(), value: "set".into() };
    let group = [
        batch(vec![], vec![meta(), Write::Audit(event(1))]),
        batch(vec![], vec![Write::CreateRun(run(1)), append(1, 2, 1)]),
    ];
    let fault = bench.group(&group).unwrap_err();
    let expected = Broken::NotContiguous { run: run_id(1), first: 2, expected: 1 };
    assert!(matches!(fault, Fault::Broken(broken) if broken == expected));
    assert_eq!(bench.reads.meta("first").unwrap(), None);
    assert_eq!(bench.reads.audit_head().unwrap().0, 0);
    assert_eq!(bench.reads.run(&run_id(1)).unwrap(), None);
}

fn frames_are_contiguous_and_paged(bench: &mut Bench) {
    let six = RunRow { seq: 6, ..run(1) };
    bench.write(vec![Write::CreateRun(run(1)), append(1, 1, 4), append(1, 5, 2), put(six)]);
    let all = lines(1, 6);
    let size = all[0].len();
    let page = |after, count, bytes| bench.reads.frames(&run_id(1), after, count, bytes).unwrap();
    assert_eq!(page(0, 100, 10_000), all);
    assert_eq!(page(2, 2, 10_000), all[2..4]);
    assert_eq!(page(0, 100, 3 * size), all[..3], "exactly the bytes");
    assert_eq!(page(0, 100, 3 * size - 1), all[..2], "one byte less");
    assert_eq!(page(5, 100, 0), all[5..], "the first comes however large");
    assert!(page(0, 0, 10_000).is_empty() && page(6, 9, 9).is_empty());
    assert!(page(u64::MAX, 9, 9).is_empty());
    for first in [5, 6, 8] {
        let broken = Broken::NotContiguous { run: run_id(1), first, expected: 7 };
        bench.breaks(vec![append(1, first, 1)], broken);
    }
    bench.write(vec![append(1, 7, 0)]);
}

fn writes_to_rows_that_are_not_there_are_faults(bench: &mut Bench) {
    bench.breaks(vec![put(run(1))], Broken::RunUnknown(run_id(1)));
    bench.breaks(vec![append(1, 1, 1)], Broken::RunUnknown(run_id(1)));
    bench.breaks(vec![Write::PutEntry(entry(1))], Broken::EntryUnknown(run_id(1)));
    bench.breaks(vec![received(1, 1, 1)], Broken::EntryUnknown(run_id(1)));
    let unused = Write::UseInvite { id: digest(1), at: Timestamp(1) };
    bench.breaks(vec![unused], Broken::InviteNotOpen);
}

fn a_row_and_its_frames_agree(bench: &mut Bench) {
    bench.write(vec![Write::CreateRun(run(1)), Write::CreateEntry(entry(1))]);
    let run_differs = |seq, last| Broken::SeqDiffers { run: run_id(1), seq, last };
    bench.breaks(vec![append(1, 1, 2)], run_differs(0, 2));
    bench.breaks(vec![put(RunRow { seq: 1, ..run(1) })], run_differs(1, 0));
    bench.breaks(vec![received(1, 1, 2)], run_differs(0, 2));
    bench.breaks(
        vec![Write::CreateRun(RunRow { seq: 1, ..run(2) })],
        Broken::SeqDiffers { run: run_id(2), seq: 1, last: 0 },
    );
    bench.write(vec![put(RunRow { seq: 2, ..run(1) }), append(1, 1, 2)]);
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

fn an_entry_comes_back_as_it_was_written(bench: &mut Bench) {
    for row in [entry(1), full_entry(2)] {
        bench.write(vec![Write::CreateEntry(row.clone())]);
        assert_eq!(bench.reads.entry(&row.run).unwrap(), Some(row));
    }
    let next = EntryRow { key: key(1), ..full_entry(1) };
    bench.write(vec![Write::PutEntry(next.clone())]);
    let stored = bench.reads.entry(&run_id(1)).unwrap().unwrap();
    assert_eq!(stored, EntryRow { revision: 1, ..next.clone() });
    bench.breaks(vec![Write::PutEntry(next)], Broken::EntryChanged(run_id(1)));
    let cleared = EntryRow { revision: 1, ..entry(1) };
    bench.write(vec![Write::PutEntry(cleared)]);
    assert_eq!(bench.reads.entry(&run_id(1)).unwrap().unwrap().accept, None);
    bench.breaks(vec![Write::CreateEntry(entry(1))], Broken::EntryExists(run_id(1)));
}

fn entry_keys_are_per_peer_and_tenant_pair(bench: &mut Bench) {
    let free = |peer, tenant, n| Guard::EntryKeyFree {
        peer: gateway(peer),
        tenant: pair(tenant),
        key: key(n),
    };
    bench.write(vec![Write::CreateEntry(entry(1))]);
    assert!(!bench.holds(free(1, 1, 1)));
    assert!(bench.holds(free(2, 1, 1)) && bench.holds(free(1, 2, 1)) && bench.holds(free(1, 1, 2)));
    let found = bench.reads.entry_of_key(&gateway(1), &pair(1), &key(1)).unwrap();
    assert_eq!(found, Some(entry(1)));
    assert_eq!(bench.reads.entry_of_key(&gateway(2), &pair(1), &key(1)).unwrap(), None);
    let mut same_key = entry(1);
    same_key.run = run_id(2);
    bench.breaks(vec![Write::CreateEntry(same_key)], Broken::EntryKeyTaken(key(1)));
}

fn received_frames_come_with_their_seals(bench: &mut Bench) {
    let mut five = entry(1);
    five.seq = 5;
    bench.write(vec![
        Write::CreateEntry(entry(1)),
        received(1, 1, 3),
        received(1, 4, 2),
        received(1, 6, 0),
        Write::PutEntry(five),
    ]);
    assert_eq!(bench.reads.received(&run_id(1), 0, 9, 999).unwrap(), lines(1, 5));
    assert_eq!(bench.reads.received(&run_id(1), 3, 1, 999).unwrap(), lines(4, 1));
    let seals = bench.reads.received_seals(&run_id(1)).unwrap();
    let seals: Vec<_> =
        seals.iter().map(|seal| (seal.seq, seal.seal.as_str(), seal.at.0)).collect();
    assert_eq!(seals, [(3, "seal 1+3", 30), (5, "seal 4+2", 30), (5, "seal 6+0", 30)]);
    let broken = Broken::NotContiguous { run: run_id(1), first: 5, expected: 6 };
    bench.breaks(vec![received(1, 5, 1)], broken);
}

fn entries_are_listed_newest_first_and_filtered(bench: &mut Bench) {
    for n in 1..=6 {
        let mut row = if n % 2 == 0 { full_entry(n) } else { entry(n) };
        row.created = Timestamp(100 + i64::try_from(n / 3).unwrap());
        row.gateway = alias(n % 3);
        bench.write(vec![Write::CreateEntry(row)]);
    }
    let list = |filter: EntryFilter| -> Vec<_> {
        let found = bench.reads.entries(&filter).unwrap();
        found.iter().map(|row| row.run.clone()).collect()
    };
    let ids = |ids: &[u64]| ids.iter().map(|n| run_id(*n)).collect::<Vec<_>>();
    let all = EntryFilter { limit: 100, ..EntryFilter::default() };
    assert_eq!(list(all.clone()), ids(&[6, 5, 4, 3, 2, 1]));
    assert_eq!(list(EntryFilter { limit: 2, ..all.clone() }), ids(&[6, 5]));
    let before = |n| EntryFilter { before: Some(run_id(n)), ..all.clone() };
    assert_eq!(list(before(4)), ids(&[3, 2, 1]));
    assert_eq!(list(before(77)), ids(&[]), "an unknown cursor has nothing before it");
    let of = EntryFilter { gateway: Some(alias(1)), ..all.clone() };
    assert_eq!(list(of), ids(&[4, 1]));
    assert_eq!(list(EntryFilter { settled: Some(false), ..all.clone() }), ids(&[5, 3, 1]));
    assert_eq!(list(EntryFilter { settled: Some(true), ..all.clone() }), ids(&[6, 4, 2]));
    let token = EntryFilter { token: Some("token".into()), ..all.clone() };
    assert_eq!(list(token), ids(&[6, 4, 2]));
    let label = |value: &str| Some(("team".to_owned(), value.to_owned()));
    let labelled = EntryFilter { label: label("a \"quoted\" ü"), ..all.clone() };
    assert_eq!(list(labelled), ids(&[6, 4, 2]));
    assert_eq!(list(EntryFilter { label: label("other"), ..all }), ids(&[]));
    let open = bench.reads.open_entries().unwrap();
    let open: Vec<_> = open.into_iter().map(|row| row.run).collect();
    assert_eq!(open, ids(&[1, 3, 5]));
}

fn open_runs_are_listed_oldest_first(bench: &mut Bench) {
    for (n, created) in [(1, 50), (2, 40), (3, 50), (4, 30)] {
        let row = RunRow { created: Timestamp(created), ..run(n) };
        bench.write(vec![Write::CreateRun(row)]);
    }
    bench.write(vec![Write::CreateRun(RunRow { owner: owner(2), ..run(5) })]);
    bench.write(vec![put(RunRow { created: Timestamp(30), ..settled(4, 0, 0, 5) })]);
    let open = bench.reads.open_runs().unwrap();
    let open: Vec<_> = open.into_iter().map(|row| row.run).collect();
    assert_eq!(open, [2, 1, 3, 5].map(run_id));
    assert_eq!(bench.reads.open_runs_of(&owner(1)).unwrap(), 3);
    assert_eq!(bench.reads.open_runs_of(&owner(2)).unwrap(), 1);
    assert_eq!(bench.reads.open_runs_of(&owner(3)).unwrap(), 0);
    let block = Write::BlockKey { owner: owner(4), key: key(1), at: Timestamp(1) };
    bench.write(vec![block]);
    let keeps = |n| bench.reads.keeps_keys_of(&owner(n)).unwrap();
    assert_eq!([1, 2, 3, 4].map(keeps), [true, true, false, true]);
}

fn documents_are_kept_and_never_replaced(bench: &mut Bench) {
    let kind = DocumentKind::Root;
    let at = |version| Guard::DocumentAt { gateway: gateway(1), kind, version };
    assert!(bench.holds(at(None)) && !bench.holds(at(Some(1))));
    bench.write(vec![
        Write::SaveDocument(document(kind, 2)),
        Write::SaveDocument(document(kind, 10)),
        Write::SaveDocument(document(DocumentKind::Status, 99)),
    ]);
    assert!(bench.holds(at(Some(10))) && !bench.holds(at(Some(2))) && !bench.holds(at(None)));
    let newest = bench.reads.newest_document(&gateway(1), kind).unwrap();
    assert_eq!(newest, Some(document(kind, 10)));
    let all = bench.reads.documents(&gateway(1), kind).unwrap();
    assert_eq!(all, [document(kind, 2), document(kind, 10)]);
    assert_eq!(bench.reads.newest_document(&gateway(2), kind).unwrap(), None);

    let mut again = document(kind, 2);
    again.at = Timestamp(8);
    bench.write(vec![Write::SaveDocument(again.clone())]);
    assert_eq!(bench.reads.documents(&gateway(1), kind).unwrap()[0], document(kind, 2));
    again.envelope.push('x');
    bench.breaks(vec![Write::SaveDocument(again)], Broken::DocumentDiffers(2));
}

fn tokens_are_found_by_their_hash(bench: &mut Bench) {
    bench.write(vec![Write::PutToken(token(1)), Write::PutToken(token(2))]);
    assert_eq!(bench.reads.tokens().unwrap(), [token(2), token(1)], "oldest first");
    assert_eq!(bench.reads.token_of_hash(&digest(1)).unwrap(), Some(token(1)));
    assert_eq!(bench.reads.token_of_hash(&digest(3)).unwrap(), None);
    let mut revoked = token(1);
    revoked.revoked = Some(Timestamp(8));
    revoked.routes = vec![];
    bench.write(vec![Write::PutToken(revoked.clone())]);
    assert_eq!(bench.reads.token_of_hash(&digest(1)).unwrap(), Some(revoked));
    let mut thief = token(3);
    thief.hash = digest(1);
    bench.breaks(vec![Write::PutToken(thief)], Broken::TokenHashTaken("token-3".into()));
}

fn an_invite_is_used_once_and_loses_its_secret(bench: &mut Bench) {
    let unused = || Guard::InviteUnused { id: digest(1) };
    assert!(!bench.holds(unused()), "unknown");
    bench.write(vec![Write::CreateInvite(invite(1))]);
    assert_eq!(bench.reads.invite(&digest(1)).unwrap(), Some(invite(1)));
    bench.breaks(vec![Write::CreateInvite(invite(1))], Broken::InviteExists);
    let consume = || Write::UseInvite { id: digest(1), at: Timestamp(2) };
    assert_eq!(bench.one(vec![unused()], vec![consume()]), Outcome::Committed);
    assert_eq!(bench.one(vec![unused()], vec![consume()]), Outcome::Stale(unused()));
    let used = InviteRow { secret: String::new(), used: Some(Timestamp(2)), ..invite(1) };
    assert_eq!(bench.reads.invite(&digest(1)).unwrap(), Some(used));
    bench.breaks(vec![consume()], Broken::InviteNotOpen);
}

fn pairings_come_and_go(bench: &mut Bench) {
    bench.write(vec![Write::PutPairing(pairing(2)), Write::PutPairing(pairing(1))]);
    let mut changed = pairing(1);
    changed.words = "other words".into();
    bench.write(vec![Write::PutPairing(changed.clone())]);
    assert_eq!(bench.reads.pairings().unwrap(), [changed.clone(), pairing(2)]);
    bench.write(vec![Write::DropPairing { peer: gateway(2) }]);
    bench.write(vec![Write::DropPairing { peer: gateway(2) }]);
    assert_eq!(bench.reads.pairings().unwrap(), [changed]);
}

fn meta_is_replaced(bench: &mut Bench) {
    for value in ["1", "2"] {
        bench.write(vec![Write::PutMeta { name: "incarnation".into(), value: value.into() }]);
        assert_eq!(bench.reads.meta("incarnation").unwrap().as_deref(), Some(value));
    }
    assert_eq!(bench.reads.meta("other").unwrap(), None);
}

fn the_clock_never_goes_back(bench: &mut Bench) {
    for (told, read) in [(5, 5), (3, 5), (-9, 5), (6, 6)] {
        bench.write(vec![Write::Clock(Timestamp(told))]);
        assert_eq!(bench.reads.clock().unwrap(), Timestamp(read));
    }
}

fn audit_rows_are_chained_in_the_order_of_application(bench: &mut Bench) {
    bench.write(vec![Write::Audit(event(1)), Write::Audit(event(2))]);
    let group =
        [batch(vec![], vec![Write::Audit(event(3))]), batch(vec![], vec![Write::Audit(event(4))])];
    bench.group(&group).unwrap();
    let rows = bench.reads.audit(0, 100).unwrap();
    let events: Vec<_> = (1..=4).map(|n| audit::event_text(&event(n)).unwrap()).collect();
    assert_eq!(rows.iter().map(|row| row.event.clone()).collect::<Vec<_>>(), events);
    let head = audit::verify(&rows).unwrap();
    assert_eq!(bench.reads.audit_head().unwrap(), (head.n, head.digest));
    assert_eq!(bench.reads.audit(2, 1).unwrap(), rows[2..3]);
}

fn a_stale_batch_leaves_no_audit_row(bench: &mut Bench) {
    let stale = Guard::InviteUnused { id: digest(1) };
    bench.one(vec![stale], vec![Write::Audit(event(1))]);
    bench.write(vec![Write::Audit(event(2))]);
    let rows = bench.reads.audit(0, 100).unwrap();
    assert_eq!(audit::verify(&rows).unwrap().n, 1);
}

fn prune(jtis: i64, runs: i64, entries: i64, limit: u32) -> Write {
    Write::Prune {
        jti_before: Timestamp(jtis),
        runs_before: Timestamp(runs),
        entries_before: Timestamp(entries),
        limit,
    }
}

fn pruning_forgets_what_is_past_and_only_that(bench: &mut Bench) {
    for (n, keep_until) in [(1, 9), (2, 10)] {
        let keep_until = Timestamp(keep_until);
        bench.write(vec![Write::Jti { issuer: gateway(1), jti: jti(n), keep_until }]);
    }
    for (n, ended) in [(1, Some(9)), (2, Some(10)), (3, None)] {
        bench.write(vec![Write::CreateRun(run(n)), Write::CreateEntry(entry(n))]);
        bench.write(vec![append(n, 1, 2), put(RunRow { seq: 2, ..run(n) })]);
        let mut row = entry(n);
        row.seq = 2;
        bench.write(vec![received(n, 1, 2), Write::PutEntry(row.clone())]);
        let Some(ended) = ended else { continue };
        (row.phase, row.revision) = (EntryPhase::Settled, 1);
        row.ended = Some(Timestamp(ended));
        bench.write(vec![put(settled(n, 1, 2, ended)), Write::PutEntry(row)]);
    }
    for (n, at) in [(11, 9), (12, 10)] {
        let at = Timestamp(at);
        bench.write(vec![Write::BlockKey { owner: owner(1), key: key(n), at }]);
    }
    bench.write(vec![prune(10, 10, 10, 100)]);
    let reads = &bench.reads;
    for (n, kept) in [(1, false), (2, true), (3, true)] {
        assert_eq!(reads.run(&run_id(n)).unwrap().is_some(), kept, "run {n}");
        assert_eq!(reads.key(&owner(1), &key(n)).unwrap().is_some(), kept, "key {n}");
        assert_eq!(!reads.frames(&run_id(n), 0, 9, 999).unwrap().is_empty(), kept, "frames {n}");
        assert_eq!(reads.entry(&run_id(n)).unwrap().is_some(), kept, "entry {n}");
        assert_eq!(!reads.received(&run_id(n), 0, 9, 999).unwrap().is_empty(), kept);
        assert_eq!(!reads.received_seals(&run_id(n)).unwrap().is_empty(), kept);
    }
    for (n, kept) in [(1, false), (2, true)] {
        assert_eq!(reads.jti_seen(&gateway(1), &jti(n)).unwrap(), kept, "jti {n}");
        assert_eq!(reads.key(&owner(1), &key(10 + n)).unwrap().is_some(), kept, "blocked {n}");
    }
    bench.write(vec![Write::CreateRun(run(1)), Write::CreateEntry(entry(1))]);
}

fn pruning_is_bounded_and_takes_the_oldest_first(bench: &mut Bench) {
    for n in 1..=5_u64 {
        let age = i64::try_from(10 - n).unwrap();
        bench.write(vec![
            Write::Jti { issuer: gateway(1), jti: jti(n), keep_until: Timestamp(age) },
            Write::CreateRun(settled(n, 0, 0, age)),
            Write::CreateEntry(EntryRow { ended: Some(Timestamp(age)), ..full_entry(n) }),
            Write::BlockKey { owner: owner(2), key: key(n), at: Timestamp(age) },
        ]);
    }
    bench.write(vec![prune(100, 100, 100, 2)]);
    let reads = &bench.reads;
    for n in 1..=5 {
        let kept = n <= 3;
        assert_eq!(reads.jti_seen(&gateway(1), &jti(n)).unwrap(), kept, "jti {n}");
        assert_eq!(reads.run(&run_id(n)).unwrap().is_some(), kept, "run {n}");
        assert_eq!(reads.entry(&run_id(n)).unwrap().is_some(), kept, "entry {n}");
        assert_eq!(reads.key(&owner(2), &key(n)).unwrap().is_some(), kept, "blocked {n}");
    }
}
