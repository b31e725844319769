//! `membership`: a federation root's word that a gateway belongs to it, made, shown and accepted.

use std::io::{Read as _, Write as _};
use std::path::Path;

use landbridge_node::clock::{Clock as _, SystemClock, SystemEntropy};
use landbridge_node::config::Period;
use landbridge_node::federation_root::{self, KeyError};
use landbridge_node::local::api::{
    MembershipShown, MembershipView, PairingView, PeerView, ShowMembership,
};
use landbridge_proto::trust::membership::{claimed, cosign};
use landbridge_proto::trust::signer::{Signer as _, sign_typed};
use landbridge_proto::wire::base64;
use landbridge_proto::wire::document::{
    Endpoint, FormVersion, Membership, Peer, PeerStatus, genesis_of, raw,
};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::limit;

use super::change;
use crate::cli::{
    MembershipAcceptArgs, MembershipCommand, MembershipIssueArgs, MembershipJoinArgs,
    MembershipKeyArgs, MembershipRenewArgs, MembershipSignArgs,
};
use crate::client::Client;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::offline;
use crate::out::{Look, Out, fields, instant, table};

/// Runs a membership command that asks the bridge.
pub(super) async fn run(
    client: &Client,
    command: MembershipCommand,
    out: &Out,
) -> Result<Exit, Failure> {
    match command {
        MembershipCommand::Key(args) => key(&args, out),
        MembershipCommand::Issue(args) => issue(&args, out),
        MembershipCommand::Sign(args) => sign(&args, out),
        MembershipCommand::Join(args) => join(client, args, out).await,
        MembershipCommand::Renew(args) => renew(client, &args, out).await,
        MembershipCommand::Accept(args) => accept(client, &args, out).await,
        MembershipCommand::List => list(client, out).await,
    }
}

/// Runs what needs no home: whoever runs a federation root need not run a bridge.
pub(super) fn without_home(
    command: &MembershipCommand,
    out: &Out,
) -> Option<Result<Exit, Failure>> {
    match command {
        MembershipCommand::Key(args) => Some(key(args, out)),
        MembershipCommand::Issue(args) => Some(issue(args, out)),
        MembershipCommand::Sign(args) => Some(sign(args, out)),
        _ => None,
    }
}

fn key(args: &MembershipKeyArgs, out: &Out) -> Result<Exit, Failure> {
    let signer =
        federation_root::make_key(&args.file, &SystemEntropy).map_err(|error| bad_key(&error))?;
    let public = base64::encode_url(signer.public().as_bytes());
    let view = serde_json::json!({ "kid": signer.kid(), "public": public });
    out.data(&view, |_| public.clone())?;
    out.say(Look::Dim, format!("{} is a secret; whoever trusts it:", args.file.display()));
    let next = "landbridge trust root add NAME --max-members COUNT --tenant TENANT --key";
    out.say(Look::Dim, format!("  {next} {public}"));
    Ok(Exit::Success)
}

fn issue(args: &MembershipIssueArgs, out: &Out) -> Result<Exit, Failure> {
    let wrong = || format!("{} is no lifetime of a membership", args.expires_in);
    let period: Period = args.expires_in.parse().or_fail(Exit::Usage, wrong)?;
    let now = SystemClock.now();
    let membership = Membership::try_from(raw::Membership {
        expires: now.plus_ms(period.as_ms()),
        federation: args.federation.clone(),
        genesis: genesis_of(&args.member)
            .ok_or_else(|| Failure::new(Exit::Usage, "the member's id holds no digest"))?,
        issued: now,
        member: args.member.clone(),
        tenants: args.tenants.iter().cloned().collect(),
        v: FormVersion,
    });
    let membership = membership.or_fail(Exit::Usage, || "this is no membership")?;
    let mut signed: Option<Envelope> = None;
    for path in &args.keys {
        let signer = federation_root::load_key(path).map_err(|error| bad_key(&error))?;
        let one =
            sign_typed(&signer, &membership).or_fail(Exit::Failed, || "nothing was signed")?;
        signed = Some(match signed {
            Some(others) => others.join(one).or_fail(Exit::Usage, || "one key is given twice")?,
            None => one,
        });
    }
    let signed = signed.ok_or_else(|| Failure::new(Exit::Usage, "no key"))?;
    write(&signed, args.output.as_deref(), out)?;
    out.say(Look::Dim, format!("it lapses {}", instant(membership.expires)));
    Ok(Exit::Success)
}

fn sign(args: &MembershipSignArgs, out: &Out) -> Result<Exit, Failure> {
    let mut signed = read(&args.file)?;
    let said = claimed(&signed).or_fail(Exit::Unreadable, || "this is no membership")?;
    out.say(Look::Plain, text(&said));
    change::confirm("Sign this?", args.yes, out)?;
    for path in &args.keys {
        let signer = federation_root::load_key(path).map_err(|error| bad_key(&error))?;
        signed = cosign(signed, &signer)
            .or_fail(Exit::Failed, || format!("{} did not sign", path.display()))?;
    }
    write(&signed, args.output.as_deref(), out)?;
    Ok(Exit::Success)
}

async fn join(client: &Client, args: MembershipJoinArgs, out: &Out) -> Result<Exit, Failure> {
    let show = ShowMembership {
        membership: as_text(&read(&args.file)?),
        gateway: args.gateway,
        endpoint: Some(Endpoint { tls_spki: args.tls_spki, url: args.endpoint }),
        alias: Some(args.alias.clone()),
    };
    let shown: MembershipShown = client.post("/v1/admin/admissions", &show).await?;
    out.data(&shown, |shown| shown.words.clone())?;
    out.say(
        Look::Dim,
        "there a person sees the federation root's name; the words are the same as here.",
    );
    let next =
        format!("when the other side says these words: landbridge peer accept {}", args.alias);
    out.say(Look::Dim, next);
    Ok(Exit::Success)
}

async fn renew(client: &Client, args: &MembershipRenewArgs, out: &Out) -> Result<Exit, Failure> {
    let peers: Vec<PeerView> = client.get("/v1/admin/peers").await?;
    let peer = peers.iter().find(|peer| peer.alias == args.peer);
    let gateway = peer.map(|peer| peer.gateway.clone()).ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("no peer is called {}", args.peer))
            .next("landbridge peer list")
    })?;
    let membership = as_text(&read(&args.file)?);
    let show = ShowMembership { membership, gateway, endpoint: None, alias: None };
    let shown: MembershipShown = client.post("/v1/admin/admissions", &show).await?;
    out.data(&shown, |_| String::new())?;
    if shown.waits {
        out.say(Look::Yellow, "it waits for a person there");
    } else {
        out.say(Look::Green, format!("it counts at {} from now on", args.peer));
    }
    Ok(Exit::Success)
}

/// The federation root vouches for who this is, so no words are compared; a person decides all the same.
async fn accept(client: &Client, args: &MembershipAcceptArgs, out: &Out) -> Result<Exit, Failure> {
    let pairings: Vec<PairingView> = client.get("/v1/admin/pairings").await?;
    let memberships: Vec<MembershipView> = client.get("/v1/admin/memberships").await?;
    let waiting = pairings.iter().find(|pairing| pairing.alias == args.alias);
    let waiting = waiting.and_then(|pairing| {
        let shown = memberships.iter().find(|one| one.gateway == pairing.gateway)?;
        Some((pairing, shown))
    });
    let Some((pairing, shown)) = waiting else {
        return Err(Failure::new(
            Exit::NotFound,
            format!("no member called {} waits here", args.alias),
        )
        .next("landbridge membership list, or landbridge peer accept for who was invited"));
    };
    if let Some(why) = &shown.refused {
        return Err(Failure::new(Exit::Failed, "its membership does not count")
            .why(why)
            .next("ask the member to show a newer one: landbridge membership join, on its side"));
    }
    out.say(Look::Plain, member_text(pairing, shown));
    let genesis = genesis_of(&pairing.gateway)
        .ok_or_else(|| Failure::new(Exit::Internal, "the member's id holds no digest"))?;
    let alias = args.name.clone().unwrap_or_else(|| pairing.alias.clone());
    let applied = offline::change(client, &args.policy, out, |draft, _| {
        draft.put_peer(Peer {
            alias: alias.clone(),
            endpoints: Vec::new(),
            genesis,
            gid: pairing.gateway.clone(),
            grants: Vec::new(),
            min_root_version: pairing.root_version,
            projections: Vec::new(),
            status: PeerStatus::Active,
        });
        draft
            .admit(&shown.federation, &pairing.gateway)
            .or_fail(Exit::Failed, || format!("{} is no federation root here", shown.federation))
    })
    .await?;
    out.data(shown, |_| String::new())?;
    if applied {
        out.say(
            Look::Green,
            format!("{alias} is admitted while {} vouches for it", shown.federation),
        );
        let next = format!(
            "it may ask nothing yet: landbridge grant add {alias} --agent AGENT --tenant LOCAL:REMOTE"
        );
        out.say(Look::Dim, next);
    }
    Ok(Exit::Success)
}

async fn list(client: &Client, out: &Out) -> Result<Exit, Failure> {
    let all: Vec<MembershipView> = client.get("/v1/admin/memberships").await?;
    if all.is_empty() {
        out.say(Look::Dim, "no gateway showed a membership here");
    }
    out.data(&all, |all| {
        let heading = ["GATEWAY", "FEDERATION", "TENANTS", "COUNTS UNTIL"];
        let mut rows = vec![heading.map(String::from).to_vec()];
        for one in all {
            let tenants: Vec<_> = one.tenants.iter().map(ToString::to_string).collect();
            let until = one.until.clone().or_else(|| one.refused.clone()).unwrap_or_default();
            rows.push(vec![
                one.gateway.to_string(),
                one.federation.to_string(),
                tenants.join(","),
                until,
            ]);
        }
        if rows.len() == 1 { String::new() } else { table(&rows) }
    })?;
    Ok(Exit::Success)
}

fn text(said: &Membership) -> String {
    let tenants: Vec<_> = said.tenants.iter().map(ToString::to_string).collect();
    fields(&[
        ("federation root", said.federation.to_string()),
        ("member", said.member.to_string()),
        ("tenants", tenants.join(" ")),
        ("issued", instant(said.issued)),
        ("lapses", instant(said.expires)),
    ])
}

fn member_text(pairing: &PairingView, shown: &MembershipView) -> String {
    let tenants: Vec<_> = shown.tenants.iter().map(ToString::to_string).collect();
    fields(&[
        ("gateway", pairing.gateway.to_string()),
        ("federation root", shown.federation.to_string()),
        ("tenants", tenants.join(" ")),
        ("counts until", shown.until.clone().unwrap_or_default()),
        ("words", pairing.words.clone()),
    ])
}

fn as_text(envelope: &Envelope) -> String {
    String::from_utf8_lossy(&envelope.to_bytes()).into_owned()
}

fn read(path: &Path) -> Result<Envelope, Failure> {
    let cannot = || format!("cannot read {}", path.display());
    let file = std::fs::File::open(path).or_fail(Exit::Usage, cannot)?;
    let limit = u64::try_from(limit::ENVELOPE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).or_fail(Exit::Usage, cannot)?;
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    Envelope::parse(bytes)
        .or_fail(Exit::Unreadable, || format!("{} is no membership", path.display()))
}

fn write(envelope: &Envelope, output: Option<&Path>, out: &Out) -> Result<(), Failure> {
    let mut bytes = envelope.to_bytes();
    bytes.push(b'\n');
    let Some(path) = output else { return out.bytes(&bytes) };
    let cannot = || format!("cannot create {}", path.display());
    let mut file = std::fs::File::create_new(path).or_fail(Exit::CannotCreate, cannot)?;
    file.write_all(&bytes)
        .and_then(|()| file.sync_all())
        .or_fail(Exit::Failed, || format!("cannot write {}", path.display()))
}

fn bad_key(error: &KeyError) -> Failure {
    match error {
        KeyError::Exposed { path, .. } => {
            Failure::new(Exit::Permissions, error).next(format!("chmod go= {}", path.display()))
        }
        KeyError::File { fault, .. } if fault.kind() == std::io::ErrorKind::AlreadyExists => {
            Failure::new(Exit::CannotCreate, error).why(fault)
        }
        KeyError::File { fault, .. } => Failure::new(Exit::Usage, error).why(fault),
        KeyError::NotTheKey { .. } => {
            Failure::new(Exit::Usage, error).next("landbridge membership key FILE")
        }
    }
}
