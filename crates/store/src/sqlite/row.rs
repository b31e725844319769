//! Between the contract's rows and the tables' columns.
//!
//! Names are parsed again when they are read: a row that does not parse is a broken database, and the
//! error says which column.

use std::str::FromStr;

use landbridge_proto::machine::budget::Spent;
use landbridge_proto::machine::contract::{
    ApprovalRow, ApprovalSide, ApprovalState, CatalogRow, DocumentKind, DocumentRow, EntryBrief,
    EntryPhase, EntryRow, EvidenceRow, InviteRow, MembershipRow, PairingRow, RunPhase, RunRow,
    Sees, StopRow, TokenRow,
};
use landbridge_proto::machine::report::StopReason;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::evidence::Contradiction;
use landbridge_proto::wire::name::{Owner, TenantPair, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Error, Result, Row};
use serde::de::DeserializeOwned;

use crate::fault::{Broken, Fault};

/// The columns that [`run`] reads, from `runs` joined with `run_texts`.
pub(super) const RUN_COLUMNS: &str = "r.run, r.caller, r.dst, r.src, r.key, r.print, t.request, \
     t.accept, r.accept_digest, t.work, t.terms, r.created, r.deadline, r.phase, r.intent, \
     r.stop_reason, r.stop_at, r.epoch, r.revision, r.seq, r.head, r.bytes, r.outcome, r.ended, \
     r.booked_tokens, r.booked_cost, r.lingers";

/// The columns that [`entry`] reads, from `entries` joined with `entry_texts`.
pub(super) const ENTRY_COLUMNS: &str = "e.run, e.gateway, e.peer, e.dst, e.src, e.key, e.print, \
     t.body, e.token, e.labels, e.created, e.deadline, e.phase, e.revision, t.request, t.accept, \
     e.remote, e.seq, e.head, e.cancel, e.cancel_answer, e.session, e.outcome, e.receipt, e.ended, \
     e.agent, t.traceparent";

/// The columns that [`brief`] reads, from `entries` alone.
pub(super) const BRIEF_COLUMNS: &str = "e.run, e.gateway, e.peer, e.dst, e.src, e.agent, e.key, \
     e.labels, e.created, e.deadline, e.phase, e.remote, e.seq, e.cancel, e.session, e.outcome, \
     e.ended";

/// The columns that [`token`] reads.
pub(super) const TOKEN_COLUMNS: &str = "id, hash, name, routes, tenants, sees, verbs, \
     runs_open_max, starts_per_minute_max, created, expires, revoked";

/// The columns that [`approval`] reads.
pub(super) const APPROVAL_COLUMNS: &str = "id, side, tenant, asked, subject, run, question, token, \
     created, expires, state, decisions, answer, decided, revision";

/// Counts a token's journal entries without a terminal, for reads and for guards.
pub(super) const OPEN_ENTRIES_OF: &str =
    "SELECT count(*) FROM entries WHERE token = ?1 AND phase <> 'settled'";

pub(super) fn run(row: &Row<'_>) -> Result<RunRow> {
    let stop = match time_or_none(row, 16)? {
        Some(at) => Some(StopRow { reason: word(row, 15, &STOP_REASONS)?, at }),
        None => None,
    };
    Ok(RunRow {
        run: name(row, 0)?,
        owner: Owner { caller: name(row, 1)?, tenant: pair(row, 2, 3)? },
        key: name(row, 4)?,
        print: digest(row, 5)?,
        request: row.get(6)?,
        accept: row.get(7)?,
        accept_digest: digest(row, 8)?,
        work: row.get(9)?,
        terms: row.get(10)?,
        created: time(row, 11)?,
        deadline: time(row, 12)?,
        phase: word(row, 13, &RUN_PHASES)?,
        intent: row.get(14)?,
        stop,
        epoch: number(row, 17)?,
        revision: number(row, 18)?,
        seq: number(row, 19)?,
        head: digest(row, 20)?,
        bytes: number(row, 21)?,
        booked: spent(row, 24, 25)?,
        outcome: row.get(22)?,
        ended: time_or_none(row, 23)?,
        lingers: row.get(26)?,
    })
}

pub(super) fn entry(row: &Row<'_>) -> Result<EntryRow> {
    Ok(EntryRow {
        run: name(row, 0)?,
        gateway: name(row, 1)?,
        peer: name(row, 2)?,
        tenant: pair(row, 3, 4)?,
        key: name(row, 5)?,
        print: digest(row, 6)?,
        body: row.get(7)?,
        token: row.get(8)?,
        labels: json(row, 9)?,
        created: time(row, 10)?,
        deadline: time(row, 11)?,
        phase: word(row, 12, &ENTRY_PHASES)?,
        revision: number(row, 13)?,
        request: row.get(14)?,
        accept: row.get(15)?,
        remote: name_or_none(row, 16)?,
        seq: number(row, 17)?,
        head: row.get::<_, Option<[u8; 32]>>(18)?.map(Digest::from_bytes),
        cancel: time_or_none(row, 19)?,
        cancel_answer: row.get(20)?,
        session: name_or_none(row, 21)?,
        outcome: row.get(22)?,
        receipt: row.get(23)?,
        ended: time_or_none(row, 24)?,
        agent: name(row, 25)?,
        traceparent: row.get(26)?,
    })
}

pub(super) fn brief(row: &Row<'_>) -> Result<EntryBrief> {
    Ok(EntryBrief {
        run: name(row, 0)?,
        gateway: name(row, 1)?,
        peer: name(row, 2)?,
        tenant: pair(row, 3, 4)?,
        agent: name(row, 5)?,
        key: name(row, 6)?,
        labels: json(row, 7)?,
        created: time(row, 8)?,
        deadline: time(row, 9)?,
        phase: word(row, 10, &ENTRY_PHASES)?,
        remote: name_or_none(row, 11)?,
        seq: number(row, 12)?,
        cancel: time_or_none(row, 13)?,
        session: name_or_none(row, 14)?,
        outcome: row.get(15)?,
        ended: time_or_none(row, 16)?,
    })
}

/// Reads `gateway, kind, version, envelope, at`.
pub(super) fn document(row: &Row<'_>) -> Result<DocumentRow> {
    Ok(DocumentRow {
        gateway: name(row, 0)?,
        kind: word(row, 1, &DOCUMENT_KINDS)?,
        version: number(row, 2)?,
        envelope: row.get(3)?,
        at: time(row, 4)?,
    })
}

/// Reads [`TOKEN_COLUMNS`].
pub(super) fn token(row: &Row<'_>) -> Result<TokenRow> {
    Ok(TokenRow {
        id: row.get(0)?,
        hash: digest(row, 1)?,
        name: row.get(2)?,
        routes: json(row, 3)?,
        tenants: json(row, 4)?,
        sees: word(row, 5, &SEES)?,
        verbs: json(row, 6)?,
        runs_open_max: number_or_none(row, 7)?,
        starts_per_minute_max: row.get(8)?,
        created: time(row, 9)?,
        expires: time_or_none(row, 10)?,
        revoked: time_or_none(row, 11)?,
    })
}

/// Reads `id, secret, alias, created, expires, used, used_by, withdrawn`.
pub(super) fn invite(row: &Row<'_>) -> Result<InviteRow> {
    Ok(InviteRow {
        id: digest(row, 0)?,
        secret: row.get(1)?,
        alias: name(row, 2)?,
        created: time(row, 3)?,
        expires: time(row, 4)?,
        used: time_or_none(row, 5)?,
        used_by: name_or_none(row, 6)?,
        withdrawn: time_or_none(row, 7)?,
    })
}

/// Reads `peer, alias, words, genesis, joined, at, invite, proof`.
pub(super) fn pairing(row: &Row<'_>) -> Result<PairingRow> {
    Ok(PairingRow {
        peer: name(row, 0)?,
        alias: name(row, 1)?,
        words: row.get(2)?,
        genesis: digest(row, 3)?,
        joined: row.get(4)?,
        at: time(row, 5)?,
        invite: digest(row, 6)?,
        proof: digest(row, 7)?,
    })
}

/// Reads `member, federation, envelope, issued, at`.
pub(super) fn membership(row: &Row<'_>) -> Result<MembershipRow> {
    Ok(MembershipRow {
        member: name(row, 0)?,
        federation: name(row, 1)?,
        envelope: row.get(2)?,
        issued: time(row, 3)?,
        at: time(row, 4)?,
    })
}

/// Reads tokens and cost.
pub(super) fn spent(row: &Row<'_>, tokens: usize, cost: usize) -> Result<Spent> {
    Ok(Spent { tokens: number(row, tokens)?, cost_micro_usd: number(row, cost)? })
}

/// Reads `id, peer, kind, at, run, file, sides`.
pub(super) fn evidence(row: &Row<'_>) -> Result<EvidenceRow> {
    Ok(EvidenceRow {
        id: row.get(0)?,
        peer: name(row, 1)?,
        kind: word(row, 2, &CONTRADICTIONS)?,
        at: time(row, 3)?,
        run: name_or_none(row, 4)?,
        file: row.get(5)?,
        sides: row.get(6)?,
    })
}

/// Reads [`APPROVAL_COLUMNS`].
pub(super) fn approval(row: &Row<'_>) -> Result<ApprovalRow> {
    Ok(ApprovalRow {
        id: name(row, 0)?,
        side: word(row, 1, &APPROVAL_SIDES)?,
        tenant: name(row, 2)?,
        asked: json(row, 3)?,
        subject: row.get(4)?,
        run: name_or_none(row, 5)?,
        question: row.get(6)?,
        token: row.get(7)?,
        created: time(row, 8)?,
        expires: time(row, 9)?,
        state: word(row, 10, &APPROVAL_STATES)?,
        decisions: json(row, 11)?,
        answer: row.get(12)?,
        decided: time_or_none(row, 13)?,
        revision: number(row, 14)?,
    })
}

/// Reads `gateway, tenant, version, envelope, at`.
pub(super) fn catalog(row: &Row<'_>) -> Result<CatalogRow> {
    Ok(CatalogRow {
        gateway: name(row, 0)?,
        tenant: name(row, 1)?,
        version: number(row, 2)?,
        envelope: row.get(3)?,
        at: time(row, 4)?,
    })
}

/// A count as SQLite holds it.
pub(super) fn int(number: u64) -> Result<i64, Fault> {
    i64::try_from(number).map_err(|_| Broken::OutOfRange(number).into())
}

pub(super) fn number(row: &Row<'_>, at: usize) -> Result<u64> {
    let found: i64 = row.get(at)?;
    u64::try_from(found).map_err(|_| Error::IntegralValueOutOfRange(at, found))
}

fn number_or_none(row: &Row<'_>, at: usize) -> Result<Option<u64>> {
    if row.get::<_, Option<i64>>(at)?.is_none() { Ok(None) } else { number(row, at).map(Some) }
}

pub(super) fn digest(row: &Row<'_>, at: usize) -> Result<Digest> {
    row.get(at).map(Digest::from_bytes)
}

pub(super) fn time(row: &Row<'_>, at: usize) -> Result<Timestamp> {
    row.get(at).map(Timestamp)
}

fn time_or_none(row: &Row<'_>, at: usize) -> Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(at)?.map(Timestamp))
}

pub(super) fn name<T>(row: &Row<'_>, at: usize) -> Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text = row.get_ref(at)?.as_str()?;
    text.parse().map_err(|error| Error::FromSqlConversionFailure(at, Type::Text, Box::new(error)))
}

fn name_or_none<T>(row: &Row<'_>, at: usize) -> Result<Option<T>>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    match row.get_ref(at)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => name(row, at).map(Some),
    }
}

fn pair(row: &Row<'_>, dst: usize, src: usize) -> Result<TenantPair> {
    Ok(TenantPair { dst: name(row, dst)?, src: name(row, src)? })
}

fn json<T: DeserializeOwned>(row: &Row<'_>, at: usize) -> Result<T> {
    serde_json::from_str(row.get_ref(at)?.as_str()?)
        .map_err(|error| Error::FromSqlConversionFailure(at, Type::Text, Box::new(error)))
}

fn word<T: Copy, const N: usize>(
    row: &Row<'_>,
    at: usize,
    words: &[(T, &'static str); N],
) -> Result<T> {
    let text = row.get_ref(at)?.as_str()?;
    words.iter().find(|(_, word)| *word == text).map(|(value, _)| *value).ok_or_else(|| {
        Error::FromSqlConversionFailure(at, Type::Text, format!("unknown word {text:?}").into())
    })
}

const CONTRADICTIONS: [(Contradiction, &str); 3] = [
    (Contradiction::Seals, Contradiction::Seals.as_str()),
    (Contradiction::Accepts, Contradiction::Accepts.as_str()),
    (Contradiction::Statuses, Contradiction::Statuses.as_str()),
];
const APPROVAL_SIDES: [(ApprovalSide, &str); 2] = [
    (ApprovalSide::Relying, ApprovalSide::Relying.as_str()),
    (ApprovalSide::Deciding, ApprovalSide::Deciding.as_str()),
];
const APPROVAL_STATES: [(ApprovalState, &str); 5] = [
    (ApprovalState::Open, ApprovalState::Open.as_str()),
    (ApprovalState::Approved, ApprovalState::Approved.as_str()),
    (ApprovalState::Denied, ApprovalState::Denied.as_str()),
    (ApprovalState::Expired, ApprovalState::Expired.as_str()),
    (ApprovalState::Closed, ApprovalState::Closed.as_str()),
];
const STOP_REASONS: [(StopReason, &str); 5] = [
    (StopReason::Cancel, StopReason::Cancel.as_str()),
    (StopReason::Deadline, StopReason::Deadline.as_str()),
    (StopReason::Budget, StopReason::Budget.as_str()),
    (StopReason::Revoked, StopReason::Revoked.as_str()),
    (StopReason::Halt, StopReason::Halt.as_str()),
];
const RUN_PHASES: [(RunPhase, &str); 3] = [
    (RunPhase::AwaitIntent, run_phase(RunPhase::AwaitIntent)),
    (RunPhase::Running, run_phase(RunPhase::Running)),
    (RunPhase::Settled, run_phase(RunPhase::Settled)),
];
const ENTRY_PHASES: [(EntryPhase, &str); 3] = [
    (EntryPhase::AwaitAccept, entry_phase(EntryPhase::AwaitAccept)),
    (EntryPhase::Streaming, entry_phase(EntryPhase::Streaming)),
    (EntryPhase::Settled, entry_phase(EntryPhase::Settled)),
];
const SEES: [(Sees, &str); 2] =
    [(Sees::Own, sees(Sees::Own)), (Sees::Tenants, sees(Sees::Tenants))];
const DOCUMENT_KINDS: [(DocumentKind, &str); 3] = [
    (DocumentKind::Root, document_kind(DocumentKind::Root)),
    (DocumentKind::Status, document_kind(DocumentKind::Status)),
    (DocumentKind::Federation, document_kind(DocumentKind::Federation)),
];

pub(super) const fn run_phase(phase: RunPhase) -> &'static str {
    match phase {
        RunPhase::AwaitIntent => "await_intent",
        RunPhase::Running => "running",
        RunPhase::Settled => "settled",
    }
}

pub(super) const fn entry_phase(phase: EntryPhase) -> &'static str {
    match phase {
        EntryPhase::AwaitAccept => "await_accept",
        EntryPhase::Streaming => "streaming",
        EntryPhase::Settled => "settled",
    }
}

pub(super) const fn sees(sees: Sees) -> &'static str {
    match sees {
        Sees::Own => "own",
        Sees::Tenants => "tenants",
    }
}

pub(super) const fn document_kind(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::Root => "root",
        DocumentKind::Status => "status",
        DocumentKind::Federation => "federation",
    }
}
