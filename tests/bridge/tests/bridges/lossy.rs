//! Answers to starts that are lost (`spec/races.md`): one execution, one history, no accusation.

use std::collections::BTreeSet;

use landbridge_harness::bridge::{Pair, start};
use landbridge_harness::history::History;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::dice::Dice;
use crate::forge::{Forge, RUNS};
use crate::kill9::WIDE;
use crate::lifecycle::until;
use crate::middle::{Loss, Middle};

/// What runs do: an accept, some frames in several batches, an end.
const PROMPT: &str = "say one\nsleep 20\nsay two\nsleep 20\nsay three";
/// Runs at once.
const TOGETHER: usize = 12;
/// Bytes of a body within which an answer is cut: the accept, the first batches and their seals.
const BYTES: u64 = 6_000;
/// Cuts of one run of this test at random bytes, beside those at the beginning.
const CUTS: u64 = 120;

//= REQ-7
//= REQ-19
//= REQ-29
//= STR-14
//= STR-20
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_lost_or_cut_at_any_byte_leaves_one_run() {
    let mut dice = Dice::from_environment();
    let mut pair = Pair::granted(&WIDE, &WIDE, &[]).await.unwrap();
    let middle = Middle::before(&mut pair).await;
    let mut losses: Vec<Loss> = vec![Loss::Whole; 8];
    losses.extend((0..16).map(Loss::After));
    match std::env::var("LANDBRIDGE_CUTS").as_deref() {
        Ok("all") => losses.extend((16..BYTES).map(|at| Loss::After(at as usize))),
        _ => losses.extend((0..CUTS).map(|_| Loss::After(dice.below(BYTES) as usize))),
    }
    let mut clients = JoinSet::new();
    let (mut left, mut runs) = (losses.iter().enumerate(), BTreeSet::new());
    loop {
        while clients.len() < TOGETHER
            && let Some((n, loss)) = left.next()
        {
            middle.lose(*loss);
            let api = pair.a.api();
            clients.spawn(async move {
                let body = start(&format!("its-answer-is-lost-{n:05}"), PROMPT);
                let answer = api.post("/v1/runs", &body).await.unwrap();
                assert_eq!(answer.status, 201, "{}", answer.code());
                let run = answer.json()["run"].as_str().unwrap().to_owned();
                let mut history = History::default();
                api.follow(&run, &mut history).await.unwrap();
                (run, history)
            });
        }
        let Some(ended) = clients.join_next().await else { break };
        let (run, history) = ended.unwrap();
        assert_eq!((history.said("outcome"), history.said("by")), ("succeeded", "executor"));
        let transcript = pair.a.transcript(&run).await.unwrap();
        history.check(&transcript).unwrap();
        if runs.len() % 8 == 0 {
            assert_eq!(pair.a.verify(&transcript, pair.b.gateway()).await.unwrap(), 0);
        }
        runs.insert(run);
    }
    let lost = middle.lost();
    let most = lost.iter().max().copied().unwrap_or_default();
    println!("{} runs, {} answers cut, {most} bytes at most", runs.len(), lost.len());
    assert_eq!((runs.len(), middle.left()), (losses.len(), 0), "each loss met its run");
    // A caller that has the whole answer leaves before a later byte could be lost.
    assert!(lost.len() * 10 >= losses.len() * 9, "too few answers were cut");
    innocent(&pair).await;
    let executions = pair.b.executions().unwrap();
    assert_eq!(executions.len(), runs.len());
    assert!(executions.values().all(|count| *count == 1), "executed twice");
}

/// Neither side accuses the other of anything.
async fn innocent(pair: &Pair) {
    for bridge in [&pair.a, &pair.b] {
        let peers = bridge.json(&["peer", "list"]).await.unwrap();
        assert!(peers.as_array().unwrap().iter().all(|peer| peer["state"] == "active"), "{peers}");
        let evidence = bridge.json(&["evidence", "list"]).await.unwrap();
        assert_eq!(evidence.as_array().map(Vec::len), Some(0), "{evidence}");
        let deeds = bridge.audit().await.unwrap();
        let bad =
            |event: &&Value| event["deed"].as_str().unwrap_or_default().contains("quarantine");
        assert_eq!(deeds.iter().find(bad), None);
    }
}

/// Whoever has the key and no run id may as well attach by key.
//= REQ-19
//= REQ-29
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_only_the_key_attaches_by_it_and_starts_nothing() {
    let pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let forge = Forge::of(&pair.a, &pair.b).await;
    let key = "lost-and-found-again";
    let first = forge.send(RUNS, &forge.start_with(key, PROMPT)).await;
    assert!(first.is_whole_stream(), "{} {}", first.status, first.text);
    let path = "/federation/v1/runs/attach";
    for after in [0, 2] {
        let body = serde_json::json!({ "after": after, "idempotencyKey": key });
        let again = forge.send(path, &forge.request("attach", body)).await;
        assert!(again.is_whole_stream(), "{} {}", again.status, again.text);
        let accept = |text: &str| text.split("\n\n").next().unwrap_or_default().to_owned();
        assert_eq!(accept(&again.text), accept(&first.text), "the same accept, byte for byte");
        let (frames, all) = (frames(&again.text), frames(&first.text));
        assert_eq!(frames, all[after..], "the same frames, byte for byte");
    }
    assert_eq!(pair.b.executions().unwrap().values().collect::<Vec<_>>(), [&1]);
    until(&pair.b.api(), "/v1/admin/bridge", |view| view["executing"] == 0).await;
}

/// The frames' exact lines in a stream's text.
fn frames(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: {\"seq\":"));
    lines.map(str::to_owned).collect()
}
