//! `cargo xtask planted`: removes one check at a time and sees that a test notices.
//!
//! A test that cannot fail proves nothing. Behind `cfg!(planted = "NAME")` the tree has small bugs, each the
//! removal of one check; this chore builds the crate with one of them, runs the test that must notice, and
//! complains when it passes. First the same tests run without any bug, or a test that is broken anyway
//! would count as one that noticed.
//!
//! Only crates of the workspace are built anew, and of these only the one with the bug and what uses it
//! (`wrapper`). So it is done crate by crate, and the ordinary build stays as it is.

mod list;
mod wrapper;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;

use crate::files;
use crate::finding::Finding;
use list::{PLANTS, Plant, Target};
pub(crate) use wrapper::as_rustc;

/// Which bugs to plant, and what to print.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Plant only these, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Plant only those whose crates build quickly; what CI does.
    #[arg(long)]
    short: bool,
    /// Print what there is to plant, and build nothing.
    #[arg(long)]
    list: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// What became of one planted bug.
#[derive(Clone, Debug, Serialize)]
struct Row {
    bug: &'static str,
    removes: &'static str,
    at: String,
    package: &'static str,
    test: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<End>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<u64>,
}

/// How a planted bug ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum End {
    /// The test failed, as it must.
    Bit,
    /// The test passed: nothing guards what was removed.
    DidNotBite,
    /// The crate does not build with the bug.
    DoesNotBuild,
    /// The test fails without the bug too.
    FailsAnyway,
    /// There is no such test.
    NoSuchTest,
}

impl End {
    const fn words(self) -> &'static str {
        match self {
            Self::Bit => "bit",
            Self::DidNotBite => "DID NOT BITE",
            Self::DoesNotBuild => "DOES NOT BUILD",
            Self::FailsAnyway => "FAILS ANYWAY",
            Self::NoSuchTest => "NO SUCH TEST",
        }
    }
}

/// Checks that the list and the tree have the same bugs.
///
/// # Errors
///
/// Fails when the tree cannot be read.
pub(crate) fn check(root: &Path) -> Result<Vec<Finding>> {
    let places = places(root)?;
    let listed: BTreeSet<&str> = PLANTS.iter().map(|plant| plant.bug).collect();
    let unlisted = places.iter().filter(|place| !listed.contains(place.bug.as_str()));
    let mut findings: Vec<Finding> = unlisted
        .map(|place| {
            let what = format!("the planted bug {} is not in {LIST}", place.bug);
            Finding::new(&place.path, place.line, what)
        })
        .collect();
    let gone = PLANTS.iter().filter(|plant| places.iter().all(|place| place.bug != plant.bug));
    findings.extend(gone.map(|plant| {
        Finding::new(LIST, 0, format!("the planted bug {} is not in the tree", plant.bug))
    }));
    Ok(findings)
}

/// Plants what the options say, and prints what became of it.
///
/// # Errors
///
/// Fails when list and tree differ, when a bug is named that does not exist, or when cargo cannot be
/// started.
pub(crate) fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    if let Some(finding) = check(root)?.first() {
        bail!("{finding}");
    }
    let places = places(root)?;
    let plants = choose(options)?;
    let mut rows = Vec::new();
    let mut last = None;
    let mut broken: BTreeSet<&str> = BTreeSet::new();
    let mut program = false;
    for plant in plants {
        let at = places.iter().find(|place| place.bug == plant.bug);
        let Some(at) = at else { continue };
        let Plant { bug, removes, package, test, .. } = *plant;
        let place = format!("{}:{}", at.path, at.line);
        let mut row = Row { bug, removes, at: place, package, test, end: None, seconds: None };
        if !options.list {
            // Tests of whole processes take the program as it is; only their own process has the bug.
            if package == PROCESSES && !std::mem::replace(&mut program, true) {
                build_program(root)?;
            }
            if last.replace((package, plant.target)) != Some((package, plant.target)) {
                broken.extend(control(root, package, plant.target)?);
            }
            let begun = Instant::now();
            let end = if broken.contains(test) {
                End::FailsAnyway
            } else {
                trial(root, plant, &krate(&at.path))?
            };
            row.end = Some(end);
            row.seconds = Some(begun.elapsed().as_secs());
            eprintln!("{bug}: {} ({} s)", end.words(), begun.elapsed().as_secs());
        }
        rows.push(row);
    }
    print(&rows, options.json)?;
    let good = rows.iter().all(|row| row.end.is_none_or(|end| end == End::Bit));
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The list in its order, which keeps what is built together next to each other.
fn choose(options: &Options) -> Result<Vec<&'static Plant>> {
    let unknown = |name: &&String| PLANTS.iter().all(|plant| plant.bug != name.as_str());
    if let Some(name) = options.only.iter().find(unknown) {
        bail!("there is no planted bug {name}; `cargo xtask planted --list` has them all");
    }
    let wanted = |plant: &&Plant| {
        (options.only.is_empty() || options.only.iter().any(|name| name == plant.bug))
            && (!options.short || QUICK.contains(&plant.package))
    };
    Ok(PLANTS.iter().filter(wanted).collect())
}

/// Runs a target's named tests without any bug, and gives those that fail.
fn control(root: &Path, package: &str, target: Target) -> Result<Vec<&'static str>> {
    let mut broken = Vec::new();
    let same = |plant: &&Plant| plant.package == package && plant.target == target;
    let tests: BTreeSet<_> = PLANTS.iter().filter(same).map(|plant| plant.test).collect();
    let mut build = cargo(root, package, target, None);
    if !build.arg("--no-run").status().context("cannot run cargo")?.success() {
        bail!("{package} does not build");
    }
    for test in tests {
        let ran = test_once(cargo(root, package, target, None), test)?;
        if matches!(ran, Ran::Failed | Ran::Hung) {
            broken.push(test);
        }
    }
    Ok(broken)
}

fn trial(root: &Path, plant: &Plant, krate: &str) -> Result<End> {
    let command = || cargo(root, plant.package, plant.target, Some((krate, plant.bug)));
    if !command().arg("--no-run").status().context("cannot run cargo")?.success() {
        return Ok(End::DoesNotBuild);
    }
    Ok(match test_once(command(), plant.test)? {
        Ran::Failed | Ran::Hung => End::Bit,
        Ran::Passed => End::DidNotBite,
        Ran::Nothing => End::NoSuchTest,
    })
}

/// How one test ran.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ran {
    Passed,
    Failed,
    /// It did not end: what it waits for does not come any more.
    Hung,
    Nothing,
}

fn test_once(mut command: Command, test: &str) -> Result<Ran> {
    let place = std::env::temp_dir().join(format!("landbridge-planted-{}", std::process::id()));
    let said = std::fs::File::create(&place)?;
    command.args(["--", "--exact", test]).stdout(said).stderr(Stdio::null());
    let mut child = command.spawn().context("cannot run cargo")?;
    let until = Instant::now() + HANGS_AFTER;
    let ended = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let said = std::fs::read_to_string(&place).unwrap_or_default();
    // One that stays behind is in nobody's way.
    let _ = std::fs::remove_file(&place);
    Ok(match ended {
        None => Ran::Hung,
        Some(_) if !said.contains("running 1 test") => Ran::Nothing,
        Some(status) if status.success() => Ran::Passed,
        Some(_) => Ran::Failed,
    })
}

/// `cargo test` of one target, with a bug or without.
fn cargo(root: &Path, package: &str, target: Target, bug: Option<(&str, &str)>) -> Command {
    let mut command = Command::new(program());
    command.current_dir(root).args(["test", "--quiet", "--locked", "--package", package]);
    match target {
        Target::Lib => command.arg("--lib"),
        Target::Test(name) => command.args(["--test", name]),
    };
    wrapper::prepare(&mut command, bug);
    let binary = target_directory(root).join("debug").join("landbridge");
    command.env("LANDBRIDGE_BIN", binary);
    command
}

fn build_program(root: &Path) -> Result<()> {
    let mut command = Command::new(program());
    command.current_dir(root).args(["build", "--quiet", "--locked", "--package", "landbridge"]);
    if !command.status().context("cannot run cargo")?.success() {
        bail!("the program does not build");
    }
    Ok(())
}

fn target_directory(root: &Path) -> std::path::PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |at| root.join(at))
}

fn print(rows: &[Row], json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(rows)?);
        return Ok(());
    }
    let width = |of: fn(&Row) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let (bug, at) = (width(|row| row.bug.len()), width(|row| row.at.len()));
    let test = width(|row| row.test.len());
    for row in rows {
        let last = row.end.map_or(row.removes, End::words);
        println!("{:bug$}  {:at$}  {:test$}  {last}", row.bug, row.at, row.test);
    }
    Ok(())
}

/// Where a bug is planted.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Place {
    bug: String,
    path: String,
    line: usize,
}

/// Every place of the tree that plants a bug.
fn places(root: &Path) -> Result<Vec<Place>> {
    let sources = files::below(root, "crates", &[".rs"])?;
    Ok(sources.iter().flat_map(|file| places_in(&file.path, &file.text)).collect())
}

fn places_in(path: &str, text: &str) -> Vec<Place> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for (_, rest) in
            line.match_indices(MARK).map(|(from, mark)| line.split_at(from + mark.len()))
        {
            let bug = rest.split('"').next().unwrap_or_default().to_owned();
            found.push(Place { bug, path: path.to_owned(), line: at + 1 });
        }
    }
    found
}

/// The crate that a source file belongs to, as rustc calls it.
fn krate(path: &str) -> String {
    match path.split('/').nth(1) {
        Some("landbridge") | None => "landbridge".to_owned(),
        Some(directory) => format!("landbridge_{directory}"),
    }
}

/// The cargo that runs us, so that the pinned toolchain stays the same.
fn program() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

const LIST: &str = "xtask/src/planted/list.rs";
const MARK: &str = "planted = \"";
/// Crates that build in seconds.
const QUICK: [&str; 2] = ["landbridge-proto", "landbridge-store"];
/// Tests of whole processes.
const PROCESSES: &str = "landbridge-bridge-tests";
const HANGS_AFTER: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn bugs_are_found_where_they_are_planted() {
        let text = "a\nif x && !cfg!(planted = \"one\") {\n#[cfg(not(planted = \"two\"))]\n";
        let found = places_in("f.rs", text);
        let found: Vec<_> = found.iter().map(|place| (place.bug.as_str(), place.line)).collect();
        assert_eq!(found, [("one", 2), ("two", 3)]);
    }

    #[test]
    fn the_list_and_the_tree_agree() {
        assert_eq!(check(&files::workspace_root().unwrap()).unwrap(), []);
    }

    #[test]
    fn each_bug_is_listed_once_and_neighbours_are_built_together() {
        let bugs: BTreeSet<_> = PLANTS.iter().map(|plant| plant.bug).collect();
        assert_eq!(bugs.len(), PLANTS.len());
        let mut groups: Vec<_> = PLANTS.iter().map(|plant| (plant.package, plant.target)).collect();
        groups.dedup();
        let distinct: BTreeSet<_> = groups.iter().collect();
        assert_eq!(distinct.len(), groups.len(), "a group is interrupted by another one");
    }

    #[test]
    fn a_bug_that_does_not_exist_is_an_error() {
        let only = |name: &str| Options { only: vec![name.to_owned()], ..Options::default() };
        assert!(choose(&only("no_such_bug")).is_err());
        assert_eq!(choose(&only(PLANTS[0].bug)).unwrap().len(), 1);
    }
}
