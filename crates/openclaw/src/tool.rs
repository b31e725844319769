//! One tool, called directly through the gateway's own tool policy.
//!
//! The gateway's `tools.invoke` keeps no record: it neither knows a call again nor tells later what became
//! of one, and it cannot be stopped. So a call is sent once, by the connection that waits for its answer;
//! an answer that is lost with the connection is lost for good, and said to be unknown.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use landbridge_node::adapter::{
    AdapterFault, Ending, Progress, Report, Reports, SideEffects, Stopped, Trouble, TroubleCode,
    Work,
};
use landbridge_planted::planted;
use landbridge_proto::wire::name::{SessionHandle, ToolName};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::connection::Connection;
use crate::fault::Fault;
use crate::link::{Link, Up};
use crate::names::{self, Names};
use crate::tool_policy::{Origin, is_closed};
use crate::transcript::texts_of;
use crate::wire::{Answer, GatewayError, flag, list, text};

/// How far each call has come that this process leads, by its key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<Mutex<BTreeMap<String, Stage>>>);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// The gateway was not asked yet.
    Pending,
    /// The gateway was asked; nothing can be done about it any more.
    Asked,
    /// It is not to be asked.
    Stopped,
}

impl Calls {
    /// Stops a call that has not been sent yet. A call that nobody leads here is not being made: it was
    /// an earlier process's, or its answer is not waited for any more.
    pub(crate) fn stop(&self, key: &str) -> Stopped {
        match self.stages().get_mut(key) {
            //= REQ-44
            Some(Stage::Asked) => Stopped::GoesOn,
            Some(stage) => {
                *stage = Stage::Stopped;
                Stopped::Stopping
            }
            None if planted!("calls_stop_for_ever") => Stopped::Stopping,
            None => Stopped::NotRunning,
        }
    }

    /// Begins to lead a call, until what is given is dropped.
    fn lead(&self, key: &str) -> Leading {
        self.stages().insert(key.to_owned(), Stage::Pending);
        Leading { calls: self.clone(), key: key.to_owned() }
    }

    fn stages(&self) -> MutexGuard<'_, BTreeMap<String, Stage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is being led.
#[derive(Debug)]
struct Leading {
    calls: Calls,
    key: String,
}

impl Leading {
    /// The call is about to be sent; `false` when it was stopped before.
    fn ask(&self) -> bool {
        let mut stages = self.calls.stages();
        let stage = stages.entry(self.key.clone()).or_insert(Stage::Pending);
        if *stage == Stage::Pending {
            *stage = Stage::Asked;
        }
        *stage == Stage::Asked
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        self.calls.stages().remove(&self.key);
    }
}

/// Asks whether the gateway offers the tool to the agent, before anything is committed.
///
/// # Errors
///
/// Returns why the tool is not to be called.
pub(crate) async fn check(up: &Up, work: &Work, tool: &ToolName) -> Result<(), AdapterFault> {
    let params = json!({"agentId": names::agent(work)});
    let catalog = match up.connection.call("tools.catalog", &params).await {
        Ok(catalog) => catalog,
        Err(Fault::Refused { error, .. }) => return Err(AdapterFault(refusal(&error))),
        Err(fault) => return Err(AdapterFault::from(&fault)),
    };
    check_in(&catalog, tool).map_err(AdapterFault)
}

/// The catalog tells no schema of a tool's parameters, nor does any other method, so arguments are not
/// checked here beyond their form: the tool itself judges them.
fn check_in(catalog: &Value, tool: &ToolName) -> Result<(), Trouble> {
    let listed = list(catalog, "/groups")
        .iter()
        .flat_map(|group| list(group, "/tools"))
        .find(|listed| text(listed, "/id") == tool.as_str());
    let unavailable =
        |detail: &str| Trouble { code: TroubleCode::ToolUnavailable, detail: detail.to_owned() };
    //= REQ-41
    let Some(listed) = listed else {
        return if planted!("catalog_unchecked") { Ok(()) } else { Err(unavailable(NOT_OFFERED)) };
    };
    let origin = match text(listed, "/source") {
        "core" => Origin::Core,
        "plugin" => Origin::Plugin(text(listed, "/pluginId")),
        _ => Origin::Other,
    };
    if is_closed(tool.as_str(), origin) {
        return Err(unavailable(CLOSED));
    }
    Ok(())
}

/// One call being led.
pub(crate) struct ToolRun {
    pub link: Link,
    pub work: Work,
    pub names: Names,
    pub handle: SessionHandle,
    pub calls: Calls,
    pub reports: Reports,
}

/// What `tools.invoke` takes. The arguments go as the very text that the peer signed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invoke<'a> {
    name: &'a str,
    args: &'a RawValue,
    agent_id: &'a str,
    session_key: &'a str,
    idempotency_key: &'a str,
}

/// How a call ended.
#[derive(Debug, Eq, PartialEq)]
struct End {
    ok: bool,
    text: String,
    trouble: Option<Trouble>,
    side_effects: SideEffects,
    /// The tool answered with something that is no text.
    more: bool,
}

impl ToolRun {
    /// Calls the tool, once, and reports what it answers.
    pub(crate) async fn lead(self, tool: &ToolName, args: String) {
        let leading = self.calls.lead(&self.names.key);
        self.call(tool, args, &leading).await;
    }

    async fn call(self, tool: &ToolName, args: String, leading: &Leading) {
        let up = tokio::select! {
            // What has its terminal already is not begun after it.
            biased;
            () = self.reports.closed() => return,
            up = self.link.up_within(START_MAX) => up,
        };
        let Ok(up) = up else {
            let detail = "the gateway could not be reached; the tool was not called";
            return self.refuse(TroubleCode::GatewayUnavailable, detail).await;
        };
        let Ok(raw) = RawValue::from_string(args.clone()) else {
            return self.refuse(TroubleCode::InputRefused, "the arguments are not JSON").await;
        };
        if !leading.ask() {
            let ending = Ending::Cancelled;
            return self.settle(ending, None, None, SideEffects::None).await;
        }
        let agent = names::agent(&self.work);
        let invoke = Invoke {
            name: tool.as_str(),
            args: &raw,
            agent_id: &agent,
            session_key: &self.names.session,
            idempotency_key: &self.names.key,
        };
        //= REQ-41
        let answer = match up.connection.ask("tools.invoke", &invoke).await {
            Ok(answer) => answer,
            Err(Fault::Refused { .. }) => {
                let detail = "the arguments are larger than the gateway takes";
                return self.refuse(TroubleCode::InputRefused, detail).await;
            }
            // The connection was gone before the call was handed to it.
            Err(_) => {
                let detail = "the gateway could not be reached; the tool was not called";
                return self.refuse(TroubleCode::GatewayUnavailable, detail).await;
            }
        };
        if !self.begin(&up.connection, tool, args).await {
            return;
        }
        let answer = tokio::select! {
            () = self.reports.closed() => return,
            answer = answer => answer.ok(),
        };
        if answer.is_none() {
            tracing::warn!(run = %self.work.run, %tool, "the connection ended during a tool call");
        }
        self.end(end_of(answer)).await;
    }

    /// Says what is not known any more. A call is never sent a second time.
    //= REQ-43
    pub(crate) async fn adopt(self, progress: &Progress) {
        let answered = progress.results.contains(CALL);
        if progress.calls.contains(CALL) && !answered {
            let report =
                Report::ToolResult { call: CALL.to_owned(), ok: false, text: UNKNOWN.to_owned() };
            // Closed: nobody wants to know.
            let _ = self.reports.send(report).await;
        }
        let (detail, side_effects) = if answered {
            ("the bridge was restarted after the tool had answered", SideEffects::Possible)
        } else {
            (UNKNOWN, SideEffects::Unknown)
        };
        let trouble = Trouble { code: TroubleCode::Interrupted, detail: detail.to_owned() };
        self.settle(Ending::Failed, None, Some(trouble), side_effects).await;
    }

    async fn begin(&self, connection: &Connection, tool: &ToolName, args: String) -> bool {
        let software = format!("openclaw {}", connection.hello().version);
        let started = Report::Started { session: self.handle.clone(), software };
        let called = Report::ToolCall { call: CALL.to_owned(), tool: tool.to_string(), args };
        self.reports.send(started).await.is_ok() && self.reports.send(called).await.is_ok()
    }

    async fn end(self, end: End) {
        let End { ok, text, trouble, side_effects, more } = end;
        let result = ok.then(|| text.clone());
        let mut reports = vec![Report::ToolResult { call: CALL.to_owned(), ok, text }];
        if more {
            reports.push(Report::Error(Trouble {
                code: TroubleCode::NotSupported,
                detail: "the tool also answered with content that is no text; it is left out"
                    .to_owned(),
            }));
        }
        for report in reports {
            if self.reports.send(report).await.is_err() {
                return;
            }
        }
        let ending = if ok { Ending::Succeeded } else { Ending::Failed };
        self.settle(ending, result, trouble, side_effects).await;
    }

    async fn refuse(self, code: TroubleCode, detail: &str) {
        let trouble = Trouble { code, detail: detail.to_owned() };
        self.settle(Ending::Failed, None, Some(trouble), SideEffects::None).await;
    }

    async fn settle(
        self,
        ending: Ending,
        result: Option<String>,
        trouble: Option<Trouble>,
        side_effects: SideEffects,
    ) {
        let end = Report::Settled { ending, result, trouble, usage: None, side_effects };
        // Closed: nobody wants to know.
        let _ = self.reports.send(end).await;
    }
}

/// Reads the gateway's answer; `None` when the connection ended before it came.
fn end_of(answer: Option<Answer>) -> End {
    let failed = |code, detail: &str, text: &str, side_effects| End {
        ok: false,
        text: text.to_owned(),
        trouble: Some(Trouble { code, detail: detail.to_owned() }),
        side_effects,
        more: false,
    };
    let Some(answer) = answer else {
        //= REQ-43
        return failed(TroubleCode::Interrupted, UNKNOWN, UNKNOWN, SideEffects::Unknown);
    };
    if !answer.ok {
        let error = answer.error.unwrap_or_default();
        let trouble = refusal(&error);
        tracing::warn!(code = %error.code, message = %error.message, "the gateway refused a tool call");
        let before = matches!(error.code.as_str(), "INVALID_REQUEST" | "FORBIDDEN");
        let side_effects = if before { SideEffects::None } else { SideEffects::Unknown };
        return failed(trouble.code, &trouble.detail, &trouble.detail, side_effects);
    }
    let payload = &answer.payload;
    if flag(payload, "/ok") {
        return answered(payload.get("output").unwrap_or(&Value::Null));
    }
    let words = text(payload, "/error/message");
    tracing::info!(code = text(payload, "/error/code"), words, "a tool call was not done");
    match text(payload, "/error/code") {
        //= REQ-41
        "not_found" => {
            failed(TroubleCode::ToolUnavailable, NOT_OFFERED, NOT_OFFERED, SideEffects::None)
        }
        "forbidden" => {
            failed(TroubleCode::ToolUnavailable, NOT_ALLOWED, NOT_ALLOWED, SideEffects::None)
        }
        // A call outside a run cannot wait.
        "requires_approval" => {
            failed(TroubleCode::NoApprovalRoute, CANNOT_WAIT, CANNOT_WAIT, SideEffects::None)
        }
        "validation_error" => {
            let detail = "the gateway refused the call";
            failed(TroubleCode::InputRefused, detail, detail, SideEffects::None)
        }
        // Whatever the tool threw, the gateway says the same, unless the tool faults its arguments.
        _ if words.is_empty() || words == HIDDEN => {
            failed(TroubleCode::ToolError, UNTOLD, UNTOLD, SideEffects::Possible)
        }
        _ => failed(TroubleCode::ToolError, REFUSED_BY_TOOL, words, SideEffects::Possible),
    }
}

/// What the tool answered: its text, or else its details.
fn answered(output: &Value) -> End {
    let mut said = texts_of(output, "text");
    let details = output.get("details").filter(|details| !details.is_null());
    if said.is_empty() {
        said = details.map(Value::to_string).unwrap_or_default();
    }
    let more = list(output, "/content").iter().any(|part| text(part, "/type") != "text");
    let ok = !flag(output, "/isError");
    let trouble =
        (!ok).then(|| Trouble { code: TroubleCode::ToolError, detail: REFUSED_BY_TOOL.to_owned() });
    End { ok, text: said, trouble, side_effects: SideEffects::Possible, more }
}

fn refusal(error: &GatewayError) -> Trouble {
    let (code, detail) = if error.message.to_ascii_lowercase().contains("unknown agent id") {
        (TroubleCode::AgentUnknown, "the gateway does not have the agent")
    } else if error.code == "INVALID_REQUEST" {
        (TroubleCode::InputRefused, "the gateway refused the call")
    } else {
        (TroubleCode::GatewayError, "the gateway refused the call")
    };
    Trouble { code, detail: detail.to_owned() }
}

/// The one call of a run.
const CALL: &str = "call-1";
/// What the gateway says of every failure of a tool.
const HIDDEN: &str = "tool execution failed";
const NOT_OFFERED: &str = "the gateway does not offer the tool to the agent";
const CLOSED: &str =
    "the tool is about other sessions, memory or the gateway itself; peers do not call it";
const CANNOT_WAIT: &str =
    "the call needs an approval, and a call outside a run cannot wait for one";
const NOT_ALLOWED: &str = "the gateway's policy does not let the tool be called directly";
const UNTOLD: &str = "the tool failed; the gateway does not tell why";
const REFUSED_BY_TOOL: &str = "the tool failed; its result says why";
const UNKNOWN: &str =
    "the call was interrupted; whether the tool was called, and what it did, is unknown";
const START_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn answer(payload: Value) -> End {
        let frame = json!({"id": "r1", "ok": true, "payload": payload});
        end_of(Some(serde_json::from_value(frame).unwrap()))
    }

    fn failure(code: &str, message: &str) -> (TroubleCode, SideEffects, String) {
        let error = json!({"code": code, "message": message});
        let end = answer(json!({"ok": false, "toolName": "t", "error": error}));
        assert!(!end.ok);
        (end.trouble.unwrap().code, end.side_effects, end.text)
    }

    fn tool(name: &str) -> ToolName {
        ToolName::new(name).unwrap()
    }

    //= REQ-41
    //= REQ-42
    #[test]
    fn only_what_the_catalog_lists_and_is_open_is_called() {
        let catalog = json!({"groups": [
            {"tools": [{"id": "web_fetch", "source": "core"}, {"id": "sessions_list", "source": "core"}]},
            {"tools": [{"id": "ticket_create", "source": "plugin", "pluginId": "tickets"},
                {"id": "sessions_of_all", "source": "plugin", "pluginId": "tickets"},
                {"id": "odd", "source": "elsewhere"}]},
        ]});
        for open in ["web_fetch", "ticket_create"] {
            assert_eq!(check_in(&catalog, &tool(open)), Ok(()), "{open}");
        }
        for closed in ["sessions_list", "sessions_of_all", "odd", "nothing", "Web_Fetch"] {
            let trouble = check_in(&catalog, &tool(closed)).unwrap_err();
            assert_eq!(trouble.code, TroubleCode::ToolUnavailable, "{closed}");
        }
        assert!(check_in(&Value::Null, &tool("web_fetch")).is_err());
    }

    #[test]
    fn the_tools_text_is_the_result() {
        let parts = json!([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]);
        let end = answer(json!({"ok": true, "output": {"content": parts, "details": {"x": 1}}}));
        assert!(end.ok && !end.more && end.trouble.is_none());
        assert!(end.text.contains("one") && end.text.contains("two") && !end.text.contains('x'));
        let picture = json!([{"type": "image", "data": "…"}]);
        let end = answer(json!({"ok": true, "output": {"content": picture, "details": {"x": 1}}}));
        assert_eq!((end.text.as_str(), end.more), (r#"{"x":1}"#, true));
        let end = answer(json!({"ok": true, "output": {"content": [], "isError": true}}));
        assert_eq!(end.trouble.unwrap().code, TroubleCode::ToolError);
        assert!(answer(json!({"ok": true})).ok);
    }

    //= REQ-41
    #[test]
    fn refusals_have_no_side_effects_and_failures_may() {
        let none = SideEffects::None;
        for (code, expected) in [
            ("not_found", TroubleCode::ToolUnavailable),
            ("forbidden", TroubleCode::ToolUnavailable),
            ("requires_approval", TroubleCode::NoApprovalRoute),
        ] {
            let (trouble, effects, _) = failure(code, "/etc/secret");
            assert_eq!((trouble, effects), (expected, none), "{code}");
        }
        assert_eq!(failure("validation_error", "x").1, none);
        let (code, effects, said) = failure("internal_error", HIDDEN);
        assert_eq!((code, effects), (TroubleCode::ToolError, SideEffects::Possible));
        assert_eq!(said, UNTOLD);
        assert_eq!(failure("internal_error", "path is required").2, "path is required");
    }

    //= REQ-43
    #[test]
    fn an_answer_that_never_came_is_unknown() {
        let end = end_of(None);
        assert_eq!(end.side_effects, SideEffects::Unknown);
        assert_eq!(end.trouble.unwrap().code, TroubleCode::Interrupted);
        let refused = |code: &str| {
            let error = json!({"code": code, "message": "m"});
            let frame = json!({"id": "r1", "ok": false, "error": error});
            end_of(Some(serde_json::from_value(frame).unwrap())).side_effects
        };
        assert_eq!(refused("INVALID_REQUEST"), SideEffects::None);
        assert_eq!(refused("UNAVAILABLE"), SideEffects::Unknown);
    }

    //= REQ-44
    #[test]
    fn a_call_is_stopped_before_it_is_sent_and_never_after() {
        let calls = Calls::default();
        let stopped = calls.lead("a");
        assert_eq!(calls.stop("a"), Stopped::Stopping);
        assert_eq!(calls.stop("a"), Stopped::Stopping);
        assert!(!stopped.ask(), "a stopped call is not sent");
        let sent = calls.lead("b");
        assert!(sent.ask());
        assert_eq!(calls.stop("b"), Stopped::GoesOn);
        drop(sent);
        assert!(calls.stages().keys().eq(["a"]));
    }

    //= REQ-74
    #[test]
    fn a_call_that_nobody_leads_is_not_running_however_often_it_is_stopped() {
        let calls = Calls::default();
        for _ in 0..2 {
            assert_eq!(calls.stop("a"), Stopped::NotRunning);
        }
        drop(calls.lead("a"));
        assert_eq!(calls.stop("a"), Stopped::NotRunning);
    }
}
