//! A run's whole life, through real bridges: keys, cancels, deadlines, drains, and whose a run is.

mod asked;
mod cancel;
mod drain;
mod end;
mod key;
mod limits;
mod linger;
mod turns;

use std::time::Duration;

use landbridge_harness::bridge::{Api, Bridge, Pair};
use landbridge_harness::history::History;
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// Follows a run to its terminal, and checks what the client saw against the exported transcript.
/// Gives the history and what `landbridge verify` ends with.
async fn finish(pair: &Pair, run: &str) -> (History, i32) {
    let mut history = History::default();
    pair.a.api().follow(run, &mut history).await.unwrap();
    let transcript = pair.a.transcript(run).await.unwrap();
    let exit = pair.a.verify(&transcript, pair.b.gateway()).await.unwrap();
    if history.said("by") == "executor" {
        history.check(&transcript).unwrap();
    }
    (history, exit)
}

/// Waits until a resource says what it must.
pub(crate) async fn until(api: &Api, path: &str, what: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = api.get(path).await.map(|answer| answer.json()).unwrap_or_default();
        if what(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{path} still says {answer}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until A has at least this many frames of a run.
async fn frames(a: &Bridge, run: &str, count: u64) {
    let enough = |view: &Value| view["frames"].as_u64() >= Some(count);
    until(&a.api(), &format!("/v1/runs/{run}"), enough).await;
}
