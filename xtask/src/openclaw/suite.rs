//! The tests against real gateways, in the order that wastes the least time.
//!
//! Cargo runs test binaries one after the other, and one of these waits for six minutes on purpose. So
//! they are built by cargo and run from here: the one that waits begins first and runs beside the rest,
//! and the rest run one test at a time, because a gateway takes a gigabyte and much of a processor.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};
use serde_json::Value;

/// Builds all tests against real gateways and runs them.
///
/// # Errors
///
/// Returns which failed.
pub(super) fn run(folder: &Path) -> anyhow::Result<()> {
    let program = build(&["build", "--bin", "landbridge"])?;
    let program = program.into_values().next().context("cargo built no program")?;
    let names = names()?;
    let mut arguments = vec!["test", "--no-run"];
    arguments.extend(names.iter().flat_map(|name| ["--test", name.as_str()]));
    let tests = build(&arguments)?;
    let tests = tests.iter().filter(|((package, _), _)| PACKAGES.contains(&package.as_str()));
    let (slow, rest): (Vec<_>, Vec<_>) = tests.partition(|((_, test), _)| test == SLOW);
    let begin = |((package, test), path): (&(String, String), &PathBuf)| {
        Running::begin(package, test, path, folder, &program)
    };
    // Where it is not wanted, it says so and ends at once.
    let slow = slow.into_iter().map(begin).collect::<anyhow::Result<Vec<_>>>()?;
    let mut ends = Vec::new();
    for test in rest {
        ends.push(begin(test)?.end()?);
    }
    for test in slow {
        ends.push(test.end()?);
    }
    println!("== tests against real gateways");
    for (name, passed, seconds) in &ends {
        println!("{name}: {} ({seconds} s)", if *passed { "passed" } else { "FAILED" });
    }
    let failed: Vec<&str> =
        ends.iter().filter(|(_, passed, _)| !passed).map(|(name, ..)| name.as_str()).collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// A test binary at work.
struct Running {
    name: String,
    begun: Instant,
    process: Child,
}

impl Running {
    fn begin(
        package: &str,
        test: &str,
        path: &Path,
        folder: &Path,
        program: &Path,
    ) -> anyhow::Result<Self> {
        let name = format!("{package} {test}");
        println!("== {name}");
        let process = Command::new(path)
            .args(["--nocapture", "--test-threads", "1"])
            .current_dir(root().join(package))
            .env("LANDBRIDGE_OPENCLAW", folder)
            .env("LANDBRIDGE_BIN", program)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("{} cannot be run", path.display()))?;
        Ok(Self { name, begun: Instant::now(), process })
    }

    fn end(mut self) -> anyhow::Result<(String, bool, u64)> {
        let status = self.process.wait()?;
        Ok((self.name, status.success(), self.begun.elapsed().as_secs()))
    }
}

/// Builds with the features of the whole workspace, so that what the other tests built is used again;
/// returns programs by package and name.
fn build(arguments: &[&str]) -> anyhow::Result<BTreeMap<(String, String), PathBuf>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--workspace", "--message-format", "json-render-diagnostics"])
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo could not be started")?;
    if !output.status.success() {
        bail!("cargo {} ended with {}", arguments.join(" "), output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let built = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(built.filter_map(|message| executable(&message)).collect())
}

fn executable(message: &Value) -> Option<((String, String), PathBuf)> {
    let path = PathBuf::from(message["executable"].as_str()?);
    let manifest = Path::new(message["manifest_path"].as_str()?).parent()?;
    let package = manifest.strip_prefix(root()).unwrap_or(manifest).to_str()?;
    Some(((package.to_owned(), message["target"]["name"].as_str()?.to_owned()), path))
}

/// The tests of both packages, by their files.
fn names() -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for package in PACKAGES {
        let folder = root().join(package).join("tests");
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                names.extend(path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
            }
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

const PACKAGES: [&str; 2] = ["crates/openclaw", "tests/openclaw"];
/// Waits for six minutes.
const SLOW: &str = "later";
