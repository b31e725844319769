//! `peer`: other gateways' bridges.
//!
//! Accepting is the one moment at which trust begins, so it needs two things that no program has: the
//! policy key, and a person (or a script that a person wrote) who got the other side's words by another
//! way than the one that the invite took.

mod change;
mod invite;
mod pairing;
mod qr;

use landbridge_node::local::api::{BridgeView, PeerView};
use landbridge_proto::wire::name::Alias;

pub(super) use self::pairing::waiting;
use super::standing;
use crate::cli::PeerCommand;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::out::{Look, Out, fields, table};

/// Runs a peer command.
pub(super) async fn run(client: &Client, command: PeerCommand, out: &Out) -> Result<Exit, Failure> {
    match command {
        PeerCommand::Invite(args) => invite::invite(client, args, out).await,
        PeerCommand::Invites(args) => invite::list(client, &args, out).await,
        PeerCommand::Withdraw(args) => invite::withdraw(client, &args, out).await,
        PeerCommand::Join(args) => pairing::join(client, args, out).await,
        PeerCommand::Accept(args) => pairing::accept(client, &args, out).await,
        PeerCommand::Decline(args) => pairing::decline(client, &args, out).await,
        PeerCommand::Rename(args) => change::rename(client, &args, out).await,
        PeerCommand::Address(args) => change::address(client, &args, out).await,
        PeerCommand::List => list(client, out).await,
        PeerCommand::Show(args) => show(client, &args.alias, out).await,
        PeerCommand::Test(args) => standing::test(client, &args.alias, out).await,
        PeerCommand::Suspend(args) => standing::suspend(client, &args, out).await,
        PeerCommand::Resume(args) => standing::resume(client, &args, out).await,
        PeerCommand::Revoke(args) => standing::revoke(client, &args, out).await,
    }
}

async fn list(client: &Client, out: &Out) -> Result<Exit, Failure> {
    let peers: Vec<PeerView> = client.get("/v1/admin/peers").await?;
    if peers.is_empty() {
        out.say(Look::Dim, "no peers; invite one: landbridge peer invite ALIAS");
    }
    out.data(&peers, |peers: &Vec<PeerView>| {
        let mut rows = vec![
            ["ALIAS", "STATE", "WAITS FOR", "GATEWAY", "ROOT", "STATUS FROM"]
                .map(String::from)
                .to_vec(),
        ];
        for peer in peers {
            rows.push(vec![
                peer.alias.to_string(),
                peer.state.clone(),
                pairing::waits_for(peer).to_owned(),
                peer.gateway.to_string(),
                peer.root_version.map(|version| version.to_string()).unwrap_or_default(),
                peer.status_issued.clone().unwrap_or_default(),
            ]);
        }
        if rows.len() == 1 { String::new() } else { table(&rows) }
    })?;
    if client.get::<BridgeView>("/v1/admin/bridge").await.is_ok_and(|view| view.halted.is_some()) {
        out.say(Look::Red, "this bridge is halted: nothing is done with any of them");
        out.say(Look::Dim, "to go on: landbridge resume");
    }
    Ok(Exit::Success)
}

async fn show(client: &Client, alias: &Alias, out: &Out) -> Result<Exit, Failure> {
    let peers: Vec<PeerView> = client.get("/v1/admin/peers").await?;
    let Some(peer) = peers.iter().find(|peer| peer.alias == *alias) else {
        return Err(Failure::new(Exit::Failed, format!("no peer is called {alias}"))
            .next("landbridge peer list"));
    };
    out.data(peer, |peer| {
        let tenants: Vec<String> =
            peer.tenants.iter().map(|pair| format!("{}:{}", pair.local, pair.remote)).collect();
        let grants: Vec<String> = peer.grants.iter().map(ToString::to_string).collect();
        fields(&[
            ("alias", peer.alias.to_string()),
            ("state", peer.state.clone()),
            ("gateway", peer.gateway.to_string()),
            ("words", peer.words.clone().unwrap_or_default()),
            ("endpoints", peer.endpoints.join(" ")),
            (
                "root version",
                peer.root_version.map(|version| version.to_string()).unwrap_or_default(),
            ),
            ("status from", peer.status_issued.clone().unwrap_or_default()),
            ("evidence", peer.evidence.join(" ")),
            ("tenants", tenants.join(" ")),
            ("grants", grants.join("\n")),
        ])
    })?;
    pairing::say_waiting(peer, out);
    if let Some((what, next)) = trouble(peer) {
        out.say(Look::Yellow, what);
        out.say(Look::Dim, next);
    }
    if peer.state == "quarantined" {
        let id = peer.evidence.last().map_or("ID", String::as_str);
        out.say(
            Look::Red,
            "it contradicted itself under its own signature; nothing is done with it",
        );
        out.say(Look::Dim, format!("what it signed: landbridge evidence show {id}"));
        let resume = format!("landbridge peer resume {alias} --because TEXT");
        out.say(Look::Dim, format!("when its people have explained it: {resume}"));
    }
    Ok(Exit::Success)
}

/// What is wrong with the way to a peer, and what to do about it.
pub(super) fn trouble(peer: &PeerView) -> Option<(String, String)> {
    let trouble = peer.trouble.as_ref()?;
    let alias = &peer.alias;
    if trouble.another_key {
        let what = format!(
            "{}; nothing is sent there. It moved, or lost its keys and is another gateway now",
            trouble.detail
        );
        let next = format!(
            "ask its people. It moved: landbridge peer address {alias} https://HOST:PORT. They made a new bridge:              landbridge peer rename {alias} {alias}-old, then landbridge peer invite {alias}"
        );
        return Some((what, next));
    }
    let next = format!(
        "landbridge route test {alias}; if it moved: landbridge peer address {alias} https://HOST:PORT"
    );
    Some((trouble.detail.clone(), next))
}
