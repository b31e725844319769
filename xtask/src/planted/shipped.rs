//! The program that is released has no bugs to choose from.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use super::list::PLANTS;
use super::trial::VARIABLE;
use super::{program, target_directory};

/// Builds the program as it is released, and looks for the bugs' names in it.
///
/// # Errors
///
/// Fails when it does not build.
pub(super) fn check(root: &Path) -> Result<ExitCode> {
    let mut command = Command::new(program());
    command.current_dir(root).args(["build", "--quiet", "--release", "--locked"]);
    if !command.args(["--package", "landbridge"]).status().context("cannot run cargo")?.success() {
        bail!("the program does not build");
    }
    let place = target_directory(root).join("release").join("landbridge");
    let bytes = fs::read(&place).with_context(|| format!("reading {}", place.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let names = PLANTS.iter().map(|plant| plant.bug).chain([VARIABLE]);
    let found: Vec<&str> = names.filter(|name| text.contains(name)).collect();
    if found.is_empty() {
        eprintln!("none of {} planted bugs is in {}", PLANTS.len(), place.display());
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{} has planted bugs: {}", place.display(), found.join(", "));
    Ok(ExitCode::FAILURE)
}
