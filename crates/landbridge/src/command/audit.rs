//! `audit show`: the audit log as it is, one row a line.

use landbridge_node::local::api::AuditList;

use crate::cli::AuditShowArgs;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::out::{Look, Out};

/// Prints rows, oldest first. The event is printed as the bytes that the chain hashes.
pub(super) async fn show(
    client: &Client,
    args: &AuditShowArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    let path = format!("/v1/admin/audit?after={}&limit={}", args.after, args.limit);
    let list: AuditList = client.get(&path).await?;
    for row in &list.rows {
        let head = row.head.to_string();
        out.data(row, |row| {
            format!("{:>8}  {}  {}", row.n, head.get(..10).unwrap_or(&head), row.event)
        })?;
    }
    if let Some(next) = list.next {
        out.say(Look::Dim, format!("more: landbridge audit show --after {next}"));
    }
    Ok(Exit::Success)
}
