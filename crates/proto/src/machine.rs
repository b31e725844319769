//! Decisions: what a bridge does next, given what it knows. Pure, and persisted before it acts.
pub mod contract;
pub mod step;
