//! The protocol.
pub mod machine;
pub mod trust;
pub mod wire;
