//! The words that people read when they mapped a scope.
//!
//! A projection pins them by their digest alone. When the other gateway changes them, whoever is asked to
//! look again wants to see both texts, so the texts of what is pinned are kept here. They prove
//! themselves: a text that has not the digest under which it stands is passed over.

use std::collections::BTreeMap;

use landbridge_proto::machine::contract::Write;
use landbridge_proto::trust::federation::TrustedFederation;
use landbridge_proto::wire::approval::Scope;
use landbridge_proto::wire::digest::Digest;
use landbridge_store::Fault;

use crate::core::Core;

const PINNED: &str = "pinned_scopes";

/// The texts of what is pinned, by their digests.
///
/// # Errors
///
/// Returns the store's fault.
pub fn texts(core: &Core) -> Result<BTreeMap<Digest, Scope>, Fault> {
    let text = core.store.reads().meta(PINNED)?.unwrap_or_default();
    let mut texts: BTreeMap<Digest, Scope> = serde_json::from_str(&text).unwrap_or_default();
    texts.retain(|digest, scope| scope.entry().is_ok_and(|entry| entry == *digest));
    Ok(texts)
}

/// What keeps the texts that a federation document pins, as far as they are known; `None` where nothing
/// changes.
pub(crate) fn kept(core: &Core, next: &TrustedFederation) -> Result<Option<Write>, Fault> {
    let before = texts(core)?;
    let mut after = BTreeMap::new();
    for peer in &next.document().peers {
        for projection in &peer.projections {
            let known = before.get(&projection.entry).cloned();
            let told = || {
                let kept = super::newest(core, &peer.gid, &projection.remote).ok()??;
                kept.catalog.scope(&projection.remote_scope).cloned()
            };
            if let Some(scope) = known.or_else(told)
                && scope.entry().is_ok_and(|entry| entry == projection.entry)
            {
                after.insert(projection.entry, scope);
            }
        }
    }
    if before == after {
        return Ok(None);
    }
    let value = serde_json::to_string(&after).unwrap_or_default();
    Ok(Some(Write::PutMeta { name: PINNED.to_owned(), value }))
}
