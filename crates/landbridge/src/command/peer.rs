//! `peer`: other gateways' bridges.
//!
//! Accepting is the one moment at which trust begins, so it needs two things that no program has: the
//! policy key, and a person (or a script that a person wrote) who got the other side's words by another
//! way than the one that the invite took.

use std::io::{BufRead as _, Read as _, Write as _};

use landbridge_node::local::api::{BridgeView, InviteView, Join, NewInvite, PairingView, PeerView};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{Peer, PeerStatus};
use landbridge_proto::wire::name::Alias;

use super::standing;
use crate::cli::{PeerAcceptArgs, PeerCommand, PeerInviteArgs, PeerJoinArgs};
use crate::client::Client;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::offline;
use crate::out::{Look, Out, fields, table};

/// Runs a peer command.
pub(super) async fn run(client: &Client, command: PeerCommand, out: &Out) -> Result<Exit, Failure> {
    match command {
        PeerCommand::Invite(args) => invite(client, args, out).await,
        PeerCommand::Join(args) => join(client, args, out).await,
        PeerCommand::Accept(args) => accept(client, &args, out).await,
        PeerCommand::List => list(client, out).await,
        PeerCommand::Show(args) => show(client, &args.alias, out).await,
        PeerCommand::Test(args) => standing::test(client, &args.alias, out).await,
        PeerCommand::Suspend(args) => standing::suspend(client, &args, out).await,
        PeerCommand::Resume(args) => standing::resume(client, &args, out).await,
        PeerCommand::Revoke(args) => standing::revoke(client, &args, out).await,
    }
}

async fn invite(client: &Client, args: PeerInviteArgs, out: &Out) -> Result<Exit, Failure> {
    let new = NewInvite { alias: args.alias.clone(), expires_in: Some(args.expires_in) };
    let invite: InviteView = client.post("/v1/admin/invites", &new).await?;
    out.data(&invite, |invite| invite.invite.clone())?;
    out.say(Look::Dim, format!("good once, until {}; it is a secret", invite.expires));
    out.say(
        Look::Dim,
        "there: landbridge peer join - --alias NAME, with the invite on standard input",
    );
    out.say(
        Look::Dim,
        format!("then compare the words, and here: landbridge peer accept {}", args.alias),
    );
    Ok(Exit::Success)
}

async fn join(client: &Client, args: PeerJoinArgs, out: &Out) -> Result<Exit, Failure> {
    let invite = if args.invite == "-" {
        let mut text = String::new();
        let read = std::io::stdin().lock().take(INVITE_BYTES_MAX).read_to_string(&mut text);
        read.or_fail(Exit::Usage, || "cannot read the invite from standard input")?;
        text.trim().to_owned()
    } else {
        args.invite
    };
    let join = Join { invite, alias: args.alias.clone() };
    let pairing: PairingView = client.post("/v1/admin/joins", &join).await?;
    out.data(&pairing, pairing_text)?;
    out.say(Look::Dim, "nothing works until both sides have compared the words and accepted:");
    out.say(Look::Dim, format!("  landbridge peer accept {}", args.alias));
    Ok(Exit::Success)
}

async fn accept(client: &Client, args: &PeerAcceptArgs, out: &Out) -> Result<Exit, Failure> {
    let pairings: Vec<PairingView> = client.get("/v1/admin/pairings").await?;
    let Some(pairing) = pairings.iter().find(|pairing| pairing.alias == args.alias) else {
        return Err(Failure::new(
            Exit::Failed,
            format!("no pairing called {} waits here", args.alias),
        )
        .next("landbridge peer list"));
    };
    compare_words(pairing, args, out)?;
    let genesis: Digest = serde_json::from_value(pairing.genesis.clone().into())
        .or_fail(Exit::Internal, || "the bridge's answer cannot be read")?;
    let applied = offline::change(client, &args.policy, out, |draft, trusted| {
        let known = trusted.and_then(|trusted| trusted.peer(&pairing.gateway));
        draft.put_peer(Peer {
            alias: pairing.alias.clone(),
            // Its verified root says where it is; an address without a pin would be a weaker word.
            endpoints: Vec::new(),
            genesis,
            gid: pairing.gateway.clone(),
            grants: known.map(|peer| peer.grants.clone()).unwrap_or_default(),
            min_root_version: pairing.root_version,
            status: PeerStatus::Active,
        });
        Ok(())
    })
    .await?;
    out.data(pairing, |_| String::new())?;
    if applied {
        out.say(Look::Green, format!("{} is accepted here", args.alias));
        out.say(Look::Dim, format!(
            "it may ask nothing yet; let it use an agent: landbridge grant add {} --agent AGENT",
            args.alias
        ));
    }
    Ok(Exit::Success)
}

fn compare_words(pairing: &PairingView, args: &PeerAcceptArgs, out: &Out) -> Result<(), Failure> {
    if let Some(words) = &args.words {
        if same_words(words, &pairing.words) {
            return Ok(());
        }
        return Err(Failure::new(Exit::Failed, "the words differ; nothing was accepted")
            .why("somebody may stand between the two bridges, or the invite was another one")
            .next(format!(
                "landbridge peer show {}, and compare with the other side again",
                args.alias
            )));
    }
    if !out.interactive() {
        return Err(Failure::new(Exit::Usage, "nobody is here to compare the words")
            .next("the same command with --words and the words that the other side sees"));
    }
    out.say(Look::Plain, pairing_text(pairing));
    out.say(Look::Bold, format!("  {}", pairing.words));
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "Does the other side see the same twelve words? [y/N] ");
    let _ = stderr.flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.or_fail(Exit::Failed, || "cannot read the answer")?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::new(Exit::Failed, "nothing was accepted"))
    }
}

fn same_words(ours: &str, theirs: &str) -> bool {
    let words = |text: &str| {
        text.split(|c: char| !c.is_ascii_alphabetic())
            .filter(|word| !word.is_empty())
            .map(str::to_ascii_lowercase)
            .collect::<Vec<_>>()
    };
    let ours = words(ours);
    !ours.is_empty() && ours == words(theirs)
}

async fn list(client: &Client, out: &Out) -> Result<Exit, Failure> {
    let peers: Vec<PeerView> = client.get("/v1/admin/peers").await?;
    if peers.is_empty() {
        out.say(Look::Dim, "no peers; invite one: landbridge peer invite ALIAS");
    }
    out.data(&peers, |peers: &Vec<PeerView>| {
        let mut rows =
            vec![["ALIAS", "STATE", "GATEWAY", "ROOT", "STATUS FROM"].map(String::from).to_vec()];
        for peer in peers {
            rows.push(vec![
                peer.alias.to_string(),
                peer.state.clone(),
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
    if peer.state == "awaitingAccept" {
        out.say(Look::Yellow, format!("it waits for: landbridge peer accept {alias}"));
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

fn pairing_text(pairing: &PairingView) -> String {
    fields(&[
        ("gateway", pairing.gateway.to_string()),
        ("called here", pairing.alias.to_string()),
        ("endpoints", pairing.endpoints.join(" ")),
        ("root version", pairing.root_version.to_string()),
        ("words", pairing.words.clone()),
    ])
}

/// Longer than any invite.
const INVITE_BYTES_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_as_people_write_them() {
        assert!(same_words("Able  baker\ncharlie", "able baker charlie"));
        assert!(!same_words("able baker", "able baker charlie"));
        assert!(!same_words("able charlie baker", "able baker charlie"));
        assert!(!same_words("", ""));
    }
}
