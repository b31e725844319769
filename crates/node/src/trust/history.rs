//! Whether this gateway remembers what others saw of it, and what it does once it knows that it does not.

use std::sync::PoisonError;

use landbridge_proto::machine::step::Step;
use landbridge_proto::wire::name::GatewayId;
use landbridge_proto::wire::stream::Seen;
use tokio_util::sync::CancellationToken;

use super::{State, Trust, TrustError};
use crate::core::Core;
use crate::rollback::{self, RolledBack};

impl Trust {
    /// Cancelled once this gateway knows that it was rolled back: drivers leave, streams end.
    #[must_use]
    pub const fn halted(&self) -> &CancellationToken {
        &self.halted
    }

    /// Whether this gateway remembers to have issued what a peer says to have seen of it. What an
    /// earlier incarnation issued is not asked for, and nothing seen is always remembered.
    #[must_use]
    pub fn remembers(&self, seen: Seen) -> bool {
        let state = self.state();
        let issued = self.issued.read().unwrap_or_else(PoisonError::into_inner);
        // Statuses that are older than all that are kept were deleted for their age.
        let is_forgotten = |seq: u64| issued.first().is_some_and(|first| seq < *first);
        seen.seq == 0
            || seen.n < state.incarnation.n
            || (seen.n == state.incarnation.n
                && (issued.contains(&seen.seq) || is_forgotten(seen.seq)))
    }

    /// The number of this process's first status, while a peer was not yet asked what came before it.
    #[must_use]
    pub fn to_compare(&self, peer: &GatewayId) -> Option<u64> {
        let compared = self.compared.read().unwrap_or_else(PoisonError::into_inner);
        self.first.get().copied().filter(|_| !compared.contains(peer))
    }

    /// A peer told what came before this process's first status.
    pub fn compared(&self, peer: &GatewayId) {
        self.compared.write().unwrap_or_else(PoisonError::into_inner).insert(peer.clone());
    }

    /// Stops this gateway: it was shown that it lost history.
    ///
    /// # Errors
    ///
    /// [`TrustError`] when the finding cannot be made durable; it is in force all the same.
    pub async fn roll_back(&self, core: &Core, found: RolledBack) -> Result<(), TrustError> {
        let _changing = self.changing.lock().await;
        let state = self.state();
        if state.rolled_back.is_some() {
            return Ok(());
        }
        tracing::error!(told_by = found.told_by, peer = ?found.peer, "{}", rollback::ADVICE);
        let writes = found.writes(core.own());
        self.halted.cancel();
        core.wakes.wake_all();
        // Told to people once a restart would know it, too.
        let kept = core.commit(Step::new(Vec::new(), writes, ())).await;
        self.replace(State { rolled_back: Some(found), ..State::clone(&self.state()) });
        Ok(kept?)
    }
}
