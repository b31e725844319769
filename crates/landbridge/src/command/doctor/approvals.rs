//! What approvals across gateways need: published scopes, projections that count, grants that can be met.

use landbridge_node::catalogs::difference::changes;
use landbridge_node::clock::{Clock as _, SystemClock};
use landbridge_node::local::api::{BridgeView, ProjectionState, ProjectionView};
use landbridge_proto::trust::federation::TrustedFederation;
use landbridge_proto::wire::document::{Grant, Peer, PeerStatus};

use super::{Findings, State};
use crate::client::Client;
use crate::command::scope;
use crate::offline;

/// A projection that ends sooner is worth a look, in milliseconds.
const SOON_MS: i64 = 14 * 86_400_000;

pub(super) async fn look(client: &Client, view: &BridgeView, findings: &mut Findings) {
    look_at_scopes(client, findings).await;
    let trusted = match offline::current(client).await {
        Ok(Some(trusted)) => trusted,
        Ok(None) => return,
        Err(failure) => return findings.failure("federation document", &failure),
    };
    let views = match scope::projections(client).await {
        Ok(views) => views,
        Err(failure) => return findings.failure("projections", &failure),
    };
    look_at_projections(&views, findings);
    look_at_grants(&trusted, &views, view, findings);
}

async fn look_at_scopes(client: &Client, findings: &mut Findings) {
    let (wanted, catalogs) = match (scope::configured(client), scope::published(client).await) {
        (Ok(wanted), Ok(catalogs)) => (wanted, catalogs),
        // Settings that are wrong are told by themselves.
        (Err(_), _) => return,
        (_, Err(failure)) => return findings.failure("scopes", &failure),
    };
    let told = scope::scopes_of(&catalogs);
    if wanted.is_empty() && told.is_empty() {
        return;
    }
    let differing = changes(&told, &wanted).len();
    let expired = catalogs.iter().filter(|one| !one.good).count();
    if expired > 0 {
        let next = "landbridge key list, and the bridge's log".to_owned();
        let detail = format!("{expired} catalogs expired and were not signed anew");
        findings.add("scopes", State::Fail, detail, Some(next));
    } else if differing > 0 {
        let next = "landbridge scope diff, then landbridge scope publish".to_owned();
        let detail = format!("{differing} are configured otherwise than they are published");
        findings.add("scopes", State::Warn, detail, Some(next));
    } else {
        let count: usize = told.values().map(Vec::len).sum();
        findings.ok("scopes", format!("{count} are published as they are configured"));
    }
}

fn look_at_projections(views: &[ProjectionView], findings: &mut Findings) {
    for view in views {
        let one = &view.projection;
        let check = format!("projection {} {}", view.peer, one.remote_scope);
        let which = format!("{} --remote-scope {}", view.peer, one.remote_scope);
        let renew =
            format!("landbridge scope map confirm {which} --expires 90d, or scope map remove");
        let days = one.exp.since_ms(SystemClock.now()) / 86_400_000;
        let detail = view.detail.clone().unwrap_or_default();
        match view.state {
            ProjectionState::Suspended => {
                let next = format!("landbridge scope map list, then scope map confirm {which}");
                findings.add(check, State::Warn, format!("suspended: {detail}"), Some(next));
            }
            ProjectionState::NotNow => findings.add(check, State::Warn, detail, Some(renew)),
            ProjectionState::NoCatalog => {
                let next =
                    format!("landbridge scope show --peer {} --tenant {}", view.peer, one.remote);
                findings.add(check, State::Warn, detail, Some(next));
            }
            ProjectionState::Active if one.exp.since_ms(SystemClock.now()) < SOON_MS => {
                findings.add(check, State::Warn, format!("ends in {days} days"), Some(renew));
            }
            ProjectionState::Active if !detail.is_empty() => {
                findings.add(check, State::Warn, detail, None);
            }
            ProjectionState::Active => {
                findings.ok(check, format!("counts as {} for {days} days", one.local_scope));
            }
        }
    }
}

fn look_at_grants(
    trusted: &TrustedFederation,
    views: &[ProjectionView],
    bridge: &BridgeView,
    findings: &mut Findings,
) {
    let peers = trusted.document().peers.iter();
    let peers = peers.filter(|peer| peer.status == PeerStatus::Active);
    let mut waits = false;
    for (peer, grant) in peers.flat_map(|peer| peer.grants.iter().map(move |grant| (peer, grant))) {
        let Some(rule) = &grant.approval else { continue };
        waits = true;
        if !views.iter().any(|view| fulfils(view, peer, grant)) {
            let check = format!("grant {} {}:{}", peer.alias, grant.local, grant.remote);
            let detail =
                format!("nobody's approvals count for {}: runs that stop are denied", rule.scope);
            let next = format!(
                "landbridge scope map add {} --remote-scope SCOPE --remote-tenant {} --scope {} --tenant {}",
                peer.alias, grant.remote, rule.scope, grant.local
            );
            findings.add(check, State::Warn, detail, Some(next));
        }
    }
    if let (true, Some(why)) = (waits, &bridge.adapter.approvals) {
        let next = "docs/operating/errors/no_approval_route.md".to_owned();
        let detail =
            format!("a grant waits for approvals, and the gateway has no way to ask: {why}");
        findings.add("approvals", State::Fail, detail, Some(next));
    }
}

fn fulfils(view: &ProjectionView, peer: &Peer, grant: &Grant) -> bool {
    let one = &view.projection;
    let scope = grant.approval.as_ref().map(|rule| &rule.scope);
    view.gateway == peer.gid
        && one.local == grant.local
        && one.remote == grant.remote
        && Some(&one.local_scope) == scope
        && matches!(view.state, ProjectionState::Active | ProjectionState::NoCatalog)
}
