//! `cargo xtask conformance`: whether the conformance kit finds what is planted in our own bridge.
//!
//! That an unchanged bridge passes every case is one of the ordinary tests.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::planted;

/// Builds the program in which faults can be planted, and sets the kit on it with each fault of its tables.
///
/// # Errors
///
/// Fails when the program does not build, or when cargo cannot be started.
pub(crate) fn run(root: &Path) -> Result<ExitCode> {
    let program = planted::program_with_bugs(root)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["test", "--locked", "--package", "landbridge-conformance"])
        .args(["--test", "ours", "--test", "caller"])
        .args(["--", "--ignored", "--nocapture"])
        .env("LANDBRIDGE_BIN", program)
        .current_dir(root)
        .status()
        .context("cargo could not be started")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
