//! The cases against a caller: what the kit does as its executor, and what must come of it.
//!
//! A case leads one run or a few. Most of them do one thing that a caller must not believe and are honest
//! afterwards: the user has to be told every honest frame, once, and nothing else. The peering outlives all
//! of them; those that change what the caller thinks of the kit for good come last.

mod accepts;
mod cancels;
mod contradictions;
mod envelopes;
mod events;
mod refusals;
mod roots;
mod seals;
mod statuses;
mod streams;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use anyhow::Result;

use crate::asked::Open;
use crate::cases::Case;
use crate::report::Report;
use crate::stage::{Run, Stage};

/// The profile of these cases.
pub(crate) const PROFILE: &str = "core-caller";

/// All cases, in the order in which they are told.
pub(crate) fn all() -> impl Iterator<Item = &'static Case<Stage>> {
    SIDE_BY_SIDE.iter().chain(&ALONE).copied().flatten()
}

/// Tries the chosen cases. Most of them pass their time waiting for another attempt, so those that leave alone
/// what the kit says of itself are tried side by side.
pub(crate) fn try_all(stage: &Stage, is_chosen: impl Fn(&str) -> bool, report: &mut Report) {
    let chosen = |groups: &[&'static [Case<Stage>]]| -> Vec<&'static Case<Stage>> {
        let all = groups.iter().copied().flatten();
        all.filter(|case| is_chosen(case.id)).collect()
    };
    let [first, later @ ..] = ALONE;
    for case in chosen(&[first]) {
        report.tried(PROFILE, case, (case.run)(stage));
    }
    let cases = chosen(&SIDE_BY_SIDE);
    let next = AtomicUsize::new(0);
    let (tell, came) = channel();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            let (cases, next, tell) = (&cases, &next, tell.clone());
            scope.spawn(move || {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let _heard = tell.send((*case, (case.run)(stage)));
                }
            });
        }
        drop(tell);
        for (case, came) in came {
            report.tried(PROFILE, case, came);
        }
    });
    for case in chosen(&later) {
        report.tried(PROFILE, case, (case.run)(stage));
    }
}

const SIDE_BY_SIDE: [&[Case<Stage>]; 7] = [
    streams::CASES,
    events::CASES,
    seals::CASES,
    envelopes::CASES,
    accepts::CASES,
    refusals::CASES,
    cancels::CASES,
];
const ALONE: [&[Case<Stage>]; 5] =
    [statuses::FIRST, statuses::CASES, roots::CASES, cancels::LATER, contradictions::CASES];
const AT_ONCE: usize = 6;

/// Two frames are sealed and told, then comes what must not be believed: the caller leaves the connection
/// and tells nothing of it. It comes again, and is told the rest.
fn dropped(stage: &Stage, bad: impl FnOnce(&mut Run<'_>, &mut Open) -> Result<()>) -> Result<()> {
    let mut run = stage.start()?;
    let mut open = run.begin()?;
    open.write(run.batch(1, 2)?)?;
    run.must_be_told(2)?;
    bad(&mut run, &mut open)?;
    open.must_be_left()?;
    run.must_be_told(2)?;
    run.serve()
}

/// As [`dropped`], where the bad thing is bytes made of the honest next event.
fn bent(stage: &Stage, bend: impl FnOnce(String) -> Vec<u8>) -> Result<()> {
    dropped(stage, |run, open| open.write(bend(run.batch(3, 3)?)))
}
