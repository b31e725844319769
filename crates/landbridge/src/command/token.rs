//! `token`: how workflow engines use the local API.

use landbridge_node::local::api::{NewToken, SeesView, TokenView};

use crate::cli::{SeesChoice, TokenCommand, TokenCreateArgs};
use crate::client::{Client, escaped};
use crate::exit::{Exit, Failure};
use crate::out::{Look, Out, table};

/// Runs a token command.
pub(super) async fn run(
    client: &Client,
    command: TokenCommand,
    out: &Out,
) -> Result<Exit, Failure> {
    match command {
        TokenCommand::Create(args) => create(client, args, out).await,
        TokenCommand::List => list(client, out).await,
        TokenCommand::Revoke(args) => {
            let path = format!("/v1/admin/tokens/{}/revoke", escaped(&args.id));
            let token: TokenView = client.post(&path, &serde_json::json!({})).await?;
            out.data(&token, |_| String::new())?;
            out.say(Look::Green, format!("{} ({}) is revoked", token.id, token.name));
            Ok(Exit::Success)
        }
    }
}

async fn create(client: &Client, args: TokenCreateArgs, out: &Out) -> Result<Exit, Failure> {
    let new = NewToken {
        name: args.name,
        routes: args.routes,
        tenants: args.tenants,
        sees: match args.sees {
            SeesChoice::Own => SeesView::Own,
            SeesChoice::Tenants => SeesView::Tenants,
        },
        runs_open_max: args.runs_open_max,
        starts_per_minute_max: args.starts_per_minute_max,
        verbs: args.verbs.iter().map(|verb| verb.as_str().to_owned()).collect(),
        expires_in: args.expires_in,
    };
    let token: TokenView = client.post("/v1/admin/tokens", &new).await?;
    out.data(&token, |token| token.secret.clone().unwrap_or_default())?;
    out.say(Look::Dim, format!("{} ({}): the secret is shown this once", token.id, token.name));
    Ok(Exit::Success)
}

async fn list(client: &Client, out: &Out) -> Result<Exit, Failure> {
    let tokens: Vec<TokenView> = client.get("/v1/admin/tokens").await?;
    let now = jiff::Timestamp::now();
    out.data(&tokens, |tokens| {
        let head = [
            "ID",
            "NAME",
            "TENANTS",
            "ROUTES",
            "SEES",
            "VERBS",
            "OPEN",
            "PER MINUTE",
            "EXPIRES",
            "STATE",
        ];
        let mut rows = vec![head.map(String::from).to_vec()];
        for token in tokens {
            let tenants = token.tenants.iter().map(|tenant| tenant.as_str());
            let routes = token.routes.iter().map(|route| route.as_str());
            let expired = token.expires.as_ref().and_then(|at| at.parse::<jiff::Timestamp>().ok());
            let state = match (&token.revoked, expired) {
                (Some(_), _) => "revoked",
                (None, Some(at)) if at <= now => "expired",
                _ => "active",
            };
            rows.push(vec![
                token.id.clone(),
                token.name.clone(),
                all_or(tenants),
                all_or(routes),
                match token.sees {
                    SeesView::Own => "own",
                    SeesView::Tenants => "tenants",
                }
                .to_owned(),
                token.verbs.join(","),
                format!("{}/{}", token.runs_open, token.runs_open_max),
                token.starts_per_minute_max.to_string(),
                token.expires.clone().unwrap_or_else(|| "never".to_owned()),
                state.to_owned(),
            ]);
        }
        table(&rows)
    })?;
    Ok(Exit::Success)
}

fn all_or<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "all".to_owned() } else { names.join(",") }
}
