//! Time and randomness, as things that are handed in.
//!
//! The machines take time and random bytes as arguments; whoever drives them must get both from
//! somewhere, and a simulation must be able to say from where. Timeouts of sockets are not here: they
//! are monotonic and belong to the runtime (`net`), because a clock that jumps must not cut a
//! connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use landbridge_proto::wire::name::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

/// The wall clock, as protocol deadlines and signatures see it.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Returns once [`now`](Self::now) is at or past `at`, whatever jumps happen in between.
    async fn sleep_until(&self, at: Timestamp);
}

/// Where random bytes come from.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes`, all of them, with bytes that nobody can guess.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        };
        Timestamp(ms)
    }

    async fn sleep_until(&self, at: Timestamp) {
        // A wall clock can be set while we sleep, and the runtime's timer would not notice: look again
        // at least this often.
        const LOOK_AGAIN_MS: u64 = 15_000;
        while let Ok(left @ 1..) = u64::try_from(at.since_ms(self.now())) {
            tokio::time::sleep(Duration::from_millis(left.min(LOOK_AGAIN_MS))).await;
        }
    }
}

/// A clock that stands still until somebody moves it. Clones show the same time.
#[derive(Clone, Debug)]
pub struct VirtualClock {
    now: watch::Sender<Timestamp>,
}

impl VirtualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { now: watch::Sender::new(now) }
    }

    /// Moves the clock forward, or backward when `ms` is negative.
    pub fn advance_ms(&self, ms: i64) {
        self.now.send_modify(|now| *now = now.plus_ms(ms));
    }

    /// Sets the clock.
    pub fn set(&self, now: Timestamp) {
        self.now.send_replace(now);
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    async fn sleep_until(&self, at: Timestamp) {
        let mut now = self.now.subscribe();
        // `self` keeps the sender alive, so the wait ends only because the time has come.
        let _reached = now.wait_for(|now| *now >= at).await;
    }
}

/// The operating system's entropy.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::expect_used,
        reason = "without entropy every signature and id would be a lie; stop"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

/// Bytes that look random and are the same for the same seed: for tests and simulations only.
#[derive(Clone, Debug)]
pub struct SeededEntropy {
    state: Arc<Mutex<(u64, u64)>>,
}

impl SeededEntropy {
    /// The stream of bytes that belongs to `seed`. Clones share one position in it.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: Arc::new(Mutex::new((seed, 0))) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(32) {
            let mut hash = Sha256::new();
            hash.update(b"landbridge seeded entropy");
            hash.update(state.0.to_be_bytes());
            hash.update(state.1.to_be_bytes());
            state.1 += 1;
            chunk.copy_from_slice(&hash.finalize()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn virtual_time_wakes_a_sleeper_exactly_when_it_is_reached() {
        let clock = VirtualClock::new(Timestamp(1_000));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep_until(Timestamp(2_000)).await;
                clock.now()
            }
        });
        clock.advance_ms(999);
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance_ms(1);
        assert_eq!(sleeper.await.unwrap(), Timestamp(2_000));
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_gives_others() {
        let draw = |seed| {
            let mut bytes = [0; 80];
            SeededEntropy::new(seed).fill(&mut bytes);
            bytes
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert_ne!(draw(7)[..32], draw(7)[32..64]);
    }
}
