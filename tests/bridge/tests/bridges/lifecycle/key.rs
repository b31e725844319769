//! One key, one run, whoever asks again and how often.

use data_encoding::BASE64;
use landbridge_harness::bridge::{Pair, start};
use serde_json::json;

use super::*;
use crate::forge::{Forge, RUNS};

#[tokio::test]
async fn the_same_key_gives_the_same_run_and_the_same_frames() {
    let pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let run = pair.run("asked-for-twice-01", "count 5 10").await.unwrap();
    let (first, exit) = finish(&pair, &run).await;
    assert_eq!((first.said("outcome"), exit), ("succeeded", 0));
    let again = start("asked-for-twice-01", "count 5 10");
    let answer = pair.a.api().post("/v1/runs", &again).await.unwrap();
    assert_eq!((answer.status, &answer.json()["attached"]), (200, &json!(true)));
    assert_eq!(answer.json()["run"], json!(run));
    let (second, _) = finish(&pair, &run).await;
    assert_eq!(first.lines(), second.lines());
    let other = start("asked-for-twice-01", "count 6 10");
    let answer = pair.a.api().post("/v1/runs", &other).await.unwrap();
    assert_eq!((answer.status, &*answer.code()), (422, "key_conflict"));
    assert_eq!(pair.b.executions().unwrap().len(), 1);
}

#[tokio::test]
async fn the_executor_answers_a_known_key_with_the_same_accept_and_frames() {
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let forge = Forge::of(&pair.a, &pair.b).await;
    let mut start = forge.start_with("signed-twice-00001", "say one\nsay two");
    let first = forge.send(RUNS, &start).await;
    assert!(first.is_whole_stream(), "{}", first.text);
    for restart in [false, true] {
        if restart {
            pair.b.kill().await.unwrap();
            pair.b.serve().await.unwrap();
            forge.reconnect();
        }
        start["jti"] = forge.start("signed-twice-00001")["jti"].clone();
        let again = forge.send(RUNS, &start).await;
        assert_eq!(payload(&first.text), payload(&again.text));
    }
    assert_eq!(pair.b.executions().unwrap().len(), 1);
}

#[tokio::test]
async fn a_clients_trace_context_goes_with_its_run_over_a_kill() {
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let traced = |trace: &str| {
        let mut start = start("traced-across-01", "say one");
        start["traceparent"] = trace.into();
        start
    };
    pair.b.kill().await.unwrap();
    let answer = pair.a.api().post("/v1/runs", &traced("00-spans-all")).await.unwrap();
    assert_eq!((answer.status, &*answer.code()), (400, "malformed"));
    let answer = pair.a.api().post("/v1/runs", &traced(trace)).await.unwrap();
    assert_eq!(answer.status, 201);
    let run = answer.json()["run"].as_str().unwrap().to_owned();
    pair.a.kill().await.unwrap();
    pair.a.serve().await.unwrap();
    pair.b.serve().await.unwrap();
    let (history, exit) = finish(&pair, &run).await;
    assert_eq!((history.said("outcome"), exit), ("succeeded", 0));
    let transcript = pair.a.transcript(&run).await.unwrap();
    let mut lines = transcript.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let request = lines.find(|line| line["type"] == "request").unwrap();
    let payload = BASE64.decode(request["value"]["payload"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&payload).unwrap()["traceparent"], trace);
    // Who asks again may do so within another trace.
    let other = traced("00-11111111111111111111111111111111-2222222222222222-00");
    let again = pair.a.api().post("/v1/runs", &other).await.unwrap();
    assert_eq!((again.status, &again.json()["run"]), (200, &json!(run)));
}

//= STR-41
#[tokio::test]
async fn a_run_outlives_its_grant_for_who_was_granted_it() {
    let pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let forge = Forge::of(&pair.a, &pair.b).await;
    let key = "taken-while-granted";
    let first = forge.send(RUNS, &forge.start(key)).await;
    assert!(first.is_whole_stream(), "{}", first.text);
    let open = pair.run("goes-on-without-one", "say begun\nhang").await.unwrap();
    frames(&pair.a, &open, 2).await;
    pair.b.json(&["grant", "remove", "us", "--agent", "demo"]).await.unwrap();
    // What was taken can be read, and stopped.
    let attach = forge.request("attach", json!({"after": 0, "idempotencyKey": key}));
    let again = forge.send("/federation/v1/runs/attach", &attach).await;
    assert!(again.is_whole_stream(), "{}", again.text);
    assert_eq!(payload(&first.text), payload(&again.text));
    let cancel = format!("/v1/runs/{open}/cancel");
    pair.a.api().post(&cancel, &json!({})).await.unwrap();
    let (history, exit) = finish(&pair, &open).await;
    assert_eq!((history.said("outcome"), exit), ("cancelled", 0));
    // Nothing new starts; and a pair that never had a grant has no keys either.
    let new = forge.send(RUNS, &forge.start("after-it-was-taken")).await;
    assert_eq!(new.refusal(), (403, "not_granted", true));
    let mut other = forge.request("attach", json!({"after": 0, "idempotencyKey": key}));
    other["tenant"]["src"] = "acme".into();
    let other = forge.send("/federation/v1/runs/attach", &other).await;
    assert_eq!(other.refusal(), (403, "not_granted", true));
}

#[tokio::test]
async fn tenants_side_by_side_share_nothing() {
    let pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let other = ["grant", "add", "us", "--agent", "second", "--tenant", "acme:acme"];
    pair.b.json(&other).await.unwrap();
    let forge = Forge::of(&pair.a, &pair.b).await;
    let key = "the-same-key-twice";
    let theirs = |mut request: serde_json::Value| {
        request["tenant"] = json!({"dst": "acme", "src": "acme"});
        request
    };
    let by_key = || json!({"idempotencyKey": key});
    let inspect = "/federation/v1/runs/inspect";
    let ours = forge.send(RUNS, &forge.start(key)).await;
    assert!(ours.is_whole_stream(), "{}", ours.text);
    let found = forge.send(inspect, &forge.request("inspect", by_key())).await;
    assert_eq!((found.status, found.signed), (200, true));
    let run = found.result["run"].clone();
    // For the other pair neither key nor run exists, as if they never had.
    for body in [by_key(), json!({"run": run}), json!({"run": "run-zzzzzzzzzzzzzzzzzzzzzzzzzz"})] {
        let unseen = forge.send(inspect, &theirs(forge.request("inspect", body))).await;
        assert_eq!(unseen.refusal(), (404, "not_found", true), "{}", unseen.text);
    }
    let attach = json!({"after": 0, "run": run});
    let unseen = forge
        .send("/federation/v1/runs/attach", &theirs(forge.request("attach", attach.clone())))
        .await;
    assert_eq!(unseen.refusal(), (404, "not_found", true));
    let seen = forge.send("/federation/v1/runs/attach", &forge.request("attach", attach)).await;
    assert_eq!(payload(&seen.text), payload(&ours.text));
    let cancel = json!({"run": run});
    let unseen =
        forge.send("/federation/v1/runs/cancel", &theirs(forge.request("cancel", cancel))).await;
    assert_eq!(unseen.refusal(), (404, "not_found", true));
    // The key is free there; and the agent of one pair is none of the other's.
    let mut start = theirs(forge.start(key));
    let foreign = forge.send(RUNS, &start).await;
    assert_eq!(foreign.refusal(), (403, "not_granted", true));
    start = theirs(forge.start(key));
    start["body"]["agentTarget"]["agent"] = "second".into();
    let second = forge.send(RUNS, &start).await;
    assert!(second.is_whole_stream(), "{}", second.text);
    assert_eq!(pair.b.executions().unwrap().len(), 2);
}

/// The accept and the frames of a stream, without its seals and statuses: those are of their moment.
fn payload(stream: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut event = "";
    for line in stream.lines() {
        if let Some(name) = line.strip_prefix("event: ") {
            event = name;
        }
        let frame = line.starts_with(r#"data: {"seq":"#);
        if frame || (event == "accept" && line.starts_with("data: ")) {
            lines.push(line);
        }
    }
    assert!(lines.len() > 2, "{stream}");
    lines
}
