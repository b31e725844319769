//! A run as a person watches it: text as it comes, everything else in one line each.
//!
//! Frames are read loosely here. A frame that this version does not know, or a payload with other
//! members than expected, is shown as well as it can be and never stops the view: the journal has the
//! exact bytes.

use std::collections::BTreeMap;
use std::time::Instant;

use landbridge_proto::wire::stream::Frame;
use serde_json::Value;

use crate::exit::{Exit, Failure};
use crate::out::{Look, Out, printable, short};

/// What the view remembers between frames.
pub(crate) struct LiveView<'a> {
    out: &'a Out,
    /// The last text did not end its line.
    mid_line: Option<Channel>,
    answered: bool,
    tools: BTreeMap<String, String>,
    usage: Option<String>,
    frames: u64,
    since: Instant,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Channel {
    Answer,
    Thinking,
}

impl<'a> LiveView<'a> {
    /// An empty view.
    pub(crate) fn new(out: &'a Out) -> Self {
        Self {
            out,
            mid_line: None,
            answered: false,
            tools: BTreeMap::new(),
            usage: None,
            frames: 0,
            since: Instant::now(),
        }
    }

    /// Shows one frame.
    pub(crate) fn frame(&mut self, frame: &Frame) -> Result<(), Failure> {
        self.frames += 1;
        let payload: Value = serde_json::from_str(frame.payload.get()).unwrap_or_default();
        match frame.event.as_str() {
            "started" => self.started(&payload),
            "output" => return self.output(&payload),
            "tokenUsage" => self.usage = usage(&payload),
            "toolCall" => self.tool_call(&payload),
            "toolResult" => self.tool_result(&payload),
            "phaseEnd" => self.phase_end(&payload),
            "approvalRequested" => self.approval_requested(&payload),
            "approvalResolved" => self.approval_resolved(&payload),
            "error" => self.say(Look::Yellow, &format!("! {}", problem(&payload))),
            "terminal" => return self.terminal(&payload),
            other => self.say(Look::Dim, &format!("· {other} {}", short(frame.payload.get(), 100))),
        }
        Ok(())
    }

    /// Says something that is no frame, on a line of its own.
    pub(crate) fn say(&mut self, look: Look, text: &str) {
        self.end_line();
        self.out.say(look, text);
    }

    fn started(&mut self, payload: &Value) {
        let software = text(payload, "software");
        let session = text(payload, "session");
        let agent = text(payload, "agent");
        self.say(Look::Dim, &format!("· started {agent} on {software}, session {session}"));
    }

    fn output(&mut self, payload: &Value) -> Result<(), Failure> {
        let channel = if text(payload, "channel") == "thinking" {
            Channel::Thinking
        } else {
            Channel::Answer
        };
        if payload["replace"] == true {
            self.say(Look::Yellow, "· the gateway starts this text over:");
        }
        if self.mid_line.is_some_and(|open| open != channel) {
            self.end_line();
        }
        let said = disclosed(payload, "text");
        if said.is_empty() {
            return Ok(());
        }
        let shown = printable(&said);
        self.mid_line = (!shown.ends_with('\n')).then_some(channel);
        match channel {
            Channel::Answer => {
                self.answered = true;
                self.out.bytes(shown.as_bytes())
            }
            Channel::Thinking => {
                use std::io::Write as _;
                // Talk that nobody hears is not a failure.
                let _ = write!(std::io::stderr(), "{}", self.out.dressed(Look::Dim, &shown));
                Ok(())
            }
        }
    }

    fn tool_call(&mut self, payload: &Value) {
        let tool = text(payload, "tool").to_owned();
        let args = short(&disclosed(payload, "args"), 80);
        self.say(Look::Plain, &format!("▸ {tool} {args}"));
        self.tools.insert(text(payload, "callId").to_owned(), tool);
    }

    fn tool_result(&mut self, payload: &Value) {
        let tool = self.tools.remove(text(payload, "callId")).unwrap_or_else(|| "tool".to_owned());
        if payload["ok"] == true {
            let result = short(&disclosed(payload, "result"), 80);
            self.say(Look::Green, &format!("✓ {tool} {result}"));
        } else {
            let error = short(&disclosed(payload, "error"), 80);
            self.say(Look::Red, &format!("✗ {tool} {error}"));
        }
    }

    fn approval_requested(&mut self, payload: &Value) {
        let scopes = payload["scopes"].as_array();
        let scopes: Vec<&str> = scopes.into_iter().flatten().filter_map(Value::as_str).collect();
        let (id, kind) = (text(payload, "approval"), text(payload, "kind"));
        let line = format!("‖ waits for an approval of {}: {kind}", scopes.join(" or "));
        self.say(Look::Yellow, &line);
        self.say(Look::Dim, &format!("  landbridge approval approve {id} --key FILE"));
    }

    fn approval_resolved(&mut self, payload: &Value) {
        let (id, decision) = (text(payload, "approval"), text(payload, "decision"));
        let by = match text(payload, "by") {
            "peer" => "by operators of this gateway",
            "operator" => "by an operator there",
            "gateway" => "by somebody at the other gateway",
            "expiry" => "since nobody decided in time",
            "closed" => "since the other gateway withdrew the question",
            other => other,
        };
        let (look, done) = match decision {
            "approve" => (Look::Green, "✓ approved"),
            _ => (Look::Red, "✗ denied"),
        };
        self.say(look, &format!("{done} {by}: {id}"));
    }

    fn phase_end(&mut self, payload: &Value) {
        let took = match (payload["startedAt"].as_i64(), payload["endedAt"].as_i64()) {
            (Some(from), Some(to)) => format!(" in {}", seconds(to - from)),
            _ => String::new(),
        };
        let line = format!("· phase {} {}{took}", text(payload, "phase"), text(payload, "outcome"));
        self.say(Look::Dim, &line);
    }

    fn terminal(&mut self, payload: &Value) -> Result<(), Failure> {
        self.end_line();
        let result = disclosed(payload, "result");
        if !self.answered && !result.is_empty() {
            self.out.line(&printable(&result))?;
        }
        if let Some(usage) = usage(&payload["usage"]).or_else(|| self.usage.take()) {
            self.out.say(Look::Dim, format!("· {usage}"));
        }
        let outcome = text(payload, "outcome");
        let took = seconds(i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX));
        let mut line = format!("■ {outcome} · {} frames · watched for {took}", self.frames);
        if text(payload, "by") == "caller" {
            line.push_str(" · said by this bridge, not by the executor");
        }
        if outcome != "succeeded" {
            line.push_str(&format!(" · side effects: {}", text(payload, "sideEffects")));
        }
        let look = if Exit::of_outcome(outcome) == Exit::Success { Look::Green } else { Look::Red };
        self.out.say(look, line);
        if payload["problem"].is_object() {
            self.out.say(look, format!("  {}", problem(&payload["problem"])));
        }
        Ok(())
    }

    fn end_line(&mut self) {
        match self.mid_line.take() {
            // Both are terminals here; the line feed goes where the text went.
            Some(Channel::Answer) => drop(self.out.bytes(b"\n")),
            Some(Channel::Thinking) => self.out.say(Look::Plain, ""),
            None => {}
        }
    }
}

fn text<'v>(payload: &'v Value, name: &str) -> &'v str {
    payload[name].as_str().unwrap_or("?")
}

/// A text that the executor's grant or a limit may have reduced.
fn disclosed(value: &Value, name: &str) -> String {
    match (value[name].as_str(), value["digest"].as_str()) {
        (Some(text), _) if value["truncated"] == true => format!("{text}… (cut)"),
        (Some(text), _) => text.to_owned(),
        (None, Some(digest)) => format!("(digest {digest})"),
        (None, None) => String::new(),
    }
}

fn problem(value: &Value) -> String {
    let said = value["detail"].as_str().or_else(|| value["title"].as_str()).unwrap_or("no detail");
    format!("{said} [{}]", text(value, "code"))
}

fn usage(value: &Value) -> Option<String> {
    let count = |name: &str| value[name].as_u64();
    let mut line = format!("{} tokens in, {} out", count("input")?, count("output")?);
    if let Some(cached) = count("cacheRead").filter(|&cached| cached > 0) {
        line.push_str(&format!(", {cached} from the cache"));
    }
    if let Some(cost) = count("costMicroUsd") {
        line.push_str(&format!(", ${}.{:06}", cost / 1_000_000, cost % 1_000_000));
    }
    if let Some(model) = value["model"].as_str() {
        line.push_str(&format!(", {model}"));
    }
    Some(line)
}

fn seconds(ms: i64) -> String {
    format!("{}.{} s", ms / 1000, (ms % 1000).abs() / 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn usage_names_what_is_known() {
        let value = json!({"input": 10, "output": 2, "cacheRead": 4, "costMicroUsd": 1_500_000, "model": "m"});
        let line = usage(&value);
        assert_eq!(line.as_deref(), Some("10 tokens in, 2 out, 4 from the cache, $1.500000, m"));
        assert_eq!(usage(&json!(null)), None);
    }

    #[test]
    fn what_is_not_disclosed_is_said() {
        assert_eq!(disclosed(&json!({"digest": "abc", "size": 3}), "text"), "(digest abc)");
        assert_eq!(disclosed(&json!({"args": "ab", "truncated": true}), "args"), "ab… (cut)");
        assert_eq!(disclosed(&json!({}), "text"), "");
    }
}
