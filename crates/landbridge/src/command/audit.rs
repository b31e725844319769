//! `audit show`: the audit log as it is, one row a line.

use serde::{Deserialize, Serialize};

use crate::cli::AuditShowArgs;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::out::Out;

/// A row as the API tells it. The event is printed as the bytes that were hashed.
#[derive(Serialize, Deserialize)]
struct Row {
    n: u64,
    event: String,
    head: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Rows {
    Bare(Vec<Row>),
    Named { rows: Vec<Row> },
}

/// Prints rows, oldest first.
pub(super) async fn show(
    client: &Client,
    args: &AuditShowArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    let path = format!("/v1/admin/audit?after={}&limit={}", args.after, args.limit);
    let rows = match client.get(&path).await? {
        Rows::Bare(rows) | Rows::Named { rows } => rows,
    };
    let last = rows.last().map_or(args.after, |row| row.n);
    let full = rows.len() as u64 == args.limit;
    for row in rows {
        out.data(&row, |row| {
            format!("{:>8}  {}  {}", row.n, &row.head[..row.head.len().min(10)], row.event)
        })?;
    }
    if full {
        out.say(crate::out::Look::Dim, format!("more: landbridge audit show --after {last}"));
    }
    Ok(Exit::Success)
}
