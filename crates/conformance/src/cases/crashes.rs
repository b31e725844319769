//! The executor is killed and started again (`--hook restart=…`): what it said before still holds.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::endings::{cancel, ended, endless};
use super::{Case, operation_refused, refusal_of};
use crate::caller::{ATTACH, Caller, INSPECT, RUNS};
use crate::wire;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "crash-after-the-end",
        clauses: &["STR-7", "REQ-19", "REQ-25", "REQ-29"],
        about: "a run that had ended: the same accept and frames, by its key and by its id",
        run: |caller| {
            let start = caller.start()?;
            let whole = caller.run(&start)?;
            restart(caller)?;
            let again = caller.run(&caller.again(&start)?)?;
            ensure!(again.accept_text == whole.accept_text, "another accept");
            ensure!(again.frames == whole.frames, "other frames");
            let body = json!({"after": whole.frames.len() - 1, "run": whole.run()?});
            let last = caller.open(ATTACH, &caller.request("attach", body)?)?;
            let mut last = last.behind(&whole.known(), whole.frames.len() - 1)?;
            last.finish()
        },
    },
    Case {
        id: "crash-in-a-run",
        clauses: &["STR-7", "STR-20", "STR-26", "STR-27", "STR-45"],
        about: "a run that answers meanwhile goes on behind what was read, and ends once",
        run: |caller| {
            let start = caller.start()?;
            let mut stream = caller.open(RUNS, &start)?;
            stream.until(1)?;
            let (frames, at) = (stream.frames.clone(), stream.chained());
            let body = json!({"after": frames.len(), "run": stream.run()?});
            restart(caller)?;
            let rest = caller.open(ATTACH, &caller.request("attach", body)?)?;
            let mut rest = rest.onward(at)?;
            rest.finish()?;
            let terminal = rest.terminal()?;
            let known = terminal["outcome"] == "succeeded";
            ensure!(known || terminal["problem"]["code"] == "interrupted", "it ended {terminal}");
            let whole = caller.run(&caller.again(&start)?)?;
            ensure!(whole.frames == [frames, rest.frames.clone()].concat(), "two logs");
            Ok(())
        },
    },
    Case {
        id: "crash-in-an-endless-run",
        clauses: &["STR-20", "STR-45", "REQ-34"],
        about: "a run without an end is taken up again, and can be cancelled",
        run: |caller| {
            let start = endless(caller)?;
            let mut stream = caller.open(RUNS, &start)?;
            stream.until(1)?;
            let at = stream.chained();
            let body = json!({"after": stream.frames.len(), "run": stream.run()?});
            restart(caller)?;
            let told = caller.answer(INSPECT, &caller.about("inspect", &start)?)?;
            ensure!(told["state"] == "running", "it tells {told}");
            let rest = caller.open(ATTACH, &caller.request("attach", body)?)?;
            let mut rest = rest.onward(at)?;
            cancel(caller, &start)?;
            rest.finish()?;
            ended(&rest, "cancelled", "cancelled")
        },
    },
    Case {
        id: "crash-behind-a-cancel",
        clauses: &["REQ-33", "REQ-71"],
        about: "a cancel that was answered still decides how the run ends",
        run: |caller| {
            let start = endless(caller)?;
            caller.open(RUNS, &start)?.until(1)?;
            let answer = cancel(caller, &start)?;
            ensure!(answer["cancel"] == "requested", "it is answered {answer}");
            restart(caller)?;
            let whole = caller.run(&caller.again(&start)?)?;
            ended(&whole, "cancelled", "cancelled")
        },
    },
    Case {
        id: "crash-and-replay",
        clauses: &["REQ-18"],
        about: "a request that was accepted before is replayed, signed",
        run: |caller| {
            let start = caller.start()?;
            let signed = caller.sign(&start)?;
            let body = caller.operation(&signed);
            caller.stream(caller.post(RUNS, body.as_bytes())?, &signed)?.finish()?;
            restart(caller)?;
            let reply = caller.post(RUNS, body.as_bytes())?;
            refusal_of(caller, reply, Some(&signed), ("replayed", true)).map(drop)
        },
    },
    Case {
        id: "crash-and-a-blocked-key",
        clauses: &["REQ-32"],
        about: "a key that was cancelled before its start stays blocked",
        run: |caller| {
            let start = caller.start()?;
            let answer = cancel(caller, &start)?;
            ensure!(answer["cancel"] == "blocked", "it is answered {answer}");
            restart(caller)?;
            operation_refused(caller, RUNS, &start, "cancelled_before_start")
        },
    },
    Case {
        id: "crash-and-another-body",
        clauses: &["REQ-20", "REQ-25"],
        about: "a key that had a run is key_conflict with another body",
        run: |caller| {
            let mut start = caller.start()?;
            caller.run(&start)?;
            restart(caller)?;
            start = caller.again(&start)?;
            start["body"]["invokedAt"] = json!(wire::now() - 7);
            operation_refused(caller, RUNS, &start, "key_conflict")
        },
    },
    Case {
        id: "crash-and-statuses",
        clauses: &["ID-18", "ID-41", "ID-44"],
        about: "its status goes on, of the same incarnation, and one that was shown is remembered",
        run: |caller| {
            restart(caller)?;
            let later = caller.renewed()?;
            let number = |status: &Value| status["seq"].as_i64().context("a status has a seq");
            ensure!(number(&later.theirs)? >= number(&caller.theirs)?, "an older status");
            let (one, two) = (&caller.theirs["incarnation"], &later.theirs["incarnation"]);
            ensure!(one == two, "another incarnation without a reason");
            // The older one names what was issued before the kill.
            caller.run(&caller.start()?).map(drop)
        },
    },
    Case {
        id: "crash-and-a-revocation",
        clauses: &["ID-11", "ID-22", "ID-82"],
        about: "a key that a status revoked before signs nothing, also beside a silent status",
        run: |caller| {
            caller.terms.needs(&["restart"])?;
            let spare = caller.key("spare")?;
            let revoking = caller.home.status(&[&spare.kid]);
            caller.restate(caller.key("status")?.seal("status", &wire::bytes_of(&revoking)));
            caller.run(&caller.start()?)?;
            restart(caller)?;
            let silent = wire::bytes_of(&caller.home.status(&[]));
            caller.restate(caller.key("status")?.seal("status", &silent));
            let start = caller.start()?;
            let signed = spare.seal("request", &wire::bytes_of(&start));
            super::unheard(caller, &start, &caller.operation(&signed), "verification_failed")
        },
    },
    Case {
        id: "crash-and-an-older-status",
        clauses: &["ID-11", "ID-18"],
        about: "a status of the caller's that is older than one shown before is status_stale",
        run: |caller| {
            caller.terms.needs(&["restart"])?;
            let old =
                caller.key("status")?.seal("status", &wire::bytes_of(&caller.home.status(&[])));
            std::thread::sleep(std::time::Duration::from_millis(5));
            let new = caller.home.status(&[]);
            caller.restate(caller.key("status")?.seal("status", &wire::bytes_of(&new)));
            caller.run(&caller.start()?)?;
            restart(caller)?;
            let start = caller.start()?;
            let signed = caller.sign(&start)?;
            let (status, request) = (old.text(), signed.text());
            let body = format!(r#"{{"status":{status},"request":{request}}}"#);
            super::unheard(caller, &start, &body, "status_stale")
        },
    },
];

/// Has the executor killed without a goodbye, and started again.
pub(super) fn restart(caller: &Caller) -> Result<()> {
    caller.terms.done("restart", "").map(drop)
}
