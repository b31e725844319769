//! What an operator decides about the executor, or about a peer of it (`--hook`).

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::catalogs::CATALOG;
use super::endings::{cancel, ended, endless};
use super::{Case, operation_refused, refusal_of};
use crate::caller::{ATTACH, CANCEL, Caller, INSPECT, RUNS};
use crate::home;
use crate::stream::Stream;
use crate::wire;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "grant-withdrawn",
        clauses: &["APR-2", "REQ-19", "REQ-22", "STR-41"],
        about: "without its grant a run goes on under its terms, and new work is not_granted",
        run: |caller| {
            caller.terms.needs(&["withdraw", "grant"])?;
            let start = endless(caller)?;
            let mut stream = caller.open(RUNS, &start)?;
            stream.until(1)?;
            caller.terms.done("withdraw", "")?;
            let tried = without_a_grant(caller, &start);
            let undone = caller.terms.done("grant", "");
            tried?;
            undone?;
            stream.finish()?;
            ended(&stream, "cancelled", "cancelled")?;
            caller.run(&caller.start()?).map(drop)
        },
    },
    Case {
        id: "suspended",
        clauses: &["STR-41", "STR-42", "REQ-9"],
        about: "a suspended caller is refused everything, its stream ends, and its run goes on",
        run: |caller| {
            caller.terms.needs(&["suspend", "activate"])?;
            let start = endless(caller)?;
            let mut stream = caller.open(RUNS, &start)?;
            stream.until(1)?;
            caller.terms.done("suspend", "")?;
            let tried = barred(caller, "peer_suspended").and_then(|()| {
                let code = stream.cut_off()?;
                ensure!(code == "peer_suspended", "the stream ends with {code}");
                Ok(())
            });
            let undone = caller.terms.done("activate", "");
            tried?;
            undone?;
            goes_on(caller, &start, &stream)
        },
    },
    Case {
        id: "suspended-alone",
        clauses: &["REQ-9"],
        about: "another peer is served while the caller is suspended",
        run: |caller| {
            caller.terms.needs(&["suspend", "activate"])?;
            let other = caller.other()?;
            caller.terms.done("suspend", "")?;
            let served = other.start().and_then(|start| other.run(&start).map(drop));
            caller.terms.done("activate", "")?;
            served
        },
    },
    Case {
        id: "halted",
        clauses: &["ID-64", "ID-65"],
        about: "a halted executor refuses everything, ends streams and runs, and serves its documents",
        run: |caller| {
            caller.terms.needs(&["halt", "resume"])?;
            let start = endless(caller)?;
            let mut stream = caller.open(RUNS, &start)?;
            stream.until(1)?;
            caller.terms.done("halt", "")?;
            let tried = (|| {
                let since = wire::now();
                let code = stream.cut_off()?;
                ensure!(code == "halted", "the stream ends with {code}");
                ensure!(wire::now() < since + 6_000, "the stream ended late");
                barred(caller, "halted")?;
                home::chain(&caller.place)?;
                Ok(())
            })();
            let undone = caller.terms.done("resume", "");
            tried?;
            undone?;
            let whole = settled(caller, |caller| {
                caller.run(&caller.again(&start)?).map(|run| (run.frames.clone(), run.terminal()))
            })?;
            let terminal = whole.1?;
            ensure!(terminal["outcome"] == "cancelled", "it ended as {terminal}");
            ensure!(whole.0.starts_with(&stream.frames), "other frames");
            caller.run(&caller.start()?).map(drop)
        },
    },
    Case {
        id: "halted-after-a-restart",
        clauses: &["ID-64", "ID-65"],
        about: "a halted executor that is killed comes back halted",
        run: |caller| {
            caller.terms.needs(&["halt", "resume", "restart"])?;
            caller.terms.done("halt", "")?;
            let tried = caller.terms.done("restart", "").and_then(|_| barred(caller, "halted"));
            let undone = caller.terms.done("resume", "");
            tried?;
            undone?;
            settled(caller, |caller| caller.run(&caller.start()?).map(drop))
        },
    },
    Case {
        id: "draining",
        clauses: &["STR-44", "STR-45", "REQ-73"],
        about: "an executor that shuts down ends its streams with draining, and its successor goes on",
        run: |caller| {
            caller.terms.needs(&["drain", "restart"])?;
            let start = endless(caller)?;
            let mut stream = caller.open(RUNS, &start)?;
            stream.until(1)?;
            caller.terms.done("drain", "")?;
            let late = caller.start()?;
            // It may be gone before it hears of this one.
            let refused = caller.send(RUNS, &late);
            let code = stream.cut_off();
            let tried = (|| {
                if let Ok((mut reply, signed)) = refused {
                    let refusal = caller.refusal(&mut reply, Some(&signed))?;
                    ensure!(refusal.code == "draining", "a late start is {}", refusal.code);
                    ensure!(refusal.problem["retryAfterMs"].is_u64(), "no time is told");
                }
                let code = code?;
                ensure!(code == "draining", "the stream ends with {code}");
                Ok(())
            })();
            let undone = caller.terms.done("restart", "");
            tried?;
            undone?;
            goes_on(caller, &start, &stream)?;
            caller.run(&caller.again(&late)?).map(drop)
        },
    },
    Case {
        id: "equivocation",
        clauses: &["ID-19", "STR-24", "STR-25"],
        about: "who staples two statuses of one number is suspended, until an operator lifts it",
        run: |caller| {
            caller.terms.needs(&["lift"])?;
            let other = caller.other()?;
            let mut status = other.home.status(&[]);
            for audit in [0, 1] {
                status["audit"]["size"] = json!(audit);
                let signed = other.key("status")?.seal("status", &wire::bytes_of(&status));
                other.restate(signed);
                let start = other.start()?;
                let (mut reply, signed) = other.send(RUNS, &start)?;
                if audit == 0 {
                    other.stream(reply, &signed)?.finish()?;
                    continue;
                }
                ensure!(reply.status != 200, "the second one is served");
                other.refusal(&mut reply, Some(&signed))?;
            }
            let later = caller.other()?;
            let tried = barred(&later, "peer_suspended")
                .and_then(|()| caller.run(&caller.start()?).map(drop));
            let undone = caller.terms.done("lift", "");
            tried?;
            undone?;
            later.run(&later.start()?).map(drop)
        },
    },
    Case {
        id: "revoked-peer",
        clauses: &["ID-61", "ID-62"],
        about: "a revoked peer is refused everything, its stream ends, and others are served",
        run: |caller| {
            caller.terms.needs(&["revoke-other"])?;
            let other = caller.other()?;
            let start = endless(&other)?;
            let mut stream = other.open(RUNS, &start)?;
            stream.until(1)?;
            caller.terms.done("revoke-other", "")?;
            let code = stream.cut_off()?;
            ensure!(code == "peer_revoked", "the stream ends with {code}");
            barred(&other, "peer_revoked")?;
            caller.run(&caller.start()?).map(drop)
        },
    },
];

/// A start, and what is asked about a run, are refused, signed, with one code.
fn barred(caller: &Caller, code: &str) -> Result<()> {
    let start = caller.start()?;
    operation_refused(caller, RUNS, &start, code)?;
    for (path, op) in [(CANCEL, "cancel"), (INSPECT, "inspect")] {
        operation_refused(caller, path, &caller.about(op, &start)?, code)?;
    }
    let mut attach = caller.about("attach", &start)?;
    attach["body"]["after"] = json!(0);
    operation_refused(caller, ATTACH, &attach, code)
}

fn without_a_grant(caller: &Caller, start: &serde_json::Value) -> Result<()> {
    let (reply, signed) = caller.send(RUNS, &caller.start()?)?;
    refusal_of(caller, reply, Some(&signed), ("not_granted", true))?;
    let catalog = caller.request("catalog", json!({}))?;
    operation_refused(caller, CATALOG, &catalog, "not_granted")?;
    caller.open(RUNS, &caller.again(start)?)?.until(1)?;
    let told = caller.answer(INSPECT, &caller.about("inspect", start)?)?;
    ensure!(told["state"] == "running", "it tells {told}");
    let answer = cancel(caller, start)?;
    ensure!(answer["cancel"] == "requested", "it is answered {answer}");
    Ok(())
}

/// Tries for some seconds: an operator's word may take a moment.
fn settled<T>(caller: &Caller, attempt: impl Fn(&Caller) -> Result<T>) -> Result<T> {
    for _ in 0..20 {
        if let Ok(came) = attempt(caller) {
            return Ok(came);
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    attempt(caller)
}

/// A run goes on where its stream was left, until it is cancelled.
fn goes_on(caller: &Caller, start: &Value, stream: &Stream<'_>) -> Result<()> {
    let body = json!({"after": stream.seq(), "run": stream.run()?});
    let rest = caller.open(ATTACH, &caller.request("attach", body)?)?;
    let mut rest = rest.onward(stream.chained())?;
    cancel(caller, start)?;
    rest.finish()?;
    ended(&rest, "cancelled", "cancelled")
}
