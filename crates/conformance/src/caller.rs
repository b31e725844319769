//! The kit as a caller: what it asks, and how it judges what comes back.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use crate::cases::Skipped;
use crate::home::{self, Home};
use crate::http::{self, Place, Reply};
use crate::stream::Stream;
use crate::terms::Terms;
use crate::wire::{self, Envelope, Key};

/// Where starts go.
pub(crate) const RUNS: &str = "/federation/v1/runs";
/// Where attaches go.
pub(crate) const ATTACH: &str = "/federation/v1/runs/attach";
/// Where cancels go.
pub(crate) const CANCEL: &str = "/federation/v1/runs/cancel";
/// Where a run is asked about.
pub(crate) const INSPECT: &str = "/federation/v1/runs/inspect";

/// A peer of the executor under test.
pub(crate) struct Caller {
    pub(crate) home: Home,
    pub(crate) terms: Terms,
    pub(crate) gid: String,
    pub(crate) place: Place,
    /// The executor's roots, from version 1; it may go on while a stream is read.
    roots: Mutex<Vec<Value>>,
    /// The newest status of the executor, and what it says.
    pub(crate) stated: Envelope,
    pub(crate) theirs: Value,
    status: Mutex<Envelope>,
}

/// How a request was refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) signed: bool,
    pub(crate) problem: Value,
}

impl Caller {
    /// Asks the executor for its documents and verifies them.
    pub(crate) fn new(home: Home, terms: Terms) -> Result<Self> {
        let (gid, place) = home.peer()?;
        let chain = home::chain(&place)?;
        ensure!(home::gid_of(&chain[0].0) == gid, "another gateway listens there");
        let mut reply = http::ask(&place, ("GET", "/federation/v1/status"), &[], &[])?;
        let stated = Envelope::read(&reply.all()?)?;
        let newest = &chain[chain.len() - 1];
        let theirs = stated.verified("status", &newest.1, "status", wire::now())?;
        ensure!(theirs["root"] == newest.0.name(), "the status names another root");
        let own = home.key("status")?.seal("status", &wire::bytes_of(&home.status(&[])));
        let roots = Mutex::new(chain.into_iter().map(|(_, root)| root).collect());
        let status = Mutex::new(own);
        Ok(Self { home, terms, gid, place, roots, stated, theirs, status })
    }

    /// The same caller, who has read its own home and the executor's documents anew.
    pub(crate) fn renewed(&self) -> Result<Self> {
        let later = Self::new(Home::open(&self.home.path)?, self.terms.clone())?;
        if later.home.version() == self.home.version() {
            // A newer one would make this caller's own out of date.
            later.restate(self.status());
        }
        Ok(later)
    }

    /// The other peer of the executor, or why there is none.
    pub(crate) fn other(&self) -> Result<Self> {
        let none = || Skipped("no --other-home is given".to_owned());
        let home = Home::open(self.terms.other_home.as_ref().ok_or_else(none)?)?;
        let agent = self.terms.other_agent.clone();
        Self::new(home, Terms { agent, ..self.terms.clone() })
    }

    /// The executor's roots, from version 1.
    pub(crate) fn roots(&self) -> Vec<Value> {
        locked(&self.roots).clone()
    }

    /// The executor's roots, asked for anew when this version is not among them (ID-52).
    pub(crate) fn roots_with(&self, version: &Value) -> Result<Vec<Value>> {
        let mut roots = locked(&self.roots);
        let version = version.as_u64().context("a statement names a root")?;
        if version > roots.len() as u64 {
            let chain = home::chain(&self.place)?;
            ensure!(home::gid_of(&chain[0].0) == self.gid, "another gateway listens there");
            *roots = chain.into_iter().map(|(_, root)| root).collect();
        }
        ensure!((1..=roots.len() as u64).contains(&version), "a root that is not served");
        Ok(roots.clone())
    }

    /// A request that nothing is wrong with.
    pub(crate) fn request(&self, op: &str, body: Value) -> Result<Value> {
        let now = wire::now();
        Ok(json!({
            "aud": self.gid, "body": body, "exp": now + 60_000, "iat": now, "iss": self.home.gid,
            "jti": BASE64URL_NOPAD.encode(&wire::random::<16>()?), "op": op, "proto": [1],
            "seen": {"n": self.theirs["incarnation"]["n"], "seq": self.theirs["seq"]},
            "tenant": {"dst": self.terms.dst, "src": self.terms.src}, "v": 1,
        }))
    }

    /// A start that nothing is wrong with, of a run that ends soon, under a key of its own.
    pub(crate) fn start(&self) -> Result<Value> {
        self.start_of(&self.terms.prompt)
    }

    /// A start with a prompt.
    pub(crate) fn start_of(&self, prompt: &str) -> Result<Value> {
        let key = format!("kit-{}", BASE64URL_NOPAD.encode(&wire::random::<16>()?));
        let body = json!({
            "agentTarget": {"agent": self.terms.agent, "mode": "session"},
            "callerIdentity": {"principal": "conformance-kit"}, "idempotencyKey": key,
            "invokedAt": wire::now(), "prompt": prompt,
        });
        self.request("start", body)
    }

    /// The same body in another attempt (REQ-7).
    pub(crate) fn again(&self, request: &Value) -> Result<Value> {
        self.request(request["op"].as_str().unwrap_or_default(), request["body"].clone())
    }

    /// An operation on the run of a start, by its key.
    pub(crate) fn about(&self, op: &str, start: &Value) -> Result<Value> {
        self.request(op, json!({"idempotencyKey": start["body"]["idempotencyKey"]}))
    }

    /// Signs a request as it stands.
    pub(crate) fn sign(&self, request: &Value) -> Result<Envelope> {
        self.sign_bytes(&wire::bytes_of(request))
    }

    /// Signs any bytes as a request.
    pub(crate) fn sign_bytes(&self, payload: &[u8]) -> Result<Envelope> {
        Ok(self.key("request")?.seal("request", payload))
    }

    /// One of the kit's keys.
    pub(crate) fn key(&self, name: &str) -> Result<Key> {
        self.home.key(name)
    }

    /// The status that goes along.
    pub(crate) fn status(&self) -> Envelope {
        locked(&self.status).clone()
    }

    /// Has another status go along from now on.
    pub(crate) fn restate(&self, status: Envelope) {
        *locked(&self.status) = status;
    }

    /// The body of an operation.
    pub(crate) fn operation(&self, request: &Envelope) -> String {
        format!(r#"{{"status":{},"request":{}}}"#, self.status().text(), request.text())
    }

    /// The body of an operation that shows roots of the kit's own.
    pub(crate) fn operation_of(&self, roots: &[Envelope], request: &Envelope) -> String {
        format!(r#"{{"roots":{},{}"#, list(roots), &self.operation(request)[1..])
    }

    /// The body of an operation that shows what the executor signed.
    pub(crate) fn operation_with(&self, request: &Envelope, held: &[Envelope]) -> String {
        let body = self.operation(request);
        format!(r#"{},"held":{}}}"#, &body[..body.len() - 1], list(held))
    }

    /// Posts any body.
    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Result<Reply> {
        http::ask(&self.place, ("POST", path), &[JSON], body)
    }

    /// Signs and sends a request.
    pub(crate) fn send(&self, path: &str, request: &Value) -> Result<(Reply, Envelope)> {
        let signed = self.sign(request)?;
        Ok((self.post(path, self.operation(&signed).as_bytes())?, signed))
    }

    /// Opens a stream, and reads its accept.
    pub(crate) fn open(&self, path: &str, request: &Value) -> Result<Stream<'_>> {
        let (reply, signed) = self.send(path, request)?;
        self.stream(reply, &signed)
    }

    /// The stream that a reply is.
    pub(crate) fn stream(&self, mut reply: Reply, request: &Envelope) -> Result<Stream<'_>> {
        if reply.status != 200 {
            let status = reply.status;
            let refusal = self.refusal(&mut reply, Some(request))?;
            bail!("a stream was due, and the answer is {status} {}", refusal.code);
        }
        Stream::new(self, reply, request)
    }

    /// Starts a run and reads it to its end.
    pub(crate) fn run(&self, request: &Value) -> Result<Stream<'_>> {
        let mut stream = self.open(RUNS, request)?;
        stream.finish()?;
        Ok(stream)
    }

    /// Sends an operation that is answered by an `answer`, and returns its result (REQ-31).
    pub(crate) fn answer(&self, path: &str, request: &Value) -> Result<Value> {
        let (mut reply, signed) = self.send(path, request)?;
        if reply.status != 200 {
            let refusal = self.refusal(&mut reply, Some(&signed))?;
            bail!("an answer was due, and it is {} {}", reply.status, refusal.code);
        }
        let media = reply.header("content-type").unwrap_or_default();
        ensure!(media == "application/vnd.gfp.envelope+json", "an answer is of the type {media}");
        let answer = self.statement("answer", &Envelope::read(&reply.all()?)?)?;
        ensure!(answer["request"] == signed.name(), "an answer to another request");
        Ok(answer["result"].clone())
    }

    /// What the executor signed for this caller, under the root that it names.
    pub(crate) fn statement(&self, kind: &str, envelope: &Envelope) -> Result<Value> {
        let version = &wire::document(&envelope.payload)?["root_version"];
        let roots = self.roots_with(version)?;
        let at = usize::try_from(version.as_u64().unwrap_or_default())? - 1;
        let value = envelope.verified(kind, &roots[at], "stream", wire::now())?;
        if kind != "accept" {
            // An accept stands although its key has left the role since; all else is of the present.
            envelope.verified(kind, &roots[roots.len() - 1], "stream", wire::now())?;
        }
        if kind != "seal" {
            ensure!(value["iss"] == self.gid, "a {kind} of another gateway");
            ensure!(value["aud"] == self.home.gid, "a {kind} for another gateway");
        }
        Ok(value)
    }

    /// Reads a refusal (PRB-1 to PRB-3, PRB-9).
    pub(crate) fn refusal(&self, reply: &mut Reply, sent: Option<&Envelope>) -> Result<Refusal> {
        let media = reply.header("content-type").unwrap_or_default().to_owned();
        let retry_after = reply.header("retry-after").map(str::to_owned);
        let bytes = reply.all()?;
        let (problem, signed) = match media.as_str() {
            "application/problem+json" => (serde_json::from_slice(&bytes)?, false),
            "application/vnd.gfp.envelope+json" => {
                let value = self.statement("problem", &Envelope::read(&bytes)?)?;
                let sent = sent.context("a signed refusal of what was not sent")?;
                ensure!(value["request"] == sent.name(), "a refusal of another request");
                (value["problem"].clone(), true)
            }
            other => bail!("a refusal is of the type {other:?}"),
        };
        let code = problem["code"].as_str().context("a problem has a code")?.to_owned();
        let known = REGISTRY.iter().find(|(known, ..)| *known == code);
        let (_, status, retryable, mode) = known.with_context(|| format!("no code: {code}"))?;
        ensure!(reply.status == *status, "{code} is answered {}", reply.status);
        let told = (&problem["status"], &problem["retryable"]);
        ensure!(told == (&json!(status), &json!(retryable)), "{code} is told as {problem}");
        ensure!(problem["retryMode"].as_str() == *mode, "{code} is told as {problem}");
        ensure!(problem["sideEffects"].is_string(), "{code} does not tell of side effects");
        ensure!(problem["have"].is_u64() == (code == "root_unknown"), "`have` is of root_unknown");
        if let Some(after) = problem["retryAfterMs"].as_u64() {
            let seconds = after.div_ceil(1000).to_string();
            ensure!(retry_after == Some(seconds), "Retry-After is {retry_after:?}");
        }
        Ok(Refusal { code, signed, problem })
    }
}

fn list(envelopes: &[Envelope]) -> String {
    format!("[{}]", envelopes.iter().map(Envelope::text).collect::<Vec<_>>().join(","))
}

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The media type of an operation.
pub(crate) const JSON: (&str, &str) = ("Content-Type", "application/json");

/// The codes of answers: status, `retryable`, `retryMode`.
pub(crate) const REGISTRY: [(&str, u16, bool, Option<&str>); 32] = [
    ("malformed", 400, false, CHANGE),
    ("protocol_unsupported", 400, false, CHANGE),
    ("verification_failed", 401, false, CHANGE),
    ("clock_skew", 401, true, RESIGN),
    ("not_granted", 403, false, CHANGE),
    ("peer_suspended", 403, false, CHANGE),
    ("peer_revoked", 403, false, CHANGE),
    ("halted", 503, true, RESIGN),
    ("rolled_back", 503, true, RESIGN),
    ("not_supported", 501, false, CHANGE),
    ("not_found", 404, false, None),
    ("method_not_allowed", 405, false, CHANGE),
    ("request_timeout", 408, true, RESIGN),
    ("root_unknown", 409, true, RESIGN),
    ("status_stale", 409, true, RESIGN),
    ("replayed", 409, true, RESIGN),
    ("cursor_ahead", 409, false, None),
    ("cancelled_before_start", 409, false, KEY),
    ("cursor_gone", 410, false, None),
    ("key_expired", 410, false, KEY),
    ("lost_history", 410, false, KEY),
    ("too_large", 413, false, CHANGE),
    ("unsupported_encoding", 415, false, CHANGE),
    ("key_conflict", 422, false, KEY),
    ("input_refused", 422, false, CHANGE),
    ("rate_limited", 429, true, RESIGN),
    ("internal", 500, true, RESIGN),
    ("overloaded", 503, true, RESIGN),
    ("draining", 503, true, RESIGN),
    ("store_unavailable", 503, true, RESIGN),
    ("session_unknown", 404, false, CHANGE),
    ("approval_refused", 403, false, CHANGE),
];
const CHANGE: Option<&str> = Some("after_change");
const RESIGN: Option<&str> = Some("resign_same_key");
const KEY: Option<&str> = Some("new_key");
