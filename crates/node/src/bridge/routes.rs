//! What may be reached, and whether it answers.

use landbridge_proto::wire::name::{Alias, IdempotencyKey};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{Body, Op, Target};

use super::{Bridge, Principal};
use crate::core::{Route, bug};
use crate::local::api::{RouteTest, RouteView, TenantLink};
use crate::peers::{PeerError, Reply};

impl Bridge {
    /// The logical gateways that a principal may use.
    ///
    /// # Errors
    ///
    /// None at present.
    pub async fn routes(&self, who: &Principal) -> Result<Vec<RouteView>, Problem> {
        let state = self.core.trust.state();
        let peers = state.federation.iter().flat_map(|known| &known.document().peers);
        let mut gateways: Vec<Alias> = self.core.settings.routes.keys().cloned().collect();
        let unrouted = peers.map(|peer| peer.alias.clone());
        gateways.extend(unrouted.filter(|alias| !self.core.settings.routes.contains_key(alias)));
        let usable = gateways.into_iter().filter(|gateway| who.may_use(gateway));
        Ok(usable
            .filter_map(|gateway| Some(self.route_view(&gateway, self.core.route(&gateway)?)))
            .collect())
    }

    fn route_view(&self, gateway: &Alias, route: Route) -> RouteView {
        let state = self.core.trust.state();
        let peer = state.federation.as_ref().and_then(|known| known.peer_called(&route.peer));
        let (usable, detail) = match peer {
            None => (false, format!("no peer is called {}", route.peer)),
            Some(peer) if !state.active(&peer.gid) => (false, "the peer is suspended".to_owned()),
            Some(peer) => match self.core.targets(&peer.gid) {
                Err(error) => (false, error.to_string()),
                Ok(_) => match self
                    .core
                    .peer_view(&peer.gid)
                    .map(|view| view.check_fresh(self.core.now()))
                {
                    Ok(Ok(())) => (true, "ready".to_owned()),
                    Ok(Err(fault)) => (true, format!("will be asked anew: {fault}")),
                    Err(error) => (false, error.to_string()),
                },
            },
        };
        RouteView {
            gateway: gateway.clone(),
            peer: route.peer,
            tenant: TenantLink {
                local: route.tenant.src.to_string(),
                remote: route.tenant.dst.to_string(),
            },
            agent: route.agent,
            usable,
            detail,
        }
    }

    /// Makes a signed round trip that starts nothing: it asks after a key that was never used.
    ///
    /// # Errors
    ///
    /// `not_found` for a gateway that there is not; what the test itself finds is in its answer.
    pub async fn test_route(&self, who: &Principal, gateway: &Alias) -> Result<RouteTest, Problem> {
        let route = self.core.route(gateway).filter(|_| who.may_use(gateway));
        let route = route.ok_or_else(|| {
            Problem::new(Code::NotFound).with_detail(format!("no route is called {gateway}"))
        })?;
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
            let signed = self.core.sign_request(&gid, &route.tenant, body.clone())?;
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
