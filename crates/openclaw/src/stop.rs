//! Stopping what a run started, wherever it is by now.

use std::collections::BTreeSet;

use landbridge_node::adapter::{Mode, Work};
use serde_json::json;

use crate::connection::Connection;
use crate::fault::Fault;
use crate::look::{look_at, tasks};
use crate::names::Names;
use crate::subagent;
use crate::transcript::Scope;
use crate::wire::{flag, text};

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
    let session = names.session.as_str();
    let look = look_at(connection, session, &mut None).await?;
    let mut stopped = look.active || look.waiting;
    let in_flight = look.in_flight.as_ref().map(|(run, _)| run);
    let known: BTreeSet<&String> = runs.iter().chain(&look.active_runs).chain(in_flight).collect();
    for run in known {
        let answer =
            connection.call("chat.abort", &json!({"sessionKey": session, "runId": run})).await?;
        stopped |= flag(&answer, "/aborted");
    }
    let scope = Scope { run: &names.key, shared: false };
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
