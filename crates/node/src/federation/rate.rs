//! How often somebody may do something: a bucket for each, refilled as time goes by. New runs have one
//! for each tenant pair and for each local token, records of refusals one for each peer.
//!
//! Whoever is refused is told when there will be one *for it*: behind those who were refused before, so
//! that a crowd does not come back all at once, to be refused again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use landbridge_proto::wire::name::Timestamp;

/// Buckets of those who did something lately.
#[derive(Debug)]
pub(crate) struct Rates<K>(Mutex<BTreeMap<K, Bucket>>);

/// So much in such a time; as much may come at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rate {
    count: u32,
    period_ms: i64,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// What may happen now, in thousandths.
    tokens_milli: i64,
    /// What was refused lately, in thousandths: it wants to happen as soon as there is something.
    wanted_milli: i64,
    rate: Rate,
    at: Timestamp,
}

impl Rate {
    pub(super) const fn per_second(count: u32) -> Self {
        Self { count, period_ms: 1_000 }
    }

    pub(crate) const fn per_minute(count: u32) -> Self {
        Self { count, period_ms: 60_000 }
    }

    pub(crate) const fn per_hour(count: u32) -> Self {
        Self { count, period_ms: 3_600_000 }
    }

    fn count_milli(self) -> i64 {
        i64::from(self.count.max(1)) * 1_000
    }

    fn refill_milli(self, passed_ms: i64) -> i64 {
        self.count_milli().saturating_mul(passed_ms) / self.period_ms
    }

    /// How long so much takes, in milliseconds.
    fn time_of(self, milli: i64) -> u64 {
        let ms = milli.saturating_mul(self.period_ms).saturating_add(self.count_milli() - 1);
        u64::try_from(ms / self.count_milli()).unwrap_or_default()
    }
}

impl<K> Default for Rates<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Ord> Rates<K> {
    /// Takes one; `Err` says in how many milliseconds there will be one, at most [`WAIT_MS_MAX`].
    pub(crate) fn take(&self, who: &K, rate: Rate, now: Timestamp) -> Result<(), u64> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A full bucket says nothing that a new one does not.
        buckets.retain(|_, bucket| {
            *bucket = bucket.refilled(now);
            bucket.tokens_milli < bucket.rate.count_milli()
        });
        let full = rate.count_milli();
        let fresh = Bucket { tokens_milli: full, wanted_milli: 0, rate, at: now };
        let bucket = buckets.entry(who.clone()).or_insert(fresh);
        *bucket = Bucket { rate, tokens_milli: bucket.tokens_milli.min(full), ..*bucket };
        if bucket.tokens_milli < 1_000 {
            let missing = 1_000 - bucket.tokens_milli;
            let wait = rate.time_of(missing.saturating_add(bucket.wanted_milli));
            bucket.wanted_milli = bucket.wanted_milli.saturating_add(1_000);
            return Err(wait.clamp(1, WAIT_MS_MAX));
        }
        bucket.tokens_milli -= 1_000;
        Ok(())
    }
}

impl Bucket {
    /// The bucket as it stands at `now`; a clock that went back refills nothing.
    fn refilled(self, now: Timestamp) -> Self {
        if now < self.at {
            return Self { at: now, ..self };
        }
        let more = self.rate.refill_milli(now.since_ms(self.at));
        // What has not yet come to a thousandth is not given away by asking often.
        if more == 0 {
            return self;
        }
        let tokens_milli = self.tokens_milli.saturating_add(more).min(self.rate.count_milli());
        let wanted_milli = self.wanted_milli.saturating_sub(more).max(0);
        Self { tokens_milli, wanted_milli, at: now, ..self }
    }
}

/// The longest that anybody is told to wait, in milliseconds.
const WAIT_MS_MAX: u64 = 60_000;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use landbridge_proto::wire::name::{GatewayId, Owner, TenantId, TenantPair};

    use super::*;

    //= REQ-28
    #[test]
    fn a_bucket_runs_dry_and_refills() {
        let tenant = |name| TenantId::new(name).unwrap();
        let owner = |src| Owner {
            caller: GatewayId::new(format!("gw1-{}", "a".repeat(52))).unwrap(),
            tenant: TenantPair { src: tenant(src), dst: tenant("ops") },
        };
        let (rates, now) = (Rates::default(), Timestamp(1_000_000));
        for _ in 0..60 {
            rates.take(&owner("acme"), Rate::per_minute(60), now).unwrap();
        }
        assert_eq!(rates.take(&owner("acme"), Rate::per_minute(60), now), Err(1_000));
        rates.take(&owner("other"), Rate::per_minute(60), now).unwrap();
        rates.take(&owner("acme"), Rate::per_minute(60), now.plus_ms(1_000)).unwrap();
        assert!(
            rates.take(&owner("acme"), Rate::per_minute(60), now.plus_ms(500)).is_err(),
            "the clock went back"
        );
    }

    #[test]
    fn somebody_with_a_smaller_bucket_refills_no_other() {
        let (rates, now) = (Rates::default(), Timestamp(1_000_000));
        for _ in 0..600 {
            rates.take(&"much", Rate::per_minute(600), now).unwrap();
        }
        let later = now.plus_ms(10_000);
        rates.take(&"little", Rate::per_minute(60), later).unwrap();
        for _ in 0..100 {
            rates.take(&"much", Rate::per_minute(600), later).unwrap();
        }
        assert!(rates.take(&"much", Rate::per_minute(600), later).is_err());
    }

    //= REQ-59
    #[test]
    fn a_rate_by_the_second_has_a_burst_of_one_second() {
        let (rates, rate, now) = (Rates::default(), Rate::per_second(5), Timestamp(1_000_000));
        let taken = |at: Timestamp| (0..100).filter(|_| rates.take(&"x", rate, at).is_ok()).count();
        assert_eq!(taken(now), 5);
        assert_eq!(taken(now.plus_ms(199)), 0);
        assert_eq!(taken(now.plus_ms(200)), 1);
        // Asking all the time neither gains nor loses: 5 in each second, 10 in no second.
        let steady: usize = (1..=10_000).map(|ms| taken(now.plus_ms(200 + ms))).sum();
        assert_eq!(steady, 50);
        assert_eq!(taken(now.plus_ms(3_600_000)), 5);
    }

    #[test]
    fn a_crowd_is_told_to_come_back_one_after_the_other() {
        let (rates, rate, now) = (Rates::default(), Rate::per_second(10), Timestamp(1_000_000));
        for _ in 0..10 {
            rates.take(&"x", rate, now).unwrap();
        }
        let told: Vec<_> = (0..4).map(|_| rates.take(&"x", rate, now).unwrap_err()).collect();
        assert_eq!(told, [100, 200, 300, 400]);
        let far = (0..10_000).map(|_| rates.take(&"x", rate, now).unwrap_err()).max();
        assert_eq!(far, Some(WAIT_MS_MAX));
        // Who comes when it was told finds one.
        rates.take(&"x", rate, now.plus_ms(100)).unwrap();
    }
}
