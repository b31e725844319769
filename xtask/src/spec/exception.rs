//! `spec/exceptions.toml`: clauses that the implementation does not meet or test yet, with reasons.

use anyhow::Result;
use serde::Deserialize;

use super::citation::Side;
use crate::finding::Finding;

/// The file's entries.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exceptions {
    #[serde(default, rename = "exception")]
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    clause: String,
    lacks: Vec<Lack>,
    reason: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Lack {
    Code,
    Test,
}

/// Reads the file's text.
///
/// # Errors
///
/// Fails on text that is not of the file's form: an entry without a reason is such.
pub(super) fn parse(text: &str) -> Result<Exceptions> {
    Ok(toml::from_str(text)?)
}

impl Exceptions {
    /// Whether an entry excuses a clause on one side.
    pub(super) fn excuses(&self, id: &str, side: Side) -> bool {
        let lack = match side {
            Side::Code => Lack::Code,
            Side::Test => Lack::Test,
        };
        self.entries.iter().any(|entry| entry.clause == id && entry.lacks.contains(&lack))
    }

    /// The reason given for a clause.
    pub(super) fn reason(&self, id: &str) -> Option<&str> {
        self.entries.iter().find(|entry| entry.clause == id).map(|entry| entry.reason.as_str())
    }

    /// What is wrong with the entries themselves.
    pub(super) fn faults(&self, path: &str, known: impl Fn(&str) -> bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (at, entry) in self.entries.iter().enumerate() {
            let mut complain = |what: &str| {
                findings.push(Finding::new(
                    path,
                    0,
                    format!("exception of {}: {what}", entry.clause),
                ));
            };
            if !known(&entry.clause) {
                complain("no such clause");
            }
            if entry.reason.split_whitespace().count() < 3 {
                complain("a reason is a sentence");
            }
            if entry.lacks.is_empty() {
                complain("it excuses nothing");
            }
            if self.entries.iter().take(at).any(|earlier| earlier.clause == entry.clause) {
                complain("listed twice");
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn an_entry_without_a_reason_does_not_parse() {
        assert!(parse("[[exception]]\nclause = \"REQ-1\"\nlacks = [\"code\"]\n").is_err());
        assert!(
            parse("[[exception]]\nclause = \"REQ-1\"\nlacks = [\"luck\"]\nreason = \"a b c\"\n")
                .is_err()
        );
    }

    #[test]
    fn empty_reasons_unknown_clauses_and_doubles_are_found() {
        let text = "[[exception]]\nclause = \"REQ-1\"\nlacks = []\nreason = \"\"\n".repeat(2);
        let faults = parse(&text).unwrap().faults("e.toml", |_| false);
        assert_eq!(faults.len(), 7);
    }
}
