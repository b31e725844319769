//! The protocol.
pub mod trust;
pub mod wire;
