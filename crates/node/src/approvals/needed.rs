//! A run of ours that waits: from what its adapter reports to what its frames say.
//!
//! The driver hands each batch of reports through here before the machine sees it. A question becomes a
//! signed approval request and a row, in the very step that appends its frame; the adapter's word that it was
//! decided becomes the frame that says so, once. Adapters report a question again after each restart, so
//! what is known changes nothing, but is answered again where the row has ended and the gateway has not said
//! that it knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use landbridge_proto::machine::contract::{
    ApprovalFilter, ApprovalRow, ApprovalSide, ApprovalState, AskedRow, Guard, Write,
};
use landbridge_proto::machine::executor::Executor;
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::signer::SignError;
use landbridge_proto::wire::approval::ask::InvalidApprovalRequest;
use landbridge_proto::wire::approval::{ApprovalRequest, ApprovalTenants, Requester, Subject, raw};
use landbridge_proto::wire::document::FormVersion;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{ApprovalId, RunId, ScopeName};
use landbridge_proto::wire::stream::{
    ApprovalRequested, ApprovalResolved, Event, Frame, SubjectShown,
};
use landbridge_store::Fault;

use super::answer::{self, Resolved, take, vote_of};
use super::projected::{Need, scopes};
use super::{TRIES, id_of, replaced};
use crate::adapter::{ApprovalDecided, ApprovalNeeded, Report, Trouble, TroubleCode};
use crate::core::{Core, StepError};

/// What a run's frames already said of its questions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Questions {
    told: BTreeSet<ApprovalId>,
}

/// A batch of reports in the contract's words, and what belongs into the same step.
#[derive(Debug, Default)]
pub(crate) struct Translated {
    pub reports: Vec<Report>,
    pub guards: Vec<Guard>,
    pub writes: Vec<Write>,
    /// Rows that have ended while the gateway may not know.
    unanswered: Vec<ApprovalId>,
    told: BTreeSet<ApprovalId>,
}

/// Why nobody can be asked.
#[derive(Debug, thiserror::Error)]
enum NoRoute {
    #[error("the grant does not say what an approval of this run needs")]
    NoRule,
    #[error("no projection makes a decision of the caller's operators count as {0} here")]
    NoProjection(ScopeName),
    #[error("there is no time left in which anybody could decide")]
    NoTime,
    #[error("what is to be approved is too long to be shown whole")]
    TooLong,
    #[error("this bridge cannot sign the question")]
    Unsigned(#[source] SignError),
    #[error("the question does not fit together")]
    Malformed(#[source] InvalidApprovalRequest),
    #[error("the store cannot be read")]
    Store(#[source] Fault),
}

impl Questions {
    /// What these frame lines say.
    pub(crate) fn read<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let resolved = lines.into_iter().filter_map(|line| Frame::parse(line).ok());
        let resolved = resolved.filter(|frame| frame.event == "approvalResolved");
        let told = resolved.filter_map(|frame| {
            let said: Option<ApprovalResolved> = serde_json::from_str(frame.payload.get()).ok();
            said.map(|said| said.approval)
        });
        Self { told: told.collect() }
    }

    /// Puts reports into the contract's words; `None` when there is nothing to put.
    pub(crate) fn translate(
        &self,
        core: &Core,
        executor: &Executor,
        reports: &[Report],
    ) -> Result<Option<Translated>, Fault> {
        let about = |report: &Report| {
            matches!(report, Report::ApprovalNeeded(_) | Report::ApprovalDecided(_))
        };
        if !reports.iter().any(about) {
            return Ok(None);
        }
        let mut batch = Batch::of(core, executor, self);
        for report in reports {
            match report {
                Report::ApprovalNeeded(needed) => batch.need(needed)?,
                Report::ApprovalDecided(decided) => batch.decide(decided)?,
                other => batch.done.reports.push(other.clone()),
            }
        }
        Ok(Some(batch.finish()))
    }

    /// What was translated is durable.
    pub(crate) fn made(&mut self, core: &Arc<Core>, done: Translated) {
        self.told.extend(done.told);
        if !done.writes.is_empty() {
            core.approvals.changed();
        }
        for id in done.unanswered {
            tokio::spawn(say_again(Arc::clone(core), id));
        }
    }
}

/// Tells the gateway how a question ended that it may still ask.
async fn say_again(core: Arc<Core>, id: ApprovalId) {
    let Ok(Some(row)) = core.store.reads().approval(&id) else { return };
    if row.state != ApprovalState::Open
        && let Resolved::Unknown(detail) = answer::resolve(&core, &row, vote_of(&row)).await
    {
        tracing::warn!(%id, detail, "the gateway does not know its question any more");
    }
}

struct Batch<'a> {
    core: &'a Core,
    executor: &'a Executor,
    known: &'a BTreeSet<ApprovalId>,
    created: BTreeMap<ApprovalId, ApprovalRow>,
    changed: BTreeMap<ApprovalId, ApprovalRow>,
    done: Translated,
}

impl<'a> Batch<'a> {
    fn of(core: &'a Core, executor: &'a Executor, questions: &'a Questions) -> Self {
        let (created, changed) = (BTreeMap::new(), BTreeMap::new());
        Self {
            core,
            executor,
            known: &questions.told,
            created,
            changed,
            done: Translated::default(),
        }
    }

    fn row(&self, id: &ApprovalId) -> Result<Option<ApprovalRow>, Fault> {
        let here = self.created.get(id).or_else(|| self.changed.get(id));
        match here {
            Some(row) => Ok(Some(row.clone())),
            None => {
                let stored = self.core.store.reads().approval(id)?;
                Ok(stored.filter(|row| row.run.as_ref() == Some(&self.executor.row().run)))
            }
        }
    }

    fn need(&mut self, needed: &ApprovalNeeded) -> Result<(), Fault> {
        let run = &self.executor.row().run;
        let Ok(id) = id_of(run, &needed.question) else { return Ok(()) };
        if let Some(row) = self.row(&id)? {
            if row.state != ApprovalState::Open && row.answer.is_none() {
                self.done.unanswered.push(id);
            }
            return Ok(());
        }
        let actor = "gateway";
        match self.ask(&id, needed) {
            Ok((row, shown)) => {
                let detail = [("run", run.as_str()), ("kind", needed.kind.as_str())];
                let audit = self.core.audit(actor, "approval_requested", id.as_str(), detail);
                self.done.writes.push(audit);
                self.created.insert(id, row);
                self.done.reports.push(Report::ApprovalRequested(Box::new(shown)));
            }
            Err(NoRoute::Store(fault)) => return Err(fault),
            Err(why) => {
                //= APR-29
                let detail = super::detail(&why);
                let said = [("run", run.as_str()), ("why", detail.as_str())];
                let audit = self.core.audit(actor, "approval_no_route", id.as_str(), said);
                self.done.writes.push(audit);
                let now = self.core.now();
                let row = ApprovalRow {
                    state: ApprovalState::Closed,
                    decided: Some(now),
                    ..self.fresh(&id, needed)
                };
                self.created.insert(id.clone(), row);
                self.done.unanswered.push(id);
                let code = TroubleCode::NoApprovalRoute;
                self.done.reports.push(Report::Error(Trouble { code, detail }));
            }
        }
        Ok(())
    }

    fn fresh(&self, id: &ApprovalId, needed: &ApprovalNeeded) -> ApprovalRow {
        let row = self.executor.row();
        ApprovalRow {
            id: id.clone(),
            side: ApprovalSide::Relying,
            tenant: row.owner.tenant.dst.clone(),
            asked: Vec::new(),
            //= APR-13
            subject: needed.subject.clone(),
            run: Some(row.run.clone()),
            question: Some(needed.question.clone()),
            token: None,
            created: self.core.now(),
            expires: needed.expires,
            state: ApprovalState::Open,
            decisions: Vec::new(),
            answer: None,
            decided: None,
            revision: 0,
        }
    }

    fn ask(
        &self,
        id: &ApprovalId,
        needed: &ApprovalNeeded,
    ) -> Result<(ApprovalRow, ApprovalRequested), NoRoute> {
        let (core, row, terms) = (self.core, self.executor.row(), self.executor.terms());
        let rule = terms.approval.as_ref().ok_or(NoRoute::NoRule)?;
        let owner = &row.owner;
        let state = core.trust.state();
        let peer = state.federation.as_ref().and_then(|known| known.active_peer(&owner.caller));
        let (local, scope) = (&owner.tenant.dst, &rule.scope);
        let need = Need { local, scope, kind: &needed.kind, binding: needed.binding };
        let would_do = match peer {
            Some(peer) => scopes(core, peer, &owner.tenant.src, &need).map_err(NoRoute::Store)?,
            None => BTreeSet::new(),
        };
        if would_do.is_empty() {
            return Err(NoRoute::NoProjection(rule.scope.clone()));
        }
        let now = core.now();
        //= APR-30
        let expires = needed.expires.plus_ms(-limit::APPROVAL_MARGIN_MS);
        let expires = expires.min(row.deadline).min(now.plus_ms(limit::APPROVAL_LIFE_MS_MAX));
        if expires <= now {
            return Err(NoRoute::NoTime);
        }
        let bytes = needed.subject.as_bytes();
        let subject = Subject::of(needed.kind.clone(), needed.media.clone(), needed.binding, bytes);
        let principal = terms.principal.clone();
        let request = ApprovalRequest::try_from(raw::ApprovalRequest {
            aud: owner.caller.clone(),
            expires,
            id: id.clone(),
            iss: core.own().clone(),
            issued: now,
            quorum: rule.quorum,
            requester: Requester { gateway: owner.caller.clone(), principal },
            run: Some(row.run.clone()),
            scope: rule.scope.clone(),
            scopes: would_do.clone(),
            subject: subject.clone(),
            tenant: ApprovalTenants::executor_relies(&owner.tenant),
            v: FormVersion,
        });
        let request = request.map_err(NoRoute::Malformed)?;
        let envelope = core.identity.present().sign(&request, now).map_err(NoRoute::Unsigned)?;
        let text = String::from_utf8_lossy(&envelope.to_bytes()).into_owned();
        let shown = ApprovalRequested {
            approval: id.clone(),
            call_id: needed.call.clone(),
            expires,
            kind: needed.kind.clone(),
            request: text.clone(),
            scopes: would_do,
            subject: SubjectShown {
                binding: subject.binding,
                digest: subject.digest,
                media: subject.media,
                size: subject.size,
                text: needed.subject.clone(),
            },
        };
        //= APR-33
        let event = Event::ApprovalRequested(Box::new(shown.clone()));
        if event.line(limit::RUN_FRAMES_MAX).is_err() {
            return Err(NoRoute::TooLong);
        }
        let asked = AskedRow {
            peer: owner.caller.clone(),
            request: text,
            digest: envelope.digest(),
            run: None,
        };
        Ok((ApprovalRow { asked: vec![asked], expires, ..self.fresh(id, needed) }, shown))
    }

    fn decide(&mut self, decided: &ApprovalDecided) -> Result<(), Fault> {
        let Ok(id) = id_of(&self.executor.row().run, &decided.question) else { return Ok(()) };
        let Some(mut row) = self.row(&id)? else { return Ok(()) };
        let is_told = self.known.contains(&id) || self.done.told.contains(&id);
        //= APR-27
        if !row.asked.is_empty() && !is_told {
            self.done.told.insert(id.clone());
            self.done.reports.push(Report::ApprovalResolved(ApprovalResolved {
                approval: id.clone(),
                by: answer::by(&row, decided),
                decision: decided.vote,
                evidence: Some(decided.evidence.clone()),
            }));
        }
        let before = row.clone();
        take(&mut row, decided, self.core.now());
        if row == before {
            return Ok(());
        }
        match self.created.get_mut(&id) {
            Some(created) => *created = row,
            None => drop(self.changed.insert(id, row)),
        }
        Ok(())
    }

    fn finish(self) -> Translated {
        let mut done = self.done;
        for (id, row) in self.created {
            done.guards.push(Guard::ApprovalFree { id });
            done.writes.push(Write::CreateApproval(row));
        }
        for row in self.changed.into_values() {
            let (guard, put) = replaced(row);
            done.guards.push(guard);
            done.writes.push(put);
        }
        done
    }
}

/// Closes what is still asked for a run that has its terminal.
pub(crate) async fn close_of(core: &Core, run: &RunId) -> Result<(), StepError> {
    let filter = ApprovalFilter {
        state: Some(ApprovalState::Open),
        run: Some(run.clone()),
        limit: u32::MAX,
        ..ApprovalFilter::default()
    };
    let open = core.store.reads().approvals(&filter).map_err(StepError::Store)?;
    for row in open {
        close(core, row).await?;
    }
    Ok(())
}

async fn close(core: &Core, mut row: ApprovalRow) -> Result<(), StepError> {
    for _ in 0..TRIES {
        let id = row.id.clone();
        row.state = ApprovalState::Closed;
        row.decided = Some(core.now());
        let audit = core.audit("bridge", "approval_closed", id.as_str(), [("why", "run_ended")]);
        let (guard, put) = replaced(row);
        match core.commit(Step::new(vec![guard], vec![put, audit], ()).with_reserve()).await {
            Ok(()) => {
                core.approvals.changed();
                return Ok(());
            }
            Err(StepError::Stale(_)) => {}
            Err(error) => return Err(error),
        }
        match core.store.reads().approval(&id).map_err(StepError::Store)? {
            Some(again) if again.state == ApprovalState::Open => row = again,
            _ => return Ok(()),
        }
    }
    Ok(())
}
