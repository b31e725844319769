//! Reads of the model.

use std::sync::Arc;

use landbridge_proto::machine::budget::{Day, Spent};
use landbridge_proto::machine::contract::{
    ApprovalFilter, ApprovalRow, AuditRow, CatalogRow, DocumentKind, DocumentRow, EntryBrief,
    EntryFilter, EntryPhase, EntryPlace, EntryRow, EvidenceRow, InviteRow, KeyRecord,
    MembershipRow, PairingRow, Reads, ReceivedSeal, RunPhase, RunRow, TokenRow,
};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::name::{
    AgentName, ApprovalId, GatewayId, IdempotencyKey, Jti, Owner, RunId, SessionHandle, TenantId,
    TenantPair, Timestamp,
};

use super::{Engine, Model};
use crate::fault::Fault;

impl Model {
    pub(super) fn documents_of(
        &self,
        gateway: &GatewayId,
        kind: DocumentKind,
    ) -> impl DoubleEndedIterator<Item = &DocumentRow> {
        let range = (gateway.clone(), kind, 0)..=(gateway.clone(), kind, u64::MAX);
        self.documents.range(range).map(|(_, row)| &**row)
    }

    pub(super) fn session_known(
        &self,
        owner: &Owner,
        agent: &AgentName,
        session: &SessionHandle,
    ) -> bool {
        //= REQ-47
        self.sessions
            .iter()
            .any(|row| row.owner == *owner && row.agent == *agent && row.session == *session)
    }

    pub(super) fn run_ahead(&self, run: &RunId) -> Option<RunId> {
        let at = self.sessions.iter().position(|row| row.run == *run)?;
        let own = &self.sessions[at];
        let is_open =
            |run: &RunId| self.runs.get(run).is_some_and(|row| row.phase != RunPhase::Settled);
        let mut before = self.sessions[..at].iter().rev();
        before
            .find(|row| row.owner == own.owner && row.session == own.session && is_open(&row.run))
            .map(|row| row.run.clone())
    }

    pub(super) fn open_entries_of(&self, token: &str) -> u64 {
        let open = self.entries.values().filter(|row| row.phase != EntryPhase::Settled);
        open.filter(|row| row.token.as_deref() == Some(token)).count() as u64
    }

    fn entries_newest_first(&self) -> Vec<&EntryRow> {
        let mut all: Vec<_> = self.entries.values().map(|row| &**row).collect();
        all.sort_by_key(|row| std::cmp::Reverse((row.created, row.run.clone())));
        all
    }
}

impl Reads for Engine {
    type Fault = Fault;

    fn jti_seen(&self, issuer: &GatewayId, jti: &Jti) -> Result<bool, Fault> {
        Ok(self.now().jtis.contains_key(&(issuer.clone(), jti.clone())))
    }

    fn key(&self, owner: &Owner, key: &IdempotencyKey) -> Result<Option<KeyRecord>, Fault> {
        Ok(self.now().keys.get(&(owner.clone(), key.clone())).cloned())
    }

    fn keeps_keys_of(&self, owner: &Owner) -> Result<bool, Fault> {
        Ok(self.now().keys.keys().any(|(of, _)| of == owner))
    }

    fn run(&self, run: &RunId) -> Result<Option<RunRow>, Fault> {
        Ok(self.now().runs.get(run).map(|row| RunRow::clone(row)))
    }

    fn open_runs(&self) -> Result<Vec<RunRow>, Fault> {
        let now = self.now();
        let open = now.runs.values().filter(|row| row.phase != RunPhase::Settled);
        let mut open: Vec<_> = open.map(|row| RunRow::clone(row)).collect();
        open.sort_by_key(|row| (row.created, row.run.clone()));
        Ok(open)
    }

    fn lingering_runs(&self) -> Result<Vec<RunRow>, Fault> {
        let now = self.now();
        let lingering = now.runs.values().filter(|row| row.lingers);
        let mut lingering: Vec<_> = lingering.map(|row| RunRow::clone(row)).collect();
        lingering.sort_by_key(|row| (row.created, row.run.clone()));
        Ok(lingering)
    }

    fn open_runs_of(&self, owner: &Owner) -> Result<u64, Fault> {
        let now = self.now();
        let open = now.runs.values().filter(|row| row.phase != RunPhase::Settled);
        Ok(open.filter(|row| row.owner == *owner).count() as u64)
    }

    fn spent(&self, owner: &Owner, day: Day) -> Result<Spent, Fault> {
        Ok(self.now().spent.get(&(owner.clone(), day)).copied().unwrap_or_default())
    }

    fn session_known(
        &self,
        owner: &Owner,
        agent: &AgentName,
        session: &SessionHandle,
    ) -> Result<bool, Fault> {
        Ok(self.now().session_known(owner, agent, session))
    }

    fn run_ahead(&self, run: &RunId) -> Result<Option<RunId>, Fault> {
        Ok(self.now().run_ahead(run))
    }

    fn frames(
        &self,
        run: &RunId,
        after: u64,
        count: usize,
        bytes: usize,
    ) -> Result<Vec<String>, Fault> {
        let now = self.now();
        Ok(now.frames.get(run).map_or_else(Vec::new, |lines| page(lines, after, count, bytes)))
    }

    fn head_before(&self, run: &RunId, seq: u64) -> Result<Option<(u64, Digest)>, Fault> {
        let model = self.now();
        let last = model.heads.get(run).and_then(|heads| heads.range(..=seq).next_back());
        Ok(last.map(|(seq, head)| (*seq, *head)))
    }

    fn entry(&self, run: &RunId) -> Result<Option<EntryRow>, Fault> {
        Ok(self.now().entries.get(run).map(|row| EntryRow::clone(row)))
    }

    fn entry_of_key(
        &self,
        peer: &GatewayId,
        tenant: &TenantPair,
        key: &IdempotencyKey,
    ) -> Result<Option<EntryRow>, Fault> {
        let now = self.now();
        let run = now.entry_keys.get(&(peer.clone(), tenant.clone(), key.clone()));
        Ok(run.and_then(|run| now.entries.get(run)).map(|row| EntryRow::clone(row)))
    }

    fn entries(&self, filter: &EntryFilter) -> Result<Vec<EntryBrief>, Fault> {
        let now = self.now();
        let wanted = now.entries_newest_first().into_iter().filter(|row| wanted(row, filter));
        Ok(wanted.take(filter.limit as usize).map(EntryBrief::from).collect())
    }

    fn open_entries_of(&self, token: &str) -> Result<u64, Fault> {
        Ok(self.now().open_entries_of(token))
    }

    fn open_entries(&self) -> Result<Vec<EntryRow>, Fault> {
        let now = self.now();
        let newest = now.entries_newest_first().into_iter().rev();
        Ok(newest.filter(|row| row.phase != EntryPhase::Settled).cloned().collect())
    }

    fn received(
        &self,
        run: &RunId,
        after: u64,
        count: usize,
        bytes: usize,
    ) -> Result<Vec<String>, Fault> {
        let now = self.now();
        let received = now.received.get(run);
        Ok(received.map_or_else(Vec::new, |found| page(&found.lines, after, count, bytes)))
    }

    fn received_seals(&self, run: &RunId) -> Result<Vec<ReceivedSeal>, Fault> {
        Ok(self.now().received.get(run).map_or_else(Vec::new, |found| found.seals.clone()))
    }

    fn newest_document(
        &self,
        gateway: &GatewayId,
        kind: DocumentKind,
    ) -> Result<Option<DocumentRow>, Fault> {
        Ok(self.now().documents_of(gateway, kind).next_back().cloned())
    }

    fn documents(
        &self,
        gateway: &GatewayId,
        kind: DocumentKind,
    ) -> Result<Vec<DocumentRow>, Fault> {
        Ok(self.now().documents_of(gateway, kind).cloned().collect())
    }

    fn tokens(&self) -> Result<Vec<TokenRow>, Fault> {
        let mut tokens: Vec<_> = self.now().tokens.values().cloned().collect();
        tokens.sort_by_key(|row| (row.created, row.id.clone()));
        Ok(tokens)
    }

    fn token(&self, id: &str) -> Result<Option<TokenRow>, Fault> {
        Ok(self.now().tokens.get(id).cloned())
    }

    fn token_of_hash(&self, hash: &Digest) -> Result<Option<TokenRow>, Fault> {
        Ok(self.now().tokens.values().find(|row| row.hash == *hash).cloned())
    }

    fn invite(&self, id: &Digest) -> Result<Option<InviteRow>, Fault> {
        Ok(self.now().invites.get(id).cloned())
    }

    fn invites(&self) -> Result<Vec<InviteRow>, Fault> {
        let mut invites: Vec<_> = self.now().invites.values().cloned().collect();
        invites.sort_by_key(|row| (row.created, row.id));
        Ok(invites)
    }

    fn memberships(&self) -> Result<Vec<MembershipRow>, Fault> {
        Ok(self.now().memberships.values().cloned().collect())
    }

    fn pairings(&self) -> Result<Vec<PairingRow>, Fault> {
        let mut pairings: Vec<_> = self.now().pairings.values().cloned().collect();
        pairings.sort_by_key(|row| (row.at, row.peer.clone()));
        Ok(pairings)
    }

    fn evidence(&self, id: &str) -> Result<Option<EvidenceRow>, Fault> {
        Ok(self.now().evidence.get(id).cloned())
    }

    fn all_evidence(&self) -> Result<Vec<EvidenceRow>, Fault> {
        let mut all: Vec<_> = self.now().evidence.values().cloned().collect();
        all.sort_by_key(|row| (row.at, row.id.clone()));
        Ok(all)
    }

    fn approval(&self, id: &ApprovalId) -> Result<Option<ApprovalRow>, Fault> {
        Ok(self.now().approvals.get(id).map(|row| ApprovalRow::clone(row)))
    }

    fn approvals(&self, filter: &ApprovalFilter) -> Result<Vec<ApprovalRow>, Fault> {
        Ok(self.now().approvals(filter))
    }

    fn open_approvals(&self) -> Result<Vec<ApprovalRow>, Fault> {
        Ok(self.now().open_approvals())
    }

    fn catalog(&self, gateway: &GatewayId, tenant: &TenantId) -> Result<Option<CatalogRow>, Fault> {
        Ok(self.now().catalog(gateway, tenant).cloned())
    }

    fn catalogs(&self) -> Result<Vec<CatalogRow>, Fault> {
        Ok(self.now().catalogs.values().cloned().collect())
    }

    fn meta(&self, name: &str) -> Result<Option<String>, Fault> {
        Ok(self.now().meta.get(name).cloned())
    }

    fn clock(&self) -> Result<Timestamp, Fault> {
        Ok(self.now().clock)
    }

    fn audit(&self, after: u64, count: usize) -> Result<Vec<AuditRow>, Fault> {
        let now = self.now();
        let later = now.audit.iter().filter(|row| row.n > after);
        Ok(later.take(count).map(|row| AuditRow::clone(row)).collect())
    }

    fn audit_head(&self) -> Result<(u64, Digest), Fault> {
        Ok(self.now().audit_head())
    }
}

fn wanted(row: &EntryRow, filter: &EntryFilter) -> bool {
    let place = || EntryPlace { created: row.created, run: row.run.clone() };
    let settled = row.phase == EntryPhase::Settled;
    filter.before.as_ref().is_none_or(|before| place() < *before)
        && (filter.gateways.is_empty() || filter.gateways.contains(&row.gateway))
        && filter.settled.is_none_or(|wanted| settled == wanted)
        && (filter.outcome.is_none() || row.outcome == filter.outcome)
        && (filter.token.is_none() || row.token == filter.token)
        && (filter.tenants.is_empty() || filter.tenants.contains(&row.tenant.src))
        && filter.labels.iter().all(|(name, value)| row.labels.get(name) == Some(value))
        && filter.since.is_none_or(|since| row.created >= since)
        && filter.until.is_none_or(|until| row.created < until)
}

fn page(lines: &[Arc<str>], after: u64, count: usize, bytes: usize) -> Vec<String> {
    let (mut page, mut sum) = (Vec::new(), 0_usize);
    let skip = usize::try_from(after).unwrap_or(usize::MAX);
    for line in lines.iter().skip(skip).take(count) {
        sum = sum.saturating_add(line.len());
        if !page.is_empty() && sum > bytes {
            break;
        }
        page.push(line.to_string());
    }
    page
}
