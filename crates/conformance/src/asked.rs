//! What a caller asked, judged as an executor must: form, signature, time, and what it says of itself.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::caller::REGISTRY;
use crate::host::Host;
use crate::script::Script;
use crate::server::Exchange;
use crate::wire::{self, Envelope};

/// An operation that nothing is wrong with, not answered yet.
pub(crate) struct Asked {
    pub(crate) exchange: Exchange,
    /// The request's envelope.
    pub(crate) signed: Envelope,
    /// What it says.
    pub(crate) request: Value,
    /// What the caller holds under our signature.
    pub(crate) held: Vec<Envelope>,
    /// Our version of the caller's status that came along: `n` and `seq`.
    pub(crate) seen: Value,
}

impl Asked {
    /// Judges an operation.
    pub(crate) fn read(exchange: Exchange, host: &Host) -> Result<Self> {
        ensure!(exchange.method == "POST", "an operation is a POST, not {}", exchange.method);
        let media = exchange.header("content-type");
        ensure!(media == Some("application/json"), "an operation is of the type {media:?}");
        let coded = exchange.header("content-encoding").is_some_and(|coding| coding != "identity");
        ensure!(!coded, "an operation in a content coding");
        let body: Value = serde_json::from_slice(&exchange.body).context("a body is JSON")?;
        let list = |name: &str| -> Result<Vec<Envelope>> {
            let all = body[name].as_array().into_iter().flatten();
            all.map(envelope).collect()
        };
        let (roots, held) = (list("roots")?, list("held")?);
        let (status, signed) = (envelope(&body["status"])?, envelope(&body["request"])?);
        let shown = |name: &str, all: &[Envelope]| {
            let all: Vec<String> = all.iter().map(Envelope::text).collect();
            format!(r#""{name}":[{}]"#, all.join(","))
        };
        let mut members = Vec::new();
        if !roots.is_empty() {
            members.push(shown("roots", &roots));
        }
        members.push(format!(r#""status":{}"#, status.text()));
        members.push(format!(r#""request":{}"#, signed.text()));
        if !held.is_empty() {
            members.push(shown("held", &held));
        }
        let due = format!("{{{}}}", members.join(","));
        ensure!(due.as_bytes() == exchange.body, "a body is not in its one spelling (REQ-1)");
        ensure!(held.len() <= HELD_MAX, "{} envelopes are held", held.len());
        let (gid, root) = host.caller()?;
        let seen = judge_status(host, &status, (&gid, &root))?;
        let request = signed.verified("request", &root, "request", wire::now())?;
        judge_request(host, &request, &gid, &exchange.path)?;
        Ok(Self { exchange, signed, request, held, seen })
    }

    /// What is asked.
    pub(crate) fn op(&self) -> &str {
        self.request["op"].as_str().unwrap_or_default()
    }

    /// The cursor of an attach.
    pub(crate) fn after(&self) -> usize {
        let after = self.request["body"]["after"].as_u64().unwrap_or_default();
        usize::try_from(after).unwrap_or(usize::MAX)
    }

    /// Refuses it with a signature.
    pub(crate) fn refuse(mut self, host: &Host, code: &str) -> Result<()> {
        self.exchange.refuse(host, &self.signed, code, None)
    }

    /// Opens a stream and writes the accept.
    pub(crate) fn accept(self, script: &Script) -> Result<Open> {
        let mut open = self.open()?;
        open.write(script.accepted())?;
        Ok(open)
    }

    /// Opens a stream.
    pub(crate) fn open(mut self) -> Result<Open> {
        self.exchange.begin("text/event-stream")?;
        Ok(Open { asked: self })
    }
}

/// A stream that is open. Dropped, it is cut.
pub(crate) struct Open {
    pub(crate) asked: Asked,
}

impl Open {
    /// Writes bytes as they stand.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.asked.exchange.write(bytes.as_ref())
    }

    /// The caller leaves the connection by itself.
    pub(crate) fn must_be_left(&mut self) -> Result<()> {
        ensure!(self.asked.exchange.is_left(LEFT_WITHIN), "the caller goes on reading");
        Ok(())
    }

    /// Closes it in good order.
    pub(crate) fn close(mut self) {
        self.asked.exchange.close();
    }
}

/// The request of an operation's body, not judged yet.
pub(crate) fn request_of(body: &[u8]) -> Result<Envelope> {
    let body: Value = serde_json::from_slice(body).context("a body is JSON")?;
    envelope(&body["request"])
}

/// A problem object as the registry has it, and its HTTP status.
pub(crate) fn problem(code: &str, after_ms: Option<u64>) -> Result<(u16, Value)> {
    let known = REGISTRY.iter().find(|(known, ..)| *known == code);
    let (_, status, retryable, mode) = known.with_context(|| format!("no code: {code}"))?;
    let effects = matches!(code, "lost_history" | "key_expired");
    let mut problem = json!({
        "code": code, "retryable": retryable,
        "sideEffects": if effects { "unknown" } else { "none" }, "status": status,
    });
    if let Some(mode) = mode {
        problem["retryMode"] = json!(mode);
    }
    if let Some(after) = after_ms {
        problem["retryAfterMs"] = json!(after);
    }
    Ok((*status, problem))
}

/// A problem that answers a request, signed.
pub(crate) fn told(host: &Host, request: &Envelope, problem: &Value) -> Result<Envelope> {
    let told = json!({
        "aud": host.caller()?.0, "iss": host.gid, "problem": problem, "request": request.name(),
        "root_version": host.version(), "t": wire::now(), "v": 1,
    });
    host.sign("problem", &told)
}

/// ID-15 to ID-18.
fn judge_status(host: &Host, status: &Envelope, (gid, root): (&str, &Value)) -> Result<Value> {
    let now = wire::now();
    let said = status.verified("status", root, "status", now)?;
    ensure!(said["iss"] == gid, "a status of {}", said["iss"]);
    ensure!(said["root_version"] == root["version"], "a status names another root than it showed");
    let time = |name: &str| said[name].as_i64().with_context(|| format!("a status has {name}"));
    let (issued, expires, seq) = (time("issued")?, time("expires")?, time("seq")?);
    ensure!(seq == issued, "a status is numbered by its time");
    ensure!((1..=86_400_000).contains(&(expires - issued)), "a status lives too long");
    ensure!(expires > now, "a status that expired (ID-16)");
    ensure!(seq <= now + SKEW_MS, "a status of the future");
    ensure!(host.learn(seq, status), "a status older than one before (ID-18)");
    Ok(json!({"n": said["incarnation"]["n"], "seq": seq}))
}

fn judge_request(host: &Host, request: &Value, gid: &str, path: &str) -> Result<()> {
    let members: Vec<&str> =
        request.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let known = [
        "aud",
        "body",
        "exp",
        "iat",
        "iss",
        "jti",
        "op",
        "proto",
        "seen",
        "tenant",
        "traceparent",
        "v",
    ];
    ensure!(members.iter().all(|name| known.contains(name)), "a request has members {members:?}");
    ensure!(request["aud"] == host.gid, "a request for another gateway");
    ensure!(request["iss"] == gid, "a request of another gateway");
    ensure!(request["v"] == 1, "a request of another form");
    let routes = [
        ("start", "/federation/v1/runs"),
        ("attach", "/federation/v1/runs/attach"),
        ("cancel", "/federation/v1/runs/cancel"),
        ("inspect", "/federation/v1/runs/inspect"),
    ];
    let is_due = |(op, route): &(&str, &str)| request["op"] == *op && *route == path;
    ensure!(routes.iter().any(is_due), "{} at {path}", request["op"]);
    let (iat, exp) = (request["iat"].as_i64(), request["exp"].as_i64());
    let (iat, exp) = iat.zip(exp).context("a request has a life")?;
    ensure!((1..=300_000).contains(&(exp - iat)), "a request lives {} ms", exp - iat);
    let now = wire::now();
    ensure!(iat <= now + SKEW_MS && exp >= now - SKEW_MS, "a request out of its time");
    let jti = request["jti"].as_str().context("a request has a jti")?;
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    ensure!((22..=64).contains(&jti.len()) && jti.bytes().all(alphabet), "a jti is {jti:?}");
    ensure!(host.first_use(jti), "a jti is used a second time (REQ-7)");
    let proto: Vec<i64> =
        request["proto"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect();
    ensure!(proto.contains(&1), "version 1 is not offered");
    ensure!(proto.windows(2).all(|pair| pair[0] < pair[1]), "versions ascend");
    let seen = (request["seen"]["n"].as_u64(), request["seen"]["seq"].as_i64());
    ensure!(seen.0.is_some() && seen.1.is_some(), "a request says what it saw (ID-24)");
    let tenants = (request["tenant"]["src"].as_str(), request["tenant"]["dst"].as_str());
    ensure!(tenants.0.is_some() && tenants.1.is_some(), "a request has two tenants");
    match request["op"].as_str() {
        Some("start") => judge_start(&request["body"]),
        _ => judge_other(&request["body"], request["op"] == "attach"),
    }
}

fn judge_start(body: &Value) -> Result<()> {
    let members: Vec<&str> =
        body.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let known = [
        "agentTarget",
        "callerIdentity",
        "deadline",
        "idempotencyKey",
        "invokedAt",
        "limits",
        "prompt",
        "remoteRunId",
    ];
    ensure!(members.iter().all(|name| known.contains(name)), "a start has members {members:?}");
    ensure!(body["agentTarget"]["mode"] == "session", "a start in another mode");
    ensure!(body["agentTarget"]["session"].is_null(), "a fresh session has no name");
    ensure!(body["callerIdentity"]["principal"].is_string(), "a start is on somebody's behalf");
    let invoked = body["invokedAt"].as_i64().context("a start says when it was decided")?;
    ensure!(invoked <= wire::now() + SKEW_MS, "a start of the future");
    let deadline = &body["deadline"];
    let fits = deadline.as_i64().is_some_and(|deadline| deadline > invoked);
    ensure!(deadline.is_null() || fits, "a deadline of {deadline}");
    Ok(())
}

fn judge_other(body: &Value, attaches: bool) -> Result<()> {
    let members: Vec<&str> =
        body.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let known = ["after", "idempotencyKey", "reason", "run"];
    ensure!(
        members.iter().all(|name| known.contains(name)),
        "an operation has members {members:?}"
    );
    ensure!(body["run"].is_string() != body["idempotencyKey"].is_string(), "one name of a run");
    ensure!(body["after"].is_u64() == attaches, "a cursor is an attach's");
    Ok(())
}

fn envelope(value: &Value) -> Result<Envelope> {
    Envelope::read(value.to_string().as_bytes())
}

/// `HELD_MAX`.
const HELD_MAX: usize = 3;
/// `CLOCK_SKEW_MS_MAX`.
const SKEW_MS: i64 = 60_000;
/// A caller that drops a connection does so at once; this is patience with the machine.
const LEFT_WITHIN: Duration = Duration::from_secs(8);
