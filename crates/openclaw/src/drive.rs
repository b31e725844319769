//! Leads one run: starts it at most once, then looks and listens until it has settled.
//!
//! Looking is asking the transcript; listening only tells when to look and shows text early. So a cut
//! connection, a restart of the bridge and a restart of the gateway are the same case: connect, look,
//! go on.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use landbridge_node::adapter::{Ask, Hold, Report, Reports, Trouble, TroubleCode, Work};
use landbridge_proto::wire::name::{SessionHandle, Timestamp};
use serde_json::{Value, json};
use tokio::sync::{broadcast, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::connection::{Connection, Notice};
use crate::fault::Fault;
use crate::link::{Link, Up};
use crate::names::{self, Names};
use crate::run::{Rest, Run, Verdict};
use crate::transcript::{Look, Tasks, usage};
use crate::wire::{Answer, Event, flag, text};

/// Runs that the bridge wants stopped, by key. Shared, because a stop must outlive a restart of the
/// gateway, which would continue the run by itself.
pub(crate) type Stops = Arc<Mutex<BTreeSet<String>>>;

/// One run being led.
pub(crate) struct Drive {
    pub link: Link,
    pub work: Work,
    pub names: Names,
    pub handle: SessionHandle,
    pub stops: Stops,
    pub run: Run,
    pub reports: Reports,
    /// The gateway was asked to start the run.
    pub asked: bool,
    /// Held until the gateway's answer to that: then its transcript tells whoever comes later.
    pub hold: Option<Hold>,
}

/// Why watching a connection ended.
enum Watched {
    Settled,
    Disconnected,
    Abandoned,
}

/// What a look at the session needs to know of the looks before.
#[derive(Default)]
struct Sight {
    cursor: Option<String>,
    resting: Option<Verdict>,
    second: Option<oneshot::Receiver<Answer>>,
    waited: u32,
}

impl Drive {
    /// Leads the run until it has settled or nobody listens.
    pub(crate) async fn lead(mut self) {
        loop {
            let up = tokio::select! {
                () = self.reports.closed() => return,
                up = self.next_connection() => up,
            };
            let Some(up) = up else {
                self.settle_and_report(Verdict::refused(unavailable())).await;
                return;
            };
            match self.lead_on(&up).await {
                Ok(Watched::Settled | Watched::Abandoned) => return,
                Ok(Watched::Disconnected) => {}
                Err(fault) => {
                    tracing::warn!(run = %self.work.run, %fault, "the gateway did not answer for a run");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }

    /// Before the start the bridge waits a moment; afterwards for as long as it takes.
    async fn next_connection(&self) -> Option<Up> {
        if self.asked {
            return Some(self.link.wait_up().await);
        }
        self.link.up_within(Duration::from_millis(START_MS_MAX)).await.ok()
    }

    async fn lead_on(&mut self, up: &Up) -> Result<Watched, Fault> {
        let connection = &up.connection;
        let notices = connection.notices();
        connection.call("sessions.messages.subscribe", &json!({"key": self.names.session})).await?;
        let mut sight = Sight::default();
        if self.asked {
            // Whatever the gateway does with the run after its return, it begins it soon.
            self.run.on_restart(now());
        } else {
            self.asked = true;
            if self.is_stopped() {
                let ending = landbridge_node::adapter::Ending::Cancelled;
                let none = landbridge_node::adapter::SideEffects::None;
                self.settle_and_report(Verdict { ending, trouble: None, side_effects: none }).await;
                return Ok(Watched::Settled);
            }
            let answer = connection.call_twice("agent", &self.start_params()).await;
            self.hold = None;
            match answer {
                Ok((_, second)) => {
                    sight.second = Some(second);
                    self.on_taken(connection);
                    if !self.flush().await {
                        return Ok(Watched::Abandoned);
                    }
                }
                Err(Fault::Refused { method, error }) => {
                    tracing::warn!(run = %self.work.run, method, code = %error.code, message = %error.message,
                        "the gateway refused a run");
                    self.settle_and_report(Verdict::refused(refusal(&error))).await;
                    return Ok(Watched::Settled);
                }
                // It may have been taken: only the transcript can tell. The key is never sent again.
                Err(fault) => return Err(fault),
            }
        }
        self.watch(connection, notices, sight).await
    }

    async fn watch(
        &mut self,
        connection: &Connection,
        mut notices: broadcast::Receiver<Notice>,
        mut sight: Sight,
    ) -> Result<Watched, Fault> {
        let mut next_look = Instant::now();
        loop {
            tokio::select! {
                () = self.reports.closed() => return Ok(Watched::Abandoned),
                () = connection.closed() => return Ok(Watched::Disconnected),
                notice = notices.recv() => {
                    let look = match notice {
                        Ok(Notice::Event(event)) => self.on_event(&event),
                        Ok(Notice::Gap) | Err(broadcast::error::RecvError::Lagged(_)) => true,
                        Err(broadcast::error::RecvError::Closed) => return Ok(Watched::Disconnected),
                    };
                    if look {
                        next_look = next_look.min(Instant::now() + LOOK_SOON);
                    }
                }
                answer = second_answer(&mut sight.second) => {
                    self.on_second(answer);
                    next_look = Instant::now();
                }
                () = sleep_until(next_look) => {
                    let pause = self.look(connection, &mut notices, &mut sight).await?;
                    if self.run.is_settled() {
                        self.flush().await;
                        return Ok(Watched::Settled);
                    }
                    next_look = Instant::now() + pause;
                }
            }
            if !self.flush().await {
                return Ok(Watched::Abandoned);
            }
        }
    }

    /// Looks at the session once; returns when to look again.
    async fn look(
        &mut self,
        connection: &Connection,
        notices: &mut broadcast::Receiver<Notice>,
        sight: &mut Sight,
    ) -> Result<Duration, Fault> {
        let mut look = look_at(connection, &self.names.session, &mut sight.cursor).await?;
        if !look.active {
            look.tasks = Some(tasks(connection, &self.names.session).await?);
        }
        // What was said before the look was answered still belongs before it.
        while let Ok(notice) = notices.try_recv() {
            if let Notice::Event(event) = notice {
                self.on_event(&event);
            }
        }
        if self.knows(&look) {
            self.on_taken(connection);
        }
        let stopped = self.is_stopped();
        let active = look.active || look.waiting;
        match self.run.on_look(look, now(), stopped) {
            Rest::Over(verdict) if sight.resting.as_ref() == Some(&verdict) => {
                // The final answer alone tells what hidden rows cost; it comes a moment later.
                if sight.second.is_some() && sight.waited < WAITS_MAX {
                    sight.waited += 1;
                    return Ok(CONFIRM);
                }
                self.watch_what_may_rise(&verdict);
                self.run.settle(verdict, now());
                Ok(Duration::ZERO)
            }
            Rest::Over(verdict) => {
                // The state is written a moment before or after the last row: look twice.
                let unsure = verdict.side_effects == landbridge_node::adapter::SideEffects::Unknown;
                sight.resting = Some(verdict);
                Ok(if unsure { CONFIRM_UNSURE } else { CONFIRM })
            }
            rest => {
                sight.resting = None;
                if stopped && active {
                    stop(connection, &self.names, self.run.runs()).await?;
                }
                let soon = rest == Rest::Unclear || self.run.has_open_calls() || !active;
                Ok(if soon { LOOK_OFTEN } else { LOOK_SELDOM })
            }
        }
    }

    /// A gateway that comes back continues its sessions one after the other, and one that hangs delays
    /// the rest. A run that was given up must not begin again behind everybody's back.
    fn watch_what_may_rise(&self, verdict: &Verdict) {
        if verdict.side_effects != landbridge_node::adapter::SideEffects::Unknown {
            return;
        }
        let (link, names) = (self.link.clone(), self.names.clone());
        tokio::spawn(async move {
            let until = Instant::now() + RISE_WATCH;
            while Instant::now() < until {
                let Ok(up) = tokio::time::timeout_at(until, link.wait_up()).await else { return };
                match look_at(&up.connection, &names.session, &mut None).await {
                    Ok(look) if look.active => {
                        let stopped =
                            stop(&up.connection, &names, std::slice::from_ref(&names.key)).await;
                        tracing::warn!(session = %names.session, ?stopped, "stopped a run that was given up");
                    }
                    Ok(_) => {}
                    Err(fault) => {
                        tracing::debug!(%fault, "cannot look after a run that was given up")
                    }
                }
                tokio::time::sleep(RISE_EVERY).await;
            }
        });
    }

    fn on_taken(&mut self, connection: &Connection) {
        let software = format!("openclaw {}", connection.hello().version);
        self.run.on_taken(Report::Started { session: self.handle.clone(), software });
    }

    /// The session's transcript or book shows the run.
    fn knows(&self, look: &Look) -> bool {
        let prompt = |content: &crate::transcript::Content| matches!(content, crate::transcript::Content::Prompt { key } if *key == self.names.key);
        look.rows.iter().any(|row| prompt(&row.content))
            || look.tasks.as_ref().is_some_and(|tasks| tasks.runs.contains(&self.names.key))
    }

    /// Takes what an event shows early; returns whether to look.
    fn on_event(&mut self, event: &Event) -> bool {
        let payload = &event.payload;
        if event.event == "task" {
            return text(payload, "/task/ownerKey") == self.names.session
                && text(payload, "/task/status") != "running";
        }
        if text(payload, "/sessionKey") != self.names.session {
            return false;
        }
        if event.event != "agent" {
            return event.event == "session.message";
        }
        let run = text(payload, "/runId");
        let call = text(payload, "/data/toolCallId");
        match (text(payload, "/stream"), text(payload, "/data/phase")) {
            ("assistant", _) => {
                self.run.on_text(run, text(payload, "/data/text"));
                false
            }
            ("tool", "start") => {
                let args =
                    payload.pointer("/data/args").map_or_else(|| "{}".to_owned(), Value::to_string);
                self.run.on_call(run, call, args);
                false
            }
            ("tool", "result") => {
                if flag(payload, "/data/isError") {
                    self.run.on_failed_call(run, call);
                }
                true
            }
            ("item", "end") => {
                if matches!(text(payload, "/data/status"), "failed" | "blocked") {
                    self.run.on_failed_call(run, call);
                }
                true
            }
            ("lifecycle", "end" | "error") => true,
            _ => false,
        }
    }

    fn on_second(&mut self, answer: Option<Answer>) {
        let Some(answer) = answer else { return };
        if let Some(record) = answer.payload.pointer("/result/meta/agentMeta/usage") {
            let model = text(&answer.payload, "/result/meta/agentMeta/model");
            self.run.on_final_usage(usage(record, model));
        }
    }

    fn start_params(&self) -> Value {
        // A tool call never comes here: `tool.rs` leads it.
        let prompt = match &self.work.ask {
            Ask::Prompt(prompt) => prompt,
            Ask::ToolCall { args, .. } => args,
        };
        // The bridge ends the run at its deadline; this is for the case that no bridge is left.
        let left_ms = self.work.deadline.since_ms(now()).max(0);
        json!({
            "message": prompt, "agentId": names::agent(&self.work), "sessionKey": self.names.session,
            "idempotencyKey": self.names.key, "timeout": left_ms / 1000 + SPARE_S,
        })
    }

    fn is_stopped(&self) -> bool {
        self.stops.lock().unwrap_or_else(PoisonError::into_inner).contains(&self.names.key)
    }

    async fn settle_and_report(&mut self, verdict: Verdict) {
        self.run.settle(verdict, now());
        self.flush().await;
    }

    /// Hands over what waits; false when nobody listens any more.
    async fn flush(&mut self) -> bool {
        for report in self.run.reports() {
            if self.reports.send(report).await.is_err() {
                return false;
            }
        }
        true
    }
}

/// Asks for a session's transcript, from the cursor on when there is one.
async fn look_at(
    connection: &Connection,
    session: &str,
    cursor: &mut Option<String>,
) -> Result<Look, Fault> {
    if let Some(from) = cursor.as_ref() {
        let params = json!({"sessionKey": session, "cursor": from, "maxChars": ROW_CHARS_MAX});
        let payload = connection.call("chat.history", &params).await?;
        // A delta cuts long texts whatever was asked; a page does not.
        if text(&payload, "/kind") == "delta" && !payload.to_string().contains(CUT) {
            keep_cursor(&payload, cursor);
            return Ok(Look::read(&payload));
        }
    }
    let mut params = json!({"sessionKey": session, "limit": PAGE_ROWS, "maxChars": ROW_CHARS_MAX});
    let newest = connection.call("chat.history", &params).await?;
    keep_cursor(&newest, cursor);
    let mut look = Look::read(&newest);
    let mut more = flag(&newest, "/hasMore");
    let mut offset = look.rows.len();
    for _ in 1..PAGES_MAX {
        if !more {
            break;
        }
        params["offset"] = json!(offset);
        let page = connection.call("chat.history", &params).await?;
        let mut rows = crate::transcript::rows(&page);
        more = flag(&page, "/hasMore") && !rows.is_empty();
        offset += rows.len();
        rows.append(&mut look.rows);
        look.rows = rows;
    }
    Ok(look)
}

fn keep_cursor(payload: &Value, cursor: &mut Option<String>) {
    let next = text(payload, "/deltaCursor");
    *cursor = (!next.is_empty()).then(|| next.to_owned());
}

/// Asks for the gateway's book of a session and of its children, down the tree.
async fn tasks(connection: &Connection, session: &str) -> Result<Tasks, Fault> {
    let mut all = Tasks::default();
    let mut seen = BTreeSet::new();
    let mut ahead = vec![session.to_owned()];
    while let Some(session) = ahead.pop() {
        if seen.len() >= TREE_SESSIONS_MAX || !seen.insert(session.clone()) {
            continue;
        }
        let payload = connection.call("tasks.list", &json!({"sessionKey": session})).await?;
        let tasks = Tasks::read(&payload, now());
        all.open |= tasks.open;
        all.runs.extend(tasks.runs);
        ahead.extend(tasks.children.iter().cloned());
        all.children.extend(tasks.children);
    }
    Ok(all)
}

/// Asks the gateway to stop everything of a session tree; returns whether there was something to stop.
///
/// # Errors
///
/// Returns why the gateway could not be asked.
pub(crate) async fn stop(
    connection: &Connection,
    names: &Names,
    runs: &[String],
) -> Result<bool, Fault> {
    let session = names.session.as_str();
    let look = look_at(connection, session, &mut None).await?;
    let mut stopped = look.active || look.waiting;
    let in_flight = look.in_flight.as_ref().map(|(run, _)| run);
    let known: BTreeSet<&String> = runs.iter().chain(&look.active_runs).chain(in_flight).collect();
    for run in known {
        let answer =
            connection.call("chat.abort", &json!({"sessionKey": session, "runId": run})).await?;
        stopped |= flag(&answer, "/aborted");
    }
    let tree = tasks(connection, session).await?;
    for key in std::iter::once(session).chain(tree.children.iter().map(String::as_str)) {
        match connection.call("sessions.abort", &json!({"key": key})).await {
            Ok(answer) => stopped |= text(&answer, "/status") == "aborted",
            // A session that has ended, or was never there, is an error to the gateway.
            Err(Fault::Refused { error, .. }) => {
                tracing::debug!(code = %error.code, "nothing to stop")
            }
            Err(fault) => return Err(fault),
        }
    }
    // The gateway continues a run by itself after a restart, a while after this state shows.
    Ok(stopped || look.status == "running")
}

fn refusal(error: &crate::wire::GatewayError) -> Trouble {
    let (code, detail) =
        if error.message.contains("unknown agent") || error.message.contains("no longer exists") {
            (TroubleCode::AgentUnknown, "the gateway does not have the agent")
        } else if error.code == "INVALID_REQUEST" || error.code == "TOO_LARGE" {
            (TroubleCode::InputRefused, "the gateway refused the prompt")
        } else if error.detail_code() == "MISSING_SCOPE" {
            (
                TroubleCode::InputRefused,
                "the prompt is a gateway command that only its operators may give",
            )
        } else {
            (TroubleCode::GatewayError, "the gateway refused the run")
        };
    Trouble { code, detail: detail.to_owned() }
}

fn unavailable() -> Trouble {
    Trouble {
        code: TroubleCode::GatewayUnavailable,
        detail: "the gateway could not be reached; nothing was started".to_owned(),
    }
}

async fn second_answer(second: &mut Option<oneshot::Receiver<Answer>>) -> Option<Answer> {
    let Some(receiver) = second else {
        return std::future::pending().await;
    };
    let answer = receiver.await.ok();
    *second = None;
    answer
}

/// The time now.
pub(crate) fn now() -> Timestamp {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

const START_MS_MAX: u64 = 10_000;
const SPARE_S: i64 = 20;
const LOOK_SOON: Duration = Duration::from_millis(40);
const LOOK_OFTEN: Duration = Duration::from_millis(500);
const LOOK_SELDOM: Duration = Duration::from_secs(3);
const CONFIRM: Duration = Duration::from_millis(150);
const CONFIRM_UNSURE: Duration = Duration::from_secs(3);
const RISE_WATCH: Duration = Duration::from_secs(300);
const RISE_EVERY: Duration = Duration::from_secs(5);
const WAITS_MAX: u32 = 20;
const CUT: &str = "...(truncated)...";
const PAGE_ROWS: usize = 1000;
const PAGES_MAX: usize = 50;
const ROW_CHARS_MAX: usize = 500_000;
const TREE_SESSIONS_MAX: usize = 256;
