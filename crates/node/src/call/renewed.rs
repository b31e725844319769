//! A peer that changed its keys while we were away, or while we read.
//!
//! A signature by a key that we do not know says one of two things: the bytes are wrong, or we missed a
//! root. Which of them it is, only the peer's next root can tell, so it is asked for before anything is
//! concluded. And an accept is signed once, with the key of its day: it is shown for as long as the run
//! lives, also when that key has left the root since.

use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::recorded::Stated;
use landbridge_proto::trust::verified::{Verified, VerifyError};
use landbridge_proto::wire::document::Root;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::stream::Accept;

use super::Driver;
use super::attempt::{Left, unverified};
use crate::peers::is_renewed;

/// An accept, and whether a key that is good now vouches for it.
pub(super) struct Shown {
    pub(super) accept: Verified<Accept>,
    pub(super) by_present_key: bool,
}

impl Driver {
    /// Verifies an accept that the executor shows; asks for its next root where the key is not known.
    pub(super) async fn verify_accept(&self, envelope: &Envelope) -> Result<Shown, Left> {
        let view = self.view()?;
        match self.shown(&view, envelope) {
            Ok(shown) => Ok(shown),
            Err(fault) if is_renewed(&fault) => {
                self.renew(view.chain().version()).await?;
                self.shown(&self.view()?, envelope).map_err(|fault| unverified(&fault))
            }
            Err(fault) => Err(unverified(&fault)),
        }
    }

    //= ID-53
    fn shown(&self, view: &PeerView, envelope: &Envelope) -> Result<Shown, VerifyError> {
        let now = self.core.now();
        let fault = match view.verify::<Accept>(envelope, now) {
            Ok(accept) => return Ok(Shown { accept, by_present_key: true }),
            Err(fault) => fault,
        };
        let is_known = self.caller.accept_digest() == Some(envelope.digest());
        match &fault {
            VerifyError::SignedWithForeignKey { .. } | VerifyError::SignedWithExpiredKey { .. } => {
            }
            // What was taken before its key was revoked stands.
            VerifyError::SignedWithRevokedKey { .. } if is_known => {}
            _ => return Err(fault),
        }
        let signer = envelope.signatures().first().map(|signature| signature.keyid().clone());
        // An accept states no time: what counts is that its root lists the key, at some time.
        let stated = |said: &Accept| {
            let root = view
                .chain()
                .roots()
                .map(Verified::value)
                .find(|root: &&Root| root.version == said.root_version);
            let listed = root.zip(signer.as_ref()).and_then(|(root, kid)| root.keys.get(kid));
            let issued = root.map(|root| root.issued).unwrap_or_default();
            let at = listed.map_or(issued, |key| key.nbf.max(issued));
            Stated { root_version: Some(said.root_version), at }
        };
        let accept = view.verify_made::<Accept>(envelope, now, stated).map_err(|_| fault)?;
        Ok(Shown { accept, by_present_key: false })
    }
}
