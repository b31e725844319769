//! What decisions say that were checked here before and kept.

use super::{Uncounted, open};
use crate::wire::approval::{Approval, Decision, KeyMethod, OperatorCredential};
use crate::wire::json::canonical;
use crate::wire::name::KeyId;

/// What a kept decision says.
#[derive(Clone, Debug)]
pub struct Said {
    /// The approval.
    pub approval: Approval,
    /// The key that signed it.
    pub kid: KeyId,
    /// What kind of key that is.
    pub method: KeyMethod,
}

/// Reads a decision that was judged, or that an operator of ours took, before it was kept. Its proof is
/// checked again by the key that its credential lists; who vouches for the credential is not, so nothing is
/// counted by this.
///
/// # Errors
///
/// [`Uncounted`] when the kept bytes are not what was kept.
pub fn said(decision: &Decision) -> Result<Said, Uncounted> {
    let credential: OperatorCredential =
        canonical::from_slice(decision.credential.payload()).map_err(Uncounted::Malformed)?;
    let kid = decision.approval.proof().kid();
    let key = credential.keys.iter().find(|key| key.kid == *kid);
    let key = key.ok_or_else(|| Uncounted::KeyNotListed { kid: kid.clone() })?;
    let approval = open(&decision.approval, key)?;
    Ok(Said { approval, kid: kid.clone(), method: key.kind })
}
