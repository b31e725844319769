//! The running bridge.
pub mod adapter;
pub mod bridge;
pub mod local;
pub mod clock;
pub mod net;
