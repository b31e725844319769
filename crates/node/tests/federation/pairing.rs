//! Pairing: an invite is good once, and opens nothing before a person on each side has said yes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use landbridge_node::local::api::{Join, NewInvite};
use landbridge_node::net::App;
use landbridge_node::pairing::There;
use landbridge_proto::machine::contract::{DocumentKind, PairingRow};
use landbridge_proto::machine::operation::Operation;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{Revocation, RevocationReason};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::limit;

use crate::support::{NOW, World, started};

fn invite(alias: &str) -> NewInvite {
    serde_json::from_value(serde_json::json!({"alias": alias})).unwrap()
}

fn join(invite: &str, alias: &str) -> Join {
    serde_json::from_value(serde_json::json!({"invite": invite, "alias": alias})).unwrap()
}

/// Two bridges that know nothing of each other; B can be reached.
async fn strangers() -> World {
    let world = World::strangers().await;
    let plane = world.b.plane.clone();
    world.serve_app(App::new(move |request| {
        let plane = plane.clone();
        async move { plane.answer(request).await }
    }));
    world
}

//= ID-35
#[tokio::test]
async fn an_invite_is_used_up_with_the_pairing_it_made() {
    let world = strangers().await;
    let text = world.b.bridge.invite(invite("us")).await.unwrap().invite;
    let joined = world.a.bridge.join(join(&text, "eu")).await.unwrap();
    let waiting = world.b.bridge.pairings().await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!((&waiting[0].gateway, &waiting[0].words), (world.a.core.own(), &joined.words));
    assert_eq!(joined.words.split(' ').count(), 12);
    // The same gateway asks again and gets the same; it is used up all the same.
    let again = world.a.bridge.join(join(&text, "eu")).await.unwrap();
    assert_eq!(again.words, joined.words);
    let third = world.third().await;
    let refused = third.bridge.join(join(&text, "eu")).await.unwrap_err();
    assert_eq!(refused.view().code, "invite_refused");
    assert_eq!(world.b.bridge.pairings().await.unwrap().len(), 1);
    assert_eq!(world.b.deeds("pairing_received"), 1);
}

//= ID-36
#[tokio::test]
async fn who_was_paired_is_a_stranger_until_a_person_accepts() {
    let world = strangers().await;
    let text = world.b.bridge.invite(invite("us")).await.unwrap().invite;
    world.a.bridge.join(join(&text, "eu")).await.unwrap();
    let refused = world.ask_for(started("early", "hang")).await;
    assert_eq!(refused.unsigned().await, "verification_failed");
    assert!(world.a.core.peer_view(world.b.core.own()).is_err());
    // Accepting is a new federation document under the policy key, which the daemon does not have.
    world.b.pin("us", &world.a, vec![crate::support::grant()]).await;
    world.a.pin("eu", &world.b, Vec::new()).await;
    assert!(world.b.bridge.pairings().await.unwrap().is_empty());
    assert_eq!(world.ask_for(started("early", "hang")).await.status, 200);
}

/// What a join met, and what it left behind: nothing.
async fn refused(world: &World, text: &str) -> String {
    let error = world.a.bridge.join(join(text, "eu")).await.unwrap_err();
    assert!(world.a.bridge.pairings().await.unwrap().is_empty());
    let reads = world.a.core.store.reads();
    let roots = reads.documents(world.b.core.own(), DocumentKind::Root).unwrap();
    assert!(roots.is_empty(), "nothing of the stranger is kept");
    assert_eq!(world.a.deeds("pairing_joined"), 0);
    error.view().code.clone()
}

//= ID-76
#[tokio::test]
async fn a_stranger_cannot_keep_a_join_busy_with_roots_without_end() {
    let world = World::strangers().await;
    let text = world.b.bridge.invite(invite("us")).await.unwrap().invite;
    let chain = Arc::new(world.b.endless_roots(400));
    let asked = Arc::new(AtomicUsize::new(0));
    let (roots, counter) = (Arc::clone(&chain), Arc::clone(&asked));
    world.serve_app(App::new(move |request| {
        counter.fetch_add(1, Ordering::Relaxed);
        let version = request.uri().path().rsplit('/').next().and_then(|n| n.parse::<usize>().ok());
        let root = version.and_then(|version| roots.get(version - 1)).map(Envelope::to_bytes);
        let mut response = Response::new(Full::new(Bytes::from(root.unwrap_or_default())));
        response.headers_mut().insert("content-type", "application/json".parse().unwrap());
        async { response }
    }));
    assert_eq!(refused(&world, &text).await, "too_large");
    assert!(asked.load(Ordering::Relaxed) <= 258, "{asked:?}");
}

//= ID-33
//= ID-39
//= ID-76
#[tokio::test]
async fn what_a_stranger_answers_instead_of_its_roots_is_refused() {
    // Another gateway's roots, a redirect to the joiner itself, packed bytes, and bytes without end.
    for (case, code) in [
        ("another", "invite_refused"),
        ("redirect", "peer_unreachable"),
        ("packed", "peer_unreachable"),
        ("long", "peer_unreachable"),
        ("nothing", "invite_refused"),
    ] {
        let world = World::strangers().await;
        let text = world.b.bridge.invite(invite("us")).await.unwrap().invite;
        let own = world.a.core.identity.present().chain()[0].to_bytes();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        world.serve_app(App::new(move |_request| {
            counter.fetch_add(1, Ordering::Relaxed);
            let mut response = Response::new(Full::new(Bytes::from(own.clone())));
            let headers = response.headers_mut();
            match case {
                "redirect" => {
                    headers.insert("location", "https://us.example:7443/".parse().unwrap());
                    *response.status_mut() = http::StatusCode::FOUND;
                }
                "packed" => {
                    headers.insert("content-encoding", "gzip".parse().unwrap());
                }
                "long" => *response.body_mut() = Full::new(vec![b' '; 4 << 20].into()),
                "nothing" => *response.status_mut() = http::StatusCode::NOT_FOUND,
                _ => {}
            }
            async { response }
        }));
        assert_eq!(refused(&world, &text).await, code, "{case}");
        assert_eq!(asked.load(Ordering::Relaxed), 1, "{case}: asked once, and nowhere else");
    }
}

//= ID-34
//= ID-74
#[tokio::test]
async fn only_the_two_of_a_pairing_are_told_how_it_stands() {
    let world = strangers().await;
    let text = world.b.bridge.invite(invite("us")).await.unwrap().invite;
    let row = {
        world.a.bridge.join(join(&text, "eu")).await.unwrap();
        world.a.core.unfinished_pairing(world.b.core.own()).unwrap().unwrap()
    };
    assert_eq!(world.a.core.settle_pairing(&row).await, There::Pending);
    // Another gateway that saw invite and proof: it is told nothing, and B keeps nothing of it.
    let third = world.third().await;
    let stolen = PairingRow { peer: world.b.core.own().clone(), ..row.clone() };
    third.know(&world.b).await;
    let told = third.core.settle_pairing(&stolen).await;
    assert!(matches!(told, There::Gone(_)), "{told:?}");
    assert_eq!(world.b.bridge.pairings().await.unwrap().len(), 1);
    // The joiner under another proof, and by an invite that is not its own.
    let other = Digest::of(b"other", &[]);
    for wrong in
        [PairingRow { proof: other, ..row.clone() }, PairingRow { invite: other, ..row.clone() }]
    {
        assert!(matches!(world.a.core.settle_pairing(&wrong).await, There::Gone(_)));
    }
    world.b.pin("us", &world.a, Vec::new()).await;
    assert_eq!(world.a.core.settle_pairing(&row).await, There::Accepted);
}

#[tokio::test]
async fn the_same_pairing_request_twice_is_refused() {
    let world = strangers().await;
    let text = world.b.bridge.invite(invite("us")).await.unwrap().invite;
    let invite = landbridge_proto::trust::pairing::Invite::parse(&text).unwrap();
    let body = world.pairing_body(&invite);
    assert_eq!(world.post("/federation/v1/pairing", body.clone()).await.status, 200);
    let again = world.post("/federation/v1/pairing", body).await;
    assert_eq!(again.unsigned().await, "replayed");
    assert_eq!(world.b.deeds("pairing_received"), 1);
}

//= ID-79
#[tokio::test]
async fn a_gateway_of_many_roots_can_be_paired_with() {
    let world = strangers().await;
    let text = world.b.bridge.invite(invite("us")).await.unwrap().invite;
    let invite = landbridge_proto::trust::pairing::Invite::parse(&text).unwrap();
    let body = world.pairing_body(&invite);
    let shown = |count: usize| {
        let roots = Some(world.a.endless_roots(count - 1));
        Operation { roots, ..Operation::parse(&body).unwrap() }.to_bytes()
    };
    let path = "/federation/v1/pairing";
    let refused = world.post(path, shown(limit::CHAIN_ROOTS_MAX + 1)).await;
    assert_eq!(refused.unsigned().await, "too_large");
    assert_eq!(world.post(path, shown(70)).await.status, 200);
    assert_eq!(world.b.bridge.pairings().await.unwrap()[0].root_version, 70);
}

//= ID-35
#[tokio::test]
async fn an_inviter_without_a_key_to_answer_with_does_not_use_up_the_invite() {
    let world = strangers().await;
    let text = world.b.bridge.invite(invite("us")).await.unwrap().invite;
    let invite = landbridge_proto::trust::pairing::Invite::parse(&text).unwrap();
    let kid = world.b.key(Role::Stream);
    let one = Revocation { kid, reason: RevocationReason::Retired, since: NOW };
    world.b.core.trust.revoke_key(&world.b.core, one).await.unwrap();
    let refused = world.post("/federation/v1/pairing", world.pairing_body(&invite)).await;
    assert_eq!(refused.unsigned().await, "halted");
    assert_eq!(world.b.deeds("pairing_received"), 0);
    let row = world.b.core.store.reads().invite(&invite.id()).unwrap().unwrap();
    assert!(row.is_open());
}
