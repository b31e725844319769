//! Bytes.
pub mod limit;
pub mod name;
