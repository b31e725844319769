//! Two bridges in one process: what crosses the federation plane, clause by clause.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod budgets;
mod calling;
mod documents;
mod equivocation;
mod local_api;
mod pairing;
mod races;
mod refusals;
mod sessions;
mod starting;
mod stopping;
mod streams;
mod support;
mod tools;
