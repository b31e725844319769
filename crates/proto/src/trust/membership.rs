//! Whether a membership counts: a federation root's word that a gateway belongs to it.
//!
//! It is judged against the federation document in force and the present, each time that either
//! changes: a root that is not trusted any more vouches for nobody, whatever it signed before. Nothing
//! follows from one but that its gateway may be talked to; what it may ask, a person's grant says.

use super::federation::TrustedFederation;
use super::pairing::is_timely;
use super::signer::{SignError, Signer};
use super::verified::{Verified, VerifyError, verify};
use crate::wire::digest::Digest;
use crate::wire::document::{Admission, Membership};
use crate::wire::envelope::{Envelope, InvalidEnvelope};
use crate::wire::kind::Kind;
use crate::wire::limit;
use crate::wire::name::{Alias, GatewayId, TenantId, Timestamp};
use landbridge_planted::planted;

/// A membership that counted when it was opened.
#[derive(Clone, Debug)]
pub struct TrustedMembership {
    membership: Verified<Membership>,
    until: Timestamp,
}

/// Why a membership does not count.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MembershipError {
    /// It names a federation root that this gateway does not know.
    #[error("no federation root is called {name}")]
    NoSuchRoot {
        /// The name.
        name: Alias,
    },
    /// A threshold of the root's keys did not sign it, or its form is wrong.
    #[error("the membership does not verify")]
    Unverified(#[source] VerifyError),
    /// Its time has passed.
    #[error("the membership expired at {at}")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// It was issued in the future.
    #[error("the membership was issued in the future, at {at}")]
    IssuedInFuture {
        /// When.
        at: Timestamp,
    },
    /// It names a tenant that its root may not.
    #[error("federation root {name} may not speak for tenant {tenant}")]
    ForeignTenant {
        /// The root.
        name: Alias,
        /// The tenant.
        tenant: TenantId,
    },
    /// The root has brought as many members as it may.
    #[error("federation root {name} may bring {max} members")]
    TooManyMembers {
        /// The root.
        name: Alias,
        /// How many.
        max: u32,
    },
}

impl TrustedMembership {
    /// Judges a membership by the document in force.
    ///
    /// # Errors
    ///
    /// [`MembershipError`]; whether its root has room for one more is for [`has_room`].
    //= ID-32
    pub fn open(
        envelope: &Envelope,
        federation: &TrustedFederation,
        now: Timestamp,
    ) -> Result<Self, MembershipError> {
        // The claim only says whose keys must have signed it: it is read again after they did.
        let claim = claimed(envelope).map_err(MembershipError::Unverified)?;
        let name = claim.federation.clone();
        let root = federation.federation_root(&name);
        let keys = federation.federation_keys(&name);
        let (Some(root), Some(keys)) = (root, keys) else {
            return Err(MembershipError::NoSuchRoot { name });
        };
        let membership =
            verify::<Membership>(envelope, &keys, now).map_err(MembershipError::Unverified)?;
        let said = membership.value();
        if now >= said.expires && !planted!("membership_expiry_unchecked") {
            return Err(MembershipError::Expired { at: said.expires });
        }
        if said.issued > now.plus_ms(limit::CLOCK_SKEW_MS_MAX) {
            return Err(MembershipError::IssuedInFuture { at: said.issued });
        }
        let foreign = said.tenants.iter().find(|tenant| !root.tenants.contains(*tenant));
        if let Some(tenant) = foreign.filter(|_| !planted!("membership_tenants_unchecked")) {
            return Err(MembershipError::ForeignTenant { name, tenant: tenant.clone() });
        }
        // It counts for no longer than the keys that signed it.
        let key_ends = membership.signers().filter_map(|kid| root.keys.get(kid)).map(|key| key.exp);
        let until = key_ends.min().unwrap_or(said.expires).min(said.expires);
        if planted!("no_membership_counts") {
            return Err(MembershipError::Expired { at: until });
        }
        Ok(Self { membership, until })
    }

    /// The membership.
    #[must_use]
    pub const fn value(&self) -> &Membership {
        self.membership.value()
    }

    /// The membership with its proof.
    #[must_use]
    pub const fn verified(&self) -> &Verified<Membership> {
        &self.membership
    }

    /// From when on it does not count.
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        self.until
    }
}

/// Whether a federation root may bring one more gateway, `waiting` others of it waiting for a person.
/// A gateway that is its member takes no new place.
///
/// # Errors
///
/// [`MembershipError::TooManyMembers`] or [`MembershipError::NoSuchRoot`].
pub fn has_room(
    federation: &TrustedFederation,
    name: &Alias,
    gateway: &GatewayId,
    waiting: usize,
) -> Result<(), MembershipError> {
    let Some(root) = federation.federation_root(name) else {
        return Err(MembershipError::NoSuchRoot { name: name.clone() });
    };
    let taken = federation.document().present_members(root).count().saturating_add(waiting);
    let max = usize::try_from(root.max_members).unwrap_or(usize::MAX);
    if root.members.contains(gateway) || taken < max || planted!("membership_count_unchecked") {
        return Ok(());
    }
    Err(MembershipError::TooManyMembers { name: name.clone(), max: root.max_members })
}

/// An admission for somebody else, of another membership, or out of time.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the admission is not for us, not of this membership or out of time")]
pub struct NotForUs;

/// Checks that an admission is for `own`, by `member` itself, of the membership with this digest, and of this
/// time.
///
/// # Errors
///
/// [`NotForUs`].
//= ID-68
pub fn check_admission(
    said: &Admission,
    own: &GatewayId,
    member: &GatewayId,
    membership: &Digest,
    now: Timestamp,
) -> Result<(), NotForUs> {
    let is_right = said.aud == *own
        && said.iss == *member
        && said.membership == *membership
        && is_timely(said.iat, said.exp, now);
    if is_right || planted!("admission_unbound") { Ok(()) } else { Err(NotForUs) }
}

/// Adds a signature to a membership that somebody else signed already.
///
/// # Errors
///
/// [`CosignError`].
pub fn cosign(
    envelope: Envelope,
    signer: &(impl Signer + ?Sized),
) -> Result<Envelope, CosignError> {
    let again = signer.sign(Kind::Membership, envelope.payload())?;
    Ok(envelope.join(again)?)
}

/// Why a signature was not added.
#[derive(Debug, thiserror::Error)]
pub enum CosignError {
    /// The key did not sign.
    #[error("the key did not sign")]
    Sign(#[from] SignError),
    /// The envelope cannot hold it: the key signed before.
    #[error("the envelope cannot hold another signature of this key")]
    Join(#[from] InvalidEnvelope),
}

/// What a membership says, before anybody verified it: for those who are about to sign it.
///
/// # Errors
///
/// What is wrong with its form.
pub fn claimed(envelope: &Envelope) -> Result<Membership, VerifyError> {
    super::claimed::claimed(envelope)
}

#[cfg(test)]
mod tests;
