//! Killed at every named point of pairing, on either side: old or new trust afterwards, never between; and
//! the same invite serves again, or is honestly used up.

use landbridge_harness::bridge::text;

use super::{Two, invite, state};

/// Leads a pairing to its end, whatever part of it is done already.
async fn finish(two: &Two, invite: &str, point: &str) {
    let joined = two.a.json(&["peer", "join", invite, "--alias", "eu"]).await;
    let joined = joined.unwrap_or_else(|error| panic!("{point}: {error}"));
    let words = text(&joined, "words").unwrap();
    for (bridge, alias) in [(&two.a, "eu"), (&two.b, "us")] {
        let accept = bridge.json(&["peer", "accept", alias, "--words", &words]).await;
        accept.unwrap_or_else(|error| panic!("{point}: {error}"));
    }
    assert_eq!(state(&two.a, "eu").await, "active", "{point}");
    assert_eq!(state(&two.b, "us").await, "active", "{point}");
    two.works("eu").await;
}

#[tokio::test]
async fn an_inviter_killed_while_it_invites_has_an_invite_or_none() {
    for (point, open) in [("pairing.invite_made", 0), ("pairing.invite_durable", 1)] {
        let mut two = Two::strangers().await;
        two.b.kill().await.unwrap();
        two.b.serve_until(point).await.unwrap();
        assert!(!two.b.output(&["peer", "invite", "us"]).await.unwrap().status.success());
        two.b.died().await.unwrap();
        two.b.serve().await.unwrap();
        let invites = two.b.json(&["peer", "invites"]).await.unwrap();
        assert_eq!(invites.as_array().unwrap().len(), open, "{point}");
        // Nobody saw its text: another one takes its place.
        let again = invite(&two.b, "us").await;
        finish(&two, &again, point).await;
    }
}

#[tokio::test]
async fn an_inviter_killed_while_it_is_joined_serves_the_same_joiner_again() {
    for (point, waiting) in [("pairing.received", 0), ("pairing.kept", 1)] {
        let mut two = Two::strangers().await;
        let invite = invite(&two.b, "us").await;
        two.b.kill().await.unwrap();
        two.b.serve_until(point).await.unwrap();
        let join = ["peer", "join", &invite, "--alias", "eu"];
        assert!(!two.a.output(&join).await.unwrap().status.success(), "{point}");
        two.b.died().await.unwrap();
        two.b.serve().await.unwrap();
        let pairings = two.b.api().get("/v1/admin/pairings").await.unwrap().json();
        assert_eq!(pairings.as_array().unwrap().len(), waiting, "{point}");
        assert_eq!(two.a.json(&["peer", "list"]).await.unwrap(), serde_json::json!([]));
        finish(&two, &invite, point).await;
    }
}

#[tokio::test]
async fn a_joiner_killed_while_it_joins_uses_the_same_invite_again() {
    for (point, waiting) in [("pairing.proven", 0), ("pairing.joined", 1)] {
        let mut two = Two::strangers().await;
        let invite = invite(&two.b, "us").await;
        two.a.kill().await.unwrap();
        two.a.serve_until(point).await.unwrap();
        let join = ["peer", "join", &invite, "--alias", "eu"];
        assert!(!two.a.output(&join).await.unwrap().status.success(), "{point}");
        two.a.died().await.unwrap();
        two.a.serve().await.unwrap();
        let pairings = two.a.api().get("/v1/admin/pairings").await.unwrap().json();
        assert_eq!(pairings.as_array().unwrap().len(), waiting, "{point}");
        finish(&two, &invite, point).await;
    }
}

#[tokio::test]
async fn either_side_killed_while_it_accepts_trusts_as_before_or_as_signed() {
    for (point, after) in
        [("federation.signed", "awaitingAccept"), ("federation.durable", "awaitingPeer")]
    {
        for joiner in [true, false] {
            let mut two = Two::strangers().await;
            let invite = invite(&two.b, "us").await;
            let joined = two.a.json(&["peer", "join", &invite, "--alias", "eu"]).await.unwrap();
            let words = text(&joined, "words").unwrap();
            let (side, alias) = if joiner { (&mut two.a, "eu") } else { (&mut two.b, "us") };
            side.kill().await.unwrap();
            side.serve_until(point).await.unwrap();
            let accept = ["peer", "accept", alias, "--words", &words];
            assert!(!side.output(&accept).await.unwrap().status.success(), "{point}");
            side.died().await.unwrap();
            side.serve().await.unwrap();
            assert_eq!(state(side, alias).await, after, "{point}");
            finish(&two, &invite, point).await;
        }
    }
}
