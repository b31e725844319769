//! Direct calls of a tool (`--tool`).

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::endings::cancel;
use super::{Case, refused};
use crate::caller::{Caller, RUNS};
use crate::stream::Stream;
use crate::wire;

const MALFORMED: (&str, bool) = ("malformed", false);

pub(super) const CASES: &[Case] = &[
    Case {
        id: "tool-call",
        clauses: &["REQ-41", "STR-32"],
        about: "a call is started, toolCall, toolResult and terminal, of one callId, and succeeds",
        run: |caller| {
            let run = caller.run(&call(caller, &caller.terms.tool_args)?)?;
            let (called, answered) = exchange(&run)?;
            ensure!(called["callId"] == answered["callId"], "two calls");
            ensure!(called["tool"] == json!(caller.terms.tool), "another tool: {called}");
            ensure!(answered["ok"] == true, "the tool answered {answered}");
            let terminal = run.terminal()?;
            ensure!(terminal["outcome"] == "succeeded", "it ended as {terminal}");
            let (one, two) = (&answered["result"], &terminal["result"]);
            ensure!(one.is_null() || two.is_null() || one == two, "two results");
            Ok(())
        },
    },
    Case {
        id: "tool-args-as-they-stand",
        clauses: &["REQ-41"],
        about: "the text of the arguments is passed on as it stands, white space and escapes too",
        run: |caller| {
            for args in ["{ }", "{\"kit\" :\t[1.50, 1E2, \"\\u0041\", null] }\n"] {
                let run = caller.run(&call(caller, args)?)?;
                let (called, _) = exchange(&run)?;
                shown(&called, "args", args)?;
            }
            Ok(())
        },
    },
    Case {
        id: "tool-args-longest",
        clauses: &["REQ-40", "STR-31"],
        about: "arguments of TOOL_ARGS_BYTES_MAX are called, shown cut; one byte more is malformed",
        run: |caller| {
            let of = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length - 8));
            let args = of(262_144);
            let run = caller.run(&call(caller, &args)?)?;
            shown(&exchange(&run)?.0, "args", &args)?;
            refused(caller, &call(caller, &of(262_145))?, MALFORMED)
        },
    },
    Case {
        id: "tool-args-deepest",
        clauses: &["REQ-40"],
        about: "arguments nested JSON_DEPTH_MAX deep are called; one level more is malformed",
        run: |caller| {
            let of = |deep: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(deep), "]".repeat(deep));
            exchange(&caller.run(&call(caller, &of(15))?)?)?;
            refused(caller, &call(caller, &of(16))?, MALFORMED)
        },
    },
    Case {
        id: "tool-args-names",
        clauses: &["REQ-40"],
        about: "a member named twice, in another spelling or deep inside, is malformed",
        run: |caller| {
            for args in [r#"{"a":1,"\u0061":2}"#, r#"{"x":[{"a":1,"b":2,"a":1}]}"#] {
                refused(caller, &call(caller, args)?, MALFORMED)?;
            }
            Ok(())
        },
    },
    Case {
        id: "tool-mode",
        clauses: &["REQ-40"],
        about: "a call in a session that is continued, or under one, is malformed",
        run: |caller| {
            for mode in ["turn", "subagent"] {
                let mut start = call(caller, "{}")?;
                start["body"]["agentTarget"]["mode"] = json!(mode);
                start["body"]["agentTarget"]["session"] = json!("s-1");
                refused(caller, &start, MALFORMED)?;
            }
            Ok(())
        },
    },
    Case {
        id: "tool-not-granted",
        clauses: &["REQ-22", "REQ-24"],
        about: "a tool that only resembles a granted one is not_granted",
        run: |caller| {
            let tool = caller.terms.given(&caller.terms.tool, "--tool")?;
            for name in [format!("{tool}x"), tool.to_uppercase(), tool[..1].to_owned()] {
                let mut start = call(caller, "{}")?;
                if name == tool {
                    continue;
                }
                start["body"]["toolCall"]["tool"] = json!(name);
                refused(caller, &start, ("not_granted", true))?;
            }
            Ok(())
        },
    },
    Case {
        id: "tool-name",
        clauses: &["ID-3"],
        about: "a tool's name that is empty, too long or has a space is malformed",
        run: |caller| {
            for name in [String::new(), "t".repeat(129), "a tool".to_owned()] {
                let mut start = call(caller, "{}")?;
                start["body"]["toolCall"]["tool"] = json!(name);
                refused(caller, &start, MALFORMED)?;
            }
            Ok(())
        },
    },
    Case {
        id: "tool-key",
        clauses: &["REQ-19", "REQ-20"],
        about: "a call's key brings the same frames, and with other arguments key_conflict",
        run: |caller| {
            let start = call(caller, "{}")?;
            let (one, two) = (caller.run(&start)?, caller.run(&caller.again(&start)?)?);
            ensure!(one.frames == two.frames, "other frames for the same key");
            // The same arguments in another spelling are another body.
            let mut other = caller.again(&start)?;
            other["body"]["toolCall"]["args"] = json!("{ }");
            super::operation_refused(caller, RUNS, &other, "key_conflict")
        },
    },
    Case {
        id: "tool-cancel",
        clauses: &["REQ-34", "REQ-44", "STR-26"],
        about: "a call that is cancelled ends as cancelled, or says that it cannot be stopped",
        run: |caller| {
            let args = caller.terms.given(&caller.terms.slow_tool_args, "--slow-tool-args")?;
            let mut start = call(caller, args)?;
            start["body"]["deadline"] = json!(wire::now() + 20_000);
            let mut stream = caller.open(RUNS, &start)?;
            stream.until(1)?;
            let answer = cancel(caller, &start)?;
            ensure!(answer["cancel"] == "requested", "it is answered {answer}");
            stream.finish()?;
            let terminal = stream.terminal()?;
            let frames: Result<Vec<Value>> =
                (0..stream.frames.len()).map(|at| stream.frame(at)).collect();
            let unstoppable = frames?.iter().any(|frame| {
                frame["event"] == "error" && frame["payload"]["code"] == "not_supported"
            });
            let cancelled = terminal["outcome"] == "cancelled";
            ensure!(cancelled || unstoppable, "it ended as {terminal}, without a word");
            let unknown = terminal["sideEffects"] == "unknown";
            ensure!(terminal["outcome"] != "expired" || unknown, "it ended as {terminal}");
            Ok(())
        },
    },
];

/// A start that calls the tool.
fn call(caller: &Caller, args: &str) -> Result<Value> {
    let tool = caller.terms.given(&caller.terms.tool, "--tool")?;
    let mut start = caller.start()?;
    start["body"].as_object_mut().map(|body| body.remove("prompt"));
    start["body"]["toolCall"] = json!({"args": args, "tool": tool});
    Ok(start)
}

/// The call and the result of a run that has four frames and no other.
fn exchange(run: &Stream<'_>) -> Result<(Value, Value)> {
    let frames: Result<Vec<Value>> = (0..run.frames.len()).map(|at| run.frame(at)).collect();
    let frames = frames?;
    let events: Vec<&str> = frames.iter().filter_map(|frame| frame["event"].as_str()).collect();
    let due = ["started", "toolCall", "toolResult", "terminal"];
    ensure!(events == due, "its frames are {events:?}");
    Ok((frames[1]["payload"].clone(), frames[2]["payload"].clone()))
}

/// A text of a frame as the grant discloses it: all of it, its digest and size, both where it was cut, or
/// nothing.
fn shown(payload: &Value, name: &str, text: &str) -> Result<()> {
    if let Some(size) = payload["size"].as_u64() {
        ensure!(size == text.len() as u64, "its size is told as {size}");
        let digest = wire::text_of(wire::hash(&[text.as_bytes()]));
        ensure!(payload["digest"] == json!(digest), "another digest is told");
    }
    let Some(told) = payload[name].as_str() else { return Ok(()) };
    if payload["truncated"] == true {
        ensure!(text.starts_with(told) && told.len() <= 32_768, "it is cut elsewhere");
        payload["size"].as_u64().context("what is cut has a size").map(drop)
    } else {
        ensure!(told == text, "{told:?} was called, not {text:?}");
        Ok(())
    }
}
