//! Exit codes and failures: what happened, why, and which command to try next.
//!
//! Scripts branch on the code, so each means one thing in every command. `verify` keeps 0 to 5 for its
//! verdicts; the outcomes of runs begin at 10; from 64 on the codes are those of `sysexits.h`.

use std::fmt::{self, Display};
use std::process::ExitCode;

/// Why the process ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// Done; a run succeeded; a transcript is verified; an approval was given.
    Success,
    /// Refused or failed for a reason that the message tells.
    Failed,
    /// `verify`: the file was changed, or something in it does not hold.
    Tampered,
    /// `verify`: another gateway than the pinned one signed it.
    OtherSigner,
    /// `verify`: neither a transcript nor the record of an approval.
    Unreadable,
    /// `verify`: genuine, without a sealed terminal, or of an approval that was not given.
    Incomplete,
    /// The run failed.
    RunFailed,
    /// The run was cancelled.
    RunCancelled,
    /// The executor refused the run.
    RunRejected,
    /// The run's deadline passed.
    RunExpired,
    /// No terminal of the executor can be had.
    RunLost,
    /// Runs go on, or an approval is open, when the time to wait is over.
    WaitTimeout,
    /// No such run, gateway, peer, token or approval.
    NotFound,
    /// The approval was denied.
    ApprovalDenied,
    /// The approval expired or was closed, undecided.
    ApprovalEnded,
    /// Wrong usage.
    Usage,
    /// No bridge is running in this home, or it went away.
    NoBridge,
    /// A fault of this program.
    Internal,
    /// A file exists already, or cannot be made.
    CannotCreate,
    /// A file or directory has the wrong permissions.
    Permissions,
    /// The configuration is wrong.
    Config,
    /// Stopped by a signal.
    Interrupted,
}

impl Exit {
    /// The number that the process ends with.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Tampered => 2,
            Self::OtherSigner => 3,
            Self::Unreadable => 4,
            Self::Incomplete => 5,
            Self::RunFailed => 10,
            Self::RunCancelled => 11,
            Self::RunRejected => 12,
            Self::RunExpired => 13,
            Self::RunLost => 14,
            Self::WaitTimeout => 15,
            Self::NotFound => 16,
            Self::ApprovalDenied => 17,
            Self::ApprovalEnded => 18,
            Self::Usage => 64,
            Self::NoBridge => 69,
            Self::Internal => 70,
            Self::CannotCreate => 73,
            Self::Permissions => 77,
            Self::Config => 78,
            Self::Interrupted => 130,
        }
    }

    /// The exit that tells a run's outcome, by its word on the wire.
    pub(crate) fn of_outcome(outcome: &str) -> Self {
        match outcome {
            "succeeded" => Self::Success,
            "cancelled" => Self::RunCancelled,
            "rejected" => Self::RunRejected,
            "expired" => Self::RunExpired,
            "lost" => Self::RunLost,
            _ => Self::RunFailed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The table below every command's long help.
pub(crate) const HELP: &str = "\
Exit codes:
    0  done; the run succeeded; what was verified holds
    1  refused or failed; the message says why
    2  verify: the file was changed, or something in it does not hold
    3  verify: another gateway than the pinned one signed it
    4  verify: neither a transcript nor the record of an approval
    5  verify: genuine, without a sealed terminal, or of an approval that was not given
   10  the run failed
   11  the run was cancelled
   12  the executor refused the run
   13  the run's deadline passed
   14  no terminal of the executor can be had; what happened is unknown
   15  runs go on, or an approval is open: the time to wait is over
   16  no such run, gateway, peer, token or approval
   17  the approval was denied
   18  the approval expired, or was closed undecided
   64  wrong usage
   69  no bridge is running in this home, or it went away
   70  a fault of this program; please report it
   73  a file exists already, or cannot be made
   77  a file or directory has the wrong permissions
   78  the configuration is wrong
  130  stopped by a signal";

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    what: String,
    why: Vec<String>,
    next: Option<String>,
    code: Option<String>,
}

impl Failure {
    /// A failure and what happened.
    pub(crate) fn new(exit: Exit, what: impl Display) -> Self {
        Self { exit, what: what.to_string(), why: Vec::new(), next: None, code: None }
    }

    /// With its cause, and the cause's causes.
    pub(crate) fn because(mut self, error: impl std::error::Error) -> Self {
        self.why.push(error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            self.why.push(cause.to_string());
            source = cause.source();
        }
        self.why.dedup();
        self
    }

    /// With one sentence of explanation.
    pub(crate) fn why(mut self, why: impl Display) -> Self {
        self.why.push(why.to_string());
        self
    }

    /// With what to try next.
    pub(crate) fn next(mut self, next: impl Display) -> Self {
        self.next = Some(next.to_string());
        self
    }

    /// With the code of a problem.
    pub(crate) fn code(mut self, code: impl Display) -> Self {
        self.code = Some(code.to_string());
        self
    }

    /// The exit.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    /// The problem's code, where the API gave one.
    pub(crate) fn problem_code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// What happened.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// Why, outermost first.
    pub(crate) fn reasons(&self) -> &[String] {
        &self.why
    }

    /// What to try next.
    pub(crate) fn next_step(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.why.iter().try_for_each(|why| write!(f, ": {why}"))
    }
}

impl std::error::Error for Failure {}

/// Gives an error its place in the command.
pub(crate) trait OrFail<T> {
    /// Turns an error into a failure that says what was being done.
    fn or_fail<W: Display>(self, exit: Exit, what: impl FnOnce() -> W) -> Result<T, Failure>;
}

impl<T, E: std::error::Error> OrFail<T> for Result<T, E> {
    fn or_fail<W: Display>(self, exit: Exit, what: impl FnOnce() -> W) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(exit, what()).because(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Exit; 22] = [
        Exit::Success,
        Exit::Failed,
        Exit::Tampered,
        Exit::OtherSigner,
        Exit::Unreadable,
        Exit::Incomplete,
        Exit::RunFailed,
        Exit::RunCancelled,
        Exit::RunRejected,
        Exit::RunExpired,
        Exit::RunLost,
        Exit::WaitTimeout,
        Exit::NotFound,
        Exit::ApprovalDenied,
        Exit::ApprovalEnded,
        Exit::Usage,
        Exit::NoBridge,
        Exit::Internal,
        Exit::CannotCreate,
        Exit::Permissions,
        Exit::Config,
        Exit::Interrupted,
    ];

    #[test]
    fn the_help_lists_every_code_once_and_no_other() {
        let listed: Vec<u8> = HELP
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().next()?.parse().ok())
            .collect();
        assert_eq!(listed, ALL.map(Exit::code));
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        let page = include_str!("../../../docs/exit-codes.md");
        for line in HELP.lines().skip(1) {
            let (code, words) = line.trim().split_once("  ").unwrap_or_default();
            assert!(page.contains(&format!("| {code} | {words} |")), "{line}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| ") && line.ends_with(" |"));
        assert_eq!(rows.count(), ALL.len() + 1, "a heading, and one row for each");
    }

    #[test]
    fn an_outcome_that_nobody_knows_is_not_success() {
        assert_eq!(Exit::of_outcome("succeeded"), Exit::Success);
        assert_eq!(Exit::of_outcome("novelty"), Exit::RunFailed);
    }
}
