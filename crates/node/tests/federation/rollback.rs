//! A bridge that lost history: what convinces it, what does not, and what it then still does.

use landbridge_node::bridge::Principal;
use landbridge_node::local::api::StartRun;
use landbridge_node::net::App;
use landbridge_node::trust::Trust;
use landbridge_proto::machine::contract::{DocumentKind, DocumentRow, RunPhase, RunRow, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::signer::{Signer, sign_typed};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{AuditHead, FormVersion, Incarnation, Status, raw};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::name::{RunId, Timestamp};
use landbridge_proto::wire::problem::Code;
use landbridge_proto::wire::request::Body;
use landbridge_proto::wire::stream::{Accept, One, Seal, Seen};

use crate::support::{MINUTE_MS, NOW, Reply, Side, World, attach, key, nobody, pair, started};

async fn show(world: &World, body: Body, held: Vec<Envelope>) -> Reply {
    world.show(&world.request(body), held).await
}

/// An accept that B signed and does not have.
fn accept(world: &World) -> Accept {
    let b = &world.b.core;
    Accept {
        aud: world.a.core.own().clone(),
        deadline: NOW.plus_ms(10 * MINUTE_MS),
        iss: b.own().clone(),
        key: key("forgotten"),
        print: Digest::of(b"body", &[]),
        proto: 1,
        root_version: 1,
        run: b.new_run_id().unwrap(),
        seen: Seen::default(),
        tenant: pair(),
        v: One,
    }
}

fn signed<T>(signer: &dyn Signer, said: &T) -> Envelope
where
    T: landbridge_proto::wire::kind::PayloadKind + serde::Serialize,
{
    sign_typed(signer, said).unwrap()
}

/// A status that B signed at a time and does not have.
fn status(world: &World, at: Timestamp, n: u64) -> Envelope {
    status_of(&world.b, at, n)
}

fn status_of(side: &Side, at: Timestamp, n: u64) -> Envelope {
    let b = &side.core;
    let identity = b.identity.present();
    let root = identity.root();
    let status = Status::try_from(raw::Status {
        audit: AuditHead { head: Digest::of(b"head", &[]), size: 1 },
        expires: at.plus_ms(MINUTE_MS),
        incarnation: Incarnation { n, since: at.plus_ms(-10) },
        iss: b.own().clone(),
        issued: at,
        refresh_ms: MINUTE_MS,
        revoked: Vec::new(),
        root: root.digest(),
        root_version: root.version(),
        seq: at.0,
        v: FormVersion,
    });
    signed(identity.signer(Role::Status, b.now()).unwrap(), &status.unwrap())
}

/// A run that B leads, its accept, and the seal over what A received so far.
async fn led(world: &World, name: &str) -> (RunRow, Envelope, Seal) {
    let mut events = world.ask_for(started(name, "say working\nhang")).await.events();
    let envelope = events.accept().await;
    events.next().await.unwrap();
    let said: Accept = world.verified(&envelope);
    let row = world.b.core.store.reads().run(&said.run).unwrap().unwrap();
    let seal = Seal {
        accept: envelope.digest(),
        last: false,
        head: row.head,
        root_version: 1,
        run: said.run,
        seq: row.seq,
        t: NOW,
        v: One,
    };
    (row, envelope, seal)
}

fn is_halted(world: &World) -> bool {
    world.b.core.trust.state().rolled_back.is_some()
}

//= ID-41
#[tokio::test]
async fn a_bare_claim_is_refused_to_its_peer_and_stops_nobody() {
    let world = World::new().await;
    // Two statuses, so that there is a number between them which was never given.
    let first = world.b.core.trust.state().issued;
    world.clock.advance_ms(31 * MINUTE_MS);
    world.a.core.trust.refresh_status(&world.a.core).await.unwrap();
    world.b.core.trust.refresh_status(&world.b.core).await.unwrap();
    let issued = world.b.core.trust.state().issued;
    let with = |seen| {
        let mut request = world.request(started("claim", "say done"));
        request.seen = seen;
        request
    };
    for lie in [
        Seen { seq: issued.seq - 1000, ..issued },
        Seen { seq: issued.seq + 1000, ..issued },
        Seen { n: issued.n + 1, ..issued },
    ] {
        assert_eq!(world.ask(&with(lie)).await.code(&world).await, "rolled_back", "{lie:?}");
        assert!(!is_halted(&world));
    }
    assert_eq!(world.b.deeds("run_created"), 0);
    // What was issued before is remembered as well as what is issued now, and nothing is nothing.
    assert!(issued > first);
    for seen in [first, issued, Seen::default(), Seen { n: 1, seq: 0 }] {
        let mut request = world.request(attach(&world.b.core.new_run_id().unwrap(), 0));
        request.seen = seen;
        assert_eq!(world.ask(&request).await.code(&world).await, "not_found", "{seen:?}");
    }
}

//= ID-42
//= ID-25
//= ID-40
#[tokio::test]
async fn what_it_signed_and_does_not_have_stops_it_for_good() {
    for what in ["status", "later incarnation", "accept", "seal", "longer seal"] {
        let world = World::new().await;
        let (_, envelope, seal) = led(&world, "open").await;
        let identity = world.b.core.identity.present();
        let stream = identity.signer(Role::Stream, NOW).unwrap();
        let held = match what {
            "status" => status(&world, NOW.plus_ms(-1), 1),
            "later incarnation" => status(&world, NOW.plus_ms(-1), 2),
            "accept" => signed(stream, &accept(&world)),
            "seal" => signed(stream, &Seal { head: Digest::of(b"other", &[]), ..seal.clone() }),
            _ => signed(stream, &Seal { seq: seal.seq + 5, ..seal.clone() }),
        };
        let reply = show(&world, attach(&seal.run, 0), vec![envelope, held]).await;
        assert_eq!(reply.code(&world).await, "rolled_back", "{what}");
        assert!(is_halted(&world), "{what}");
        assert_eq!(world.b.deeds("rollback_noticed"), 1);

        // It does nothing any more, for anybody.
        let reply = world.ask_for(started("new", "say done")).await;
        assert_eq!(reply.code(&world).await, "rolled_back", "{what}");
        let reply = world.ask_for(attach(&seal.run, 0)).await;
        assert_eq!(reply.code(&world).await, "rolled_back", "{what}");
        assert!(world.b.bridge.ready().unwrap_err().contains("landbridge recover"));
        let start =
            serde_json::json!({"gateway": "us", "prompt": "x", "idempotencyKey": key("own")});
        let start: StartRun = serde_json::from_value(start).unwrap();
        let refused = world.b.bridge.start_run(&Principal::Admin, start).await.unwrap_err();
        assert_eq!(refused.code(), Some(Code::RolledBack));
        // Nor is a run ended that was open: its deadline passes, and nothing is appended.
        let before = world.b.core.store.reads().run(&seal.run).unwrap().unwrap();
        world.clock.advance_ms(120 * MINUTE_MS);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let after = world.b.core.store.reads().run(&seal.run).unwrap().unwrap();
        assert_eq!((before.seq, before.phase), (after.seq, after.phase), "{what}");
        assert_ne!(after.phase, RunPhase::Settled);

        // Another process finds it written down.
        let (identity, store) = (&world.b.core.identity, &world.b.core.store);
        let again = Trust::load(&identity.present(), store, world.b.core.now()).unwrap();
        assert!(again.state().rolled_back.is_some() && again.halted().is_cancelled(), "{what}");
    }
}

//= ID-42
#[tokio::test]
async fn what_it_remembers_what_others_signed_and_what_is_past_convinces_nobody() {
    let world = World::new().await;
    let (row, envelope, seal) = led(&world, "open").await;
    let (ours, other) = (world.b.core.identity.present(), world.a.core.identity.present());
    let stream = ours.signer(Role::Stream, NOW).unwrap();
    let theirs = other.signer(Role::Stream, NOW).unwrap();
    let old = Timestamp(NOW.0 - 30 * 24 * 60 * MINUTE_MS);
    let mine = world.b.core.trust.state().status.clone().unwrap();
    let harmless = [
        mine,
        envelope,
        signed(stream, &seal),
        // Signed by the one who shows it.
        signed(theirs, &accept(&world)),
        signed(theirs, &Seal { seq: seal.seq + 5, ..seal.clone() }),
        world.a.core.trust.state().status.clone().unwrap(),
        // For somebody else; and from so long ago that it may have been deleted.
        signed(stream, &Accept { aud: nobody(), ..accept(&world) }),
        signed(stream, &Accept { deadline: old, ..accept(&world) }),
    ];
    for (at, held) in harmless.into_iter().enumerate() {
        let reply = show(&world, attach(&row.run, 0), vec![held]).await;
        assert_eq!(reply.status, 200, "{at}");
        assert!(!is_halted(&world), "{at}");
    }
}

//= REQ-64
#[tokio::test]
async fn a_run_that_a_recovery_closed_is_lost_history_and_nothing_else() {
    let world = World::new().await;
    let (row, ..) = led(&world, "closed").await;
    let row = world.b.core.store.reads().run(&row.run).unwrap().unwrap();
    let closed = RunRow {
        phase: RunPhase::Settled,
        outcome: Some("lost".to_owned()),
        ended: Some(NOW),
        ..row.clone()
    };
    world.b.core.commit(Step::new(Vec::new(), vec![Write::PutRun(closed)], ())).await.unwrap();
    for body in [
        attach(&row.run, 0),
        attach(&row.run, row.seq + 7),
        started("closed", "say working\nhang"),
        Body::Inspect(landbridge_proto::wire::request::Target::Run(row.run.clone())),
    ] {
        let problem = world.ask_for(body).await.signed(&world).await;
        assert_eq!(problem.code(), Some(Code::LostHistory));
        assert_eq!(problem.side_effects, landbridge_proto::wire::stream::SideEffects::Unknown);
    }
    assert_eq!(world.b.deeds("run_created"), 1);
}

//= REQ-63
#[tokio::test]
async fn the_same_key_and_body_make_the_same_run_and_anything_else_another() {
    let world = World::new().await;
    let owner = |src: &str| landbridge_proto::wire::name::Owner {
        caller: world.a.core.own().clone(),
        tenant: landbridge_proto::wire::name::TenantPair {
            src: crate::support::tenant(src),
            ..pair()
        },
    };
    let (one, two) = (Digest::of(b"one", &[]), Digest::of(b"two", &[]));
    let id = |src: &str, name: &str, print| {
        world.b.core.run_id_of(&owner(src), &key(name), print).unwrap()
    };
    let first = id("acme", "key", &one);
    assert_eq!(first, id("acme", "key", &one));
    let others: [RunId; 3] =
        [id("bolt", "key", &one), id("acme", "other", &one), id("acme", "key", &two)];
    assert!(others.iter().all(|other| *other != first));
    assert_ne!(world.a.core.run_id_of(&owner("acme"), &key("key"), &one).unwrap(), first);
}

//= ID-44
#[tokio::test]
async fn a_status_is_in_the_store_before_anybody_can_see_it() {
    let world = World::new().await;
    let b = &world.b.core;
    for _ in 0..3 {
        world.clock.advance_ms(31 * MINUTE_MS);
        b.trust.refresh_status(b).await.unwrap();
        let state = b.trust.state();
        let stored =
            b.store.reads().newest_document(b.own(), DocumentKind::Status).unwrap().unwrap();
        assert_eq!(stored.version, state.issued.seq);
        assert_eq!(stored.envelope.as_bytes(), state.status.as_ref().unwrap().to_bytes());
    }
}

//= ID-46
#[tokio::test]
async fn a_peer_finds_what_was_kept_of_it_and_a_stranger_nothing() {
    let world = World::new().await;
    let (a, b) = (&world.a.core, &world.b.core);
    let first = a.trust.state().issued.seq;
    world.clock.advance_ms(31 * MINUTE_MS);
    a.trust.refresh_status(a).await.unwrap();
    world.ask_for(started("staple", "say done")).await.events().rest().await;
    let newest = a.trust.state().issued.seq;
    let path = |gateway: &str, seq: u64| format!("/federation/v1/status/{gateway}/{seq}");
    for (asked, seq) in
        [(first, first), (newest - 1, first), (newest, newest), (newest + 9, newest)]
    {
        let kept = world.get(&path(a.own().as_str(), asked)).await.envelope().await;
        let stored = a.store.reads().document_upto(a.own(), DocumentKind::Status, seq).unwrap();
        assert_eq!(stored.unwrap().envelope.as_bytes(), kept.to_bytes(), "{asked}");
    }
    assert_eq!(world.get(&path(a.own().as_str(), first - 1)).await.status, 404);
    assert_eq!(world.get(&path(a.own().as_str(), newest)).await.status, 200);
    for wrong in [path(nobody().as_str(), newest), path(b.own().as_str(), newest), path("x", 1)] {
        assert_eq!(world.get(&wrong).await.status, 404, "{wrong}");
    }
}

//= ID-47
#[tokio::test]
async fn a_caller_meets_its_forgotten_status_at_the_executor_before_it_asks() {
    for forgot in [true, false] {
        let world = World::new().await;
        let plane = world.b.plane.clone();
        let _stop = world.serve_app(App::new(move |request| {
            let plane = plane.clone();
            async move { plane.answer(request).await }
        }));
        if forgot {
            let status = status_of(&world.a, NOW.plus_ms(-1), 1);
            let envelope = String::from_utf8(status.to_bytes()).unwrap();
            let (gateway, kind) = (world.a.core.own().clone(), DocumentKind::Status);
            let version = NOW.0.unsigned_abs() - 1;
            let row = DocumentRow { gateway, kind, version, envelope, at: NOW };
            let write = vec![Write::SaveDocument(row)];
            world.b.core.commit(Step::new(Vec::new(), write, ())).await.unwrap();
        }
        let run = world.start_run("forgotten", "say done").await.run;
        for _ in 0..200 {
            let settled = world.a.core.store.reads().entry(&run).unwrap().unwrap().ended.is_some();
            if settled || world.a.core.trust.halted().is_cancelled() {
                break;
            }
            world.clock.advance_ms(20);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!(world.a.core.trust.halted().is_cancelled(), forgot);
        assert_eq!(world.b.deeds("run_created"), usize::from(!forgot));
    }
}
