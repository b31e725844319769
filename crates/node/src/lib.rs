//! The running bridge.
pub mod adapter;
pub mod bridge;
pub mod clock;
pub mod identity;
pub mod local;
pub mod net;
