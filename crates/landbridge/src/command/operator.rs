//! `operator`: the people of this gateway who may decide, by keys of their own.
//!
//! Enrolling is a change of the federation document: who may speak for this gateway is as much a decision
//! of its policy as whom it trusts. The bridge derives from it what it tells others.

mod key;

use landbridge_node::local::api::{OperatorList, OperatorView};
use landbridge_proto::trust::federation::TrustedFederation;
use landbridge_proto::wire::approval::{KeyMethod, Operator, OperatorKey};
use landbridge_proto::wire::name::{OperatorName, TenantId};

use crate::cli::{OperatorCommand, OperatorEnrolArgs, OperatorKeyCommand, OperatorRevokeArgs};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::offline::{self, short_kid};
use crate::out::{Look, Out, table};

/// Runs an operator command.
pub(super) async fn run(
    client: &Client,
    command: OperatorCommand,
    out: &Out,
) -> Result<Exit, Failure> {
    match command {
        OperatorCommand::Enrol(args) => enrol(client, &args, out).await,
        OperatorCommand::List => list(client, out).await,
        OperatorCommand::Revoke(args) => revoke(client, &args, out).await,
        OperatorCommand::Key(OperatorKeyCommand::New(args)) => key::make(&args, out),
    }
}

/// Runs what needs no home: an operator's key is where the operator is.
pub(super) fn without_home(command: &OperatorCommand, out: &Out) -> Option<Result<Exit, Failure>> {
    match command {
        OperatorCommand::Key(OperatorKeyCommand::New(args)) => Some(key::make(args, out)),
        _ => None,
    }
}

async fn enrol(client: &Client, args: &OperatorEnrolArgs, out: &Out) -> Result<Exit, Failure> {
    let mut keys = Vec::new();
    for path in &args.keys {
        keys.push(key::read(path)?);
    }
    for path in &args.webauthn {
        keys.push(key::passkey(path)?);
    }
    let mut enrolled = None;
    let applied = offline::change_viewed(client, &args.policy, None, out, |draft, trusted| {
        let operator = widened(find(trusted, &args.tenant, &args.name).cloned(), args, &keys)?;
        enrolled = Some(operator.clone());
        draft.put_operator(operator);
        Ok(())
    })
    .await?;
    out.data(&enrolled, |_| String::new())?;
    let Some(view) = applied else { return Ok(Exit::Success) };
    if let Some(operator) = &enrolled {
        let scopes: Vec<_> = operator.scopes.iter().map(ToString::to_string).collect();
        let line = format!("{} may decide as {} of {}", args.name, scopes.join(", "), args.tenant);
        out.say(Look::Green, line);
        let untold = unpublished(client, operator).await;
        if !untold.is_empty() {
            let line = format!("not published, so it counts nowhere: {}", untold.join(", "));
            out.say(Look::Yellow, line);
            out.say(Look::Dim, "landbridge scope publish");
        }
        for key in operator.keys.iter().filter(|key| key.kind == KeyMethod::File) {
            let kid = short_kid(&key.kid);
            let line = format!("key {kid} is a file: whoever copies it can decide, unseen");
            out.say(Look::Dim, line);
        }
    }
    say_told(&view.told, out);
    Ok(Exit::Success)
}

/// The operator with what the arguments add, or with nothing else.
fn widened(
    known: Option<Operator>,
    args: &OperatorEnrolArgs,
    keys: &[OperatorKey],
) -> Result<Operator, Failure> {
    let is_new = known.is_none();
    let mut operator = known.unwrap_or_else(|| Operator {
        keys: Vec::new(),
        name: args.name.clone(),
        scopes: [].into(),
        tenant: args.tenant.clone(),
    });
    let missing = |what: &str| {
        Failure::new(Exit::Usage, format!("{} has no {what}", args.name))
            .next(format!("the same command with --{what}"))
    };
    if args.only && !args.scopes.is_empty() {
        operator.scopes.clear();
    }
    if args.only && !keys.is_empty() {
        operator.keys.clear();
    }
    operator.scopes.extend(args.scopes.iter().cloned());
    for key in keys {
        operator.keys.retain(|known| known.kid != key.kid);
        operator.keys.push(key.clone());
    }
    if operator.scopes.is_empty() {
        return Err(missing("scope"));
    }
    if operator.keys.is_empty() {
        return Err(missing("key"));
    }
    if !is_new && args.scopes.is_empty() && keys.is_empty() {
        return Err(Failure::new(Exit::Usage, format!("{} is enrolled already", args.name))
            .next("landbridge operator list; --scope and --key add more"));
    }
    Ok(operator)
}

async fn unpublished(client: &Client, operator: &Operator) -> Vec<String> {
    // What is only a hint is left out where it cannot be had.
    let list: Result<OperatorList, _> = client.get("/v1/operators").await;
    let found = list.ok().and_then(|list| {
        let is = |one: &&OperatorView| one.name == operator.name && one.tenant == operator.tenant;
        list.operators.iter().find(is).map(|one| one.unpublished.clone())
    });
    found.unwrap_or_default().iter().map(ToString::to_string).collect()
}

async fn list(client: &Client, out: &Out) -> Result<Exit, Failure> {
    let trusted = offline::current(client).await?;
    let operators =
        trusted.as_ref().map(|trusted| trusted.document().operators.as_slice()).unwrap_or_default();
    if operators.is_empty() {
        out.say(
            Look::Dim,
            "nobody is enrolled: landbridge operator enrol NAME --scope SCOPE --key FILE.pub",
        );
    }
    out.data(&operators, |operators| {
        let heading = ["OPERATOR", "TENANT", "SCOPES", "KEYS"];
        let mut rows = vec![heading.map(String::from).to_vec()];
        for one in *operators {
            let scopes: Vec<_> = one.scopes.iter().map(ToString::to_string).collect();
            let keys: Vec<_> = one.keys.iter().map(key_text).collect();
            let name = one.name.to_string();
            rows.push(vec![name, one.tenant.to_string(), scopes.join(","), keys.join(", ")]);
        }
        if rows.len() == 1 { String::new() } else { table(&rows) }
    })?;
    Ok(Exit::Success)
}

fn key_text(key: &OperatorKey) -> String {
    format!("{} {}", key.kind.as_str(), short_kid(&key.kid))
}

async fn revoke(client: &Client, args: &OperatorRevokeArgs, out: &Out) -> Result<Exit, Failure> {
    let mut revoked = None;
    let applied = offline::change_viewed(client, &args.policy, None, out, |draft, trusted| {
        let missing = || {
            let what = format!("{} is no operator of tenant {}", args.name, args.tenant);
            Failure::new(Exit::NotFound, what).next("landbridge operator list")
        };
        let known = find(trusted, &args.tenant, &args.name).ok_or_else(missing)?;
        revoked = Some(known.clone());
        draft.remove_operator(&args.tenant, &args.name);
        Ok(())
    })
    .await?;
    out.data(&revoked, |_| String::new())?;
    if let Some(view) = applied {
        let line = format!("{} decides nothing any more; the keys are revoked for good", args.name);
        out.say(Look::Green, line);
        say_told(&view.told, out);
    }
    Ok(Exit::Success)
}

fn say_told(told: &[landbridge_node::local::standing::PeerTold], out: &Out) {
    let heard: Vec<_> =
        told.iter().filter(|peer| peer.told).map(|peer| peer.alias.as_str()).collect();
    if !heard.is_empty() {
        out.say(Look::Dim, format!("told: {}", heard.join(" ")));
    }
    for peer in told.iter().filter(|peer| !peer.told) {
        let why = peer.detail.clone().unwrap_or_default();
        out.say(Look::Yellow, format!("{} was not told yet: {why}", peer.alias));
        let line =
            format!("it learns it with the next status; look: landbridge peer test {}", peer.alias);
        out.say(Look::Dim, line);
    }
}

fn find<'a>(
    trusted: Option<&'a TrustedFederation>,
    tenant: &TenantId,
    name: &OperatorName,
) -> Option<&'a Operator> {
    let operators = &trusted?.document().operators;
    operators.iter().find(|one| one.tenant == *tenant && one.name == *name)
}
