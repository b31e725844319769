//! The protocol.
pub mod wire;
