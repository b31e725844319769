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
    let given = || std::env::var_os("LANDBRIDGE_BIN").map(|path| Ok(PathBuf::from(path)));
    told(PROGRAM.get_or_init(|| {
        let built = || build(&["--bin", "landbridge"], "landbridge");
        given().unwrap_or_else(built).map_err(|error| format!("{error:#}"))
    }))
}

/// The same program, which kills itself at the point that `LANDBRIDGE_DIES_AT` names.
///
/// # Errors
///
/// Says why it cannot be built.
pub fn dying_program() -> anyhow::Result<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    told(PROGRAM.get_or_init(|| {
        build(&["--example", "dying"], "examples/dying").map_err(|error| format!("{error:#}"))
    }))
}

fn told(found: &'static Result<PathBuf, String>) -> anyhow::Result<&'static Path> {
    match found {
        Ok(path) => Ok(path),
        Err(text) => bail!("there is no program to test: {text}"),
    }
}

fn build(which: &[&str], made: &str) -> anyhow::Result<PathBuf> {
    // A test is `<target>/<profile>/deps/<name>`.
    let test = std::env::current_exe()?;
    let profile = test.ancestors().nth(2).context("a test has a profile's directory")?;
    let target = profile.parent().context("a profile is in a target directory")?;
    let name = match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "landbridge", "--profile", name])
        .args(which)
        .arg("--target-dir")
        .arg(target)
        .current_dir(crate::workspace_root())
        .output()
        .context("cargo cannot be run")?;
    if !built.status.success() {
        bail!("{}", String::from_utf8_lossy(&built.stderr));
    }
    Ok(profile.join(made))
}
