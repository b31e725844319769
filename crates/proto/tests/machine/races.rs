//! A cancel, the deadline and the gateway's own end, in every order: one terminal, and it is the right one.

use landbridge_proto::machine::contract::{RunPhase, RunRow, Write};
use landbridge_proto::machine::executor::{Executor, Handled, Input};
use landbridge_proto::machine::report::{Report, StopReason, Trouble, TroubleCode};
use landbridge_proto::wire::stream::{Ending, Frame, Outcome, SideEffects, Terminal};

use crate::gateway::NOW;
use crate::step::committed;
use crate::tables::run_row;

/// What may happen to a run that goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Happens {
    /// A cancel is committed.
    C,
    /// The deadline passes.
    D,
    /// The gateway ends the run.
    E(Ending),
    /// The grace after the deadline passes.
    G,
    /// The executor is killed, and its successor claims the run.
    K,
}
use Happens::{C, D, E, G, K};

fn input(happens: Happens, epoch: u64) -> Input {
    let trouble = Trouble { code: TroubleCode::ModelError, detail: "overloaded".to_owned() };
    match happens {
        C => Input::Stop(StopReason::Cancel),
        D => Input::Stop(StopReason::Deadline),
        G => Input::GraceOver,
        K => Input::Claim { epoch },
        E(ending) => Input::Reports(vec![Report::Settled {
            ending,
            result: None,
            trouble: (ending == Ending::Failed).then_some(trouble),
            usage: None,
            side_effects: SideEffects::Possible,
        }]),
    }
}

/// What a row of the store becomes when things happen to it, and whether the cancel came too late.
struct Told {
    terminals: Vec<Terminal>,
    already: Option<bool>,
    row: RunRow,
}

fn told(order: &[Happens]) -> Told {
    let mut row = run_row(RunPhase::Running, None);
    let mut told = Told { terminals: Vec::new(), already: None, row: row.clone() };
    for (at, happens) in order.iter().enumerate() {
        if *happens == C {
            //= REQ-70
            told.already = Some(row.phase == RunPhase::Settled);
        }
        let epoch = row.epoch + 1;
        let now = NOW.plus_ms(i64::try_from(at).unwrap());
        let Handled::Step(step) =
            Executor::read(row.clone()).unwrap().handle(now, input(*happens, epoch))
        else {
            continue;
        };
        let ((next, _), writes) = committed(step);
        let lines = writes.iter().filter_map(|write| match write {
            Write::AppendFrames { lines, .. } => Some(lines),
            _ => None,
        });
        let frames = lines.flatten().filter_map(|line| Frame::parse(line).unwrap().terminal());
        told.terminals.extend(frames);
        row = next.row().clone();
    }
    told.row = row;
    told
}

fn orders(of: &[Happens]) -> Vec<Vec<Happens>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in of.iter().enumerate() {
        let rest = [&of[..at], &of[at + 1..]].concat();
        all.extend(orders(&rest).into_iter().map(|order| [&[*first][..], &order].concat()));
    }
    all
}

/// The outcome that the specification's table gives.
fn outcome(order: &[Happens], ending: Ending) -> Outcome {
    let place = |what: Happens| order.iter().position(|one| *one == what);
    let end = place(E(ending)).unwrap();
    let reasons = [C, D].into_iter().filter(|reason| place(*reason).is_some_and(|at| at < end));
    let first = reasons.min_by_key(|reason| place(*reason));
    match (ending, first) {
        (Ending::Succeeded, _) => Outcome::Succeeded,
        (_, Some(C)) => Outcome::Cancelled,
        (_, Some(_)) => Outcome::Expired,
        (Ending::Failed, None) => Outcome::Failed,
        (Ending::Cancelled, None) => Outcome::Cancelled,
        (Ending::Expired, None) => Outcome::Expired,
    }
}

//= REQ-70
//= REQ-71
//= STR-26
#[test]
fn every_order_of_cancel_deadline_and_end_gives_the_one_terminal_of_the_table() {
    let mut count = 0;
    for ending in [Ending::Succeeded, Ending::Failed, Ending::Cancelled, Ending::Expired] {
        // Twice the cancel and a kill in between change nothing.
        for what in
            [&[C, D, E(ending)][..], &[C, E(ending)], &[D, E(ending)], &[C, D, E(ending), K]]
        {
            for order in orders(what) {
                let told = told(&order);
                let [terminal] = &told.terminals[..] else { panic!("{order:?}: one terminal") };
                assert_eq!(terminal.outcome, outcome(&order, ending), "{order:?}");
                let place = |what| order.iter().position(|one| *one == what);
                let late = place(C).map(|at| place(E(ending)).unwrap() < at);
                assert_eq!(told.already, late, "{order:?}");
                assert_eq!(told.row.outcome.as_deref(), Some(terminal.outcome.as_str()));
                count += 1;
            }
        }
    }
    println!("{count} orders");
}

//= REQ-71
#[test]
fn the_first_reason_stays_however_often_others_follow() {
    for order in [[C, D, C, D], [D, C, D, C], [C, C, K, D], [D, K, C, K]] {
        let reason = told(&order).row.stop.unwrap().reason;
        let wanted = if order[0] == C { StopReason::Cancel } else { StopReason::Deadline };
        assert_eq!(reason, wanted, "{order:?}");
    }
}

//= REQ-72
#[test]
fn a_run_that_its_gateway_never_ends_is_expired_with_unknown_effects() {
    for order in orders(&[C, D, K]) {
        for late in [C, D, E(Ending::Succeeded), E(Ending::Cancelled), G] {
            let told = told(&[&order[..], &[G, late]].concat());
            let [terminal] = &told.terminals[..] else { panic!("{order:?}: one terminal") };
            let end = (terminal.outcome, terminal.side_effects);
            assert_eq!(end, (Outcome::Expired, SideEffects::Unknown), "{order:?}");
        }
    }
}
