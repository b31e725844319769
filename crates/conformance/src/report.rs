//! What is printed: a line for each case as it ends, or one JSON document.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::cases::{self, Case, Skipped};

/// The verdicts so far.
pub(crate) struct Report {
    expected: BTreeMap<String, String>,
    json: bool,
    cases: Vec<Value>,
    counts: BTreeMap<&'static str, usize>,
}

impl Report {
    /// Nothing was tried yet. `expected` are cases that are known to fail, as `case=reason`.
    pub(crate) fn new(expected: &[String], json: bool) -> Result<Self> {
        let mut known = BTreeMap::new();
        for one in expected {
            let (id, reason) = one.split_once('=').context("--expect-fail CASE=REASON")?;
            ensure!(cases::all().any(|(_, case)| case.id == id), "there is no case {id}");
            known.insert(id.to_owned(), reason.to_owned());
        }
        Ok(Self { expected: known, json, cases: Vec::new(), counts: BTreeMap::new() })
    }

    /// Takes what came of a case.
    pub(crate) fn tried(&mut self, profile: &str, case: &Case, came: Result<()>) {
        let (verdict, reason) = self.verdict(case, came);
        *self.counts.entry(verdict).or_default() += 1;
        if !self.json {
            let clauses = case.clauses.join(" ");
            println!("{verdict:<13}  {:<30}  {clauses:<40}  {}", case.id, case.about);
            if let Some(reason) = &reason {
                println!("{:<13}  {reason}", "");
            }
        }
        let mut entry = described(profile, case);
        entry["verdict"] = json!(verdict);
        entry["reason"] = json!(reason);
        self.cases.push(entry);
    }

    /// Prints the end, and says whether no case failed.
    pub(crate) fn end(self) -> bool {
        let failed = self.counts.contains_key("fail");
        if self.json {
            println!("{}", json!({"cases": self.cases, "counts": self.counts, "v": 1}));
        } else {
            let counts: Vec<String> =
                self.counts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
            println!("\n{} cases: {}", self.cases.len(), counts.join(", "));
        }
        !failed
    }

    fn verdict(&self, case: &Case, came: Result<()>) -> (&'static str, Option<String>) {
        let expected = self.expected.get(case.id);
        match (came, expected) {
            (Ok(()), None) => ("pass", None),
            (Ok(()), Some(_)) => ("fail", Some("it was expected to fail, and passed".to_owned())),
            (Err(fault), _) if fault.is::<Skipped>() => ("skipped", Some(fault.to_string())),
            (Err(_), Some(reason)) => ("expected-fail", Some(reason.clone())),
            (Err(fault), None) => ("fail", Some(format!("{fault:#}"))),
        }
    }
}

/// Prints the cases.
pub(crate) fn list(json: bool) {
    if json {
        let cases: Vec<Value> =
            cases::all().map(|(profile, case)| described(profile, case)).collect();
        println!("{}", json!({"cases": cases, "v": 1}));
        return;
    }
    for (profile, case) in cases::all() {
        let clauses = case.clauses.join(" ");
        println!("{profile:<13}  {:<30}  {clauses:<40}  {}", case.id, case.about);
    }
}

/// Prints what came of joining.
pub(crate) fn joined(gateway: &str, words: &str, json: bool) {
    if json {
        println!("{}", json!({"gateway": gateway, "v": 1, "words": words}));
        return;
    }
    println!("Joined {gateway}. Its operator has to see these words, and accept:\n\n  {words}");
}

fn described(profile: &str, case: &Case) -> Value {
    let (id, clauses, about) = (case.id, case.clauses, case.about);
    json!({"about": about, "clauses": clauses, "id": id, "profile": profile})
}
