//! The identity that a running bridge goes by, replaced as a whole.
//!
//! Whoever signs takes one snapshot and uses it for everything of one object: its key, and the version of
//! the root that lists the key. So no object names a root that does not know its signer.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use landbridge_proto::wire::name::GatewayId;

use super::Identity;
use crate::net::tls;

/// The present identity, and the right to replace it.
#[derive(Debug)]
pub struct CurrentIdentity {
    gateway: GatewayId,
    home: PathBuf,
    present: RwLock<Arc<Identity>>,
    tls: Arc<tls::Presented>,
}

impl CurrentIdentity {
    /// The identity of the files in `home`, as it was read.
    ///
    /// # Errors
    ///
    /// When the TLS library does not take its TLS identity.
    pub fn new(home: &Path, identity: Identity) -> Result<Self, tls::IdentityError> {
        Ok(Self {
            gateway: identity.gateway().clone(),
            home: home.to_path_buf(),
            tls: Arc::new(tls::Presented::new(identity.tls())?),
            present: RwLock::new(Arc::new(identity)),
        })
    }

    /// The gateway, which no rotation changes.
    #[must_use]
    pub const fn gateway(&self) -> &GatewayId {
        &self.gateway
    }

    /// Where its files are.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The present identity.
    #[must_use]
    pub fn present(&self) -> Arc<Identity> {
        Arc::clone(&self.present.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What new connections are shown.
    #[must_use]
    pub fn tls(&self) -> Arc<tls::Presented> {
        Arc::clone(&self.tls)
    }

    /// Puts another identity of the same gateway in force. It must be durable by now.
    ///
    /// # Errors
    ///
    /// When the TLS library does not take its TLS identity; then the present one stays.
    pub(crate) fn replace(&self, next: Identity) -> Result<(), tls::IdentityError> {
        self.tls.present(next.tls())?;
        *self.present.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        Ok(())
    }
}
