//! Guards and writes of the model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use landbridge_proto::machine::audit;
use landbridge_proto::machine::budget::Day;
use landbridge_proto::machine::contract::{
    AuditEvent, AuditRow, DocumentKind, DocumentRow, EntryPhase, EntryRow, EvidenceRow, Guard,
    InviteRow, KeyRecord, MembershipRow, ReceivedSeal, RunPhase, RunRow, SessionRow, TokenRow,
    Write,
};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::name::{GatewayId, IdempotencyKey, Owner, RunId, Timestamp};

use super::{Model, Received};
use crate::fault::{Broken, Fault};

impl Model {
    pub(super) fn holds(&self, guard: &Guard) -> bool {
        match guard {
            Guard::JtiUnseen { issuer, jti } => {
                !self.jtis.contains_key(&(issuer.clone(), jti.clone()))
            }
            Guard::KeyFree { owner, key } => self.key_is_free(owner, key),
            Guard::Run { run, epoch, revision } => self
                .runs
                .get(run)
                .is_some_and(|row| row.epoch == *epoch && row.revision == *revision),
            Guard::Entry { run, revision } => {
                self.entries.get(run).is_some_and(|row| row.revision == *revision)
            }
            Guard::EntryKeyFree { peer, tenant, key } => {
                !self.entry_keys.contains_key(&(peer.clone(), tenant.clone(), key.clone()))
            }
            Guard::TokenOpenBelow { token, max } => self.open_entries_of(token) < *max,
            Guard::DocumentAt { gateway, kind, version } => {
                self.documents_of(gateway, *kind).next_back().map(|row| row.version) == *version
            }
            Guard::SessionKnown { owner, agent, session } => {
                self.session_known(owner, agent, session)
            }
            Guard::NextInSession { run } => self.run_ahead(run).is_none(),
            Guard::InviteUnused { id } => self.invites.get(id).is_some_and(InviteRow::is_open),
            Guard::ApprovalFree { id } => !self.approvals.contains_key(id),
            Guard::Approval { id, revision } => {
                self.approvals.get(id).is_some_and(|row| row.revision == *revision)
            }
            Guard::CatalogAt { gateway, tenant, version } => {
                self.catalog(gateway, tenant).map(|row| row.version) == *version
            }
        }
    }

    pub(super) fn apply(&mut self, writes: &[Write]) -> Result<(), Fault> {
        let (mut runs, mut entries) = (BTreeSet::new(), BTreeSet::new());
        let mut appended = BTreeSet::new();
        for write in writes {
            match write {
                Write::Jti { issuer, jti, keep_until } => {
                    let old = Arc::make_mut(&mut self.jtis)
                        .insert((issuer.clone(), jti.clone()), *keep_until);
                    require(old.is_none(), || Broken::JtiExists(jti.clone()))?;
                }
                Write::CreateRun(row) => {
                    self.create_run(row)?;
                    runs.insert(&row.run);
                }
                Write::PutRun(row) => {
                    self.put_run(row)?;
                    runs.insert(&row.run);
                }
                Write::AppendFrames { run, first, lines } => {
                    self.append_frames(run, *first, lines)?;
                    runs.insert(run);
                    appended.insert(run);
                }
                Write::BookUsage { owner, day, spent } => {
                    let all = Arc::make_mut(&mut self.spent);
                    let sum = all.entry((owner.clone(), *day)).or_default();
                    *sum = sum.plus(*spent);
                }
                Write::BindSession(row) => self.bind_session(row)?,
                Write::BlockKey { owner, key, at } => self.block_key(owner, key, *at)?,
                Write::CreateEntry(row) => {
                    self.create_entry(row)?;
                    entries.insert(&row.run);
                }
                Write::PutEntry(row) => {
                    self.put_entry(row)?;
                    entries.insert(&row.run);
                }
                Write::AppendReceived { run, first, lines, seal, at } => {
                    self.append_received(run, *first, lines, seal, *at)?;
                    entries.insert(run);
                }
                Write::SaveDocument(row) => self.save_document(row)?,
                Write::ForgetStatuses { gateway, versions } => {
                    self.forget_statuses(gateway, versions);
                }
                Write::ForgetFederations { gateway, keep } => {
                    self.forget_federations(gateway, *keep);
                }
                Write::PutMembership(row) => self.put_membership(row),
                Write::DropMembership { member } => {
                    Arc::make_mut(&mut self.memberships).remove(member);
                }
                Write::PutToken(row) => self.put_token(row)?,
                Write::CreateInvite(row) => self.create_invite(row)?,
                Write::UseInvite { id, at, by } => self.use_invite(id, *at, by)?,
                Write::WithdrawInvite { id, at } => self.withdraw_invite(id, *at)?,
                Write::PutPairing(row) => {
                    Arc::make_mut(&mut self.pairings).insert(row.peer.clone(), row.clone());
                }
                Write::KeepEvidence(row) => self.keep_evidence(row)?,
                Write::DropPairing { peer } => {
                    Arc::make_mut(&mut self.pairings).remove(peer);
                }
                Write::CreateApproval(row) => self.create_approval(row)?,
                Write::PutApproval(row) => self.put_approval(row)?,
                Write::PutCatalog(row) => self.put_catalog(row)?,
                Write::PutMeta { name, value } => {
                    Arc::make_mut(&mut self.meta).insert(name.clone(), value.clone());
                }
                Write::Clock(now) => self.clock = self.clock.max(*now),
                Write::Audit(event) => self.append_audit(event)?,
                Write::Prune { jti_before, runs_before, entries_before, limit } => {
                    self.prune(*jti_before, *runs_before, *entries_before, *limit as usize);
                }
            }
        }
        self.check_seq(&runs, &entries)?;
        self.keep_heads(&appended);
        Ok(())
    }

    /// An older membership never replaces a newer one.
    fn put_membership(&mut self, row: &MembershipRow) {
        let all = Arc::make_mut(&mut self.memberships);
        if all.get(&row.member).is_none_or(|old| row.issued >= old.issued) {
            all.insert(row.member.clone(), row.clone());
        }
    }

    fn keep_heads(&mut self, appended: &BTreeSet<&RunId>) {
        for run in appended {
            if let Some(row) = self.runs.get(*run) {
                let heads = Arc::make_mut(&mut self.heads).entry((*run).clone()).or_default();
                heads.entry(row.seq).or_insert(row.head);
            }
        }
    }

    fn key_is_free(&self, owner: &Owner, key: &IdempotencyKey) -> bool {
        !self.keys.contains_key(&(owner.clone(), key.clone()))
    }

    fn create_run(&mut self, row: &RunRow) -> Result<(), Fault> {
        require(!self.runs.contains_key(&row.run), || Broken::RunExists(row.run.clone()))?;
        let free = self.key_is_free(&row.owner, &row.key);
        require(free, || Broken::KeyTaken(row.key.clone()))?;
        let record = KeyRecord::Run { run: row.run.clone(), print: row.print };
        Arc::make_mut(&mut self.keys).insert((row.owner.clone(), row.key.clone()), record);
        Arc::make_mut(&mut self.runs).insert(row.run.clone(), Arc::new(row.clone()));
        Ok(())
    }

    fn put_run(&mut self, row: &RunRow) -> Result<(), Fault> {
        let Some(old) = Arc::make_mut(&mut self.runs).get_mut(&row.run) else {
            return Err(Broken::RunUnknown(row.run.clone()).into());
        };
        let same = old.revision == row.revision
            && old.owner == row.owner
            && old.key == row.key
            && old.print == row.print;
        require(same, || Broken::RunChanged(row.run.clone()))?;
        *old = Arc::new(RunRow { revision: row.revision + 1, ..row.clone() });
        Ok(())
    }

    fn append_frames(&mut self, run: &RunId, first: u64, lines: &[String]) -> Result<(), Fault> {
        require(self.runs.contains_key(run), || Broken::RunUnknown(run.clone()))?;
        let frames = Arc::make_mut(&mut self.frames).entry(run.clone()).or_default();
        append(Arc::make_mut(frames), run, first, lines)
    }

    fn bind_session(&mut self, row: &SessionRow) -> Result<(), Fault> {
        require(self.runs.contains_key(&row.run), || Broken::RunUnknown(row.run.clone()))?;
        if !self.sessions.iter().any(|bound| bound.run == row.run) {
            Arc::make_mut(&mut self.sessions).push(Arc::new(row.clone()));
        }
        Ok(())
    }

    fn block_key(
        &mut self,
        owner: &Owner,
        key: &IdempotencyKey,
        at: Timestamp,
    ) -> Result<(), Fault> {
        require(self.key_is_free(owner, key), || Broken::KeyTaken(key.clone()))?;
        let record = KeyRecord::Blocked { at };
        Arc::make_mut(&mut self.keys).insert((owner.clone(), key.clone()), record);
        Ok(())
    }

    fn create_entry(&mut self, row: &EntryRow) -> Result<(), Fault> {
        require(!self.entries.contains_key(&row.run), || Broken::EntryExists(row.run.clone()))?;
        let key = (row.peer.clone(), row.tenant.clone(), row.key.clone());
        let taken = self.entry_keys.contains_key(&key);
        require(!taken, || Broken::EntryKeyTaken(row.key.clone()))?;
        Arc::make_mut(&mut self.entry_keys).insert(key, row.run.clone());
        Arc::make_mut(&mut self.entries).insert(row.run.clone(), Arc::new(row.clone()));
        Ok(())
    }

    fn put_entry(&mut self, row: &EntryRow) -> Result<(), Fault> {
        let Some(old) = Arc::make_mut(&mut self.entries).get_mut(&row.run) else {
            return Err(Broken::EntryUnknown(row.run.clone()).into());
        };
        let same = old.revision == row.revision
            && old.peer == row.peer
            && old.tenant == row.tenant
            && old.key == row.key
            && old.labels == row.labels
            && old.created == row.created;
        require(same, || Broken::EntryChanged(row.run.clone()))?;
        *old = Arc::new(EntryRow { revision: row.revision + 1, ..row.clone() });
        Ok(())
    }

    fn append_received(
        &mut self,
        run: &RunId,
        first: u64,
        lines: &[String],
        seal: &str,
        at: Timestamp,
    ) -> Result<(), Fault> {
        require(self.entries.contains_key(run), || Broken::EntryUnknown(run.clone()))?;
        let received = Arc::make_mut(&mut self.received).entry(run.clone()).or_default();
        let Received { lines: kept, seals } = Arc::make_mut(received);
        append(kept, run, first, lines)?;
        seals.push(ReceivedSeal { seq: kept.len() as u64, seal: seal.to_owned(), at });
        Ok(())
    }

    fn save_document(&mut self, row: &DocumentRow) -> Result<(), Fault> {
        let key = (row.gateway.clone(), row.kind, row.version);
        if let Some(old) = self.documents.get(&key) {
            let same = old.envelope == row.envelope;
            return require(same, || Broken::DocumentDiffers(row.version));
        }
        Arc::make_mut(&mut self.documents).insert(key, Arc::new(row.clone()));
        Ok(())
    }

    fn forget_statuses(&mut self, gateway: &GatewayId, versions: &[u64]) {
        let newest = self.documents_of(gateway, DocumentKind::Status).next_back();
        let newest = newest.map(|row| row.version);
        for version in versions.iter().filter(|version| Some(**version) < newest) {
            let key = (gateway.clone(), DocumentKind::Status, *version);
            Arc::make_mut(&mut self.documents).remove(&key);
        }
    }

    fn forget_federations(&mut self, gateway: &GatewayId, keep: u64) {
        let kept = usize::try_from(keep.max(1)).unwrap_or(usize::MAX);
        let all = self.documents_of(gateway, DocumentKind::Federation).rev();
        let old: Vec<_> = all.skip(kept).map(|row| row.version).collect();
        for version in old {
            let key = (gateway.clone(), DocumentKind::Federation, version);
            Arc::make_mut(&mut self.documents).remove(&key);
        }
    }

    fn keep_evidence(&mut self, row: &EvidenceRow) -> Result<(), Fault> {
        let all = Arc::make_mut(&mut self.evidence);
        let kept = all.entry(row.id.clone()).or_insert_with(|| row.clone());
        require(kept.file == row.file, || Broken::EvidenceDiffers(row.id.clone()))
    }

    fn put_token(&mut self, row: &TokenRow) -> Result<(), Fault> {
        let taken = self.tokens.values().any(|old| old.hash == row.hash && old.id != row.id);
        require(!taken, || Broken::TokenHashTaken(row.id.clone()))?;
        Arc::make_mut(&mut self.tokens).insert(row.id.clone(), row.clone());
        Ok(())
    }

    fn create_invite(&mut self, row: &InviteRow) -> Result<(), Fault> {
        let old = Arc::make_mut(&mut self.invites).insert(row.id, row.clone());
        require(old.is_none(), || Broken::InviteExists)
    }

    fn use_invite(&mut self, id: &Digest, at: Timestamp, by: &GatewayId) -> Result<(), Fault> {
        let invite = self.open_invite(id)?;
        invite.used = Some(at);
        invite.used_by = Some(by.clone());
        invite.secret.clear();
        Ok(())
    }

    fn withdraw_invite(&mut self, id: &Digest, at: Timestamp) -> Result<(), Fault> {
        let invite = self.open_invite(id)?;
        invite.withdrawn = Some(at);
        invite.secret.clear();
        Ok(())
    }

    fn open_invite(&mut self, id: &Digest) -> Result<&mut InviteRow, Fault> {
        let found = Arc::make_mut(&mut self.invites).get_mut(id);
        Ok(found.filter(|invite| invite.is_open()).ok_or(Broken::InviteNotOpen)?)
    }

    fn append_audit(&mut self, event: &AuditEvent) -> Result<(), Fault> {
        let (last, prev) = self.audit_head();
        let (n, event) = (last + 1, audit::event_text(event)?);
        let head = audit::link(prev, n, event.as_bytes());
        Arc::make_mut(&mut self.audit).push(Arc::new(AuditRow { n, event, head }));
        Ok(())
    }

    fn prune(
        &mut self,
        jti_before: Timestamp,
        runs_before: Timestamp,
        entries_before: Timestamp,
        limit: usize,
    ) {
        let until = self.jtis.iter().map(|(key, until)| (*until, key.clone()));
        for key in oldest(until, jti_before, limit) {
            Arc::make_mut(&mut self.jtis).remove(&key);
        }

        let settled = self.runs.values().filter(|row| row.phase == RunPhase::Settled);
        let ended = settled.filter_map(|row| Some((row.ended?, row.run.clone())));
        for run in oldest(ended, runs_before, limit) {
            if let Some(row) = Arc::make_mut(&mut self.runs).remove(&run) {
                let key = (row.owner.clone(), row.key.clone());
                Arc::make_mut(&mut self.keys).remove(&key);
            }
            Arc::make_mut(&mut self.frames).remove(&run);
            Arc::make_mut(&mut self.heads).remove(&run);
            Arc::make_mut(&mut self.sessions).retain(|bound| bound.run != run);
        }

        let today = Day::of(runs_before);
        let past = self.spent.keys().filter(|(_, day)| *day < today);
        let past = past.map(|(owner, day)| (*day, owner.clone()));
        let past: BTreeSet<_> = past.collect();
        for (day, owner) in past.into_iter().take(limit) {
            Arc::make_mut(&mut self.spent).remove(&(owner, day));
        }

        let blocked = self.keys.iter().filter_map(|(key, record)| match record {
            KeyRecord::Blocked { at } => Some((*at, key.clone())),
            KeyRecord::Run { .. } => None,
        });
        for key in oldest(blocked, runs_before, limit) {
            Arc::make_mut(&mut self.keys).remove(&key);
        }

        let settled = self.entries.values().filter(|row| row.phase == EntryPhase::Settled);
        let ended = settled.filter_map(|row| Some((row.ended?, row.run.clone())));
        for run in oldest(ended, entries_before, limit) {
            if let Some(row) = Arc::make_mut(&mut self.entries).remove(&run) {
                let key = (row.peer.clone(), row.tenant.clone(), row.key.clone());
                Arc::make_mut(&mut self.entry_keys).remove(&key);
            }
            Arc::make_mut(&mut self.received).remove(&run);
        }
        self.prune_approvals(runs_before, limit);
    }

    fn check_seq(&self, runs: &BTreeSet<&RunId>, entries: &BTreeSet<&RunId>) -> Result<(), Fault> {
        let runs = runs.iter().filter_map(|run| {
            let last = self.frames.get(*run).map_or(0, |frames| frames.len());
            Some((*run, self.runs.get(*run)?.seq, last as u64))
        });
        let entries = entries.iter().filter_map(|run| {
            let last = self.received.get(*run).map_or(0, |received| received.lines.len());
            Some((*run, self.entries.get(*run)?.seq, last as u64))
        });
        for (run, seq, last) in runs.chain(entries) {
            require(seq == last, || Broken::SeqDiffers { run: run.clone(), seq, last })?;
        }
        Ok(())
    }
}

/// The first `limit` of what is earlier than `before`, by time and then by key.
pub(super) fn oldest<K: Ord>(
    all: impl Iterator<Item = (Timestamp, K)>,
    before: Timestamp,
    limit: usize,
) -> Vec<K> {
    let past: BTreeMap<_, _> = all.filter(|(at, _)| *at < before).map(|each| (each, ())).collect();
    past.into_keys().take(limit).map(|(_, key)| key).collect()
}

fn append(
    kept: &mut Vec<Arc<str>>,
    run: &RunId,
    first: u64,
    lines: &[String],
) -> Result<(), Fault> {
    let expected = kept.len() as u64 + 1;
    require(first == expected, || Broken::NotContiguous { run: run.clone(), first, expected })?;
    kept.extend(lines.iter().map(|line| Arc::from(line.as_str())));
    Ok(())
}

pub(super) fn require(holds: bool, broken: impl FnOnce() -> Broken) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(broken().into()) }
}
