//! Pairing as people do it: real bridges, the real commands, and everything that goes wrong on the way.

mod crash;
mod fetch;
mod invites;
mod moved;
mod people;

use std::process::Output;

use landbridge_harness::bridge::{Bridge, text};
use serde_json::Value;
use tempfile::TempDir;

/// Two bridges that run and know nothing of each other.
struct Two {
    a: Bridge,
    b: Bridge,
    place: TempDir,
}

impl Two {
    async fn strangers() -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut a = Bridge::init(place.path().join("a"), &[]).await.unwrap();
        let mut b = Bridge::init(place.path().join("b"), &[]).await.unwrap();
        a.serve().await.unwrap();
        b.serve().await.unwrap();
        Self { a, b, place }
    }

    /// Both know each other, as `eu` and `us`, and A may use B.
    async fn paired() -> Self {
        let two = Self::strangers().await;
        two.pair("eu").await;
        two.works("eu").await;
        two
    }

    /// B invites A, and both accept.
    async fn pair(&self, eu: &str) {
        let invite = invite(&self.b, "us").await;
        let joined = self.a.json(&["peer", "join", &invite, "--alias", eu]).await.unwrap();
        let words = text(&joined, "words").unwrap();
        self.a.json(&["peer", "accept", eu, "--words", &words]).await.unwrap();
        self.b.json(&["peer", "accept", "us", "--words", &words]).await.unwrap();
        assert_eq!(state(&self.a, eu).await, "active");
    }

    /// A uses B.
    async fn works(&self, eu: &str) {
        self.b.json(&["grant", "add", "us", "--agent", "demo"]).await.unwrap();
        let start = ["run", "start", eu, "--agent", "demo", "--prompt", "say it works"];
        let output = self.a.output(&start).await.unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
}

async fn invite(bridge: &Bridge, alias: &str) -> String {
    text(&bridge.json(&["peer", "invite", alias]).await.unwrap(), "invite").unwrap()
}

async fn show(bridge: &Bridge, alias: &str) -> Value {
    bridge.json(&["peer", "show", alias]).await.unwrap()
}

async fn state(bridge: &Bridge, alias: &str) -> String {
    text(&show(bridge, alias).await, "state").unwrap()
}

/// What a command told people.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A command that must fail, telling all of this: what happened, why, and what to try.
async fn fails(bridge: &Bridge, command: &[&str], told: &[&str]) {
    let output = bridge.output(command).await.unwrap();
    let said = said(&output);
    assert_ne!(output.status.code(), Some(0), "{command:?}: {said}");
    assert!(said.contains("  try: "), "{command:?}: {said}");
    for part in told {
        assert!(said.contains(part), "{command:?} does not say {part:?}: {said}");
    }
}
