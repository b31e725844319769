//! A decision is released by the receipt of its own commit, and by no other.

use landbridge_proto::machine::contract::{Guard, Store, Write};
use landbridge_proto::machine::step::{Batch, NotReleased, Outcome, Step, commit};
use landbridge_proto::wire::name::Timestamp;

use crate::run::run_id;

/// A store that does what it is told and keeps what was written.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) written: Vec<Write>,
    /// Nothing is committed: the first guard of each batch is said to have failed.
    pub(crate) stale: bool,
    /// The disk is gone.
    pub(crate) broken: bool,
}

impl Store for Memory {
    type Fault = &'static str;

    fn apply(&mut self, group: &[Batch]) -> Result<Vec<Outcome>, Self::Fault> {
        if self.broken {
            return Err("the disk is gone");
        }
        let one = |batch: &Batch| {
            if self.stale {
                return Outcome::Stale(batch.guards()[0].clone());
            }
            self.written.extend(batch.writes().iter().cloned());
            Outcome::Committed
        };
        Ok(group.iter().map(one).collect())
    }
}

/// Commits a step and gives what it held, with the kinds of its writes.
pub(crate) fn committed<T>(step: Step<T>) -> (T, Vec<Write>) {
    let (batch, held) = step.split();
    let mut memory = Memory::default();
    let receipt = commit(&mut memory, vec![batch]).unwrap().pop().unwrap();
    (held.release(receipt).unwrap(), memory.written)
}

fn step(then: &'static str) -> Step<&'static str> {
    let guard = Guard::Run { run: run_id(), epoch: 1, revision: 1 };
    Step::new(vec![guard], vec![Write::Clock(Timestamp(1))], then)
}

#[test]
fn its_own_receipt_releases_a_step() {
    let (one, held_one) = step("one").split();
    let (two, held_two) = step("two").split();
    let mut receipts = commit(&mut Memory::default(), vec![one, two]).unwrap();
    assert_eq!(held_two.release(receipts.pop().unwrap()).unwrap(), "two");
    assert_eq!(held_one.release(receipts.pop().unwrap()).unwrap(), "one");
}

#[test]
fn the_receipt_of_another_batch_releases_nothing() {
    let (one, _) = step("one").split();
    let (_, held_two) = step("two").split();
    let receipt = commit(&mut Memory::default(), vec![one]).unwrap().pop().unwrap();
    assert_eq!(receipt.outcome(), &Outcome::Committed);
    assert_eq!(held_two.release(receipt).unwrap_err(), NotReleased::OtherBatch);
}

#[test]
fn a_stale_step_is_not_released_and_names_its_guard() {
    let (batch, held) = step("one").split();
    let mut memory = Memory { stale: true, ..Memory::default() };
    let receipt = commit(&mut memory, vec![batch]).unwrap().pop().unwrap();
    let guard = Guard::Run { run: run_id(), epoch: 1, revision: 1 };
    assert_eq!(held.release(receipt).unwrap_err(), NotReleased::Stale(guard));
    assert!(memory.written.is_empty());
}

#[test]
fn a_store_that_fails_gives_no_receipt() {
    let (batch, _held) = step("one").split();
    let mut memory = Memory { broken: true, ..Memory::default() };
    assert!(commit(&mut memory, vec![batch]).is_err());
}
