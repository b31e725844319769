//! The executor's runs.

use std::collections::BTreeSet;

use landbridge_planted::planted;
use landbridge_proto::machine::contract::{RunRow, StopRow};
use landbridge_proto::wire::name::RunId;
use rusqlite::{Connection, params};

use super::{append_lines, execute, exists, key_is_free, require};
use crate::fault::{Broken, Fault};
use crate::sqlite::row::{int, run_phase};

pub(super) fn create(db: &Connection, row: &RunRow) -> Result<(), Fault> {
    let known = exists(db, "SELECT 1 FROM runs WHERE run = ?1", [row.run.as_str()])?;
    require(!known, || Broken::RunExists(row.run.clone()))?;
    require(key_is_free(db, &row.owner, &row.key)?, || Broken::KeyTaken(row.key.clone()))?;
    let sql = "INSERT INTO runs (run, caller, dst, src, key, print, accept_digest, created,
                   deadline, phase, intent, stop_reason, stop_at, epoch, revision, seq, head, bytes,
                   outcome, ended, booked_tokens, booked_cost, lingers)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                   ?18, ?19, ?20, ?21, ?22, ?23)";
    let params = params![
        row.run.as_str(),
        row.owner.caller.as_str(),
        row.owner.tenant.dst.as_str(),
        row.owner.tenant.src.as_str(),
        row.key.as_str(),
        *row.print.as_bytes(),
        *row.accept_digest.as_bytes(),
        row.created.0,
        row.deadline.0,
        run_phase(row.phase),
        row.intent,
        stop_reason(row),
        stop_at(row),
        int(row.epoch)?,
        int(row.revision)?,
        int(row.seq)?,
        *row.head.as_bytes(),
        int(row.bytes)?,
        row.outcome,
        row.ended.map(|ended| ended.0),
        int(row.booked.tokens)?,
        int(row.booked.cost_micro_usd)?,
        row.lingers,
    ];
    execute(db, sql, params)?;
    let sql = "INSERT INTO run_texts (run, request, accept, work, terms)
               VALUES (?1, ?2, ?3, ?4, ?5)";
    let run = row.run.as_str();
    execute(db, sql, params![run, row.request, row.accept, row.work, row.terms])?;
    Ok(())
}

pub(super) fn put(db: &Connection, row: &RunRow) -> Result<(), Fault> {
    let sql = "UPDATE runs SET accept_digest = ?8, created = ?9, deadline = ?10, phase = ?11,
                   intent = ?12, stop_reason = ?13, stop_at = ?14, epoch = ?15, seq = ?16,
                   head = ?17, bytes = ?18, outcome = ?19, ended = ?20, booked_tokens = ?21,
                   booked_cost = ?22, lingers = ?23, revision = ?7 + 1
               WHERE run = ?1 AND caller = ?2 AND dst = ?3 AND src = ?4 AND key = ?5 AND print = ?6
                 AND revision = ?7";
    let params = params![
        row.run.as_str(),
        row.owner.caller.as_str(),
        row.owner.tenant.dst.as_str(),
        row.owner.tenant.src.as_str(),
        row.key.as_str(),
        *row.print.as_bytes(),
        int(row.revision)?,
        *row.accept_digest.as_bytes(),
        row.created.0,
        row.deadline.0,
        run_phase(row.phase),
        row.intent,
        stop_reason(row),
        stop_at(row),
        int(row.epoch)?,
        int(row.seq)?,
        *row.head.as_bytes(),
        int(row.bytes)?,
        row.outcome,
        row.ended.map(|ended| ended.0),
        int(row.booked.tokens)?,
        int(row.booked.cost_micro_usd)?,
        row.lingers,
    ];
    if execute(db, sql, params)? == 0 {
        let known = exists(db, "SELECT 1 FROM runs WHERE run = ?1", [row.run.as_str()])?;
        let run = row.run.clone();
        return Err(if known { Broken::RunChanged(run) } else { Broken::RunUnknown(run) }.into());
    }
    if planted!("store_same_revision") {
        execute(db, "UPDATE runs SET revision = revision - 1 WHERE run = ?1", [row.run.as_str()])?;
    }
    // Fixed at admission, so this finds nothing to do and writes no page.
    let sql = "UPDATE run_texts SET request = ?2, accept = ?3, work = ?4, terms = ?5
               WHERE run = ?1 AND (request <> ?2 OR accept <> ?3 OR work <> ?4 OR terms <> ?5)";
    let run = row.run.as_str();
    execute(db, sql, params![run, row.request, row.accept, row.work, row.terms])?;
    Ok(())
}

pub(super) fn append(
    db: &Connection,
    run: &RunId,
    first: u64,
    lines: &[String],
) -> Result<(), Fault> {
    let known = exists(db, "SELECT 1 FROM runs WHERE run = ?1", [run.as_str()])?;
    require(known, || Broken::RunUnknown(run.clone()))?;
    let last = "SELECT coalesce(max(seq), 0) FROM frames WHERE run = ?1";
    let insert = "INSERT INTO frames (run, seq, line) VALUES (?1, ?2, ?3)";
    append_lines(db, last, insert, run, first, lines)?;
    Ok(())
}

/// Keeps the chain's head where frames were appended: the row has it at the end of the batch.
pub(super) fn keep_heads(db: &Connection, appended: &BTreeSet<&RunId>) -> Result<(), Fault> {
    let sql = "INSERT INTO run_heads (run, seq, head)
               SELECT run, seq, head FROM runs WHERE run = ?1 ON CONFLICT DO NOTHING";
    for run in appended {
        execute(db, sql, [run.as_str()])?;
    }
    Ok(())
}

pub(super) fn check_seq(db: &Connection, touched: &BTreeSet<&RunId>) -> Result<(), Fault> {
    let sql = "SELECT seq, (SELECT coalesce(max(f.seq), 0) FROM frames f WHERE f.run = ?1)
               FROM runs WHERE run = ?1";
    super::check_seq(db, sql, touched)
}

fn stop_reason(row: &RunRow) -> Option<&str> {
    row.stop.as_ref().map(|stop| stop.reason.as_str())
}

fn stop_at(row: &RunRow) -> Option<i64> {
    row.stop.as_ref().map(|StopRow { at, .. }| at.0)
}
