//! How peers and our own keys stand: revocation of a key, and a test of a peer. For the owner of the
//! process alone.

use axum::Json as Answer;
use axum::Router;
use axum::extract::Path;
use axum::extract::State;
use axum::routing::post;
use landbridge_proto::wire::document::RevocationReason;
use landbridge_proto::wire::name::{Alias, GatewayId, KeyId};
use serde::{Deserialize, Serialize};

use super::auth::{Administer, May};
use super::body::{Json, Nothing, named};
use super::problem::LocalProblem;
use super::server::Local;

/// `POST /v1/admin/keys/revoke`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevokeKey {
    /// The key's id, or the role that it holds now.
    pub key: String,
    /// Why.
    pub reason: RevocationReason,
    /// Since when it is not ours alone any more, RFC 3339; now where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub since: Option<String>,
}

/// A key of ours that is revoked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RevokedKey {
    /// The key.
    pub kid: KeyId,
    /// Why.
    pub reason: RevocationReason,
    /// Since when.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub since: String,
    /// Which peers took the news at once; the others learn it with the next thing they hear from us.
    pub told: Vec<PeerTold>,
}

/// Whether a peer took the news.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PeerTold {
    /// The peer.
    pub alias: Alias,
    /// It did.
    pub told: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// `POST /v1/admin/peers/{gateway}/test`: what was found on the way to a peer's signature.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PeerTest {
    /// The peer.
    pub gateway: GatewayId,
    /// No step failed.
    pub ok: bool,
    /// Every step, in order.
    pub steps: Vec<TestStep>,
    /// The signed round trip, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<u64>,
    /// How far the peer's clock is ahead of ours, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skew_ms: Option<i64>,
}

/// One step of a test.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TestStep {
    /// `standing`, `address`, `reach`, `tls`, `chain`, `status`, `answer` or `clock`.
    pub step: String,
    /// What came of it.
    pub state: StepState,
    /// What was found.
    pub detail: String,
    /// What helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// It holds.
    Ok,
    /// It holds, and is worth a look.
    Warn,
    /// It does not hold.
    Fail,
    /// It was not tried: one before it failed.
    Skipped,
}

/// Why what was received of a run is disputed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DisputeView {
    /// The executor's key.
    pub kid: KeyId,
    /// Why it was revoked, in its owner's words.
    pub reason: RevocationReason,
    /// Since when, in its owner's words.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub since: String,
    /// When the revocation arrived here.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub received: String,
    /// The first frame that it puts in doubt; 0: the accept, and all frames.
    pub from_frame: u64,
}

pub(super) fn routes() -> Router<Local> {
    Router::new()
        .route("/v1/admin/keys/revoke", post(revoke_key))
        .route("/v1/admin/peers/{gateway}/test", post(test))
}

async fn revoke_key(
    State(local): State<Local>,
    _: May<Administer>,
    Json(revoke): Json<RevokeKey>,
) -> Result<Answer<RevokedKey>, LocalProblem> {
    Ok(Answer(local.bridge.revoke_key(revoke).await?))
}

async fn test(
    State(local): State<Local>,
    _: May<Administer>,
    gateway: Path<String>,
    _: Nothing,
) -> Result<Answer<PeerTest>, LocalProblem> {
    let gateway: GatewayId = named(&gateway)?;
    Ok(Answer(local.bridge.test_peer(&gateway).await?))
}
