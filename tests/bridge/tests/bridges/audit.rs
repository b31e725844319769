//! The audit log of a real bridge: exported, checked, and changed behind the bridge's back.

use std::process::Output;

use landbridge_harness::bridge::{Bridge, Pair, text};
use landbridge_harness::history::History;
use rusqlite::Connection;
use serde_json::Value;

/// A pair that led a run, and what B kept of A's audit log.
async fn pair() -> (Pair, String) {
    let pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let run = pair.run("audit-key-0001-0001", "say hello").await.unwrap();
    pair.a.api().follow(&run, &mut History::default()).await.unwrap();
    let heads = pair.b.json(&["audit", "heads"]).await.unwrap();
    let kept = format!("{}:{}", heads["rows"], text(&heads, "head").unwrap());
    assert_eq!(heads["gateway"], pair.a.gateway());
    (pair, kept)
}

async fn verify(bridge: &Bridge, further: &[&str]) -> (Option<i32>, Value) {
    let arguments = [&["audit", "verify", "--json"], further].concat();
    let Output { status, stdout, .. } = bridge.output(&arguments).await.unwrap();
    (status.code(), serde_json::from_slice(&stdout).unwrap_or_default())
}

#[tokio::test]
async fn a_peer_is_a_witness_of_what_is_done_to_the_log() {
    let (mut pair, kept) = pair().await;
    let (code, found) = verify(&pair.a, &["--head", &kept]).await;
    assert_eq!((code, &found["ok"], &found["headsConfirmed"]), (Some(0), &true.into(), &1.into()));
    let rows = found["rows"].as_u64().unwrap();
    let head = format!("{rows}:{}", text(&found, "head").unwrap());

    // The export says the same, and is not overwritten.
    let file = pair.a.home().join("audit.jsonl");
    let path = file.to_str().unwrap();
    let export = ["audit", "export", "--output", path];
    assert!(pair.a.output(&export).await.unwrap().status.success());
    assert_eq!(pair.a.output(&export).await.unwrap().status.code(), Some(73));
    assert_eq!(verify(&pair.a, &[path, "--head", &head]).await.0, Some(0));
    let lines = std::fs::read_to_string(&file).unwrap();
    assert_eq!(lines.lines().count() as u64, rows);
    let cut: Vec<&str> = lines.lines().take(rows as usize - 1).collect();
    std::fs::write(&file, cut.join("\n")).unwrap();
    assert_eq!(verify(&pair.a, &[path]).await.0, Some(0), "the chain alone cannot see it");
    let (code, found) = verify(&pair.a, &[path, "--head", &head]).await;
    assert_eq!((code, found["brokenAt"].as_u64()), (Some(2), Some(rows)));
    std::fs::write(&file, "{}\n").unwrap();
    assert_eq!(verify(&pair.a, &[path]).await.0, Some(4));

    // Rows that are changed in the database itself are found, each where it stands.
    pair.a.stop().await.unwrap();
    let database = pair.a.home().join("state").join("landbridge.db");
    let connection = Connection::open(&database).unwrap();
    let change = "UPDATE audit SET event = event || ' ' WHERE n = 2";
    assert_eq!(connection.execute(change, []).unwrap(), 1);
    drop(connection);
    pair.a.serve().await.unwrap();
    let (code, found) = verify(&pair.a, &[]).await;
    assert_eq!((code, found["brokenAt"].as_u64()), (Some(2), Some(2)), "{found}");
}
