//! Quotas of a grant: what is beyond them is refused, signed, for a time that is told.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::endings::{ended, endless};
use super::{Case, Skipped, refusal_of};
use crate::caller::{Caller, INSPECT, RUNS};
use crate::stream::Stream;
use crate::wire;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "quota-of-open-runs",
        clauses: &["REQ-24", "REQ-28", "PRB-9"],
        about: "a run beyond concurrent_max is rate_limited, and its key starts it once there is room",
        run: |caller| {
            let first = tight(caller, endless(caller)?)?;
            calm();
            let mut stream = caller.open(RUNS, &first)?;
            stream.until(1)?;
            calm();
            let second = tight(caller, caller.start()?)?;
            limited(caller, &second)?;
            ask(caller, "cancel", &first)?;
            stream.finish()?;
            let mut tries = 0;
            let mut run = loop {
                calm();
                let again = renewed(caller, &second)?;
                let (mut reply, signed) = caller.send(RUNS, &again)?;
                if reply.status == 200 {
                    break caller.stream(reply, &signed)?;
                }
                let refusal = caller.refusal(&mut reply, Some(&signed))?;
                ensure!(refusal.code == "rate_limited" && tries < 5, "it is {}", refusal.code);
                tries += 1;
            };
            run.finish()
        },
    },
    Case {
        id: "quota-spares-the-known",
        clauses: &["REQ-19", "REQ-28"],
        about: "at its quota an owner still attaches, inspects and repeats the start that it has",
        run: |caller| {
            let first = tight(caller, endless(caller)?)?;
            calm();
            let mut stream = caller.open(RUNS, &first)?;
            stream.until(1)?;
            let mut again = caller.open(RUNS, &renewed(caller, &first)?)?;
            again.until(1)?;
            ensure!(again.accept_text == stream.accept_text, "another accept for the same key");
            let told = ask(caller, "inspect", &first)?;
            ensure!(told["state"] == "running", "it tells {told}");
            ask(caller, "cancel", &first)?;
            stream.finish()
        },
    },
    Case {
        id: "quota-of-starts",
        clauses: &["REQ-24", "REQ-59", "PRB-9"],
        about: "starts beyond starts_per_second are rate_limited, and served after the time that is told",
        run: |caller| {
            calm();
            let (mut refused, since) = (None, wire::now());
            // Each run ends before the next start, so that the other quota is not the reason.
            for served in 0..10 {
                let start = tight(caller, caller.start()?)?;
                let (mut reply, signed) = caller.send(RUNS, &start)?;
                if reply.status == 200 {
                    let due = 2 + (wire::now() - since) / 1_000;
                    ensure!(served < due, "{} starts are served in {due} seconds", served + 1);
                    caller.stream(reply, &signed)?.finish()?;
                    continue;
                }
                let refusal = caller.refusal(&mut reply, Some(&signed))?;
                ensure!(refusal.code == "rate_limited", "it is {}", refusal.code);
                refused = Some((start, refusal.problem));
                break;
            }
            let slow = || Skipped("the prompt is answered too slowly".to_owned());
            let (start, problem) = refused.ok_or_else(slow)?;
            let wait = problem["retryAfterMs"].as_u64().context("a time is told")?;
            ensure!(wait <= 1_000, "{wait} ms are told, of one second");
            std::thread::sleep(Duration::from_millis(wait + 50));
            caller.run(&renewed(caller, &start)?).map(drop)
        },
    },
    Case {
        id: "quota-of-one-owner",
        clauses: &["REQ-28"],
        about: "an owner at its quota takes nothing from another owner",
        run: |caller| {
            let first = tight(caller, endless(caller)?)?;
            calm();
            let mut stream = caller.open(RUNS, &first)?;
            stream.until(1)?;
            caller.run(&caller.start()?)?;
            ask(caller, "cancel", &first)?;
            stream.finish()
        },
    },
    Case {
        id: "limit-of-tokens",
        clauses: &["REQ-57"],
        about: "a run that reports more tokens than its start allows is stopped, budget_exceeded",
        run: |caller| {
            let prompt = caller.terms.given(&caller.terms.usage_prompt, "--usage-prompt")?;
            let mut start = caller.start_of(prompt)?;
            start["body"]["limits"] = json!({"tokens": 1});
            let run = caller.run(&start)?;
            ended(&run, "failed", "budget_exceeded")?;
            let reported = frames(&run)?.iter().any(|frame| frame["event"] == "tokenUsage");
            ensure!(reported, "it was stopped before it reported a usage");
            Ok(())
        },
    },
    Case {
        id: "disclosed-as-digests",
        clauses: &["STR-32"],
        about: "output of a grant that discloses digests is told by digest and size, nowhere as text",
        run: |caller| {
            calm();
            let run = caller.run(&tight(caller, caller.start()?)?)?;
            let told = frames(&run)?;
            let output: Vec<&Value> =
                told.iter().filter(|frame| frame["event"] == "output").collect();
            for frame in &output {
                let payload = &frame["payload"];
                ensure!(payload["text"].is_null(), "a text is told: {frame}");
                let told = payload["digest"].is_string() && payload["size"].is_u64();
                ensure!(told, "no digest and size: {frame}");
            }
            let result = &run.terminal()?["result"];
            ensure!(!output.is_empty(), "the prompt has no output");
            ensure!(!result.is_string(), "the terminal tells the text: {result}");
            Ok(())
        },
    },
];

fn frames(run: &Stream<'_>) -> Result<Vec<Value>> {
    (0..run.frames.len()).map(|at| run.frame(at)).collect()
}

/// A start under the tight grant.
fn tight(caller: &Caller, mut start: Value) -> Result<Value> {
    let (agent, tenant) = caller.terms.tight()?;
    start["body"]["agentTarget"]["agent"] = json!(agent);
    start["tenant"] = tenant;
    Ok(start)
}

/// Another attempt of it.
fn renewed(caller: &Caller, start: &Value) -> Result<Value> {
    let mut again = caller.again(start)?;
    again["tenant"] = start["tenant"].clone();
    Ok(again)
}

fn ask(caller: &Caller, op: &str, start: &Value) -> Result<Value> {
    let mut request = caller.about(op, start)?;
    request["tenant"] = start["tenant"].clone();
    caller.answer(&format!("{RUNS}/{op}"), &request)
}

/// A start that is refused for now, and of which nothing is kept.
fn limited(caller: &Caller, start: &Value) -> Result<()> {
    let (reply, signed) = caller.send(RUNS, start)?;
    let refusal = refusal_of(caller, reply, Some(&signed), ("rate_limited", true))?;
    ensure!(refusal.problem["retryAfterMs"].is_u64(), "no time is told");
    ensure!(refusal.problem["sideEffects"] == "none", "it is told as {}", refusal.problem);
    let mut inspect = caller.about("inspect", start)?;
    inspect["tenant"] = start["tenant"].clone();
    let (reply, signed) = caller.send(INSPECT, &inspect)?;
    refusal_of(caller, reply, Some(&signed), ("not_found", true)).map(drop)
}

/// Lets a second pass, so that no start before this one counts.
fn calm() {
    std::thread::sleep(Duration::from_millis(1_100));
}
