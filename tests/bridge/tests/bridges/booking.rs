//! SIGKILL while usage is booked, many runs at once: what a day cost is neither lost nor counted twice.

use std::collections::BTreeMap;
use std::time::Duration;

use landbridge_harness::bridge::{Bridge, Pair};
use landbridge_harness::history::History;
use rusqlite::Connection;
use serde_json::Value;
use tokio::time::sleep;

use crate::dice::Dice;
use crate::kill9::WIDE;
use crate::lifecycle::until;

/// Runs that report usage side by side.
const RUNS: u64 = 6;
/// Reports of one run, five milliseconds apart.
const REPORTS: u64 = 1_600;
/// Kills, each in the midst of hundreds of bookings a second.
const KILLS: u64 = 12;

/// What one owner spent, or a run used: tokens and millionths of a dollar.
type Spent = (i64, i64);

/// A run whose reports are cumulative, as a gateway's are; the last one is the whole.
fn script(run: u64) -> (String, Spent) {
    let line = |n: u64| format!("usage {} {} {}\nsleep 5\n", 3 * n + run, n, 7 * n + 1);
    let text = (1..=REPORTS).map(line).collect();
    let last = (4 * REPORTS + run, 7 * REPORTS + 1);
    (text, (last.0.cast_signed(), last.1.cast_signed()))
}

/// The days' sums; what stands in each run's row; and what its own frames tell, all of a dead bridge.
struct Books {
    days: Spent,
    booked: BTreeMap<String, Spent>,
    told: BTreeMap<String, Spent>,
}

impl Books {
    /// Read from a copy, so that looking changes nothing of what the next process finds.
    fn of(dead: &Bridge) -> Self {
        let copy = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(dead.home().join("state")).unwrap() {
            let file = file.unwrap();
            if file.file_name().to_string_lossy().starts_with("landbridge.db") {
                std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
            }
        }
        let database = Connection::open(copy.path().join("landbridge.db")).unwrap();
        let pair = |row: &rusqlite::Row<'_>, at| Ok((row.get(at)?, row.get(at + 1)?));
        let sums = "SELECT coalesce(sum(tokens), 0), coalesce(sum(cost_micro_usd), 0) FROM spent";
        let days = database.query_row(sums, [], |row| pair(row, 0)).unwrap();
        let mut rows =
            database.prepare("SELECT run, booked_tokens, booked_cost FROM runs").unwrap();
        let booked = rows.query_map([], |row| Ok((row.get(0)?, pair(row, 1)?))).unwrap();
        let booked = booked.map(Result::unwrap).collect();
        let mut rows = database.prepare("SELECT run, line FROM frames ORDER BY run, seq").unwrap();
        let mut frames = rows.query([]).unwrap();
        let mut told = BTreeMap::new();
        while let Some(row) = frames.next().unwrap() {
            let line: String = row.get(1).unwrap();
            if let Some(usage) = usage(&line) {
                told.insert(row.get(0).unwrap(), usage);
            }
        }
        Self { days, booked, told }
    }

    fn check(&self) {
        let add = |sum: Spent, one: &Spent| (sum.0 + one.0, sum.1 + one.1);
        assert_eq!(self.days, self.booked.values().fold((0, 0), add), "the day is its runs' sum");
        for (run, booked) in &self.booked {
            let told = self.told.get(run).copied().unwrap_or_default();
            assert_eq!(*booked, told, "{run}: what is booked is what its frames tell");
        }
    }
}

/// What a frame tells of usage.
fn usage(line: &str) -> Option<Spent> {
    let frame: Value = serde_json::from_str(line).ok()?;
    let usage = match frame["event"].as_str()? {
        "tokenUsage" => &frame["payload"],
        "terminal" => &frame["payload"]["usage"],
        _ => return None,
    };
    Some((usage["total"].as_i64()?, usage["costMicroUsd"].as_i64()?))
}

//= REQ-55
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_between_reports_loses_no_usage_and_books_none_twice() {
    let mut dice = Dice::from_environment();
    // A budget that is far away: bookings are compared with it, and none reaches it.
    let budget = ["--tokens-per-day", "100000000"];
    let mut pair = Pair::granted(&WIDE, &WIDE, &budget).await.unwrap();
    let (mut runs, mut expected) = (Vec::new(), (0, 0));
    for n in 0..RUNS {
        let (prompt, (tokens, cost)) = script(n);
        runs.push(pair.run(&format!("books-of-the-run-{n}"), &prompt).await.unwrap());
        expected = (expected.0 + tokens, expected.1 + cost);
    }
    // All are at work: of a start in flight nobody could say what it used.
    for run in &runs {
        let works = |view: &Value| view["frames"].as_u64() >= Some(2);
        until(&pair.a.api(), &format!("/v1/runs/{run}"), works).await;
    }
    let mut met = 0;
    for _ in 0..KILLS {
        sleep(Duration::from_millis(60 + dice.below(200))).await;
        pair.b.kill().await.unwrap();
        let books = Books::of(&pair.b);
        books.check();
        met += u32::from(books.days.0 > 0 && books.days != expected);
        pair.b.serve().await.unwrap();
    }
    assert!(met >= 5, "only {met} kills came between two reports");
    let mut interrupted = 0;
    for run in &runs {
        let mut history = History::default();
        pair.a.api().follow(run, &mut history).await.unwrap();
        interrupted += u32::from(history.code() == "interrupted");
    }
    pair.b.kill().await.unwrap();
    let books = Books::of(&pair.b);
    books.check();
    assert_eq!((interrupted, books.days), (0, expected));
}
