//! The local plane.
pub mod api;
