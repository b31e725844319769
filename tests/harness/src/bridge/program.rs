//! Where the program under test is: the one that this workspace builds, never one that is installed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, bail};

/// The `landbridge` program: `LANDBRIDGE_BIN`, or built into the directory that this test was built
/// into, once for each process.
///
/// # Errors
///
/// Says why it cannot be built.
pub fn program() -> anyhow::Result<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = PROGRAM.get_or_init(|| find().map_err(|error| format!("{error:#}")));
    match found {
        Ok(path) => Ok(path),
        Err(text) => bail!("there is no program to test: {text}"),
    }
}

fn find() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("LANDBRIDGE_BIN") {
        return Ok(path.into());
    }
    // A test is `<target>/<profile>/deps/<name>`.
    let test = std::env::current_exe()?;
    let profile = test.ancestors().nth(2).context("a test has a profile's directory")?;
    let target = profile.parent().context("a profile is in a target directory")?;
    let name = match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "landbridge", "--profile", name, "--target-dir"])
        .arg(target)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output()
        .context("cargo cannot be run")?;
    if !built.status.success() {
        bail!("{}", String::from_utf8_lossy(&built.stderr));
    }
    Ok(profile.join("landbridge"))
}
