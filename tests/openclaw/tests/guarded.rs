//! A gateway that does not let the bridge in, from the beginning or suddenly.
//!
//! What the bridge's device may not do at the gateway is shown in `landbridge-openclaw`'s own tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use landbridge_openclaw_tests::bridge::text;
use landbridge_openclaw_tests::scenarios::Scenarios;
use landbridge_openclaw_tests::world::{Ask, WORDS, World};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_refuses() {
    let Some(world) = World::set().await else { return };
    let mut scenarios = Scenarios::default();
    scenarios.play("a wrong token", wrong_token(Arc::clone(&world))).await;
    scenarios.play("a device that is revoked", revoked(Arc::clone(&world))).await;
    scenarios.finish();
}

async fn wrong_token(world: Arc<World>) {
    let stranger = world.stranger("stranger").await;
    let file = world.token_file("not-the-shared-token");
    let (exit, said) = stranger.refused(&["gateway", "connect", "--token-file", &file]).await;
    println!("  {said}");
    assert_eq!(exit, 1, "{said}");
    let said = said.to_string();
    assert!(
        said.contains("refuses the shared token") && !said.contains("not-the-shared-token"),
        "{said}"
    );
    assert!(!stranger.home().join("gateway/device.token").exists());
    // A bridge without a device serves all the same, and says what is missing.
    stranger.serve().await;
    let (_, said) = stranger.refused(&["gateway", "status"]).await;
    assert!(said.to_string().contains("gateway connect"), "{said}");
    stranger.kill().await;
    // With the right token the same home works.
    world.connect(&stranger).await;
    stranger.serve().await;
    let status = stranger.reaches_gateway().await;
    assert!(status["agents"].to_string().contains("auto"), "{status}");
    stranger.kill().await;
}

async fn revoked(world: Arc<World>) {
    world.run(&Ask::new("m-before\nmodel: say fine")).await.is_answered("fine");
    let mut running = Ask::new(&format!("m-running\nmodel: delay 700\nmodel: say {WORDS}"));
    running.deadline = "12s";
    let mut running = world.follow(&running).await;
    running.until(|story| story.answer().contains("two")).await;
    let file = world.b.home().join("gateway");
    let device = text(&world.connect(&world.b).await, "device");
    assert!(file.join("device.token").exists());
    let params = json!({"deviceId": device});
    let removed = world.operator().await.call("device.pair.remove", &params).await.unwrap();
    assert_eq!(removed["ok"], true, "{removed}");

    // A new run ends at once and says so; one that was running ends by its deadline, and what became
    // of it is not known.
    let refused = world.run(&Ask::new("m-refused")).await;
    assert_eq!((refused.outcome(), refused.code()), ("failed", "gateway_unavailable"), "{refused}");
    assert_eq!(refused.side_effects(), "none", "{refused}");
    world.asked("m-refused", 0);
    let running = running.end().await;
    assert_eq!(running.outcome(), "expired", "{running}");
    assert_eq!(running.side_effects(), "unknown", "{running}");
    world.verify(&running).await;
    let (_, said) = world.b.refused(&["gateway", "status"]).await;
    assert!(said.to_string().contains("gateway connect"), "{said}");

    // Paired anew, the bridge works again.
    world.connect(&world.b).await;
    world.b.restart().await;
    world.b.reaches_gateway().await;
    world.run(&Ask::new("m-again\nmodel: say welcome back")).await.is_answered("welcome back");
    for marker in ["m-before", "m-running", "m-again"] {
        world.asked(marker, 1);
    }
}
