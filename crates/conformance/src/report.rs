//! What is printed: a line for each case as it ends, or one JSON document.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::caller_cases;
use crate::cases::{self, Case, Skipped};
use crate::local_client;

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
            ensure!(all().any(|case| case["id"] == id), "there is no case {id}");
            known.insert(id.to_owned(), reason.to_owned());
        }
        Ok(Self { expected: known, json, cases: Vec::new(), counts: BTreeMap::new() })
    }

    /// Takes what came of a case.
    pub(crate) fn tried<T>(&mut self, profile: &str, case: &Case<T>, came: Result<()>) {
        let (verdict, reason) = self.verdict(case.id, came);
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

    fn verdict(&self, id: &str, came: Result<()>) -> (&'static str, Option<String>) {
        let expected = self.expected.get(id);
        match (came, expected) {
            (Ok(()), None) => ("pass", None),
            (Ok(()), Some(_)) => ("fail", Some("it was expected to fail, and passed".to_owned())),
            (Err(fault), _) if fault.is::<Skipped>() => ("skipped", Some(fault.to_string())),
            (Err(_), Some(reason)) => ("expected-fail", Some(reason.clone())),
            (Err(fault), None) => ("fail", Some(format!("{fault:#}"))),
        }
    }
}

/// Every case of every profile.
fn all() -> impl Iterator<Item = Value> {
    let executor = cases::all().map(|(profile, case)| described(profile, case));
    executor
        .chain(caller_cases::all().map(|case| described(caller_cases::PROFILE, case)))
        .chain(local_client::all().map(|case| described(local_client::PROFILE, case)))
}

/// Prints the cases of a profile, or of all.
pub(crate) fn list(profile: Option<&str>, json: bool) -> Result<()> {
    let wanted = |case: &Value| profile.is_none_or(|profile| case["profile"] == profile);
    let all: Vec<Value> = all().filter(wanted).collect();
    ensure!(!all.is_empty(), "there is no profile {}", profile.unwrap_or_default());
    if json {
        println!("{}", json!({"cases": all, "v": 1}));
        return Ok(());
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for case in all {
        let clauses = case["clauses"].as_array().into_iter().flatten().map(text);
        let clauses = clauses.collect::<Vec<_>>().join(" ");
        let (profile, id, about) =
            (text(&case["profile"]), text(&case["id"]), text(&case["about"]));
        println!("{profile:<13}  {id:<30}  {clauses:<40}  {about}");
    }
    Ok(())
}

/// Prints what came of joining.
pub(crate) fn joined(gateway: &str, words: &str, json: bool) {
    if json {
        println!("{}", json!({"gateway": gateway, "v": 1, "words": words}));
        return;
    }
    println!("Joined {gateway}. Its operator has to see these words, and accept:\n\n  {words}");
}

/// Prints one line of what becomes of an invite.
pub(crate) fn invited(name: &str, value: &str, json: bool) {
    if json {
        println!("{}", json!({name: value, "v": 1}));
        return;
    }
    println!("{name}: {value}");
}

fn described<T>(profile: &str, case: &Case<T>) -> Value {
    let (id, clauses, about) = (case.id, case.clauses, case.about);
    json!({"about": about, "clauses": clauses, "id": id, "profile": profile})
}
