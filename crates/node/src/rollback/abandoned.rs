//! Runs that a recovery closed: the gateway may still be at them, so it is asked to stop each.

use std::sync::Arc;

use landbridge_proto::machine::contract::{RunRow, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::RunId;
use tokio::sync::Mutex;

use super::{ABANDONED, run_list};
use crate::adapter::{AdapterFault, Intent, StopReason, Stopped, Work};
use crate::core::Core;

/// Between two questions to a gateway that has not stopped a run, in milliseconds.
const AGAIN_MS: i64 = 1_000;

/// Asks the gateway to stop every abandoned run, again and again, until it is not at it any more or the
/// run's deadline is long past. Goes on at the next start where a process ends in between.
///
/// # Errors
///
/// Returns the store's fault when the list cannot be read.
pub fn stop_abandoned(core: &Arc<Core>) -> Result<(), landbridge_store::Fault> {
    if core.trust.halted().is_cancelled() {
        return Ok(());
    }
    let list = run_list(&core.store.reads().meta(ABANDONED)?.unwrap_or_default());
    let left = Arc::new(Mutex::new(list.clone()));
    for run in list {
        let row = core.store.reads().run(&run)?;
        let (core, left) = (Arc::clone(core), Arc::clone(&left));
        tokio::spawn(async move {
            if let Some(row) = row {
                stop(&core, &row).await;
            }
            if !core.stopping.is_cancelled() {
                done(&core, &left, &run).await;
            }
        });
    }
    Ok(())
}

async fn stop(core: &Core, row: &RunRow) {
    let Ok(work) = serde_json::from_str::<Work>(&row.work) else { return };
    let until = row.deadline.plus_ms(limit::DEADLINE_GRACE_MS);
    // At least once, also long after its deadline.
    loop {
        match ask(core, row, &work).await {
            // What goes on whatever is asked ends by itself.
            Ok(Stopped::NotRunning | Stopped::GoesOn) => return,
            Ok(Stopped::Stopping) => {}
            Err(fault) => {
                tracing::warn!(run = %row.run, %fault, "an abandoned run is not stopped yet")
            }
        }
        if core.now() >= until || core.stopping.is_cancelled() {
            return;
        }
        tokio::select! {
            () = core.clock.sleep_until(core.now().plus_ms(AGAIN_MS)) => {}
            () = core.stopping.cancelled() => {}
        }
    }
}

/// Where no intent is stored the names follow from the work: the lost future may have used them.
async fn ask(core: &Core, row: &RunRow, work: &Work) -> Result<Stopped, AdapterFault> {
    let stored = row.intent.as_deref().and_then(|text| serde_json::from_str::<Intent>(text).ok());
    let intent = match stored {
        Some(intent) => intent,
        None => core.adapter.intend(work).await?,
    };
    core.adapter.stop(work, &intent, StopReason::Cancel).await
}

async fn done(core: &Core, left: &Mutex<Vec<RunId>>, run: &RunId) {
    let mut left = left.lock().await;
    left.retain(|other| other != run);
    let names: Vec<&str> = left.iter().map(RunId::as_str).collect();
    let put = Write::PutMeta { name: ABANDONED.to_owned(), value: names.join(" ") };
    let audit = core.audit("bridge", "abandoned_run_stopped", run.as_str(), []);
    if let Err(error) = core.commit(Step::new(Vec::new(), vec![put, audit], ())).await {
        tracing::error!(%run, %error, "an abandoned run's stop was not recorded");
    }
}
