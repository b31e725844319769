//! What work costs: how much was spent, by whom, on which day, and how much may be.
//!
//! A gateway reports the usage of a run as a sum that grows. What a run's row has *booked* is the part
//! of that sum which stands in its owner's day already, so each report adds the difference only, in the
//! batch of the frame that tells it: a crash books nothing twice and loses nothing that was told. The
//! day is read after the commit and given to the machine as a fact ([`super::executor::Input::Accounted`]),
//! so the machine stays free of reads, and a run knows of all that other runs have booked by then.
//!
//! A model call is paid for when it is known, not before: each run that is open when a budget is used up
//! goes beyond it by at most what it uses until its next report and until its gateway obeys the stop.

use serde::{Deserialize, Serialize};

use super::report::Usage;
use crate::wire::document::Grant;
use crate::wire::limit;
use crate::wire::name::Timestamp;
use crate::wire::request::StartLimits;

/// A length of a UTC day, in milliseconds; UTC days of a computer's clock have no other.
const DAY_MS: i64 = 86_400_000;

/// An amount of model use. Each part ends at `INTEGER_MAX`, where it stays.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Tokens of every kind.
    pub tokens: u64,
    /// Millionths of a dollar, as far as the gateway knows costs.
    pub cost_micro_usd: u64,
}

impl Spent {
    /// What a usage report says was used so far.
    #[must_use]
    pub fn of(usage: &Usage) -> Self {
        let most = limit::INTEGER_MAX.unsigned_abs();
        Self {
            tokens: usage.total.min(most),
            cost_micro_usd: usage.cost_micro_usd.unwrap_or(0).min(most),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        let most = limit::INTEGER_MAX.unsigned_abs();
        Self {
            tokens: self.tokens.saturating_add(more.tokens).min(most),
            cost_micro_usd: self.cost_micro_usd.saturating_add(more.cost_micro_usd).min(most),
        }
    }

    /// What this is beyond `booked`. A report that went back is beyond nothing.
    #[must_use]
    pub const fn beyond(self, booked: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_sub(booked.tokens),
            cost_micro_usd: self.cost_micro_usd.saturating_sub(booked.cost_micro_usd),
        }
    }

    /// Nothing at all.
    #[must_use]
    pub const fn is_nothing(self) -> bool {
        self.tokens == 0 && self.cost_micro_usd == 0
    }
}

/// The most that may be spent; what is `None` is not limited.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Budget {
    /// Tokens of every kind.
    pub tokens: Option<u64>,
    /// Millionths of a dollar.
    pub cost_micro_usd: Option<u64>,
}

impl Budget {
    /// What a grant allows to its tenant pair in a day.
    #[must_use]
    pub const fn of_day(grant: &Grant) -> Self {
        Self { tokens: grant.tokens_per_day, cost_micro_usd: grant.cost_micro_usd_per_day }
    }

    /// What a start allows to its own run.
    #[must_use]
    pub fn of_run(limits: Option<&StartLimits>) -> Self {
        let limits = limits.cloned().unwrap_or_default();
        Self { tokens: limits.tokens, cost_micro_usd: limits.cost_micro_usd }
    }

    /// Limits anything.
    #[must_use]
    pub const fn is_limited(self) -> bool {
        self.tokens.is_some() || self.cost_micro_usd.is_some()
    }

    /// No more may be begun: a part of it is used up.
    #[must_use]
    pub fn is_used_up(self, spent: Spent) -> bool {
        let full = |most: Option<u64>, now| most.is_some_and(|most| now >= most);
        full(self.tokens, spent.tokens) || full(self.cost_micro_usd, spent.cost_micro_usd)
    }

    /// More was spent than it allows.
    #[must_use]
    pub fn is_exceeded(self, spent: Spent) -> bool {
        let over = |most: Option<u64>, now| most.is_some_and(|most| now > most);
        over(self.tokens, spent.tokens) || over(self.cost_micro_usd, spent.cost_micro_usd)
    }
}

/// A day in UTC, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Day(pub i64);

impl Day {
    /// The day of a time.
    #[must_use]
    pub const fn of(at: Timestamp) -> Self {
        Self(at.0.div_euclid(DAY_MS))
    }

    /// How long a day still lasts, in milliseconds: 1 to 86,400,000.
    #[must_use]
    pub fn left_ms(at: Timestamp) -> u64 {
        u64::try_from(DAY_MS - at.0.rem_euclid(DAY_MS)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(tokens: u64, cost_micro_usd: u64) -> Spent {
        Spent { tokens, cost_micro_usd }
    }

    #[test]
    fn a_day_ends_at_midnight() {
        assert_eq!(Day::of(Timestamp(DAY_MS - 1)), Day(0));
        assert_eq!(Day::of(Timestamp(DAY_MS)), Day(1));
        assert_eq!(Day::of(Timestamp(-1)), Day(-1));
        assert_eq!(Day::left_ms(Timestamp(DAY_MS - 1)), 1);
        assert_eq!(Day::left_ms(Timestamp(DAY_MS)), DAY_MS.unsigned_abs());
    }

    #[test]
    fn a_budget_is_used_up_at_its_limit_and_exceeded_beyond_it() {
        let budget = Budget { tokens: Some(100), cost_micro_usd: Some(7) };
        assert!(!budget.is_used_up(spent(99, 6)));
        assert!(budget.is_used_up(spent(100, 0)) && budget.is_used_up(spent(0, 7)));
        assert!(!budget.is_exceeded(spent(100, 7)));
        assert!(budget.is_exceeded(spent(101, 0)) && budget.is_exceeded(spent(0, 8)));
        assert!(!Budget::default().is_exceeded(spent(u64::MAX, u64::MAX)));
    }

    #[test]
    fn sums_stay_within_the_contracts_integers() {
        let most = limit::INTEGER_MAX.unsigned_abs();
        let usage = Usage { total: u64::MAX, cost_micro_usd: Some(u64::MAX), ..Usage::default() };
        assert_eq!(Spent::of(&usage), spent(most, most));
        assert_eq!(Spent::of(&usage).plus(spent(1, 1)), spent(most, most));
        assert_eq!(spent(5, 1).beyond(spent(7, 0)), spent(0, 1));
    }
}
