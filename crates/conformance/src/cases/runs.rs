//! Starts, keys, streams and resuming.

use std::thread;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{Case, changed, operation_refused, refused, with};
use crate::caller::{ATTACH, INSPECT, RUNS};
use crate::stream::Stream;
use crate::wire;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "start",
        clauses: &["STR-1", "STR-6", "STR-9", "STR-26", "REQ-29"],
        about: "a run comes to one terminal; every byte, number, head and seal holds",
        run: |caller| {
            let run = caller.run(&caller.start()?)?;
            let first = run.frame(0)?;
            ensure!(first["event"] == "started", "the first frame is {}", first["event"]);
            let started = &first["payload"];
            ensure!(started["agent"] == json!(caller.terms.agent), "another agent started");
            ensure!(started["session"].is_string(), "`started` tells no session");
            let terminal = run.terminal()?;
            ensure!(terminal["outcome"] == "succeeded", "it ended as {terminal}");
            ensure!(terminal["by"] == "executor", "it was ended by {}", terminal["by"]);
            ensure!(run.seals > 0, "nothing was sealed");
            Ok(())
        },
    },
    Case {
        id: "accept",
        clauses: &["REQ-27", "REQ-29", "ID-24"],
        about: "the accept names caller, executor, tenants, key, print, version and a deadline",
        run: |caller| {
            let start = caller.start()?;
            let sent = wire::now();
            let run = caller.run(&start)?;
            let terms = &run.terms;
            ensure!(terms["key"] == start["body"]["idempotencyKey"], "another key");
            ensure!(terms["tenant"] == start["tenant"], "another tenant pair");
            ensure!(terms["proto"] == 1, "version {}", terms["proto"]);
            let body = wire::bytes_of(&start["body"]);
            let print = wire::text_of(wire::hash(&[b"GFP-BODY-v1\n", &body]));
            ensure!(terms["print"] == json!(print), "another print");
            let deadline = terms["deadline"].as_i64().context("an accept has a deadline")?;
            ensure!(sent < deadline && deadline <= wire::now() + 600_000, "at {deadline}");
            ensure!(terms["seen"]["n"] == 2, "seen is {}", terms["seen"]);
            Ok(())
        },
    },
    Case {
        id: "accept-deadline",
        clauses: &["REQ-27"],
        about: "the deadline is no later than the one that was asked for",
        run: |caller| {
            let asked = wire::now() + 45_000;
            let run = caller.run(&with(caller, "deadline", json!(asked))?)?;
            let fixed = run.terms["deadline"].as_i64().context("an accept has a deadline")?;
            ensure!(fixed <= asked, "{fixed} is after {asked}");
            Ok(())
        },
    },
    Case {
        id: "status-in-stream",
        clauses: &["STR-18"],
        about: "who has seen no status is sent one before the first seal",
        run: |caller| {
            let run = caller.run(&changed(caller, "/seen", json!({"n": 0, "seq": 0}))?)?;
            ensure!(run.status_first, "no status before the first seal");
            Ok(())
        },
    },
    Case {
        id: "key-again",
        clauses: &["REQ-19", "REQ-29", "STR-7"],
        about: "the same key and body, signed anew, after the end: the same accept and frames",
        run: |caller| {
            let start = caller.start()?;
            let (one, two) = (caller.run(&start)?, caller.run(&caller.again(&start)?)?);
            same(&one, &two)
        },
    },
    Case {
        id: "key-again-while-it-runs",
        clauses: &["REQ-19", "REQ-29"],
        about: "the same key and body while the run goes on: the same accept and frames",
        run: |caller| {
            let start = caller.start()?;
            let mut one = caller.open(RUNS, &start)?;
            let two = caller.run(&caller.again(&start)?)?;
            one.finish()?;
            same(&one, &two)
        },
    },
    Case {
        id: "key-at-once",
        clauses: &["REQ-19", "REQ-23"],
        about: "one key and body in six attempts at once are one run",
        run: |caller| {
            let start = caller.start()?;
            let attempt = || caller.run(&caller.again(&start)?);
            let runs: Vec<Result<Stream<'_>>> = thread::scope(|scope| {
                let threads: Vec<_> = (0..6).map(|_| scope.spawn(attempt)).collect();
                let ended = |thread: thread::ScopedJoinHandle<'_, _>| thread.join();
                let lost = |_| Err(anyhow::anyhow!("an attempt was lost"));
                threads.into_iter().map(|thread| ended(thread).unwrap_or_else(lost)).collect()
            });
            let runs = runs.into_iter().collect::<Result<Vec<_>>>()?;
            runs.iter().try_for_each(|run| same(&runs[0], run))
        },
    },
    Case {
        id: "key-conflict",
        clauses: &["REQ-20"],
        about: "the same key with another body is key_conflict, signed",
        run: |caller| {
            let start = caller.start()?;
            caller.run(&start)?;
            for (member, value) in
                [("prompt", json!("another prompt")), ("invokedAt", json!(wire::now() - 5))]
            {
                let mut other = caller.again(&start)?;
                other["body"][member] = value;
                operation_refused(caller, RUNS, &other, "key_conflict")?;
            }
            Ok(())
        },
    },
    Case {
        id: "key-conflict-at-once",
        clauses: &["REQ-20", "REQ-23"],
        about: "one key with two bodies at once is one run and one key_conflict",
        run: |caller| {
            let one = caller.start()?;
            let mut two = caller.again(&one)?;
            two["body"]["callerIdentity"]["principal"] = json!("somebody-else");
            let send = |request| caller.send(RUNS, request).map(|(reply, _)| reply.status);
            let statuses = thread::scope(|scope| {
                let other = scope.spawn(|| send(&two));
                let first = send(&one);
                (first, other.join())
            });
            let mut statuses = [statuses.0?, statuses.1.unwrap_or_else(|_| Ok(0))?];
            statuses.sort_unstable();
            ensure!(statuses == [200, 422], "they are answered {statuses:?}");
            Ok(())
        },
    },
    Case {
        id: "key-longest",
        clauses: &["ID-3", "REQ-19"],
        about: "keys of 16 and 128 characters, the shortest and the longest, are served",
        run: |caller| {
            for length in [16, 128] {
                let start = caller.start()?;
                let key = start["body"]["idempotencyKey"].as_str().unwrap_or_default();
                let key: String = key[4..].chars().cycle().take(length).collect();
                caller.run(&changed(caller, "/body/idempotencyKey", json!(key))?)?;
            }
            Ok(())
        },
    },
    Case {
        id: "remote-run-id",
        clauses: &["STR-6"],
        about: "`started` echoes the caller's own id of the run",
        run: |caller| {
            let run = caller.run(&with(caller, "remoteRunId", json!("kit-81"))?)?;
            let started = run.frame(0)?;
            ensure!(started["payload"]["remoteRunId"] == "kit-81", "it tells {started}");
            Ok(())
        },
    },
    Case {
        id: "traceparent",
        clauses: &["REQ-8"],
        about: "a trace context that makes no sense is no reason to refuse",
        run: |caller| {
            let mut start = caller.start()?;
            start["traceparent"] = json!("no-trace-context");
            caller.run(&start).map(drop)
        },
    },
    Case {
        id: "attach-every-cursor",
        clauses: &["STR-7", "STR-20"],
        about: "an attach behind each frame brings the same accept and the rest, sealed",
        run: |caller| {
            let whole = caller.run(&caller.start()?)?;
            for after in 0..=whole.frames.len() {
                let body = json!({"after": after, "run": whole.run()?});
                let rest = caller.open(ATTACH, &caller.request("attach", body)?)?;
                let mut rest = rest.behind(&whole.known(), after)?;
                while rest.next()? {}
                ensure!(rest.frames == whole.frames[after..], "other frames after {after}");
                ensure!(rest.head() == whole.head(), "another head after {after}");
            }
            Ok(())
        },
    },
    Case {
        id: "attach-by-key",
        clauses: &["STR-20"],
        about: "an attach by key brings the same accept and frames as one by run",
        run: |caller| {
            let start = caller.start()?;
            let whole = caller.run(&start)?;
            let key = &start["body"]["idempotencyKey"];
            let body = json!({"after": 0, "idempotencyKey": key});
            let mut rest = caller.open(ATTACH, &caller.request("attach", body)?)?;
            rest.finish()?;
            same(&whole, &rest)
        },
    },
    Case {
        id: "attach-ahead",
        clauses: &["STR-21"],
        about: "an attach beyond the last frame is cursor_ahead, signed",
        run: |caller| {
            let whole = caller.run(&caller.start()?)?;
            let body = json!({"after": whole.frames.len() + 1, "run": whole.run()?});
            operation_refused(caller, ATTACH, &caller.request("attach", body)?, "cursor_ahead")
        },
    },
    Case {
        id: "unknown-run",
        clauses: &["PRB-8"],
        about: "attach, cancel and inspect of a run that there is not are not_found, signed",
        run: |caller| {
            let run = format!("run-{}", "a".repeat(26));
            let attach = caller.request("attach", json!({"after": 0, "run": run}))?;
            operation_refused(caller, ATTACH, &attach, "not_found")?;
            let inspect = caller.request("inspect", json!({"run": run}))?;
            operation_refused(caller, INSPECT, &inspect, "not_found")?;
            let cancel = caller.request("cancel", json!({"run": run}))?;
            operation_refused(caller, crate::caller::CANCEL, &cancel, "not_found")
        },
    },
    Case {
        id: "attach-by-both",
        clauses: &["ENV-19"],
        about: "an attach by run and key, or by neither, is malformed",
        run: |caller| {
            let start = caller.start()?;
            let whole = caller.run(&start)?;
            let key = &start["body"]["idempotencyKey"];
            for body in [
                json!({"after": 0, "idempotencyKey": key, "run": whole.run()?}),
                json!({"after": 0}),
                json!({"after": -1, "run": whole.run()?}),
            ] {
                let (mut reply, _) = caller.send(ATTACH, &caller.request("attach", body)?)?;
                ensure!(reply.status == 400, "it is answered {}", reply.status);
                let refusal = caller.refusal(&mut reply, None)?;
                ensure!(refusal.code == "malformed", "it is {}", refusal.code);
            }
            Ok(())
        },
    },
    Case {
        id: "inspect-ended",
        clauses: &["REQ-31", "ID-24"],
        about: "an inspect of a run that ended tells its accept, head, last number and outcome",
        run: |caller| {
            let start = caller.start()?;
            let whole = caller.run(&start)?;
            let told = caller.answer(INSPECT, &caller.about("inspect", &start)?)?;
            ensure!(told["state"] == "terminal", "its state is {}", told["state"]);
            ensure!(told["outcome"] == whole.terminal()?["outcome"], "another outcome");
            ensure!(told["head"] == json!(whole.head()), "another head");
            ensure!(told["seq"] == json!(whole.seq()), "another last number");
            ensure!(told["run"] == whole.terms["run"], "another run");
            ensure!(told["deadline"] == whole.terms["deadline"], "another deadline");
            Ok(())
        },
    },
    Case {
        id: "limit-of-frames",
        clauses: &["REQ-62", "STR-4"],
        about: "a run beyond the frames that it may have ends as failed, budget_exceeded",
        run: |caller| {
            let frames = caller.run(&caller.start()?)?.frames.len();
            if frames < 4 {
                return Err(
                    super::Skipped("the prompt makes fewer than four frames".to_owned()).into()
                );
            }
            let short = caller.run(&with(caller, "limits", json!({"frames": 3}))?)?;
            let terminal = short.terminal()?;
            ensure!(short.frames.len() <= 3, "it has {} frames", short.frames.len());
            ensure!(terminal["outcome"] == "failed", "it ended as {terminal}");
            ensure!(terminal["problem"]["code"] == "budget_exceeded", "it ended as {terminal}");
            Ok(())
        },
    },
    Case {
        id: "session-unknown",
        clauses: &["REQ-22", "REQ-45"],
        about: "a turn of a session that there is not is session_unknown, or not_granted",
        run: |caller| {
            let target =
                json!({"agent": caller.terms.agent, "mode": "turn", "session": "kit-none"});
            let start = changed(caller, "/body/agentTarget", target)?;
            let unknown = refused(caller, &start, ("session_unknown", true));
            let again = caller.again(&start)?;
            unknown.or_else(|_| refused(caller, &again, ("not_granted", true)))
        },
    },
];

/// Two streams of one run.
fn same(one: &Stream<'_>, two: &Stream<'_>) -> Result<()> {
    ensure!(one.accept_text == two.accept_text, "another accept for the same key");
    ensure!(one.frames == two.frames, "other frames for the same key");
    Ok(())
}
