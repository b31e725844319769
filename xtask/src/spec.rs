//! `cargo xtask spec`: the clauses of `spec/`, held against the code and the tests that cite them.
//!
//! A clause that nobody cites is a promise that nobody checks, and a citation of a clause whose words
//! have changed was read by nobody. Both are found by text alone.

mod citation;
mod clause;
mod exception;
mod limits;
mod lock;
mod registry;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;

use crate::files;
use crate::finding::Finding;
use citation::{Citation, Side};
use clause::Clause;
use exception::Exceptions;

const LOCK: &str = "spec/clauses.lock";
const EXCEPTIONS: &str = "spec/exceptions.toml";
const REGISTRY: (&str, &str) = ("spec/problems.md", "crates/proto/src/wire/problem.rs");
const LIMITS: (&str, &str) = ("spec/limits.md", "crates/proto/src/wire/limit.rs");

/// How to check the specification.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// Record the present wording of every clause, after its citations were read again.
    #[arg(long)]
    bless: bool,
    /// Print the matrix of clauses and citations as JSON on standard output.
    #[arg(long)]
    json: bool,
}

/// One line of the matrix.
#[derive(Debug, Serialize)]
struct Row<'a> {
    clause: &'a str,
    text: &'a str,
    code: Vec<String>,
    test: Vec<String>,
    exception: Option<&'a str>,
}

/// Checks the tree, and blesses or prints when asked.
///
/// # Errors
///
/// Fails when a file cannot be read or written, or the lock or the exceptions do not parse.
pub(crate) fn run(root: &Path, options: &Options) -> Result<Vec<Finding>> {
    let pages = files::below(root, "spec", &[".md"])?;
    let (clauses, mut findings) = clause::read(&pages);
    ensure!(!clauses.is_empty(), "no clause stands below {}", root.join("spec").display());
    let lock_text = optional(root, LOCK)?;
    if options.bless {
        fs::write(root.join(LOCK), lock::blessed(&lock_text, &clauses))?;
    }
    findings.extend(lock::check(&optional(root, LOCK)?, &clauses, LOCK));
    let mut sources = files::below(root, "crates", &[".rs"])?;
    sources.extend(files::below(root, "tests", &[".rs"])?);
    sources.extend(files::below(root, "fuzz", &[".rs"])?);
    let citations = citation::read(&sources);
    let exceptions = exception::parse(&optional(root, EXCEPTIONS)?).context(EXCEPTIONS)?;
    findings.extend(covered(&clauses, &citations, &exceptions));
    findings.extend(limits::check(LIMITS, &optional(root, LIMITS.0)?, &optional(root, LIMITS.1)?));
    findings.extend(clause::unknown_mentions(&files::below(root, "docs", &[".md"])?, &clauses));
    let registry = (optional(root, REGISTRY.0)?, optional(root, REGISTRY.1)?);
    findings.extend(registry::check(REGISTRY, &registry.0, &registry.1));
    if options.json {
        println!("{}", serde_json::to_string_pretty(&matrix(&clauses, &citations, &exceptions))?);
    }
    findings.sort();
    Ok(findings)
}

fn optional(root: &Path, path: &str) -> Result<String> {
    match fs::read_to_string(root.join(path)) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).context(path.to_owned()),
    }
}

/// Complains about unknown citations, uncited clauses, and exceptions that are wrong or not needed.
fn covered(clauses: &[Clause], citations: &[Citation], exceptions: &Exceptions) -> Vec<Finding> {
    let known: BTreeMap<&str, &Clause> =
        clauses.iter().map(|clause| (clause.id.as_str(), clause)).collect();
    let mut findings = Vec::new();
    for citation in citations.iter().filter(|citation| !known.contains_key(citation.id.as_str())) {
        findings.push(Finding::new(
            &citation.path,
            citation.line,
            format!("unknown clause {}", citation.id),
        ));
    }
    for clause in clauses {
        for side in [Side::Code, Side::Test] {
            let cited =
                citations.iter().any(|citation| citation.id == clause.id && citation.side == side);
            let excused = exceptions.excuses(&clause.id, side);
            if !cited && !excused {
                let what = format!("{} has no {}", clause.id, side.noun());
                findings.push(Finding::new(&clause.path, clause.line, what));
            }
            if cited && excused {
                let what =
                    format!("{} has its {} now: take the exception out", clause.id, side.noun());
                findings.push(Finding::new(EXCEPTIONS, 0, what));
            }
        }
    }
    findings.extend(exceptions.faults(EXCEPTIONS, |id| known.contains_key(id)));
    findings
}

fn matrix<'a>(
    clauses: &'a [Clause],
    citations: &[Citation],
    exceptions: &'a Exceptions,
) -> Vec<Row<'a>> {
    let places = |id: &str, side: Side| {
        let of_clause =
            citations.iter().filter(|citation| citation.id == id && citation.side == side);
        of_clause.map(|citation| format!("{}:{}", citation.path, citation.line)).collect()
    };
    let row = |clause: &'a Clause| Row {
        clause: &clause.id,
        text: &clause.text,
        code: places(&clause.id, Side::Code),
        test: places(&clause.id, Side::Test),
        exception: exceptions.reason(&clause.id),
    };
    clauses.iter().map(row).collect()
}

/// A fixture's file, for the tests of the parts.
#[cfg(test)]
fn file(path: &str, text: &str) -> files::File {
    files::File { path: path.to_owned(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const PAGE: &str = "**[REQ-1]** A receiver MUST one.\n\n**[REQ-2]** A receiver MUST two.\n";
    const CODE: &str =
        "//= REQ-1\nfn a() {}\n#[cfg(test)]\nmod tests {\n    //= REQ-1\n    fn b() {}\n}\n";

    fn complaints(code: &str, exceptions: &str) -> Vec<String> {
        let (clauses, _) = clause::read(&[file("spec/request.md", PAGE)]);
        let citations = citation::read(&[file("crates/proto/src/a.rs", code)]);
        let exceptions = exception::parse(exceptions).unwrap();
        covered(&clauses, &citations, &exceptions).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_tree_without_clauses_is_an_error() {
        let nowhere = Path::new("there-is-no-such-tree");
        let error = run(nowhere, &Options { bless: false, json: false }).unwrap_err();
        assert!(error.to_string().contains("no clause"), "{error}");
    }

    #[test]
    fn a_clause_without_code_or_test_is_found() {
        assert_eq!(complaints(CODE, ""), ["REQ-2 has no code", "REQ-2 has no test"]);
    }

    #[test]
    fn an_exception_excuses_what_it_names() {
        let entry = "[[exception]]\nclause = \"REQ-2\"\nlacks = [\"code\", \"test\"]\nreason = \"it comes later\"\n";
        assert!(complaints(CODE, entry).is_empty());
        let half = entry.replace("\"code\", ", "");
        assert_eq!(complaints(CODE, &half), ["REQ-2 has no code"]);
    }

    #[test]
    fn an_exception_that_is_not_needed_is_found() {
        let entry = "[[exception]]\nclause = \"REQ-2\"\nlacks = [\"code\", \"test\"]\nreason = \"it comes later\"\n";
        let met = format!("//= REQ-2\n{CODE}");
        assert_eq!(complaints(&met, entry), ["REQ-2 has its code now: take the exception out"]);
    }

    #[test]
    fn a_citation_of_nothing_is_found() {
        let cites_too_much = CODE.replacen("REQ-1", "REQ-1, REQ-9", 1);
        assert!(complaints(&cites_too_much, "").contains(&"unknown clause REQ-9".to_owned()));
    }
}
