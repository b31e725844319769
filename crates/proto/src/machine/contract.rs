//! What every store promises: guards checked and writes applied together, reads of what is durable.
//!
//! The contract speaks the protocol's nouns, not tables, so that an embedded database, a clustered one
//! and a model in memory can be held to one suite. Rows are whole: a machine that changes a run writes
//! the run's new row, under a guard on the row that it read.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::budget::{Day, Spent};
use super::report::StopReason;
use super::step::{Batch, Outcome};
use crate::wire::digest::Digest;
use crate::wire::evidence::Contradiction;
use crate::wire::name::{
    AgentName, Alias, GatewayId, IdempotencyKey, Jti, Owner, RunId, SessionHandle, TenantId,
    TenantPair, Timestamp,
};

/// The writing half of a store. Called by one writer only, through [`super::step::commit`].
pub trait Store {
    /// Why the store cannot be written. Never transient: the process stops. A full disk is none, but
    /// [`Outcome::Full`] for each batch that found no room.
    type Fault;

    /// Applies each batch under a savepoint of its own and makes the whole group durable at once.
    ///
    /// A batch whose guard does not hold (earlier batches of the group included) writes nothing and is
    /// answered with that guard. Audit rows are chained in the order of application.
    ///
    /// While there is [`Room::Short`], batches that may use the reserve are made durable one by one as
    /// far as it goes, and every other batch is answered [`Outcome::Full`] without being tried.
    ///
    /// # Errors
    ///
    /// Returns the fault; then nothing of the group may be acknowledged, and what of it is durable is
    /// known after the next start.
    fn apply(&mut self, group: &[Batch]) -> Result<Vec<Outcome>, Self::Fault>;

    /// What [`Store::apply`] found last.
    fn room(&self) -> Room {
        Room::Enough
    }

    /// Looks again whether there is room, and builds the reserve anew when there is.
    fn look_for_room(&mut self) -> Room {
        self.room()
    }
}

/// Whether there is room for ordinary work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Room {
    /// Everything may be written, and the reserve is whole.
    Enough,
    /// The disk is full, or the reserve is not whole: only what may use the reserve is written.
    Short,
}

/// What must still be true when a batch is committed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Guard {
    /// This request was never accepted before.
    JtiUnseen {
        /// Who signed it.
        issuer: GatewayId,
        /// Its random id.
        jti: Jti,
    },
    /// The owner has not used this key, nor blocked it.
    KeyFree {
        /// Whose key.
        owner: Owner,
        /// The key.
        key: IdempotencyKey,
    },
    /// The executor's run is still driven in this epoch and was not changed since it was read.
    Run {
        /// The run.
        run: RunId,
        /// The driver's epoch.
        epoch: u64,
        /// The row's revision.
        revision: u64,
    },
    /// The caller's journal entry was not changed since it was read.
    Entry {
        /// The entry's run.
        run: RunId,
        /// The row's revision.
        revision: u64,
    },
    /// No journal entry uses this key for this peer and tenant pair.
    EntryKeyFree {
        /// The executor that would be asked.
        peer: GatewayId,
        /// The tenant pair.
        tenant: TenantPair,
        /// The key.
        key: IdempotencyKey,
    },
    /// This local token has fewer journal entries without a terminal.
    TokenOpenBelow {
        /// The token's id.
        token: String,
        /// Than so many.
        max: u64,
    },
    /// The newest stored document of this kind is this version; `None`: there is none.
    DocumentAt {
        /// Whom the document describes.
        gateway: GatewayId,
        /// Its kind.
        kind: DocumentKind,
        /// The newest version.
        version: Option<u64>,
    },
    /// A kept run of this owner was led in the session by this agent.
    SessionKnown {
        /// Whose session.
        owner: Owner,
        /// Who leads it.
        agent: AgentName,
        /// Its handle.
        session: SessionHandle,
    },
    /// No open run was bound to the run's session before it. Holds for a run without a session.
    NextInSession {
        /// The run.
        run: RunId,
    },
    /// The invite exists and was not used.
    InviteUnused {
        /// The invite.
        id: Digest,
    },
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JtiUnseen { jti, .. } => write!(f, "request {jti} was accepted before"),
            Self::KeyFree { key, .. } => write!(f, "key {key} is taken"),
            Self::Run { run, .. } => write!(f, "{run} was changed by another step"),
            Self::Entry { run, .. } => {
                write!(f, "{run} of the journal was changed by another step")
            }
            Self::EntryKeyFree { key, .. } => write!(f, "key {key} is taken in the journal"),
            Self::TokenOpenBelow { token, max } => {
                write!(f, "token {token} has {max} open runs by now")
            }
            Self::DocumentAt { gateway, kind, .. } => {
                write!(f, "a newer {kind} of {gateway} is stored")
            }
            Self::SessionKnown { session, .. } => write!(f, "session {session} is not known"),
            Self::NextInSession { run } => write!(f, "another run is ahead of {run}"),
            Self::InviteUnused { .. } => f.write_str("the invite is used or unknown"),
        }
    }
}

/// One thing that becomes durable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Write {
    /// Remembers a request's id.
    Jti {
        /// Who signed it.
        issuer: GatewayId,
        /// Its random id.
        jti: Jti,
        /// When it may be forgotten.
        keep_until: Timestamp,
    },
    /// Creates a run and binds its key to it.
    CreateRun(RunRow),
    /// Replaces a run's row, which carries the revision that was read; the store sets it 1 higher.
    ///
    /// Another revision, owner, key or print than the stored one is a fault: guard the row. At the
    /// end of a batch the row's `seq` is that of its last frame, also a fault otherwise.
    PutRun(RunRow),
    /// Appends frames to a run: `first` is the stored head plus 1.
    AppendFrames {
        /// The run.
        run: RunId,
        /// The first frame's `seq`.
        first: u64,
        /// Exact frame bytes, in order.
        lines: Vec<String>,
    },
    /// Adds to what an owner spent on a day. Sums end at `INTEGER_MAX`, where they stay.
    BookUsage {
        /// Who spent.
        owner: Owner,
        /// On which day.
        day: Day,
        /// What is added.
        spent: Spent,
    },
    /// Binds a run to the session that it is led in; the bindings of a session are ordered as they were
    /// written. The first binding of a run stays, and goes with the run.
    BindSession(SessionRow),
    /// Blocks a key for good: a start that arrives later is refused.
    BlockKey {
        /// Whose key.
        owner: Owner,
        /// The key.
        key: IdempotencyKey,
        /// When.
        at: Timestamp,
    },
    /// Creates a journal entry and binds its key to it.
    CreateEntry(EntryRow),
    /// Replaces a journal entry's row, under the same rules as [`Write::PutRun`]. Its labels and its
    /// time never change either.
    PutEntry(EntryRow),
    /// Appends what the caller received and verified: `first` is the stored head plus 1.
    AppendReceived {
        /// The entry's run.
        run: RunId,
        /// The first frame's `seq`.
        first: u64,
        /// Exact frame bytes, in order.
        lines: Vec<String>,
        /// The envelope of the seal that covers them, canonical bytes.
        seal: String,
        /// When it was verified.
        at: Timestamp,
    },
    /// Stores a trust document; never replaces one. The same bytes again change nothing, other bytes
    /// under a stored version are a fault.
    SaveDocument(DocumentRow),
    /// Deletes statuses of a gateway; its newest stays whatever is asked.
    ForgetStatuses {
        /// Whose.
        gateway: GatewayId,
        /// Which.
        versions: Vec<u64>,
    },
    /// Creates or replaces a local token (found by its id).
    PutToken(TokenRow),
    /// Creates an invite.
    CreateInvite(InviteRow),
    /// Marks an invite used.
    UseInvite {
        /// The invite.
        id: Digest,
        /// When.
        at: Timestamp,
    },
    /// Creates or replaces a pairing that waits for a person (found by its peer).
    PutPairing(PairingRow),
    /// Keeps evidence against a peer, for good. The same bytes again change nothing, other bytes under
    /// a stored id are a fault.
    KeepEvidence(EvidenceRow),
    /// Forgets a pairing that was decided.
    DropPairing {
        /// The peer.
        peer: GatewayId,
    },
    /// Sets a named value of the store's own, such as the incarnation.
    PutMeta {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// Moves the durable clock forward; an earlier time changes nothing.
    Clock(Timestamp),
    /// Appends to the audit log.
    Audit(AuditEvent),
    /// Deletes what its time has passed for, at most `limit` runs and as many of everything else.
    Prune {
        /// Request ids with an earlier `keep_until` go.
        jti_before: Timestamp,
        /// Settled runs (frames, row and key) that ended earlier go; so do keys blocked earlier, and
        /// what was spent on the days before its day.
        runs_before: Timestamp,
        /// Settled journal entries that ended earlier go.
        entries_before: Timestamp,
        /// How many of each at most.
        limit: u32,
    },
}

/// Where an executor's run stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunPhase {
    /// Bound to its key; the gateway was not asked and no intent is committed.
    AwaitIntent,
    /// The intent is committed; the gateway may have been asked.
    Running,
    /// The terminal frame is in the log.
    Settled,
}

/// An executor's run.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct RunRow {
    /// The run.
    pub run: RunId,
    /// Whom it belongs to.
    pub owner: Owner,
    /// The caller's key.
    pub key: IdempotencyKey,
    /// The digest of the request body that the key is bound to.
    pub print: Digest,
    /// The envelope of the request that created it, canonical bytes.
    pub request: String,
    /// The envelope of the accept, canonical bytes.
    pub accept: String,
    /// `D(accept)`.
    pub accept_digest: Digest,
    /// What was asked, in the executor's own words (JSON), fixed at admission.
    pub work: String,
    /// What the grant fixed for it at admission: [`super::executor::Terms`], JSON.
    pub terms: String,
    /// When it was accepted.
    pub created: Timestamp,
    /// When it must have ended.
    pub deadline: Timestamp,
    /// Where it stands.
    pub phase: RunPhase,
    /// What was committed before the gateway was asked (JSON).
    pub intent: Option<String>,
    /// Why it is being stopped, recorded before the gateway was asked to.
    pub stop: Option<StopRow>,
    /// Who drives it: raised at each start of the bridge.
    pub epoch: u64,
    /// How often the row was written.
    pub revision: u64,
    /// The last frame's `seq`; 0 before the first.
    pub seq: u64,
    /// The chain's head at `seq`.
    pub head: Digest,
    /// Frame bytes so far.
    pub bytes: u64,
    /// How much of its usage stands in its owner's days.
    pub booked: Spent,
    /// How it ended.
    pub outcome: Option<String>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// A run and the session that it is led in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionRow {
    /// The run.
    pub run: RunId,
    /// Whom it belongs to.
    pub owner: Owner,
    /// Who leads it.
    pub agent: AgentName,
    /// The session's handle.
    pub session: SessionHandle,
}

/// A recorded decision to stop a run.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct StopRow {
    /// Why.
    pub reason: StopReason,
    /// When it was decided.
    pub at: Timestamp,
}

/// Where a caller's run stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryPhase {
    /// Invoked; the executor has not answered.
    AwaitAccept,
    /// The accept is in the journal.
    Streaming,
    /// A terminal is in the journal.
    Settled,
}

/// A caller's run: one decision to ask a peer, and how far its answer was received.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct EntryRow {
    /// The run, as this bridge names it to its clients.
    pub run: RunId,
    /// The logical gateway id that the client asked for.
    pub gateway: Alias,
    /// The executor.
    pub peer: GatewayId,
    /// The tenant pair.
    pub tenant: TenantPair,
    /// The idempotency key.
    pub key: IdempotencyKey,
    /// The digest of `body`.
    pub print: Digest,
    /// The exact bytes of the start's body, resent unchanged.
    pub body: String,
    /// Which local token invoked it; `None` for an administrator.
    pub token: Option<String>,
    /// Client's labels.
    pub labels: BTreeMap<String, String>,
    /// When it was invoked.
    pub created: Timestamp,
    /// Until when an executor may take it: its own deadline until the accept fixes one.
    pub deadline: Timestamp,
    /// Where it stands.
    pub phase: EntryPhase,
    /// How often the row was written.
    pub revision: u64,
    /// The envelope of the request that was accepted, canonical bytes.
    pub request: Option<String>,
    /// The envelope of the accept, canonical bytes.
    pub accept: Option<String>,
    /// The executor's name of the run.
    pub remote: Option<RunId>,
    /// The last received frame's `seq`; 0 before the first.
    pub seq: u64,
    /// The chain's head at `seq`; unset before the accept.
    pub head: Option<Digest>,
    /// When a client asked to cancel.
    pub cancel: Option<Timestamp>,
    /// What the executor answered to that, once.
    pub cancel_answer: Option<String>,
    /// The session handle that `started` told.
    pub session: Option<SessionHandle>,
    /// How it ended.
    pub outcome: Option<String>,
    /// The caller's own signed statement, where it ended the run itself.
    pub receipt: Option<String>,
    /// When it ended here.
    pub ended: Option<Timestamp>,
}

/// What a key is bound to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeyRecord {
    /// A run, with the digest of the body that created it.
    Run {
        /// The run.
        run: RunId,
        /// The body's digest.
        print: Digest,
    },
    /// Cancelled before its start arrived.
    Blocked {
        /// When.
        at: Timestamp,
    },
}

/// The kinds of trust documents that are kept.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// A root; every version is kept.
    Root,
    /// A status; its version is its `seq`.
    Status,
    /// Our own federation document.
    Federation,
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Status => "status",
            Self::Federation => "federation document",
        })
    }
}

/// A verified trust document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DocumentRow {
    /// Whom it describes.
    pub gateway: GatewayId,
    /// Its kind.
    pub kind: DocumentKind,
    /// Its version or `seq`.
    pub version: u64,
    /// The envelope, canonical bytes.
    pub envelope: String,
    /// When it was verified.
    pub at: Timestamp,
}

/// A local token: what a workflow engine shows to the local API.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TokenRow {
    /// Its public id.
    pub id: String,
    /// SHA-256 of the secret.
    pub hash: Digest,
    /// What people call it.
    pub name: String,
    /// Routes (logical gateway ids) that it may use; empty: all.
    pub routes: Vec<Alias>,
    /// Our tenants whose routes it may use; empty: all.
    pub tenants: Vec<TenantId>,
    /// Which runs exist for it.
    pub sees: Sees,
    /// Verbs that it may use: `read`, `run`, `cancel`.
    pub verbs: Vec<String>,
    /// How many runs it may have open at once; `None`: what the configuration says.
    pub runs_open_max: Option<u64>,
    /// How many runs it may start in a minute; `None`: what the configuration says.
    pub starts_per_minute_max: Option<u32>,
    /// When it was made.
    pub created: Timestamp,
    /// When it stops working.
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

/// Which runs exist for a token.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sees {
    /// Those that it started itself.
    #[default]
    Own,
    /// All of its tenants, whoever started them.
    Tenants,
}

/// An invite that this bridge gave out.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct InviteRow {
    /// The digest of its secret: the secret itself is shown once and not kept readable.
    pub id: Digest,
    /// The secret, needed to check a newcomer's proof; removed by the store when the invite is used.
    pub secret: String,
    /// What the inviter calls the newcomer.
    pub alias: Alias,
    /// When it was made.
    pub created: Timestamp,
    /// Until when it is good.
    pub expires: Timestamp,
    /// When it was used.
    pub used: Option<Timestamp>,
}

/// A pairing that waits for a person's acceptance.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct PairingRow {
    /// The other gateway.
    pub peer: GatewayId,
    /// What it will be called.
    pub alias: Alias,
    /// The words that both sides must see.
    pub words: String,
    /// The digest of its first root.
    pub genesis: Digest,
    /// We were invited (`true`), or we invited.
    pub joined: bool,
    /// When the proof was verified.
    pub at: Timestamp,
}

/// Evidence that a peer contradicted itself.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct EvidenceRow {
    /// Its id, taken from the digest of `file`.
    pub id: String,
    /// The peer.
    pub peer: GatewayId,
    /// What it contradicted itself about.
    pub kind: Contradiction,
    /// When it was found.
    pub at: Timestamp,
    /// The journal's run in which it was found.
    pub run: Option<RunId>,
    /// The portable proof, as it was proven then.
    pub file: String,
    /// The frames of both sides that differ, for people ([`Sides`], JSON).
    pub sides: String,
}

/// What both histories say where they differ; empty where frames have no part in it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Sides {
    /// The number of the first line of each.
    pub first: u64,
    /// What the journal holds.
    pub kept: Vec<String>,
    /// What came later.
    pub other: Vec<String>,
}

/// One thing worth remembering: who did what to what, and how it went. No payload, no secret.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// When.
    pub at: Timestamp,
    /// Who: a gateway id, a token id, `admin` or `bridge`.
    pub actor: String,
    /// The deed, such as `run_accepted` or `request_refused`.
    pub deed: String,
    /// What it was done to: a run, a peer, a document.
    pub subject: String,
    /// Codes and counts.
    pub detail: BTreeMap<String, String>,
}

/// One row of the audit log, as it is stored and chained.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuditRow {
    /// Its number, from 1.
    pub n: u64,
    /// Canonical JSON of the event, the bytes that are hashed.
    pub event: String,
    /// The chain's head after this row.
    pub head: Digest,
}

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
    /// Journal entries, newest first.
    fn entries(&self, filter: &EntryFilter) -> Result<Vec<EntryRow>, Self::Fault>;
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
    /// All local tokens, oldest first.
    fn tokens(&self) -> Result<Vec<TokenRow>, Self::Fault>;
    /// A local token.
    fn token(&self, id: &str) -> Result<Option<TokenRow>, Self::Fault>;
    /// The token with this secret's hash.
    fn token_of_hash(&self, hash: &Digest) -> Result<Option<TokenRow>, Self::Fault>;
    /// An invite.
    fn invite(&self, id: &Digest) -> Result<Option<InviteRow>, Self::Fault>;
    /// All pairings that wait for a person.
    fn pairings(&self) -> Result<Vec<PairingRow>, Self::Fault>;
    /// Evidence by its id.
    fn evidence(&self, id: &str) -> Result<Option<EvidenceRow>, Self::Fault>;
    /// All evidence, oldest first.
    fn all_evidence(&self) -> Result<Vec<EvidenceRow>, Self::Fault>;
    /// A named value of the store's own.
    fn meta(&self, name: &str) -> Result<Option<String>, Self::Fault>;
    /// The durable clock: the latest time that was committed.
    fn clock(&self) -> Result<Timestamp, Self::Fault>;
    /// Audit rows after number `after`, at most `count`.
    fn audit(&self, after: u64, count: usize) -> Result<Vec<AuditRow>, Self::Fault>;
    /// The number and head of the last audit row; (0, start value) when there is none.
    fn audit_head(&self) -> Result<(u64, Digest), Self::Fault>;
}
