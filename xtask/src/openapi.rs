//! Two bridges, driven by their own OpenAPI descriptions (`tests/openapi`).

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::clients::{install, program, step};

/// Drives two bridges by their own OpenAPI descriptions.
///
/// # Errors
///
/// Fails when something cannot be built or installed, or when a bridge had a fault or an answer that is not
/// in its description.
pub(crate) fn run(root: &Path) -> Result<()> {
    let bin = program(root)?;
    let python =
        install(root, "openapi", &["tests/openapi/requirements.txt"])?.join("venv/bin/python");
    let mut command = Command::new(python);
    command.arg(root.join("tests/openapi/drive.py")).current_dir(root).stdin(Stdio::null());
    step(command.env("LANDBRIDGE_BIN", bin).env("LANDBRIDGE_TREE", root))
}
