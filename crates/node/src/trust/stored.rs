//! Trust as the store has it: rows of documents, and what is read of them at a start.

use std::collections::BTreeSet;

use landbridge_planted::planted;
use landbridge_proto::machine::contract::{DocumentKind, DocumentRow, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::status::TrustedStatus;
use landbridge_proto::trust::witness::{self, WentBack};
use landbridge_proto::wire::document::{AuditHead, Incarnation, Status};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::{GatewayId, Timestamp};
use landbridge_store::{Fault, Handle};

use super::{QUARANTINED, TrustError};
use crate::core::StepError;
use crate::rollback::{self, RolledBack};

pub(crate) const INCARNATION: &str = "incarnation";

/// A document's row.
pub(crate) fn row(
    gateway: &GatewayId,
    kind: DocumentKind,
    version: u64,
    envelope: &Envelope,
    at: Timestamp,
) -> DocumentRow {
    let envelope = String::from_utf8_lossy(&envelope.to_bytes()).into_owned();
    DocumentRow { gateway: gateway.clone(), kind, version, envelope, at }
}

/// A document to be kept.
pub(crate) fn save(
    gateway: &GatewayId,
    kind: DocumentKind,
    version: u64,
    envelope: &Envelope,
    at: Timestamp,
) -> Write {
    Write::SaveDocument(row(gateway, kind, version, envelope, at))
}

/// A peer as its kept documents show it.
pub(super) struct Kept {
    pub(super) view: PeerView,
    /// That it told of an audit log which contradicts what it told before.
    pub(super) went_back: Option<WentBack>,
}

/// A peer as its kept documents show it.
pub(crate) fn stored_view(
    store: &Handle,
    gateway: &GatewayId,
) -> Result<Option<PeerView>, TrustError> {
    Ok(kept(store, gateway)?.map(|kept| kept.view))
}

pub(super) fn kept(store: &Handle, gateway: &GatewayId) -> Result<Option<Kept>, TrustError> {
    let rows = store.reads().documents(gateway, DocumentKind::Root)?;
    if rows.is_empty() {
        return Ok(None);
    }
    let chain = rows.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let chain = TrustedRoot::restore(&chain, gateway)
        .map_err(|fault| TrustError::Root { gateway: gateway.clone(), fault: Box::new(fault) })?;
    let mut statuses = Vec::new();
    for row in store.reads().documents(gateway, DocumentKind::Status)? {
        let restored = TrustedStatus::restore(&parse(&row)?, row.at, [], &chain);
        let refused =
            |fault| TrustError::Status { gateway: gateway.clone(), fault: Box::new(fault) };
        statuses.push(restored.map_err(refused)?);
    }
    // A root that changes the status role begins the numbers anew, so they alone do not tell the newest.
    //= ID-20
    statuses.sort_by_key(|status| {
        let said = status.newest().value();
        (said.root_version, said.seq)
    });
    let told = |status: &TrustedStatus| status.newest().value().clone();
    let pairs = statuses.iter().zip(statuses.iter().skip(1));
    let went_back = pairs.rev().find_map(|(one, next)| witness::compare(&told(one), &told(next)));
    let remembering = |earlier, later: TrustedStatus| later.remembering(earlier, &chain);
    let status = statuses.into_iter().reduce(remembering);
    Ok(Some(Kept { view: PeerView::restore(chain, status), went_back }))
}

/// What each kept status of a gateway says; what cannot be used says nothing.
pub(crate) fn kept_statuses(
    store: &Handle,
    gateway: &GatewayId,
    chain: &TrustedRoot,
) -> Result<Vec<Status>, Fault> {
    let rows = store.reads().documents(gateway, DocumentKind::Status)?;
    Ok(rows.iter().filter_map(|row| said(row, chain)).collect())
}

fn said(row: &DocumentRow, chain: &TrustedRoot) -> Option<Status> {
    let status = TrustedStatus::restore(&parse(row).ok()?, row.at, [], chain).ok()?;
    Some(status.newest().value().clone())
}

/// Compares the audit log with what our kept statuses told of it: that its end was cut off, or all of it
/// written anew, shows by nothing else here.
//= ID-83
pub(super) fn audit_altered(store: &Handle, own: &TrustedRoot) -> Result<Option<String>, Fault> {
    for told in kept_statuses(store, own.gateway(), own)?.iter().rev() {
        let AuditHead { size, head } = told.audit;
        if size == 0 || planted!("own_audit_not_compared") {
            continue;
        }
        let found = store.reads().audit(size - 1, 1)?.first().map(|row| row.head);
        let what = match found {
            Some(found) if found == head => continue,
            Some(_) => format!("its first {size} rows are other ones than a status of ours told"),
            None => format!("it had {size} rows when a status of ours told of it, and has fewer"),
        };
        return Ok(Some(what));
    }
    Ok(None)
}

pub(super) fn document(
    store: &Handle,
    gateway: &GatewayId,
    kind: DocumentKind,
) -> Result<Option<DocumentRow>, Fault> {
    store.reads().newest_document(gateway, kind)
}

pub(super) fn parse(row: &DocumentRow) -> Result<Envelope, TrustError> {
    Envelope::parse(row.envelope.as_bytes()).map_err(|fault| TrustError::Unreadable {
        kind: row.kind,
        gateway: row.gateway.clone(),
        fault,
    })
}

pub(crate) fn parse_incarnation(text: &str) -> Option<Incarnation> {
    let (n, since) = text.split_once(' ')?;
    Some(Incarnation { n: n.parse().ok()?, since: Timestamp(since.parse().ok()?) })
}

pub(crate) fn incarnation_text(incarnation: Incarnation) -> String {
    format!("{} {}", incarnation.n, incarnation.since)
}

pub(super) fn incarnation(store: &Handle, now: Timestamp) -> Result<Incarnation, TrustError> {
    let known = store.reads().meta(INCARNATION)?;
    if let Some(known) = known.as_deref().and_then(parse_incarnation) {
        return Ok(known);
    }
    let first = Incarnation { n: 1, since: now };
    let value = incarnation_text(first);
    let writes = vec![Write::PutMeta { name: INCARNATION.to_owned(), value }];
    let (batch, held) = Step::new(Vec::new(), writes, first).split();
    let receipt = store.commit_blocking(batch)?;
    Ok(held.release(receipt).map_err(StepError::from)?)
}

/// What is stored of a rollback, or what the store's witness says now; that is made durable first.
pub(super) fn rolled_back(
    store: &Handle,
    own: &GatewayId,
    now: Timestamp,
) -> Result<Option<RolledBack>, Fault> {
    if let Some(known) = rollback::stored(store)? {
        return Ok(Some(known));
    }
    let Some(behind) = store.behind() else { return Ok(None) };
    let found = RolledBack::witnessed(behind, now);
    tracing::error!(?behind, "{}", rollback::ADVICE);
    let (batch, _held) = Step::new(Vec::new(), found.writes(own), ()).split();
    store.commit_blocking(batch)?;
    Ok(Some(found))
}

pub(super) fn quarantined(store: &Handle) -> Result<BTreeSet<GatewayId>, Fault> {
    let text = store.reads().meta(QUARANTINED)?.unwrap_or_default();
    Ok(text.split_whitespace().filter_map(|name| GatewayId::new(name).ok()).collect())
}
