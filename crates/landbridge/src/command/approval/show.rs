//! One approval, as people read it on either side.

use landbridge_node::clock::{Clock as _, SystemClock};
use landbridge_node::local::api::{ApprovalView, DecisionView};
use landbridge_proto::machine::contract::{ApprovalSide, ApprovalState};
use landbridge_proto::wire::name::ApprovalId;

use super::{get, stands};
use crate::approval::question::Question;
use crate::approval::visible;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::out::{Look, Out, fields};

/// Prints one approval: the question, its subject, and what came of it.
pub(super) async fn show(client: &Client, id: &ApprovalId, out: &Out) -> Result<Exit, Failure> {
    let view = get(client, id).await?;
    let question = Question::read(view)?;
    out.data(question.view(), |_| text(&question))?;
    let brief = &question.view().brief;
    let (look, state) = stands(brief.state);
    out.say(look, state);
    let next = match (brief.side, brief.state) {
        (ApprovalSide::Deciding, ApprovalState::Open) => {
            format!(
                "decide: landbridge approval approve {id} --key FILE, or landbridge approval deny"
            )
        }
        (ApprovalSide::Relying, ApprovalState::Open) => {
            "the other gateway's operators decide; look again later".to_owned()
        }
        (ApprovalSide::Relying, _) => {
            format!("hand it on: landbridge approval export {id} --output FILE")
        }
        (ApprovalSide::Deciding, _) => return Ok(Exit::Success),
    };
    out.say(Look::Dim, next);
    Ok(Exit::Success)
}

fn text(question: &Question) -> String {
    let view = question.view();
    let mut facts = question.facts(SystemClock.now());
    facts.insert(1, ("state", view.brief.state.as_str().to_owned()));
    facts.extend([
        ("ended", view.brief.decided.clone().unwrap_or_default()),
        ("local run", view.brief.run.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("answer", view.answer.as_deref().map(visible::one_line).unwrap_or_default()),
    ]);
    let mut text = fields(&facts);
    for line in question.subject() {
        text.push_str(&format!("{line}\n"));
    }
    text.push_str(&decisions(view));
    text
}

fn decisions(view: &ApprovalView) -> String {
    view.decisions.iter().map(decision).collect()
}

fn decision(one: &DecisionView) -> String {
    let DecisionView { gateway, sub, scope, method, vote, at } = one;
    let (vote, method) = (vote.as_str(), method.as_str());
    format!("{vote}: {sub} of {gateway} as {scope}, with a key of the kind {method}, at {at}\n")
}
