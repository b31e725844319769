//! Administration: peers, pairing, our federation document, tokens and the audit log.
//!
//! Only the owner of the process gets here, through the unix socket. Every handler takes
//! [`May<Administer>`], which no token can give.

use axum::Json as Answer;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{delete, get, post, put};
use http::{StatusCode, Uri};
use landbridge_proto::machine::contract::AuditRow;
use landbridge_proto::wire::name::GatewayId;
use landbridge_proto::wire::problem::{Code, Problem};

use super::api::{
    AuditHeadView, AuditList, AuditView, BackupInto, BridgeView, FederationView, FoundAt,
    InviteView, Join, LookAt, NewInvite, NewToken, OpenInvite, OwnRootView, PairingView, PeerView,
    PutFederation, PutRoot, SeesView, SettingView, TokenView,
};
use super::auth::{Administer, May, Verb};
use super::body::{Json, Nothing, named, query, value};
use super::problem::LocalProblem;
use super::runs::page;
use super::server::Local;
use crate::config::{Period, TOKEN_RUNS_OPEN_MAX, TOKEN_STARTS_MAX};

pub(super) fn routes() -> Router<Local> {
    Router::new()
        .route("/v1/admin/bridge", get(bridge))
        .route("/v1/admin/settings", get(settings))
        .route("/v1/admin/peers", get(peers))
        .route("/v1/admin/usage", get(super::usage::usage))
        .route("/v1/admin/invites", get(invites).post(invite))
        .route("/v1/admin/invites/{id}", delete(withdraw))
        .route("/v1/admin/joins", post(join))
        .route("/v1/admin/pairings", get(pairings))
        .route("/v1/admin/pairings/{gateway}", delete(decline))
        .route("/v1/admin/peers/{gateway}/address", post(look_at))
        .route("/v1/admin/federation", get(federation).put(put_federation))
        .route("/v1/admin/root", put(put_root))
        .route("/v1/admin/tokens", get(tokens).post(create_token))
        .route("/v1/admin/tokens/{id}/revoke", post(revoke_token))
        .route("/v1/admin/audit", get(audit))
        .route("/v1/admin/backup", post(backup))
        .route("/v1/admin/audit/heads", get(audit_heads))
}

type Answered<T> = Result<Answer<T>, LocalProblem>;
type Created<T> = Result<(StatusCode, Answer<T>), LocalProblem>;

async fn bridge(State(local): State<Local>, _: May<Administer>) -> Answered<BridgeView> {
    Ok(Answer(local.bridge.view().await?))
}

async fn settings(State(local): State<Local>, _: May<Administer>) -> Answer<Vec<SettingView>> {
    Answer(local.bridge.settings())
}

async fn peers(State(local): State<Local>, _: May<Administer>) -> Answered<Vec<PeerView>> {
    Ok(Answer(local.bridge.peers().await?))
}

async fn invite(
    State(local): State<Local>,
    _: May<Administer>,
    Json(invite): Json<NewInvite>,
) -> Created<InviteView> {
    check_period("expiresIn", invite.expires_in.as_deref())?;
    Ok((StatusCode::CREATED, Answer(local.bridge.invite(invite).await?)))
}

async fn invites(State(local): State<Local>, _: May<Administer>) -> Answered<Vec<OpenInvite>> {
    Ok(Answer(local.bridge.invites().await?))
}

async fn withdraw(
    State(local): State<Local>,
    _: May<Administer>,
    Path(id): Path<String>,
    _: Nothing,
) -> Result<StatusCode, LocalProblem> {
    // What is no invite's id is the id of no invite.
    let id = id.parse().map_err(|_| Problem::new(Code::NotFound).with_detail("no such invite"))?;
    local.bridge.withdraw_invite(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn join(
    State(local): State<Local>,
    _: May<Administer>,
    Json(join): Json<Join>,
) -> Created<PairingView> {
    Ok((StatusCode::CREATED, Answer(local.bridge.join(join).await?)))
}

async fn pairings(State(local): State<Local>, _: May<Administer>) -> Answered<Vec<PairingView>> {
    Ok(Answer(local.bridge.pairings().await?))
}

async fn decline(
    State(local): State<Local>,
    _: May<Administer>,
    gateway: Path<String>,
    _: Nothing,
) -> Result<StatusCode, LocalProblem> {
    let gateway: GatewayId = named(&gateway)?;
    local.bridge.decline_pairing(&gateway).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn look_at(
    State(local): State<Local>,
    _: May<Administer>,
    gateway: Path<String>,
    Json(look): Json<LookAt>,
) -> Answered<FoundAt> {
    let gateway: GatewayId = named(&gateway)?;
    Ok(Answer(local.bridge.look_at(&gateway, look).await?))
}

async fn federation(State(local): State<Local>, _: May<Administer>) -> Answered<FederationView> {
    Ok(Answer(local.bridge.federation().await?))
}

async fn put_federation(
    State(local): State<Local>,
    _: May<Administer>,
    Json(put): Json<PutFederation>,
) -> Answered<FederationView> {
    Ok(Answer(local.bridge.put_federation(&put.envelope, put.because).await?))
}

async fn put_root(
    State(local): State<Local>,
    _: May<Administer>,
    Json(put): Json<PutRoot>,
) -> Answered<OwnRootView> {
    Ok(Answer(local.bridge.put_root(&put.envelope).await?))
}

async fn tokens(State(local): State<Local>, _: May<Administer>) -> Answered<Vec<TokenView>> {
    Ok(Answer(local.bridge.tokens().await?))
}

async fn create_token(
    State(local): State<Local>,
    _: May<Administer>,
    Json(token): Json<NewToken>,
) -> Created<TokenView> {
    let token = complete(token)?;
    Ok((StatusCode::CREATED, Answer(local.bridge.create_token(token).await?)))
}

/// Checks a new token and spells out its verbs: a token without verbs may do nothing.
fn complete(mut token: NewToken) -> Result<NewToken, LocalProblem> {
    check_period("expiresIn", token.expires_in.as_deref())?;
    if token.name.is_empty() || token.name.len() > NAME_BYTES_MAX {
        return Err(LocalProblem::malformed(format!("`name` has 1 to {NAME_BYTES_MAX} bytes")));
    }
    let known = Verb::OF_TOKENS.map(Verb::as_str);
    if let Some(verb) = token.verbs.iter().find(|verb| !known.contains(&verb.as_str())) {
        let detail = format!("unknown verb {verb:?}; allowed: {}", known.join(", "));
        return Err(LocalProblem::malformed(detail));
    }
    if token.routes.len() > SCOPE_MAX || token.tenants.len() > SCOPE_MAX {
        let detail = format!("`routes` and `tenants` have at most {SCOPE_MAX} entries each");
        return Err(LocalProblem::malformed(detail));
    }
    if token.sees == SeesView::Tenants && token.tenants.is_empty() {
        let detail = "`sees` is tenants only for a token that names its `tenants`";
        return Err(LocalProblem::malformed(detail));
    }
    if token.runs_open_max.is_some_and(|max| !(1..=TOKEN_RUNS_OPEN_MAX).contains(&max)) {
        let detail = format!("`runsOpenMax` is 1 to {TOKEN_RUNS_OPEN_MAX}");
        return Err(LocalProblem::malformed(detail));
    }
    if token.starts_per_minute_max.is_some_and(|max| !(1..=TOKEN_STARTS_MAX).contains(&max)) {
        let detail = format!("`startsPerMinuteMax` is 1 to {TOKEN_STARTS_MAX}");
        return Err(LocalProblem::malformed(detail));
    }
    token.routes.sort();
    token.routes.dedup();
    token.tenants.sort();
    token.tenants.dedup();
    if token.verbs.is_empty() {
        token.verbs = Verb::USUAL.map(|verb| verb.as_str().to_owned()).to_vec();
    }
    Ok(token)
}

async fn revoke_token(
    State(local): State<Local>,
    _: May<Administer>,
    Path(id): Path<String>,
    _: Nothing,
) -> Answered<TokenView> {
    Ok(Answer(local.bridge.revoke_token(&id).await?))
}

async fn audit(State(local): State<Local>, _: May<Administer>, uri: Uri) -> Answered<AuditList> {
    let [after, count] = query(&uri, ["after", "limit"])?;
    let after = after.map_or(Ok(0), |after| value("after", &after))?;
    let count = page(count.as_deref(), ROWS_MAX)?;
    let rows = local.bridge.audit(after, count as usize).await?;
    let full = rows.len() == count as usize;
    let next = rows.last().map(|row| row.n).filter(|_| full);
    let view = |row: AuditRow| AuditView { n: row.n, event: row.event, head: row.head };
    Ok(Answer(AuditList { rows: rows.into_iter().map(view).collect(), next }))
}

async fn backup(
    State(local): State<Local>,
    _: May<Administer>,
    Json(into): Json<BackupInto>,
) -> Created<BackupInto> {
    local.bridge.backup(&into.directory).await?;
    Ok((StatusCode::CREATED, Answer(into)))
}

async fn audit_heads(
    State(local): State<Local>,
    _: May<Administer>,
    uri: Uri,
) -> Answered<Vec<AuditHeadView>> {
    let [all] = query(&uri, ["all"])?;
    let all = all.map_or(Ok(false), |all| value("all", &all))?;
    Ok(Answer(if all { local.bridge.all_audit_heads()? } else { local.bridge.audit_heads() }))
}

fn check_period(name: &str, text: Option<&str>) -> Result<(), LocalProblem> {
    text.map_or(Ok(()), |text| value::<Period>(name, text).map(drop))
}

/// Rows of a page of the audit log.
const ROWS_MAX: u32 = 1000;
/// Routes and tenants that a token names.
const SCOPE_MAX: usize = 64;
/// What people call a token.
const NAME_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn token(text: &str) -> Result<NewToken, LocalProblem> {
        complete(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn a_token_without_verbs_gets_the_three_and_no_other_verb_exists() {
        assert_eq!(token(r#"{"name":"ci"}"#).unwrap().verbs, ["read", "run", "cancel"]);
        assert_eq!(token(r#"{"name":"ci","verbs":["read"]}"#).unwrap().verbs, ["read"]);
        for bad in [
            r#"{"name":"ci","verbs":["administer"]}"#,
            r#"{"name":"","verbs":["read"]}"#,
            r#"{"name":"ci","expiresIn":"never"}"#,
            r#"{"name":"ci","sees":"tenants"}"#,
            r#"{"name":"ci","runsOpenMax":0}"#,
            r#"{"name":"ci","startsPerMinuteMax":100001}"#,
        ] {
            assert_eq!(token(bad).unwrap_err().view().status, 400, "{bad}");
        }
    }
}
