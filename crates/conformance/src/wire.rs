//! Envelopes and control documents, written from the specification alone.
//!
//! Nothing here is shared with an implementation under test: two readers that make the same mistake
//! would find each other right.

use anyhow::{Context, Result, ensure};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// A signing key with its name.
pub(crate) struct Key {
    secret: SigningKey,
    pub(crate) kid: String,
}

impl Key {
    /// The key of a seed.
    pub(crate) fn of(seed: [u8; 32]) -> Self {
        let secret = SigningKey::from_bytes(&seed);
        let kid = kid(secret.verifying_key().as_bytes());
        Self { secret, kid }
    }

    /// Its public half, as documents write it.
    pub(crate) fn public(&self) -> String {
        BASE64URL_NOPAD.encode(self.secret.verifying_key().as_bytes())
    }

    /// The same, as bytes.
    pub(crate) fn point(&self) -> [u8; 32] {
        self.secret.verifying_key().to_bytes()
    }

    /// Its secret half, as the number that it is.
    pub(crate) fn scalar(&self) -> curve25519_dalek::Scalar {
        self.secret.to_scalar()
    }

    /// Signs bytes as they stand.
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.secret.sign(bytes).to_bytes()
    }

    /// Signs a payload of a kind.
    pub(crate) fn seal(&self, kind: &str, payload: &[u8]) -> Envelope {
        let media = media(kind);
        let sig = self.sign(&pae(&media, payload)).to_vec();
        Envelope { media, payload: payload.to_vec(), signatures: vec![(self.kid.clone(), sig)] }
    }
}

/// An envelope, which may be as wrong as a case wants it.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) media: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) signatures: Vec<(String, Vec<u8>)>,
}

impl Envelope {
    /// Its bytes (ENV-1), in the order in which its signatures stand.
    pub(crate) fn text(&self) -> String {
        let signatures: Vec<String> = self
            .signatures
            .iter()
            .map(|(kid, sig)| format!(r#"{{"keyid":"{kid}","sig":"{}"}}"#, BASE64.encode(sig)))
            .collect();
        let payload = BASE64.encode(&self.payload);
        let (media, signatures) = (&self.media, signatures.join(","));
        format!(r#"{{"payload":"{payload}","payloadType":"{media}","signatures":[{signatures}]}}"#)
    }

    /// Reads one strictly: what it says, written again, is what was read (ENV-2 to ENV-6).
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(bytes).context("an envelope is JSON")?;
        let text = |value: &Value, name: &str| -> Result<String> {
            Ok(value[name].as_str().with_context(|| format!("an envelope has {name}"))?.to_owned())
        };
        let payload = BASE64.decode(text(&value, "payload")?.as_bytes())?;
        let mut signatures = Vec::new();
        for one in value["signatures"].as_array().context("an envelope has signatures")? {
            let sig = BASE64.decode(text(one, "sig")?.as_bytes())?;
            ensure!(sig.len() == 64, "a signature has 64 bytes");
            signatures.push((text(one, "keyid")?, sig));
        }
        let ascending = signatures.windows(2).all(|pair| pair[0].0 < pair[1].0);
        ensure!((1..=16).contains(&signatures.len()) && ascending, "signatures are in order");
        let envelope = Self { media: text(&value, "payloadType")?, payload, signatures };
        ensure!(envelope.text().as_bytes() == bytes, "an envelope has one spelling");
        Ok(envelope)
    }

    /// D(envelope), as bytes.
    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(pae(&self.media, &self.payload)).into()
    }

    /// D(envelope), as text.
    pub(crate) fn name(&self) -> String {
        BASE64URL_NOPAD.encode(&self.digest())
    }

    /// The payload, verified under a role of a root (ENV-8 to ENV-13, ENV-16 to ENV-19).
    pub(crate) fn verified(&self, kind: &str, root: &Value, role: &str, now: i64) -> Result<Value> {
        ensure!(self.media == media(kind), "a {kind} was due, not {}", self.media);
        let signed = pae(&self.media, &self.payload);
        let role = &root["roles"][role];
        for (kid, sig) in &self.signatures {
            let named = role["keyids"].as_array().is_some_and(|ids| ids.contains(&json!(kid)));
            ensure!(named, "{kid} is no key of the role that signs a {kind}");
            let key = &root["keys"][kid];
            let window = (key["nbf"].as_i64(), key["exp"].as_i64());
            let (Some(nbf), Some(exp)) = window else { anyhow::bail!("a key has a life") };
            ensure!(nbf <= now && now < exp, "{kid} is out of its time");
            let public = BASE64URL_NOPAD.decode(key["pub"].as_str().unwrap_or_default().as_bytes());
            let public: [u8; 32] = public?.try_into().ok().context("a key has 32 bytes")?;
            ensure!(self::kid(&public) == *kid, "a key's name is its digest");
            let sig: [u8; 64] = sig.clone().try_into().ok().context("64 bytes")?;
            VerifyingKey::from_bytes(&public)?
                .verify_strict(&signed, &Signature::from_bytes(&sig))
                .with_context(|| format!("a signature of a {kind} does not hold"))?;
        }
        let threshold = role["threshold"].as_u64().unwrap_or(u64::MAX);
        ensure!(self.signatures.len() as u64 >= threshold, "too few keys signed a {kind}");
        document(&self.payload)
    }
}

/// Reads a control document: JSON in its one spelling, of integers.
pub(crate) fn document(bytes: &[u8]) -> Result<Value> {
    let value: Value = serde_json::from_slice(bytes).context("a payload is JSON")?;
    ensure!(bytes_of(&value) == bytes, "a payload is not in its one spelling");
    ensure!(integers(&value), "a payload has a number that is no integer of the protocol");
    Ok(value)
}

/// The one spelling of a document.
pub(crate) fn bytes_of(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// The media type of a kind.
pub(crate) fn media(kind: &str) -> String {
    format!("application/vnd.gfp.{kind}.v1+json")
}

/// What is signed.
pub(crate) fn pae(media: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {media} {} ", media.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// SHA-256 over all parts.
pub(crate) fn hash(parts: &[&[u8]]) -> [u8; 32] {
    Sha256::digest(parts.concat()).into()
}

/// A digest, as text.
pub(crate) fn text_of(digest: [u8; 32]) -> String {
    BASE64URL_NOPAD.encode(&digest)
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|fault| anyhow::anyhow!("no randomness: {fault}"))?;
    Ok(bytes)
}

/// Now, in milliseconds since the epoch.
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

fn kid(public: &[u8; 32]) -> String {
    text_of(hash(&[b"GFP-KEY-v1\ned25519\n", public]))
}

fn integers(value: &Value) -> bool {
    const MAX: i64 = 9_007_199_254_740_991;
    match value {
        Value::Number(number) => number.as_i64().is_some_and(|n| (-MAX..=MAX).contains(&n)),
        Value::Array(items) => items.iter().all(integers),
        Value::Object(members) => {
            let members: &Map<String, Value> = members;
            members.iter().all(|(name, value)| name.is_ascii() && integers(value))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_what_the_specification_shows() {
        let signed = pae(&media("status"), br#"{"v":1}"#);
        assert_eq!(signed, b"DSSEv1 34 application/vnd.gfp.status.v1+json 7 {\"v\":1}");
    }

    #[test]
    fn a_document_has_one_spelling() {
        assert!(document(br#"{"a":1,"b":["x"]}"#).is_ok());
        let others = [
            r#"{"b":["x"],"a":1}"#,
            r#"{"a": 1}"#,
            r#"{"a":1.0}"#,
            r#"{"a":1e3}"#,
            r#"{"a":1,"a":1}"#,
        ];
        for other in others {
            assert!(document(other.as_bytes()).is_err(), "{other}");
        }
    }
}
