//! `scope map`: whose operators' decisions count here, and for what.
//!
//! A projection pins the words that a person read. So the words are fetched and shown here, and the digest
//! that is signed is computed from what was shown, whatever the daemon says of it.

use std::collections::BTreeSet;
use std::path::Path;

use landbridge_node::clock::{Clock as _, SystemClock};
use landbridge_node::local::api::{CatalogView, LearnCatalog, ProjectionState, ProjectionView};
use landbridge_proto::trust::federation::TrustedFederation;
use landbridge_proto::wire::approval::{Constraints, KeyMethod, Projection, Scope};
use landbridge_proto::wire::document::Peer;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{Alias, ScopeName, SubjectKind, TenantId};

use super::{published, words};
use crate::cli::{
    ScopeMapAddArgs, ScopeMapArgs, ScopeMapCommand, ScopeMapConfirmArgs, ScopeMapListArgs,
    ScopeMapRemoveArgs,
};
use crate::client::{Client, escaped};
use crate::exit::{Exit, Failure, OrFail as _};
use crate::offline;
use crate::out::{Look, Out, fields, instant, table};

pub(super) async fn run(
    client: &Client,
    command: ScopeMapCommand,
    out: &Out,
) -> Result<Exit, Failure> {
    match command {
        ScopeMapCommand::Add(args) => add(client, &args, out).await,
        ScopeMapCommand::List(args) => list(client, &args, out).await,
        ScopeMapCommand::Show(args) => show(client, &args, out).await,
        ScopeMapCommand::Confirm(args) => confirm(client, &args, out).await,
        ScopeMapCommand::Remove(args) => remove(client, &args, out).await,
    }
}

async fn add(client: &Client, args: &ScopeMapAddArgs, out: &Out) -> Result<Exit, Failure> {
    for scope in [&args.scope, &args.remote_scope] {
        if Scope::is_reserved(scope) {
            return Err(Failure::new(Exit::Usage, format!("{scope} is never projected"))
                .why("what begins with operator. is a gateway's own"));
        }
    }
    let tenants = (&args.tenant, &args.remote_tenant);
    let catalog = catalog(client, &args.peer, tenants, args.catalog.as_deref()).await?;
    let scope = scope_of(&catalog, &args.peer, &args.remote_scope)?;
    show_both(client, args, scope, out).await?;
    let now = SystemClock.now();
    let projection = Projection {
        constraints: constraints(args, scope)?,
        entry: entry(scope)?,
        exp: now.plus_ms(args.expires),
        local: args.tenant.clone(),
        local_scope: args.scope.clone(),
        // The other commands' clocks are this one's; the bridge's may be a little behind.
        nbf: now.plus_ms(-limit::CLOCK_SKEW_MS_MAX),
        remote: args.remote_tenant.clone(),
        remote_scope: args.remote_scope.clone(),
    };
    if scope.deprecated {
        out.say(Look::Yellow, "the peer does not want it mapped anew: it is about to go");
    }
    let applied = offline::change(client, &args.policy, out, |draft, trusted| {
        let peer = peer_called(trusted, &args.peer)?;
        draft
            .put_projection(&peer.gid, projection.clone())
            .map_err(|error| Failure::new(Exit::Failed, error))
    })
    .await?;
    out.data(&projection, |_| String::new())?;
    if applied {
        let line = format!(
            "approvals of {}'s {} count here for {} until {}",
            args.peer,
            args.remote_scope,
            args.scope,
            instant(projection.exp)
        );
        out.say(Look::Green, line);
        let next = format!(
            "a run needs it where its grant says so: landbridge grant add {} --approval-scope {}",
            args.peer, args.scope
        );
        out.say(Look::Dim, next);
    }
    Ok(Exit::Success)
}

fn constraints(args: &ScopeMapAddArgs, scope: &Scope) -> Result<Constraints, Failure> {
    let assured = &scope.assurance;
    let methods: BTreeSet<KeyMethod> = match args.methods.is_empty() {
        true => assured.methods.clone(),
        false => args.methods.iter().map(|&method| method.into()).collect(),
    };
    if let Some(other) = methods.iter().find(|method| !assured.methods.contains(method)) {
        let what = format!("the peer's {} is not exercised with {}", scope.name, other.as_str());
        let [keys, _] = words::assurance(scope);
        return Err(Failure::new(Exit::Usage, what).why(format!("only with {keys}")));
    }
    let mut subject_kinds: BTreeSet<SubjectKind> = args.kinds.iter().cloned().collect();
    if subject_kinds.is_empty() {
        subject_kinds.extend(SubjectKind::new("exec"));
    }
    Ok(Constraints {
        max_ttl_ms: args.max_ttl,
        methods,
        min_signers: args.min_signers.unwrap_or(assured.min_signers),
        observed: args.observed,
        subject_kinds,
    })
}

/// What the peer says of its scope, beside what we say of ours.
async fn show_both(
    client: &Client,
    args: &ScopeMapAddArgs,
    theirs: &Scope,
    out: &Out,
) -> Result<(), Failure> {
    if out.json() && !out.interactive() {
        return Ok(());
    }
    let title = |whose: &str, name: &ScopeName, tenant: &TenantId| {
        format!("{whose} {name} of tenant {tenant}:")
    };
    let whose = format!("{}'s", args.peer);
    out.say(Look::Bold, title(&whose, &args.remote_scope, &args.remote_tenant));
    out.say(Look::Plain, words::text(theirs).trim_end());
    out.say(Look::Bold, title("our", &args.scope, &args.tenant));
    let ours = published(client).await?;
    let ours = ours.iter().filter(|one| one.tenant == args.tenant).flat_map(|one| &one.scopes);
    match ours.into_iter().find(|scope| scope.name == args.scope) {
        Some(scope) => out.say(Look::Plain, words::text(scope).trim_end()),
        None => out.say(Look::Yellow, "  no words of ours are published; what does it mean here?"),
    }
    Ok(())
}

/// The peer's newest catalog: asked for, or from a file that somebody brought.
async fn catalog(
    client: &Client,
    peer: &Alias,
    (local, remote): (&TenantId, &TenantId),
    file: Option<&Path>,
) -> Result<CatalogView, Failure> {
    let Some(path) = file else {
        let (name, tenant) = (escaped(peer.as_str()), escaped(remote.as_str()));
        let path = format!("/v1/scopes/{name}?tenant={tenant}&local={}", escaped(local.as_str()));
        return client.get(&path).await.map_err(|failure| match failure.problem_code() {
            Some("not_granted") => failure.next(format!(
                "ask {peer}'s operator for: landbridge grant add US --ask approval-request --tenant \
                 {remote}:{local}, or for a file of landbridge scope export"
            )),
            Some("not_found") => failure.next(format!(
                "ask {peer}'s operator for: landbridge scope publish"
            )),
            _ => failure,
        });
    };
    let cannot = || format!("cannot read {}", path.display());
    let bytes = std::fs::read(path).or_fail(Exit::Usage, cannot)?;
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let catalog = Envelope::parse(bytes)
        .or_fail(Exit::Unreadable, || format!("{} is no catalog", path.display()))?;
    let learn = LearnCatalog { peer: peer.clone(), tenant: remote.clone(), catalog };
    client.post("/v1/admin/scopes/learn", &learn).await
}

fn scope_of<'a>(
    catalog: &'a CatalogView,
    peer: &Alias,
    name: &ScopeName,
) -> Result<&'a Scope, Failure> {
    let found = catalog.scopes.iter().find(|scope| scope.name == *name);
    found.ok_or_else(|| {
        let what = format!("{peer} has no scope {name} for tenant {}", catalog.tenant);
        Failure::new(Exit::NotFound, what)
            .next(format!("landbridge scope show --peer {peer} --tenant {}", catalog.tenant))
    })
}

fn entry(scope: &Scope) -> Result<landbridge_proto::wire::digest::Digest, Failure> {
    scope.entry().or_fail(Exit::Internal, || "the scope has no digest")
}

async fn list(client: &Client, args: &ScopeMapListArgs, out: &Out) -> Result<Exit, Failure> {
    let views = views(client).await?;
    let wanted = |view: &&ProjectionView| args.peer.as_ref().is_none_or(|peer| *peer == view.peer);
    let views: Vec<ProjectionView> = views.iter().filter(wanted).cloned().collect();
    if views.is_empty() {
        out.say(
            Look::Dim,
            "nobody else's approvals count here: landbridge scope map add PEER --remote-scope SCOPE \
             --scope SCOPE",
        );
    }
    out.data(&views, |views| {
        let heading = ["PEER", "THEIRS", "OURS", "STATE", "UNTIL", "COUNTS"];
        let mut rows = vec![heading.map(String::from).to_vec()];
        rows.extend(views.iter().map(row));
        if rows.len() == 1 { String::new() } else { table(&rows) }
    })?;
    for view in &views {
        if view.state == ProjectionState::Suspended && !out.json() {
            say_suspended(view, out);
        } else if let Some(detail) = &view.detail {
            let one = &view.projection;
            out.say(Look::Yellow, format!("{} {}: {detail}", view.peer, one.remote_scope));
        }
    }
    Ok(Exit::Success)
}

/// The projections of the signed document that is in force, each as the bridge judges it now.
pub(in crate::command) async fn views(client: &Client) -> Result<Vec<ProjectionView>, Failure> {
    let trusted = offline::current(client).await?;
    let views: Vec<ProjectionView> = client.get("/v1/admin/projections").await?;
    let is_signed = |view: &ProjectionView| {
        let peer = trusted.as_ref().and_then(|trusted| trusted.peer(&view.gateway));
        peer.is_some_and(|peer| peer.projections.contains(&view.projection))
    };
    match views.iter().all(is_signed) {
        true => Ok(views),
        false => {
            Err(Failure::new(Exit::Failed, "the bridge tells of projections that nobody signed")
                .next("the same command again; then landbridge doctor"))
        }
    }
}

fn row(view: &ProjectionView) -> Vec<String> {
    let one = &view.projection;
    vec![
        view.peer.to_string(),
        format!("{} ({})", one.remote_scope, one.remote),
        format!("{} ({})", one.local_scope, one.local),
        word(view.state).to_owned(),
        view.expires.clone(),
        counts(&one.constraints),
    ]
}

const fn word(state: ProjectionState) -> &'static str {
    match state {
        ProjectionState::Active => "active",
        ProjectionState::NotNow => "not now",
        ProjectionState::Suspended => "suspended",
        ProjectionState::NoCatalog => "no catalog",
    }
}

fn counts(constraints: &Constraints) -> String {
    let kinds: Vec<_> = constraints.subject_kinds.iter().map(SubjectKind::as_str).collect();
    let keys: Vec<_> = constraints.methods.iter().map(|one| one.as_str()).collect();
    let people = constraints.min_signers;
    let observed = if constraints.observed { ", also observed" } else { "" };
    format!(
        "{} by {people} with {}, {} s{observed}",
        kinds.join(","),
        keys.join(","),
        constraints.max_ttl_ms / 1000
    )
}

fn say_suspended(view: &ProjectionView, out: &Out) {
    let one = &view.projection;
    let detail = view.detail.clone().unwrap_or_default();
    out.say(Look::Yellow, format!("{} {} is suspended: {detail}", view.peer, one.remote_scope));
    if view.pinned.is_none() {
        out.say(Look::Dim, "  what was read when it was signed is not kept here");
    }
    for line in words::beside(view.pinned.as_ref(), view.present.as_ref()) {
        out.say(Look::Plain, format!("  {line}"));
    }
    let next = format!(
        "read it, then: landbridge scope map confirm {} --remote-scope {}",
        view.peer, one.remote_scope
    );
    out.say(Look::Dim, next);
}

async fn show(client: &Client, args: &ScopeMapArgs, out: &Out) -> Result<Exit, Failure> {
    let trusted = offline::current(client).await?;
    let place = find(trusted.as_ref(), args)?.1;
    let views = views(client).await?;
    let found = views.into_iter().find(|one| one.peer == args.peer && one.projection == place);
    let view = found.ok_or_else(|| Failure::new(Exit::Failed, "it changed meanwhile"))?;
    out.data(&view, |view| {
        let one = &view.projection;
        let head = fields(&[
            ("peer", format!("{}, {}", view.peer, view.gateway)),
            ("theirs", format!("{} of tenant {}", one.remote_scope, one.remote)),
            ("ours", format!("{} of tenant {}", one.local_scope, one.local)),
            ("state", word(view.state).to_owned()),
            ("because", view.detail.clone().unwrap_or_default()),
            ("from", instant(one.nbf)),
            ("until", view.expires.clone()),
            ("counts", counts(&one.constraints)),
            ("entry", one.entry.to_string()),
        ]);
        let part = |title: &str, scope: &Option<Scope>| {
            let text = scope.as_ref().map_or("not known\n".to_owned(), words::text);
            format!("\n{title}\n{text}")
        };
        head + &part("what was read:", &view.pinned)
            + &part("what the peer says now:", &view.present)
    })?;
    Ok(Exit::Success)
}

async fn confirm(client: &Client, args: &ScopeMapConfirmArgs, out: &Out) -> Result<Exit, Failure> {
    let trusted = offline::current(client).await?;
    let (_, mut projection) = find(trusted.as_ref(), &args.which)?;
    let tenants = (&projection.local, &projection.remote);
    let peer = &args.which.peer;
    let catalog = catalog(client, peer, tenants, args.catalog.as_deref()).await?;
    let scope = scope_of(&catalog, peer, &projection.remote_scope)?;
    let known = views(client).await?;
    let known = known.into_iter().find(|one| one.peer == *peer && one.projection == projection);
    let pinned = known.and_then(|view| view.pinned);
    if !out.json() || out.interactive() {
        out.say(Look::Bold, format!("what {peer} says of {} now:", scope.name));
        out.say(Look::Plain, words::text(scope).trim_end());
        out.say(Look::Bold, "and what it said when this was signed:");
        match &pinned {
            Some(pinned) => out.say(Look::Plain, words::text(pinned).trim_end()),
            None => out.say(Look::Yellow, "  that is not kept here"),
        }
    }
    projection.entry = entry(scope)?;
    if let Some(ms) = args.expires {
        let now = SystemClock.now();
        (projection.nbf, projection.exp) =
            (now.plus_ms(-limit::CLOCK_SKEW_MS_MAX), now.plus_ms(ms));
    }
    let lost: Vec<_> = projection
        .constraints
        .methods
        .iter()
        .filter(|method| !scope.assurance.methods.contains(method))
        .map(|method| method.as_str())
        .collect();
    if !lost.is_empty() {
        let lost = lost.join(", ");
        out.say(Look::Yellow, format!("the peer does not exercise it with {lost} any more"));
    }
    let applied = offline::change(client, &args.policy, out, |draft, trusted| {
        let peer = peer_called(trusted, peer)?;
        draft
            .put_projection(&peer.gid, projection.clone())
            .map_err(|error| Failure::new(Exit::Failed, error))
    })
    .await?;
    out.data(&projection, |_| String::new())?;
    if applied {
        let line = format!("approvals of {peer}'s {} count again", projection.remote_scope);
        out.say(Look::Green, line);
    }
    Ok(Exit::Success)
}

async fn remove(client: &Client, args: &ScopeMapRemoveArgs, out: &Out) -> Result<Exit, Failure> {
    let mut removed = None;
    let applied = offline::change(client, &args.policy, out, |draft, trusted| {
        let (peer, projection) = find(trusted, &args.which)?;
        draft
            .remove_projection(&peer.gid, projection.place())
            .map_err(|error| Failure::new(Exit::Failed, error))?;
        removed = Some(projection);
        Ok(())
    })
    .await?;
    out.data(&removed, |_| String::new())?;
    if let (true, Some(one)) = (applied, removed) {
        let line = format!(
            "approvals of {}'s {} count for {} no more",
            args.which.peer, one.remote_scope, one.local_scope
        );
        out.say(Look::Green, line);
    }
    Ok(Exit::Success)
}

/// The one projection that the arguments tell from all others of the peer.
fn find<'a>(
    trusted: Option<&'a TrustedFederation>,
    args: &ScopeMapArgs,
) -> Result<(&'a Peer, Projection), Failure> {
    let peer = peer_called(trusted, &args.peer)?;
    let fits = |one: &&Projection| {
        args.remote_scope.as_ref().is_none_or(|name| *name == one.remote_scope)
            && args.scope.as_ref().is_none_or(|name| *name == one.local_scope)
            && args.remote_tenant.as_ref().is_none_or(|name| *name == one.remote)
            && args.tenant.as_ref().is_none_or(|name| *name == one.local)
    };
    let mut found = peer.projections.iter().filter(fits);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok((peer, one.clone())),
        (None, _) => {
            Err(Failure::new(Exit::NotFound, format!("{} has no such projection", args.peer))
                .next(format!("landbridge scope map list {}", args.peer)))
        }
        (Some(_), Some(_)) => {
            let what = format!("several projections of {} are meant", args.peer);
            Err(Failure::new(Exit::Usage, what).next(
                "the same command with --remote-scope, --remote-tenant, --scope and --tenant",
            ))
        }
    }
}

fn peer_called<'a>(
    trusted: Option<&'a TrustedFederation>,
    alias: &Alias,
) -> Result<&'a Peer, Failure> {
    trusted.and_then(|trusted| trusted.peer_called(alias)).ok_or_else(|| {
        Failure::new(Exit::Failed, format!("no accepted peer is called {alias}"))
            .next("landbridge peer list")
    })
}
