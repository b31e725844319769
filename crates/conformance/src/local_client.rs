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

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use self::client::Client;
use crate::cases::Case;
use crate::report::Report;

/// What `landbridge-conformance local-client` takes.
#[derive(Args, Debug)]
pub(crate) struct LocalClient {
    /// The command that does what the task on its standard input says, as the shell would start it.
    #[arg(long)]
    client: String,
    /// Run these cases only.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A case that is known to fail, and why.
    #[arg(long = "expect-fail", value_name = "CASE=REASON")]
    pub(crate) expected: Vec<String>,
    /// How long a silence is a dead connection in these cases; 45000 for a client that cannot be told.
    #[arg(long, default_value_t = 1_500)]
    silence_ms: u64,
}

/// The profile of these cases.
pub(crate) const PROFILE: &str = "local-client";

/// All cases. What they test is a section of the manual, where others name a clause.
pub(crate) fn all() -> impl Iterator<Item = &'static Case<Client>> {
    [starts::CASES, streams::CASES, cuts::CASES, calls::CASES].into_iter().flatten()
}

/// Runs the cases, several at a time because most of one is waiting, and says whether none failed.
pub(crate) fn run(asked: &LocalClient, mut report: Report) -> Result<bool> {
    for id in &asked.only {
        ensure!(all().any(|case| case.id == id), "there is no case {id} of clients");
    }
    let chosen =
        |case: &&Case<Client>| asked.only.is_empty() || asked.only.iter().any(|id| id == case.id);
    let cases: Vec<_> = all().filter(chosen).collect();
    let silence = Duration::from_millis(asked.silence_ms);
    let client = Client { command: asked.client.clone(), silence };
    let next = AtomicUsize::new(0);
    let (tell, came) = channel();
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            let (cases, next, client, tell) = (&cases, &next, &client, tell.clone());
            scope.spawn(move || {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let _heard = tell.send((*case, (case.run)(client)));
                }
            });
        }
        drop(tell);
        for (case, verdict) in came {
            report.tried(PROFILE, case, verdict);
        }
    });
    Ok(report.end())
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

const AT_A_TIME: usize = 4;
