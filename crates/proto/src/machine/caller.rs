//! The caller's run: from a durable decision to exactly one terminal in the journal.
//!
//! ```text
//!                ┌─────────────┐  Accepted   ┌───────────┐  Received (terminal)   ┌─────────┐
//!  invocation ─▶ │ AwaitAccept │ ──────────▶ │ Streaming │ ─────────────────────▶ │ Settled │
//!                └─────────────┘             └───────────┘       OwnEnd           └─────────┘
//!                        │  OwnEnd (a signed verdict, or nothing can come)             ▲
//!                        └─────────────────────────────────────────────────────────────┘
//! ```
//!
//! | state | Accepted | Received | Cancel | CancelAnswered | OwnEnd |
//! |---|---|---|---|---|---|
//! | AwaitAccept | Streaming | — | recorded, SendCancel | recorded | Settled |
//! | Streaming | same: nothing; other: refused | frames; Settled with the terminal | recorded, SendCancel | recorded | Settled |
//! | Settled | — | — | — | — | — |
//!
//! Retries, connections and clocks are the driver's; nothing here depends on how often they failed.

use std::collections::BTreeMap;

use landbridge_planted::planted;

use super::contract::{AuditEvent, EntryPhase, EntryRow, Guard, Write};
use super::receive::SealedBatch;
use super::step::Step;
use crate::trust::verified::Verified;
use crate::wire::digest::Digest;
use crate::wire::envelope::Envelope;
use crate::wire::name::{GatewayId, Timestamp};
use crate::wire::problem::{Code, Problem};
use crate::wire::request::{Answer, CancelResult, Lost, Receipt};
use crate::wire::stream::{
    Accept, By, Event, MalformedFrame, One, Outcome, Rest, SideEffects, Terminal,
};

/// What happened to a caller's run.
#[derive(Clone, Debug)]
pub enum Input {
    /// The executor's signed word that it took the run.
    Accepted {
        /// Its accept.
        accept: Verified<Accept>,
        /// The request that it answers, canonical bytes of the envelope.
        request: String,
    },
    /// Sealed frames, next in order.
    Received(SealedBatch),
    /// A client asks to cancel.
    Cancel,
    /// The executor answered to a cancel.
    CancelAnswered(Verified<Answer>),
    /// This caller ends the run itself.
    OwnEnd {
        /// What [`Caller::own_end`] made.
        end: OwnEnd,
        /// Its receipt, signed: canonical bytes of the envelope.
        receipt: String,
    },
}

/// What may be done once the step is durable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Clients may read further.
    Publish,
    /// The executor must be told to cancel.
    SendCancel,
    /// The run has its terminal; nothing more will come.
    Finish,
}

/// What came of an input.
#[derive(Debug)]
pub enum Handled {
    /// A decision, to be committed.
    Step(Step<(Caller, Vec<Action>)>),
    /// The input says nothing new in this state.
    Ignored(Caller),
}

/// A caller's own terminal: the frame that clients see, and the statement to be signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnEnd {
    /// How.
    pub outcome: Outcome,
    /// The frame line.
    pub line: String,
    /// The statement.
    pub receipt: Receipt,
}

/// An accept that does not fit what was asked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ForeignAccept {
    /// Another `iss`, `aud`, tenant pair, key, print or version than was asked.
    #[error("the accept's {0} is not what was asked")]
    Member(&'static str),
    /// Another accept than the one in the journal, both signed: equivocation.
    #[error("the executor signed two accepts for one key")]
    SecondAccept,
}

/// One run of a caller, as its driver holds it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    entry: EntryRow,
}

impl Caller {
    /// The run of a stored row.
    #[must_use]
    pub const fn read(entry: EntryRow) -> Self {
        Self { entry }
    }

    /// The row, as it is stored once the last step is durable.
    #[must_use]
    pub const fn entry(&self) -> &EntryRow {
        &self.entry
    }

    /// Checks that an accept answers what was asked, and that it is the only one.
    ///
    /// # Errors
    ///
    /// [`ForeignAccept`]: the stream must not be read.
    pub fn check_accept(
        &self,
        accept: &Verified<Accept>,
        own: &GatewayId,
    ) -> Result<(), ForeignAccept> {
        //= REQ-30
        let entry = &self.entry;
        let said = accept.value();
        let checks = [
            (said.iss == entry.peer, "iss"),
            (said.aud == *own, "aud"),
            (said.tenant == entry.tenant, "tenant"),
            (said.key == entry.key, "key"),
            (said.print == entry.print, "print"),
            (said.proto == 1, "proto"),
        ];
        if let Some((_, member)) =
            checks.into_iter().find(|(holds, _)| !holds && !planted!("accept_unchecked"))
        {
            return Err(ForeignAccept::Member(member));
        }
        // What was signed counts, not how often: a second signature over the same words says nothing new.
        match self.accept_digest() {
            Some(known) if known != accept.digest() && !planted!("second_accept_taken") => {
                Err(ForeignAccept::SecondAccept)
            }
            _ if planted!("no_accept_is_taken") => Err(ForeignAccept::SecondAccept),
            _ => Ok(()),
        }
    }

    /// Decides what an input means.
    #[must_use]
    pub fn handle(self, now: Timestamp, input: Input) -> Handled {
        match (self.entry.phase, input) {
            (EntryPhase::Settled, _)
            | (EntryPhase::Streaming, Input::Accepted { .. })
            | (EntryPhase::AwaitAccept, Input::Received(_)) => Handled::Ignored(self),
            (EntryPhase::AwaitAccept, Input::Accepted { accept, request }) => {
                Handled::Step(self.accepted(now, &accept, request))
            }
            (EntryPhase::Streaming, Input::Received(batch)) => self.received(now, batch),
            (_, Input::Cancel) => self.cancel(now),
            (_, Input::CancelAnswered(answer)) => self.cancel_answered(&answer),
            (_, Input::OwnEnd { end, receipt }) => Handled::Step(self.ended(now, end, receipt)),
        }
    }

    /// Makes this caller's own terminal; it ends the run once its receipt is signed and handled.
    ///
    /// # Errors
    ///
    /// [`MalformedFrame`] cannot happen with a problem of this software; it is passed on all the same.
    pub fn own_end(
        &self,
        now: Timestamp,
        own: &GatewayId,
        root_version: u64,
        outcome: Outcome,
        problem: Problem,
    ) -> Result<OwnEnd, MalformedFrame> {
        //= STR-29
        //= STR-38
        let entry = &self.entry;
        let code = problem.code_text().to_owned();
        let side_effects = problem.side_effects;
        let terminal = Terminal {
            outcome,
            by: By::Caller,
            side_effects,
            result: None,
            rest: Rest::default(),
            problem: Some(problem),
            usage: None,
        };
        let line = Event::Terminal(terminal).line(entry.seq + 1)?;
        let receipt = Receipt {
            accept: self.accept_digest(),
            aud: entry.peer.clone(),
            head: entry.head,
            iss: own.clone(),
            key: entry.key.clone(),
            lost: Some(Lost { code, side_effects }),
            root_version,
            run: entry.remote.clone(),
            seq: entry.seq,
            t: now,
            v: One,
        };
        Ok(OwnEnd { outcome, line, receipt })
    }

    /// `D(accept)`, where one is in the journal.
    #[must_use]
    pub fn accept_digest(&self) -> Option<Digest> {
        let accept = self.entry.accept.as_ref()?;
        Envelope::parse(accept.as_bytes()).ok().map(|envelope| envelope.digest())
    }

    /// The statement of what was received, for an export.
    #[must_use]
    pub fn receipt(&self, now: Timestamp, own: &GatewayId, root_version: u64) -> Receipt {
        let entry = &self.entry;
        Receipt {
            accept: self.accept_digest(),
            aud: entry.peer.clone(),
            head: entry.head,
            iss: own.clone(),
            key: entry.key.clone(),
            lost: None,
            root_version,
            run: entry.remote.clone(),
            seq: entry.seq,
            t: now,
            v: One,
        }
    }

    /// The problem of a run for which no terminal of the executor can come any more.
    #[must_use]
    pub fn lost(detail: &str) -> Problem {
        Problem::new(Code::RunLost).with_detail(detail).with_side_effects(SideEffects::Unknown)
    }

    fn accepted(
        self,
        now: Timestamp,
        accept: &Verified<Accept>,
        request: String,
    ) -> Step<(Self, Vec<Action>)> {
        let said = accept.value();
        let digest = accept.digest();
        let row = EntryRow {
            phase: EntryPhase::Streaming,
            request: Some(request),
            accept: Some(String::from_utf8_lossy(&accept.envelope().to_bytes()).into_owned()),
            remote: Some(said.run.clone()),
            deadline: said.deadline,
            head: Some(start_head(digest)),
            ..self.entry.clone()
        };
        let audit = self.audit(now, "run_accepted_by_peer", [("remote", said.run.as_str())]);
        self.put(row, vec![audit], vec![Action::Publish])
    }

    fn received(self, now: Timestamp, batch: SealedBatch) -> Handled {
        //= STR-14
        let Some(batch) = batch.behind(self.entry.seq) else {
            return Handled::Ignored(self);
        };
        if batch.first() != self.entry.seq + 1 {
            return Handled::Ignored(self);
        }
        let mut row = EntryRow {
            seq: batch.chain().seq(),
            head: Some(batch.chain().head()),
            session: batch.session().cloned().or_else(|| self.entry.session.clone()),
            ..self.entry.clone()
        };
        //= STR-12
        let mut writes = vec![Write::AppendReceived {
            run: row.run.clone(),
            first: batch.first(),
            lines: batch.lines().to_vec(),
            seal: batch.seal().to_owned(),
            at: now,
        }];
        let mut actions = vec![Action::Publish];
        if let Some(terminal) = batch.terminal() {
            let outcome = terminal.outcome.as_str();
            row.phase = EntryPhase::Settled;
            row.outcome = Some(outcome.to_owned());
            row.ended = Some(now);
            writes.push(self.audit(now, "run_ended_by_peer", [("outcome", outcome)]));
            actions.push(Action::Finish);
        }
        let ends = row.phase == EntryPhase::Settled;
        let step = self.put(row, writes, actions);
        Handled::Step(if ends { step.with_reserve() } else { step })
    }

    fn cancel(self, now: Timestamp) -> Handled {
        if self.entry.cancel.is_some() {
            return Handled::Ignored(self);
        }
        let row = EntryRow { cancel: Some(now), ..self.entry.clone() };
        let audit = self.audit(now, "run_cancel_requested", []);
        Handled::Step(self.put(row, vec![audit], vec![Action::SendCancel]).with_reserve())
    }

    fn cancel_answered(self, answer: &Verified<Answer>) -> Handled {
        let text = match answer.value().result.cancel {
            Some(CancelResult::Requested) => "requested",
            Some(CancelResult::AlreadyTerminal) => "already_terminal",
            Some(CancelResult::Blocked) => "blocked",
            None => return Handled::Ignored(self),
        };
        let row = EntryRow { cancel_answer: Some(text.to_owned()), ..self.entry.clone() };
        Handled::Step(self.put(row, Vec::new(), vec![Action::Publish]))
    }

    fn ended(self, now: Timestamp, end: OwnEnd, receipt: String) -> Step<(Self, Vec<Action>)> {
        //= STR-30
        let outcome = end.outcome.as_str();
        let row = EntryRow {
            phase: EntryPhase::Settled,
            outcome: Some(outcome.to_owned()),
            receipt: Some(receipt.clone()),
            seq: self.entry.seq + 1,
            ended: Some(now),
            ..self.entry.clone()
        };
        let frames = Write::AppendReceived {
            run: row.run.clone(),
            first: self.entry.seq + 1,
            lines: vec![end.line],
            seal: receipt,
            at: now,
        };
        let audit = self.audit(now, "run_ended_by_caller", [("outcome", outcome)]);
        self.put(row, vec![frames, audit], vec![Action::Publish, Action::Finish]).with_reserve()
    }

    fn put(
        self,
        row: EntryRow,
        mut writes: Vec<Write>,
        actions: Vec<Action>,
    ) -> Step<(Self, Vec<Action>)> {
        let revision = self.entry.revision;
        let guard = Guard::Entry { run: self.entry.run, revision };
        let stored = EntryRow { revision: row.revision + 1, ..row.clone() };
        writes.push(Write::PutEntry(row));
        Step::new(vec![guard], writes, (Self { entry: stored }, actions))
    }

    fn audit<const N: usize>(
        &self,
        now: Timestamp,
        deed: &str,
        detail: [(&str, &str); N],
    ) -> Write {
        let detail = detail.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Write::Audit(AuditEvent {
            at: now,
            actor: self.entry.peer.to_string(),
            deed: deed.to_owned(),
            subject: self.entry.run.to_string(),
            detail: BTreeMap::from(detail),
        })
    }
}

fn start_head(accept: Digest) -> Digest {
    super::chain::Chain::start(accept).head()
}
