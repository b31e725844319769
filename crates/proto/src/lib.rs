//! The Gateway Federation Protocol, version 1: bytes, proof and decisions.
//!
//! ```text
//! wire  →  trust  →  machine
//! bytes    proof     decisions
//! ```
//!
//! Nothing here does I/O, reads a clock, draws randomness or waits. The normative text is `spec/`;
//! comments of the form `//= REQ-7` name the clause that a line obeys.

pub mod machine;
#[cfg(test)]
mod schemas;
pub mod trust;
pub mod wire;
