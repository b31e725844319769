//! Frames and seals that do not fit together, and seals by keys that may not sign them.
//!
//! Most of it could be the deed of whoever carries the bytes: the executor is honest on the next connection,
//! and the caller has to come for it.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{bent, dropped};
use crate::cases::Case;
use crate::script::{self, Script};
use crate::stage::{Run, Stage};
use crate::wire::{self, Envelope, Key};

pub(super) const CASES: &[Case<Stage>] = &[
    Case {
        id: "frame-changed",
        clauses: &["STR-10", "STR-11", "STR-13"],
        about: "a letter of a frame is changed on its way; the seal is the executor's",
        run: |stage| bent(stage, |event| event.replace("Two", "Ten").into_bytes()),
    },
    Case {
        id: "frame-missing",
        clauses: &["STR-13"],
        about: "a frame is left out",
        run: |stage| dropped(stage, |run, open| open.write(run.batch(4, 4)?)),
    },
    Case {
        id: "frame-left-out-of-batch",
        clauses: &["STR-13"],
        about: "a frame is left out of a batch",
        run: |stage| {
            dropped(stage, |run, open| {
                let script = run.script()?;
                let lines = [script.frames[3].clone()];
                open.write(script::batch(4, &lines, &script.seal(stage.host(), 4)?.text()))
            })
        },
    },
    Case {
        id: "frames-swapped",
        clauses: &["STR-13"],
        about: "two frames of a batch change places",
        run: |stage| {
            dropped(stage, |run, open| {
                let script = run.script()?;
                let lines = [script.frames[3].clone(), script.frames[2].clone()];
                open.write(script::batch(4, &lines, &script.seal(stage.host(), 4)?.text()))
            })
        },
    },
    Case {
        id: "frame-repeated",
        clauses: &["STR-13", "STR-14"],
        about: "a frame comes a second time on one connection",
        run: |stage| dropped(stage, |run, open| open.write(run.batch(2, 2)?)),
    },
    Case {
        id: "frame-numbers",
        clauses: &["STR-5", "STR-13"],
        about: "a frame with another number than its place, well sealed",
        run: |stage| sealed(stage, |line| line.replace(r#""seq":3"#, r#""seq":7"#)),
    },
    Case {
        id: "frame-white-space",
        clauses: &["STR-5"],
        about: "a frame with a space in it, well sealed",
        run: |stage| sealed(stage, |line| line.replace(r#","payload""#, r#", "payload""#)),
    },
    Case {
        id: "frame-member",
        clauses: &["STR-5"],
        about: "a frame with a member more, well sealed",
        run: |stage| sealed(stage, |line| line.replace(r#"{"seq":3"#, r#"{"id":3,"seq":3"#)),
    },
    Case {
        id: "frame-fraction",
        clauses: &["STR-5"],
        about: "a frame with a number that is no integer, well sealed",
        run: |stage| sealed(stage, |line| line.replace(r#""text""#, r#""size":1.5,"text""#)),
    },
    Case {
        id: "frame-integer",
        clauses: &["STR-5"],
        about: "a frame with an integer beyond `INTEGER_MAX`, well sealed",
        run: |stage| {
            sealed(stage, |line| line.replace(r#""text""#, r#""size":9007199254740992,"text""#))
        },
    },
    Case {
        id: "frame-deep",
        clauses: &["STR-5"],
        about: "a frame nested deeper than `JSON_DEPTH_MAX`, well sealed",
        run: |stage| {
            let deep = format!(
                r#""ext":{}{},"text""#,
                r#"{"a":"#.repeat(15),
                "{}".to_owned() + &"}".repeat(15)
            );
            sealed(stage, |line| line.replace(r#""text""#, &deep))
        },
    },
    Case {
        id: "frame-member-twice",
        clauses: &["STR-5"],
        about: "a frame whose payload has a member twice, well sealed",
        run: |stage| sealed(stage, |line| line.replace(r#""text""#, r#""text":"One","text""#)),
    },
    Case {
        id: "frame-order-of-members",
        clauses: &["STR-5"],
        about: "a frame whose payload is not sorted, well sealed",
        run: |stage| sealed(stage, |line| line.replace(r#"{"channel""#, r#"{"ext":{},"channel""#)),
    },
    Case {
        id: "seal-missing",
        clauses: &["STR-10"],
        about: "a batch without its seal",
        run: |stage| {
            bent(stage, |event| {
                let seal = event.rfind("data: ").unwrap_or_default();
                format!("{}\n", &event[..seal]).into_bytes()
            })
        },
    },
    Case {
        id: "seal-of-the-next-frame",
        clauses: &["STR-11"],
        about: "the seal of a longer batch",
        run: |stage| {
            dropped(stage, |run, open| {
                let seal = run.script()?.seal(stage.host(), 4)?;
                open.write(run.script()?.batch_under(3, 3, &seal))
            })
        },
    },
    Case {
        id: "seal-of-the-frame-before",
        clauses: &["STR-11"],
        about: "the seal of what was sent before",
        run: |stage| {
            dropped(stage, |run, open| {
                let seal = run.script()?.seal(stage.host(), 2)?;
                open.write(run.script()?.batch_under(3, 3, &seal))
            })
        },
    },
    Case {
        id: "seal-number",
        clauses: &["STR-11"],
        about: "a seal that says another number, well signed",
        run: |stage| said(stage, |seal| seal["seq"] = json!(33)),
    },
    Case {
        id: "seal-of-another-run",
        clauses: &["STR-11"],
        about: "a seal that names another run, well signed",
        run: |stage| said(stage, |seal| seal["run"] = json!(format!("run-{}", "a".repeat(26)))),
    },
    Case {
        id: "seal-of-another-accept",
        clauses: &["STR-11"],
        about: "a seal that names another accept, well signed",
        run: |stage| said(stage, |seal| seal["accept"] = json!("A".repeat(43))),
    },
    Case {
        id: "seal-final-too-early",
        clauses: &["STR-11"],
        about: "a final seal over a frame that is no terminal",
        run: |stage| said(stage, |seal| seal["final"] = json!(true)),
    },
    Case {
        id: "seal-not-final",
        clauses: &["STR-11"],
        about: "a seal that is not final over the terminal",
        run: |stage| {
            let mut run = stage.start()?;
            let mut open = run.begin()?;
            open.write(run.batch(1, 4)?)?;
            run.must_be_told(4)?;
            let mut seal = run.script()?.seal_of(stage.host(), 5);
            seal["final"] = json!(false);
            let seal = stage.host().sign("seal", &seal)?;
            open.write(run.script()?.batch_under(5, 5, &seal))?;
            open.must_be_left()?;
            run.must_be_told(4)?;
            run.must_go_on()?;
            run.serve()
        },
    },
    Case {
        id: "terminal-unsealed",
        clauses: &["STR-10", "STR-22"],
        about: "a terminal whose seal is cut off is no end",
        run: |stage| {
            let mut run = stage.start()?;
            let mut open = run.begin()?;
            open.write(run.batch(1, 4)?)?;
            let last = run.batch(5, 5)?;
            open.write(&last[..last.rfind("data: ").unwrap_or_default()])?;
            open.close();
            run.must_be_told(4)?;
            run.must_go_on()?;
            run.serve()
        },
    },
    Case {
        id: "alive-flipped-bit",
        clauses: &["STR-11", "ENV-10"],
        about: "an `alive` whose seal does not verify",
        run: |stage| {
            dropped(stage, |run, open| {
                let mut seal = run.script()?.seal(stage.host(), 2)?;
                seal.signatures[0].1[7] ^= 4;
                open.write(script::event("alive", &[&seal.text()]))
            })
        },
    },
    Case {
        id: "alive-ahead",
        clauses: &["STR-11"],
        about: "an `alive` over frames that were not sent",
        run: |stage| dropped(stage, |run, open| open.write(run.script()?.alive(stage.host(), 3)?)),
    },
    Case {
        id: "behind-the-terminal",
        clauses: &["STR-28"],
        about: "a frame behind the terminal, in one batch with it",
        run: |stage| after_the_terminal(stage, &output("One more.")),
    },
    Case {
        id: "two-terminals",
        clauses: &["STR-28", "STR-30"],
        about: "a second terminal, in one batch with the first",
        run: |stage| after_the_terminal(stage, &script::ended("failed", "internal", "unknown")),
    },
    Case {
        id: "behind-the-end",
        clauses: &["STR-28", "STR-30"],
        about: "a batch behind the one that ended the run",
        run: |stage| {
            let mut run = stage.start()?;
            let mut open = run.begin()?;
            let mut longer = run.script()?.up_to(5);
            push(&mut longer, &script::ended("failed", "internal", "unknown"));
            let _left = open.write(run.batch(1, 5)? + &longer.batch(stage.host(), 6, 6)?);
            run.must_end("succeeded")
        },
    },
    Case {
        id: "resumed-at-another-place",
        clauses: &["STR-13", "STR-14"],
        about: "an attach is answered from a later frame on",
        run: |stage| {
            let (mut run, open) = stage.begun()?;
            open.close();
            let mut open = run.asked("attach")?.accept(run.script()?)?;
            open.write(run.batch(4, 5)?)?;
            open.must_be_left()?;
            run.must_be_told(2)?;
            run.serve()
        },
    },
    Case {
        id: "from-the-first-frame",
        clauses: &["STR-13"],
        about: "what does not fit is looked for from the first frame on before the run is lost",
        run: |stage| {
            let (mut run, mut open) = stage.begun()?;
            for _ in 0..4 {
                open.write(run.batch(3, 3)?.replace("Two", "Ten"))?;
                open.must_be_left()?;
                let asked = run.asked("attach")?;
                let after = asked.after();
                open = asked.accept(run.script()?)?;
                if after == 0 {
                    open.write(run.batch(1, 5)?)?;
                    open.close();
                    return run.must_end("succeeded");
                }
            }
            anyhow::bail!("it never attaches from 0")
        },
    },
];

/// The third frame is another line, under a good seal.
fn sealed(stage: &Stage, change: impl FnOnce(&str) -> String) -> Result<()> {
    dropped(stage, |run, open| {
        let mut other = run.script()?.up_to(2);
        let line = change(&run.script()?.frames[2]);
        ensure!(line != run.script()?.frames[2], "the kit changed nothing");
        other.push(line);
        open.write(other.batch(stage.host(), 3, 3)?)
    })
}

/// The seal over the third frame is bent.
pub(super) fn bad_seal(
    stage: &Stage,
    bend: impl FnOnce(&mut Envelope) -> Result<()>,
) -> Result<()> {
    dropped(stage, |run, open| {
        let mut seal = run.script()?.seal(stage.host(), 3)?;
        bend(&mut seal)?;
        open.write(run.script()?.batch_under(3, 3, &seal))
    })
}

/// The seal over the third frame says something else, and is signed well.
pub(super) fn said(stage: &Stage, change: impl FnOnce(&mut Value)) -> Result<()> {
    bad_seal(stage, |seal| {
        let mut value = wire::document(&seal.payload)?;
        change(&mut value);
        *seal = stage.host().sign("seal", &value)?;
        Ok(())
    })
}

/// The seal over the third frame is signed by another key.
pub(super) fn resealed(stage: &Stage, key: &Key) -> Result<()> {
    bad_seal(stage, |seal| {
        *seal = key.seal("seal", &seal.payload);
        Ok(())
    })
}

fn after_the_terminal(stage: &Stage, more: &(&str, Value)) -> Result<()> {
    let mut run: Run<'_> = stage.start()?;
    let mut open = run.begin()?;
    open.write(run.batch(1, 2)?)?;
    run.must_be_told(2)?;
    let mut longer = run.script()?.up_to(5);
    push(&mut longer, more);
    let mut seal = longer.seal_of(stage.host(), 6);
    // What a caller that looks at the last frame alone would find right.
    seal["final"] = json!(true);
    let seal = stage.host().sign("seal", &seal)?;
    open.write(longer.batch_under(3, 6, &seal))?;
    open.must_be_left().context("behind a frame after the terminal")?;
    run.must_be_told(2)?;
    run.serve()
}

fn output(text: &str) -> (&'static str, Value) {
    ("output", json!({"channel": "answer", "text": text}))
}

pub(super) fn push(script: &mut Script, (event, payload): &(&str, Value)) {
    let seq = script.last() + 1;
    script.push(format!(r#"{{"seq":{seq},"event":"{event}","payload":{payload}}}"#));
}
