//! What is done to a real audit log behind a bridge's back is found, each time; and what cannot be
//! written down is not done.

use std::collections::BTreeMap;

use landbridge_harness::bridge::{Pair, text};
use landbridge_node::local::api::AuditView;
use landbridge_proto::machine::audit::{Broken, Head, Inspection, link, start};
use landbridge_proto::machine::contract::AuditRow;
use landbridge_proto::wire::digest::Digest;
use rusqlite::{Connection, params};

use crate::dice::Dice;

const TRIES: u64 = 1_000;

/// What somebody with the database, or with an export, does to it.
const DEEDS: [&str; 8] = [
    "a row is deleted",
    "a row is deleted and the others are renumbered",
    "an event is edited",
    "a head is edited",
    "two rows change places",
    "the end is cut off",
    "a row is put in",
    "the rest is written anew",
];

fn rows(db: &Connection) -> Vec<AuditRow> {
    let mut read = db.prepare("SELECT n, event, head FROM audit ORDER BY n").unwrap();
    let rows = read.query_map([], |row| {
        let head: [u8; 32] = row.get(2)?;
        let n = u64::try_from(row.get::<_, i64>(0)?).unwrap();
        Ok(AuditRow { n, event: row.get(1)?, head: Digest::from_bytes(head) })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn write(db: &Connection, rows: &[AuditRow]) {
    db.execute("DELETE FROM audit", []).unwrap();
    for row in rows {
        let n = i64::try_from(row.n).unwrap();
        let sql = "INSERT INTO audit (n, event, head) VALUES (?1, ?2, ?3)";
        db.execute(sql, params![n, row.event, *row.head.as_bytes()]).unwrap();
    }
}

/// Does a deed to the log, at a place that the dice choose.
fn tamper(rows: &mut Vec<AuditRow>, deed: &str, dice: &mut Dice) {
    let at = dice.below(rows.len() as u64) as usize;
    match deed {
        "a row is deleted" => drop(rows.remove(at)),
        "a row is deleted and the others are renumbered" => {
            rows.remove(at);
            for (n, row) in (1..).zip(rows.iter_mut()) {
                row.n = n;
            }
        }
        "an event is edited" => {
            let mut bytes = rows[at].event.clone().into_bytes();
            let byte = dice.below(bytes.len() as u64) as usize;
            bytes[byte] ^= 1;
            rows[at].event = String::from_utf8_lossy(&bytes).into_owned();
        }
        "a head is edited" => {
            let mut head = *rows[at].head.as_bytes();
            head[dice.below(32) as usize] ^= 1 << dice.below(8);
            rows[at].head = Digest::from_bytes(head);
        }
        "two rows change places" => {
            let other = (at + 1 + dice.below(rows.len() as u64 - 1) as usize) % rows.len();
            let (event, head) = (rows[at].event.clone(), rows[at].head);
            rows[at].event = rows[other].event.clone();
            rows[at].head = rows[other].head;
            (rows[other].event, rows[other].head) = (event, head);
        }
        "the end is cut off" => rows.truncate(at),
        "a row is put in" => {
            let row = AuditRow { event: rows[at].event.replace("at", "aT"), ..rows[at].clone() };
            rows.insert(at, row);
            for (n, row) in (1..).zip(rows.iter_mut()) {
                row.n = n;
            }
        }
        // Whoever knows the chain makes one that fits together.
        _ => {
            let mut head = at.checked_sub(1).map_or_else(start, |before| rows[before].head);
            for row in rows.iter_mut().skip(at) {
                row.event = row.event.replace("\"actor\":\"", "\"actor\":\"x");
                head = link(head, row.n, row.event.as_bytes());
                row.head = head;
            }
        }
    }
}

fn inspect(rows: &[AuditRow], kept: &[Head]) -> Result<(Head, usize), Broken> {
    let mut inspection = Inspection::new(kept.to_vec());
    rows.iter().try_for_each(|row| inspection.row(row))?;
    inspection.finish()
}

fn lines(rows: &[AuditRow]) -> String {
    let line = |row: &AuditRow| {
        let view = AuditView { n: row.n, event: row.event.clone(), head: row.head };
        serde_json::to_string(&view).unwrap()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Rows as `audit export` writes them.
fn exported(text: &str) -> Option<Vec<AuditRow>> {
    let row = |line| {
        let row: AuditView = serde_json::from_str(line).ok()?;
        Some(AuditRow { n: row.n, event: row.event, head: row.head })
    };
    text.lines().map(row).collect()
}

#[tokio::test]
async fn whatever_is_done_to_the_log_is_found_a_thousand_times_of_a_thousand() {
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    for name in 0..20 {
        pair.b.json(&["token", "create", &format!("ci-{name}")]).await.unwrap();
    }
    // A bridge issues a status when it starts; A learns of it with the next run.
    pair.b.stop().await.unwrap();
    pair.b.serve().await.unwrap();
    let run = pair.run("tampered-key-0001", "say hello").await.unwrap();
    let mut seen = landbridge_harness::history::History::default();
    pair.a.api().follow(&run, &mut seen).await.unwrap();
    // What A knows of B's log is from B's status; what an operator knows is an export of just now.
    let heads = pair.a.json(&["audit", "heads"]).await.unwrap();
    let witnessed = Head {
        n: heads["rows"].as_u64().unwrap(),
        digest: text(&heads, "head").unwrap().parse().unwrap(),
    };
    let export = pair.b.output(&["audit", "export"]).await.unwrap();
    let export = exported(&String::from_utf8(export.stdout).unwrap()).unwrap();
    let last = export.last().unwrap();
    let exported_head = Head { n: last.n, digest: last.head };
    let kept = [witnessed, exported_head];
    assert!(witnessed.n > 0 && export.len() >= 20);
    pair.b.stop().await.unwrap();

    let path = pair.b.home().join("state").join("landbridge.db");
    let db = Connection::open(&path).unwrap();
    let good = rows(&db);
    assert_eq!(inspect(&good[..export.len()], &kept).unwrap().1, 2, "untouched, it is whole");
    let mut dice = Dice::from_environment();
    let (mut found, mut by_deed) = (0, BTreeMap::<&str, u64>::new());
    for try_number in 0..TRIES {
        let deed = DEEDS[(try_number % DEEDS.len() as u64) as usize];
        // In the database itself, and in an export of it.
        db.execute_batch("BEGIN").unwrap();
        let mut changed = good[..export.len()].to_vec();
        tamper(&mut changed, deed, &mut dice);
        write(&db, &changed);
        let stored = rows(&db);
        db.execute_batch("ROLLBACK").unwrap();
        let in_database = inspect(&stored, &kept).is_err();
        let in_export =
            exported(&lines(&changed)).is_none_or(|rows| inspect(&rows, &kept).is_err());
        assert!(in_database && in_export, "{deed}, try {try_number}");
        found += 1;
        *by_deed.entry(deed).or_default() += 1;
    }
    assert_eq!(found, TRIES);
    assert_eq!(by_deed.len(), DEEDS.len());

    // What A witnessed alone shows that rows up to it were cut off.
    for length in 0..witnessed.n as usize {
        assert!(inspect(&good[..length], &[witnessed]).is_err(), "{length}");
    }
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_done() {
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let before = pair.run("audited-key-0001", "say hello").await.unwrap();
    let mut seen = landbridge_harness::history::History::default();
    pair.a.api().follow(&before, &mut seen).await.unwrap();
    let done = pair.b.executions().unwrap();
    pair.b.stop().await.unwrap();
    let path = pair.b.home().join("state").join("landbridge.db");
    let sql = "CREATE TRIGGER no_audit BEFORE INSERT ON audit
               WHEN json_extract(NEW.event, '$.deed') = 'start_received'
               BEGIN SELECT RAISE(ABORT, 'the log cannot be written'); END";
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    pair.b.serve().await.unwrap();
    // The start is asked for, not answered, and not executed: the process stops rather than go on.
    let run = pair.run("audited-key-0002", "say hello").await.unwrap();
    assert!(!pair.b.ended().await.unwrap().success());
    assert_eq!(pair.b.executions().unwrap(), done, "the gateway was asked for nothing");
    let kept: i64 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM runs WHERE key = 'audited-key-0002'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, 0, "a run without its record");
    // With a log that can be written, the same start is done, once.
    Connection::open(&path).unwrap().execute_batch("DROP TRIGGER no_audit").unwrap();
    pair.b.serve().await.unwrap();
    let mut seen = landbridge_harness::history::History::default();
    pair.a.api().follow(&run, &mut seen).await.unwrap();
    assert_eq!(pair.b.executions().unwrap().len(), done.len() + 1);
}
