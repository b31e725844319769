//! Decisions: what a bridge does next, given what it knows. Pure, and persisted before it acts.
pub mod audit;
pub mod contract;
pub mod step;
