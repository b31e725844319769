//! Tests that this machine cannot make: told, never silent, and a failure where the machine could.
//!
//! A runner hides what a passing test says. So a test that was not made also writes its line into the
//! file that `LANDBRIDGE_SKIPPED` names, and `cargo xtask test` prints that file last.

use std::io::Write as _;

/// Says that something was not tried, and why.
///
/// # Panics
///
/// With `CI=true` on a machine that `could`: there nothing may be left out.
#[allow(unreachable_pub, reason = "one file, read by several test crates")]
pub fn skipped(what: &str, could: bool) {
    let line = format!("SKIPPED: {what}");
    eprintln!("{line}");
    if let Some(path) = std::env::var_os("LANDBRIDGE_SKIPPED") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        // What cannot be noted was said above.
        let _ = file.and_then(|mut file| writeln!(file, "{line}"));
    }
    let in_ci = std::env::var("CI").is_ok_and(|text| text == "true");
    assert!(!(in_ci && could), "this machine could have made the test; {line}");
}

/// Whether this process may mount file systems: it has the capability for it, whoever it runs as.
#[must_use]
#[allow(unreachable_pub, reason = "one file, read by several test crates")]
pub fn may_mount() -> bool {
    /// `CAP_SYS_ADMIN`.
    const MOUNTS: u32 = 21;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let has = line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    has.is_some_and(|has| has >> MOUNTS & 1 == 1)
}
