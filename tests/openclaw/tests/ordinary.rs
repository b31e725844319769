//! A gateway that is well, and everything that a run can be asked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use landbridge_openclaw_tests::scenarios::Scenarios;
use landbridge_openclaw_tests::world::{Ask, World};

#[tokio::test(flavor = "multi_thread")]
async fn runs_through_two_bridges() {
    let Some(world) = World::set().await else { return };
    let mut scenarios = Scenarios::default();
    scenarios.play("text", text(Arc::clone(&world))).await;
    scenarios.play("a tool call that succeeds", tool(Arc::clone(&world))).await;
    scenarios.play("a tool call that fails", failing_tool(Arc::clone(&world))).await;
    scenarios.play("a model that refuses", model_error(Arc::clone(&world))).await;
    scenarios.finish();
}

async fn text(world: Arc<World>) {
    let story =
        world.run(&Ask::new("m-text\nmodel: usage 40 7\nmodel: say hello over there")).await;
    story.is_answered("hello over there");
    let started = story.payloads("started")[0];
    assert_eq!(started["agent"], "auto");
    assert!(started["software"].as_str().unwrap().starts_with("openclaw 20"), "{started}");
    let usage = story.payloads("tokenUsage").pop().unwrap();
    assert_eq!((&usage["input"], &usage["output"]), (&40.into(), &7.into()), "{usage}");
    world.asked("m-text", 1);
}

async fn tool(world: Arc<World>) {
    let prompt = "m-tool\nmodel: tool exec {\"command\":\"echo $((40+2))\"}\nmodel: say it is done";
    let story = world.run(&Ask::new(prompt)).await;
    assert_eq!(story.outcome(), "succeeded", "{story}");
    let (calls, results) = (story.payloads("toolCall"), story.payloads("toolResult"));
    assert_eq!((calls.len(), results.len()), (1, 1), "{story}");
    assert_eq!(calls[0]["tool"], "exec");
    assert_eq!(calls[0]["callId"], results[0]["callId"]);
    assert!(results[0]["ok"] == true && results[0].to_string().contains("42"), "{story}");
    assert!(story.answer().ends_with("it is done"), "{story}");
    world.asked("m-tool", 2);
}

async fn failing_tool(world: Arc<World>) {
    let prompt = "m-fail\nmodel: tool read {\"path\":\"/no/such/file\"}\nmodel: say so it goes";
    let story = world.run(&Ask::new(prompt)).await;
    assert_eq!(story.outcome(), "succeeded", "{story}");
    assert_eq!(story.payloads("toolResult")[0]["ok"], false, "{story}");
    world.asked("m-fail", 2);
}

async fn model_error(world: Arc<World>) {
    let story = world.run(&Ask::new("m-400\nmodel: status 400")).await;
    assert_eq!((story.outcome(), story.code()), ("failed", "model_error"), "{story}");
    world.asked("m-400", 1);
}
