//! The journal.

use super::*;

suite! {
    an_entry_comes_back_as_it_was_written
    entry_keys_are_per_peer_and_tenant_pair
    received_frames_come_with_their_seals
    entries_are_listed_newest_first_and_filtered
}

fn an_entry_comes_back_as_it_was_written(bench: &mut Bench) {
    for row in [entry(1), full_entry(2)] {
        bench.write(vec![Write::CreateEntry(row.clone())]);
        assert_eq!(bench.reads.entry(&row.run).unwrap(), Some(row));
    }
    let next = EntryRow { key: key(1), labels: entry(1).labels, ..full_entry(1) };
    let next = EntryRow { created: entry(1).created, ..next };
    bench.write(vec![Write::PutEntry(next.clone())]);
    let stored = bench.reads.entry(&run_id(1)).unwrap().unwrap();
    assert_eq!(stored, EntryRow { revision: 1, ..next.clone() });
    bench.breaks(vec![Write::PutEntry(next.clone())], Broken::EntryChanged(run_id(1)));
    let moved = [
        EntryRow { revision: 1, created: Timestamp(5), ..next.clone() },
        EntryRow { revision: 1, labels: full_entry(1).labels, ..next },
    ];
    for moved in moved {
        bench.breaks(vec![Write::PutEntry(moved)], Broken::EntryChanged(run_id(1)));
    }
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
    let place = |at, n| Some(EntryPlace { created: Timestamp(at), run: run_id(n) });
    let before = |at, n| EntryFilter { before: place(at, n), ..all.clone() };
    assert_eq!(list(before(101, 4)), ids(&[3, 2, 1]));
    assert_eq!(list(before(101, 77)), ids(&[5, 4, 3, 2, 1]), "nothing need be at the place");
    let of = EntryFilter { gateways: vec![alias(1)], ..all.clone() };
    assert_eq!(list(of), ids(&[4, 1]));
    let of = EntryFilter { gateways: vec![alias(1), alias(0)], ..all.clone() };
    assert_eq!(list(of), ids(&[6, 4, 3, 1]));
    let times = |since, until| EntryFilter { since, until, ..all.clone() };
    assert_eq!(list(times(Some(Timestamp(101)), None)), ids(&[6, 5, 4, 3]));
    assert_eq!(list(times(Some(Timestamp(101)), Some(Timestamp(102)))), ids(&[5, 4, 3]));
    let tenants = |of: &[u64]| EntryFilter {
        tenants: of.iter().map(|n| pair(*n).src).collect(),
        ..all.clone()
    };
    assert_eq!(list(tenants(&[2])), ids(&[]));
    assert_eq!(list(EntryFilter { limit: 3, ..tenants(&[2, 1]) }), ids(&[6, 5, 4]));
    let outcome = full_entry(2).outcome;
    assert_eq!(list(EntryFilter { outcome, ..all.clone() }), ids(&[6, 4, 2]));
    assert_eq!(list(EntryFilter { outcome: Some("no".into()), ..all.clone() }), ids(&[]));
    assert_eq!(list(EntryFilter { settled: Some(false), ..all.clone() }), ids(&[5, 3, 1]));
    assert_eq!(list(EntryFilter { settled: Some(true), ..all.clone() }), ids(&[6, 4, 2]));
    let token = EntryFilter { token: Some("token".into()), ..all.clone() };
    assert_eq!(list(token), ids(&[6, 4, 2]));
    let labelled = |labels: &[(&str, &str)]| EntryFilter {
        labels: labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        ..all.clone()
    };
    let team = ("team", "a \"quoted\" ü");
    assert_eq!(list(labelled(&[team])), ids(&[6, 4, 2]));
    assert_eq!(list(labelled(&[team, ("no", "")])), ids(&[]));
    assert_eq!(list(labelled(&[("team", "other")])), ids(&[]));
    let open = bench.reads.open_entries().unwrap();
    let open: Vec<_> = open.into_iter().map(|row| row.run).collect();
    assert_eq!(open, ids(&[1, 3, 5]));
}
