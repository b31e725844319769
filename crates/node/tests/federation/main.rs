//! Two bridges in one process: what crosses the federation plane, clause by clause.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod approvals;
mod budgets;
mod calling;
mod catalogs;
mod documented;
mod documents;
mod equivocation;
mod full;
mod gateways;
mod learning;
mod lists;
mod local_api;
mod membership;
mod operators;
mod pairing;
mod plane;
mod races;
mod refusals;
mod rollback;
mod rotation;
mod sessions;
mod slow_news;
mod standing;
mod starting;
mod stopping;
mod streams;
mod support;
mod tokens;
mod tools;
