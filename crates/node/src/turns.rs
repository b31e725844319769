//! Turns of a session: a run that names one waits until every earlier run of it has its terminal.
//!
//! Who is ahead is read from the store, never remembered, so a bridge that was killed finds the same
//! order again. Each waiter looks only at the run right ahead of it: when a run ends, one other wakes up.

use landbridge_planted::planted;
use landbridge_proto::wire::name::RunId;

use crate::core::Core;
use crate::seats::Waits;

/// Between two questions to a store that could not be read, in milliseconds.
const READ_RETRY_MS: i64 = 1_000;

/// Waits until no open run is ahead of `run` in its session; a run without a session never waits.
/// `waits` says meanwhile that it does.
pub(crate) async fn come(core: &Core, run: &RunId, waits: &Waits) {
    //= REQ-48
    while let Some(ahead) = ahead_of(core, run).await {
        if planted!("turns_at_once") {
            break;
        }
        waits.set(true);
        let wake = core.wakes.of(&ahead);
        let woken = wake.notified();
        tokio::pin!(woken);
        // Listening first and reading then: an end in between is not slept through.
        woken.as_mut().enable();
        if ahead_of(core, run).await.as_ref() == Some(&ahead) {
            woken.await;
        }
    }
    waits.set(false);
}

async fn ahead_of(core: &Core, run: &RunId) -> Option<RunId> {
    loop {
        match core.store.reads().run_ahead(run) {
            Ok(ahead) => return ahead,
            Err(fault) => {
                tracing::error!(%run, %fault, "the runs ahead of a run cannot be read");
                core.clock.sleep_until(core.now().plus_ms(READ_RETRY_MS)).await;
            }
        }
    }
}
