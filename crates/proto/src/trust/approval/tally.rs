//! Counting: distinct people, distinct keys, and one deny is enough.

use std::collections::BTreeSet;

use landbridge_planted::planted;

use super::Judged;
use crate::wire::approval::{ApprovalRequest, Vote};
use crate::wire::name::{GatewayId, KeyId, OperatorName};

/// The decisions on one thing, counted. They may be by operators of several gateways that were asked.
#[derive(Clone, Debug)]
pub struct Tally {
    need: u32,
    people: BTreeSet<(GatewayId, OperatorName)>,
    keys: BTreeSet<KeyId>,
    denied: bool,
}

/// Whether a decision changed anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Counted {
    /// It did.
    Added,
    /// The person or the key counted already, or nothing was open any more.
    AddsNothing,
}

/// Where the count stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Undecided.
    Open {
        /// People who approved.
        have: u32,
        /// People who must.
        need: u32,
    },
    /// As many approved as were needed.
    Approved,
    /// Somebody denied before that.
    Denied,
}

impl Tally {
    /// Nobody decided yet. Where several gateways are asked, each request says the same quorum.
    #[must_use]
    pub fn new(request: &ApprovalRequest) -> Self {
        let (people, keys) = (BTreeSet::new(), BTreeSet::new());
        Self { need: request.quorum.max(1), people, keys, denied: false }
    }

    /// Counts a decision. What comes after the end changes nothing.
    pub fn count(&mut self, judged: &Judged) -> Counted {
        let ended = !matches!(self.standing(), Standing::Open { .. });
        if ended && !planted!("counted_after_the_end") {
            //= APR-23
            return Counted::AddsNothing;
        }
        if judged.vote() == Vote::Deny && !planted!("deny_counts_as_approve") {
            //= APR-23
            self.denied = true;
            return Counted::Added;
        }
        let person = (judged.gateway().clone(), judged.sub().clone());
        //= APR-22
        if self.people.contains(&person) && !planted!("one_person_counted_twice") {
            return Counted::AddsNothing;
        }
        if self.keys.contains(judged.kid()) && !planted!("one_key_counted_twice") {
            return Counted::AddsNothing;
        }
        self.people.insert(person);
        self.keys.insert(judged.kid().clone());
        //= APR-9
        self.need = self.need.max(judged.needed());
        Counted::Added
    }

    /// How many people approved.
    #[must_use]
    pub fn have(&self) -> u32 {
        u32::try_from(self.people.len()).unwrap_or(u32::MAX)
    }

    /// How many must, as far as is known.
    #[must_use]
    pub const fn need(&self) -> u32 {
        self.need
    }

    /// Where it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let have = self.have();
        if self.denied {
            Standing::Denied
        } else if have >= self.need {
            Standing::Approved
        } else {
            Standing::Open { have, need: self.need }
        }
    }
}
