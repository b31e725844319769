//! `GET /v1/gateways`: what may be reached, and how it does, as far as it was really seen.

use std::time::Duration;

use http::Method;
use landbridge_node::core::Settings;
use landbridge_node::net::App;
use landbridge_proto::wire::document::PeerStatus;
use serde_json::{Value, json};

use crate::plane::{Plane, start};
use crate::support::World;

async fn gateway(plane: &Plane, query: &str) -> Value {
    let answer = plane.ask(Method::GET, &format!("/v1/gateways/eu{query}"), None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn health_is_what_was_seen_and_a_probe_looks_anew() {
    let world = World::of(Settings::default(), Settings::default()).await;
    let plane = Plane::unreachable(world).await;
    // Nothing was tried: the pinned status is known, and whether the peer answers is not.
    let seen = gateway(&plane, "").await;
    assert_eq!(seen["peer"], "eu");
    assert_eq!(seen["peerGateway"], plane.world.b.core.own().as_str());
    assert_eq!((&seen["peerStatus"], &seen["usable"]), (&json!("active"), &json!(true)));
    assert_eq!(seen["tenant"], json!({"local": "acme", "remote": "ops"}));
    assert_eq!(seen["agent"], "demo");
    let limits = json!({"deadlineDefault": "10m", "deadlineMax": "1d", "promptBytesMax": 65536});
    assert_eq!(seen["limits"], limits);
    assert_eq!(seen["health"]["reachable"], Value::Null);
    assert_eq!(seen["health"]["lastError"], Value::Null);
    assert_eq!(seen["health"]["statusFresh"], true);
    assert_eq!(seen["health"]["lastContact"], seen["health"]["statusIssued"]);

    // A run that cannot be delivered shows; reading does not ask anybody.
    let made = plane.ask(Method::POST, "/v1/runs", Some(start("nobody-there", "say x"))).await;
    assert_eq!(made.status, 201);
    let mut seen = gateway(&plane, "").await;
    while seen["health"]["lastError"].is_null() {
        tokio::time::sleep(Duration::from_millis(5)).await;
        seen = gateway(&plane, "").await;
    }
    assert_eq!(seen["health"]["reachable"], false);
    let detail = seen["health"]["lastError"]["detail"].as_str().unwrap();
    assert!(detail.starts_with("the peer cannot be reached: "), "{detail}");

    // The peer comes back: a probe sees it at once, and what failed before stays told.
    let b = plane.world.b.plane.clone();
    plane.world.serve_app(App::new(move |request| {
        let b = b.clone();
        async move { b.answer(request).await }
    }));
    plane.world.clock.advance_ms(1_000);
    let probed = gateway(&plane, "?probe=true").await;
    assert_eq!(probed["health"]["reachable"], true, "{probed}");
    assert!(!probed["health"]["lastError"].is_null());
    assert_ne!(probed["health"]["lastContact"], seen["health"]["lastContact"]);
    let refused = plane.ask(Method::GET, "/v1/gateways/eu?probe=yes", None).await;
    assert_eq!(refused.code(), "malformed");
    assert_eq!(plane.ask(Method::GET, "/v1/gateways/nowhere", None).await.code(), "not_found");
}

#[tokio::test]
async fn a_probe_takes_the_verb_of_a_test() {
    let plane = Plane::new().await;
    let (_, reader) = plane.token(json!({"name": "reader", "verbs": ["read"]})).await;
    let ask = async |path: &str| plane.ask_as(&reader, Method::GET, path, None).await;
    assert_eq!(ask("/v1/gateways/eu").await.status, 200);
    assert_eq!(ask("/v1/gateways/eu?probe=false").await.status, 200);
    let refused = ask("/v1/gateways/eu?probe=true").await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"));
}

#[tokio::test]
async fn the_peers_status_is_told() {
    let plane = Plane::new().await;
    let a = &plane.world.a;
    let mut peer = a.core.trust.state().federation.as_ref().unwrap().document().peers[0].clone();
    for (status, word) in [(PeerStatus::Suspended, "suspended"), (PeerStatus::Active, "active")] {
        peer.status = status;
        let mut draft = a.draft();
        draft.put_peer(peer.clone());
        a.put(draft).await;
        let seen = gateway(&plane, "").await;
        assert_eq!(
            (&seen["peerStatus"], &seen["usable"]),
            (&json!(word), &json!(word == "active"))
        );
    }
}
