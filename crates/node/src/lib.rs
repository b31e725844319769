//! The running bridge.
pub mod adapter;
