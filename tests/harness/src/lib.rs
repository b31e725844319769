//! What end-to-end tests need from outside: bridges as processes, a checker of what clients saw, a model
//! that does what the prompt says, and a real OpenClaw gateway that talks to it.
//!
//! All run on loopback and die with their handle. Nothing of Landbridge is linked in, so a test that
//! uses them proves something about Landbridge.

pub mod bridge;
mod described;
pub mod gateway;
pub mod history;
pub mod model;
pub mod operator;
pub mod plugin;
pub mod proxy;
pub mod skip;
pub mod terminal;

/// The workspace's directory, as cargo tells it to the running test. What it told the compiler may be another
/// clone's, when both build into one directory.
pub(crate) fn workspace_root() -> std::path::PathBuf {
    let told = std::env::var_os("CARGO_MANIFEST_DIR").map(std::path::PathBuf::from);
    told.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into()).join("../..")
}
