//! Cancelling: before the start arrives, while the executor is down, and whose run it is.

use landbridge_harness::bridge::{Pair, start};
use serde_json::{Value, json};

use super::*;
use crate::forge::{Forge, RUNS};

const CANCEL: &str = "/federation/v1/runs/cancel";

//= REQ-32
//= REQ-67
#[tokio::test]
async fn a_key_that_was_cancelled_first_never_starts() {
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let forge = Forge::of(&pair.a, &pair.b).await;
    let key = "cancelled-at-first";
    for _ in 0..2 {
        let cancel = forge.request("cancel", json!({"idempotencyKey": key}));
        let answer = forge.send(CANCEL, &cancel).await;
        assert_eq!((answer.status, answer.signed), (200, true), "{}", answer.text);
        assert_eq!(answer.result, json!({"cancel": "blocked"}));
    }
    let refused = forge.send(RUNS, &forge.start(key)).await;
    assert_eq!(refused.refusal(), (409, "cancelled_before_start", true));
    pair.b.kill().await.unwrap();
    pair.b.serve().await.unwrap();
    forge.reconnect();
    let refused = forge.send(RUNS, &forge.start(key)).await;
    assert_eq!(refused.refusal(), (409, "cancelled_before_start", true));
    // A's own bridge believes the signed refusal and says so, in a terminal of its own.
    let run = pair.run(key, "say no").await.unwrap();
    let (history, exit) = finish(&pair, &run).await;
    assert_eq!((history.said("outcome"), history.code()), ("cancelled", "cancelled_before_start"));
    assert_eq!((history.said("by"), exit), ("caller", 5));
    assert_eq!(pair.b.executions().unwrap().len(), 0);
    assert!(forge.send(RUNS, &forge.start("another-key-is-free")).await.is_whole_stream());
}

#[tokio::test]
async fn a_cancel_reaches_an_executor_that_was_down() {
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let run = pair.run("cancelled-in-the-dark", "say begun\nhang").await.unwrap();
    frames(&pair.a, &run, 2).await;
    pair.b.kill().await.unwrap();
    let path = format!("/v1/runs/{run}/cancel");
    let answer = pair.a.api().post(&path, &json!({})).await.unwrap();
    assert_eq!((answer.status, &answer.json()["state"]), (202, &json!("requested")));
    // Whoever asked may be gone too.
    pair.a.kill().await.unwrap();
    pair.a.serve().await.unwrap();
    pair.b.serve().await.unwrap();
    let (history, exit) = finish(&pair, &run).await;
    assert_eq!((history.said("outcome"), history.code()), ("cancelled", "cancelled"));
    assert_eq!((history.said("by"), exit), ("executor", 0));
    let answer = pair.a.api().post(&path, &json!({})).await.unwrap();
    assert_eq!((answer.status, &answer.json()["state"]), (200, &json!("alreadyTerminal")));
}

#[tokio::test]
async fn a_cancel_that_was_answered_outlives_a_kill() {
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let forge = Forge::of(&pair.a, &pair.b).await;
    for round in 0..5 {
        let key = format!("answered-and-killed-{round}");
        let run = pair.run(&key, "say begun\nhang").await.unwrap();
        frames(&pair.a, &run, 2).await;
        let cancel = forge.request("cancel", json!({"idempotencyKey": key}));
        let answer = forge.send(CANCEL, &cancel).await;
        pair.b.kill().await.unwrap();
        assert_eq!(answer.result["cancel"], json!("requested"), "{}", answer.text);
        pair.b.serve().await.unwrap();
        forge.reconnect();
        let (history, _) = finish(&pair, &run).await;
        assert_eq!((history.said("outcome"), history.code()), ("cancelled", "cancelled"));
    }
}

#[tokio::test]
async fn a_start_that_waits_for_a_dead_executor_can_be_cancelled() {
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    pair.b.kill().await.unwrap();
    let asked = start("never-left-the-house", "say no");
    let answer = pair.a.api().post("/v1/runs", &asked).await.unwrap();
    let run = answer.json()["run"].as_str().unwrap().to_owned();
    let path = format!("/v1/runs/{run}/cancel");
    assert_eq!(pair.a.api().post(&path, &json!({})).await.unwrap().status, 202);
    pair.b.serve().await.unwrap();
    let (history, _) = finish(&pair, &run).await;
    let view = pair.a.api().get(&format!("/v1/runs/{run}")).await.unwrap().json();
    assert_eq!(view["cancelRequested"], Value::Bool(true));
    // Start and cancel race: either the key is blocked first, or the run is taken and stopped; a run
    // that ends at once may also have succeeded before the cancel came.
    match history.said("by") {
        "caller" => assert_eq!(history.code(), "cancelled_before_start"),
        _ => assert!(matches!(history.said("outcome"), "cancelled" | "succeeded")),
    }
    assert!(pair.b.executions().unwrap().values().all(|count| *count == 1));
}
