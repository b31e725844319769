//! The executor's run: from a bound key to exactly one sealed terminal.
//!
//! ```text
//!                 ┌─────────────┐  Intended   ┌─────────┐  Settled report   ┌─────────┐
//!  admission ───▶ │ AwaitIntent │ ──────────▶ │ Running │ ────────────────▶ │ Settled │
//!                 └─────────────┘             └─────────┘  GraceOver        └─────────┘
//!                        │  NotIntended, Stop                                    ▲
//!                        └───────────────────────────────────────────────────────┘
//! ```
//!
//! | state | Claim | Intended | NotIntended | Reports | Accounted | Stop | GraceOver | Ceased |
//! |---|---|---|---|---|---|---|---|---|
//! | AwaitIntent | Intend | Running, Start | Settled failed | — | used up: Settled, no effects | Settled, no effects | Settled expired | — |
//! | Running | Adopt (and Stop) | — | — | frames; Settled with the last | exceeded: Stop | Stop | Settled, effects unknown; lingers | — |
//! | Settled | — | — | — | — | — | — | — | lingers no more |
//!
//! Where the run's end is not its gateway's (too many frames, or the grace is over), the run *lingers*:
//! the gateway may go on with it, and is asked to stop until it has. That duty is in the row, so it
//! outlives the process.
//!
//! A run that names a session is given an intent only when no earlier run of the session is open; the
//! commit of the intent checks it.
//!
//! The gateway is asked only after the intent is durable, and at most once: a run that is found in
//! `Running` after a crash is looked for, never started again. The reason to stop is recorded before the
//! gateway is asked to, because its answers to a cancel, a deadline and a timeout look alike.
//!
//! On a full disk a run can still be claimed, stopped and settled, each at most once for a process; it
//! can neither start nor report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use landbridge_planted::planted;

use super::budget::{Budget, Day, Spent};
use super::chain::Chain;
use super::contract::{AuditEvent, Guard, RunPhase, RunRow, SessionRow, StopRow, Write};
use super::framing::{Framing, Lines};
use super::report::{Ending, Report, SideEffects, StopReason, Trouble, TroubleCode, Usage};
use super::step::Step;
use crate::wire::approval::ApprovalRule;
use crate::wire::document::Disclose;
use crate::wire::name::{AgentName, SessionHandle, Timestamp};
use crate::wire::problem::{Code, Problem};
use crate::wire::stream::{By, Event, Outcome, Rest, Terminal};

/// What a grant fixed for a run when it was admitted; later changes of the grant do not reach it.
//= STR-41
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// The agent.
    pub agent: AgentName,
    /// What is needed when the run's gateway asks for a person's approval; `None`: it is denied.
    #[serde(default)]
    pub approval: Option<ApprovalRule>,
    /// What frames may show.
    pub disclose: Disclose,
    /// Frames at most, the terminal included.
    pub frames_max: u64,
    /// Frame bytes at most, the terminal not counted.
    pub bytes_max: u64,
    /// On whose behalf the caller asked, as it vouches.
    #[serde(default)]
    pub principal: String,
    /// The caller's own id, echoed in `started`.
    pub remote_run_id: Option<String>,
    /// What the owner may spend in a day, all of its runs together.
    #[serde(default)]
    pub day_budget: Budget,
    /// What the run may spend itself, as its caller asked.
    #[serde(default)]
    pub run_budget: Budget,
}

/// What happened to a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Input {
    /// A bridge begins to drive the run, in a new epoch.
    Claim {
        /// Higher than any before.
        epoch: u64,
    },
    /// The adapter chose the names under which the gateway will know the run.
    Intended(String),
    /// The gateway cannot be asked; nothing was started.
    NotIntended(Trouble),
    /// The adapter reported.
    Reports(Vec<Report>),
    /// What the run's owner spent today, this run's bookings included: read after they were durable.
    Accounted(Spent),
    /// The run is to be stopped.
    Stop(StopReason),
    /// The deadline and its grace have passed.
    GraceOver,
    /// The gateway is not at the run any more, or cannot be made to stop it.
    Ceased,
}

/// What may be done once the step is durable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Ask the adapter for an intent.
    Intend,
    /// Ask the gateway to start the work. Never given twice for a run.
    Start {
        /// The durable intent.
        intent: String,
    },
    /// Look for the work of an earlier process.
    Adopt {
        /// The durable intent.
        intent: String,
    },
    /// Ask the gateway to stop the work.
    Stop {
        /// The durable intent.
        intent: String,
        /// The recorded reason.
        reason: StopReason,
    },
    /// New frames may be sealed and sent.
    Publish,
    /// The run has its terminal; nothing more will come.
    Finish,
}

/// What came of an input.
#[derive(Debug)]
pub enum Handled {
    /// A decision, to be committed.
    Step(Step<(Executor, Vec<Action>)>),
    /// The input says nothing new in this state.
    Ignored(Executor),
}

/// One run, as its driver holds it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Executor {
    row: RunRow,
    terms: Terms,
}

/// A stored run whose terms cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the terms of a stored run cannot be read")]
pub struct UnreadableTerms(#[source] serde_json::Error);

impl Executor {
    /// The run of a stored row.
    ///
    /// # Errors
    ///
    /// [`UnreadableTerms`] when the row was not written by this software.
    pub fn read(row: RunRow) -> Result<Self, UnreadableTerms> {
        let terms = serde_json::from_str(&row.terms).map_err(UnreadableTerms)?;
        Ok(Self { row, terms })
    }

    /// The row, as it is stored once the last step is durable.
    #[must_use]
    pub const fn row(&self) -> &RunRow {
        &self.row
    }

    /// What its grant fixed for it.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// A budget applies to the run, so its driver has to say what was spent ([`Input::Accounted`]):
    /// once it drives the run, and whenever the run's bookings grew.
    #[must_use]
    pub const fn is_budgeted(&self) -> bool {
        self.terms.day_budget.is_limited() || self.terms.run_budget.is_limited()
    }

    /// Decides what an input means.
    #[must_use]
    pub fn handle(self, now: Timestamp, input: Input) -> Handled {
        match (self.row.phase, input) {
            (RunPhase::Settled, Input::Stop(reason)) if planted!("ends_twice") => {
                Handled::Step(self.end(now, End::stopped(reason, SideEffects::None), Vec::new()))
            }
            (RunPhase::Settled, Input::Ceased) if self.row.lingers => {
                Handled::Step(self.cease(now))
            }
            (RunPhase::Settled, _)
            | (_, Input::Ceased)
            | (RunPhase::AwaitIntent, Input::Reports(_))
            | (RunPhase::Running, Input::Intended(_) | Input::NotIntended(_)) => {
                Handled::Ignored(self)
            }
            (_, Input::Claim { epoch }) => Handled::Step(self.claim(epoch)),
            (RunPhase::AwaitIntent, Input::Intended(intent)) => Handled::Step(self.start(intent)),
            (RunPhase::AwaitIntent, Input::NotIntended(trouble)) => {
                let end = End::failed(trouble, SideEffects::None);
                Handled::Step(self.end(now, end, Vec::new()))
            }
            (_, Input::Accounted(today)) => self.account(now, today),
            //= REQ-49
            (RunPhase::AwaitIntent, Input::Stop(reason)) => {
                let end = End::stopped(reason, SideEffects::None);
                Handled::Step(self.end(now, end, Vec::new()))
            }
            (RunPhase::AwaitIntent, Input::GraceOver) => {
                let end = End::stopped(StopReason::Deadline, SideEffects::None);
                Handled::Step(self.end(now, end, Vec::new()))
            }
            (RunPhase::Running, Input::Reports(reports)) => self.report(now, reports),
            (RunPhase::Running, Input::Stop(reason)) => Handled::Step(self.stop(now, reason)),
            (RunPhase::Running, Input::GraceOver) if planted!("grace_without_end") => {
                Handled::Ignored(self)
            }
            (RunPhase::Running, Input::GraceOver) => {
                //= STR-27
                //= REQ-72
                let end = End::stopped(StopReason::Deadline, SideEffects::Unknown);
                Handled::Step(self.end_before_gateway(now, end, StopReason::Deadline))
            }
        }
    }

    fn claim(self, epoch: u64) -> Step<(Self, Vec<Action>)> {
        let actions = match (&self.row.intent, &self.row.stop) {
            (Some(intent), _) if planted!("starts_again") => {
                vec![Action::Start { intent: intent.clone() }]
            }
            //= REQ-26
            (Some(intent), stop) => {
                let adopt = Action::Adopt { intent: intent.clone() };
                let stop = stop
                    .as_ref()
                    .map(|stop| Action::Stop { intent: intent.clone(), reason: stop.reason });
                [adopt].into_iter().chain(stop).collect()
            }
            (None, _) => vec![Action::Intend],
        };
        let row = RunRow { epoch, ..self.row.clone() };
        // Whoever cannot take a run up cannot end it either.
        self.put(row, Vec::new(), actions).with_reserve()
    }

    fn start(self, intent: String) -> Step<(Self, Vec<Action>)> {
        //= REQ-26
        let row =
            RunRow { phase: RunPhase::Running, intent: Some(intent.clone()), ..self.row.clone() };
        //= REQ-48
        let next = Guard::NextInSession { run: self.row.run.clone() };
        self.put(row, Vec::new(), vec![Action::Start { intent }]).guarded([next])
    }

    fn stop(self, now: Timestamp, reason: StopReason) -> Step<(Self, Vec<Action>)> {
        //= REQ-33
        //= REQ-71
        let stop = self.row.stop.clone().unwrap_or(StopRow { reason, at: now });
        let reason = stop.reason;
        let intent = self.row.intent.clone().unwrap_or_default();
        let audit = self.audit(now, "run_stop_requested", [("reason", reason.as_str())]);
        let row = RunRow { stop: Some(stop), ..self.row.clone() };
        self.put(row, vec![audit], vec![Action::Stop { intent, reason }]).with_reserve()
    }

    /// Stops what goes beyond its budget, and does not begin what has none left.
    //= REQ-57
    fn account(self, now: Timestamp, today: Spent) -> Handled {
        let Terms { day_budget, run_budget, .. } = &self.terms;
        let begun = self.row.phase == RunPhase::Running;
        let over = day_budget.is_exceeded(today) || run_budget.is_exceeded(self.row.booked);
        if begun && over && self.row.stop.is_none() && !planted!("over_budget_goes_on") {
            return Handled::Step(self.stop(now, StopReason::Budget));
        }
        if !begun && day_budget.is_used_up(today) {
            let end = End::stopped(StopReason::Budget, SideEffects::None);
            return Handled::Step(self.end(now, end, Vec::new()));
        }
        Handled::Ignored(self)
    }

    /// Takes the usage that reports tell into the row, and gives the write that adds what is new of it
    /// to the owner's day. Frames that find no place do not undo what was spent.
    //= REQ-55
    fn book(&mut self, now: Timestamp, reports: &[Report]) -> Option<Write> {
        let before = self.row.booked;
        for report in reports {
            let (usage, last) = match report {
                Report::Usage(usage) => (Some(usage), false),
                Report::Settled { usage, .. } => (usage.as_ref(), true),
                _ => (None, false),
            };
            let told = usage.map(Spent::of).unwrap_or_default();
            self.row.booked = self.row.booked.plus(told.beyond(self.row.booked));
            if last {
                break;
            }
        }
        let spent = self.row.booked.beyond(before);
        let owner = self.row.owner.clone();
        (!spent.is_nothing()).then(|| Write::BookUsage { owner, day: Day::of(now), spent })
    }

    fn report(mut self, now: Timestamp, reports: Vec<Report>) -> Handled {
        let booking = self.book(now, &reports);
        let mut lines = Lines::after(Chain::stored(self.row.seq, self.row.head));
        let framing = self.framing();
        let mut bind = None;
        for report in reports {
            if let Report::Started { session, .. } = &report {
                //= REQ-46
                bind = Some(self.bind(session.clone()));
            }
            if let Report::Settled { ending, result, trouble, usage, side_effects } = report {
                let end = self.ending(ending, trouble, side_effects).with(result, usage);
                let ended = self.end_after(now, end, lines, Vec::new());
                return Handled::Step(ended.with(booking).with(bind));
            }
            for event in framing.events(report) {
                if lines.push(&event).is_err() {
                    let detail = "an event was too large for a frame and is left out";
                    let left_out = Problem::new(Code::TooLarge).with_detail(detail);
                    // A problem of fixed size always fits; if it did not, leaving it out is right too.
                    let _ = lines.push(&Event::Error(left_out));
                }
            }
            if self.is_over_budget(&lines) {
                return Handled::Step(self.over_budget(now).with(booking));
            }
        }
        if lines.lines.is_empty() {
            return Handled::Ignored(self);
        }
        Handled::Step(self.append(lines).with(booking).with(bind))
    }

    /// The session is the run's from the frame on that tells its handle.
    fn bind(&self, session: SessionHandle) -> Write {
        let (run, owner) = (self.row.run.clone(), self.row.owner.clone());
        Write::BindSession(SessionRow { run, owner, agent: self.terms.agent.clone(), session })
    }

    fn is_over_budget(&self, lines: &Lines) -> bool {
        //= STR-4
        lines.chain.seq() >= self.terms.frames_max
            || self.row.bytes + lines.bytes > self.terms.bytes_max
    }

    /// Ends the run without the frames that went over; the terminal has a place of its own.
    fn over_budget(self, now: Timestamp) -> Step<(Self, Vec<Action>)> {
        let problem = Problem::new(Code::BudgetExceeded)
            .with_detail("the run produced more frames or bytes than its grant allows")
            .with_side_effects(SideEffects::Possible);
        let end = End::new(Outcome::Failed, Some(problem), SideEffects::Possible);
        self.end_before_gateway(now, end, StopReason::Budget)
    }

    /// Ends a run that the gateway may still be at. The first recorded reason to stop it stays.
    //= REQ-74
    fn end_before_gateway(
        mut self,
        now: Timestamp,
        end: End,
        reason: StopReason,
    ) -> Step<(Self, Vec<Action>)> {
        //= REQ-33
        let reason = self.row.stop.get_or_insert(StopRow { reason, at: now }).reason;
        self.row.lingers = !planted!("forgets_to_stop");
        let intent = self.row.intent.clone().unwrap_or_default();
        self.end(now, end, vec![Action::Stop { intent, reason }])
    }

    /// The gateway is done with a run that lingered.
    fn cease(self, now: Timestamp) -> Step<(Self, Vec<Action>)> {
        let audit = self.audit(now, "run_ceased", []);
        let row = RunRow { lingers: false, ..self.row.clone() };
        self.put(row, vec![audit], Vec::new())
    }

    fn append(self, lines: Lines) -> Step<(Self, Vec<Action>)> {
        let row = self.row_after(&lines);
        let frames = self.frames(lines);
        self.put(row, vec![frames], vec![Action::Publish])
    }

    /// Which end a gateway's own ending is, given the recorded reason to stop.
    //= STR-33
    fn ending(&self, ending: Ending, trouble: Option<Trouble>, effects: SideEffects) -> End {
        let reason = self.row.stop.as_ref().map(|stop| stop.reason);
        match (ending, reason) {
            (Ending::Succeeded, _) => End::new(Outcome::Succeeded, None, effects),
            //= REQ-44
            (Ending::Failed, Some(_)) if let Some(trouble) = own_failure(trouble.as_ref()) => {
                End::failed(trouble, effects)
            }
            (Ending::Cancelled | Ending::Failed | Ending::Expired, Some(reason)) => {
                End::stopped(reason, effects)
            }
            (Ending::Cancelled, None) => {
                let detail = "the run was stopped at the executor's gateway";
                let problem = Problem::new(Code::Cancelled).with_detail(detail);
                End::new(Outcome::Cancelled, Some(problem.with_side_effects(effects)), effects)
            }
            (Ending::Expired, None) => End::stopped(StopReason::Deadline, effects),
            (Ending::Failed, None) => {
                let unknown = || Trouble {
                    code: TroubleCode::GatewayError,
                    detail: "the executor's gateway ended the run without a reason".to_owned(),
                };
                End::failed(trouble.unwrap_or_else(unknown), effects)
            }
        }
    }

    fn end(self, now: Timestamp, end: End, actions: Vec<Action>) -> Step<(Self, Vec<Action>)> {
        let lines = Lines::after(Chain::stored(self.row.seq, self.row.head));
        self.end_after(now, end, lines, actions)
    }

    fn end_after(
        self,
        now: Timestamp,
        end: End,
        mut lines: Lines,
        mut actions: Vec<Action>,
    ) -> Step<(Self, Vec<Action>)> {
        //= STR-26
        let outcome = end.outcome;
        let (result, rest) = self.framing().result(end.result);
        let terminal = |result, rest| {
            Event::Terminal(Terminal {
                outcome,
                by: By::Executor,
                side_effects: end.side_effects,
                result,
                rest,
                problem: end.problem.clone(),
                usage: end.usage.clone(),
            })
        };
        if lines.push(&terminal(result, rest)).is_err() {
            // Usage beyond the contract's integers is the one way here; the end itself always fits.
            let bare = Terminal {
                outcome,
                by: By::Executor,
                side_effects: end.side_effects,
                result: None,
                rest: Rest::default(),
                problem: end.problem.clone(),
                usage: None,
            };
            let _ = lines.push(&Event::Terminal(bare));
        }
        let row = RunRow {
            phase: RunPhase::Settled,
            outcome: Some(outcome.as_str().to_owned()),
            ended: Some(now),
            ..self.row_after(&lines)
        };
        let code = end.problem.as_ref().map_or("none", |problem| problem.code_text());
        let audit = self.audit(now, "run_ended", [("outcome", outcome.as_str()), ("code", code)]);
        let frames = self.frames(lines);
        actions.extend([Action::Publish, Action::Finish]);
        self.put(row, vec![frames, audit], actions).with_reserve()
    }

    fn row_after(&self, lines: &Lines) -> RunRow {
        RunRow {
            seq: lines.chain.seq(),
            head: lines.chain.head(),
            bytes: self.row.bytes + lines.bytes,
            ..self.row.clone()
        }
    }

    fn frames(&self, lines: Lines) -> Write {
        Write::AppendFrames {
            run: self.row.run.clone(),
            first: self.row.seq + 1,
            lines: lines.lines,
        }
    }

    fn put(
        self,
        row: RunRow,
        mut writes: Vec<Write>,
        actions: Vec<Action>,
    ) -> Step<(Self, Vec<Action>)> {
        let guard = Guard::Run {
            run: self.row.run.clone(),
            epoch: self.row.epoch,
            revision: self.row.revision,
        };
        let stored = RunRow { revision: row.revision + 1, ..row.clone() };
        writes.push(Write::PutRun(row));
        Step::new(vec![guard], writes, (Self { row: stored, terms: self.terms }, actions))
    }

    fn framing(&self) -> Framing<'_> {
        Framing {
            disclose: &self.terms.disclose,
            agent: &self.terms.agent,
            remote_run_id: self.terms.remote_run_id.as_ref(),
        }
    }

    fn audit<const N: usize>(
        &self,
        now: Timestamp,
        deed: &str,
        detail: [(&str, &str); N],
    ) -> Write {
        let detail = detail.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Write::Audit(AuditEvent {
            at: now,
            actor: "bridge".to_owned(),
            deed: deed.to_owned(),
            subject: self.row.run.to_string(),
            detail: BTreeMap::from(detail),
        })
    }
}

/// A failure that no stop can have caused: it is what happened, whoever had asked for an end meanwhile.
fn own_failure(trouble: Option<&Trouble>) -> Option<Trouble> {
    let own = |code| matches!(code, TroubleCode::ToolError | TroubleCode::Interrupted);
    trouble.filter(|trouble| own(trouble.code)).cloned()
}

/// A decided end, before disclosure.
struct End {
    outcome: Outcome,
    problem: Option<Problem>,
    side_effects: SideEffects,
    result: Option<String>,
    usage: Option<Usage>,
}

impl End {
    const fn new(outcome: Outcome, problem: Option<Problem>, side_effects: SideEffects) -> Self {
        Self { outcome, problem, side_effects, result: None, usage: None }
    }

    fn failed(trouble: Trouble, side_effects: SideEffects) -> Self {
        let problem = Problem::new(trouble.code.code()).with_detail(trouble.detail);
        Self::new(Outcome::Failed, Some(problem.with_side_effects(side_effects)), side_effects)
    }

    fn stopped(reason: StopReason, side_effects: SideEffects) -> Self {
        let (outcome, code) = match reason {
            //= ID-62
            //= ID-65
            StopReason::Cancel | StopReason::Revoked | StopReason::Halt => {
                (Outcome::Cancelled, Code::Cancelled)
            }
            StopReason::Deadline => (Outcome::Expired, Code::DeadlineExceeded),
            StopReason::Budget => (Outcome::Failed, Code::BudgetExceeded),
        };
        let mut problem = Problem::new(code).with_side_effects(side_effects);
        let detail = match reason {
            StopReason::Budget => Some("a limit of the grant or of the request is used up"),
            StopReason::Revoked => Some("the executor revoked the caller"),
            StopReason::Halt => Some("the executor's operator halted its bridge"),
            StopReason::Cancel | StopReason::Deadline => None,
        };
        if let Some(detail) = detail {
            problem = problem.with_detail(detail);
        }
        Self::new(outcome, Some(problem), side_effects)
    }

    fn with(self, result: Option<String>, usage: Option<Usage>) -> Self {
        Self { result, usage, ..self }
    }
}
