//! Evidence, sessions and tokens.

use super::*;

suite! {
    evidence_is_kept_and_never_replaced
    a_session_is_known_to_its_owner_and_agent_while_a_run_of_it_is_kept
    runs_of_a_session_stand_in_the_order_of_their_binding
    a_tokens_open_entries_are_counted_and_guarded
}

fn evidence_is_kept_and_never_replaced(bench: &mut Bench) {
    bench.write(vec![Write::KeepEvidence(evidence(2, "b")), Write::KeepEvidence(evidence(1, "a"))]);
    // Found again later: the same file.
    let later = EvidenceRow { at: Timestamp(99), ..evidence(1, "a") };
    bench.write(vec![Write::KeepEvidence(later)]);
    assert_eq!(bench.reads.all_evidence().unwrap(), [evidence(1, "a"), evidence(2, "b")]);
    assert_eq!(bench.reads.evidence("ev-2").unwrap(), Some(evidence(2, "b")));
    assert_eq!(bench.reads.evidence("ev-3").unwrap(), None);
    let other = Write::KeepEvidence(evidence(1, "other"));
    bench.breaks(vec![other], Broken::EvidenceDiffers("ev-1".into()));
}

fn a_session_is_known_to_its_owner_and_agent_while_a_run_of_it_is_kept(bench: &mut Bench) {
    let known = |owner_n, agent_n, to| Guard::SessionKnown {
        owner: owner(owner_n),
        agent: agent(agent_n),
        session: session(to),
    };
    bench.breaks(vec![bind(1, 1)], Broken::RunUnknown(run_id(1)));
    bench.write(vec![Write::CreateRun(run(1)), bind(1, 1)]);
    bench.write(vec![Write::CreateRun(run(2)), bind(2, 1)]);
    // A run is bound once.
    bench.write(vec![bind(1, 1), bind(1, 2)]);
    for (owner_n, agent_n, to, found) in
        [(1, 1, 1, true), (2, 1, 1, false), (1, 2, 1, false), (1, 1, 2, false)]
    {
        assert_eq!(bench.holds(known(owner_n, agent_n, to)), found);
        let read = bench.reads.session_known(&owner(owner_n), &agent(agent_n), &session(to));
        assert_eq!(read.unwrap(), found);
    }
    let prune = |before| Write::Prune {
        jti_before: Timestamp(0),
        runs_before: Timestamp(before),
        entries_before: Timestamp(0),
        limit: 10,
    };
    bench.write(vec![put(settled(1, 0, 0, 10)), put(settled(2, 0, 0, 20))]);
    bench.write(vec![prune(15)]);
    assert!(bench.holds(known(1, 1, 1)), "run 2 is kept");
    bench.write(vec![prune(25)]);
    assert!(!bench.holds(known(1, 1, 1)));
}

fn runs_of_a_session_stand_in_the_order_of_their_binding(bench: &mut Bench) {
    let next = |n| Guard::NextInSession { run: run_id(n) };
    // Bound in another order than they were created in; 4 is of another session, 5 of none.
    for (n, to) in [(3, 1), (4, 2), (1, 1), (2, 1)] {
        bench.write(vec![Write::CreateRun(run(n)), bind(n, to)]);
    }
    bench.write(vec![Write::CreateRun(run(5))]);
    let ahead =
        |bench: &Bench| [1, 2, 3, 4, 5, 6].map(|n| bench.reads.run_ahead(&run_id(n)).unwrap());
    let (one, three) = (Some(run_id(1)), Some(run_id(3)));
    assert_eq!(ahead(bench), [three.clone(), one.clone(), None, None, None, None]);
    assert!(bench.holds(next(3)) && bench.holds(next(4)) && bench.holds(next(5)));
    assert!(!bench.holds(next(1)) && !bench.holds(next(2)));
    // One in the middle ends first: who comes after it still waits for the first.
    bench.write(vec![put(settled(1, 0, 0, 10))]);
    assert_eq!(ahead(bench), [three.clone(), three, None, None, None, None]);
    bench.write(vec![put(settled(3, 0, 0, 20))]);
    assert!(bench.holds(next(2)));
    // What is pruned leaves no gap that a later run could slip into.
    let before = Timestamp(100);
    let (jti_before, entries_before) = (Timestamp(0), Timestamp(0));
    bench.write(vec![Write::Prune { jti_before, runs_before: before, entries_before, limit: 9 }]);
    bench.write(vec![Write::CreateRun(run(7)), bind(7, 1)]);
    assert_eq!(bench.reads.run_ahead(&run_id(7)).unwrap(), Some(run_id(2)));
    assert!(bench.holds(next(2)) && !bench.holds(next(7)));
}

fn a_tokens_open_entries_are_counted_and_guarded(bench: &mut Bench) {
    let below = |max| Guard::TokenOpenBelow { token: "token".into(), max };
    assert!(!bench.holds(below(0)));
    for n in 1..=3 {
        let token = (n != 2).then(|| "token".to_owned());
        let create = Write::CreateEntry(EntryRow { token, ..entry(n) });
        assert_eq!(bench.one(vec![below(2)], vec![create]), Outcome::Committed);
    }
    assert_eq!(bench.reads.open_entries_of("token").unwrap(), 2);
    assert_eq!(bench.reads.open_entries_of("other").unwrap(), 0);
    assert!(!bench.holds(below(2)) && bench.holds(below(3)));
    let mut row = bench.reads.entry(&run_id(1)).unwrap().unwrap();
    (row.phase, row.ended) = (EntryPhase::Settled, Some(Timestamp(9)));
    bench.write(vec![Write::PutEntry(row)]);
    assert_eq!(bench.reads.open_entries_of("token").unwrap(), 1);
    assert!(bench.holds(below(2)));
}
