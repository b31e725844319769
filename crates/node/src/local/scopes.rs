//! Scopes, operators and projections: for the owner of the process alone.

use axum::Json as Answer;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::Uri;
use landbridge_proto::wire::name::{Alias, OperatorName, TenantId};

use super::api::{
    CatalogView, CredentialView, LearnCatalog, OperatorList, ProjectionView, Publish,
};
use super::auth::{Administer, May};
use super::body::{Json, named, query, value};
use super::problem::LocalProblem;
use super::server::Local;

pub(super) fn routes() -> Router<Local> {
    Router::new()
        .route("/v1/scopes", get(own))
        .route("/v1/scopes/{gateway}", get(of_peer))
        .route("/v1/admin/scopes/publish", post(publish))
        .route("/v1/admin/scopes/learn", post(learn))
        .route("/v1/admin/projections", get(projections))
        .route("/v1/operators", get(operators))
        .route("/v1/operators/{name}/credential", get(credential))
}

type Answered<T> = Result<Answer<T>, LocalProblem>;

async fn own(State(local): State<Local>, _: May<Administer>) -> Answered<Vec<CatalogView>> {
    Ok(Answer(local.bridge.own_catalogs().await?))
}

async fn of_peer(
    State(local): State<Local>,
    _: May<Administer>,
    gateway: Path<String>,
    uri: Uri,
) -> Answered<CatalogView> {
    let peer: Alias = named(&gateway)?;
    let [tenant, own] = query(&uri, ["tenant", "local"])?;
    let tenant: TenantId = value("tenant", tenant.as_deref().unwrap_or("default"))?;
    let own: Option<TenantId> = own.as_deref().map(|own| value("local", own)).transpose()?;
    Ok(Answer(local.bridge.peer_catalog(&peer, tenant, own).await?))
}

async fn publish(
    State(local): State<Local>,
    _: May<Administer>,
    Json(publish): Json<Publish>,
) -> Answered<Vec<CatalogView>> {
    Ok(Answer(local.bridge.publish_scopes(publish).await?))
}

async fn learn(
    State(local): State<Local>,
    _: May<Administer>,
    Json(learn): Json<LearnCatalog>,
) -> Answered<CatalogView> {
    Ok(Answer(local.bridge.learn_catalog(learn).await?))
}

async fn projections(
    State(local): State<Local>,
    _: May<Administer>,
) -> Answered<Vec<ProjectionView>> {
    Ok(Answer(local.bridge.projections().await?))
}

async fn operators(State(local): State<Local>, _: May<Administer>) -> Answered<OperatorList> {
    Ok(Answer(local.bridge.operators().await?))
}

async fn credential(
    State(local): State<Local>,
    _: May<Administer>,
    name: Path<String>,
    uri: Uri,
) -> Answered<CredentialView> {
    let name: OperatorName = named(&name)?;
    let [tenant] = query(&uri, ["tenant"])?;
    let tenant: TenantId = value("tenant", tenant.as_deref().unwrap_or("default"))?;
    Ok(Answer(local.bridge.credential(&name, &tenant).await?))
}
