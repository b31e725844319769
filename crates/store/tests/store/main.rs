//! Both engines against one suite, against each other, and the database against crashes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod crash;
mod full;
mod handle;
mod heads;
mod make;
mod open;
mod random;
mod spent;
mod suite;
mod witness;
