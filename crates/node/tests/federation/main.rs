//! Two bridges in one process: what crosses the federation plane, clause by clause.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod calling;
mod documents;
mod full;
mod local_api;
mod pairing;
mod refusals;
mod starting;
mod stopping;
mod streams;
mod support;
mod tools;
