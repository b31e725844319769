//! A halted bridge whose store is gone: what it can still do is stop its work at the gateway.
//!
//! Without its records it does not know what it started, and nothing may be acknowledged. So it asks the
//! gateway itself, which knows the work by its names, and goes on asking for as long as it is halted: a
//! gateway that was away continues by itself what a restart of its own interrupted.

use std::sync::Arc;

use landbridge_planted::planted;
use landbridge_store::OpenError;

use super::{ServeError, Shutdown};
use crate::adapter::Adapter;
use crate::clock::Clock;
use crate::halt::Halt;

/// Between two times that the gateway is asked, in milliseconds.
const AGAIN_MS: i64 = 2_000;

/// What is left of a bridge without its store.
pub(super) struct Storeless {
    pub adapter: Arc<dyn Adapter>,
    pub clock: Arc<dyn Clock>,
    pub halt: Halt,
}

impl Storeless {
    /// Returns at once where the bridge is not halted, or where its records are only another process's; and
    /// otherwise when it is resumed or told to stop.
    pub(super) async fn hold(self, error: &ServeError, shutdown: &Shutdown) {
        if !is_lost(error) || planted!("storeless_bridge_gone") {
            return;
        }
        let mut watch = self.halt.watch();
        if self.halt.is_on() {
            tracing::error!(%error, "halted, and without a store: everything of ours at the gateway is stopped");
        }
        while self.halt.is_on() && !shutdown.drain.is_cancelled() {
            match self.adapter.stop_all().await {
                Ok(0) => {}
                Ok(stopped) => tracing::warn!(stopped, "halted: the gateway was told to stop"),
                Err(fault) => {
                    tracing::error!(%fault, "halted: the gateway cannot be told to stop yet");
                }
            }
            tokio::select! {
                _ = watch.changed() => {}
                () = shutdown.drain.cancelled() => {}
                () = self.clock.sleep_until(self.clock.now().plus_ms(AGAIN_MS)) => {}
            }
        }
    }
}

/// Whether nobody has the bridge's records any more. A second process is refused while the first one has them.
fn is_lost(error: &ServeError) -> bool {
    match error {
        ServeError::Open(why) => !matches!(why, OpenError::InUse { .. }),
        ServeError::Store(_) | ServeError::Step(_) | ServeError::Trust(_) => true,
        ServeError::Tls(_) | ServeError::Bind { .. } => false,
    }
}
