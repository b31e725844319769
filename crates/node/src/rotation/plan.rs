//! What the next root says: which keys come, which go, and when.
//!
//! A successor is listed ahead of its use and its predecessor stays listed after it, so one root serves for
//! the whole change. Peers that see either key verify it, whenever they learn of the root. An emergency has
//! no such time: the former keys are left out at once.

use std::collections::{BTreeMap, BTreeSet};

use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::root::InvalidRoot;
use landbridge_proto::wire::document::{Endpoint, RoleHolders, Root, RootKey, raw};
use landbridge_proto::wire::key::PublicKey;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{KeyId, Timestamp};

use crate::identity::ROOT_LIFE_MS;
use crate::identity::online::{HEAD_START_MS, KEY_LIFE_MS, KeyUse, is_optional, uses};

/// A successor takes over this long after it was listed, in milliseconds: every peer whose knowledge is
/// fresh has asked for roots by then.
pub const LEAD_MS: i64 = 2 * limit::STATUS_LIFE_MS;
/// A predecessor stays listed for this long after it, in milliseconds: longer than any run lives.
pub const OVERLAP_MS: i64 = 2 * limit::DEADLINE_MS_MAX;

/// When keys change hands.
#[derive(Clone, Copy, Debug)]
pub enum Timing {
    /// Listed ahead of use, and after it.
    Planned {
        /// From now to the change, in milliseconds.
        lead_ms: i64,
        /// From the change until the predecessor is not good any more, in milliseconds.
        overlap_ms: i64,
    },
    /// At once, and without the former keys: they may be somebody else's too.
    AtOnce,
}

/// What changes.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The new key of each role that gets one.
    pub new: BTreeMap<Role, PublicKey>,
    /// The TLS key that every endpoint with a pin is to name.
    pub tls: Option<Digest>,
    /// Every policy key but this one goes: the federation document is signed by it.
    pub only_policy: Option<KeyId>,
}

/// Why there is no next root.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The last rotation of the role is not over.
    #[error("the {role} role changes already: key {kid} takes over by itself")]
    UnderWay {
        /// The role.
        role: Role,
        /// The key that comes next.
        kid: KeyId,
    },
    /// A predecessor would be gone before runs that it accepted are over.
    #[error("the overlap is at least {min_ms} milliseconds, the longest life of a run")]
    OverlapTooShort {
        /// The least.
        min_ms: i64,
    },
    /// The parts do not fit together.
    #[error("no root can be made of this")]
    NotARoot(#[from] InvalidRoot),
}

/// The root after the newest of `chain`.
///
/// It is issued now; where the former root has expired, at the last moment at which its keys could sign,
/// so that a gateway that overslept is not lost to its peers.
///
/// # Errors
///
/// [`PlanError`].
pub fn next_root(
    chain: &TrustedRoot,
    change: &Change,
    timing: Timing,
    now: Timestamp,
) -> Result<Root, PlanError> {
    let min_ms = limit::DEADLINE_MS_MAX + limit::LOST_GRACE_MS + limit::CLOCK_SKEW_MS_MAX;
    if matches!(timing, Timing::Planned { overlap_ms, .. } if overlap_ms < min_ms) {
        return Err(PlanError::OverlapTooShort { min_ms });
    }
    let before = chain.root();
    let mut next = raw::Root::from(before.clone());
    let signers = before.roles.get(&Role::Root).into_iter().flat_map(|holders| &holders.keyids);
    let last = signers.filter_map(|kid| before.keys.get(kid)).map(|key| key.exp).min();
    let last = last.map_or(now, |exp| exp.plus_ms(-1));
    next.issued = now.min(last).max(before.issued);
    next.expires = match next.issued == now {
        true => now.plus_ms(ROOT_LIFE_MS),
        false => next.issued.plus_ms(limit::ROOT_LIFE_MS_MAX),
    };
    next.version = before.version.saturating_add(1);
    next.prev = Some(chain.digest());
    for (&role, public) in &change.new {
        match role {
            Role::Root => replace(&mut next, role, public, now),
            Role::Policy => add(&mut next, role, public, now),
            _ => hand_over(&mut next, before, role, public, timing, now)?,
        }
    }
    if let (Some(only), Some(holders)) = (&change.only_policy, next.roles.get_mut(&Role::Policy))
        && holders.keyids.contains(only)
    {
        holders.keyids = BTreeSet::from([only.clone()]);
    }
    if let Some(pin) = change.tls {
        let pinned = |endpoint: &Endpoint| Endpoint {
            tls_spki: endpoint.tls_spki.map(|_| pin),
            url: endpoint.url.clone(),
        };
        next.endpoints = next.endpoints.iter().map(pinned).collect();
    }
    tidy(&mut next, now);
    Ok(Root::try_from(next)?)
}

/// One key in place of all that had the role.
fn replace(next: &mut raw::Root, role: Role, public: &PublicKey, now: Timestamp) {
    let keyids = BTreeSet::from([public.kid()]);
    next.roles.insert(role, RoleHolders { keyids, threshold: 1 });
    add(next, role, public, now);
}

/// A key that is good at once and as long as the root, beside those that have the role.
fn add(next: &mut raw::Root, role: Role, public: &PublicKey, now: Timestamp) {
    let nbf = next.issued.min(now).plus_ms(-limit::CLOCK_SKEW_MS_MAX);
    next.keys.insert(public.kid(), RootKey::new(public.clone(), nbf, next.expires));
    if let Some(holders) = next.roles.get_mut(&role) {
        holders.keyids.insert(public.kid());
    }
}

/// A successor, and what becomes of those before it.
//= ID-50
fn hand_over(
    next: &mut raw::Root,
    before: &Root,
    role: Role,
    public: &PublicKey,
    timing: Timing,
    now: Timestamp,
) -> Result<(), PlanError> {
    let (lead_ms, overlap_ms) = match timing {
        Timing::Planned { lead_ms, overlap_ms } => (lead_ms.max(0), Some(overlap_ms)),
        Timing::AtOnce => (0, None),
    };
    let takes_over = now.plus_ms(lead_ms);
    let former = uses(before, role, now);
    let mut keyids = BTreeSet::from([public.kid()]);
    if let Some(overlap_ms) = overlap_ms {
        let coming = former.iter().find(|(_, what)| **what == KeyUse::Next);
        if let Some((kid, _)) = coming {
            return Err(PlanError::UnderWay { role, kid: kid.clone() });
        }
        for kid in former.keys() {
            if let Some(key) = next.keys.get_mut(kid) {
                key.exp = key.exp.min(takes_over.plus_ms(overlap_ms));
                keyids.insert(kid.clone());
            }
        }
    }
    // Turns are taken in the order of `nbf`, so a successor's is never the earlier one.
    let latest = former.keys().filter_map(|kid| before.keys.get(kid)).map(|key| key.nbf.plus_ms(1));
    let nbf = latest.max().unwrap_or_default().max(takes_over.plus_ms(-HEAD_START_MS));
    let exp = nbf.plus_ms(KEY_LIFE_MS).min(next.expires);
    next.keys.insert(public.kid(), RootKey::new(public.clone(), nbf, exp));
    next.roles.insert(role, RoleHolders { keyids, threshold: 1 });
    Ok(())
}

/// Drops keys that are over or that no role names, and fits the lives of the others to the root's.
fn tidy(next: &mut raw::Root, now: Timestamp) {
    let over = |keys: &BTreeMap<KeyId, RootKey>, kid: &KeyId| {
        keys.get(kid).is_none_or(|key| key.exp <= now)
    };
    next.roles.retain(|&role, holders| {
        if matches!(role, Role::Root | Role::Policy) {
            return true;
        }
        let (gone, kept): (Vec<_>, Vec<_>) =
            holders.keyids.iter().cloned().partition(|kid| over(&next.keys, kid));
        // A role without any good key keeps the last ones: the document needs the role.
        if !kept.is_empty() {
            holders.keyids = kept.into_iter().collect();
        }
        !(is_optional(role) && !gone.is_empty() && holders.keyids.len() == gone.len())
    });
    let named: BTreeSet<KeyId> =
        next.roles.values().flat_map(|holders| &holders.keyids).cloned().collect();
    next.keys.retain(|kid, _| named.contains(kid));
    let offline: BTreeSet<KeyId> = [Role::Root, Role::Policy]
        .iter()
        .filter_map(|role| next.roles.get(role))
        .flat_map(|holders| &holders.keyids)
        .cloned()
        .collect();
    for (kid, key) in &mut next.keys {
        key.exp = if offline.contains(kid) { next.expires } else { key.exp.min(next.expires) };
    }
}

/// Whether a role's key in use has less than a third of its life left, and none takes over.
#[must_use]
pub fn is_due(root: &Root, role: Role, now: Timestamp) -> bool {
    let uses = uses(root, role, now);
    if uses.values().any(|what| *what == KeyUse::Next) {
        return false;
    }
    let signing = uses.iter().find(|(_, what)| **what == KeyUse::InUse).map(|(kid, _)| kid);
    let end = signing.and_then(|kid| root.keys.get(kid)).map(|key| key.exp);
    end.is_none_or(|end| end.since_ms(now) < KEY_LIFE_MS / 3)
}

/// Whether less than a third of a root's life is left.
#[must_use]
pub fn is_root_due(root: &Root, now: Timestamp) -> bool {
    root.expires.since_ms(now) < ROOT_LIFE_MS / 3
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt as _;

    use landbridge_proto::trust::key::SecretKey;
    use landbridge_proto::trust::signer::sign_typed;
    use landbridge_proto::wire::envelope::Envelope;
    use tempfile::TempDir;
    use zeroize::Zeroizing;

    use super::*;
    use crate::clock::SeededEntropy;
    use crate::identity::{Identity, NewIdentity, load_key, offline_key, own_root};

    const NOW: Timestamp = Timestamp(1_700_000_000_000);
    const PLANNED: Timing = Timing::Planned { lead_ms: LEAD_MS, overlap_ms: OVERLAP_MS };

    fn made() -> (TempDir, TrustedRoot) {
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let new = NewIdentity { endpoints: Vec::new(), now: NOW };
        Identity::create(home.path(), &new, &SeededEntropy::new(1)).unwrap();
        let root = own_root(home.path()).unwrap();
        (home, root)
    }

    fn signed(home: &TempDir, root: &Root) -> Envelope {
        let key = load_key(&offline_key(home.path(), Role::Root), Role::Root).unwrap();
        sign_typed(&key, root).unwrap()
    }

    fn stream(seed: u8) -> Change {
        let public = SecretKey::from_seed(&Zeroizing::new([seed; 32])).public();
        Change { new: BTreeMap::from([(Role::Stream, public)]), ..Change::default() }
    }

    #[test]
    fn one_root_serves_for_the_whole_change_and_the_next_one_tidies_up() {
        let (home, chain) = made();
        let next = next_root(&chain, &stream(9), PLANNED, NOW).unwrap();
        let holders = &next.roles[&Role::Stream].keyids;
        assert_eq!(holders.len(), 2);
        let told = uses(&next, Role::Stream, NOW.plus_ms(LEAD_MS - 1));
        assert!(told.values().any(|what| *what == KeyUse::Next));
        let told = uses(&next, Role::Stream, NOW.plus_ms(LEAD_MS));
        assert!(told.values().any(|what| *what == KeyUse::Last));
        let chain = chain.advance(&[signed(&home, &next)], NOW).unwrap();
        // While it is under way, only an emergency changes the same role again.
        let again = next_root(&chain, &stream(10), PLANNED, NOW.plus_ms(1));
        assert!(matches!(again, Err(PlanError::UnderWay { role: Role::Stream, .. })));
        let at_once = next_root(&chain, &stream(10), Timing::AtOnce, NOW.plus_ms(1)).unwrap();
        assert_eq!(at_once.roles[&Role::Stream].keyids.len(), 1);
        let over = NOW.plus_ms(LEAD_MS + OVERLAP_MS);
        let tidy = next_root(&chain, &Change::default(), PLANNED, over).unwrap();
        assert_eq!(tidy.roles[&Role::Stream].keyids.len(), 1, "what expired is gone");
        assert!(tidy.expires > chain.root().expires);
        let short = Timing::Planned { lead_ms: 0, overlap_ms: limit::DEADLINE_MS_MAX };
        let short = next_root(&chain, &Change::default(), short, NOW);
        assert!(matches!(short, Err(PlanError::OverlapTooShort { .. })));
    }

    //= ID-5
    #[test]
    fn a_gateway_that_overslept_goes_on_at_the_last_moment_of_its_root_key() {
        let (home, chain) = made();
        let late = chain.root().expires.plus_ms(5 * 24 * 3_600_000);
        let next = next_root(&chain, &stream(9), Timing::AtOnce, late).unwrap();
        let mended = chain.advance(&[signed(&home, &next)], late).unwrap();
        assert!(chain.check_current(late).is_err());
        assert_eq!(mended.check_current(late), Ok(()));
        let signing = uses(mended.root(), Role::Stream, late);
        assert!(signing.values().all(|what| *what == KeyUse::InUse));
        assert!(is_root_due(chain.root(), late) && is_due(chain.root(), Role::Stream, late));
        assert!(!is_root_due(chain.root(), NOW) && !is_due(chain.root(), Role::Stream, NOW));
    }
}
