//! Places for runs, shared so that nobody starves: an owner may hold as many as are free, and no more.
//!
//! The rule needs no list of who might come. Whoever holds nothing is refused only when every place is
//! taken; whoever holds much has to leave at least as much for others. Owners who all want more than there
//! is end up with equal parts, and one more such part stays free: of `max` places, k greedy owners hold
//! about `max / (k + 1)` each, as their runs come and go. Fixed parts for each granted owner would leave
//! places empty whenever one of them sleeps; no rule at all would let the first comer take everything.
//!
//! Every open run holds a place, also one that waits for its turn: turns that wait would otherwise be a
//! way to pile up work without end. So how busy the bridge is, is asked here and nowhere else.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use landbridge_planted::planted;
use landbridge_proto::wire::name::Owner;

/// Who holds which places of a bridge.
#[derive(Debug, Default)]
pub struct Seats(Mutex<BTreeMap<Owner, Vec<Waits>>>);

/// One place, free again when this is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    owner: Owner,
    waits: Waits,
}

/// Whether the run of a place waits for its turn; whoever leads the run says so.
#[derive(Clone, Debug, Default)]
pub struct Waits(Arc<AtomicBool>);

/// How many places are taken, and what for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Load {
    /// By runs that are at work or about to be.
    pub executing: usize,
    /// By runs that wait until an earlier run of their session has ended.
    pub waiting: usize,
    /// By how many owners.
    pub owners: usize,
    /// By the owner that has the most.
    pub most: usize,
}

/// Why there is no place for an owner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoSeat {
    /// All are taken, whoever asks.
    Full,
    /// The owner holds all that its grant allows.
    Granted,
    /// The owner holds as many as are free.
    Shared,
}

/// How many places there are, and for whom.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Room {
    /// All places of the bridge.
    pub max: usize,
    /// The most that this owner may hold.
    pub granted: usize,
    /// Others may come, for whom places have to stay free.
    pub shared: bool,
}

impl Seats {
    /// Takes a place for a new run.
    ///
    /// # Errors
    ///
    /// [`NoSeat`]; nothing is taken then.
    pub fn take(self: &Arc<Self>, owner: &Owner, room: Room) -> Result<Seat, NoSeat> {
        let mut held = self.lock();
        let taken: usize = held.values().map(Vec::len).sum();
        let own = held.get(owner).map_or(0, Vec::len);
        if taken >= room.max {
            return Err(NoSeat::Full);
        }
        //= REQ-28
        if own >= room.granted {
            return Err(NoSeat::Granted);
        }
        //= REQ-60
        let shared = room.shared && !planted!("seats_first_come");
        if shared && own > 0 && own >= room.max - taken {
            return Err(NoSeat::Shared);
        }
        if planted!("no_seat_is_given") {
            return Err(NoSeat::Full);
        }
        Ok(self.seat(&mut held, owner))
    }

    /// Takes a place for a run that was admitted before, even beyond the limits.
    pub fn keep(self: &Arc<Self>, owner: &Owner) -> Seat {
        self.seat(&mut self.lock(), owner)
    }

    /// How many places an owner holds.
    #[must_use]
    pub fn held_by(&self, owner: &Owner) -> usize {
        self.lock().get(owner).map_or(0, Vec::len)
    }

    /// How many places are taken, and what for. `executing` and `waiting` together are all of them.
    #[must_use]
    pub fn load(&self) -> Load {
        let held = self.lock();
        let taken: usize = held.values().map(Vec::len).sum();
        let waiting = held.values().flatten().filter(|waits| waits.get()).count();
        Load {
            executing: taken - waiting,
            waiting,
            owners: held.len(),
            most: held.values().map(Vec::len).max().unwrap_or(0),
        }
    }

    fn seat(self: &Arc<Self>, held: &mut BTreeMap<Owner, Vec<Waits>>, owner: &Owner) -> Seat {
        let waits = Waits::default();
        held.entry(owner.clone()).or_default().push(waits.clone());
        Seat { seats: Arc::clone(self), owner: owner.clone(), waits }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Owner, Vec<Waits>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Where whoever leads the run says whether it waits. Says nothing any more once the place is free.
    #[must_use]
    pub fn waits(&self) -> Waits {
        self.waits.clone()
    }
}

impl Waits {
    /// The run waits for its turn, or not any more.
    pub(crate) fn set(&self, waits: bool) {
        self.0.store(waits, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut held = self.seats.lock();
        if let Some(own) = held.get_mut(&self.owner) {
            own.retain(|waits| !Arc::ptr_eq(&waits.0, &self.waits.0));
            if own.is_empty() {
                held.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn owner(n: usize) -> Owner {
        use landbridge_proto::wire::name::{GatewayId, TenantId, TenantPair};
        let tenant = |text: String| TenantId::new(text).unwrap();
        Owner {
            caller: GatewayId::new(format!("gw1-{}", "a".repeat(52))).unwrap(),
            tenant: TenantPair { src: tenant(format!("src-{n}")), dst: tenant("ops".to_owned()) },
        }
    }

    const fn room(max: usize) -> Room {
        Room { max, granted: usize::MAX, shared: true }
    }

    /// Takes until there is no more.
    fn fill(seats: &Arc<Seats>, who: &Owner, max: usize) -> Vec<Seat> {
        std::iter::from_fn(|| seats.take(who, room(max)).ok()).collect()
    }

    //= REQ-60
    #[test]
    fn the_greedy_share_equally_and_leave_one_share_free() {
        for greedy in 1..7_usize {
            let (seats, max) = (Arc::new(Seats::default()), 120);
            let mut held: Vec<Vec<Seat>> = (0..greedy).map(|_| Vec::new()).collect();
            // Runs end in turn, and each owner takes whatever it gets.
            for turn in 0..10_000_usize {
                let (who, ending) = (turn % greedy, turn / greedy % greedy);
                if turn % 3 == 0 && !held[ending].is_empty() {
                    held[ending].pop();
                }
                held[who].extend(seats.take(&owner(who), room(max)));
            }
            let share = max / (greedy + 1);
            for (who, mine) in held.iter().enumerate() {
                let near = (share.saturating_sub(2)..=share + 2).contains(&mine.len());
                assert!(near, "{greedy} owners: {who} holds {} of {max}", mine.len());
            }
            assert!(seats.take(&owner(99), room(max)).is_ok(), "a newcomer finds room");
        }
    }

    #[test]
    fn who_is_alone_for_ever_may_take_everything_that_is_granted() {
        let seats = Arc::new(Seats::default());
        let alone = Room { max: 10, granted: 100, shared: false };
        let held: Vec<_> = std::iter::from_fn(|| seats.take(&owner(1), alone).ok()).collect();
        assert_eq!(held.len(), 10);
        assert_eq!(seats.take(&owner(1), alone).unwrap_err(), NoSeat::Full);
        drop(held);
        let granted = Room { granted: 1, ..alone };
        let one = seats.take(&owner(1), granted).unwrap();
        assert_eq!(seats.take(&owner(1), granted).unwrap_err(), NoSeat::Granted);
        drop(one);
        assert_eq!((seats.held_by(&owner(1)), seats.load()), (0, Load::default()));
    }

    //= REQ-28
    #[test]
    fn a_run_that_waits_for_its_turn_holds_its_place() {
        let seats = Arc::new(Seats::default());
        let mut held: Vec<_> = (0..3).map(|_| seats.keep(&owner(1))).collect();
        held.push(seats.keep(&owner(2)));
        held[0].waits().set(true);
        held[1].waits().set(true);
        let all = Load { executing: 2, waiting: 2, owners: 2, most: 3 };
        assert_eq!(seats.load(), all);
        assert_eq!(seats.take(&owner(3), room(4)).unwrap_err(), NoSeat::Full);
        held[1].waits().set(false);
        assert_eq!(seats.load(), Load { executing: 3, waiting: 1, ..all });
        // Whoever has left says nothing any more.
        let gone = held[0].waits();
        held.remove(0);
        gone.set(true);
        assert_eq!(seats.load(), Load { executing: 3, waiting: 0, owners: 2, most: 2 });
    }

    #[test]
    fn runs_of_before_a_restart_keep_their_places() {
        let seats = Arc::new(Seats::default());
        let kept: Vec<_> = (0..3).map(|_| seats.keep(&owner(1))).collect();
        assert_eq!(seats.take(&owner(2), room(3)).unwrap_err(), NoSeat::Full);
        drop(kept);
        assert!(seats.take(&owner(2), room(3)).is_ok());
    }

    proptest! {
        //= REQ-60
        #[test]
        fn who_holds_nothing_is_refused_only_when_nothing_is_free(
            deeds in prop::collection::vec((0..5_usize, prop::bool::ANY), 0..200),
            max in 1..20_usize,
        ) {
            let seats = Arc::new(Seats::default());
            let mut held: Vec<Vec<Seat>> = (0..5).map(|_| Vec::new()).collect();
            for (who, ends) in deeds {
                if ends {
                    held[who].pop();
                } else {
                    let taken: usize = held.iter().map(Vec::len).sum();
                    let found = seats.take(&owner(who), room(max));
                    if held[who].is_empty() {
                        prop_assert_eq!(found.is_ok(), taken < max);
                    }
                    held[who].extend(found);
                }
            }
            let newcomer = fill(&seats, &owner(7), max).len();
            let taken: usize = held.iter().map(Vec::len).sum();
            prop_assert_eq!(newcomer, (max - taken).div_ceil(2), "half of what is free");
        }
    }
}
