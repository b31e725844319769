//! The machines from outside, as a bridge uses them: two gateways of fixed seeds, one run between them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod gateway;
mod run;
mod stream;
mod transcript;
