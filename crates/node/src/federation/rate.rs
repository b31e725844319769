//! How much somebody may do in a minute: a bucket for each, refilled as time goes by. New runs have one
//! for each tenant pair and for each local token, records of refusals one for each peer.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use landbridge_proto::wire::name::Timestamp;

/// Buckets of those who did something lately.
#[derive(Debug)]
pub(crate) struct Rates<K>(Mutex<BTreeMap<K, Bucket>>);

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// What may happen now, in thousandths.
    tokens_milli: i64,
    /// What may happen in a minute, in thousandths; not the same for everybody.
    full_milli: i64,
    at: Timestamp,
}

impl<K> Default for Rates<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Ord> Rates<K> {
    /// Takes one; `Err` says in how many milliseconds there will be one.
    pub(crate) fn take(&self, who: &K, per_minute: u32, now: Timestamp) -> Result<(), u64> {
        let full_milli = i64::from(per_minute.max(1)) * 1_000;
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A full bucket says nothing that a new one does not.
        buckets.retain(|_, bucket| bucket.refilled(now).tokens_milli < bucket.full_milli);
        let fresh = Bucket { tokens_milli: full_milli, full_milli, at: now };
        let bucket = buckets.entry(who.clone()).or_insert(fresh);
        *bucket = Bucket { full_milli, ..*bucket }.refilled(now);
        if bucket.tokens_milli < 1_000 {
            let missing = u64::try_from(1_000 - bucket.tokens_milli).unwrap_or(1_000);
            return Err((missing * 60).div_ceil(u64::from(per_minute.max(1))));
        }
        bucket.tokens_milli -= 1_000;
        Ok(())
    }
}

impl Bucket {
    /// The bucket as it stands at `now`; a clock that went back refills nothing.
    fn refilled(self, now: Timestamp) -> Self {
        let passed_ms = now.since_ms(self.at).max(0);
        let more = self.full_milli.saturating_mul(passed_ms) / 60_000;
        let tokens_milli = self.tokens_milli.saturating_add(more).min(self.full_milli);
        Self { tokens_milli, at: now, ..self }
    }
}

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
            rates.take(&owner("acme"), 60, now).unwrap();
        }
        assert_eq!(rates.take(&owner("acme"), 60, now), Err(1_000));
        rates.take(&owner("other"), 60, now).unwrap();
        rates.take(&owner("acme"), 60, now.plus_ms(1_000)).unwrap();
        assert!(rates.take(&owner("acme"), 60, now.plus_ms(500)).is_err(), "the clock went back");
    }

    #[test]
    fn somebody_with_a_smaller_bucket_refills_no_other() {
        let (rates, now) = (Rates::default(), Timestamp(1_000_000));
        for _ in 0..600 {
            rates.take(&"much", 600, now).unwrap();
        }
        let later = now.plus_ms(10_000);
        rates.take(&"little", 60, later).unwrap();
        for _ in 0..100 {
            rates.take(&"much", 600, later).unwrap();
        }
        assert!(rates.take(&"much", 600, later).is_err());
    }
}
