//! Drives the runs that this bridge executes: one task for each, one step in flight at a time.
//!
//! A driver never waits inside a commit for anything else: what arrives meanwhile forms the next
//! batch. It asks the adapter only what a released action says, so nothing reaches the gateway before
//! its intent is durable.
//!
//! On a full disk a step that cannot be made is kept as what it was decided on, and decided again when
//! there is room. Meanwhile the driver listens: what ends the run may have room that other steps have
//! not.
//!
//! A bridge that stops leaves its runs where they are, and the next process takes them up. Between the
//! durable intent and the gateway's taking of the work there is nothing to take up, so a driver that is
//! just there stays for a moment (`handover`).

mod cut;
mod handover;
mod linger;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use landbridge_proto::machine::budget::{Day, Spent};
use landbridge_proto::machine::contract::{RunPhase, RunRow};
use landbridge_proto::machine::executor::{Action, Executor, Handled, Input};
use landbridge_proto::machine::report::{
    Ending, Report, SideEffects, StopReason, Trouble, TroubleCode,
};
use landbridge_proto::machine::step::Step;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::RunId;
use tokio::sync::{Notify, mpsc, oneshot};

use self::handover::Handover;
pub(crate) use self::linger::take_up as take_up_lingering;
use crate::adapter::{Hold, Intent, Stopped, Work};
use crate::approvals::{self, Questions, adapter_for};
use crate::core::{Core, StepError};
use crate::progress::progress_of;
use crate::room;
use crate::seats::{Seat, Seats, Waits};
use crate::turns;

/// Reports that wait for a driver: more than one batch, so that a commit does not stall the adapter.
const REPORTS_QUEUED: usize = 256;
/// Reports of one step at most.
const REPORTS_PER_STEP: usize = 64;
/// Between two questions to a gateway that could not be asked to stop a run, in milliseconds.
const STOP_RETRY_MS: i64 = 1_000;
/// How often reports are put into words anew because a question changed.
const STALE_MAX: usize = 16;

/// The drivers of open runs, by run.
#[derive(Debug, Default)]
pub struct Executions {
    drivers: Mutex<BTreeMap<RunId, Driven>>,
    left: Notify,
    seats: Arc<Seats>,
}

/// One run that has a driver.
#[derive(Clone, Debug)]
struct Driven {
    inbox: mpsc::Sender<Told>,
    /// What the gateway was asked to do, while it was not asked to stop it.
    begun: Begun,
}

/// Work that the gateway was asked for and not yet asked to stop.
type Begun = Arc<Mutex<Option<(Work, Intent)>>>;

/// What a driver is told, and whom it tells once that is durable.
#[derive(Debug)]
struct Told {
    input: Input,
    durable: Option<oneshot::Sender<()>>,
}

impl Executions {
    /// Who holds how many places for runs.
    #[must_use]
    pub const fn seats(&self) -> &Arc<Seats> {
        &self.seats
    }

    /// Waits until no run is driven any more.
    pub async fn all_left(&self) {
        loop {
            let left = self.left.notified();
            if self.drivers().is_empty() {
                return;
            }
            left.await;
        }
    }

    /// How many runs have a driver that has not left yet: also of runs that have just ended.
    #[must_use]
    pub fn driven(&self) -> usize {
        self.drivers().len()
    }

    fn drivers(&self) -> MutexGuard<'_, BTreeMap<RunId, Driven>> {
        self.drivers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to drive a run, in the place that was taken for it.
    pub fn drive(self: &Arc<Self>, core: &Arc<Core>, row: RunRow, seat: Seat) {
        let (sender, inbox) = mpsc::channel(16);
        let run = row.run.clone();
        let begun = Begun::default();
        let told = Driven { inbox: sender.clone(), begun: Arc::clone(&begun) };
        self.drivers().insert(run.clone(), told);
        let (core, executions, driven) = (Arc::clone(core), Arc::clone(self), run.clone());
        let driving = tokio::spawn(async move {
            let ended = match Executor::read(row) {
                Ok(executor) => {
                    let driver = Driver { begun, ..Driver::new(&core, &executor, sender, seat) };
                    driver.run(executor, inbox).await
                }
                Err(error) => Err(DriveError::Unreadable(error.to_string())),
            };
            if let Err(error) = ended {
                tracing::error!(%run, %error, "a run is not driven any more until the next start");
            }
        });
        tokio::spawn(async move {
            // A panic in one driver ends that driver only; its run is taken up at the next start.
            if let Err(error) = driving.await {
                tracing::error!(run = %driven, %error, "a run's driver failed");
            }
            executions.drivers().remove(&driven);
            executions.left.notify_waiters();
        });
    }

    /// Tells a run's driver to stop it, and waits until that is durable: whoever is answered after it
    /// may forget that it asked. `false` when the run is not driven, or not any more.
    pub async fn stop(&self, run: &RunId, reason: StopReason) -> bool {
        let driven = self.drivers().get(run).cloned();
        let Some(Driven { inbox: sender, .. }) = driven else { return false };
        let (durable, recorded) = oneshot::channel();
        let told = Told { input: Input::Stop(reason), durable: Some(durable) };
        sender.send(told).await.is_ok() && recorded.await.is_ok()
    }
}

#[derive(Debug, thiserror::Error)]
enum DriveError {
    #[error("the stored run cannot be read: {0}")]
    Unreadable(String),
    #[error("the step was not made")]
    Step(#[from] StepError),
}

struct Driver {
    core: Arc<Core>,
    work: Option<Work>,
    inbox: mpsc::Sender<Told>,
    waits: Waits,
    reports: Option<mpsc::Receiver<Report>>,
    deadline_told: bool,
    /// The run was told to stop by order of this side.
    ordered: bool,
    begun: Begun,
    /// What found no room, in the order in which it came.
    roomless: VecDeque<Told>,
    /// The run was told that it cannot be stopped: once is enough, however often it is cancelled.
    goes_on_told: Arc<AtomicBool>,
    handover: Handover,
    questions: Questions,
    /// Free for the next run as soon as this one has its terminal.
    seat: Option<Seat>,
}

/// What a driver waited for.
enum Next {
    Input(Input),
    /// There may be room for what waits.
    Again,
    Told(Told),
    /// The adapter stopped watching although the run has not settled.
    Unwatched,
    Leave,
}

impl Driver {
    fn new(core: &Arc<Core>, executor: &Executor, inbox: mpsc::Sender<Told>, seat: Seat) -> Self {
        let work = serde_json::from_str(&executor.row().work).ok();
        Self {
            core: Arc::clone(core),
            work,
            inbox,
            waits: seat.waits(),
            reports: None,
            deadline_told: false,
            ordered: false,
            begun: Begun::default(),
            roomless: VecDeque::new(),
            goes_on_told: Arc::default(),
            handover: Handover::default(),
            questions: Questions::default(),
            seat: Some(seat),
        }
    }

    async fn run(
        mut self,
        executor: Executor,
        mut inbox: mpsc::Receiver<Told>,
    ) -> Result<(), DriveError> {
        let unreadable = || DriveError::Unreadable("its work".to_owned());
        self.work.as_ref().ok_or_else(unreadable)?;
        let mut executor = self.claim(executor).await?;
        // A crash may have come between a booking and the stop that it called for.
        executor = self.account(executor).await?;
        while executor.row().phase != RunPhase::Settled {
            match self.next(&executor, &mut inbox).await {
                Next::Input(input) => {
                    executor = self.handle(executor, Told { input, durable: None }).await?;
                }
                Next::Told(told) => executor = self.handle(executor, told).await?,
                Next::Again => {
                    for told in std::mem::take(&mut self.roomless) {
                        executor = self.handle(executor, told).await?;
                    }
                }
                Next::Unwatched => {
                    let intent = executor.row().intent.clone().unwrap_or_default();
                    let at = self.core.now().plus_ms(STOP_RETRY_MS);
                    tokio::select! {
                        () = self.core.stopping.cancelled() => return Ok(()),
                        () = self.core.clock.sleep_until(at) => self.adopt(executor.row(), &intent),
                    }
                }
                Next::Leave => return Ok(()),
            }
        }
        Ok(())
    }

    /// Takes the run up. Nothing else can be done of it before.
    async fn claim(&mut self, mut executor: Executor) -> Result<Executor, DriveError> {
        loop {
            let claim = Input::Claim { epoch: self.core.epoch };
            executor = self.handle(executor, Told { input: claim, durable: None }).await?;
            if self.roomless.pop_front().is_none() || self.core.stopping.is_cancelled() {
                return Ok(executor);
            }
            room::wait(&self.core).await;
        }
    }

    async fn next(&mut self, executor: &Executor, inbox: &mut mpsc::Receiver<Told>) -> Next {
        let deadline = executor.row().deadline;
        let grace_over = deadline.plus_ms(limit::DEADLINE_GRACE_MS);
        let until = if self.deadline_told { grace_over } else { deadline };
        let core = Arc::clone(&self.core);
        let (ending, place) = (self.waits_to_end(), self.has_place_for_reports());
        tokio::select! {
            biased;
            () = self.handover.may_leave(&core) => {
                // What was reported before the hold was let go may be the end that nobody can learn later.
                self.reported().map_or(Next::Leave, |reports| Next::Input(Input::Reports(reports)))
            }
            //= ID-40
            () = core.trust.halted().cancelled() => Next::Leave,
            reason = core.until_must_stop(&executor.row().owner.caller), if !self.ordered => {
                self.ordered = true;
                Next::Input(Input::Stop(reason))
            }
            told = inbox.recv() => told.map_or(Next::Leave, Next::Told),
            () = room::wait(&core), if !self.roomless.is_empty() => Next::Again,
            () = core.clock.sleep_until(until), if !ending => {
                if std::mem::replace(&mut self.deadline_told, true) {
                    Next::Input(Input::GraceOver)
                } else {
                    Next::Input(Input::Stop(StopReason::Deadline))
                }
            }
            reports = receive(&mut self.reports), if place => match reports {
                Some(reports) => Next::Input(Input::Reports(reports)),
                None => {
                    self.reports = None;
                    Next::Unwatched
                }
            },
        }
    }

    /// Makes a step of what the driver was told, and stops the run when that used up its budget.
    async fn handle(&mut self, executor: Executor, told: Told) -> Result<Executor, DriveError> {
        let booked = executor.row().booked;
        let executor = self.make(executor, told).await?;
        let spent = executor.row().booked.beyond(booked);
        if spent.is_nothing() {
            return Ok(executor);
        }
        metrics::counter!(crate::observe::SPENT_TOKENS).increment(spent.tokens);
        metrics::counter!(crate::observe::SPENT_COST).increment(spent.cost_micro_usd);
        self.account(executor).await
    }

    /// Makes a step of what the driver was told, or keeps it for when there is room.
    async fn make(&mut self, executor: Executor, told: Told) -> Result<Executor, DriveError> {
        let input = match told.input {
            Input::Reports(more) => Input::Reports(self.waiting_reports().chain(more).collect()),
            // What was decided before the order is not begun after it.
            Input::Intended(intent) => match self.core.must_stop(&executor.row().owner.caller) {
                Some(reason) => Input::Stop(reason),
                None => Input::Intended(intent),
            },
            other => other,
        };
        let run = executor.row().run.clone();
        match self.step(executor, input.clone()).await {
            Ok(executor) => {
                if let Some(durable) = told.durable {
                    // Whoever asked may be gone.
                    let _ = durable.send(());
                }
                Ok(executor)
            }
            Err(DriveError::Step(StepError::Full)) => {
                // Whoever waits is told that it is not durable: it asks again.
                self.roomless.push_back(Told { input, durable: None });
                let row = self.core.store.reads().run(&run).map_err(StepError::Store)?;
                let row =
                    row.ok_or_else(|| DriveError::Unreadable("its row is gone".to_owned()))?;
                Executor::read(row).map_err(|error| DriveError::Unreadable(error.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    /// Takes the reports that wait. What was reported is one sequence: the later goes with the earlier.
    fn waiting_reports(&mut self) -> impl Iterator<Item = Report> + use<> {
        let at = self.roomless.iter().position(|told| matches!(told.input, Input::Reports(_)));
        let told = at.and_then(|at| self.roomless.remove(at));
        let reports = told.and_then(|told| match told.input {
            Input::Reports(reports) => Some(reports),
            _ => None,
        });
        reports.into_iter().flatten()
    }

    /// Whether further reports may be taken: what waits is bounded, and then the adapter waits too.
    fn has_place_for_reports(&self) -> bool {
        let waiting = |told: &Told| match &told.input {
            Input::Reports(reports) => reports.len(),
            _ => 0,
        };
        self.roomless.iter().map(waiting).sum::<usize>() < REPORTS_PER_STEP
    }

    /// Whether the run would be stopped or ended already if there were room.
    fn waits_to_end(&self) -> bool {
        self.roomless.iter().any(|told| matches!(told.input, Input::Stop(_) | Input::GraceOver))
    }

    /// Reports that wait; `None` when there are none.
    fn reported(&mut self) -> Option<Vec<Report>> {
        let reports = self.reports.as_mut()?;
        let waiting = std::iter::from_fn(|| reports.try_recv().ok()).take(REPORTS_PER_STEP);
        Some(waiting.collect::<Vec<_>>()).filter(|waiting| !waiting.is_empty())
    }

    async fn step(&mut self, executor: Executor, input: Input) -> Result<Executor, DriveError> {
        let Input::Reports(reports) = &input else { return self.decide(executor, input).await };
        // A question's row may change meanwhile: then it is put into words anew.
        for _ in 0..STALE_MAX {
            let done = self.questions.translate(&self.core, &executor, reports);
            let Some(mut done) = done.map_err(StepError::Store)? else { break };
            let told = Input::Reports(std::mem::take(&mut done.reports));
            let step = match executor.clone().handle(self.core.now(), told) {
                Handled::Step(step) => step,
                Handled::Ignored(same) => Step::new(Vec::new(), Vec::new(), (same, Vec::new())),
            };
            let (guards, writes) = (done.guards.clone(), done.writes.clone());
            match self.finish(step.guarded(guards).with(writes)).await {
                Err(DriveError::Step(StepError::Stale(_))) => {}
                Err(error) => return Err(error),
                Ok(executor) => {
                    self.questions.made(&self.core, done);
                    return Ok(executor);
                }
            }
        }
        self.decide(executor, input).await
    }

    async fn decide(&mut self, executor: Executor, input: Input) -> Result<Executor, DriveError> {
        match executor.handle(self.core.now(), input) {
            Handled::Step(step) => self.finish(step).await,
            Handled::Ignored(executor) => Ok(executor),
        }
    }

    async fn finish(
        &mut self,
        step: Step<(Executor, Vec<Action>)>,
    ) -> Result<Executor, DriveError> {
        let (executor, actions) = self.core.commit(step).await?;
        if executor.row().phase == RunPhase::Settled {
            // Before anybody can read the terminal and ask for the next run.
            self.seat = None;
        }
        for action in actions {
            self.act(executor.row(), action);
        }
        if executor.row().phase == RunPhase::Settled
            && let Err(error) = approvals::close_of(&self.core, &executor.row().run).await
        {
            // Whoever looks after open questions closes them later.
            tracing::warn!(run = %executor.row().run, %error, "a run's questions are open still");
        }
        Ok(executor)
    }

    /// Tells the run what its owner spent today, where a budget applies. What cannot be read is as if
    /// nothing was left: a run that cannot be accounted for is not paid for.
    //= REQ-57
    async fn account(&mut self, executor: Executor) -> Result<Executor, DriveError> {
        if !executor.is_budgeted() {
            return Ok(executor);
        }
        let day = Day::of(self.core.now());
        let today = match self.core.store.reads().spent(&executor.row().owner, day) {
            Ok(today) => today,
            Err(fault) => {
                tracing::error!(run = %executor.row().run, %fault, "a day's use cannot be read");
                Spent { tokens: u64::MAX, cost_micro_usd: u64::MAX }
            }
        };
        self.make(executor, Told { input: Input::Accounted(today), durable: None }).await
    }

    fn act(&mut self, row: &RunRow, action: Action) {
        match action {
            Action::Intend => self.intend(),
            Action::Start { intent } => self.start(row, &intent),
            Action::Adopt { intent } => self.adopt(row, &intent),
            Action::Stop { intent, reason } => self.stop(row, &intent, reason),
            Action::Publish => self.core.wakes.wake(&row.run),
            Action::Finish => metrics::counter!(
                crate::observe::RUNS_EXECUTED,
                "outcome" => row.outcome.clone().unwrap_or_default()
            )
            .increment(1),
        }
    }

    fn intend(&self) {
        let Some(work) = self.work.clone() else { return };
        let (core, inbox) = (Arc::clone(&self.core), self.inbox.clone());
        let waits = self.waits.clone();
        tokio::spawn(async move {
            tokio::select! {
                // Settled while it waited, or left to another process.
                () = inbox.closed() => return,
                () = turns::come(&core, &work.run, &waits) => {}
            }
            let input = match adapter_for(&core, &work).intend(&work).await {
                Ok(intent) => Input::Intended(intent.0.to_string()),
                Err(fault) => Input::NotIntended(fault.0),
            };
            // The driver may have settled the run meanwhile; then nobody needs the intent.
            let _ = inbox.send(Told { input, durable: None }).await;
        });
    }

    fn start(&mut self, row: &RunRow, intent: &str) {
        let Some((work, intent)) = self.work.clone().zip(read_intent(intent)) else { return };
        let adapter = adapter_for(&self.core, &work);
        let (reports, received) = mpsc::channel(REPORTS_QUEUED);
        self.reports = Some(received);
        if self.core.must_stop(&row.owner.caller).is_some() {
            // Ordered while its intent was made durable: the gateway never hears of it.
            let _ = reports.try_send(Report::Settled {
                ending: Ending::Cancelled,
                result: None,
                trouble: None,
                usage: None,
                side_effects: SideEffects::None,
            });
            return;
        }
        self.begins(&work, &intent);
        crate::fail::point("run.intent_durable");
        let (hold, held) = Hold::new();
        self.handover.begins(held);
        tokio::spawn(async move { adapter.start(work, intent, reports, hold).await });
    }

    fn adopt(&mut self, row: &RunRow, intent: &str) {
        let Some((work, intent)) = self.work.clone().zip(read_intent(intent)) else { return };
        let adapter = adapter_for(&self.core, &work);
        let (reports, received) = mpsc::channel(REPORTS_QUEUED);
        self.reports = Some(received);
        self.begins(&work, &intent);
        let lines = lines_of(&self.core, row);
        self.questions = Questions::read(lines.iter().map(String::as_str));
        let progress = progress_of(lines.iter().map(String::as_str));
        tokio::spawn(async move { adapter.adopt(work, intent, progress, reports).await });
    }

    fn begins(&self, work: &Work, intent: &Intent) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        *begun = Some((work.clone(), intent.clone()));
    }

    fn stop(&self, row: &RunRow, intent: &str, reason: StopReason) {
        if row.phase == RunPhase::Settled {
            tokio::spawn(linger::see_off(Arc::clone(&self.core), row.clone()));
            return;
        }
        let Some((work, intent)) = self.work.clone().zip(read_intent(intent)) else { return };
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).take();
        let core = Arc::clone(&self.core);
        let (inbox, told) = (self.inbox.clone(), Arc::clone(&self.goes_on_told));
        let run = row.run.clone();
        tokio::spawn(async move {
            // What goes on when the run has its terminal is seen off by another task.
            let adapter = adapter_for(&core, &work);
            while !has_settled(&core, &run) && !core.stopping.is_cancelled() {
                match adapter.stop(&work, &intent, reason).await {
                    // It may be just about to run: a start that was handed over cannot be overtaken.
                    Ok(Stopped::NotRunning) => {}
                    Ok(Stopped::GoesOn) => {
                        if !told.swap(true, Ordering::Relaxed) {
                            // The run may have settled meanwhile; then nobody needs to be told.
                            let _ = inbox.send(cannot_stop()).await;
                        }
                        return;
                    }
                    Ok(Stopped::Stopping) => return,
                    Err(fault) => {
                        tracing::warn!(%run, %fault, "the gateway cannot be asked to stop")
                    }
                }
                let at = core.now().plus_ms(STOP_RETRY_MS);
                core.clock.sleep_until(at).await;
            }
        });
    }
}

/// What a peer is told of a stop that its run does not heed: a cancel must not look as if it had worked.
//= REQ-44
fn cannot_stop() -> Told {
    let trouble = Trouble {
        code: TroubleCode::NotSupported,
        detail:
            "the gateway cannot stop a tool that was called directly; the run goes on until the \
            tool answers or the deadline and its grace are over"
                .to_owned(),
    };
    Told { input: Input::Reports(vec![Report::Error(trouble)]), durable: None }
}

/// Whether a run has its terminal. A store that cannot be read has not said so.
fn has_settled(core: &Core, run: &RunId) -> bool {
    let row = core.store.reads().run(run);
    row.is_ok_and(|row| row.is_none_or(|row| row.phase == RunPhase::Settled))
}

async fn receive(reports: &mut Option<mpsc::Receiver<Report>>) -> Option<Vec<Report>> {
    let Some(receiver) = reports else { return std::future::pending().await };
    let mut batch = Vec::new();
    let count = receiver.recv_many(&mut batch, REPORTS_PER_STEP).await;
    (count > 0).then_some(batch)
}

fn read_intent(text: &str) -> Option<Intent> {
    match serde_json::from_str(text) {
        Ok(intent) => Some(intent),
        Err(error) => {
            tracing::error!(%error, "a stored intent cannot be read");
            None
        }
    }
}

/// A run's own frames. A log that cannot be read is left out, and an adapter then reports the text anew,
/// marked as replacing what came before.
pub(crate) fn lines_of(core: &Core, row: &RunRow) -> Vec<String> {
    let mut lines = Vec::new();
    while (lines.len() as u64) < row.seq {
        let (count, bytes) = (limit::BATCH_FRAMES_MAX, limit::BATCH_BYTES_MAX);
        match core.store.reads().frames(&row.run, lines.len() as u64, count, bytes) {
            Ok(more) if !more.is_empty() => lines.extend(more),
            Ok(_) => break,
            Err(fault) => {
                tracing::error!(run = %row.run, %fault, "a run's frames cannot be read");
                break;
            }
        }
    }
    lines
}
