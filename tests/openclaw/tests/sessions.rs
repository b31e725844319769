//! Sessions at a real gateway: further turns, whose a session is, and children.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use landbridge_openclaw_tests::bridge::text;
use landbridge_openclaw_tests::scenarios::Scenarios;
use landbridge_openclaw_tests::story::Story;
use landbridge_openclaw_tests::world::{Ask, WORDS, World};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_a_gateway_that_allows_children() {
    let allow =
        |config: &mut Value| config["gateway"]["tools"] = json!({"allow": ["sessions_spawn"]});
    let Some(world) = World::set_with(allow).await else { return };
    let mut scenarios = Scenarios::default();
    scenarios.play("a second turn", second_turn(Arc::clone(&world))).await;
    scenarios.play("five turns at once", five_turns(Arc::clone(&world))).await;
    scenarios.play("somebody else's session", somebody_elses(Arc::clone(&world))).await;
    scenarios.play("a session that is gone", gone(Arc::clone(&world))).await;
    scenarios.play("a child", child(Arc::clone(&world))).await;
    scenarios.play("a child is cancelled", cancelled_child(Arc::clone(&world))).await;
    scenarios.play("a bridge dies over a child", orphaned_child(Arc::clone(&world))).await;
    scenarios.play("a model that spawns", spawning_model(Arc::clone(&world))).await;
    scenarios.play("a cancel ends the child too", cancelled_tree(Arc::clone(&world))).await;
    scenarios.play("a restart in a second turn", restart_in_turn(Arc::clone(&world))).await;
    scenarios.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_a_gateway_as_it_comes() {
    let Some(world) = World::set().await else { return };
    let parent = world.run(&Ask::new("m-parent\nmodel: say here")).await;
    let story = world.run(&child_of(&parent, "m-forbidden\nmodel: say no")).await;
    let end = (story.outcome(), story.code(), story.side_effects());
    assert_eq!(end, ("failed", "subagent_unavailable", "none"), "{story}");
    world.asked("m-forbidden", 0);
    // The session goes on.
    world.run(&turn_of(&parent, "m-on\nmodel: say on")).await.is_answered("on");
}

fn turn_of(story: &Story, prompt: &str) -> Ask {
    Ask { session: Some(story.session()), ..Ask::new(prompt) }
}

fn child_of(story: &Story, prompt: &str) -> Ask {
    Ask { mode: "subagent", ..turn_of(story, prompt) }
}

/// What the model was asked under a marker, as text.
fn asked_text(world: &World, marker: &str) -> String {
    world.model.asked_with(marker)[0].body["messages"].to_string()
}

async fn second_turn(world: Arc<World>) {
    let tool = "model: tool exec {\"command\":\"echo first-result\"}";
    let first = format!("m-first\nmodel: usage 1000 100\n{tool}\nmodel: say the word is heron");
    let first = world.run(&Ask::new(&first)).await;
    assert!(first.answer().contains("heron"), "{first}");
    let ask = turn_of(&first, "m-second\nmodel: usage 70 7\nmodel: say I remember");
    let second = world.run(&ask).await;
    second.is_answered("I remember");
    assert_eq!(second.session(), first.session());
    // The model saw the earlier turn, the reader of the second run does not.
    let seen = asked_text(&world, "m-second");
    assert!(seen.contains("m-first") && seen.contains("the word is heron"), "{seen}");
    assert!(!second.has("toolCall") && !second.to_string().contains("heron"), "{second}");
    let usage = &second.terminal()["usage"];
    assert_eq!((&usage["input"], &usage["output"]), (&json!(70), &json!(7)), "{second}");
    world.asked("m-second", 1);
    // The handle stands where people look for it.
    let view = world.a.json(&["run", "show", first.run()]).await;
    assert_eq!(view["session"], first.session(), "{view}");
}

//= REQ-48
async fn five_turns(world: Arc<World>) {
    let first = world.run(&Ask::new("m-line\nmodel: say begun")).await;
    let mut follows = Vec::new();
    for n in 0..5 {
        let prompt = format!("m-turn-{n}.\nmodel: delay 80\nmodel: say turn {n} {WORDS}");
        let follow = world.follow(&turn_of(&first, &prompt)).await;
        // The order is that of acceptance.
        accepted(&world, follow.story().run()).await;
        follows.push(follow);
    }
    for (n, follow) in follows.into_iter().enumerate() {
        let story = follow.end().await;
        story.is_answered(&format!("turn {n} {WORDS}"));
        world.verify(&story).await;
        world.asked(&format!("m-turn-{n}."), 1);
        // Each saw those before it, whole, and none after it.
        let seen = asked_text(&world, &format!("m-turn-{n}."));
        for other in 0..5 {
            let whole = seen.contains(&format!("\"content\":\"turn {other} {WORDS}\""));
            assert_eq!(whole, other < n, "turn {n}, {other}: {seen}");
        }
    }
}

/// Waits until the executor has accepted a run.
async fn accepted(world: &World, run: &str) {
    for _ in 0..500 {
        if world.a.json(&["run", "show", run]).await["remoteRun"].is_string() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{run} is not accepted");
}

//= REQ-45
async fn somebody_elses(world: Arc<World>) {
    let mine = world.run(&Ask::new("m-mine\nmodel: say mine")).await;
    world.grant(&world.b, "us", "acme", "acme-eu:acme").await;
    let stranger = || turn_of(&mine, "m-astray\nmodel: say no");
    let other_agent = Ask { agent: "main", ..stranger() };
    let other_tenant = Ask { gateway: "acme", agent: "acme", ..stranger() };
    let child = Ask { mode: "subagent", agent: "main", ..stranger() };
    for ask in [other_agent, other_tenant, child] {
        let story = world.run(&ask).await;
        let end = (story.outcome(), story.code(), story.side_effects());
        assert_eq!(end, ("rejected", "session_unknown", "none"), "{ask:?}: {story}");
    }
    // Another gateway.
    let other = world.stranger("c").await;
    other.serve().await;
    let invite = text(&world.b.json(&["peer", "invite", "c"]).await, "invite");
    let joined = other.json(&["peer", "join", &invite, "--alias", "eu"]).await;
    let words = text(&world.b.json(&["peer", "show", "c"]).await, "words");
    other.json(&["peer", "accept", "eu", "--words", &words]).await;
    world.b.json(&["peer", "accept", "c", "--words", &text(&joined, "words")]).await;
    // No agent is shared between tenant pairs, so it has one of its own.
    world.grant(&world.b, "c", "bolt", "default:default").await;
    let start = |prompt: &str, key: &str| {
        ["run", "start", "eu", "--agent", "bolt", "--detach", "--prompt", prompt, "--key", key]
            .map(str::to_owned)
            .to_vec()
    };
    let run = async |arguments: Vec<String>| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let run = text(&other.json(&arguments).await, "run");
        other.follow(&run, 0).end().await
    };
    let mut theirs = start("m-astray", "a-key-of-the-third-1");
    theirs.extend(["--mode", "turn", "--session"].map(str::to_owned));
    theirs.push(mine.session());
    let story = run(theirs).await;
    assert_eq!((story.outcome(), story.code()), ("rejected", "session_unknown"), "{story}");
    run(start("m-third\nmodel: say welcome", "a-key-of-the-third-2")).await.is_answered("welcome");
    world.asked("m-astray", 0);
    world.run(&turn_of(&mine, "m-still\nmodel: say still mine")).await.is_answered("still mine");
}

//= REQ-52
async fn gone(world: Arc<World>) {
    let first = world.run(&Ask::new("m-gone\nmodel: say here")).await;
    let params = json!({"key": format!("agent:auto:{}", first.session())});
    let deleted = world.operator().await.call("sessions.delete", &params).await.unwrap();
    assert_eq!(deleted["ok"], true, "{deleted}");
    for ask in [turn_of(&first, "m-late"), child_of(&first, "m-late")] {
        let story = world.run(&ask).await;
        let end = (story.outcome(), story.code(), story.side_effects());
        assert_eq!(end, ("failed", "session_unknown", "none"), "{story}");
    }
    world.asked("m-late", 0);
}

async fn child(world: Arc<World>) {
    let parent = world.run(&Ask::new("m-has-child\nmodel: say here")).await;
    let prompt =
        "m-child\nmodel: usage 50 5\nmodel: tool nosuch {\"a\":1}\nmodel: say the child did it";
    let story = world.run(&child_of(&parent, prompt)).await;
    story.is_answered("the child did it");
    assert_eq!(story.session(), parent.session());
    assert_eq!(story.payloads("toolCall")[0]["tool"], "nosuch", "{story}");
    let usage = &story.terminal()["usage"];
    assert_eq!((&usage["input"], &usage["output"]), (&json!(100), &json!(10)), "{story}");
    world.asked("m-child", 2);
    // Its parent hears of it with its next turn, and that turn is not the child's.
    let next = world.run(&turn_of(&parent, "m-next\nmodel: usage 30 3\nmodel: say next")).await;
    next.is_answered("next");
    assert_eq!(next.terminal()["usage"]["input"], json!(30), "{next}");
    assert!(!next.has("toolCall"), "{next}");
}

async fn cancelled_child(world: Arc<World>) {
    let parent = world.run(&Ask::new("m-parent-of-late\nmodel: say here")).await;
    let prompt = format!("m-late-child\nmodel: delay 300\nmodel: say {WORDS}");
    let mut follow = world.follow(&child_of(&parent, &prompt)).await;
    follow.until(|story| story.answer().contains("two")).await;
    world.a.json(&["run", "cancel", follow.story().run()]).await;
    let story = follow.end().await;
    assert_eq!(story.outcome(), "cancelled", "{story}");
    assert!(!story.answer().contains("twenty"), "{story}");
    assert_eq!(active_sessions(&world).await, Vec::<String>::new());
    world.verify(&story).await;
    world.asked("m-late-child", 1);
}

/// The gateway chose the child's names; a bridge that died before it wrote them down finds it by its label.
async fn orphaned_child(world: Arc<World>) {
    let parent = world.run(&Ask::new("m-parent-of-orphan\nmodel: say here")).await;
    let prompt = format!("m-orphan\nmodel: delay 200\nmodel: say {WORDS}");
    let mut follow = world.follow(&child_of(&parent, &prompt)).await;
    follow.until(|story| story.answer().contains("two")).await;
    world.b.restart().await;
    let story = follow.end().await;
    story.is_answered(WORDS);
    world.verify(&story).await;
    world.asked("m-orphan", 1);
}

/// A prompt whose model starts a child, which works for a while.
fn spawning(marker: &str, child: &str) -> Ask {
    let task = serde_json::to_string(&format!("{marker}-kid\n{child}")).unwrap();
    let call = format!("model: tool sessions_spawn {{\"task\":{task}}}");
    Ask::new(&format!("{marker}\nmodel: usage 100 10\n{call}\nmodel: say the parent is done"))
}

//= REQ-53
//= REQ-54
async fn spawning_model(world: Arc<World>) {
    let child =
        "model: usage 7 1\nmodel: tool exec {\"command\":\"sleep 2; echo kid\"}\nmodel: say kid";
    let story = world.run(&spawning("m-spawns", child)).await;
    assert_eq!(story.outcome(), "succeeded", "{story}");
    let calls: Vec<_> =
        story.payloads("toolCall").iter().map(|call| call["tool"].clone()).collect();
    assert_eq!(calls, ["sessions_spawn", "exec"], "{story}");
    let results = story.payloads("toolResult");
    assert!(results[1]["ok"] == true && results[1].to_string().contains("kid"), "{story}");
    let phases = story.payloads("phaseEnd");
    let end = phases.iter().find(|phase| phase["phase"] == "subagent");
    assert_eq!(end.unwrap()["outcome"], "succeeded", "{story}");
    // The parent's two calls of the model, the child's two, and the one that tells the parent.
    let usage = &story.terminal()["usage"];
    let input = usage["input"].as_u64().unwrap();
    assert!(input >= 214 && (input - 214) % 100 == 0, "{story}");
    assert_eq!(active_sessions(&world).await, Vec::<String>::new());
}

//= REQ-54
async fn cancelled_tree(world: Arc<World>) {
    let file = world.token_file("").replace("token-0", "a-kid-went-on");
    let child =
        format!("model: tool exec {{\"command\":\"sleep 8; touch {file}\"}}\nmodel: say kid");
    let mut follow = world.follow(&spawning("m-felled", &child)).await;
    follow.until(|story| story.answer().contains("parent is done")).await;
    world.model_has("m-felled-kid").await;
    let begun = std::time::Instant::now();
    world.a.json(&["run", "cancel", follow.story().run()]).await;
    let story = follow.end().await;
    assert_eq!(story.outcome(), "cancelled", "{story}");
    assert_ne!(story.side_effects(), "none", "{story}");
    assert_eq!(active_sessions(&world).await, Vec::<String>::new());
    // What the child would have done, it would have done by now.
    tokio::time::sleep(Duration::from_secs(10).saturating_sub(begun.elapsed())).await;
    assert!(!std::path::Path::new(&file).exists(), "the child went on");
    assert_eq!(active_sessions(&world).await, Vec::<String>::new());
}

async fn restart_in_turn(world: Arc<World>) {
    let first = world.run(&Ask::new("m-before\nmodel: say the first answer")).await;
    let prompt = format!("m-within\nmodel: delay 250\nmodel: say {WORDS}");
    let mut follow = world.follow(&turn_of(&first, &prompt)).await;
    follow.until(|story| story.answer().contains("two")).await;
    let waits = world.follow(&turn_of(&first, "m-waits\nmodel: say after it all")).await;
    world.gateway.lock().await.restart().await.unwrap();
    let second = follow.end().await;
    // Continued by the gateway, and said so; or not, and said so.
    match second.outcome() {
        "succeeded" => assert!(second.to_string().contains("interrupted"), "{second}"),
        other => assert_eq!((other, second.code()), ("failed", "interrupted"), "{second}"),
    }
    let before = second.lines().iter().take_while(|line| !line.contains("interrupted"));
    assert!(!before.into_iter().any(|line| line.contains("the first answer")), "{second}");
    assert_eq!(second.session(), first.session());
    let third = waits.end().await;
    third.is_answered("after it all");
    assert_eq!(third.payloads("started").len(), 1, "{third}");
    for marker in ["m-before", "m-within", "m-waits"] {
        world.executed_once(marker);
    }
    world.verify(&second).await;
    world.verify(&third).await;
}

/// Sessions in which something is at work now.
async fn active_sessions(world: &World) -> Vec<String> {
    let answer = world.operator().await.call("sessions.list", &json!({})).await.unwrap();
    let sessions = answer["payload"]["sessions"].as_array().unwrap();
    let active = sessions
        .iter()
        .filter(|session| session["hasActiveRun"] == true || session["status"] == "running");
    active.map(|session| text(session, "key")).collect()
}
