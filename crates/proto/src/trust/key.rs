//! Secret keys, which sign envelopes and nothing else.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use crate::wire::envelope::{Envelope, Signature, pre_authentication_encoding};
use crate::wire::kind::Kind;
use crate::wire::name::KeyId;

pub use crate::wire::key::{Algorithm, InvalidKey, PublicKey};

/// A secret key. Zeroized when dropped, never printed, and signs nothing but envelopes.
///
/// Signing takes no public key: handing one in that does not belong to the seed would give the seed
/// away with the second signature.
pub struct SecretKey {
    signing: SigningKey,
    kid: KeyId,
}

impl SecretKey {
    /// The key that grows from 32 bytes of entropy.
    #[must_use]
    pub fn from_seed(seed: &Zeroizing<[u8; 32]>) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let kid = PublicKey::of(&signing).kid();
        Self { signing, kid }
    }

    /// The key's id.
    #[must_use]
    pub const fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::of(&self.signing)
    }

    /// Signs a payload as one of `kind`. Callers hold a [`super::signer::KeySigner`], which also
    /// knows the key's role.
    pub(crate) fn sign(&self, kind: Kind, payload: &[u8]) -> Envelope {
        let signed = pre_authentication_encoding(kind, payload);
        let sig = self.signing.sign(&signed).to_bytes();
        Envelope::new(kind, payload.to_vec(), Signature::new(self.kid.clone(), sig))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({}, secret)", self.kid)
    }
}
