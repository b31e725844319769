//! Cuts, cancels and deadlines, of runs that go on until they are stopped.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Case, Skipped, operation_refused};
use crate::caller::{ATTACH, CANCEL, Caller, INSPECT, RUNS};
use crate::stream::Stream;
use crate::wire;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "cancel",
        clauses: &["REQ-34", "REQ-70", "REQ-71", "STR-33"],
        about: "a cancel is requested, the run ends as cancelled, a second one is too late",
        run: |caller| {
            let start = endless(caller)?;
            let mut stream = caller.open(RUNS, &start)?;
            stream.until(1)?;
            let answer = cancel(caller, &start)?;
            ensure!(answer["cancel"] == "requested", "it is answered {answer}");
            ensure!(answer["run"] == stream.terms["run"], "another run");
            stream.finish()?;
            ended(&stream, "cancelled", "cancelled")?;
            let answer = cancel(caller, &start)?;
            ensure!(answer["cancel"] == "already_terminal", "it is answered {answer}");
            Ok(())
        },
    },
    Case {
        id: "cancel-by-run",
        clauses: &["REQ-34"],
        about: "a cancel by run, with a reason, ends it",
        run: |caller| {
            let mut stream = caller.open(RUNS, &endless(caller)?)?;
            let body = json!({"reason": "operator", "run": stream.run()?});
            let answer = caller.answer(CANCEL, &caller.request("cancel", body)?)?;
            ensure!(answer["cancel"] == "requested", "it is answered {answer}");
            stream.finish()?;
            ended(&stream, "cancelled", "cancelled")
        },
    },
    Case {
        id: "cancel-before-start",
        clauses: &["REQ-32", "REQ-67"],
        about: "a cancel blocks its key, and a later start is cancelled_before_start",
        run: |caller| {
            let start = caller.start()?;
            let answer = cancel(caller, &start)?;
            ensure!(answer == json!({"cancel": "blocked"}), "it is answered {answer}");
            for _ in 0..2 {
                let late = caller.again(&start)?;
                operation_refused(caller, RUNS, &late, "cancelled_before_start")?;
            }
            operation_refused(caller, INSPECT, &caller.about("inspect", &start)?, "not_found")
        },
    },
    Case {
        id: "cancel-ended",
        clauses: &["REQ-70"],
        about: "a cancel of a run that ended is already_terminal and changes nothing",
        run: |caller| {
            let start = caller.start()?;
            let whole = caller.run(&start)?;
            let answer = cancel(caller, &start)?;
            ensure!(answer["cancel"] == "already_terminal", "it is answered {answer}");
            let again = caller.run(&caller.again(&start)?)?;
            ensure!(again.frames == whole.frames, "the frames changed");
            Ok(())
        },
    },
    Case {
        id: "inspect-running",
        clauses: &["REQ-31"],
        about: "an inspect of a run that goes on tells so",
        run: |caller| {
            let start = endless(caller)?;
            let mut stream = caller.open(RUNS, &start)?;
            stream.until(1)?;
            let told = caller.answer(INSPECT, &caller.about("inspect", &start)?)?;
            cancel(caller, &start)?;
            stream.finish()?;
            ensure!(told["state"] == "running", "it tells {told}");
            ensure!(told["outcome"] == Value::Null, "it tells {told}");
            ensure!(told["run"] == stream.terms["run"], "another run");
            Ok(())
        },
    },
    Case {
        id: "cut",
        clauses: &["STR-20", "STR-7", "REQ-29"],
        about: "a caller that left goes on behind its last frame, on the same chain",
        run: |caller| {
            let start = endless(caller)?;
            let mut before = caller.open(RUNS, &start)?;
            before.until(1)?;
            let (known, kept) = (before.known(), before.frames.clone());
            let after = kept.len();
            let body = json!({"after": after, "run": before.run()?});
            drop(before);
            let behind = caller.open(ATTACH, &caller.request("attach", body)?)?;
            let mut behind = behind.behind(&known, after)?;
            cancel(caller, &start)?;
            behind.finish()?;
            ended(&behind, "cancelled", "cancelled")?;
            let whole = caller.run(&caller.again(&start)?)?;
            ensure!(whole.frames[..after] == kept, "other frames before the cut");
            ensure!(whole.frames[after..] == behind.frames, "other frames behind the cut");
            ensure!(whole.head() == behind.head(), "another head");
            Ok(())
        },
    },
    Case {
        id: "deadline",
        clauses: &["REQ-71", "REQ-72", "STR-26", "STR-33"],
        about: "a run that does not end is ended at its deadline as expired",
        run: |caller| {
            let mut start = endless(caller)?;
            let deadline = wire::now() + 1_500;
            start["body"]["deadline"] = json!(deadline);
            let stream = caller.run(&start)?;
            ensure!(wire::now() >= deadline, "it ended before its deadline");
            ensure!(wire::now() <= deadline + 35_000, "it ended after its grace");
            ended(&stream, "expired", "deadline_exceeded")
        },
    },
    Case {
        id: "alive",
        clauses: &["STR-11", "STR-16"],
        about: "a quiet stream is sealed anew within ten seconds",
        run: |caller| {
            let start = endless(caller)?;
            let mut stream = caller.open(RUNS, &start)?;
            stream.until(1)?;
            let since = wire::now();
            while stream.alive == 0 && wire::now() < since + 30_000 {
                ensure!(stream.next()?, "the stream closed");
            }
            let waited = wire::now() - since;
            cancel(caller, &start)?;
            stream.finish()?;
            ensure!(stream.alive > 0 && waited < 13_000, "the first alive came after {waited} ms");
            Ok(())
        },
    },
];

/// A start of a run that goes on until it is stopped.
pub(super) fn endless(caller: &Caller) -> Result<Value> {
    let none =
        || Skipped("no prompt is given of which a run goes on (--endless-prompt)".to_owned());
    caller.start_of(caller.terms.endless.as_ref().ok_or_else(none)?)
}

/// Cancels the run of a start, and tells the answer.
pub(super) fn cancel(caller: &Caller, start: &Value) -> Result<Value> {
    caller.answer(CANCEL, &caller.about("cancel", start)?).context("a cancel")
}

/// How a run was ended that did not succeed.
pub(super) fn ended(stream: &Stream<'_>, outcome: &str, code: &str) -> Result<()> {
    let terminal = stream.terminal()?;
    ensure!(terminal["outcome"] == outcome, "it ended as {terminal}");
    ensure!(terminal["problem"]["code"] == code, "it ended as {terminal}");
    let effects = terminal["sideEffects"].as_str().unwrap_or_default();
    ensure!(["none", "possible", "unknown"].contains(&effects), "it ended as {terminal}");
    Ok(())
}
