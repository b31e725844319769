//! Stopping what a run started, wherever it is by now.

use std::collections::BTreeSet;

use landbridge_node::adapter::{Mode, Work};
use serde_json::json;

use crate::connection::Connection;
use crate::fault::Fault;
use crate::look::{look_at, tasks};
use crate::names::{self, Names};
use crate::subagent;
use crate::transcript::Scope;
use crate::wire::{flag, list, text};

/// Asks the gateway to stop what a run started, wherever it is; returns whether there was something to
/// stop.
pub(crate) async fn stop_work(
    connection: &Connection,
    work: &Work,
    names: &Names,
) -> Result<bool, Fault> {
    if work.mode != Mode::Subagent {
        return stop(connection, names, std::slice::from_ref(&names.key)).await;
    }
    match subagent::find(connection, work, names).await? {
        Some(child) => {
            let names = subagent::names_of(&child, names);
            stop(connection, &names, std::slice::from_ref(&child.run)).await
        }
        None => Ok(false),
    }
}

/// Asks the gateway to stop one run and nothing else of its session, which a later run leads.
pub(crate) async fn stop_run(connection: &Connection, names: &Names) -> Result<bool, Fault> {
    let params = json!({"sessionKey": names.session, "runId": names.key});
    Ok(flag(&connection.call("chat.abort", &params).await?, "/aborted"))
}

/// Asks the gateway to stop everything that is led in sessions with names of ours, as it lists them itself;
/// returns in how many there was something to stop. What another bridge's device started, the gateway does
/// not let this one stop.
///
/// # Errors
///
/// Returns why the gateway could not be asked.
pub(crate) async fn stop_all(connection: &Connection) -> Result<usize, Fault> {
    let mut stopped = 0;
    let mut offset = 0;
    for _ in 0..PAGES_MAX {
        let params = json!({
            "activeOnly": true, "archived": "all", "includeUnknown": true, "limit": PAGE, "offset": offset,
        });
        let page = connection.call("sessions.list", &params).await?;
        let sessions = list(&page, "/sessions");
        offset += sessions.len();
        for session in sessions {
            let key = text(session, "/key");
            if !names::is_of_a_bridge(key) {
                continue;
            }
            match stop_session(connection, key).await {
                Ok(was_led) => stopped += usize::from(was_led),
                // Another device's, or gone: the others are stopped all the same.
                Err(Fault::Refused { error, .. }) => {
                    tracing::warn!(session = key, code = %error.code, "a session is not stopped");
                }
                Err(fault) => return Err(fault),
            }
        }
        if !flag(&page, "/hasMore") || sessions.is_empty() {
            break;
        }
    }
    Ok(stopped)
}

async fn stop_session(connection: &Connection, key: &str) -> Result<bool, Fault> {
    stop_tree(connection, key, Scope { run: "", shared: false }, &[]).await
}

/// Asks the gateway to stop everything of a session tree; returns whether there was something to stop.
///
/// # Errors
///
/// Returns why the gateway could not be asked.
pub(crate) async fn stop(
    connection: &Connection,
    names: &Names,
    runs: &[String],
) -> Result<bool, Fault> {
    let scope = Scope { run: &names.key, shared: false };
    stop_tree(connection, &names.session, scope, runs).await
}

async fn stop_tree(
    connection: &Connection,
    session: &str,
    scope: Scope<'_>,
    runs: &[String],
) -> Result<bool, Fault> {
    let look = look_at(connection, session, &mut None).await?;
    let mut stopped = look.active || look.waiting;
    let in_flight = look.in_flight.as_ref().map(|(run, _)| run);
    let known: BTreeSet<&String> = runs.iter().chain(&look.active_runs).chain(in_flight).collect();
    for run in known {
        let answer =
            connection.call("chat.abort", &json!({"sessionKey": session, "runId": run})).await?;
        stopped |= flag(&answer, "/aborted");
    }
    let tree = tasks(connection, session, scope).await?;
    for key in std::iter::once(session).chain(tree.children.iter().map(String::as_str)) {
        match connection.call("sessions.abort", &json!({"key": key})).await {
            Ok(answer) => stopped |= text(&answer, "/status") == "aborted",
            // A session that has ended, or was never there, is an error to the gateway.
            Err(Fault::Refused { error, .. }) => {
                tracing::debug!(code = %error.code, "nothing to stop")
            }
            Err(fault) => return Err(fault),
        }
    }
    // The gateway continues a run by itself after a restart, a while after this state shows.
    Ok(stopped || look.status == "running")
}

/// Sessions that are asked for at once.
const PAGE: usize = 100;
/// More sessions than this many pages of them are never active at one gateway.
const PAGES_MAX: usize = 100;
