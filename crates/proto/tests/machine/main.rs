//! The machines from outside, as a bridge uses them: two gateways of fixed seeds, one run between them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod approvals;
mod documents;
mod evidence;
mod gate;
mod gateway;
mod outgoing;
mod races;
mod run;
mod start;
mod step;
mod stream;
mod tables;
mod transcript;
