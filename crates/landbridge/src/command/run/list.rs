//! Lists of runs, a page or all of them.

use landbridge_node::local::api::{RunList, RunView};
use landbridge_proto::wire::name::Timestamp;

use crate::cli::RunListArgs;
use crate::client::{Client, escaped};
use crate::exit::{Exit, Failure};
use crate::out::{Look, Out, instant, table};

/// Prints a page of runs, or with `--all` every one.
pub(super) async fn list(client: &Client, args: &RunListArgs, out: &Out) -> Result<Exit, Failure> {
    let query = query(args);
    if args.all {
        return all(client, &query, out).await;
    }
    let cursor = args.cursor.as_ref().map(|cursor| format!("&cursor={}", escaped(cursor)));
    let path = format!("/v1/runs?limit={}{query}{}", args.limit, cursor.unwrap_or_default());
    let list: RunList = client.get(&path).await?;
    out.data(&list, |list| rows(&list.runs))?;
    if list.runs.is_empty() {
        out.say(Look::Dim, "no runs");
    }
    if let Some(next) = &list.next {
        out.say(Look::Dim, format!("older: the same command with --cursor {next}, or with --all"));
    }
    Ok(Exit::Success)
}

async fn all(client: &Client, query: &str, out: &Out) -> Result<Exit, Failure> {
    let mut cursor = String::new();
    let mut runs = Vec::new();
    loop {
        let list: RunList = client.get(&format!("/v1/runs?limit={PAGE}{query}{cursor}")).await?;
        // JSON goes out as it comes; a table needs all of its rows to be aligned.
        if out.json() {
            list.runs.iter().try_for_each(|run| out.data(run, |_| String::new()))?;
        } else {
            runs.extend(list.runs);
        }
        match list.next {
            Some(next) => cursor = format!("&cursor={}", escaped(&next)),
            None => break,
        }
    }
    if !out.json() {
        if runs.is_empty() {
            out.say(Look::Dim, "no runs");
        } else {
            out.line(&rows(&runs))?;
        }
    }
    Ok(Exit::Success)
}

/// The filters, as they follow a first parameter.
fn query(args: &RunListArgs) -> String {
    let mut query = String::new();
    let mut add = |name: &str, value: &str| query.push_str(&format!("&{name}={}", escaped(value)));
    if let Some(gateway) = &args.gateway {
        add("gateway", gateway.as_str());
    }
    if args.open || args.settled {
        add("state", if args.open { "open" } else { "settled" });
    }
    if let Some(outcome) = args.outcome {
        add("outcome", outcome.as_str());
    }
    for (name, value) in &args.labels {
        add("label", &format!("{name}={value}"));
    }
    let time = |at: &Timestamp| instant(*at);
    if let Some(since) = args.since.as_ref().map(time) {
        add("since", &since);
    }
    if let Some(until) = args.until.as_ref().map(time) {
        add("until", &until);
    }
    query
}

fn rows(runs: &[RunView]) -> String {
    if runs.is_empty() {
        return String::new();
    }
    let head = ["RUN", "GATEWAY", "AGENT", "STATE", "FRAMES", "CREATED"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for run in runs {
        rows.push(vec![
            run.run.to_string(),
            run.gateway.to_string(),
            run.agent.as_ref().map(ToString::to_string).unwrap_or_default(),
            run.outcome.clone().unwrap_or_else(|| run.phase.clone()),
            run.frames.to_string(),
            run.created.clone(),
        ]);
    }
    table(&rows)
}

/// Runs of a page when all are asked for.
const PAGE: u32 = 200;
