//! The one door from signed bytes to a value.
//!
//! Verifiers have shipped that said "ok" when there was nothing to check, that checked one copy of a
//! payload and used another, or that counted one key twice. Here a value exists only as the result of
//! [`verify`], which reads the very bytes that the signatures covered, and which refuses an envelope
//! with any signature that it cannot vouch for, also when enough others hold.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use landbridge_planted::planted;

use crate::wire::digest::Digest;
use crate::wire::envelope::Envelope;
use crate::wire::json::{InvalidJson, canonical};
use crate::wire::key::PublicKey;
use crate::wire::kind::{Kind, PayloadKind, Role, SignedBy};
use crate::wire::name::{KeyId, Timestamp};

/// A value whose signatures were checked, with the envelope that proves it.
///
/// The only constructor is [`verify`], so a function that takes `Verified<T>` cannot be reached by
/// bytes that nobody checked.
#[derive(Clone, Debug)]
pub struct Verified<T> {
    value: T,
    digest: Digest,
    envelope: Envelope,
}

impl<T> Verified<T> {
    /// The value.
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// The value, without its proof.
    pub fn into_value(self) -> T {
        self.value
    }

    /// The key that signed; the first in order where a threshold did.
    pub fn signer(&self) -> &KeyId {
        self.envelope.signatures()[0].keyid()
    }

    /// Every key that signed, in order. All of them were checked.
    pub fn signers(&self) -> impl Iterator<Item = &KeyId> {
        self.envelope.signatures().iter().map(|signature| signature.keyid())
    }

    /// The identity of what was signed.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The envelope.
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }
}

/// What an envelope's signers or its payload did wrong.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// An envelope of another kind than the one expected.
    #[error("expected a {expected}, got a {found}")]
    SentAnotherKind {
        /// The kind expected.
        expected: Kind,
        /// The kind found.
        found: Kind,
    },
    /// Keys of a role that may not sign this kind: the caller's mistake, refused all the same.
    #[error("keys of {keys} do not vouch for a {kind}")]
    KeysOfAnotherRole {
        /// The kind expected.
        kind: Kind,
        /// What the keys are for.
        keys: SignedBy,
    },
    /// A payload longer than its kind allows.
    #[error("a {kind} has at most {max} bytes, not {bytes}")]
    SentTooMuch {
        /// The kind.
        kind: Kind,
        /// The most bytes allowed.
        max: usize,
        /// The bytes found.
        bytes: usize,
    },
    /// A signature by a key that does not have the role.
    #[error("key {kid} does not have {role}")]
    SignedWithForeignKey {
        /// The key.
        kid: KeyId,
        /// The role that it lacks.
        role: SignedBy,
    },
    /// A signature by a key that is not valid yet.
    #[error("key {kid} is not valid before {nbf}")]
    SignedBeforeKeyWasValid {
        /// The key.
        kid: KeyId,
        /// When it becomes valid.
        nbf: Timestamp,
    },
    /// A signature by a key that is not valid any more.
    #[error("key {kid} expired at {exp}")]
    SignedWithExpiredKey {
        /// The key.
        kid: KeyId,
        /// When it expired.
        exp: Timestamp,
    },
    /// A signature by a key that its owner revoked.
    #[error("key {kid} is revoked")]
    SignedWithRevokedKey {
        /// The key.
        kid: KeyId,
    },
    /// A signature that does not hold.
    #[error("the signature of key {kid} does not hold")]
    ForgedSignature {
        /// The key that is said to have signed.
        kid: KeyId,
    },
    /// Fewer keys signed than the role's threshold.
    #[error("{have} of {need} keys signed")]
    SignedByTooFew {
        /// Keys that signed.
        have: usize,
        /// Keys that must.
        need: usize,
    },
    /// A signed payload that is not the one spelling of its type.
    #[error("the payload of the {kind} is not canonical")]
    SignedMalformedPayload {
        /// The kind.
        kind: Kind,
        /// What is wrong with it.
        #[source]
        fault: InvalidJson,
    },
    /// A kind that a peer does not hand over this way: roots and statuses have doors of their own,
    /// and some kinds are not signed by a gateway at all.
    #[error("a {kind} is not verified as a gateway's message")]
    NotFromAGateway {
        /// The kind.
        kind: Kind,
    },
    /// The signer's root has nobody for the role.
    #[error("nobody has the {role} role")]
    RoleMissing {
        /// The role.
        role: Role,
    },
    /// The signer's root has expired, or has not begun.
    #[error("the root is not good now; it expires at {expires}")]
    RootExpired {
        /// When.
        expires: Timestamp,
    },
    /// The signer's newest known root is older than what was agreed with it.
    #[error("root {min} or a later one is needed, and root {have} is known")]
    RootTooOld {
        /// The newest version known.
        have: u64,
        /// The lowest version that is good.
        min: u64,
    },
    /// The signer never told its status, or told it with a key that has lost the role since.
    #[error("no status by a present status key is known")]
    StatusMissing,
    /// The signer's newest status has expired.
    #[error("the status expired at {expires}")]
    StatusStale {
        /// When.
        expires: Timestamp,
    },
}

/// The keys that may sign for one role, and how many of them must.
#[derive(Clone, Debug)]
pub struct RoleKeys {
    signed_by: SignedBy,
    threshold: usize,
    keys: BTreeMap<KeyId, KeyWindow>,
}

/// A key and when it is valid: from `nbf` on, and before `exp`.
#[derive(Clone, Debug)]
pub(crate) struct KeyWindow {
    pub(crate) public: PublicKey,
    pub(crate) nbf: Timestamp,
    pub(crate) exp: Timestamp,
}

impl RoleKeys {
    /// Keys as a document that was itself verified lists them. A threshold below one counts as one.
    //= ENV-14
    pub(crate) fn new(
        signed_by: SignedBy,
        threshold: usize,
        keys: impl IntoIterator<Item = KeyWindow>,
    ) -> Self {
        let keys = keys.into_iter().map(|window| (window.public.kid(), window)).collect();
        Self { signed_by, threshold: threshold.max(1), keys }
    }

    /// The keys of both, each of which counts alone: for one signature of several that are not there
    /// yet. A key of both has the window of the second.
    pub(crate) fn either(one: &Self, two: &Self) -> Self {
        let keys = one.keys.iter().chain(&two.keys);
        let keys = keys.map(|(kid, window)| (kid.clone(), window.clone())).collect();
        Self { signed_by: one.signed_by, threshold: 1, keys }
    }

    /// What the keys are for.
    #[must_use]
    pub const fn signed_by(&self) -> SignedBy {
        self.signed_by
    }

    /// The ids of the keys.
    pub fn kids(&self) -> impl Iterator<Item = &KeyId> {
        self.keys.keys()
    }
}

/// Checks every signature of an envelope against the keys of the role that may sign its kind, and
/// then reads the payload that they covered.
///
/// `at` is the instant for which the keys must be valid: the present, except where a recorded
/// exchange is judged.
///
/// # Errors
///
/// Returns the first deed that stands against the envelope. Nothing of the payload is read before
/// the signatures hold.
pub fn verify<T: PayloadKind + Serialize + DeserializeOwned>(
    envelope: &Envelope,
    keys: &RoleKeys,
    at: Timestamp,
) -> Result<Verified<T>, VerifyError> {
    verify_under(envelope, &[keys], at)
}

/// Like [`verify`], for a payload that must satisfy several key sets at once: each signature must
/// belong to one of them, and each of them must reach its threshold.
pub(crate) fn verify_under<T: PayloadKind + Serialize + DeserializeOwned>(
    envelope: &Envelope,
    sets: &[&RoleKeys],
    at: Timestamp,
) -> Result<Verified<T>, VerifyError> {
    check_form::<T>(envelope, sets)?;
    let signed = envelope.signed_bytes();
    let mut counts = vec![0_usize; sets.len()];
    // Keys are distinct: an envelope holds its signatures in strictly ascending order of key.
    for signature in envelope.signatures() {
        let kid = signature.keyid();
        let mut holder = None;
        for (count, set) in counts.iter_mut().zip(sets) {
            if let Some(window) = set.keys.get(kid) {
                check_window(window, kid, at)?;
                *count += 1;
                holder = Some(&window.public);
            }
        }
        if holder.is_none() && planted!("stranger_skipped") {
            continue;
        }
        let Some(public) = holder else {
            //= ENV-9
            return Err(VerifyError::SignedWithForeignKey {
                kid: kid.clone(),
                role: T::KIND.signed_by(),
            });
        };
        public
            //= ENV-10
            .check(&signed, signature.as_bytes())
            .or_else(|fault| if planted!("forged_trusted") { Ok(()) } else { Err(fault) })
            .map_err(|_| VerifyError::ForgedSignature { kid: kid.clone() })?;
    }
    // No set at all would be satisfied by nothing; the callers above always give one.
    let old = |at: usize| at + 1 < sets.len() && planted!("old_keys_unneeded");
    let new = |at: usize| at > 0 && planted!("new_keys_unneeded");
    let needed = counts.iter().zip(sets).enumerate().filter(|(at, _)| !old(*at) && !new(*at));
    let short = needed.map(|(_, one)| one).find(|(count, set)| **count < set.threshold);
    if let Some((&have, set)) = short.filter(|_| !planted!("threshold_unchecked")) {
        //= ENV-11
        return Err(VerifyError::SignedByTooFew { have, need: set.threshold });
    }
    //= ENV-15
    //= ENV-16
    //= ENV-19
    let value = canonical::from_slice(envelope.payload())
        .map_err(|fault| VerifyError::SignedMalformedPayload { kind: T::KIND, fault })?;
    if planted!("nothing_verifies_at_all") {
        return Err(VerifyError::SignedByTooFew { have: 0, need: 0 });
    }
    Ok(Verified { value, digest: Digest::of(b"", &[&signed]), envelope: envelope.clone() })
}

fn check_form<T: PayloadKind>(envelope: &Envelope, sets: &[&RoleKeys]) -> Result<(), VerifyError> {
    if envelope.kind() != T::KIND && !planted!("kind_unchecked") {
        //= ENV-8
        return Err(VerifyError::SentAnotherKind { expected: T::KIND, found: envelope.kind() });
    }
    let wrong = sets.iter().find(|set| set.signed_by != T::KIND.signed_by());
    if let Some(wrong) = wrong.filter(|_| !planted!("role_unchecked")) {
        return Err(VerifyError::KeysOfAnotherRole { kind: T::KIND, keys: wrong.signed_by });
    }
    let bytes = envelope.payload_len();
    if bytes > T::BYTES_MAX && !planted!("payload_size_unchecked") {
        //= ENV-7
        return Err(VerifyError::SentTooMuch { kind: T::KIND, max: T::BYTES_MAX, bytes });
    }
    Ok(())
}

//= ENV-13
fn check_window(window: &KeyWindow, kid: &KeyId, at: Timestamp) -> Result<(), VerifyError> {
    if at < window.nbf && !planted!("key_begin_unchecked") {
        return Err(VerifyError::SignedBeforeKeyWasValid { kid: kid.clone(), nbf: window.nbf });
    }
    if at >= window.exp && !planted!("key_end_unchecked") {
        return Err(VerifyError::SignedWithExpiredKey { kid: kid.clone(), exp: window.exp });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
