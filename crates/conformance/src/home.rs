//! The kit as a gateway: its keys, its root, and the executor that it was introduced to.
//!
//! It is a peer like any other. It joins by an invite (`spec/identity.md`, Pairing), so an executor needs
//! nothing made for tests. It listens nowhere; its chain and status go along with what it asks.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value, json};

use crate::http::{self, Place};
use crate::wire::{self, Envelope, Key};

/// The keys of the kit, by what they are for. `spare` is a second key of the role `request`.
pub(crate) const KEYS: [&str; 6] = ["policy", "request", "root", "spare", "status", "stream"];

/// What is on disk, and what follows from it.
pub(crate) struct Home {
    pub(crate) path: PathBuf,
    pub(crate) gid: String,
    /// Its roots, from version 1.
    pub(crate) roots: Vec<Envelope>,
    seeds: Value,
    /// The executor: `gid` and `place`, after a pairing.
    peer: Value,
}

impl Home {
    /// Reads the home, or makes keys and a root.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = path.join(FILE);
        if !file.exists() {
            std::fs::create_dir_all(path)?;
            make(&file)?;
        }
        let kept: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
        let texts = kept["roots"].as_array().context("roots are kept")?.iter();
        let read = |text: &Value| Envelope::read(text.as_str().unwrap_or_default().as_bytes());
        let roots = texts.map(read).collect::<Result<Vec<_>>>()?;
        let gid = gid_of(roots.first().context("a root is kept")?);
        let (seeds, peer) = (kept["seeds"].clone(), kept["peer"].clone());
        Ok(Self { path: path.to_owned(), gid, roots, seeds, peer })
    }

    /// The version of its newest root.
    pub(crate) fn version(&self) -> usize {
        self.roots.len()
    }

    /// Its newest root.
    pub(crate) fn root(&self) -> &Envelope {
        &self.roots[self.roots.len() - 1]
    }

    /// Goes by a further root, with new keys for some purposes, from now on.
    pub(crate) fn adopt(&mut self, root: Envelope, keys: &[(&str, [u8; 32])]) -> Result<()> {
        self.roots.push(root);
        for (name, seed) in keys {
            self.seeds[*name] = BASE64URL_NOPAD.encode(seed).into();
        }
        self.keep()
    }

    fn keep(&self) -> Result<()> {
        let roots: Vec<String> = self.roots.iter().map(Envelope::text).collect();
        let kept = json!({"peer": self.peer, "roots": roots, "seeds": self.seeds});
        keep(&self.path.join(FILE), &kept)
    }

    /// One of its keys.
    pub(crate) fn key(&self, name: &str) -> Result<Key> {
        let seed = self.seeds[name].as_str().context("a key is kept")?;
        let seed = BASE64URL_NOPAD.decode(seed.as_bytes())?;
        Ok(Key::of(seed.try_into().ok().context("a seed has 32 bytes")?))
    }

    /// The executor's gateway id, and where it is.
    pub(crate) fn peer(&self) -> Result<(String, Place)> {
        let text = |name: &str| self.peer[name].as_str().map(str::to_owned);
        let told = || Some((text("gid")?, Place { url: text("url")?, spki: text("spki")? }));
        told().context("not introduced yet: run `landbridge-conformance join <invite>`")
    }

    /// A status that nothing is wrong with. Its incarnation is the second, so that there is one before it.
    pub(crate) fn status(&self, revoked: &[&str]) -> Value {
        let now = wire::now();
        let entry = |kid: &&str| json!({"kid": kid, "reason": "retired", "since": now});
        let revoked: Vec<Value> = revoked.iter().map(entry).collect();
        json!({
            "audit": {"head": "A".repeat(43), "size": 0}, "expires": now + 3_600_000,
            "incarnation": {"n": 2, "since": 1_700_000_000_000_i64}, "iss": self.gid, "issued": now,
            "refresh_ms": 1_800_000, "revoked": revoked, "root": self.root().name(),
            "root_version": self.version(), "seq": now, "v": 1,
        })
    }

    /// The same, for whom this is the executor although nobody was introduced; not kept.
    pub(crate) fn acquainted(mut self, gid: &str, place: &Place) -> Self {
        self.peer = json!({"gid": gid, "spki": place.spki, "url": place.url});
        self
    }

    /// A pairing by an invite's secret.
    pub(crate) fn pairing(&self, gid: &str, secret: &[u8]) -> Result<Value> {
        let id = wire::hash(&[b"GFP-INVITE-v1\n", secret]);
        let mut proof = Hmac::<sha2::Sha256>::new_from_slice(secret)?;
        proof.update(format!("GFP-PAIRING-v1\n{gid}\n{}", self.gid).as_bytes());
        let now = wire::now();
        Ok(json!({
            "aud": gid, "exp": now + 60_000, "genesis": self.roots[0].name(), "iat": now,
            "invite": wire::text_of(id), "iss": self.gid,
            "jti": BASE64URL_NOPAD.encode(&wire::random::<16>()?),
            "proof": BASE64URL_NOPAD.encode(&proof.finalize().into_bytes()), "v": 1,
        }))
    }

    /// The body with which the kit shows itself to who does not know it: with all its roots, and what others
    /// say of it.
    pub(crate) fn introduction(&self, request: &Envelope, held: &[Envelope]) -> Result<String> {
        let status = self.key("status")?.seal("status", &wire::bytes_of(&self.status(&[])));
        let list = |envelopes: &[Envelope]| {
            envelopes.iter().map(Envelope::text).collect::<Vec<_>>().join(",")
        };
        let (roots, status, asked) = (list(&self.roots), status.text(), request.text());
        let held = match held {
            [] => String::new(),
            held => format!(r#","held":[{}]"#, list(held)),
        };
        Ok(format!(r#"{{"roots":[{roots}],"status":{status},"request":{asked}{held}}}"#))
    }

    /// Joins by an invite, and returns the twelve words.
    pub(crate) fn join(&mut self, invite: &str) -> Result<(String, String)> {
        let invite = read_invite(invite)?;
        let text = |value: &Value, name: &str| -> Result<String> {
            Ok(value[name].as_str().with_context(|| format!("an invite has {name}"))?.to_owned())
        };
        let spki = text(&invite["endpoint"], "tls_spki").context("the kit needs a pinned key")?;
        let place = Place { url: text(&invite["endpoint"], "url")?, spki };
        let chain = chain(&place)?;
        let genesis = chain[0].0.name();
        ensure!(genesis == text(&invite, "genesis")?, "the chain begins with another root");
        let pinned = invite["root_version"].as_u64().context("an invite has root_version")?;
        let pinned = chain.get(usize::try_from(pinned)?.saturating_sub(1));
        let passes = pinned.is_some_and(|(root, _)| invite["root"] == root.name());
        ensure!(passes, "the chain does not pass through the invite's root");
        let gid = gid_of(&chain[0].0);
        let secret = BASE64URL_NOPAD.decode(text(&invite, "secret")?.as_bytes())?;
        let id = wire::hash(&[b"GFP-INVITE-v1\n", &secret]);
        let request = self.pairing(&gid, &secret)?;
        let request = self.key("request")?.seal("pairing", &wire::bytes_of(&request));
        let body = self.introduction(&request, &[])?;
        let json = [("Content-Type", "application/json")];
        let to = ("POST", "/federation/v1/pairing");
        let mut reply = http::ask(&place, to, &json, body.as_bytes())?;
        let said = reply.all()?;
        let shown = String::from_utf8_lossy(&said);
        ensure!(reply.status == 200, "the pairing is answered {}: {shown}", reply.status);
        let newest = &chain.last().context("a chain is not empty")?.1;
        let answer = Envelope::read(&said)?.verified("answer", newest, "stream", wire::now())?;
        ensure!(answer["request"] == request.name(), "an answer to another pairing");
        let words =
            wire::hash(&[b"GFP-WORDS-v1\n", &chain[0].0.digest(), &self.roots[0].digest(), &id]);
        self.peer = json!({"gid": gid, "spki": place.spki, "url": place.url});
        self.keep()?;
        Ok((gid, phrase(&words)))
    }
}

/// The executor's chain of roots, from version 1, each verified (ID-4 to ID-9).
pub(crate) fn chain(place: &Place) -> Result<Vec<(Envelope, Value)>> {
    let mut chain: Vec<(Envelope, Value)> = Vec::new();
    for version in 1..=256 {
        let path = format!("/federation/v1/root/{version}");
        let mut reply = http::ask(place, ("GET", &path), &[], &[])?;
        if reply.status == 404 && version > 1 {
            break;
        }
        ensure!(reply.status == 200, "root {version} is answered {}", reply.status);
        let envelope = Envelope::read(&reply.all()?)?;
        let claimed = wire::document(&envelope.payload)?;
        let issued = claimed["issued"].as_i64().context("a root has issued")?;
        ensure!(claimed["version"] == version, "another version than {version}");
        verify_root(&envelope, &claimed, issued)?;
        if let Some((before, root)) = chain.last() {
            ensure!(claimed["prev"] == before.name(), "a root follows another one");
            verify_root(&envelope, root, issued)?;
        }
        chain.push((envelope, claimed));
    }
    let expires = chain.last().and_then(|(_, root)| root["expires"].as_i64());
    ensure!(expires.is_some_and(|expires| wire::now() < expires), "the newest root expired");
    Ok(chain)
}

/// A threshold of the root keys of `by` signed it; keys of others may stand beside them.
fn verify_root(envelope: &Envelope, by: &Value, at: i64) -> Result<()> {
    let known = |kid: &String| {
        by["roles"]["root"]["keyids"].as_array().is_some_and(|ids| ids.contains(&json!(kid)))
    };
    let mut own = envelope.clone();
    own.signatures.retain(|(kid, _)| known(kid));
    own.verified("root", by, "root", at).map(drop)
}

/// The gateway id that a first root makes.
pub(crate) fn gid_of(root: &Envelope) -> String {
    format!("gw1-{}", BASE32_NOPAD.encode(&root.digest()).to_ascii_lowercase())
}

fn make(file: &Path) -> Result<()> {
    let (mut seeds, mut keys, mut ids) = (Map::new(), Map::new(), Map::new());
    let issued = wire::now();
    let expires = issued + 90 * 86_400_000;
    for name in KEYS {
        let seed = wire::random::<32>()?;
        let key = Key::of(seed);
        seeds.insert(name.to_owned(), BASE64URL_NOPAD.encode(&seed).into());
        let entry = json!({"alg": "ed25519", "exp": expires, "nbf": issued, "pub": key.public()});
        keys.insert(key.kid.clone(), entry);
        ids.insert(name.to_owned(), key.kid.into());
    }
    let role = |names: &[&str]| {
        let mut keyids: Vec<&str> = names.iter().filter_map(|name| ids[*name].as_str()).collect();
        keyids.sort_unstable();
        json!({"keyids": keyids, "threshold": 1})
    };
    let root = json!({
        "endpoints": [], "expires": expires, "issued": issued, "keys": keys, "min_proto": 1,
        "roles": {
            "policy": role(&["policy"]), "request": role(&["request", "spare"]),
            "root": role(&["root"]), "status": role(&["status"]), "stream": role(&["stream"]),
        },
        "v": 1, "version": 1,
    });
    let seed = BASE64URL_NOPAD.decode(seeds["root"].as_str().unwrap_or_default().as_bytes())?;
    let key = Key::of(seed.try_into().ok().context("a seed has 32 bytes")?);
    let root = key.seal("root", &wire::bytes_of(&root)).text();
    let kept = json!({"peer": Value::Null, "roots": [root], "seeds": seeds});
    keep(file, &kept)
}

/// Writes the home. Whoever reads it can ask for what the kit was granted.
fn keep(file: &Path, kept: &Value) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    Ok(options.open(file)?.write_all(kept.to_string().as_bytes())?)
}

/// What an invite says, when it is whole.
pub(crate) fn read_invite(text: &str) -> Result<Value> {
    let text: String = text.split_ascii_whitespace().collect();
    let told = text.strip_prefix("gfp1:").and_then(|rest| rest.rsplit_once('.'));
    let (document, check) = told.context("an invite is gfp1:<document>.<check>")?;
    let document = BASE64URL_NOPAD.decode(document.as_bytes())?;
    let due = wire::text_of(wire::hash(&[b"GFP-INVITE-TEXT-v1\n", &document]));
    ensure!(due.get(..6) == Some(check), "the invite was changed on its way");
    wire::document(&document)
}

/// The first 132 bits, eleven for each word.
pub(crate) fn phrase(digest: &[u8; 32]) -> String {
    let bit = |at: usize| usize::from(digest[at / 8] >> (7 - at % 8) & 1);
    let index = |word: usize| (0..11).fold(0, |sum, at| sum << 1 | bit(word * 11 + at));
    let list = bip39::Language::English.word_list();
    (0..12).map(|word| list[index(word)]).collect::<Vec<_>>().join(" ")
}

const FILE: &str = "kit.json";
