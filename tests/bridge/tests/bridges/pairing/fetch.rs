//! What an invite of a stranger, or a peer's own root, can make this bridge connect to: nothing inside.

use landbridge_proto::trust::pairing::Invite;
use landbridge_proto::wire::document::EndpointUrl;
use tokio::net::TcpListener;
use tokio::time::{Duration, timeout};

use super::{Two, fails, invite};

/// The same invite with another address: its maker wrote it, so nothing about it is damaged.
fn leading_to(invite: &str, url: &str) -> String {
    let mut invite = Invite::parse(invite).unwrap();
    invite.endpoint.url = EndpointUrl::new(url).unwrap();
    invite.to_text().unwrap().to_string()
}

//= ID-78
#[tokio::test]
async fn an_invite_that_leads_inside_is_not_followed() {
    let two = Two::strangers().await;
    let text = invite(&two.b, "us").await;
    // These bridges may dial 127.0.0.0/8 and nothing else that is not public.
    let inner = TcpListener::bind("[::1]:0").await.unwrap();
    let port = inner.local_addr().unwrap().port();
    let told = ["must not be dialled", "danger_allow_addresses"];
    for host in [
        "[::1]",
        "[::ffff:7f00:1]",
        "[::7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fd00::1]",
        "[::]",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
    ] {
        let url = format!("https://{host}:{port}");
        let Ok(url) = EndpointUrl::new(&url) else {
            // A spelling that no endpoint has: the document says so before anybody is asked.
            continue;
        };
        let leads = leading_to(&text, url.as_str());
        fails(&two.a, &["peer", "join", &leads, "--alias", "eu"], &told).await;
    }
    assert!(timeout(Duration::from_millis(50), inner.accept()).await.is_err(), "nobody came");
    // Spellings that other programs take for loopback are no endpoints at all, or names that lead nowhere.
    for host in ["127.1", "0x7f.0.0.1", "2130706433"] {
        let url = EndpointUrl::new(format!("https://{host}:{port}"));
        let Ok(url) = url else { continue };
        let leads = leading_to(&text, url.as_str());
        fails(&two.a, &["peer", "join", &leads, "--alias", "eu"], &[]).await;
    }
    // The positive twin: the block that was allowed.
    two.a.json(&["peer", "join", &text, "--alias", "eu"]).await.unwrap();
}

//= ID-78
#[tokio::test]
async fn without_an_allowed_block_not_even_loopback_is_dialled() {
    let mut two = Two::strangers().await;
    let text = invite(&two.b, "us").await;
    two.a.stop().await.unwrap();
    let path = two.a.home().join("landbridge.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let allowed = |line: &&str| !line.starts_with("danger_allow_addresses");
    let without: Vec<&str> = config.lines().filter(allowed).collect();
    assert_ne!(without.len(), config.lines().count(), "{config}");
    std::fs::write(&path, without.join("\n")).unwrap();
    two.a.serve().await.unwrap();
    let told = ["must not be dialled", "danger_allow_addresses"];
    fails(&two.a, &["peer", "join", &text, "--alias", "eu"], &told).await;
    two.a.stop().await.unwrap();
    std::fs::write(&path, config).unwrap();
    two.a.serve().await.unwrap();
    two.a.json(&["peer", "join", &text, "--alias", "eu"]).await.unwrap();
}
