//! SIGTERM to either bridge at any moment, new runs arriving all the time: unlike a kill, a graceful stop
//! leaves no run of which nobody can say what became of it.

use std::time::Duration;

use landbridge_harness::bridge::{Api, Pair, start};
use landbridge_harness::history::History;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::dice::Dice;
use crate::kill9::{Finished, PROMPTS, WIDE, check};

/// Stops of one run of this test; more by `LANDBRIDGE_STOPS`.
const STOPS: u64 = 12;
/// Runs that are asked for around each stop.
const RUNS: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_a_bridge_is_told_to_stop_no_run_is_interrupted() {
    let mut dice = Dice::from_environment();
    let stops = std::env::var("LANDBRIDGE_STOPS").ok().and_then(|text| text.parse().ok());
    let mut pair = Pair::granted(&WIDE, &WIDE, &[]).await.unwrap();
    let mut clients = JoinSet::new();
    for stop in 0..stops.unwrap_or(STOPS) {
        for index in 0..RUNS {
            let key = format!("stop-{stop:04}-run-{index:04}");
            let (prompt, expected) = PROMPTS[dice.below(PROMPTS.len() as u64) as usize];
            let (api, pause) = (pair.a.api(), dice.below(150));
            clients.spawn(async move {
                sleep(Duration::from_millis(pause)).await;
                let run = ask(&api, &key, prompt).await;
                let mut history = History::default();
                api.follow(&run, &mut history).await.unwrap();
                Finished { run, history, expected }
            });
        }
        sleep(Duration::from_millis(dice.below(170))).await;
        // The executor's stop is the one that could lose a run, so it comes more often.
        let victim = if dice.below(4) == 0 { &mut pair.a } else { &mut pair.b };
        let status = victim.stop().await.unwrap();
        assert!(status.success(), "{status}");
        victim.serve().await.unwrap();
    }
    let (mut runs, mut interrupted, mut reconnected) = (0, 0, 0);
    while let Some(finished) = clients.join_next().await {
        let finished = finished.unwrap();
        runs += 1;
        reconnected += finished.history.connections() - 1;
        interrupted += u32::from(check(&pair, &finished).await);
    }
    println!("{runs} runs, {interrupted} of them interrupted, {reconnected} reconnections");
    assert_eq!(interrupted, 0, "a graceful stop interrupted a run");
    let executions = pair.b.executions().unwrap();
    assert_eq!(executions.len(), runs);
    assert!(executions.values().all(|count| *count == 1), "executed twice");
}

/// Asks until there is an answer, always with the same key; a bridge that stops says so.
async fn ask(api: &Api, key: &str, prompt: &str) -> String {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        match api.post("/v1/runs", &start(key, prompt)).await {
            Ok(answer) if answer.status == 503 => assert_eq!(answer.code(), "draining"),
            Ok(answer) => {
                assert!(matches!(answer.status, 200 | 201), "{} {}", answer.status, answer.code());
                return answer.json()["run"].as_str().unwrap().to_owned();
            }
            Err(_) => {}
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("{key} was never taken");
}
