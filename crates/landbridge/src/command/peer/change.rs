//! Changes to how a peer is called and where it is looked for; both are signed with the policy key.

use landbridge_node::local::api::{
    FoundAt, LookAt, OpenInvite, PairingView, PeerView, RouteView, TokenView,
};
use landbridge_proto::wire::document::{Endpoint, EndpointUrl, Peer};
use landbridge_proto::wire::name::{Alias, GatewayId};

use crate::cli::{PeerAddressArgs, PeerRenameArgs};
use crate::client::Client;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::offline;
use crate::out::{Look, Out};

pub(super) async fn rename(
    client: &Client,
    args: &PeerRenameArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    let gateway = signed_peer(client, &args.old).await?;
    check_free(client, &args.new).await?;
    let naming = naming(client, &args.old).await?;
    if !naming.is_empty() && !args.force {
        return Err(Failure::new(
            Exit::Failed,
            format!("{} is named elsewhere; nothing was renamed", args.old),
        )
        .why(naming.join(", "))
        .next("the same command with --force; these then need the new name too"));
    }
    let applied = offline::change(client, &args.policy, out, |draft, trusted| {
        let peer = trusted.and_then(|trusted| trusted.peer(&gateway));
        let peer = peer.ok_or_else(|| no_peer(&args.old))?;
        draft.put_peer(Peer { alias: args.new.clone(), ..peer.clone() });
        Ok(())
    })
    .await?;
    let renamed = serde_json::json!({"gateway": gateway, "alias": args.new, "was": args.old});
    out.data(&renamed, |_| String::new())?;
    if applied {
        out.say(Look::Green, format!("{} is called {} here now", args.old, args.new));
        out.say(Look::Dim, "the other side need not know; runs that are open go on");
        for place in naming {
            out.say(Look::Yellow, format!("still names {}: {place}", args.old));
        }
    }
    Ok(Exit::Success)
}

/// Where else the old name stands: routes of the configuration, and tokens that are good for it.
async fn naming(client: &Client, alias: &Alias) -> Result<Vec<String>, Failure> {
    let routes: Vec<RouteView> = client.get("/v1/gateways").await?;
    let tokens: Vec<TokenView> = client.get("/v1/admin/tokens").await?;
    let routed = routes.iter().filter(|route| route.peer == *alias && route.gateway != *alias);
    let mut naming: Vec<String> =
        routed.map(|route| format!("route {} in the configuration", route.gateway)).collect();
    let scoped = tokens
        .iter()
        .filter(|token| token.revoked.is_none() && token.routes.iter().any(|name| name == alias));
    naming.extend(scoped.map(|token| format!("token {} ({})", token.id, token.name)));
    Ok(naming)
}

async fn check_free(client: &Client, alias: &Alias) -> Result<(), Failure> {
    let taken = |what: &str| {
        Err(Failure::new(
            Exit::Failed,
            format!("{alias} is taken here: {what}; nothing was renamed"),
        )
        .next("landbridge peer list, and landbridge peer invites"))
    };
    let peers: Vec<PeerView> = client.get("/v1/admin/peers").await?;
    if peers.iter().any(|peer| peer.alias == *alias) {
        return taken("a peer or a pairing is called so");
    }
    let pairings: Vec<PairingView> = client.get("/v1/admin/pairings").await?;
    if pairings.iter().any(|pairing| pairing.alias == *alias) {
        return taken("a pairing that waits is called so");
    }
    let invites: Vec<OpenInvite> = client.get("/v1/admin/invites").await?;
    if invites.iter().any(|invite| invite.alias == *alias && invite.state == "open") {
        return taken("an invite is open for it");
    }
    Ok(())
}

pub(super) async fn address(
    client: &Client,
    args: &PeerAddressArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    let gateway = signed_peer(client, &args.alias).await?;
    let Some(url) = &args.url else {
        let forgotten = put_address(client, args, &gateway, None, out).await?;
        out.data(&serde_json::json!({"gateway": gateway}), |_| String::new())?;
        if forgotten {
            let note = format!("{} is looked for where its own root says", args.alias);
            out.say(Look::Green, note);
        }
        return Ok(Exit::Success);
    };
    let look = LookAt { url: url.clone() };
    let path = format!("/v1/admin/peers/{gateway}/address");
    let found: FoundAt = client.post(&path, &look).await.map_err(|failure| {
        let alias = &args.alias;
        match failure.problem_code() {
            Some("another_gateway") => failure
                .why(format!("an address is no identity; {alias} stays the gateway that was paired"))
                .next(format!(
                    "ask its people; if they made a new bridge: landbridge peer rename {alias} {alias}-old, then \
                     landbridge peer invite {alias}"
                )),
            Some("peer_unreachable") => failure.next(
                "check the address with its people; inner addresses need danger_allow_addresses",
            ),
            _ => failure,
        }
    })?;
    out.data(&found, |_| String::new())?;
    if found.told_by_root {
        let note = format!(
            "{} says itself that it is there (root version {}); nothing has to be signed",
            args.alias, found.root_version
        );
        out.say(Look::Green, note);
        return Ok(Exit::Success);
    }
    let endpoint = Endpoint {
        tls_spki: Some(
            serde_json::from_value(found.tls_spki.clone().into())
                .or_fail(Exit::Internal, || "the bridge's answer cannot be read")?,
        ),
        url: EndpointUrl::new(url).or_fail(Exit::Usage, || "this is no address of a bridge")?,
    };
    let put = Some((endpoint, found.root_version));
    if put_address(client, args, &gateway, put, out).await? {
        out.say(Look::Green, format!("{} is looked for at {url} first", args.alias));
        out.say(Look::Dim, "until it signs a newer root of its own, which then comes first");
    }
    Ok(Exit::Success)
}

async fn put_address(
    client: &Client,
    args: &PeerAddressArgs,
    gateway: &GatewayId,
    put: Option<(Endpoint, u64)>,
    out: &Out,
) -> Result<bool, Failure> {
    offline::change(client, &args.policy, out, |draft, trusted| {
        let peer = trusted.and_then(|trusted| trusted.peer(gateway));
        let mut peer = peer.ok_or_else(|| no_peer(&args.alias))?.clone();
        peer.endpoints = put.iter().map(|(endpoint, _)| endpoint.clone()).collect();
        if let Some((_, version)) = put {
            peer.min_root_version = peer.min_root_version.max(version);
        }
        draft.put_peer(peer);
        Ok(())
    })
    .await
}

/// The gateway behind a name in the signed document.
async fn signed_peer(client: &Client, alias: &Alias) -> Result<GatewayId, Failure> {
    let trusted = offline::current(client).await?;
    let peer = trusted.as_ref().and_then(|trusted| trusted.peer_called(alias));
    peer.map(|peer| peer.gid.clone()).ok_or_else(|| no_peer(alias))
}

fn no_peer(alias: &Alias) -> Failure {
    Failure::new(Exit::NotFound, format!("no accepted peer is called {alias}"))
        .next("landbridge peer list")
}
