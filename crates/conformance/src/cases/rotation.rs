//! The executor rotates its stream key and its status key (`--hook rotate=…`): at once, its TLS key staying.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::Case;
use super::endings::{cancel, ended, endless};
use crate::caller::{ATTACH, Caller, INSPECT, RUNS};
use crate::wire;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "rotated-in-a-stream",
        clauses: &["ID-49", "ID-50", "ID-51", "STR-18"],
        about: "an open stream carries the new status, and is sealed by the new key, on one chain",
        run: |caller| {
            let caller = &ready(caller)?;
            let start = endless(caller)?;
            let mut stream = caller.open(RUNS, &start)?;
            stream.until(1)?;
            let before = sealer(&stream)?;
            caller.terms.done("rotate", "")?;
            let since = wire::now();
            while sealer(&stream)? == before {
                ensure!(wire::now() < since + 30_000, "it goes on with the former key");
                ensure!(stream.next()?, "the stream closed");
            }
            let newest = caller.roots().len();
            let told = stream.status.as_ref().context("no status names the new root")?;
            ensure!(told["root_version"] == newest, "the status names another root: {told}");
            cancel(caller, &start)?;
            stream.finish()?;
            ended(&stream, "cancelled", "cancelled")
        },
    },
    Case {
        id: "rotated-behind-a-run",
        clauses: &["ID-49", "REQ-29", "STR-20"],
        about: "a run from before is shown with its accept, and sealed anew by the new key",
        run: |caller| {
            let caller = &ready(caller)?;
            let start = caller.start()?;
            let whole = caller.run(&start)?;
            caller.terms.done("rotate", "")?;
            let body = json!({"after": 0, "run": whole.run()?});
            let mut again = caller.open(ATTACH, &caller.request("attach", body)?)?;
            again.finish()?;
            ensure!(again.accept_text == whole.accept_text, "another accept");
            ensure!(again.frames == whole.frames, "other frames");
            ensure!(sealer(&again)? != sealer(&whole)?, "the former key goes on");
            Ok(())
        },
    },
    Case {
        id: "rotated-and-resumed",
        clauses: &["ID-51", "ID-52", "STR-20"],
        about: "a caller that was away while the key changed goes on behind its last frame",
        run: |caller| {
            let caller = &ready(caller)?;
            let start = endless(caller)?;
            let mut stream = caller.open(RUNS, &start)?;
            stream.until(1)?;
            let (at, before) = (stream.chained(), sealer(&stream)?);
            let body = json!({"after": stream.frames.len(), "run": stream.run()?});
            drop(stream);
            caller.terms.done("rotate", "")?;
            let rest = caller.open(ATTACH, &caller.request("attach", body)?)?;
            let mut rest = rest.onward(at)?;
            cancel(caller, &start)?;
            rest.finish()?;
            ensure!(sealer(&rest)? != before, "the former key goes on");
            ended(&rest, "cancelled", "cancelled")
        },
    },
    Case {
        id: "rotated-answers",
        clauses: &["ID-49", "ID-50", "PRB-1"],
        about: "answers and refusals are signed under the new root, and its chain verifies",
        run: |caller| {
            let caller = &ready(caller)?;
            let start = caller.start()?;
            caller.run(&start)?;
            let before = caller.roots().len();
            caller.terms.done("rotate", "")?;
            // Both are judged under the newest root, which has to be asked for.
            caller.answer(INSPECT, &caller.about("inspect", &start)?)?;
            ensure!(caller.roots().len() > before, "no newer root is named");
            super::nothing_of(caller, &caller.start()?)?;
            let later = caller.renewed()?;
            let named = &later.theirs["root_version"];
            ensure!(*named == later.roots().len(), "the status names root {named}");
            Ok(())
        },
    },
];

/// The caller under its own newest root, where there is somebody who rotates.
fn ready(caller: &Caller) -> Result<Caller> {
    caller.terms.needs(&["rotate"])?;
    caller.renewed()
}

/// The key of the last seal.
fn sealer(stream: &crate::stream::Stream<'_>) -> Result<String> {
    let seal = stream.sealed.as_ref().context("a seal came")?;
    Ok(seal.signatures[0].0.clone())
}
