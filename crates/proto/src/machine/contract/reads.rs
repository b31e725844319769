//! The reading half of the contract: what is durable, as of now.

use std::collections::BTreeMap;

use crate::machine::budget::{Day, Spent};
use crate::wire::digest::Digest;
use crate::wire::name::{
    AgentName, Alias, ApprovalId, GatewayId, IdempotencyKey, Jti, Owner, RunId, SessionHandle,
    TenantId, TenantPair, Timestamp,
};

use super::{
    ApprovalRow, ApprovalSide, ApprovalState, AuditRow, CatalogRow, DocumentKind, DocumentRow,
    EntryBrief, EntryRow, EvidenceRow, InviteRow, KeyRecord, MembershipRow, PairingRow, RunRow,
    TokenRow,
};

/// Which journal entries to list, newest first. What is empty or `None` excludes nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EntryFilter {
    /// Only entries older than this place, whether or not there still is an entry at it.
    pub before: Option<EntryPlace>,
    /// Only these logical gateways.
    pub gateways: Vec<Alias>,
    /// Only open (`false`) or settled (`true`) ones.
    pub settled: Option<bool>,
    /// Only those that ended so.
    pub outcome: Option<String>,
    /// Only those of this token.
    pub token: Option<String>,
    /// Only those of these tenants of ours.
    pub tenants: Vec<TenantId>,
    /// Only those with all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Only those invoked at this time or later.
    pub since: Option<Timestamp>,
    /// Only those invoked before this time.
    pub until: Option<Timestamp>,
    /// At most so many.
    pub limit: u32,
}

/// A place in the list of journal entries: later ones come first, and of one time the greater run.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct EntryPlace {
    /// When the entry was invoked.
    pub created: Timestamp,
    /// Its run.
    pub run: RunId,
}

/// Which approvals to list, newest first. What is empty or `None` excludes nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ApprovalFilter {
    /// Only those that stand so.
    pub state: Option<ApprovalState>,
    /// Only those of which we are this side.
    pub side: Option<ApprovalSide>,
    /// Only those of these tenants of ours.
    pub tenants: Vec<TenantId>,
    /// Only those that this token asked for.
    pub token: Option<String>,
    /// Only those for which this run waits.
    pub run: Option<RunId>,
    /// At most so many.
    pub limit: u32,
}

/// A received seal and when it was verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReceivedSeal {
    /// The last frame that it covers.
    pub seq: u64,
    /// The envelope, canonical bytes.
    pub seal: String,
    /// When it was verified.
    pub at: Timestamp,
}

/// The reading half of a store: what is durable, as of now.
pub trait Reads: Send + Sync {
    /// Why the store cannot be read.
    type Fault: std::error::Error + Send + Sync + 'static;

    /// Whether a request with this id was accepted and is still remembered.
    ///
    /// # Errors
    ///
    /// Returns the store's fault, here and in every function of this trait.
    fn jti_seen(&self, issuer: &GatewayId, jti: &Jti) -> Result<bool, Self::Fault>;
    /// What the owner's key is bound to.
    fn key(&self, owner: &Owner, key: &IdempotencyKey) -> Result<Option<KeyRecord>, Self::Fault>;
    /// Whether any key of the owner is kept, bound to a run or blocked.
    fn keeps_keys_of(&self, owner: &Owner) -> Result<bool, Self::Fault>;
    /// An executor's run.
    fn run(&self, run: &RunId) -> Result<Option<RunRow>, Self::Fault>;
    /// All runs without a terminal, oldest first.
    fn open_runs(&self) -> Result<Vec<RunRow>, Self::Fault>;
    /// All runs with a terminal that the gateway may still be at, oldest first.
    fn lingering_runs(&self) -> Result<Vec<RunRow>, Self::Fault>;
    /// How many runs without a terminal the owner has.
    fn open_runs_of(&self, owner: &Owner) -> Result<u64, Self::Fault>;
    /// What the owner spent on a day.
    fn spent(&self, owner: &Owner, day: Day) -> Result<Spent, Self::Fault>;
    /// Whether a kept run of the owner was led in the session by the agent.
    fn session_known(
        &self,
        owner: &Owner,
        agent: &AgentName,
        session: &SessionHandle,
    ) -> Result<bool, Self::Fault>;
    /// The last of the open runs that were bound to the run's session before it.
    fn run_ahead(&self, run: &RunId) -> Result<Option<RunId>, Self::Fault>;
    /// Frames after `after`, whole, at most `count` and, after the first, at most `bytes` in sum.
    fn frames(
        &self,
        run: &RunId,
        after: u64,
        count: usize,
        bytes: usize,
    ) -> Result<Vec<String>, Self::Fault>;
    /// The chain's head at the end of the last step whose frames all lie at or before `seq`, with that
    /// step's last `seq`; `None`: there was none, or it was stored before heads were kept.
    fn head_before(&self, run: &RunId, seq: u64) -> Result<Option<(u64, Digest)>, Self::Fault>;
    /// A journal entry.
    fn entry(&self, run: &RunId) -> Result<Option<EntryRow>, Self::Fault>;
    /// The journal entry with this key.
    fn entry_of_key(
        &self,
        peer: &GatewayId,
        tenant: &TenantPair,
        key: &IdempotencyKey,
    ) -> Result<Option<EntryRow>, Self::Fault>;
    /// Journal entries, newest first. Their texts, which may be long, are not read.
    fn entries(&self, filter: &EntryFilter) -> Result<Vec<EntryBrief>, Self::Fault>;
    /// How many journal entries without a terminal a local token has.
    fn open_entries_of(&self, token: &str) -> Result<u64, Self::Fault>;
    /// All journal entries without a terminal, oldest first.
    fn open_entries(&self) -> Result<Vec<EntryRow>, Self::Fault>;
    /// Received frames after `after`, bounded as in [`Reads::frames`].
    fn received(
        &self,
        run: &RunId,
        after: u64,
        count: usize,
        bytes: usize,
    ) -> Result<Vec<String>, Self::Fault>;
    /// The seals of a journal entry, in order.
    fn received_seals(&self, run: &RunId) -> Result<Vec<ReceivedSeal>, Self::Fault>;
    /// The newest document of a kind.
    fn newest_document(
        &self,
        gateway: &GatewayId,
        kind: DocumentKind,
    ) -> Result<Option<DocumentRow>, Self::Fault>;
    /// All documents of a kind, oldest version first.
    fn documents(
        &self,
        gateway: &GatewayId,
        kind: DocumentKind,
    ) -> Result<Vec<DocumentRow>, Self::Fault>;
    /// The newest document of a kind whose version is not above `version`.
    fn document_upto(
        &self,
        gateway: &GatewayId,
        kind: DocumentKind,
        version: u64,
    ) -> Result<Option<DocumentRow>, Self::Fault> {
        let all = self.documents(gateway, kind)?;
        Ok(all.into_iter().rev().find(|row| row.version <= version))
    }
    /// All local tokens, oldest first.
    fn tokens(&self) -> Result<Vec<TokenRow>, Self::Fault>;
    /// A local token.
    fn token(&self, id: &str) -> Result<Option<TokenRow>, Self::Fault>;
    /// The token with this secret's hash.
    fn token_of_hash(&self, hash: &Digest) -> Result<Option<TokenRow>, Self::Fault>;
    /// An invite.
    fn invite(&self, id: &Digest) -> Result<Option<InviteRow>, Self::Fault>;
    /// All memberships that are kept, by member.
    fn memberships(&self) -> Result<Vec<MembershipRow>, Self::Fault>;
    /// All invites, those that were used, withdrawn or have expired included; oldest first.
    fn invites(&self) -> Result<Vec<InviteRow>, Self::Fault>;
    /// All pairings that wait for a person, on this side or on the other.
    fn pairings(&self) -> Result<Vec<PairingRow>, Self::Fault>;
    /// Evidence by its id.
    fn evidence(&self, id: &str) -> Result<Option<EvidenceRow>, Self::Fault>;
    /// All evidence, oldest first.
    fn all_evidence(&self) -> Result<Vec<EvidenceRow>, Self::Fault>;
    /// An approval.
    fn approval(&self, id: &ApprovalId) -> Result<Option<ApprovalRow>, Self::Fault>;
    /// Approvals, newest first.
    fn approvals(&self, filter: &ApprovalFilter) -> Result<Vec<ApprovalRow>, Self::Fault>;
    /// All undecided approvals, oldest first.
    fn open_approvals(&self) -> Result<Vec<ApprovalRow>, Self::Fault>;
    /// The newest catalog of a gateway's tenant.
    fn catalog(
        &self,
        gateway: &GatewayId,
        tenant: &TenantId,
    ) -> Result<Option<CatalogRow>, Self::Fault>;
    /// All catalogs that are kept, by gateway and tenant.
    fn catalogs(&self) -> Result<Vec<CatalogRow>, Self::Fault>;
    /// A named value of the store's own.
    fn meta(&self, name: &str) -> Result<Option<String>, Self::Fault>;
    /// The durable clock: the latest time that was committed.
    fn clock(&self) -> Result<Timestamp, Self::Fault>;
    /// Audit rows after number `after`, at most `count`.
    fn audit(&self, after: u64, count: usize) -> Result<Vec<AuditRow>, Self::Fault>;
    /// The number and head of the last audit row; (0, start value) when there is none.
    fn audit_head(&self) -> Result<(u64, Digest), Self::Fault>;
}
