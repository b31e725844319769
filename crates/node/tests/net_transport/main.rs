//! The transport on real sockets: what it serves, what it refuses, and what it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod abuse;
mod limits;
mod local;
mod round_trip;
#[path = "../../../../tests/harness/src/skip.rs"]
#[allow(dead_code, reason = "one file, read by several test crates")]
mod skip;
mod slow;
mod support;
mod trust;
