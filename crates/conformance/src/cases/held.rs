//! What a caller shows of the executor's own signatures, and cuts at every place of a run.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::endings::{cancel, endless};
use super::{Case, with};
use crate::caller::{ATTACH, Caller, RUNS};
use crate::stream::Stream;
use crate::wire::{self, Envelope};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "held-own",
        clauses: &["ID-42", "ID-43"],
        about: "an attach that shows the run's accept, its last seal and a status is served",
        run: |caller| {
            let whole = caller.run(&caller.start()?)?;
            let mut reply =
                crate::http::ask(&caller.place, ("GET", "/federation/v1/status"), &[], &[])?;
            let status = Envelope::read(&reply.all()?)?;
            attached(caller, &whole, &[held(&whole)?, vec![status]].concat())
        },
    },
    Case {
        id: "held-says-nothing",
        clauses: &["ID-42"],
        about: "what is shown and was never signed by the executor says nothing",
        run: |caller| {
            let whole = caller.run(&caller.start()?)?;
            let stream = caller.key("stream")?;
            let forged = held(&whole)?.into_iter().map(|envelope| {
                let mut claims: Value = serde_json::from_slice(&envelope.payload)?;
                let name = if claims["head"].is_string() { "head" } else { "print" };
                claims[name] = json!(wire::text_of([7; 32]));
                let kind = if name == "head" { "seal" } else { "accept" };
                Ok(stream.seal(kind, &wire::bytes_of(&claims)))
            });
            attached(caller, &whole, &forged.collect::<Result<Vec<_>>>()?)?;
            let mut bent = held(&whole)?;
            bent[1].signatures[0].1[0] ^= 1;
            attached(caller, &whole, &bent)
        },
    },
    Case {
        id: "cut-at-every-frame",
        clauses: &["STR-7", "STR-20", "STR-22"],
        about: "a caller that is cut after every single batch of a live run reads one log",
        run: |caller| {
            let start = caller.start()?;
            let mut stream = caller.open(RUNS, &start)?;
            let mut frames = Vec::new();
            let mut cuts = 0;
            let whole = loop {
                stream.until(1)?;
                frames.append(&mut stream.frames.clone());
                let (head, run) = (stream.head(), stream.run()?.to_owned());
                if stream.terminal().is_ok() {
                    break head;
                }
                let known = stream.chained();
                let body = json!({"after": frames.len(), "run": run});
                drop(stream);
                cuts += 1;
                let next = caller.open(ATTACH, &caller.request("attach", body)?)?;
                stream = next.onward(known)?;
            };
            let again = caller.run(&caller.again(&start)?)?;
            ensure!(again.frames == frames, "other frames after {cuts} cuts");
            ensure!(again.head() == whole, "another head after {cuts} cuts");
            Ok(())
        },
    },
    Case {
        id: "two-readers",
        clauses: &["STR-7", "STR-20"],
        about: "two streams of one open run tell the same, and one that is left does not end it",
        run: |caller| {
            let start = endless(caller)?;
            let mut one = caller.open(RUNS, &start)?;
            one.until(1)?;
            let body = json!({"after": 0, "run": one.run()?});
            let mut two = caller.open(ATTACH, &caller.request("attach", body)?)?;
            two.until(1)?;
            drop(one);
            cancel(caller, &start)?;
            two.finish()?;
            let whole = caller.run(&caller.again(&start)?)?;
            ensure!(whole.frames == two.frames, "other frames");
            Ok(())
        },
    },
    Case {
        id: "cancel-against-the-end",
        clauses: &["REQ-70", "REQ-71", "STR-26"],
        about: "a cancel while a run ends: one terminal, which fits the answer, also afterwards",
        run: |caller| {
            let frames = caller.run(&caller.start()?)?.frames.len();
            for wait in [1, frames / 2, frames.saturating_sub(1)] {
                let start = caller.start()?;
                let mut stream = caller.open(RUNS, &start)?;
                stream.until(wait.max(1))?;
                let answer = cancel(caller, &start)?;
                stream.finish()?;
                let outcome = stream.terminal()?["outcome"].clone();
                let fits = match answer["cancel"].as_str() {
                    Some("requested") => outcome == "cancelled" || outcome == "succeeded",
                    Some("already_terminal") => outcome == "succeeded",
                    _ => false,
                };
                ensure!(fits, "it is answered {answer} and ended {outcome}");
                let again = caller.run(&caller.again(&start)?)?;
                ensure!(again.frames == stream.frames, "the frames changed");
            }
            Ok(())
        },
    },
    Case {
        id: "limit-of-bytes",
        clauses: &["REQ-62", "STR-4"],
        about: "a run beyond the frame bytes that it may have ends as failed, budget_exceeded",
        run: |caller| {
            let whole = caller.run(&caller.start()?)?;
            let used: usize = whole.frames.iter().map(String::len).sum();
            let last = whole.frames.last().context("a run has frames")?.len();
            let limits = json!({"bytes": used - last - 1});
            let short = caller.run(&with(caller, "limits", limits)?)?;
            let terminal = short.terminal()?;
            ensure!(terminal["outcome"] == "failed", "it ended as {terminal}");
            ensure!(terminal["problem"]["code"] == "budget_exceeded", "it ended as {terminal}");
            Ok(())
        },
    },
];

/// What a caller keeps of a run: its accept and its last seal.
pub(super) fn held(run: &Stream<'_>) -> Result<Vec<Envelope>> {
    Ok(vec![run.accept.clone(), run.sealed.clone().context("a seal came")?])
}

/// An attach that shows something, and is served.
fn attached(caller: &Caller, whole: &Stream<'_>, shown: &[Envelope]) -> Result<()> {
    let body = json!({"after": 0, "run": whole.run()?});
    let signed = caller.sign(&caller.request("attach", body)?)?;
    let reply = caller.post(ATTACH, caller.operation_with(&signed, shown).as_bytes())?;
    let mut again = caller.stream(reply, &signed)?;
    again.finish()?;
    ensure!(again.frames == whole.frames, "other frames");
    Ok(())
}
