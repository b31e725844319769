//! What a bridge does about catalogs by itself: signs ours anew in time, and asks for those that count.

use std::collections::BTreeMap;
use std::sync::Arc;

use landbridge_proto::wire::approval::Catalog;
use landbridge_proto::wire::name::{GatewayId, TenantPair, Timestamp};

use super::difference::{Scopes, changes};
use super::{CatalogError, fetch, is_due, issue, newest, own};
use crate::core::{Core, StepError};

/// The first pause after a peer gave no catalog, in milliseconds; it doubles.
const RETRY_MS_MIN: i64 = 60_000;
/// The longest such pause, in milliseconds.
const RETRY_MS_MAX: i64 = 3_600_000;

/// What was tried, so that nobody is asked all the time for what they do not give.
#[derive(Debug, Default)]
pub struct Care {
    failed: BTreeMap<(GatewayId, TenantPair), (Timestamp, u32)>,
    /// That ours could not be signed anew was said.
    said: bool,
}

impl Care {
    /// Looks once.
    pub async fn look(&mut self, core: &Arc<Core>) {
        if core.halt.is_on() || core.trust.halted().is_cancelled() {
            return;
        }
        match renew(core).await {
            Ok(()) => self.said = false,
            Err(CatalogError::Step(StepError::Full)) => {}
            Err(_) if self.said => {}
            Err(error) => {
                self.said = true;
                tracing::error!(%error, "a catalog of ours was not signed anew");
            }
        }
        let needed = needed(core);
        self.failed.retain(|place, _| needed.contains(place));
        for (peer, pair) in needed {
            self.ask(core, peer, pair).await;
        }
    }

    async fn ask(&mut self, core: &Arc<Core>, peer: GatewayId, pair: TenantPair) {
        let place = (peer, pair);
        let now = core.now();
        let failures = self.failed.get(&place).map_or(0, |(_, failures)| *failures);
        let pause_ms = RETRY_MS_MIN.saturating_mul(1 << failures.min(16)).min(RETRY_MS_MAX);
        if self.failed.get(&place).is_some_and(|(at, _)| now.since_ms(*at) < pause_ms) {
            return;
        }
        match fetch(core, &place.0, &place.1).await {
            Ok(_) => {
                self.failed.remove(&place);
            }
            Err(error) => {
                tracing::debug!(peer = %place.0, %error, "a peer gave no catalog");
                self.failed.insert(place, (now, failures.saturating_add(1)));
            }
        }
    }
}

/// Signs those of ours anew whose time has come, with the same content.
async fn renew(core: &Core) -> Result<(), CatalogError> {
    for kept in own(core)? {
        if is_due(core, &kept) {
            issue(core, &kept.catalog.tenant, &kept.catalog.scopes, false).await?;
        }
    }
    Ok(())
}

/// Whose catalogs projections need that are missing, or have less than half of their lives left.
fn needed(core: &Core) -> Vec<(GatewayId, TenantPair)> {
    let (state, now) = (core.trust.state(), core.now());
    let mut needed = Vec::new();
    for peer in state.federation.iter().flat_map(|known| &known.document().peers) {
        if !state.active(&peer.gid) {
            continue;
        }
        for projection in &peer.projections {
            let place = (
                peer.gid.clone(),
                TenantPair { src: projection.local.clone(), dst: projection.remote.clone() },
            );
            let counts = (projection.nbf..projection.exp).contains(&now);
            if !counts || needed.contains(&place) {
                continue;
            }
            match newest(core, &place.0, &place.1.dst) {
                Ok(Some(kept)) if is_young(&kept.catalog, now) => {}
                _ => needed.push(place),
            }
        }
    }
    needed
}

fn is_young(catalog: &Catalog, now: Timestamp) -> bool {
    let life_ms = catalog.expires.since_ms(catalog.issued);
    catalog.expires.since_ms(now) > life_ms / 2
}

/// Says once, at the start, when what is configured is not what is published: nothing is published
/// silently.
pub fn note(core: &Core) {
    let published: Scopes = match own(core) {
        Ok(all) => all
            .into_iter()
            .map(|kept| (kept.catalog.tenant.clone(), kept.catalog.scopes.clone()))
            .collect(),
        Err(error) => return tracing::error!(%error, "our catalogs cannot be read"),
    };
    let count = changes(&published, &core.settings.scopes).len();
    if count > 0 {
        tracing::warn!(
            count,
            "scopes are configured otherwise than they are published: landbridge scope publish"
        );
    }
}
