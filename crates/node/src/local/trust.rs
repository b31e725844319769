//! The versions of our federation document: for the owner of the process alone.

use axum::Json as Answer;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;

use super::api::{FederationVersionView, FederationView};
use super::auth::{Administer, May};
use super::body::value;
use super::problem::LocalProblem;
use super::server::Local;

pub(super) fn routes() -> Router<Local> {
    Router::new()
        .route("/v1/admin/federation/versions", get(all))
        .route("/v1/admin/federation/versions/{version}", get(one))
}

async fn all(
    State(local): State<Local>,
    _: May<Administer>,
) -> Result<Answer<Vec<FederationVersionView>>, LocalProblem> {
    Ok(Answer(local.bridge.federation_versions().await?))
}

async fn one(
    State(local): State<Local>,
    _: May<Administer>,
    Path(version): Path<String>,
) -> Result<Answer<FederationView>, LocalProblem> {
    let version: u64 = value("version", &version)?;
    Ok(Answer(local.bridge.federation_version(version).await?))
}
