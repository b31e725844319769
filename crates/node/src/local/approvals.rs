//! Questions for people: lists, decisions, and asking others.

use axum::Json as Answer;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::header::CONTENT_TYPE;
use http::{StatusCode, Uri};
use landbridge_proto::machine::contract::{ApprovalFilter, ApprovalSide, ApprovalState};
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::ApprovalId;

use super::api::{ApprovalList, ApprovalView, AskApproval, DecideApproval};
use super::auth::{Decide, May, Read, Run};
use super::body::{Json, named, query};
use super::problem::LocalProblem;
use super::runs::{PAGE_MAX, page};
use super::server::Local;

pub(super) fn routes() -> Router<Local> {
    Router::new()
        .route("/v1/approvals", get(list).post(ask))
        .route("/v1/approvals/{id}", get(show))
        .route("/v1/approvals/{id}/decisions", post(decide))
        .route("/v1/approvals/{id}/evidence", get(evidence))
}

async fn list(
    State(local): State<Local>,
    who: May<Read>,
    uri: Uri,
) -> Result<Answer<ApprovalList>, LocalProblem> {
    let [state, side, count] = query(&uri, ["state", "side", "limit"])?;
    let filter = ApprovalFilter {
        state: state
            .map(|word| one_of("state", &word, STATES, ApprovalState::as_str))
            .transpose()?,
        side: side.map(|word| one_of("side", &word, SIDES, ApprovalSide::as_str)).transpose()?,
        limit: page(count.as_deref(), PAGE_MAX)?,
        ..ApprovalFilter::default()
    };
    Ok(Answer(ApprovalList { approvals: local.bridge.approvals(who.principal(), filter)? }))
}

fn one_of<T: Copy, const N: usize>(
    name: &str,
    word: &str,
    all: [T; N],
    word_of: impl Fn(T) -> &'static str,
) -> Result<T, LocalProblem> {
    let found = all.into_iter().find(|one| word_of(*one) == word);
    found.ok_or_else(|| {
        let allowed = all.map(&word_of).join(", ");
        LocalProblem::malformed(format!("`{name}` is one of {allowed}"))
    })
}

async fn show(
    State(local): State<Local>,
    who: May<Read>,
    id: Path<String>,
) -> Result<Answer<ApprovalView>, LocalProblem> {
    let id: ApprovalId = named(&id)?;
    Ok(Answer(local.bridge.approval(who.principal(), &id)?))
}

async fn ask(
    State(local): State<Local>,
    who: May<Run>,
    Json(ask): Json<AskApproval>,
) -> Result<(StatusCode, Answer<ApprovalView>), LocalProblem> {
    check(&ask)?;
    let view = local.bridge.ask_approval(who.principal(), ask).await?;
    Ok((StatusCode::CREATED, Answer(view)))
}

/// Checks what the types leave open.
fn check(ask: &AskApproval) -> Result<(), LocalProblem> {
    let within = |what: &str, text: &str, max: usize| match (1..=max).contains(&text.len()) {
        true => Ok(()),
        false => Err(LocalProblem::malformed(format!("`{what}` has 1 to {max} bytes"))),
    };
    within("subject", &ask.subject, limit::SUBJECT_BYTES_MAX)?;
    if let Some(media) = &ask.media {
        within("media", media, limit::MEDIA_BYTES_MAX)?;
    }
    if let Some(principal) = &ask.principal {
        within("principal", principal, limit::CLAIM_BYTES_MAX)?;
    }
    if ask.quorum.is_some_and(|quorum| !(1..=limit::QUORUM_MAX).contains(&quorum)) {
        return Err(LocalProblem::malformed(format!("`quorum` is 1 to {}", limit::QUORUM_MAX)));
    }
    let life_max = limit::APPROVAL_LIFE_MS_MAX;
    if ask.expires_in_ms.is_some_and(|ms| !(1..=life_max).contains(&ms)) {
        return Err(LocalProblem::malformed(format!("`expiresInMs` is 1 to {life_max}")));
    }
    Ok(())
}

async fn decide(
    State(local): State<Local>,
    who: May<Decide>,
    id: Path<String>,
    Json(hand_in): Json<DecideApproval>,
) -> Result<Answer<ApprovalView>, LocalProblem> {
    let id: ApprovalId = named(&id)?;
    Ok(Answer(local.bridge.decide_approval(who.principal(), &id, hand_in.approval).await?))
}

async fn evidence(
    State(local): State<Local>,
    who: May<Read>,
    id: Path<String>,
) -> Result<Response, LocalProblem> {
    let id: ApprovalId = named(&id)?;
    let text = local.bridge.approval_evidence(who.principal(), &id)?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

const STATES: [ApprovalState; 5] = [
    ApprovalState::Open,
    ApprovalState::Approved,
    ApprovalState::Denied,
    ApprovalState::Expired,
    ApprovalState::Closed,
];
const SIDES: [ApprovalSide; 2] = [ApprovalSide::Relying, ApprovalSide::Deciding];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_question_is_checked_before_the_bridge_sees_it() {
        let ask = |extra: &str| {
            let text = format!(r#"{{"kind":"exec","scope":"sre-lead"{extra}}}"#);
            check(&serde_json::from_str(&text).unwrap())
        };
        assert!(ask(r#","subject":"rm -rf /tmp/x","quorum":2,"expiresInMs":5"#).is_ok());
        for bad in [
            r#","subject":"""#,
            r#","subject":"x","quorum":0"#,
            r#","subject":"x","quorum":17"#,
            r#","subject":"x","expiresInMs":0"#,
            r#","subject":"x","media":"""#,
            r#","subject":"x","principal":"""#,
        ] {
            assert_eq!(ask(bad).unwrap_err().view().status, 400, "{bad}");
        }
    }
}
