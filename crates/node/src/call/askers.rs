//! Who asks a peer for a new run now, so that a crowd of starts waits here and not at the peer.
//!
//! A peer that has enough of a tenant pair refuses each of its starts for the same reason. If all of them
//! went on asking, one tenant's backlog would cost both bridges more and more, and its neighbours with
//! them. So only a few starts of a pair are undecided at once: each asks until the peer has taken it or
//! refused it for good, and then the next one does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use landbridge_proto::machine::contract::EntryRow;
use landbridge_proto::wire::name::{GatewayId, TenantPair};
use tokio::sync::Semaphore;

/// Starts of one tenant pair that a peer is asked for at once.
const ASKING_MAX: usize = 16;

/// The askers of each peer and tenant pair; forgotten once nobody holds them.
#[derive(Debug, Default)]
pub(super) struct Askers(Mutex<BTreeMap<(GatewayId, TenantPair), Weak<Semaphore>>>);

impl Askers {
    /// The places of those who ask what this entry asks.
    pub(super) fn of(&self, entry: &EntryRow) -> Arc<Semaphore> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let whose = (entry.peer.clone(), entry.tenant.clone());
        if let Some(places) = all.get(&whose).and_then(Weak::upgrade) {
            return places;
        }
        all.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(ASKING_MAX));
        all.insert(whose, Arc::downgrade(&places));
        places
    }
}
