//! What a rotation needs of trust: a hold on it, ours, and the suspicion that a peer has newer roots.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use landbridge_proto::trust::status::StatusError;
use landbridge_proto::wire::name::{GatewayId, Timestamp};
use tokio::sync::{Mutex, MutexGuard};

use super::{Trust, TrustError};

/// A lock for each peer that was ever asked for a missing root: as many as there are pinned peers.
pub(super) type Renewing = std::sync::Mutex<BTreeMap<GatewayId, Arc<Mutex<()>>>>;

impl Trust {
    /// Held while this peer is asked for roots that somebody misses; another peer's is another one.
    pub(crate) fn renewing(&self, peer: &GatewayId) -> Arc<Mutex<()>> {
        let mut locks = self.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(peer.clone()).or_default())
    }

    /// Keeps everybody else from changing trust for as long as the guard lives.
    pub(crate) async fn hold(&self) -> MutexGuard<'_, BTreeMap<GatewayId, Timestamp>> {
        self.changing.lock().await
    }
}

impl TrustError {
    /// Whether a root that we do not have may explain it.
    #[must_use]
    pub fn is_renewed(&self) -> bool {
        let Self::Status { fault, .. } = self else { return false };
        match fault.as_ref() {
            StatusError::RootUnknown { .. } => true,
            StatusError::Unverified(fault) => crate::peers::is_renewed(fault),
            _ => false,
        }
    }
}
