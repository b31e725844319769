//! Looking for a peer at an address that a person names, because it moved and can no longer tell us where.
//!
//! An address is not an identity: what is found there counts only as far as the peer signed it. So the
//! connection itself is to nobody in particular, nothing but public documents is asked for, and nothing of ours is
//! shown.

use landbridge_proto::machine::admission::Learned;
use landbridge_proto::wire::document::EndpointUrl;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::GatewayId;
use landbridge_proto::wire::problem::{Code, Problem};

use super::Bridge;
use crate::local::api::{FoundAt, LookAt};
use crate::local::problem::{LocalCode, LocalProblem};
use crate::net::client::Target;
use crate::net::endpoint::Endpoint;
use crate::net::tls::Trust;

impl Bridge {
    /// Looks for a peer at an address, and learns what it says of itself there.
    ///
    /// # Errors
    ///
    /// `not_found`, `malformed`, `peer_unreachable`, `verification_failed`; `another_gateway` when what
    /// answers there is not the peer.
    pub async fn look_at(&self, peer: &GatewayId, look: LookAt) -> Result<FoundAt, LocalProblem> {
        let (bridge, peer) = (self.clone(), peer.clone());
        self.finish_local(async move { bridge.look_durably(&peer, &look).await }).await
    }

    //= ID-75
    async fn look_durably(&self, peer: &GatewayId, look: &LookAt) -> Result<FoundAt, LocalProblem> {
        let core = &self.core;
        let url = EndpointUrl::new(&look.url)
            .map_err(|error| LocalProblem::malformed(format!("`url`: {error}")))?;
        let endpoint = Endpoint::parse(&format!("https://{}:{}", url.host(), url.port()))
            .map_err(|error| LocalProblem::malformed(format!("`url`: {error}")))?;
        let view = core.trust.state().peers.get(peer).cloned();
        let view = view.ok_or_else(|| Problem::new(Code::NotFound).with_detail("no such peer"))?;
        let target = Target { endpoint, trust: Trust::danger_trust_nobody_yet() };
        let (first, key) = core
            .fetch_seeing(&target, "/federation/v1/root/1")
            .await
            .map_err(|error| error.problem())?;
        let another = |what: String| LocalProblem::new(LocalCode::AnotherGateway, what);
        let answers =
            first.as_ref().map(|root| landbridge_proto::wire::document::gateway_id(&root.digest()));
        match answers {
            Some(found) if found == *peer => {}
            Some(found) => {
                return Err(another(format!("what answers there calls itself {found}")));
            }
            None => return Err(another("what answers there is no gateway's bridge".to_owned())),
        }
        let (roots, status) =
            core.fetch_news(&target, &view).await.map_err(|error| error.problem())?;
        let refused = |what: String| {
            let detail = format!("what the peer says of itself there is refused: {what}");
            LocalProblem::from(Problem::new(Code::VerificationFailed).with_detail(detail))
        };
        let now = core.now();
        let newer = view.with_chain(&roots, now).map_err(|fault| refused(fault.to_string()))?;
        let shown = newer.with_status(&status, now);
        let shown = shown.map_err(|fault| refused(fault.to_string()))?;
        shown.check_fresh(now).map_err(|fault| refused(fault.to_string()))?;
        let endpoints = &newer.chain().root().endpoints;
        let named = |pin: &landbridge_proto::wire::digest::Digest| pin.as_bytes() == key.as_bytes();
        let pin = endpoints.iter().filter_map(|known| known.tls_spki).find(named);
        let pin = pin.ok_or_else(|| {
            another("what answers there has the peer's documents, and not its TLS key".to_owned())
        })?;
        let found = FoundAt {
            root_version: newer.chain().version(),
            endpoints: endpoints.iter().map(|known| known.url.to_string()).collect(),
            tls_spki: pin.to_string(),
            told_by_root: endpoints.iter().any(|known| known.url == url),
        };
        // As many at a time as one update may bring; the last one, if only it, with the status.
        let mut updates: Vec<_> = roots.chunks(limit::ROOT_STEPS_MAX).map(<[_]>::to_vec).collect();
        let last = updates.pop().unwrap_or_default();
        let updates = updates.into_iter().map(|roots| (roots, None));
        for (roots, status) in updates.chain([(last, Some(status))]) {
            let learned = Learned { view: Some(newer.clone()), roots, status };
            let kept = core.trust.learn(core, &learned).await;
            kept.map_err(|error| refused(error.to_string()))?;
        }
        core.contacts.reached(peer, now);
        Ok(found)
    }
}
