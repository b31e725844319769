//! Rotation: what a bridge takes as its own next root, when a successor signs, and how a peer learns of it.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request as HttpRequest, Response};
use http_body_util::{BodyExt as _, Full};
use landbridge_node::clock::SeededEntropy;
use landbridge_node::core::Core;
use landbridge_node::identity::online::{HEAD_START_MS, KEY_LIFE_MS, ONLINE, later_key_file};
use landbridge_node::identity::{
    Identity, KEYS, OFFLINE, TLS, load_key, make_later_key, offline_key, own_root,
};
use landbridge_node::net::App;
use landbridge_node::net::limit_body::RequestBody;
use landbridge_node::net::tls;
use landbridge_node::rotation::plan::{Change, LEAD_MS, OVERLAP_MS, Timing, next_root};
use landbridge_node::rotation::{put_root, put_root_offline};
use landbridge_node::trust::Trust;
use landbridge_proto::machine::contract::EntryPhase;
use landbridge_proto::trust::signer::{Signer as _, sign_typed};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{Root, raw};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::name::KeyId;
use landbridge_proto::wire::request::Op;
use landbridge_proto::wire::sse::{Event, SseReader};

use crate::support::{World, lines, started};

const PLANNED: Timing = Timing::Planned { lead_ms: LEAD_MS, overlap_ms: OVERLAP_MS };

/// New keys for these roles, and the root that lists them.
fn planned(core: &Core, roles: &[Role], timing: Timing) -> Root {
    let home = core.identity.home();
    let mut change = Change::default();
    for &role in roles {
        let place = match role {
            Role::Root | Role::Policy => home.join(OFFLINE),
            _ => home.join(KEYS),
        };
        let made = make_later_key(&place, role, &*core.entropy).unwrap();
        change.new.insert(role, made.public());
    }
    next_root(&own_root(home).unwrap(), &change, timing, core.now()).unwrap()
}

/// A root, signed by the first root key.
fn signed(core: &Core, root: &Root) -> Envelope {
    let key = load_key(&offline_key(core.identity.home(), Role::Root), Role::Root).unwrap();
    sign_typed(&key, root).unwrap()
}

async fn rotate(core: &Core, roles: &[Role], timing: Timing) {
    let root = signed(core, &planned(core, roles, timing));
    put_root(core, &root).await.unwrap();
}

fn changed(root: &Root, change: impl FnOnce(&mut raw::Root)) -> Root {
    let mut raw = raw::Root::from(root.clone());
    change(&mut raw);
    Root::try_from(raw).unwrap()
}

fn signs(core: &Core, role: Role) -> KeyId {
    core.identity.present().signer(role, core.now()).unwrap().kid().clone()
}

fn serve(world: &World) {
    let plane = world.b.plane.clone();
    world.serve_app(App::new(move |request| {
        let plane = plane.clone();
        async move { plane.answer(request).await }
    }));
}

/// Who sealed what a stream of B brings up to the run's end.
async fn sealers(world: &World, name: &str) -> Vec<KeyId> {
    let events = world.ask_for(started(name, "say a\nsay b")).await.events().rest().await;
    assert!(!lines(&events).is_empty());
    let seals = events.iter().filter_map(|event| match event {
        Event::Frames(batch) => Some(batch.seal().signatures()[0].keyid().clone()),
        _ => None,
    });
    seals.collect()
}

//= ID-50
//= ID-51
#[tokio::test]
async fn a_successor_signs_from_its_time_on_and_its_predecessor_no_more() {
    let world = World::new().await;
    let core = &world.b.core;
    let all = [Role::Stream, Role::Request, Role::Status];
    let before = all.map(|role| signs(core, role));
    rotate(core, &all, PLANNED).await;
    let status = |core: &Core| core.trust.state().status.clone().unwrap();
    let signer = |envelope: &Envelope| envelope.signatures()[0].keyid().clone();
    assert_eq!(all.map(|role| signs(core, role)), before, "listed, and not used yet");
    assert_eq!(sealers(&world, "early").await.last(), Some(&before[0]));
    assert_eq!(signer(&status(core)), before[2]);
    let told = core.trust.state();
    assert_eq!(told.status_root, Some(core.identity.present().root().digest()), "and told at once");

    world.clock.advance_ms(LEAD_MS - HEAD_START_MS);
    assert_eq!(all.map(|role| signs(core, role)), before, "valid, and not used yet");
    world.clock.advance_ms(HEAD_START_MS);
    let after = all.map(|role| signs(core, role));
    assert!(after.iter().zip(&before).all(|(after, before)| after != before));
    //= ID-51
    core.trust.refresh_status(core).await.unwrap();
    assert_eq!(signer(&status(core)), after[2]);
    world.a.core.trust.refresh_status(&world.a.core).await.unwrap();
    let seals = sealers(&world, "late").await;
    assert!(!seals.is_empty() && seals.iter().all(|kid| *kid == after[0]));
    // Another process finds the same.
    let again = Identity::load(core.identity.home()).unwrap();
    assert_eq!(again.signer(Role::Stream, core.now()).unwrap().kid(), &after[0]);
}

//= ID-49
#[tokio::test]
async fn what_is_in_force_is_what_the_next_start_finds() {
    let world = World::new().await;
    let core = &world.b.core;
    let root = signed(core, &planned(core, &[Role::Stream], Timing::AtOnce));
    assert_eq!(put_root(core, &root).await.unwrap(), 2);
    assert_eq!(Identity::load(core.identity.home()).unwrap().root().version(), 2);
    assert_eq!(put_root(core, &root).await.unwrap(), 2, "once more changes nothing");
    assert_eq!(world.b.deeds("keys_in_use"), 1);
}

//= ID-48
//= ID-55
#[tokio::test]
async fn a_root_that_it_cannot_go_by_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let core = &world.b.core;
    let home = core.identity.home();
    let good = planned(core, &[Role::Stream], PLANNED);
    let new =
        good.roles[&Role::Stream].keyids.iter().find(|kid| **kid != signs(core, Role::Stream));
    let new = new.unwrap().clone();
    let file = later_key_file(&home.join(KEYS), Role::Stream, &new);
    let stranger =
        make_later_key(&home.join(OFFLINE), Role::Root, &SeededEntropy::new(77)).unwrap();
    let long = changed(&good, |raw| {
        let key = raw.keys.get_mut(&new).unwrap();
        key.exp = key.nbf.plus_ms(KEY_LIFE_MS + 1);
    });
    let prolonged = changed(&good, |raw| {
        let old = signs(core, Role::Status);
        raw.keys.get_mut(&old).unwrap().exp.0 += 1;
    });
    let skipped = changed(&good, |raw| raw.version = 3);
    let forked = changed(&good, |raw| raw.prev = Some(Digest::of(b"other", &[])));
    let foreign_tls = changed(&good, |raw| {
        for endpoint in &mut raw.endpoints {
            endpoint.tls_spki = Some(Digest::of(b"other", &[]));
        }
    });
    let other_policy = changed(&good, |raw| {
        let made = make_later_key(&home.join(OFFLINE), Role::Policy, &*core.entropy).unwrap();
        let holders = raw.roles.get_mut(&Role::Policy).unwrap();
        let former = std::mem::replace(&mut holders.keyids, [made.kid().clone()].into());
        let window = raw.keys.remove(former.first().unwrap()).unwrap();
        let key = landbridge_proto::wire::document::RootKey { public: made.public(), ..window };
        raw.keys.insert(made.kid().clone(), key);
    });
    let refused = async |what: &str, root: Envelope| {
        assert!(put_root(core, &root).await.is_err(), "{what}");
        assert_eq!(core.identity.present().root().version(), 1, "{what}");
        assert_eq!(own_root(home).unwrap().version(), 1, "{what}");
    };
    refused("signed by nobody's key", sign_typed(&stranger, &good).unwrap()).await;
    refused("a key for too long", signed(core, &long)).await;
    refused("a key that lives on", signed(core, &prolonged)).await;
    refused("a root left out", signed(core, &skipped)).await;
    refused("another predecessor", signed(core, &forked)).await;
    refused("a TLS key that is not here", signed(core, &foreign_tls)).await;
    refused("our peers would be gone", signed(core, &other_policy)).await;
    let aside = home.join("aside");
    std::fs::rename(&file, &aside).unwrap();
    refused("a key that is not here", signed(core, &good)).await;
    std::fs::rename(&aside, &file).unwrap();
    put_root(core, &signed(core, &good)).await.unwrap();
    assert_eq!(own_root(home).unwrap().version(), 2);
}

//= ID-14
//= ID-20
#[tokio::test]
async fn a_peer_asks_for_the_next_root_and_follows_the_status_role() {
    let world = World::new().await;
    serve(&world);
    let (a, b) = (&world.a.core, &world.b.core);
    let known = || a.peer_view(b.own()).unwrap();
    a.refresh_peer(b.own()).await.unwrap();
    assert_eq!(known().chain().version(), 1);
    rotate(b, &[Role::Status], Timing::AtOnce).await;
    rotate(b, &[Role::Status, Role::Stream], Timing::AtOnce).await;
    a.refresh_peer(b.own()).await.unwrap();
    assert_eq!(known().chain().version(), 3);
    assert_eq!(known().check_fresh(a.now()), Ok(()));
    assert_eq!(known().status().unwrap().newest().signer(), &signs(b, Role::Status));
    // What was learned is what another process finds.
    let again = Trust::load(&a.identity.present(), &a.store, a.now());
    let again = again.unwrap().state().peers[b.own()].clone();
    assert_eq!(again.chain().version(), 3);
    assert_eq!(again.seen_seq(), known().seen_seq());
}

#[tokio::test]
async fn a_stopped_bridge_whose_root_expired_is_mended_in_its_files() {
    let world = World::new().await;
    let core = &world.b.core;
    let home = core.identity.home();
    let late = core.identity.present().root().root().expires.plus_ms(1);
    let load = |at| Trust::load(&Identity::load(home).unwrap(), &core.store, at).map(drop);
    assert!(load(late).is_err(), "nobody is trusted under an expired root");
    world.clock.advance_ms(late.since_ms(core.now()));
    let root = signed(core, &planned(core, &ONLINE, Timing::AtOnce));
    assert_eq!(put_root_offline(home, &core.store, &root, late).unwrap(), 2);
    load(late).unwrap();
    let again = Identity::load(home).unwrap();
    assert!(ONLINE.iter().all(|role| again.signer(*role, late).is_ok()));
    assert!(put_root_offline(home, &core.store, &root, late).is_ok(), "once more changes nothing");
}

trait SeenSeq {
    fn seen_seq(&self) -> Option<i64>;
}

impl SeenSeq for landbridge_proto::trust::peer::PeerView {
    fn seen_seq(&self) -> Option<i64> {
        self.status().map(|status| status.newest().value().seq)
    }
}

//= ID-52
//= ID-54
#[tokio::test]
async fn a_changed_tls_key_is_learned_from_roots_that_prove_themselves() {
    let world = World::new().await;
    let (a, b) = (&world.a.core, &world.b.core);
    let next = tls::Identity::make_next(&b.identity.home().join(TLS)).unwrap();
    let pin = Digest::from_bytes(*next.spki().as_bytes());
    let change = Change { tls: Some(pin), ..Change::default() };
    let chain = own_root(b.identity.home()).unwrap();
    let root = signed(b, &next_root(&chain, &change, PLANNED, b.now()).unwrap());
    put_root(b, &root).await.unwrap();
    serve(&world);
    let run = world.start_run("new-tls-key", "say hello").await.run;
    let entry = world.until(&run, |entry| entry.phase == EntryPhase::Settled).await;
    assert_eq!(entry.outcome.as_deref(), Some("succeeded"));
    let told = a.peer_view(b.own()).unwrap().chain().root().endpoints[0].tls_spki;
    assert_eq!(told, Some(pin));
}

/// Serves B; of its answers to so many starts only the accept arrives. While there is no number, B gets no
/// starts at all.
fn cut(world: &World) -> Arc<Mutex<Option<usize>>> {
    let left = Arc::new(Mutex::new(None));
    let (plane, count) = (world.b.plane.clone(), Arc::clone(&left));
    world.serve_app(App::new(move |request: HttpRequest<RequestBody>| {
        let (plane, count) = (plane.clone(), Arc::clone(&count));
        async move {
            let is_run = request.uri().path() == Op::Start.path();
            if is_run && count.lock().unwrap().is_none() {
                return Response::builder().status(500).body(empty()).unwrap();
            }
            let response = plane.answer(request).await;
            if !is_run || response.headers()["content-type"] != "text/event-stream" {
                return response;
            }
            {
                let mut left = count.lock().unwrap();
                if left.is_none_or(|left| left == 0) {
                    return response;
                }
                *left = left.map(|left| left - 1);
            }
            // Only the accept arrives, and then the connection is gone.
            let whole = response.into_body().collect().await.unwrap().to_bytes();
            let accept = SseReader::new().push(&whole).unwrap().into_iter().next().unwrap();
            let body = Full::new(Bytes::from(accept.to_bytes())).map_err(|never| match never {});
            Response::builder()
                .header("content-type", "text/event-stream")
                .body(body.boxed_unsync())
                .unwrap()
        }
    }));
    left
}

fn empty() -> landbridge_node::net::ResponseBody {
    Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync()
}

//= ID-53
#[tokio::test]
async fn an_accept_of_a_former_key_waits_for_the_word_of_a_present_one() {
    let world = World::new().await;
    let (a, b) = (&world.a.core, &world.b.core);
    let left = cut(&world);
    // The start was accepted, and the answer never came through; meanwhile the key left the root.
    let run = world.start_run("lost-answer", "say hello").await.run;
    let start = serde_json::from_str(&a.store.reads().entry(&run).unwrap().unwrap().body).unwrap();
    let asked = landbridge_proto::wire::request::Body::Start(Box::new(start));
    drop(world.ask_for(asked).await.events().rest().await);
    rotate(b, &[Role::Stream], Timing::AtOnce).await;
    a.refresh_peer(b.own()).await.unwrap();
    assert_eq!(a.peer_view(b.own()).unwrap().chain().version(), 2);
    *left.lock().unwrap() = Some(2);
    let mut seen_alone = false;
    let entry = world
        .until(&run, |entry| {
            if *left.lock().unwrap() == Some(1) {
                seen_alone = true;
                assert_eq!(entry.phase, EntryPhase::AwaitAccept, "an accept alone says nothing");
            }
            entry.phase == EntryPhase::Settled
        })
        .await;
    assert!(seen_alone);
    assert_eq!(entry.outcome.as_deref(), Some("succeeded"));
}
