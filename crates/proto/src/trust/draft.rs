//! A next root on its way to enough signatures.
//!
//! Root keys are kept apart, so the people who hold them meet in a file: it carries the whole chain that
//! the next root goes on, the next root itself, and the signatures so far. Whoever reads it needs nothing
//! else, also on a machine that has never seen the gateway: the chain proves which gateway it is, and what
//! would change is the difference between its last root and the next one. The file itself is unsigned and
//! believed in nothing that does not verify.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::key::PublicKey;
use super::root::{RootError, TrustedRoot, role_keys};
use super::signer::{SignError, Signer, sign_typed};
use super::verified::{RoleKeys, VerifyError, verify_under};
use crate::wire::document::root::{InvalidRoot, RoleHolders};
use crate::wire::document::{Endpoint, FormVersion, Root, RootKey, gateway_id, raw};
use crate::wire::envelope::{Envelope, InvalidEnvelope};
use crate::wire::kind::Role;
use crate::wire::limit;
use crate::wire::name::{KeyId, Timestamp};

/// A next root, the chain that it goes on, and who has signed it.
#[derive(Clone, Debug)]
pub struct RootDraft {
    chain: TrustedRoot,
    next: Root,
    signed: BTreeMap<KeyId, Envelope>,
}

/// What the next root says differently. All of it may be left out: then it only lives longer.
#[derive(Clone, Debug, Default)]
pub struct RootChange {
    /// Where peers reach the gateway from now on.
    pub endpoints: Option<Vec<Endpoint>>,
    /// Root keys that come.
    pub add: Vec<PublicKey>,
    /// Root keys that go.
    pub remove: BTreeSet<KeyId>,
    /// How many root keys must sign from now on.
    pub threshold: Option<u64>,
}

/// A root key that has a say in the draft.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Share {
    /// The key.
    pub kid: KeyId,
    /// It belongs to the root that is left.
    pub before: bool,
    /// It belongs to the root that comes.
    pub after: bool,
    /// It has signed.
    pub signed: bool,
}

/// What is wrong with a draft, or with what was to be done to it.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// Not a draft at all, or longer than any.
    #[error("this is not a draft of a root")]
    NotADraft,
    /// Its chain does not hold, or the next root does not go on with it.
    #[error("the draft's roots do not hold together")]
    Chain(#[from] RootError),
    /// The next root does not fit together.
    #[error("the next root does not fit together")]
    Unfit(#[from] InvalidRoot),
    /// A root key is to go that is not there.
    #[error("{kid} is not a root key")]
    NoSuchKey {
        /// The key.
        kid: KeyId,
    },
    /// A root key is to come that is there.
    #[error("{kid} is a key of the root already")]
    KeyThere {
        /// The key.
        kid: KeyId,
    },
    /// A key that is neither a root key before nor after.
    #[error("{kid} is a root key neither of root {version} nor of the next one")]
    KeyWithoutSay {
        /// The key.
        kid: KeyId,
        /// The version of the root that is left.
        version: u64,
    },
    /// A signature that was put into the draft and does not hold.
    #[error("a signature in the draft does not hold")]
    BadSignature(#[source] VerifyError),
    /// A signature over another root.
    #[error("a signature in the draft is over another root")]
    SignedAnother,
    /// The two drafts are not of one root.
    #[error("the drafts are of different roots")]
    DifferentDrafts,
    /// The key could not sign.
    #[error("the root was not signed")]
    NotSigned(#[from] SignError),
    /// The signatures cannot be put together.
    #[error("the signatures do not go together")]
    NotJoined(#[from] InvalidEnvelope),
    /// Too few keys have signed.
    #[error(
        "{before} more of the present root's keys and {after} more of the next one's must sign"
    )]
    TooFew {
        /// Of the root that is left.
        before: u64,
        /// Of the root that comes.
        after: u64,
    },
}

/// The draft's file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    form: FormName,
    next: Root,
    roots: Vec<Envelope>,
    signed: Vec<Envelope>,
}

#[derive(Serialize, Deserialize)]
enum FormName {
    #[serde(rename = "landbridge-root-draft-v1")]
    V1,
}

impl RootDraft {
    /// Makes the root after the newest of `chain`, signed by nobody.
    ///
    /// Root and policy keys live as long as the next root; the other keys keep their end.
    ///
    /// # Errors
    ///
    /// Says what of the change does not fit.
    pub fn new(
        chain: TrustedRoot,
        change: &RootChange,
        now: Timestamp,
    ) -> Result<Self, DraftError> {
        let present = chain.root();
        let issued = now.max(present.issued);
        let expires = issued.plus_ms(LIFE_MS);
        let roots = present.roles.get(&Role::Root);
        let mut keyids = roots.map(|holders| holders.keyids.clone()).unwrap_or_default();
        let mut keys = present.keys.clone();
        for kid in &change.remove {
            if !keyids.remove(kid) {
                return Err(DraftError::NoSuchKey { kid: kid.clone() });
            }
            keys.remove(kid);
        }
        for key in &change.add {
            let kid = key.kid();
            if present.keys.contains_key(&kid) || !keyids.insert(kid.clone()) {
                return Err(DraftError::KeyThere { kid });
            }
            let nbf = Timestamp(issued.0.saturating_sub(limit::CLOCK_SKEW_MS_MAX).max(0));
            keys.insert(kid, RootKey::new(key.clone(), nbf, expires));
        }
        let policy = present.roles.get(&Role::Policy).map(|holders| &holders.keyids);
        for (kid, key) in &mut keys {
            // An online key gets no longer life than it was listed with.
            //= ID-55
            if keyids.contains(kid) || policy.is_some_and(|policy| policy.contains(kid)) {
                key.exp = expires;
            }
        }
        let before = roots.map_or(1, |holders| holders.threshold);
        let threshold = change.threshold.unwrap_or(before);
        let mut roles = present.roles.clone();
        roles.insert(Role::Root, RoleHolders { keyids, threshold });
        let next = Root::try_from(raw::Root {
            endpoints: change.endpoints.clone().unwrap_or_else(|| present.endpoints.clone()),
            expires,
            issued,
            keys,
            min_proto: present.min_proto,
            prev: Some(chain.digest()),
            roles,
            v: FormVersion,
            version: present.version.saturating_add(1),
        })?;
        Ok(Self { chain, next, signed: BTreeMap::new() })
    }

    /// Reads a draft. Everything in it is verified again: its chain, that the next root follows, and each
    /// signature.
    ///
    /// # Errors
    ///
    /// Returns the first fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, DraftError> {
        if bytes.len() > DRAFT_BYTES_MAX {
            return Err(DraftError::NotADraft);
        }
        let form: Form = serde_json::from_slice(bytes).map_err(|_| DraftError::NotADraft)?;
        let first = form.roots.first().ok_or(DraftError::NotADraft)?;
        let chain = TrustedRoot::restore(&form.roots, &gateway_id(&first.digest()))?;
        chain.check_follows(&form.next)?;
        let mut draft = Self { chain, next: form.next, signed: BTreeMap::new() };
        for envelope in form.signed {
            draft.take(envelope)?;
        }
        Ok(draft)
    }

    /// The draft as a file: one line of JSON.
    ///
    /// # Errors
    ///
    /// When it cannot be written as JSON, which cannot happen.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let form = Form {
            form: FormName::V1,
            next: self.next.clone(),
            roots: self.chain.roots().map(|root| root.envelope().clone()).collect(),
            signed: self.signed.values().cloned().collect(),
        };
        let mut bytes = serde_json::to_vec(&form)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The chain that it goes on.
    #[must_use]
    pub const fn chain(&self) -> &TrustedRoot {
        &self.chain
    }

    /// The root that comes.
    #[must_use]
    pub const fn next(&self) -> &Root {
        &self.next
    }

    /// Adds the signature of one key. The same key again changes nothing.
    ///
    /// # Errors
    ///
    /// Refuses a key without a say, and one that cannot sign.
    pub fn sign(&mut self, signer: &(impl Signer + ?Sized)) -> Result<(), DraftError> {
        if !self.keys().any(|kid| kid == *signer.kid()) {
            let version = self.chain.version();
            return Err(DraftError::KeyWithoutSay { kid: signer.kid().clone(), version });
        }
        let envelope = sign_typed(signer, &self.next)?;
        self.take(envelope)
    }

    /// Adds the signatures of another copy of the same draft.
    ///
    /// # Errors
    ///
    /// Refuses a draft of another root.
    pub fn join(&mut self, other: Self) -> Result<(), DraftError> {
        if other.next != self.next || other.chain.gateway() != self.chain.gateway() {
            return Err(DraftError::DifferentDrafts);
        }
        self.signed.extend(other.signed);
        Ok(())
    }

    /// Every key that has a say, and whether it has signed.
    #[must_use]
    pub fn shares(&self) -> Vec<Share> {
        let (old, new) = self.sets();
        let kids: BTreeSet<KeyId> = self.keys().collect();
        let share = |kid: KeyId| Share {
            before: old.kids().any(|one| *one == kid),
            after: new.kids().any(|one| *one == kid),
            signed: self.signed.contains_key(&kid),
            kid,
        };
        kids.into_iter().map(share).collect()
    }

    /// How many more keys of the present root and of the next one must sign.
    #[must_use]
    pub fn missing(&self) -> (u64, u64) {
        let signed =
            |keys: &RoleKeys| keys.kids().filter(|kid| self.signed.contains_key(*kid)).count();
        let (old, new) = self.sets();
        let threshold =
            |root: &Root| root.roles.get(&Role::Root).map_or(1, |holders| holders.threshold);
        let left = |root: &Root, keys: &RoleKeys| {
            threshold(root).saturating_sub(u64::try_from(signed(keys)).unwrap_or(u64::MAX))
        };
        (left(self.chain.root(), &old), left(&self.next, &new))
    }

    /// The next root with all its signatures, judged as a peer would judge it.
    ///
    /// # Errors
    ///
    /// Says how many signatures are missing, or what a peer would refuse.
    pub fn finish(&self, now: Timestamp) -> Result<Envelope, DraftError> {
        let (before, after) = self.missing();
        if (before, after) != (0, 0) {
            return Err(DraftError::TooFew { before, after });
        }
        let mut whole: Option<Envelope> = None;
        for one in self.signed.values() {
            whole = Some(match whole {
                Some(others) => others.join(one.clone())?,
                None => one.clone(),
            });
        }
        let whole = whole.ok_or(DraftError::TooFew { before: 1, after: 1 })?;
        self.chain.advance(std::slice::from_ref(&whole), now)?.check_current(now)?;
        Ok(whole)
    }

    fn take(&mut self, envelope: Envelope) -> Result<(), DraftError> {
        let (old, new) = self.sets();
        let either = RoleKeys::either(&old, &new);
        let verified = verify_under::<Root>(&envelope, &[&either], self.next.issued)
            .map_err(DraftError::BadSignature)?;
        if *verified.value() != self.next {
            return Err(DraftError::SignedAnother);
        }
        let [only] = envelope.signatures() else { return Err(DraftError::NotADraft) };
        self.signed.insert(only.keyid().clone(), envelope.clone());
        Ok(())
    }

    /// The root keys of the root that is left, and of the one that comes.
    fn sets(&self) -> (RoleKeys, RoleKeys) {
        (role_keys(self.chain.root(), Role::Root), role_keys(&self.next, Role::Root))
    }

    fn keys(&self) -> impl Iterator<Item = KeyId> {
        let (old, new) = self.sets();
        old.kids().chain(new.kids()).cloned().collect::<Vec<_>>().into_iter()
    }
}

/// A year, so that renewal has a rhythm that people keep; the contract allows 400 days.
const LIFE_MS: i64 = 365 * 24 * 3_600_000;
/// Room for many years of roots.
const DRAFT_BYTES_MAX: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests;
