//! People who decide: operators with keys of their own, the scopes that they hold, and whose count where.

use std::path::PathBuf;

use anyhow::Context;
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::SigningKey;

use super::{Bridge, Pair};

/// An operator of a bridge, with a key in a file.
#[derive(Debug)]
pub struct Person {
    /// What they are called.
    pub name: String,
    /// The file of their key, as `landbridge operator key new` writes it.
    pub key: PathBuf,
    /// The key.
    pub secret: SigningKey,
}

impl Person {
    /// A person with a new key, whose files are put below a directory.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn new(name: &str, place: &std::path::Path) -> anyhow::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let secret = SigningKey::from_bytes(&seed);
        let person = Self { name: name.to_owned(), key: place.join(format!("{name}.key")), secret };
        let line = format!("landbridge-key-v1 operator {}\n", BASE64URL_NOPAD.encode(&seed));
        std::fs::write(&person.key, line)?;
        let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&person.key, closed)?;
        let public = BASE64URL_NOPAD.encode(person.secret.verifying_key().as_bytes());
        std::fs::write(person.public(), format!("{public}\n"))?;
        Ok(person)
    }

    /// The file of the public half.
    #[must_use]
    pub fn public(&self) -> PathBuf {
        self.key.with_extension("pub")
    }
}

impl Bridge {
    /// Adds a scope of the tenant `default` to the configuration, and publishes what is configured.
    ///
    /// # Errors
    ///
    /// With what the command said.
    pub async fn publish(&self, scope: &str, description: &str) -> anyhow::Result<()> {
        self.configure_scope(scope, description)?;
        self.json(&["scope", "publish", "--yes"]).await.map(drop)
    }

    /// Adds a scope of the tenant `default` to the configuration, or changes what it says.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn configure_scope(&self, scope: &str, description: &str) -> anyhow::Result<()> {
        let path = self.home().join("landbridge.toml");
        let text = std::fs::read_to_string(&path)?;
        let head = format!("[[scopes]]\ntenant = \"default\"\nname = \"{scope}\"\n");
        let whole = format!("{head}description = \"{description}\"\n");
        let text = match text.split_once(&head) {
            Some((before, after)) => {
                let rest = after.split_once('\n').map_or("", |(_, rest)| rest);
                format!("{before}{whole}{rest}")
            }
            None => format!("{text}\n{whole}"),
        };
        Ok(std::fs::write(&path, text)?)
    }

    /// Enrols a person with a new key in a file, for the tenant `default`.
    ///
    /// # Errors
    ///
    /// With what the command said.
    pub async fn enrol(&self, name: &str, scopes: &[&str]) -> anyhow::Result<Person> {
        let person = Person::new(name, self.home())?;
        let public = person.public();
        let public = public.to_str().context("a home has a name")?;
        let mut arguments = vec!["operator", "enrol", name, "--key", public];
        for scope in scopes {
            arguments.extend(["--scope", scope]);
        }
        self.json(&arguments).await?;
        Ok(person)
    }
}

impl Pair {
    /// A's operators decide for runs of A's at B: `name` holds `sre-lead` at A, which fulfils B's `ops-lead`,
    /// and B's grant of the agent `demo` waits for one approval of that scope.
    ///
    /// # Errors
    ///
    /// Says which step failed.
    pub async fn caller_decides(&self, name: &str) -> anyhow::Result<Person> {
        self.a.publish("sre-lead", "Leads an incident; may change production.").await?;
        let person = self.a.enrol(name, &["sre-lead"]).await?;
        // B may read A's catalog where A grants it something.
        self.a.json(&["grant", "add", "eu", "--ask", "approval-request"]).await?;
        let map =
            ["scope", "map", "add", "us", "--remote-scope", "sre-lead", "--scope", "ops-lead"];
        self.b.json(&map).await?;
        self.grant(&["--approval-scope", "ops-lead"]).await?;
        Ok(person)
    }

    /// B's operators decide for workflows at A: `name` holds `sre-lead` at B, which fulfils A's `ops-lead`, and
    /// A may ask them.
    ///
    /// # Errors
    ///
    /// Says which step failed.
    pub async fn executor_decides(&self, name: &str) -> anyhow::Result<Person> {
        self.b.publish("sre-lead", "Leads an incident; may change production.").await?;
        let person = self.b.enrol(name, &["sre-lead"]).await?;
        self.grant(&["--ask", "prompt", "--ask", "approval-request"]).await?;
        let map =
            ["scope", "map", "add", "eu", "--remote-scope", "sre-lead", "--scope", "ops-lead"];
        self.a.json(&map).await?;
        Ok(person)
    }
}
