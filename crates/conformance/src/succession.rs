//! The kit's own roots after the first: good ones, by which it goes on, and others that nobody may believe.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::home::Home;
use crate::wire::{self, Envelope, Key};

/// A further root, before it is signed.
pub(crate) struct Next {
    pub(crate) root: Value,
    /// The keys that sign it.
    pub(crate) signers: Vec<Key>,
    /// New seeds, by what they are for.
    seeds: Vec<(&'static str, [u8; 32])>,
}

impl Next {
    /// A good successor of a root: one version more, with the same keys, signed by the root key.
    pub(crate) fn after(home: &Home, before: &Envelope) -> Result<Self> {
        let mut root: Value = serde_json::from_slice(&before.payload)?;
        let version = root["version"].as_u64().context("a root has a version")?;
        root["version"] = json!(version + 1);
        root["prev"] = json!(before.name());
        root["issued"] = json!(wire::now());
        Ok(Self { root, signers: vec![home.key("root")?], seeds: Vec::new() })
    }

    /// Puts new keys in the place of all keys of a role, for these purposes of the kit.
    pub(crate) fn renewed(mut self, role: &str, purposes: &[&'static str]) -> Result<Self> {
        let kept = |kid: &Value| kid.as_str().unwrap_or_default().to_owned();
        let old: Vec<String> = self.root["roles"][role]["keyids"]
            .as_array()
            .map_or_else(Vec::new, |kids| kids.iter().map(kept).collect());
        let life = self.root["keys"][&old[0]].clone();
        for kid in &old {
            self.root["keys"].as_object_mut().map(|keys| keys.remove(kid));
        }
        let mut kids = Vec::new();
        for purpose in purposes {
            let seed = wire::random()?;
            let key = Key::of(seed);
            let mut entry = life.clone();
            entry["pub"] = json!(key.public());
            self.root["keys"][&key.kid] = entry;
            self.seeds.push((purpose, seed));
            kids.push(key.kid.clone());
            if role == "root" {
                self.signers.push(key);
            }
        }
        kids.sort();
        self.root["roles"][role]["keyids"] = json!(kids);
        Ok(self)
    }

    /// The root as it is shown.
    pub(crate) fn signed(&self) -> Envelope {
        let payload = wire::bytes_of(&self.root);
        let mut signed = Envelope { media: wire::media("root"), payload, signatures: Vec::new() };
        let bytes = wire::pae(&signed.media, &signed.payload);
        for key in &self.signers {
            signed.signatures.push((key.kid.clone(), key.sign(&bytes).to_vec()));
        }
        signed.signatures.sort();
        signed
    }

    /// Has the kit go by it from now on.
    pub(crate) fn adopted(self, home: &mut Home) -> Result<Envelope> {
        let signed = self.signed();
        home.adopt(signed.clone(), &self.seeds)?;
        Ok(signed)
    }
}
