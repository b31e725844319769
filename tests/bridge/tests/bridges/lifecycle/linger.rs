//! Runs that the executor ends before its gateway does: whatever is killed, the gateway is made to stop.

use std::path::PathBuf;

use landbridge_harness::bridge::{Pair, start};

use super::*;

/// A gateway that cannot be stopped for now: what it would note a stop in cannot be written.
struct Deaf(PathBuf);

impl Deaf {
    async fn to(pair: &Pair, run: &str) -> Self {
        let path = format!("/v1/runs/{run}");
        let view = until(&pair.a.api(), &path, |view| view["remoteRun"].is_string()).await;
        let remote = view["remoteRun"].as_str().unwrap();
        let place = pair.b.home().join("gateway").join(format!("{remote}.stop"));
        std::fs::create_dir(&place).unwrap();
        Self(place)
    }

    fn hears(&self) {
        std::fs::remove_dir(&self.0).unwrap();
    }

    async fn is_stopped(&self) {
        let deadline = Instant::now() + Duration::from_secs(40);
        while !self.0.is_file() {
            assert!(Instant::now() < deadline, "the gateway goes on with a run that has ended");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn ceased(pair: &Pair) -> usize {
    let events = pair.b.audit().await.unwrap();
    events.iter().filter(|event| event["deed"] == "run_ceased").count()
}

//= REQ-74
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_is_stopped_after_the_terminal_whatever_is_killed() {
    let mut pair = Pair::granted(&[], &[], &["--frames", "6"]).await.unwrap();
    let many = pair.run("key-of-too-many-frames", "sleep 400\ncount 100 5\nhang").await.unwrap();
    let mut late = start("key-of-too-long-a-run", "say begun\nhang");
    late["deadline"] = "900ms".into();
    let late = pair.a.api().post("/v1/runs", &late).await.unwrap().json();
    let late = late["run"].as_str().unwrap().to_owned();
    let runs = [(many, "failed", "budget_exceeded"), (late, "expired", "deadline_exceeded")];
    let mut gateways = Vec::new();
    for (run, ..) in &runs {
        gateways.push(Deaf::to(&pair, run).await);
    }
    for (run, outcome, code) in &runs {
        let (history, exit) = finish(&pair, run).await;
        assert_eq!((history.said("outcome"), history.code(), exit), (*outcome, *code, 0));
    }
    // The terminals are out, the gateway goes on, and the bridge dies twice.
    for _ in 0..2 {
        pair.b.kill().await.unwrap();
        pair.b.serve().await.unwrap();
    }
    assert_eq!(ceased(&pair).await, 0);
    for gateway in &gateways {
        gateway.hears();
    }
    for gateway in &gateways {
        gateway.is_stopped().await;
    }
    let deadline = Instant::now() + Duration::from_secs(40);
    while ceased(&pair).await < 2 {
        assert!(Instant::now() < deadline, "it is not recorded that the gateway has stopped");
        sleep(Duration::from_millis(100)).await;
    }
    // The duty was done: the next process has none.
    pair.b.kill().await.unwrap();
    pair.b.serve().await.unwrap();
    sleep(Duration::from_millis(500)).await;
    assert_eq!(ceased(&pair).await, 2);
    assert!(pair.b.executions().unwrap().values().all(|count| *count == 1));
}
