//! Versions of our federation document, and memberships: for the owner of the process alone.

use axum::Json as Answer;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};

use super::api::{
    FederationVersionView, FederationView, MembershipShown, MembershipView, ShowMembership,
};
use super::auth::{Administer, May};
use super::body::{Json, value};
use super::problem::LocalProblem;
use super::server::Local;

pub(super) fn routes() -> Router<Local> {
    Router::new()
        .route("/v1/admin/admissions", post(show))
        .route("/v1/admin/memberships", get(memberships))
        .route("/v1/admin/federation/versions", get(all))
        .route("/v1/admin/federation/versions/{version}", get(one))
}

async fn show(
    State(local): State<Local>,
    _: May<Administer>,
    Json(show): Json<ShowMembership>,
) -> Result<Answer<MembershipShown>, LocalProblem> {
    Ok(Answer(local.bridge.show_membership(show).await?))
}

async fn memberships(
    State(local): State<Local>,
    _: May<Administer>,
) -> Result<Answer<Vec<MembershipView>>, LocalProblem> {
    Ok(Answer(local.bridge.memberships().await?))
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
