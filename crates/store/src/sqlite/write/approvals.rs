//! Approvals and catalogs.

use landbridge_planted::planted;
use landbridge_proto::machine::contract::{ApprovalRow, CatalogRow};
use landbridge_proto::wire::name::{RunId, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::{execute, exists, require};
use crate::fault::{Broken, Fault};
use crate::sqlite::row::{self, int};

pub(super) fn create(db: &Connection, row: &ApprovalRow) -> Result<(), Fault> {
    require(row.is_dated(), || Broken::ApprovalUndated(row.id.clone()))?;
    let sql =
        "INSERT INTO approvals (id, side, tenant, revision, token, created, subject, state, run,
                   question, expires, decided, answer, asked, decisions)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
               ON CONFLICT DO NOTHING";
    require(bind(db, sql, row)? == 1, || Broken::ApprovalExists(row.id.clone()))
}

pub(super) fn put(db: &Connection, row: &ApprovalRow) -> Result<(), Fault> {
    require(row.is_dated(), || Broken::ApprovalUndated(row.id.clone()))?;
    let sql =
        "UPDATE approvals SET state = ?8, run = ?9, question = ?10, expires = ?11, decided = ?12,
                   answer = ?13, asked = ?14, decisions = ?15, revision = ?4 + 1
               WHERE id = ?1 AND side = ?2 AND tenant = ?3 AND revision = ?4 AND token IS ?5
                 AND created = ?6 AND subject = ?7";
    if bind(db, sql, row)? == 1 {
        return Ok(());
    }
    let known = exists(db, "SELECT 1 FROM approvals WHERE id = ?1", [row.id.as_str()])?;
    let id = row.id.clone();
    Err(if known { Broken::ApprovalChanged(id) } else { Broken::ApprovalUnknown(id) }.into())
}

pub(super) fn put_catalog(db: &Connection, row: &CatalogRow) -> Result<(), Fault> {
    let (gateway, tenant) = (row.gateway.as_str(), row.tenant.as_str());
    let sql = "SELECT version, envelope FROM catalogs WHERE gateway = ?1 AND tenant = ?2";
    let old = db
        .prepare_cached(sql)?
        .query_row([gateway, tenant], |row| Ok((row::number(row, 0)?, row.get::<_, String>(1)?)))
        .optional()?;
    if let Some((version, envelope)) = old {
        require(row.version >= version, || Broken::CatalogOlder(row.version))?;
        if row.version == version {
            return require(row.envelope == envelope, || Broken::CatalogDiffers(row.version));
        }
    }
    let sql = "INSERT INTO catalogs (gateway, tenant, version, envelope, at)
               VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (gateway, tenant) DO UPDATE SET version = excluded.version,
                   envelope = excluded.envelope, at = excluded.at";
    execute(db, sql, params![gateway, tenant, int(row.version)?, row.envelope, row.at.0])?;
    Ok(())
}

/// After the runs: an approval goes with its run and never before it.
pub(super) fn prune(db: &Connection, before: Timestamp, limit: u32) -> Result<(), Fault> {
    //= APR-28
    let sql = if planted!("approval_pruned_early") {
        "DELETE FROM approvals WHERE id IN (
             SELECT id FROM approvals WHERE state <> 'open' AND decided < ?1
             ORDER BY decided, id LIMIT ?2)"
    } else {
        "DELETE FROM approvals WHERE id IN (
             SELECT id FROM approvals a WHERE a.state <> 'open' AND a.decided < ?1
               AND NOT EXISTS (SELECT 1 FROM runs WHERE run = a.run)
               AND NOT EXISTS (SELECT 1 FROM entries WHERE run = a.run)
             ORDER BY a.decided, a.id LIMIT ?2)"
    };
    execute(db, sql, [before.0, i64::from(limit)])?;
    Ok(())
}

/// Runs a statement whose parameters are the columns of `approvals`, what never changes first.
fn bind(db: &Connection, sql: &str, row: &ApprovalRow) -> Result<usize, Fault> {
    let params = params![
        row.id.as_str(),
        row.side.as_str(),
        row.tenant.as_str(),
        int(row.revision)?,
        row.token,
        row.created.0,
        row.subject,
        row.state.as_str(),
        row.run.as_ref().map(RunId::as_str),
        row.question,
        row.expires.0,
        row.decided.map(|at| at.0),
        row.answer,
        serde_json::to_string(&row.asked)?,
        serde_json::to_string(&row.decisions)?,
    ];
    execute(db, sql, params)
}
