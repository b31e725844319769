//! Two real bridges: killed at any moment, attacked, and led through a run's whole life.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod approvals;
mod audit;
mod booking;
mod deciding;
mod dice;
mod dying;
mod forge;
mod full;
mod kill9;
mod lifecycle;
mod logs;
mod lossy;
mod middle;
mod offline_keys;
mod pairing;
mod phases;
mod refusals;
mod rollback;
mod rotation;
mod scopes;
mod scripts;
mod sigterm;
mod standing;
mod tamper;
mod trust;
