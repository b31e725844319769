//! What a start's key means, in every state that a store can have it in.

use landbridge_proto::machine::admission::{Memory, StartDecision, judge_start, print_of};
use landbridge_proto::machine::contract::KeyRecord;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{Ask, Grant, Mode};
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{AgentName, SessionHandle, Timestamp, ToolName};
use landbridge_proto::wire::problem::Code;
use landbridge_proto::wire::request::{Start, ToolCall};
use landbridge_proto::wire::stream::SideEffects;
use landbridge_proto::wire::tool_args::ToolArgs;

use crate::gate::grant;
use crate::gateway::NOW;
use crate::run::{run_id, start};

const FIRST: Memory =
    Memory { key_window_ms: limit::KEY_WINDOW_MS, incarnation: 1, since: Timestamp(0) };

fn judge(
    start: &Start,
    record: Option<KeyRecord>,
    grant: Option<&Grant>,
    memory: Memory,
    now: Timestamp,
) -> Result<StartDecision, (Code, SideEffects)> {
    let (print, _) = print_of(start).unwrap();
    match judge_start(start, &print, record, grant, memory, now) {
        StartDecision::Refuse(problem) => Err((problem.code().unwrap(), problem.side_effects)),
        decision => Ok(decision),
    }
}

fn bound(print: Digest) -> Option<KeyRecord> {
    Some(KeyRecord::Run { run: run_id(), print })
}

//= REQ-19
#[test]
fn a_known_key_with_the_same_print_attaches_whatever_else_has_changed() {
    let print = print_of(&start()).unwrap().0;
    let attach = Ok(StartDecision::Attach(run_id()));
    let later = NOW.plus_ms(10 * limit::KEY_WINDOW_MS);
    let restored = Memory { incarnation: 2, since: later, ..FIRST };
    for (grant, memory, now) in
        [(Some(&grant()), FIRST, NOW), (None, FIRST, NOW), (None, restored, later)]
    {
        assert_eq!(judge(&start(), bound(print), grant, memory, now), attach);
    }
}

//= REQ-20
#[test]
fn a_known_key_with_another_print_is_a_conflict() {
    let other = Start { prompt: Some("Something else.".to_owned()), ..start() };
    let print = print_of(&start()).unwrap().0;
    assert_ne!(print, print_of(&other).unwrap().0);
    let refused = judge(&other, bound(print), Some(&grant()), FIRST, NOW);
    assert_eq!(refused, Err((Code::KeyConflict, SideEffects::None)));
    // Its positive twin: the body that the key is bound to.
    let same = judge(&start(), bound(print), Some(&grant()), FIRST, NOW);
    assert_eq!(same, Ok(StartDecision::Attach(run_id())));
}

//= REQ-32
#[test]
fn a_key_cancelled_before_its_start_is_refused() {
    let record = Some(KeyRecord::Blocked { at: NOW });
    let refused = judge(&start(), record, Some(&grant()), FIRST, NOW);
    assert_eq!(refused, Err((Code::CancelledBeforeStart, SideEffects::None)));
    // Its positive twin: a key that nobody cancelled.
    assert_eq!(judge(&start(), None, Some(&grant()), FIRST, NOW), Ok(StartDecision::Create));
}

//= REQ-21
#[test]
fn an_unknown_key_is_refused_where_it_may_have_been_forgotten() {
    let create = Ok(StartDecision::Create);
    let at = |memory, now| judge(&start(), None, Some(&grant()), memory, now);
    assert_eq!(at(FIRST, NOW), create);
    assert_eq!(at(FIRST, NOW.plus_ms(limit::KEY_WINDOW_MS)), create);
    let expired = Err((Code::KeyExpired, SideEffects::Unknown));
    assert_eq!(at(FIRST, NOW.plus_ms(limit::KEY_WINDOW_MS + 1)), expired);

    let second = |since| Memory { incarnation: 2, since, ..FIRST };
    assert_eq!(at(second(NOW), NOW), create);
    let lost = Err((Code::LostHistory, SideEffects::Unknown));
    assert_eq!(at(second(NOW.plus_ms(1)), NOW.plus_ms(1)), lost);
    // The first incarnation has nothing before it that could have been lost.
    assert_eq!(at(Memory { since: NOW.plus_ms(1), ..FIRST }, NOW.plus_ms(1)), create);
}

//= REQ-68
#[test]
fn a_start_that_was_invoked_later_than_now_waits_until_then() {
    let invoked = |ahead: i64| {
        let start = Start { invoked_at: NOW.plus_ms(ahead), ..start() };
        judge(&start, None, Some(&grant()), FIRST, NOW)
    };
    let skew = limit::CLOCK_SKEW_MS_MAX;
    assert_eq!(invoked(skew), Ok(StartDecision::Create));
    assert_eq!(invoked(skew + 1), Err((Code::ClockSkew, SideEffects::None)));
    // A date in the future would outlive the key, and the same body would be taken twice.
    assert_eq!(invoked(100 * limit::KEY_WINDOW_MS), Err((Code::ClockSkew, SideEffects::None)));
}

//= REQ-22
#[test]
fn a_new_start_needs_a_grant_for_all_that_it_asks() {
    let not = Err((Code::NotGranted, SideEffects::None));
    let judge = |start: &Start, grant: Option<&Grant>| judge(start, None, grant, FIRST, NOW);
    assert_eq!(judge(&start(), None), not);
    assert_eq!(judge(&start(), Some(&grant())), Ok(StartDecision::Create));

    let mut other = start();
    other.agent_target.agent = AgentName::new("Triage").unwrap();
    assert_eq!(judge(&other, Some(&grant())), not, "another agent");

    let mut turn = start();
    turn.agent_target.mode = Mode::Turn;
    turn.agent_target.session = Some(SessionHandle::new("s-1").unwrap());
    assert_eq!(judge(&turn, Some(&grant())), not, "another mode");
    let turns = Grant { modes: [Mode::Turn].into(), ..grant() };
    assert_eq!(judge(&turn, Some(&turns)), Ok(StartDecision::Create));

    let tool = ToolName::new("search").unwrap();
    let call = ToolCall { args: ToolArgs::new("{}").unwrap(), tool: tool.clone() };
    let call = Start { prompt: None, tool_call: Some(call), ..start() };
    assert_eq!(judge(&call, Some(&grant())), not, "another kind of work");
    let asks = [Ask::Prompt, Ask::ToolCall];
    let tools = |tool| Grant { asks: asks.into(), tools: [tool].into(), ..grant() };
    assert_eq!(judge(&call, Some(&tools(ToolName::new("shell").unwrap()))), not, "another tool");
    assert_eq!(judge(&call, Some(&tools(tool))), Ok(StartDecision::Create));
}
