//! Sessions: turns, children, and who may name them. The grant has all three modes.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::endings::{cancel, ended, endless};
use super::{Case, refusal_of, refused};
use crate::caller::{Caller, INSPECT, RUNS};
use crate::stream::Stream;
use crate::wire;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "session-turn",
        clauses: &["REQ-46", "REQ-50"],
        about: "a turn of an earlier run's session is led in it, and tells its handle",
        run: |caller| led(caller, "turn"),
    },
    Case {
        id: "session-child",
        clauses: &["REQ-46", "REQ-50"],
        about: "a child under an earlier run's session is led, and tells the handle",
        run: |caller| led(caller, "subagent"),
    },
    Case {
        id: "session-fresh",
        clauses: &["REQ-50"],
        about: "two runs of the mode session are led in two sessions",
        run: |caller| {
            ensure!(begun(caller)? != begun(caller)?, "two runs share a session");
            Ok(())
        },
    },
    Case {
        id: "session-after-a-cancel",
        clauses: &["REQ-47"],
        about: "the session of a run that was cancelled stays known, and its next turn is led",
        run: |caller| {
            let start = endless(caller)?;
            let mut stream = caller.open(RUNS, &start)?;
            stream.until(1)?;
            cancel(caller, &start)?;
            stream.finish()?;
            let next = within(caller, caller.start()?, "turn", &handle(&stream)?);
            succeeded(&caller.run(&next)?)
        },
    },
    Case {
        id: "session-of-another-caller",
        clauses: &["REQ-45"],
        about: "another caller's session is refused in the words of one that there is not",
        run: |caller| {
            let other = caller.other()?;
            let theirs = other.run(&other.start()?)?;
            in_the_same_words(caller, &handle(&theirs)?)
        },
    },
    Case {
        id: "session-of-another-tenant",
        clauses: &["REQ-45"],
        about: "another tenant pair's session is refused in the words of one that there is not",
        run: |caller| {
            let (agent, tenant) = caller.terms.tight()?;
            let mut start = caller.start()?;
            start["body"]["agentTarget"]["agent"] = json!(agent);
            start["tenant"] = tenant;
            let theirs = caller.run(&start)?;
            in_the_same_words(caller, &handle(&theirs)?)
        },
    },
    Case {
        id: "session-mode-not-granted",
        clauses: &["REQ-22", "REQ-45"],
        about: "a mode that the grant does not have is refused, and starts nothing",
        run: |caller| {
            let (agent, tenant) = caller.terms.tight()?;
            let mut start = within(caller, caller.start()?, "turn", &begun(caller)?);
            start["body"]["agentTarget"]["agent"] = json!(agent);
            start["tenant"] = tenant;
            let (mut reply, signed) = caller.send(RUNS, &start)?;
            ensure!(reply.status != 200, "it is led");
            let refusal = caller.refusal(&mut reply, Some(&signed))?;
            let fits = ["not_granted", "session_unknown"].contains(&refusal.code.as_str());
            ensure!(fits && refusal.signed, "it is {}", refusal.code);
            Ok(())
        },
    },
    Case {
        id: "session-name",
        clauses: &["ID-3", "REQ-8"],
        about: "a handle that is empty, too long or has a space is malformed",
        run: |caller| {
            for name in [String::new(), "s".repeat(129), "a session".to_owned()] {
                let start = within(caller, caller.start()?, "turn", &name);
                refused(caller, &start, ("malformed", false))?;
            }
            Ok(())
        },
    },
    Case {
        id: "session-in-order",
        clauses: &["REQ-48"],
        about: "a turn waits until the one before it has its terminal, and is then led",
        run: |caller| {
            let (mut first, second, session, start) = waiting(caller, None)?;
            std::thread::sleep(std::time::Duration::from_millis(700));
            let told = caller.answer(INSPECT, &caller.about("inspect", &second)?)?;
            ensure!(told["seq"] == 0, "it is led beside the one before: {told}");
            cancel(caller, &start)?;
            first.finish()?;
            let run = caller.run(&caller.again(&second)?)?;
            ensure!(handle(&run)? == session, "it is led in another session");
            succeeded(&run)
        },
    },
    Case {
        id: "session-waiting-cancelled",
        clauses: &["REQ-49"],
        about: "a turn that waits is cancelled at once, without effects, and the one before goes on",
        run: |caller| {
            let (mut first, second, _, start) = waiting(caller, None)?;
            let answer = cancel(caller, &second)?;
            ensure!(answer["cancel"] == "requested", "it is answered {answer}");
            let run = caller.run(&caller.again(&second)?)?;
            ended(&run, "cancelled", "cancelled")?;
            ensure!(run.terminal()?["sideEffects"] == "none", "effects of what was never led");
            let told = caller.answer(INSPECT, &caller.about("inspect", &start)?)?;
            ensure!(told["state"] == "running", "the one before ended: {told}");
            cancel(caller, &start)?;
            first.finish()
        },
    },
    Case {
        id: "session-waiting-expired",
        clauses: &["REQ-49"],
        about: "a turn that waits until its deadline is expired, without effects",
        run: |caller| {
            let (mut first, second, _, start) = waiting(caller, Some(wire::now() + 2_000))?;
            let run = caller.run(&caller.again(&second)?)?;
            ended(&run, "expired", "deadline_exceeded")?;
            ensure!(run.terminal()?["sideEffects"] == "none", "effects of what was never led");
            cancel(caller, &start)?;
            first.finish()
        },
    },
];

/// The session that `started` told.
fn handle(stream: &Stream<'_>) -> Result<String> {
    let started = stream.frame(0)?;
    ensure!(started["event"] == "started", "the first frame is {started}");
    Ok(started["payload"]["session"].as_str().context("`started` tells a session")?.to_owned())
}

/// A session in which one run was led to its end.
fn begun(caller: &Caller) -> Result<String> {
    handle(&caller.run(&caller.start()?)?)
}

/// A start that names a session.
fn within(caller: &Caller, mut start: Value, mode: &str, session: &str) -> Value {
    let agent = &caller.terms.agent;
    start["body"]["agentTarget"] = json!({"agent": agent, "mode": mode, "session": session});
    start
}

fn led(caller: &Caller, mode: &str) -> Result<()> {
    let session = begun(caller)?;
    let start = within(caller, caller.start()?, mode, &session);
    let run = caller.run(&start)?;
    ensure!(handle(&run)? == session, "it is led in another session");
    succeeded(&run)?;
    let again = caller.run(&caller.again(&start)?)?;
    ensure!(again.frames == run.frames, "other frames for the same key");
    Ok(())
}

fn succeeded(run: &Stream<'_>) -> Result<()> {
    let terminal = run.terminal()?;
    ensure!(terminal["outcome"] == "succeeded", "it ended as {terminal}");
    Ok(())
}

/// An endless run, and a start of the next turn of its session, which is accepted and waits.
fn waiting(caller: &Caller, deadline: Option<i64>) -> Result<(Stream<'_>, Value, String, Value)> {
    let start = endless(caller)?;
    let mut first = caller.open(RUNS, &start)?;
    first.until(1)?;
    let session = handle(&first)?;
    let mut second = within(caller, caller.start()?, "turn", &session);
    if let Some(deadline) = deadline {
        second["body"]["deadline"] = json!(deadline);
    }
    // The stream is left; the run is not.
    caller.open(RUNS, &second)?;
    Ok((first, second, session, start))
}

/// A session of somebody else's is refused as one that there is not.
fn in_the_same_words(caller: &Caller, session: &str) -> Result<()> {
    let mut told = Vec::new();
    for name in [session, "kit-no-such-session"] {
        let start = within(caller, caller.start()?, "turn", name);
        let (reply, signed) = caller.send(RUNS, &start)?;
        told.push(refusal_of(caller, reply, Some(&signed), ("session_unknown", true))?.problem);
        super::nothing_of(caller, &start)?;
    }
    ensure!(told[0] == told[1], "it tells them apart: {told:?}");
    Ok(())
}
