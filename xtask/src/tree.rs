//! `cargo xtask tree`: what a reader meets. File lengths, words that do not belong here, and the page
//! that each code an operator can see must have.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use crate::files::{self, File};
use crate::finding::Finding;
use crate::source::{self, Source};

/// Hand-written source past this many lines, tests aside, needs a reason.
const LINES_MAX: usize = 600;
/// A file says so in a comment of its own when it has that reason.
const LONG_ON_PURPOSE: &str = "long on purpose:";
/// Marks of work that is not done, spelled so that this file does not contain them.
const UNFINISHED: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// A path of one machine on which we work, spelled the same way: it means nothing anywhere else.
const PLACE: &str = concat!("/wo", "rk/");

/// Names that our code never says, and what would come of it.
const NEVER: [(&str, &str); 5] = [
    ("verify_batch", "batch verification accepts signatures that the rule refuses"),
    ("hazmat", "signing with a public key that was handed in gives the secret away"),
    ("x-forwarded", "a header of a proxy proves nothing"),
    ("x-ssl-", "a header of a proxy proves nothing"),
    ("x-client-cert", "a header of a proxy proves nothing"),
];

const REGISTRY: &str = "spec/problems.md";
const PAGES: &str = "docs/operating/errors/";

/// Checks the tree.
///
/// # Errors
///
/// Fails when a file cannot be read.
pub(crate) fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for place in ["crates", "tests", "xtask", "fuzz"] {
        for file in files::below(root, place, &[".rs"])? {
            findings.extend(length(&file));
            findings.extend(words(&file));
            if place == "crates" {
                findings.extend(never(&file));
            }
        }
    }
    for place in ["spec", "docs"] {
        for file in files::below(root, place, &[".md", ".toml"])? {
            findings.extend(words(&file));
        }
    }
    let registry = files::below(root, "spec", &["problems.md"])?;
    let pages = files::below(root, PAGES, &[".md"])?;
    findings.extend(pages_of(registry.first().map_or("", |file| file.text.as_str()), &pages));
    findings.sort();
    Ok(findings)
}

fn length(file: &File) -> Option<Finding> {
    if source::is_test_path(&file.path) || file.text.contains(LONG_ON_PURPOSE) {
        return None;
    }
    let source = Source::new(&file.text);
    let lines = (1..=file.text.lines().count()).filter(|line| !source.is_test(*line)).count();
    let what = format!(
        "{lines} lines besides tests: split it, or say why in a comment `{LONG_ON_PURPOSE} …`"
    );
    (lines > LINES_MAX).then(|| Finding::new(&file.path, 0, what))
}

fn words(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        let mut parts = line.split(|c: char| !c.is_ascii_alphanumeric());
        if let Some(word) = parts.find(|part| UNFINISHED.contains(part)) {
            let what = format!("{word}: finish it, or file it elsewhere");
            findings.push(Finding::new(&file.path, at + 1, what));
        }
        if line.contains(PLACE) {
            let what = format!("{PLACE} is a place on somebody's machine");
            findings.push(Finding::new(&file.path, at + 1, what));
        }
    }
    findings
}

/// Tests may say them: some send such headers.
fn never(file: &File) -> Vec<Finding> {
    if source::is_test_path(&file.path) {
        return Vec::new();
    }
    let source = Source::new(&file.text);
    let mut findings = Vec::new();
    for (at, line) in file.text.lines().enumerate().filter(|(at, _)| !source.is_test(at + 1)) {
        let line = line.to_ascii_lowercase();
        for (name, why) in NEVER.iter().filter(|(name, _)| line.contains(name)) {
            findings.push(Finding::new(&file.path, at + 1, format!("{name}: {why}")));
        }
    }
    findings
}

/// Complains about codes without a page, pages without a code, and pages that tell other figures.
fn pages_of(registry: &str, pages: &[File]) -> Vec<Finding> {
    let codes = registered(registry);
    let mut findings = Vec::new();
    for (code, figures) in &codes {
        let path = format!("{PAGES}{code}.md");
        match pages.iter().find(|page| page.path == path) {
            None => findings.push(Finding::new(REGISTRY, 0, format!("{path} is missing"))),
            Some(page) if page.text.lines().any(|line| line == figures) => {}
            Some(_) => {
                findings.push(Finding::new(&path, 0, format!("the registry says: {figures}")))
            }
        }
    }
    for page in pages {
        let name = page.path.strip_prefix(PAGES).and_then(|name| name.strip_suffix(".md"));
        if name.is_some_and(|name| name != "README" && !codes.contains_key(name)) {
            findings.push(Finding::new(&page.path, 0, "no such code in the registry"));
        }
    }
    findings
}

/// The codes of the registry, with the line that their pages repeat.
fn registered(registry: &str) -> BTreeMap<&str, String> {
    let table = registry.split("## The registry").nth(1).unwrap_or("");
    table
        .lines()
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let code = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
            let (status, retryable, mode) = (cells.next()?, cells.next()?, cells.next()?);
            let mode = mode.trim_matches('`');
            Some((code, format!("HTTP {status}, retryable: {retryable}, retryMode: {mode}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn what_must_never_be_said_is_found_outside_tests() {
        let code = "fn a() { verify_batch() }\n#[cfg(test)]\nmod tests {\n    // hazmat\n}\n";
        let found = never(&file("crates/a/src/a.rs", code));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(never(&file("crates/a/tests/a.rs", code)), []);
        assert_eq!(never(&file("crates/a/src/a.rs", "let a = \"X-Forwarded-For\";\n")).len(), 1);
    }

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        let long = "fn a() {}\n".repeat(LINES_MAX + 1);
        assert!(length(&file("crates/a/src/a.rs", &long)).is_some());
        assert!(length(&file("crates/a/tests/a.rs", &long)).is_none());
        assert!(
            length(&file("crates/a/src/a.rs", &format!("// {LONG_ON_PURPOSE} a table\n{long}")))
                .is_none()
        );
        let tested = format!("#[cfg(test)]\nmod tests {{\n{long}}}\n");
        assert!(length(&file("crates/a/src/a.rs", &tested)).is_none());
    }

    #[test]
    fn unfinished_work_is_found() {
        assert_eq!(words(&file("a.rs", concat!("// TO", "DO: later\n"))).len(), 1);
        assert_eq!(words(&file("a.rs", concat!("// see /wo", "rk/x\n"))).len(), 1);
        assert!(words(&file("a.rs", "// to do: nothing\n")).is_empty());
    }

    #[test]
    fn codes_and_pages_match() {
        let registry = "| `type` | x |\n## The registry\n| code | x |\n|---|---|\n| `replayed` | 409 | yes | `same` | yes |\n";
        let page = |name: &str, text: &str| file(&format!("{PAGES}{name}.md"), text);
        let told = "# x\n\nHTTP 409, retryable: yes, retryMode: same\n";
        assert_eq!(pages_of(registry, &[]).len(), 1);
        assert!(pages_of(registry, &[page("replayed", told), page("README", "")]).is_empty());
        assert_eq!(pages_of(registry, &[page("replayed", told), page("gone", told)]).len(), 1);
        assert_eq!(pages_of(registry, &[page("replayed", &told.replace("409", "410"))]).len(), 1);
    }
}
