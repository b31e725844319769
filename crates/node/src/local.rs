//! The local plane: what workflow engines, the command line and the console of this machine may ask.
//!
//! It never shares a listener, a credential or a parser with the federation plane. A request passes
//! `gate` (is this a local client, and not a web page?), then [`auth`] (who, and may they?), then
//! `body` (is it well formed?), and only then reaches [`crate::bridge::Bridge`].

mod admin;
pub mod api;
mod approvals;
pub mod auth;
mod body;
mod evidence;
mod gate;
mod list;
mod openapi;
pub mod problem;
mod runs;
mod scopes;
pub mod server;
pub mod standing;
mod stream;
mod trust;
pub mod usage;

pub use server::{Options, router};
