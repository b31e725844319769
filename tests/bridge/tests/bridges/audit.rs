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

//= ID-83
#[tokio::test]
async fn an_end_that_was_cut_off_is_found_at_the_next_start() {
    let (mut pair, _) = pair().await;
    // Each start issues a status, which tells how long the log is.
    pair.a.stop().await.unwrap();
    pair.a.serve().await.unwrap();
    let (code, found) = verify(&pair.a, &[]).await;
    assert_eq!((code, &found["ok"]), (Some(0), &true.into()));
    assert!(found["headsConfirmed"].as_u64().unwrap() >= 2, "{found}");
    let altered = async |bridge: &Bridge| {
        let view = bridge.api().get("/v1/admin/bridge").await.unwrap().json();
        view["auditAltered"].as_str().map(str::to_owned)
    };
    assert_eq!(altered(&pair.a).await, None);
    let run = pair.run("audit-key-0001-0002", "say hello").await.unwrap();
    pair.a.api().follow(&run, &mut History::default()).await.unwrap();

    pair.a.stop().await.unwrap();
    let database = pair.a.home().join("state").join("landbridge.db");
    let connection = Connection::open(&database).unwrap();
    let rows: i64 = connection.query_row("SELECT max(n) FROM audit", [], |row| row.get(0)).unwrap();
    connection.execute("DELETE FROM audit WHERE n > 2", []).unwrap();
    drop(connection);
    // A second start, when the newest status tells of the shorter log, still finds it.
    for _ in 0..2 {
        pair.a.serve().await.unwrap();
        let what = altered(&pair.a).await.expect("the end is gone and nobody says so");
        assert!(what.contains("rows"), "{what}");
        let (code, found) = verify(&pair.a, &[]).await;
        assert_eq!(code, Some(2), "{found}, of {rows} rows");
        let doctor = pair.a.output(&["doctor", "--json"]).await.unwrap();
        let told = String::from_utf8(doctor.stdout).unwrap();
        assert!(!doctor.status.success() && told.contains("behind the bridge's back"), "{told}");
        pair.a.stop().await.unwrap();
    }
    pair.a.serve().await.unwrap();
    // And its peer, which kept what it told before.
    let run = pair.run("audit-key-0001-0003", "say hello").await.unwrap();
    pair.a.api().follow(&run, &mut History::default()).await.unwrap();
    let deeds = pair.b.audit().await.unwrap();
    assert!(deeds.iter().any(|event| event["deed"] == "peer_audit_went_back"), "{deeds:?}");
    let peers = pair.b.api().get("/v1/admin/peers").await.unwrap().json();
    assert!(peers[0]["alarms"][0].as_str().unwrap().contains("audit log"), "{peers}");
}
