//! A full disk, as peers meet it: what is durable is shown, nothing new is taken, nothing is used twice.

use std::sync::Arc;

use landbridge_node::room;
use landbridge_proto::machine::contract::{KeyRecord, Room};
use landbridge_proto::wire::name::{Owner, RunId, Timestamp};
use landbridge_proto::wire::request::{
    Answer, Body, Cancel, CancelResult, Request, RunState, Target,
};
use landbridge_proto::wire::stream::Accept;

use crate::support::{NOW, World, attach, key, pair, started};

/// B with an open run, asked by A.
async fn with_a_run(name: &str) -> (World, RunId) {
    let world = World::new().await;
    let accept = world.ask_for(started(name, "hang")).await.events().accept().await;
    let run = world.verified::<Accept>(&accept).run;
    (world, run)
}

fn is_durable(world: &World, request: &Request) -> bool {
    world.b.core.store.reads().jti_seen(&request.iss, &request.jti).unwrap()
}

//= STR-39
#[tokio::test]
async fn reading_goes_on_and_each_request_is_used_once() {
    let (world, run) = with_a_run("read").await;
    world.b.disk.set_room(Room::Short);
    let again = world.request(started("read", "hang"));
    let attached = world.request(attach(&run, 0));
    let inspected = world.request(Body::Inspect(Target::Run(run.clone())));
    for request in [&again, &attached] {
        let accept = world.ask(request).await.events().accept().await;
        assert_eq!(world.verified::<Accept>(&accept).run, run);
    }
    let answer = world.ask(&inspected).await.envelope().await;
    assert_eq!(world.verified::<Answer>(&answer).result.state, Some(RunState::Running));
    for request in [&again, &attached, &inspected] {
        assert!(!is_durable(&world, request));
        assert_eq!(world.ask(request).await.code(&world).await, "replayed");
    }

    // There is room again: what waited becomes durable, and still nothing is used twice.
    tokio::spawn(room::watch(Arc::clone(&world.b.core)));
    while !is_durable(&world, &inspected) || !is_durable(&world, &attached) {
        world.b.disk.set_room(Room::Enough);
        let _ = world.ask_for(attach(&run, 0)).await;
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert_eq!(world.ask(&attached).await.code(&world).await, "replayed");
    assert!(
        world
            .b
            .audit()
            .iter()
            .any(|event| event.deed == "run_inspected" && event.subject == inspected.jti.as_str())
    );
}

#[tokio::test]
async fn new_work_is_refused_and_its_key_stays_free() {
    let (world, run) = with_a_run("open").await;
    world.b.disk.set_room(Room::Short);
    let reply = world.ask_for(started("new", "say no")).await;
    assert_eq!((reply.status, &reply.headers["retry-after"]), (503, &"5".parse().unwrap()));
    assert_eq!(reply.code(&world).await, "store_unavailable");
    let owner = Owner { caller: world.a.core.own().clone(), tenant: pair() };
    let bound = |name| world.b.core.store.reads().key(&owner, &key(name)).unwrap();
    assert_eq!(bound("new"), None);
    // A key can only be blocked durably; a run can be stopped, because that is an end.
    let cancel = |target| Body::Cancel(Cancel { target, reason: None });
    let refused = world.ask_for(cancel(Target::Key(key("later")))).await;
    assert_eq!(refused.code(&world).await, "store_unavailable");
    assert_eq!(bound("later"), None);
    let answer = world.ask_for(cancel(Target::Run(run.clone()))).await.envelope().await;
    let answer: Answer = world.verified(&answer);
    assert_eq!(answer.result.cancel, Some(CancelResult::Requested));
    let row = world.b.core.store.reads().run(&run).unwrap().unwrap();
    assert!(row.stop.is_some(), "recorded before it was answered");

    world.b.disk.set_room(Room::Enough);
    assert_eq!(world.ask_for(started("new", "say yes")).await.status, 200);
    assert!(matches!(bound("new"), Some(KeyRecord::Run { .. })));
}

//= STR-40
#[tokio::test]
async fn after_a_time_without_room_only_requests_signed_since_the_start_are_taken() {
    let (world, run) = with_a_run("since").await;
    let before = Request { iat: Timestamp(NOW.0 - 1), ..world.request(attach(&run, 0)) };
    assert_eq!(world.ask(&before).await.code(&world).await, "replayed");
    let since = Request { iat: NOW, ..world.request(attach(&run, 0)) };
    assert_eq!(world.ask(&since).await.status, 200);
}
