//! Starting: one key, one run, one transaction; and what a run is promised.

use landbridge_node::core::Settings;
use landbridge_proto::machine::contract::{KeyRecord, RunPhase, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{Owner, Timestamp};
use landbridge_proto::wire::request::{Answer, Body, Cancel, CancelResult, Mode, Request, Target};
use landbridge_proto::wire::stream::Accept;

use crate::support::{NOW, World, attach, key, pair, start, started};

fn owner(world: &World) -> Owner {
    Owner { caller: world.a.core.own().clone(), tenant: pair() }
}

fn bound(world: &World, name: &str) -> Option<KeyRecord> {
    world.b.core.store.reads().key(&owner(world), &key(name)).unwrap()
}

//= REQ-23
#[tokio::test]
async fn key_run_jti_and_audit_are_one_commit_before_the_accept() {
    let world = World::new().await;
    let request = world.request(started("commit", "hang"));
    // The answer has come, and not one of its bytes was read.
    let reply = world.ask(&request).await;
    let reads = world.b.core.store.reads();
    let Some(KeyRecord::Run { run, print }) = bound(&world, "commit") else { panic!("no run") };
    let row = reads.run(&run).unwrap().unwrap();
    assert_eq!((row.print, &row.owner), (print, &owner(&world)));
    assert!(reads.jti_seen(&request.iss, &request.jti).unwrap());
    let audit = world.b.audit();
    assert!(audit.iter().any(|event| event.deed == "run_created" && event.subject == run.as_str()));
    let accept = reply.events().accept().await;
    assert_eq!(accept.digest(), row.accept_digest);
}

//= REQ-24
#[tokio::test]
async fn a_refused_start_leaves_its_key_free() {
    let world = World::new().await;
    let mut turn = start("free", "hang");
    turn.agent_target.mode = Mode::Turn;
    turn.agent_target.session = Some("s-1".parse().unwrap());
    let reply = world.ask_for(Body::Start(Box::new(turn))).await;
    assert_eq!(reply.code(&world).await, "not_granted");
    assert_eq!(bound(&world, "free"), None);
    assert_eq!(world.ask_for(started("free", "hang")).await.status, 200);
    // A key that was cancelled first stays blocked.
    let cancel = Cancel { target: Target::Key(key("gone")), reason: None };
    let answer = world.ask_for(Body::Cancel(cancel)).await.envelope().await;
    let answer: Answer = world.verified(&answer);
    assert_eq!(answer.result.cancel, Some(CancelResult::Blocked));
    let refused = world.ask_for(started("gone", "hang")).await;
    assert_eq!(refused.code(&world).await, "cancelled_before_start");
    assert!(matches!(bound(&world, "gone"), Some(KeyRecord::Blocked { .. })));
}

//= REQ-29
#[tokio::test]
async fn every_stream_of_a_run_begins_with_the_same_accept() {
    let world = World::new().await;
    let first = world.ask_for(started("accept", "hang")).await.events().accept().await;
    world.clock.advance_ms(5_000);
    let again = world.ask_for(started("accept", "hang")).await.events().accept().await;
    let accept: Accept = world.verified(&first);
    let attached = world.ask_for(attach(&accept.run, 0)).await.events().accept().await;
    assert_eq!(first.to_bytes(), again.to_bytes());
    assert_eq!(first.to_bytes(), attached.to_bytes());
    assert_eq!((accept.aud, accept.iss), (world.a.core.own().clone(), world.b.core.own().clone()));
    assert_eq!((accept.key, accept.tenant), (key("accept"), pair()));
    assert_eq!(world.b.open_runs(), 1);
}

//= ID-24
#[tokio::test]
async fn an_accept_names_the_newest_of_the_caller_that_is_durable() {
    let world = World::new().await;
    world.clock.advance_ms(31 * crate::support::MINUTE_MS);
    world.a.core.trust.refresh_status(&world.a.core).await.unwrap();
    let issued = world.a.core.trust.state().issued;
    let accept = world.ask_for(started("seen", "hang")).await.events().accept().await;
    let accept: Accept = world.verified(&accept);
    assert_eq!(accept.seen, issued);
    // And a request names the newest of the executor.
    let core = &world.a.core;
    let body = attach(&accept.run, 0);
    let signed = core.sign_request(world.b.core.own(), &pair(), body, None).unwrap();
    let view = world.b.core.peer_view(core.own()).unwrap();
    let said = view.verify::<Request>(&signed.envelope, world.b.core.now()).unwrap();
    let seen = said.value().seen;
    assert_eq!(seen, world.b.core.trust.state().issued);
}

//= REQ-27
#[tokio::test]
async fn a_deadline_is_bounded_by_the_grant_and_the_contract() {
    let world = World::new().await;
    let deadline = async |name: &str, wanted: Option<Timestamp>| {
        let mut start = start(name, "hang");
        start.deadline = wanted;
        let reply = world.ask_for(Body::Start(Box::new(start))).await;
        let accept: Accept = world.verified(&reply.events().accept().await);
        accept.deadline.since_ms(NOW)
    };
    // The grant of these tests allows an hour.
    assert_eq!(deadline("none", None).await, limit::DEADLINE_MS.min(3_600_000));
    assert_eq!(deadline("short", Some(NOW.plus_ms(5_000))).await, 5_000);
    assert_eq!(deadline("long", Some(NOW.plus_ms(7_200_000))).await, 3_600_000);
    assert_eq!(deadline("past", Some(NOW.plus_ms(-5_000))).await, 0);
}

//= REQ-27
#[tokio::test]
async fn a_deadline_is_bounded_by_what_this_bridge_is_configured_for() {
    let settings = Settings { deadline_ms_max: 60_000, ..Settings::default() };
    let world = World::with(settings).await;
    for (name, wanted, fixed) in
        [("long", Some(NOW.plus_ms(7_200_000)), 60_000), ("short", Some(NOW.plus_ms(5_000)), 5_000)]
    {
        let mut start = start(name, "hang");
        start.deadline = wanted;
        let reply = world.ask_for(Body::Start(Box::new(start))).await;
        let accept: Accept = world.verified(&reply.events().accept().await);
        assert_eq!(accept.deadline.since_ms(NOW), fixed, "{name}");
    }
}

//= REQ-25
#[tokio::test]
async fn a_key_is_remembered_for_its_window_after_the_run_ended() {
    let world = World::new().await;
    let events = world.ask_for(started("window", "say done")).await.events().rest().await;
    assert!(!events.is_empty());
    let Some(KeyRecord::Run { run, .. }) = bound(&world, "window") else { panic!("no run") };
    let row = world.b.core.store.reads().run(&run).unwrap().unwrap();
    assert_eq!(row.phase, RunPhase::Settled);
    let settings = Settings::default();
    assert!(settings.key_window_ms >= limit::KEY_WINDOW_MS_MIN);
    let prune = async |at: Timestamp| {
        let before = at.plus_ms(-settings.frames_ms.max(settings.key_window_ms));
        let prune = Write::Prune {
            jti_before: before,
            runs_before: before,
            entries_before: before,
            limit: 100,
        };
        world.b.core.commit(Step::new(Vec::new(), vec![prune], ())).await.unwrap();
    };
    let ended = row.ended.unwrap();
    prune(ended.plus_ms(settings.key_window_ms)).await;
    assert!(bound(&world, "window").is_some());
    prune(ended.plus_ms(settings.key_window_ms + 1)).await;
    assert!(bound(&world, "window").is_none());
}

//= REQ-34
//= REQ-33
#[tokio::test]
async fn a_cancel_is_answered_at_once_and_reaches_the_gateway() {
    let world = World::new().await;
    let mut events = world.ask_for(started("cancel", "say working\nhang")).await.events();
    let accept: Accept = world.verified(&events.accept().await);
    events.next().await.unwrap();
    let cancel = Cancel { target: Target::Run(accept.run.clone()), reason: None };
    let answer = world.ask_for(Body::Cancel(cancel)).await.envelope().await;
    let answer: Answer = world.verified(&answer);
    assert_eq!(answer.result.cancel, Some(CancelResult::Requested));
    assert_eq!(answer.result.run, Some(accept.run.clone()));
    let rest = crate::support::lines(&events.rest().await);
    let last = rest.last().unwrap();
    assert!(last.contains(r#""event":"terminal""#) && last.contains("cancelled"), "{last}");
    let row = world.b.core.store.reads().run(&accept.run).unwrap().unwrap();
    assert!(row.stop.is_some(), "the reason to stop was recorded");
    let again = Cancel { target: Target::Run(accept.run), reason: None };
    let answer: Answer = world.verified(&world.ask_for(Body::Cancel(again)).await.envelope().await);
    assert_eq!(answer.result.cancel, Some(CancelResult::AlreadyTerminal));
}
