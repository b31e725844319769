//! Decisions: what a bridge does next, given what it knows. Pure, and persisted before it acts.
pub mod admission;
pub mod audit;
pub mod budget;
pub mod caller;
pub mod chain;
pub mod contract;
pub mod evidence;
pub mod executor;
pub mod framing;
pub mod history;
pub mod operation;
pub mod outgoing;
pub mod receive;
mod recorded;
pub mod report;
pub mod step;
pub mod transcript;
pub mod verdict;
