//! Ends that nobody asked for: deadlines, an executor that stays away, and restarts in between.

use std::sync::Arc;

use landbridge_harness::bridge::{Pair, start};
use landbridge_node::clock::{Clock as _, SystemClock, SystemEntropy, VirtualClock};
use landbridge_node::config::{Config, Home, Overrides};
use landbridge_node::identity::Identity;
use landbridge_node::scripted::Scripted;
use landbridge_node::serve::{Parts, serve};
use landbridge_proto::wire::limit;
use tokio_util::sync::CancellationToken;

use super::*;

#[tokio::test]
async fn a_deadline_ends_a_run_that_hangs() {
    let pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let run = with_deadline(&pair, "it-would-never-end", "1500ms").await;
    let (history, exit) = finish(&pair, &run).await;
    assert_eq!((history.said("outcome"), history.code()), ("expired", "deadline_exceeded"));
    assert_eq!((history.said("by"), exit), ("executor", 0));
}

#[tokio::test]
async fn a_deadline_that_passes_while_the_executor_is_down_is_kept() {
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let run = with_deadline(&pair, "expires-in-the-dark", "1500ms").await;
    frames(&pair.a, &run, 2).await;
    pair.b.kill().await.unwrap();
    let deadline = Instant::now() + Duration::from_millis(1600);
    tokio::time::sleep_until(deadline).await;
    pair.b.serve().await.unwrap();
    let (history, exit) = finish(&pair, &run).await;
    assert_eq!((history.said("outcome"), history.code()), ("expired", "deadline_exceeded"));
    assert_eq!((history.said("by"), exit), ("executor", 0));
}

//= STR-44
//= STR-45
//= STR-46
#[tokio::test]
async fn a_drain_lets_go_of_streams_and_they_go_on_after_the_restart() {
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let run = pair.run("drained-in-between", "count 80 25").await.unwrap();
    frames(&pair.a, &run, 3).await;
    let (api, followed) = (pair.a.api(), run.clone());
    let client = tokio::spawn(async move {
        let mut history = History::default();
        api.follow(&followed, &mut history).await.map(|()| history)
    });
    for bridge in [&mut pair.b, &mut pair.a] {
        let began = Instant::now();
        let status = bridge.stop().await.unwrap();
        assert!(status.success(), "{status}");
        assert!(began.elapsed() < Duration::from_secs(5), "a drain took {:?}", began.elapsed());
        bridge.serve().await.unwrap();
    }
    let history = client.await.unwrap().unwrap();
    history.check(&pair.a.transcript(&run).await.unwrap()).unwrap();
    assert_eq!((history.said("outcome"), history.code()), ("succeeded", ""));
    assert!(history.connections() > 1, "the client's own stream was cut");
    assert_eq!(pair.b.executions().unwrap().into_values().collect::<Vec<_>>(), [1]);
}

/// A runs in this process on a clock that the test moves: two minutes are too long to wait for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_executor_that_stays_away_leaves_the_caller_its_own_end() {
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    pair.a.kill().await.unwrap();
    let clock = Arc::new(VirtualClock::new(SystemClock.now()));
    let stop = CancellationToken::new();
    let home = Home::open(pair.a.home()).unwrap();
    let config = Config::load(&home, &Overrides::none()).unwrap();
    let parts = Parts {
        identity: Identity::load(home.path()).unwrap(),
        home: home.path().to_owned(),
        config,
        state: home.state(),
        adapter: Arc::new(Scripted::open(&home.gateway(), clock.clone()).unwrap()),
        clock: clock.clone(),
        entropy: Arc::new(SystemEntropy),
        exporter: None,
    };
    let bridge = tokio::spawn(serve(parts, stop.clone(), |_| {}));
    until(&pair.a.api(), "/v1/admin/bridge", |view| view["gateway"].is_string()).await;
    let run = with_deadline(&pair, "never-heard-of-again", "1m").await;
    frames(&pair.a, &run, 2).await;
    pair.b.kill().await.unwrap();
    // Almost up to the last moment it tries again: the executor might still come back.
    clock.advance_ms(60_000 + limit::LOST_GRACE_MS - 60_000);
    let path = format!("/v1/runs/{run}");
    for step in 0.. {
        assert!(step < 400, "it has not noticed that the executor is gone");
        // Its pauses are of the same clock.
        clock.advance_ms(100);
        let view = pair.a.api().get(&path).await.unwrap().json();
        assert_eq!(view["phase"], "streaming");
        if view["connection"].as_str().is_some_and(|text| text.contains("cannot be reached")) {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    clock.advance_ms(60_000);
    let (history, exit) = finish(&pair, &run).await;
    assert_eq!((history.said("outcome"), history.code()), ("lost", "run_lost"));
    assert_eq!((history.said("by"), history.said("sideEffects")), ("caller", "unknown"));
    assert_eq!(exit, 5, "what was sealed is genuine, and there is no sealed terminal");
    stop.cancel();
    bridge.await.unwrap().unwrap();
}

/// Starts a run that hangs.
async fn with_deadline(pair: &Pair, key: &str, deadline: &str) -> String {
    let mut body = start(key, "say begun\nhang");
    body["deadline"] = deadline.into();
    let answer = pair.a.api().post("/v1/runs", &body).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.code());
    answer.json()["run"].as_str().unwrap().to_owned()
}
