//! What the executor says of itself: statuses, and the TLS key by which it says it.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::cases::Case;
use crate::host::Host;
use crate::script;
use crate::stage::Stage;
use crate::wire::{self, Envelope};

/// What is tried before anything else.
pub(super) const FIRST: &[Case<Stage>] = &[Case {
    id: "own-history-looked-for",
    clauses: &["ID-47"],
    about: "a caller asks for its own status of before, before it first asks for anything else",
    run: |stage| {
        let (caller, _) = stage.host().caller()?;
        if !stage.is_new {
            return Err(
                crate::cases::Skipped("the caller ran before; invite it anew".to_owned()).into()
            );
        }
        stage.start()?.serve()?;
        let log = stage.server.log();
        let look = format!("GET /federation/v1/status/{caller}/");
        let looked = log.iter().position(|entry| entry.starts_with(&look));
        let asked = log.iter().position(|entry| entry.starts_with("POST /federation/v1/runs"));
        ensure!(looked.context("it never asks")? < asked.context("a start")?, "it asks too late");
        Ok(())
    },
}];

pub(super) const CASES: &[Case<Stage>] = &[
    Case {
        id: "status-newest-is-seen",
        clauses: &["ID-24"],
        about: "a status that came in a stream is named in the next request",
        run: |stage| seen(stage, true, |host| host.status(|_| {})),
    },
    Case {
        id: "status-older",
        clauses: &["ID-18"],
        about: "a status older than one before is not taken",
        run: |stage| seen(stage, false, |host| host.status(|status| shift(status, -20_000))),
    },
    Case {
        id: "status-of-the-future",
        clauses: &["ID-17"],
        about: "a status of ten minutes from now is not taken",
        run: |stage| seen(stage, false, |host| host.status(|status| shift(status, 600_000))),
    },
    Case {
        id: "status-of-an-earlier-incarnation",
        clauses: &["ID-18"],
        about: "a newer status of an earlier incarnation is not taken",
        run: |stage| {
            seen(stage, false, |host| {
                host.status(|status| {
                    let n = status["incarnation"]["n"].as_i64().unwrap_or_default();
                    status["incarnation"]["n"] = json!(n - 1);
                })
            })
        },
    },
    Case {
        id: "status-of-another",
        clauses: &["ID-15"],
        about: "a status that speaks for another gateway is not taken",
        run: |stage| {
            let (caller, _) = stage.host().caller()?;
            seen(stage, false, move |host| host.status(|status| status["iss"] = json!(caller)))
        },
    },
    Case {
        id: "status-of-another-root",
        clauses: &["ID-15"],
        about: "a status that names another root than its version is not taken",
        run: |stage| {
            seen(stage, false, |host| host.status(|status| status["root"] = json!("A".repeat(43))))
        },
    },
    Case {
        id: "status-by-stream-key",
        clauses: &["ENV-9"],
        about: "a status by the key of another role is not taken",
        run: |stage| {
            seen(stage, false, |host| {
                let status = host.status(|_| {})?;
                Ok(host.stream_key()?.seal("status", &status.payload))
            })
        },
    },
    Case {
        id: "status-lives-too-long",
        clauses: &["ID-17"],
        about: "a status that lives longer than a day is not taken",
        run: |stage| {
            seen(stage, false, |host| {
                host.status(|status| {
                    let issued = status["issued"].as_i64().unwrap_or_default();
                    status["expires"] = json!(issued + 86_400_001);
                })
            })
        },
    },
    Case {
        id: "status-expired",
        clauses: &["STR-15", "ID-16", "ID-21"],
        about: "while the newest status is expired nothing is told, and nothing is started",
        run: expired,
    },
    Case {
        id: "tls-key",
        clauses: &["ID-38", "ID-54"],
        about: "what has another TLS key is asked for documents at most",
        run: |stage| {
            stage.server.disguise(true);
            let came = stage.start();
            thread::sleep(Duration::from_secs(3));
            stage.server.disguise(false);
            let mut run = came?;
            let told = |entry: &String| entry.starts_with("stranger POST");
            ensure!(!stage.server.log().iter().any(told), "a request went to a stranger");
            run.must_be_told(0)?;
            run.serve()
        },
    },
    Case {
        id: "rolled-back",
        clauses: &["ID-43", "PRB-6"],
        about: "an executor that does not remember is shown its own newest status",
        run: |stage| {
            let (mut run, open) = stage.begun()?;
            open.close();
            run.asked("attach")?.refuse(stage.host(), "rolled_back")?;
            let asked = run.asked("attach")?;
            let shown = asked.held.iter().any(|held| held.media == wire::media("status"));
            ensure!(shown, "the newest status is not shown");
            drop(asked);
            run.must_be_told(2)?;
            run.serve()
        },
    },
    Case {
        id: "begun-again",
        clauses: &["STR-29", "REQ-64"],
        about: "a run of an incarnation that is over is lost; later ones are led",
        run: |stage| {
            let (mut run, mut open) = stage.begun()?;
            let status = stage.host().begin_again()?;
            open.write(script::event("status", &[&status.text()]))?;
            open.close();
            let asked = run.asked("attach")?;
            ensure!(asked.request["seen"] == stage.host().seen()?, "the incarnation is not seen");
            asked.refuse(stage.host(), "lost_history")?;
            run.must_end_itself(2, "lost")?;
            stage.start()?.serve()
        },
    },
];

/// A status comes in a stream; the next request says whether it was taken.
fn seen(
    stage: &Stage,
    is_good: bool,
    status: impl FnOnce(&Host) -> Result<Envelope>,
) -> Result<()> {
    let host = stage.host();
    let mut run = stage.start()?;
    let mut open = run.begin()?;
    // One that is good, so that it is known what was seen before.
    let good = host.status(|_| {})?;
    host.publish(good.clone());
    open.write(script::event("status", &[&good.text()]) + &run.batch(1, 2)?)?;
    run.must_be_told(2)?;
    let known = wire::document(&good.payload)?;
    let told = status(host)?;
    let _left = open.write(script::event("status", &[&told.text()]));
    if is_good {
        host.publish(told.clone());
        open.write(run.batch(3, 3)?)?;
        run.must_be_told(3)?;
    }
    open.asked.exchange.is_left(Duration::from_millis(500));
    open.close();
    let due = if is_good { wire::document(&told.payload)? } else { known };
    let due = json!({"n": due["incarnation"]["n"], "seq": due["seq"]});
    let asked = run.asked("attach")?;
    let said = &asked.request["seen"];
    ensure!(*said == due, "{said} is seen, and {due} was due");
    drop(asked);
    run.serve()
}

fn shift(status: &mut Value, by: i64) {
    for name in ["expires", "issued", "seq"] {
        let at = status[name].as_i64().unwrap_or_default();
        status[name] = json!(at + by);
    }
}

fn expired(stage: &Stage) -> Result<()> {
    let host = stage.host();
    let mut run = stage.start()?;
    let mut open = run.begin()?;
    let short = host.status(|status| {
        let issued = status["issued"].as_i64().unwrap_or_default();
        status["expires"] = json!(issued + 3_000);
        status["refresh_ms"] = json!(1_000);
    })?;
    host.publish(short.clone());
    open.write(script::event("status", &[&short.text()]) + &run.batch(1, 2)?)?;
    run.must_be_told(2)?;
    thread::sleep(Duration::from_millis(3_200));
    let _left = open.write(run.batch(3, 3)?);
    let asked = stage.server.log().iter().filter(|entry| entry.starts_with("POST")).count();
    let mut other = stage.start()?;
    let waited = thread::spawn(|| thread::sleep(Duration::from_secs(2)));
    run.must_be_told(2)?;
    let _slept = waited.join();
    let since = stage.server.log().iter().filter(|entry| entry.starts_with("POST")).count();
    let fresh = host.status(|_| {})?;
    host.publish(fresh);
    drop(open);
    run.must_be_told(2)?;
    ensure!(asked == since, "something is asked of an executor whose status expired");
    run.serve()?;
    other.serve()
}
