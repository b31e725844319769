//! What peers' tenants used today, beside what their grants allow.

use axum::Json as Answer;
use axum::extract::State;
use landbridge_proto::machine::budget::Day;
use landbridge_proto::wire::name::{Alias, GatewayId, Owner};
use landbridge_proto::wire::problem::Problem;
use serde::{Deserialize, Serialize};

use super::api::TenantLink;
use super::auth::{Administer, May};
use super::problem::LocalProblem;
use super::server::Local;
use crate::bridge::Bridge;
use crate::core::unreadable;

/// `GET /v1/admin/usage`: one for each grant.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct UsageView {
    /// Our name for the peer.
    pub peer: Alias,
    /// The peer.
    pub gateway: GatewayId,
    /// The tenant pair.
    pub tenant: TenantLink,
    /// Runs that are open now.
    pub open: u64,
    /// Model tokens of the present UTC day.
    pub tokens_today: u64,
    /// Millionths of a dollar of the present UTC day, as far as the gateway tells costs.
    pub cost_micro_usd_today: u64,
    /// When the next day begins, in milliseconds from now.
    pub day_left_ms: u64,
}

impl Bridge {
    /// What each granted tenant pair used today.
    ///
    /// # Errors
    ///
    /// A problem when the store cannot be read.
    pub async fn usage(&self) -> Result<Vec<UsageView>, Problem> {
        let (state, now) = (self.core().trust.state(), self.core().now());
        let peers = state.federation.iter().flat_map(|known| &known.document().peers);
        let mut views = Vec::new();
        for (peer, grant) in peers.flat_map(|peer| peer.grants.iter().map(move |one| (peer, one))) {
            let owner = Owner { caller: peer.gid.clone(), tenant: grant.pair() };
            let spent = self.core().store.reads().spent(&owner, Day::of(now));
            let spent = spent.map_err(|fault| unreadable(&fault))?;
            views.push(UsageView {
                peer: peer.alias.clone(),
                gateway: peer.gid.clone(),
                tenant: TenantLink {
                    local: grant.local.to_string(),
                    remote: grant.remote.to_string(),
                },
                open: self.open_places(&owner),
                tokens_today: spent.tokens,
                cost_micro_usd_today: spent.cost_micro_usd,
                day_left_ms: Day::left_ms(now),
            });
        }
        Ok(views)
    }
}

pub(super) async fn usage(
    State(local): State<Local>,
    _: May<Administer>,
) -> Result<Answer<Vec<UsageView>>, LocalProblem> {
    Ok(Answer(local.bridge.usage().await?))
}
