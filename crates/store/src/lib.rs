//! Durable state behind `proto`'s write contract: an embedded database, and a model of it in memory.
//!
//! The daemon holds a [`Handle`]: commits go through one writer thread that makes many batches durable
//! with one `fsync`; reads go inline through a small pool of read-only connections. Both engines are
//! held to one suite (`tests/store`), so the model is the oracle for the database.

pub mod fault;
pub mod handle;
pub mod memory;
pub mod sqlite;

pub use fault::{Broken, Fault};
pub use handle::{Handle, Stats};
pub use sqlite::open::{OpenError, Options, secure as lock};
pub use sqlite::witness::Behind;
