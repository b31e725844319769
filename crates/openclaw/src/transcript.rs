//! The gateway's transcript of a session, read into rows.
//!
//! The transcript is the truth about a run. Live events reach one connection, for a while, without
//! replay; rows are there for everybody after every restart, and always say the same.

use landbridge_node::adapter::{Ending, Usage};
use landbridge_proto::wire::name::Timestamp;
use serde_json::Value;

use crate::wire::{flag, list, number, text};

/// One row of a transcript.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Row {
    /// Its id, stable for ever.
    pub id: String,
    /// The gateway's run that wrote it; empty for what a user said.
    pub run: String,
    /// When it began.
    pub began: Timestamp,
    /// When it was written down.
    pub ended: Timestamp,
    /// What it holds.
    pub content: Content,
}

/// What a row holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Content {
    /// A prompt, under the key of the run that it started.
    Prompt {
        /// The run's key.
        key: String,
    },
    /// What the model said in one go.
    Said(Said),
    /// What a tool answered.
    Result {
        /// The model's id of the call.
        call: String,
        /// The tool.
        tool: String,
        /// It did what was asked.
        ok: bool,
        /// What the model saw of it.
        text: String,
    },
    /// Anything else.
    Other,
}

/// What the model said in one go.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Said {
    /// The answer's text.
    pub answer: String,
    /// The reasoning that it shows.
    pub thinking: String,
    /// The tools that it calls.
    pub calls: Vec<Call>,
    /// What it cost, unless the gateway wrote the row itself.
    pub usage: Option<Usage>,
    /// It ended with an error; its text is the gateway's, not the model's.
    pub failed: bool,
    /// It was stopped.
    pub aborted: bool,
}

/// A call of a tool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Call {
    /// The model's id of it; models repeat themselves.
    pub id: String,
    /// The tool.
    pub tool: String,
    /// Its arguments, JSON text.
    pub args: String,
}

/// What one look at a session showed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Look {
    /// Rows that were not seen by the look before.
    pub rows: Vec<Row>,
    /// A prompt of the session waits for its turn.
    pub(crate) waiting: bool,
    /// A run of the session is at work now.
    pub active: bool,
    /// The gateway knows of child runs at work.
    pub children_active: bool,
    /// The session's state in the gateway's words; empty when it does not exist.
    pub status: String,
    /// The run that last ended in the session.
    pub last_run: String,
    /// Runs at work now.
    pub active_runs: Vec<String>,
    /// What the run that last ended cost, hidden rows included.
    pub last_usage: Option<Usage>,
    /// The last run's error in the gateway's words.
    pub error: String,
    /// Text of the run at work that has no row yet.
    pub in_flight: Option<(String, String)>,
    /// Calls that the gateway marks as failed.
    pub failed_calls: Vec<String>,
    /// The gateway's tasks of the session, when they were asked for.
    pub tasks: Option<Tasks>,
}

/// The gateway's own book of what runs for a session.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tasks {
    /// Something still runs, or its end was not yet told to the session.
    pub open: bool,
    /// Sessions of children at work.
    pub children: Vec<String>,
    /// Runs that the book holds.
    pub runs: Vec<String>,
    /// All children, also those that have ended.
    pub family: Vec<Child>,
}

/// A child session that a run started.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Child {
    /// The child's session.
    pub session: String,
    /// The gateway's run in it.
    pub run: String,
    /// What its starter called it.
    pub label: String,
    /// When it began.
    pub began: Timestamp,
    /// When and how it ended.
    pub end: Option<(Timestamp, Ending)>,
}

/// Which tasks of a session's book belong to one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    /// The run, as the gateway names it.
    pub run: &'a str,
    /// Earlier runs were led in the session: what was booked before the run's own task is theirs.
    pub shared: bool,
}

impl Look {
    /// Reads an answer of `chat.history`.
    pub(crate) fn read(payload: &Value) -> Self {
        let info = |member: &str| format!("/sessionInfo/{member}");
        let in_flight = text(payload, "/inFlightRun/runId");
        let failed = list(payload, "/activity").iter().flat_map(|entry| list(entry, "/items"));
        let active_runs = crate::wire::texts(payload, &info("activeRunIds"));
        let last_run = text(payload, &info("lastRunId"));
        // A prompt that was stopped before its turn stays in the queue for ever; one that waited when
        // the gateway went down is marked `interrupted` and stays, too.
        let waits = |item: &Value| {
            text(item, "/runId") != last_run && text(item, "/state") != "interrupted"
        };
        Self {
            rows: rows(payload),
            active: flag(payload, &info("hasActiveRun"))
                || !in_flight.is_empty()
                || !active_runs.is_empty(),
            waiting: list(payload, "/pendingInputs/items").iter().any(waits),
            children_active: flag(payload, &info("hasActiveSubagentRun")),
            status: text(payload, &info("status")).to_owned(),
            last_run: last_run.to_owned(),
            last_usage: last_usage(payload),
            active_runs,
            error: text(payload, &info("lastRunError")).to_owned(),
            in_flight: (!in_flight.is_empty())
                .then(|| (in_flight.to_owned(), text(payload, "/inFlightRun/text").to_owned())),
            failed_calls: failed
                .filter(|item| matches!(text(item, "/status"), "failed" | "blocked"))
                .map(|item| text(item, "/toolCallId").to_owned())
                .collect(),
            tasks: None,
        }
    }
}

impl Tasks {
    /// Reads an answer of `tasks.list`, as far as it is about one run.
    pub(crate) fn read(payload: &Value, scope: Scope<'_>, now: Timestamp) -> Self {
        let mut tasks = Self::default();
        let all = list(payload, "/tasks");
        let is_own = |task: &Value| text(task, "/runId") == scope.run;
        let own = all.iter().find(|task| is_own(task)).map(|task| time(task, "/createdAt"));
        let since = own.unwrap_or(Timestamp(if scope.shared { i64::MAX } else { i64::MIN }));
        for task in all.iter().filter(|task| time(task, "/createdAt") >= since) {
            let run = text(task, "/runId").to_owned();
            let status = text(task, "/status");
            let running = matches!(status, "running" | "queued" | "pending");
            let ended = time(task, "/endedAt");
            let child = (text(task, "/runtime") == "subagent" || text(task, "/kind") == "subagent")
                && !is_own(task);
            // A child's end starts one more run in the parent; until then the tree is not at rest.
            let untold = child
                && status != "cancelled"
                && text(task, "/deliveryStatus") == "pending"
                && now.since_ms(ended) < ANNOUNCE_MS_MAX;
            tasks.open |= running || untold;
            tasks.runs.push(run);
            if let Some(child) = child.then(|| Child::read(task, !running)) {
                tasks.children.extend(running.then(|| child.session.clone()));
                tasks.family.push(child);
            }
        }
        tasks
    }
}

impl Child {
    fn read(task: &Value, has_ended: bool) -> Self {
        let ending = match text(task, "/status") {
            "completed" => Ending::Succeeded,
            "cancelled" => Ending::Cancelled,
            "timed_out" | "timeout" => Ending::Expired,
            _ => Ending::Failed,
        };
        Self {
            session: text(task, "/childSessionKey").to_owned(),
            run: text(task, "/runId").to_owned(),
            label: text(task, "/title").to_owned(),
            began: time(task, "/createdAt"),
            end: has_ended.then(|| (time(task, "/endedAt"), ending)),
        }
    }

    /// The children that a session's book holds, newest first, whoever started them.
    pub(crate) fn all(payload: &Value) -> impl Iterator<Item = Self> {
        let is_child = |task: &&Value| text(task, "/kind") == "subagent";
        list(payload, "/tasks").iter().filter(is_child).map(|task| Self::read(task, false))
    }
}

fn time(value: &Value, pointer: &str) -> Timestamp {
    Timestamp(number(value, pointer).and_then(|at| i64::try_from(at).ok()).unwrap_or_default())
}

/// Reads the rows of an answer of `chat.history`.
pub(crate) fn rows(payload: &Value) -> Vec<Row> {
    // A page holds the messages; a delta wraps each one in an event.
    let unwrap = |entry: &'_ Value| match entry.get("message") {
        Some(message) if message.is_object() => row(message),
        _ => row(entry),
    };
    list(payload, "/messages").iter().map(unwrap).collect()
}

fn row(message: &Value) -> Row {
    let time = |pointer: &str| number(message, pointer).and_then(|at| i64::try_from(at).ok());
    let began = time("/timestamp").unwrap_or_default();
    let content = match text(message, "/role") {
        "user" => match text(message, "/idempotencyKey").strip_suffix(":user") {
            Some(key) => Content::Prompt { key: key.to_owned() },
            None => Content::Other,
        },
        "assistant" => Content::Said(said(message)),
        "toolResult" => {
            let tool = text(message, "/toolName").to_owned();
            let answer = texts_of(message, "text");
            let failed =
                flag(message, "/isError") || (tool == "exec" && exited_with_error(&answer));
            Content::Result {
                call: text(message, "/toolCallId").to_owned(),
                tool,
                ok: !failed,
                text: answer,
            }
        }
        _ => Content::Other,
    };
    Row {
        id: text(message, "/__openclaw/id").to_owned(),
        run: text(message, "/__openclaw/runId").to_owned(),
        began: Timestamp(began),
        ended: Timestamp(time("/__openclaw/recordTimestampMs").unwrap_or(began)),
        content,
    }
}

fn said(message: &Value) -> Said {
    let calls = list(message, "/content")
        .iter()
        .filter(|part| text(part, "/type") == "toolCall")
        .map(|part| Call {
            id: text(part, "/id").to_owned(),
            tool: text(part, "/name").to_owned(),
            args: part.get("arguments").map_or_else(|| "{}".to_owned(), Value::to_string),
        });
    let model = text(message, "/model");
    Said {
        answer: texts_of(message, "text"),
        thinking: texts_of(message, "thinking"),
        calls: calls.collect(),
        usage: (model != INJECTED)
            .then(|| usage(message.get("usage").unwrap_or(&Value::Null), model)),
        failed: text(message, "/stopReason") == "error",
        aborted: flag(message, "/openclawAbort/aborted"),
    }
}

/// Reads a usage record; costs become millionths of a dollar.
pub(crate) fn usage(record: &Value, model: &str) -> Usage {
    let count = |pointer: &str| number(record, pointer).unwrap_or_default();
    let (input, output) = (count("/input"), count("/output"));
    let (cache_read, cache_write) = (count("/cacheRead"), count("/cacheWrite"));
    let total = number(record, "/totalTokens").or_else(|| number(record, "/total"));
    Usage {
        input,
        output,
        cache_read,
        cache_write,
        total: total.unwrap_or(input + output + cache_read + cache_write),
        cost_micro_usd: record.pointer("/cost/total").and_then(Value::as_f64).map(micro),
        model: (!model.is_empty()).then(|| model.to_owned()),
    }
}

/// The gateway's own sum over the session's last run.
fn last_usage(payload: &Value) -> Option<Usage> {
    let (input, output) = (
        number(payload, "/sessionInfo/inputTokens")?,
        number(payload, "/sessionInfo/outputTokens")?,
    );
    let cost = payload.pointer("/sessionInfo/estimatedCostUsd").and_then(Value::as_f64);
    Some(Usage {
        input,
        output,
        total: input + output,
        cost_micro_usd: cost.map(micro),
        ..Usage::default()
    })
}

fn micro(dollars: f64) -> u64 {
    let scaled = (dollars * 1e6).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "float casts saturate"
    )]
    let cost = scaled.max(0.0) as u64;
    cost
}

/// The texts of all parts of one type, in order.
pub(crate) fn texts_of(message: &Value, kind: &str) -> String {
    match message.get("content") {
        Some(Value::String(whole)) if kind == "text" => whole.clone(),
        Some(Value::Array(parts)) => {
            let member = format!("/{kind}");
            parts
                .iter()
                .filter(|part| text(part, "/type") == kind)
                .map(|part| text(part, &member))
                .collect()
        }
        _ => String::new(),
    }
}

/// The gateway counts a command that ran as a success, whatever it returned.
fn exited_with_error(answer: &str) -> bool {
    let last = answer.trim_end().rsplit('\n').next().unwrap_or_default();
    last.strip_prefix("(Command exited with code ")
        .and_then(|rest| rest.strip_suffix(')'))
        .is_some_and(|code| code != "0")
}

/// Rows that the gateway writes in the model's place carry this model.
const INJECTED: &str = "gateway-injected";
/// How long a child's end may take to be told to its parent.
const ANNOUNCE_MS_MAX: i64 = 60_000;

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_command_that_fails_is_a_failed_call() {
        let message = |text: &str| {
            row(
                &json!({"role": "toolResult", "toolCallId": "c", "toolName": "exec", "isError": false,
                "content": [{"type": "text", "text": text}], "__openclaw": {"id": "1", "runId": "r"}}),
            )
        };
        let ok = |row: Row| matches!(row.content, Content::Result { ok: true, .. });
        assert!(ok(message("hi")));
        assert!(ok(message("the text (Command exited with code 3) was printed\nfine")));
        assert!(!ok(message("(no output)\n\n(Command exited with code 3)")));
    }

    #[test]
    fn the_gateways_own_words_are_not_the_models() {
        let Content::Said(said) =
            row(&json!({"role": "assistant", "stopReason": "error", "model": "scripted",
            "content": [{"type": "text", "text": "LLM request failed"}]}))
            .content
        else {
            panic!("said")
        };
        assert!(said.failed);
        let Content::Said(said) = row(&json!({"role": "assistant", "model": "gateway-injected",
            "openclawAbort": {"aborted": true}, "content": [{"type": "text", "text": "par"}]}))
        .content
        else {
            panic!("said")
        };
        assert!(said.aborted && said.usage.is_none());
    }

    #[test]
    fn a_prompt_that_waits_counts_until_it_was_stopped_or_interrupted() {
        let look = |last_run: &str, state: &str| {
            json!({"sessionInfo": {"lastRunId": last_run},
                "pendingInputs": {"items": [{"runId": "r", "state": state}]}})
        };
        assert!(Look::read(&look("", "queued")).waiting);
        assert!(!Look::read(&look("r", "queued")).waiting);
        assert!(!Look::read(&look("", "interrupted")).waiting);
    }

    #[test]
    fn a_child_whose_end_was_not_told_keeps_the_tree_open() {
        let book = |delivery: &str| {
            json!({"tasks": [{"runId": "x", "status": "completed", "runtime": "subagent",
            "endedAt": 1000, "deliveryStatus": delivery}]})
        };
        let scope = Scope { run: "r", shared: false };
        assert!(Tasks::read(&book("pending"), scope, Timestamp(2000)).open);
        assert!(!Tasks::read(&book("delivered"), scope, Timestamp(2000)).open);
        assert!(!Tasks::read(&book("pending"), scope, Timestamp(1000 + ANNOUNCE_MS_MAX)).open);
        // The run may be a child itself: nobody waits for its parent to hear of it.
        let itself = Scope { run: "x", shared: false };
        assert!(!Tasks::read(&book("pending"), itself, Timestamp(2000)).open);
    }

    #[test]
    fn the_book_of_an_earlier_turn_is_closed() {
        let book = json!({"tasks": [
            {"runId": "new", "status": "completed", "kind": "cli", "createdAt": 30, "endedAt": 40},
            {"runId": "kid", "status": "failed", "kind": "subagent", "createdAt": 35, "endedAt": 39,
                "childSessionKey": "agent:a:subagent:k", "deliveryStatus": "delivered"},
            {"runId": "old-kid", "status": "running", "kind": "subagent", "createdAt": 20,
                "childSessionKey": "agent:a:subagent:o"},
            {"runId": "old", "status": "running", "kind": "cli", "createdAt": 10},
        ]});
        let tasks = Tasks::read(&book, Scope { run: "new", shared: true }, Timestamp(50));
        assert!(!tasks.open && tasks.children.is_empty());
        assert_eq!(tasks.runs, ["new", "kid"]);
        assert_eq!(tasks.family[0].end, Some((Timestamp(39), Ending::Failed)));
        let old = Tasks::read(&book, Scope { run: "old", shared: false }, Timestamp(50));
        assert!(old.open && old.children == ["agent:a:subagent:o"]);
        // Not booked yet: nothing of what is there is its own.
        let absent = Tasks::read(&book, Scope { run: "next", shared: true }, Timestamp(50));
        assert!(!absent.open && absent.runs.is_empty());
    }
}
