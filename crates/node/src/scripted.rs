//! The embedded gateway that does what the prompt says: for tests, demonstrations and load.
//!
//! It stands in for a real gateway, which survives the bridge. So a run must go on while the bridge is
//! dead, without a process that it could go on in: a run is a timeline, a function of its script and
//! of the moment it was started, and only that moment and the moment of a stop are stored. Whoever
//! looks again sees it where it has got to by then. The directives are those of `script`.

mod ledger;
mod questions;
mod script;
mod sessions;
#[cfg(test)]
mod tests;
mod timeline;

use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use landbridge_planted::planted;
use landbridge_proto::wire::name::{RunId, Timestamp};
use tokio::sync::watch;

use self::ledger::Ledger;
use self::questions::{Answered, Question};
use self::timeline::Timeline;
use crate::adapter::{
    Adapter, AdapterFault, ApprovalDecided, Ask, Channel, Description, Ending, Hold, Intent, Mode,
    Progress, Report, Reports, ResolvedBy, SideEffects, StopReason, Stopped, Trouble, TroubleCode,
    Vote, Work,
};
use crate::clock::Clock;

/// What it says it is.
const SOFTWARE: &str = "scripted 1";
/// The one agent.
const AGENT: &str = "demo";
/// Between two looks into a directory that cannot be read, in milliseconds.
const RETRY_MS: i64 = 1_000;
/// Between two looks for what people at the gateway answer, in milliseconds.
const ANSWERS_EVERY_MS: i64 = 100;

/// The scripted gateway over its directory.
///
/// The directory holds `executions.log` with one line for each execution, and `repeated.log` with one
/// for each time that it was asked to start what it had executed before, and did not. What a test writes
/// into `cautions`, a line each, is what it cautions of.
pub struct Scripted {
    ledger: Ledger,
    clock: Arc<dyn Clock>,
    /// Wakes whoever follows a run after any stop or answer was written.
    stops: watch::Sender<()>,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripted").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

impl Scripted {
    /// Opens the gateway that lives in `dir`, and makes it where there is none.
    ///
    /// # Errors
    ///
    /// Returns why the directory cannot be made.
    pub fn open(dir: &Path, clock: Arc<dyn Clock>) -> io::Result<Self> {
        Ok(Self { ledger: Ledger::open(dir)?, clock, stops: watch::Sender::new(()) })
    }

    /// Reports from the timeline's position on, each when its time has come.
    async fn follow(&self, run: &RunId, mut timeline: Timeline, reports: &Reports) {
        let mut stops = self.stops.subscribe();
        let mut stop = self.stop_of(run);
        loop {
            if stops.has_changed().unwrap_or(false) {
                stops.mark_unchanged();
                stop = self.stop_of(run);
            }
            let next = timeline.peek().map(|(at, _)| *at);
            let question = timeline.waits_for().cloned();
            if let Some(answer) = question.as_ref().and_then(|asked| self.answered(asked, stop)) {
                timeline.learn(answer);
                continue;
            }
            // The beginning belongs to every run, even where the clock was set back before the stop.
            let began = timeline.passed().started;
            if began && stop.is_some_and(|stop| next.is_none_or(|next| next > stop)) {
                // Closed: nobody wants to know.
                let _ = reports.send(timeline.cancelled()).await;
                return;
            }
            if next.is_some_and(|next| next <= self.clock.now()) {
                let Some(report) = timeline.advance() else { return };
                let is_last = matches!(report, Report::Settled { .. });
                if reports.send(report).await.is_err() || is_last {
                    return;
                }
                continue;
            }
            tokio::select! {
                () = reports.closed() => return,
                _ = stops.changed() => stop = self.stop_of(run),
                () = self.reach(next), if question.is_none() => {}
                () = self.reach(Some(self.clock.now().plus_ms(ANSWERS_EVERY_MS))), if question.is_some() => {}
            }
        }
    }

    /// The answer to a question, once somebody gave one, its time is over or the run is stopped.
    fn answered(&self, question: &Question, stop: Option<Timestamp>) -> Option<Answered> {
        let given = self.ledger.answer_of(&question.id).ok()?;
        if given.is_some() {
            return given;
        }
        let now = self.clock.now();
        let here = self.ledger.said_here(&question.id);
        let (vote, by, at) = match (here, stop) {
            (Some(vote), _) => (vote, ResolvedBy::Gateway, now),
            (None, Some(stop)) => (Vote::Deny, ResolvedBy::Closed, stop),
            (None, None) if question.expires <= now => {
                (Vote::Deny, ResolvedBy::Expiry, question.expires)
            }
            (None, None) => return None,
        };
        self.ledger.answer(&question.id, &question.text, Answered { vote, by, at }).ok()
    }

    /// The prompts of the run's session before its own, or why nothing is started.
    fn room_for(&self, work: &Work) -> Result<usize, Trouble> {
        let refused = |code, detail: &str| Err(Trouble { code, detail: detail.to_owned() });
        if is_forbidden_child(work) {
            let detail = "the script does not let the session start a child";
            return refused(TroubleCode::SubagentUnavailable, detail);
        }
        match self.ledger.prompts_before(work) {
            Ok(Some(earlier)) => Ok(earlier),
            Ok(None) => refused(TroubleCode::SessionUnknown, "the gateway has no such session"),
            Err(error) => {
                let AdapterFault(trouble) = fault(&work.run, &error);
                Err(trouble)
            }
        }
    }

    async fn reach(&self, at: Option<Timestamp>) {
        match at {
            Some(at) => self.clock.sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// A stop that cannot be read is none yet: whoever wrote it is told that it failed, and asks again.
    fn stop_of(&self, run: &RunId) -> Option<Timestamp> {
        self.ledger.stopped(run).unwrap_or_else(|error| {
            tracing::warn!(%run, %error, "a scripted run's stop cannot be read");
            None
        })
    }

    /// Takes a run up where its log does not say exactly what was reported: text is told anew up to
    /// now, as replacing what came before, and of the rest what is missing.
    async fn catch_up(
        &self,
        run: &RunId,
        timeline: &mut Timeline,
        progress: &Progress,
        reports: &Reports,
    ) {
        let stop = self.stop_of(run).unwrap_or(Timestamp(i64::MAX));
        let until = self.clock.now().min(stop);
        loop {
            let answers = |asked: &Question| self.ledger.answer_of(&asked.id).ok().flatten();
            if let Some(answer) = timeline.waits_for().and_then(answers) {
                timeline.learn(answer);
            }
            let Some((at, report)) = timeline.peek() else { break };
            if *at > until || matches!(report, Report::Settled { .. }) {
                break;
            }
            let Some(report) = timeline.advance() else { break };
            if !is_in(&report, timeline.passed(), progress) && reports.send(report).await.is_err() {
                return;
            }
        }
        let passed = timeline.passed();
        for (channel, text) in
            [(Channel::Thinking, &passed.thinking), (Channel::Answer, &passed.answer)]
        {
            if !text.is_empty() {
                let report = Report::Output { channel, text: text.clone(), replace: true };
                // Closed: the one who follows will notice.
                let _ = reports.send(report).await;
            }
        }
    }
}

/// The report, just passed, is in the log already, or is text and told otherwise.
fn is_in(report: &Report, passed: &Progress, progress: &Progress) -> bool {
    match report {
        Report::Started { .. } => progress.started,
        Report::Output { .. } => true,
        Report::Usage(usage) => {
            progress.usage.as_ref().is_some_and(|told| told.total >= usage.total)
        }
        Report::ToolCall { call, .. } => progress.calls.contains(call),
        Report::ToolResult { call, .. } => progress.results.contains(call),
        Report::PhaseEnd { .. } => passed.phases.len() <= progress.phases.len(),
        Report::Error(_) => passed.errors <= progress.errors,
        // The bridge tells which it knows.
        Report::ApprovalNeeded(_)
        | Report::ApprovalRequested(_)
        | Report::ApprovalDecided(_)
        | Report::ApprovalResolved(_)
        | Report::Settled { .. } => false,
    }
}

fn timeline(work: &Work, earlier: usize, started: Timestamp) -> Timeline {
    Timeline::new(work, script_of(&work.ask), earlier, started)
}

/// A child that this gateway does not let its session start.
fn is_forbidden_child(work: &Work) -> bool {
    work.mode == Mode::Subagent && script_of(&work.ask).contains(&script::Directive::NoSubagent)
}

/// What is to be played: a prompt's script, or one tool call that answers with its arguments.
fn script_of(ask: &Ask) -> Vec<script::Directive> {
    match ask {
        Ask::Prompt(prompt) => script::parse(prompt),
        Ask::ToolCall { tool, args } => vec![script::call(tool.as_str(), args)],
        Ask::Operators(_) => Vec::new(),
    }
}

fn failed(code: TroubleCode, detail: &str, side_effects: SideEffects) -> Report {
    let trouble = Some(Trouble { code, detail: detail.to_owned() });
    Report::Settled { ending: Ending::Failed, result: None, trouble, usage: None, side_effects }
}

fn fault(run: &RunId, error: &io::Error) -> AdapterFault {
    tracing::warn!(%run, %error, "the scripted gateway cannot use its directory");
    unusable()
}

fn unusable() -> AdapterFault {
    let detail = "the scripted gateway cannot use its directory".to_owned();
    AdapterFault(Trouble { code: TroubleCode::GatewayUnavailable, detail })
}

#[async_trait]
impl Adapter for Scripted {
    async fn describe(&self) -> Description {
        Description {
            adapter: "scripted".to_owned(),
            software: SOFTWARE.to_owned(),
            reachable: true,
            detail: None,
            agents: vec![AGENT.to_owned()],
            approvals: None,
            cautions: self.ledger.cautions(),
        }
    }

    async fn intend(&self, work: &Work) -> Result<Intent, AdapterFault> {
        Ok(Intent(serde_json::json!({ "run": work.run })))
    }

    async fn start(&self, work: Work, intent: Intent, reports: Reports, hold: Hold) {
        let now = self.clock.now();
        //= REQ-63
        let known = matches!(self.ledger.started(&work.run), Ok(Some(_)));
        if known && !planted!("start_without_a_look") {
            drop(hold);
            self.ledger.repeated(&work.run);
            return self.adopt(work, intent, Progress::default(), reports).await;
        }
        let earlier = match self.room_for(&work) {
            Ok(earlier) => earlier,
            Err(Trouble { code, detail }) => {
                // Closed: nobody wants to know.
                let _ = reports.send(failed(code, &detail, SideEffects::None)).await;
                return;
            }
        };
        let remember = |new: bool| match new {
            true => self.ledger.add_prompt(&work).map(|()| true),
            false => Ok(false),
        };
        let taken = self.ledger.start(&work.run, now).and_then(remember);
        drop(hold);
        let end = match taken {
            Ok(true) => {
                return self.follow(&work.run, timeline(&work, earlier, now), &reports).await;
            }
            Ok(false) => failed(
                TroubleCode::GatewayError,
                "the run had been started before",
                SideEffects::Unknown,
            ),
            Err(error) => {
                let AdapterFault(trouble) = fault(&work.run, &error);
                failed(trouble.code, &trouble.detail, SideEffects::Unknown)
            }
        };
        // Closed: nobody wants to know.
        let _ = reports.send(end).await;
    }

    async fn adopt(&self, work: Work, _intent: Intent, progress: Progress, reports: Reports) {
        let started = loop {
            match self.ledger.started(&work.run) {
                Ok(Some(started)) => break started,
                Ok(None) => {
                    let detail = "the gateway does not know the run";
                    let end = failed(TroubleCode::Interrupted, detail, SideEffects::Unknown);
                    // Closed: nobody wants to know.
                    let _ = reports.send(end).await;
                    return;
                }
                Err(error) => drop(fault(&work.run, &error)),
            }
            tokio::select! {
                () = reports.closed() => return,
                () = self.clock.sleep_until(self.clock.now().plus_ms(RETRY_MS)) => {}
            }
        };
        let earlier = self.room_for(&work).unwrap_or_default();
        let mut position = timeline(&work, earlier, started);
        let answers = |asked: &Question| self.ledger.answer_of(&asked.id).ok().flatten();
        if progress.reduced || !position.seek(&progress, answers) {
            position = timeline(&work, earlier, started);
            self.catch_up(&work.run, &mut position, &progress, &reports).await;
        }
        self.follow(&work.run, position, &reports).await;
    }

    async fn stop(
        &self,
        work: &Work,
        _intent: &Intent,
        _why: StopReason,
    ) -> Result<Stopped, AdapterFault> {
        let fault = |error| fault(&work.run, &error);
        let now = self.clock.now();
        let Some(started) = self.ledger.started(&work.run).map_err(fault)? else {
            return Ok(Stopped::NotRunning);
        };
        let duration = script::duration_ms(&script_of(&work.ask));
        let has_ended = duration.is_some_and(|ms| started.plus_ms(ms) <= now);
        if matches!(work.ask, Ask::ToolCall { .. }) && !has_ended {
            // As at a real gateway.
            return Ok(Stopped::GoesOn);
        }
        if has_ended || self.ledger.stopped(&work.run).map_err(fault)?.is_some() {
            return Ok(Stopped::NotRunning);
        }
        self.ledger.stop(&work.run, now).map_err(fault)?;
        self.stops.send_replace(());
        Ok(Stopped::Stopping)
    }

    async fn stop_all(&self) -> Result<usize, AdapterFault> {
        let stopped = self.ledger.stop_all(self.clock.now()).map_err(|error| {
            tracing::warn!(%error, "the scripted gateway cannot use its directory");
            unusable()
        })?;
        self.stops.send_replace(());
        Ok(stopped)
    }

    async fn resolve(
        &self,
        work: &Work,
        question: &str,
        vote: Vote,
    ) -> Result<ApprovalDecided, AdapterFault> {
        let script = script_of(&work.ask);
        let asks = script.iter().filter_map(|directive| match directive {
            script::Directive::Approval { text, .. } => Some(text),
            _ => None,
        });
        let asked = asks.enumerate().find(|(n, _)| Question::id_of(&work.run, n + 1) == question);
        let Some((_, subject)) = asked else {
            let detail = format!("the gateway asked nothing like {question}");
            return Err(AdapterFault(Trouble { code: TroubleCode::ApprovalUnknown, detail }));
        };
        let answer = Answered { vote, by: ResolvedBy::Peer, at: self.clock.now() };
        let stands = self.ledger.answer(question, subject, answer);
        let stands = stands.map_err(|error| fault(&work.run, &error))?;
        self.stops.send_replace(());
        Ok(stands.decided(question))
    }
}
