//! Peers that moved, were renamed, or lost their keys.

use std::net::SocketAddr;

use landbridge_harness::bridge::{Bridge, free_address, text};
use landbridge_node::identity::{load_key, offline_key, own_root};
use landbridge_proto::trust::signer::sign_typed;
use landbridge_proto::wire::document::{Endpoint, EndpointUrl, Root, raw};
use landbridge_proto::wire::kind::Role;

use super::{Two, fails, said, show, state};

/// Signs the next root of a bridge, which names these addresses.
fn next_root(bridge: &Bridge, addresses: &[SocketAddr]) {
    let own = own_root(bridge.home()).unwrap();
    let mut root = raw::Root::from(own.root().clone());
    let pin = root.endpoints[0].tls_spki;
    let endpoint = |at: &SocketAddr| Endpoint {
        tls_spki: pin,
        url: EndpointUrl::new(format!("https://{at}")).unwrap(),
    };
    root.endpoints = addresses.iter().map(endpoint).collect();
    root.version += 1;
    root.prev = Some(own.digest());
    let signer = load_key(&offline_key(bridge.home(), Role::Root), Role::Root).unwrap();
    let version = root.version;
    let envelope = sign_typed(&signer, &Root::try_from(root).unwrap()).unwrap();
    let path = bridge.home().join(format!("root/{version}.json"));
    std::fs::write(path, envelope.to_bytes()).unwrap();
}

/// Makes a bridge that is down listen somewhere else.
fn listen_at(bridge: &Bridge, from: SocketAddr, to: SocketAddr) {
    let path = bridge.home().join("landbridge.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let (from, to) = (format!("\"{from}\""), format!("\"{to}\""));
    assert!(text.contains(&from), "{text}");
    std::fs::write(&path, text.replace(&from, &to)).unwrap();
}

async fn passes(bridge: &Bridge, alias: &str) -> bool {
    bridge.output(&["route", "test", alias]).await.unwrap().status.success()
}

#[tokio::test]
async fn a_peer_that_tells_its_new_address_in_time_is_followed() {
    let mut two = Two::paired().await;
    let (old, new) = (two.b.listen(), free_address().unwrap());
    two.b.stop().await.unwrap();
    next_root(&two.b, &[new, old]);
    two.b.serve().await.unwrap();
    // It is still at the old address, which its newer root also names.
    assert!(passes(&two.a, "eu").await);
    assert_eq!(show(&two.a, "eu").await["rootVersion"], 2);
    two.b.stop().await.unwrap();
    listen_at(&two.b, old, new);
    two.b.serve().await.unwrap();
    assert!(passes(&two.a, "eu").await);
    two.works("eu").await;
}

//= ID-75
//= ID-77
#[tokio::test]
async fn a_peer_that_is_gone_from_its_address_is_found_where_its_people_say() {
    let mut two = Two::paired().await;
    let (old, new) = (two.b.listen(), free_address().unwrap());
    two.b.stop().await.unwrap();
    listen_at(&two.b, old, new);
    two.b.serve().await.unwrap();
    assert!(!passes(&two.a, "eu").await);
    let shown = two.a.output(&["peer", "show", "eu"]).await.unwrap();
    assert!(said(&shown).contains("landbridge peer address eu"), "{}", said(&shown));
    // Without a new root of its own: the address is signed here.
    let url = format!("https://{new}");
    let output = two.a.output(&["peer", "address", "eu", &url]).await.unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("looked for at"), "{}", said(&output));
    assert!(passes(&two.a, "eu").await);
    two.works("eu").await;
    // Forgotten again, it is only where its root says: nowhere.
    two.a.json(&["peer", "address", "eu", "--forget"]).await.unwrap();
    assert!(!passes(&two.a, "eu").await);
    // With a new root: it says itself where it is, and nothing is signed here.
    two.b.stop().await.unwrap();
    next_root(&two.b, &[new]);
    two.b.serve().await.unwrap();
    let version = two.a.api().get("/v1/admin/federation").await.unwrap().json()["version"].clone();
    let output = two.a.output(&["peer", "address", "eu", &url]).await.unwrap();
    assert!(said(&output).contains("says itself that it is there"), "{}", said(&output));
    let after = two.a.api().get("/v1/admin/federation").await.unwrap().json()["version"].clone();
    assert_eq!(version, after);
    assert!(passes(&two.a, "eu").await);
}

//= ID-75
#[tokio::test]
async fn another_gateway_at_an_address_is_never_taken_for_the_peer() {
    let two = Two::paired().await;
    let mut c = Bridge::init(two.place.path().join("c"), &[]).await.unwrap();
    c.serve().await.unwrap();
    let url = format!("https://{}", c.listen());
    let told = [
        c.gateway(),
        "another gateway answers",
        "an address is no identity",
        "peer rename eu eu-old",
    ];
    let told = told.map(str::to_lowercase);
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    let output = two.a.output(&["peer", "address", "eu", &url]).await.unwrap();
    let said = said(&output).to_lowercase();
    assert!(!output.status.success() && told.iter().all(|part| said.contains(part)), "{said}");
    // Nobody at all.
    let nobody = format!("https://{}", free_address().unwrap());
    fails(&two.a, &["peer", "address", "eu", &nobody], &["check the address"]).await;
    assert!(passes(&two.a, "eu").await, "the peer is where it was");
}

#[tokio::test]
async fn a_peer_is_renamed_and_what_names_it_is_told() {
    let two = Two::paired().await;
    let config = two.a.home().join("landbridge.toml");
    let token = two.a.json(&["token", "create", "ci", "--route", "eu"]).await.unwrap();
    let told = ["named elsewhere; nothing was renamed", token["id"].as_str().unwrap(), "--force"];
    fails(&two.a, &["peer", "rename", "eu", "berlin"], &told).await;
    assert_eq!(state(&two.a, "eu").await, "active");
    fails(&two.a, &["peer", "rename", "eu", "eu"], &["is taken here"]).await;
    fails(&two.a, &["peer", "rename", "nobody", "x"], &["no accepted peer", "peer list"]).await;
    let renamed = two.a.output(&["peer", "rename", "eu", "berlin", "--force"]).await.unwrap();
    assert!(renamed.status.success(), "{}", said(&renamed));
    assert!(said(&renamed).contains("still names eu: token"), "{}", said(&renamed));
    fails(&two.a, &["peer", "show", "eu"], &["no peer is called eu", "peer list"]).await;
    two.works("berlin").await;
    // A route of the configuration that names it.
    let mut two = two;
    two.a.stop().await.unwrap();
    let mut text = std::fs::read_to_string(&config).unwrap();
    text.push_str(
        "\n[routes.triage]\npeer = \"berlin\"\ntenant = { local = \"ops\", remote = \"acme\" }\n",
    );
    std::fs::write(&config, text).unwrap();
    two.a.serve().await.unwrap();
    let told = ["route triage in the configuration", "--force"];
    fails(&two.a, &["peer", "rename", "berlin", "eu"], &told).await;
    assert_eq!(state(&two.a, "berlin").await, "active");
}

/// The other side lost its keys and made a new bridge at the old address. It is another gateway: nothing
/// of the old trust passes to it without a person on each side.
//= ID-38
#[tokio::test]
async fn a_peer_that_lost_its_keys_is_a_stranger_until_two_people_pair_again() {
    let mut two = Two::paired().await;
    let before = two.b.gateway().to_owned();
    two.b.kill().await.unwrap();
    std::fs::remove_dir_all(two.b.home()).unwrap();
    two.b.make().await.unwrap();
    two.b.serve().await.unwrap();
    assert_ne!(two.b.gateway(), before);
    // At its address answers somebody with another key: told by the test, by show, doctor and a run.
    fails(&two.a, &["route", "test", "eu"], &["does not have the peer's TLS key"]).await;
    let told = ["lost its keys", "landbridge peer rename eu eu-old", "landbridge peer address eu"];
    let shown = two.a.output(&["peer", "show", "eu"]).await.unwrap();
    let doctor = two.a.output(&["doctor"]).await.unwrap();
    let start = ["run", "start", "eu", "--agent", "demo", "--prompt", "say hi", "--detach"];
    let started = two.a.output(&start).await.unwrap();
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    for text in [said(&shown), doctor, said(&started)] {
        assert!(told.iter().all(|part| text.contains(part)), "{text}");
    }
    assert_eq!(show(&two.a, "eu").await["gateway"], before, "no key was swapped");
    assert!(two.b.executions().unwrap().is_empty());
    // The way back, as it was told: two people, and the words.
    two.a.json(&["peer", "rename", "eu", "eu-old"]).await.unwrap();
    two.pair("eu").await;
    assert_eq!(text(&show(&two.a, "eu").await, "gateway").unwrap(), two.b.gateway());
    assert_eq!(text(&show(&two.a, "eu-old").await, "gateway").unwrap(), before);
    two.works("eu").await;
}
