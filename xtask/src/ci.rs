//! `cargo xtask ci`: everything that decides whether a change may land, in one command.
//!
//! Every step runs, also after one failed: a person who waits for a slow machine wants the whole list.
//! A tool that is not installed is skipped and says so; nothing is installed behind anybody's back.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::finding::Finding;
use crate::{attacks, clients, layers, openapi, spec, tree};

/// Which steps to run.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Run only these steps, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Leave these steps out, separated by commas.
    #[arg(long, value_delimiter = ',')]
    skip: Vec<String>,
    /// Print the names of the steps.
    #[arg(long)]
    list: bool,
}

impl Options {
    /// Every test that there is, those against the real gateway included, and nothing else.
    pub(crate) fn tests() -> Self {
        let only = ["tests", "openclaw"].map(str::to_owned);
        Self { only: only.into(), ..Self::default() }
    }
}

/// What a step does.
enum Work {
    /// A checker of this program.
    Check(fn(&Path) -> Result<Vec<Finding>>),
    /// A cargo command, with variables for its environment.
    Cargo(&'static [&'static str], &'static [(&'static str, &'static str)]),
    /// A cargo command of a tool that may not be installed.
    Tool(&'static str, &'static [&'static str]),
    /// The tests, with nextest where it is installed.
    Tests,
    /// The demonstration, which must not take long once it is built.
    Demo,
    /// What is written in other languages, where these are installed.
    Foreign(fn(&Path) -> Result<()>),
}

/// How a step ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Passed,
    Failed,
    Skipped(&'static str),
}

/// The steps in order: the fast ones first. A new gate of the project is one more line here.
const STEPS: &[(&str, Work)] = &[
    ("fmt", Work::Cargo(&["fmt", "--all", "--check", "--", "-l"], &[])),
    ("layers", Work::Check(layers::check)),
    ("tree", Work::Check(tree::check)),
    ("spec", Work::Check(check_spec)),
    ("attacks", Work::Check(attacks::check)),
    (
        "clippy",
        Work::Cargo(
            &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
            &[],
        ),
    ),
    (
        "doc",
        Work::Cargo(
            &["doc", "--workspace", "--no-deps", "--locked"],
            &[("RUSTDOCFLAGS", "-D warnings")],
        ),
    ),
    ("tests", Work::Tests),
    ("clients", Work::Foreign(clients::run)),
    ("openapi", Work::Foreign(openapi::run)),
    ("planted", Work::Cargo(&["xtask", "planted"], &[])),
    ("twins", Work::Cargo(&["xtask", "attacks", "--twins", "--short"], &[])),
    ("conformance", Work::Cargo(&["xtask", "conformance"], &[])),
    ("fuzz", Work::Cargo(&["xtask", "fuzz", "--short"], &[])),
    ("demo", Work::Demo),
    ("shipped", Work::Cargo(&["xtask", "planted", "--shipped"], &[])),
    ("openclaw", Work::Cargo(&["xtask", "openclaw", "test"], &[("LANDBRIDGE_SLOW", "1")])),
    ("deny", Work::Tool("deny", &["deny", "--locked", "check"])),
];

/// How long the demonstration may take once it is built.
const DEMO_MAX: Duration = Duration::from_secs(20);

fn check_spec(root: &Path) -> Result<Vec<Finding>> {
    spec::run(root, &spec::Options::default())
}

/// Runs the steps and prints how each ended.
///
/// # Errors
///
/// Fails when a step is named that does not exist, or when a program cannot be started.
pub(crate) fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let names: Vec<&str> = STEPS.iter().map(|(name, _)| *name).collect();
    if options.list {
        println!("{}", names.join("\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = choose(&names, options)?;
    let mut ends = Vec::new();
    for (name, work) in STEPS.iter().filter(|(name, _)| chosen.contains(name)) {
        eprintln!("== {name}");
        let begun = Instant::now();
        let end = perform(root, work)?;
        ends.push((*name, end, begun.elapsed().as_secs()));
    }
    eprintln!("== summary");
    for (name, end, seconds) in &ends {
        match end {
            End::Passed => eprintln!("{name}: passed ({seconds} s)"),
            End::Failed => eprintln!("{name}: FAILED ({seconds} s)"),
            End::Skipped(why) => eprintln!("{name}: skipped, {why}"),
        }
    }
    let failed = ends.iter().any(|(_, end, _)| *end == End::Failed);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The steps that the options leave.
fn choose<'a>(names: &[&'a str], options: &Options) -> Result<Vec<&'a str>> {
    let mut unknown =
        options.only.iter().chain(&options.skip).filter(|name| !names.contains(&name.as_str()));
    if let Some(name) = unknown.next() {
        bail!("there is no step {name}; the steps are: {}", names.join(", "));
    }
    let wanted = |name: &&&str| {
        let named = |list: &[String]| list.iter().any(|other| other == **name);
        (options.only.is_empty() || named(&options.only)) && !named(&options.skip)
    };
    Ok(names.iter().filter(wanted).copied().collect())
}

fn perform(root: &Path, work: &Work) -> Result<End> {
    match work {
        Work::Check(check) => {
            let findings = check(root)?;
            for finding in &findings {
                eprintln!("{finding}");
            }
            Ok(if findings.is_empty() { End::Passed } else { End::Failed })
        }
        Work::Cargo(arguments, variables) => cargo(root, arguments, variables),
        Work::Tool(tool, arguments) if installed(root, tool) => cargo(root, arguments, &[]),
        Work::Tool(..) => Ok(End::Skipped("the tool is not installed")),
        Work::Tests => tests(root),
        Work::Demo => demo(root),
        Work::Foreign(run) => Ok(foreign(root, *run)),
    }
}

fn foreign(root: &Path, run: fn(&Path) -> Result<()>) -> End {
    if let Some(why) = clients::missing() {
        return End::Skipped(why);
    }
    match run(root) {
        Ok(()) => End::Passed,
        Err(error) => {
            eprintln!("{error:#}");
            End::Failed
        }
    }
}

/// Runs the tests, and says last what they could not try on this machine: a runner hides what a test
/// says that passes.
fn tests(root: &Path) -> Result<End> {
    let skipped = root.join("target/skipped-tests.txt");
    let _ = std::fs::remove_file(&skipped);
    let path = skipped.to_string_lossy();
    let told = [("LANDBRIDGE_SKIPPED", path.as_ref())];
    let end = if installed(root, "nextest") {
        let all = ["nextest", "run", "--workspace", "--locked", "--no-fail-fast"];
        let ran = cargo(root, &all, &told)?;
        let documented = cargo(root, &["test", "--workspace", "--locked", "--doc"], &[])?;
        if ran == End::Passed { documented } else { ran }
    } else {
        cargo(root, &["test", "--workspace", "--locked", "--no-fail-fast"], &told)?
    };
    // Absent when everything was tried.
    let lines = std::fs::read_to_string(&skipped).unwrap_or_default();
    let lines: std::collections::BTreeSet<&str> = lines.lines().collect();
    for line in lines {
        eprintln!("{line}");
    }
    Ok(end)
}

/// Runs the demonstration as a user does, and looks at the clock.
fn demo(root: &Path) -> Result<End> {
    let program = ["--release", "--locked", "--package", "landbridge"];
    let built = cargo(root, &[&["build"], &program[..]].concat(), &[])?;
    let begun = Instant::now();
    let ran = cargo(root, &[&["run"], &program[..], &["--", "demo", "--json"]].concat(), &[])?;
    let took = begun.elapsed();
    if took > DEMO_MAX {
        eprintln!("the demonstration took {took:?}; people are promised {DEMO_MAX:?} at most");
        return Ok(End::Failed);
    }
    Ok(if built == End::Passed { ran } else { built })
}

fn cargo(root: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Result<End> {
    let mut command = Command::new(program());
    command.current_dir(root).args(arguments).envs(variables.iter().copied());
    let status =
        command.status().with_context(|| format!("cannot run cargo {}", arguments.join(" ")))?;
    Ok(if status.success() { End::Passed } else { End::Failed })
}

fn installed(root: &Path, tool: &str) -> bool {
    let mut command = Command::new(program());
    command.current_dir(root).args([tool, "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The cargo that runs us, so that the pinned toolchain stays the same.
fn program() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn options(only: &[&str], skip: &[&str]) -> Options {
        let owned = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        Options { only: owned(only), skip: owned(skip), list: false }
    }

    #[test]
    fn steps_are_chosen_by_name() {
        let names = ["fmt", "spec", "tests"];
        assert_eq!(choose(&names, &options(&[], &[])).unwrap(), names);
        assert_eq!(choose(&names, &options(&["spec"], &[])).unwrap(), ["spec"]);
        assert_eq!(choose(&names, &options(&[], &["tests"])).unwrap(), ["fmt", "spec"]);
    }

    #[test]
    fn a_step_that_does_not_exist_is_an_error() {
        assert!(choose(&["fmt"], &options(&["fmtt"], &[])).is_err());
        assert!(choose(&["fmt"], &options(&[], &["fmtt"])).is_err());
    }
    #[test]
    fn a_checker_that_complains_fails_its_step() {
        let complains: fn(&Path) -> Result<Vec<Finding>> = |_| Ok(vec![Finding::new("a", 1, "b")]);
        assert_eq!(perform(Path::new("."), &Work::Check(complains)).unwrap(), End::Failed);
        assert_eq!(perform(Path::new("."), &Work::Check(|_| Ok(Vec::new()))).unwrap(), End::Passed);
    }
}
