//! People who decide with keys of their own, by the commands that they type.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::bridge::{Bridge, text};

/// Somebody with a key.
#[derive(Clone, Debug)]
pub struct Person {
    name: String,
    key: PathBuf,
}

/// What a command for a decision came to.
#[derive(Clone, Debug)]
pub struct Said {
    /// The exit code.
    pub exit: i32,
    /// The approval, where the decision was taken.
    pub view: Value,
    /// What was told and shown to the person.
    pub told: String,
}

impl Person {
    /// With a key in a file, as `operator key new` makes it.
    pub async fn with_file(at: &Bridge, place: &Path, name: &str) -> Self {
        let person = Self::named(place, name);
        let made = at.json(&["operator", "key", "new", &person.key()]).await;
        std::fs::write(person.public(), text(&made, "public")).unwrap();
        person
    }

    /// With a key of SSH, as `ssh-keygen` makes it.
    pub async fn with_ssh(place: &Path, name: &str) -> Self {
        let person = Self::named(place, name);
        let mut keygen = tokio::process::Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&person.key);
        let made = keygen.output().await.expect("ssh-keygen can be run");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        person
    }

    fn named(place: &Path, name: &str) -> Self {
        let place = place.join("keys");
        std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&place).unwrap();
        Self { name: name.to_owned(), key: place.join(name) }
    }

    fn key(&self) -> String {
        self.key.to_string_lossy().into_owned()
    }

    fn public(&self) -> String {
        self.key() + ".pub"
    }

    /// Enrols the person as an operator.
    pub async fn enrol(&self, at: &Bridge, tenant: &str, scope: &str) {
        let mut arguments = vec!["operator", "enrol", &self.name, "--tenant", tenant];
        let public = self.public();
        arguments.extend(["--scope", scope, "--key", &public]);
        at.json(&arguments).await;
    }

    /// Approves, without being asked whether to.
    pub async fn approve(&self, at: &Bridge, id: &str) -> Said {
        self.decide(at, "approve", id).await
    }

    /// Denies, without being asked whether to.
    pub async fn deny(&self, at: &Bridge, id: &str) -> Said {
        self.decide(at, "deny", id).await
    }

    async fn decide(&self, at: &Bridge, vote: &str, id: &str) -> Said {
        Said::of(&at.output(&["approval", vote, id, "--key", &self.key(), "--yes"]).await)
    }
}

impl Said {
    fn of(output: &Output) -> Self {
        Self {
            exit: output.status.code().unwrap_or(-1),
            view: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            told: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The decision was taken.
    #[must_use]
    pub fn taken(self) -> Self {
        assert_eq!(self.exit, 0, "{}", self.told);
        self
    }

    /// The decision was not taken, and one of these words says why.
    pub fn not_taken(&self, why: &[&str]) {
        let said = why.iter().any(|why| self.told.contains(why));
        assert!(self.exit != 0 && said, "not for {why:?}: {} {}", self.exit, self.told);
    }
}
