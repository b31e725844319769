//! Sessions: whose they are, and their turns in order, one at a time.

use std::collections::BTreeSet;

use landbridge_node::core::Settings;
use landbridge_proto::machine::contract::RunPhase;
use landbridge_proto::wire::document::Grant;
use landbridge_proto::wire::name::{RunId, SessionHandle};
use landbridge_proto::wire::request::{Body, Cancel, Mode, Start, Target};
use landbridge_proto::wire::stream::Accept;

use crate::support::{NOW, Reply, World, grant, lines, start, started, tenant};

/// A world whose grant covers every mode, for two agents and two tenants of A.
async fn world(settings: Settings) -> World {
    let world = World::with(settings).await;
    let modes: BTreeSet<Mode> = [Mode::Session, Mode::Turn, Mode::Subagent].into();
    let agent = |name: &str| [name.parse().unwrap()].into();
    let ours = Grant {
        agents: ["demo".parse().unwrap(), "second".parse().unwrap()].into(),
        modes: modes.clone(),
        ..grant()
    };
    let theirs = Grant { agents: agent("third"), modes, remote: tenant("umbrella"), ..grant() };
    let mut draft = world.b.draft();
    for grant in [ours, theirs] {
        draft.put_grant(world.a.core.own(), grant).unwrap();
    }
    world.b.put(draft).await;
    world
}

fn in_session(name: &str, mode: Mode, session: &SessionHandle, prompt: &str) -> Start {
    let mut turn = start(name, prompt);
    turn.agent_target.mode = mode;
    turn.agent_target.session = Some(session.clone());
    turn
}

fn turn(name: &str, session: &SessionHandle, prompt: &str) -> Body {
    Body::Start(Box::new(in_session(name, Mode::Turn, session, prompt)))
}

/// Starts a run that comes to its end, and gives the session that it told.
async fn session(world: &World, name: &str, prompt: &str) -> SessionHandle {
    let events = world.ask_for(started(name, prompt)).await.events().rest().await;
    told_session(&lines(&events)[0])
}

fn told_session(line: &str) -> SessionHandle {
    let frame: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(frame["event"], "started", "{line}");
    frame["payload"]["session"].as_str().unwrap().parse().unwrap()
}

/// The run of a stream whose events nobody has read yet.
async fn accepted(world: &World, reply: Reply) -> (RunId, crate::support::Events) {
    let mut events = reply.events();
    let accept: Accept = world.verified(&events.accept().await);
    (accept.run, events)
}

fn phase(world: &World, run: &RunId) -> RunPhase {
    world.b.core.store.reads().run(run).unwrap().unwrap().phase
}

/// Lets everything happen that can without the clock.
async fn settle() {
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
}

//= REQ-46
//= REQ-50
#[tokio::test]
async fn a_turn_continues_the_session_that_started_told() {
    let world = world(Settings::default()).await;
    let first = session(&world, "first", "recall").await;
    let events = world.ask_for(turn("second", &first, "recall")).await.events().rest().await;
    let told = lines(&events);
    assert_eq!(told_session(&told[0]), first);
    assert!(told[1].contains("earlier prompts: 1"), "{told:?}");
    assert!(told.last().unwrap().contains(r#""outcome":"succeeded""#), "{told:?}");
    // A child's prompt is none of its parent's session.
    let child = in_session("child", Mode::Subagent, &first, "say child");
    let events = world.ask_for(Body::Start(Box::new(child))).await.events().rest().await;
    assert_eq!(told_session(&lines(&events)[0]), first);
    let events = world.ask_for(turn("third", &first, "recall")).await.events().rest().await;
    assert!(lines(&events)[1].contains("earlier prompts: 2"));
}

//= REQ-45
#[tokio::test]
async fn a_handle_means_nothing_to_anybody_else() {
    let world = world(Settings::default()).await;
    let mine = session(&world, "mine", "say hi").await;
    let runs = world.b.deeds("run_created");
    let absent: SessionHandle = format!("scripted-run-{}", "z".repeat(26)).parse().unwrap();
    let mut refusals = Vec::new();
    for mode in [Mode::Turn, Mode::Subagent] {
        let nowhere = in_session("nowhere", mode, &absent, "say no");
        let mut other_agent = in_session("other-agent", mode, &mine, "say no");
        other_agent.agent_target.agent = "second".parse().unwrap();
        let mut other_tenant = in_session("other-tenant", mode, &mine, "say no");
        other_tenant.agent_target.agent = "third".parse().unwrap();
        for start in [nowhere, other_agent, other_tenant] {
            let mut request = world.request(Body::Start(Box::new(start.clone())));
            if start.agent_target.agent.as_str() == "third" {
                request.tenant.src = tenant("umbrella");
            }
            let problem = world.ask(&request).await.signed(&world).await;
            assert_eq!((problem.code_text(), problem.status), ("session_unknown", 404));
            refusals.push(problem);
            assert_eq!(world.b.deeds("run_created"), runs);
        }
    }
    // Nobody learns from the answer whether the session exists for somebody.
    assert!(refusals.windows(2).all(|pair| pair[0] == pair[1]), "{refusals:?}");
    // The key is free.
    let freed = started("nowhere", "say yes");
    assert_eq!(world.ask_for(freed).await.status, 200);
    // And its owner goes on with it.
    assert_eq!(world.ask_for(turn("owner", &mine, "say yes")).await.status, 200);
}

//= REQ-45
#[tokio::test]
async fn a_session_that_was_not_told_yet_cannot_be_named() {
    let world = world(Settings::default()).await;
    // The handle follows from the run's id; before `started` is durable it is nobody's.
    let (run, _events) = accepted(&world, world.ask_for(started("slow", "sleep 50")).await).await;
    settle().await;
    let guessed: SessionHandle = format!("scripted-{run}").parse().unwrap();
    assert_eq!(world.ask_for(turn("told", &guessed, "say x")).await.status, 200);
    let other: SessionHandle =
        format!("scripted-{}", world.b.core.new_run_id().unwrap()).parse().unwrap();
    let refused = world.ask_for(turn("guess", &other, "say x")).await;
    assert_eq!(refused.code(&world).await, "session_unknown");
}

//= REQ-48
#[tokio::test]
async fn turns_are_led_in_order_one_at_a_time() {
    let world = world(Settings::default()).await;
    let first = session(&world, "first", "say begun").await;
    let mut runs = Vec::new();
    for n in 0..5 {
        let body = turn(&format!("turn-{n}"), &first, "recall\nsleep 1000\nsay done");
        runs.push(accepted(&world, world.ask_for(body).await).await);
    }
    for at in 0..5 {
        settle().await;
        for (n, (run, _)) in runs.iter().enumerate() {
            let expected = match n.cmp(&at) {
                std::cmp::Ordering::Less => RunPhase::Settled,
                std::cmp::Ordering::Equal => RunPhase::Running,
                std::cmp::Ordering::Greater => RunPhase::AwaitIntent,
            };
            assert_eq!(phase(&world, run), expected, "turn {n} while {at} is led");
        }
        // Another session is not kept waiting.
        let aside = started(&format!("aside-{at}"), "say aside");
        assert_eq!(world.ask_for(aside).await.status, 200);
        settle().await;
        world.clock.advance_ms(1_000);
    }
    for (n, (_, events)) in runs.into_iter().enumerate() {
        let told = lines(&events.rest().await);
        assert!(told[1].contains(&format!("earlier prompts: {}", n + 1)), "{told:?}");
    }
}

/// What the two quotas promise of turns: a run counts from its acceptance to its terminal, also while it
/// waits. REQ-28: an owner has no more runs open than it may, however they are spread over sessions.
/// REQ-60: nor more than are free for others, so a long line of turns starves nobody.
//= REQ-28
//= REQ-60
//= REQ-48
#[tokio::test]
async fn turns_that_wait_are_bounded_and_shown() {
    let all = Settings { executing_max: 8, ..Settings::default() };
    let own = Settings { executing_per_owner_max: 4, ..Settings::default() };
    for settings in [all, own] {
        let world = world(settings).await;
        let first = session(&world, "first", "say begun").await;
        let mut runs = Vec::new();
        for n in 0..4 {
            let body = turn(&format!("turn-{n}"), &first, "sleep 1000\nsay done");
            runs.push(accepted(&world, world.ask_for(body).await).await);
        }
        settle().await;
        for ended in 0..4 {
            let view = world.b.bridge.view().await.unwrap();
            assert_eq!((view.executing, view.waiting), (1, 3 - ended), "{ended} ended");
            let open = world.b.open_runs() as u64;
            assert_eq!(view.executing + view.waiting, open, "what has a place is open");
            if ended == 0 {
                let more = world.ask_for(turn("one-more", &first, "say more")).await;
                assert_eq!(more.status, 429);
                assert_eq!(more.code(&world).await, "rate_limited");
            }
            world.clock.advance_ms(1_000);
            settle().await;
        }
        // Terminals freed the places.
        let more = world.ask_for(turn("one-more", &first, "say more")).await;
        assert!(!more.events().rest().await.is_empty());
        let view = world.b.bridge.view().await.unwrap();
        assert_eq!((view.executing, view.waiting), (0, 0));
    }
}

//= REQ-49
#[tokio::test]
async fn a_turn_that_waits_can_be_cancelled_and_expires() {
    let world = world(Settings::default()).await;
    let first = session(&world, "first", "say begun").await;
    let (ahead, _ahead) =
        accepted(&world, world.ask_for(turn("ahead", &first, "hang")).await).await;
    let (waits, waiting) =
        accepted(&world, world.ask_for(turn("waits", &first, "say no")).await).await;
    let mut late = in_session("late", Mode::Turn, &first, "say no");
    late.deadline = Some(NOW.plus_ms(5_000));
    let late = accepted(&world, world.ask_for(Body::Start(Box::new(late))).await).await;
    let (behind, _behind) =
        accepted(&world, world.ask_for(turn("behind", &first, "hang")).await).await;
    settle().await;

    let cancel = Cancel { target: Target::Run(waits.clone()), reason: None };
    assert_eq!(world.ask_for(Body::Cancel(cancel)).await.status, 200);
    let told = lines(&waiting.rest().await);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(r#""outcome":"cancelled""#), "{told:?}");
    assert!(told[0].contains(r#""sideEffects":"none""#), "{told:?}");

    world.clock.advance_ms(5_000);
    let told = lines(&late.1.rest().await);
    assert!(told[0].contains(r#""outcome":"expired""#), "{told:?}");
    assert!(told[0].contains(r#""sideEffects":"none""#), "{told:?}");

    // Who came after them still waits for the one that is led.
    settle().await;
    assert_eq!(
        (phase(&world, &ahead), phase(&world, &behind)),
        (RunPhase::Running, RunPhase::AwaitIntent)
    );
    let cancel = Cancel { target: Target::Run(ahead.clone()), reason: None };
    world.ask_for(Body::Cancel(cancel)).await;
    while phase(&world, &ahead) != RunPhase::Settled {
        tokio::task::yield_now().await;
    }
    settle().await;
    assert_eq!(phase(&world, &behind), RunPhase::Running);
}

//= REQ-52
#[tokio::test]
async fn what_the_gateway_does_not_have_or_allow_ends_with_nothing_done() {
    let world = world(Settings::default()).await;
    let first = session(&world, "first", "say begun").await;
    let child = in_session("child", Mode::Subagent, &first, "no-subagent\nsay no");
    let told = lines(&world.ask_for(Body::Start(Box::new(child))).await.events().rest().await);
    assert!(told.len() == 1 && told[0].contains("subagent_unavailable"), "{told:?}");
    assert!(told[0].contains(r#""sideEffects":"none""#), "{told:?}");
    // The gateway forgets the session, the bridge does not know.
    world.b.forget_sessions();
    let told = lines(&world.ask_for(turn("gone", &first, "say no")).await.events().rest().await);
    assert!(told.len() == 1 && told[0].contains("session_unknown"), "{told:?}");
    assert!(told[0].contains(r#""sideEffects":"none""#), "{told:?}");
}

//= REQ-47
#[tokio::test]
async fn a_session_is_known_as_long_as_a_run_of_it_is_kept() {
    let world = world(Settings::default()).await;
    let first = session(&world, "first", "say begun").await;
    world.clock.advance_ms(1_000);
    assert!(
        !world.ask_for(turn("second", &first, "say on")).await.events().rest().await.is_empty()
    );
    world.b.prune_ended_before(NOW.plus_ms(500)).await;
    let known = || {
        let agent = "demo".parse().unwrap();
        world.b.core.store.reads().session_known(&world.owner(), &agent, &first).unwrap()
    };
    assert!(known(), "the second run is kept");
    world.b.prune_ended_before(NOW.plus_ms(5_000)).await;
    assert!(!known());
}
