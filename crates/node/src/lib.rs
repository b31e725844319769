//! The running bridge.
pub mod adapter;
pub mod clock;
pub mod net;
