//! `run`: runs at other gateways, from this side's journal.

mod follow;
mod list;
mod wait;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use landbridge_node::local::api::{CallTool, CancelView, PeerView, RouteView, RunView, StartRun};
use landbridge_node::local::standing::DisputeView;
use landbridge_proto::wire::name::{IdempotencyKey, RunId, ToolName};
use landbridge_proto::wire::request::{CallerIdentity, Mode};
use landbridge_proto::wire::tool_args::ToolArgs;

use self::wait::Until;
use crate::cli::{ModeChoice, RunCommand, RunExportArgs, RunStartArgs};
use crate::client::Client;
use crate::command::peer;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::out::{Look, Out, fields};

/// Runs a run command.
pub(super) async fn run(client: &Client, command: RunCommand, out: &Out) -> Result<Exit, Failure> {
    match command {
        RunCommand::Start(args) => start(client, *args, out).await,
        RunCommand::List(args) => list::list(client, &args, out).await,
        RunCommand::Wait(args) => {
            let until = Until { any: args.any, timeout: args.timeout };
            wait::wait(client, &args.runs, until, out).await
        }
        RunCommand::Show(args) => show(client, &args.run, out).await,
        RunCommand::Tail(args) => follow::follow(client, &args.run, args.after, out).await,
        RunCommand::Cancel(args) => cancel(client, &args.run, out).await,
        RunCommand::Export(args) => export(client, &args, out).await,
    }
}

async fn start(client: &Client, args: RunStartArgs, out: &Out) -> Result<Exit, Failure> {
    let (detach, wait, timeout) = (args.detach, args.wait, args.timeout);
    let start = start_body(args)?;
    let run: RunView = match client.post("/v1/runs", &start).await {
        Ok(run) => run,
        // A lost answer leaves the run's fate open; the key is what makes asking again safe.
        Err(failure)
            if failure.exit() == Exit::NoBridge && failure.what().contains("went away") =>
        {
            return Err(
                failure.next(format!("the same command with --key {}", start.idempotency_key))
            );
        }
        Err(failure) => return Err(pairing_first(client, &start, failure).await),
    };
    warn_of_trouble(client, &run, out).await;
    let word = if run.attached { "attached to" } else { "started" };
    out.say(
        Look::Dim,
        format!("{word} {} at {} with --key {}", run.run, run.gateway, run.idempotency_key),
    );
    if detach {
        out.data(&run, |run| run.run.to_string())?;
        return Ok(Exit::Success);
    }
    if wait {
        let until = Until { any: false, timeout };
        return wait::wait(client, std::slice::from_ref(&run.run), until, out).await;
    }
    follow::follow(client, &run.run, 0, out).await
}

/// A start that fails because the pairing is not finished is helped by finishing it.
async fn pairing_first(client: &Client, start: &StartRun, failure: Failure) -> Failure {
    if !matches!(failure.problem_code(), Some("not_granted" | "not_found")) {
        return failure;
    }
    let peers: Vec<PeerView> = client.get("/v1/admin/peers").await.unwrap_or_default();
    let routes: Vec<RouteView> = client.get("/v1/gateways").await.unwrap_or_default();
    let route = routes.iter().find(|route| route.gateway == start.gateway);
    let alias = route.map_or(&start.gateway, |route| &route.peer);
    match peers.iter().find(|peer| peer.alias == *alias).and_then(peer::waiting) {
        Some((what, next)) => failure.why(what).next(next),
        None => failure,
    }
}

/// A run that cannot begin yet is in the journal all the same; its person should know what it waits for.
async fn warn_of_trouble(client: &Client, run: &RunView, out: &Out) {
    let peers: Vec<PeerView> = client.get("/v1/admin/peers").await.unwrap_or_default();
    let peer = peers.iter().find(|peer| peer.gateway == run.peer);
    let known = peer.and_then(|peer| peer::waiting(peer).or_else(|| peer::trouble(peer)));
    if let Some((what, next)) = known {
        out.say(Look::Yellow, format!("it is kept and asked for again and again: {what}"));
        out.say(Look::Dim, next);
    }
}

fn start_body(args: RunStartArgs) -> Result<StartRun, Failure> {
    let tool_call = args.tool.map(|tool| tool_call(tool, args.args.as_deref())).transpose()?;
    let prompt = match tool_call {
        Some(_) => None,
        None => Some(prompt(args.prompt, args.prompt_file.as_deref())?),
    };
    let key = match args.key {
        Some(key) => key,
        None => random_key()?,
    };
    let identity = |principal| CallerIdentity {
        labels: BTreeMap::new(),
        principal,
        step: None,
        workflow: None,
    };
    Ok(StartRun {
        limits: args.limits.asked(),
        gateway: args.gateway,
        agent: args.agent,
        mode: match args.mode {
            ModeChoice::Session => Mode::Session,
            ModeChoice::Turn => Mode::Turn,
            ModeChoice::Subagent => Mode::Subagent,
        },
        session: args.session,
        prompt,
        tool_call,
        idempotency_key: key,
        caller_identity: args.principal.map(identity),
        deadline: Some(args.deadline),
        remote_run_id: args.remote_run_id,
        traceparent: args.traceparent,
        labels: args.labels.into_iter().collect(),
    })
}

fn tool_call(tool: ToolName, args: Option<&str>) -> Result<CallTool, Failure> {
    let text = match args.map(|args| args.strip_prefix('@').ok_or(args)) {
        None => "{}".to_owned(),
        Some(Err(text)) => text.to_owned(),
        Some(Ok(file)) => std::fs::read_to_string(file)
            .or_fail(Exit::Usage, || format!("cannot read the arguments from {file}"))?,
    };
    let args = ToolArgs::new(text).or_fail(Exit::Usage, || "the arguments cannot be sent")?;
    let args = serde_json::from_str(args.as_str())
        .or_fail(Exit::Usage, || "the arguments are not a JSON object")?;
    Ok(CallTool { tool, args })
}

fn prompt(text: Option<String>, file: Option<&Path>) -> Result<String, Failure> {
    if let Some(text) = text {
        return Ok(text);
    }
    let (name, bytes) = match file {
        Some(path) => (path.display().to_string(), std::fs::read(path)),
        None => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().take(PROMPT_BYTES_MAX + 1).read_to_end(&mut bytes);
            ("standard input".to_owned(), read.map(|_| bytes))
        }
    };
    let bytes = bytes.or_fail(Exit::Usage, || format!("cannot read the prompt from {name}"))?;
    if bytes.len() as u64 > PROMPT_BYTES_MAX {
        return Err(Failure::new(
            Exit::Usage,
            format!("the prompt in {name} is longer than 1 MiB"),
        ));
    }
    let text = String::from_utf8(bytes)
        .or_fail(Exit::Usage, || format!("the prompt in {name} is not UTF-8 text"))?;
    if text.trim().is_empty() {
        return Err(Failure::new(Exit::Usage, format!("the prompt in {name} is empty"))
            .next("the same command with --prompt TEXT"));
    }
    Ok(text)
}

fn random_key() -> Result<IdempotencyKey, Failure> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(Exit::Internal, "the system has no entropy").why(error))?;
    IdempotencyKey::new(format!("cli-{}", data_encoding::HEXLOWER.encode(&bytes)))
        .or_fail(Exit::Internal, || "cannot form a key")
}

async fn show(client: &Client, run: &RunId, out: &Out) -> Result<Exit, Failure> {
    let view: RunView = client.get(&format!("/v1/runs/{run}")).await?;
    out.data(&view, |view| {
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        let labels: Vec<String> =
            view.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        fields(&[
            ("run", view.run.to_string()),
            ("gateway", view.gateway.to_string()),
            ("peer", view.peer.to_string()),
            ("tenants", format!("{} -> {}", view.tenant.src, view.tenant.dst)),
            ("agent", view.agent.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("key", view.idempotency_key.to_string()),
            ("phase", view.phase.clone()),
            ("outcome", optional(&view.outcome)),
            ("frames", view.frames.to_string()),
            ("cancel", if view.cancel_requested { "requested" } else { "" }.to_owned()),
            ("remote run", view.remote_run.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("session", view.session.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("labels", labels.join(" ")),
            ("created", view.created.clone()),
            ("deadline", view.deadline.clone()),
            ("ended", optional(&view.ended)),
            ("connection", optional(&view.connection)),
            ("disputed", view.disputed.as_ref().map(dispute).unwrap_or_default()),
        ])
    })?;
    if view.disputed.is_some() {
        out.say(
            Look::Yellow,
            "what was received stands; whether its owner said it is for people to find out",
        );
    }
    Ok(Exit::Success)
}

/// Why a run is disputed, in one line.
fn dispute(dispute: &DisputeView) -> String {
    let from = match dispute.from_frame {
        0 => "the accept and all frames".to_owned(),
        frame => format!("frames from {frame} on"),
    };
    let DisputeView { kid, since, received, .. } = dispute;
    format!("{from}: key {kid} was revoked with effect since {since}, told at {received}")
}

async fn cancel(client: &Client, run: &RunId, out: &Out) -> Result<Exit, Failure> {
    let view: CancelView =
        client.post(&format!("/v1/runs/{run}/cancel"), &serde_json::json!({})).await?;
    out.data(&view, |view| view.state.clone())?;
    if view.state == "requested" {
        out.say(
            Look::Dim,
            format!("asked; the stream says what comes of it: landbridge run tail {run}"),
        );
    }
    Ok(Exit::Success)
}

async fn export(client: &Client, args: &RunExportArgs, out: &Out) -> Result<Exit, Failure> {
    let view: RunView = client.get(&format!("/v1/runs/{}", args.run)).await?;
    let bytes = client.bytes(&format!("/v1/runs/{}/transcript", args.run)).await?;
    let Some(path) = &args.output else {
        out.bytes(&bytes)?;
        return Ok(Exit::Success);
    };
    std::fs::write(path, &bytes)
        .or_fail(Exit::CannotCreate, || format!("cannot write {}", path.display()))?;
    let written = serde_json::json!({
        "run": args.run, "file": path, "bytes": bytes.len(), "peer": view.peer,
        "settled": view.outcome.is_some(),
    });
    out.data(&written, |_| String::new())?;
    let open =
        if view.outcome.is_none() { "; the run goes on, so it has no sealed end yet" } else { "" };
    out.say(Look::Green, format!("wrote {}, {} bytes{open}", path.display(), bytes.len()));
    out.say(
        Look::Dim,
        format!("check it: landbridge verify {} --pin {}", path.display(), view.peer),
    );
    Ok(Exit::Success)
}

/// A request's own limit: more could never be sent.
const PROMPT_BYTES_MAX: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_empty_or_foreign_prompt_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("prompt");
        std::fs::write(&file, " \n").unwrap();
        assert_eq!(prompt(None, Some(&file)).unwrap_err().exit(), Exit::Usage);
        std::fs::write(&file, [0xff, 0xfe]).unwrap();
        assert!(prompt(None, Some(&file)).unwrap_err().what().contains("UTF-8"));
        std::fs::write(&file, "say hi\n").unwrap();
        assert_eq!(prompt(None, Some(&file)).unwrap(), "say hi\n");
    }

    #[test]
    fn random_keys_differ() {
        assert_ne!(random_key().unwrap(), random_key().unwrap());
    }
}
