//! `cargo xtask fair`: what a greedy tenant costs its neighbour, measured at two bridges of a release build.
//!
//! A machine that does other things meanwhile measures something else, so it is a command of its own and no
//! step of CI. The measuring is the harness's
//! (`fair-shares`); here it is given the program to measure.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::planted::{program, target_directory};

/// How to measure.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Goes to the measurement: `--seconds N`, `--share STARTS_PER_SECOND`, `--json`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Builds both programs and measures.
///
/// # Errors
///
/// Fails when something does not build or cannot be started.
pub(crate) fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let release = target_directory(root).join("release");
    for package in [
        &["landbridge", "--bin", "landbridge"][..],
        &["landbridge-harness", "--bin", "fair-shares"],
    ] {
        let mut build = Command::new(program());
        build.current_dir(root).args(["build", "--release", "--locked", "--package"]).args(package);
        if !build.status().context("cargo cannot be started")?.success() {
            bail!("{} does not build", package[0]);
        }
    }
    let mut measure = Command::new(release.join("fair-shares"));
    measure.args(&options.rest).env("LANDBRIDGE_BIN", release.join("landbridge"));
    let status = measure.status().context("fair-shares cannot be started")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
