//! Leads one run: starts it at most once, then looks and listens until it has settled.
//!
//! Looking is asking the transcript; listening only tells when to look and shows text early. So a cut
//! connection, a restart of the bridge and a restart of the gateway are the same case: connect, look,
//! go on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use landbridge_node::adapter::{
    Ending, Hold, Mode, Report, Reports, SideEffects, Trouble, TroubleCode, Work,
};
use landbridge_proto::wire::name::{SessionHandle, Timestamp};
use serde_json::{Value, json};
use tokio::sync::{broadcast, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::approval::{self, Questions};
use crate::connection::{Connection, Notice};
use crate::device::Authority;
use crate::fault::Fault;
use crate::leads::Leads;
use crate::link::{Link, Up};
use crate::look::{look_at, tasks};
use crate::names::{self, Names};
use crate::run::{Rest, Run, Verdict};
use crate::stop::stop;
use crate::subagent::{self, Spawned};
use crate::transcript::{Child, Look, Scope, Tasks, usage};
use crate::wire::{Answer, Event, flag, text};

/// Runs that the bridge wants stopped, by key. Shared, because a stop must outlive a restart of the
/// gateway, which would continue the run by itself.
pub(crate) type Stops = Arc<Mutex<BTreeSet<String>>>;

/// One run being led.
pub(crate) struct Drive {
    pub link: Link,
    pub work: Work,
    pub names: Names,
    /// The run's name among the stops: the key of its intent.
    pub stop_key: String,
    pub handle: SessionHandle,
    pub stops: Stops,
    pub leads: Leads,
    pub run: Run,
    /// What the gateway asks before the run goes on.
    pub questions: Questions,
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
    /// How far the transcripts of children were read; nothing is left of those that have ended.
    children: BTreeMap<String, Option<String>>,
    ended: BTreeSet<String>,
}

impl Drive {
    /// Leads the run until it has settled or nobody listens.
    pub(crate) async fn lead(mut self) {
        loop {
            let up = tokio::select! {
                () = self.reports.closed() => return,
                up = self.next_connection() => up,
            };
            let up = match up {
                Ok(up) => up,
                Err(verdict) => {
                    self.settle_and_report(verdict).await;
                    return;
                }
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

    /// Before the start the bridge waits a moment; afterwards for as long as it takes, unless the gateway
    /// refuses the device: then nobody will ever tell what became of the run.
    async fn next_connection(&self) -> Result<Up, Verdict> {
        if !self.asked {
            let up = self.link.up_within(Duration::from_millis(START_MS_MAX)).await;
            return up.map_err(|_| Verdict::refused(unavailable()));
        }
        self.link.wait_up_unless_refused().await.map_err(|why| {
            tracing::error!(run = %self.work.run, %why, "a run is given up: the gateway refuses the bridge");
            Verdict {
                ending: landbridge_node::adapter::Ending::Failed,
                trouble: Some(why.trouble()),
                side_effects: landbridge_node::adapter::SideEffects::Unknown,
            }
        })
    }

    async fn lead_on(&mut self, up: &Up) -> Result<Watched, Fault> {
        let connection = &up.connection;
        let notices = connection.notices();
        self.subscribe(up).await?;
        let mut sight = Sight::default();
        //= REQ-63
        if !self.asked && self.was_led_before(connection).await? {
            tracing::warn!(run = %self.work.run, "the gateway knows a run that is new here; it is not started again");
            self.asked = true;
            self.hold = None;
        }
        if self.asked {
            if !self.knows_its_names() && !self.find_child(up).await? {
                self.settle_and_report(lost_child()).await;
                return Ok(Watched::Settled);
            }
            // Whatever the gateway does with the run after its return, it begins it soon.
            self.run.on_restart(now());
        } else {
            if self.is_stopped() {
                let ending = Ending::Cancelled;
                let none = SideEffects::None;
                self.settle_and_report(Verdict { ending, trouble: None, side_effects: none }).await;
                return Ok(Watched::Settled);
            }
            //= REQ-52
            if self.work.session.is_some() && !self.has_session(connection).await? {
                self.settle_and_report(Verdict::refused(no_session())).await;
                return Ok(Watched::Settled);
            }
            // From here on it may have been taken: only the gateway's books can tell. It is never asked
            // a second time.
            self.asked = true;
            let started = match self.work.mode {
                Mode::Subagent => self.start_child(up).await,
                Mode::Session | Mode::Turn => self.start_prompt(up, &mut sight).await,
            };
            self.hold = None;
            match started {
                Ok(Ok(())) => self.on_taken(connection),
                Ok(Err(trouble)) => {
                    self.settle_and_report(Verdict::refused(trouble)).await;
                    return Ok(Watched::Settled);
                }
                Err(Fault::Refused { method, error }) => {
                    tracing::warn!(run = %self.work.run, method, code = %error.code, message = %error.message,
                        "the gateway refused a run");
                    self.settle_and_report(Verdict::refused(refusal(&error))).await;
                    return Ok(Watched::Settled);
                }
                Err(fault) => return Err(fault),
            }
            if !self.flush().await {
                return Ok(Watched::Abandoned);
            }
        }
        self.watch(connection, notices, sight).await
    }

    /// Whether the gateway knows this very run already: a bridge that was restored from a backup has
    /// forgotten that it started it, and its names follow from what was asked.
    async fn was_led_before(&self, connection: &Connection) -> Result<bool, Fault> {
        if self.work.mode == Mode::Subagent {
            // The gateway chose the child's names; its label follows from the run.
            return Ok(subagent::find(connection, &self.work, &self.names).await?.is_some());
        }
        let mut look = look_at(connection, &self.names.session, &mut None).await?;
        // A fresh session belongs to one run alone: whatever is in it is this run's.
        if self.work.session.is_none() && (look.active || look.waiting || !look.rows.is_empty()) {
            return Ok(true);
        }
        let scope = Scope { run: &self.names.key, shared: self.work.mode == Mode::Turn };
        look.tasks = Some(tasks(connection, &self.names.session, scope).await?);
        Ok(self.knows(&look))
    }

    async fn start_prompt(&self, up: &Up, sight: &mut Sight) -> Result<Result<(), Trouble>, Fault> {
        let params = self.start_params(up.authority);
        let (_, second) = up.connection.call_twice("agent", &params).await?;
        sight.second = Some(second);
        Ok(Ok(()))
    }

    async fn start_child(&mut self, up: &Up) -> Result<Result<(), Trouble>, Fault> {
        match subagent::spawn(&up.connection, &self.work, &self.names).await? {
            Spawned::Child(child) => {
                // It works already: whatever happens to this connection now, it was not refused.
                self.lead_child(up, &child).await.map_err(|_| Fault::Lost)?;
                Ok(Ok(()))
            }
            Spawned::Refused(trouble) => Ok(Err(trouble)),
            // The books will tell.
            Spawned::Unclear => Err(Fault::Lost),
        }
    }

    /// Goes on under the names that the gateway gave to the child.
    async fn lead_child(&mut self, up: &Up, child: &Child) -> Result<(), Fault> {
        self.names = subagent::names_of(child, &self.names);
        self.run.called(&child.run);
        self.subscribe(up).await
    }

    /// Listens to the session, and to what is asked in it: also what was asked before.
    async fn subscribe(&mut self, up: &Up) -> Result<(), Fault> {
        let mut params = json!({"key": self.names.session});
        if up.authority == Authority::RunsAndApprovals {
            params["includeApprovals"] = json!(true);
        }
        let answer = up.connection.call("sessions.messages.subscribe", &params).await?;
        self.questions.on_subscribed(&answer);
        if self.asked && up.authority == Authority::RunsAndApprovals {
            let (session, since) = (self.names.session.clone(), self.names.at);
            self.questions.recall(&up.connection, &session, since).await?;
        }
        Ok(())
    }

    /// `false` for a child whose names the gateway chose and this process has not seen yet.
    fn knows_its_names(&self) -> bool {
        self.work.mode != Mode::Subagent || self.names.key != self.stop_key
    }

    /// Looks for the child of an earlier process, or of a call whose answer never came.
    async fn find_child(&mut self, up: &Up) -> Result<bool, Fault> {
        for _ in 0..CHILD_LOOKS {
            if let Some(child) = subagent::find(&up.connection, &self.work, &self.names).await? {
                self.lead_child(up, &child).await?;
                return Ok(true);
            }
            tokio::time::sleep(LOOK_OFTEN).await;
        }
        Ok(false)
    }

    /// The gateway still has the session that the run names.
    async fn has_session(&self, connection: &Connection) -> Result<bool, Fault> {
        let look = look_at(connection, &self.names.session, &mut None).await?;
        Ok(!look.status.is_empty() || !look.rows.is_empty())
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
            let scope = Scope { run: &self.names.key, shared: self.work.mode == Mode::Turn };
            let tasks = tasks(connection, &self.names.session, scope).await?;
            self.look_at_children(connection, &tasks, sight).await?;
            look.tasks = Some(tasks);
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
        if self.work.mode == Mode::Subagent {
            self.run.on_usage_of(&self.names.key, &look);
        }
        let stopped = self.is_stopped();
        let active = look.active || look.waiting;
        let rest = self.run.on_look(look, now(), stopped);
        if self.questions.are_open() && self.run.is_found() {
            let (device, session) = (self.link.device(), &self.names.session);
            let told = self.questions.attend(connection, device, session, &self.run).await?;
            self.run.tell(told);
        }
        match rest {
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
                let unsure = verdict.side_effects == SideEffects::Unknown;
                sight.resting = Some(verdict);
                Ok(if unsure { CONFIRM_UNSURE } else { CONFIRM })
            }
            rest => {
                sight.resting = None;
                if stopped && active {
                    stop(connection, &self.names, self.run.runs()).await?;
                }
                // A person takes minutes, and an event tells of the answer.
                let works = self.run.has_open_calls() && !self.questions.are_open();
                let soon = rest == Rest::Unclear || works || !active;
                Ok(if soon { LOOK_OFTEN } else { LOOK_SELDOM })
            }
        }
    }

    async fn look_at_children(
        &mut self,
        connection: &Connection,
        tasks: &Tasks,
        sight: &mut Sight,
    ) -> Result<(), Fault> {
        for child in &tasks.family {
            if sight.ended.contains(&child.session) {
                continue;
            }
            let cursor = sight.children.entry(child.session.clone()).or_default();
            let mut look = look_at(connection, &child.session, cursor).await?;
            let at_rest = child.end.is_some() && !look.active;
            let rows = std::mem::take(&mut look.rows);
            self.run.on_usage_of(&child.run, &look);
            self.run.on_child(child, rows);
            if at_rest {
                sight.ended.insert(child.session.clone());
            }
        }
        Ok(())
    }

    /// A gateway that comes back continues its sessions one after the other, and one that hangs delays
    /// the rest. A run that was given up must not begin again behind everybody's back.
    fn watch_what_may_rise(&self, verdict: &Verdict) {
        if verdict.side_effects != SideEffects::Unknown {
            return;
        }
        let (link, names, leads) = (self.link.clone(), self.names.clone(), self.leads.clone());
        tokio::spawn(async move {
            let until = Instant::now() + RISE_WATCH;
            while Instant::now() < until {
                let Ok(up) = tokio::time::timeout_at(until, link.wait_up()).await else { return };
                match look_at(&up.connection, &names.session, &mut None).await {
                    // A later turn is at work, and looks after the session itself.
                    Ok(_) if leads.is_anothers(&names.session, &names.key) => {}
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
        if event.event == "session.approval" {
            self.questions.on_event(payload);
            return true;
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

    fn start_params(&self, authority: Authority) -> Value {
        // A tool call never comes here: `tool.rs` leads it.
        let prompt = self.work.ask.text();
        // The bridge ends the run at its deadline; this is for the case that no bridge is left.
        let left_ms = self.work.deadline.since_ms(now()).max(0);
        let mut params = json!({
            "message": prompt, "agentId": names::agent(&self.work), "sessionKey": self.names.session,
            "idempotencyKey": self.names.key, "timeout": left_ms / 1000 + SPARE_S,
        });
        if let Some(channel) = approval::channel(authority) {
            params["channel"] = json!(channel);
        }
        params
    }

    fn is_stopped(&self) -> bool {
        self.stops.lock().unwrap_or_else(PoisonError::into_inner).contains(&self.stop_key)
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

fn refusal(error: &crate::wire::GatewayError) -> Trouble {
    let (code, detail) =
        if error.message.contains("unknown agent") || error.message.contains("no longer exists") {
            (TroubleCode::AgentUnknown, "the gateway does not have the agent")
        } else if error.message.contains("unknown channel") {
            (
                TroubleCode::NoApprovalRoute,
                "the gateway lost its way to ask for approvals, and so takes no runs",
            )
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

fn no_session() -> Trouble {
    Trouble {
        code: TroubleCode::SessionUnknown,
        detail: "the gateway does not have the session any more".to_owned(),
    }
}

fn lost_child() -> Verdict {
    let detail = "the gateway does not know the run".to_owned();
    Verdict {
        ending: Ending::Failed,
        trouble: Some(Trouble { code: TroubleCode::Interrupted, detail }),
        side_effects: SideEffects::Unknown,
    }
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

/// With half a second between them: a call whose answer was lost is booked by then, or never.
const CHILD_LOOKS: u32 = 10;
const START_MS_MAX: u64 = 10_000;
/// How long the gateway lets a run live beyond its deadline, in seconds.
pub(crate) const SPARE_S: i64 = 20;
const LOOK_SOON: Duration = Duration::from_millis(40);
const LOOK_OFTEN: Duration = Duration::from_millis(500);
const LOOK_SELDOM: Duration = Duration::from_secs(3);
const CONFIRM: Duration = Duration::from_millis(150);
const CONFIRM_UNSURE: Duration = Duration::from_secs(3);
const RISE_WATCH: Duration = Duration::from_secs(300);
const RISE_EVERY: Duration = Duration::from_secs(5);
const WAITS_MAX: u32 = 20;
