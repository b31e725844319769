//! Drives the runs that this bridge asks of others: attempts, resumption, cancellation, the end.
//!
//! A driver holds no connection state that matters. Each attempt is a newly signed request with the
//! same key; what was received is in the journal, and the next attempt goes on from there.

mod askers;
mod attempt;
mod renewed;
mod suspect;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use landbridge_planted::planted;
use landbridge_proto::machine::caller::{Action, Caller, Handled, Input};
use landbridge_proto::machine::contract::{EntryPhase, EntryRow};
use landbridge_proto::trust::signer::SignError;
use landbridge_proto::trust::verified::Verified;
use landbridge_proto::wire::document::Incarnation;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{RunId, Timestamp};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{Answer, Body, Cancel, CancelResult, Op, Target};
use landbridge_proto::wire::stream::{Accept, Outcome, SideEffects};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use landbridge_store::Fault;

use self::askers::Askers;
use crate::approvals::{self, Heard};
use crate::core::{Core, StepError};
use crate::peers::{PeerError, Reply};
use crate::room;

/// Between two looks for a key that signs our own ends, in milliseconds.
const KEYLESS_AGAIN_MS: i64 = 1_000;
/// How often a step is made anew because a question that it tells of changed.
const STALE_MAX: usize = 16;

/// The drivers of open journal entries, by run.
#[derive(Debug, Default)]
pub struct Calls(Mutex<BTreeMap<RunId, Arc<Desk>>>, Askers);

/// What others leave for a driver, and what it tells them.
#[derive(Debug, Default)]
struct Desk {
    /// Somebody left something here.
    poked: Notify,
    /// A client asks to cancel.
    cancel: AtomicBool,
    /// What the executor answered to that.
    answer: Mutex<Option<Verified<Answer>>>,
    /// How the connection does.
    connection: Mutex<String>,
}

impl Calls {
    /// How many runs are driven now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How the connection of a run's driver does.
    #[must_use]
    pub fn connection(&self, run: &RunId) -> Option<String> {
        let desk = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(run).cloned()?;
        let text = desk.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(text)
    }

    /// Begins to drive a run.
    pub fn drive(self: &Arc<Self>, core: &Arc<Core>, entry: EntryRow) {
        self.drive_as(core, entry, false);
    }

    /// Takes up a run of an earlier process, which may have asked for it.
    pub fn take_up(self: &Arc<Self>, core: &Arc<Core>, entry: EntryRow) {
        self.drive_as(core, entry, true);
    }

    fn drive_as(self: &Arc<Self>, core: &Arc<Core>, entry: EntryRow, asked: bool) {
        let run = entry.run.clone();
        let desk = Arc::new(Desk::default());
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(run.clone(), Arc::clone(&desk));
        let driver = Driver {
            core: Arc::clone(core),
            askers: self.1.of(&entry),
            asking: None,
            caller: Caller::read(entry),
            desk,
            failures: 0,
            from_start: false,
            renewed: false,
            roots_from: None,
            asked,
            seal: None,
            shows_status: false,
            unsealed: None,
        };
        let (calls, driven) = (Arc::clone(self), run.clone());
        let driving = tokio::spawn(async move {
            if let Err(error) = driver.run().await {
                tracing::error!(run = %run, %error, "a call is not driven any more until the next start");
            }
        });
        tokio::spawn(async move {
            if let Err(error) = driving.await {
                tracing::error!(run = %driven, %error, "a call's driver failed");
            }
            calls.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&driven);
        });
    }

    /// Tells a run's driver that a client asks to cancel.
    pub fn cancel(&self, run: &RunId) {
        if let Some(desk) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(run) {
            desk.cancel.store(true, Ordering::Release);
            desk.poked.notify_one();
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum DriveError {
    #[error("the step was not made")]
    Step(StepError),
    /// There is no room: what was to be recorded is not acted upon, and is asked for again later.
    #[error("there is no room to make a step durable")]
    Full,
    #[error("our own terminal could not be made: {0}")]
    Own(String),
    /// Our own end cannot be signed before there is a new key.
    #[error("our key for requests is revoked")]
    Keyless,
}

impl From<StepError> for DriveError {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Full => Self::Full,
            other => Self::Step(other),
        }
    }
}

struct Driver {
    core: Arc<Core>,
    askers: Arc<Semaphore>,
    /// Held while the peer has not decided about the start.
    asking: Option<OwnedSemaphorePermit>,
    caller: Caller,
    desk: Arc<Desk>,
    failures: u32,
    /// A mismatch was met: the next attempt reads the run from its first frame.
    from_start: bool,
    /// The peer seems to have keys that we do not know: ask for its next root first.
    renewed: bool,
    /// The peer lacks our roots after this version.
    roots_from: Option<u64>,
    /// The newest seal in the journal, once it was looked for.
    seal: Option<Envelope>,
    /// The peer may have got the start: a refusal does not say that it was never led.
    asked: bool,
    /// The peer does not remember what it was told: show it.
    shows_status: bool,
    /// An accept by a key that signs no more, and the request that it answers: nothing before a seal by a
    /// present key names it.
    unsealed: Option<(Verified<Accept>, String)>,
}

/// What came of one attempt.
enum Attempt {
    /// Something was received; try again soon.
    Progress,
    /// Nothing was; try again later.
    Nothing,
    /// The peer's own verdict, or evidence against it: the run is over.
    Over(Outcome, Problem),
    /// Something was left on the desk: look there first.
    Interrupted,
}

impl Driver {
    async fn run(mut self) -> Result<(), DriveError> {
        let mut cancelling: Option<tokio::task::JoinHandle<()>> = None;
        while self.entry().phase != EntryPhase::Settled && !self.must_leave() {
            match self.turn(&mut cancelling).await {
                Ok(()) => {}
                Err(DriveError::Full) => {
                    self.say("waiting for room on this bridge's disk");
                    room::wait(&self.core).await;
                }
                Err(DriveError::Keyless) => {
                    self.say(
                        "waiting for a key: this bridge revoked its own; landbridge key rotate request --now",
                    );
                    let at = self.core.now().plus_ms(KEYLESS_AGAIN_MS);
                    tokio::select! {
                        () = self.core.clock.sleep_until(at) => {}
                        () = self.core.stopping.cancelled() => {}
                    }
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(cancelling) = cancelling {
            cancelling.abort();
        }
        Ok(())
    }

    /// Does what is next: the desk, the end, or an attempt and a pause after it.
    async fn turn(
        &mut self,
        cancelling: &mut Option<tokio::task::JoinHandle<()>>,
    ) -> Result<(), DriveError> {
        self.clear_desk().await?;
        if self.must_cancel() && cancelling.is_none() {
            let (core, desk) = (Arc::clone(&self.core), Arc::clone(&self.desk));
            *cancelling = Some(tokio::spawn(send_cancel(core, self.entry().clone(), desk)));
        }
        if self.core.now() >= self.lost_at() {
            let lost = Caller::lost("the deadline and its grace have passed");
            return self.end(Outcome::Lost, lost).await;
        }
        if self.entry().phase == EntryPhase::Settled {
            return Ok(());
        }
        //= ID-64
        if self.core.halt.is_on() && !planted!("halt_ignored_by_caller") {
            self.say("this bridge is halted by its operator");
            let mut watch = self.core.halt.watch();
            tokio::select! {
                _ = watch.wait_for(Option::is_none) => {}
                () = self.left_alone() => {}
            }
            return Ok(());
        }
        // What an attempt would bring could not be kept.
        if room::is_short(&self.core) {
            self.say("waiting for room on this bridge's disk");
            tokio::select! {
                () = room::wait(&self.core) => {}
                () = self.interrupted() => {}
            }
            return Ok(());
        }
        match self.attempt().await? {
            Attempt::Interrupted => return Ok(()),
            Attempt::Progress => self.failures = 0,
            Attempt::Nothing => self.failures = self.failures.saturating_add(1),
            Attempt::Over(outcome, problem) => self.end(outcome, problem).await?,
        }
        if self.entry().phase != EntryPhase::Settled {
            self.pause().await;
        }
        Ok(())
    }

    /// Takes up what others left.
    async fn clear_desk(&mut self) -> Result<(), DriveError> {
        if self.desk.cancel.swap(false, Ordering::AcqRel) {
            let recorded = self.step(Input::Cancel).await;
            if recorded.is_err() {
                self.desk.cancel.store(true, Ordering::Release);
            }
            recorded?;
        }
        let answer = self.desk.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(answer) = answer {
            let blocked = answer.value().result.cancel == Some(CancelResult::Blocked);
            let recorded = self.step(Input::CancelAnswered(answer.clone())).await;
            if recorded.is_err() {
                let mut desk = self.desk.answer.lock().unwrap_or_else(PoisonError::into_inner);
                *desk = Some(answer);
                drop(desk);
            }
            recorded?;
            if blocked && self.entry().phase == EntryPhase::AwaitAccept {
                let (outcome, problem) = self.blocked();
                self.end(outcome, problem).await?;
            }
        }
        Ok(())
    }

    /// The bridge stops, or was rolled back: the run stays as it is in the journal.
    fn must_leave(&self) -> bool {
        self.core.stopping.is_cancelled() || self.core.trust.halted().is_cancelled()
    }

    /// What a blocked key means here.
    fn blocked(&self) -> (Outcome, Problem) {
        let entry = self.entry();
        let state = self.core.trust.state();
        let status = state.peers.get(&entry.peer).and_then(|view| view.status());
        blocked(status.map(|status| status.newest().value().incarnation), entry.created)
    }

    fn must_cancel(&self) -> bool {
        let entry = self.entry();
        entry.phase != EntryPhase::Settled
            && entry.cancel.is_some()
            && entry.cancel_answer.is_none()
    }

    fn lost_at(&self) -> Timestamp {
        self.entry().deadline.plus_ms(limit::LOST_GRACE_MS)
    }

    fn entry(&self) -> &EntryRow {
        self.caller.entry()
    }

    /// Returns when an attempt should be left: something is on the desk, the run is lost by now, or
    /// the bridge stops. Only waits for the network are left for it, never a commit.
    async fn interrupted(&self) {
        tokio::select! {
            () = self.left_alone() => {}
            //= ID-64
            () = self.barred_otherwise() => {}
        }
    }

    /// Returns when nothing more is done with the peer, for another reason than that it is suspended while
    /// we wait between two attempts.
    async fn barred_otherwise(&self) {
        let mut changes = self.core.changes();
        let peer = &self.entry().peer;
        let before = self.core.barred(peer);
        while self.core.barred(peer) == before {
            changes.next().await;
        }
    }

    /// As [`Driver::interrupted`], whatever becomes of the peer.
    async fn left_alone(&self) {
        tokio::select! {
            () = self.desk.poked.notified() => {}
            () = self.core.stopping.cancelled() => {}
            () = self.core.trust.halted().cancelled() => {}
            () = self.core.clock.sleep_until(self.lost_at()) => {}
        }
    }

    /// Waits before the next attempt.
    async fn pause(&self) {
        let at = self.core.now().plus_ms(self.core.pause_ms(self.failures));
        tokio::select! {
            () = self.core.clock.sleep_until(at) => {}
            () = self.interrupted() => {}
        }
    }

    fn say(&self, text: impl Into<String>) {
        *self.desk.connection.lock().unwrap_or_else(PoisonError::into_inner) = text.into();
    }

    /// Commits what an input means.
    async fn step(&mut self, input: Input) -> Result<(), DriveError> {
        // A question may change under a step that tells of it; nothing else can make one stale.
        let mut tries = STALE_MAX;
        let (caller, actions) = loop {
            let step = match self.caller.clone().handle(self.core.now(), input.clone()) {
                Handled::Ignored(_) => return Ok(()),
                Handled::Step(step) => step,
            };
            let heard = self.heard(&input).map_err(StepError::Store)?;
            let is_told = !heard.writes.is_empty();
            let step = step.guarded(heard.guards).with(heard.writes);
            match self.core.commit(step).await {
                Err(StepError::Stale(_)) if is_told && tries > 0 => tries -= 1,
                Ok(made) => {
                    if is_told {
                        self.core.approvals.changed();
                    }
                    break made;
                }
                Err(error) => return Err(error.into()),
            }
        };
        self.caller = caller;
        if self.entry().phase != EntryPhase::AwaitAccept {
            self.asking = None;
        }
        for action in actions {
            match action {
                Action::Publish | Action::SendCancel => self.core.wakes.wake(&self.entry().run),
                Action::Finish => metrics::counter!(
                    crate::observe::RUNS_CALLED,
                    "outcome" => self.entry().outcome.clone().unwrap_or_default()
                )
                .increment(1),
            }
        }
        Ok(())
    }

    /// What an input tells of questions for people.
    fn heard(&self, input: &Input) -> Result<Heard, Fault> {
        match input {
            Input::Received(batch) => approvals::hear(&self.core, self.entry(), batch),
            Input::OwnEnd { .. } => approvals::hear_own_end(&self.core, self.entry()),
            _ => Ok(Heard::default()),
        }
    }

    /// Ends the run with a terminal of our own, signed.
    async fn end(&mut self, outcome: Outcome, problem: Problem) -> Result<(), DriveError> {
        let caller = &self.caller;
        let (identity, now) = (self.core.identity.present(), self.core.now());
        let root_version = identity.root().version();
        let end = caller
            .own_end(now, self.core.own(), root_version, outcome, problem)
            .map_err(|error| DriveError::Own(error.to_string()))?;
        let receipt = identity.sign(&end.receipt, now).map_err(|error| match error {
            SignError::Revoked { .. } => DriveError::Keyless,
            other => DriveError::Own(other.to_string()),
        })?;
        let receipt = String::from_utf8_lossy(&receipt.to_bytes()).into_owned();
        self.step(Input::OwnEnd { end, receipt }).await
    }
}

/// What a blocked key means: the run was never led, unless the executor forgot since it was invoked.
fn blocked(life: Option<Incarnation>, invoked: Timestamp) -> (Outcome, Problem) {
    //= REQ-66
    if life.is_some_and(|life| life.n > 1 && invoked < life.since) {
        let lost = Problem::new(Code::LostHistory).with_side_effects(SideEffects::Unknown);
        return (Outcome::Lost, lost);
    }
    (Outcome::Cancelled, Problem::new(Code::CancelledBeforeStart))
}

/// The own end that a verdict of the executor means.
fn verdict(problem: &Problem, accepted: bool) -> (Outcome, Problem) {
    if accepted {
        // The run was taken, and now the executor does not know it: what it did is unknown.
        let lost = Problem::new(Code::RunLost)
            .with_detail(format!("the executor answered {problem}"))
            .with_side_effects(SideEffects::Unknown);
        return (Outcome::Lost, lost);
    }
    match problem.code() {
        Some(Code::CancelledBeforeStart) => (Outcome::Cancelled, problem.clone()),
        Some(Code::LostHistory | Code::KeyExpired) => (Outcome::Lost, problem.clone()),
        //= REQ-65
        Some(Code::KeyConflict) => {
            let detail = "the key was used before, in a past that this bridge lost; what came of that \
                          run is not known here";
            let lost = problem.clone().with_detail(detail).with_side_effects(SideEffects::Unknown);
            (Outcome::Lost, lost)
        }
        _ => (Outcome::Rejected, problem.clone()),
    }
}

/// Asks the executor to cancel, again and again until it answers.
async fn send_cancel(core: Arc<Core>, entry: EntryRow, desk: Arc<Desk>) {
    let mut failures = 0;
    let mut roots_from = None;
    let mut renewed = false;
    loop {
        match ask_to_cancel(&core, &entry, roots_from, renewed).await {
            Ok(Some(answer)) => {
                *desk.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
                desk.poked.notify_one();
                return;
            }
            Ok(None) => {}
            Err(PeerError::Unsigned { have: Some(have), .. }) => roots_from = Some(have),
            Err(error) => {
                renewed = error.is_renewed();
                tracing::info!(run = %entry.run, %error, "cancel not delivered yet");
            }
        }
        failures += 1;
        let at = core.now().plus_ms(core.pause_ms(failures));
        core.clock.sleep_until(at).await;
    }
}

async fn ask_to_cancel(
    core: &Arc<Core>,
    entry: &EntryRow,
    roots_from: Option<u64>,
    renewed: bool,
) -> Result<Option<Verified<Answer>>, PeerError> {
    if core.halt.is_on() {
        return Err(PeerError::Halted);
    }
    if renewed {
        core.refresh_peer(&entry.peer).await?;
    }
    core.freshen(&entry.peer).await?;
    let body = Body::Cancel(Cancel { target: Target::Key(entry.key.clone()), reason: None });
    let trace = entry.traceparent.clone();
    let signed = core.sign_request(&entry.peer, &entry.tenant, body, trace)?;
    match core.send(&entry.peer, Op::Cancel.path(), &signed, roots_from, Vec::new()).await? {
        Reply::Open(response) => core.read_answer(&entry.peer, &signed, *response).await.map(Some),
        Reply::Refused(refusal) => {
            let problem = &refusal.value().problem;
            tracing::warn!(run = %entry.run, %problem, "cancel refused");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= REQ-66
    #[test]
    fn a_blocked_key_is_cancelled_unless_the_executor_forgot_since() {
        let life = |n, since| Some(Incarnation { n, since: Timestamp(since) });
        for (life, outcome) in [
            (None, Outcome::Cancelled),
            (life(1, 9), Outcome::Cancelled),
            (life(2, 5), Outcome::Cancelled),
            (life(2, 6), Outcome::Lost),
        ] {
            assert_eq!(blocked(life, Timestamp(5)).0, outcome, "{life:?}");
        }
    }
}
