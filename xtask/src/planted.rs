//! `cargo xtask planted`: removes one check at a time and sees that a test notices.
//!
//! A test that cannot fail proves nothing. Behind `planted!("NAME")` the tree has small bugs, each the
//! removal of one check; this chore starts the test that must notice with one of them, and complains when it
//! passes. First the same test runs without any bug, or a test that is broken anyway would count as one
//! that noticed.
//!
//! A crate is built once for all its bugs (`crates/planted`, `trial`), apart from the ordinary build, which has none:
//! `--shipped` looks for their names in the program that is released.

mod list;
mod refusal;
mod shipped;
mod trial;
mod wrapper;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;

use crate::files;
use crate::finding::Finding;
pub(crate) use list::Target;
use list::{ALSO, PLANTS, Plant};
pub(crate) use refusal::REFUSALS;
pub(crate) use trial::{Bug, Ran, Test, Trials, program_with_bugs};
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
    /// Build the program that is released, and see that it has none of them.
    #[arg(long, conflicts_with_all = ["only", "short", "list"])]
    shipped: bool,
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
    milliseconds: Option<u128>,
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

/// All planted bugs, each with every test that is listed for it: package, target and path.
pub(crate) fn bugs() -> Vec<(&'static str, (&'static str, Target<'static>, &'static str))> {
    let all = PLANTS.iter().chain(ALSO);
    all.map(|plant| (plant.bug, (plant.package, plant.target, plant.test))).collect()
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
    if options.shipped {
        return shipped::check(root);
    }
    let places = places(root)?;
    let mut trials = Trials::new(root);
    let mut rows = Vec::new();
    for plant in choose(options)? {
        let at = places.iter().find(|place| place.bug == plant.bug);
        let Some(at) = at else { continue };
        let Plant { bug, removes, package, test, .. } = *plant;
        let place = format!("{}:{}", at.path, at.line);
        let mut row = Row { bug, removes, at: place, package, test, end: None, milliseconds: None };
        if !options.list {
            let begun = Instant::now();
            let end = trial(&mut trials, plant, at)?;
            row.end = Some(end);
            row.milliseconds = Some(begun.elapsed().as_millis());
            eprintln!("{bug}: {} ({} ms)", end.words(), begun.elapsed().as_millis());
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
    Ok(PLANTS.iter().chain(ALSO).filter(wanted).collect())
}

fn trial(trials: &mut Trials<'_>, plant: &Plant, at: &Place) -> Result<End> {
    let test = Test { package: plant.package, target: plant.target, path: plant.test };
    match trials.control(test)? {
        Ran::Passed => {}
        Ran::Failed | Ran::Hung => return Ok(End::FailsAnyway),
        Ran::Nothing => return Ok(End::NoSuchTest),
    }
    Ok(match trials.with_bug(test, at.as_bug())? {
        None => End::DoesNotBuild,
        Some(Ran::Failed | Ran::Hung) => End::Bit,
        Some(Ran::Passed) => End::DidNotBite,
        Some(Ran::Nothing) => End::NoSuchTest,
    })
}

pub(crate) fn target_directory(root: &Path) -> std::path::PathBuf {
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
pub(crate) struct Place {
    pub(crate) bug: String,
    pub(crate) path: String,
    line: usize,
    /// The crate, for a bug that is still written as `cfg` and needs a build of its own.
    compiled: Option<String>,
}

impl Place {
    pub(crate) fn as_bug(&self) -> Bug<'_> {
        let compiled = self.compiled.as_deref().map(|krate| (krate, self.bug.as_str()));
        Bug { name: &self.bug, compiled }
    }
}

/// Every place of the tree that plants a bug.
///
/// # Errors
///
/// Fails when the tree cannot be read.
pub(crate) fn places(root: &Path) -> Result<Vec<Place>> {
    let sources = files::below(root, "crates", &[".rs"])?;
    let ours = sources.iter().filter(|file| !file.path.starts_with(MACRO));
    Ok(ours.flat_map(|file| places_in(&file.path, &file.text)).collect())
}

fn places_in(path: &str, text: &str) -> Vec<Place> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for mark in MARKS {
            for (from, _) in line.match_indices(mark) {
                let rest = &line[from + mark.len()..];
                let bug = rest.split('"').next().unwrap_or_default().to_owned();
                let compiled = (mark == MARKS[1]).then(|| krate(path));
                found.push(Place { bug, path: path.to_owned(), line: at + 1, compiled });
            }
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
pub(crate) fn program() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

const LIST: &str = "xtask/src/planted/list.rs";
/// Where the macro itself is.
const MACRO: &str = "crates/planted/";
/// A bug chosen at run time, and one that is compiled in.
const MARKS: [&str; 2] = ["planted!(\"", "planted = \""];
/// Crates that build in seconds.
pub(crate) const QUICK: [&str; 2] = ["landbridge-proto", "landbridge-store"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn bugs_are_found_where_they_are_planted() {
        let text = "a\nif x && !planted!(\"one\") {\n#[cfg(not(planted = \"two\"))]\n";
        let found = places_in("crates/node/src/f.rs", text);
        let found: Vec<_> = found
            .iter()
            .map(|place| (place.bug.as_str(), place.line, place.compiled.as_deref()))
            .collect();
        assert_eq!(found, [("one", 2, None), ("two", 3, Some("landbridge_node"))]);
    }

    #[test]
    fn the_list_and_the_tree_agree() {
        assert_eq!(check(&files::workspace_root().unwrap()).unwrap(), []);
    }

    #[test]
    fn each_bug_is_listed_once_and_neighbours_are_built_together() {
        let bugs: BTreeSet<_> = PLANTS.iter().map(|plant| plant.bug).collect();
        assert_eq!(bugs.len(), PLANTS.len());
        assert!(ALSO.iter().all(|plant| bugs.contains(plant.bug)));
        let mut groups: Vec<_> = PLANTS.iter().map(|plant| (plant.package, plant.target)).collect();
        groups.dedup();
        let distinct: BTreeSet<_> = groups.iter().collect();
        assert_eq!(distinct.len(), groups.len(), "a group is interrupted by another one");
    }

    #[test]
    fn what_refuses_everything_is_listed_and_says_so() {
        let listed = |bug: &str| PLANTS.iter().find(|plant| plant.bug == bug);
        for refusal in REFUSALS {
            let plant = listed(refusal.bug).unwrap();
            assert!(plant.removes.ends_with("is ever taken"), "{}", plant.bug);
        }
    }

    #[test]
    fn a_bug_that_does_not_exist_is_an_error() {
        let only = |name: &str| Options { only: vec![name.to_owned()], ..Options::default() };
        assert!(choose(&only("no_such_bug")).is_err());
        assert_eq!(choose(&only(PLANTS[1].bug)).unwrap().len(), 1);
    }
}
