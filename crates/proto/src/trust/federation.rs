//! Whom this gateway trusts, as its own policy key signed it.
//!
//! The document is local. It is verified all the same each time it is read, so that an edit on disk
//! fails closed, and its version never goes down, so that an old copy does not bring a revoked peer
//! back.

pub mod bundle;
pub mod difference;

use std::collections::BTreeMap;

use landbridge_planted::planted;

use super::membership::TrustedMembership;
use super::root::{TrustedRoot, role_keys};
use super::verified::{KeyWindow, RoleKeys, Verified, VerifyError, verify};
use crate::wire::approval::{Operator, Projection};
use crate::wire::document::federation::InvalidFederation;
use crate::wire::document::{
    Federation, FederationRoot, FormVersion, Grant, Peer, PeerStatus, raw,
};
use crate::wire::envelope::Envelope;
use crate::wire::kind::{Role, SignedBy};
use crate::wire::name::{
    Alias, GatewayId, OperatorName, ScopeName, TenantId, TenantPair, Timestamp,
};

/// The federation document of this gateway, verified.
#[derive(Clone, Debug)]
pub struct TrustedFederation {
    document: Verified<Federation>,
    /// The memberships that count for it, of peers that are talked to only by one.
    memberships: BTreeMap<GatewayId, TrustedMembership>,
}

/// What is wrong with a federation document.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FederationError {
    /// Not signed by this gateway's policy key.
    #[error("the federation document does not verify")]
    Unverified(#[source] VerifyError),
    /// Another gateway's.
    #[error("a federation document of {found}")]
    Foreign {
        /// The gateway found.
        found: GatewayId,
    },
    /// Older than one that was in force.
    #[error("federation document {found} is older than {have}")]
    WentBack {
        /// The version that was in force.
        have: u64,
        /// The version found.
        found: u64,
    },
}

impl TrustedFederation {
    /// Opens the document. `version_min` is the version that was last in force, or 1.
    ///
    /// # Errors
    ///
    /// Refuses a document that this gateway's policy keys did not sign as it stands, and an old one.
    pub fn open(
        envelope: &Envelope,
        own: &TrustedRoot,
        version_min: u64,
        now: Timestamp,
    ) -> Result<Self, FederationError> {
        //= ID-27
        let keys = role_keys(own.root(), Role::Policy);
        let document =
            verify::<Federation>(envelope, &keys, now).map_err(FederationError::Unverified)?;
        if document.value().iss != *own.gateway() && !planted!("federation_issuer_unchecked") {
            return Err(FederationError::Foreign { found: document.value().iss.clone() });
        }
        let found = document.value().version;
        if found < version_min && !planted!("federation_version_unchecked") {
            //= ID-28
            return Err(FederationError::WentBack { have: version_min, found });
        }
        if planted!("no_federation_document_opens") {
            return Err(FederationError::WentBack { have: found, found });
        }
        Ok(Self::of(document))
    }

    const fn of(document: Verified<Federation>) -> Self {
        Self { document, memberships: BTreeMap::new() }
    }

    /// The same document with the memberships that count for it now, of those that are kept.
    #[must_use]
    pub fn with_memberships<'a>(
        mut self,
        kept: impl IntoIterator<Item = &'a Envelope>,
        now: Timestamp,
    ) -> Self {
        let opened: Vec<_> = kept
            .into_iter()
            .filter_map(|envelope| TrustedMembership::open(envelope, &self, now).ok())
            .collect();
        let counted = opened.into_iter().filter(|one| {
            let said = one.value();
            self.admitting_root(&said.member).is_some_and(|root| root.name == said.federation)
        });
        self.memberships = counted.map(|one| (one.value().member.clone(), one)).collect();
        self
    }

    /// The document.
    #[must_use]
    pub const fn document(&self) -> &Federation {
        self.document.value()
    }

    /// The document with its proof.
    #[must_use]
    pub const fn verified(&self) -> &Verified<Federation> {
        &self.document
    }

    /// A peer, whatever its state.
    #[must_use]
    pub fn peer(&self, gateway: &GatewayId) -> Option<&Peer> {
        let peers = &self.document().peers;
        let at = peers.binary_search_by(|peer| peer.gid.cmp(gateway)).ok()?;
        peers.get(at)
    }

    /// A peer by what it is called here, whatever its state.
    #[must_use]
    pub fn peer_called(&self, alias: &Alias) -> Option<&Peer> {
        self.document().peers.iter().find(|peer| peer.alias == *alias)
    }

    /// A peer that is talked to.
    #[must_use]
    pub fn active_peer(&self, gateway: &GatewayId) -> Option<&Peer> {
        self.peer(gateway).filter(|peer| peer.status == PeerStatus::Active)
    }

    /// What a peer that is talked to may ask for a tenant pair.
    #[must_use]
    pub fn grant(&self, caller: &GatewayId, pair: &TenantPair) -> Option<&Grant> {
        let peer = self.active_peer(caller)?;
        //= ID-71
        let speaks = match self.admitting_root(caller) {
            None => true,
            Some(_) => self
                .memberships
                .get(caller)
                .is_some_and(|membership| membership.value().tenants.contains(&pair.src)),
        };
        if !speaks && !planted!("membership_tenant_granted") {
            return None;
        }
        peer.grants.iter().find(|grant| grant.local == pair.dst && grant.remote == pair.src)
    }

    /// The federation root by which a peer is admitted; `None` for one that people paired.
    #[must_use]
    pub fn admitting_root(&self, gateway: &GatewayId) -> Option<&FederationRoot> {
        self.document().roots.iter().find(|root| root.members.contains(gateway))
    }

    /// The membership that a peer is admitted by, whether or not it still counts.
    #[must_use]
    pub fn membership(&self, gateway: &GatewayId) -> Option<&TrustedMembership> {
        self.memberships.get(gateway)
    }

    /// Whether a peer may be talked to as far as memberships go: people paired it, or the root that
    /// admits it vouches for it now.
    #[must_use]
    //= ID-70
    pub fn is_vouched_for(&self, gateway: &GatewayId, now: Timestamp) -> bool {
        self.admitting_root(gateway).is_none()
            || self.memberships.get(gateway).is_some_and(|membership| now < membership.until())
            || planted!("membership_lapse_unnoticed")
    }

    /// A federation root by its name.
    #[must_use]
    pub fn federation_root(&self, name: &Alias) -> Option<&FederationRoot> {
        self.document().roots.iter().find(|root| root.name == *name)
    }

    /// The keys of a federation root, which vouch for memberships and for nothing else.
    #[must_use]
    pub fn federation_keys(&self, name: &Alias) -> Option<RoleKeys> {
        let root = self.federation_root(name)?;
        let threshold = usize::try_from(root.threshold).unwrap_or(usize::MAX);
        let keys = root.keys.values().map(|key| KeyWindow {
            public: key.public.clone(),
            nbf: key.nbf,
            exp: key.exp,
        });
        Some(RoleKeys::new(SignedBy::FederationRoot, threshold, keys))
    }

    /// A draft of the next version.
    #[must_use]
    pub fn draft(&self) -> FederationDraft {
        let raw = raw::Federation::from(self.document().clone());
        FederationDraft { version: raw.version.saturating_add(1), raw }
    }
}

/// The next version of a federation document, being written.
#[derive(Clone, Debug)]
pub struct FederationDraft {
    version: u64,
    raw: raw::Federation,
}

/// A change that names a peer which is not there.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no peer {gateway}")]
pub struct NoSuchPeer {
    /// The gateway named.
    pub gateway: GatewayId,
}

impl FederationDraft {
    /// A first version: no peers and no roots.
    #[must_use]
    pub const fn first(iss: GatewayId) -> Self {
        let raw = raw::Federation {
            iss,
            issued: Timestamp(0),
            operators: Vec::new(),
            peers: Vec::new(),
            roots: Vec::new(),
            v: FormVersion,
            version: 1,
        };
        Self { version: 1, raw }
    }

    /// Adds a peer, or replaces the one with its id.
    pub fn put_peer(&mut self, peer: Peer) {
        match self.raw.peers.binary_search_by(|one| one.gid.cmp(&peer.gid)) {
            Ok(at) => self.raw.peers[at] = peer,
            Err(at) => self.raw.peers.insert(at, peer),
        }
    }

    /// Changes whether a peer is talked to.
    ///
    /// # Errors
    ///
    /// [`NoSuchPeer`].
    pub fn set_status(
        &mut self,
        gateway: &GatewayId,
        status: PeerStatus,
    ) -> Result<(), NoSuchPeer> {
        self.peer_mut(gateway)?.status = status;
        Ok(())
    }

    /// Adds a grant to a peer, or replaces the one for its tenant pair.
    ///
    /// # Errors
    ///
    /// [`NoSuchPeer`].
    pub fn put_grant(&mut self, gateway: &GatewayId, grant: Grant) -> Result<(), NoSuchPeer> {
        let grants = &mut self.peer_mut(gateway)?.grants;
        let place = (&grant.local, &grant.remote);
        match grants.binary_search_by(|one| (&one.local, &one.remote).cmp(&place)) {
            Ok(at) => grants[at] = grant,
            Err(at) => grants.insert(at, grant),
        }
        Ok(())
    }

    /// Takes a grant away; says whether there was one.
    ///
    /// # Errors
    ///
    /// [`NoSuchPeer`].
    pub fn remove_grant(
        &mut self,
        gateway: &GatewayId,
        pair: &TenantPair,
    ) -> Result<bool, NoSuchPeer> {
        let grants = &mut self.peer_mut(gateway)?.grants;
        let before = grants.len();
        grants.retain(|grant| grant.pair() != *pair);
        Ok(grants.len() < before)
    }

    /// Adds an operator, or replaces the one of the name and tenant.
    pub fn put_operator(&mut self, mut operator: Operator) {
        operator.keys.sort_by(|one, two| one.kid.cmp(&two.kid));
        let place = (&operator.tenant, &operator.name);
        match self.raw.operators.binary_search_by(|one| (&one.tenant, &one.name).cmp(&place)) {
            Ok(at) => self.raw.operators[at] = operator,
            Err(at) => self.raw.operators.insert(at, operator),
        }
    }

    /// Takes an operator away; says whether there was one.
    pub fn remove_operator(&mut self, tenant: &TenantId, name: &OperatorName) -> bool {
        let before = self.raw.operators.len();
        self.raw.operators.retain(|one| one.tenant != *tenant || one.name != *name);
        self.raw.operators.len() < before
    }

    /// Adds a projection below a peer, or replaces the one for its tenants and scopes.
    ///
    /// # Errors
    ///
    /// [`NoSuchPeer`].
    pub fn put_projection(
        &mut self,
        gateway: &GatewayId,
        projection: Projection,
    ) -> Result<(), NoSuchPeer> {
        let projections = &mut self.peer_mut(gateway)?.projections;
        match projections.binary_search_by(|one| one.place().cmp(&projection.place())) {
            Ok(at) => projections[at] = projection,
            Err(at) => projections.insert(at, projection),
        }
        Ok(())
    }

    /// Takes a projection away, by its [`Projection::place`]; says whether there was one.
    ///
    /// # Errors
    ///
    /// [`NoSuchPeer`].
    pub fn remove_projection(
        &mut self,
        gateway: &GatewayId,
        place: (&TenantId, &TenantId, &ScopeName, &ScopeName),
    ) -> Result<bool, NoSuchPeer> {
        let projections = &mut self.peer_mut(gateway)?.projections;
        let before = projections.len();
        projections.retain(|one| one.place() != place);
        Ok(projections.len() < before)
    }

    /// Adds a federation root, or replaces the one with its name.
    pub fn put_federation_root(&mut self, root: FederationRoot) {
        match self.raw.roots.binary_search_by(|one| one.name.cmp(&root.name)) {
            Ok(at) => self.raw.roots[at] = root,
            Err(at) => self.raw.roots.insert(at, root),
        }
    }

    /// Takes a federation root away, and with it the peers that it admitted: without it nobody
    /// vouches for them. Says whether there was one.
    pub fn remove_federation_root(&mut self, name: &Alias) -> bool {
        let Some(at) = self.raw.roots.iter().position(|root| root.name == *name) else {
            return false;
        };
        let root = self.raw.roots.remove(at);
        // A revoked peer stays revoked, whoever once vouched for it.
        self.raw
            .peers
            .retain(|peer| !root.members.contains(&peer.gid) || peer.status == PeerStatus::Revoked);
        true
    }

    /// Makes a peer one that is talked to only while a membership of a federation root counts.
    ///
    /// # Errors
    ///
    /// [`NoSuchPeer`], also where there is no such root.
    pub fn admit(&mut self, root: &Alias, gateway: &GatewayId) -> Result<(), NoSuchPeer> {
        let missing = || NoSuchPeer { gateway: gateway.clone() };
        self.peer_mut(gateway)?;
        let root = self.raw.roots.iter_mut().find(|one| one.name == *root);
        root.ok_or_else(missing)?.members.insert(gateway.clone());
        Ok(())
    }

    /// The same draft under another number, for one that follows versions which cannot be read.
    #[must_use]
    pub const fn numbered(mut self, version: u64) -> Self {
        self.version = version;
        self
    }

    /// The document, ready to be signed.
    ///
    /// # Errors
    ///
    /// Says what does not fit together.
    pub fn finish(mut self, issued: Timestamp) -> Result<Federation, InvalidFederation> {
        self.raw.version = self.version;
        self.raw.issued = issued;
        Federation::try_from(self.raw)
    }

    fn peer_mut(&mut self, gateway: &GatewayId) -> Result<&mut Peer, NoSuchPeer> {
        let found = self.raw.peers.iter_mut().find(|peer| peer.gid == *gateway);
        found.ok_or_else(|| NoSuchPeer { gateway: gateway.clone() })
    }
}

#[cfg(test)]
mod tests;
