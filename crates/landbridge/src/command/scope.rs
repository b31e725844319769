//! `scope`: what our operators may decide, published for the people of other gateways.
//!
//! What is configured and what is published are two things: words that peers mapped must not change by a
//! restart. So this command reads the file, compares it with what the bridge tells, and shows the
//! difference before anything is published.

mod map;
mod words;

use landbridge_node::catalogs::difference::{Scopes, changes, to_publish};
use landbridge_node::config::{Config, Home};
use landbridge_node::local::api::{CatalogView, Publish, PublishTenant};

pub(super) use self::map::views as projections;
use super::change;
use super::config::{environment, wrong};
use crate::cli::{ScopeCommand, ScopeExportArgs, ScopePublishArgs, ScopeShowArgs};
use crate::client::{Client, escaped};
use crate::exit::{Exit, Failure, OrFail as _};
use crate::out::{Look, Out, table};

/// Runs a scope command.
pub(super) async fn run(
    client: &Client,
    command: ScopeCommand,
    out: &Out,
) -> Result<Exit, Failure> {
    match command {
        ScopeCommand::List => list(client, out).await,
        ScopeCommand::Show(args) => show(client, &args, out).await,
        ScopeCommand::Diff => diff(client, out).await,
        ScopeCommand::Publish(args) => publish(client, &args, out).await,
        ScopeCommand::Export(args) => export(client, &args, out).await,
        ScopeCommand::Map(command) => map::run(client, command, out).await,
    }
}

/// The scopes of the configuration file, as it is now.
pub(super) fn configured(client: &Client) -> Result<Scopes, Failure> {
    let config = Config::load(&Home::at(client.home()), &environment());
    Ok(config.map_err(|errors| wrong(&errors))?.scopes)
}

/// Our catalogs, as the bridge has published them.
pub(super) async fn published(client: &Client) -> Result<Vec<CatalogView>, Failure> {
    client.get("/v1/scopes").await
}

/// The scopes of catalogs.
pub(super) fn scopes_of(catalogs: &[CatalogView]) -> Scopes {
    catalogs.iter().map(|one| (one.tenant.clone(), one.scopes.clone())).collect()
}

async fn list(client: &Client, out: &Out) -> Result<Exit, Failure> {
    let catalogs = published(client).await?;
    let (told, wanted) = (scopes_of(&catalogs), configured(client)?);
    let differing = changes(&told, &wanted);
    let mut rows = Vec::new();
    for (tenant, scopes) in &told {
        for scope in scopes {
            let changed = differing.iter().find(|one| {
                one.tenant == *tenant
                    && one.before.as_ref().is_some_and(|before| before.name == scope.name)
            });
            let state = match changed {
                None => "published",
                Some(one) if one.after.is_none() => "published; not configured any more",
                Some(_) => "published; configured otherwise",
            };
            rows.push((tenant.clone(), scope.clone(), state));
        }
    }
    for one in &differing {
        if let (None, Some(scope)) = (&one.before, &one.after) {
            rows.push((one.tenant.clone(), scope.clone(), "not published"));
        }
    }
    if out.json() {
        let rows: Vec<_> = rows
            .iter()
            .map(|(tenant, scope, state)| {
                serde_json::json!({"tenant": tenant, "scope": scope, "state": state})
            })
            .collect();
        out.data(&rows, |_| String::new())?;
    } else if rows.is_empty() {
        out.say(Look::Dim, "there are no scopes; write [[scopes]]: landbridge config example");
    } else {
        let heading = ["TENANT", "SCOPE", "KEYS", "PEOPLE", "STATE", "DESCRIPTION"];
        let mut lines = vec![heading.map(String::from).to_vec()];
        lines.extend(rows.iter().map(|(tenant, scope, state)| {
            let [keys, people] = words::assurance(scope);
            let description = crate::out::short(&scope.description, 60);
            let name = scope.name.to_string();
            vec![tenant.to_string(), name, keys, people, (*state).to_owned(), description]
        }));
        out.line(&table(&lines))?;
    }
    if !differing.is_empty() {
        out.say(Look::Yellow, "what is configured is not what is published: landbridge scope diff");
    }
    Ok(Exit::Success)
}

async fn show(client: &Client, args: &ScopeShowArgs, out: &Out) -> Result<Exit, Failure> {
    let catalog = match &args.peer {
        Some(peer) => {
            let mut path = format!(
                "/v1/scopes/{}?tenant={}",
                escaped(peer.as_str()),
                escaped(args.tenant.as_str())
            );
            if let Some(local) = &args.local_tenant {
                path.push_str(&format!("&local={}", escaped(local.as_str())));
            }
            client.get(&path).await?
        }
        None => of_tenant(client, &args.tenant).await?,
    };
    let missing = |scope| {
        let whose = args.peer.as_ref().map_or("here".to_owned(), |peer| format!("at {peer}"));
        let what = format!("{whose} tenant {} has no scope {scope}", args.tenant);
        Failure::new(Exit::NotFound, what).next("landbridge scope show, without a name")
    };
    match &args.scope {
        Some(name) => {
            let scope = catalog.scopes.iter().find(|scope| scope.name == *name);
            let scope = scope.ok_or_else(|| missing(name))?;
            out.data(scope, words::text)?;
        }
        None => out.data(&catalog, words::catalog)?,
    }
    Ok(Exit::Success)
}

async fn of_tenant(
    client: &Client,
    tenant: &landbridge_proto::wire::name::TenantId,
) -> Result<CatalogView, Failure> {
    let found = published(client).await?.into_iter().find(|one| one.tenant == *tenant);
    found.ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("no scopes of tenant {tenant} are published"))
            .next("landbridge scope list, then landbridge scope publish")
    })
}

async fn diff(client: &Client, out: &Out) -> Result<Exit, Failure> {
    let (told, wanted) = (scopes_of(&published(client).await?), configured(client)?);
    let found = changes(&told, &wanted);
    let rows: Vec<_> = found
        .iter()
        .map(|one| {
            serde_json::json!({"tenant": one.tenant, "before": one.before, "after": one.after})
        })
        .collect();
    out.data(&rows, |_| words::changes(&found))?;
    if found.is_empty() {
        out.say(Look::Green, "what is configured is published");
    }
    Ok(Exit::Success)
}

async fn publish(client: &Client, args: &ScopePublishArgs, out: &Out) -> Result<Exit, Failure> {
    let (told, wanted) = (scopes_of(&published(client).await?), configured(client)?);
    let found = changes(&told, &wanted);
    if found.is_empty() {
        out.data(&Vec::<CatalogView>::new(), |_| String::new())?;
        out.say(Look::Dim, "nothing was published: what is configured is published already");
        return Ok(Exit::Success);
    }
    if !out.json() || out.interactive() {
        out.say(Look::Bold, "to be published:");
        out.say(Look::Plain, words::changes(&found).trim_end());
        if found.iter().any(|one| one.before.is_some()) {
            let warning =
                "whoever mapped a scope that changes reads it again before approvals count there";
            out.say(Look::Yellow, warning);
        }
    }
    if args.dry_run {
        out.say(Look::Dim, "nothing was published: --dry-run");
        return Ok(Exit::Success);
    }
    change::confirm("Publish this?", args.yes, out)?;
    let catalogs = to_publish(&told, &wanted).into_iter();
    let catalogs = catalogs.map(|(tenant, scopes)| PublishTenant { tenant, scopes }).collect();
    let done: Vec<CatalogView> =
        client.post("/v1/admin/scopes/publish", &Publish { catalogs }).await?;
    out.data(&done, |done| {
        let line = |one: &CatalogView| {
            format!("{}  version {}  {} scopes\n", one.tenant, one.version, one.scopes.len())
        };
        done.iter().map(line).collect()
    })?;
    out.say(Look::Green, "published; peers with a grant may read it");
    Ok(Exit::Success)
}

async fn export(client: &Client, args: &ScopeExportArgs, out: &Out) -> Result<Exit, Failure> {
    let catalog = of_tenant(client, &args.tenant).await?;
    let mut bytes = catalog.catalog.to_bytes();
    bytes.push(b'\n');
    let Some(path) = &args.output else {
        out.bytes(&bytes)?;
        return Ok(Exit::Success);
    };
    let cannot = || format!("cannot create {}", path.display());
    let mut file = std::fs::File::create_new(path).or_fail(Exit::CannotCreate, cannot)?;
    std::io::Write::write_all(&mut file, &bytes)
        .and_then(|()| file.sync_all())
        .or_fail(Exit::Failed, || format!("cannot write {}", path.display()))?;
    out.say(Look::Dim, format!("it is good until {}", catalog.expires));
    Ok(Exit::Success)
}
