//! The running bridge.
pub mod adapter;
pub mod bridge;
pub mod config;
pub mod local;
pub mod observe;
