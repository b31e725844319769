//! What end-to-end tests need from outside: bridges as processes, a checker of what clients saw, a model
//! that does what the prompt says, and a real OpenClaw gateway that talks to it.
//!
//! All run on loopback and die with their handle. Nothing of Landbridge is linked in, so a test that
//! uses them proves something about Landbridge.

pub mod bridge;
pub mod gateway;
pub mod history;
pub mod model;
pub mod operator;
pub mod plugin;
pub mod proxy;
pub mod skip;
pub mod terminal;
