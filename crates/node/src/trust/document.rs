//! The federation document's life in the store: what a change writes, and whether the stored one is
//! the one that was in force.
//!
//! A signature keeps an edited row from being used. It does not notice that the newest row was taken
//! out, and an older one, just as well signed, would bring a revoked peer back. So each change also
//! notes the version and digest in force, and they are compared at every start.

use std::path::Path;

use landbridge_planted::planted;
use landbridge_proto::machine::contract::{AuditEvent, DocumentKind, Guard, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::federation::difference::Difference;
use landbridge_proto::trust::federation::{FederationError, TrustedFederation};
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::PeerStatus;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{GatewayId, Timestamp};
use landbridge_store::{Fault, Handle, OpenError};

use super::stored::document;
use super::{TrustError, parse, save};
use crate::core::StepError;
use crate::serve::store_options;

/// How many versions are kept, the one in force included.
pub const VERSIONS_KEPT: u64 = 256;

/// Where the version and digest in force are noted.
const NOTE: &str = "federation";

/// The writes that put a version in force: the document, the note, the end of versions that are too
/// many, and the audit record with what was and what is.
pub(super) fn writes(
    before: Option<&TrustedFederation>,
    next: &TrustedFederation,
    deed: &str,
    now: Timestamp,
) -> Vec<Write> {
    let iss = &next.document().iss;
    let (version, digest) = (next.document().version, next.verified().digest());
    let envelope = next.verified().envelope();
    vec![
        save(iss, DocumentKind::Federation, version, envelope, now),
        Write::PutMeta { name: NOTE.to_owned(), value: format!("{version} {digest}") },
        Write::ForgetFederations { gateway: iss.clone(), keep: VERSIONS_KEPT },
        audit(before, next, deed, now),
    ]
}

/// The ends of pairings that a document settles. One that was accepted here is kept until the other side
/// accepted too, where it can be asked.
pub(super) fn settled_pairings(
    store: &Handle,
    before: Option<&TrustedFederation>,
    next: &TrustedFederation,
) -> Result<Vec<Write>, Fault> {
    let was = |peer: &GatewayId| before?.peer(peer).map(|peer| peer.status);
    let peers = &next.document().peers;
    let mut settled: Vec<GatewayId> = peers
        .iter()
        .filter(|peer| peer.status != PeerStatus::Active && was(&peer.gid) != Some(peer.status))
        .map(|peer| peer.gid.clone())
        .collect();
    let waiting = store.reads().pairings()?.into_iter();
    let unasked = waiting.filter(|row| !row.has_invite() && next.peer(&row.peer).is_some());
    settled.extend(unasked.map(|row| row.peer));
    Ok(settled.into_iter().map(|peer| Write::DropPairing { peer }).collect())
}

fn audit(
    before: Option<&TrustedFederation>,
    next: &TrustedFederation,
    deed: &str,
    now: Timestamp,
) -> Write {
    let change = Difference::between(before.map(TrustedFederation::document), next.document());
    let signers: Vec<&str> = next.verified().signers().map(|kid| kid.as_str()).collect();
    let mut detail = vec![
        ("change", change.summary()),
        ("digest", next.verified().digest().to_string()),
        ("signers", signers.join(" ")),
        ("version", next.document().version.to_string()),
    ];
    if let Some(before) = before {
        detail.push(("from_digest", before.verified().digest().to_string()));
        detail.push(("from_version", before.document().version.to_string()));
    }
    let cut = |text: String| text.chars().take(limit::DETAIL_BYTES_MAX).collect();
    Write::Audit(AuditEvent {
        at: now,
        actor: "admin".to_owned(),
        deed: deed.to_owned(),
        subject: next.document().iss.to_string(),
        detail: detail.into_iter().map(|(name, text)| (name.to_owned(), cut(text))).collect(),
    })
}

/// The stored document, when it is the one that was in force.
///
/// # Errors
///
/// [`TrustError`]: it was edited, taken out, or an older one stands in its place.
//= ID-27
//= ID-28
pub(super) fn load(
    store: &Handle,
    own: &TrustedRoot,
    now: Timestamp,
) -> Result<Option<TrustedFederation>, TrustError> {
    let noted = noted(store)?.filter(|_| !planted!("federation_note_unchecked"));
    let Some(row) = document(store, own.gateway(), DocumentKind::Federation)? else {
        return match noted {
            Some((version, _)) => Err(TrustError::FederationGone { version }),
            None => Ok(None),
        };
    };
    let version_min = noted.map_or(row.version, |(version, _)| version);
    let known = TrustedFederation::open(&parse(&row)?, own, version_min, now)?;
    let digest = known.verified().digest();
    let same_place = known.document().version == row.version;
    let noted_digest = noted.filter(|(version, _)| *version == row.version).map(|(_, at)| at);
    let is_replaced = !same_place || noted_digest.is_some_and(|noted| noted != digest);
    if is_replaced {
        return Err(TrustError::FederationReplaced { version: row.version });
    }
    Ok(Some(known))
}

fn noted(store: &Handle) -> Result<Option<(u64, Digest)>, Fault> {
    let text = store.reads().meta(NOTE)?;
    Ok(text.as_deref().and_then(|text| {
        let (version, digest) = text.split_once(' ')?;
        Some((version.parse().ok()?, digest.parse().ok()?))
    }))
}

/// Why a document was not put back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The store cannot be opened.
    #[error("the store cannot be opened")]
    Open(#[from] OpenError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] Fault),
    /// The document that was handed in is not good.
    #[error("the document is refused")]
    Refused(#[from] FederationError),
    /// What is stored is good.
    #[error("the stored document is as it was signed: version {version}")]
    NothingWrong {
        /// Its version.
        version: u64,
    },
    /// The step was not made.
    #[error("nothing was put back")]
    Step(#[from] StepError),
}

/// The lowest version that puts back what was edited, while the bridge is stopped; an error when
/// nothing is wrong.
///
/// # Errors
///
/// [`RestoreError`].
pub fn next_version(state: &Path, own: &TrustedRoot, now: Timestamp) -> Result<u64, RestoreError> {
    let store = Handle::open(state, &store_options(state))?;
    above_all(&store, own, now)
}

fn above_all(store: &Handle, own: &TrustedRoot, now: Timestamp) -> Result<u64, RestoreError> {
    if let Ok(Some(known)) = load(store, own, now) {
        return Err(RestoreError::NothingWrong { version: known.document().version });
    }
    let stored = document(store, own.gateway(), DocumentKind::Federation)?;
    let stored = stored.map_or(0, |row| row.version);
    let noted = noted(store)?.map_or(0, |(version, _)| version);
    Ok(stored.max(noted).saturating_add(1))
}

/// Puts a document of ours above what was edited, while the bridge is stopped. What was edited stays
/// below it, as it is: it may be asked for.
///
/// # Errors
///
/// [`RestoreError`]: our policy key did not sign it, it is not newer than all that was in force, or
/// nothing is wrong.
pub fn restore(
    state: &Path,
    own: &TrustedRoot,
    envelope: &Envelope,
    now: Timestamp,
) -> Result<u64, RestoreError> {
    let store = Handle::open(state, &store_options(state))?;
    let version_min = above_all(&store, own, now)?;
    let next = TrustedFederation::open(envelope, own, version_min, now)?;
    let version = next.document().version;
    let gateway: GatewayId = own.gateway().clone();
    let stored = document(&store, &gateway, DocumentKind::Federation)?;
    let stored = stored.map(|row| row.version);
    let guard = Guard::DocumentAt { gateway, kind: DocumentKind::Federation, version: stored };
    let writes = writes(None, &next, "federation_restored", now);
    let (batch, held) = Step::new(vec![guard], writes, ()).split();
    let receipt = store.commit_blocking(batch)?;
    held.release(receipt).map_err(StepError::from)?;
    Ok(version)
}
