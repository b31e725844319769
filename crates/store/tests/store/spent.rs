//! What peers' tenants spend: booked with the run's row or not at all, summed, and forgotten in time.

use landbridge_proto::machine::budget::{Day, Spent};
use landbridge_proto::machine::contract::{Guard, RunRow, Write};
use landbridge_proto::machine::step::Outcome;
use landbridge_proto::wire::limit::INTEGER_MAX;
use landbridge_proto::wire::name::Timestamp;

use crate::make::*;
use crate::suite::Bench;

fn both(check: impl Fn(&mut Bench)) {
    check(&mut Bench::memory());
    check(&mut Bench::sqlite());
}

const fn spent(tokens: u64, cost_micro_usd: u64) -> Spent {
    Spent { tokens, cost_micro_usd }
}

fn book(n: u64, day: i64, amount: Spent) -> Write {
    Write::BookUsage { owner: owner(n), day: Day(day), spent: amount }
}

fn of(bench: &Bench, n: u64, day: i64) -> Spent {
    bench.reads.spent(&owner(n), Day(day)).unwrap()
}

//= REQ-55
#[test]
fn what_is_spent_is_summed_for_each_owner_and_day() {
    both(|bench| {
        assert_eq!(of(bench, 1, 5), Spent::default());
        bench.write(vec![
            book(1, 5, spent(10, 1)),
            book(1, 5, spent(5, 0)),
            book(2, 5, spent(7, 7)),
        ]);
        bench.write(vec![book(1, 5, spent(100, 20)), book(1, 6, spent(3, 3))]);
        assert_eq!(of(bench, 1, 5), spent(115, 21));
        assert_eq!(of(bench, 1, 6), spent(3, 3));
        assert_eq!(of(bench, 2, 5), spent(7, 7));
        assert_eq!(of(bench, 2, 6), Spent::default());
    });
}

//= REQ-55
#[test]
fn a_run_that_another_driver_changed_books_nothing() {
    both(|bench| {
        bench.write(vec![Write::CreateRun(run(1))]);
        let guard = Guard::Run { run: run_id(1), epoch: 1, revision: 0 };
        let told = RunRow { booked: spent(40, 2), ..run(1) };
        let step = || vec![book(1, 5, spent(40, 2)), Write::PutRun(told.clone())];
        assert_eq!(bench.one(vec![guard.clone()], step()), Outcome::Committed);
        // The same decision, made on the row as it was before: an answer was lost, or a second driver.
        assert_eq!(bench.one(vec![guard.clone()], step()), Outcome::Stale(guard));
        assert_eq!(of(bench, 1, 5), spent(40, 2));
        assert_eq!(bench.reads.run(&run_id(1)).unwrap().unwrap().booked, spent(40, 2));
    });
}

#[test]
fn sums_end_where_the_contracts_integers_end() {
    both(|bench| {
        let most = INTEGER_MAX.unsigned_abs();
        bench.write(vec![book(1, 5, spent(most, u64::MAX)), book(1, 5, spent(most, 1))]);
        assert_eq!(of(bench, 1, 5), spent(most, most));
    });
}

#[test]
fn past_days_are_forgotten_with_the_runs_of_their_time() {
    both(|bench| {
        for day in 3..7 {
            bench.write(vec![book(1, day, spent(1, 1)), book(2, day, spent(1, 1))]);
        }
        let none = Timestamp(0);
        // Noon of day 5: what is spent on day 5 stays.
        let runs_before = Timestamp(5 * 86_400_000 + 43_200_000);
        let prune =
            |limit| Write::Prune { jti_before: none, runs_before, entries_before: none, limit };
        bench.write(vec![prune(3)]);
        let left =
            |bench: &Bench, n| (3..7).map(|day| of(bench, n, day).tokens).collect::<Vec<_>>();
        assert_eq!((left(bench, 1), left(bench, 2)), (vec![0, 0, 1, 1], vec![0, 1, 1, 1]));
        bench.write(vec![prune(3)]);
        assert_eq!((left(bench, 1), left(bench, 2)), (vec![0, 0, 1, 1], vec![0, 0, 1, 1]));
    });
}
