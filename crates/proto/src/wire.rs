//! Bytes.
pub mod digest;
pub mod limit;
pub mod name;
