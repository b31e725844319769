//! Decisions that cannot be acted on before they are durable.
//!
//! A machine turns facts into a [`Step`]: writes and, held back, the next state and the actions. The
//! store's writer makes many batches durable with one `fsync` and answers each with a [`Receipt`];
//! only the receipt of that very batch releases what the step holds. A transaction handle passed to
//! the machine would have given the same promise for one run at a time; this gives it to a group.

use std::sync::atomic::{AtomicU64, Ordering};

use landbridge_planted::planted;

use super::contract::{Guard, Store, Write};

/// Links a batch, its receipt and what they hold back. Unique in this process, never stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct StepId(u64);

impl StepId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Writes that become durable together, if every guard still holds then.
#[derive(Debug)]
pub struct Batch {
    id: StepId,
    guards: Vec<Guard>,
    writes: Vec<Write>,
    reserve: bool,
}

impl Batch {
    /// What must still be true at the commit.
    #[must_use]
    pub fn guards(&self) -> &[Guard] {
        &self.guards
    }

    /// What becomes durable, in order.
    #[must_use]
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Whether it may be written with the room that is kept for ends; see [`Step::with_reserve`].
    #[must_use]
    pub const fn may_use_reserve(&self) -> bool {
        self.reserve
    }
}

/// What a machine decided: a batch, and what may happen once it is durable.
#[derive(Debug)]
#[must_use = "a decision that is not committed never happened"]
pub struct Step<T> {
    guards: Vec<Guard>,
    writes: Vec<Write>,
    reserve: bool,
    then: T,
}

impl<T> Step<T> {
    /// A decision to make `writes` durable under `guards`, and only then to have `then`.
    pub fn new(guards: Vec<Guard>, writes: Vec<Write>, then: T) -> Self {
        Self { guards, writes, reserve: false, then }
    }

    /// Adds writes that belong into the same commit.
    pub fn with(mut self, writes: impl IntoIterator<Item = Write>) -> Self {
        self.writes.extend(writes);
        self
    }

    /// Adds guards to the same commit.
    pub fn guarded(mut self, guards: impl IntoIterator<Item = Guard>) -> Self {
        self.guards.extend(guards);
        self
    }

    /// Lets the batch use the room that a store keeps for when there is no other.
    ///
    /// For what brings something that was begun to its end, and what others need to read that end. Each
    /// use must be bounded by what is open: a store that is full because of us must not fill further.
    pub fn with_reserve(mut self) -> Self {
        self.reserve = true;
        self
    }

    /// Changes what is held back.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Step<U> {
        let then = f(self.then);
        Step { guards: self.guards, writes: self.writes, reserve: self.reserve, then }
    }

    /// Splits into what the store's writer needs and what waits for its receipt.
    pub fn split(self) -> (Batch, Held<T>) {
        let id = StepId::next();
        let Self { guards, writes, reserve, then } = self;
        let batch = Batch { id, guards, writes, reserve };
        (batch, Held { id, then })
    }
}

/// What waits for a commit: the next state and the actions.
#[derive(Debug)]
#[must_use = "what is held is lost unless a receipt releases it"]
pub struct Held<T> {
    id: StepId,
    then: T,
}

impl<T> Held<T> {
    /// Releases what was held back.
    ///
    /// # Errors
    ///
    /// [`NotReleased::Stale`] when a guard failed: nothing was written; read again and decide again.
    /// [`NotReleased::Full`] when there was no room: nothing was written; wait, read and decide again.
    /// [`NotReleased::OtherBatch`] when the receipt belongs to another batch.
    pub fn release(self, receipt: Receipt) -> Result<T, NotReleased> {
        if self.id != receipt.id {
            return Err(NotReleased::OtherBatch);
        }
        match receipt.outcome {
            Outcome::Committed => Ok(self.then),
            Outcome::Stale(_) if planted!("stale_released") => Ok(self.then),
            Outcome::Stale(guard) => Err(NotReleased::Stale(guard)),
            Outcome::Full => Err(NotReleased::Full),
        }
    }
}

/// Why a step was not released.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotReleased {
    /// A guard no longer held at the commit, so nothing was written.
    #[error("the facts changed before the commit: {0}")]
    Stale(Guard),
    /// The store had no room, so nothing was written.
    #[error("the store has no room")]
    Full,
    /// The receipt is that of another batch: a bug of the caller.
    #[error("the receipt belongs to another batch")]
    OtherBatch,
}

/// What the store did with one batch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// All of it is durable.
    Committed,
    /// None of it was written: this guard did not hold.
    Stale(Guard),
    /// None of it was written: there is no room for it now. Its guards were not looked at.
    Full,
}

/// Proof that one batch is durable, or why nothing of it was written. Made only by [`commit`].
#[derive(Debug)]
pub struct Receipt {
    id: StepId,
    outcome: Outcome,
}

impl Receipt {
    /// What the store did.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }
}

/// Makes a group of batches durable, in order.
///
/// # Errors
///
/// Returns the store's fault; nothing of the group is then acknowledged, and the process stops.
pub fn commit<S: Store>(store: &mut S, group: Vec<Batch>) -> Result<Vec<Receipt>, S::Fault> {
    let outcomes = store.apply(&group)?;
    debug_assert_eq!(outcomes.len(), group.len(), "one outcome for each batch");
    let receipts = group.into_iter().zip(outcomes);
    Ok(receipts.map(|(batch, outcome)| Receipt { id: batch.id, outcome }).collect())
}
