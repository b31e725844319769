//! Evidence against peers, and the end of a quarantine: for the owner of the process alone.

use axum::Json as Answer;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::header::CONTENT_TYPE;
use landbridge_proto::wire::name::GatewayId;

use super::api::{EvidenceDetail, EvidenceView, Resume, Resumed};
use super::auth::{Administer, May};
use super::body::{Json, named};
use super::problem::LocalProblem;
use super::server::Local;

pub(super) fn routes() -> Router<Local> {
    Router::new()
        .route("/v1/admin/evidence", get(all))
        .route("/v1/admin/evidence/{id}", get(one))
        .route("/v1/admin/evidence/{id}/file", get(file))
        .route("/v1/admin/peers/{gateway}/resume", post(resume))
}

async fn all(
    State(local): State<Local>,
    _: May<Administer>,
) -> Result<Answer<Vec<EvidenceView>>, LocalProblem> {
    Ok(Answer(local.bridge.all_evidence().await?))
}

async fn one(
    State(local): State<Local>,
    _: May<Administer>,
    Path(id): Path<String>,
) -> Result<Answer<EvidenceDetail>, LocalProblem> {
    Ok(Answer(local.bridge.evidence(&id).await?))
}

async fn file(
    State(local): State<Local>,
    _: May<Administer>,
    Path(id): Path<String>,
) -> Result<Response, LocalProblem> {
    let file = local.bridge.evidence_file(&id).await?;
    Ok(([(CONTENT_TYPE, "application/jsonl")], file).into_response())
}

async fn resume(
    State(local): State<Local>,
    _: May<Administer>,
    gateway: Path<String>,
    Json(resume): Json<Resume>,
) -> Result<Answer<Resumed>, LocalProblem> {
    let gateway: GatewayId = named(&gateway)?;
    if resume.because.is_empty() || resume.because.len() > BECAUSE_BYTES_MAX {
        let detail = format!("`because` has 1 to {BECAUSE_BYTES_MAX} bytes");
        return Err(LocalProblem::malformed(detail));
    }
    Ok(Answer(local.bridge.resume_peer(&gateway, resume.because).await?))
}

/// Why a quarantine ends.
const BECAUSE_BYTES_MAX: usize = 256;
