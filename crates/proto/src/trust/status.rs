//! What a gateway last said about itself, and what it can no longer take back.
//!
//! A status makes trust perishable: without a fresh one nothing is started or released. It only ever
//! goes forward, so that nobody can replay an old one to bring a revoked key back, and a revocation
//! that was received once stays.

use std::collections::{BTreeMap, BTreeSet};

use landbridge_planted::planted;

use super::root::{TrustedRoot, role_keys};
use super::verified::{Verified, VerifyError, verify};
use crate::wire::digest::Digest;
use crate::wire::document::{RevocationReason, Status};
use crate::wire::envelope::Envelope;
use crate::wire::kind::Role;
use crate::wire::limit;
use crate::wire::name::{GatewayId, KeyId, Timestamp};

/// A gateway's newest status, and every revocation that it ever told.
#[derive(Clone, Debug)]
pub struct TrustedStatus {
    newest: Verified<Status>,
    revoked: BTreeMap<KeyId, Revoked>,
}

/// A revocation as it reached this gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Revoked {
    /// When it arrived: from then on the key signs nothing.
    pub received: Timestamp,
    /// Why, in the owner's words.
    pub reason: RevocationReason,
    /// Since when, in the owner's words: what was received between the two is disputed.
    pub since: Timestamp,
}

/// What is wrong with a status.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StatusError {
    /// Not signed as it must be.
    #[error("the status does not verify")]
    Unverified(#[source] VerifyError),
    /// Another gateway's.
    #[error("a status of {found}, not of {expected}")]
    Foreign {
        /// The gateway expected.
        expected: GatewayId,
        /// The gateway found.
        found: GatewayId,
    },
    /// Issued beyond the clock's tolerance.
    #[error("status {seq} was issued in the future")]
    IssuedInFuture {
        /// Its number.
        seq: i64,
    },
    /// Expired.
    #[error("the status expired at {expires}")]
    Expired {
        /// When.
        expires: Timestamp,
    },
    /// Older than one already seen.
    #[error("status {found} is older than {have}")]
    WentBack {
        /// The newest number seen.
        have: i64,
        /// The number found.
        found: i64,
    },
    /// Two statuses with one number: the gateway said two things at once.
    #[error("two statuses with the number {seq}")]
    Equivocated {
        /// The number.
        seq: i64,
        /// The digest of the one seen first.
        first: Digest,
        /// The digest of the other.
        other: Digest,
    },
    /// An incarnation before one already seen, or another beginning for the same.
    #[error("incarnation {found} does not follow {have}")]
    IncarnationWentBack {
        /// The newest incarnation seen.
        have: u64,
        /// The incarnation found.
        found: u64,
    },
    /// A root version before one already seen.
    #[error("root version {found} is older than {have}")]
    RootWentBack {
        /// The newest version told.
        have: u64,
        /// The version found.
        found: u64,
    },
    /// Speaks of a root that must be fetched first.
    #[error("the status speaks of root {told}, and root {have} is known")]
    RootUnknown {
        /// The newest version known.
        have: u64,
        /// The version told.
        told: u64,
    },
    /// With it, more ids that no root names were revoked lately than anybody has.
    #[error("more than {max} ids that no root names were revoked lately")]
    TooManyRevocations {
        /// So many are remembered.
        max: usize,
    },
    /// Speaks of another root of a known version: the chain was forked.
    #[error("the status speaks of another root {version}")]
    RootForked {
        /// The version.
        version: u64,
    },
}

impl TrustedStatus {
    /// Takes the first status that is seen of a gateway.
    ///
    /// # Errors
    ///
    /// Returns the first fault.
    pub fn first(
        envelope: &Envelope,
        chain: &TrustedRoot,
        now: Timestamp,
    ) -> Result<Self, StatusError> {
        let newest = check(envelope, chain, now)?;
        let mut taken = Self { newest, revoked: BTreeMap::new() };
        taken.keep_revocations(now);
        Ok(taken)
    }

    /// Takes a status that must not be older than this one; the same again changes nothing.
    ///
    /// # Errors
    ///
    /// Returns the first fault. This status stays as it is.
    pub fn advance(
        &self,
        envelope: &Envelope,
        chain: &TrustedRoot,
        now: Timestamp,
    ) -> Result<Self, StatusError> {
        if let Some(signature) = envelope
            .signatures()
            .iter()
            .find(|signature| self.revoked.contains_key(signature.keyid()))
        {
            let kid = signature.keyid().clone();
            return Err(StatusError::Unverified(VerifyError::SignedWithRevokedKey { kid }));
        }
        let next = check(envelope, chain, now)?;
        self.check_follows(&next, chain)?;
        let revoked =
            if planted!("revocation_forgotten") { BTreeMap::new() } else { self.revoked.clone() };
        let mut taken = Self { newest: next, revoked };
        taken.keep_revocations(now);
        let young = now.plus_ms(-limit::CREDENTIAL_LIFE_MS_MAX - limit::CLOCK_SKEW_MS_MAX);
        if taken.forget_foreign(chain, young) && !planted!("revocations_unbounded") {
            //= ID-82
            return Err(StatusError::TooManyRevocations { max: limit::REVOCATIONS_KEPT_MAX });
        }
        Ok(taken)
    }

    /// Takes back what this gateway kept: the newest status, when it arrived, and the revocations.
    ///
    /// # Errors
    ///
    /// [`StatusError::Unverified`] when no root of the chain vouches for it.
    pub fn restore(
        envelope: &Envelope,
        received: Timestamp,
        revoked: impl IntoIterator<Item = (KeyId, Revoked)>,
        chain: &TrustedRoot,
    ) -> Result<Self, StatusError> {
        let mut fault = VerifyError::StatusMissing;
        for root in chain.roots().rev() {
            let keys = role_keys(root.value(), Role::Status);
            match verify::<Status>(envelope, &keys, received) {
                Ok(newest) => {
                    check_issuer(&newest, chain)?;
                    if planted!("no_status_is_taken") {
                        break;
                    }
                    let mut taken = Self { newest, revoked: revoked.into_iter().collect() };
                    taken.keep_revocations(received);
                    return Ok(taken);
                }
                Err(found) => fault = found,
            }
        }
        Err(StatusError::Unverified(fault))
    }

    /// This status, with the revocations that an earlier one told: what was told first stays.
    #[must_use]
    pub fn remembering(mut self, earlier: Self, chain: &TrustedRoot) -> Self {
        self.revoked.extend(earlier.revoked);
        self.forget_foreign(chain, Timestamp(i64::MAX));
        self
    }

    /// Checks that the status is good at `now`, and that its signer still has the role.
    ///
    /// # Errors
    ///
    /// [`VerifyError::StatusStale`], or [`VerifyError::StatusMissing`] when a newer root took the
    /// role from the signer.
    pub fn check_fresh(&self, chain: &TrustedRoot, now: Timestamp) -> Result<(), VerifyError> {
        let expires = self.newest.value().expires;
        if now >= expires && !planted!("status_expiry_unchecked") {
            return Err(VerifyError::StatusStale { expires });
        }
        let holders = holders(chain);
        if planted!("status_role_kept") {
            return Ok(());
        }
        let still = self
            .newest
            .signers()
            .all(|kid| holders.contains(kid) && !self.revoked.contains_key(kid));
        if still { Ok(()) } else { Err(VerifyError::StatusMissing) }
    }

    /// The newest status.
    #[must_use]
    pub const fn newest(&self) -> &Verified<Status> {
        &self.newest
    }

    /// The revocation of a key, if its owner ever told one.
    #[must_use]
    pub fn revocation(&self, kid: &KeyId) -> Option<&Revoked> {
        self.revoked.get(kid)
    }

    /// Every revocation ever told.
    pub fn revocations(&self) -> impl Iterator<Item = (&KeyId, &Revoked)> {
        self.revoked.iter()
    }

    //= ID-18
    fn check_follows(
        &self,
        next: &Verified<Status>,
        chain: &TrustedRoot,
    ) -> Result<(), StatusError> {
        let (have, found) = (self.newest.value(), next.value());
        // Whoever stole a status key may have numbered far ahead: the root that takes the key away also
        // ends its numbering. Statuses under the former root gain nothing by it.
        //= ID-20
        let renumbered = found.root_version > have.root_version
            && holders_at(chain, found.root_version) != holders_at(chain, have.root_version);
        if !renumbered {
            if found.seq < have.seq && !planted!("status_seq_unchecked") {
                return Err(StatusError::WentBack { have: have.seq, found: found.seq });
            }
            let other = next.digest() != self.newest.digest();
            if found.seq == have.seq && other && !planted!("status_twice_unchecked") {
                //= ID-19
                return Err(StatusError::Equivocated {
                    seq: found.seq,
                    first: self.newest.digest(),
                    other: next.digest(),
                });
            }
        }
        let (was, is) = (have.incarnation, found.incarnation);
        let same = is.n == was.n && is.since == was.since;
        let later = is.n > was.n && is.since >= was.since;
        if !same && !later {
            return Err(StatusError::IncarnationWentBack { have: was.n, found: is.n });
        }
        if found.root_version < have.root_version {
            return Err(StatusError::RootWentBack {
                have: have.root_version,
                found: found.root_version,
            });
        }
        Ok(())
    }

    fn keep_revocations(&mut self, received: Timestamp) {
        for one in &self.newest.value().revoked {
            let first = Revoked { received, reason: one.reason, since: one.since };
            self.revoked.entry(one.kid.clone()).or_insert(first);
        }
    }

    /// Whoever names other ids all day long, of operators or of nobody, must not fill a receiver's memory:
    /// of those that no root names, the oldest go, unless they arrived after `young`: what such an id signed
    /// may still be shown. Says whether there are too many all the same.
    fn forget_foreign(&mut self, chain: &TrustedRoot, young: Timestamp) -> bool {
        if self.revoked.len() <= limit::REVOCATIONS_KEPT_MAX {
            return false;
        }
        let told: BTreeSet<&KeyId> =
            self.newest.value().revoked.iter().map(|one| &one.kid).collect();
        let foreign = self.revoked.iter().filter(|(kid, _)| !chain.names(kid));
        let over = foreign.clone().count().saturating_sub(limit::REVOCATIONS_KEPT_MAX);
        let mut old: Vec<(Timestamp, KeyId)> = foreign
            .filter(|(kid, revoked)| !told.contains(kid) && revoked.received < young)
            .map(|(kid, revoked)| (revoked.received, kid.clone()))
            .collect();
        old.sort_unstable();
        old.truncate(over);
        for (_, kid) in &old {
            self.revoked.remove(kid);
        }
        old.len() < over
    }
}

fn check(
    envelope: &Envelope,
    chain: &TrustedRoot,
    now: Timestamp,
) -> Result<Verified<Status>, StatusError> {
    let keys = role_keys(chain.root(), Role::Status);
    let status = verify::<Status>(envelope, &keys, now).map_err(StatusError::Unverified)?;
    check_issuer(&status, chain)?;
    let told = status.value();
    let future = told.issued > now.plus_ms(limit::CLOCK_SKEW_MS_MAX);
    if future && !planted!("status_of_the_future") {
        //= ID-17
        return Err(StatusError::IssuedInFuture { seq: told.seq });
    }
    if now >= told.expires && !planted!("status_expiry_unchecked") {
        //= ID-16
        return Err(StatusError::Expired { expires: told.expires });
    }
    //= ID-15
    match chain.digest_of(told.root_version) {
        Some(digest) if digest == told.root && planted!("no_status_is_taken") => {
            Err(StatusError::Unverified(VerifyError::StatusMissing))
        }
        Some(digest) if digest == told.root => Ok(status),
        Some(_) => Err(StatusError::RootForked { version: told.root_version }),
        None => Err(StatusError::RootUnknown { have: chain.version(), told: told.root_version }),
    }
}

//= ID-15
fn check_issuer(status: &Verified<Status>, chain: &TrustedRoot) -> Result<(), StatusError> {
    let found = &status.value().iss;
    if found != chain.gateway() && !planted!("status_issuer_unchecked") {
        return Err(StatusError::Foreign {
            expected: chain.gateway().clone(),
            found: found.clone(),
        });
    }
    Ok(())
}

/// Who has the status role in the root of this version.
fn holders_at(chain: &TrustedRoot, version: u64) -> BTreeSet<KeyId> {
    let root = chain.roots().map(Verified::value).find(|root| root.version == version);
    root.map(|root| role_keys(root, Role::Status).kids().cloned().collect()).unwrap_or_default()
}

fn holders(chain: &TrustedRoot) -> BTreeSet<KeyId> {
    role_keys(chain.root(), Role::Status).kids().cloned().collect()
}

#[cfg(test)]
mod tests;
