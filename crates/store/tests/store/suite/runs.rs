//! Runs, their keys and their frames.

use super::*;

suite! {
    a_request_id_is_accepted_once
    a_run_comes_back_as_it_was_created
    a_put_run_is_read_whole_and_one_revision_later
    a_key_is_bound_by_its_run_and_free_for_others
    a_blocked_key_stays_blocked
    frames_are_contiguous_and_paged
    writes_to_rows_that_are_not_there_are_faults
    a_row_and_its_frames_agree
    open_runs_are_listed_oldest_first
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
    let unused = Write::UseInvite { id: digest(1), at: Timestamp(1), by: gateway(1) };
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

fn open_runs_are_listed_oldest_first(bench: &mut Bench) {
    for (n, created) in [(1, 50), (2, 40), (3, 50), (4, 30)] {
        let row = RunRow { created: Timestamp(created), ..run(n) };
        bench.write(vec![Write::CreateRun(row)]);
    }
    bench.write(vec![Write::CreateRun(RunRow { owner: owner(2), ..run(5) })]);
    let ended = RunRow { created: Timestamp(30), lingers: true, ..settled(4, 0, 0, 5) };
    bench.write(vec![put(ended.clone())]);
    let lingering = bench.reads.lingering_runs().unwrap();
    assert_eq!(lingering.into_iter().map(|row| row.run).collect::<Vec<_>>(), [run_id(4)]);
    bench.write(vec![put(RunRow { revision: 1, lingers: false, ..ended })]);
    assert_eq!(bench.reads.lingering_runs().unwrap(), []);
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
