//! A child run under a session, started by the bridge through the gateway's own tool.
//!
//! The gateway offers `sessions_spawn` to a client only where its operators allow it. It chooses the
//! names of the child itself and never deduplicates, so the child carries a label that follows from the
//! run: a process that does not know whether it had asked looks for the label, and never asks again.

use landbridge_node::adapter::{Trouble, TroubleCode, Work};
use serde_json::json;

use crate::connection::Connection;
use crate::drive;
use crate::fault::Fault;
use crate::names::{self, Names};
use crate::transcript::Child;
use crate::wire::{flag, text};

/// What came of the wish to start a child.
pub(crate) enum Spawned {
    /// The gateway took it.
    Child(Child),
    /// The gateway does not do this; nothing was started.
    Refused(Trouble),
    /// The gateway's answer does not say whether it did.
    Unclear,
}

/// Asks the gateway to start the run's child. Never asked twice for a run.
pub(crate) async fn spawn(
    connection: &Connection,
    work: &Work,
    names: &Names,
) -> Result<Spawned, Fault> {
    let task = work.ask.text();
    // The bridge ends the run at its deadline; this is for the case that no bridge is left.
    let left_ms = work.deadline.since_ms(drive::now()).max(0);
    let params = json!({
        "name": TOOL, "agentId": names::agent(work), "sessionKey": names.session,
        "idempotencyKey": names.key, "args": {"task": task, "label": names::child_label(work),
            "runTimeoutSeconds": left_ms / 1000 + drive::SPARE_S},
    });
    let payload = connection.call("tools.invoke", &params).await?;
    let details = |member: &str| text(&payload, &format!("/output/details/{member}"));
    if flag(&payload, "/ok") && details("status") == "accepted" {
        let child = Child {
            session: details("childSessionKey").to_owned(),
            run: details("runId").to_owned(),
            label: names::child_label(work),
            began: drive::now(),
            end: None,
        };
        return Ok(Spawned::Child(child));
    }
    //= REQ-52
    let code = text(&payload, "/error/code");
    tracing::warn!(run = %work.run, code, status = details("status"), "the gateway started no child");
    let refused = matches!(code, "not_found" | "forbidden" | "tool_call_blocked")
        || matches!(details("status"), "forbidden" | "error");
    Ok(if refused { Spawned::Refused(unavailable()) } else { Spawned::Unclear })
}

/// Looks for the child that a run started, whichever process did.
pub(crate) async fn find(
    connection: &Connection,
    work: &Work,
    names: &Names,
) -> Result<Option<Child>, Fault> {
    let book = connection.call("tasks.list", &json!({"sessionKey": names.session})).await?;
    let label = names::child_label(work);
    Ok(Child::all(&book).find(|child| child.label == label))
}

/// The names under which the child is led: its own session, and its own run.
pub(crate) fn names_of(child: &Child, parents: &Names) -> Names {
    Names { session: child.session.clone(), key: child.run.clone(), ..parents.clone() }
}

fn unavailable() -> Trouble {
    Trouble {
        code: TroubleCode::SubagentUnavailable,
        detail: "the gateway does not let the session start a subagent".to_owned(),
    }
}

/// The gateway's tool.
const TOOL: &str = "sessions_spawn";
