//! Streams as an honest executor sends them, and how they end or break.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::asked;
use crate::cases::Case;
use crate::script::{self, Script};
use crate::stage::{A_MOMENT, Stage};

pub(super) const CASES: &[Case<Stage>] = &[
    Case {
        id: "succeeds",
        clauses: &["REQ-6", "STR-10", "STR-12"],
        about: "an honest run is told whole",
        run: |stage| stage.start()?.serve(),
    },
    Case {
        id: "fails",
        clauses: &["STR-26", "STR-30"],
        about: "a run that failed did not succeed",
        run: |stage| ends(stage, "failed", "internal", "possible"),
    },
    Case {
        id: "is-cancelled",
        clauses: &["STR-26", "STR-30"],
        about: "a run that the executor cancelled did not succeed",
        run: |stage| ends(stage, "cancelled", "not_granted", "unknown"),
    },
    Case {
        id: "expires",
        clauses: &["STR-26", "STR-30"],
        about: "a run that expired did not succeed",
        run: |stage| ends(stage, "expired", "not_granted", "unknown"),
    },
    Case {
        id: "one-batch",
        clauses: &["STR-10"],
        about: "all frames may come under one seal",
        run: |stage| {
            let mut run = stage.start()?;
            let mut open = run.begin()?;
            open.write(run.batch(1, 5)?)?;
            open.close();
            run.must_end("succeeded")
        },
    },
    Case {
        id: "event-unknown",
        clauses: &["STR-8"],
        about: "a frame whose event nobody knows is told like any other",
        run: |stage| {
            let mut run = stage.start()?;
            let frames = [
                script::started(),
                ("weather", json!({"ext": {"clouds": 8}, "terminal": true})),
                script::succeeded(),
            ];
            run.begin_with(&frames)?.close();
            run.serve()
        },
    },
    Case {
        id: "quiet",
        clauses: &["STR-11", "STR-17"],
        about: "seals over what was sent, and statuses, may come at any time and are no frames",
        run: |stage| {
            let mut run = stage.start()?;
            let mut open = run.begin()?;
            let host = stage.host();
            open.write(run.script()?.alive(host, 0)?)?;
            open.write(run.batch(1, 2)?)?;
            for _ in 0..3 {
                open.write(run.script()?.alive(host, 2)?)?;
            }
            let status = host.status(|_| {})?;
            host.publish(status.clone());
            open.write(script::event("status", &[&status.text()]))?;
            open.write(run.batch(3, 5)?)?;
            open.close();
            run.must_end("succeeded")
        },
    },
    Case {
        id: "cut-after-each-frame",
        clauses: &["STR-22", "STR-14"],
        about: "a connection that ends says nothing of the run; the next begins behind the last frame",
        run: |stage| {
            let mut run = stage.start()?;
            run.begin()?.close();
            for at in 1..=5 {
                let asked = run.asked_for_frames()?;
                ensure!(asked.op() == "attach", "an accepted run is attached to");
                ensure!(asked.after() == at - 1, "an attach after {} of {}", asked.after(), at - 1);
                let mut open = asked.accept(run.script()?)?;
                open.write(run.batch(at, at)?)?;
                // Every other one breaks off.
                if at % 2 == 0 {
                    open.close()
                } else {
                    drop(open)
                }
                run.must_be_told(at)?;
                if at < 5 {
                    run.must_go_on()?;
                }
            }
            run.must_end("succeeded")
        },
    },
    Case {
        id: "cut-at-each-byte",
        clauses: &["STR-2", "STR-10", "STR-22"],
        about: "of an event that is cut, wherever it is, nothing is told",
        run: cut_at_each_byte,
    },
    Case {
        id: "seal-awaited",
        clauses: &["STR-10", "STR-12"],
        about: "frames are not told before their seal is there",
        run: |stage| {
            let mut run = stage.start()?;
            let mut open = run.begin()?;
            let batch = run.batch(1, 2)?;
            let seal = batch.rfind("data: ").unwrap_or_default();
            open.write(&batch[..seal])?;
            thread::sleep(Duration::from_millis(700));
            run.must_be_told(0)?;
            open.write(&batch[seal..])?;
            run.must_be_told(2)?;
            open.close();
            run.serve()
        },
    },
    Case {
        id: "byte-by-byte",
        clauses: &["STR-2", "STR-10"],
        about: "an honest stream may arrive in pieces of any size",
        run: |stage| {
            let mut run = stage.start()?;
            let mut open = run.begin()?;
            for piece in run.batch(1, 2)?.as_bytes().chunks(1) {
                open.write(piece)?;
            }
            for piece in (run.batch(3, 3)? + &run.batch(4, 5)?).as_bytes().chunks(97) {
                open.write(piece)?;
            }
            open.close();
            run.must_end("succeeded")
        },
    },
    Case {
        id: "chunked",
        clauses: &["STR-2", "STR-22"],
        about: "a stream may come in chunks of HTTP/1.1; one without its last chunk was cut",
        run: |stage| {
            let mut run = stage.start()?;
            run.begin()?.close();
            for (first, last) in [(1, 2), (3, 5)] {
                let mut asked = run.asked("attach")?;
                let media = "HTTP/1.1 200 Kit\r\nContent-Type: text/event-stream\r\n";
                let head = format!("{media}Transfer-Encoding: chunked\r\n\r\n");
                let body = run.script()?.accepted() + &run.batch(first, last)?;
                let chunks = body.as_bytes().chunks(333);
                let chunk = |bytes: &[u8]| {
                    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
                };
                asked.exchange.write(head.as_bytes())?;
                asked.exchange.write(&chunks.map(chunk).collect::<Vec<_>>().concat())?;
                run.must_be_told(last)?;
            }
            run.must_end("succeeded")
        },
    },
    Case {
        id: "end-without-terminal",
        clauses: &["STR-22"],
        about: "a stream that closes in good order before the terminal is no end",
        run: |stage| {
            let mut run = stage.start()?;
            let mut open = run.begin()?;
            open.write(run.batch(1, 4)?)?;
            open.close();
            run.must_be_told(4)?;
            run.must_go_on()?;
            run.serve()
        },
    },
    Case {
        id: "resumed-too-early",
        clauses: &["STR-13", "STR-14"],
        about: "frames that come again, although the cursor is behind them, are told once",
        run: |stage| {
            let (mut run, open) = stage.begun()?;
            open.close();
            let mut open = run.asked("attach")?.accept(run.script()?)?;
            let _dropped = open.write(run.batch(1, 3)?);
            let told = run.hears(A_MOMENT)?;
            ensure!(told <= 3, "the user is told {told} frames of 3");
            drop(open);
            run.serve()
        },
    },
    Case {
        id: "problem-event",
        clauses: &["STR-46"],
        about: "a problem ends a connection, and says nothing about the run",
        run: |stage| {
            let mut run = stage.start()?;
            let mut open = run.begin()?;
            open.write(run.batch(1, 2)?)?;
            let (_, problem) = asked::problem("not_granted", None)?;
            let told = asked::told(stage.host(), &open.asked.signed, &problem)?;
            open.write(script::event("problem", &[&told.text()]))?;
            open.must_be_left()?;
            run.must_be_told(2)?;
            run.must_go_on()?;
            run.serve()
        },
    },
    Case {
        id: "silence",
        clauses: &["STR-17"],
        about: "half an event, byte by byte, is no sign of life",
        run: |stage| {
            let mut run = stage.start()?;
            let mut open = run.begin()?;
            open.write(run.batch(1, 2)?)?;
            let alive = run.script()?.alive(stage.host(), 2)?;
            for byte in alive.as_bytes().iter().take(SILENCE_S) {
                let _left = open.write([*byte]);
                if open.asked.exchange.is_left(Duration::from_secs(1)) {
                    return run.serve();
                }
            }
            anyhow::bail!("the caller goes on reading for {SILENCE_S} s")
        },
    },
];

fn ends(stage: &Stage, outcome: &str, code: &str, effects: &str) -> Result<()> {
    let mut run = stage.start()?;
    run.begin_with(&[script::started(), script::ended(outcome, code, effects)])?.close();
    run.serve_as(outcome)
}

/// Each connection brings one whole frame, and then the next event up to some byte. Several runs share the
/// bytes, so that pauses between attempts pass side by side.
fn cut_at_each_byte(stage: &Stage) -> Result<()> {
    thread::scope(|scope| {
        let runs: Vec<_> = (0..RUNS).map(|run| scope.spawn(move || cut_from(stage, run))).collect();
        for run in runs {
            run.join().map_err(|_| anyhow::anyhow!("a run of the kit failed"))??;
        }
        Ok(())
    })
}

fn cut_from(stage: &Stage, first: usize) -> Result<()> {
    let mut run = stage.start()?;
    let asked = run.asked("start")?;
    let mut frames = vec![script::started()];
    let told = json!({"channel": "answer", "text": "."});
    frames.resize(FRAMES, ("output", told));
    frames.push(script::succeeded());
    run.lead(Script::of(stage.host(), &asked, &frames)?);
    drop(asked.accept(run.script()?)?);
    let mut at = 0;
    let mut bytes = first + 1;
    while at + 1 < FRAMES {
        let asked = run.asked("attach")?;
        ensure!(asked.after() == at, "an attach after {} of {at}", asked.after());
        let told = run.hears(Duration::ZERO)?;
        ensure!(told <= at, "the user is told frame {told}, whose seal was cut off");
        let mut open = asked.accept(run.script()?)?;
        open.write(run.batch(at + 1, at + 1)?)?;
        at += 1;
        let next = run.batch(at + 1, at + 1)?;
        if bytes >= next.len() {
            break;
        }
        open.write(&next.as_bytes()[..bytes])?;
        bytes += RUNS;
        if at % 2 == 0 {
            open.close();
        }
    }
    run.serve()
}

/// Runs that share the bytes of an event.
const RUNS: usize = 8;
/// More frames than an eighth of an event has bytes.
const FRAMES: usize = 160;
/// `SILENCE_MS_MAX`, and patience.
const SILENCE_S: usize = 45;
