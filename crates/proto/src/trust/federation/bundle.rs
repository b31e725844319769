//! A version of the federation document with the roots that prove it: one file, checked anywhere.
//!
//! The document in force is judged by the present policy keys. A version of last year is judged by the
//! root that was good when it was signed, so the file carries the whole chain from the first root on,
//! and the reader pins nothing but the gateway's id.

use serde::{Deserialize, Serialize};

use super::TrustedFederation;
use crate::trust::recorded::{RecordedError, Stated, verify_stated};
use crate::trust::root::{RootError, TrustedRoot};
use crate::wire::document::{Federation, FormVersion};
use crate::wire::envelope::Envelope;
use crate::wire::limit;
use crate::wire::name::GatewayId;

/// The most bytes of a bundle: a document, and more roots than anybody issues.
pub const BUNDLE_BYTES_MAX: usize = 128 * limit::DOCUMENT_BYTES_MAX;

/// A document and its roots, nothing of it verified yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The document.
    pub federation: Envelope,
    /// The gateway's roots from the first on.
    pub roots: Vec<Envelope>,
    /// The form's version.
    pub v: FormVersion,
}

/// What is wrong with a bundle, or with a kept version.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BundleError {
    /// Not a bundle.
    #[error("not a trust bundle: {why}")]
    Unreadable {
        /// Why not.
        why: String,
    },
    /// Another gateway's.
    #[error("it is of {found}")]
    Foreign {
        /// The gateway found.
        found: GatewayId,
    },
    /// Its roots do not verify.
    #[error("its roots do not verify")]
    Roots(#[source] RootError),
    /// The document does not verify under them.
    #[error("its document does not verify")]
    Document(#[source] RecordedError),
}

impl Bundle {
    /// Reads a bundle.
    ///
    /// # Errors
    ///
    /// [`BundleError::Unreadable`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        let unreadable = |why: String| BundleError::Unreadable { why };
        if bytes.len() > BUNDLE_BYTES_MAX {
            return Err(unreadable(format!("longer than {BUNDLE_BYTES_MAX} bytes")));
        }
        let bundle: Self =
            serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
        if bundle.roots.is_empty() {
            return Err(unreadable("without roots".to_owned()));
        }
        Ok(bundle)
    }

    /// Whose it says to be: the gateway of its first root, which is a claim until somebody pins it.
    #[must_use]
    pub fn claimed_gateway(&self) -> Option<GatewayId> {
        Some(crate::wire::document::gateway_id(&self.roots.first()?.digest()))
    }

    /// Verifies the roots for the gateway that is expected, and the document under them.
    ///
    /// # Errors
    ///
    /// [`BundleError`].
    pub fn open(&self, pin: &GatewayId) -> Result<(TrustedRoot, TrustedFederation), BundleError> {
        match self.claimed_gateway() {
            Some(found) if found == *pin => {}
            Some(found) => return Err(BundleError::Foreign { found }),
            None => return Err(BundleError::Unreadable { why: "without roots".to_owned() }),
        }
        let chain = TrustedRoot::restore(&self.roots, pin).map_err(BundleError::Roots)?;
        let document = open_recorded(&self.federation, &chain)?;
        Ok((chain, document))
    }
}

/// Verifies any version of the document of `chain`'s gateway, by the root that was good when it was
/// issued. For history: what is in force must verify under the present root.
///
/// # Errors
///
/// [`BundleError::Document`] or [`BundleError::Foreign`].
pub fn open_recorded(
    envelope: &Envelope,
    chain: &TrustedRoot,
) -> Result<TrustedFederation, BundleError> {
    let stated = |document: &Federation| Stated { root_version: None, at: document.issued };
    let document =
        verify_stated::<Federation>(chain, envelope, stated).map_err(BundleError::Document)?;
    //= ID-27
    if document.value().iss != *chain.gateway() {
        return Err(BundleError::Foreign { found: document.value().iss.clone() });
    }
    Ok(TrustedFederation::of(document))
}

#[cfg(test)]
mod tests;
