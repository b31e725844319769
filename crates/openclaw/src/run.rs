//! One run, from what the gateway shows to what the bridge is told.
//!
//! The machine is pure: rows, events, looks and times go in, reports come out. Everything but text comes
//! from the transcript alone, in its order, so that a second process that reads the same transcript says
//! the same things under the same names, and skips exactly what was said before ([`Progress`]).

use std::collections::{BTreeMap, BTreeSet};

use landbridge_node::adapter::{
    Channel, Ending, Progress, Report, SideEffects, Trouble, TroubleCode, Usage,
};
use landbridge_proto::wire::name::Timestamp;

use crate::approval::{had_no_route, no_route};
use crate::fault::run_trouble;
use crate::look::add;
use crate::transcript::{Call, Child, Content, Look, Row, Said};
use crate::voice::Voice;

/// What is known of a run.
#[derive(Debug)]
pub(crate) struct Run {
    key: String,
    reports: Vec<Report>,
    answer: Voice,
    thinking: Voice,
    told: Told,
    /// The run's own prompt was found in the transcript.
    found: bool,
    rows: BTreeSet<String>,
    /// Gateway runs that belong to this run, in order: its own, announcements, continuations.
    runs: Vec<String>,
    /// How often each of the model's call ids was used.
    uses: BTreeMap<String, usize>,
    open: Vec<OpenCall>,
    /// What the rows of each gateway run cost.
    usage: BTreeMap<String, Usage>,
    /// What the gateway says that a run of its own cost, hidden rows included.
    sums: BTreeMap<String, Usage>,
    /// Calls that events or the gateway's book call failed, by gateway run and the model's call id.
    failed: BTreeSet<String>,
    /// Arguments of calls whose row the transcript hides.
    hidden: BTreeMap<(String, String), String>,
    last: Option<LastSaid>,
    /// The gateway was started anew under the run at this time.
    restarted: Option<Timestamp>,
    /// Child runs whose own prompt was found, and those whose end was reported.
    children: BTreeSet<String>,
    children_ended: BTreeSet<String>,
    child_stopped: bool,
    settled: bool,
}

/// What was already reported.
#[derive(Debug)]
struct Told {
    started: bool,
    calls: BTreeSet<String>,
    results: BTreeSet<String>,
    usage: Option<Usage>,
    /// How many of each name: a child's phases come in their own order, its parent's in theirs.
    phases: BTreeMap<String, usize>,
    errors: usize,
}

#[derive(Debug)]
struct OpenCall {
    name: String,
    id: String,
    run: String,
    tool: String,
    since: Timestamp,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum LastSaid {
    Answered,
    Failed,
    Aborted,
}

impl Run {
    /// A run of which `progress` was already reported.
    pub(crate) fn new(key: String, progress: Progress) -> Self {
        let mut phases = BTreeMap::new();
        for phase in progress.phases {
            *phases.entry(phase).or_default() += 1;
        }
        Self {
            runs: vec![key.clone()],
            key,
            reports: Vec::new(),
            answer: Voice::new(Channel::Answer, progress.answer, progress.reduced),
            thinking: Voice::new(Channel::Thinking, progress.thinking, progress.reduced),
            told: Told {
                started: progress.started,
                calls: progress.calls,
                results: progress.results,
                usage: progress.usage,
                phases,
                errors: progress.errors,
            },
            found: false,
            rows: BTreeSet::new(),
            uses: BTreeMap::new(),
            open: Vec::new(),
            usage: BTreeMap::new(),
            sums: BTreeMap::new(),
            failed: BTreeSet::new(),
            hidden: BTreeMap::new(),
            last: None,
            restarted: None,
            children: BTreeSet::new(),
            children_ended: BTreeSet::new(),
            child_stopped: false,
            settled: false,
        }
    }

    /// The gateway chose the name of the run itself, and it became known before anything was seen.
    pub(crate) fn called(&mut self, key: &str) {
        self.runs = vec![key.to_owned()];
        key.clone_into(&mut self.key);
    }

    /// Takes the reports that wait.
    pub(crate) fn reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    /// Adds what others have to tell of the run.
    pub(crate) fn tell(&mut self, reports: Vec<Report>) {
        self.reports.extend(reports);
    }

    /// Under which name a call at work was reported; a child's bears its session's before it.
    pub(crate) fn name_of(&self, run: &str, id: &str) -> Option<String> {
        let is = |call: &&OpenCall| {
            let (_, own) = call.id.rsplit_once(':').unwrap_or(("", &call.id));
            call.run == run && (call.id == id || own == id)
        };
        self.open.iter().rfind(is).map(|call| call.name.clone())
    }

    /// The run's own prompt stands in the transcript.
    pub(crate) const fn is_found(&self) -> bool {
        self.found
    }

    /// Nothing follows any more.
    pub(crate) const fn is_settled(&self) -> bool {
        self.settled
    }

    /// The gateway's runs that belong to this run.
    pub(crate) fn runs(&self) -> &[String] {
        &self.runs
    }

    /// A call waits for its result.
    pub(crate) fn has_open_calls(&self) -> bool {
        !self.open.is_empty()
    }

    /// The gateway took the run.
    pub(crate) fn on_taken(&mut self, started: Report) {
        if !std::mem::replace(&mut self.told.started, true) {
            self.reports.push(started);
        }
    }

    /// The gateway was found to be another start of itself.
    pub(crate) const fn on_restart(&mut self, now: Timestamp) {
        self.restarted = Some(now);
    }

    /// The model's text so far, from an event.
    pub(crate) fn on_text(&mut self, run: &str, text: &str) {
        if self.found && self.runs.iter().any(|known| known == run) {
            self.answer.on_event(text, &mut self.reports);
        }
    }

    /// An event tells the arguments of a call; the transcript hides calls of tools that do not exist.
    pub(crate) fn on_call(&mut self, run: &str, call: &str, args: String) {
        self.hidden.insert((run.to_owned(), call.to_owned()), args);
    }

    /// An event says that a call failed.
    pub(crate) fn on_failed_call(&mut self, run: &str, call: &str) {
        self.failed.insert(format!("{run}\n{call}"));
    }

    /// The gateway's final answer tells the usage of the run's first gateway run.
    pub(crate) fn on_final_usage(&mut self, usage: Usage) {
        self.sums.insert(self.key.clone(), usage);
    }

    /// As [`Run::on_final_usage`], of a session that this run began and nobody else is led in.
    pub(crate) fn on_usage_of(&mut self, run: &str, look: &Look) {
        if let Some(usage) = look.last_usage.as_ref().filter(|_| look.last_run == run) {
            let model = self.usage.get(run).and_then(|usage| usage.model.clone());
            self.sums.insert(run.to_owned(), Usage { model, ..usage.clone() });
        }
    }

    /// New rows of the transcript, in order.
    pub(crate) fn on_rows(&mut self, rows: Vec<Row>) {
        let (mut answer, mut thinking) = (None, None);
        for row in rows {
            if !self.rows.insert(row.id.clone()) {
                continue;
            }
            if !self.found {
                self.found = matches!(&row.content, Content::Prompt { key } if *key == self.key);
                continue;
            }
            if let Content::Said(said) = &row.content
                && !said.failed
            {
                answer = Some(said.answer.clone()).filter(|text| !text.is_empty()).or(answer);
                thinking = Some(said.thinking.clone()).filter(|text| !text.is_empty()).or(thinking);
            }
            self.on_row(row);
        }
        // Only the newest text counts: a long history must not be replayed as replacements.
        if let Some(text) = thinking {
            self.thinking.on_row(text, &mut self.reports);
        }
        if let Some(text) = answer {
            self.answer.on_row(text, &mut self.reports);
        }
        self.tell_usage();
    }

    fn on_row(&mut self, row: Row) {
        match row.content {
            Content::Prompt { ref key } => self.on_prompt(key, row.ended),
            Content::Said(said) => {
                self.know(&row.run);
                self.on_said(&row.run, row.began, row.ended, said);
            }
            Content::Result { call, tool, ok, text } => {
                self.know(&row.run);
                let ok = ok && !self.failed.contains(&format!("{}\n{call}", row.run));
                self.on_result(&row.run, &call, &tool, row.began, ok, text);
            }
            Content::Other => {}
        }
    }

    fn know(&mut self, run: &str) {
        if !run.is_empty() && !self.runs.iter().any(|known| known == run) {
            self.runs.push(run.to_owned());
        }
    }

    /// A prompt after the run's own: the gateway goes on by itself after it was interrupted.
    fn on_prompt(&mut self, key: &str, at: Timestamp) {
        self.know(key);
        if key == self.key || key.starts_with(ANNOUNCE) {
            return;
        }
        self.last = None;
        let since = self.open.first().map_or(at, |call| call.since);
        self.abandon_calls(at);
        self.end_phase("attempt", Ending::Failed, since, at);
        self.tell_error(interrupted(
            "the gateway was restarted during the run and continues it by itself",
        ));
    }

    /// Reports a trouble that does not end the run, unless an earlier process did.
    fn tell_error(&mut self, trouble: Trouble) {
        if self.told.errors > 0 {
            self.told.errors -= 1;
            return;
        }
        self.reports.push(Report::Error(trouble));
    }

    fn on_said(&mut self, run: &str, began: Timestamp, ended: Timestamp, said: Said) {
        self.last = Some(match () {
            () if said.failed => LastSaid::Failed,
            () if said.aborted => LastSaid::Aborted,
            () => LastSaid::Answered,
        });
        if let Some(usage) = said.usage {
            add(self.usage.entry(run.to_owned()).or_default(), &usage);
        }
        let ending = match self.last {
            Some(LastSaid::Failed) => Ending::Failed,
            Some(LastSaid::Aborted) => Ending::Cancelled,
            _ => Ending::Succeeded,
        };
        self.end_phase("model", ending, began, ended);
        for call in said.calls {
            self.on_called(run, call, ended);
        }
    }

    fn on_called(&mut self, run: &str, call: Call, at: Timestamp) {
        let uses = self.uses.entry(call.id.clone()).or_default();
        *uses += 1;
        let name = if *uses == 1 { call.id.clone() } else { format!("{}#{uses}", call.id) };
        if self.told.calls.insert(name.clone()) {
            self.reports.push(Report::ToolCall {
                call: name.clone(),
                tool: call.tool.clone(),
                args: call.args,
            });
        }
        self.open.push(OpenCall {
            name,
            id: call.id,
            run: run.to_owned(),
            tool: call.tool,
            since: at,
        });
    }

    fn on_result(
        &mut self,
        run: &str,
        id: &str,
        tool: &str,
        at: Timestamp,
        ok: bool,
        text: String,
    ) {
        let place =
            |open: &[OpenCall]| open.iter().position(|call| call.id == id && call.run == run);
        if place(&self.open).is_none() {
            let args = self.hidden.get(&(run.to_owned(), id.to_owned())).cloned();
            let args = args.unwrap_or_else(|| "{}".to_owned());
            self.on_called(run, Call { id: id.to_owned(), tool: tool.to_owned(), args }, at);
        }
        if let Some(place) = place(&self.open) {
            let call = self.open.remove(place);
            self.answer_call(call, at, ok, text);
        }
    }

    fn answer_call(&mut self, call: OpenCall, at: Timestamp, ok: bool, text: String) {
        let no_way_to_ask = !ok && had_no_route(&text);
        if self.told.results.insert(call.name.clone()) {
            self.reports.push(Report::ToolResult { call: call.name, ok, text });
        }
        if no_way_to_ask {
            self.tell_error(no_route());
        }
        let ending = if ok { Ending::Succeeded } else { Ending::Failed };
        self.end_phase(&format!("tool:{}", call.tool), ending, call.since, at);
    }

    /// Answers calls that will never have a result.
    fn abandon_calls(&mut self, at: Timestamp) {
        for call in std::mem::take(&mut self.open) {
            let text = "the call was interrupted; what it did is unknown".to_owned();
            self.answer_call(call, at, false, text);
        }
    }

    /// Reports a phase unless an earlier process did.
    fn end_phase(&mut self, phase: &str, ending: Ending, started: Timestamp, ended: Timestamp) {
        if let Some(told) = self.told.phases.get_mut(phase).filter(|told| **told > 0) {
            *told -= 1;
            return;
        }
        self.reports.push(Report::PhaseEnd { phase: phase.to_owned(), ending, started, ended });
    }

    /// New rows of a child's transcript, in order: what it called and what that cost is the run's. What
    /// it said it said to its parent.
    pub(crate) fn on_child(&mut self, child: &Child, rows: Vec<Row>) {
        //= REQ-53
        let place = child.session.rsplit(':').next().unwrap_or_default();
        let place: String = place.chars().take(CHILD_NAME_CHARS).collect();
        let named = |id: &str| format!("{place}:{id}");
        for row in rows {
            if !self.rows.insert(row.id.clone()) {
                continue;
            }
            match row.content {
                Content::Prompt { key } if key == child.run => {
                    self.children.insert(key);
                }
                // A child may begin with a copy of what its parent had said.
                _ if !self.children.contains(&child.run) => {}
                Content::Said(said) => {
                    if let Some(usage) = said.usage {
                        add(self.usage.entry(row.run.clone()).or_default(), &usage);
                    }
                    for call in said.calls {
                        let call = Call { id: named(&call.id), ..call };
                        self.on_called(&row.run, call, row.ended);
                    }
                }
                Content::Result { call, tool, ok, text } => {
                    self.on_result(&row.run, &named(&call), &tool, row.began, ok, text);
                }
                Content::Prompt { .. } | Content::Other => {}
            }
        }
        if let Some((ended, ending)) = child.end
            && self.children_ended.insert(child.run.clone())
        {
            self.child_stopped |= ending == Ending::Cancelled;
            self.end_phase("subagent", ending, child.began, ended);
        }
        self.tell_usage();
    }

    fn tell_usage(&mut self) {
        let usage = self.total_usage();
        if usage.is_some() && usage != self.told.usage {
            self.told.usage.clone_from(&usage);
            self.reports.extend(usage.map(Report::Usage));
        }
    }

    fn total_usage(&self) -> Option<Usage> {
        let mut total = Usage::default();
        let runs: BTreeSet<&String> = self.usage.keys().chain(self.sums.keys()).collect();
        for run in runs {
            let known = [self.usage.get(run), self.sums.get(run)].into_iter().flatten();
            if let Some(most) = known.max_by_key(|usage| usage.total) {
                add(&mut total, most);
            }
        }
        (total.total > 0).then_some(total)
    }

    /// One look at the session: new rows, and whether it has come to rest. The first rest is `since`.
    pub(crate) fn on_look(&mut self, look: Look, now: Timestamp, stopped: bool) -> Rest {
        for call in &look.failed_calls {
            for run in &self.runs {
                self.failed.insert(format!("{run}\n{call}"));
            }
        }
        self.on_rows(look.rows);
        //= REQ-51
        // What works in the session before the run's own prompt stands there is an earlier turn's.
        if self.found {
            if let Some((run, text)) = &look.in_flight {
                self.know(run);
                self.on_text(run, text);
            }
            for run in &look.active_runs {
                self.know(run);
            }
        }
        let Some(tasks) = &look.tasks else {
            return Rest::Busy;
        };
        let ours = self.runs.contains(&look.last_run);
        // After a restart the gateway may show a prompt as waiting, or its task as open, for ever.
        let overdue = self.restarted.is_some_and(|at| now.since_ms(at) >= RESUME_MS_MAX);
        let pending = look.waiting || tasks.open;
        //= REQ-54
        if look.active || look.children_active || (pending && (ours || !overdue)) {
            return Rest::Busy;
        }
        let end = match look.status.as_str() {
            // It had said its last word, and a child of it was still at work.
            "done" if ours && stopped && self.child_stopped => Some((Ending::Cancelled, None)),
            "done" if ours && self.last != Some(LastSaid::Failed) => {
                Some((Ending::Succeeded, None))
            }
            "done" | "failed" if ours => Some((Ending::Failed, Some(run_trouble(&look.error)))),
            "killed" if ours => Some((Ending::Cancelled, None)),
            "timeout" if ours => Some((Ending::Expired, Some(run_trouble("timed out")))),
            _ => None,
        };
        match end {
            Some((ending, trouble)) => {
                // Rows are written a moment before or after the state: one more look makes sure.
                Rest::Over(Verdict { ending, trouble, side_effects: SideEffects::Possible })
            }
            None => self.unresolved(now, stopped),
        }
    }

    /// Nothing runs, and nothing says how it ended.
    fn unresolved(&self, now: Timestamp, stopped: bool) -> Rest {
        if stopped {
            let trouble = None;
            return Rest::Over(Verdict {
                ending: Ending::Cancelled,
                trouble,
                side_effects: SideEffects::Unknown,
            });
        }
        let lost = self.restarted.is_some_and(|at| now.since_ms(at) >= RESUME_MS_MAX);
        if !lost {
            return Rest::Unclear;
        }
        let detail = if self.found {
            "the gateway was restarted during the run and did not continue it"
        } else {
            "the gateway does not know the run"
        };
        Rest::Over(Verdict {
            ending: Ending::Failed,
            trouble: Some(interrupted(detail)),
            side_effects: SideEffects::Unknown,
        })
    }

    /// Ends the run.
    pub(crate) fn settle(&mut self, verdict: Verdict, now: Timestamp) {
        self.abandon_calls(now);
        self.tell_usage();
        let answer = std::mem::take(&mut self.answer.row);
        let result = (verdict.ending == Ending::Succeeded).then_some(answer);
        if let Some(answer) = &result {
            self.answer.say(answer, &mut self.reports);
        }
        self.settled = true;
        self.reports.push(Report::Settled {
            ending: verdict.ending,
            result,
            trouble: verdict.trouble,
            usage: self.total_usage(),
            side_effects: verdict.side_effects,
        });
    }
}

/// Whether a session has come to rest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Rest {
    /// Something is at work.
    Busy,
    /// Nothing is at work, and it is not known yet whether something will be.
    Unclear,
    /// It is over.
    Over(Verdict),
}

/// How a run ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Verdict {
    /// How.
    pub ending: Ending,
    /// Why, unless it succeeded.
    pub trouble: Option<Trouble>,
    /// What may have happened.
    pub side_effects: SideEffects,
}

impl Verdict {
    /// Nothing was started.
    pub(crate) const fn refused(trouble: Trouble) -> Self {
        Self { ending: Ending::Failed, trouble: Some(trouble), side_effects: SideEffects::None }
    }
}

fn interrupted(detail: &str) -> Trouble {
    Trouble { code: TroubleCode::Interrupted, detail: detail.to_owned() }
}

/// How much of a child's name stands before the names of its calls.
const CHILD_NAME_CHARS: usize = 8;
/// How the gateway names the run in which a parent hears of its child's end.
const ANNOUNCE: &str = "announce:";
/// How long after its return the gateway may take to continue a run.
pub(crate) const RESUME_MS_MAX: i64 = 40_000;

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
