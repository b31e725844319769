//! Every input in every state: a changed transition is a changed line of a snapshot.

use std::fmt::Write as _;

use landbridge_proto::machine::budget::{Budget, Spent};
use landbridge_proto::machine::caller::{self, Caller, ForeignAccept};
use landbridge_proto::machine::chain::Chain;
use landbridge_proto::machine::contract::{EntryPhase, EntryRow, RunPhase, RunRow, StopRow, Write};
use landbridge_proto::machine::executor::{self, Executor, Terms};
use landbridge_proto::machine::receive::{Reception, SealedBatch};
use landbridge_proto::machine::report::{Report, StopReason, Trouble, TroubleCode, Usage};
use landbridge_proto::trust::signer::sign_typed;
use landbridge_proto::trust::verified::Verified;
use landbridge_proto::wire::document::{Disclose, Disclosure};
use landbridge_proto::wire::kind::{Kind, Role};
use landbridge_proto::wire::name::{AgentName, Alias, RunId};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{Answer, CancelResult, Findings};
use landbridge_proto::wire::stream::{
    Accept, By, Channel, Ending, Frame, One, Outcome, SideEffects,
};

use crate::gateway::NOW;
use crate::run::{Run, run_id, start, tenants, text};
use crate::step::committed;

fn kinds(writes: &[Write]) -> String {
    let kind = |write: &Write| match write {
        Write::AppendFrames { first, lines, .. } => format!("AppendFrames {first}+{}", lines.len()),
        Write::AppendReceived { first, lines, .. } => {
            format!("AppendReceived {first}+{}", lines.len())
        }
        Write::Audit(event) => format!("Audit {}", event.deed),
        Write::BookUsage { day, spent, .. } => {
            format!("BookUsage {}+{}+{}", day.0, spent.tokens, spent.cost_micro_usd)
        }
        Write::PutRun(_) => "PutRun".to_owned(),
        Write::PutEntry(_) => "PutEntry".to_owned(),
        other => format!("{other:?}"),
    };
    writes.iter().map(kind).collect::<Vec<_>>().join(", ")
}

/// The last frame that a step appended, where it is a terminal: how, and what may have happened.
fn ending(writes: &[Write]) -> String {
    let lines = writes.iter().find_map(|write| match write {
        Write::AppendFrames { lines, .. } | Write::AppendReceived { lines, .. } => lines.last(),
        _ => None,
    });
    let terminal = lines.and_then(|line| Frame::parse(line).unwrap().terminal());
    terminal.map_or(String::new(), |terminal| {
        // Every end that is no success says why.
        assert_eq!(terminal.problem.is_some(), terminal.outcome != Outcome::Succeeded);
        let code = terminal.problem.map_or("-".to_owned(), |p| p.code_text().to_owned());
        let (outcome, by) = (terminal.outcome, terminal.by);
        format!(" {outcome:?} by {by:?}, {code}, effects {:?}", terminal.side_effects)
    })
}

pub(crate) fn run_row(phase: RunPhase, stop: Option<StopReason>) -> RunRow {
    let terms = Terms {
        agent: AgentName::new("triage").unwrap(),
        approval: None,
        disclose: Disclose {
            output: Disclosure::Full,
            tool_args: Disclosure::Full,
            tool_results: Disclosure::Full,
        },
        frames_max: 10,
        bytes_max: 10_000,
        principal: "ci".to_owned(),
        remote_run_id: None,
        day_budget: Budget { tokens: Some(100), cost_micro_usd: Some(50) },
        run_budget: Budget { tokens: Some(40), cost_micro_usd: None },
    };
    let row = Run::new().row;
    RunRow {
        head: Chain::start(row.accept_digest).head(),
        seq: 0,
        bytes: 0,
        phase,
        intent: (phase != RunPhase::AwaitIntent).then(|| "intent".to_owned()),
        stop: stop.map(|reason| StopRow { reason, at: NOW }),
        outcome: None,
        ended: None,
        terms: serde_json::to_string(&terms).unwrap(),
        ..row
    }
}

fn output(text: &str) -> Report {
    Report::Output { channel: Channel::Answer, text: text.to_owned(), replace: false }
}

fn settled(ending: Ending) -> Report {
    settled_by(ending, TroubleCode::ModelError)
}

fn settled_by(ending: Ending, code: TroubleCode) -> Report {
    let trouble = Trouble { code, detail: "overloaded".to_owned() };
    Report::Settled {
        ending,
        result: None,
        trouble: (ending == Ending::Failed).then_some(trouble),
        usage: None,
        side_effects: SideEffects::Possible,
    }
}

fn usage(total: u64) -> Report {
    Report::Usage(Usage { total, cost_micro_usd: Some(1), ..Usage::default() })
}

fn settled_with(total: u64) -> Report {
    let Report::Usage(usage) = usage(total) else { panic!("usage") };
    Report::Settled {
        ending: Ending::Succeeded,
        result: None,
        trouble: None,
        usage: Some(usage),
        side_effects: SideEffects::Possible,
    }
}

fn executor_inputs() -> Vec<(&'static str, executor::Input)> {
    use executor::Input::{
        Accounted, Ceased, Claim, GraceOver, Intended, NotIntended, Reports, Stop,
    };
    let trouble =
        Trouble { code: TroubleCode::GatewayUnavailable, detail: "no connection".to_owned() };
    vec![
        ("Claim", Claim { epoch: 2 }),
        ("Intended", Intended("intent".to_owned())),
        ("NotIntended", NotIntended(trouble)),
        ("Reports none", Reports(Vec::new())),
        ("Reports output", Reports(vec![output("a"), output("b")])),
        ("Reports succeeded", Reports(vec![output("a"), settled(Ending::Succeeded), output("b")])),
        ("Reports failed", Reports(vec![settled(Ending::Failed)])),
        ("Reports tool failed", Reports(vec![settled_by(Ending::Failed, TroubleCode::ToolError)])),
        ("Reports cancelled", Reports(vec![settled(Ending::Cancelled)])),
        ("Reports expired", Reports(vec![settled(Ending::Expired)])),
        ("Reports too many", Reports(vec![output("a"); 12])),
        ("Reports usage", Reports(vec![usage(30), usage(20)])),
        ("Reports usage and an end", Reports(vec![usage(30), settled_with(40)])),
        ("Reports usage and too many", Reports([vec![usage(9)], vec![output("a"); 12]].concat())),
        ("Accounted none", Accounted(Spent::default())),
        ("Accounted all", Accounted(Spent { tokens: 100, cost_micro_usd: 0 })),
        ("Accounted more", Accounted(Spent { tokens: 0, cost_micro_usd: 51 })),
        ("Stop cancel", Stop(StopReason::Cancel)),
        ("Stop deadline", Stop(StopReason::Deadline)),
        ("Stop budget", Stop(StopReason::Budget)),
        ("GraceOver", GraceOver),
        ("Ceased", Ceased),
    ]
}

//= REQ-26
//= REQ-33
//= STR-4
//= STR-26
//= STR-27
//= STR-33
//= REQ-44
//= REQ-74
#[test]
fn executor_table() {
    let mut table = String::new();
    for (state, phase, stop) in [
        ("AwaitIntent", RunPhase::AwaitIntent, None),
        ("Running", RunPhase::Running, None),
        ("Running, stopping", RunPhase::Running, Some(StopReason::Cancel)),
        ("Settled", RunPhase::Settled, None),
        ("Settled, lingering", RunPhase::Settled, Some(StopReason::Budget)),
    ] {
        for (name, input) in executor_inputs() {
            let lingers = state == "Settled, lingering";
            let row = RunRow { lingers, ..run_row(phase, stop) };
            let before = Executor::read(row).unwrap();
            let row = match before.clone().handle(NOW, input) {
                executor::Handled::Ignored(after) => {
                    assert_eq!(after, before);
                    "ignored".to_owned()
                }
                executor::Handled::Step(step) => {
                    let ((after, actions), writes) = committed(step);
                    assert_eq!(after.row().revision, before.row().revision + 1);
                    let (phase, end) = (after.row().phase, ending(&writes));
                    let lingers = if after.row().lingers { " lingers" } else { "" };
                    format!("{phase:?}{end}{lingers} | {actions:?} | {}", kinds(&writes))
                }
            };
            writeln!(table, "{state} | {name} | {row}").unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

fn entry(run: &Run, phase: EntryPhase, frames: usize) -> EntryRow {
    let accepted = phase != EntryPhase::AwaitAccept;
    let chain = Chain::start(run.accept.digest()).extend(&run.lines[..frames]);
    EntryRow {
        run: RunId::new("run-zzzzzzzzzzzzzzzzzzzzzzzzzz").unwrap(),
        gateway: Alias::new("eu").unwrap(),
        peer: run.executor.id(),
        tenant: tenants(),
        key: start().idempotency_key,
        print: run.accept.value().print,
        body: "{}".to_owned(),
        traceparent: None,
        agent: AgentName::new("triage").unwrap(),
        token: None,
        labels: [].into(),
        created: NOW,
        deadline: NOW.plus_ms(600_000),
        phase,
        revision: 3,
        request: accepted.then(|| text(&run.request)),
        accept: accepted.then(|| text(run.accept.envelope())),
        remote: accepted.then(run_id),
        seq: frames as u64,
        head: accepted.then(|| chain.head()),
        cancel: None,
        cancel_answer: None,
        session: None,
        outcome: None,
        receipt: None,
        ended: None,
    }
}

/// The batches of a run, as a caller took them.
fn batches(run: &Run) -> Vec<SealedBatch> {
    let peer = run.executor.view();
    let mut reception = Reception::start(&run.accept);
    let take = |(at, (_, seal)): (usize, &(u64, _))| {
        reception.take(&peer, run.batch(at).to_vec(), seal, NOW).unwrap()
    };
    run.seals.iter().enumerate().map(take).collect()
}

fn answer(run: &Run, cancel: Option<CancelResult>) -> Verified<Answer> {
    let answer = Answer {
        aud: run.caller.id(),
        iss: run.executor.id(),
        request: run.request.digest(),
        result: Findings { cancel, ..Findings::default() },
        root_version: 1,
        t: NOW,
        v: One,
    };
    let envelope = sign_typed(&run.executor.signer(Role::Stream), &answer).unwrap();
    run.executor.view().verify(&envelope, NOW).unwrap()
}

fn caller_inputs(run: &Run, caller: &Caller) -> Vec<(&'static str, caller::Input)> {
    use caller::Input::{Accepted, Cancel, CancelAnswered, OwnEnd, Received};
    let batches = batches(run);
    let lost = Caller::lost("the deadline and its grace have passed");
    let end = caller.own_end(NOW, &run.caller.id(), 1, Outcome::Lost, lost).unwrap();
    vec![
        ("Accepted", Accepted { accept: run.accept.clone(), request: text(&run.request) }),
        ("Received known", Received(batches[0].clone())),
        ("Received next", Received(batches[1].clone())),
        ("Received beyond", Received(batches[2].clone())),
        ("Cancel", Cancel),
        ("CancelAnswered requested", CancelAnswered(answer(run, Some(CancelResult::Requested)))),
        ("CancelAnswered other", CancelAnswered(answer(run, None))),
        ("OwnEnd", OwnEnd { end, receipt: "receipt".to_owned() }),
    ]
}

//= STR-12
//= STR-14
//= STR-29
//= STR-30
#[test]
fn caller_table() {
    let run = Run::new();
    let mut table = String::new();
    let streaming = entry(&run, EntryPhase::Streaming, 1);
    for (state, row) in [
        ("AwaitAccept", entry(&run, EntryPhase::AwaitAccept, 0)),
        ("Streaming", streaming.clone()),
        ("Streaming, cancelled", EntryRow { cancel: Some(NOW), ..streaming.clone() }),
        ("Streaming, all but the last", entry(&run, EntryPhase::Streaming, 39)),
        ("Settled", EntryRow { phase: EntryPhase::Settled, ..streaming }),
    ] {
        let before = Caller::read(row);
        let mut inputs = caller_inputs(&run, &before);
        inputs.push(("Received terminal", caller::Input::Received(batches(&run).pop().unwrap())));
        for (name, input) in inputs {
            let row = match before.clone().handle(NOW, input) {
                caller::Handled::Ignored(after) => {
                    assert_eq!(after, before);
                    "ignored".to_owned()
                }
                caller::Handled::Step(step) => {
                    let ((after, actions), writes) = committed(step);
                    assert_eq!(after.entry().revision, before.entry().revision + 1);
                    let (phase, seq) = (after.entry().phase, after.entry().seq);
                    let end = ending(&writes);
                    format!("{phase:?}{end} at {seq} | {actions:?} | {}", kinds(&writes))
                }
            };
            writeln!(table, "{state} | {name} | {row}").unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

//= STR-14
#[test]
fn frames_that_come_again_are_not_kept_again() {
    let run = Run::new();
    let batch = batches(&run).swap_remove(1);
    // Frames 2 to 8 arrive where 1 to 3 are known.
    let caller = Caller::read(entry(&run, EntryPhase::Streaming, 3));
    let caller::Handled::Step(step) = caller.handle(NOW, caller::Input::Received(batch)) else {
        panic!("there is something new")
    };
    let ((after, _), writes) = committed(step);
    let Write::AppendReceived { first, lines, .. } = &writes[0] else { panic!("frames") };
    assert_eq!((*first, &lines[..]), (4, &run.lines[3..8]));
    assert_eq!(after.entry().seq, 8);
}

/// A wrong member of an accept, and how it becomes wrong.
type Wrong<'a> = (&'static str, &'a dyn Fn(&mut Accept));

//= STR-29
//= STR-38
#[test]
fn the_callers_own_end_says_what_came_before_it() {
    let run = Run::new();
    let (own, now) = (run.caller.id(), NOW.plus_ms(5));
    let streaming = Caller::read(entry(&run, EntryPhase::Streaming, 8));
    let end = streaming.own_end(now, &own, 1, Outcome::Lost, Caller::lost("silence")).unwrap();
    let terminal = Frame::parse(&end.line).unwrap().terminal().unwrap();
    assert_eq!((terminal.by, terminal.side_effects), (By::Caller, SideEffects::Unknown));
    let receipt = &end.receipt;
    assert_eq!((receipt.seq, receipt.head), (8, streaming.entry().head));
    assert_eq!(receipt.accept, Some(run.accept.digest()));
    assert_eq!(receipt.lost.as_ref().unwrap().code, "run_lost");

    let awaiting = Caller::read(entry(&run, EntryPhase::AwaitAccept, 0));
    let verdict = Problem::new(Code::NotGranted);
    let end = awaiting.own_end(now, &own, 1, Outcome::Rejected, verdict.clone()).unwrap();
    let terminal = Frame::parse(&end.line).unwrap().terminal().unwrap();
    assert_eq!((terminal.outcome, terminal.problem), (Outcome::Rejected, Some(verdict)));
    let receipt = &end.receipt;
    assert_eq!((receipt.seq, receipt.head, receipt.accept), (0, None, None));
    assert_eq!(receipt.lost.as_ref().unwrap().code, "not_granted");
}

//= REQ-30
//= STR-24
#[test]
fn an_accept_that_is_not_the_invocations_is_refused() {
    let run = Run::new();
    let own = run.caller.id();
    let awaiting = Caller::read(entry(&run, EntryPhase::AwaitAccept, 0));
    assert_eq!(awaiting.check_accept(&run.accept, &own), Ok(()));
    let changed = |change: &dyn Fn(&mut Accept)| -> Verified<Accept> {
        let mut said = run.accept.value().clone();
        change(&mut said);
        let envelope = run.executor.sign(Kind::Accept, Role::Stream, &said);
        run.executor.view().verify(&envelope, NOW).unwrap()
    };
    let changes: [Wrong<'_>; 6] = [
        ("iss", &|said| said.iss = said.aud.clone()),
        ("aud", &|said| said.aud = said.iss.clone()),
        ("tenant", &|said| std::mem::swap(&mut said.tenant.dst, &mut said.tenant.src)),
        ("key", &|said| said.key = "another-key-of-the-caller".parse().unwrap()),
        ("print", &|said| said.print = run.request.digest()),
        ("proto", &|said| said.proto = 2),
    ];
    for (member, change) in changes {
        let refused = awaiting.check_accept(&changed(change), &own);
        assert_eq!(refused, Err(ForeignAccept::Member(member)));
    }
    // The same again is the same; another one for the same key is equivocation.
    let streaming = Caller::read(entry(&run, EntryPhase::Streaming, 1));
    assert_eq!(streaming.check_accept(&run.accept, &own), Ok(()));
    let second = changed(&|said| said.deadline = said.deadline.plus_ms(1));
    assert_eq!(streaming.check_accept(&second, &own), Err(ForeignAccept::SecondAccept));
}
