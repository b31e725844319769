//! Several at one gateway: two tenants of one peer, and two bridges.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use landbridge_openclaw_tests::bridge::text;
use landbridge_openclaw_tests::scenarios::Scenarios;
use landbridge_openclaw_tests::world::{Ask, WORDS, World};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_leave_each_other_alone() {
    let Some(world) = World::set().await else { return };
    let mut scenarios = Scenarios::default();
    scenarios.play("two tenants", two_tenants(Arc::clone(&world))).await;
    scenarios.play("a second bridge", second_bridge(Arc::clone(&world))).await;
    scenarios.finish();
}

async fn two_tenants(world: Arc<World>) {
    world.grant(&world.b, "us", "acme", "acme-eu:acme").await;
    world.grant(&world.b, "us", "bolt", "bolt-eu:bolt").await;
    let ask = |gateway, agent, prompt: &str| Ask { gateway, agent, ..Ask::new(prompt) };
    let of_acme = ask("acme", "acme", &format!("m-acme\nmodel: delay 50\nmodel: say acme {WORDS}"));
    // The same key for both: tenants have key spaces of their own.
    let mut of_bolt =
        ask("bolt", "bolt", &format!("m-bolt\nmodel: delay 50\nmodel: say bolt {WORDS}"));
    of_bolt.key.clone_from(&of_acme.key);
    let (acme, bolt) = tokio::join!(world.run(&of_acme), world.run(&of_bolt));
    acme.is_answered(&format!("acme {WORDS}"));
    bolt.is_answered(&format!("bolt {WORDS}"));
    world.asked("m-acme", 1);
    world.asked("m-bolt", 1);
    assert_ne!(acme.session(), bolt.session());
    assert_ne!(acme.run(), bolt.run());

    // A grant for one tenant holds for no other.
    for (gateway, agent) in [("acme", "bolt"), ("bolt", "acme")] {
        let story = world.run(&ask(gateway, agent, "m-astray")).await;
        assert_eq!((story.outcome(), story.code()), ("rejected", "not_granted"), "{story}");
    }
    // Nobody goes on in another tenant's session.
    let mut intruder = ask("bolt", "bolt", "m-astray");
    intruder.session = Some(acme.session());
    let story = world.run(&intruder).await;
    assert_eq!((story.outcome(), story.side_effects()), ("rejected", "none"), "{story}");
    world.asked("m-astray", 0);

    // At A, a client that may use one route sees its own runs only.
    let token = |created: Value| text(&created, "secret");
    let for_acme = token(world.a.json(&["token", "create", "acme", "--route", "acme"]).await);
    let for_bolt = token(world.a.json(&["token", "create", "bolt", "--route", "bolt"]).await);
    for (secret, own, other) in [(&for_acme, &acme, &bolt), (&for_bolt, &bolt, &acme)] {
        for what in ["", "/frames", "/transcript"] {
            let (status, body) =
                world.a.ask(&format!("/v1/runs/{}{what}", other.run()), secret).await;
            assert_eq!(status, 404, "{what}: {body}");
        }
        let (_, list) = world.a.ask("/v1/runs", secret).await;
        assert!(!list.to_string().contains(other.run()), "{list}");
        println!(
            "  with its own token {}: {}",
            own.run(),
            list["runs"].as_array().map_or(0, Vec::len)
        );
    }
}

async fn second_bridge(world: Arc<World>) {
    let second = world.another("second").await;
    let slow = |marker: &str| format!("{marker}\nmodel: delay 150\nmodel: say {marker} {WORDS}");
    let at_b = Ask::new(&slow("m-first"));
    // The same key and prompt at both: two decisions, two runs.
    let mut at_second = Ask::new(&slow("m-second"));
    (at_second.gateway, at_second.key) = ("second", at_b.key.clone());
    let mut first = world.follow(&at_b).await;
    let mut other = world.follow(&at_second).await;
    first.until(|story| story.answer().contains("two")).await;
    other.until(|story| story.answer().contains("two")).await;
    assert_ne!(first.story().session(), other.story().session());
    // What happens to one is nothing to the other.
    world.a.json(&["run", "cancel", other.story().run()]).await;
    let other = other.end().await;
    assert_eq!(other.outcome(), "cancelled", "{other}");
    second.restart().await;
    let first = first.end().await;
    first.is_answered(&format!("m-first {WORDS}"));
    world.verify(&first).await;
    world.verify_by(&other, &second).await;
    let mut again = Ask::new("m-after\nmodel: say still here");
    again.gateway = "second";
    let again = world.follow(&again).await.end().await;
    again.is_answered("still here");
    world.verify_by(&again, &second).await;
    for marker in ["m-first", "m-second", "m-after"] {
        world.asked(marker, 1);
    }
}
