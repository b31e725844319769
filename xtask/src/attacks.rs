//! `cargo xtask attacks`: every known attack, the clauses it would break, and the test that tries it.
//!
//! The table is `docs/attacks.toml`. An attack that no test tries is a hope, and a test that was renamed
//! away is one too: both are found by text. A test that could not fail is the third kind: so each attack
//! names the planted bugs under which a test of its must fail (`bites`), or why there is no check of ours
//! to take away (`bites_not`). `--bite` plants each of them and looks. A test that would pass if everything were
//! refused is the fourth: `--twins` refuses everything, and looks for a test of each attack that fails.

mod bite;
mod twins;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::files::{self, File};
use crate::finding::Finding;
use crate::planted::{self, QUICK, Ran, Target, Test, Trials};

const TABLE: &str = "docs/attacks.toml";
/// How tests are called that change every bit of something, and take their time.
const LONG: [&str; 2] = ["no_changed_", "no_flipped_"];

/// How to look at the attacks.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// Run the tests that need no gateway, and say how each ended.
    #[arg(long)]
    run: bool,
    /// Plant what each attack names, and see that one of its tests fails.
    #[arg(long, conflicts_with = "run")]
    bite: bool,
    /// Refuse everything, and see that one of its tests fails: an honest case passes otherwise.
    #[arg(long, conflicts_with_all = ["run", "bite"])]
    twins: bool,
    /// With `--bite` or `--twins`: only what builds quickly.
    #[arg(long)]
    short: bool,
    /// Print the table, or with `--twins` what was found, as JSON on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    attack: Vec<Attack>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Attack {
    id: u32,
    what: String,
    clauses: Vec<String>,
    tests: Vec<String>,
    /// The planted bugs that take away what stands against it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bites: Vec<String>,
    /// Why there is no check of ours that could be taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bites_not: Option<String>,
    /// Why no planted bug of ours shows that an honest case passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    twin_not: Option<String>,
    /// Why no test tries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
}

impl Attack {
    /// Whether a planted bug's test is one of its own.
    fn has(&self, test: (&str, Target<'_>, &str)) -> bool {
        self.tests.iter().filter_map(|name| Place::read(name)).any(|place| place.is_of(test))
    }
}

/// Where a test's name leads.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Place<'a> {
    /// The package without `landbridge-`.
    package: &'a str,
    /// The test of its own; without one it is a unit test.
    binary: Option<&'a str>,
    /// The test's path in its binary.
    path: &'a str,
}

impl<'a> Place<'a> {
    fn read(name: &'a str) -> Option<Self> {
        let (binary, path) = name.split_once(' ')?;
        let (package, binary) =
            binary.split_once("::").map_or((binary, None), |(package, name)| (package, Some(name)));
        Some(Self { package, binary, path })
    }

    /// The package's directory.
    fn directory(&self) -> String {
        match self.package.strip_suffix("-tests") {
            Some(name) => format!("tests/{name}/"),
            None => format!("crates/{}/", self.package),
        }
    }

    fn function(&self) -> &'a str {
        self.path.rsplit("::").next().unwrap_or(self.path)
    }

    fn modules(&self) -> Vec<&'a str> {
        let mut modules: Vec<&str> = self.path.split("::").collect();
        modules.pop();
        modules
    }

    /// Files in which its first `depth` modules may be, the crate itself for none.
    fn files(&self, depth: usize) -> Vec<String> {
        let directory = self.directory();
        let modules = self.modules();
        let inside = modules.get(..depth).unwrap_or_default().join("/");
        match (self.binary, depth) {
            (None, 0) => vec![format!("{directory}src/lib.rs"), format!("{directory}src/main.rs")],
            (None, _) => vec![format!("{directory}src/{inside}.rs")],
            (Some(binary), 0) => vec![
                format!("{directory}tests/{binary}.rs"),
                format!("{directory}tests/{binary}/main.rs"),
            ],
            (Some(binary), _) => vec![format!("{directory}tests/{binary}/{inside}.rs")],
        }
    }

    /// The name under which a planted bug's test is listed.
    fn is_of(&self, (package, target, path): (&str, Target<'_>, &str)) -> bool {
        let binary = match target {
            Target::Lib => None,
            Target::Test(name) => Some(name),
        };
        package.strip_prefix("landbridge-") == Some(self.package)
            && (binary, path) == (self.binary, self.path)
    }

    /// It needs a real gateway, which has a command of its own.
    fn needs_a_gateway(&self) -> bool {
        self.package == "openclaw-tests" || (self.package == "openclaw" && self.binary.is_some())
    }
}

/// A test of an attack that can be run with a bug.
struct Runnable<'a> {
    /// As the table names it.
    name: &'a str,
    /// The whole name of its package.
    package: String,
    place: Place<'a>,
}

impl Runnable<'_> {
    fn test(&self) -> Test<'_> {
        let target = self.place.binary.map_or(Target::Lib, Target::Test);
        Test { package: &self.package, target, path: self.place.path }
    }

    /// Sees that it passes without any bug.
    fn passes(&self, trials: &mut Trials<'_>) -> Result<()> {
        match trials.control(self.test())? {
            Ran::Passed => Ok(()),
            other => bail!("{} does not pass without any bug: {other:?}", self.name),
        }
    }
}

/// The tests of an attack that need no gateway, what builds and runs quickly first; with `short` nothing else.
fn runnable(attack: &Attack, short: bool) -> Vec<Runnable<'_>> {
    let tests = attack.tests.iter().filter_map(|name| {
        let place = Place::read(name).filter(|place| !place.needs_a_gateway())?;
        Some(Runnable { name, package: format!("landbridge-{}", place.package), place })
    });
    let quick = |test: &Runnable<'_>| QUICK.contains(&test.package.as_str());
    let mut tests: Vec<_> = tests.filter(|test| !short || quick(test)).collect();
    // Tests of whole processes last, and before them those that change every bit of something.
    let long = |test: &Runnable<'_>| LONG.iter().any(|how| test.place.function().starts_with(how));
    let processes = |test: &Runnable<'_>| test.place.package == "bridge-tests";
    tests.sort_by_key(|test| (processes(test), !quick(test), long(test)));
    tests
}

/// Checks the table, prints it, and runs its tests when asked to.
///
/// # Errors
///
/// Fails when the tree cannot be read, or a test fails.
pub(crate) fn run(root: &Path, options: &Options) -> Result<Vec<Finding>> {
    if options.short && !options.bite && !options.twins {
        bail!("--short shortens --bite and --twins: say which");
    }
    let table = read(root)?;
    let mut findings = judge(root, &table)?;
    if options.bite && findings.is_empty() {
        return bite::run(root, &table.attack, *options);
    }
    if options.twins && findings.is_empty() {
        return twins::run(root, &table.attack, *options);
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&table.attack)?);
    } else {
        table.attack.iter().for_each(print);
        let missing = table.attack.iter().filter(|attack| attack.missing.is_some()).count();
        let count = |of: fn(&Attack) -> bool| table.attack.iter().filter(|one| of(one)).count();
        println!(
            "{} attacks: {} with planted bugs that their tests notice, {} where no check of ours can be \
             removed, with a reason; {missing} without a test and with a reason",
            table.attack.len(),
            count(|one| !one.bites.is_empty()),
            count(|one| one.bites_not.is_some()),
        );
    }
    if options.run && findings.is_empty() {
        run_tests(root, &table.attack)?;
    }
    findings.sort();
    Ok(findings)
}

/// Checks the table, for CI.
///
/// # Errors
///
/// Fails when the tree cannot be read.
pub(crate) fn check(root: &Path) -> Result<Vec<Finding>> {
    judge(root, &read(root)?)
}

fn read(root: &Path) -> Result<Table> {
    let text = fs::read_to_string(root.join(TABLE)).with_context(|| format!("reading {TABLE}"))?;
    toml::from_str(&text).with_context(|| format!("reading {TABLE}"))
}

fn judge(root: &Path, table: &Table) -> Result<Vec<Finding>> {
    let mut sources = files::below(root, "crates", &[".rs"])?;
    sources.extend(files::below(root, "tests", &[".rs"])?);
    let spec = files::below(root, "spec", &[".md"])?;
    Ok(faults(&table.attack, &sources, &spec, &planted::bugs()))
}

fn print(attack: &Attack) {
    println!("{:>3}  {}  [{}]", attack.id, attack.what, attack.clauses.join(" "));
    for test in &attack.tests {
        println!("       {test}");
    }
    if !attack.bites.is_empty() {
        println!("       bites: {}", attack.bites.join(", "));
    }
    if let Some(reason) = &attack.bites_not {
        println!("       nothing to remove: {reason}");
    }
    if let Some(reason) = &attack.missing {
        println!("       none: {reason}");
    }
}

fn faults(
    attacks: &[Attack],
    sources: &[File],
    spec: &[File],
    bugs: &[(&str, (&str, Target<'_>, &str))],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (attack, expected) in attacks.iter().zip(1..) {
        let mut complain = |what: String| {
            findings.push(Finding::new(TABLE, 0, format!("attack {}: {what}", attack.id)));
        };
        if attack.id != expected {
            complain(format!("number {expected} was expected here"));
        }
        if attack.tests.is_empty() == attack.missing.is_none() {
            complain("it has either tests, or a reason why none".to_owned());
        }
        let shown = !attack.bites.is_empty() || attack.bites_not.is_some();
        if !shown && !attack.tests.is_empty() {
            complain(
                "its tests have either bugs that they notice, or a reason why none".to_owned(),
            );
        }
        if !attack.bites.is_empty() && attack.bites_not.is_some() {
            complain("it has bugs to plant, and a reason why there are none".to_owned());
        }
        for bug in &attack.bites {
            let mut listed = bugs.iter().filter(|(name, _)| name == bug).peekable();
            if listed.peek().is_none() {
                complain(format!("there is no planted bug {bug}"));
            // So that the run which plants each bug also shows that each attack bites.
            } else if !listed.any(|(_, test)| attack.has(*test)) {
                complain(format!("no test that is listed for {bug} is one of its own"));
            }
        }
        if attack.twin_not.is_some() && attack.tests.is_empty() {
            complain("it has no tests, and a reason why they have no honest case".to_owned());
        }
        for clause in &attack.clauses {
            let definition = format!("**[{clause}]**");
            if !spec.iter().any(|file| file.text.contains(&definition)) {
                complain(format!("there is no clause {clause}"));
            }
        }
        for test in &attack.tests {
            if !Place::read(test).is_some_and(|place| exists(&place, sources)) {
                complain(format!("there is no test `{test}`"));
            }
        }
    }
    findings
}

/// Whether a test is where its path says: in the file of its innermost module that has one of its own.
/// Modules inside that file may be written by a macro, so of them only the names are looked for.
fn exists(place: &Place<'_>, sources: &[File]) -> bool {
    let function = format!("fn {}(", place.function());
    let modules = place.modules();
    for depth in (0..=modules.len()).rev() {
        let paths = place.files(depth);
        let Some(file) = sources.iter().find(|file| paths.contains(&file.path)) else { continue };
        let above = || sources.iter().filter(|file| file.path.starts_with(&place.directory()));
        let inner = modules.get(depth..).unwrap_or_default();
        let named = |name: &&str| {
            let declared = format!("mod {name}");
            file.text.contains(&declared) || above().any(|file| file.text.contains(&declared))
        };
        return file.text.contains(&function) && inner.iter().all(named);
    }
    false
}

/// Runs each package's tests at once; the ordinary test run does the same, so this is for people.
fn run_tests(root: &Path, attacks: &[Attack]) -> Result<()> {
    let places = || attacks.iter().flat_map(|attack| &attack.tests).filter_map(|t| Place::read(t));
    let packages: BTreeSet<&str> =
        places().filter(|place| !place.needs_a_gateway()).map(|place| place.package).collect();
    for package in packages {
        let tests: BTreeSet<&str> =
            places().filter(|place| place.package == package).map(|place| place.path).collect();
        println!("== {package}: {} tests", tests.len());
        let mut command = Command::new(env!("CARGO"));
        let name = format!("landbridge-{package}");
        command.current_dir(root).args(["test", "--package", &name, "--", "--exact"]);
        let output = command.args(&tests).stderr(Stdio::inherit()).output();
        let output = output.context("running cargo test")?;
        let told = String::from_utf8_lossy(&output.stdout);
        let passed = |test: &&&str| told.contains(&format!("test {test} ... ok"));
        for test in &tests {
            println!("{}  {test}", if passed(&test) { "ok    " } else { "FAILED" });
        }
        if !output.status.success() || !tests.iter().all(|test| passed(&test)) {
            println!("{told}");
            bail!("an attack succeeded, or its test did not run: see above");
        }
    }
    println!("attacks at a real gateway are tried by `cargo xtask openclaw test`");
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    fn attack(text: &str) -> Vec<Attack> {
        toml::from_str::<Table>(text).unwrap().attack
    }

    #[test]
    fn what_is_not_there_is_found() {
        let text = "mod tests { fn a_lie_is_refused() {} }";
        let sources = [file("crates/proto/src/a.rs", text), file("crates/proto/src/b.rs", text)];
        let spec = [file("spec/a.md", "**[ENV-1]** A receiver")];
        let good = "[[attack]]\nid = 1\nwhat = \"a\"\nclauses = [\"ENV-1\"]\ntests = [\"proto a::tests::a_lie_is_refused\"]\nbites = [\"lie\"]\n";
        let test = |path| ("landbridge-proto", Target::Lib, path);
        let bugs = [("lie", test("a::tests::a_lie_is_refused")), ("slip", test("b::tests::other"))];
        assert_eq!(faults(&attack(good), &sources, &spec, &bugs), []);
        // A test that is not there is not the bug's either.
        for (from, to, faulty) in [
            ("id = 1", "id = 2", 1),
            ("ENV-1", "ENV-2", 1),
            ("a_lie_is_refused", "a_lie_is_believed", 2),
            ("proto a", "proto c", 2),
            ("a::tests", "a::others", 2),
            ("bites = [\"lie\"]", "bites = [\"slip\"]", 1),
            ("bites = [\"lie\"]", "bites = [\"truth\"]", 1),
            ("bites = [\"lie\"]", "bites = []", 1),
            ("bites = [\"lie\"]", "bites = [\"lie\"]\nbites_not = \"why\"", 1),
            ("bites = [\"lie\"]", "bites = [\"lie\"]\ntwin_not = \"why\"", 0),
            (
                "tests = [\"proto a::tests::a_lie_is_refused\"]\nbites = [\"lie\"]",
                "tests = []\nmissing = \"why\"\ntwin_not = \"why\"",
                1,
            ),
        ] {
            let found = faults(&attack(&good.replace(from, to)), &sources, &spec, &bugs);
            assert_eq!(found.len(), faulty, "{from} -> {to}: {found:?}");
        }
    }

    #[test]
    fn what_runs_quickly_runs_first() {
        let text = "[[attack]]\nid = 1\nwhat = \"a\"\nclauses = []\ntests = [\"openclaw::restarts a\", \
                    \"bridge-tests::bridges b\", \"node c::tests::c\", \"proto d::tests::d\"]\n";
        let attack = attack(text).remove(0);
        let names = |short| -> Vec<_> {
            runnable(&attack, short).iter().map(|test| test.place.function()).collect()
        };
        assert_eq!(names(false), ["d", "c", "b"]);
        assert_eq!(names(true), ["d"]);
    }

    #[test]
    fn names_lead_to_places() {
        let place = Place::read("bridge-tests::bridges refusals::local::a_token").unwrap();
        assert_eq!((place.directory().as_str(), place.function()), ("tests/bridge/", "a_token"));
        let place = Place::read("proto wire::key::tests::key_text_is_strict").unwrap();
        assert_eq!(place.directory(), "crates/proto/");
        assert!(!place.needs_a_gateway());
        assert!(Place::read("openclaw::restarts a_run_stopped").unwrap().needs_a_gateway());
    }
}
