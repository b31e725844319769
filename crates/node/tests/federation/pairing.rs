//! Pairing: an invite is good once, and opens nothing before a person on each side has said yes.

use landbridge_node::local::api::{Join, NewInvite};
use landbridge_node::net::App;
use landbridge_proto::wire::problem::Code;

use crate::support::{World, started};

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
    // The same invite again, from the same gateway or any other, is refused and changes nothing.
    let again = world.a.bridge.join(join(&text, "eu")).await.unwrap_err();
    assert_eq!(again.code(), Some(Code::VerificationFailed));
    let told = again.detail.as_deref().unwrap_or_default();
    assert!(told.contains("refused (verification_failed"), "{told}");
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
