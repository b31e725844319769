//! A caller that cancels.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::asked::Asked;
use crate::cases::{Case, Skipped};
use crate::script;
use crate::stage::{Run, Stage};
use crate::wire;

pub(super) const CASES: &[Case<Stage>] = &[
    Case {
        id: "cancel",
        clauses: &["REQ-31", "STR-30"],
        about: "a cancel is a signed operation; the run ends by the executor's terminal",
        run: |stage| {
            cancelled(stage, |run| {
                let asked = run.asked("cancel")?;
                answer(run, asked, "requested", |_| {})
            })
        },
    },
    Case {
        id: "cancel-unanswered",
        clauses: &["PRB-6", "REQ-31"],
        about: "a cancel that is not answered comes again, newly signed",
        run: |stage| {
            cancelled(stage, |run| {
                drop(run.asked("cancel")?);
                run.asked("cancel")?.exchange.unsigned("not_found")?;
                run.asked("cancel")?.refuse(stage.host(), "draining")?;
                let asked = run.asked("cancel")?;
                answer(run, asked, "requested", |_| {})
            })
        },
    },
    Case {
        id: "cancel-answer-of-another-request",
        clauses: &["REQ-31"],
        about: "an answer to another request is not taken for one to this",
        run: |stage| {
            cancelled(stage, |run| {
                let asked = run.asked("cancel")?;
                answer(run, asked, "requested", |said| said["request"] = json!("A".repeat(43)))?;
                let asked = run.asked("cancel")?;
                answer(run, asked, "requested", |said| said["aud"] = said["iss"].clone())?;
                let asked = run.asked("cancel")?;
                answer(run, asked, "requested", |_| {})
            })
        },
    },
    Case {
        id: "cancel-answer-forged",
        clauses: &["ENV-9", "REQ-31"],
        about: "an answer by the key of another role is none",
        run: |stage| {
            cancelled(stage, |run| {
                let mut asked = run.asked("cancel")?;
                let said = json!({"cancel": "requested", "run": run.script()?.run});
                let told = stage.host().answer(&asked.signed, said)?;
                let told = stage.host().key("status")?.seal("answer", &told.payload);
                asked.exchange.envelope(200, &told)?;
                let asked = run.asked("cancel")?;
                answer(run, asked, "requested", |_| {})
            })
        },
    },
    Case {
        id: "cancel-answer-of-another-kind",
        clauses: &["ENV-8", "REQ-31"],
        about: "an answer's words, signed as a seal, are none",
        run: |stage| {
            cancelled(stage, |run| {
                let mut asked = run.asked("cancel")?;
                let said = json!({"cancel": "requested", "run": run.script()?.run});
                let told = stage.host().answer(&asked.signed, said)?;
                let told = stage.host().stream_key()?.seal("seal", &told.payload);
                asked.exchange.envelope(200, &told)?;
                let asked = run.asked("cancel")?;
                answer(run, asked, "requested", |_| {})
            })
        },
    },
    Case {
        id: "cancel-too-late",
        clauses: &["REQ-31", "STR-30"],
        about: "a run that succeeded although it was cancelled did succeed",
        run: |stage| {
            let mut run = able(stage)?;
            let mut open = run.begin()?;
            open.write(run.batch(1, 2)?)?;
            run.must_be_told(2)?;
            run.cancel()?;
            let asked = run.asked("cancel")?;
            answer(&run, asked, "already_terminal", |_| {})?;
            open.close();
            run.serve()
        },
    },
    Case {
        id: "cancel-before-accept",
        clauses: &["REQ-32", "REQ-66"],
        about: "a start whose key is blocked before it was accepted ends as cancelled",
        run: |stage| {
            let mut run = able(stage)?;
            drop(run.asked("start")?);
            run.cancel()?;
            let asked = run.asked("cancel")?;
            blocked(stage, asked)?;
            run.must_end_itself(0, "cancelled").map(drop)
        },
    },
];

/// What changes what the kit says of itself.
pub(super) const LATER: &[Case<Stage>] = &[Case {
    id: "cancel-in-another-incarnation",
    clauses: &["REQ-66"],
    about: "a blocked key says nothing when the executor forgot the time of its start",
    run: |stage| {
        let mut run = able(stage)?;
        drop(run.asked("start")?);
        stage.host().begin_again()?;
        // The caller learns of it by another run.
        let mut other = stage.start()?;
        let mut open = other.begin()?;
        open.write(script::event("status", &[&stage.host().published().text()]))?;
        open.close();
        other.serve()?;
        run.cancel()?;
        let asked = run.asked("cancel")?;
        blocked(stage, asked)?;
        run.must_end_itself(0, "lost").map(drop)
    },
}];

fn able(stage: &Stage) -> Result<Run<'_>> {
    stage.orders.cancel.as_ref().context(Skipped("--cancel is not given".to_owned()))?;
    stage.start()
}

/// A run is cancelled, `answered`, and ends as cancelled.
fn cancelled(stage: &Stage, answered: impl FnOnce(&mut Run<'_>) -> Result<()>) -> Result<()> {
    let mut run = able(stage)?;
    let end = script::ended("cancelled", "not_granted", "possible");
    let mut open = run.begin_with(&[script::started(), end])?;
    open.write(run.batch(1, 1)?)?;
    run.must_be_told(1)?;
    run.cancel()?;
    answered(&mut run)?;
    run.must_be_told(1)?;
    run.must_go_on()?;
    // Whether it would read on is its own affair.
    drop(open);
    run.serve_as("cancelled")
}

fn answer(
    run: &Run<'_>,
    mut asked: Asked,
    cancel: &str,
    change: impl FnOnce(&mut Value),
) -> Result<()> {
    let result = json!({"cancel": cancel, "run": run.script()?.run});
    let mut said = wire::document(&run.stage.host().answer(&asked.signed, result)?.payload)?;
    change(&mut said);
    asked.exchange.envelope(200, &run.stage.host().sign("answer", &said)?)
}

fn blocked(stage: &Stage, mut asked: Asked) -> Result<()> {
    let named = asked.request["body"]["idempotencyKey"].is_string();
    ensure!(named, "a cancel of a run that was never accepted names its key");
    let told = stage.host().answer(&asked.signed, json!({"cancel": "blocked"}))?;
    asked.exchange.envelope(200, &told)
}
