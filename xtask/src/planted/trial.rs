//! One test, run once, with a bug or without.
//!
//! A target is built once with `--cfg plantable` and serves all its bugs; which one a process has, a variable of its
//! environment says. Tests of whole processes get a program that was built likewise, beside the ordinary one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::list::Target;
use super::{program, target_directory, wrapper};

/// How one test ran.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ran {
    Passed,
    Failed,
    /// It did not end: what it waits for does not come any more.
    Hung,
    /// There is no such test.
    Nothing,
}

/// A test, where it is built.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Test<'a> {
    /// The whole name of its package.
    pub(crate) package: &'a str,
    /// Its target in the package.
    pub(crate) target: Target<'a>,
    /// Its path as `cargo test -- --exact` wants it.
    pub(crate) path: &'a str,
}

/// What was built already, and how the tests ran without a bug.
#[derive(Debug)]
pub(crate) struct Trials<'a> {
    root: &'a Path,
    built: BTreeMap<String, Executable>,
    controls: BTreeMap<String, (Ran, Duration)>,
    program: Option<PathBuf>,
}

#[derive(Clone, Debug)]
struct Executable {
    path: PathBuf,
    /// Where its package lies, which is where cargo would run it.
    directory: PathBuf,
}

impl<'a> Trials<'a> {
    pub(crate) const fn new(root: &'a Path) -> Self {
        Self { root, built: BTreeMap::new(), controls: BTreeMap::new(), program: None }
    }

    /// Runs a test without any bug; once, however often it is asked.
    ///
    /// # Errors
    ///
    /// Fails when the target does not build.
    pub(crate) fn control(&mut self, test: Test<'_>) -> Result<Ran> {
        let name = format!("{test:?}");
        if let Some((ran, _)) = self.controls.get(&name) {
            return Ok(*ran);
        }
        let executable = self
            .executable(test, None)?
            .with_context(|| format!("{} does not build, with no bug chosen", test.package))?;
        let begun = Instant::now();
        let ran = self.once(&executable, test, None, HANGS_AFTER)?;
        self.controls.insert(name, (ran, begun.elapsed()));
        Ok(ran)
    }

    /// Runs a test in a process that has the bug; `None` when the crate does not build with it.
    ///
    /// # Errors
    ///
    /// Fails when a process cannot be started.
    pub(crate) fn with_bug(&mut self, test: Test<'_>, bug: Bug<'_>) -> Result<Option<Ran>> {
        let Some(executable) = self.executable(test, bug.compiled)? else {
            return Ok(None);
        };
        let usual = self.controls.get(&format!("{test:?}")).map_or(HANGS_AFTER, |(_, took)| *took);
        let patience = (usual * 10 + PATIENCE).min(HANGS_AFTER);
        self.once(&executable, test, Some(bug.name), patience).map(Some)
    }

    fn executable(
        &mut self,
        test: Test<'_>,
        bug: Option<(&str, &str)>,
    ) -> Result<Option<Executable>> {
        let name = format!("{} {:?} {bug:?}", test.package, test.target);
        if let Some(known) = self.built.get(&name) {
            return Ok(Some(known.clone()));
        }
        if test.package == PROCESSES && self.program.is_none() {
            self.program = Some(program_with_bugs(self.root)?);
        }
        let mut command = cargo(self.root, &["test", "--no-run"], test.package, bug);
        match test.target {
            Target::Lib => command.arg("--lib"),
            Target::Test(name) => command.args(["--test", name]),
        };
        let Some(built) = artifacts(command)? else { return Ok(None) };
        let Some(executable) = built.into_iter().next_back() else {
            bail!("{} has no target {:?}", test.package, test.target);
        };
        self.built.insert(name, executable.clone());
        Ok(Some(executable))
    }

    fn once(
        &self,
        executable: &Executable,
        test: Test<'_>,
        bug: Option<&str>,
        patience: Duration,
    ) -> Result<Ran> {
        let place = std::env::temp_dir().join(format!("landbridge-planted-{}", std::process::id()));
        let mut command = Command::new(&executable.path);
        command.args(["--exact", test.path, "--test-threads", "1"]);
        command.current_dir(&executable.directory);
        command.env("CARGO_MANIFEST_DIR", &executable.directory).env("INSTA_UPDATE", "no");
        command.env_remove(VARIABLE).envs(bug.map(|bug| (VARIABLE, bug)));
        command.envs(self.program.as_ref().map(|program| ("LANDBRIDGE_BIN", program)));
        command.stdout(File::create(&place)?).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn().context("cannot run a test")?;
        let until = Instant::now() + patience;
        let ended = loop {
            if let Some(status) = child.try_wait()? {
                break Some(status);
            }
            if Instant::now() >= until {
                // The bridges that it started go with it.
                let group = format!("-{}", child.id());
                Command::new("kill").args(["-KILL", "--", &group]).status()?;
                child.wait()?;
                break None;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let said = fs::read_to_string(&place).unwrap_or_default();
        // One that stays behind is in nobody's way.
        let _ = fs::remove_file(&place);
        Ok(match ended {
            None => Ran::Hung,
            Some(_) if !said.contains("running 1 test") => Ran::Nothing,
            Some(status) if status.success() => Ran::Passed,
            Some(_) => Ran::Failed,
        })
    }
}

/// A bug, and how a process gets it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bug<'a> {
    pub(crate) name: &'a str,
    /// The crate to build anew, for a bug that is still written as `cfg`.
    pub(crate) compiled: Option<(&'a str, &'a str)>,
}

/// A cargo command that builds through the wrapper and tells what it made.
fn cargo(root: &Path, words: &[&str], package: &str, bug: Option<(&str, &str)>) -> Command {
    let mut command = Command::new(program());
    command.current_dir(root).args(words).args(["--quiet", "--locked", "--package", package]);
    command.arg("--message-format=json-render-diagnostics");
    wrapper::prepare(&mut command, bug);
    command
}

/// What a build made that can be run; `None` when it failed.
fn artifacts(mut command: Command) -> Result<Option<Vec<Executable>>> {
    let output = command.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    if !output.status.success() {
        return Ok(None);
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(Some(said.lines().filter_map(executable_in).collect()))
}

fn executable_in(line: &str) -> Option<Executable> {
    let said: Value = serde_json::from_str(line).ok()?;
    let path = PathBuf::from(said.get("executable")?.as_str()?);
    let manifest = Path::new(said.get("manifest_path")?.as_str()?).parent()?.to_owned();
    Some(Executable { path, directory: manifest })
}

/// Builds the program with bugs, and leaves the ordinary one where it is.
pub(crate) fn program_with_bugs(root: &Path) -> Result<PathBuf> {
    let debug = target_directory(root).join("debug");
    let (ordinary, aside) = (debug.join("landbridge"), debug.join("landbridge.ordinary"));
    let kept = fs::rename(&ordinary, &aside).is_ok();
    let built = artifacts(cargo(root, &["build"], "landbridge", None))?;
    let place = target_directory(root).join("plantable");
    fs::create_dir_all(&place)?;
    let program = place.join("landbridge");
    if built.is_some() {
        fs::rename(&ordinary, &program)
            .context("the program with bugs is not where it was built")?;
    }
    if kept {
        fs::rename(&aside, &ordinary)?;
    }
    if built.is_none() {
        bail!("the program does not build with bugs");
    }
    Ok(program)
}

/// Names the one bug of a process; `crates/planted` reads it.
pub(super) const VARIABLE: &str = "LANDBRIDGE_PLANTED";
/// Tests of whole processes.
const PROCESSES: &str = "landbridge-bridge-tests";
/// A test that takes longer than this has hung, however long it takes without a bug.
const HANGS_AFTER: Duration = Duration::from_secs(120);
/// What a test with a bug may take beyond ten times what it took without.
const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn cargo_tells_what_it_made() {
        let line =
            r#"{"reason":"compiler-artifact","manifest_path":"/a/Cargo.toml","executable":"/t/x"}"#;
        let found = executable_in(line).unwrap();
        assert_eq!((found.path, found.directory), ("/t/x".into(), "/a".into()));
        assert!(executable_in(r#"{"manifest_path":"/a/Cargo.toml","executable":null}"#).is_none());
        assert!(executable_in("no json").is_none());
    }
}
