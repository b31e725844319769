//! Bytes and HTTP between processes, and nothing about what they mean.
//!
//! One accept loop serves every plane and one client dials every peer, so that caps, deadlines and the
//! refusal of odd input are written once. Listener, connector and resolver are handed in; a simulation
//! brings its own.

mod activity;
pub(crate) mod file;
mod flood;
mod serve;

pub mod accept;
pub mod client;
pub mod connect;
pub mod endpoint;
pub mod limit_body;
pub mod listen;
pub mod stream;
pub mod tls;

pub use flood::{Allowance, FloodSettings};
pub use serve::{App, Connection, Protocol, ResponseBody};
