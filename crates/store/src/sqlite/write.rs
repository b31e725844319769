//! Guards and writes, inside the group's transaction.
//!
//! What the writes take for granted is looked at again here. A write that contradicts what is stored,
//! although its guards held, is a bug of ours: it fails the group and stops the process, because going
//! on would acknowledge a history that is not there.

mod approvals;
mod entry;
mod prune;
mod run;
pub(super) mod session;
mod spent;
mod trust;

use std::collections::BTreeSet;

use landbridge_planted::planted;
use landbridge_proto::machine::audit;
use landbridge_proto::machine::contract::{AuditEvent, Guard, Write};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::name::{
    GatewayId, IdempotencyKey, Owner, RunId, TenantPair, Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Params, params};

use super::row::{self, int};
use crate::fault::{Broken, Fault};

/// The first guard that does not hold.
pub(super) fn first_stale<'a>(
    db: &Connection,
    guards: &'a [Guard],
) -> Result<Option<&'a Guard>, Fault> {
    for guard in guards {
        if !holds(db, guard)? || planted!("no_guard_holds") {
            return Ok(Some(guard));
        }
    }
    Ok(None)
}

fn holds(db: &Connection, guard: &Guard) -> Result<bool, Fault> {
    Ok(match guard {
        Guard::JtiUnseen { .. } if planted!("store_skip_guard") => true,
        Guard::JtiUnseen { issuer, jti } => !exists(
            db,
            "SELECT 1 FROM jtis WHERE issuer = ?1 AND jti = ?2",
            params![issuer.as_str(), jti.as_str()],
        )?,
        Guard::KeyFree { owner, key } => key_is_free(db, owner, key)?,
        Guard::Run { run, epoch, revision } => exists(
            db,
            if planted!("store_epoch_unguarded") {
                "SELECT 1 FROM runs WHERE run = ?1 AND ?2 = ?2 AND revision = ?3"
            } else {
                "SELECT 1 FROM runs WHERE run = ?1 AND epoch = ?2 AND revision = ?3"
            },
            params![run.as_str(), int(*epoch)?, int(*revision)?],
        )?,
        Guard::Entry { run, revision } => exists(
            db,
            "SELECT 1 FROM entries WHERE run = ?1 AND revision = ?2",
            params![run.as_str(), int(*revision)?],
        )?,
        Guard::EntryKeyFree { peer, tenant, key } => entry_key_is_free(db, peer, tenant, key)?,
        Guard::TokenOpenBelow { token, max } => {
            let mut count = db.prepare_cached(row::OPEN_ENTRIES_OF)?;
            count.query_row([token], |row| row::number(row, 0))? < *max
        }
        Guard::DocumentAt { gateway, kind, version } => {
            let sql = "SELECT max(version) FROM documents WHERE gateway = ?1 AND kind = ?2";
            let kind = row::document_kind(*kind);
            let newest: Option<i64> =
                db.prepare_cached(sql)?.query_row([gateway.as_str(), kind], |row| row.get(0))?;
            newest == version.map(int).transpose()?
        }
        Guard::SessionKnown { owner, agent, session } => {
            session::is_known(db, owner, agent, session)?
        }
        Guard::NextInSession { run } => session::is_next(db, run)?,
        Guard::InviteUnused { id } => exists(
            db,
            "SELECT 1 FROM invites WHERE id = ?1 AND used IS NULL AND withdrawn IS NULL",
            params![*id.as_bytes()],
        )?,
        Guard::ApprovalFree { id } => {
            !exists(db, "SELECT 1 FROM approvals WHERE id = ?1", [id.as_str()])?
        }
        Guard::Approval { id, revision } => exists(
            db,
            if planted!("approval_unguarded") {
                "SELECT 1 FROM approvals WHERE id = ?1 AND ?2 = ?2"
            } else {
                "SELECT 1 FROM approvals WHERE id = ?1 AND revision = ?2"
            },
            params![id.as_str(), int(*revision)?],
        )?,
        Guard::CatalogAt { gateway, tenant, version } => {
            let sql = "SELECT max(version) FROM catalogs WHERE gateway = ?1 AND tenant = ?2";
            let place = [gateway.as_str(), tenant.as_str()];
            let kept: Option<i64> = db.prepare_cached(sql)?.query_row(place, |row| row.get(0))?;
            kept == version.map(int).transpose()?
        }
    })
}

/// Applies the writes in order.
pub(super) fn apply(db: &Connection, writes: &[Write]) -> Result<(), Fault> {
    let (mut runs, mut entries) = (BTreeSet::new(), BTreeSet::new());
    let mut appended = BTreeSet::new();
    for write in writes {
        match write {
            Write::Jti { issuer, jti, keep_until } => {
                let sql = "INSERT INTO jtis (issuer, jti, keep_until) VALUES (?1, ?2, ?3)
                           ON CONFLICT DO NOTHING";
                let new = execute(db, sql, params![issuer.as_str(), jti.as_str(), keep_until.0])?;
                require(new == 1, || Broken::JtiExists(jti.clone()))?;
            }
            Write::CreateRun(row) => {
                run::create(db, row)?;
                runs.insert(&row.run);
            }
            Write::PutRun(row) => {
                run::put(db, row)?;
                runs.insert(&row.run);
            }
            Write::AppendFrames { run, first, lines } => {
                run::append(db, run, *first, lines)?;
                runs.insert(run);
                appended.insert(run);
            }
            Write::BookUsage { owner, day, spent } => spent::book(db, owner, *day, *spent)?,
            Write::BindSession(row) => session::bind(db, row)?,
            Write::BlockKey { owner, key, at } => block_key(db, owner, key, *at)?,
            Write::CreateEntry(row) => {
                entry::create(db, row)?;
                entries.insert(&row.run);
            }
            Write::PutEntry(row) => {
                entry::put(db, row)?;
                entries.insert(&row.run);
            }
            Write::AppendReceived { run, first, lines, seal, at } => {
                entry::append(db, run, *first, lines, seal, *at)?;
                entries.insert(run);
            }
            Write::SaveDocument(row) => trust::save_document(db, row)?,
            Write::ForgetStatuses { gateway, versions } => {
                trust::forget_statuses(db, gateway, versions)?;
            }
            Write::ForgetFederations { gateway, keep } => {
                trust::forget_federations(db, gateway, *keep)?;
            }
            Write::PutMembership(row) => trust::put_membership(db, row)?,
            Write::DropMembership { member } => {
                execute(db, "DELETE FROM memberships WHERE member = ?1", [member.as_str()])?;
            }
            Write::PutToken(row) => trust::put_token(db, row)?,
            Write::CreateInvite(row) => trust::create_invite(db, row)?,
            Write::UseInvite { id, at, by } => trust::use_invite(db, id, *at, by)?,
            Write::WithdrawInvite { id, at } => trust::withdraw_invite(db, id, *at)?,
            Write::PutPairing(row) => trust::put_pairing(db, row)?,
            Write::KeepEvidence(row) => trust::keep_evidence(db, row)?,
            Write::DropPairing { peer } => {
                execute(db, "DELETE FROM pairings WHERE peer = ?1", [peer.as_str()])?;
            }
            Write::CreateApproval(row) => approvals::create(db, row)?,
            Write::PutApproval(row) => approvals::put(db, row)?,
            Write::PutCatalog(row) => approvals::put_catalog(db, row)?,
            Write::PutMeta { name, value } => {
                let sql = "INSERT INTO meta (name, value) VALUES (?1, ?2)
                           ON CONFLICT (name) DO UPDATE SET value = excluded.value";
                execute(db, sql, [name, value])?;
            }
            Write::Clock(now) => {
                execute(db, "UPDATE clock SET now = max(now, ?1)", [now.0])?;
            }
            Write::Audit(event) => append_audit(db, event)?,
            Write::Prune { jti_before, runs_before, entries_before, limit } => {
                prune::prune(db, *jti_before, *runs_before, *entries_before, *limit)?;
            }
        }
    }
    run::check_seq(db, &runs)?;
    run::keep_heads(db, &appended)?;
    entry::check_seq(db, &entries)
}

fn block_key(
    db: &Connection,
    owner: &Owner,
    key: &IdempotencyKey,
    at: Timestamp,
) -> Result<(), Fault> {
    require(key_is_free(db, owner, key)?, || Broken::KeyTaken(key.clone()))?;
    let sql = "INSERT INTO blocked_keys (caller, dst, src, key, at) VALUES (?1, ?2, ?3, ?4, ?5)";
    let (caller, pair) = (owner.caller.as_str(), &owner.tenant);
    let (dst, src) = (pair.dst.as_str(), pair.src.as_str());
    execute(db, sql, params![caller, dst, src, key.as_str(), at.0])?;
    Ok(())
}

fn append_audit(db: &Connection, event: &AuditEvent) -> Result<(), Fault> {
    let last = db
        .prepare_cached("SELECT n, head FROM audit ORDER BY n DESC LIMIT 1")?
        .query_row([], |row| Ok((row::number(row, 0)?, row::digest(row, 1)?)))
        .optional()?;
    let (n, prev): (u64, Digest) = last.unwrap_or_else(|| (0, audit::start()));
    let n = n.saturating_add(1);
    let text = audit::event_text(event)?;
    let head = audit::link(prev, n, text.as_bytes());
    let sql = "INSERT INTO audit (n, event, head) VALUES (?1, ?2, ?3)";
    let written = execute(db, sql, params![int(n)?, text, *head.as_bytes()]);
    if planted!("audit_lost") {
        return Ok(());
    }
    written.map(drop)
}

fn key_is_free(db: &Connection, owner: &Owner, key: &IdempotencyKey) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM runs WHERE caller = ?1 AND dst = ?2 AND src = ?3 AND key = ?4
               UNION ALL
               SELECT 1 FROM blocked_keys WHERE caller = ?1 AND dst = ?2 AND src = ?3 AND key = ?4";
    let (caller, pair) = (owner.caller.as_str(), &owner.tenant);
    let params = params![caller, pair.dst.as_str(), pair.src.as_str(), key.as_str()];
    Ok(!exists(db, sql, params)?)
}

fn entry_key_is_free(
    db: &Connection,
    peer: &GatewayId,
    pair: &TenantPair,
    key: &IdempotencyKey,
) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM entries WHERE peer = ?1 AND dst = ?2 AND src = ?3 AND key = ?4";
    let params = params![peer.as_str(), pair.dst.as_str(), pair.src.as_str(), key.as_str()];
    Ok(!exists(db, sql, params)?)
}

/// Appends lines after the last one of `run`; `last_sql` finds it and `insert_sql` adds one.
fn append_lines(
    db: &Connection,
    last_sql: &str,
    insert_sql: &str,
    run: &RunId,
    first: u64,
    lines: &[String],
) -> Result<u64, Fault> {
    let last: u64 =
        db.prepare_cached(last_sql)?.query_row([run.as_str()], |row| row::number(row, 0))?;
    let expected = last.saturating_add(1);
    require(first == expected, || Broken::NotContiguous { run: run.clone(), first, expected })?;
    let mut insert = db.prepare_cached(insert_sql)?;
    let mut seq = last;
    for line in lines {
        seq = seq.saturating_add(1);
        insert.execute(params![run.as_str(), int(seq)?, line])?;
    }
    Ok(seq)
}

/// Checks that each row's `seq` is that of its last frame; `sql` reads both.
fn check_seq(db: &Connection, sql: &str, touched: &BTreeSet<&RunId>) -> Result<(), Fault> {
    for run in touched {
        let found = db
            .prepare_cached(sql)?
            .query_row([run.as_str()], |row| Ok((row::number(row, 0)?, row::number(row, 1)?)))
            .optional()?;
        // Gone again: the same batch pruned it.
        let Some((seq, last)) = found else { continue };
        require(seq == last, || Broken::SeqDiffers { run: (*run).clone(), seq, last })?;
    }
    Ok(())
}

fn exists(db: &Connection, sql: &str, params: impl Params) -> Result<bool, Fault> {
    Ok(db.prepare_cached(sql)?.exists(params)?)
}

fn execute(db: &Connection, sql: &str, params: impl Params) -> Result<usize, Fault> {
    Ok(db.prepare_cached(sql)?.execute(params)?)
}

fn require(holds: bool, broken: impl FnOnce() -> Broken) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(broken().into()) }
}
