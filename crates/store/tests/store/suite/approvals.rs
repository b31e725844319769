//! Approvals and catalogs.

use landbridge_proto::machine::contract::{
    ApprovalFilter, ApprovalRow, ApprovalSide, ApprovalState, CatalogRow,
};

use super::*;

suite! {
    an_approval_is_created_once_and_changed_under_its_revision
    what_an_approval_is_about_never_changes
    an_approval_says_when_it_ended
    approvals_are_listed_newest_first_and_by_what_is_asked
    an_approval_goes_with_its_run_and_never_before_it
    pruning_approvals_is_bounded_and_takes_the_oldest_first
    only_the_newest_catalog_is_kept_and_none_goes_back
}

fn create(row: ApprovalRow) -> Write {
    Write::CreateApproval(row)
}

fn put(row: ApprovalRow) -> Write {
    Write::PutApproval(row)
}

fn an_approval_is_created_once_and_changed_under_its_revision(bench: &mut Bench) {
    let id = approval_id(1);
    let free = Guard::ApprovalFree { id: id.clone() };
    let at = |revision| Guard::Approval { id: approval_id(1), revision };
    assert!(bench.holds(free.clone()) && !bench.holds(at(0)));
    assert_eq!(bench.reads.approval(&id).unwrap(), None);
    bench.breaks(vec![put(approval(1))], Broken::ApprovalUnknown(id.clone()));

    bench.write(vec![create(approval(1))]);
    assert!(!bench.holds(free) && bench.holds(at(0)) && !bench.holds(at(1)));
    assert_eq!(bench.reads.approval(&id).unwrap(), Some(approval(1)));
    bench.breaks(vec![create(approval(1))], Broken::ApprovalExists(id.clone()));

    let ended = decided(1, ApprovalState::Approved, 50);
    bench.write(vec![put(ended.clone())]);
    let stored = ApprovalRow { revision: 1, ..ended.clone() };
    assert_eq!(bench.reads.approval(&id).unwrap(), Some(stored));
    // Two who read the same row: the second is stale, and one who does not guard is a bug.
    assert!(!bench.holds(at(0)) && bench.holds(at(1)));
    bench.breaks(vec![put(ended)], Broken::ApprovalChanged(id));
}

fn what_an_approval_is_about_never_changes(bench: &mut Bench) {
    bench.write(vec![create(approval(1))]);
    let others = [
        ApprovalRow { side: ApprovalSide::Deciding, ..approval(1) },
        ApprovalRow { tenant: pair(2).src, ..approval(1) },
        ApprovalRow { subject: "other".into(), ..approval(1) },
        ApprovalRow { token: Some("token".into()), ..approval(1) },
        ApprovalRow { created: Timestamp(1), ..approval(1) },
    ];
    for other in others {
        bench.breaks(vec![put(other)], Broken::ApprovalChanged(approval_id(1)));
    }
    assert_eq!(bench.reads.approval(&approval_id(1)).unwrap(), Some(approval(1)));
}

fn an_approval_says_when_it_ended(bench: &mut Bench) {
    let undated = Broken::ApprovalUndated(approval_id(1));
    let early = ApprovalRow { decided: Some(Timestamp(1)), ..approval(1) };
    bench.breaks(vec![create(early.clone())], undated.clone());
    bench.write(vec![create(approval(1))]);
    bench.breaks(vec![put(early)], undated.clone());
    let never = ApprovalRow { state: ApprovalState::Expired, ..approval(1) };
    bench.breaks(vec![put(never)], undated);
}

fn approvals_are_listed_newest_first_and_by_what_is_asked(bench: &mut Bench) {
    let rows = [
        approval(1),
        approval(2),
        ApprovalRow { tenant: pair(2).src, token: Some("token".into()), ..approval(3) },
        decided(4, ApprovalState::Denied, 50),
        // Of the same time as the one before; the greater id comes first.
        ApprovalRow { created: approval(4).created, ..decided(5, ApprovalState::Closed, 50) },
    ];
    bench.write(rows.iter().cloned().map(create).collect());
    let all = ApprovalFilter { limit: 10, ..ApprovalFilter::default() };
    let listed = |filter: &ApprovalFilter| {
        let found = bench.reads.approvals(filter).unwrap();
        found.iter().map(|row| rows.iter().position(|one| one == row).unwrap() + 1).collect()
    };
    let is = |filter: ApprovalFilter, expected: &[usize]| {
        let found: Vec<usize> = listed(&filter);
        assert_eq!(found, expected, "{filter:?}");
    };
    is(all.clone(), &[5, 4, 3, 2, 1]);
    is(ApprovalFilter { limit: 2, ..all.clone() }, &[5, 4]);
    is(ApprovalFilter { limit: 0, ..all.clone() }, &[]);
    is(ApprovalFilter { state: Some(ApprovalState::Open), ..all.clone() }, &[3, 2, 1]);
    is(ApprovalFilter { state: Some(ApprovalState::Denied), ..all.clone() }, &[4]);
    is(ApprovalFilter { side: Some(ApprovalSide::Deciding), ..all.clone() }, &[4, 2]);
    is(ApprovalFilter { token: Some("token".into()), ..all.clone() }, &[3]);
    is(ApprovalFilter { run: Some(run_id(4)), ..all.clone() }, &[4]);
    is(ApprovalFilter { tenants: vec![pair(2).src], ..all.clone() }, &[3]);
    let both = vec![pair(1).src, pair(2).src];
    is(ApprovalFilter { tenants: both, limit: 4, ..all.clone() }, &[5, 4, 3, 2]);
    let side = Some(ApprovalSide::Relying);
    is(ApprovalFilter { state: Some(ApprovalState::Open), side, ..all }, &[3, 1]);
    assert_eq!(bench.reads.open_approvals().unwrap(), rows[..3], "oldest first");
}

fn prune(runs: i64, entries: i64, limit: u32) -> Write {
    Write::Prune {
        jti_before: Timestamp(0),
        runs_before: Timestamp(runs),
        entries_before: Timestamp(entries),
        limit,
    }
}

fn kept(bench: &Bench, among: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    among.filter(|n| bench.reads.approval(&approval_id(*n)).unwrap().is_some()).collect()
}

//= APR-28
fn an_approval_goes_with_its_run_and_never_before_it(bench: &mut Bench) {
    // 1 waits in a run of ours and 2 in one of the journal; both ended long after they were decided. 3 is
    // of no run, 4 of one that is not here, 5 ended later, 6 is open.
    bench.write(vec![Write::CreateRun(run(1)), Write::CreateEntry(entry(2))]);
    for (n, at) in [(1, 10), (2, 10), (3, 10), (4, 10), (5, 40)] {
        let row = decided(n, ApprovalState::Approved, at);
        bench.write(vec![create(ApprovalRow { run: row.run.filter(|_| n != 3), ..row })]);
    }
    bench.write(vec![create(ApprovalRow { expires: Timestamp(1), ..approval(6) })]);
    bench.write(vec![prune(10, 0, 9)]);
    assert_eq!(kept(bench, 1..=6), [1, 2, 3, 4, 5, 6], "not earlier than 10");
    bench.write(vec![prune(30, 0, 9)]);
    assert_eq!(kept(bench, 1..=6), [1, 2, 5, 6]);
    let ended = EntryRow { phase: EntryPhase::Settled, ended: Some(Timestamp(20)), ..entry(2) };
    bench.write(vec![Write::PutRun(settled(1, 0, 0, 20)), Write::PutEntry(ended)]);
    // The journal keeps its run for longer.
    bench.write(vec![prune(30, 0, 9)]);
    assert_eq!(kept(bench, 1..=6), [2, 5, 6]);
    bench.write(vec![prune(30, 30, 9)]);
    assert_eq!(kept(bench, 1..=6), [5, 6]);
}

fn pruning_approvals_is_bounded_and_takes_the_oldest_first(bench: &mut Bench) {
    for (n, at) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
        bench.write(vec![create(decided(n, ApprovalState::Expired, at))]);
    }
    bench.write(vec![prune(99, 0, 2)]);
    assert_eq!(kept(bench, 1..=4), [1, 3]);
    bench.write(vec![prune(99, 0, 1)]);
    assert_eq!(kept(bench, 1..=4), [1]);
}

fn only_the_newest_catalog_is_kept_and_none_goes_back(bench: &mut Bench) {
    let at = |version| Guard::CatalogAt { gateway: gateway(1), tenant: pair(1).src, version };
    let keep = Write::PutCatalog;
    assert!(bench.holds(at(None)) && !bench.holds(at(Some(2))));
    bench.write(vec![keep(catalog(1, 2)), keep(catalog(2, 9))]);
    assert!(bench.holds(at(Some(2))) && !bench.holds(at(None)));
    let again = CatalogRow { at: Timestamp(71), ..catalog(1, 2) };
    bench.write(vec![keep(again)]);
    let (gateway_1, tenant_1) = (gateway(1), pair(1).src);
    let kept = |bench: &Bench| bench.reads.catalog(&gateway_1, &tenant_1).unwrap();
    assert_eq!(kept(bench), Some(catalog(1, 2)));

    bench.write(vec![keep(catalog(1, 10))]);
    assert!(bench.holds(at(Some(10))) && !bench.holds(at(Some(2))));
    bench.breaks(vec![keep(catalog(1, 9))], Broken::CatalogOlder(9));
    let other = CatalogRow { envelope: "other".into(), ..catalog(1, 10) };
    bench.breaks(vec![keep(other)], Broken::CatalogDiffers(10));
    assert_eq!(kept(bench), Some(catalog(1, 10)));
    assert_eq!(bench.reads.catalogs().unwrap(), [catalog(1, 10), catalog(2, 9)]);
    assert_eq!(bench.reads.catalog(&gateway(1), &pair(2).src).unwrap(), None);
}
