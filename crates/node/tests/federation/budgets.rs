//! Days with a budget, limits of a start, and shares of the places for runs.

use landbridge_node::core::Settings;
use landbridge_node::net::App;
use landbridge_proto::machine::budget::{Day, Spent};
use landbridge_proto::wire::document::Grant;
use landbridge_proto::wire::name::{AgentName, Owner, RunId, TenantPair};
use landbridge_proto::wire::request::{Body, Start, StartLimits};
use landbridge_proto::wire::stream::{Accept, Frame, Outcome, SideEffects, Terminal};

use crate::support::{World, grant, key, pair, start, started, tenant};

const DAY_MS: u64 = 86_400_000;

/// B's only grant, changed.
async fn granted(change: impl FnOnce(&mut Grant)) -> World {
    let world = World::new().await;
    let mut changed = grant();
    change(&mut changed);
    let mut draft = world.b.draft();
    draft.put_grant(world.a.core.own(), changed).unwrap();
    world.b.put(draft).await;
    world
}

fn owner(world: &World) -> Owner {
    Owner { caller: world.a.core.own().clone(), tenant: pair() }
}

fn spent(world: &World) -> Spent {
    let day = Day::of(world.b.core.now());
    world.b.core.store.reads().spent(&owner(world), day).unwrap()
}

fn limited(name: &str, prompt: &str, limits: StartLimits) -> Body {
    Body::Start(Box::new(Start { limits: Some(limits), ..start(name, prompt) }))
}

/// Starts a run and reads it to its end.
async fn lead(world: &World, body: Body) -> (RunId, Vec<String>, Terminal) {
    let mut events = world.ask_for(body).await.events();
    let accept: Accept = world.verified(&events.accept().await);
    let lines = crate::support::lines(&events.rest().await);
    let terminal = Frame::parse(lines.last().unwrap()).unwrap().terminal().unwrap();
    (accept.run, lines, terminal)
}

fn code(terminal: &Terminal) -> &str {
    terminal.problem.as_ref().map_or("", |problem| problem.code_text())
}

//= REQ-55
//= REQ-56
#[tokio::test]
async fn a_day_that_is_used_up_starts_nothing_until_midnight() {
    let world = granted(|grant| grant.tokens_per_day = Some(100)).await;
    let (_, _, terminal) = lead(&world, started("exact", "usage 50 10\nusage 80 20\nsay x")).await;
    // What is spent to the last token was allowed.
    assert_eq!(terminal.outcome, Outcome::Succeeded);
    assert_eq!(spent(&world), Spent { tokens: 100, cost_micro_usd: 0 });

    let reply = world.ask_for(started("next", "say x")).await;
    assert_eq!(reply.status, 429);
    let left = Day::left_ms(world.b.core.now());
    assert!(left < DAY_MS);
    let seconds: u64 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert_eq!(seconds, left.div_ceil(1000));
    let problem = reply.signed(&world).await;
    assert_eq!((problem.code_text(), problem.retry_after_ms), ("rate_limited", Some(left)));
    assert!(!problem.is_verdict(), "the caller asks again with the same key");
    assert_eq!(world.b.core.store.reads().key(&owner(&world), &key("next")).unwrap(), None);
    assert_eq!(world.b.deeds("run_created"), 1);
    // The run that exists can still be read.
    assert_eq!(
        world.ask_for(started("exact", "usage 50 10\nusage 80 20\nsay x")).await.status,
        200
    );

    world.clock.advance_ms(i64::try_from(left).unwrap());
    world.a.core.trust.refresh_status(&world.a.core).await.unwrap();
    world.b.core.trust.refresh_status(&world.b.core).await.unwrap();
    let events = world.ask_for(started("next", "usage 1 0\nsay x")).await.events().rest().await;
    assert!(crate::support::lines(&events).last().unwrap().contains("succeeded"));
    assert_eq!(spent(&world).tokens, 1, "another day, another sum");
}

//= REQ-57
#[tokio::test]
async fn a_run_that_goes_beyond_the_day_is_stopped_at_the_gateway() {
    for (limit, script) in [
        ("tokens", "tool t {} => x\nusage 60 10\nusage 90 11\nhang"),
        ("cost", "tool t {} => x\nusage 6 1 400\nusage 7 1 501\nhang"),
    ] {
        let world = granted(|grant| match limit {
            "tokens" => grant.tokens_per_day = Some(100),
            _ => grant.cost_micro_usd_per_day = Some(500),
        })
        .await;
        let (run, lines, terminal) = lead(&world, started("beyond", script)).await;
        assert_eq!((terminal.outcome, code(&terminal)), (Outcome::Failed, "budget_exceeded"));
        assert_eq!(terminal.side_effects, SideEffects::Possible, "the agent was at work");
        assert!(lines.iter().filter(|line| line.contains("tokenUsage")).count() == 2);
        let stopped = world.b.core.store.reads().run(&run).unwrap().unwrap().stop;
        assert_eq!(stopped.unwrap().reason.as_str(), "budget");
        assert_eq!(world.ask_for(started("next", "say x")).await.status, 429);
    }
}

//= REQ-57
#[tokio::test]
async fn runs_of_one_owner_share_one_day() {
    let world = granted(|grant| grant.tokens_per_day = Some(100)).await;
    let slow = "usage 40 0\nsleep 1000\nusage 45 0\nhang";
    let first = world.ask_for(started("first", slow)).await.events();
    // The second run uses what the first left, and more: it is stopped, and then the first one is.
    let (_, _, terminal) = lead(&world, started("second", "usage 61 0\nhang")).await;
    assert_eq!(code(&terminal), "budget_exceeded");
    assert_eq!(spent(&world).tokens, 101);
    world.clock.advance_ms(1_000);
    let lines = crate::support::lines(&first.rest().await);
    assert!(lines.last().unwrap().contains("budget_exceeded"), "{lines:?}");
    // Each open run went beyond by one report of its own, and no more.
    assert_eq!(spent(&world).tokens, 106);
}

//= REQ-58
//= REQ-62
#[tokio::test]
async fn a_starts_own_limits_lower_the_grants_and_never_raise_them() {
    let world = granted(|grant| {
        grant.tokens_per_day = Some(1_000);
        grant.frames_max = Some(6);
    })
    .await;
    let script = "usage 30 0\nusage 41 0\nhang";
    let tokens = |tokens| StartLimits { tokens: Some(tokens), ..StartLimits::default() };
    let (_, _, terminal) = lead(&world, limited("lower", script, tokens(40))).await;
    assert_eq!((terminal.outcome, code(&terminal)), (Outcome::Failed, "budget_exceeded"));
    let enough = "usage 30 0\nusage 40 0\nsay x";
    let (_, _, terminal) = lead(&world, limited("enough", enough, tokens(40))).await;
    assert_eq!(terminal.outcome, Outcome::Succeeded);

    let cost = StartLimits { cost_micro_usd: Some(9), ..StartLimits::default() };
    let (_, _, terminal) = lead(&world, limited("cost", "usage 1 1 10\nhang", cost)).await;
    assert_eq!(code(&terminal), "budget_exceeded");

    let frames = |frames| StartLimits { frames: Some(frames), ..StartLimits::default() };
    let (_, lines, terminal) = lead(&world, limited("few", "count 9 0", frames(3))).await;
    assert_eq!((lines.len() <= 3, code(&terminal)), (true, "budget_exceeded"));
    let (_, lines, terminal) = lead(&world, limited("many", "count 9 0", frames(100))).await;
    assert_eq!((lines.len() <= 6, code(&terminal)), (true, "budget_exceeded"));
    let (_, _, terminal) = lead(&world, limited("fits", "say x", frames(100))).await;
    assert_eq!(terminal.outcome, Outcome::Succeeded);

    let bytes = StartLimits { bytes: Some(1), ..StartLimits::default() };
    let (_, _, terminal) = lead(&world, limited("bytes", "say x", bytes)).await;
    assert_eq!(code(&terminal), "budget_exceeded");

    // Limits that limit nothing are a mistake, and one of nothing is no limit.
    for bad in [StartLimits::default(), tokens(0)] {
        let reply = world.ask_for(limited("bad", "say x", bad)).await;
        assert_eq!(reply.unsigned().await, "malformed");
    }
}

//= REQ-60
#[tokio::test]
async fn a_greedy_tenant_leaves_room_for_the_next_one() {
    let world = World::with(Settings { executing_max: 8, ..Settings::default() }).await;
    let other = || TenantPair { src: tenant("globex"), dst: tenant("it") };
    let mut draft = world.b.draft();
    let mut second = grant();
    second.agents = [AgentName::new("other").unwrap()].into();
    (second.local, second.remote) = (other().dst, other().src);
    draft.put_grant(world.a.core.own(), second).unwrap();
    world.b.put(draft).await;
    let of_other = |name: &str| {
        let mut body = start(name, "hang");
        body.agent_target.agent = AgentName::new("other").unwrap();
        let mut request = world.request(Body::Start(Box::new(body)));
        request.tenant = other();
        request
    };
    for n in 0..4 {
        assert_eq!(world.ask_for(started(&format!("greedy-{n}"), "hang")).await.status, 200);
    }
    let reply = world.ask_for(started("greedy-4", "hang")).await;
    assert!(reply.headers.contains_key("retry-after"));
    assert_eq!((reply.status, reply.code(&world).await), (429, "rate_limited".to_owned()));
    // The newcomer finds places, and leaves some in its turn.
    assert_eq!(world.ask(&of_other("new-0")).await.status, 200);
    assert_eq!(world.ask(&of_other("new-1")).await.status, 200);
    assert_eq!(world.ask(&of_other("new-2")).await.status, 429);
    assert_eq!(world.b.open_runs(), 6);
}

//= REQ-59
#[tokio::test]
async fn starts_per_second_are_counted_by_the_second() {
    let world = granted(|grant| grant.starts_per_second = Some(2)).await;
    let ask = async |name: &str| world.ask_for(started(name, "say x")).await.status;
    assert_eq!((ask("one").await, ask("two").await, ask("three").await), (200, 200, 429));
    // A key that is known is no new run.
    assert_eq!(ask("two").await, 200);
    world.clock.advance_ms(500);
    assert_eq!((ask("three").await, ask("four").await), (200, 429));
    world.clock.advance_ms(60_000);
    assert_eq!((ask("four").await, ask("five").await, ask("six").await), (200, 200, 429));
}

//= REQ-61
#[tokio::test]
async fn a_backlog_waits_at_the_caller_and_all_of_it_happens() {
    let world = granted(|grant| grant.starts_per_second = Some(1)).await;
    let plane = world.b.plane.clone();
    world.serve_app(App::new(move |request| {
        let plane = plane.clone();
        async move { plane.answer(request).await }
    }));
    let mut runs = Vec::new();
    for n in 0..40 {
        runs.push(world.start_run(&format!("backlog-{n}"), "say x").await.run);
    }
    let waits = |run: &RunId| {
        let said = world.a.calls.connection(run).unwrap_or_default();
        usize::from(said.starts_with("waits until earlier starts"))
    };
    for _ in 0..500 {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        if runs.iter().map(waits).sum::<usize>() >= 23 {
            break;
        }
    }
    // Sixteen at most ask again and again, the others leave the peer alone.
    let waiting = runs.iter().map(waits).sum::<usize>();
    assert!((23..=24).contains(&waiting), "{waiting} wait");
    assert!(world.b.deeds("request_refused") <= 60);
    for run in &runs {
        world.until(run, |entry| entry.outcome.as_deref() == Some("succeeded")).await;
    }
    assert_eq!(world.b.deeds("run_created"), 40);
}
