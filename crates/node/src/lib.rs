//! The running bridge: sockets, drivers, the local plane and the door to a gateway.
//!
//! Decisions are `proto`'s and durable state is `store`'s; what is here carries them out. Start at
//! [`bridge`] for what can be asked of a bridge, at [`adapter`] for what a bridge asks of a gateway.

pub mod adapter;
pub mod approvals;
pub mod backup;
pub mod bridge;
pub mod call;
pub mod catalogs;
pub mod clock;
pub mod config;
pub mod contact;
pub mod core;
pub mod evidence;
pub mod execute;
pub mod fail;
pub mod federation;
pub mod federation_root;
pub mod halt;
pub mod identity;
mod line;
pub mod local;
pub mod net;
pub mod news;
pub mod observe;
pub mod operators;
pub mod pairing;
pub mod peers;
pub mod progress;
pub mod rollback;
pub mod room;
pub mod rotation;
pub mod scripted;
pub mod seats;
pub mod serve;
pub mod standing;
pub mod statuses;
pub mod tally;
pub mod trust;
mod turns;
