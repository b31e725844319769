//! Keys that were taken from operators.
//!
//! A credential that was handed out lists a key for up to a day, wherever it is by now. So a key that
//! leaves our federation document is revoked in the very step that takes it out, and told in our next
//! status. Peers remember a revocation for good, and so do we: the key never comes back.

use std::collections::{BTreeMap, BTreeSet};

use landbridge_planted::planted;
use landbridge_proto::machine::contract::Write;
use landbridge_proto::trust::federation::TrustedFederation;
use landbridge_proto::wire::approval::Operator;
use landbridge_proto::wire::document::{Revocation, RevocationReason};
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{KeyId, OperatorName};
use landbridge_store::{Fault, Handle};

use super::{State, TrustError, revoke};
use crate::core::Core;

/// For so long the status tells of a key that was taken from an operator, in milliseconds: longer than
/// any credential or approval that it was good for, and than it takes a peer to hear of it.
pub(super) const TOLD_MS: i64 = limit::CREDENTIAL_LIFE_MS_MAX
    + limit::APPROVAL_LIFE_MS_MAX
    + limit::STATUS_LIFE_MS_MAX
    + limit::CLOCK_SKEW_MS_MAX;

const LEFT: &str = "left_operator_keys";

/// Keys that a new federation document takes away, and whose they were.
//= APR-50
pub(super) fn find(
    before: Option<&TrustedFederation>,
    next: &TrustedFederation,
) -> BTreeMap<KeyId, OperatorName> {
    let keys = |one: &Operator| {
        let name = one.name.clone();
        let keys: Vec<_> = one.keys.iter().map(|key| (key.kid.clone(), name.clone())).collect();
        keys
    };
    let mut gone: BTreeMap<_, _> = before
        .into_iter()
        .flat_map(|known| known.document().operators.iter().flat_map(keys))
        .collect();
    for (kid, _) in next.document().operators.iter().flat_map(keys) {
        gone.remove(&kid);
    }
    if planted!("left_operator_unrevoked") {
        gone.clear();
    }
    gone
}

/// All keys that were ever taken from operators.
///
/// # Errors
///
/// Returns the store's fault.
pub(crate) fn all(store: &Handle) -> Result<BTreeSet<KeyId>, Fault> {
    let text = store.reads().meta(LEFT)?.unwrap_or_default();
    Ok(text.split_whitespace().filter_map(|kid| KeyId::new(kid).ok()).collect())
}

/// Refuses a document that enrols a key which was taken away: nobody else would take what it signs.
//= APR-51
pub(super) fn check_enrolled(store: &Handle, next: &TrustedFederation) -> Result<(), TrustError> {
    let left = all(store)?;
    let mut keys = next.document().operators.iter().flat_map(|one| &one.keys);
    match keys.find(|key| left.contains(&key.kid)) {
        Some(key) if !planted!("left_operator_enrolled") => {
            Err(TrustError::RevokedOperatorKey { kid: key.kid.clone() })
        }
        _ => Ok(()),
    }
}

/// What our next status tells as revoked, these keys included.
pub(super) fn revoked(
    state: &State,
    core: &Core,
    leavers: &BTreeMap<KeyId, OperatorName>,
) -> Result<Vec<Revocation>, TrustError> {
    let now = core.now();
    let mut all = revoke::still_told(&state.revoked, core.identity.present().root(), now);
    for kid in leavers.keys() {
        let one = Revocation { kid: kid.clone(), reason: RevocationReason::Retired, since: now };
        if let Err(at) = all.binary_search_by(|known| known.kid.cmp(kid)) {
            all.insert(at, one);
        }
    }
    if all.len() > limit::REVOCATIONS_MAX {
        return Err(TrustError::TooManyRevocations);
    }
    Ok(all)
}

/// What remembers them, and who it was in the audit log.
pub(super) fn writes(
    core: &Core,
    leavers: &BTreeMap<KeyId, OperatorName>,
) -> Result<Vec<Write>, Fault> {
    let mut left = all(&core.store)?;
    left.extend(leavers.keys().cloned());
    let kids: Vec<&str> = left.iter().map(KeyId::as_str).collect();
    let mut writes = vec![Write::PutMeta { name: LEFT.to_owned(), value: kids.join(" ") }];
    for (kid, name) in leavers {
        let detail = [("kid", kid.as_str())];
        writes.push(core.audit("admin", "operator_key_revoked", name.as_str(), detail));
    }
    Ok(writes)
}
