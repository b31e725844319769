//! A gateway that introduces itself: it shows its whole chain, its status and what it wants.
//!
//! Anybody can send such a thing, so what it shows is judged by itself first. Only who signed all of it has
//! us read what we kept of it.

use landbridge_planted::planted;
use landbridge_proto::machine::admission::{told_of_root, told_of_signed, told_of_status};
use landbridge_proto::machine::operation::Operation;
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::verified::Verified;
use landbridge_proto::wire::kind::PayloadKind;
use landbridge_proto::wire::name::Timestamp;
use landbridge_proto::wire::problem::{Code, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::core::{Core, bug, chained};
use crate::trust::stored_view;

/// Reads the body of a pairing or an admission.
pub(super) fn read(body: &[u8]) -> Result<Operation, Problem> {
    Operation::parse_introduction(body)
        .map_err(|fault| Problem::new(fault.code()).with_detail(fault.to_string()))
}

/// Who introduces itself, and what it signed.
pub(super) fn introduced<T>(
    core: &Core,
    operation: &Operation,
    is_right: impl Fn(&PeerView, &T, Timestamp) -> Result<(), Problem>,
) -> Result<(PeerView, Verified<T>), Problem>
where
    T: PayloadKind + Serialize + DeserializeOwned,
{
    let now = core.now();
    let roots = operation.roots.as_deref().unwrap_or_default();
    let Some((first, later)) = roots.split_first() else {
        let detail = "who introduces itself brings its roots";
        return Err(Problem::new(Code::Malformed).with_detail(detail));
    };
    let verified = |view: PeerView| {
        let have = view.chain().version();
        let view = view
            .with_status(&operation.status, now)
            .map_err(|fault| logged(&fault, told_of_status(&fault, have)))?;
        let request = view
            .verify::<T>(&operation.request, now)
            .map_err(|fault| logged(&fault, told_of_signed(&fault)))?;
        is_right(&view, request.value(), now)?;
        Ok((view, request))
    };
    let chain = TrustedRoot::introduced(first)
        .and_then(|chain| chain.advance_whole(later, now))
        .map_err(|fault| logged(&fault, told_of_root(&fault)))?;
    let gateway = chain.gateway().clone();
    let by_itself = || verified(PeerView::new(chain));
    let shown = if planted!("introduced_unread") { None } else { Some(by_itself()?) };
    // What was learned of it before stays true: its roots go on from there, and what it revoked stays
    // revoked.
    let known = match core.trust.state().peers.get(&gateway) {
        Some(view) => Some(view.clone()),
        None => stored_view(&core.store, &gateway)
            .map_err(|error| bug("what was kept of a gateway cannot be read", &error))?,
    };
    match (known, shown) {
        (Some(known), _) => {
            let view = known
                .with_chain(roots, now)
                .map_err(|fault| logged(&fault, told_of_root(&fault)))?;
            verified(view)
        }
        (None, Some(shown)) => Ok(shown),
        (None, None) => Err(Problem::new(Code::VerificationFailed)),
    }
}

/// The sender learns one code; the log learns the story.
pub(super) fn refuse(fault: &dyn std::error::Error) -> Problem {
    logged(fault, Problem::new(Code::VerificationFailed))
}

fn logged(fault: &dyn std::error::Error, told: Problem) -> Problem {
    tracing::info!(story = chained(fault), "who introduced itself was refused");
    told
}
