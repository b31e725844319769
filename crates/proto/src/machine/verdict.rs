//! The shape of a verdict: what every offline verifier ends with, whatever it judges.
//!
//! Verifiers differ in what they call right and wrong, and in what they can say about it. They do not
//! differ in how they walk a file, in what a verdict has, or in how a command ends: one that pins a
//! gateway and branches on exit codes learns them once.

use std::fmt;

use serde::Serialize;

/// What a verifier found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Verdict<O, S> {
    /// Whether what was judged holds.
    pub outcome: O,
    /// What was proven before the first line that does not hold.
    pub summary: S,
}

/// Whether something holds, in a verifier's own words.
pub trait Judgement: fmt::Display {
    /// The exit code of a command that verifies.
    fn exit_code(&self) -> u8;
}

/// What the lines that hold say.
pub trait Noted {
    /// What a reader should know although it breaks nothing.
    fn warnings(&self) -> &[String];
}

impl<O: Judgement, S> Verdict<O, S> {
    /// The exit code of a command that verifies.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.outcome.exit_code()
    }
}

/// Gives each line, its end included, to `take`; how many there are.
///
/// # Errors
///
/// The number of the first line that was not taken, from 1, and why.
pub(super) fn walk<F>(
    bytes: &[u8],
    mut take: impl FnMut(&[u8]) -> Result<(), F>,
) -> Result<u64, (u64, F)> {
    let mut number = 0;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        number += 1;
        take(line).map_err(|fault| (number, fault))?;
    }
    Ok(number)
}
