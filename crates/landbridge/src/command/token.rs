//! `token`: how workflow engines use the local API.

use landbridge_node::local::api::{NewToken, TokenView};

use crate::cli::{TokenCommand, TokenCreateArgs};
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
    out.data(&tokens, |tokens| {
        let mut rows =
            vec![["ID", "NAME", "ROUTES", "VERBS", "EXPIRES", "STATE"].map(String::from).to_vec()];
        for token in tokens {
            let routes: Vec<&str> = token.routes.iter().map(|route| route.as_str()).collect();
            let state = if token.revoked.is_some() { "revoked" } else { "active" };
            rows.push(vec![
                token.id.clone(),
                token.name.clone(),
                if routes.is_empty() { "all".to_owned() } else { routes.join(",") },
                if token.verbs.is_empty() { "all".to_owned() } else { token.verbs.join(",") },
                token.expires.clone().unwrap_or_else(|| "never".to_owned()),
                state.to_owned(),
            ]);
        }
        table(&rows)
    })?;
    Ok(Exit::Success)
}
