#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use landbridge_proto::machine::chain::Chain;
use landbridge_proto::machine::framing::{Framing, Lines};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{Disclose, Disclosure};
use landbridge_proto::wire::name::{AgentName, GatewayId, TenantId, TenantPair};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;
use crate::adapter::{Hold, Mode, Usage};
use crate::clock::VirtualClock;
use crate::progress::progress_of;

const START: Timestamp = Timestamp(1_000_000);

/// Every directive that can stand before an end, with repetitions that look alike.
const EVERYTHING: &str = "think hmm\nsay Hello \nphase plan\nsleep 100\nerror one\nerror two\n\
    tool t {\"a\":1} => one\nusage 1 2\nusage 1 2\nslow 10 a b a\n\nerror three\nusage 3 4\n\
    usage 1 9\ncount 3 10\ntool-fail u [] => no\nphase act\nthink ok\nsay bye\nphase act\nerror four";

struct World {
    dir: TempDir,
    clock: VirtualClock,
}

impl World {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), clock: VirtualClock::new(START) }
    }

    /// The gateway as a new process finds it.
    fn gateway(&self) -> Arc<Scripted> {
        Arc::new(Scripted::open(self.dir.path(), Arc::new(self.clock.clone())).unwrap())
    }

    async fn start(&self, prompt: &str) -> mpsc::Receiver<Report> {
        start(&self.gateway(), &work(prompt)).await
    }

    async fn adopt(&self, prompt: &str, progress: Progress) -> mpsc::Receiver<Report> {
        let (gateway, work) = (self.gateway(), work(prompt));
        let (sender, receiver) = mpsc::channel(1_024);
        let intent = gateway.intend(&work).await.unwrap();
        tokio::spawn(async move { gateway.adopt(work, intent, progress, sender).await });
        receiver
    }

    /// Runs a script to its end.
    async fn run(&self, prompt: &str) -> Vec<Report> {
        let mut reports = self.start(prompt).await;
        let first = reports.recv().await.unwrap();
        self.clock.advance_ms(1_000_000);
        let mut all = vec![first];
        all.extend(rest(reports).await);
        all
    }

    fn executions(&self) -> usize {
        std::fs::read_to_string(self.dir.path().join("executions.log")).unwrap().lines().count()
    }
}

async fn start(gateway: &Arc<Scripted>, work: &Work) -> mpsc::Receiver<Report> {
    let (gateway, work) = (Arc::clone(gateway), work.clone());
    let (sender, receiver) = mpsc::channel(1_024);
    let intent = gateway.intend(&work).await.unwrap();
    tokio::spawn(async move { gateway.start(work, intent, sender, Hold::new().0).await });
    receiver
}

async fn rest(mut reports: mpsc::Receiver<Report>) -> Vec<Report> {
    let mut all = Vec::new();
    while let Some(report) = reports.recv().await {
        all.push(report);
    }
    all
}

/// What is reported without the clock being moved.
async fn ready(reports: &mut mpsc::Receiver<Report>) -> Vec<Report> {
    let mut all = Vec::new();
    for _ in 0..100 {
        tokio::task::yield_now().await;
        while let Ok(report) = reports.try_recv() {
            all.push(report);
        }
    }
    all
}

fn work(prompt: &str) -> Work {
    let tenant = TenantId::new("acme").unwrap();
    Work {
        run: RunId::new(format!("run-{}", "a".repeat(26))).unwrap(),
        caller: GatewayId::new(format!("gw1-{}", "a".repeat(52))).unwrap(),
        tenant: TenantPair { dst: tenant.clone(), src: tenant },
        agent: AgentName::new("demo").unwrap(),
        mode: Mode::Session,
        session: None,
        ask: Ask::Prompt(prompt.to_owned()),
        deadline: START.plus_ms(3_600_000),
    }
}

fn progress(reports: &[Report], disclosure: Disclosure) -> Progress {
    let disclose = Disclose { output: disclosure, tool_args: disclosure, tool_results: disclosure };
    let agent = AgentName::new("demo").unwrap();
    let framing = Framing { disclose: &disclose, agent: &agent, remote_run_id: None };
    let mut lines = Lines::after(Chain::start(Digest::of(b"", &[b"x"])));
    for event in reports.iter().cloned().flat_map(|report| framing.events(report)) {
        lines.push(&event).unwrap();
    }
    progress_of(lines.lines.iter().map(String::as_str))
}

fn says(text: &str) -> Report {
    Report::Output { channel: Channel::Answer, text: text.into(), replace: false }
}

fn usage(input: u64, output: u64) -> Usage {
    Usage { input, output, total: input + output, ..Usage::default() }
}

fn end(ending: Ending, result: Option<&str>, side_effects: SideEffects) -> Report {
    let result = result.map(str::to_owned);
    Report::Settled { ending, result, trouble: None, usage: None, side_effects }
}

#[tokio::test]
async fn a_prompt_without_directives_is_echoed() {
    let reports = World::new().run("hi\nthere").await;
    let session = format!("scripted-run-{}", "a".repeat(26)).parse().unwrap();
    let started = Report::Started { session, software: "scripted 1".into() };
    let settled = end(Ending::Succeeded, Some("hi\nthere\n"), SideEffects::None);
    assert_eq!(reports, [started, says("hi\n"), says("there\n"), settled]);
}

#[tokio::test]
async fn each_directive_reports_what_it_says() {
    let run = async |prompt| World::new().run(prompt).await.split_off(1);
    assert_eq!(run("say a b").await[..1], [says("a b")]);
    let thinks = Report::Output { channel: Channel::Thinking, text: "x".into(), replace: false };
    assert_eq!(run("think x").await[..1], [thinks]);
    assert_eq!(run("slow 5 a b").await[..2], [says("a "), says("b")]);
    assert_eq!(run("count 2 5").await[..2], [says("1 "), says("2 ")]);
    assert_eq!(run("count 0 5").await, [end(Ending::Succeeded, Some(""), SideEffects::None)]);
    let trouble = Trouble { code: TroubleCode::GatewayError, detail: "oops".into() };
    assert_eq!(run("error oops").await[..1], [Report::Error(trouble)]);
    let call = "call-1".to_owned();
    let called = Report::ToolCall { call: call.clone(), tool: "t".into(), args: "{}".into() };
    for (line, ok) in [("tool t {} => done", true), ("tool-fail t {} => done", false)] {
        let answered = Report::ToolResult { call: call.clone(), ok, text: "done".into() };
        let settled = end(Ending::Succeeded, Some(""), SideEffects::Possible);
        assert_eq!(run(line).await, [called.clone(), answered, settled]);
    }
    let reports = run("usage 1 2").await;
    assert_eq!(reports[0], Report::Usage(usage(1, 2)));
    assert!(
        matches!(&reports[1], Report::Settled { usage: Some(last), .. } if *last == usage(1, 2))
    );
    let (ending, phase, ended) = (Ending::Succeeded, "p".to_owned(), START.plus_ms(7));
    let phased = Report::PhaseEnd { phase, ending, started: START, ended };
    assert_eq!(run("sleep 7\nphase p").await[..1], [phased]);
    for (line, code) in [
        ("fail why\nsay never", TroubleCode::ModelError),
        ("interrupt why\nsay never", TroubleCode::Interrupted),
    ] {
        let settled = failed(code, "why", SideEffects::None);
        assert_eq!(run(line).await, [settled]);
    }
}

#[tokio::test]
async fn reports_come_when_their_time_has_come() {
    let world = World::new();
    let mut reports = world.start("say a\nsleep 100\nslow 10 b c").await;
    assert_eq!(ready(&mut reports).await.len(), 2);
    world.clock.advance_ms(99);
    assert_eq!(ready(&mut reports).await, []);
    world.clock.advance_ms(1);
    assert_eq!(ready(&mut reports).await, [says("b ")]);
    world.clock.advance_ms(10);
    assert_eq!(ready(&mut reports).await.len(), 2);
}

#[tokio::test]
async fn an_adopted_run_reports_exactly_what_is_missing_wherever_it_was_cut() {
    for last in ["say done", "fail end", "interrupt end"] {
        let (world, prompt) = (World::new(), format!("{EVERYTHING}\n{last}"));
        let whole = world.run(&prompt).await;
        for cut in 0..whole.len() {
            let progress = progress(&whole[..cut], Disclosure::Full);
            let missing = rest(world.adopt(&prompt, progress).await).await;
            assert_eq!(missing, whole[cut..], "cut at {cut}");
        }
        assert_eq!(world.executions(), 1);
    }
}

#[tokio::test]
async fn an_adopted_run_is_where_time_has_brought_it() {
    let world = World::new();
    let prompt = "count 10 100\nhang";
    let before = ready(&mut world.start(prompt).await).await;
    assert_eq!(before[1..], [says("1 ")]);
    world.clock.advance_ms(250);
    let mut reports = world.adopt(prompt, progress(&before, Disclosure::Full)).await;
    assert_eq!(ready(&mut reports).await, [says("2 "), says("3 ")]);
    world.clock.advance_ms(50);
    assert_eq!(ready(&mut reports).await, [says("4 ")]);
}

#[tokio::test]
async fn text_that_the_log_does_not_hold_is_told_anew_and_nothing_else_is() {
    let (world, prompt) = (World::new(), format!("{EVERYTHING}\nhang"));
    let mut whole = ready(&mut world.start(&prompt).await).await;
    world.clock.advance_ms(1_000_000);
    whole.extend(ready(&mut world.adopt(&prompt, progress(&whole, Disclosure::Full)).await).await);
    for disclosure in [Disclosure::None, Disclosure::Digest] {
        for cut in 2..whole.len() {
            let log = progress(&whole[..cut], disclosure);
            assert!(log.reduced);
            let told = ready(&mut world.adopt(&prompt, log).await).await;
            let is_text = |report: &&Report| matches!(report, Report::Output { .. });
            let missing: Vec<_> = whole[cut..].iter().filter(|report| !is_text(report)).collect();
            let others: Vec<_> = told.iter().filter(|report| !is_text(report)).collect();
            assert_eq!(others, missing, "cut at {cut}");
            let full = progress(&whole, Disclosure::Full);
            let texts = [(Channel::Thinking, full.thinking), (Channel::Answer, full.answer)]
                .map(|(channel, text)| Report::Output { channel, text, replace: true });
            assert!(told.iter().filter(is_text).eq(&texts), "cut at {cut}");
        }
    }
}

#[tokio::test]
async fn a_run_that_was_never_started_is_not_started_by_looking() {
    let world = World::new();
    let told = rest(world.adopt("say a", Progress::default()).await).await;
    let detail = "the gateway does not know the run";
    assert_eq!(told, [failed(TroubleCode::Interrupted, detail, SideEffects::Unknown)]);
    assert!(!world.dir.path().join("executions.log").exists());
}

#[tokio::test]
async fn what_was_executed_is_not_executed_again_but_told() {
    let world = World::new();
    let mut first = world.start("hang").await;
    let told = ready(&mut first).await;
    assert_eq!(told.len(), 1);
    assert_eq!(ready(&mut world.start("hang").await).await, told);
    assert_eq!(world.executions(), 1);
    let repeated = std::fs::read_to_string(world.dir.path().join("repeated.log")).unwrap();
    assert_eq!(repeated.lines().count(), 1);
    assert_eq!(ready(&mut first).await, []);
}

#[tokio::test]
async fn a_stopped_run_settles_at_once_and_once_for_all() {
    for prompt in ["hang", "sleep 60000"] {
        let world = World::new();
        let (gateway, work) = (world.gateway(), work(&format!("tool t 1 => 2\n{prompt}")));
        let intent = gateway.intend(&work).await.unwrap();
        let mut reports = start(&gateway, &work).await;
        let before = ready(&mut reports).await;
        assert_eq!(before.len(), 3);
        let why = StopReason::Cancel;
        assert_eq!(gateway.stop(&work, &intent, why).await, Ok(Stopped::Stopping));
        let cancelled = [end(Ending::Cancelled, None, SideEffects::Possible)];
        assert_eq!(ready(&mut reports).await, cancelled);
        // The stop outlives the process, and the time that the script would have gone on for.
        world.clock.advance_ms(120_000);
        let again = world.gateway().stop(&work, &intent, why).await;
        assert_eq!(again, Ok(Stopped::NotRunning));
        let Ask::Prompt(prompt) = &work.ask else { panic!("a prompt") };
        let log = progress(&before, Disclosure::Full);
        assert_eq!(rest(world.adopt(prompt, log).await).await, cancelled);
    }
}

#[tokio::test]
async fn what_does_not_run_is_not_stopped() {
    let world = World::new();
    let (gateway, work) = (world.gateway(), work("sleep 10"));
    let intent = gateway.intend(&work).await.unwrap();
    let stop = async || gateway.stop(&work, &intent, StopReason::Cancel).await;
    assert_eq!(stop().await, Ok(Stopped::NotRunning));
    let reports = start(&gateway, &work).await;
    tokio::task::yield_now().await;
    world.clock.advance_ms(10);
    assert_eq!(stop().await, Ok(Stopped::NotRunning));
    let settled = end(Ending::Succeeded, Some(""), SideEffects::None);
    assert_eq!(rest(reports).await[1..], [settled]);
}

const WAITS: &str = "say a\napproval exec 60000 ls -l\nsay b";

fn decided(reports: &[Report]) -> Vec<(Vote, ResolvedBy)> {
    let decided = reports.iter().filter_map(|report| match report {
        Report::ApprovalDecided(decided) => Some((decided.vote, decided.by)),
        _ => None,
    });
    decided.collect()
}

fn effects(world: &World) -> usize {
    let log = std::fs::read_to_string(world.dir.path().join("effects.log")).unwrap_or_default();
    log.lines().count()
}

#[tokio::test]
async fn a_question_takes_the_first_answer_across_processes() {
    let world = World::new();
    let before = ready(&mut world.start(WAITS).await).await;
    let Some(Report::ApprovalNeeded(needed)) = before.last() else { panic!("{before:?}") };
    assert_eq!((needed.subject.as_str(), needed.expires), ("ls -l", START.plus_ms(60_000)));
    assert_eq!(effects(&world), 0);
    let (gateway, work) = (world.gateway(), work(WAITS));
    let first = gateway.resolve(&work, &needed.question, Vote::Approve).await.unwrap();
    let second = world.gateway().resolve(&work, &needed.question, Vote::Deny).await.unwrap();
    assert_eq!((first.vote, &first), (Vote::Approve, &second));
    assert!(gateway.resolve(&work, "another", Vote::Deny).await.is_err());
    // The question is told again, and then how it was answered.
    let after = rest(world.adopt(WAITS, progress(&before, Disclosure::Full)).await).await;
    assert!(matches!(after[0], Report::ApprovalNeeded(_)), "{after:?}");
    assert_eq!(decided(&after), [(Vote::Approve, ResolvedBy::Peer)]);
    assert!(matches!(after[2], Report::ToolResult { ok: true, .. }), "{after:?}");
    assert_eq!(after[3], says("b"));
    assert_eq!(effects(&world), 1);
}

#[tokio::test]
async fn a_question_is_denied_by_nobody_by_people_and_by_a_stop() {
    let world = World::new();
    let mut reports = world.start(WAITS).await;
    ready(&mut reports).await;
    world.clock.advance_ms(60_000);
    let told = rest(reports).await;
    assert_eq!(decided(&told), [(Vote::Deny, ResolvedBy::Expiry)]);
    assert!(matches!(told[1], Report::ToolResult { ok: false, .. }), "{told:?}");

    let world = World::new();
    let mut reports = world.start(WAITS).await;
    ready(&mut reports).await;
    let question = format!("run-{}-q1", "a".repeat(26));
    std::fs::write(world.dir.path().join("answers"), format!("{question} deny\n")).unwrap();
    world.clock.advance_ms(100);
    assert_eq!(decided(&rest(reports).await), [(Vote::Deny, ResolvedBy::Gateway)]);

    let world = World::new();
    let (gateway, work) = (world.gateway(), work(WAITS));
    let mut reports = start(&gateway, &work).await;
    ready(&mut reports).await;
    let intent = gateway.intend(&work).await.unwrap();
    gateway.stop(&work, &intent, StopReason::Cancel).await.unwrap();
    let told = rest(reports).await;
    assert_eq!(decided(&told), [(Vote::Deny, ResolvedBy::Closed)]);
    assert!(matches!(told[1], Report::Settled { ending: Ending::Cancelled, .. }), "{told:?}");
    assert_eq!(effects(&world), 0);
}
