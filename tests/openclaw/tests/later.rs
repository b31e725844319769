//! After six minutes: the gateway forgets keys after five, and the bridges must not.
//!
//! It takes six minutes and a half, so it runs only where `LANDBRIDGE_SLOW` is 1, beside the rest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::time::{Duration, Instant};

use landbridge_harness::skip::skipped;
use landbridge_openclaw_tests::world::{Ask, WORDS, World, until_within};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_known_after_the_gateway_forgot_it() {
    if std::env::var("LANDBRIDGE_SLOW").as_deref() != Ok("1") {
        skipped("six minutes were not waited for: LANDBRIDGE_SLOW is not 1", false);
        return;
    }
    let Some(world) = World::set().await else { return };
    let patient = |prompt: &str| Ask { deadline: "20m", ..Ask::new(prompt) };
    let finished = patient("m-early\nmodel: say done");
    let early = world.run(&finished).await;
    early.is_answered("done");
    // B is away while its gateway finishes this one, and forgets that it was ever asked.
    let left = patient(&format!("m-left\nmodel: delay 100\nmodel: say {WORDS}"));
    let mut follow = world.follow(&left).await;
    follow.until(|story| story.answer().contains("three")).await;
    // A starts this one while B is away, and goes on trying for six minutes.
    world.b.kill().await;
    let waiting = patient(&format!("m-waiting\nmodel: say {WORDS}"));
    let waiting_run = world.start(&waiting).await["run"].as_str().unwrap().to_owned();

    let over = Instant::now() + Duration::from_secs(370);
    until_within(Duration::from_secs(400), "six minutes are over", || Instant::now() > over).await;
    world.same_again(&finished, &early).await;
    world.b.serve().await;
    let late = follow.end().await;
    late.is_answered(WORDS);
    let waited = world.a.follow(&waiting_run, 0).end().await;
    waited.is_answered(WORDS);
    for (ask, story) in [(&finished, &early), (&left, &late), (&waiting, &waited)] {
        world.same_again(ask, story).await;
        world.verify(story).await;
    }
    world.b.restart().await;
    world.same_again(&left, &late).await;
    for marker in ["m-early", "m-left", "m-waiting"] {
        world.asked(marker, 1);
    }
}
