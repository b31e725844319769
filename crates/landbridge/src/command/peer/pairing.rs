//! Joining, comparing the words and accepting; and what a pairing still waits for.

use std::io::{BufRead as _, Read as _, Write as _};

use landbridge_node::local::api::{Join, PairingView, PeerView};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{Peer, PeerStatus};

use crate::cli::{PeerAcceptArgs, PeerDeclineArgs, PeerJoinArgs};
use crate::client::Client;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::offline;
use crate::out::{Look, Out, fields};

pub(super) async fn join(client: &Client, args: PeerJoinArgs, out: &Out) -> Result<Exit, Failure> {
    let invite = if args.invite == "-" {
        let mut text = String::new();
        let read = std::io::stdin().lock().take(INVITE_BYTES_MAX).read_to_string(&mut text);
        read.or_fail(Exit::Usage, || "cannot read the invite from standard input")?;
        text
    } else {
        args.invite
    };
    let join = Join { invite, alias: args.alias.clone(), again: args.again };
    let pairing: PairingView = client
        .post("/v1/admin/joins", &join)
        .await
        .map_err(|failure| next_for_join(failure, args.alias.as_str()))?;
    out.data(&pairing, pairing_text)?;
    out.say(Look::Dim, "nothing works until both sides have compared the words and accepted:");
    if pairing.accepted_here {
        out.say(Look::Dim, format!("  {} is a peer here already", pairing.alias));
    } else {
        out.say(Look::Dim, format!("  here:  landbridge peer accept {}", pairing.alias));
    }
    out.say(Look::Dim, "  there: landbridge peer accept NAME, with its name for this bridge");
    Ok(Exit::Success)
}

/// What helps against what can go wrong with an invite.
fn next_for_join(failure: Failure, alias: &str) -> Failure {
    let anew = "ask for a new invite, there: landbridge peer invite NAME";
    match failure.problem_code() {
        Some("invite_damaged") => failure
            .why("an invite is one line, from gfp1: to its very last character")
            .next("copy it again, whole; or: landbridge peer join - < FILE"),
        Some("invite_own") => {
            failure.next("give it to the other side: it runs landbridge peer join")
        }
        Some("invite_expired" | "invite_refused") => failure.next(anew),
        Some("alias_taken") => failure.next(format!(
            "the same command with another --alias; or, when {alias} lost its keys and comes back as a \
             new gateway: landbridge peer rename {alias} {alias}-old, and this command again"
        )),
        Some("already_paired") => failure.next(
            "landbridge peer list; if the other side does not know this bridge any more: the same \
             command with --again",
        ),
        Some("verification_failed") => failure
            .why("what answers at the invite's address is not who made the invite, or its clock is wrong")
            .next(anew),
        Some("peer_unreachable") => failure.next(
            "the same command once the inviter's address can be reached from here; it has to be public, or \
             allowed by danger_allow_addresses",
        ),
        _ => failure,
    }
}

pub(super) async fn accept(
    client: &Client,
    args: &PeerAcceptArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    let pairings: Vec<PairingView> = client.get("/v1/admin/pairings").await?;
    let Some(pairing) = pairings.iter().find(|pairing| pairing.alias == args.alias) else {
        return accepted_already(client, args, out).await;
    };
    compare_words(pairing, args, out)?;
    let genesis: Digest = serde_json::from_value(pairing.genesis.clone().into())
        .or_fail(Exit::Internal, || "the bridge's answer cannot be read")?;
    let applied = offline::change(client, &args.policy, out, |draft, trusted| {
        let known = trusted.and_then(|trusted| trusted.peer(&pairing.gateway));
        if known.is_some_and(|peer| peer.status == PeerStatus::Revoked) {
            out.say(Look::Yellow, format!("{} was revoked here: this pairs it anew", args.alias));
        }
        draft.put_peer(Peer {
            alias: pairing.alias.clone(),
            // Its verified root says where it is; an address without a pin would be a weaker word.
            endpoints: Vec::new(),
            genesis,
            gid: pairing.gateway.clone(),
            grants: known.map(|peer| peer.grants.clone()).unwrap_or_default(),
            min_root_version: pairing.root_version,
            projections: Vec::new(),
            status: PeerStatus::Active,
        });
        Ok(())
    })
    .await?;
    out.data(pairing, |_| String::new())?;
    if applied {
        out.say(Look::Green, format!("{} is accepted here", args.alias));
        tell_standing(client, args, out).await?;
        out.say(Look::Dim, format!(
            "it may ask nothing yet; let it use an agent: landbridge grant add {} --agent AGENT",
            args.alias
        ));
    }
    Ok(Exit::Success)
}

/// Nothing waits under this name: says why, and how it stands.
async fn accepted_already(
    client: &Client,
    args: &PeerAcceptArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    let peers: Vec<PeerView> = client.get("/v1/admin/peers").await?;
    match peers.iter().find(|peer| peer.alias == args.alias) {
        Some(peer) => {
            out.data(peer, |_| String::new())?;
            out.say(Look::Green, format!("{} is accepted here already", args.alias));
            say_waiting(peer, out);
            Ok(Exit::Success)
        }
        None => {
            Err(Failure::new(Exit::Failed, format!("no pairing called {} waits here", args.alias))
                .why("the other side has not used the invite yet, or the name is another one")
                .next("landbridge peer list, and landbridge peer invites"))
        }
    }
}

async fn tell_standing(client: &Client, args: &PeerAcceptArgs, out: &Out) -> Result<(), Failure> {
    let peers: Vec<PeerView> = client.get("/v1/admin/peers").await?;
    match peers.iter().find(|peer| peer.alias == args.alias) {
        Some(peer) if peer.pairing.is_some() => say_waiting(peer, out),
        Some(_) => out.say(Look::Green, "the other side has accepted too: the pairing is done"),
        None => {}
    }
    Ok(())
}

pub(super) async fn decline(
    client: &Client,
    args: &PeerDeclineArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    let pairings: Vec<PairingView> = client.get("/v1/admin/pairings").await?;
    let Some(pairing) = pairings.iter().find(|pairing| pairing.alias == args.alias) else {
        let what = format!("no pairing called {} waits here", args.alias);
        return Err(Failure::new(Exit::NotFound, what).next("landbridge peer list"));
    };
    client.delete(&format!("/v1/admin/pairings/{}", pairing.gateway)).await?;
    out.data(pairing, |_| String::new())?;
    out.say(Look::Green, format!("the pairing with {} is forgotten here", pairing.gateway));
    Ok(Exit::Success)
}

/// Says what a pairing waits for, and what to do about it.
pub(super) fn say_waiting(peer: &PeerView, out: &Out) {
    let Some((what, next)) = waiting(peer) else { return };
    out.say(Look::Yellow, what);
    out.say(Look::Dim, next);
}

/// What a pairing waits for, and what to do about it.
pub(crate) fn waiting(peer: &PeerView) -> Option<(String, String)> {
    let pairing = peer.pairing.as_ref()?;
    let alias = &peer.alias;
    let here = format!("after comparing the words, here: landbridge peer accept {alias}");
    let there =
        "there: landbridge peer accept NAME, with its name for this bridge (landbridge peer list)";
    let detail = pairing.detail.clone().unwrap_or_default();
    let gone = !detail.is_empty() && pairing.accepted_there.is_some();
    if gone {
        let next = format!(
            "pair again, there: landbridge peer invite NAME; here: landbridge peer join - --alias {alias}"
        );
        return Some((detail, next));
    }
    Some(match (pairing.accepted_here, pairing.accepted_there) {
        (false, Some(true)) => {
            ("it waits for this side; the other side has accepted".to_owned(), here)
        }
        (false, Some(false)) => (format!("it waits for both sides; {there}"), here),
        (false, None) => (format!("it waits for this side; of the other, {detail}"), here),
        (true, Some(_)) => {
            ("accepted here; it waits for the other side".to_owned(), there.to_owned())
        }
        (true, None) => (
            format!("accepted here; whether the other side has is not known: {detail}"),
            format!("landbridge peer show {alias}, once it can be reached; {there}"),
        ),
    })
}

/// Whom a pairing waits for, in a word.
pub(super) fn waits_for(peer: &PeerView) -> &'static str {
    match peer.pairing.as_ref().map(|pairing| (pairing.accepted_here, pairing.accepted_there)) {
        None => "",
        Some((false, Some(false))) => "both sides",
        Some((false, _)) => "this side",
        Some((true, _)) => "the other side",
    }
}

fn compare_words(pairing: &PairingView, args: &PeerAcceptArgs, out: &Out) -> Result<(), Failure> {
    if let Some(words) = &args.words {
        if same_words(words, &pairing.words) {
            return Ok(());
        }
        return Err(wrong_words(args));
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
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(wrong_words(args)) }
}

fn wrong_words(args: &PeerAcceptArgs) -> Failure {
    Failure::new(Exit::Failed, "the words differ; nothing was accepted")
        .why("somebody may stand between the two bridges, or each side looks at another pairing")
        .next(format!(
            "landbridge peer show {0} at both sides; if they still differ: landbridge peer decline {0}, and a \
             new invite by another way",
            args.alias
        ))
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
