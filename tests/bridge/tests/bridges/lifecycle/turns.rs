//! Turns of a session whose executor is killed while one is led and others wait.
//!
//! A turn here goes on until it is cancelled, so every kill comes where the test knows it to come. Kills
//! at any moment are tried elsewhere (`kill9`); there a turn may have been about to be asked for.

use landbridge_harness::bridge::{Pair, start};
use serde_json::{Value, json};

use super::*;

/// Says how many prompts its session had before, and goes on until it is stopped.
const PROMPT: &str = "recall\nsay begun\nhang";
/// The frames of such a turn that is being led: its start, and what it says twice.
const BEGUN: u64 = 3;

async fn view(pair: &Pair, run: &str, what: impl Fn(&Value) -> bool) -> Value {
    until(&pair.a.api(), &format!("/v1/runs/{run}"), what).await
}

/// A session that has had one prompt, and turns of it that were accepted in this order.
async fn session_with(pair: &Pair, turns: usize) -> Vec<String> {
    let first = pair.run("the-first-of-them", "say begun").await.unwrap();
    let (_, exit) = finish(pair, &first).await;
    assert_eq!(exit, 0);
    let session = view(pair, &first, |view| view["session"].is_string()).await;
    let session = session["session"].as_str().unwrap();
    let mut runs = Vec::new();
    for n in 0..turns {
        let mut body = start(&format!("turn-number-{n}-of-{turns}"), PROMPT);
        body["mode"] = "turn".into();
        body["session"] = session.into();
        let answer = pair.a.api().post("/v1/runs", &body).await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.code());
        let run = answer.json()["run"].as_str().unwrap().to_owned();
        // Accepted one after the other: that is the order of turns.
        view(pair, &run, |view| view["remoteRun"].is_string()).await;
        runs.push(run);
    }
    runs
}

async fn cancel(pair: &Pair, run: &str) {
    let path = format!("/v1/runs/{run}/cancel");
    assert_eq!(pair.a.api().post(&path, &json!({})).await.unwrap().status, 202);
}

/// What a turn says that has had so many prompts before it.
fn recalled(history: &History, prompts: usize) -> bool {
    let recalled = format!("earlier prompts: {prompts}\\n");
    history.lines().iter().any(|line| line.contains(&recalled))
}

//= REQ-48
#[tokio::test]
async fn turns_that_wait_outlive_a_kill_in_their_order() {
    let mut pair = Pair::granted(&[], &[], &MODES).await.unwrap();
    let turns = session_with(&pair, 4).await;
    for (n, run) in turns.iter().enumerate() {
        frames(&pair.a, run, BEGUN).await;
        for waiting in &turns[n + 1..] {
            assert_eq!(view(&pair, waiting, |_| true).await["frames"], 0, "behind turn {n}");
        }
        pair.b.kill().await.unwrap();
        pair.b.serve().await.unwrap();
        cancel(&pair, run).await;
        let (history, exit) = finish(&pair, run).await;
        assert_eq!((history.said("outcome"), exit), ("cancelled", 0), "turn {n}");
        assert!(recalled(&history, n + 1), "turn {n}");
    }
    let executions = pair.b.executions().unwrap();
    assert_eq!((executions.len(), executions.values().max()), (5, Some(&1)));
}

//= REQ-26
//= REQ-48
#[tokio::test]
async fn a_turn_that_was_about_to_be_asked_for_ends_as_unknown_and_the_next_comes() {
    let mut pair = Pair::granted(&[], &[], &MODES).await.unwrap();
    let turns = session_with(&pair, 3).await;
    frames(&pair.a, &turns[0], BEGUN).await;
    pair.b.kill().await.unwrap();
    // It adopts the first turn, which starts nothing, and dies at the second.
    pair.b.serve_until("run.intent_durable").await.unwrap();
    cancel(&pair, &turns[0]).await;
    pair.b.died().await.unwrap();
    pair.b.serve().await.unwrap();
    let (history, exit) = finish(&pair, &turns[0]).await;
    assert_eq!((history.said("outcome"), exit), ("cancelled", 0));
    let (history, exit) = finish(&pair, &turns[1]).await;
    assert_eq!((history.said("outcome"), history.code(), exit), ("failed", "interrupted", 0));
    assert_eq!(history.said("sideEffects"), "unknown");
    frames(&pair.a, &turns[2], BEGUN).await;
    cancel(&pair, &turns[2]).await;
    let (history, exit) = finish(&pair, &turns[2]).await;
    assert_eq!((history.said("outcome"), exit), ("cancelled", 0));
    assert!(recalled(&history, 2), "the second turn was never asked for");
    let executions = pair.b.executions().unwrap();
    assert_eq!((executions.len(), executions.values().max()), (3, Some(&1)));
}

const MODES: [&str; 4] = ["--mode", "session", "--mode", "turn"];
