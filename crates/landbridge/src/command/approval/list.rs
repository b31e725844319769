//! Lists of approvals.

use landbridge_node::clock::{Clock as _, SystemClock};
use landbridge_node::local::api::{ApprovalBrief, ApprovalList};
use landbridge_proto::machine::contract::{ApprovalSide, ApprovalState};
use landbridge_proto::wire::name::{ScopeName, Timestamp};

use crate::approval::question::left;
use crate::cli::{ApprovalListArgs, ApprovalSideChoice, ApprovalStateChoice};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::out::{Look, Out, table};

/// Prints a page of approvals.
pub(super) async fn list(
    client: &Client,
    args: &ApprovalListArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    let list: ApprovalList = client.get(&path(args)).await?;
    let now = SystemClock.now();
    out.data(&list, |list| rows(&list.approvals, now))?;
    if list.approvals.is_empty() {
        let open = args.state.is_none() && !args.all;
        out.say(Look::Dim, if open { "no approval is open" } else { "no approvals" });
    }
    let ours = |one: &&ApprovalBrief| {
        one.side == ApprovalSide::Deciding && one.state == ApprovalState::Open
    };
    if let Some(next) = list.approvals.iter().find(ours) {
        let id = &next.id;
        out.say(
            Look::Dim,
            format!(
                "decide: landbridge approval approve {id} --key FILE, or landbridge approval deny"
            ),
        );
    }
    Ok(Exit::Success)
}

fn path(args: &ApprovalListArgs) -> String {
    let state = match args.state {
        Some(ApprovalStateChoice::Open) => Some(ApprovalState::Open),
        Some(ApprovalStateChoice::Approved) => Some(ApprovalState::Approved),
        Some(ApprovalStateChoice::Denied) => Some(ApprovalState::Denied),
        Some(ApprovalStateChoice::Expired) => Some(ApprovalState::Expired),
        Some(ApprovalStateChoice::Closed) => Some(ApprovalState::Closed),
        None if args.all => None,
        None => Some(ApprovalState::Open),
    };
    let side = args.side.map(|side| match side {
        ApprovalSideChoice::Relying => ApprovalSide::Relying,
        ApprovalSideChoice::Deciding => ApprovalSide::Deciding,
    });
    let mut path = format!("/v1/approvals?limit={}", args.limit);
    if let Some(state) = state {
        path.push_str(&format!("&state={}", state.as_str()));
    }
    if let Some(side) = side {
        path.push_str(&format!("&side={}", side.as_str()));
    }
    path
}

fn rows(all: &[ApprovalBrief], now: Timestamp) -> String {
    if all.is_empty() {
        return String::new();
    }
    let head = ["APPROVAL", "WHO DECIDES", "PEER", "SCOPES", "KIND", "STATE", "EXPIRES"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for one in all {
        let who = match one.side {
            ApprovalSide::Deciding => "this gateway",
            ApprovalSide::Relying => "the peer",
        };
        let peers = one.peers.iter().map(|peer| match &peer.alias {
            Some(alias) => alias.to_string(),
            None => peer.gateway.to_string(),
        });
        let scopes: Vec<&str> = match one.side {
            ApprovalSide::Deciding => one.scopes.iter().map(ScopeName::as_str).collect(),
            ApprovalSide::Relying => vec![one.scope.as_str()],
        };
        let until = one.expires.parse::<jiff::Timestamp>();
        let expires = match (one.state, until) {
            (ApprovalState::Open, Ok(until)) => left(now, Timestamp(until.as_millisecond())),
            _ => one.decided.clone().unwrap_or_else(|| one.expires.clone()),
        };
        rows.push(vec![
            one.id.to_string(),
            who.to_owned(),
            peers.collect::<Vec<_>>().join(" "),
            scopes.join(" "),
            one.kind.to_string(),
            one.state.as_str().to_owned(),
            expires,
        ]);
    }
    table(&rows)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn open_ones_are_listed_unless_more_is_asked_for() {
        let args = |all, state, side| ApprovalListArgs { all, state, side, limit: 9 };
        assert_eq!(path(&args(false, None, None)), "/v1/approvals?limit=9&state=open");
        assert_eq!(path(&args(true, None, None)), "/v1/approvals?limit=9");
        let denied =
            args(false, Some(ApprovalStateChoice::Denied), Some(ApprovalSideChoice::Relying));
        assert_eq!(path(&denied), "/v1/approvals?limit=9&state=denied&side=relying");
    }

    #[test]
    fn a_row_says_who_decides_and_how_long_there_is() {
        let id = format!("apr-{}", "a".repeat(26));
        let gateway = format!("gw1-{}", "a".repeat(52));
        let one = |side: &str, state: &str| {
            serde_json::from_value::<ApprovalBrief>(serde_json::json!({
                "id": id, "side": side, "state": state, "tenant": "acme",
                "peers": [{"gateway": gateway, "alias": "eu"}], "scope": "lead",
                "scopes": ["sre-lead"], "quorum": 1,
                "requester": {"gateway": gateway, "principal": "ci"}, "kind": "exec",
                "binding": "exact", "created": "1970-01-01T00:00:00Z",
                "expires": "1970-01-01T00:10:00Z",
            }))
            .unwrap()
        };
        let text = rows(&[one("deciding", "open"), one("relying", "expired")], Timestamp(0));
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split("  ").filter(|cell| !cell.is_empty()).collect())
            .collect();
        let trimmed = |at: usize| lines[at].iter().map(|cell| cell.trim()).collect::<Vec<_>>();
        assert_eq!(
            trimmed(1),
            [&id, "this gateway", "eu", "sre-lead", "exec", "open", "in 10 min"]
        );
        assert_eq!(
            trimmed(2),
            [&id, "the peer", "eu", "lead", "exec", "expired", "1970-01-01T00:10:00Z"]
        );
    }
}
