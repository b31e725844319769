//! Logical gateways: what may be reached, and how it does.

use landbridge_proto::wire::name::{AgentName, Alias, GatewayId};
use landbridge_proto::wire::problem::Problem;
use serde::{Deserialize, Serialize};

use super::TenantLink;

/// `GET /v1/gateways`: what may be reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RouteView {
    /// The logical gateway id.
    pub gateway: Alias,
    /// The peer behind it, as we call it.
    pub peer: Alias,
    /// Who that is; `null` when there is no such peer.
    pub peer_gateway: Option<GatewayId>,
    /// `active`, `suspended`, `revoked`, `quarantined`, or `unknown` when there is no such peer.
    pub peer_status: String,
    /// Our tenant and its tenant.
    pub tenant: TenantLink,
    /// The agent, where the route names one.
    pub agent: Option<AgentName>,
    /// The peering works as far as we know: active, root valid, endpoint known.
    pub usable: bool,
    /// Why not, or what is worth knowing.
    pub detail: String,
    /// What this side saw of the peer.
    pub health: HealthView,
    /// What this side allows a run by this route.
    pub limits: GatewayLimits,
}

/// What this side saw of a peer; nobody was asked for it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HealthView {
    /// Whether the last attempt reached it; `null`: there was none since this bridge started.
    pub reachable: Option<bool>,
    /// When something of it last verified.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub last_contact: Option<String>,
    /// The last attempt that gave nothing usable, however long ago.
    pub last_error: Option<ContactError>,
    /// When its newest known status was issued.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub status_issued: Option<String>,
    /// Until when that status is good.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub status_expires: Option<String>,
    /// What it signs can be verified now, without asking it anew.
    pub status_fresh: bool,
}

/// An attempt that gave nothing usable.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ContactError {
    /// When.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub at: String,
    /// Why.
    pub detail: String,
}

/// What this side allows a run by a route. What the peer grants is for the peer to say.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GatewayLimits {
    /// The deadline of a run that names none.
    #[cfg_attr(test, schemars(extend("pattern" = super::DURATION)))]
    pub deadline_default: String,
    /// The longest deadline.
    #[cfg_attr(test, schemars(extend("pattern" = super::DURATION)))]
    pub deadline_max: String,
    /// The largest prompt, in bytes.
    pub prompt_bytes_max: Option<usize>,
}

/// `POST /v1/gateways/{gateway}/test`: a real, signed round trip that starts nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RouteTest {
    /// The executor answered with its own signature.
    pub ok: bool,
    /// What was found, step by step.
    pub steps: Vec<String>,
    /// Round trip in milliseconds.
    pub round_trip_ms: Option<u64>,
    /// What is wrong.
    pub problem: Option<Problem>,
}
