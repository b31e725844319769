//! `key revoke`: the end of a key, told to every peer.

use landbridge_node::local::standing::{RevokeKey, RevokedKey};
use landbridge_proto::wire::document::RevocationReason;

use crate::cli::{KeyRevokeArgs, ReasonChoice};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::out::{Look, Out, fields};

pub(super) async fn revoke(
    client: &Client,
    args: KeyRevokeArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    let asked = RevokeKey { key: args.key, reason: reason(args.reason), since: args.since };
    let revoked: RevokedKey = client.post("/v1/admin/keys/revoke", &asked).await?;
    out.data(&revoked, |revoked| {
        let told = revoked.told.iter().filter(|peer| peer.told).map(|peer| peer.alias.to_string());
        fields(&[
            ("key", revoked.kid.to_string()),
            ("since", revoked.since.clone()),
            ("told", told.collect::<Vec<_>>().join(" ")),
        ])
    })?;
    out.say(Look::Green, "revoked for good; this bridge signs nothing with it any more");
    for peer in revoked.told.iter().filter(|peer| !peer.told) {
        let why = peer.detail.clone().unwrap_or_default();
        out.say(Look::Yellow, format!("{} was not told yet: {why}", peer.alias));
        out.say(
            Look::Dim,
            format!("it learns it with the next status; look: landbridge peer test {}", peer.alias),
        );
    }
    out.say(Look::Dim, "a new key for its role: landbridge key rotate ROLE --now");
    Ok(Exit::Success)
}

const fn reason(choice: ReasonChoice) -> RevocationReason {
    match choice {
        ReasonChoice::Compromised => RevocationReason::Compromised,
        ReasonChoice::Retired => RevocationReason::Retired,
        ReasonChoice::Superseded => RevocationReason::Superseded,
    }
}
