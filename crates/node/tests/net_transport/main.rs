//! The transport on real sockets: what it serves, what it refuses, and what it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod abuse;
mod limits;
mod local;
mod round_trip;
mod slow;
mod support;
mod trust;
