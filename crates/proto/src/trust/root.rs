//! A gateway's chain of roots, walked from the first to the newest.
//!
//! Trust in a gateway begins with the digest of its first root, which is its id. Each later root is
//! vouched for by the one before it *and* by itself, so that neither a thief of retired keys nor one
//! of new keys alone can go on with the chain. Expired roots in the middle are walked over: what was
//! decided while they were good stays decided. Root keys are judged at the time that a root says it
//! was issued, which never goes back along the chain; a status cannot revoke root keys, because a
//! stolen status key could then stop the rotation that removes it.

use std::collections::BTreeMap;

use landbridge_planted::planted;

use super::verified::{KeyWindow, RoleKeys, Verified, VerifyError, verify_under};
use crate::wire::digest::Digest;
use crate::wire::document::{Root, gateway_id};
use crate::wire::envelope::Envelope;
use crate::wire::json::canonical;
use crate::wire::kind::{Kind, PayloadKind, Role, SignedBy};
use crate::wire::limit;
use crate::wire::name::{GatewayId, KeyId, Timestamp};

/// A gateway's roots from the first on, each verified.
#[derive(Clone, Debug)]
pub struct TrustedRoot {
    gateway: GatewayId,
    chain: Vec<Verified<Root>>,
    newest: Verified<Root>,
    roles: BTreeMap<Role, RoleKeys>,
}

/// What is wrong with a chain of roots.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RootError {
    /// No root at all.
    #[error("a chain has at least one root")]
    Empty,
    /// The first root belongs to another gateway.
    #[error("expected the first root of {expected}, got that of {found}")]
    ForeignGenesis {
        /// The gateway expected.
        expected: GatewayId,
        /// The gateway found.
        found: GatewayId,
    },
    /// Not the version after the one before.
    #[error("root {found} does not follow root {have}")]
    VersionNotNext {
        /// The version before it; 0 where none is.
        have: u64,
        /// The version found.
        found: u64,
    },
    /// Names another predecessor.
    #[error("root {version} names another predecessor")]
    PrevMismatch {
        /// Its version.
        version: u64,
    },
    /// Issued before the root that it follows.
    #[error("root {version} was issued before the one that it follows")]
    IssuedBeforePrev {
        /// Its version.
        version: u64,
    },
    /// Issued in the future.
    #[error("root {version} was issued in the future")]
    IssuedInFuture {
        /// Its version.
        version: u64,
    },
    /// The newest root has expired.
    #[error("root {version} expired at {expires}")]
    Expired {
        /// Its version.
        version: u64,
        /// When.
        expires: Timestamp,
    },
    /// More roots than one update may bring.
    #[error("one update brings at most {max} roots")]
    TooManySteps {
        /// The most allowed.
        max: usize,
    },
    /// The chain does not pass through a root that was pinned.
    #[error("the chain does not pass through the pinned root {version}")]
    PinMissed {
        /// The pinned version.
        version: u64,
    },
    /// A root that is not signed as it must be.
    #[error("root {at} of the update does not verify")]
    Unverified {
        /// Its place in the update, from 0.
        at: usize,
        /// What is wrong.
        #[source]
        fault: VerifyError,
    },
}

impl TrustedRoot {
    /// Begins with the first root of the gateway that is expected.
    ///
    /// # Errors
    ///
    /// Refuses the first root of another gateway, and one that is not signed by its own root keys.
    pub fn genesis(envelope: &Envelope, gateway: &GatewayId) -> Result<Self, RootError> {
        // The digest is what identifies the gateway, so it comes before anything is parsed.
        //= ID-4
        let found = gateway_id(&envelope.digest());
        if found != *gateway {
            return Err(RootError::ForeignGenesis { expected: gateway.clone(), found });
        }
        let unproven = |fault| RootError::Unverified { at: 0, fault };
        let claimed = claim(envelope).map_err(unproven)?;
        let keys = role_keys(&claimed, Role::Root);
        let root = verify_under::<Root>(envelope, &[&keys], claimed.issued).map_err(unproven)?;
        if root.value().version != 1 {
            return Err(RootError::VersionNotNext { have: 0, found: root.value().version });
        }
        Ok(Self::with(found, Vec::new(), root))
    }

    /// Begins with a first root that nobody expected: for a gateway that introduces itself.
    ///
    /// It proves only that the root is signed by its own keys; whether the gateway is wanted is for
    /// the caller to find out (an invite's proof, a membership, a person).
    ///
    /// # Errors
    ///
    /// As [`TrustedRoot::genesis`].
    pub fn introduced(envelope: &Envelope) -> Result<Self, RootError> {
        Self::genesis(envelope, &gateway_id(&envelope.digest()))
    }

    /// Walks a whole chain that this gateway kept, however long; time is not judged.
    ///
    /// # Errors
    ///
    /// Returns the first fault of the chain.
    pub fn restore(chain: &[Envelope], gateway: &GatewayId) -> Result<Self, RootError> {
        let (first, later) = chain.split_first().ok_or(RootError::Empty)?;
        let mut trusted = Self::genesis(first, gateway)?;
        for (at, envelope) in later.iter().enumerate() {
            trusted = trusted.step(envelope, at + 1)?;
        }
        Ok(trusted)
    }

    /// Walks on over newer roots. Roots of this chain may come first and are passed over.
    ///
    /// Expiry is not judged here, because more roots may follow in another update; see
    /// [`TrustedRoot::check_current`], which [`super::peer::PeerView`] never forgets.
    ///
    /// # Errors
    ///
    /// Returns the first fault. This chain stays as it is.
    pub fn advance(&self, newer: &[Envelope], now: Timestamp) -> Result<Self, RootError> {
        //= ID-10
        self.walk(newer, limit::ROOT_STEPS_MAX, now)
    }

    /// As [`TrustedRoot::advance`], over a chain that its gateway shows whole, because nothing of it may be
    /// known here: in a pairing or an admission.
    ///
    /// # Errors
    ///
    /// Returns the first fault. This chain stays as it is.
    //= ID-79
    pub fn advance_whole(&self, chain: &[Envelope], now: Timestamp) -> Result<Self, RootError> {
        self.walk(chain, limit::CHAIN_ROOTS_MAX, now)
    }

    fn walk(&self, newer: &[Envelope], max: usize, now: Timestamp) -> Result<Self, RootError> {
        let known = newer.iter().take_while(|envelope| self.contains(&envelope.digest())).count();
        let steps = &newer[known..];
        let many = steps.len() > max || newer.len() > max + self.chain.len() + 1;
        if many && !planted!("root_steps_unchecked") {
            return Err(RootError::TooManySteps { max });
        }
        if planted!("walk_judges_expiry") {
            self.check_current(now)?;
        }
        let mut trusted = self.clone();
        for (at, envelope) in steps.iter().enumerate() {
            trusted = trusted.step(envelope, known + at)?;
            let root = trusted.root();
            //= ID-5
            if root.issued > now.plus_ms(limit::CLOCK_SKEW_MS_MAX) {
                return Err(RootError::IssuedInFuture { version: root.version });
            }
        }
        Ok(trusted)
    }

    /// Whether any root of the chain names the key.
    #[must_use]
    pub fn names(&self, kid: &KeyId) -> bool {
        self.roots().any(|root| root.value().keys.contains_key(kid))
    }

    /// Checks that the newest root is good at `now`.
    ///
    /// # Errors
    ///
    /// [`RootError::Expired`] or [`RootError::IssuedInFuture`].
    pub fn check_current(&self, now: Timestamp) -> Result<(), RootError> {
        let root = self.root();
        //= ID-5
        if root.issued > now.plus_ms(limit::CLOCK_SKEW_MS_MAX) {
            return Err(RootError::IssuedInFuture { version: root.version });
        }
        if now >= root.expires && !planted!("root_expiry_unchecked") {
            //= ID-9
            return Err(RootError::Expired { version: root.version, expires: root.expires });
        }
        Ok(())
    }

    /// Checks that the chain passes through a root that somebody pinned, so that a thief of retired
    /// keys cannot show a newcomer another chain from the same beginning.
    ///
    /// # Errors
    ///
    /// [`RootError::PinMissed`].
    pub fn check_pin(&self, version: u64, digest: &Digest) -> Result<(), RootError> {
        if self.digest_of(version) == Some(*digest) || planted!("pin_unchecked") {
            Ok(())
        } else {
            Err(RootError::PinMissed { version })
        }
    }

    /// The gateway.
    #[must_use]
    pub const fn gateway(&self) -> &GatewayId {
        &self.gateway
    }

    /// The digest of the first root.
    #[must_use]
    pub fn genesis_digest(&self) -> Digest {
        self.chain.first().unwrap_or(&self.newest).digest()
    }

    /// The newest root.
    #[must_use]
    pub const fn root(&self) -> &Root {
        self.newest.value()
    }

    /// The newest root's version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.root().version
    }

    /// The newest root's digest.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.newest.digest()
    }

    /// The digest of the root of this version, if the chain has it.
    #[must_use]
    pub fn digest_of(&self, version: u64) -> Option<Digest> {
        self.roots().find(|root| root.value().version == version).map(Verified::digest)
    }

    /// Every root, from the first on.
    pub fn roots(&self) -> impl DoubleEndedIterator<Item = &Verified<Root>> {
        self.chain.iter().chain(std::iter::once(&self.newest))
    }

    /// The keys of a role in the newest root.
    #[must_use]
    pub fn keys(&self, role: Role) -> Option<&RoleKeys> {
        self.roles.get(&role)
    }

    fn contains(&self, digest: &Digest) -> bool {
        self.roots().any(|root| root.digest() == *digest)
    }

    fn with(gateway: GatewayId, chain: Vec<Verified<Root>>, newest: Verified<Root>) -> Self {
        let root = newest.value();
        let roles = root.roles.keys().map(|&role| (role, role_keys(root, role))).collect();
        Self { gateway, chain, newest, roles }
    }

    /// Checks that a root stands where the next one of this chain does; who signed it is not asked.
    pub(crate) fn check_follows(&self, next: &Root) -> Result<(), RootError> {
        let (have, version) = (self.version(), next.version);
        if have.checked_add(1) != Some(version) && !planted!("root_version_unchecked") {
            //= ID-5
            //= ID-12
            return Err(RootError::VersionNotNext { have, found: version });
        }
        if next.prev != Some(self.digest()) && !planted!("root_prev_unchecked") {
            //= ID-5
            return Err(RootError::PrevMismatch { version });
        }
        if next.issued < self.root().issued {
            return Err(RootError::IssuedBeforePrev { version });
        }
        if planted!("no_root_follows_another") {
            return Err(RootError::Empty);
        }
        Ok(())
    }

    fn step(&self, envelope: &Envelope, at: usize) -> Result<Self, RootError> {
        let unproven = |fault| RootError::Unverified { at, fault };
        let claimed = claim(envelope).map_err(unproven)?;
        let old = role_keys(self.root(), Role::Root);
        let new = role_keys(&claimed, Role::Root);
        let root =
            //= ID-6
            verify_under::<Root>(envelope, &[&old, &new], claimed.issued).map_err(unproven)?;
        self.check_follows(root.value())?;
        let chain = self.roots().cloned().collect();
        Ok(Self::with(self.gateway.clone(), chain, root))
    }
}

/// The keys of a role as a root lists them; no keys, which nothing satisfies, where it has no such
/// role.
pub(crate) fn role_keys(root: &Root, role: Role) -> RoleKeys {
    let holders = root.roles.get(&role);
    let threshold =
        holders.map_or(1, |holders| usize::try_from(holders.threshold).unwrap_or(usize::MAX));
    let keys = holders.into_iter().flat_map(|holders| &holders.keyids).filter_map(|kid| {
        let key = root.keys.get(kid)?;
        Some(KeyWindow { public: key.public.clone(), nbf: key.nbf, exp: key.exp })
    });
    RoleKeys::new(SignedBy::Role(role), threshold, keys)
}

/// Reads what a root claims, to learn the keys that it must be signed with.
///
/// The one place where a payload is read before its signatures hold: a root vouches for itself. The
/// claim never leaves this module.
fn claim(envelope: &Envelope) -> Result<Root, VerifyError> {
    if envelope.kind() != Kind::Root {
        return Err(VerifyError::SentAnotherKind { expected: Kind::Root, found: envelope.kind() });
    }
    let bytes = envelope.payload_len();
    if bytes > Root::BYTES_MAX {
        return Err(VerifyError::SentTooMuch { kind: Kind::Root, max: Root::BYTES_MAX, bytes });
    }
    canonical::from_slice(envelope.payload())
        .map_err(|fault| VerifyError::SignedMalformedPayload { kind: Kind::Root, fault })
}

#[cfg(test)]
mod tests;
