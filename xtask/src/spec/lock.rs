//! `spec/clauses.lock`: the wording of each clause when its citations were last read.
//!
//! An id that was taken out stays here as `retired`, so that it is never given to another clause.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::clause::Clause;
use crate::finding::Finding;

const RETIRED: &str = "retired";

/// The lock's text for the present clauses.
pub(super) fn blessed(before: &str, clauses: &[Clause]) -> String {
    let mut entries: BTreeMap<(String, u32), String> = BTreeMap::new();
    for (id, _) in parse(before) {
        entries.insert(order(id), format!("{id} {RETIRED}"));
    }
    for clause in clauses {
        entries.insert(order(&clause.id), format!("{} {}", clause.id, print(clause)));
    }
    let mut text = String::new();
    for entry in entries.values() {
        let _ = writeln!(text, "{entry}");
    }
    text
}

/// What changed since the lock was written.
pub(super) fn check(text: &str, clauses: &[Clause], path: &str) -> Vec<Finding> {
    let locked = parse(text);
    let mut findings = Vec::new();
    for clause in clauses {
        let complaint = match locked.get(clause.id.as_str()) {
            None => "is new: cite it, then run `cargo xtask spec --bless`",
            Some(&RETIRED) => "was retired: give the clause an id of its own",
            Some(known) if *known != print(clause) => {
                "has other words now: read its citations again, then run `cargo xtask spec --bless`"
            }
            Some(_) => continue,
        };
        findings.push(Finding::new(
            &clause.path,
            clause.line,
            format!("{} {complaint}", clause.id),
        ));
    }
    for (id, known) in locked {
        if known != RETIRED && !clauses.iter().any(|clause| clause.id == id) {
            findings.push(Finding::new(
                path,
                0,
                format!("{id} is gone: run `cargo xtask spec --bless` to retire it"),
            ));
        }
    }
    findings
}

fn parse(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once(' ')).collect()
}

fn print(clause: &Clause) -> String {
    let digest = Sha256::digest(clause.text.as_bytes());
    HEXLOWER.encode(&digest[..16])
}

fn order(id: &str) -> (String, u32) {
    let (prefix, number) = id.split_once('-').unwrap_or((id, ""));
    (prefix.to_owned(), number.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::{clause, file};
    use super::*;

    fn clauses(text: &str) -> Vec<Clause> {
        clause::read(&[file("a.md", text)]).0
    }

    #[test]
    fn changed_words_are_found_and_rewrapping_is_not() {
        let lock = blessed("", &clauses("**[REQ-1]** A receiver MUST do this.\n"));
        assert!(check(&lock, &clauses("**[REQ-1]** A receiver\nMUST do this.\n"), "l").is_empty());
        let found = check(&lock, &clauses("**[REQ-1]** A receiver MUST do that.\n"), "l");
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("other words"));
    }

    #[test]
    fn new_and_removed_clauses_are_found() {
        let lock = blessed("", &clauses("**[REQ-1]** A receiver MUST a.\n"));
        assert_eq!(check(&lock, &clauses("**[REQ-2]** A receiver MUST b.\n"), "l").len(), 2);
    }

    #[test]
    fn a_retired_id_is_never_given_again() {
        let lock = blessed("", &clauses("**[REQ-1]** A receiver MUST a.\n"));
        let retired = blessed(&lock, &clauses("**[REQ-2]** A receiver MUST b.\n"));
        assert_eq!(retired.lines().next(), Some("REQ-1 retired"));
        let found = check(
            &retired,
            &clauses("**[REQ-1]** A receiver MUST c.\n\n**[REQ-2]** A receiver MUST b.\n"),
            "l",
        );
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("was retired"));
    }

    #[test]
    fn ids_are_ordered_by_number() {
        let lock = blessed(
            "",
            &clauses("**[REQ-10]** A receiver MUST a.\n\n**[REQ-9]** A receiver MUST b.\n"),
        );
        assert!(lock.starts_with("REQ-9 "));
    }
}
