//! Whose decisions count here, and for what: explicit, exact, pinned to the words that a person read.

use std::collections::BTreeSet;

use landbridge_planted::planted;
use serde::{Deserialize, Serialize};

use super::catalog::Scope;
use super::operator_key::KeyMethod;
use crate::wire::digest::Digest;
use crate::wire::limit;
use crate::wire::name::{ScopeName, SubjectKind, TenantId, Timestamp};

/// An approval by a holder of `remote_scope` in the peer's tenant `remote` fulfils our `local_scope` in
/// our tenant `local`. Stands below the peer that it is about.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Projection {
    /// What else must hold.
    pub constraints: Constraints,
    /// The catalog entry that a person read, by its digest.
    pub entry: Digest,
    /// When it stops.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub exp: Timestamp,
    /// Our tenant.
    pub local: TenantId,
    /// What we need.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::unreserved_scope")
    )]
    pub local_scope: ScopeName,
    /// When it begins.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub nbf: Timestamp,
    /// The peer's tenant.
    pub remote: TenantId,
    /// What its operators hold.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::unreserved_scope")
    )]
    pub remote_scope: ScopeName,
}

/// What must hold for an approval besides the names.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Constraints {
    /// The longest life of an approval, in milliseconds.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1, max = limit::APPROVAL_LIFE_MS_MAX)))]
    pub max_ttl_ms: i64,
    /// Kinds of keys that count.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1)))]
    pub methods: BTreeSet<KeyMethod>,
    /// People at least.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1, max = limit::QUORUM_MAX)))]
    pub min_signers: u32,
    /// Whether it counts for subjects of which a part was seen only.
    pub observed: bool,
    /// Kinds of subjects.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1)))]
    pub subject_kinds: BTreeSet<SubjectKind>,
}

/// What a run under a grant needs when its gateway asks for a person's approval.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ApprovalRule {
    /// People at least.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1, max = limit::QUORUM_MAX)))]
    pub quorum: u32,
    /// Our scope.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::unreserved_scope")
    )]
    pub scope: ScopeName,
}

/// Why a projection does not fit together.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidProjection {
    /// A scope of a gateway's own operator surface.
    #[error("scopes that begin with operator. are never projected")]
    ReservedScope,
    /// Ends before it begins, or lives longer than allowed.
    #[error("a projection lives 1 to {max_ms} milliseconds")]
    BadLife {
        /// The longest life allowed.
        max_ms: i64,
    },
    /// Constraints that let nothing through, or beyond the limits.
    #[error("the constraints allow nothing, or more than the contract")]
    BadConstraints,
}

impl Projection {
    /// What tells one projection of a peer from another.
    #[must_use]
    pub fn place(&self) -> (&TenantId, &TenantId, &ScopeName, &ScopeName) {
        (&self.local, &self.remote, &self.local_scope, &self.remote_scope)
    }

    //= APR-5
    pub(crate) fn check(&self) -> Result<(), InvalidProjection> {
        let reserved =
            Scope::is_reserved(&self.local_scope) || Scope::is_reserved(&self.remote_scope);
        if reserved && !planted!("reserved_scope_projected") {
            return Err(InvalidProjection::ReservedScope);
        }
        let life_ms = self.exp.since_ms(self.nbf);
        if self.nbf.0 < 0 || !(1..=limit::PROJECTION_LIFE_MS_MAX).contains(&life_ms) {
            return Err(InvalidProjection::BadLife { max_ms: limit::PROJECTION_LIFE_MS_MAX });
        }
        let constraints = &self.constraints;
        let allows = !constraints.methods.is_empty()
            && !constraints.subject_kinds.is_empty()
            && (1..=limit::APPROVAL_LIFE_MS_MAX).contains(&constraints.max_ttl_ms)
            && (1..=limit::QUORUM_MAX).contains(&constraints.min_signers);
        if allows { Ok(()) } else { Err(InvalidProjection::BadConstraints) }
    }
}

impl ApprovalRule {
    /// Whether the rule can be met, and does not name what never crosses.
    pub(crate) fn is_possible(&self) -> bool {
        (1..=limit::QUORUM_MAX).contains(&self.quorum) && !Scope::is_reserved(&self.scope)
    }
}
