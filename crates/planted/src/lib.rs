//! Small bugs that tests must notice, each the removal of one check.
//!
//! A test that cannot fail proves nothing. Where a check of ours stands, `planted!("name")` says whether
//! the check is removed. In every ordinary build, the shipped one included, the macro is the word
//! `false` and the name is not even compiled. Under `--cfg plantable`, which only `cargo xtask planted` and
//! `cargo xtask attacks` with `--bite` or `--twins` set, it asks the variable `LANDBRIDGE_PLANTED`: so one build of a crate
//! serves all its bugs. A few of them take nothing away but refuse everything: with them a test must fail that says it sees an honest
//! case pass. It is not a cargo feature, because features add up and somebody would switch it on.

/// Names the one bug of a process, in a build that can have bugs.
#[cfg(plantable)]
pub const VARIABLE: &str = "LANDBRIDGE_PLANTED";

/// Whether this process was started with the bug.
#[cfg(plantable)]
#[must_use]
pub fn is(bug: &str) -> bool {
    static PLANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    PLANTED.get_or_init(|| std::env::var(VARIABLE).ok()).as_deref() == Some(bug)
}

/// Whether the named check is removed: `false`, unless the build can have bugs.
#[cfg(not(plantable))]
#[macro_export]
macro_rules! planted {
    ($bug:literal) => {
        false
    };
}

/// Whether the named check is removed in this process.
#[cfg(plantable)]
#[macro_export]
macro_rules! planted {
    ($bug:literal) => {
        $crate::is($bug)
    };
}
