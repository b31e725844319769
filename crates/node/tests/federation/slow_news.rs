//! A peer that answers, slowly: it keeps nobody busy, and nobody else waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http::{Request as HttpRequest, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use landbridge_node::core::Settings;
use landbridge_node::net::limit_body::RequestBody;
use landbridge_node::net::{App, ResponseBody};
use landbridge_node::peers::PeerError;
use landbridge_node::trust::TrustError;
use landbridge_proto::machine::contract::EntryPhase;
use landbridge_proto::wire::document::{Peer, PeerStatus};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::Alias;

use crate::support::{Side, World};

/// How fast those must be whom a slow peer is not to hinder.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A body of which a byte comes now and then, and never the last one.
fn trickle() -> Response<ResponseBody> {
    let bytes = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Some((Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(b"{"))), ()))
    });
    Response::new(StreamBody::new(bytes).map_err(|never| match never {}).boxed_unsync())
}

fn whole(status: u16, body: Vec<u8>) -> Response<ResponseBody> {
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(status).body(body).unwrap()
}

impl World {
    /// B's address, where nothing comes to an end; counts what is asked there.
    fn serve_a_trickle(&self) -> Arc<AtomicUsize> {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        self.serve_app(App::new(move |_request: HttpRequest<RequestBody>| {
            counter.fetch_add(1, Ordering::Relaxed);
            async { trickle() }
        }));
        asked
    }

    /// B's address, which hands over these roots, each after a while; and B's status.
    fn serve_roots(&self, roots: Vec<Envelope>, each: Duration) -> Arc<AtomicUsize> {
        let asked = Arc::new(AtomicUsize::new(0));
        let (counter, roots, plane) = (Arc::clone(&asked), Arc::new(roots), self.b.plane.clone());
        self.serve_app(App::new(move |request: HttpRequest<RequestBody>| {
            let (counter, roots, plane) = (Arc::clone(&counter), Arc::clone(&roots), plane.clone());
            async move {
                let version = request.uri().path().strip_prefix("/federation/v1/root/");
                let Some(version) = version.and_then(|text| text.parse::<usize>().ok()) else {
                    return plane.answer(request).await;
                };
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(each).await;
                match roots.get(version - 1) {
                    Some(root) => whole(200, root.to_bytes()),
                    None => whole(404, Vec::new()),
                }
            }
        }));
        asked
    }

    async fn third_peer(&self) -> Side {
        let third = self.third().await;
        self.a.know(&third).await;
        let mut draft = self.a.draft();
        draft.put_peer(Peer {
            alias: Alias::new("third").unwrap(),
            endpoints: Vec::new(),
            genesis: third.core.identity.present().root().genesis_digest(),
            gid: third.core.own().clone(),
            grants: Vec::new(),
            min_root_version: 1,
            projections: Vec::new(),
            status: PeerStatus::Active,
        });
        self.a.put(draft).await;
        let plane = third.plane.clone();
        self.serve_as(
            &third,
            App::new(move |request| {
                let plane = plane.clone();
                async move { plane.answer(request).await }
            }),
        );
        third
    }
}

async fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < AT_ONCE, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

//= ID-61
//= ID-80
#[tokio::test]
async fn a_peer_that_trickles_its_news_is_left_once_revoked_and_hinders_nobody_else() {
    let world = World::new().await;
    let third = world.third_peer().await;
    let asked = world.serve_a_trickle();
    // What is known of both is out of date.
    world.clock.advance_ms(limit::STATUS_LIFE_MS + 1);
    for core in [&world.a.core, &third.core] {
        core.trust.refresh_status(core).await.unwrap();
    }
    let (a, b) = (Arc::clone(&world.a.core), world.b.core.own().clone());
    let run = world.start_run("trickled", "say one").await.run;
    soon("B is asked", || asked.load(Ordering::Relaxed) > 0).await;
    // Roots that B is asked for, and a round over all peers, wait for it meanwhile.
    let others = [
        tokio::spawn({
            let (a, b) = (Arc::clone(&a), b.clone());
            async move { drop(a.renew(&b, 1).await) }
        }),
        tokio::spawn({
            let a = Arc::clone(&a);
            async move { a.refresh_peers().await }
        }),
    ];
    let known = || a.peer_view(third.core.own()).unwrap();
    soon("the third is fresh", || known().check_fresh(a.now()).is_ok()).await;
    let renewed = tokio::time::timeout(AT_ONCE, a.renew(third.core.own(), 1)).await;
    renewed.expect("the third waits for B").unwrap();
    assert!(others.iter().all(|other| !other.is_finished()), "B was waited for");

    world.a.put_peer(&world.b, PeerStatus::Revoked, Vec::new()).await;
    let entry = || a.store.reads().entry(&run).unwrap().unwrap();
    soon("the run ends", || entry().phase == EntryPhase::Settled).await;
    assert_eq!(entry().outcome.as_deref(), Some("lost"));
    // And nothing of it is waited for any more.
    soon("the others end", || others.iter().all(|other| other.is_finished())).await;
}

//= ID-80
#[tokio::test]
async fn all_that_one_refresh_waits_for_has_one_end() {
    let world = World::of(Settings { news_ms: 1_000, ..Settings::default() }, Settings::default());
    let world = world.await;
    let (a, b) = (&world.a.core, world.b.core.own());
    let asked = world.serve_roots(world.b.endless_roots(400), Duration::from_millis(150));
    let begun = Instant::now();
    let refused = a.refresh_peer(b).await;
    assert!(matches!(refused, Err(PeerError::Slow)), "{refused:?}");
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    assert!(asked.load(Ordering::Relaxed) <= 8);
}

//= ID-80
#[tokio::test]
async fn a_root_that_does_not_hold_is_the_last_one_that_is_asked_for() {
    let world = World::new().await;
    let (a, b) = (&world.a.core, world.b.core.own());
    // Well made, and somebody else's.
    let asked = world.serve_roots(world.a.endless_roots(40), Duration::ZERO);
    let refused = a.refresh_peer(b).await;
    let is_root = matches!(refused, Err(PeerError::Trust(TrustError::Root { .. })));
    assert!(is_root, "{refused:?}");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(a.peer_view(b).unwrap().chain().version(), 1);
}
