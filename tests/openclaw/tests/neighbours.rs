//! Several at one gateway: two tenants of one peer, and two bridges.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use landbridge_openclaw_tests::bridge::text;
use landbridge_openclaw_tests::scenarios::Scenarios;
use landbridge_openclaw_tests::world::{Ask, WORDS, World};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_leave_each_other_alone() {
    let Some(world) = World::set().await else { return };
    let mut scenarios = Scenarios::default();
    scenarios.play("two tenants", two_tenants(Arc::clone(&world))).await;
    scenarios.play("a second bridge", second_bridge(Arc::clone(&world))).await;
    scenarios.play("the demonstration", demonstration(Arc::clone(&world))).await;
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

    // At A, a client that may use one route reads what it started, and nothing else.
    let mut clients = Vec::new();
    for tenant in ["acme", "bolt"] {
        let created = world.a.json(&["token", "create", tenant, "--route", tenant]).await;
        let secret = text(&created, "secret");
        let start = |gateway: &str| {
            json!({"gateway": gateway, "agent": gateway, "prompt": format!("m-token-{tenant}"),
                "idempotencyKey": format!("a-key-of-its-own-{tenant}")})
        };
        let (status, run) = world.a.ask("/v1/runs", &secret, Some(&start(tenant))).await;
        assert_eq!(status, 201, "{run}");
        let other = if tenant == "acme" { "bolt" } else { "acme" };
        let (status, refused) = world.a.ask("/v1/runs", &secret, Some(&start(other))).await;
        assert_eq!((status, &refused["code"]), (403, &json!("not_granted")), "{refused}");
        let story = world.a.follow(&text(&run, "run"), 0).end().await;
        assert_eq!(story.outcome(), "succeeded", "{story}");
        world.asked(&format!("m-token-{tenant}"), 1);
        clients.push((secret, story));
    }
    for (at, (secret, own)) in clients.iter().enumerate() {
        let others = [&clients[1 - at].1, &acme, &bolt];
        for what in ["", "/frames", "/transcript"] {
            let (status, _) =
                world.a.ask(&format!("/v1/runs/{}{what}", own.run()), secret, None).await;
            assert_eq!(status, 200, "{what}");
            for other in others {
                let path = format!("/v1/runs/{}{what}", other.run());
                let (status, body) = world.a.ask(&path, secret, None).await;
                assert_eq!(status, 404, "{what}: {body}");
            }
        }
        let (_, list) = world.a.ask("/v1/runs", secret, None).await;
        assert_eq!(list["runs"].as_array().map(Vec::len), Some(1), "{list}");
        assert_eq!(list["runs"][0]["run"], own.run());
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

/// `landbridge demo --openclaw` shows all that it promises, at any gateway with any model.
async fn demonstration(world: Arc<World>) {
    let (url, token) = {
        let gateway = world.gateway.lock().await;
        (gateway.url(), world.token_file(gateway.token()))
    };
    let at = ["demo", "--openclaw", &url, "--token-file", &token];
    let facts = world.a.json(&[&at[..], &["--agent", "auto"]].concat()).await;
    assert_eq!(facts["ok"], true, "{facts}");
    let (exit, said) = world.a.refused(&[&at[..], &["--agent", "nobody"]].concat()).await;
    assert_eq!(exit, 64, "{said}");
    assert!(said.to_string().contains("no agent nobody"), "{said}");
}
