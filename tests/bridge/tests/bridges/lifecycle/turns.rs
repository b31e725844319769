//! Turns of a session whose executor is killed while one is led and others wait.

use landbridge_harness::bridge::{Pair, start};
use serde_json::Value;

use super::*;

async fn view(pair: &Pair, run: &str, what: impl Fn(&Value) -> bool) -> Value {
    until(&pair.a.api(), &format!("/v1/runs/{run}"), what).await
}

/// Starts a turn, and waits until the executor has accepted it: that is the order of turns.
async fn turn(pair: &Pair, key: &str, session: &str, prompt: &str) -> String {
    let mut body = start(key, prompt);
    body["mode"] = "turn".into();
    body["session"] = session.into();
    let answer = pair.a.api().post("/v1/runs", &body).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.code());
    let run = answer.json()["run"].as_str().unwrap().to_owned();
    view(pair, &run, |view| view["remoteRun"].is_string()).await;
    run
}

//= REQ-48
#[tokio::test]
async fn turns_that_wait_outlive_a_kill_in_their_order() {
    let modes = ["--mode", "session", "--mode", "turn"];
    let mut pair = Pair::granted(&[], &[], &modes).await.unwrap();
    let first = pair.run("the-first-of-them", "say begun").await.unwrap();
    let (_, exit) = finish(&pair, &first).await;
    assert_eq!(exit, 0);
    let session = view(&pair, &first, |view| view["session"].is_string()).await;
    let session = session["session"].as_str().unwrap().to_owned();

    let mut turns = Vec::new();
    for n in 0..4 {
        let prompt = "recall\nsleep 700\nsay done";
        turns.push(turn(&pair, &format!("turn-number-{n}-of-4"), &session, prompt).await);
    }
    for _ in 0..3 {
        pair.b.kill().await.unwrap();
        pair.b.serve().await.unwrap();
        sleep(Duration::from_millis(300)).await;
    }
    for (n, run) in turns.iter().enumerate() {
        let (history, exit) = finish(&pair, run).await;
        assert_eq!((history.said("outcome"), exit), ("succeeded", 0), "turn {n}");
        let recalled = format!("earlier prompts: {}", n + 1);
        assert!(history.lines().iter().any(|line| line.contains(&recalled)), "turn {n}");
    }
    assert!(pair.b.executions().unwrap().values().all(|count| *count == 1));
}
