//! Reads: short statements on read-only connections, each a snapshot of what is committed.
//!
//! Called inline rather than on a thread pool: a read is a few page lookups in memory, cheaper than
//! the hand-over, and a simulation with virtual time cannot have real threads.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use landbridge_proto::machine::audit;
use landbridge_proto::machine::budget::{Day, Spent};
use landbridge_proto::machine::contract::{
    ApprovalFilter, ApprovalRow, AuditRow, CatalogRow, DocumentKind, DocumentRow, EntryBrief,
    EntryFilter, EntryRow, EvidenceRow, InviteRow, KeyRecord, MembershipRow, PairingRow, Reads,
    ReceivedSeal, RunRow, TokenRow,
};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::name::{
    AgentName, ApprovalId, GatewayId, IdempotencyKey, Jti, Owner, RunId, SessionHandle, TenantId,
    TenantPair, Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::list;
use super::open::{self, OpenError, Options};
use super::row::{
    self, APPROVAL_COLUMNS, ENTRY_COLUMNS, OPEN_ENTRIES_OF, RUN_COLUMNS, TOKEN_COLUMNS,
};
use super::write::session::{AHEAD, KNOWN};
use crate::fault::Fault;

/// A pool of read-only connections.
#[derive(Debug)]
pub struct Readers {
    pool: Vec<Mutex<Connection>>,
    next: AtomicUsize,
    path: PathBuf,
    options: Options,
}

impl Readers {
    pub(super) fn open(path: &Path, options: &Options) -> Result<Self, OpenError> {
        let pool = (0..options.readers.max(1))
            .map(|_| open::reader(path, options).map(Mutex::new))
            .collect::<Result<_, _>>()?;
        let (path, options) = (path.to_owned(), options.clone());
        Ok(Self { pool, next: AtomicUsize::new(0), path, options })
    }

    /// Writes a consistent copy of the database to a new file; takes as long as the copy takes.
    ///
    /// # Errors
    ///
    /// Returns the fault; an existing file is never overwritten.
    pub fn backup_to(&self, path: &Path) -> Result<(), Fault> {
        let file = open::new_private_file(path)?;
        let db = open::reader(&self.path, &self.options).map_err(|error| match error {
            OpenError::Database(error) => Fault::from(error),
            other => Fault::from(std::io::Error::other(other)),
        })?;
        let text = path.to_str().ok_or_else(|| std::io::Error::other("the path is not UTF-8"))?;
        db.execute("VACUUM INTO ?1", [text])?;
        file.sync_all()?;
        Ok(())
    }

    /// An idle connection; when all are busy, one of them in turn.
    fn db(&self) -> MutexGuard<'_, Connection> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let turns = (0..self.pool.len()).map(|turn| &self.pool[(start + turn) % self.pool.len()]);
        for connection in turns {
            if let Ok(free) = connection.try_lock() {
                return free;
            }
        }
        self.pool[start % self.pool.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Fault> {
        Ok(self.db().prepare_cached(sql)?.query_row(params, read).optional()?)
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Fault> {
        let db = self.db();
        let mut statement = db.prepare_cached(sql)?;
        let rows = statement.query_map(params, read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn lines(
        &self,
        sql: &str,
        run: &RunId,
        after: u64,
        count: usize,
        bytes: usize,
    ) -> Result<Vec<String>, Fault> {
        let (Ok(after), count) = (i64::try_from(after), limit(count)) else {
            return Ok(Vec::new());
        };
        let db = self.db();
        let mut statement = db.prepare_cached(sql)?;
        let mut rows = statement.query(params![run.as_str(), after, count])?;
        let (mut lines, mut sum) = (Vec::new(), 0_usize);
        while let Some(row) = rows.next()? {
            let line = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            sum = sum.saturating_add(line.len());
            if !lines.is_empty() && sum > bytes {
                break;
            }
            lines.push(line.to_owned());
        }
        Ok(lines)
    }
}

fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Reads for Readers {
    type Fault = Fault;

    fn jti_seen(&self, issuer: &GatewayId, jti: &Jti) -> Result<bool, Fault> {
        let sql = "SELECT 1 FROM jtis WHERE issuer = ?1 AND jti = ?2";
        Ok(self.one(sql, params![issuer.as_str(), jti.as_str()], |_| Ok(()))?.is_some())
    }

    fn key(&self, owner: &Owner, key: &IdempotencyKey) -> Result<Option<KeyRecord>, Fault> {
        let sql = "SELECT run, print, NULL FROM runs
                   WHERE caller = ?1 AND dst = ?2 AND src = ?3 AND key = ?4
                   UNION ALL
                   SELECT NULL, NULL, at FROM blocked_keys
                   WHERE caller = ?1 AND dst = ?2 AND src = ?3 AND key = ?4";
        let (caller, pair) = (owner.caller.as_str(), &owner.tenant);
        let params = params![caller, pair.dst.as_str(), pair.src.as_str(), key.as_str()];
        self.one(sql, params, |row| match row.get(2)? {
            Some(at) => Ok(KeyRecord::Blocked { at: Timestamp(at) }),
            None => Ok(KeyRecord::Run { run: row::name(row, 0)?, print: row::digest(row, 1)? }),
        })
    }

    fn keeps_keys_of(&self, owner: &Owner) -> Result<bool, Fault> {
        let sql = "SELECT 1 FROM runs WHERE caller = ?1 AND dst = ?2 AND src = ?3
                   UNION ALL
                   SELECT 1 FROM blocked_keys WHERE caller = ?1 AND dst = ?2 AND src = ?3
                   LIMIT 1";
        let (caller, pair) = (owner.caller.as_str(), &owner.tenant);
        let params = params![caller, pair.dst.as_str(), pair.src.as_str()];
        Ok(self.one(sql, params, |_| Ok(()))?.is_some())
    }

    fn run(&self, run: &RunId) -> Result<Option<RunRow>, Fault> {
        let sql = format!(
            "SELECT {RUN_COLUMNS} FROM runs r JOIN run_texts t USING (run) WHERE r.run = ?1"
        );
        self.one(&sql, [run.as_str()], row::run)
    }

    fn open_runs(&self) -> Result<Vec<RunRow>, Fault> {
        let sql = format!(
            "SELECT {RUN_COLUMNS} FROM runs r JOIN run_texts t USING (run)
             WHERE r.phase <> 'settled' ORDER BY r.created, r.run"
        );
        self.all(&sql, [], row::run)
    }

    fn lingering_runs(&self) -> Result<Vec<RunRow>, Fault> {
        let sql = format!(
            "SELECT {RUN_COLUMNS} FROM runs r JOIN run_texts t USING (run)
             WHERE r.lingers = 1 ORDER BY r.created, r.run"
        );
        self.all(&sql, [], row::run)
    }

    fn open_runs_of(&self, owner: &Owner) -> Result<u64, Fault> {
        let sql = "SELECT count(*) FROM runs
                   WHERE caller = ?1 AND dst = ?2 AND src = ?3 AND phase <> 'settled'";
        let (caller, pair) = (owner.caller.as_str(), &owner.tenant);
        let params = params![caller, pair.dst.as_str(), pair.src.as_str()];
        Ok(self.one(sql, params, |row| row::number(row, 0))?.unwrap_or(0))
    }

    fn spent(&self, owner: &Owner, day: Day) -> Result<Spent, Fault> {
        let sql = "SELECT tokens, cost_micro_usd FROM spent
                   WHERE caller = ?1 AND dst = ?2 AND src = ?3 AND day = ?4";
        let (caller, pair) = (owner.caller.as_str(), &owner.tenant);
        let params = params![caller, pair.dst.as_str(), pair.src.as_str(), day.0];
        Ok(self.one(sql, params, |row| row::spent(row, 0, 1))?.unwrap_or_default())
    }

    fn session_known(
        &self,
        owner: &Owner,
        agent: &AgentName,
        session: &SessionHandle,
    ) -> Result<bool, Fault> {
        let (caller, pair) = (owner.caller.as_str(), &owner.tenant);
        let (dst, src) = (pair.dst.as_str(), pair.src.as_str());
        let params = params![caller, dst, src, session.as_str(), agent.as_str()];
        Ok(self.one(KNOWN, params, |_| Ok(()))?.is_some())
    }

    fn run_ahead(&self, run: &RunId) -> Result<Option<RunId>, Fault> {
        self.one(AHEAD, [run.as_str()], |row| row::name(row, 0))
    }

    fn frames(
        &self,
        run: &RunId,
        after: u64,
        count: usize,
        bytes: usize,
    ) -> Result<Vec<String>, Fault> {
        let sql = "SELECT line FROM frames WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
        self.lines(sql, run, after, count, bytes)
    }

    fn head_before(&self, run: &RunId, seq: u64) -> Result<Option<(u64, Digest)>, Fault> {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        let sql = "SELECT seq, head FROM run_heads WHERE run = ?1 AND seq <= ?2
                   ORDER BY seq DESC LIMIT 1";
        let read = |row: &Row<'_>| Ok((row::number(row, 0)?, row::digest(row, 1)?));
        self.one(sql, params![run.as_str(), seq], read)
    }

    fn entry(&self, run: &RunId) -> Result<Option<EntryRow>, Fault> {
        let sql = format!(
            "SELECT {ENTRY_COLUMNS} FROM entries e JOIN entry_texts t USING (run) WHERE e.run = ?1"
        );
        self.one(&sql, [run.as_str()], row::entry)
    }

    fn entry_of_key(
        &self,
        peer: &GatewayId,
        tenant: &TenantPair,
        key: &IdempotencyKey,
    ) -> Result<Option<EntryRow>, Fault> {
        let sql = format!(
            "SELECT {ENTRY_COLUMNS} FROM entries e JOIN entry_texts t USING (run)
             WHERE e.peer = ?1 AND e.dst = ?2 AND e.src = ?3 AND e.key = ?4"
        );
        let (dst, src) = (tenant.dst.as_str(), tenant.src.as_str());
        self.one(&sql, params![peer.as_str(), dst, src, key.as_str()], row::entry)
    }

    fn entries(&self, filter: &EntryFilter) -> Result<Vec<EntryBrief>, Fault> {
        list::entries(&self.db(), filter)
    }

    fn open_entries_of(&self, token: &str) -> Result<u64, Fault> {
        let found = self.one(OPEN_ENTRIES_OF, [token], |row| row::number(row, 0))?;
        Ok(found.unwrap_or(0))
    }

    fn open_entries(&self) -> Result<Vec<EntryRow>, Fault> {
        let sql = format!(
            "SELECT {ENTRY_COLUMNS} FROM entries e JOIN entry_texts t USING (run)
             WHERE e.phase <> 'settled' ORDER BY e.created, e.run"
        );
        self.all(&sql, [], row::entry)
    }

    fn received(
        &self,
        run: &RunId,
        after: u64,
        count: usize,
        bytes: usize,
    ) -> Result<Vec<String>, Fault> {
        let sql = "SELECT line FROM received WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
        self.lines(sql, run, after, count, bytes)
    }

    fn received_seals(&self, run: &RunId) -> Result<Vec<ReceivedSeal>, Fault> {
        let sql = "SELECT seq, seal, at FROM received_seals WHERE run = ?1 ORDER BY n";
        self.all(sql, [run.as_str()], |row| {
            Ok(ReceivedSeal {
                seq: row::number(row, 0)?,
                seal: row.get(1)?,
                at: row::time(row, 2)?,
            })
        })
    }

    fn newest_document(
        &self,
        gateway: &GatewayId,
        kind: DocumentKind,
    ) -> Result<Option<DocumentRow>, Fault> {
        let sql = "SELECT gateway, kind, version, envelope, at FROM documents
                   WHERE gateway = ?1 AND kind = ?2 ORDER BY version DESC LIMIT 1";
        self.one(sql, [gateway.as_str(), row::document_kind(kind)], row::document)
    }

    fn documents(
        &self,
        gateway: &GatewayId,
        kind: DocumentKind,
    ) -> Result<Vec<DocumentRow>, Fault> {
        let sql = "SELECT gateway, kind, version, envelope, at FROM documents
                   WHERE gateway = ?1 AND kind = ?2 ORDER BY version";
        self.all(sql, [gateway.as_str(), row::document_kind(kind)], row::document)
    }

    fn document_upto(
        &self,
        gateway: &GatewayId,
        kind: DocumentKind,
        version: u64,
    ) -> Result<Option<DocumentRow>, Fault> {
        let sql = "SELECT gateway, kind, version, envelope, at FROM documents
                   WHERE gateway = ?1 AND kind = ?2 AND version <= ?3 ORDER BY version DESC LIMIT 1";
        let version = i64::try_from(version).unwrap_or(i64::MAX);
        let params = rusqlite::params![gateway.as_str(), row::document_kind(kind), version];
        self.one(sql, params, row::document)
    }

    fn tokens(&self) -> Result<Vec<TokenRow>, Fault> {
        let sql = format!("SELECT {TOKEN_COLUMNS} FROM tokens ORDER BY created, id");
        self.all(&sql, [], row::token)
    }

    fn token(&self, id: &str) -> Result<Option<TokenRow>, Fault> {
        self.one(&format!("SELECT {TOKEN_COLUMNS} FROM tokens WHERE id = ?1"), [id], row::token)
    }

    fn token_of_hash(&self, hash: &Digest) -> Result<Option<TokenRow>, Fault> {
        let sql = format!("SELECT {TOKEN_COLUMNS} FROM tokens WHERE hash = ?1");
        self.one(&sql, [hash.as_bytes()], row::token)
    }

    fn invite(&self, id: &Digest) -> Result<Option<InviteRow>, Fault> {
        let sql = "SELECT id, secret, alias, created, expires, used, used_by, withdrawn
                   FROM invites WHERE id = ?1";
        self.one(sql, [id.as_bytes()], row::invite)
    }

    fn invites(&self) -> Result<Vec<InviteRow>, Fault> {
        let sql = "SELECT id, secret, alias, created, expires, used, used_by, withdrawn
                   FROM invites ORDER BY created, id";
        self.all(sql, [], row::invite)
    }

    fn memberships(&self) -> Result<Vec<MembershipRow>, Fault> {
        let sql =
            "SELECT member, federation, envelope, issued, at FROM memberships ORDER BY member";
        self.all(sql, [], row::membership)
    }

    fn pairings(&self) -> Result<Vec<PairingRow>, Fault> {
        let sql = "SELECT peer, alias, words, genesis, joined, at, invite, proof
                   FROM pairings ORDER BY at, peer";
        self.all(sql, [], row::pairing)
    }

    fn evidence(&self, id: &str) -> Result<Option<EvidenceRow>, Fault> {
        let sql = "SELECT id, peer, kind, at, run, file, sides FROM evidence WHERE id = ?1";
        self.one(sql, [id], row::evidence)
    }

    fn all_evidence(&self) -> Result<Vec<EvidenceRow>, Fault> {
        let sql = "SELECT id, peer, kind, at, run, file, sides FROM evidence ORDER BY at, id";
        self.all(sql, [], row::evidence)
    }

    fn approval(&self, id: &ApprovalId) -> Result<Option<ApprovalRow>, Fault> {
        let sql = format!("SELECT {APPROVAL_COLUMNS} FROM approvals WHERE id = ?1");
        self.one(&sql, [id.as_str()], row::approval)
    }

    fn approvals(&self, filter: &ApprovalFilter) -> Result<Vec<ApprovalRow>, Fault> {
        list::approvals(&self.db(), filter)
    }

    fn open_approvals(&self) -> Result<Vec<ApprovalRow>, Fault> {
        let sql = format!(
            "SELECT {APPROVAL_COLUMNS} FROM approvals WHERE state = 'open' ORDER BY created, id"
        );
        self.all(&sql, [], row::approval)
    }

    fn catalog(&self, gateway: &GatewayId, tenant: &TenantId) -> Result<Option<CatalogRow>, Fault> {
        let sql = "SELECT gateway, tenant, version, envelope, at FROM catalogs
                   WHERE gateway = ?1 AND tenant = ?2";
        self.one(sql, [gateway.as_str(), tenant.as_str()], row::catalog)
    }

    fn catalogs(&self) -> Result<Vec<CatalogRow>, Fault> {
        let sql = "SELECT gateway, tenant, version, envelope, at FROM catalogs
                   ORDER BY gateway, tenant";
        self.all(sql, [], row::catalog)
    }

    fn meta(&self, name: &str) -> Result<Option<String>, Fault> {
        self.one("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
    }

    fn clock(&self) -> Result<Timestamp, Fault> {
        let now = self.one("SELECT now FROM clock", [], |row| row::time(row, 0))?;
        Ok(now.unwrap_or_default())
    }

    fn audit(&self, after: u64, count: usize) -> Result<Vec<AuditRow>, Fault> {
        let Ok(after) = i64::try_from(after) else { return Ok(Vec::new()) };
        let sql = "SELECT n, event, head FROM audit WHERE n > ?1 ORDER BY n LIMIT ?2";
        self.all(sql, [after, limit(count)], |row| {
            Ok(AuditRow { n: row::number(row, 0)?, event: row.get(1)?, head: row::digest(row, 2)? })
        })
    }

    fn audit_head(&self) -> Result<(u64, Digest), Fault> {
        let sql = "SELECT n, head FROM audit ORDER BY n DESC LIMIT 1";
        let last = self.one(sql, [], |row| Ok((row::number(row, 0)?, row::digest(row, 1)?)))?;
        Ok(last.unwrap_or_else(|| (0, audit::start())))
    }
}
