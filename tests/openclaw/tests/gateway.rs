//! The gateway itself dies under runs. It forgets keys and continues sessions by itself under other
//! names; what the client hears stays one run with one honest end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use landbridge_openclaw_tests::follow::Follow;
use landbridge_openclaw_tests::scenarios::Scenarios;
use landbridge_openclaw_tests::story::Story;
use landbridge_openclaw_tests::world::{Ask, WORDS, World};

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_is_killed_under_runs() {
    let Some(world) = World::set().await else { return };
    let mut scenarios = Scenarios::default();
    scenarios.play("the gateway is killed", killed(Arc::clone(&world))).await;
    scenarios.play("the gateway and B are killed", killed_with_b(Arc::clone(&world))).await;
    scenarios.finish();
}

async fn killed(world: Arc<World>) {
    let done = Ask::new("m-done\nmodel: say done");
    let finished = world.run(&done).await;
    finished.is_answered("done");
    let in_text = Ask::new(&format!("m-text\nmodel: delay 250\nmodel: say {WORDS}"));
    let in_tool = Ask::new(
        "m-tool\nmodel: tool exec {\"command\":\"sleep 20\"}\nmodel: say it was interrupted",
    );
    let mut text = world.follow(&in_text).await;
    let mut tool = world.follow(&in_tool).await;
    tool.until_event("toolCall").await;
    text.until(|story| story.answer().contains("three")).await;
    let mut gateway = world.gateway.lock().await;
    gateway.kill().await.unwrap();

    // What is asked now is refused honestly: nothing was started.
    let away = world.run(&Ask::new("m-away")).await;
    assert_eq!((away.outcome(), away.code()), ("failed", "gateway_unavailable"), "{away}");
    assert_eq!(away.side_effects(), "none", "{away}");
    assert!(!text.story().is_ended() && !tool.story().is_ended());

    gateway.restart().await.unwrap();
    let back = Instant::now();
    let (text, tool) = tokio::join!(honest(&world, text, back), honest(&world, tool, back));
    assert_eq!(tool.payloads("toolResult").len(), 1, "{tool}");
    assert_eq!(tool.payloads("toolResult")[0]["ok"], false, "{tool}");
    // The gateway knows these keys no more; the bridges do.
    world.same_again(&done, &finished).await;
    world.same_again(&in_text, &text).await;
    world.same_again(&in_tool, &tool).await;
    world.b.restart().await;
    world.same_again(&done, &finished).await;
    for marker in ["m-done", "m-text", "m-tool"] {
        world.executed_once(marker);
    }
    world.asked("m-away", 0);
    world.asked("m-done", 1);
}

async fn killed_with_b(world: Arc<World>) {
    let ask = Ask::new(&format!("m-both\nmodel: delay 250\nmodel: say {WORDS}"));
    let mut follow = world.follow(&ask).await;
    follow.until(|story| story.answer().contains("three")).await;
    let mut gateway = world.gateway.lock().await;
    gateway.kill().await.unwrap();
    // B comes back first, and waits for its gateway.
    world.b.restart().await;
    gateway.restart().await.unwrap();
    let story = honest(&world, follow, Instant::now()).await;
    world.same_again(&ask, &story).await;
    world.executed_once("m-both");
}

/// Ends within a minute: continued by the gateway, which is said, or failed with what is known.
async fn honest(world: &World, follow: Follow, back: Instant) -> Story {
    let story = follow.end().await;
    let took = back.elapsed();
    println!("  {} after {took:?}", story.outcome());
    assert!(took < Duration::from_secs(60), "{took:?}: {story}");
    match story.outcome() {
        "succeeded" => {
            let codes = story.payloads("error");
            assert!(codes.iter().any(|error| error["code"] == "interrupted"), "{story}");
        }
        "failed" => {
            assert_eq!(story.code(), "interrupted", "{story}");
            assert_ne!(story.side_effects(), "none", "{story}");
        }
        _ => panic!("{story}"),
    }
    world.verify(&story).await;
    story
}
