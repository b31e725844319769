//! How a bridge stops: first what comes in, then what is driven, and nothing of it is lost.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::execute::Executions;

/// How long the last drivers may take beyond their own patience, in milliseconds.
const LEAVING_MS_MAX: i64 = 2_000;

/// How a bridge is told to stop.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Take no new work, let connections end in order, and stop.
    pub drain: CancellationToken,
    /// Cut connections instead. What was begun at the gateway is still handed over.
    pub hurry: CancellationToken,
}

impl From<CancellationToken> for Shutdown {
    fn from(drain: CancellationToken) -> Self {
        Self { drain, hurry: CancellationToken::new() }
    }
}

/// Stops a bridge: its listeners, then its drivers, then what counted for them.
pub(super) async fn wind_down(
    core: &Core,
    shutdown: &Shutdown,
    servers: Vec<JoinHandle<()>>,
    executions: &Arc<Executions>,
    strangers: JoinHandle<()>,
) {
    core.draining.cancel();
    core.wakes.wake_all();
    for mut server in servers {
        // A server ends with its last connection, or when its drain's deadline has passed.
        tokio::select! {
            ended = &mut server => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a listener failed");
                }
            }
            () = shutdown.hurry.cancelled() => server.abort(),
        }
    }
    core.stopping.cancel();
    let by = core.now().plus_ms(core.settings.handover_ms_max + LEAVING_MS_MAX);
    tokio::select! {
        () = executions.all_left() => {}
        () = core.clock.sleep_until(by) => {
            tracing::warn!(runs = executions.driven(), "the bridge stops although runs are still driven");
        }
    }
    if let Err(error) = strangers.await {
        tracing::error!(%error, "the counts of refusals were not written");
    }
}
