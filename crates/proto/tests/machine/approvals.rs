//! Operators' decisions, as a relying gateway judges, counts and records them.

mod judging;
pub(crate) mod key;
mod log;
mod record;
pub(crate) mod scene;
mod starts;
