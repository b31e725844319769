//! The profile `local-client`: tries a client of the local API (`docs/local-api.md`).
//!
//! Here the kit is the bridge. It serves what a script says, starts the client's command for each case, and judges what
//! the command tells and what it asked for. A real bridge does not cut its streams at a given byte, and so proves little.

mod calls;
mod client;
mod cuts;
mod script;
mod server;
mod starts;
mod streams;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use self::client::Client;
use crate::cases::Skipped;

/// What `landbridge-conformance local-client` takes.
#[derive(Args, Debug)]
pub(crate) struct LocalClient {
    /// The command that does what the task on its standard input says, as the shell would start it.
    #[arg(long, required_unless_present = "list")]
    client: Option<String>,
    /// Run these cases only.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// How long a silence is a dead connection in these cases; 45000 for a client that cannot be told.
    #[arg(long, default_value_t = 1_500)]
    silence_ms: u64,
    /// List the cases.
    #[arg(long)]
    list: bool,
}

/// One thing that is tried.
struct Case {
    id: &'static str,
    /// Where the manual of the local API says what must come of it.
    section: &'static str,
    about: &'static str,
    run: fn(&Client) -> Result<()>,
}

/// Runs the cases, and says whether none failed.
pub(crate) fn run(asked: &LocalClient, as_json: bool) -> Result<bool> {
    for id in &asked.only {
        ensure!(all().any(|case| case.id == id), "there is no case {id}");
    }
    let chosen = |case: &&Case| asked.only.is_empty() || asked.only.iter().any(|id| id == case.id);
    let cases: Vec<&Case> = all().filter(chosen).collect();
    let came = match &asked.client {
        Some(command) if !asked.list => {
            let silence = Duration::from_millis(asked.silence_ms);
            tried(&cases, &Client { command: command.clone(), silence })?
        }
        _ => Vec::new(),
    };
    Ok(report(&cases, &came, as_json))
}

fn all() -> impl Iterator<Item = &'static Case> {
    [starts::CASES, streams::CASES, cuts::CASES, calls::CASES].into_iter().flatten()
}

/// A start of the work that every case starts.
fn start(what: &str) -> Value {
    let start = json!({
        "gateway": "eu", "agent": "demo", "prompt": "Say \"hällo\".\n", "labels": {"team": "sre"},
        "idempotencyKey": "kit-0123456789abcdef",
    });
    json!({"do": what, "start": start})
}

/// Following the run behind a cursor.
fn follow(after: usize) -> Value {
    json!({"do": "follow", "run": script::RUN, "after": after})
}

/// What came of each case. Several at a time, because most of a case is waiting.
fn tried(cases: &[&Case], client: &Client) -> Result<Vec<Result<()>>> {
    let (next, came) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((at, case)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    cases.get(at).map(|case| (at, case))
                } {
                    let verdict = (case.run)(client);
                    if let Ok(mut came) = came.lock() {
                        came.insert(at, verdict);
                    }
                }
            });
        }
    });
    Ok(came.into_inner().ok().context("a case panicked")?.into_values().collect())
}

/// Prints the cases with what came of them, where they were run.
fn report(cases: &[&Case], came: &[Result<()>], as_json: bool) -> bool {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut told = Vec::new();
    for (at, case) in cases.iter().enumerate() {
        let (verdict, reason) = match came.get(at) {
            None => ("", None),
            Some(Ok(())) => ("pass", None),
            Some(Err(fault)) if fault.is::<Skipped>() => ("skipped", Some(fault.to_string())),
            Some(Err(fault)) => ("fail", Some(format!("{fault:#}"))),
        };
        *counts.entry(verdict).or_default() += 1;
        let (id, section, about) = (case.id, case.section, case.about);
        if !as_json {
            println!("{verdict:<8}  {id:<24}  {section:<20}  {about}");
            if let Some(reason) = &reason {
                println!("{:<8}  {reason}", "");
            }
        }
        let mut entry = json!({"about": about, "id": id, "profile": PROFILE, "section": section});
        if !verdict.is_empty() {
            entry["verdict"] = json!(verdict);
            entry["reason"] = json!(reason);
        }
        told.push(entry);
    }
    let failed = counts.contains_key("fail");
    counts.remove("");
    if as_json {
        println!("{}", json!({"cases": told, "counts": counts, "v": 1}));
    } else {
        let counts: Vec<String> =
            counts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
        println!("\n{} cases: {}", cases.len(), counts.join(", "));
    }
    !failed
}

const PROFILE: &str = "local-client";
const AT_A_TIME: usize = 4;
