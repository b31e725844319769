//! Writes: everything that can become durable, in the protocol's nouns.

use super::{
    ApprovalRow, AuditEvent, CatalogRow, DocumentRow, EntryRow, EvidenceRow, InviteRow,
    MembershipRow, PairingRow, RunRow, SessionRow, TokenRow,
};
use crate::machine::budget::{Day, Spent};
use crate::wire::digest::Digest;
use crate::wire::name::{GatewayId, IdempotencyKey, Jti, Owner, RunId, Timestamp};

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
    /// Deletes federation documents of a gateway but for the newest; there is always one.
    ForgetFederations {
        /// Whose.
        gateway: GatewayId,
        /// How many stay, at least one.
        keep: u64,
    },
    /// Keeps a membership (found by its member), unless one that was issued later is kept already.
    PutMembership(MembershipRow),
    /// Forgets a gateway's membership.
    DropMembership {
        /// The gateway.
        member: GatewayId,
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
        /// By whom.
        by: GatewayId,
    },
    /// Withdraws an invite that was neither used nor withdrawn.
    WithdrawInvite {
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
    /// Creates an approval.
    CreateApproval(ApprovalRow),
    /// Replaces an approval's row, under the same rules as [`Write::PutRun`]. Its side, tenant, subject,
    /// token and time never change either.
    PutApproval(ApprovalRow),
    /// Keeps the newest catalog of a gateway's tenant in place of the one before. The same bytes again
    /// change nothing; a lower version, or other bytes under the kept one, are a fault: guard it.
    PutCatalog(CatalogRow),
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
        /// Settled runs (frames, row and key) that ended earlier go; so do keys blocked earlier, what was
        /// spent on the days before its day, and approvals that ended earlier, unless their run is
        /// still kept.
        runs_before: Timestamp,
        /// Settled journal entries that ended earlier go.
        entries_before: Timestamp,
        /// How many of each at most.
        limit: u32,
    },
}
