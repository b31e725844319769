//! What end-to-end tests need from outside: a model that does what the prompt says, and a real OpenClaw
//! gateway that talks to it.
//!
//! Both run on loopback and die with their handle. Neither knows anything of Landbridge, so a test that
//! uses them proves something about Landbridge.

pub mod gateway;
pub mod model;
pub mod operator;
pub mod proxy;
