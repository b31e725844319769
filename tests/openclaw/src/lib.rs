//! The whole path against a real gateway: a client, bridge A, TLS, bridge B, OpenClaw, a scripted model.
//!
//! Both bridges are processes of the real binary, set up by the commands that an operator types and
//! read by the commands that a client uses. So these tests see what a user sees, and may kill anything.
//!
//! Helpers fail a test by panicking: a setting that cannot be built proves nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "only tests use this crate"
)]

pub mod bridge;
pub mod dice;
pub mod follow;
pub mod people;
pub mod scenarios;
pub mod story;
pub mod world;
