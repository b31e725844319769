//! What a halt does where the store does not let the drivers do it.
//!
//! A driver records a stop before it asks the gateway for it. A store that hangs must not keep the kill switch
//! from working, so what is not recorded in time is stopped without a record; the driver records it once it
//! can, and the gateway's answer is the same then.

use std::sync::{Arc, PoisonError};

use landbridge_proto::machine::report::StopReason;

use super::{Driven, Executions};
use crate::adapter::{Intent, Work};
use crate::approvals::adapter_for;
use crate::core::Core;

/// How long a halt waits for stops to be recorded, in milliseconds.
const CUT_AFTER_MS: i64 = 1_000;

impl Executions {
    /// Asks the gateway itself to stop what a halt did not reach in time: a driver records a stop before it
    /// asks for it, and a store that hangs must not keep the kill switch from working.
    //= ID-65
    pub(crate) async fn cut_when_halted(self: Arc<Self>, core: Arc<Core>) {
        let mut watch = core.halt.watch();
        while !core.stopping.is_cancelled() {
            if watch.borrow_and_update().is_some() {
                core.clock.sleep_until(core.now().plus_ms(CUT_AFTER_MS)).await;
                let left: Vec<_> = self.drivers().values().filter_map(Driven::take_begun).collect();
                for (work, intent) in left.into_iter().filter(|_| core.halt.is_on()) {
                    let core = Arc::clone(&core);
                    tokio::spawn(async move {
                        tracing::warn!(run = %work.run, "stopped before that could be recorded");
                        let adapter = adapter_for(&core, &work);
                        if let Err(fault) = adapter.stop(&work, &intent, StopReason::Halt).await {
                            tracing::error!(run = %work.run, %fault, "the gateway did not stop it");
                        }
                    });
                }
            }
            tokio::select! {
                changed = watch.changed() => if changed.is_err() { return },
                () = core.stopping.cancelled() => {}
            }
        }
    }
}

impl Driven {
    fn take_begun(&self) -> Option<(Work, Intent)> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
