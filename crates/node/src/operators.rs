//! Our operators, and what we sign of them for others.
//!
//! A credential says of an operator what our federation document says, for a few hours. Nothing of it is
//! kept: it is a function of the document, of the key that signs and of the half of its life in which it
//! is asked for, so the same one comes out again after a restart, and an approval that names it can be
//! put together with it.

use landbridge_planted::planted;
use landbridge_proto::trust::signer::{SignError, Signer as _};
use landbridge_proto::wire::approval::credential::InvalidCredential;
use landbridge_proto::wire::approval::{Operator, OperatorCredential, raw};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::FormVersion;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::name::{OperatorName, TenantId, Timestamp};
use landbridge_proto::wire::problem::{Code, Problem};

use crate::core::{Core, chained};

/// A credential of one of our operators, and its envelope.
#[derive(Clone, Debug)]
pub struct Issued {
    /// What it says.
    pub credential: OperatorCredential,
    /// What is handed out.
    pub envelope: Envelope,
}

/// Why no credential is issued.
#[derive(Debug, thiserror::Error)]
pub enum NotIssued {
    /// Our federation document does not have them.
    #[error("{name} is no operator of {tenant}")]
    Unknown {
        /// The name.
        name: OperatorName,
        /// The tenant.
        tenant: TenantId,
    },
    /// It does not fit together.
    #[error("the credential does not fit together")]
    Invalid(#[from] InvalidCredential),
    /// Our key did not sign.
    #[error("the credential was not signed")]
    Sign(#[from] SignError),
}

impl NotIssued {
    /// The problem that a client of ours is told.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let code = match self {
            Self::Unknown { .. } => Code::NotFound,
            Self::Sign(SignError::Revoked { .. }) => Code::Halted,
            Self::Invalid(_) | Self::Sign(_) => Code::Internal,
        };
        Problem::new(code).with_detail(chained(self))
    }
}

/// An operator as our federation document has them.
#[must_use]
pub fn enrolled(core: &Core, name: &OperatorName, tenant: &TenantId) -> Option<Operator> {
    let state = core.trust.state();
    let operators = &state.federation.as_ref()?.document().operators;
    operators.iter().find(|one| one.name == *name && one.tenant == *tenant).cloned()
}

/// The credential of an operator for now. At least half of its life is left.
///
/// # Errors
///
/// [`NotIssued`].
pub fn credential(
    core: &Core,
    name: &OperatorName,
    tenant: &TenantId,
) -> Result<Issued, NotIssued> {
    issue(core, name, tenant, core.now())
}

/// The credential of an operator that has this digest, if it is one that we issue now or issued a moment
/// ago, and our document still says what it says.
///
/// # Errors
///
/// [`NotIssued`].
pub fn credential_of(
    core: &Core,
    name: &OperatorName,
    tenant: &TenantId,
    digest: Digest,
) -> Result<Option<Issued>, NotIssued> {
    let now = core.now();
    for at in [now, now.plus_ms(-core.settings.credential_life_ms / 2)] {
        let issued = issue(core, name, tenant, at)?;
        if issued.envelope.digest() == digest && now < issued.credential.expires {
            return Ok(Some(issued));
        }
    }
    Ok(None)
}

//= APR-10
fn issue(
    core: &Core,
    name: &OperatorName,
    tenant: &TenantId,
    at: Timestamp,
) -> Result<Issued, NotIssued> {
    let operator = enrolled(core, name, tenant)
        .ok_or_else(|| NotIssued::Unknown { name: name.clone(), tenant: tenant.clone() })?;
    let (identity, now) = (core.identity.present(), core.now());
    let life_ms = core.settings.credential_life_ms;
    let kid = identity.signer(Role::OperatorCa, now)?.kid().clone();
    let key = identity.keys(Role::OperatorCa).iter().find(|key| *key.signer.kid() == kid);
    let slot = Timestamp(at.0.div_euclid(life_ms / 2).saturating_mul(life_ms / 2));
    // Who verifies it years later does so at the time that it states, when the key must have been good.
    let issued = slot.max(key.map_or(slot, |key| key.nbf));
    let mut scopes = operator.scopes;
    if planted!("credential_scope_added") {
        scopes.extend(landbridge_proto::wire::name::ScopeName::new("sre-lead"));
    }
    let credential = OperatorCredential::try_from(raw::OperatorCredential {
        expires: slot.plus_ms(life_ms),
        iss: core.own().clone(),
        issued,
        keys: operator.keys,
        scopes,
        sub: operator.name,
        tenant: operator.tenant,
        v: FormVersion,
    })?;
    Ok(Issued { envelope: identity.sign(&credential, now)?, credential })
}
