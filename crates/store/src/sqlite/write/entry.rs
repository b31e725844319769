//! The caller's journal.

use std::collections::BTreeSet;

use landbridge_proto::machine::contract::EntryRow;
use landbridge_proto::wire::name::{RunId, SessionHandle, Timestamp};
use rusqlite::{Connection, params};

use super::{append_lines, entry_key_is_free, execute, exists, require};
use crate::fault::{Broken, Fault};
use crate::sqlite::row::{entry_phase, int};

pub(super) fn create(db: &Connection, row: &EntryRow) -> Result<(), Fault> {
    let known = exists(db, "SELECT 1 FROM entries WHERE run = ?1", [row.run.as_str()])?;
    require(!known, || Broken::EntryExists(row.run.clone()))?;
    let free = entry_key_is_free(db, &row.peer, &row.tenant, &row.key)?;
    require(free, || Broken::EntryKeyTaken(row.key.clone()))?;
    let sql = "INSERT INTO entries (run, peer, dst, src, key, revision, gateway, print, token,
                   labels, created, deadline, phase, remote, seq, head, cancel, cancel_answer,
                   session, outcome, receipt, ended, agent)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                   ?18, ?19, ?20, ?21, ?22, ?23)";
    bind(db, sql, row)?;
    let sql = "INSERT INTO entry_texts (run, body, request, accept, traceparent)
               VALUES (?1, ?2, ?3, ?4, ?5)";
    let texts = params![row.run.as_str(), row.body, row.request, row.accept, row.traceparent];
    execute(db, sql, texts)?;
    let sql = "INSERT INTO entry_labels (name, value, created, run) VALUES (?1, ?2, ?3, ?4)";
    for (name, value) in &row.labels {
        execute(db, sql, params![name, value, row.created.0, row.run.as_str()])?;
    }
    Ok(())
}

pub(super) fn put(db: &Connection, row: &EntryRow) -> Result<(), Fault> {
    // Labels have rows of their own, sorted by time: neither ever changes.
    let sql = "UPDATE entries SET gateway = ?7, print = ?8, token = ?9, deadline = ?12,
                   phase = ?13, remote = ?14, seq = ?15, head = ?16, cancel = ?17, cancel_answer = ?18, session = ?19, outcome = ?20, receipt = ?21,
                   ended = ?22, agent = ?23, revision = ?6 + 1
               WHERE run = ?1 AND peer = ?2 AND dst = ?3 AND src = ?4 AND key = ?5
                 AND revision = ?6 AND labels = ?10 AND created = ?11";
    if bind(db, sql, row)? == 0 {
        let known = exists(db, "SELECT 1 FROM entries WHERE run = ?1", [row.run.as_str()])?;
        let run = row.run.clone();
        let broken = if known { Broken::EntryChanged(run) } else { Broken::EntryUnknown(run) };
        return Err(broken.into());
    }
    // Written with the accept and then never again: mostly this writes no page.
    let sql = "UPDATE entry_texts SET body = ?2, request = ?3, accept = ?4
               WHERE run = ?1 AND (body <> ?2 OR request IS NOT ?3 OR accept IS NOT ?4)";
    execute(db, sql, params![row.run.as_str(), row.body, row.request, row.accept])?;
    Ok(())
}

pub(super) fn append(
    db: &Connection,
    run: &RunId,
    first: u64,
    lines: &[String],
    seal: &str,
    at: Timestamp,
) -> Result<(), Fault> {
    let known = exists(db, "SELECT 1 FROM entries WHERE run = ?1", [run.as_str()])?;
    require(known, || Broken::EntryUnknown(run.clone()))?;
    let last = "SELECT coalesce(max(seq), 0) FROM received WHERE run = ?1";
    let insert = "INSERT INTO received (run, seq, line) VALUES (?1, ?2, ?3)";
    let seq = append_lines(db, last, insert, run, first, lines)?;
    let sql = "INSERT INTO received_seals (run, n, seq, seal, at)
               SELECT ?1, 1 + coalesce(max(n), 0), ?2, ?3, ?4 FROM received_seals WHERE run = ?1";
    execute(db, sql, params![run.as_str(), int(seq)?, seal, at.0])?;
    Ok(())
}

pub(super) fn check_seq(db: &Connection, touched: &BTreeSet<&RunId>) -> Result<(), Fault> {
    let sql = "SELECT seq, (SELECT coalesce(max(f.seq), 0) FROM received f WHERE f.run = ?1)
               FROM entries WHERE run = ?1";
    super::check_seq(db, sql, touched)
}

/// Runs a statement whose parameters are the columns of `entries`, identity first.
fn bind(db: &Connection, sql: &str, row: &EntryRow) -> Result<usize, Fault> {
    let params = params![
        row.run.as_str(),
        row.peer.as_str(),
        row.tenant.dst.as_str(),
        row.tenant.src.as_str(),
        row.key.as_str(),
        int(row.revision)?,
        row.gateway.as_str(),
        *row.print.as_bytes(),
        row.token,
        serde_json::to_string(&row.labels)?,
        row.created.0,
        row.deadline.0,
        entry_phase(row.phase),
        row.remote.as_ref().map(RunId::as_str),
        int(row.seq)?,
        row.head.map(|head| *head.as_bytes()),
        row.cancel.map(|at| at.0),
        row.cancel_answer,
        row.session.as_ref().map(SessionHandle::as_str),
        row.outcome,
        row.receipt,
        row.ended.map(|at| at.0),
        row.agent.as_str(),
    ];
    execute(db, sql, params)
}
