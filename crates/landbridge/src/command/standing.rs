//! `peer suspend`, `peer resume`, `peer revoke`, `peer test`: how a peer stands.
//!
//! Suspending and revoking are words of the federation document, so the policy key signs them. A quarantine is the
//! daemon's own decision and no part of that document. `peer resume` ends whichever keeps the peer from
//! working, so that nobody has to know the difference first.

use landbridge_node::local::api::{PeerView, Resume, Resumed};
use landbridge_node::local::standing::{PeerTest, StepState};
use landbridge_proto::wire::document::{Peer, PeerStatus};
use landbridge_proto::wire::name::Alias;
use serde::Serialize;

use crate::cli::{PeerDecideArgs, PolicyArgs};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::offline;
use crate::out::{Look, Out};

/// What a decision made of a peer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Decided {
    alias: Alias,
    state: &'static str,
    because: String,
}

/// Stops working with a peer until it is resumed.
pub(super) async fn suspend(
    client: &Client,
    args: &PeerDecideArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    if set(client, args, out, PeerStatus::Suspended).await? {
        out.say(
            Look::Green,
            format!("{} is suspended: it may ask nothing, and is asked nothing", args.alias),
        );
        out.say(Look::Dim, "runs that it asked for go on here, and are told when it is resumed");
        out.say(
            Look::Dim,
            format!("to go on: landbridge peer resume {} --because TEXT", args.alias),
        );
    }
    Ok(Exit::Success)
}

/// Ends a peer for good.
pub(super) async fn revoke(
    client: &Client,
    args: &PeerDecideArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    if set(client, args, out, PeerStatus::Revoked).await? {
        out.say(Look::Green, format!("{} is revoked for good", args.alias));
        out.say(
            Look::Dim,
            "runs that it asked for are stopped here; runs that were asked of it end as lost",
        );
        out.say(Look::Dim, "it becomes a peer again only by a new pairing: landbridge peer invite");
    }
    Ok(Exit::Success)
}

/// Ends a suspension, a quarantine, or both.
pub(super) async fn resume(
    client: &Client,
    args: &PeerDecideArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    let alias = &args.alias;
    let peers: Vec<PeerView> = client.get("/v1/admin/peers").await?;
    let peer = peers.iter().find(|peer| peer.alias == *alias && peer.state != "awaitingAccept");
    let peer = peer.ok_or_else(|| no_peer(alias))?;
    let status = status_of(client, alias).await?;
    if status == PeerStatus::Revoked {
        return Err(revoked(alias));
    }
    let quarantined = peer.state == "quarantined";
    if !quarantined && status == PeerStatus::Active {
        return Err(Failure::new(
            Exit::NotFound,
            format!("{alias} is neither suspended nor quarantined"),
        )
        .next(format!("landbridge peer test {alias}")));
    }
    if status == PeerStatus::Suspended
        && !put(client, &args.policy, alias, &args.because, out, PeerStatus::Active).await?
    {
        return Ok(Exit::Success);
    }
    if quarantined && !args.policy.dry_run {
        let path = format!("/v1/admin/peers/{}/resume", peer.gateway);
        let _: Resumed = client.post(&path, &Resume { because: args.because.clone() }).await?;
    }
    let decided = Decided { alias: alias.clone(), state: "active", because: args.because.clone() };
    out.data(&decided, |_| String::new())?;
    if args.policy.dry_run {
        out.say(Look::Dim, "the quarantine stays: --dry-run");
        return Ok(Exit::Success);
    }
    out.say(Look::Green, format!("{alias} may be asked again, and may ask"));
    out.say(Look::Dim, "runs that ended as lost meanwhile stay so");
    Ok(Exit::Success)
}

/// Tests a peer, step by step.
pub(super) async fn test(client: &Client, alias: &Alias, out: &Out) -> Result<Exit, Failure> {
    let peers: Vec<PeerView> = client.get("/v1/admin/peers").await?;
    let peer = peers.iter().find(|peer| peer.alias == *alias).ok_or_else(|| no_peer(alias))?;
    if peer.state == "awaitingAccept" {
        return Err(Failure::new(Exit::Failed, format!("{alias} is not accepted here yet"))
            .next(format!("landbridge peer accept {alias}")));
    }
    let path = format!("/v1/admin/peers/{}/test", peer.gateway);
    let test: PeerTest = client.post(&path, &serde_json::json!({})).await?;
    out.data(&test, |test| text(test, alias))?;
    if test.ok {
        out.say(Look::Green, format!("{alias} answered with its own signature"));
        return Ok(Exit::Success);
    }
    let failed = test.steps.iter().find(|step| step.state == StepState::Fail);
    let what = failed.map_or_else(String::new, |step| format!(": {}", step.step));
    out.say(Look::Red, format!("{alias} did not pass the test{what}"));
    Ok(Exit::Failed)
}

fn text(test: &PeerTest, alias: &Alias) -> String {
    let mut text = String::new();
    for step in &test.steps {
        let mark = match step.state {
            StepState::Ok => "ok  ",
            StepState::Warn => "warn",
            StepState::Fail => "FAIL",
            StepState::Skipped => "-   ",
        };
        text.push_str(&format!("{mark}  {:8}  {}\n", step.step, step.detail));
        if let Some(remedy) = &step.remedy {
            let remedy = remedy.replace("ALIAS", alias.as_str());
            text.push_str(&format!("      {:8}  try: {remedy}\n", ""));
        }
    }
    if let Some(ms) = test.round_trip_ms {
        text.push_str(&format!("round trip: {ms} ms\n"));
    }
    text
}

async fn set(
    client: &Client,
    args: &PeerDecideArgs,
    out: &Out,
    status: PeerStatus,
) -> Result<bool, Failure> {
    let applied = put(client, &args.policy, &args.alias, &args.because, out, status).await?;
    let state = if status == PeerStatus::Revoked { "revoked" } else { "suspended" };
    let decided = Decided { alias: args.alias.clone(), state, because: args.because.clone() };
    out.data(&decided, |_| String::new())?;
    Ok(applied)
}

async fn put(
    client: &Client,
    policy: &PolicyArgs,
    alias: &Alias,
    because: &str,
    out: &Out,
    status: PeerStatus,
) -> Result<bool, Failure> {
    offline::change_because(client, policy, Some(because), out, |draft, trusted| {
        let known = trusted.and_then(|trusted| trusted.peer_called(alias));
        let known = known.ok_or_else(|| no_peer(alias))?;
        if known.status == PeerStatus::Revoked {
            return Err(revoked(alias));
        }
        if known.status == status {
            return Err(Failure::new(Exit::Failed, format!("{alias} is so already"))
                .next(format!("landbridge peer show {alias}")));
        }
        let grants = match status {
            // A suspended peer keeps what it was granted, for when it is resumed.
            PeerStatus::Active | PeerStatus::Suspended => known.grants.clone(),
            PeerStatus::Revoked => Vec::new(),
        };
        draft.put_peer(Peer { grants, status, ..known.clone() });
        Ok(())
    })
    .await
}

async fn status_of(client: &Client, alias: &Alias) -> Result<PeerStatus, Failure> {
    let trusted = offline::current(client).await?;
    let known = trusted.as_ref().and_then(|trusted| trusted.peer_called(alias));
    known.map(|peer| peer.status).ok_or_else(|| no_peer(alias))
}

fn no_peer(alias: &Alias) -> Failure {
    Failure::new(Exit::NotFound, format!("no accepted peer is called {alias}"))
        .next("landbridge peer list")
}

fn revoked(alias: &Alias) -> Failure {
    Failure::new(Exit::Failed, format!("{alias} is revoked, and stays so"))
        .why("a revocation cannot be taken back")
        .next(format!("pair anew: landbridge peer invite {alias}, and landbridge peer join there"))
}
