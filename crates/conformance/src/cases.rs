//! The cases: what is tried, and which clauses say what must come of it.

mod approvals;
mod catalogs;
mod crashes;
mod documents;
mod endings;
mod envelope;
mod form;
mod held;
mod members;
mod owners;
mod pairing;
mod patience;
mod points;
mod quotas;
mod request;
mod restores;
mod roots;
mod rotation;
mod runs;
mod sessions;
mod standing;
mod status;
mod tools;
mod transport;

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

/// A case that cannot be tried here, and why.
#[derive(Debug)]
pub(crate) struct Skipped(pub(crate) String);

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skipped {}

/// The profile that is tried unless another one is named.
const CORE: &str = "core-executor";

/// Cases that belong together, because of what has to be there for them.
struct Profile {
    name: &'static str,
    groups: &'static [&'static [Case]],
}

/// All profiles, in the order in which they are run: what cannot be taken back comes last.
const PROFILES: &[Profile] = &[
    Profile {
        name: CORE,
        groups: &[
            documents::CASES,
            transport::CASES,
            form::CASES,
            envelope::CASES,
            points::CASES,
            request::CASES,
            runs::CASES,
            held::CASES,
            endings::CASES,
            status::CASES,
        ],
    },
    Profile { name: "owners", groups: &[owners::CASES] },
    Profile { name: "pairing", groups: &[pairing::CASES] },
    Profile { name: "members", groups: &[members::CASES] },
    Profile { name: "quotas", groups: &[quotas::CASES] },
    Profile { name: "tools", groups: &[tools::CASES] },
    Profile { name: "sessions", groups: &[sessions::CASES] },
    Profile { name: "approvals", groups: &[catalogs::CASES, approvals::CASES] },
    Profile { name: "crashes", groups: &[crashes::CASES] },
    Profile { name: "patience", groups: &[patience::CASES] },
    Profile { name: "rotation", groups: &[roots::CASES, rotation::CASES] },
    Profile { name: "restores", groups: &[restores::CASES] },
    Profile { name: "standing", groups: &[standing::CASES] },
];

/// All cases with their profiles.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static Case)> {
    let cases = |profile: &'static Profile| profile.groups.iter().copied().flatten();
    PROFILES.iter().flat_map(move |profile| cases(profile).map(|case| (profile.name, case)))
}

/// What is to be tried: the cases of these profiles, or those of them that are named.
pub(crate) fn wanted(profiles: &[String], only: &[String]) -> Result<Vec<Chosen>> {
    for name in profiles {
        ensure!(
            PROFILES.iter().any(|one| one.name == *name),
            "there is no profile {name} of executors"
        );
    }
    for id in only {
        ensure!(all().any(|(_, case)| case.id == id), "there is no case {id}");
    }
    let mut wanted: Vec<Chosen> = Vec::new();
    for (profile, case) in all() {
        let named = only.iter().any(|id| id == case.id);
        let default = profile == CORE || named;
        let in_profile = profiles.iter().any(|name| name == profile);
        if !(in_profile || profiles.is_empty() && default) || !(named || only.is_empty()) {
            continue;
        }
        match wanted.last_mut() {
            Some((last, cases)) if *last == profile => cases.push(case),
            _ => wanted.push((profile, vec![case])),
        }
    }
    Ok(wanted)
}

/// A profile, and cases of it.
type Chosen = (&'static str, Vec<&'static Case>);

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
