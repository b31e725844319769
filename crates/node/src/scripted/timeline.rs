//! What a script does and when: reports as a function of the script and its start alone.
//!
//! Nothing of it is stored but what people answered. Whoever has the start and the answers can compute the
//! whole run again, up to now or up to the report that a killed bridge committed last.

use std::collections::VecDeque;

use landbridge_proto::wire::name::{RunId, Timestamp};

use super::SOFTWARE;
use super::questions::{Answered, Question};
use super::script::Directive;
use super::sessions::session_of;
use crate::adapter::{
    Channel, Ending, Progress, Report, ResolvedBy, SideEffects, Trouble, TroubleCode, Usage, Vote,
    Work,
};

/// A position in a run.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    script: std::vec::IntoIter<Directive>,
    /// Reports that come next, each with its time; refilled from the script when empty.
    coming: VecDeque<(Timestamp, Report)>,
    /// The rest of a `count`, because it may be long.
    counting: Option<Counting>,
    /// When the next directive begins.
    at: Timestamp,
    phase_began: Timestamp,
    calls: usize,
    run: RunId,
    questions: usize,
    /// What was asked last and is not answered as far as is known here.
    waiting: Option<Question>,
    earlier: usize,
    /// What a direct call answers; a prompt's run answers with what was said.
    result: Option<String>,
    settled: bool,
    /// What lies behind the position.
    passed: Progress,
}

#[derive(Clone, Debug)]
struct Counting {
    next: u64,
    last: u64,
    gap_ms: i64,
}

impl Timeline {
    /// The beginning of a run that was started then, as the prompt number `earlier` + 1 of its session.
    pub(super) fn new(
        work: &Work,
        script: Vec<Directive>,
        earlier: usize,
        started: Timestamp,
    ) -> Self {
        let mut timeline = Self {
            script: script.into_iter(),
            coming: VecDeque::new(),
            counting: None,
            at: started,
            phase_began: started,
            calls: 0,
            run: work.run.clone(),
            questions: 0,
            waiting: None,
            earlier,
            result: None,
            settled: false,
            passed: Progress::default(),
        };
        match session_of(work) {
            Ok(session) => {
                timeline.push(Report::Started { session, software: SOFTWARE.to_owned() });
            }
            Err(error) => timeline.fail(TroubleCode::GatewayError, error.to_string()),
        }
        timeline.refill();
        timeline
    }

    /// The next report and its time; `None` behind the end, and where the script hangs.
    pub(super) fn peek(&self) -> Option<&(Timestamp, Report)> {
        self.coming.front()
    }

    /// Passes the next report.
    pub(super) fn advance(&mut self) -> Option<Report> {
        let (_, report) = self.coming.pop_front()?;
        pass(&mut self.passed, &report);
        self.refill();
        Some(report)
    }

    /// What is waited for: everything before it was passed.
    pub(super) fn waits_for(&self) -> Option<&Question> {
        self.waiting.as_ref().filter(|_| self.coming.is_empty())
    }

    /// Goes on after an answer to what is waited for.
    pub(super) fn learn(&mut self, answer: Answered) {
        let Some(question) = self.waiting.take() else { return };
        self.at = self.at.max(answer.at);
        self.push(Report::ApprovalDecided(answer.decided(&question.id)));
        if answer.by == ResolvedBy::Closed {
            // Withdrawn because the run was stopped.
            self.settled = true;
            let end = self.cancelled();
            return self.push(end);
        }
        let ok = answer.vote == Vote::Approve;
        let text = if ok { question.text } else { "denied".to_owned() };
        self.push(Report::ToolResult { call: question.call, ok, text });
    }

    /// What was passed.
    pub(super) const fn passed(&self) -> &Progress {
        &self.passed
    }

    /// Goes to where exactly `progress` was passed; `false` when there is no such place. `answers` gives
    /// what was answered to a question.
    pub(super) fn seek(
        &mut self,
        progress: &Progress,
        answers: impl Fn(&Question) -> Option<Answered>,
    ) -> bool {
        while self.passed != *progress {
            if let Some(answer) = self.waits_for().and_then(&answers) {
                self.learn(answer);
            }
            let next = self.peek();
            if next.is_none_or(|(_, report)| matches!(report, Report::Settled { .. })) {
                return false;
            }
            self.advance();
        }
        true
    }

    /// The end of a run that is stopped here.
    pub(super) fn cancelled(&self) -> Report {
        self.end(Ending::Cancelled, None)
    }

    fn end(&self, ending: Ending, trouble: Option<Trouble>) -> Report {
        let acted = !self.passed.calls.is_empty();
        Report::Settled {
            ending,
            result: (ending == Ending::Succeeded)
                .then(|| self.result.clone().unwrap_or_else(|| self.passed.answer.clone())),
            trouble,
            usage: self.passed.usage.clone(),
            side_effects: if acted { SideEffects::Possible } else { SideEffects::None },
        }
    }

    fn push(&mut self, report: Report) {
        self.coming.push_back((self.at, report));
    }

    fn say(&mut self, channel: Channel, text: String) {
        self.push(Report::Output { channel, text, replace: false });
    }

    fn fail(&mut self, code: TroubleCode, detail: String) {
        self.settled = true;
        let end = self.end(Ending::Failed, Some(Trouble { code, detail }));
        self.push(end);
    }

    /// Called only when everything before was passed, so an end knows what it ends.
    fn refill(&mut self) {
        while self.coming.is_empty() && !self.settled && self.waiting.is_none() {
            if let Some(counting) = self.counting.take() {
                self.count(counting);
            } else if let Some(directive) = self.script.next() {
                self.perform(directive);
            } else {
                self.settled = true;
                let end = self.end(Ending::Succeeded, None);
                self.push(end);
            }
        }
    }

    fn perform(&mut self, directive: Directive) {
        match directive {
            Directive::Say(text) => self.say(Channel::Answer, text),
            Directive::Think(text) => self.say(Channel::Thinking, text),
            Directive::Tool { name, args, ok, text } => {
                self.calls += 1;
                let call = format!("call-{}", self.calls);
                self.push(Report::ToolCall { call: call.clone(), tool: name, args });
                self.push(Report::ToolResult { call, ok, text });
            }
            Directive::Call { name, args, ms } => {
                self.calls += 1;
                let call = format!("call-{}", self.calls);
                let called =
                    Report::ToolCall { call: call.clone(), tool: name, args: args.clone() };
                self.push(called);
                self.at = self.at.plus_ms(ms);
                self.push(Report::ToolResult { call, ok: true, text: args.clone() });
                self.result = Some(args);
            }
            Directive::Approval { kind, ms, text, binding } => {
                self.calls += 1;
                self.questions += 1;
                let call = format!("call-{}", self.calls);
                let id = Question::id_of(&self.run, self.questions);
                let args = serde_json::Value::from(text.as_str()).to_string();
                let (tool, expires) = (kind.to_string(), self.at.plus_ms(ms));
                self.push(Report::ToolCall { call: call.clone(), tool, args });
                let question = Question { id, call, kind, text, binding, expires };
                self.push(Report::ApprovalNeeded(Box::new(question.needed())));
                self.waiting = Some(question);
            }
            Directive::Usage { input, output, cost } => self.spend(input, output, cost),
            Directive::Phase(phase) => {
                let started = std::mem::replace(&mut self.phase_began, self.at);
                let (ending, ended) = (Ending::Succeeded, self.at);
                self.push(Report::PhaseEnd { phase, ending, started, ended });
            }
            Directive::Sleep { ms } => self.at = self.at.plus_ms(ms),
            Directive::Slow { gap_ms, words } => {
                for (at, word) in words.into_iter().enumerate() {
                    self.at = self.at.plus_ms(if at == 0 { 0 } else { gap_ms });
                    self.say(Channel::Answer, word);
                }
            }
            Directive::Error(detail) => {
                self.push(Report::Error(Trouble { code: TroubleCode::GatewayError, detail }));
            }
            Directive::Fail(detail) => self.fail(TroubleCode::ModelError, detail),
            Directive::Interrupt(detail) => self.fail(TroubleCode::Interrupted, detail),
            Directive::Recall => {
                self.say(Channel::Answer, format!("earlier prompts: {}\n", self.earlier));
            }
            Directive::NoSubagent => {}
            Directive::Hang => self.settled = true,
            Directive::Count { count, gap_ms } => {
                self.count(Counting { next: 1, last: count, gap_ms });
            }
        }
    }

    fn count(&mut self, counting: Counting) {
        let Counting { next, last, gap_ms } = counting;
        if next > last {
            return;
        }
        self.at = self.at.plus_ms(if next == 1 { 0 } else { gap_ms });
        self.say(Channel::Answer, format!("{next} "));
        self.counting = Some(Counting { next: next + 1, last, gap_ms });
    }

    /// Usage is cumulative, and told when it has changed: two reports never look alike, so a position
    /// can be found again.
    fn spend(&mut self, input: u64, output: u64, cost: Option<u64>) {
        let before = self.passed.usage.clone().unwrap_or_default();
        let (input, output) = (input.max(before.input), output.max(before.output));
        let (total, cost_micro_usd) =
            (input.saturating_add(output), cost.max(before.cost_micro_usd));
        let usage = Usage { input, output, total, cost_micro_usd, ..before };
        if self.passed.usage.as_ref() != Some(&usage) {
            self.push(Report::Usage(usage));
        }
    }
}

/// The counterpart of [`crate::progress`], for reports that have no frames yet.
fn pass(passed: &mut Progress, report: &Report) {
    match report {
        Report::Started { .. } => passed.started = true,
        Report::Output { channel: Channel::Answer, text, .. } => passed.answer.push_str(text),
        Report::Output { channel: Channel::Thinking, text, .. } => passed.thinking.push_str(text),
        Report::Usage(usage) => passed.usage = Some(usage.clone()),
        Report::ToolCall { call, .. } => drop(passed.calls.insert(call.clone())),
        Report::ToolResult { call, .. } => drop(passed.results.insert(call.clone())),
        Report::PhaseEnd { phase, .. } => passed.phases.push(phase.clone()),
        Report::Error(_) => passed.errors += 1,
        Report::ApprovalNeeded(_)
        | Report::ApprovalRequested(_)
        | Report::ApprovalDecided(_)
        | Report::ApprovalResolved(_)
        | Report::Settled { .. } => {}
    }
}
