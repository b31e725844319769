//! One gateway as another sees it: its keys, its freshness, and what it signed.
//!
//! Callers do not choose keys. They name the type that they expect, and the view finds the role that
//! may sign it, refuses revoked keys, and refuses everything while root or status are not fresh.

use serde::Serialize;
use serde::de::DeserializeOwned;

use landbridge_planted::planted;

use super::recorded::{RecordedError, Stated, verify_stated};
use super::root::{RootError, TrustedRoot};
use super::status::{Revoked, StatusError, TrustedStatus};
use super::verified::{Verified, VerifyError, verify};
use crate::wire::envelope::Envelope;
use crate::wire::kind::{Kind, PayloadKind, SignedBy};
use crate::wire::name::{GatewayId, KeyId, Timestamp};

/// What is known of one gateway.
#[derive(Clone, Debug)]
pub struct PeerView {
    chain: TrustedRoot,
    status: Option<TrustedStatus>,
    root_version_min: u64,
}

impl PeerView {
    /// A gateway whose chain is known; nothing it signed verifies before its status is.
    #[must_use]
    pub const fn new(chain: TrustedRoot) -> Self {
        Self { chain, status: None, root_version_min: 1 }
    }

    /// A gateway as this one kept it.
    #[must_use]
    pub const fn restore(chain: TrustedRoot, status: Option<TrustedStatus>) -> Self {
        Self { chain, status, root_version_min: 1 }
    }

    /// The view under which no root before this version is good any more, as the federation document
    /// says of a peer.
    #[must_use]
    pub const fn at_least(mut self, root_version_min: u64) -> Self {
        self.root_version_min = root_version_min;
        self
    }

    /// The view with newer roots.
    ///
    /// # Errors
    ///
    /// As [`TrustedRoot::advance`]; this view stays as it is.
    pub fn with_roots(&self, newer: &[Envelope], now: Timestamp) -> Result<Self, RootError> {
        Ok(Self { chain: self.chain.advance(newer, now)?, ..self.clone() })
    }

    /// The view with the newer roots of a chain that its gateway shows whole.
    ///
    /// # Errors
    ///
    /// As [`TrustedRoot::advance_whole`]; this view stays as it is.
    pub fn with_chain(&self, chain: &[Envelope], now: Timestamp) -> Result<Self, RootError> {
        Ok(Self { chain: self.chain.advance_whole(chain, now)?, ..self.clone() })
    }

    /// The view with a newer status, or with the same.
    ///
    /// # Errors
    ///
    /// As [`TrustedStatus::advance`]; this view stays as it is.
    pub fn with_status(&self, envelope: &Envelope, now: Timestamp) -> Result<Self, StatusError> {
        let status = match &self.status {
            Some(status) => status.advance(envelope, &self.chain, now)?,
            None => TrustedStatus::first(envelope, &self.chain, now)?,
        };
        Ok(Self { status: Some(status), ..self.clone() })
    }

    /// Verifies something that the gateway signed, as of now.
    ///
    /// Roots and statuses do not come this way, and neither do kinds that no role of a gateway signs.
    ///
    /// # Errors
    ///
    /// Refuses everything while root or status are not fresh, signatures by revoked keys, and what
    /// [`verify`] refuses.
    pub fn verify<T: PayloadKind + Serialize + DeserializeOwned>(
        &self,
        envelope: &Envelope,
        now: Timestamp,
    ) -> Result<Verified<T>, VerifyError> {
        //= ID-21
        //= STR-15
        if !planted!("stale_trusted") {
            self.check_fresh(now)?;
        }
        self.verify_recorded(envelope, now)
    }

    /// Verifies something that the gateway signed at `at`, against what is known of it now: for a
    /// recorded exchange. Freshness is not judged; revoked keys are refused from the moment at which
    /// their revocation arrived.
    ///
    /// # Errors
    ///
    /// As [`PeerView::verify`].
    pub fn verify_recorded<T: PayloadKind + Serialize + DeserializeOwned>(
        &self,
        envelope: &Envelope,
        at: Timestamp,
    ) -> Result<Verified<T>, VerifyError> {
        let kind = T::KIND;
        let SignedBy::Role(role) = kind.signed_by() else {
            return Err(VerifyError::NotFromAGateway { kind });
        };
        if matches!(kind, Kind::Root | Kind::Status) {
            return Err(VerifyError::NotFromAGateway { kind });
        }
        for signature in envelope.signatures() {
            let kid = signature.keyid();
            let revoked = self.revocation(kid).is_some_and(|revoked| {
                if planted!("revocation_backdated") {
                    revoked.since <= at
                } else {
                    revoked.received <= at
                }
            });
            if revoked && !planted!("revoked_trusted") {
                //= ID-22
                return Err(VerifyError::SignedWithRevokedKey { kid: kid.clone() });
            }
        }
        if planted!("retired_keys_trusted")
            && let Some(first) = self.chain.roots().next()
        {
            return verify(envelope, &super::root::role_keys(first.value(), role), at);
        }
        //= ID-30
        let keys = self.chain.keys(role).ok_or(VerifyError::RoleMissing { role })?;
        let verified = verify(envelope, keys, at)?;
        if planted!("nothing_of_a_peer_verifies") {
            return Err(VerifyError::StatusMissing);
        }
        Ok(verified)
    }

    /// Verifies something that the gateway made earlier and shows again now: under the root and at the time
    /// that it states, with a key that may have left the newest root meanwhile.
    ///
    /// Such a key vouches for nothing by itself any more. The caller must have taken the very same object
    /// before, or wait until something that a present key signed names it.
    ///
    /// # Errors
    ///
    /// As [`PeerView::verify`]; a revoked key is for the caller to judge.
    //= ID-53
    pub fn verify_made<T: PayloadKind + Serialize + DeserializeOwned>(
        &self,
        envelope: &Envelope,
        now: Timestamp,
        stated: impl Fn(&T) -> Stated,
    ) -> Result<Verified<T>, VerifyError> {
        self.check_fresh(now)?;
        verify_stated(&self.chain, envelope, stated).map_err(|fault| match fault {
            RecordedError::Unverified(fault) => fault,
            RecordedError::NoRoot { .. } => {
                VerifyError::RootTooOld { have: self.chain.version(), min: self.root_version_min }
            }
        })
    }

    /// Checks that root and status are good at `now`.
    ///
    /// # Errors
    ///
    /// Says which of them is not.
    pub fn check_fresh(&self, now: Timestamp) -> Result<(), VerifyError> {
        if self.chain.check_current(now).is_err() {
            return Err(VerifyError::RootExpired { expires: self.chain.root().expires });
        }
        let (have, min) = (self.chain.version(), self.root_version_min);
        if have < min {
            return Err(VerifyError::RootTooOld { have, min });
        }
        let status = self.status.as_ref().ok_or(VerifyError::StatusMissing)?;
        status.check_fresh(&self.chain, now)
    }

    /// The gateway.
    #[must_use]
    pub const fn gateway(&self) -> &GatewayId {
        self.chain.gateway()
    }

    /// Its chain of roots.
    #[must_use]
    pub const fn chain(&self) -> &TrustedRoot {
        &self.chain
    }

    /// Its newest status.
    #[must_use]
    pub const fn status(&self) -> Option<&TrustedStatus> {
        self.status.as_ref()
    }

    /// The revocation of one of its keys.
    #[must_use]
    pub fn revocation(&self, kid: &KeyId) -> Option<&Revoked> {
        self.status.as_ref().and_then(|status| status.revocation(kid))
    }
}

#[cfg(test)]
mod tests;
