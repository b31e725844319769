//! Each attack with the checks removed that stand against it: one of its tests must fail.

use std::path::Path;

use anyhow::Result;

use super::{Attack, Options, TABLE, runnable};
use crate::finding::Finding;
use crate::planted::{self, Ran, Trials};

/// How an attack's tests took one planted bug.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Bite {
    /// This test failed, as it must.
    By(String),
    /// All of them passed.
    None,
    /// None of them could be run here.
    NotHere,
}

/// Plants what every attack names, prints what became of it, and complains of what did not bite.
///
/// # Errors
///
/// Fails when a target does not build, or when a test fails without any bug.
pub(super) fn run(root: &Path, attacks: &[Attack], options: Options) -> Result<Vec<Finding>> {
    let places = planted::places(root)?;
    let mut trials = Trials::new(root);
    let mut findings = Vec::new();
    let (mut bit, mut elsewhere) = (0_u32, 0_u32);
    for attack in attacks {
        for bug in &attack.bites {
            let Some(at) = places.iter().find(|place| place.bug == *bug) else { continue };
            let told = match bites(&mut trials, attack, at, options.short)? {
                Bite::By(test) => {
                    bit += 1;
                    format!("bit      {test}")
                }
                Bite::None => {
                    let what = format!("attack {}: no test of its notices {bug}", attack.id);
                    findings.push(Finding::new(TABLE, 0, what));
                    "DID NOT BITE".to_owned()
                }
                Bite::NotHere => {
                    elsewhere += 1;
                    "not run".to_owned()
                }
            };
            println!("{:>3}  {bug:<28}  {told}", attack.id);
        }
    }
    println!("{bit} bit, {} did not, {elsewhere} not run here", findings.len());
    Ok(findings)
}

fn bites(
    trials: &mut Trials<'_>,
    attack: &Attack,
    at: &planted::Place,
    short: bool,
) -> Result<Bite> {
    let tests = runnable(attack, short);
    for test in &tests {
        test.passes(trials)?;
        if matches!(trials.with_bug(test.test(), at.as_bug())?, Some(Ran::Failed | Ran::Hung)) {
            return Ok(Bite::By(test.name.to_owned()));
        }
    }
    Ok(if tests.is_empty() { Bite::NotHere } else { Bite::None })
}
