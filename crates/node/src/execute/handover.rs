//! What keeps a driver from leaving its run when the bridge stops.
//!
//! From the durable intent until the gateway has taken the work there is nothing that a next process
//! could take up: it would find an intent, no work, and could only say that nobody knows what happened.
//! So the driver stays until the adapter has let go of its [`Hold`](crate::adapter::Hold). Not for ever:
//! a gateway that does not answer must not keep a bridge from stopping. How long is a setting, because work
//! that nobody can adopt (a tool call) is held until it has ended, and only its operator knows how long
//! that may take.

use landbridge_planted::planted;
use landbridge_proto::wire::name::Timestamp;

use crate::adapter::Held;
use crate::core::Core;

/// Where the handing over of a run's work stands.
#[derive(Debug, Default)]
pub(super) struct Handover {
    /// The gateway was asked to start the work and may not have taken it yet.
    held: Option<Held>,
    /// When a stopping bridge waits no longer for that.
    leave_by: Option<Timestamp>,
}

impl Handover {
    /// The adapter is asked to start the work.
    pub(super) fn begins(&mut self, held: Held) {
        self.held = Some(held);
    }

    /// Completes when the bridge stops and the next process can take the run up. Loses nothing when
    /// it is dropped and asked again.
    pub(super) async fn may_leave(&mut self, core: &Core) {
        core.stopping.cancelled().await;
        let Some(held) = self.held.as_mut().filter(|_| !planted!("leaves_starts_in_flight")) else {
            return;
        };
        let by =
            *self.leave_by.get_or_insert_with(|| core.now().plus_ms(core.settings.handover_ms_max));
        tokio::select! {
            biased;
            () = held.let_go() => {}
            () = core.clock.sleep_until(by) => {
                tracing::warn!("the bridge stops before its gateway has taken a run");
            }
        }
        self.held = None;
    }
}
