//! Retention.

use super::*;

suite! {
    pruning_forgets_what_is_past_and_only_that
    pruning_is_bounded_and_takes_the_oldest_first
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
