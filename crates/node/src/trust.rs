//! Whom this bridge knows, and what it says of itself: verified documents, kept in the store.
//!
//! The state is replaced as a whole, after what it was made of is durable. Readers take a snapshot and
//! judge one request by one state, so no request sees half of a change.

pub mod document;
mod federation;
mod history;
mod learn;
pub(crate) mod leavers;
pub mod members;
mod renewed;
mod revoke;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use landbridge_proto::machine::admission::seen_of;
use landbridge_proto::machine::contract::{DocumentKind, Guard, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::federation::{FederationError, TrustedFederation};
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::root::RootError;
use landbridge_proto::trust::signer::{SignError, Signer as _};
use landbridge_proto::trust::status::StatusError;
use landbridge_proto::trust::witness::WentBack;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::status::InvalidStatus;
use landbridge_proto::wire::document::{
    AuditHead, FormVersion, Incarnation, Revocation, Status, raw,
};
use landbridge_proto::wire::envelope::{Envelope, InvalidEnvelope};
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{Alias, GatewayId, KeyId, Timestamp};
use landbridge_proto::wire::stream::Seen;
use landbridge_store::{Fault, Handle};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use self::revoke::withdraw;
pub use self::revoke::{NotRevoked, reason_word};
pub(crate) use self::stored::{
    INCARNATION, incarnation_text, kept_statuses, parse_incarnation, row, save, stored_view,
};
use self::stored::{incarnation, parse, quarantined, rolled_back};
use landbridge_planted::planted;

use crate::core::{Core, StepError, chained};
use crate::evidence::Found;
use crate::identity::Identity;
use crate::rollback::{self, RolledBack};

/// A new status is issued when this much of the old one's life is left, in milliseconds.
const STATUS_REFRESH_MS: i64 = limit::STATUS_LIFE_MS / 2;

/// What is known at one moment.
#[derive(Clone, Debug)]
pub struct State {
    /// Our federation document, if there is one yet.
    pub federation: Option<TrustedFederation>,
    /// Our pinned peers.
    pub peers: BTreeMap<GatewayId, PeerView>,
    /// Peers that contradicted themselves under their own signatures.
    pub quarantined: BTreeSet<GatewayId>,
    /// Members of federation roots for whom no membership counts.
    pub unvouched: BTreeSet<GatewayId>,
    /// Our newest status.
    pub status: Option<Envelope>,
    /// What our newest status says of us.
    pub issued: Seen,
    /// The root of ours that our newest status names.
    pub status_root: Option<Digest>,
    /// Until when our newest status is good.
    pub status_expires: Timestamp,
    /// Keys of our own that are revoked, by id.
    pub revoked: Vec<Revocation>,
    /// Which life of this gateway this is.
    pub incarnation: Incarnation,
    /// That this gateway lost history; then it waits for a person.
    pub rolled_back: Option<RolledBack>,
    /// Peers that told of an audit log which contradicts what they told before.
    pub went_back: BTreeMap<GatewayId, WentBack>,
    /// Peers of whom something that is kept cannot be used, and why: nothing is done with them.
    pub unusable: BTreeMap<GatewayId, String>,
    /// Why our own audit log is not the one that our newest status told of, when this process began.
    pub audit_altered: Option<String>,
}

/// The present state, and the right to replace it.
#[derive(Debug)]
pub struct Trust {
    state: RwLock<Arc<State>>,
    /// The numbers of all our statuses, those of earlier processes included.
    issued: RwLock<BTreeSet<u64>>,
    /// The number of this process's first status: what came before it may be forgotten.
    first: OnceLock<u64>,
    /// Peers that told what they kept from before it.
    compared: RwLock<BTreeSet<GatewayId>>,
    halted: CancellationToken,
    /// How often peers tell something, and how much of it is recorded.
    heard: learn::Heard,
    /// For each peer, held while it is asked for roots that somebody misses.
    renewing: renewed::Renewing,
    /// Counts the replacements of the state.
    changed: watch::Sender<u64>,
    /// Held while the state is replaced; when a peer's status last used the store's reserve.
    changing: Mutex<BTreeMap<GatewayId, Timestamp>>,
}

/// Why stored trust cannot be used, or a change was refused.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] Fault),
    /// A stored document is not an envelope.
    #[error("a stored {kind} of {gateway} cannot be read")]
    Unreadable {
        /// Of what kind.
        kind: DocumentKind,
        /// Of whom.
        gateway: GatewayId,
        /// Why.
        #[source]
        fault: InvalidEnvelope,
    },
    /// The federation document does not verify.
    #[error("the federation document is refused")]
    Federation(#[from] FederationError),
    /// The document that was in force is not there any more.
    #[error("federation document {version} was in force, and is gone from the database")]
    FederationGone {
        /// Its version.
        version: u64,
    },
    /// Another document stands in the place of the one that was in force.
    #[error("federation document {version} is not the one that was put in force")]
    FederationReplaced {
        /// Its version.
        version: u64,
    },
    /// It is signed by a policy key that we revoked.
    #[error("the policy key {kid} is revoked; make a new one: landbridge key rotate policy --now")]
    RevokedPolicyKey {
        /// The key.
        kid: KeyId,
    },
    /// It enrols a key that was taken from an operator: peers refuse it for good.
    #[error("key {kid} was taken from an operator, and is refused for good; enrol another key")]
    RevokedOperatorKey {
        /// The key.
        kid: KeyId,
    },
    /// So many keys are taken away that a status cannot tell of all of them.
    #[error("a status tells of at most {} revoked keys", limit::REVOCATIONS_MAX)]
    TooManyRevocations,
    /// It takes a revocation back.
    #[error("{alias} is revoked for good; pair anew: landbridge peer invite, then peer accept")]
    StaysRevoked {
        /// The peer.
        alias: Alias,
    },
    /// A peer's roots do not verify.
    #[error("the roots of {gateway} are refused")]
    Root {
        /// Of whom.
        gateway: GatewayId,
        /// Why.
        #[source]
        fault: Box<RootError>,
    },
    /// A peer's status does not verify.
    #[error("the status of {gateway} is refused")]
    Status {
        /// Of whom.
        gateway: GatewayId,
        /// Why.
        #[source]
        fault: Box<StatusError>,
    },
    /// A peer tells news of itself far more often than anybody has any.
    #[error("{gateway} tells news of itself too often")]
    TooOften {
        /// Who.
        gateway: GatewayId,
    },
    /// Our own status does not fit together.
    #[error("our own status does not fit together")]
    OwnStatus(#[from] InvalidStatus),
    /// Our key did not sign.
    #[error("our own status was not signed")]
    Sign(#[from] SignError),
    /// The change was not made.
    #[error("the change was not made durable")]
    Step(#[from] StepError),
}

impl TrustError {
    /// Whether our own federation document is what is wrong: edited, gone or replaced.
    #[must_use]
    pub const fn is_of_own_document(&self) -> bool {
        matches!(
            self,
            Self::Federation(_) | Self::FederationGone { .. } | Self::FederationReplaced { .. }
        ) || matches!(self, Self::Unreadable { kind: DocumentKind::Federation, .. })
    }

    /// Whether there was no room for the change; that is said elsewhere, once.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::Step(StepError::Full))
    }
}

impl State {
    /// A pinned peer that may be talked to now.
    #[must_use]
    pub fn active(&self, peer: &GatewayId) -> bool {
        let pinned = self.federation.as_ref().and_then(|document| document.active_peer(peer));
        //= ID-70
        let is_shut = self.quarantined.contains(peer)
            || self.unvouched.contains(peer)
            || self.unusable.contains_key(peer);
        pinned.is_some() && !is_shut
    }

    /// The newest of a peer that we know, to be told to it.
    #[must_use]
    pub fn seen(&self, peer: &GatewayId) -> Seen {
        let status = self.peers.get(peer).and_then(PeerView::status);
        status.map(|status| seen_of(status.newest().value())).unwrap_or_default()
    }
}

impl Trust {
    /// Reads what was kept.
    ///
    /// # Errors
    ///
    /// [`TrustError`]: a document that does not verify any more keeps the bridge from starting.
    pub fn load(identity: &Identity, store: &Handle, now: Timestamp) -> Result<Self, TrustError> {
        let own = identity.gateway();
        let federation = document::load(store, identity.root(), now)?;
        let federation =
            federation.map(|known| members::with_kept(store, known, now)).transpose()?;
        let mut state = State {
            federation: None,
            peers: BTreeMap::new(),
            quarantined: BTreeSet::new(),
            unvouched: BTreeSet::new(),
            status: None,
            issued: Seen::default(),
            status_expires: Timestamp(0),
            status_root: None,
            revoked: revoke::stored(store, identity)?,
            incarnation: incarnation(store, now)?,
            rolled_back: rolled_back(store, own, now)?,
            went_back: BTreeMap::new(),
            unusable: BTreeMap::new(),
            audit_altered: stored::audit_altered(store, identity.root())?,
        };
        if let Some(row) = stored::document(store, own, DocumentKind::Status)? {
            state.issued = Seen { n: state.incarnation.n, seq: row.version };
        }
        if let Some(what) = &state.audit_altered {
            tracing::error!(what, "the audit log was changed behind this bridge's back");
        }
        state.quarantined = quarantined(store)?;
        install(store, &mut state, federation)?;
        members::find_unvouched(&mut state, now);
        let halted = CancellationToken::new();
        if state.rolled_back.is_some() {
            halted.cancel();
        }
        Ok(Self {
            state: RwLock::new(Arc::new(state)),
            changing: Mutex::default(),
            heard: learn::Heard::default(),
            renewing: renewed::Renewing::default(),
            first: OnceLock::new(),
            compared: RwLock::default(),
            issued: RwLock::new(rollback::issued(store, own)?.into_iter().collect()),
            halted,
            changed: watch::Sender::new(0),
        })
    }

    /// The present state.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Tells of every change of the state from now on.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Issues a new status of ours, when the present one is about to lose half of its life.
    ///
    /// # Errors
    ///
    /// [`TrustError`]; the present status stays.
    pub async fn refresh_status(&self, core: &Core) -> Result<(), TrustError> {
        let _changing = self.changing.lock().await;
        let state = self.state();
        let now = core.now();
        let identity = core.identity.present();
        let signer = identity.signer(Role::Status, now)?.kid().clone();
        let is_young = state.status_expires.since_ms(now) > STATUS_REFRESH_MS;
        let says_root = state.status_root == Some(identity.root().digest());
        let by = |status: &Envelope| status.signatures().iter().any(|one| *one.keyid() == signer);
        //= ID-51
        if state.status.as_ref().is_some_and(by) && is_young && says_root {
            return Ok(());
        }
        let told = revoke::still_told(&state.revoked, identity.root(), now);
        let writes = match told.len() == state.revoked.len() {
            true => Vec::new(),
            false => vec![revoke::kept(&told)],
        };
        self.issue(core, told, Vec::new(), writes).await
    }

    /// Issues a new status that tells of these revocations, with what belongs to the same step. Whoever
    /// calls it holds the right to change.
    async fn issue(
        &self,
        core: &Core,
        revoked: Vec<Revocation>,
        guards: Vec<Guard>,
        mut writes: Vec<Write>,
    ) -> Result<(), TrustError> {
        let (state, identity) = (self.state(), core.identity.present());
        let now = core.now();
        //= ID-17
        let seq = now.0.max(i64::try_from(state.issued.seq).unwrap_or(i64::MAX).saturating_add(1));
        let (size, head) = core.store.reads().audit_head()?;
        let root = identity.root();
        let status = Status::try_from(raw::Status {
            audit: AuditHead { head, size },
            expires: Timestamp(seq).plus_ms(limit::STATUS_LIFE_MS),
            incarnation: state.incarnation,
            iss: core.own().clone(),
            issued: Timestamp(seq),
            refresh_ms: STATUS_REFRESH_MS,
            revoked: revoked.clone(),
            root: root.digest(),
            root_version: root.version(),
            seq,
            v: FormVersion,
        })?;
        let envelope = identity.sign(&status, now)?;
        let row = row(core.own(), DocumentKind::Status, status.seq.unsigned_abs(), &envelope, now);
        //= ID-44
        writes.extend([Write::SaveDocument(row), Write::Clock(now)]);
        // Without a fresh status nobody could read what is here.
        core.commit(Step::new(guards, writes, ()).with_reserve()).await?;
        // Before anybody is told.
        //= ID-60
        revoked.iter().for_each(|one| revoke::withdraw(&identity, &one.kid));
        let issued = seen_of(&status);
        self.issued.write().unwrap_or_else(PoisonError::into_inner).insert(issued.seq);
        let _ = self.first.get_or_init(|| issued.seq);
        let status_expires = status.expires;
        self.replace(State {
            status: Some(envelope),
            issued,
            status_expires,
            status_root: Some(root.digest()),
            revoked,
            ..State::clone(&self.state())
        });
        core.wakes.wake_all();
        Ok(())
    }

    /// Stops talking to a peer that contradicted itself under its own signatures, and keeps the
    /// evidence in the same batch.
    ///
    /// # Errors
    ///
    /// [`TrustError`] when the decision cannot be made durable; it is in force all the same.
    pub async fn quarantine(
        &self,
        core: &Core,
        peer: &GatewayId,
        found: &Found,
    ) -> Result<(), TrustError> {
        //= STR-24
        let why = found.story();
        tracing::error!(%peer, why, "peer quarantined: it contradicted itself under its signature");
        let _changing = self.changing.lock().await;
        let mut state = State::clone(&self.state());
        state.quarantined.insert(peer.clone());
        let marked = mark(&state);
        let view = state.peers.get(peer).cloned();
        self.replace(state);
        core.wakes.wake_all();
        let row = view.and_then(|view| match found.row(&view, core.now()) {
            Ok(row) => Some(row),
            Err(error) => {
                tracing::error!(%peer, %error, "the evidence would convince nobody else");
                None
            }
        });
        let id = row.as_ref().map_or("none", |row| row.id.as_str());
        let detail = [("why", why), ("evidence", id)];
        let mut writes =
            vec![marked, core.audit("bridge", "peer_quarantined", peer.as_str(), detail)];
        //= STR-47
        writes.extend(row.map(Write::KeepEvidence));
        core.commit(Step::new(Vec::new(), writes, ()).with_reserve()).await?;
        Ok(())
    }

    /// Ends a quarantine: the word of a person. `false` when there was none. The evidence stays.
    ///
    /// # Errors
    ///
    /// [`TrustError`] when the decision cannot be made durable; the quarantine then stays.
    //= STR-25
    pub async fn lift(
        &self,
        core: &Core,
        peer: &GatewayId,
        because: &str,
    ) -> Result<bool, TrustError> {
        let _changing = self.changing.lock().await;
        let mut state = State::clone(&self.state());
        if !state.quarantined.remove(peer) {
            return Ok(false);
        }
        let detail = [("because", because)];
        let audit = core.audit("admin", "quarantine_lifted", peer.as_str(), detail);
        core.commit(Step::new(Vec::new(), vec![mark(&state), audit], ())).await?;
        // Nothing else replaces the state meanwhile: whoever does holds the same lock.
        self.replace(state);
        core.wakes.wake_all();
        Ok(true)
    }
}

/// The quarantined peers, as they are kept.
fn mark(state: &State) -> Write {
    let names: Vec<&str> = state.quarantined.iter().map(GatewayId::as_str).collect();
    Write::PutMeta { name: QUARANTINED.to_owned(), value: names.join(" ") }
}

const QUARANTINED: &str = "quarantined";

/// Puts a federation document into a state, with the views of the peers that it pins.
fn install(
    store: &Handle,
    state: &mut State,
    federation: Option<TrustedFederation>,
) -> Result<(), TrustError> {
    let mut peers = BTreeMap::new();
    state.unusable.clear();
    for peer in federation.iter().flat_map(|document| &document.document().peers) {
        // Also of a revoked one: it is told so under our signature, and what it signed stays judged.
        let view = match state.peers.remove(&peer.gid) {
            Some(view) => Some(view),
            None => stored_peer(store, state, &peer.gid)?,
        };
        if let Some(view) = view {
            peers.insert(peer.gid.clone(), view.at_least(peer.min_root_version));
        }
    }
    state.federation = federation;
    state.peers = peers;
    Ok(())
}

/// A peer as it was kept. One record of one peer that cannot be used makes that peer unusable, and nobody
/// else.
fn stored_peer(
    store: &Handle,
    state: &mut State,
    gateway: &GatewayId,
) -> Result<Option<PeerView>, TrustError> {
    match stored::kept(store, gateway) {
        Ok(kept) => Ok(kept.map(|kept| {
            state.went_back.extend(kept.went_back.map(|found| (gateway.clone(), found)));
            kept.view
        })),
        Err(fault @ TrustError::Store(_)) => Err(fault),
        Err(fault) if planted!("one_record_stops_all") => Err(fault),
        Err(fault) => {
            let why = chained(&fault);
            tracing::error!(peer = %gateway, why, "what is kept of a peer cannot be used");
            state.unusable.insert(gateway.clone(), why);
            Ok(None)
        }
    }
}
