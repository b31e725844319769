//! Two things at once, as `spec/races.md` numbers them, at a bridge's own face.

use std::sync::Arc;

use bytes::Bytes;
use http::Request as HttpRequest;
use landbridge_node::net::App;
use landbridge_node::net::limit_body::RequestBody;
use landbridge_proto::machine::admission::Learned;
use landbridge_proto::machine::contract::{EntryPhase, EntryRow, RunPhase, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::wire::document::{Peer, PeerStatus};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::request::{Answer, Attach, Body, Cancel, CancelResult, Target};
use landbridge_proto::wire::sse::Event;
use landbridge_proto::wire::stream::Accept;

use crate::support::{MINUTE_MS, NOW, World, attach, grant, key, lines, start, started};

fn cancel_of(name: &str) -> Body {
    Body::Cancel(Cancel { target: Target::Key(key(name)), reason: None })
}

async fn said(world: &World, bytes: Bytes) -> Option<CancelResult> {
    let answer: Answer = world.verified(&Envelope::parse(&bytes).unwrap());
    answer.result.cancel
}

//= REQ-67
//= REQ-32
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_and_a_cancel_in_flight_together_end_as_one_of_two() {
    let world = Arc::new(World::new().await);
    let mut seen = [0, 0];
    for round in 0..40 {
        let name = format!("together-{round}");
        let begin = || {
            let (world, name) = (Arc::clone(&world), name.clone());
            tokio::spawn(async move { world.ask_for(started(&name, "hang")).await })
        };
        let stop = || {
            let (world, name) = (Arc::clone(&world), name.clone());
            tokio::spawn(async move { world.ask_for(cancel_of(&name)).await })
        };
        let (begun, stopped) = if round % 2 == 0 {
            let begun = begin();
            (begun, stop())
        } else {
            let stopped = stop();
            (begin(), stopped)
        };
        let (begun, stopped) = (begun.await.unwrap(), stopped.await.unwrap());
        assert_eq!(stopped.status, 200);
        let cancelled = said(&world, stopped.bytes().await).await.unwrap();
        match cancelled {
            CancelResult::Blocked => {
                assert_eq!(begun.code(&world).await, "cancelled_before_start");
                seen[0] += 1;
            }
            _ => {
                assert_eq!(begun.status, 200, "the run was there first");
                let rest = begun.events().rest();
                tokio::pin!(rest);
                let rest = loop {
                    tokio::select! {
                        rest = &mut rest => break rest,
                        () = tokio::time::sleep(std::time::Duration::from_millis(2)) => {
                            world.clock.advance_ms(20);
                        }
                    }
                };
                let frames = lines(&rest);
                assert!(frames.last().unwrap().contains(r#""outcome":"cancelled""#));
                seen[1] += 1;
            }
        }
        // Whatever it was, it stays so.
        let again = world.ask_for(started(&name, "hang")).await;
        assert_eq!(again.status == 200, cancelled != CancelResult::Blocked);
        let again = said(&world, world.ask_for(cancel_of(&name)).await.bytes().await).await;
        assert_eq!(again == Some(CancelResult::Blocked), cancelled == CancelResult::Blocked);
    }
    println!("{} keys blocked, {} runs stopped", seen[0], seen[1]);
}

//= REQ-69
//= REQ-21
#[tokio::test]
async fn a_start_that_comes_after_its_block_was_forgotten_is_too_old() {
    let world = World::new().await;
    let blocked = world.ask_for(cancel_of("late")).await;
    assert_eq!(said(&world, blocked.bytes().await).await, Some(CancelResult::Blocked));
    assert_eq!(
        world.ask_for(started("late", "hang")).await.code(&world).await,
        "cancelled_before_start"
    );
    // Up to its last moment the block is there, and then the start is older than the window.
    world.clock.advance_ms(limit::KEY_WINDOW_MS + limit::CLOCK_SKEW_MS_MAX + 1);
    for side in [&world.a, &world.b] {
        side.core.trust.refresh_status(&side.core).await.unwrap();
    }
    let (a, b) = (&world.a.core, &world.b.core);
    let view = Some(a.peer_view(b.own()).unwrap());
    let status = b.trust.state().status.clone();
    a.trust.learn(a, &Learned { view, roots: Vec::new(), status }).await.unwrap();
    // B answers before it forgot, too.
    assert_eq!(world.refused("late", NOW).await, "cancelled_before_start");
    let now = world.b.core.now();
    let prune = Write::Prune {
        jti_before: now,
        runs_before: now.plus_ms(-limit::KEY_WINDOW_MS - limit::CLOCK_SKEW_MS_MAX),
        entries_before: NOW,
        limit: 10,
    };
    world.b.core.commit(Step::new(Vec::new(), vec![prune], ())).await.unwrap();
    assert_eq!(world.refused("late", NOW).await, "key_expired");
    // The youngest that a caller's clock can have made it.
    assert_eq!(world.refused("late", NOW.plus_ms(limit::CLOCK_SKEW_MS_MAX)).await, "key_expired");
    assert_eq!(world.b.open_runs(), 0);
}

//= REQ-68
#[tokio::test]
async fn a_start_dated_in_the_future_binds_no_key() {
    let world = World::new().await;
    let ahead = NOW.plus_ms(10 * limit::KEY_WINDOW_MS);
    assert_eq!(world.refused("ahead", ahead).await, "clock_skew");
    assert!(world.ask_for(started("ahead", "hang")).await.status == 200, "its key is free");
}

//= REQ-19
//= REQ-29
#[tokio::test]
async fn who_has_the_key_and_no_run_attaches_by_the_key() {
    let world = World::new().await;
    let by_key = |after| Body::Attach(Attach { after, target: Target::Key(key("by-key")) });
    assert_eq!(world.ask_for(by_key(0)).await.code(&world).await, "not_found");
    // The answer to the start is lost.
    drop(world.ask_for(started("by-key", "say one\nsay two\nsay three")).await);
    let whole = world.ask_for(by_key(0)).await.events().rest().await;
    let Some(Event::Accept(accept)) = whole.first() else { panic!("no accept") };
    let run = world.verified::<Accept>(accept).run;
    let all = lines(&whole);
    assert!(all.last().unwrap().contains(r#""event":"terminal""#));
    for after in 0..all.len() {
        for body in [by_key(after as u64), attach(&run, after as u64)] {
            let some = world.ask_for(body).await.events().rest().await;
            assert_eq!(some.first(), whole.first(), "the same accept");
            assert_eq!(lines(&some), all[after..]);
        }
    }
    // And the start itself, sent again with the same body.
    let again = world.ask_for(started("by-key", "say one\nsay two\nsay three")).await;
    assert_eq!(lines(&again.events().rest().await), all);
    assert_eq!(world.b.deeds("run_created"), 1);
}

//= STR-41
#[tokio::test]
async fn a_grant_withdrawn_in_mid_run_changes_nothing_for_the_run() {
    let world = World::new().await;
    world.serve_b();
    let view = world.start_run("granted", "say one\nsleep 3000\nsay two").await;
    let entry = world.until(&view.run, |entry| entry.seq >= 2).await;
    world.b.put_peer(&world.a, PeerStatus::Active, Vec::new()).await;
    assert_eq!(world.ask_for(started("ungranted", "hang")).await.code(&world).await, "not_granted");
    let inspect = Body::Inspect(Target::Key(key("granted")));
    assert_eq!(world.ask_for(inspect).await.status, 200);
    let again = world.ask_for(attach(&entry.remote.clone().unwrap(), 0)).await;
    assert_eq!(again.status, 200);
    let entry = world.until(&view.run, settled).await;
    assert_eq!(entry.outcome.as_deref(), Some("succeeded"));
    // It ended; what is known of it stays known, by its key too.
    let body = Body::Attach(Attach { after: 0, target: Target::Key(key("granted")) });
    let frames = lines(&world.ask_for(body).await.events().rest().await);
    assert!(frames.iter().any(|line| line.contains("two")), "{frames:?}");
}

//= STR-42
//= STR-43
//= STR-46
#[tokio::test]
async fn a_peer_suspended_in_mid_run_keeps_its_run_and_gets_the_rest_when_it_is_active_again() {
    let world = World::new().await;
    world.serve_b();
    let view = world.start_run("suspended", "say one\nsleep 2000\nsay two").await;
    let entry = world.until(&view.run, |entry| entry.seq >= 2).await;
    let remote = entry.remote.clone().unwrap();
    let mut open = world.ask_for(attach(&remote, 0)).await.events();
    open.accept().await;
    world.b.put_peer(&world.a, PeerStatus::Suspended, Vec::new()).await;
    let told = open.rest().await;
    let Some(Event::Problem(problem)) = told.last() else { panic!("{told:?}") };
    let refusal: landbridge_proto::wire::request::Refusal = world.verified(problem);
    assert_eq!(refusal.problem.code_text(), "peer_suspended");
    for body in [attach(&remote, 0), cancel_of("suspended"), started("another", "hang")] {
        assert_eq!(world.ask_for(body).await.code(&world).await, "peer_suspended");
    }
    // The run goes on and ends at B; A knows nothing final, and asks again.
    for _ in 0..2_000 {
        if world.b.open_runs() == 0 {
            break;
        }
        world.clock.advance_ms(20);
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let row = world.b.core.store.reads().run(&remote).unwrap().unwrap();
    assert_eq!((row.phase, row.outcome.as_deref()), (RunPhase::Settled, Some("succeeded")));
    let entry = world.a.core.store.reads().entry(&view.run).unwrap().unwrap();
    assert_eq!((entry.phase, entry.seq), (EntryPhase::Streaming, 2));
    world.b.put_peer(&world.a, PeerStatus::Active, vec![grant()]).await;
    let entry = world.until(&view.run, settled).await;
    assert_eq!(entry.outcome.as_deref(), Some("succeeded"));
    assert_eq!(world.b.deeds("run_created"), 1);
}

//= STR-43
#[tokio::test]
async fn a_peer_that_stays_suspended_leaves_the_caller_its_own_end() {
    let world = World::new().await;
    world.serve_b();
    let view = world.start_run("for-good", "say one\nhang").await;
    world.until(&view.run, |entry| entry.seq >= 2).await;
    world.b.put_peer(&world.a, PeerStatus::Suspended, Vec::new()).await;
    world.clock.advance_ms(limit::DEADLINE_MS);
    let entry = world.a.core.store.reads().entry(&view.run).unwrap().unwrap();
    assert_eq!(entry.phase, EntryPhase::Streaming, "not before the grace");
    world.clock.advance_ms(limit::LOST_GRACE_MS + MINUTE_MS);
    let entry = world.until(&view.run, settled).await;
    assert_eq!(entry.outcome.as_deref(), Some("lost"));
}

//= REQ-73
//= STR-44
#[tokio::test]
async fn a_drain_refuses_what_is_new_and_ends_no_run() {
    let world = World::new().await;
    let mut open = world.ask_for(started("open", "say one\nhang")).await.events();
    let run = world.verified::<Accept>(&open.accept().await).run;
    world.b.core.draining.cancel();
    let told = open.rest().await;
    let Some(Event::Problem(problem)) = told.last() else { panic!("{told:?}") };
    let refusal: landbridge_proto::wire::request::Refusal = world.verified(problem);
    assert_eq!(refusal.problem.code_text(), "draining");
    assert!(lines(&told).iter().all(|line| !line.contains(r#""event":"terminal""#)));
    let reply = world.ask_for(started("too-late", "hang")).await;
    assert_eq!((reply.status, reply.headers["retry-after"].to_str().unwrap()), (503, "1"));
    let problem = reply.signed(&world).await;
    assert_eq!((problem.code_text(), problem.retry_after_ms), ("draining", Some(1_000)));
    assert_eq!(world.b.deeds("run_created"), 1);
    // A key that is known is no new work.
    assert_eq!(world.ask_for(started("open", "say one\nhang")).await.status, 200);
    let row = world.b.core.store.reads().run(&run).unwrap().unwrap();
    assert_ne!(row.phase, RunPhase::Settled);
}

fn settled(entry: &EntryRow) -> bool {
    entry.phase == EntryPhase::Settled
}

impl World {
    /// B, as it is, behind its address.
    pub(crate) fn serve_b(&self) {
        let plane = self.b.plane.clone();
        self.serve_app(App::new(move |request: HttpRequest<RequestBody>| {
            let plane = plane.clone();
            async move { plane.answer(request).await }
        }));
    }

    /// The code with which a start of this invocation time is refused.
    async fn refused(&self, name: &str, at: landbridge_proto::wire::name::Timestamp) -> String {
        let mut body = start(name, "hang");
        body.invoked_at = at;
        self.ask_for(Body::Start(Box::new(body))).await.code(self).await
    }
}

impl crate::support::Side {
    /// Changes what this side's federation document says of a peer.
    pub(crate) async fn put_peer(
        &self,
        peer: &Self,
        status: PeerStatus,
        grants: Vec<landbridge_proto::wire::document::Grant>,
    ) {
        let state = self.core.trust.state();
        let known = state.federation.as_ref().unwrap().peer(peer.core.own()).unwrap().clone();
        let mut draft = self.draft();
        draft.put_peer(Peer { status, grants, ..known });
        self.put(draft).await;
    }
}
