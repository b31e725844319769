//! What may be reached, how it does, and whether it answers.

use landbridge_proto::wire::document::PeerStatus;
use landbridge_proto::wire::name::{Alias, GatewayId, IdempotencyKey};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{Body, Op, Target};

use super::views::instant;
use super::{Bridge, Principal};
use crate::config::Period;
use crate::core::{Route, bug};
use crate::local::api::{
    ContactError, GatewayLimits, HealthView, RouteTest, RouteView, TenantLink,
};
use crate::peers::{PeerError, Reply};

impl Bridge {
    /// The logical gateways that a principal may use, with what is known of them. Nobody is asked.
    #[must_use]
    pub fn routes(&self, who: &Principal) -> Vec<RouteView> {
        let state = self.core.trust.state();
        let peers = state.federation.iter().flat_map(|known| &known.document().peers);
        let mut gateways: Vec<Alias> = self.core.settings.routes.keys().cloned().collect();
        let unrouted = peers.map(|peer| peer.alias.clone());
        gateways.extend(unrouted.filter(|alias| !self.core.settings.routes.contains_key(alias)));
        let known = gateways.into_iter().filter_map(|name| Some((self.core.route(&name)?, name)));
        known
            .filter(|(route, name)| who.may_use(name, route))
            .map(|(route, name)| self.route_view(&name, &route))
            .collect()
    }

    /// One logical gateway. Nobody is asked.
    ///
    /// # Errors
    ///
    /// `not_found`, also for one that the principal may not use.
    pub fn gateway(&self, who: &Principal, gateway: &Alias) -> Result<RouteView, Problem> {
        let route = self.core.route(gateway).filter(|route| who.may_use(gateway, route));
        route.map(|route| self.route_view(gateway, &route)).ok_or_else(|| no_route(gateway))
    }

    /// The route that a principal may start runs by.
    ///
    /// # Errors
    ///
    /// `not_granted` for what a token's scope does not name, whether or not it is there; else
    /// `not_found`.
    pub(super) fn route_for(&self, who: &Principal, gateway: &Alias) -> Result<Route, Problem> {
        let route = self.core.route(gateway);
        let refused = || {
            Problem::new(Code::NotGranted)
                .with_detail(format!("this token may not use the gateway {gateway}"))
        };
        match (route, who) {
            (Some(route), _) if who.may_use(gateway, &route) => Ok(route),
            (Some(_), _) => Err(refused()),
            (None, Principal::Token(scope))
                if !scope.tenants.is_empty() || !scope.routes.is_empty() =>
            {
                Err(refused())
            }
            (None, _) => Err(Problem::new(Code::NotFound).with_detail(format!(
                "no route and no peer is called {gateway}; `landbridge route list` shows what there is"
            ))),
        }
    }

    fn route_view(&self, gateway: &Alias, route: &Route) -> RouteView {
        let state = self.core.trust.state();
        let peer = state.federation.as_ref().and_then(|known| known.peer_called(&route.peer));
        let peer = peer.map(|peer| (peer.gid.clone(), peer.status));
        let status = match &peer {
            None => "unknown",
            Some((_, PeerStatus::Revoked)) => "revoked",
            Some((gid, _)) if state.quarantined.contains(gid) => "quarantined",
            Some((_, PeerStatus::Active)) => "active",
            Some((_, PeerStatus::Suspended)) => "suspended",
        };
        let (usable, detail) = match &peer {
            None => (false, format!("no peer is called {}", route.peer)),
            Some(_) if status != "active" => (false, format!("the peer is {status}")),
            Some((gid, _)) => self.usable(gid),
        };
        let settings = &self.core.settings;
        let deadline_ms_max = route.deadline_ms_max.unwrap_or(settings.deadline_ms_max);
        let period = |ms| Period::of_ms(ms).map(|period| period.to_string()).unwrap_or_default();
        RouteView {
            gateway: gateway.clone(),
            peer: route.peer.clone(),
            peer_gateway: peer.as_ref().map(|(gid, _)| gid.clone()),
            peer_status: status.to_owned(),
            tenant: TenantLink {
                local: route.tenant.src.to_string(),
                remote: route.tenant.dst.to_string(),
            },
            agent: route.agent.clone(),
            usable,
            detail,
            health: peer.map(|(gid, _)| self.health(&gid)).unwrap_or_default(),
            limits: GatewayLimits {
                deadline_default: period(settings.deadline_ms.min(deadline_ms_max)),
                deadline_max: period(deadline_ms_max),
                prompt_bytes_max: None,
            },
        }
    }

    fn usable(&self, peer: &GatewayId) -> (bool, String) {
        if let Err(error) = self.core.targets(peer) {
            return (false, error.to_string());
        }
        match self.core.peer_view(peer).map(|view| view.check_fresh(self.core.now())) {
            Ok(Ok(())) => (true, "ready".to_owned()),
            Ok(Err(fault)) => (true, format!("will be asked anew: {fault}")),
            Err(error) => (false, error.to_string()),
        }
    }

    /// What this side saw of a peer.
    fn health(&self, peer: &GatewayId) -> HealthView {
        let contact = self.core.contacts.of(peer);
        let state = self.core.trust.state();
        let view = state.peers.get(peer);
        let status = view.and_then(|view| view.status()).map(|known| known.newest().value());
        // After a restart the newest status is the last that was heard.
        let last = contact.reached.max(status.map(|status| status.issued));
        HealthView {
            reachable: contact.reachable(),
            last_contact: last.map(instant),
            last_error: contact
                .failure
                .map(|failure| ContactError { at: instant(failure.at), detail: failure.what }),
            status_issued: status.map(|status| instant(status.issued)),
            status_expires: status.map(|status| instant(status.expires)),
            status_fresh: view.is_some_and(|view| view.check_fresh(self.core.now()).is_ok()),
        }
    }

    /// Makes a signed round trip that starts nothing: it asks after a key that was never used.
    ///
    /// # Errors
    ///
    /// `not_found` for a gateway that there is not; what the test itself finds is in its answer.
    pub async fn test_route(&self, who: &Principal, gateway: &Alias) -> Result<RouteTest, Problem> {
        let route = self.core.route(gateway).filter(|route| who.may_use(gateway, route));
        let route = route.ok_or_else(|| no_route(gateway))?;
        let bridge = self.clone();
        self.finish(async move { bridge.round_trip(&route).await }).await
    }

    async fn round_trip(&self, route: &Route) -> Result<RouteTest, Problem> {
        let mut steps = Vec::new();
        let started = self.core.now();
        let found = self.probe(route, &mut steps).await;
        let round_trip_ms = u64::try_from(self.core.now().since_ms(started)).ok();
        let problem = match found {
            Ok(problem) => problem,
            Err(error) => Some(error.problem()),
        };
        Ok(RouteTest { ok: problem.is_none(), steps, round_trip_ms, problem })
    }

    async fn probe(
        &self,
        route: &Route,
        steps: &mut Vec<String>,
    ) -> Result<Option<Problem>, PeerError> {
        let gid = {
            let state = self.core.trust.state();
            let known = state.federation.as_ref().and_then(|known| known.peer_called(&route.peer));
            known.map(|peer| peer.gid.clone()).ok_or(PeerError::NotActive)?
        };
        steps.push(format!("{} is the pinned peer {gid}", route.peer));
        self.core.refresh_peer(&gid).await?;
        steps.push("its roots and its status are verified and fresh".to_owned());
        let jti = self.core.new_jti()?;
        let key = IdempotencyKey::new(format!("route-test-{jti}"))?;
        let body = Body::Inspect(Target::Key(key));
        let mut have = None;
        for _ in 0..2 {
            let signed = self.core.sign_request(&gid, &route.tenant, body.clone(), None)?;
            match self.core.send(&gid, Op::Inspect.path(), &signed, have, Vec::new()).await {
                Ok(Reply::Refused(refusal)) => {
                    let problem = refusal.into_value().problem;
                    if problem.code() == Some(Code::NotFound) {
                        steps.push(
                            "it answered our signed request under its own signature".to_owned(),
                        );
                        return Ok(None);
                    }
                    steps.push(format!("it refused our request: {problem}"));
                    return Ok(Some(problem));
                }
                Ok(Reply::Open(_)) => return Ok(Some(bug("a probe found a run", &"route test"))),
                Err(PeerError::Unsigned { have: Some(known), .. }) => have = Some(known),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(Problem::new(Code::RootUnknown)))
    }
}

fn no_route(gateway: &Alias) -> Problem {
    Problem::new(Code::NotFound).with_detail(format!("no route is called {gateway}"))
}
