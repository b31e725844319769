//! An executor that contradicts itself under its own signature: the caller keeps both sides and has no more
//! to do with it until a person lifts the quarantine.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::cases::{Case, Skipped};
use crate::script::{self, Script};
use crate::stage::{Run, Stage};

pub(super) const CASES: &[Case<Stage>] = &[
    Case {
        id: "another-history",
        clauses: &["STR-24", "STR-25", "STR-29"],
        about: "a run that is told again, otherwise and well sealed",
        run: |stage| {
            quarantined(stage, |run| {
                let mut other = run.script()?.up_to(1);
                other.push(run.script()?.frames[1].replace("One", "Ten"));
                // A caller that comes again from its cursor is shown the seal; one from 0, the frames too.
                let asked = run.asked("attach")?;
                let after = asked.after();
                let mut open = asked.accept(run.script()?)?;
                let told = match after {
                    0 => other.batch(stage.host(), 1, 2)?,
                    _ => other.alive(stage.host(), 2)?,
                };
                open.write(told)?;
                open.must_be_left()
            })
        },
    },
    Case {
        id: "another-accept",
        clauses: &["STR-24", "STR-25", "STR-29"],
        about: "a second accept for one key, well signed",
        run: |stage| {
            quarantined(stage, |run| {
                let asked = run.asked("attach")?;
                let mut accept = crate::wire::document(&run.script()?.accept.payload)?;
                accept["run"] = json!(format!("run-{}", "b".repeat(26)));
                let accept = stage.host().sign("accept", &accept)?;
                let other = Script::under(accept, &script::five())?;
                let mut open = asked.open()?;
                let _left = open.write(other.accepted() + &other.batch(stage.host(), 1, 5)?);
                open.must_be_left()
            })
        },
    },
    Case {
        id: "another-status",
        clauses: &["ID-19", "STR-24", "STR-25"],
        about: "two statuses of one number, well signed",
        run: |stage| {
            quarantined(stage, |run| {
                let host = stage.host();
                let one = host.status(|_| {})?;
                let mut other = crate::wire::document(&one.payload)?;
                other["audit"]["size"] = json!(1);
                let other = host.key("status")?.seal("status", &crate::wire::bytes_of(&other));
                host.publish(one.clone());
                let mut open = run.asked("attach")?.accept(run.script()?)?;
                let both = [one, other].map(|status| script::event("status", &[&status.text()]));
                let _left = open.write(both.concat());
                open.must_be_left()
            })
        },
    },
];

/// Two frames are told, and then the executor contradicts itself. The run is lost, nothing more is asked, and
/// new work waits until the quarantine is lifted.
fn quarantined(stage: &Stage, contradict: impl FnOnce(&mut Run<'_>) -> Result<()>) -> Result<()> {
    // Without it the peering would end here for all cases that follow.
    stage.orders.lift.as_ref().context(Skipped("--lift is not given".to_owned()))?;
    let (mut run, mut open) = stage.begun()?;
    // A mismatch, so that a caller looks at the whole again.
    open.write(run.batch(3, 3)?.replace("Two", "Ten"))?;
    open.must_be_left()?;
    let came = contradict(&mut run).and_then(|()| {
        run.must_end_itself(2, "lost")?;
        run.must_be_quiet(Duration::from_secs(1))?;
        let mut other = stage.start()?;
        let asked = other.asked_within("start", Duration::from_secs(2))?;
        ensure!(asked.is_none(), "a peer in quarantine is asked for work");
        Ok(())
    });
    let lifted = stage.lift();
    came?;
    lifted?;
    stage.start()?.serve()
}
