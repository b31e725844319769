//! `route`: logical gateways that runs can be sent to.

use landbridge_node::local::api::{RouteTest, RouteView};

use crate::cli::{RouteCommand, RouteTestArgs};
use crate::client::{Client, next_step};
use crate::exit::{Exit, Failure};
use crate::out::{Look, Out, short, table};

/// Runs a route command.
pub(super) async fn run(
    client: &Client,
    command: RouteCommand,
    out: &Out,
) -> Result<Exit, Failure> {
    match command {
        RouteCommand::List => list(client, out).await,
        RouteCommand::Test(args) => test(client, &args, out).await,
    }
}

async fn list(client: &Client, out: &Out) -> Result<Exit, Failure> {
    let routes: Vec<RouteView> = client.get("/v1/gateways").await?;
    if routes.is_empty() {
        out.say(
            Look::Dim,
            "nothing can be reached yet; pair with a peer: landbridge peer invite ALIAS",
        );
    }
    out.data(&routes, |routes| {
        let head = [
            "GATEWAY",
            "PEER",
            "TENANTS",
            "AGENT",
            "PEERING",
            "REACHABLE",
            "LAST CONTACT",
            "DETAIL",
        ];
        let mut rows = vec![head.map(String::from).to_vec()];
        for route in routes {
            let health = &route.health;
            rows.push(vec![
                route.gateway.to_string(),
                route.peer.to_string(),
                format!("{}:{}", route.tenant.local, route.tenant.remote),
                route.agent.as_ref().map(ToString::to_string).unwrap_or_default(),
                route.peer_status.clone(),
                match health.reachable {
                    Some(true) => "yes",
                    Some(false) => "no",
                    None => "unknown",
                }
                .to_owned(),
                health.last_contact.clone().unwrap_or_else(|| "never".to_owned()),
                match (&health.last_error, health.reachable) {
                    (Some(error), Some(false)) => short(&error.detail, 80),
                    _ => route.detail.clone(),
                },
            ]);
        }
        if rows.len() == 1 { String::new() } else { table(&rows) }
    })?;
    Ok(Exit::Success)
}

async fn test(client: &Client, args: &RouteTestArgs, out: &Out) -> Result<Exit, Failure> {
    let path = format!("/v1/gateways/{}/test", args.gateway);
    let test: RouteTest = client.post(&path, &serde_json::json!({})).await?;
    out.data(&test, |test| {
        let mut text = test.steps.iter().map(|step| format!("- {step}\n")).collect::<String>();
        if let Some(ms) = test.round_trip_ms {
            text.push_str(&format!("round trip: {ms} ms\n"));
        }
        text
    })?;
    if test.ok {
        out.say(Look::Green, format!("{} answered with its own signature", args.gateway));
        return Ok(Exit::Success);
    }
    let what = format!("{} did not pass the test", args.gateway);
    Err(match test.problem {
        Some(problem) => {
            let code = problem.code_text();
            let failure = Failure::new(Exit::Failed, what).why(&problem).code(code);
            match next_step(code) {
                Some(next) => failure.next(next),
                None => failure,
            }
        }
        None => Failure::new(Exit::Failed, what).next("landbridge doctor"),
    })
}
