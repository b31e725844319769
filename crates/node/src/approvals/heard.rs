//! What a caller hears of questions in the frames of its runs.
//!
//! Two kinds of runs tell of them. A run that waits at its executor asks *our* operators: the signed request
//! in its frame becomes a row in the step that stores the frame, if it verifies. A run that asks *their*
//! operators on our behalf brings decisions: each is judged here and counted, and the executor's own word
//! about them decides nothing.

use std::collections::BTreeMap;

use landbridge_proto::machine::contract::{
    ApprovalFilter, ApprovalRow, ApprovalSide, ApprovalState, AskedRow, CatalogRow, EntryPhase,
    EntryRow, Guard, Write,
};
use landbridge_proto::machine::receive::SealedBatch;
use landbridge_proto::trust::approval::{Counted, Judged, check_ask};
use landbridge_proto::wire::approval::{ApprovalTenants, Decision, OPERATORS_AGENT, Vote};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::{ApprovalId, GatewayId, TenantId};
use landbridge_proto::wire::request::Start;
use landbridge_proto::wire::stream::{ApprovalRequested, ApprovalResolved, Frame, ResolvedBy};
use landbridge_store::Fault;

use super::count::{Asked, NotJudged, tally};
use super::grant::{Uses, counted, is_same, uses};
use super::replaced;
use crate::core::Core;

/// What belongs into the step that stores received frames.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub guards: Vec<Guard>,
    pub writes: Vec<Write>,
}

/// Reads what a sealed batch tells of questions.
pub(crate) fn hear(core: &Core, entry: &EntryRow, batch: &SealedBatch) -> Result<Heard, Fault> {
    let known = usize::try_from((entry.seq + 1).saturating_sub(batch.first()));
    let new = batch.lines().iter().skip(known.unwrap_or(usize::MAX));
    let told = |line: &&String| {
        line.contains(r#""event":"approval"#) || line.contains(r#""event":"terminal""#)
    };
    let mut listener = Listener::new(core, entry);
    for line in new.filter(told) {
        let Ok(frame) = Frame::parse(line) else { continue };
        match frame.event.as_str() {
            "approvalRequested" => {
                if let Ok(asked) = serde_json::from_str(frame.payload.get()) {
                    listener.requested(&asked)?;
                }
            }
            "approvalResolved" => {
                if let Ok(resolved) = serde_json::from_str(frame.payload.get()) {
                    listener.resolved(&resolved, frame.payload.get())?;
                }
            }
            "terminal" => listener.ended()?,
            _ => {}
        }
    }
    Ok(listener.finish())
}

/// Closes what a run of ours was about, when this side ends it: nothing more will be heard of it.
pub(crate) fn hear_own_end(core: &Core, entry: &EntryRow) -> Result<Heard, Fault> {
    let mut listener = Listener::new(core, entry);
    listener.ended()?;
    Ok(listener.finish())
}

struct Listener<'a> {
    core: &'a Core,
    entry: &'a EntryRow,
    created: BTreeMap<ApprovalId, ApprovalRow>,
    changed: BTreeMap<ApprovalId, ApprovalRow>,
    /// The newest catalogs that came with decisions of this batch.
    catalogs: BTreeMap<(GatewayId, TenantId), CatalogRow>,
    heard: Heard,
}

impl<'a> Listener<'a> {
    fn new(core: &'a Core, entry: &'a EntryRow) -> Self {
        let (created, changed, catalogs) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { core, entry, created, changed, catalogs, heard: Heard::default() }
    }

    fn row(&self, id: &ApprovalId) -> Result<Option<ApprovalRow>, Fault> {
        match self.created.get(id).or_else(|| self.changed.get(id)) {
            Some(row) => Ok(Some(row.clone())),
            None => self.core.store.reads().approval(id),
        }
    }

    fn put(&mut self, row: ApprovalRow) {
        match self.created.get_mut(&row.id) {
            Some(created) => *created = row,
            None => drop(self.changed.insert(row.id.clone(), row)),
        }
    }

    /// The question of ours that this run asks their operators, where it does.
    fn own_question(&self) -> Option<ApprovalId> {
        if self.entry.agent.as_str() != OPERATORS_AGENT {
            return None;
        }
        let start: Start = serde_json::from_str(&self.entry.body).ok()?;
        start.approval_request?;
        self.entry.labels.get("approval")?.parse().ok()
    }

    fn requested(&mut self, shown: &ApprovalRequested) -> Result<(), Fault> {
        if self.row(&shown.approval)?.is_some() {
            return Ok(());
        }
        let (core, entry) = (self.core, self.entry);
        let id = shown.approval.as_str();
        match self.verified(shown) {
            Ok(row) => {
                let said = [("run", entry.run.as_str()), ("kind", shown.kind.as_str())];
                let audit = core.audit(entry.peer.as_str(), "approval_asked", id, said);
                self.heard.writes.push(audit);
                self.created.insert(row.id.clone(), row);
            }
            Err(why) => {
                let said = [("run", entry.run.as_str()), ("why", why.as_str())];
                let audit = core.audit(entry.peer.as_str(), "approval_unverified", id, said);
                self.heard.writes.push(audit);
            }
        }
        Ok(())
    }

    fn verified(&self, shown: &ApprovalRequested) -> Result<ApprovalRow, String> {
        let (core, entry) = (self.core, self.entry);
        let envelope = Envelope::parse(shown.request.as_bytes()).map_err(|why| why.to_string())?;
        let view = core.peer_view(&entry.peer).map_err(|why| why.to_string())?;
        let tenants = ApprovalTenants::executor_relies(&entry.tenant);
        let (bytes, now) = (shown.subject.text.as_bytes(), core.now());
        let verified = check_ask(&envelope, &view, core.own(), &tenants, bytes, now)
            .map_err(|why| super::detail(&why))?;
        let request = verified.value();
        if request.run != entry.remote || request.id != shown.approval {
            return Err("it belongs to another run".to_owned());
        }
        Ok(ApprovalRow {
            id: request.id.clone(),
            side: ApprovalSide::Deciding,
            tenant: entry.tenant.src.clone(),
            asked: vec![AskedRow {
                peer: entry.peer.clone(),
                request: shown.request.clone(),
                digest: verified.digest(),
                run: None,
            }],
            subject: shown.subject.text.clone(),
            run: Some(entry.run.clone()),
            question: None,
            token: entry.token.clone(),
            created: now,
            expires: request.expires,
            state: ApprovalState::Open,
            decisions: Vec::new(),
            answer: None,
            decided: None,
            revision: 0,
        })
    }

    fn resolved(&mut self, resolved: &ApprovalResolved, text: &str) -> Result<(), Fault> {
        let own = self.own_question();
        let Some(mut row) = self.row(&resolved.approval)? else { return Ok(()) };
        if own.as_ref() == Some(&row.id) && row.side == ApprovalSide::Relying {
            return self.decided(row, resolved);
        }
        let is_ours =
            row.side == ApprovalSide::Deciding && row.run.as_ref() == Some(&self.entry.run);
        if !is_ours || row.answer.is_some() {
            return Ok(());
        }
        row.answer = Some(text.to_owned());
        if row.state == ApprovalState::Open {
            row.decided = Some(self.core.now());
            row.state = match (resolved.by, resolved.decision) {
                (ResolvedBy::Peer | ResolvedBy::Operator, Vote::Approve) => ApprovalState::Approved,
                (ResolvedBy::Peer | ResolvedBy::Operator, Vote::Deny) => ApprovalState::Denied,
                (ResolvedBy::Gateway | ResolvedBy::Closed, _) => ApprovalState::Closed,
                (ResolvedBy::Expiry, _) => ApprovalState::Expired,
            };
        }
        self.put(row);
        Ok(())
    }

    /// A decision of their operators on a question of ours.
    //= APR-35
    fn decided(&mut self, row: ApprovalRow, resolved: &ApprovalResolved) -> Result<(), Fault> {
        let text = resolved.evidence.as_deref().unwrap_or_default();
        let Ok(decision) = serde_json::from_str::<Decision>(text) else {
            self.refuse(&row.id, "it brings no decision");
            return Ok(());
        };
        let digest = decision.approval.digest();
        if row.state != ApprovalState::Open
            || row.decisions.iter().any(|kept| is_same(&kept.decision, digest))
        {
            return Ok(());
        }
        match self.judged(&row, &decision, text) {
            Ok((row, uses)) => {
                self.heard.guards.push(uses.kept);
                self.heard.guards.extend(uses.unseen);
                self.heard.writes.extend(uses.writes);
                self.catalogs.extend(uses.catalog.map(|row| (place(&row), row)));
                self.put(row);
                Ok(())
            }
            Err(Refused::Store(fault)) => Err(fault),
            Err(Refused::Why(why)) => {
                self.refuse(&row.id, &why);
                Ok(())
            }
        }
    }

    fn judged(
        &self,
        row: &ApprovalRow,
        decision: &Decision,
        text: &str,
    ) -> Result<(ApprovalRow, Uses), Refused> {
        let core = self.core;
        let asked = Asked::of(core, row, &self.entry.peer)?;
        let judged = asked.judge(decision).map_err(|why| Refused::Why(super::detail(&why)))?;
        let seen = core.store.reads().jti_seen(judged.gateway(), judged.jti());
        if seen.map_err(Refused::Store)? || self.is_used(&judged) {
            return Err(Refused::Why("this approval was used before".to_owned()));
        }
        let mut tally = tally(core, row, &judged)?;
        if tally.count(&judged) == Counted::AddsNothing {
            return Err(Refused::Why("this person or this key counted already".to_owned()));
        }
        let standing = tally.standing();
        let row = counted(core, row.clone(), &judged, text.to_owned(), standing);
        let uses = uses(core, &row, &asked, &judged, standing);
        // Two decisions of one batch are judged by the same store: their catalogs go up all the same.
        let before = uses.catalog.as_ref().and_then(|row| self.catalogs.get(&place(row)));
        if let Some((new, before)) = uses.catalog.as_ref().zip(before)
            && (new.version < before.version
                || (new.version == before.version && new.envelope != before.envelope))
        {
            return Err(Refused::Why("its catalog is older than the one before".to_owned()));
        }
        Ok((row, uses))
    }

    /// Whether an earlier decision of this batch has the same id.
    fn is_used(&self, judged: &Judged) -> bool {
        self.heard.writes.iter().any(|write| {
            matches!(write, Write::Jti { issuer, jti, .. }
                if issuer == judged.gateway() && jti == judged.jti())
        })
    }

    fn refuse(&mut self, id: &ApprovalId, why: &str) {
        let (actor, run) = (self.entry.peer.as_str(), self.entry.run.as_str());
        let said = [("run", run), ("why", why)];
        self.heard.writes.push(self.core.audit(actor, "approval_refused", id.as_str(), said));
    }

    /// Nothing more will be heard of this run.
    fn ended(&mut self) -> Result<(), Fault> {
        if let Some(id) = self.own_question() {
            return self.asking_ended(&id);
        }
        let filter = ApprovalFilter {
            state: Some(ApprovalState::Open),
            side: Some(ApprovalSide::Deciding),
            run: Some(self.entry.run.clone()),
            limit: u32::MAX,
            ..ApprovalFilter::default()
        };
        let stored = self.core.store.reads().approvals(&filter)?;
        let ids = stored.into_iter().map(|row| row.id).chain(self.created.keys().cloned());
        for id in ids.collect::<Vec<_>>() {
            if let Some(row) = self.row(&id)?.filter(|row| row.state == ApprovalState::Open) {
                self.close(row);
            }
        }
        Ok(())
    }

    /// One run that asked on our behalf has ended; the question has when all of them have.
    fn asking_ended(&mut self, id: &ApprovalId) -> Result<(), Fault> {
        let Some(row) = self.row(id)?.filter(|row| row.state == ApprovalState::Open) else {
            return Ok(());
        };
        for run in row.asked.iter().filter_map(|asked| asked.run.as_ref()) {
            let other = self.core.store.reads().entry(run)?;
            let open = other.is_some_and(|other| other.phase != EntryPhase::Settled);
            if open && *run != self.entry.run {
                return Ok(());
            }
        }
        self.close(row);
        Ok(())
    }

    fn close(&mut self, mut row: ApprovalRow) {
        let now = self.core.now();
        let over = now >= row.expires;
        row.state = if over { ApprovalState::Expired } else { ApprovalState::Closed };
        row.decided = Some(now);
        let said = [("why", "run_ended")];
        self.heard.writes.push(self.core.audit("bridge", "approval_closed", row.id.as_str(), said));
        self.put(row);
    }

    fn finish(self) -> Heard {
        let mut heard = self.heard;
        heard.writes.extend(self.catalogs.into_values().map(Write::PutCatalog));
        for (id, row) in self.created {
            heard.guards.push(Guard::ApprovalFree { id });
            heard.writes.push(Write::CreateApproval(row));
        }
        for row in self.changed.into_values() {
            let (guard, put) = replaced(row);
            heard.guards.push(guard);
            heard.writes.push(put);
        }
        heard
    }
}

fn place(row: &CatalogRow) -> (GatewayId, TenantId) {
    (row.gateway.clone(), row.tenant.clone())
}

enum Refused {
    Store(Fault),
    Why(String),
}

impl From<NotJudged> for Refused {
    fn from(why: NotJudged) -> Self {
        match why {
            NotJudged::Store(fault) => Self::Store(fault),
            other => Self::Why(other.to_string()),
        }
    }
}
