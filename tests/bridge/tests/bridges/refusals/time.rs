//! When: a request is good once, and not for long.

use super::*;
use crate::forge::now;

#[tokio::test]
async fn a_request_is_good_once_and_also_after_a_restart() {
    let mut scene = Scene::set().await;
    let start = scene.forge.start("captured-request-1");
    let captured = scene.forge.sign(&start);
    scene.served(&start).await;
    let before = (scene.state().await, 0);
    let again = scene.forge.send_signed(RUNS, &captured, &scene.forge.status).await;
    // Whoever captured it learns nothing of the run, and nothing happens.
    assert_eq!(again.refusal(), (409, "replayed", true), "{}", again.text);
    assert_eq!(scene.state().await, before.0);
    scene.pair.b.kill().await.unwrap();
    scene.pair.b.serve().await.unwrap();
    scene.forge.reconnect();
    let again = scene.forge.send_signed(RUNS, &captured, &scene.forge.status).await;
    assert_eq!(again.refusal(), (409, "replayed", true), "{}", again.text);
    assert_eq!(scene.state().await, before.0);
    // Newly signed, the same body gives the same run.
    let mut anew = start.clone();
    anew["jti"] = scene.forge.start("captured-request-1")["jti"].clone();
    let same = scene.forge.send(RUNS, &anew).await;
    assert!(same.is_whole_stream(), "{}", same.text);
    assert_eq!(scene.state().await.executions, 1);
}

#[tokio::test]
async fn early_late_and_long_lived_requests_are_refused() {
    let scene = Scene::set().await;
    let good = scene.forge.start("right-on-time-0001");
    let timed = |iat: i64, exp: i64| {
        let mut request = good.clone();
        (request["iat"], request["exp"]) = (iat.into(), exp.into());
        request
    };
    let now = now();
    let minute = 60_000;
    let late = timed(now - 4 * minute, now - minute - 1_000);
    scene.refused(RUNS, &late, 401, "clock_skew", true).await;
    let early = timed(now + 2 * minute, now + 3 * minute);
    scene.refused(RUNS, &early, 401, "clock_skew", true).await;
    let long = timed(now, now + 5 * minute + 1);
    scene.refused(RUNS, &long, 400, "malformed", true).await;
    let backwards = timed(now, now);
    scene.refused(RUNS, &backwards, 400, "malformed", true).await;
    scene.served(&good).await;
}
