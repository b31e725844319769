//! Revoking keys of our own, and hearing of peers' revocations.
//!
//! A revocation and the status that tells it are one step: from then on no peer can have the one without
//! the other, and this process signs nothing more with the key. Only the status key signs once more, the
//! status that disowns it; what follows needs a new root.

use landbridge_proto::machine::contract::Write;
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::signer::{KeySigner, Signer as _};
use landbridge_proto::trust::status::TrustedStatus;
use landbridge_proto::wire::document::{Revocation, RevocationReason};
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{KeyId, Timestamp};
use landbridge_store::{Fault, Handle};

use super::{State, Trust, TrustError, leavers};
use crate::core::Core;
use crate::identity::Identity;

/// Where the revocations of our own keys are kept.
const REVOKED_KEYS: &str = "revoked_keys";

/// Why a key of ours is not revoked.
#[derive(Debug, thiserror::Error)]
pub enum NotRevoked {
    /// No root of ours names it.
    #[error("no root of this gateway names the key {kid}")]
    NotOurs {
        /// The key.
        kid: KeyId,
    },
    /// It is a root key: those are replaced, by a new root.
    #[error("{kid} is a root key: it is replaced by a new root, which the others sign")]
    RootKey {
        /// The key.
        kid: KeyId,
    },
    /// It is revoked already, and that stands as it was told.
    #[error("{kid} is revoked already")]
    Already {
        /// The key.
        kid: KeyId,
    },
    /// A revocation counts from a time that is to come.
    #[error("`since` lies in the future")]
    Future,
    /// A status has no room for more.
    #[error("a status tells of at most {} revoked keys", limit::REVOCATIONS_MAX)]
    TooMany,
    /// It was not made durable.
    #[error("the revocation was not made")]
    Trust(#[from] TrustError),
}

impl Trust {
    /// Revokes a key of our own: durable, audited and told in a new status, in one step.
    ///
    /// # Errors
    ///
    /// [`NotRevoked`]; then nothing changed.
    //= ID-60
    pub async fn revoke_key(&self, core: &Core, one: Revocation) -> Result<(), NotRevoked> {
        let _changing = self.changing.lock().await;
        let state = self.state();
        let kid = one.kid.clone();
        let role = role_of(core.identity.present().root(), &kid)
            .ok_or_else(|| NotRevoked::NotOurs { kid: kid.clone() })?;
        if role == Role::Root {
            return Err(NotRevoked::RootKey { kid });
        }
        if one.since > core.now() {
            return Err(NotRevoked::Future);
        }
        let mut revoked = still_told(&state.revoked, core.identity.present().root(), core.now());
        match revoked.binary_search_by(|known| known.kid.cmp(&kid)) {
            Ok(_) => return Err(NotRevoked::Already { kid }),
            Err(_) if revoked.len() >= limit::REVOCATIONS_MAX => return Err(NotRevoked::TooMany),
            Err(at) => revoked.insert(at, one.clone()),
        }
        let (reason, since) = (reason_word(one.reason), one.since.to_string());
        let detail = [("role", role.as_str()), ("reason", reason), ("since", since.as_str())];
        let audit = core.audit("admin", "key_revoked", kid.as_str(), detail);
        let writes = vec![kept(&revoked), audit];
        tracing::warn!(%kid, %role, reason, "a key of our own is revoked");
        self.issue(core, revoked, Vec::new(), writes).await?;
        Ok(())
    }

    /// The keys of ours that are revoked, as our newest status tells them.
    #[must_use]
    pub fn revoked_keys(&self) -> Vec<Revocation> {
        self.state().revoked.clone()
    }
}

impl State {
    /// Whether we revoked a key of our own.
    #[must_use]
    pub fn has_revoked(&self, kid: &KeyId) -> bool {
        self.revoked.iter().any(|one| one.kid == *kid)
    }
}

/// The revocations that a status still has to tell: an entry goes once every root that named the key, and
/// what may still be verified under it, is out of date.
pub(super) fn still_told(
    revoked: &[Revocation],
    root: &TrustedRoot,
    now: Timestamp,
) -> Vec<Revocation> {
    let lives = |one: &Revocation| {
        let mut named = root.roots().filter_map(|root| root.value().keys.get(&one.kid)).peekable();
        match named.peek() {
            Some(_) => named.any(|key| now < key.exp.plus_ms(limit::STATUS_LIFE_MS)),
            // An operator's: until the last credential that lists it is over, everywhere.
            None => now.since_ms(one.since) < leavers::TOLD_MS,
        }
    };
    revoked.iter().filter(|one| lives(one)).cloned().collect()
}

/// The revocations of our own keys, as they are kept; the keys of this process among them sign nothing.
pub(super) fn stored(store: &Handle, identity: &Identity) -> Result<Vec<Revocation>, Fault> {
    let text = store.reads().meta(REVOKED_KEYS)?.unwrap_or_default();
    let revoked: Vec<Revocation> = match serde_json::from_str(&text) {
        Ok(revoked) => revoked,
        Err(_) if text.is_empty() => Vec::new(),
        Err(error) => {
            // Which keys are meant cannot be said: then none of them is trusted to sign.
            tracing::error!(%error, "the revocations of our own keys cannot be read");
            identity.signers().for_each(KeySigner::revoke);
            Vec::new()
        }
    };
    revoked.iter().for_each(|one| withdraw(identity, &one.kid));
    Ok(revoked)
}

pub(super) fn kept(revoked: &[Revocation]) -> Write {
    let value = serde_json::to_string(revoked).unwrap_or_default();
    Write::PutMeta { name: REVOKED_KEYS.to_owned(), value }
}

/// The role that a key has, or had, in our roots.
fn role_of(root: &TrustedRoot, kid: &KeyId) -> Option<Role> {
    let roots: Vec<_> = root.roots().collect();
    roots.iter().rev().find_map(|root| {
        let roles = root.value().roles.iter();
        roles.into_iter().find(|(_, held)| held.keyids.contains(kid)).map(|(role, _)| *role)
    })
}

/// Has a key of this identity sign nothing any more, if it is one.
pub(crate) fn withdraw(identity: &Identity, kid: &KeyId) {
    identity.signers().filter(|signer| signer.kid() == kid).for_each(KeySigner::revoke);
}

/// What a peer revoked that it had not before.
pub(super) fn news<'a>(
    known: &'a PeerView,
    view: &'a PeerView,
) -> impl Iterator<Item = (&'a KeyId, RevocationReason, Timestamp)> {
    let told = view.status().into_iter().flat_map(TrustedStatus::revocations);
    told.filter(|(kid, _)| known.revocation(kid).is_none())
        .map(|(kid, revoked)| (kid, revoked.reason, revoked.since))
}

/// The word on the wire.
#[must_use]
pub const fn reason_word(reason: RevocationReason) -> &'static str {
    match reason {
        RevocationReason::Compromised => "compromised",
        RevocationReason::Retired => "retired",
        RevocationReason::Superseded => "superseded",
    }
}
