//! A run as the kit's executor tells it: the accept, frames, their chain, and seals over it.

use anyhow::{Context, Result};
use data_encoding::BASE32_NOPAD;
use serde_json::{Value, json};

use crate::asked::Asked;
use crate::host::Host;
use crate::wire::{self, Envelope};

/// A run from its accept to its terminal.
pub(crate) struct Script {
    pub(crate) accept: Envelope,
    pub(crate) run: String,
    /// Frame lines, without their ends.
    pub(crate) frames: Vec<String>,
    heads: Vec<[u8; 32]>,
}

impl Script {
    /// A run that answers a start with these frames.
    pub(crate) fn of(host: &Host, asked: &Asked, frames: &[(&str, Value)]) -> Result<Self> {
        let accept = Self::accept_of(host, asked)?;
        let accept = host.sign("accept", &accept)?;
        Self::under(accept, frames)
    }

    /// The accept of a start, before it is signed.
    pub(crate) fn accept_of(host: &Host, asked: &Asked) -> Result<Value> {
        let random = wire::random::<16>()?;
        let run = format!("run-{}", BASE32_NOPAD.encode(&random).to_ascii_lowercase());
        let body = &asked.request["body"];
        let print = wire::hash(&[b"GFP-BODY-v1\n", &wire::bytes_of(body)]);
        Ok(json!({
            "aud": asked.request["iss"], "deadline": wire::now() + 600_000, "iss": host.gid,
            "key": body["idempotencyKey"], "print": wire::text_of(print), "proto": 1,
            "root_version": host.version(), "run": run, "seen": asked.seen,
            "tenant": asked.request["tenant"], "v": 1,
        }))
    }

    /// A run under an accept.
    pub(crate) fn under(accept: Envelope, frames: &[(&str, Value)]) -> Result<Self> {
        let run = wire::document(&accept.payload)?["run"].as_str().context("a run")?.to_owned();
        let start = wire::hash(&[b"GFP-STREAM-v1\n", &accept.digest()]);
        let mut script = Self { accept, run, frames: Vec::new(), heads: vec![start] };
        for (event, payload) in frames {
            let seq = script.frames.len() + 1;
            script.push(format!(r#"{{"seq":{seq},"event":"{event}","payload":{payload}}}"#));
        }
        Ok(script)
    }

    /// Appends a line, whatever it says.
    pub(crate) fn push(&mut self, line: String) {
        let seq = self.frames.len() as u64 + 1;
        let leaf = wire::hash(&[b"GFP-LEAF-v1\n", line.as_bytes()]);
        let before = self.heads[self.frames.len()];
        self.heads.push(wire::hash(&[b"GFP-CHAIN-v1\n", &before, &seq.to_be_bytes(), &leaf]));
        self.frames.push(line);
    }

    /// The same run up to a frame, to go on otherwise.
    pub(crate) fn up_to(&self, seq: usize) -> Self {
        Self {
            accept: self.accept.clone(),
            run: self.run.clone(),
            frames: self.frames[..seq].to_vec(),
            heads: self.heads[..=seq].to_vec(),
        }
    }

    /// The number of its last frame.
    pub(crate) fn last(&self) -> usize {
        self.frames.len()
    }

    /// The first event.
    pub(crate) fn accepted(&self) -> String {
        event("accept", &[&self.accept.text()])
    }

    /// What a seal over the first `seq` frames says.
    pub(crate) fn seal_of(&self, host: &Host, seq: usize) -> Value {
        let ended = seq > 0 && self.frames[seq - 1].contains(r#""event":"terminal""#);
        json!({
            "accept": self.accept.name(), "final": ended, "head": wire::text_of(self.heads[seq]),
            "root_version": host.version(), "run": self.run, "seq": seq, "t": wire::now(), "v": 1,
        })
    }

    /// A seal over the first `seq` frames.
    pub(crate) fn seal(&self, host: &Host, seq: usize) -> Result<Envelope> {
        host.sign("seal", &self.seal_of(host, seq))
    }

    /// A batch from one frame to another.
    pub(crate) fn batch(&self, host: &Host, first: usize, last: usize) -> Result<String> {
        Ok(self.batch_under(first, last, &self.seal(host, last)?))
    }

    /// A batch under any seal.
    pub(crate) fn batch_under(&self, first: usize, last: usize, seal: &Envelope) -> String {
        batch(last, &self.frames[first - 1..last], &seal.text())
    }

    /// A seal over what was sent.
    pub(crate) fn alive(&self, host: &Host, seq: usize) -> Result<String> {
        Ok(event("alive", &[&self.seal(host, seq)?.text()]))
    }
}

/// An event with these lines of data.
pub(crate) fn event(name: &str, data: &[&str]) -> String {
    let data: String = data.iter().map(|line| format!("data: {line}\n")).collect();
    format!("event: {name}\n{data}\n")
}

/// A batch of any lines.
pub(crate) fn batch(id: usize, lines: &[String], seal: &str) -> String {
    let lines: String = lines.iter().map(|line| format!("data: {line}\n")).collect();
    format!("id: {id}\nevent: frames\n{lines}data: {seal}\n\n")
}

/// Five frames of a run that succeeds.
pub(crate) fn five() -> Vec<(&'static str, Value)> {
    let told = |text: &str| ("output", json!({"channel": "answer", "text": text}));
    vec![started(), told("One. "), told("Two. "), told("Three."), succeeded()]
}

/// The first frame.
pub(crate) fn started() -> (&'static str, Value) {
    ("started", json!({"agent": "kit", "session": "fed-kit", "software": "conformance kit"}))
}

/// The last frame of a run that succeeds.
pub(crate) fn succeeded() -> (&'static str, Value) {
    let terminal = json!({
        "by": "executor", "outcome": "succeeded", "result": "Done.", "sideEffects": "possible",
    });
    ("terminal", terminal)
}

/// The last frame of a run that ends otherwise.
pub(crate) fn ended(outcome: &str, code: &str, effects: &str) -> (&'static str, Value) {
    let (status, mode) = match code {
        "internal" => (500, "resign_same_key"),
        _ => (403, "after_change"),
    };
    let problem = json!({
        "code": code, "retryMode": mode, "retryable": code == "internal", "sideEffects": effects,
        "status": status,
    });
    let terminal = json!({
        "by": "executor", "outcome": outcome, "problem": problem, "sideEffects": effects,
    });
    ("terminal", terminal)
}
