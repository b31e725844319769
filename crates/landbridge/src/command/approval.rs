//! `approval`: what operators are asked here, what they decide, and what other gateways' operators are asked.

mod decide;
mod list;
mod request;
mod show;

use landbridge_node::local::api::ApprovalView;
use landbridge_proto::machine::contract::{ApprovalSide, ApprovalState};
use landbridge_proto::wire::approval::Vote;
use landbridge_proto::wire::name::ApprovalId;

use crate::approval::question::Question;
use crate::cli::{ApprovalCommand, ApprovalExportArgs};
use crate::client::Client;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::out::{Look, Out};

/// Runs an approval command.
pub(super) async fn run(
    client: &Client,
    command: ApprovalCommand,
    out: &Out,
) -> Result<Exit, Failure> {
    match command {
        ApprovalCommand::List(args) => list::list(client, &args, out).await,
        ApprovalCommand::Show(args) => show::show(client, &args.id, out).await,
        ApprovalCommand::Approve(args) => decide::decide(client, Vote::Approve, &args, out).await,
        ApprovalCommand::Deny(args) => decide::decide(client, Vote::Deny, &args, out).await,
        ApprovalCommand::Request(args) => request::request(client, args, out).await,
        ApprovalCommand::Export(args) => export(client, &args, out).await,
    }
}

async fn get(client: &Client, id: &ApprovalId) -> Result<ApprovalView, Failure> {
    client.get(&format!("/v1/approvals/{id}")).await
}

/// How an approval stands, as a sentence begins.
const fn stands(state: ApprovalState) -> (Look, &'static str) {
    match state {
        ApprovalState::Open => (Look::Yellow, "it is open"),
        ApprovalState::Approved => (Look::Green, "it is approved"),
        ApprovalState::Denied => (Look::Red, "it is denied"),
        ApprovalState::Expired => (Look::Red, "it expired, which denies it"),
        ApprovalState::Closed => (Look::Yellow, "it was closed at the gateway that asked"),
    }
}

async fn export(client: &Client, args: &ApprovalExportArgs, out: &Out) -> Result<Exit, Failure> {
    let view = get(client, &args.id).await?;
    if view.brief.side == ApprovalSide::Deciding {
        return Err(Failure::new(Exit::Failed, format!("the record of {} is not here", args.id))
            .why("the gateway that needed the answer has it: it alone says whose decisions count there")
            .next(format!("there: landbridge approval export {} --output FILE", args.id)));
    }
    let bytes = client.bytes(&format!("/v1/approvals/{}/evidence", args.id)).await?;
    let Some(path) = &args.output else {
        out.bytes(&bytes)?;
        return Ok(Exit::Success);
    };
    std::fs::write(path, &bytes)
        .or_fail(Exit::CannotCreate, || format!("cannot write {}", path.display()))?;
    let ended = view.brief.state != ApprovalState::Open;
    let written = serde_json::json!({
        "approval": args.id, "file": path, "bytes": bytes.len(), "state": view.brief.state,
    });
    out.data(&written, |_| String::new())?;
    let open = if ended { "" } else { "; it is open, so it proves no end yet" };
    out.say(Look::Green, format!("wrote {}, {} bytes{open}", path.display(), bytes.len()));
    // Whoever needed the answer asked, and the record must be theirs.
    let question = Question::read(view)?;
    let pin = &question.request().iss;
    out.say(Look::Dim, format!("check it: landbridge verify {} --pin {pin}", path.display()));
    Ok(Exit::Success)
}
