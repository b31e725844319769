//! The vectors of `vectors/`, judged by this implementation.
//!
//! Their builder was written from the specification and shares no line with ours, so it can disagree with us.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod approvals;
mod envelopes;
mod federations;
mod folder;
mod introductions;
mod invites;
mod requests;
mod statuses;
mod transcripts;
mod walks;
