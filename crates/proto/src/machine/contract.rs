//! What every store promises: guards checked and writes applied together, reads of what is durable.
//!
//! The contract speaks the protocol's nouns, not tables, so that an embedded database, a clustered one
//! and a model in memory can be held to one suite. Rows are whole: a machine that changes a run writes
//! the run's new row, under a guard on the row that it read.

mod approvals;
mod audit;
mod guard;
mod people;
mod reads;
mod write;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::approvals::{
    ApprovalRow, ApprovalSide, ApprovalState, AskedRow, CatalogRow, CountedRow,
};
pub use self::audit::{AuditEvent, AuditRow};
pub use self::guard::Guard;
pub use self::people::{EvidenceRow, InviteRow, MembershipRow, PairingRow, Sees, Sides, TokenRow};
pub use self::reads::{ApprovalFilter, EntryFilter, EntryPlace, Reads, ReceivedSeal};
pub use self::write::Write;
use super::budget::Spent;
use super::report::StopReason;
use super::step::{Batch, Outcome};
use crate::wire::digest::Digest;
use crate::wire::name::{
    AgentName, Alias, GatewayId, IdempotencyKey, Owner, RunId, SessionHandle, TenantPair, Timestamp,
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
    /// It has its terminal, and the gateway may still be at it: it is to be stopped there.
    pub lingers: bool,
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
    /// The W3C trace context of the client, sent with each request of the run.
    pub traceparent: Option<String>,
    /// The agent that the body asks for.
    pub agent: AgentName,
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

/// A journal entry without its texts: what lists show.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EntryBrief {
    /// The run, as this bridge names it to its clients.
    pub run: RunId,
    /// The logical gateway id that the client asked for.
    pub gateway: Alias,
    /// The executor.
    pub peer: GatewayId,
    /// The tenant pair.
    pub tenant: TenantPair,
    /// The agent.
    pub agent: AgentName,
    /// The idempotency key.
    pub key: IdempotencyKey,
    /// Client's labels.
    pub labels: BTreeMap<String, String>,
    /// When it was invoked.
    pub created: Timestamp,
    /// Until when an executor may take it.
    pub deadline: Timestamp,
    /// Where it stands.
    pub phase: EntryPhase,
    /// The executor's name of the run.
    pub remote: Option<RunId>,
    /// The last received frame's `seq`.
    pub seq: u64,
    /// When a client asked to cancel.
    pub cancel: Option<Timestamp>,
    /// The session handle that `started` told.
    pub session: Option<SessionHandle>,
    /// How it ended.
    pub outcome: Option<String>,
    /// When it ended here.
    pub ended: Option<Timestamp>,
}

impl From<&EntryRow> for EntryBrief {
    fn from(row: &EntryRow) -> Self {
        Self {
            run: row.run.clone(),
            gateway: row.gateway.clone(),
            peer: row.peer.clone(),
            tenant: row.tenant.clone(),
            agent: row.agent.clone(),
            key: row.key.clone(),
            labels: row.labels.clone(),
            created: row.created,
            deadline: row.deadline,
            phase: row.phase,
            remote: row.remote.clone(),
            seq: row.seq,
            cancel: row.cancel,
            session: row.session.clone(),
            outcome: row.outcome.clone(),
            ended: row.ended,
        }
    }
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
