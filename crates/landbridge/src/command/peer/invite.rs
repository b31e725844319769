//! Invites: `peer invite`, `peer invites` and `peer withdraw`.

use landbridge_node::local::api::{InviteView, NewInvite, OpenInvite};

use super::qr;
use crate::cli::{PeerInviteArgs, PeerInvitesArgs, PeerWithdrawArgs};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::out::{Look, Out, table};

pub(super) async fn invite(
    client: &Client,
    args: PeerInviteArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    let new = NewInvite { alias: args.alias.clone(), expires_in: Some(args.expires_in) };
    let invite: InviteView = client.post("/v1/admin/invites", &new).await.map_err(|failure| {
        if failure.problem_code() == Some("alias_taken") {
            let alias = &args.alias;
            failure.next(format!(
                "another name; or, when {alias} lost its keys and comes back as a new gateway: \
                 landbridge peer rename {alias} {alias}-old, and this command again"
            ))
        } else {
            failure
        }
    })?;
    out.data(&invite, |invite| invite.invite.clone())?;
    if args.qr || (out.live() && out.talks_to_a_terminal()) {
        match qr::drawn(&invite.invite) {
            Some(drawing) => out.picture(&drawing),
            None => out.say(Look::Dim, "the invite is too long for a QR code"),
        }
    }
    if invite.replaced {
        let note = format!("an earlier invite for {} was open; it is withdrawn", args.alias);
        out.say(Look::Yellow, note);
    }
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

pub(super) async fn list(
    client: &Client,
    args: &PeerInvitesArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    let mut invites: Vec<OpenInvite> = client.get("/v1/admin/invites").await?;
    invites.retain(|invite| args.all || invite.state == "open");
    if invites.is_empty() {
        out.say(Look::Dim, "no invite is open; make one: landbridge peer invite ALIAS");
    }
    out.data(&invites, |invites| {
        let head = ["ALIAS", "STATE", "EXPIRES", "INVITE", "USED BY"];
        let mut rows = vec![head.map(String::from).to_vec()];
        for invite in invites {
            rows.push(vec![
                invite.alias.to_string(),
                invite.state.clone(),
                invite.expires.clone(),
                invite.id.clone(),
                invite.used_by.as_ref().map(ToString::to_string).unwrap_or_default(),
            ]);
        }
        if rows.len() == 1 { String::new() } else { table(&rows) }
    })?;
    Ok(Exit::Success)
}

pub(super) async fn withdraw(
    client: &Client,
    args: &PeerWithdrawArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    let invites: Vec<OpenInvite> = client.get("/v1/admin/invites").await?;
    let named = |invite: &&OpenInvite| {
        invite.id == args.invite || (invite.alias.as_str() == args.invite && invite.state == "open")
    };
    let Some(invite) = invites.iter().find(named) else {
        let what = format!("no open invite is called {}", args.invite);
        return Err(Failure::new(Exit::NotFound, what).next("landbridge peer invites"));
    };
    let gone = client.delete(&format!("/v1/admin/invites/{}", invite.id)).await;
    gone.map_err(|failure| match &invite.used_by {
        Some(gateway) => failure
            .why(format!("{gateway} used it"))
            .next(format!("landbridge peer show {}", invite.alias)),
        None => failure.next("landbridge peer invites --all"),
    })?;
    out.data(invite, |_| String::new())?;
    out.say(Look::Green, format!("the invite for {} is of no use any more", invite.alias));
    Ok(Exit::Success)
}
