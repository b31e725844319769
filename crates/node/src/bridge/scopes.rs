//! Scopes as the owner of the process sees them: ours, peers', and what of theirs counts here.

use landbridge_proto::wire::approval::{Projection, Scope};
use landbridge_proto::wire::document::Peer;
use landbridge_proto::wire::name::{Alias, GatewayId, OperatorName, TenantId, TenantPair};
use landbridge_proto::wire::problem::{Code, Problem};

use super::Bridge;
use super::views::instant;
use crate::catalogs::{self, CatalogError, Kept, pinned};
use crate::core::unreadable;
use crate::local::api::{
    CatalogView, CredentialView, LearnCatalog, OperatorList, OperatorView, ProjectionState,
    ProjectionView, Publish,
};
use crate::operators;
use crate::trust::leavers;

impl Bridge {
    /// Our catalogs, as they are published.
    ///
    /// # Errors
    ///
    /// A problem when the store cannot be read.
    pub async fn own_catalogs(&self) -> Result<Vec<CatalogView>, Problem> {
        let all = catalogs::own(&self.core).map_err(|error| error.problem())?;
        Ok(all.into_iter().map(|kept| self.catalog_view(kept)).collect())
    }

    /// Publishes our scopes of these tenants.
    ///
    /// # Errors
    ///
    /// `malformed` for scopes that do not fit together; those of tenants before it are published then.
    pub async fn publish_scopes(&self, publish: Publish) -> Result<Vec<CatalogView>, Problem> {
        self.check_history()?;
        let bridge = self.clone();
        self.finish(async move {
            let mut views = Vec::new();
            for one in publish.catalogs {
                let kept = catalogs::publish(&bridge.core, &one.tenant, &one.scopes).await;
                views.push(bridge.catalog_view(kept.map_err(|error| error.problem())?));
            }
            Ok(views)
        })
        .await
    }

    /// Asks a peer for its catalog of a tenant, on behalf of a tenant of ours.
    ///
    /// # Errors
    ///
    /// `not_found` for no peer, and whatever kept the peer from answering.
    pub async fn peer_catalog(
        &self,
        alias: &Alias,
        tenant: TenantId,
        own: Option<TenantId>,
    ) -> Result<CatalogView, Problem> {
        let peer = self.peer_called(alias)?;
        let src = own.or_else(|| self.tenant_for(&peer, &tenant));
        let src = src.unwrap_or_else(|| tenant.clone());
        let pair = TenantPair { src, dst: tenant };
        let bridge = self.clone();
        self.finish(async move {
            let kept = catalogs::fetch(&bridge.core, &peer.gid, &pair).await;
            Ok(bridge.catalog_view(kept.map_err(|error| told(&error, &pair))?))
        })
        .await
    }

    /// Takes a peer's catalog that somebody brought: of a peer that cannot be asked.
    ///
    /// # Errors
    ///
    /// As for one that was fetched.
    pub async fn learn_catalog(&self, learn: LearnCatalog) -> Result<CatalogView, Problem> {
        let peer = self.peer_called(&learn.peer)?.gid;
        let bridge = self.clone();
        self.finish(async move {
            let kept = catalogs::learn(&bridge.core, &peer, &learn.tenant, &learn.catalog).await;
            Ok(bridge.catalog_view(kept.map_err(|error| error.problem())?))
        })
        .await
    }

    fn peer_called(&self, alias: &Alias) -> Result<Peer, Problem> {
        let state = self.core.trust.state();
        let known = state.federation.as_ref().and_then(|known| known.peer_called(alias));
        let missing =
            || Problem::new(Code::NotFound).with_detail(format!("no peer is called {alias}"));
        known.cloned().ok_or_else(missing)
    }

    /// Our tenant that is known to work with a peer's: by a projection, a route or a grant.
    fn tenant_for(&self, peer: &Peer, remote: &TenantId) -> Option<TenantId> {
        let projected = peer.projections.iter().find(|one| one.remote == *remote);
        let mut routes = self.core.settings.routes.values();
        let routed = routes.find(|route| route.peer == peer.alias && route.tenant.dst == *remote);
        let granted = peer.grants.iter().find(|grant| grant.remote == *remote);
        projected
            .map(|one| one.local.clone())
            .or_else(|| routed.map(|route| route.tenant.src.clone()))
            .or_else(|| granted.map(|grant| grant.local.clone()))
    }

    fn catalog_view(&self, kept: Kept) -> CatalogView {
        let said = &kept.catalog;
        CatalogView {
            gateway: said.iss.clone(),
            tenant: said.tenant.clone(),
            version: said.version,
            issued: instant(said.issued),
            expires: instant(said.expires),
            good: self.core.now() < said.expires,
            scopes: said.scopes.clone(),
            digest: kept.envelope.digest(),
            catalog: kept.envelope,
        }
    }

    /// Our projections, each with what was read when it was signed and what the peer says now.
    ///
    /// # Errors
    ///
    /// A problem when the store cannot be read.
    pub async fn projections(&self) -> Result<Vec<ProjectionView>, Problem> {
        let texts = pinned::texts(&self.core).map_err(|fault| unreadable(&fault))?;
        let state = self.core.trust.state();
        let mut views = Vec::new();
        for peer in state.federation.iter().flat_map(|known| &known.document().peers) {
            for projection in &peer.projections {
                let kept = self.kept_of(&peer.gid, projection)?;
                let said = kept.as_ref();
                let present = said.and_then(|kept| kept.catalog.scope(&projection.remote_scope));
                let (state, detail) = self.stands(projection, said, present);
                views.push(ProjectionView {
                    peer: peer.alias.clone(),
                    gateway: peer.gid.clone(),
                    state,
                    detail,
                    expires: instant(projection.exp),
                    pinned: texts.get(&projection.entry).cloned(),
                    present: present.cloned(),
                    projection: projection.clone(),
                });
            }
        }
        Ok(views)
    }

    /// The newest catalog for a projection. One that does not verify any more is as good as none.
    fn kept_of(&self, peer: &GatewayId, one: &Projection) -> Result<Option<Kept>, Problem> {
        match catalogs::newest(&self.core, peer, &one.remote) {
            Ok(kept) => Ok(kept),
            Err(CatalogError::Store(fault)) => Err(unreadable(&fault)),
            Err(_) => Ok(None),
        }
    }

    fn stands(
        &self,
        one: &Projection,
        kept: Option<&Kept>,
        present: Option<&Scope>,
    ) -> (ProjectionState, Option<String>) {
        let now = self.core.now();
        let told = |state, text: &str| (state, Some(text.to_owned()));
        if now >= one.exp {
            return told(ProjectionState::NotNow, "it ended");
        }
        if now < one.nbf {
            return told(ProjectionState::NotNow, "its time is to come");
        }
        let Some(kept) = kept else {
            return told(ProjectionState::NoCatalog, "no catalog of the peer is known");
        };
        let Some(scope) = present else {
            return told(ProjectionState::Suspended, "the peer has this scope no more");
        };
        if scope.entry().ok() != Some(one.entry) {
            return told(ProjectionState::Suspended, "the peer changed what it says of the scope");
        }
        if now >= kept.catalog.expires {
            return told(ProjectionState::NoCatalog, "the peer's newest catalog has expired");
        }
        let deprecated = "the peer does not want it mapped anew: it is about to go";
        (ProjectionState::Active, scope.deprecated.then(|| deprecated.to_owned()))
    }

    /// Our operators.
    ///
    /// # Errors
    ///
    /// A problem when the store cannot be read.
    pub async fn operators(&self) -> Result<OperatorList, Problem> {
        let own = catalogs::own(&self.core).map_err(|error| error.problem())?;
        let state = self.core.trust.state();
        let all = state.federation.iter().flat_map(|known| &known.document().operators);
        let view = |one: &landbridge_proto::wire::approval::Operator| {
            let catalog = own.iter().find(|kept| kept.catalog.tenant == one.tenant);
            let published = |name| catalog.is_some_and(|kept| kept.catalog.scope(name).is_some());
            OperatorView {
                name: one.name.clone(),
                tenant: one.tenant.clone(),
                scopes: one.scopes.clone(),
                unpublished: one.scopes.iter().filter(|name| !published(name)).cloned().collect(),
                keys: one.keys.clone(),
            }
        };
        let revoked = leavers::all(&self.core.store).map_err(|fault| unreadable(&fault))?;
        Ok(OperatorList {
            operators: all.map(view).collect(),
            revoked: revoked.into_iter().collect(),
        })
    }

    /// A credential of one of our operators.
    ///
    /// # Errors
    ///
    /// `not_found` for nobody who is enrolled.
    pub async fn credential(
        &self,
        name: &OperatorName,
        tenant: &TenantId,
    ) -> Result<CredentialView, Problem> {
        let issued = operators::credential(&self.core, name, tenant);
        let issued = issued.map_err(|error| error.problem())?;
        Ok(CredentialView {
            expires: instant(issued.credential.expires),
            digest: issued.envelope.digest(),
            credential: issued.envelope,
        })
    }
}

/// Why a peer's catalog was not had, with what helps where that is known.
fn told(error: &CatalogError, pair: &TenantPair) -> Problem {
    let problem = error.problem();
    let said = problem.detail.clone().unwrap_or_else(|| problem.to_string());
    match problem.code() {
        Some(Code::NotGranted) => problem.with_detail(format!(
            "the peer grants our tenant {} nothing in its tenant {}, and so no catalog: {said}",
            pair.src, pair.dst
        )),
        _ => problem,
    }
}
