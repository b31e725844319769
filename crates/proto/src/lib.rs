//! The protocol.
pub mod machine;
pub mod wire;
