//! Looking at a session: its transcript and its books, as the gateway tells them now.

use std::collections::BTreeSet;

use landbridge_node::adapter::Usage;
use serde_json::{Value, json};

use crate::connection::Connection;
use crate::drive::now;
use crate::fault::Fault;
use crate::transcript::{Look, Scope, Tasks};
use crate::wire::{flag, text};

/// Asks for a session's transcript, from the cursor on when there is one.
pub(crate) async fn look_at(
    connection: &Connection,
    session: &str,
    cursor: &mut Option<String>,
) -> Result<Look, Fault> {
    if let Some(from) = cursor.as_ref() {
        let params = json!({"sessionKey": session, "cursor": from, "maxChars": ROW_CHARS_MAX});
        let payload = connection.call("chat.history", &params).await?;
        // A delta cuts long texts whatever was asked; a page does not.
        if text(&payload, "/kind") == "delta" && !payload.to_string().contains(CUT) {
            keep_cursor(&payload, cursor);
            return Ok(Look::read(&payload));
        }
    }
    let mut params = json!({"sessionKey": session, "limit": PAGE_ROWS, "maxChars": ROW_CHARS_MAX});
    let newest = connection.call("chat.history", &params).await?;
    keep_cursor(&newest, cursor);
    let mut look = Look::read(&newest);
    let mut more = flag(&newest, "/hasMore");
    let mut offset = look.rows.len();
    for _ in 1..PAGES_MAX {
        if !more {
            break;
        }
        params["offset"] = json!(offset);
        let page = connection.call("chat.history", &params).await?;
        let mut rows = crate::transcript::rows(&page);
        more = flag(&page, "/hasMore") && !rows.is_empty();
        offset += rows.len();
        rows.append(&mut look.rows);
        look.rows = rows;
    }
    Ok(look)
}

fn keep_cursor(payload: &Value, cursor: &mut Option<String>) {
    let next = text(payload, "/deltaCursor");
    *cursor = (!next.is_empty()).then(|| next.to_owned());
}

/// Asks for the gateway's book of a session and of its children, down the tree.
pub(crate) async fn tasks(
    connection: &Connection,
    session: &str,
    scope: Scope<'_>,
) -> Result<Tasks, Fault> {
    let mut all = Tasks::default();
    let mut seen = BTreeSet::new();
    let mut ahead = vec![(session.to_owned(), scope)];
    let below = Scope { shared: false, ..scope };
    while let Some((session, scope)) = ahead.pop() {
        if seen.len() >= TREE_SESSIONS_MAX || !seen.insert(session.clone()) {
            continue;
        }
        let payload = connection.call("tasks.list", &json!({"sessionKey": session})).await?;
        let tasks = Tasks::read(&payload, scope, now());
        all.open |= tasks.open;
        all.runs.extend(tasks.runs);
        ahead.extend(tasks.family.iter().map(|child| (child.session.clone(), below)));
        all.children.extend(tasks.children);
        // A session's book also holds the session's own task, as its parent booked it.
        let known: BTreeSet<String> = all.family.iter().map(|child| child.run.clone()).collect();
        all.family.extend(tasks.family.into_iter().filter(|child| !known.contains(&child.run)));
    }
    Ok(all)
}

/// Adds what one session used to what others did.
pub(crate) fn add(sum: &mut Usage, more: &Usage) {
    sum.input += more.input;
    sum.output += more.output;
    sum.cache_read += more.cache_read;
    sum.cache_write += more.cache_write;
    sum.total += more.total;
    sum.cost_micro_usd = match (sum.cost_micro_usd, more.cost_micro_usd) {
        (None, cost) | (cost, None) => cost,
        (Some(one), Some(other)) => Some(one + other),
    };
    if more.model.is_some() {
        sum.model.clone_from(&more.model);
    }
}

const CUT: &str = "...(truncated)...";
const PAGE_ROWS: usize = 1000;
const PAGES_MAX: usize = 50;
const ROW_CHARS_MAX: usize = 500_000;
const TREE_SESSIONS_MAX: usize = 256;
