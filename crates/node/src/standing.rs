//! How a peer stands with this bridge now, and how everybody hears when that changes.
//!
//! What is open outlives the decisions that let it begin: a stream, a run, a question that waits for its
//! turn. Each of them asks here again, and is told when there is something to ask.

use landbridge_planted::planted;
use landbridge_proto::machine::report::StopReason;
use landbridge_proto::wire::document::PeerStatus;
use landbridge_proto::wire::name::GatewayId;
use landbridge_proto::wire::problem::{Code, Problem};
use tokio::sync::watch;

use crate::core::Core;
use crate::halt::Halted;

/// Why nothing is done with a peer now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Barred {
    /// This bridge is halted.
    Halted,
    /// The peer is revoked, or not pinned any more: for good.
    Revoked,
    /// The peer is suspended or quarantined: until a person decides otherwise.
    Suspended,
}

impl Barred {
    /// What the peer is told.
    #[must_use]
    pub fn problem(self) -> Problem {
        match self {
            Self::Halted => Halted::problem(),
            //= ID-61
            Self::Revoked => Problem::new(Code::PeerRevoked),
            Self::Suspended => Problem::new(Code::PeerSuspended),
        }
    }
}

/// Tells of whatever may change how a peer stands.
#[derive(Debug)]
pub struct Changes {
    trust: watch::Receiver<u64>,
    halt: watch::Receiver<Option<Halted>>,
}

impl Changes {
    /// Returns at the next change after the last one that was told; loses none when it is dropped.
    pub async fn next(&mut self) {
        let changed = tokio::select! {
            changed = self.trust.changed() => changed,
            changed = self.halt.changed() => changed,
        };
        if changed.is_err() {
            // Whoever could change anything is gone.
            std::future::pending::<()>().await;
        }
    }
}

impl Core {
    /// What may change how peers stand, from now on.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes { trust: self.trust.watch(), halt: self.halt.watch() }
    }

    /// Why nothing is done with a peer now; `None` when it is active.
    #[must_use]
    pub fn barred(&self, peer: &GatewayId) -> Option<Barred> {
        if self.halt.is_on() {
            return Some(Barred::Halted);
        }
        let state = self.trust.state();
        if state.active(peer) {
            return None;
        }
        let known = state.federation.as_ref().and_then(|document| document.peer(peer));
        let revoked = known.is_none_or(|peer| peer.status == PeerStatus::Revoked);
        Some(if revoked { Barred::Revoked } else { Barred::Suspended })
    }

    /// Returns once nothing is done with a peer any more, and says why.
    pub async fn until_barred(&self, peer: &GatewayId) -> Barred {
        let mut changes = self.changes();
        loop {
            if let Some(barred) = self.barred(peer) {
                return barred;
            }
            changes.next().await;
        }
    }

    /// Why a run that is executed for a peer must be stopped; one of a suspended peer is led to its end.
    //= ID-62
    //= ID-65
    #[must_use]
    pub fn must_stop(&self, peer: &GatewayId) -> Option<StopReason> {
        match self.barred(peer)? {
            Barred::Halted if planted!("halt_ignored_by_executor") => None,
            Barred::Halted => Some(StopReason::Halt),
            Barred::Revoked if planted!("revoked_peers_runs_go_on") => None,
            Barred::Revoked => Some(StopReason::Revoked),
            Barred::Suspended => None,
        }
    }

    /// Returns once a run that is executed for a peer must be stopped, and says why.
    pub async fn until_must_stop(&self, peer: &GatewayId) -> StopReason {
        let mut changes = self.changes();
        loop {
            if let Some(reason) = self.must_stop(peer) {
                return reason;
            }
            changes.next().await;
        }
    }
}
