//! Catalogs: what our operators may decide, told to others, and the newest of what others told us.
//!
//! Ours are published by a person, who saw what changes, and afterwards only signed anew while their
//! content stays: peers map a scope by its exact words, so words must never change by a restart. Of each
//! gateway and tenant the newest is kept, and an older one, or another of the same version, is refused:
//! otherwise whoever copied yesterday's catalog could bring back what was mapped then.

mod care;
pub mod difference;
pub mod pinned;

use std::sync::Arc;

use landbridge_planted::planted;
use landbridge_proto::machine::contract::{CatalogRow, Guard, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::approval::{Uncounted, check_catalog};
use landbridge_proto::trust::recorded::{Stated, verify_stated};
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::signer::{SignError, Signer as _};
use landbridge_proto::trust::verified::Verified;
use landbridge_proto::wire::approval::{Catalog, InvalidCatalog, Scope, raw};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::FormVersion;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{GatewayId, TenantId, TenantPair, Timestamp};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{Body, Op};
use landbridge_store::Fault;

pub use self::care::{Care, note};
use crate::core::{Core, StepError, chained};
use crate::fail;
use crate::net::client;
use crate::peers::{PeerError, Reply, is_renewed};

/// A catalog that is kept: the newest of its gateway and tenant.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What it says.
    pub catalog: Catalog,
    /// The envelope.
    pub envelope: Envelope,
}

impl Kept {
    /// What a later catalog is held against.
    #[must_use]
    pub fn place(&self) -> (u64, Digest) {
        (self.catalog.version, self.envelope.digest())
    }
}

/// Why there is no catalog to go by.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] Fault),
    /// What is stored of it is not what was signed.
    #[error("the stored catalog of {tenant} at {gateway} does not verify")]
    Unreadable {
        /// Whose.
        gateway: GatewayId,
        /// Of which tenant.
        tenant: TenantId,
    },
    /// The gateway's catalog is turned down.
    #[error("its catalog is refused")]
    Refused(#[from] Uncounted),
    /// The gateway says that we may not have it.
    #[error("it gives no catalog: {0}")]
    NotGiven(Problem),
    /// The gateway could not be asked.
    #[error("it could not be asked for its catalog")]
    Peer(#[from] PeerError),
    /// Our own does not fit together.
    #[error("the scopes do not fit together")]
    Invalid(#[from] InvalidCatalog),
    /// Ours was not signed.
    #[error("the catalog was not signed")]
    Sign(#[from] SignError),
    /// It was not kept.
    #[error("the catalog was not made durable")]
    Step(#[from] StepError),
}

impl CatalogError {
    /// The problem that a client of ours is told.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Peer(error) => error.problem(),
            //= APR-4
            Self::Refused(_) | Self::Unreadable { .. } => {
                Problem::new(Code::VerificationFailed).with_detail(chained(self))
            }
            Self::NotGiven(said) => said.clone(),
            Self::Invalid(_) => Problem::new(Code::Malformed).with_detail(chained(self)),
            Self::Step(StepError::Full) | Self::Store(_) => Problem::new(Code::StoreUnavailable),
            Self::Sign(_) | Self::Step(_) => {
                Problem::new(Code::Internal).with_detail(chained(self))
            }
        }
    }
}

/// What is kept of a gateway and tenant, as a later catalog is held against it. Needs no key, so it also
/// answers where what is kept can no longer be verified.
///
/// # Errors
///
/// [`CatalogError::Store`], or [`CatalogError::Unreadable`].
pub fn place(
    core: &Core,
    gateway: &GatewayId,
    tenant: &TenantId,
) -> Result<Option<(u64, Digest)>, CatalogError> {
    let Some(row) = core.store.reads().catalog(gateway, tenant)? else { return Ok(None) };
    Ok(Some((row.version, parse(&row)?.digest())))
}

/// The newest catalog that is kept of a gateway's tenant, our own included, expired or not.
///
/// # Errors
///
/// [`CatalogError::Store`], or [`CatalogError::Unreadable`].
pub fn newest(
    core: &Core,
    gateway: &GatewayId,
    tenant: &TenantId,
) -> Result<Option<Kept>, CatalogError> {
    let row = core.store.reads().catalog(gateway, tenant)?;
    row.map(|row| read(core, &row)).transpose()
}

/// All catalogs of our own, by tenant.
///
/// # Errors
///
/// As [`newest`].
pub fn own(core: &Core) -> Result<Vec<Kept>, CatalogError> {
    let rows = core.store.reads().catalogs()?.into_iter();
    rows.filter(|row| row.gateway == *core.own()).map(|row| read(core, &row)).collect()
}

fn read(core: &Core, row: &CatalogRow) -> Result<Kept, CatalogError> {
    let envelope = parse(row)?;
    let stated = |catalog: &Catalog| Stated { root_version: None, at: catalog.issued };
    let opened = |chain: &TrustedRoot| verify_stated::<Catalog>(chain, &envelope, stated).ok();
    let verified = if row.gateway == *core.own() {
        opened(core.identity.present().root())
    } else {
        core.trust.state().peers.get(&row.gateway).and_then(|view| opened(view.chain()))
    };
    let fits = |one: &Verified<Catalog>| {
        let said = one.value();
        said.iss == row.gateway && said.tenant == row.tenant && said.version == row.version
    };
    let verified = verified.filter(fits).ok_or_else(|| unreadable(row))?;
    Ok(Kept { catalog: verified.into_value(), envelope })
}

fn parse(row: &CatalogRow) -> Result<Envelope, CatalogError> {
    Envelope::parse(row.envelope.as_bytes()).map_err(|_| unreadable(row))
}

fn unreadable(row: &CatalogRow) -> CatalogError {
    CatalogError::Unreadable { gateway: row.gateway.clone(), tenant: row.tenant.clone() }
}

/// What keeps a verified catalog in place of the one at `kept`; `None` where it is kept already.
#[must_use]
pub fn keep(
    kept: Option<(u64, Digest)>,
    catalog: &Verified<Catalog>,
    at: Timestamp,
) -> Option<(Guard, Write)> {
    let said = catalog.value();
    // Other signatures over the same bytes are the same catalog.
    if kept.is_some_and(|(version, _)| version == said.version) {
        return None;
    }
    Some(put(kept.map(|(version, _)| version), said, catalog.envelope(), at))
}

fn put(before: Option<u64>, said: &Catalog, envelope: &Envelope, at: Timestamp) -> (Guard, Write) {
    let (gateway, tenant) = (said.iss.clone(), said.tenant.clone());
    let guard =
        Guard::CatalogAt { gateway: gateway.clone(), tenant: tenant.clone(), version: before };
    let envelope = String::from_utf8_lossy(&envelope.to_bytes()).into_owned();
    let row = CatalogRow { gateway, tenant, version: said.version, envelope, at };
    (guard, Write::PutCatalog(row))
}

/// Verifies a peer's catalog of a tenant and keeps it, if it is newer than what is kept.
///
/// # Errors
///
/// [`CatalogError`]; what was kept stays, and a catalog that is turned down is recorded.
pub async fn learn(
    core: &Core,
    gateway: &GatewayId,
    tenant: &TenantId,
    envelope: &Envelope,
) -> Result<Kept, CatalogError> {
    for _ in 0..3 {
        let view = core.peer_view(gateway)?;
        let kept = place(core, gateway, tenant)?;
        let now = core.now();
        let checked = check_catalog(&view, tenant, kept, envelope, now);
        let catalog = match checked {
            Ok(catalog) => catalog,
            Err(fault) => {
                refused(core, gateway, tenant, &fault).await;
                return Err(fault.into());
            }
        };
        if let Some((guard, write)) = keep(kept, &catalog, now) {
            match core.commit(Step::new(vec![guard], vec![write], ())).await {
                Ok(()) => {}
                Err(StepError::Stale(_)) => continue,
                Err(error) => return Err(error.into()),
            }
        }
        return Ok(Kept { envelope: catalog.envelope().clone(), catalog: catalog.into_value() });
    }
    let detail = Problem::new(Code::Internal).with_detail("other catalogs came at the same time");
    Err(CatalogError::NotGiven(detail))
}

/// Records that a peer's catalog was turned down. A peer that goes back, or says two things under one
/// version, did so under its own signature.
async fn refused(core: &Core, gateway: &GatewayId, tenant: &TenantId, fault: &Uncounted) {
    let story = chained(fault);
    tracing::warn!(peer = %gateway, %tenant, story, "a catalog is refused");
    let detail =
        [("tenant", tenant.as_str()), ("reason", fault.as_str()), ("story", story.as_str())];
    let audit = core.audit(gateway.as_str(), "catalog_refused", gateway.as_str(), detail);
    if let Err(error) = core.commit(Step::new(Vec::new(), vec![audit], ())).await {
        tracing::warn!(%error, "a refused catalog was not recorded");
    }
}

/// Asks a peer for its catalog of the pair's `dst`, verifies it and keeps it.
///
/// # Errors
///
/// As [`learn`], and when the peer cannot be asked or refuses.
pub async fn fetch(
    core: &Arc<Core>,
    peer: &GatewayId,
    pair: &TenantPair,
) -> Result<Kept, CatalogError> {
    core.freshen(peer).await?;
    let envelope = ask(core, peer, pair).await?;
    core.contacts.reached(peer, core.now());
    match learn(core, peer, &pair.dst, &envelope).await {
        // It may be signed with a key of a root that we have not seen.
        Err(CatalogError::Refused(Uncounted::CatalogUnverified(fault))) if is_renewed(&fault) => {
            core.refresh_peer(peer).await?;
            learn(core, peer, &pair.dst, &envelope).await
        }
        done => done,
    }
}

async fn ask(core: &Core, peer: &GatewayId, pair: &TenantPair) -> Result<Envelope, CatalogError> {
    let mut have = None;
    for _ in 0..2 {
        let signed = core.sign_request(peer, pair, Body::Catalog, None)?;
        match core.send(peer, Op::Catalog.path(), &signed, have, Vec::new()).await {
            Ok(Reply::Open(response)) => {
                let (_, body) = client::collect(*response, limit::ENVELOPE_BYTES_MAX)
                    .await
                    .map_err(PeerError::from)?;
                return Ok(Envelope::parse(&body).map_err(PeerError::from)?);
            }
            Ok(Reply::Refused(refusal)) => {
                return Err(CatalogError::NotGiven(refusal.into_value().problem));
            }
            Err(PeerError::Unsigned { have: Some(known), .. }) => have = Some(known),
            Err(error) => return Err(error.into()),
        }
    }
    Err(CatalogError::NotGiven(Problem::new(Code::RootUnknown)))
}

/// Publishes these scopes as our catalog of a tenant, whatever was published before.
///
/// # Errors
///
/// [`CatalogError`]; then what was published stays.
pub async fn publish(
    core: &Core,
    tenant: &TenantId,
    scopes: &[Scope],
) -> Result<Kept, CatalogError> {
    issue(core, tenant, scopes, true).await
}

/// Our newest catalog of a tenant, signed anew if half of its life is over; `None` where none was
/// published.
///
/// # Errors
///
/// [`CatalogError`].
pub async fn present(core: &Core, tenant: &TenantId) -> Result<Option<Kept>, CatalogError> {
    let Some(kept) = newest(core, core.own(), tenant)? else { return Ok(None) };
    if !is_due(core, &kept) {
        return Ok(Some(kept));
    }
    issue(core, tenant, &kept.catalog.scopes, false).await.map(Some)
}

/// Whether our catalog must be signed anew: half of its life is over, or another key signs now.
fn is_due(core: &Core, kept: &Kept) -> bool {
    let now = core.now();
    let left_ms = kept.catalog.expires.since_ms(now);
    let old = left_ms <= core.settings.catalog_life_ms / 2;
    let present = core.identity.present();
    let signer = present.signer(Role::Catalog, now).ok();
    let by = |kid| kept.envelope.signatures().iter().any(|one| one.keyid() == kid);
    old || signer.is_some_and(|signer| !by(signer.kid()))
}

async fn issue(
    core: &Core,
    tenant: &TenantId,
    scopes: &[Scope],
    by_person: bool,
) -> Result<Kept, CatalogError> {
    for _ in 0..3 {
        let row = core.store.reads().catalog(core.own(), tenant)?;
        let before = row.as_ref().map(|row| row.version);
        let now = core.now();
        let catalog = Catalog::try_from(raw::Catalog {
            expires: now.plus_ms(core.settings.catalog_life_ms),
            iss: core.own().clone(),
            issued: now,
            scopes: scopes.to_vec(),
            tenant: tenant.clone(),
            v: FormVersion,
            version: next_version(before, now),
        })?;
        let envelope = core.identity.present().sign(&catalog, now)?;
        let (guard, write) = put(before, &catalog, &envelope, now);
        let mut writes = vec![write, Write::Clock(now)];
        if by_person {
            let (version, count) = (catalog.version.to_string(), catalog.scopes.len().to_string());
            let digest = envelope.digest().to_string();
            let detail = [("version", &*version), ("scopes", &count), ("digest", &digest)];
            writes.push(core.audit("admin", "catalog_published", tenant.as_str(), detail));
        }
        fail::point("catalog.signed");
        //= APR-3
        if planted!("catalog_unkept") {
            return Ok(Kept { catalog, envelope });
        }
        match core.commit(Step::new(vec![guard], writes, ())).await {
            Ok(()) => {
                fail::point("catalog.durable");
                return Ok(Kept { catalog, envelope });
            }
            Err(StepError::Stale(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let detail = Problem::new(Code::Internal).with_detail("something else published meanwhile");
    Err(CatalogError::NotGiven(detail))
}

/// Higher than every one before, also than those that a database which was copied back has forgotten:
/// as with statuses, the time sees to that.
//= APR-3
fn next_version(before: Option<u64>, now: Timestamp) -> u64 {
    let counted = before.unwrap_or(0).saturating_add(1);
    if planted!("catalog_version_counted") { counted } else { counted.max(now.0.unsigned_abs()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= APR-3
    #[test]
    fn versions_rise_whatever_the_clock_and_the_database_say() {
        let at = Timestamp;
        assert_eq!(next_version(None, at(1000)), 1000);
        assert_eq!(next_version(Some(1000), at(1000)), 1001);
        assert_eq!(next_version(Some(5000), at(1000)), 5001, "the clock went back");
        assert!(next_version(Some(7), at(9000)) > 8, "the database went back");
    }
}
