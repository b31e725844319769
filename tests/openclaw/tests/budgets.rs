//! What a tenant may spend, and what it may see of another: at a real gateway.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use landbridge_openclaw_tests::bridge::text;
use landbridge_openclaw_tests::scenarios::Scenarios;
use landbridge_openclaw_tests::story::Story;
use landbridge_openclaw_tests::world::{Ask, World};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn tenants_have_budgets_and_walls() {
    let Some(world) = World::set().await else { return };
    let mut scenarios = Scenarios::default();
    scenarios.play("a budget", budget(Arc::clone(&world))).await;
    scenarios.play("walls", walls(Arc::clone(&world))).await;
    scenarios.finish();
}

/// What B's operator sees of the default tenants.
async fn used(world: &World) -> Value {
    let grants = world.b.json(&["grant", "list", "us"]).await;
    let all = grants.as_array().unwrap();
    let own = all.iter().find(|one| one["grant"]["local"] == "default").unwrap();
    own.clone()
}

//= REQ-55
//= REQ-56
//= REQ-57
async fn budget(world: Arc<World>) {
    let limit = async |tokens: &str| {
        let arguments = ["grant", "add", "us", "--agent", "auto", "--tokens-per-day", tokens];
        world.b.json(&arguments).await;
    };
    limit("1000").await;
    // Each call of the model is 450 tokens. The third is beyond; its command would take a minute.
    let steps = [
        "m-over",
        "model: usage 400 50",
        r#"model: tool exec {"command":"echo one"}"#,
        r#"model: tool exec {"command":"echo two"}"#,
        r#"model: tool exec {"command":"sleep 60"}"#,
        "model: say never",
    ];
    let begun = Instant::now();
    let over = world.run(&Ask::new(&steps.join("\n"))).await;
    assert_eq!((over.outcome(), over.code()), ("failed", "budget_exceeded"), "{over}");
    assert_ne!(over.side_effects(), "none", "two commands ran: {over}");
    assert!(begun.elapsed() < Duration::from_secs(45), "nobody waited for the last command");
    let told: Vec<_> =
        over.payloads("tokenUsage").iter().map(|usage| usage["total"].clone()).collect();
    // Usage is told with the calls of the model that the gateway shows, not at the run's end.
    assert_eq!(told.last(), Some(&json!(1350)), "{over}");
    let named = |event: &str| over.lines().iter().rposition(|line| line.contains(event)).unwrap();
    assert!(named("tokenUsage") < named("toolResult"), "{over}");
    world.asked("m-over", 3);
    assert!(!world.is_active("auto", &over.session()).await, "the gateway's run is gone");
    let today = used(&world).await;
    assert_eq!(today["used"]["tokensToday"], 1350, "{today}");
    assert_eq!(today["grant"]["tokens_per_day"], 1000, "{today}");

    // The next start is refused, with the time of the next day, and its key stays free.
    let next = Ask::new("m-next\nmodel: usage 10 1\nmodel: say allowed again");
    let mut follow = world.follow(&next).await;
    let run = follow.story().run().to_owned();
    let refused = connection(&world, &run, "rate_limited").await;
    let seconds = refused.rsplit_once("come in ").unwrap().1.split_once(' ').unwrap().0;
    let left: u64 = seconds.parse().unwrap();
    assert!((1..=86_400).contains(&left), "{refused}");
    assert!(left > 60 || refused.contains("the day"), "{refused}");
    world.asked("m-next", 0);
    // What is booked is durable.
    world.b.restart().await;
    assert_eq!(used(&world).await["used"]["tokensToday"], 1350);
    world.asked("m-next", 0);

    // Its positive twin: the same decision, once it is allowed, without a word of the client.
    limit("none").await;
    follow.until(Story::is_ended).await;
    let allowed = follow.end().await;
    allowed.is_answered("allowed again");
    world.verify(&allowed).await;
    world.asked("m-next", 1);
    assert_eq!(used(&world).await["used"]["tokensToday"], 1361);

    // A client may ask for less than it could have.
    let less = json!({"gateway": "eu", "agent": "auto", "idempotencyKey": "a-client-that-saves",
        "prompt": steps.join("\n").replace("m-over", "m-less"), "limits": {"tokens": 800}});
    let created = world.a.json(&["token", "create", "saver"]).await;
    let (status, run) = world.a.ask("/v1/runs", &text(&created, "secret"), Some(&less)).await;
    assert_eq!(status, 201, "{run}");
    let less = world.a.follow(&text(&run, "run"), 0).end().await;
    assert_eq!((less.outcome(), less.code()), ("failed", "budget_exceeded"), "{less}");
    // Between two calls the gateway may have begun the next one before it was stopped.
    world.asked_at_most("m-less", 3);
    assert!(!world.is_active("auto", &less.session()).await);
}

/// Waits until a run's connection at A says this.
async fn connection(world: &World, run: &str, wanted: &str) -> String {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let shown = world.a.json(&["run", "show", run]).await;
        let said = shown["connection"].as_str().unwrap_or_default();
        if said.contains(wanted) {
            return said.to_owned();
        }
        assert!(Instant::now() < end, "{shown}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What the gateway's session tools answer to one tenant's prompt that looks for another's words.
async fn look(world: &World, tenant: &'static str, theirs: &str, marker: &str) -> Vec<String> {
    let steps = [
        marker.to_owned(),
        r#"model: tool sessions_list {"limit":50}"#.to_owned(),
        format!("model: tool sessions_history {}", json!({"sessionKey": theirs})),
        format!("model: tool session_status {}", json!({"sessionKey": theirs})),
        r#"model: tool sessions_search {"query":"xyzzy"}"#.to_owned(),
        "model: say looked".to_owned(),
    ];
    let ask = Ask { gateway: tenant, agent: tenant, ..Ask::new(&steps.join("\n")) };
    let story = world.run(&ask).await;
    story.is_answered("looked");
    let results = story.payloads("toolResult").into_iter();
    let said = |result: &Value| {
        let text = result["result"].as_str().or(result["error"].as_str());
        text.unwrap_or_else(|| panic!("no text: {story}")).to_owned()
    };
    results.map(said).collect()
}

/// What `doctor` at B says of the gateway's walls.
async fn warned(world: &World) -> bool {
    let output = world.b.output(&["doctor"]).await;
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    findings.as_array().unwrap().iter().any(|one| one["check"] == "walls")
}

//= ID-29
async fn walls(world: Arc<World>) {
    world.grant(&world.b, "us", "acme", "acme-eu:acme").await;
    world.grant(&world.b, "us", "bolt", "bolt-eu:bolt").await;
    // Nor do two tenants share an agent under two names that the gateway takes for one.
    for shared in ["acme", "Acme"] {
        let arguments = ["grant", "add", "us", "--agent", shared, "--tenant", "bolt-eu:bolt"];
        let (_, said) = world.b.refused(&arguments).await;
        assert!(said.to_string().contains("two tenant pairs"), "{said}");
    }
    let words = "m-words the word is xyzzy\nmodel: say noted xyzzy";
    let words = Ask { gateway: "acme", agent: "acme", ..Ask::new(words) };
    let secret = world.run(&words).await;
    secret.is_answered("noted xyzzy");
    let theirs = format!("agent:acme:{}", secret.session());

    // By its defaults this gateway shows every session to every agent. That is its operator's choice,
    // which no bridge can undo: it is said by the doctor.
    let leaked = look(&world, "bolt", &theirs, "m-open").await;
    assert!(leaked[0].contains(&theirs) && leaked[1].contains("noted xyzzy"), "{leaked:?}");
    assert!(warned(&world).await, "the doctor says that the door is open");

    let folder = world.gateway.lock().await.folder().to_owned();
    let file = folder.join("openclaw.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    config["tools"]["sessions"] = json!({"visibility": "tree"});
    config["tools"]["agentToAgent"] = json!({"enabled": false});
    std::fs::write(&file, serde_json::to_vec_pretty(&config).unwrap()).unwrap();
    world.gateway.lock().await.restart().await.unwrap();
    world.b.reaches_gateway().await;
    assert!(!warned(&world).await, "the doctor is content");

    let seen = look(&world, "bolt", &theirs, "m-closed").await;
    assert!(!seen[0].contains("agent:acme:"), "{seen:?}");
    for seen in &seen {
        assert!(!seen.contains("noted xyzzy") && !seen.contains("the word is"), "{seen}");
    }
    // Its positive twin: the tools work, for what is one's own.
    assert!(seen[0].contains("agent:bolt:"), "{seen:?}");
    let own = look(&world, "acme", &theirs, "m-own").await;
    assert!(own[0].contains("agent:acme:") && !own[0].contains("agent:bolt:"), "{own:?}");
}
