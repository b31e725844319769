//! The caller's start, and accepts that do not answer it.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::cases::Case;
use crate::script::{self, Script};
use crate::stage::Stage;
use crate::wire::{self, Envelope, Key};

pub(super) const CASES: &[Case<Stage>] = &[
    Case {
        id: "start-repeated",
        clauses: &["REQ-7", "REQ-6", "PRB-6"],
        about: "a start whose answer is lost comes again: same body, newly signed",
        run: |stage| {
            let mut run = stage.start()?;
            for _ in 0..3 {
                drop(run.asked("start")?);
            }
            run.serve()
        },
    },
    Case {
        id: "start-repeated-later",
        clauses: &["REQ-7"],
        about: "a start whose stream breaks before the accept comes again",
        run: |stage| {
            let mut run = stage.start()?;
            let mut open = run.asked("start")?.open()?;
            open.write("event: accept\ndata: {\"payl")?;
            drop(open);
            run.serve()
        },
    },
    Case {
        id: "start-answered-late",
        clauses: &["PRB-6", "REQ-7"],
        about: "an answer that takes three seconds is taken, or the start comes again with the same body",
        run: |stage| {
            let mut run = stage.start()?;
            let asked = run.asked("start")?;
            std::thread::sleep(std::time::Duration::from_secs(3));
            run.lead(Script::of(stage.host(), &asked, &script::five())?);
            if let Ok(mut open) = asked.accept(run.script()?) {
                let _left = open.write(run.batch(1, 5)?);
                open.close();
            }
            run.must_end("succeeded").or_else(|_| run.serve())
        },
    },
    Case {
        id: "attach",
        clauses: &["ID-24", "REQ-7", "STR-22"],
        about: "an attach is signed anew each time and names the run of the accept",
        run: |stage| {
            let mut run = stage.start()?;
            let mut open = run.begin()?;
            open.write(run.batch(1, 3)?)?;
            run.must_be_told(3)?;
            open.close();
            for _ in 0..3 {
                let asked = run.asked("attach")?;
                ensure!(asked.after() == 3, "an attach after {}", asked.after());
                drop(asked);
            }
            run.serve()
        },
    },
    Case {
        id: "attach-shows-what-is-held",
        clauses: &["ID-43"],
        about: "an attach shows the accept and the last seal",
        run: |stage| {
            let mut run = stage.start()?;
            let mut open = run.begin()?;
            open.write(run.batch(1, 1)?)?;
            let seal = run.script()?.seal(stage.host(), 3)?;
            open.write(run.script()?.batch_under(2, 3, &seal))?;
            run.must_be_told(3)?;
            open.close();
            let asked = run.asked("attach")?;
            let held: Vec<String> = asked.held.iter().map(Envelope::name).collect();
            ensure!(held.contains(&run.script()?.accept.name()), "the accept is not shown");
            ensure!(held.contains(&seal.name()), "the last seal is not shown");
            drop(asked);
            run.serve()
        },
    },
    Case {
        id: "accept-of-another-key",
        clauses: &["REQ-30"],
        about: "an accept of another idempotency key",
        run: |stage| said(stage, |accept| accept["key"] = json!("kit-another-key-of-somebody")),
    },
    Case {
        id: "accept-of-another-print",
        clauses: &["REQ-30"],
        about: "an accept of another body",
        run: |stage| said(stage, |accept| accept["print"] = json!("A".repeat(43))),
    },
    Case {
        id: "accept-for-another-caller",
        clauses: &["REQ-30"],
        about: "an accept for another gateway",
        run: |stage| said(stage, |accept| accept["aud"] = accept["iss"].clone()),
    },
    Case {
        id: "accept-of-another-executor",
        clauses: &["REQ-30"],
        about: "an accept of another gateway",
        run: |stage| said(stage, |accept| accept["iss"] = accept["aud"].clone()),
    },
    Case {
        id: "accept-of-another-tenant",
        clauses: &["REQ-30"],
        about: "an accept of another tenant pair",
        run: |stage| said(stage, |accept| accept["tenant"]["dst"] = json!("somebody-else")),
    },
    Case {
        id: "accept-of-another-version",
        clauses: &["REQ-30"],
        about: "an accept of a version that was not offered",
        run: |stage| said(stage, |accept| accept["proto"] = json!(2)),
    },
    Case {
        id: "accept-flipped-bit",
        clauses: &["ENV-10"],
        about: "a bit of the accept's signature is another",
        run: |stage| {
            bent(stage, |accept| {
                accept.signatures[0].1[7] ^= 4;
                Ok(())
            })
        },
    },
    Case {
        id: "accept-unsigned",
        clauses: &["ENV-4"],
        about: "an accept without a signature",
        run: |stage| {
            bent(stage, |accept| {
                accept.signatures.clear();
                Ok(())
            })
        },
    },
    Case {
        id: "accept-by-status-key",
        clauses: &["ENV-9"],
        about: "an accept by the key of another role",
        run: |stage| signed_by(stage, &stage.host().key("status")?),
    },
    Case {
        id: "accept-by-stranger",
        clauses: &["ENV-9", "ENV-14"],
        about: "an accept by a key that no root names",
        run: |stage| signed_by(stage, &Key::of(wire::random::<32>()?)),
    },
    Case {
        id: "accept-of-another-run",
        clauses: &["REQ-30"],
        about: "the accept and the frames of another run of the same caller",
        run: |stage| {
            let mut one = stage.start()?;
            drop(one.begin()?);
            let mut other = stage.start()?;
            let mut open = other.asked("start")?.open()?;
            open.write(one.script()?.accepted() + &one.batch(1, 5)?)?;
            open.must_be_left()?;
            drop(open);
            other.must_go_on()?;
            other.serve()?;
            one.serve()
        },
    },
];

/// The first answer to a start is an accept that does not hold, with frames that are sealed under it. The
/// caller tells nothing of them and starts again.
fn bent(stage: &Stage, bend: impl FnOnce(&mut Envelope) -> Result<()>) -> Result<()> {
    let mut run = stage.start()?;
    let asked = run.asked("start")?;
    let mut accept = stage.host().sign("accept", &Script::accept_of(stage.host(), &asked)?)?;
    bend(&mut accept)?;
    let lie = ("output", json!({"channel": "answer", "text": "Not for you."}));
    let script = Script::under(accept, &[script::started(), lie, script::succeeded()])?;
    let mut open = asked.open()?;
    let _left = open.write(script.accepted() + &script.batch(stage.host(), 1, 3)?);
    open.must_be_left()?;
    drop(open);
    run.must_be_told(0)?;
    run.must_go_on()?;
    let again = run.asked_for_frames()?;
    ensure!(again.op() == "start", "what was not accepted is not attached to");
    drop(again);
    run.serve()
}

/// An accept that says something else, and is signed well.
fn said(stage: &Stage, change: impl FnOnce(&mut Value)) -> Result<()> {
    bent(stage, |accept| {
        let mut value = wire::document(&accept.payload)?;
        change(&mut value);
        *accept = stage.host().sign("accept", &value)?;
        Ok(())
    })
}

/// An accept by another key.
fn signed_by(stage: &Stage, key: &Key) -> Result<()> {
    bent(stage, |accept| {
        *accept = key.seal("accept", &accept.payload);
        Ok(())
    })
}
