//! The tests against real gateways, in the order that wastes the least time.
//!
//! Cargo runs test binaries one after the other, and one of these waits for six minutes on purpose. So
//! they are built by cargo and run from here, the one that waits first and beside it the rest. A gateway
//! takes a gigabyte and much of a processor, so there are never more than two.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::files::workspace_root;

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
    let built = build(&arguments)?;
    let mut tests: Vec<Test> = built
        .into_iter()
        .filter(|((package, _), _)| PACKAGES.contains(&package.as_str()))
        .map(|((package, name), path)| Test { package, name, path })
        .collect();
    // Taken from the end: the one that waits first.
    tests.sort_by_key(|test| test.name == SLOW);
    let waiting = Mutex::new(tests);
    let ends = Mutex::new(Vec::new());
    let next = || held(&waiting).pop();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(test) = next() {
                    let end = test.run(folder, &program);
                    held(&ends).push(end);
                }
            });
        }
    });
    println!("== tests against real gateways");
    let mut failed = Vec::new();
    for end in ends.into_inner().unwrap_or_else(PoisonError::into_inner) {
        let (name, passed, seconds) = end?;
        println!("{name}: {} ({seconds} s)", if passed { "passed" } else { "FAILED" });
        if !passed {
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A test binary.
struct Test {
    package: String,
    name: String,
    path: PathBuf,
}

impl Test {
    /// Runs it, and prints what it said in one piece.
    fn run(&self, folder: &Path, program: &Path) -> anyhow::Result<(String, bool, u64)> {
        let name = format!("{} {}", self.package, self.name);
        eprintln!("== {name} begins");
        let begun = Instant::now();
        let package = workspace_root()?.join(&self.package);
        let output = Command::new(&self.path)
            .args(["--nocapture", "--test-threads", "1"])
            .current_dir(&package)
            .env("CARGO_MANIFEST_DIR", &package)
            .env("LANDBRIDGE_OPENCLAW", folder)
            .env("LANDBRIDGE_BIN", program)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("{} cannot be run", self.path.display()))?;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        println!("== {name}\n{}{}", said(&output.stdout), said(&output.stderr));
        Ok((name, output.status.success(), begun.elapsed().as_secs()))
    }
}

/// Builds with the features of the whole workspace, so that what the other tests built is used again;
/// returns programs by package and name.
fn build(arguments: &[&str]) -> anyhow::Result<BTreeMap<(String, String), PathBuf>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--workspace", "--message-format", "json-render-diagnostics"])
        .current_dir(workspace_root()?)
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
    let package = manifest.strip_prefix(workspace_root().ok()?).unwrap_or(manifest).to_str()?;
    Some(((package.to_owned(), message["target"]["name"].as_str()?.to_owned()), path))
}

/// The tests of both packages, by their files.
fn names() -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for package in PACKAGES {
        let folder = workspace_root()?.join(package).join("tests");
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

const PACKAGES: [&str; 2] = ["crates/openclaw", "tests/openclaw"];
/// Each with one gateway at a time.
const AT_ONCE: usize = 2;
/// Waits for six minutes.
const SLOW: &str = "later";
