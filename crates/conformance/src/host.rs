//! The kit as an executor: its keys and roots, what it says of itself, and the caller that it was introduced to.
//!
//! Its home is another one than the kit's as a caller, and its gateway another gateway. The incarnation begins
//! at the second, so that there is one before it.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value, json};

use crate::home::{gid_of, phrase};
use crate::wire::{self, Envelope, Key};

/// What it holds, and what it learned of the caller under test.
pub(crate) struct Host {
    file: PathBuf,
    pub(crate) gid: String,
    kept: Mutex<Value>,
    /// The status that it serves.
    published: Mutex<Envelope>,
    /// What it was before somebody else spoke in its name.
    usurped: Mutex<Option<Value>>,
    /// What was used up of the caller's.
    jtis: Mutex<BTreeSet<String>>,
    /// The caller's newest status, with its `seq`.
    theirs: Mutex<Option<(i64, Envelope)>>,
}

impl Host {
    /// Reads the home, or makes one that listens at this address.
    pub(crate) fn open(home: &Path, listen: &str) -> Result<Self> {
        let file = home.join(FILE);
        if !file.exists() {
            std::fs::create_dir_all(home)?;
            write(&file, &made(listen)?)?;
        }
        let kept: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
        let url = format!("https://{listen}");
        ensure!(kept["url"] == url, "this home listens at {}", kept["url"]);
        let first = Envelope::read(kept["roots"][0].as_str().unwrap_or_default().as_bytes())?;
        let (kept, published) = (Mutex::new(kept), Mutex::new(first.clone()));
        let (usurped, jtis, theirs) = (Mutex::default(), Mutex::default(), Mutex::default());
        let host = Self { file, gid: gid_of(&first), kept, published, usurped, jtis, theirs };
        host.publish(host.status(|_| {})?);
        Ok(host)
    }

    /// The private key and the certificate of its listener, as PEM and as DER.
    pub(crate) fn tls(&self) -> Result<(String, Vec<u8>)> {
        let kept = self.kept();
        let cert = BASE64URL_NOPAD.decode(text(&kept, "tls_cert")?.as_bytes())?;
        Ok((text(&kept, "tls_key")?, cert))
    }

    /// Its root of a version.
    pub(crate) fn root(&self, version: usize) -> Option<Envelope> {
        let kept = self.kept();
        let text = kept["roots"].get(version.checked_sub(1)?)?.as_str()?;
        Envelope::read(text.as_bytes()).ok()
    }

    /// The version of its newest root.
    pub(crate) fn version(&self) -> usize {
        self.kept()["roots"].as_array().map_or(0, Vec::len)
    }

    /// One of its keys.
    pub(crate) fn key(&self, name: &str) -> Result<Key> {
        let seed = text(&self.kept()["seeds"], name)?;
        let seed = BASE64URL_NOPAD.decode(seed.as_bytes())?;
        Ok(Key::of(seed.try_into().ok().context("a seed has 32 bytes")?))
    }

    /// The key that it signs streams with: the newest of the role.
    pub(crate) fn stream_key(&self) -> Result<Key> {
        let name = text(&self.kept(), "stream")?;
        self.key(&name)
    }

    /// Signs a payload with the present key of the role `stream`.
    pub(crate) fn sign(&self, kind: &str, payload: &Value) -> Result<Envelope> {
        Ok(self.stream_key()?.seal(kind, &wire::bytes_of(payload)))
    }

    /// A new status that nothing is wrong with, but for what `change` does to it.
    pub(crate) fn status(&self, change: impl FnOnce(&mut Value)) -> Result<Envelope> {
        let root = self.root(self.version()).context("there is a root")?;
        let mut kept = self.kept();
        let seq = wire::now().max(kept["seq"].as_i64().unwrap_or_default() + 1);
        kept["seq"] = json!(seq);
        let mut status = json!({
            "audit": {"head": "A".repeat(43), "size": 0}, "expires": seq + 3_600_000,
            "incarnation": kept["incarnation"], "iss": self.gid, "issued": seq,
            "refresh_ms": 1_800_000, "revoked": kept["revoked"], "root": root.name(),
            "root_version": kept["roots"].as_array().map_or(0, Vec::len), "seq": seq, "v": 1,
        });
        drop(kept);
        change(&mut status);
        Ok(self.key("status")?.seal("status", &wire::bytes_of(&status)))
    }

    /// Serves another status from now on.
    pub(crate) fn publish(&self, status: Envelope) {
        *self.published.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    /// The status that it serves.
    pub(crate) fn published(&self) -> Envelope {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a key of the role `stream` and a root that names it, beside the former key where it is kept.
    /// A status that names the root is published.
    pub(crate) fn rotate(&self, keeps_former: bool) -> Result<Envelope> {
        let root = self.next_root(keeps_former)?;
        self.put_in_force(&self.key("root")?.seal("root", &wire::bytes_of(&root)))
    }

    /// As [`Host::rotate`], to a root of which `change` made something else, signed by these keys.
    pub(crate) fn rotate_as(
        &self,
        change: impl FnOnce(&mut Value) -> Result<()>,
        signers: &[Key],
    ) -> Result<Envelope> {
        let mut root = self.next_root(true)?;
        change(&mut root)?;
        let root = wire::bytes_of(&root);
        let mut signed = signers.first().context("a signer")?.seal("root", &root);
        for key in &signers[1..] {
            signed.signatures.extend(key.seal("root", &root).signatures);
        }
        signed.signatures.sort();
        self.put_in_force(&signed)
    }

    /// As [`Host::rotate_as`], until it is deposed: a root that no caller may take.
    pub(crate) fn usurp(
        &self,
        change: impl FnOnce(&mut Value) -> Result<()>,
        signers: &[Key],
    ) -> Result<()> {
        let kept = self.kept().clone();
        *self.usurped.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        self.rotate_as(change, signers).map(drop)
    }

    fn next_root(&self, keeps_former: bool) -> Result<Value> {
        let version = self.version();
        let before = self.root(version).context("there is a root")?;
        let mut root = wire::document(&before.payload)?;
        let seed = wire::random::<32>()?;
        let mut kept = self.kept();
        let name = format!("stream-{}", version + 1);
        kept["seeds"][&name] = json!(BASE64URL_NOPAD.encode(&seed));
        kept["stream"] = json!(name);
        let revoked = kept["revoked"].as_array().into_iter().flatten();
        let revoked: Vec<Value> = revoked.map(|one| one["kid"].clone()).collect();
        drop(kept);
        let (key, now) = (Key::of(seed), wire::now());
        let listed = root["roles"]["stream"]["keyids"].as_array().cloned().unwrap_or_default();
        let (good, gone): (Vec<Value>, Vec<Value>) =
            listed.into_iter().partition(|kid| keeps_former && !revoked.contains(kid));
        let keys = root["keys"].as_object_mut().context("a root has keys")?;
        gone.iter().filter_map(Value::as_str).for_each(|kid| drop(keys.remove(kid)));
        let life =
            json!({"alg": "ed25519", "exp": now + KEY_LIFE_MS, "nbf": now, "pub": key.public()});
        keys.insert(key.kid.clone(), life);
        let mut ids = [good, vec![json!(key.kid)]].concat();
        ids.sort_by_key(ToString::to_string);
        root["roles"]["stream"]["keyids"] = json!(ids);
        root["expires"] = json!(now + KEY_LIFE_MS);
        root["issued"] = json!(now);
        root["prev"] = json!(before.name());
        root["version"] = json!(version + 1);
        Ok(root)
    }

    fn put_in_force(&self, root: &Envelope) -> Result<Envelope> {
        self.kept()["roots"].as_array_mut().context("roots")?.push(json!(root.text()));
        self.keep()?;
        let status = self.status(|_| {})?;
        self.publish(status.clone());
        Ok(status)
    }

    /// Takes back what [`Host::usurp`] did.
    pub(crate) fn depose(&self) -> Result<()> {
        let kept = self.usurped.lock().unwrap_or_else(PoisonError::into_inner).take();
        *self.kept() = kept.context("nobody usurped it")?;
        self.keep()?;
        self.publish(self.status(|_| {})?);
        Ok(())
    }

    /// Revokes a key of its own, and publishes a status that tells it.
    pub(crate) fn revoke(&self, kid: &str) -> Result<Envelope> {
        let mut kept = self.kept();
        let revoked = kept["revoked"].as_array_mut().context("revocations")?;
        revoked.push(json!({"kid": kid, "reason": "compromised", "since": wire::now()}));
        revoked.sort_by_key(|one| one["kid"].to_string());
        drop(kept);
        self.keep()?;
        let status = self.status(|_| {})?;
        self.publish(status.clone());
        Ok(status)
    }

    /// Begins a new incarnation, and publishes a status that tells it.
    pub(crate) fn begin_again(&self) -> Result<Envelope> {
        let mut kept = self.kept();
        let n = kept["incarnation"]["n"].as_u64().unwrap_or_default() + 1;
        kept["incarnation"] = json!({"n": n, "since": wire::now()});
        drop(kept);
        self.keep()?;
        let status = self.status(|_| {})?;
        self.publish(status.clone());
        Ok(status)
    }

    /// What `seen` is once the served status was accepted.
    pub(crate) fn seen(&self) -> Result<Value> {
        let status = wire::document(&self.published().payload)?;
        Ok(json!({"n": status["incarnation"]["n"], "seq": status["seq"]}))
    }

    /// An invite's text; its secret is kept.
    pub(crate) fn invite(&self) -> Result<String> {
        let secret = BASE64URL_NOPAD.encode(&wire::random::<32>()?);
        let (first, newest) = (self.root(1), self.root(self.version()));
        let (first, newest) = first.zip(newest).context("there is a root")?;
        let document = json!({
            "endpoint": wire::document(&newest.payload)?["endpoints"][0],
            "expires": wire::now() + 86_000_000, "genesis": first.name(), "root": newest.name(),
            "root_version": self.version(), "secret": secret, "v": 1,
        });
        self.kept()["secret"] = json!(secret);
        self.keep()?;
        let document = wire::bytes_of(&document);
        let check = wire::text_of(wire::hash(&[b"GFP-INVITE-TEXT-v1\n", &document]));
        Ok(format!("gfp1:{}.{}", BASE64URL_NOPAD.encode(&document), &check[..6]))
    }

    /// Takes a pairing (ID-34), and returns the answer and the twelve words.
    pub(crate) fn pair(&self, body: &[u8]) -> Result<(Envelope, String)> {
        let body: Value = serde_json::from_slice(body).context("a pairing is JSON")?;
        let envelope = |value: &Value| Envelope::read(value.to_string().as_bytes());
        let chain = body["roots"].as_array().context("a pairing shows its whole chain")?;
        let chain: Vec<Envelope> = chain.iter().map(envelope).collect::<Result<_>>()?;
        let newest = wire::document(&chain.last().context("a chain is not empty")?.payload)?;
        let request = envelope(&body["request"])?;
        let pairing = request.verified("pairing", &newest, "request", wire::now())?;
        let secret = BASE64URL_NOPAD.decode(text(&self.kept(), "secret")?.as_bytes())?;
        let id = wire::hash(&[b"GFP-INVITE-v1\n", &secret]);
        let caller = gid_of(&chain[0]);
        let mut proof = Hmac::<sha2::Sha256>::new_from_slice(&secret)?;
        proof.update(format!("GFP-PAIRING-v1\n{}\n{caller}", self.gid).as_bytes());
        let proof = BASE64URL_NOPAD.encode(&proof.finalize().into_bytes());
        ensure!(pairing["proof"] == proof, "a pairing's proof does not hold");
        ensure!(pairing["aud"] == self.gid && pairing["iss"] == caller, "a pairing of others");
        let known = self.kept()["caller"]["gid"].clone();
        ensure!(known.is_null() || known == caller, "the kit was introduced to another caller");
        let roots: Vec<String> = chain.iter().map(Envelope::text).collect();
        self.kept()["caller"] = json!({"gid": caller, "roots": roots});
        self.keep()?;
        let answer = self.answer(&request, json!({"pairing": "accepted"}))?;
        let first = self.root(1).context("there is a root")?;
        let words = [&b"GFP-WORDS-v1\n"[..], &first.digest(), &chain[0].digest(), &id];
        Ok((answer, phrase(&wire::hash(&words))))
    }

    /// An answer to a request of the caller.
    pub(crate) fn answer(&self, request: &Envelope, result: Value) -> Result<Envelope> {
        let answer = json!({
            "aud": self.caller()?.0, "iss": self.gid, "request": request.name(), "result": result,
            "root_version": self.version(), "t": wire::now(), "v": 1,
        });
        self.sign("answer", &answer)
    }

    /// The caller under test, and its newest root.
    pub(crate) fn caller(&self) -> Result<(String, Value)> {
        let kept = self.kept();
        let roots = kept["caller"]["roots"].as_array();
        let newest = roots.and_then(|roots| roots.last()?.as_str());
        let newest = newest.context("introduced to nobody: run `landbridge-conformance invite`")?;
        let root = wire::document(&Envelope::read(newest.as_bytes())?.payload)?;
        Ok((text(&kept["caller"], "gid")?, root))
    }

    /// Whether cases were run against this caller since it joined; from now on they were.
    pub(crate) fn was_tried(&self) -> Result<bool> {
        let before = std::mem::replace(&mut self.kept()["caller"]["tried"], json!(true));
        self.keep()?;
        Ok(before == true)
    }

    /// Uses up a `jti`; `false` when it was used before.
    pub(crate) fn first_use(&self, jti: &str) -> bool {
        self.jtis.lock().unwrap_or_else(PoisonError::into_inner).insert(jti.to_owned())
    }

    /// Keeps a status of the caller; `false` when it is older than one before.
    pub(crate) fn learn(&self, seq: i64, status: &Envelope) -> bool {
        let mut theirs = self.theirs.lock().unwrap_or_else(PoisonError::into_inner);
        let is_older = theirs.as_ref().is_some_and(|(known, _)| seq < *known);
        if !is_older {
            *theirs = Some((seq, status.clone()));
        }
        !is_older
    }

    /// The caller's newest status, if it is not behind this `seq`.
    pub(crate) fn learned(&self, up_to: i64) -> Option<(i64, Envelope)> {
        let theirs = self.theirs.lock().unwrap_or_else(PoisonError::into_inner);
        theirs.clone().filter(|(seq, _)| *seq <= up_to)
    }

    fn kept(&self) -> MutexGuard<'_, Value> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self) -> Result<()> {
        write(&self.file, &self.kept())
    }
}

fn made(listen: &str) -> Result<Value> {
    let (mut seeds, mut keys, mut roles) = (Map::new(), Map::new(), Map::new());
    let issued = wire::now();
    let expires = issued + KEY_LIFE_MS;
    for role in ["policy", "request", "root", "status", "stream"] {
        let seed = wire::random::<32>()?;
        let key = Key::of(seed);
        seeds.insert(role.to_owned(), BASE64URL_NOPAD.encode(&seed).into());
        let life = json!({"alg": "ed25519", "exp": expires, "nbf": issued, "pub": key.public()});
        keys.insert(key.kid.clone(), life);
        roles.insert(role.to_owned(), json!({"keyids": [key.kid], "threshold": 1}));
    }
    let tls = rcgen::KeyPair::generate().context("no TLS key")?;
    let cert = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&tls)?;
    let spki = webpki::EndEntityCert::try_from(cert.der())?.subject_public_key_info();
    let (url, spki) = (format!("https://{listen}"), wire::text_of(wire::hash(&[&spki])));
    let root = json!({
        "endpoints": [{"tls_spki": spki, "url": url}], "expires": expires, "issued": issued,
        "keys": keys, "min_proto": 1, "roles": roles, "v": 1, "version": 1,
    });
    let seed = BASE64URL_NOPAD.decode(seeds["root"].as_str().unwrap_or_default().as_bytes())?;
    let key = Key::of(seed.try_into().ok().context("a seed has 32 bytes")?);
    let root = key.seal("root", &wire::bytes_of(&root)).text();
    Ok(json!({
        "caller": {}, "incarnation": {"n": 2, "since": 1_700_000_000_000_i64}, "revoked": [],
        "roots": [root], "seeds": seeds, "seq": 0, "stream": "stream",
        "tls_cert": BASE64URL_NOPAD.encode(cert.der()), "tls_key": tls.serialize_pem(), "url": url,
    }))
}

fn text(value: &Value, name: &str) -> Result<String> {
    Ok(value[name].as_str().with_context(|| format!("there is no {name}"))?.to_owned())
}

/// Whoever reads the home can speak for the kit.
fn write(file: &Path, kept: &Value) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    Ok(options.open(file)?.write_all(kept.to_string().as_bytes())?)
}

const FILE: &str = "executor.json";
/// Ninety days.
const KEY_LIFE_MS: i64 = 90 * 86_400_000;
