//! Each attack with the checks removed that stand against it: one of its tests must fail.

use std::path::Path;

use anyhow::Result;

use super::{Attack, Options, Place, TABLE};
use crate::finding::Finding;
use crate::planted::{self, QUICK, Ran, Target, Test, Trials};

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
    let mut ran = false;
    // Tests of whole processes last: another test bites sooner.
    let mut tests: Vec<&String> = attack.tests.iter().collect();
    tests.sort_by_key(|name| name.starts_with("bridge-tests"));
    for name in tests {
        let Some(place) = Place::read(name).filter(|place| !place.needs_a_gateway()) else {
            continue;
        };
        let package = format!("landbridge-{}", place.package);
        if short && !QUICK.contains(&package.as_str()) {
            continue;
        }
        let target = place.binary.map_or(Target::Lib, Target::Test);
        let test = Test { package: &package, target, path: place.path };
        match trials.control(test)? {
            Ran::Passed => {}
            other => anyhow::bail!("{name} does not pass without any bug: {other:?}"),
        }
        ran = true;
        if matches!(trials.with_bug(test, at.as_bug())?, Some(Ran::Failed | Ran::Hung)) {
            return Ok(Bite::By(name.clone()));
        }
    }
    Ok(if ran { Bite::None } else { Bite::NotHere })
}
