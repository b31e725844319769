//! What a rotation needs of trust: a hold on it, ours, and the suspicion that a peer has newer roots.

use std::collections::BTreeMap;

use landbridge_proto::trust::status::StatusError;
use landbridge_proto::wire::name::{GatewayId, Timestamp};
use tokio::sync::MutexGuard;

use super::{Trust, TrustError};

impl Trust {
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
