//! Operators' decisions, as a relying gateway judges, counts and records them.

pub(crate) mod judging;
pub(crate) mod key;
pub(crate) mod scene;
