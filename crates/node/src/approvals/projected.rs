//! Whom a question can be asked of: the projections under which an answer could count.

use std::collections::BTreeSet;

use landbridge_proto::machine::contract::CatalogRow;
use landbridge_proto::trust::approval::check_catalog;
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::wire::approval::{Binding, Projection};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::Peer;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::{GatewayId, ScopeName, SubjectKind, TenantId, Timestamp};
use landbridge_store::Fault;

use crate::core::Core;

/// What an answer is needed for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need<'a> {
    /// Our tenant.
    pub local: &'a TenantId,
    /// Our scope.
    pub scope: &'a ScopeName,
    /// What the subject is.
    pub kind: &'a SubjectKind,
    /// How much of it is seen.
    pub binding: Binding,
}

/// The peer's scopes that would do for a need, of its tenant `remote`. A projection that a changed catalog
/// suspended is none, as far as the catalog that is kept tells.
pub(super) fn scopes(
    core: &Core,
    peer: &Peer,
    remote: &TenantId,
    need: &Need<'_>,
) -> Result<BTreeSet<ScopeName>, Fault> {
    let now = core.now();
    let kept = kept(core, &peer.gid, remote)?;
    let could = |one: &&Projection| {
        one.remote == *remote && could_count(one, need, now) && !is_suspended(one, kept.as_ref())
    };
    Ok(peer.projections.iter().filter(could).map(|one| one.remote_scope.clone()).collect())
}

fn could_count(one: &Projection, need: &Need<'_>, now: Timestamp) -> bool {
    let constraints = &one.constraints;
    one.local == *need.local
        && one.local_scope == *need.scope
        && (one.nbf..one.exp).contains(&now)
        && constraints.subject_kinds.contains(need.kind)
        && (need.binding == Binding::Exact || constraints.observed)
}

fn is_suspended(one: &Projection, kept: Option<&Kept>) -> bool {
    let Some(kept) = kept else { return false };
    let Some(catalog) = &kept.catalog else { return false };
    let entry = catalog.scope(&one.remote_scope).and_then(|scope| scope.entry().ok());
    entry != Some(one.entry)
}

/// The newest catalog that is kept of a gateway's tenant.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// Its envelope.
    pub envelope: Envelope,
    /// Its version.
    pub version: u64,
    /// What it says, where it still verifies.
    pub catalog: Option<landbridge_proto::wire::approval::Catalog>,
}

impl Kept {
    /// Version and digest.
    pub(super) fn place(&self) -> (u64, Digest) {
        (self.version, self.envelope.digest())
    }
}

/// Reads the newest catalog that is kept.
pub(super) fn kept(
    core: &Core,
    gateway: &GatewayId,
    tenant: &TenantId,
) -> Result<Option<Kept>, Fault> {
    let row = core.store.reads().catalog(gateway, tenant)?;
    let view = core.trust.state().peers.get(gateway).cloned();
    Ok(row.and_then(|row| read(core, &row, view.as_ref())))
}

fn read(core: &Core, row: &CatalogRow, view: Option<&PeerView>) -> Option<Kept> {
    let envelope = Envelope::parse(row.envelope.as_bytes()).ok()?;
    let verified =
        view.and_then(|view| check_catalog(view, &row.tenant, None, &envelope, core.now()).ok());
    let catalog = verified.map(|verified| verified.into_value());
    Some(Kept { envelope, version: row.version, catalog })
}
