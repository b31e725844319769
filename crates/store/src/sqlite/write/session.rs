//! Which run was led in which session.

use landbridge_proto::machine::contract::SessionRow;
use landbridge_proto::wire::name::{AgentName, Owner, RunId, SessionHandle};
use rusqlite::{Connection, params};

use super::{execute, exists, require};
use crate::fault::{Broken, Fault};

/// The first binding of a run stays; the row's number is the order of acceptance.
pub(super) fn bind(db: &Connection, row: &SessionRow) -> Result<(), Fault> {
    let run = row.run.as_str();
    let known = exists(db, "SELECT 1 FROM runs WHERE run = ?1", [run])?;
    require(known, || Broken::RunUnknown(row.run.clone()))?;
    let sql = "INSERT INTO session_runs (run, caller, dst, src, agent, session)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (run) DO NOTHING";
    let (caller, pair) = (row.owner.caller.as_str(), &row.owner.tenant);
    let (dst, src) = (pair.dst.as_str(), pair.src.as_str());
    let params = params![run, caller, dst, src, row.agent.as_str(), row.session.as_str()];
    execute(db, sql, params)?;
    Ok(())
}

pub(super) fn is_known(
    db: &Connection,
    owner: &Owner,
    agent: &AgentName,
    session: &SessionHandle,
) -> Result<bool, Fault> {
    let (caller, pair) = (owner.caller.as_str(), &owner.tenant);
    let (dst, src) = (pair.dst.as_str(), pair.src.as_str());
    exists(db, KNOWN, params![caller, dst, src, session.as_str(), agent.as_str()])
}

pub(super) fn is_next(db: &Connection, run: &RunId) -> Result<bool, Fault> {
    Ok(!exists(db, AHEAD, [run.as_str()])?)
}

//= REQ-47
/// A row when a kept run of the owner was led in the session by the agent.
pub(in crate::sqlite) const KNOWN: &str = "SELECT 1 FROM session_runs
     WHERE caller = ?1 AND dst = ?2 AND src = ?3 AND session = ?4 AND agent = ?5 LIMIT 1";
/// The last of the open runs that were bound to a run's session before it.
pub(in crate::sqlite) const AHEAD: &str = "SELECT s.run FROM session_runs own
     JOIN session_runs s ON s.caller = own.caller AND s.dst = own.dst AND s.src = own.src
         AND s.session = own.session AND s.n < own.n
     JOIN runs r ON r.run = s.run
     WHERE own.run = ?1 AND r.phase <> 'settled' ORDER BY s.n DESC LIMIT 1";
