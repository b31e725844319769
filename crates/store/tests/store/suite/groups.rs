//! Groups, guards and the audit log.

use super::*;

suite! {
    a_stale_batch_writes_nothing_and_names_its_guard
    guards_see_earlier_batches_of_the_group
    a_run_guard_checks_epoch_and_revision
    a_fault_undoes_the_whole_group
    audit_rows_are_chained_in_the_order_of_application
    a_stale_batch_leaves_no_audit_row
    meta_is_replaced
    the_clock_never_goes_back
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
