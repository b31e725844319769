//! Answering the gateway, and keeping what it says.
//!
//! The gateway takes one answer for a question. It is asked again with the same vote until it said which it
//! took, across crashes, and what it says is what is reported: somebody there may have been first.

use std::sync::Arc;

use landbridge_planted::planted;
use landbridge_proto::machine::contract::{ApprovalRow, ApprovalState, RunPhase, RunRow};
use landbridge_proto::machine::step::Step;
use landbridge_proto::wire::name::ApprovalId;

use super::{RETRY_MS, replaced};
use crate::adapter::{ApprovalDecided, ResolvedBy, TroubleCode, Vote, Work};
use crate::core::{Core, StepError};

/// What came of asking the gateway.
#[derive(Clone, Debug)]
pub(super) enum Resolved {
    /// It said what it took.
    Answered(ApprovalDecided),
    /// It does not know the question any more.
    Unknown(String),
    /// The run that waited has ended, or this bridge stops.
    Nobody,
}

/// Answers the gateway's question with a vote, and records what the gateway says. May be called again.
//= APR-27
pub(super) async fn resolve(core: &Arc<Core>, row: &ApprovalRow, vote: Vote) -> Resolved {
    if let Some(answer) = row.answer.as_deref().and_then(read) {
        return Resolved::Answered(answer);
    }
    let (Some(run), Some(question)) = (&row.run, &row.question) else { return Resolved::Nobody };
    loop {
        let waiting = core.store.reads().run(run);
        // Read after the run: the run hears its gateway too, and what it heard is durable before it settles.
        if let Some(answer) = heard(core, &row.id) {
            return Resolved::Answered(answer);
        }
        match waiting {
            Ok(Some(waiting)) if waiting.phase != RunPhase::Settled => {
                match ask(core, &waiting, question, vote).await {
                    Some(Resolved::Answered(decided)) => {
                        record(core, &row.id, &decided).await;
                        return Resolved::Answered(decided);
                    }
                    Some(other) => return other,
                    None => {}
                }
            }
            Ok(_) => return Resolved::Nobody,
            Err(fault) => tracing::error!(%run, %fault, "a waiting run cannot be read"),
        }
        tokio::select! {
            () = core.stopping.cancelled() => return Resolved::Nobody,
            () = core.clock.sleep_until(core.now().plus_ms(RETRY_MS)) => {}
        }
    }
}

/// What the gateway answered, as far as that is durable by now.
fn heard(core: &Core, id: &ApprovalId) -> Option<ApprovalDecided> {
    if planted!("approval_answer_not_heard") {
        return None;
    }
    let row = core.store.reads().approval(id).ok().flatten()?;
    row.answer.as_deref().and_then(read)
}

async fn ask(core: &Core, waiting: &RunRow, question: &str, vote: Vote) -> Option<Resolved> {
    let work = serde_json::from_str::<Work>(&waiting.work).ok();
    let Some(work) = work else { return Some(Resolved::Nobody) };
    match core.adapter.resolve(&work, question, vote).await {
        Ok(decided) => Some(Resolved::Answered(decided)),
        Err(fault) if fault.0.code == TroubleCode::ApprovalUnknown => {
            Some(Resolved::Unknown(fault.0.detail))
        }
        Err(fault) => {
            tracing::warn!(run = %waiting.run, %fault, "a question is not answered yet");
            None
        }
    }
}

/// Keeps what the gateway answered. It is not lost when this fails: the gateway says it again.
async fn record(core: &Arc<Core>, id: &ApprovalId, decided: &ApprovalDecided) {
    for _ in 0..super::TRIES {
        let Ok(Some(mut row)) = core.store.reads().approval(id) else { return };
        let before = row.clone();
        take(&mut row, decided, core.now());
        if row == before {
            return;
        }
        let state = row.state.as_str();
        let detail =
            [("state", state), ("by", by_word(decided.by)), ("vote", decided.vote.as_str())];
        let audit = core.audit("gateway", "approval_answered", id.as_str(), detail);
        let (guard, put) = replaced(row);
        let step = Step::new(vec![guard], vec![put, audit], ()).with_reserve();
        match core.commit(step).await {
            Ok(()) => {
                core.approvals.changed();
                return;
            }
            Err(StepError::Stale(_)) => {}
            Err(error) => {
                tracing::warn!(%id, %error, "a gateway's answer is not kept yet");
                return;
            }
        }
    }
}

/// Takes the gateway's answer into a row. What was committed before stays: the answer says what came of it.
pub(super) fn take(
    row: &mut ApprovalRow,
    decided: &ApprovalDecided,
    now: landbridge_proto::wire::name::Timestamp,
) {
    if row.answer.is_none() {
        row.answer = serde_json::to_string(decided).ok();
    }
    if row.state == ApprovalState::Open {
        row.decided = Some(now);
        row.state = match decided.by {
            // Nothing was committed, so this was our own deny when the time was over.
            ResolvedBy::Peer | ResolvedBy::Operator | ResolvedBy::Expiry => ApprovalState::Expired,
            ResolvedBy::Gateway | ResolvedBy::Closed => ApprovalState::Closed,
        };
    }
}

/// Who decided, in the contract's words: what this bridge denied because the time was over was decided by
/// nobody.
pub(super) fn by(row: &ApprovalRow, decided: &ApprovalDecided) -> ResolvedBy {
    let undecided = matches!(row.state, ApprovalState::Open | ApprovalState::Expired);
    match decided.by {
        ResolvedBy::Peer if undecided => ResolvedBy::Expiry,
        by => by,
    }
}

/// What a row that has ended says to the gateway.
pub(super) const fn vote_of(row: &ApprovalRow) -> Vote {
    match row.state {
        ApprovalState::Approved => Vote::Approve,
        //= APR-25
        _ => Vote::Deny,
    }
}

/// Reads an answer that was kept.
pub(super) fn read(text: &str) -> Option<ApprovalDecided> {
    serde_json::from_str(text).ok()
}

pub(super) const fn by_word(by: ResolvedBy) -> &'static str {
    match by {
        ResolvedBy::Peer => "peer",
        ResolvedBy::Operator => "operator",
        ResolvedBy::Gateway => "gateway",
        ResolvedBy::Expiry => "expiry",
        ResolvedBy::Closed => "closed",
    }
}
