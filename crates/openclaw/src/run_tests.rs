//! The machine on transcripts made by hand.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::transcript::Tasks;
use landbridge_proto::wire::limit::OUTPUT_TEXT_BYTES_MAX;

const KEY: &str = "fed-key";

fn row(id: &str, run: &str, content: Content) -> Row {
    Row {
        id: id.to_owned(),
        run: run.to_owned(),
        began: Timestamp(1),
        ended: Timestamp(2),
        content,
    }
}

fn prompt(id: &str, key: &str) -> Row {
    row(id, "", Content::Prompt { key: key.to_owned() })
}

fn said(id: &str, run: &str, answer: &str, calls: &[&str]) -> Row {
    let call =
        |id: &&str| Call { id: (*id).to_owned(), tool: "exec".to_owned(), args: "{}".to_owned() };
    let usage = Usage { input: 10, output: 1, total: 11, ..Usage::default() };
    let calls = calls.iter().map(call).collect();
    row(
        id,
        run,
        Content::Said(Said {
            answer: answer.to_owned(),
            calls,
            usage: Some(usage),
            ..Said::default()
        }),
    )
}

fn result(id: &str, run: &str, call: &str) -> Row {
    let (call, tool, text) = (call.to_owned(), "exec".to_owned(), "out".to_owned());
    row(id, run, Content::Result { call, tool, ok: true, text })
}

fn run() -> Run {
    Run::new(KEY.to_owned(), Progress::default())
}

fn quiet(status: &str, last_run: &str) -> Look {
    Look {
        status: status.to_owned(),
        last_run: last_run.to_owned(),
        tasks: Some(Tasks::default()),
        ..Look::default()
    }
}

/// Short words for reports.
fn words(run: &mut Run) -> Vec<String> {
    let word = |report: Report| match report {
        Report::Started { .. } => "started".to_owned(),
        Report::Output { text, replace, .. } => {
            format!("{}{text}", if replace { "=" } else { "+" })
        }
        Report::Usage(usage) => format!("usage {}", usage.total),
        Report::ToolCall { call, .. } => format!("call {call}"),
        Report::ToolResult { call, ok, .. } => format!("result {call} {ok}"),
        Report::PhaseEnd { phase, .. } => format!("phase {phase}"),
        Report::Error(trouble) => format!("error {:?}", trouble.code),
        Report::ApprovalNeeded(_)
        | Report::ApprovalRequested(_)
        | Report::ApprovalDecided(_)
        | Report::ApprovalResolved(_) => unreachable!("nobody asks here"),
        Report::Settled { ending, result, .. } => format!("settled {ending:?} {result:?}"),
    };
    run.reports().into_iter().map(word).collect()
}

#[test]
fn rows_before_the_prompt_are_another_runs() {
    let mut run = run();
    run.on_rows(vec![
        prompt("1", "fed-before"),
        said("2", "fed-before", "old", &["c"]),
        prompt("3", KEY),
    ]);
    assert!(words(&mut run).is_empty());
    run.on_rows(vec![said("4", KEY, "new", &[])]);
    assert_eq!(words(&mut run), ["phase model", "+new", "usage 11"]);
}

#[test]
fn a_row_that_is_seen_twice_is_told_once() {
    let mut run = run();
    let rows = vec![prompt("1", KEY), said("2", KEY, "", &["c"]), result("3", KEY, "c")];
    run.on_rows(rows.clone());
    assert_eq!(
        words(&mut run),
        ["phase model", "call c", "result c true", "phase tool:exec", "usage 11"]
    );
    run.on_rows(rows);
    assert!(words(&mut run).is_empty());
}

#[test]
fn a_call_id_that_comes_again_gets_a_name_of_its_own() {
    let mut run = run();
    run.on_rows(vec![
        prompt("1", KEY),
        said("2", KEY, "", &["c"]),
        result("3", KEY, "c"),
        said("4", KEY, "", &["c"]),
        result("5", KEY, "c"),
    ]);
    let words = words(&mut run);
    assert!(
        words.contains(&"call c#2".to_owned()) && words.contains(&"result c#2 true".to_owned()),
        "{words:?}"
    );
}

#[test]
fn a_result_without_a_call_brings_its_call() {
    let mut run = run();
    run.on_call(KEY, "c", "{\"a\":1}".to_owned());
    run.on_rows(vec![prompt("1", KEY), result("2", KEY, "c")]);
    let reports = run.reports();
    assert!(matches!(&reports[0], Report::ToolCall { args, .. } if args == "{\"a\":1}"));
    assert!(matches!(&reports[1], Report::ToolResult { .. }));
}

#[test]
fn a_continuation_closes_what_was_open_and_says_so() {
    let mut run = run();
    run.on_rows(vec![prompt("1", KEY), said("2", KEY, "", &["c"])]);
    words(&mut run);
    run.on_rows(vec![
        prompt("3", "other-run"),
        said("4", "other-run", "", &["c"]),
        result("5", "other-run", "c"),
    ]);
    assert_eq!(
        words(&mut run),
        [
            "result c false",
            "phase tool:exec",
            "phase attempt",
            "error Interrupted",
            "phase model",
            "call c#2",
            "result c#2 true",
            "phase tool:exec",
            "usage 22",
        ]
    );
    assert_eq!(run.runs(), [KEY, "other-run"]);
}

#[test]
fn an_announcement_is_no_interruption() {
    let mut run = run();
    run.on_rows(vec![
        prompt("1", KEY),
        prompt("2", "announce:v1:child:1"),
        said("3", "announce:v1:child:1", "x", &[]),
    ]);
    assert_eq!(words(&mut run), ["phase model", "+x", "usage 11"]);
}

#[test]
fn another_process_tells_only_what_was_not_told() {
    let rows = || {
        vec![
            prompt("1", KEY),
            said("2", KEY, "let me see", &["c"]),
            result("3", KEY, "c"),
            prompt("4", "other-run"),
            said("5", "other-run", "the answer", &[]),
        ]
    };
    let mut first = run();
    first.on_rows(rows());
    let whole = first.reports();
    // Whatever the first process managed to tell, both together tell everything once.
    for told in 0..=whole.len() {
        let mut progress = Progress { started: true, ..Progress::default() };
        let mut log = Vec::new();
        let mut tell = |report: &Report| {
            match report {
                Report::Output { text, replace, .. } => {
                    if *replace {
                        progress.answer.clear();
                    }
                    progress.answer.push_str(text);
                }
                Report::ToolCall { call, .. } => assert!(progress.calls.insert(call.clone())),
                Report::ToolResult { call, .. } => assert!(progress.results.insert(call.clone())),
                Report::PhaseEnd { phase, .. } => progress.phases.push(phase.clone()),
                Report::Usage(usage) => progress.usage = Some(usage.clone()),
                Report::Error(_) => progress.errors += 1,
                _ => {}
            }
            log.push(format!("{report:?}"));
        };
        whole[..told].iter().for_each(&mut tell);
        let before = progress.clone();
        let mut second = Run::new(KEY.to_owned(), before);
        second.on_rows(rows());
        let later = second.reports();
        log.extend(later.iter().map(|report| format!("{report:?}")));
        log.sort();
        let mut expected: Vec<String> = whole.iter().map(|report| format!("{report:?}")).collect();
        expected.sort();
        assert_eq!(log, expected, "after {told} reports");
    }
}

#[test]
fn text_from_events_grows_starts_over_and_never_goes_back() {
    let mut run = run();
    run.on_text(KEY, "too early");
    run.on_rows(vec![prompt("1", KEY)]);
    run.on_text("a-stranger", "not ours");
    run.on_text(KEY, "Let");
    run.on_text(KEY, "Let me");
    run.on_text(KEY, "Let");
    run.on_text(KEY, "No");
    run.on_rows(vec![said("2", KEY, "No, I", &[])]);
    run.on_text(KEY, "No,");
    assert_eq!(words(&mut run), ["+Let", "+ me", "=No", "phase model", "+, I", "usage 11"]);
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let mut run = run();
    let long = "ä".repeat(OUTPUT_TEXT_BYTES_MAX);
    run.on_rows(vec![prompt("1", KEY), said("2", KEY, &long, &[])]);
    let mut whole = String::new();
    for report in run.reports() {
        if let Report::Output { text, replace, .. } = report {
            assert!(text.len() <= OUTPUT_TEXT_BYTES_MAX && !replace);
            whole.push_str(&text);
        }
    }
    assert_eq!(whole, long);
}

//= REQ-54
#[test]
fn what_works_is_not_over() {
    let mut run = run();
    let now = Timestamp(0);
    let mut look = quiet("done", KEY);
    look.active = true;
    assert_eq!(run.on_look(look, now, false), Rest::Busy);
    let mut look = quiet("done", KEY);
    look.children_active = true;
    assert_eq!(run.on_look(look, now, false), Rest::Busy);
    let mut look = quiet("done", KEY);
    look.tasks = Some(Tasks { open: true, ..Tasks::default() });
    assert_eq!(run.on_look(look, now, false), Rest::Busy);
    // The session's last run is another one: ours has not begun.
    assert_eq!(run.on_look(quiet("done", "fed-before"), now, false), Rest::Unclear);
}

#[test]
fn the_sessions_state_decides_how_it_ended() {
    let mut run = run();
    for (status, ending) in [
        ("done", Ending::Succeeded),
        ("failed", Ending::Failed),
        ("killed", Ending::Cancelled),
        ("timeout", Ending::Expired),
    ] {
        let Rest::Over(verdict) = run.on_look(quiet(status, KEY), Timestamp(0), false) else {
            panic!("{status}")
        };
        assert_eq!(verdict.ending, ending);
        assert_eq!(verdict.side_effects, SideEffects::Possible);
    }
}

#[test]
fn after_a_restart_the_gateway_has_its_time_and_then_the_end_is_honest() {
    let mut run = run();
    run.on_rows(vec![prompt("1", KEY), said("2", KEY, "", &["c"])]);
    words(&mut run);
    run.on_restart(Timestamp(1000));
    let look = || quiet("running", "");
    assert_eq!(run.on_look(look(), Timestamp(1000 + RESUME_MS_MAX - 1), false), Rest::Unclear);
    let Rest::Over(verdict) = run.on_look(look(), Timestamp(1000 + RESUME_MS_MAX), false) else {
        panic!("over")
    };
    assert_eq!(verdict.side_effects, SideEffects::Unknown);
    run.settle(verdict, Timestamp(2));
    assert_eq!(words(&mut run), ["result c false", "phase tool:exec", "settled Failed None"]);
}

#[test]
fn what_hidden_rows_cost_is_counted_once_whatever_comes_first() {
    let whole = Usage { input: 30, output: 3, total: 33, ..Usage::default() };
    for final_first in [true, false] {
        let mut run = run();
        if final_first {
            run.on_final_usage(whole.clone());
        }
        run.on_rows(vec![prompt("1", KEY), said("2", KEY, "a", &[]), said("3", KEY, "b", &[])]);
        if !final_first {
            run.on_final_usage(whole.clone());
        }
        assert_eq!(run.total_usage().unwrap().total, 33);
    }
}

#[test]
fn a_failed_run_has_no_result() {
    let mut run = run();
    let failed = Said { answer: "the gateway's words".to_owned(), failed: true, ..Said::default() };
    run.on_rows(vec![prompt("1", KEY), row("2", KEY, Content::Said(failed))]);
    let Rest::Over(verdict) = run.on_look(quiet("failed", KEY), Timestamp(0), false) else {
        panic!("over")
    };
    run.settle(verdict, Timestamp(2));
    assert_eq!(words(&mut run), ["phase model", "settled Failed None"]);
    assert!(run.is_settled());
}

#[test]
fn a_reduced_log_is_replaced_not_continued() {
    let answer = "the an".to_owned();
    let progress = Progress { started: true, answer, reduced: true, ..Progress::default() };
    let mut run = Run::new(KEY.to_owned(), progress);
    run.on_rows(vec![prompt("1", KEY), said("2", KEY, "the answer", &[])]);
    assert_eq!(words(&mut run), ["phase model", "=the answer", "usage 11"]);
}

/// A gateway that restarted may show a prompt as waiting for its turn, or its task as open, for ever.
#[test]
fn a_prompt_that_waits_for_ever_after_a_restart_ends_honestly() {
    let waits = || Look { waiting: true, ..quiet("", "") };
    let open = || Look { tasks: Some(Tasks { open: true, ..Tasks::default() }), ..quiet("", "") };
    for look in [waits as fn() -> Look, open] {
        let mut run = run();
        let restarted = Timestamp(1000);
        // Without a restart there is a queue, and the prompt's turn comes.
        assert_eq!(run.on_look(look(), restarted.plus_ms(10 * RESUME_MS_MAX), false), Rest::Busy);
        run.on_restart(restarted);
        let just_before = restarted.plus_ms(RESUME_MS_MAX - 1);
        assert_eq!(run.on_look(look(), just_before, false), Rest::Busy);
        let Rest::Over(verdict) = run.on_look(look(), restarted.plus_ms(RESUME_MS_MAX), false)
        else {
            panic!("over")
        };
        assert_eq!(verdict.ending, Ending::Failed);
        assert_eq!(verdict.side_effects, SideEffects::Unknown);
        assert_eq!(verdict.trouble.unwrap().code, TroubleCode::Interrupted);
        // One that the session's state calls ours waits for more, however late it is.
        let ours = Look { last_run: KEY.to_owned(), status: "done".to_owned(), ..look() };
        assert_eq!(run.on_look(ours, restarted.plus_ms(RESUME_MS_MAX), false), Rest::Busy);
    }
}

//= REQ-51
#[test]
fn what_an_earlier_turn_does_is_not_this_ones() {
    let mut run = run();
    let earlier = || Look {
        active: true,
        active_runs: vec!["fed-before".to_owned()],
        in_flight: Some(("fed-before".to_owned(), "the earlier answer".to_owned())),
        rows: vec![prompt("1", "fed-before"), said("2", "fed-before", "earlier", &["c"])],
        ..quiet("running", "")
    };
    assert_eq!(run.on_look(earlier(), Timestamp(0), false), Rest::Busy);
    assert!(words(&mut run).is_empty());
    assert_eq!(run.runs(), [KEY]);
    // It ends, and that is not this run's end either.
    assert_eq!(run.on_look(quiet("done", "fed-before"), Timestamp(0), false), Rest::Unclear);
    assert_eq!(run.on_look(quiet("killed", "fed-before"), Timestamp(0), false), Rest::Unclear);
    let own =
        Look { rows: vec![prompt("3", KEY), said("4", KEY, "own", &[])], ..quiet("done", KEY) };
    assert!(matches!(run.on_look(own, Timestamp(0), false), Rest::Over(_)));
    assert_eq!(words(&mut run), ["phase model", "+own", "usage 11"]);
}

fn child(end: Option<Ending>) -> Child {
    Child {
        session: "agent:auto:subagent:0123456789".to_owned(),
        run: "kid".to_owned(),
        label: String::new(),
        began: Timestamp(1),
        end: end.map(|ending| (Timestamp(9), ending)),
    }
}

//= REQ-53
#[test]
fn a_childs_calls_cost_and_end_are_told_under_its_parent_once() {
    let rows = || {
        // It may begin with a copy of what its parent said.
        vec![
            said("c0", KEY, "the parent's words", &["x"]),
            prompt("c1", "kid"),
            said("c2", "kid", "let me", &["c"]),
            result("c3", "kid", "c"),
            said("c4", "kid", "the child's answer", &[]),
        ]
    };
    let mut run = run();
    run.on_rows(vec![prompt("1", KEY), said("2", KEY, "", &["c"]), result("3", KEY, "c")]);
    words(&mut run);
    run.on_child(&child(None), rows()[..3].to_vec());
    assert_eq!(words(&mut run), ["call 01234567:c", "usage 22"]);
    run.on_child(&child(Some(Ending::Failed)), rows());
    let told = ["result 01234567:c true", "phase tool:exec", "phase subagent", "usage 33"];
    assert_eq!(words(&mut run), told);
    run.on_child(&child(Some(Ending::Failed)), rows());
    assert!(words(&mut run).is_empty());
    // A later process that reads both in another order tells nothing again.
    let progress = Progress {
        started: true,
        calls: ["c", "01234567:c"].map(str::to_owned).into(),
        results: ["c", "01234567:c"].map(str::to_owned).into(),
        phases: ["model", "tool:exec", "tool:exec", "subagent"].map(str::to_owned).into(),
        ..Progress::default()
    };
    let mut later = Run::new(KEY.to_owned(), progress);
    later.on_child(&child(Some(Ending::Failed)), rows());
    later.on_rows(vec![prompt("1", KEY), said("2", KEY, "", &["c"]), result("3", KEY, "c")]);
    assert_eq!(words(&mut later), ["usage 22", "usage 33"]);
}

#[test]
fn a_call_for_which_nobody_could_be_asked_says_so_once() {
    let refused = |id: &str, text: &str| {
        let content = Content::Result {
            call: id.to_owned(),
            tool: "exec".to_owned(),
            ok: false,
            text: text.to_owned(),
        };
        row(&format!("r-{id}"), KEY, content)
    };
    let rows = || {
        vec![
            prompt("p", KEY),
            said("s", KEY, "", &["c1", "c2"]),
            refused("c1", "{\"error\": \"Plugin approval unavailable (no approval route)\"}"),
            refused("c2", "ls: no such file"),
        ]
    };
    let mut first = run();
    first.on_rows(rows());
    let told = words(&mut first);
    assert_eq!(told.iter().filter(|word| *word == "error NoApprovalRoute").count(), 1, "{told:?}");
    assert_eq!(first.name_of(KEY, "c1"), None);
    let mut progress = Progress { errors: 1, ..Progress::default() };
    progress.results.extend(["c1".to_owned(), "c2".to_owned()]);
    let mut second = Run::new(KEY.to_owned(), progress);
    second.on_rows(rows());
    assert!(words(&mut second).iter().all(|word| !word.starts_with("error")));
}

#[test]
fn a_call_at_work_has_the_name_that_was_reported() {
    let mut run = run();
    let again = |id: &str| said(id, KEY, "", &["c1"]);
    run.on_rows(vec![prompt("p", KEY), again("s1"), result("r1", KEY, "c1"), again("s2")]);
    assert_eq!(run.name_of(KEY, "c1"), Some("c1#2".to_owned()));
    assert_eq!((run.name_of("other", "c1"), run.name_of(KEY, "c9")), (None, None));
}
