//! What this side saw of each peer last: answers that verified, and attempts that failed.
//!
//! Kept in memory only, and written where a peer is really talked to. Nothing is asked for the sake of
//! knowing: whoever wants news makes a round trip of its own. After a restart the time of the newest
//! stored status stands in for a contact, and whether the peer can be reached is unknown.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use landbridge_proto::wire::name::{GatewayId, Timestamp};

/// What was seen of one peer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Contact {
    /// When something of it last verified.
    pub reached: Option<Timestamp>,
    /// The last attempt that gave nothing usable.
    pub failure: Option<Failure>,
}

/// An attempt that gave nothing usable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// When.
    pub at: Timestamp,
    /// Why, one sentence with its causes.
    pub what: String,
    /// Somebody answered who does not have the peer's TLS key.
    pub stranger: bool,
}

impl Contact {
    /// Whether the last attempt reached the peer; `None`: there was none since the start.
    #[must_use]
    pub fn reachable(&self) -> Option<bool> {
        match (&self.failure, self.reached) {
            (None, None) => None,
            (None, Some(_)) => Some(true),
            (Some(_), None) => Some(false),
            (Some(failure), Some(reached)) => Some(reached >= failure.at),
        }
    }
}

/// Contacts by peer: as many as there are pinned peers.
#[derive(Debug, Default)]
pub struct Contacts(Mutex<BTreeMap<GatewayId, Contact>>);

impl Contacts {
    /// Something of the peer verified.
    pub fn reached(&self, peer: &GatewayId, at: Timestamp) {
        self.change(peer, |contact| contact.reached = Some(at));
    }

    /// An attempt gave nothing usable.
    pub fn failed(&self, peer: &GatewayId, at: Timestamp, what: String, stranger: bool) {
        self.change(peer, |contact| contact.failure = Some(Failure { at, what, stranger }));
    }

    /// What was seen of the peer.
    #[must_use]
    pub fn of(&self, peer: &GatewayId) -> Contact {
        let contacts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        contacts.get(peer).cloned().unwrap_or_default()
    }

    fn change(&self, peer: &GatewayId, change: impl FnOnce(&mut Contact)) {
        let mut contacts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match contacts.get_mut(peer) {
            Some(contact) => change(contact),
            None => change(contacts.entry(peer.clone()).or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_later_of_success_and_failure_says_whether_a_peer_is_reachable() {
        let (contacts, peer) =
            (Contacts::default(), GatewayId::new(format!("gw1-{}", "a".repeat(52))).unwrap());
        assert_eq!(contacts.of(&peer).reachable(), None);
        contacts.failed(&peer, Timestamp(1), "refused".to_owned(), false);
        assert_eq!(contacts.of(&peer).reachable(), Some(false));
        contacts.reached(&peer, Timestamp(2));
        assert_eq!(contacts.of(&peer).reachable(), Some(true));
        contacts.failed(&peer, Timestamp(3), "refused".to_owned(), true);
        assert_eq!(contacts.of(&peer).reachable(), Some(false));
        assert_eq!(contacts.of(&peer).reached, Some(Timestamp(2)), "the last contact stays known");
    }
}
