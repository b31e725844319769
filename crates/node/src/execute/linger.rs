//! Sees runs off that have their terminal while the gateway may still be at them.
//!
//! A driver ends with its run's terminal. Where that was not the gateway's own word, work may go on that
//! nobody pays for and nobody reads. Its stop is a duty of the stored run, not of a task: a bridge that
//! dies between the terminal and the gateway's answer finds it again at its next start.

use std::sync::Arc;

use landbridge_planted::planted;
use landbridge_proto::machine::contract::{RunPhase, RunRow};
use landbridge_proto::machine::executor::{Executor, Handled, Input};
use landbridge_proto::machine::report::StopReason;
use landbridge_store::Fault;

use super::read_intent;
use crate::adapter::{Stopped, Work};
use crate::approvals::adapter_for;
use crate::core::{Core, StepError};
use crate::room;

/// Between two questions to a gateway that has not stopped a run, in milliseconds: at first, and at most.
const AGAIN_MS: (i64, i64) = (1_000, 30_000);

/// Sees every run off that lingered when the last process ended; gives how many there are.
///
/// # Errors
///
/// Returns the store's fault when they cannot be read.
//= REQ-74
pub(crate) fn take_up(core: &Arc<Core>) -> Result<usize, Fault> {
    if core.trust.halted().is_cancelled() || planted!("lingering_dropped") {
        return Ok(0);
    }
    let rows = core.store.reads().lingering_runs()?;
    let count = rows.len();
    for row in rows {
        tokio::spawn(see_off(Arc::clone(core), row));
    }
    Ok(count)
}

/// Asks the gateway to stop a run until it is not at it any more, and records that.
pub(super) async fn see_off(core: Arc<Core>, row: RunRow) {
    let run = row.run.clone();
    tokio::select! {
        () = core.stopping.cancelled() => return,
        () = core.trust.halted().cancelled() => return,
        () = cease(&core, &row) => {}
    }
    if let Err(error) = record(&core, row).await {
        // The next start asks the gateway once more, which does no harm.
        tracing::warn!(%run, %error, "it was not recorded that the gateway left a run");
    }
}

/// Completes when the gateway is not at the run any more, or says that it cannot stop it.
async fn cease(core: &Arc<Core>, row: &RunRow) {
    let work = serde_json::from_str::<Work>(&row.work).ok();
    let Some((work, intent)) = work.zip(row.intent.as_deref().and_then(read_intent)) else {
        return;
    };
    let reason = row.stop.as_ref().map_or(StopReason::Deadline, |stop| stop.reason);
    let (mut pause, most) = AGAIN_MS;
    loop {
        match adapter_for(core, &work).stop(&work, &intent, reason).await {
            // What goes on whatever is asked ends by itself.
            Ok(Stopped::NotRunning | Stopped::GoesOn) => return,
            // It obeys, or is about to: looked at once more, soon.
            Ok(Stopped::Stopping) => pause = AGAIN_MS.0,
            Err(fault) => {
                tracing::warn!(run = %row.run, %fault, "a run that has ended is not stopped yet");
                pause = (pause * 2).min(most);
            }
        }
        core.clock.sleep_until(core.now().plus_ms(pause)).await;
    }
}

/// Records that a run does not linger any more, as soon as there is room.
async fn record(core: &Core, mut row: RunRow) -> Result<(), StepError> {
    loop {
        debug_assert_eq!(row.phase, RunPhase::Settled, "only a run with a terminal lingers");
        let run = row.run.clone();
        let Ok(executor) = Executor::read(row) else { return Ok(()) };
        let Handled::Step(step) = executor.handle(core.now(), Input::Ceased) else { return Ok(()) };
        match core.commit(step).await {
            Err(StepError::Full) => room::wait(core).await,
            done => return done.map(drop),
        }
        match core.store.reads().run(&run).map_err(StepError::Store)? {
            Some(stored) => row = stored,
            None => return Ok(()),
        }
    }
}
