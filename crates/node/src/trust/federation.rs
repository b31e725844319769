//! Our federation document: how a new version comes into force, and what it may not take back.

use std::collections::BTreeSet;

use landbridge_planted::planted;
use landbridge_proto::machine::contract::{DocumentKind, Guard, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::federation::TrustedFederation;
use landbridge_proto::wire::document::PeerStatus;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::GatewayId;

use super::{State, Trust, TrustError, document, install, leavers, members, revoke};
use crate::catalogs;
use crate::core::Core;
use crate::fail;

impl Trust {
    /// Puts a new version of our federation document in force.
    ///
    /// # Errors
    ///
    /// [`TrustError`] when our policy key did not sign it or it is not the next version.
    pub async fn put_federation(
        &self,
        core: &Core,
        envelope: &Envelope,
    ) -> Result<u64, TrustError> {
        self.put_federation_because(core, envelope, None).await
    }

    /// As [`Trust::put_federation`], with a person's reason for the audit log.
    ///
    /// # Errors
    ///
    /// As there; also when it makes a revoked peer active that was not paired anew.
    pub async fn put_federation_because(
        &self,
        core: &Core,
        envelope: &Envelope,
        because: Option<&str>,
    ) -> Result<u64, TrustError> {
        let _changing = self.changing.lock().await;
        let state = self.state();
        let now = core.now();
        let have = state.federation.as_ref().map_or(0, |document| document.document().version);
        let next =
            TrustedFederation::open(envelope, core.identity.present().root(), have + 1, now)?;
        let version = next.document().version;
        let signers = next.verified().signers();
        if let Some(kid) = signers.into_iter().find(|kid| state.has_revoked(kid)) {
            return Err(TrustError::RevokedPolicyKey { kid: kid.clone() });
        }
        let paired = self.check_sticky(core, &next)?;
        leavers::check_enrolled(&core.store, &next)?;
        let leavers = leavers::find(state.federation.as_ref(), &next);
        let guard = Guard::DocumentAt {
            gateway: core.own().clone(),
            kind: DocumentKind::Federation,
            version: (have > 0).then_some(have),
        };
        let mut writes =
            document::writes(state.federation.as_ref(), &next, "federation_changed", now);
        writes.extend(document::settled_pairings(&core.store, state.federation.as_ref(), &next)?);
        writes.extend(members::needless(&core.store, &next)?);
        writes.extend(standings(core, state.federation.as_ref(), &next, because));
        // Whoever withdraws trust must not be kept from it by a full disk.
        fail::point("federation.signed");
        writes.extend(catalogs::pinned::kept(core, &next)?);
        if leavers.is_empty() {
            core.commit(Step::new(vec![guard], writes, ()).with_reserve()).await?;
        } else {
            let revoked = leavers::revoked(&state, core, &leavers)?;
            writes.extend(leavers::writes(core, &leavers)?);
            writes.push(revoke::kept(&revoked));
            self.issue(core, revoked, vec![guard], writes).await?;
        }
        fail::point("federation.durable");
        let mut state = State::clone(&self.state());
        // A pairing brought newer documents than those from before the revocation.
        state.peers.retain(|peer, _| !paired.contains(peer));
        let next = members::with_kept(&core.store, next, now)?;
        install(&core.store, &mut state, Some(next))?;
        self.take_memberships(state, now);
        core.wakes.wake_all();
        Ok(version)
    }

    /// A peer that was revoked becomes one again only by a pairing that a person accepted anew; says which
    /// of them do now.
    //= ID-63
    fn check_sticky(
        &self,
        core: &Core,
        next: &TrustedFederation,
    ) -> Result<BTreeSet<GatewayId>, TrustError> {
        let state = self.state();
        let Some(present) = &state.federation else { return Ok(BTreeSet::new()) };
        let pairings = core.store.reads().pairings()?;
        let mut paired = BTreeSet::new();
        for peer in present.document().peers.iter().filter(|one| one.status == PeerStatus::Revoked)
        {
            let back = next.peer(&peer.gid).is_none_or(|one| one.status != PeerStatus::Revoked);
            if !back || planted!("revocation_taken_back") {
                continue;
            }
            if !pairings.iter().any(|row| row.peer == peer.gid) {
                return Err(TrustError::StaysRevoked { alias: peer.alias.clone() });
            }
            paired.insert(peer.gid.clone());
        }
        Ok(paired)
    }
}

/// Audit records of peers whose standing a new federation document changes.
fn standings(
    core: &Core,
    from: Option<&TrustedFederation>,
    to: &TrustedFederation,
    because: Option<&str>,
) -> Vec<Write> {
    let mut writes = Vec::new();
    for peer in &to.document().peers {
        let before = from.and_then(|known| known.peer(&peer.gid)).map(|known| known.status);
        let deed = match (before, peer.status) {
            (Some(before), after) if before == after => continue,
            (_, PeerStatus::Revoked) => "peer_revoked",
            (_, PeerStatus::Suspended) => "peer_suspended",
            (None, PeerStatus::Active) => "peer_accepted",
            (Some(PeerStatus::Revoked), PeerStatus::Active) => "peer_accepted",
            (Some(_), PeerStatus::Active) => "peer_resumed",
        };
        let detail = [("alias", peer.alias.as_str()), ("because", because.unwrap_or_default())];
        writes.push(core.audit("admin", deed, peer.gid.as_str(), detail));
    }
    writes
}
