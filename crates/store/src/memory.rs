//! The model: the whole contract over ordered maps, with nothing durable.
//!
//! It is the oracle that the database is compared with, and the store of tests and simulations. It
//! favours the obvious over the fast: a group is applied to a copy, which then replaces the original.

mod approvals;
mod read;
mod write;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use landbridge_proto::machine::audit;
use landbridge_proto::machine::budget::{Day, Spent};
use landbridge_proto::machine::contract::{
    ApprovalRow, AuditRow, CatalogRow, DocumentKind, DocumentRow, EntryRow, EvidenceRow, InviteRow,
    KeyRecord, MembershipRow, PairingRow, ReceivedSeal, Room, RunRow, SessionRow, Store, TokenRow,
};
use landbridge_proto::machine::step::{Batch, Outcome};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::name::{
    ApprovalId, GatewayId, IdempotencyKey, Jti, Owner, RunId, TenantId, TenantPair, Timestamp,
};

use crate::fault::Fault;

/// A store in memory; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    committed: Arc<RwLock<Arc<Model>>>,
    short: Arc<AtomicBool>,
}

/// Everything that is stored. Tables are shared between copies until one of them is written.
#[derive(Clone, Debug, Default)]
struct Model {
    jtis: Arc<BTreeMap<(GatewayId, Jti), Timestamp>>,
    keys: Arc<BTreeMap<(Owner, IdempotencyKey), KeyRecord>>,
    runs: Arc<BTreeMap<RunId, Arc<RunRow>>>,
    spent: Arc<BTreeMap<(Owner, Day), Spent>>,
    frames: Arc<BTreeMap<RunId, Arc<Vec<Arc<str>>>>>,
    heads: Arc<BTreeMap<RunId, BTreeMap<u64, Digest>>>,
    /// In the order of acceptance.
    sessions: Arc<Vec<Arc<SessionRow>>>,
    entries: Arc<BTreeMap<RunId, Arc<EntryRow>>>,
    entry_keys: Arc<BTreeMap<(GatewayId, TenantPair, IdempotencyKey), RunId>>,
    received: Arc<BTreeMap<RunId, Arc<Received>>>,
    documents: Arc<BTreeMap<(GatewayId, DocumentKind, u64), Arc<DocumentRow>>>,
    tokens: Arc<BTreeMap<String, TokenRow>>,
    invites: Arc<BTreeMap<Digest, InviteRow>>,
    pairings: Arc<BTreeMap<GatewayId, PairingRow>>,
    memberships: Arc<BTreeMap<GatewayId, MembershipRow>>,
    evidence: Arc<BTreeMap<String, EvidenceRow>>,
    approvals: Arc<BTreeMap<ApprovalId, Arc<ApprovalRow>>>,
    catalogs: Arc<BTreeMap<(GatewayId, TenantId), CatalogRow>>,
    meta: Arc<BTreeMap<String, String>>,
    clock: Timestamp,
    audit: Arc<Vec<Arc<AuditRow>>>,
}

/// What the journal received for one entry.
#[derive(Clone, Debug, Default)]
struct Received {
    lines: Vec<Arc<str>>,
    seals: Vec<ReceivedSeal>,
}

impl Engine {
    /// Takes all room but the reserve away, or gives it back: a full disk as a test wants it.
    pub fn set_room(&self, room: Room) {
        self.short.store(room == Room::Short, Ordering::Release);
    }

    fn now(&self) -> Arc<Model> {
        Arc::clone(&self.committed.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store for Engine {
    type Fault = Fault;

    fn apply(&mut self, group: &[Batch]) -> Result<Vec<Outcome>, Fault> {
        let mut model = Model::clone(&self.now());
        let mut outcomes = Vec::with_capacity(group.len());
        let short = Store::room(self) == Room::Short;
        for batch in group {
            if short && !batch.may_use_reserve() {
                outcomes.push(Outcome::Full);
                continue;
            }
            match batch.guards().iter().find(|guard| !model.holds(guard)) {
                Some(guard) => outcomes.push(Outcome::Stale(guard.clone())),
                None => {
                    model.apply(batch.writes())?;
                    outcomes.push(Outcome::Committed);
                }
            }
        }
        *self.committed.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(model);
        Ok(outcomes)
    }

    fn room(&self) -> Room {
        if self.short.load(Ordering::Acquire) { Room::Short } else { Room::Enough }
    }
}

impl Model {
    fn audit_head(&self) -> (u64, Digest) {
        self.audit.last().map_or_else(|| (0, audit::start()), |row| (row.n, row.head))
    }
}
