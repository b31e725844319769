//! Invites that do not work, and each time what to do.

use landbridge_harness::bridge::{Bridge, text};
use serde_json::Value;

use super::{Two, fails, invite, show, state};

async fn states(bridge: &Bridge) -> Vec<(String, String)> {
    let invites = bridge.json(&["peer", "invites", "--all"]).await.unwrap();
    let one = |invite: &Value| (text(invite, "alias").unwrap(), text(invite, "state").unwrap());
    invites.as_array().unwrap().iter().map(one).collect()
}

fn pair(alias: &str, state: &str) -> (String, String) {
    (alias.to_owned(), state.to_owned())
}

//= ID-73
#[tokio::test]
async fn a_damaged_invite_is_told_from_a_refused_one_before_anybody_is_asked() {
    let mut two = Two::strangers().await;
    let whole = invite(&two.b, "us").await;
    // Nobody could be asked.
    two.b.kill().await.unwrap();
    let told = ["the invite is damaged", "to its very last character", "copy it again"];
    for cut in [whole.len() - 1, whole.len() - 7, whole.len() / 2, 6] {
        fails(&two.a, &["peer", "join", &whole[..cut], "--alias", "eu"], &told).await;
    }
    let at = whole.len() / 2;
    let other = if &whole[at..=at] == "Q" { "R" } else { "Q" };
    let changed = format!("{}{other}{}", &whole[..at], &whole[at + 1..]);
    fails(&two.a, &["peer", "join", &changed, "--alias", "eu"], &told).await;
    let other = ["an invite begins with gfp1:", "copy it again"];
    fails(&two.a, &["peer", "join", "https://eu.example", "--alias", "eu"], &other).await;
    // The whole one, wrapped by a mail program, is as good as ever.
    two.b.serve().await.unwrap();
    let wrapped = format!("{}\n  {}\n", &whole[..at], &whole[at..]);
    two.a.json(&["peer", "join", &wrapped, "--alias", "eu"]).await.unwrap();
}

#[tokio::test]
async fn expired_withdrawn_and_own_invites_say_so() {
    let two = Two::strangers().await;
    let own = invite(&two.a, "them").await;
    let told = ["made here", "give it to the other side"];
    fails(&two.a, &["peer", "join", &own, "--alias", "eu"], &told).await;

    let short = two.b.json(&["peer", "invite", "us", "--expires-in", "1s"]).await.unwrap();
    let short = text(&short, "invite").unwrap();
    super::super::lifecycle::until(&two.b.api(), "/v1/admin/invites", |invites| {
        invites[0]["state"] == "expired"
    })
    .await;
    let told = ["the invite expired at 20", "landbridge peer invite NAME"];
    fails(&two.a, &["peer", "join", &short, "--alias", "eu"], &told).await;

    let withdrawn = invite(&two.b, "us").await;
    two.b.json(&["peer", "withdraw", "us"]).await.unwrap();
    let told = ["the invite was withdrawn", "landbridge peer invite NAME"];
    fails(&two.a, &["peer", "join", &withdrawn, "--alias", "eu"], &told).await;
    fails(&two.b, &["peer", "withdraw", "us"], &["no open invite", "peer invites"]).await;

    // A second invite for one name takes the first one's place: its text was shown once.
    let first = invite(&two.b, "us").await;
    let second = two.b.json(&["peer", "invite", "us"]).await.unwrap();
    assert_eq!(second["replaced"], true);
    let told = ["the invite was withdrawn"];
    fails(&two.a, &["peer", "join", &first, "--alias", "eu"], &told).await;
    let found = states(&two.b).await;
    let gone = pair("us", "withdrawn");
    assert_eq!(found, [gone.clone(), gone.clone(), gone, pair("us", "open")]);
    let open = two.b.json(&["peer", "invites"]).await.unwrap();
    assert_eq!(open.as_array().unwrap().len(), 1, "only what still works: {open}");
    assert!(!open.to_string().contains("gfp1:"), "the secret is shown once: {open}");
    let second = text(&second, "invite").unwrap();
    two.a.json(&["peer", "join", &second, "--alias", "eu"]).await.unwrap();
    assert_eq!(states(&two.b).await[3], pair("us", "used"));
}

//= ID-34
//= ID-35
#[tokio::test]
async fn an_invite_serves_one_gateway_as_often_as_it_asks_and_no_other() {
    let two = Two::strangers().await;
    let mut c = Bridge::init(two.place.path().join("c"), &[]).await.unwrap();
    c.serve().await.unwrap();
    let invite = invite(&two.b, "us").await;
    let first = two.a.json(&["peer", "join", &invite, "--alias", "eu"]).await.unwrap();
    let again = two.a.json(&["peer", "join", &invite, "--alias", "eu"]).await.unwrap();
    assert_eq!((&first["words"], &first["gateway"]), (&again["words"], &again["gateway"]));
    let told = ["the invite was used by another gateway", "landbridge peer invite NAME"];
    fails(&c, &["peer", "join", &invite, "--alias", "eu"], &told).await;
    let peers = two.b.json(&["peer", "list"]).await.unwrap();
    assert_eq!(peers.as_array().unwrap().len(), 1, "{peers}");
    assert_eq!(peers[0]["gateway"], two.a.gateway());
    // Declined: the same invite does not bring it back.
    two.b.json(&["peer", "decline", "us"]).await.unwrap();
    let told = ["the pairing was declined"];
    fails(&two.a, &["peer", "join", &invite, "--alias", "eu"], &told).await;
}

#[tokio::test]
async fn taken_names_and_known_gateways_are_told() {
    let two = Two::paired().await;
    let mut c = Bridge::init(two.place.path().join("c"), &[]).await.unwrap();
    c.serve().await.unwrap();
    let taken = ["eu is what this bridge calls the peer", "peer rename eu eu-old"];
    fails(&two.a, &["peer", "invite", "eu"], &taken).await;
    let of_c = invite(&c, "us").await;
    fails(&two.a, &["peer", "join", &of_c, "--alias", "eu"], &taken).await;
    // Its invite was not touched by that.
    two.a.json(&["peer", "join", &of_c, "--alias", "third"]).await.unwrap();
    let waits = ["a pairing called third waits here"];
    fails(&two.a, &["peer", "invite", "third"], &waits).await;

    let of_b = invite(&two.b, "us-again").await;
    let known = ["a peer already, called eu", "--again"];
    fails(&two.a, &["peer", "join", &of_b, "--alias", "eu2"], &known).await;
    // Where the other side lost this bridge, its person decides anew; nothing changes under another name.
    let joined = two.a.json(&["peer", "join", &of_b, "--alias", "eu", "--again"]).await.unwrap();
    assert_eq!(
        (joined["alias"].as_str(), joined["acceptedHere"].as_bool()),
        (Some("eu"), Some(true))
    );
    assert_eq!(state(&two.a, "eu").await, "active");
    assert_eq!(show(&two.b, "us").await["gateway"], two.a.gateway());
    two.works("eu").await;
}
