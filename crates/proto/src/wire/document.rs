//! The trust documents, each in two forms.
//!
//! A `raw` struct says what was written and can be filled in freely. The document of the same name
//! says what was proven: it is made only by `TryFrom`, which is also how it is read from the wire, and
//! it lends the raw fields for reading. After that nobody checks again.

use serde::{Deserialize, Serialize};

pub mod admission;
pub mod endpoint;
pub mod federation;
pub mod grant;
pub mod membership;
pub mod pairing;
pub mod root;
pub mod status;

pub use admission::Admission;
pub use endpoint::{Endpoint, EndpointUrl};
pub use federation::{Federation, FederationRoot, Grant, Peer, PeerStatus};
pub use grant::{Ask, Disclose, Disclosure, InvalidGrant, Mode};
pub use membership::Membership;
pub use pairing::PairingRequest;
pub use root::{RoleHolders, Root, RootKey, gateway_id, genesis_of};
pub use status::{AuditHead, Incarnation, Revocation, RevocationReason, Status};

/// Documents as they are written, before anything about them is proven.
pub mod raw {
    pub use super::admission::RawAdmission as Admission;
    pub use super::federation::RawFederation as Federation;
    pub use super::membership::RawMembership as Membership;
    pub use super::pairing::RawPairingRequest as PairingRequest;
    pub use super::root::RawRoot as Root;
    pub use super::status::RawStatus as Status;
}

/// The version of a signed form, document or statement: always 1.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct FormVersion;

/// A document of a form that this version does not know.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a form of version {found}; this reader knows version 1")]
pub struct UnknownFormVersion {
    /// The version found.
    pub found: u64,
}

impl TryFrom<u64> for FormVersion {
    type Error = UnknownFormVersion;

    fn try_from(found: u64) -> Result<Self, UnknownFormVersion> {
        if found == 1 { Ok(Self) } else { Err(UnknownFormVersion { found }) }
    }
}

impl From<FormVersion> for u64 {
    fn from(_: FormVersion) -> Self {
        1
    }
}

/// Makes `$proven` from `$raw` by `$check`, and lends the raw fields for reading.
macro_rules! proven {
    ($proven:ident, $raw:ident, $invalid:ident, $kind:expr, $bytes_max:expr) => {
        impl TryFrom<$raw> for $proven {
            type Error = $invalid;

            fn try_from(raw: $raw) -> Result<Self, $invalid> {
                check(&raw)?;
                Ok(Self(raw))
            }
        }

        impl From<$proven> for $raw {
            fn from(proven: $proven) -> Self {
                proven.0
            }
        }

        impl std::ops::Deref for $proven {
            type Target = $raw;

            fn deref(&self) -> &$raw {
                &self.0
            }
        }

        impl crate::wire::kind::PayloadKind for $proven {
            const KIND: crate::wire::kind::Kind = $kind;
            const BYTES_MAX: usize = $bytes_max;
        }
    };
}
pub(crate) use proven;
