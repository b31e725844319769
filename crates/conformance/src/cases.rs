//! The cases: what is tried, and which clauses say what must come of it.

mod documents;
mod endings;
mod envelope;
mod form;
mod request;
mod runs;
mod status;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::caller::{Caller, INSPECT, RUNS, Refusal};
use crate::http::Reply;
use crate::wire::Envelope;

/// One thing that is tried, on an executor or, as another `T`, on a caller.
pub(crate) struct Case<T = Caller> {
    pub(crate) id: &'static str,
    /// The clauses that it tests, by their ids in `spec/`.
    pub(crate) clauses: &'static [&'static str],
    pub(crate) about: &'static str,
    pub(crate) run: fn(&T) -> Result<()>,
}

/// The profile of these cases.
pub(crate) const PROFILE: &str = "core-executor";

/// A case that cannot be tried here, and why.
#[derive(Debug)]
pub(crate) struct Skipped(pub(crate) &'static str);

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Skipped {}

/// All cases, in the order in which they are run.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [
        documents::CASES,
        form::CASES,
        envelope::CASES,
        request::CASES,
        runs::CASES,
        endings::CASES,
        status::CASES,
    ]
    .into_iter()
    .flatten()
}

/// A start that must be refused, and must leave no run behind.
fn refused(caller: &Caller, start: &Value, due: (&str, bool)) -> Result<()> {
    let signed = caller.sign(start)?;
    refused_as(caller, &caller.operation(&signed), Some(&signed), due)?;
    nothing_of(caller, start)
}

/// A start whose signed envelope is bent: the receiver knows nothing of it but that it is bad.
fn bent(caller: &Caller, code: &str, bend: impl FnOnce(&mut Envelope)) -> Result<()> {
    let start = caller.start()?;
    let mut signed = caller.sign(&start)?;
    bend(&mut signed);
    unheard(caller, &start, &caller.operation(&signed), code)
}

/// A body around a start that must be refused without a signature.
fn unheard(caller: &Caller, start: &Value, body: &str, code: &str) -> Result<()> {
    refused_as(caller, body, None, (code, false))?;
    nothing_of(caller, start)
}

fn refused_as(
    caller: &Caller,
    body: &str,
    sent: Option<&Envelope>,
    due: (&str, bool),
) -> Result<Refusal> {
    refusal_of(caller, caller.post(RUNS, body.as_bytes())?, sent, due)
}

/// The refusal that a reply must be: its code, and whether it is signed.
fn refusal_of(
    caller: &Caller,
    mut reply: Reply,
    sent: Option<&Envelope>,
    (code, signed): (&str, bool),
) -> Result<Refusal> {
    ensure!(reply.status != 200, "it is served, and {code} was due");
    let refusal = caller.refusal(&mut reply, sent)?;
    let how = if signed { "signed" } else { "unsigned" };
    ensure!(refusal.code == code, "{code} was due, and it is {}", refusal.code);
    ensure!(refusal.signed == signed, "{code} must be {how}");
    Ok(refusal)
}

/// An operation that must be refused with a signature.
fn operation_refused(caller: &Caller, path: &str, request: &Value, code: &str) -> Result<()> {
    let (reply, signed) = caller.send(path, request)?;
    refusal_of(caller, reply, Some(&signed), (code, true)).map(drop)
}

/// No run has the key of a start.
fn nothing_of(caller: &Caller, start: &Value) -> Result<()> {
    operation_refused(caller, INSPECT, &caller.about("inspect", start)?, "not_found")
        .context("a refused start left a run behind")
}

/// A start with one member changed.
fn changed(caller: &Caller, pointer: &str, value: Value) -> Result<Value> {
    let mut start = caller.start()?;
    *start.pointer_mut(pointer).context("a member that is there")? = value;
    Ok(start)
}

/// A start with one member of its body more.
fn with(caller: &Caller, name: &str, value: Value) -> Result<Value> {
    let mut start = caller.start()?;
    start["body"][name] = value;
    Ok(start)
}
