//! The executor's state is copied (`--hook keep=…`), put back later (`--hook restore=…`), and its operator
//! begins a new incarnation (`--hook recover=…`).

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::endings::{cancel, endless};
use super::held::held;
use super::{Case, operation_refused, refusal_of};
use crate::caller::{ATTACH, Caller, INSPECT, RUNS};
use crate::stream::Stream;
use crate::wire::Envelope;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "restored-shown-an-accept",
        clauses: &["ID-42", "ID-43", "REQ-64"],
        about: "shown its accept of a run that it forgot, it says so: rolled_back or lost_history",
        run: |caller| {
            let whole_by = kept(caller)?;
            let whole = whole_by.run(&whole_by.start()?)?;
            // Later than in the first incarnation, an accept may be of the one before.
            let first = caller.theirs["incarnation"]["n"] == 1;
            let code = if first { "rolled_back" } else { "lost_history" };
            put_back(caller, || shown(caller, &whole, &held(&whole)?, code)).map(drop)
        },
    },
    Case {
        id: "restored-shown-a-status",
        clauses: &["ID-25", "ID-26", "ID-42", "ID-45", "REQ-21", "REQ-64"],
        about: "shown its own status, it stops; then what it forgot is lost_history, and new work is led",
        run: |caller| {
            let knowing = kept(caller)?;
            let start = knowing.start()?;
            let whole = knowing.run(&start)?;
            let unasked = knowing.start()?;
            let after = put_back(caller, || {
                shown(&knowing, &whole, std::slice::from_ref(&knowing.stated), "rolled_back")?;
                let other = caller.start()?;
                operation_refused(caller, RUNS, &other, "rolled_back")?;
                let inspect = caller.about("inspect", &other)?;
                operation_refused(caller, INSPECT, &inspect, "rolled_back")
            })?;
            shown(&after, &whole, &held(&whole)?, "lost_history")?;
            operation_refused(&after, RUNS, &after.again(&start)?, "lost_history")?;
            operation_refused(&after, RUNS, &after.again(&unasked)?, "lost_history")?;
            after.run(&after.start()?).map(drop)
        },
    },
    Case {
        id: "restored-stays-stopped",
        clauses: &["ID-25", "ID-40"],
        about: "an executor that knows that it was rolled back is so after a kill, for every peer",
        run: |caller| {
            caller.terms.needs(&["restart"])?;
            let other = caller.other()?;
            let knowing = kept(caller)?;
            let whole = knowing.run(&knowing.start()?)?;
            put_back(caller, || {
                shown(&knowing, &whole, std::slice::from_ref(&knowing.stated), "rolled_back")?;
                caller.terms.done("restart", "")?;
                operation_refused(&other, RUNS, &other.start()?, "rolled_back")
            })
            .map(drop)
        },
    },
    Case {
        id: "restored-ended-run",
        clauses: &["REQ-19", "REQ-25", "STR-7"],
        about: "a run that had ended in the copy is told as before, in the next incarnation too",
        run: |caller| {
            let start = caller.start()?;
            let before = caller.run(&start)?;
            let knowing = kept(caller)?;
            let whole = knowing.run(&knowing.start()?)?;
            let stated = [knowing.stated.clone()];
            let after = put_back(caller, || shown(&knowing, &whole, &stated, "rolled_back"))?;
            let again = after.run(&after.again(&start)?)?;
            ensure!(again.accept_text == before.accept_text, "another accept");
            ensure!(again.frames == before.frames, "other frames");
            Ok(())
        },
    },
    Case {
        id: "restored-seen",
        clauses: &["ID-41", "ID-42"],
        about: "a seen that it forgot is refused to that caller, and stops nobody else",
        run: |caller| {
            let other = caller.other()?;
            let knowing = kept(caller)?;
            let whole = knowing.run(&knowing.start()?)?;
            put_back(caller, || {
                operation_refused(&knowing, RUNS, &knowing.start()?, "rolled_back")?;
                other.run(&other.start()?)?;
                // So that there is something to recover from.
                shown(&knowing, &whole, std::slice::from_ref(&knowing.stated), "rolled_back")
            })
            .map(drop)
        },
    },
    Case {
        id: "restored-shown-a-seal",
        clauses: &["ID-26", "ID-42", "ID-43", "REQ-64"],
        about: "shown its seal over frames that it forgot, it stops, and then adds none to that run",
        run: |caller| {
            let start = endless(caller)?;
            let mut stream = caller.open(RUNS, &start)?;
            stream.until(1)?;
            let knowing = kept(caller)?;
            cancel(&knowing, &start)?;
            let whole = knowing.run(&knowing.again(&start)?)?;
            let seal = &held(&whole)?[1..];
            let after = put_back(caller, || shown(caller, &whole, seal, "rolled_back"))?;
            shown(&after, &whole, &held(&whole)?, "lost_history")
        },
    },
];

/// Has a copy made, and returns a caller who knows what is said from then on.
fn kept(caller: &Caller) -> Result<Caller> {
    caller.terms.needs(&["keep", "restore", "recover"])?;
    caller.terms.done("keep", "")?;
    caller.renewed()
}

/// Has the copy put back, and a new incarnation begun whatever is found meanwhile.
fn put_back(caller: &Caller, find: impl FnOnce() -> Result<()>) -> Result<Caller> {
    let incarnation = |status: &Value| {
        let told = &status["incarnation"];
        let numbers = (told["n"].as_i64(), told["since"].as_i64());
        numbers.0.zip(numbers.1).context("a status tells its incarnation")
    };
    caller.terms.done("restore", "")?;
    let before = caller.renewed()?;
    let found = find();
    caller.terms.done("recover", "")?;
    found?;
    let after = caller.renewed()?;
    let (one, two) = (incarnation(&before.theirs)?, incarnation(&after.theirs)?);
    ensure!(one.0 < two.0 && one.1 < two.1, "incarnation {one:?} is followed by {two:?}");
    Ok(after)
}

/// An attach that shows what the executor signed, and is refused.
fn shown(caller: &Caller, run: &Stream<'_>, held: &[Envelope], code: &str) -> Result<()> {
    let body = json!({"after": run.frames.len(), "run": run.run()?});
    // A `seen` of nothing: what is shown has to be enough.
    let mut request = caller.request("attach", body)?;
    request["seen"] = json!({"n": 0, "seq": 0});
    let signed = caller.sign(&request)?;
    let body = caller.operation_with(&signed, held);
    let reply = caller.post(ATTACH, body.as_bytes())?;
    refusal_of(caller, reply, Some(&signed), (code, true)).map(drop)
}
