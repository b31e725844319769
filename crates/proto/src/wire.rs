//! Bytes.
pub mod digest;
pub mod limit;
pub mod name;
pub mod problem;
pub mod request;
pub mod stream;
