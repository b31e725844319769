//! Runs of other callers and other tenants: for everybody else they do not exist.
//!
//! They need a second kit (`--other-home`), or a second tenant pair (`--tight`).

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::endings::{cancel, endless};
use super::{Case, refusal_of};
use crate::caller::{ATTACH, CANCEL, Caller, INSPECT, RUNS};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "run-of-another-caller",
        clauses: &["PRB-8"],
        about: "another caller is told of a run exactly what it is told of one that there is not",
        run: |caller| {
            let other = caller.other()?;
            let whole = caller.run(&caller.start()?)?;
            unseen(whole.run()?, |op, body| other.request(op, body), &other)
        },
    },
    Case {
        id: "run-of-another-tenant",
        clauses: &["PRB-8"],
        about: "under another tenant pair of the same caller a run does not exist",
        run: |caller| {
            let (_, tenant) = caller.terms.tight()?;
            let whole = caller.run(&caller.start()?)?;
            let request = |op: &str, body| {
                let mut request = caller.request(op, body)?;
                request["tenant"] = tenant.clone();
                Ok(request)
            };
            unseen(whole.run()?, request, caller)
        },
    },
    Case {
        id: "key-of-another-caller",
        clauses: &["REQ-19", "REQ-20"],
        about: "one key of two callers is two runs, whatever the bodies are",
        run: |caller| {
            let other = caller.other()?;
            let (mine, mut theirs) = (caller.start()?, other.start()?);
            theirs["body"]["idempotencyKey"] = mine["body"]["idempotencyKey"].clone();
            let (one, two) = (caller.run(&mine)?, other.open(RUNS, &theirs)?);
            ensure!(one.run()? != two.run()?, "two callers have one run");
            Ok(())
        },
    },
    Case {
        id: "key-of-another-tenant",
        clauses: &["REQ-19", "REQ-20"],
        about: "one key under two tenant pairs is two runs",
        run: |caller| {
            let (agent, tenant) = caller.terms.tight()?;
            let mine = caller.start()?;
            let mut theirs = caller.again(&mine)?;
            theirs["body"]["agentTarget"]["agent"] = json!(agent);
            theirs["tenant"] = tenant;
            let (one, two) = (caller.run(&mine)?, caller.run(&theirs)?);
            ensure!(one.run()? != two.run()?, "two tenant pairs have one run");
            Ok(())
        },
    },
    Case {
        id: "cancel-of-another-caller",
        clauses: &["REQ-32", "PRB-8"],
        about: "another caller's cancel of the same key stops nothing, and blocks its own key alone",
        run: |caller| {
            let other = caller.other()?;
            let start = endless(caller)?;
            let mut stream = caller.open(RUNS, &start)?;
            stream.until(1)?;
            let answer = cancel(&other, &start)?;
            ensure!(answer == json!({"cancel": "blocked"}), "it is answered {answer}");
            let told = caller.answer(INSPECT, &caller.about("inspect", &start)?)?;
            ensure!(told["state"] == "running", "it stopped the run: {told}");
            let answer = cancel(caller, &start)?;
            ensure!(answer["cancel"] == "requested", "it is answered {answer}");
            stream.finish()
        },
    },
    Case {
        id: "jti-of-another-caller",
        clauses: &["REQ-17"],
        about: "a jti that another caller used before is not replayed",
        run: |caller| {
            let other = caller.other()?;
            let mut start = caller.start()?;
            let theirs = other.about("inspect", &start)?;
            start["jti"] = theirs["jti"].clone();
            let (reply, signed) = other.send(INSPECT, &theirs)?;
            refusal_of(&other, reply, Some(&signed), ("not_found", true))?;
            caller.run(&start).map(drop)
        },
    },
    Case {
        id: "signed-by-another-caller",
        clauses: &["ID-30", "ENV-9"],
        about: "what another peer's key signed in the caller's name is verification_failed",
        run: |caller| {
            let key = caller.other()?.key("request")?;
            let start = caller.start()?;
            let signed = key.seal("request", &crate::wire::bytes_of(&start));
            super::unheard(caller, &start, &caller.operation(&signed), "verification_failed")
        },
    },
    Case {
        id: "status-of-another-caller",
        clauses: &["REQ-11"],
        about: "a good request beside another peer's good status is verification_failed",
        run: |caller| {
            let other = caller.other()?;
            let start = caller.start()?;
            let signed = caller.sign(&start)?;
            super::unheard(caller, &start, &other.operation(&signed), "verification_failed")
        },
    },
];

/// Attach, cancel and inspect answer for a run as for one that there is not.
fn unseen(run: &str, request: impl Fn(&str, Value) -> Result<Value>, by: &Caller) -> Result<()> {
    let nowhere = format!("run-{}", "a".repeat(26));
    for (path, op) in [(ATTACH, "attach"), (CANCEL, "cancel"), (INSPECT, "inspect")] {
        let mut told = Vec::new();
        for run in [run, &nowhere] {
            let mut body = json!({"run": run});
            if op == "attach" {
                body["after"] = json!(0);
            }
            let (reply, signed) = by.send(path, &request(op, body)?)?;
            told.push(refusal_of(by, reply, Some(&signed), ("not_found", true))?.problem);
        }
        ensure!(told[0] == told[1], "{op} tells them apart: {told:?}");
    }
    Ok(())
}
