//! Each attack with everything refused, the honest case too: one of its tests must fail.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::{Attack, Options, Runnable, TABLE, runnable};
use crate::finding::Finding;
use crate::planted::{self, REFUSALS, Ran, Trials};

/// What became of one attack.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
struct Row<'a> {
    id: u32,
    #[serde(flatten)]
    end: End<'a>,
}

/// Whether an attack's tests see an honest case pass.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "end")]
enum End<'a> {
    /// This test failed when this bug refused everything, as it must.
    Twin { test: &'a str, bug: &'static str },
    /// The table says why no bug can show it.
    Excepted { why: &'a str },
    /// All of them would pass if everything were refused.
    NoTwin,
    /// None of those that were run has one, and there are more.
    NotHere,
}

/// Looks for a test of every attack that fails when everything is refused, prints which, and complains of
/// attacks without one.
///
/// # Errors
///
/// Fails when a target does not build, or when a test fails without any bug.
pub(super) fn run(root: &Path, attacks: &[Attack], options: Options) -> Result<Vec<Finding>> {
    let places = planted::places(root)?;
    let mut trials = Trials::new(root);
    let mut rows = Vec::new();
    for attack in attacks.iter().filter(|attack| !attack.tests.is_empty()) {
        let end = match &attack.twin_not {
            Some(why) => End::Excepted { why },
            None => twin(&mut trials, attack, &places, options.short)?,
        };
        let row = Row { id: attack.id, end };
        if !options.json {
            print(&row);
        }
        rows.push(row);
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        let count = |is: fn(&End<'_>) -> bool| rows.iter().filter(|row| is(&row.end)).count();
        println!(
            "{} attacks: {} with an honest case that passes, {} excepted with a reason, {} without, {} not shown \
             here",
            rows.len(),
            count(|end| matches!(end, End::Twin { .. })),
            count(|end| matches!(end, End::Excepted { .. })),
            count(|end| matches!(end, End::NoTwin)),
            count(|end| matches!(end, End::NotHere)),
        );
    }
    let without = rows.iter().filter(|row| row.end == End::NoTwin);
    let complaint = |row: &Row<'_>| {
        let what = format!("attack {}: its tests would pass if everything were refused", row.id);
        Finding::new(TABLE, 0, what)
    };
    Ok(without.map(complaint).collect())
}

fn twin<'a>(
    trials: &mut Trials<'_>,
    attack: &'a Attack,
    places: &[planted::Place],
    short: bool,
) -> Result<End<'a>> {
    let tests = runnable(attack, short);
    for test in &tests {
        if let Some(bug) = refused_by(trials, test, places)? {
            return Ok(End::Twin { test: test.name, bug });
        }
    }
    Ok(if tests.len() < attack.tests.len() { End::NotHere } else { End::NoTwin })
}

/// The bug that refuses what a test wants taken.
fn refused_by(
    trials: &mut Trials<'_>,
    test: &Runnable<'_>,
    places: &[planted::Place],
) -> Result<Option<&'static str>> {
    for refusal in REFUSALS.iter().filter(|refusal| refusal.counts_for(test.name)) {
        let Some(at) = places.iter().find(|place| place.bug == refusal.bug) else { continue };
        test.passes(trials)?;
        if matches!(trials.with_bug(test.test(), at.as_bug())?, Some(Ran::Failed | Ran::Hung)) {
            return Ok(Some(refusal.bug));
        }
    }
    Ok(None)
}

fn print(row: &Row<'_>) {
    let told = match &row.end {
        End::Twin { test, bug } => format!("{bug:<28}  {test}"),
        End::Excepted { why } => format!("excepted: {why}"),
        End::NoTwin => "NO HONEST CASE".to_owned(),
        End::NotHere => "not shown here".to_owned(),
    };
    println!("{:>3}  {told}", row.id);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_an_attack_is_told_as_json() {
        let row = Row { id: 7, end: End::Twin { test: "proto a", bug: "b" } };
        let told = serde_json::to_value(row).ok();
        let expected = serde_json::json!({"id": 7, "end": "twin", "test": "proto a", "bug": "b"});
        assert_eq!(told, Some(expected));
    }
}
