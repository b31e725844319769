//! What a gateway asks another's operators to decide.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::wire::digest::{Digest, tag};
use crate::wire::document::{FormVersion, proven};
use crate::wire::kind::Kind;
use crate::wire::limit;
use crate::wire::name::{
    ApprovalId, GatewayId, RunId, ScopeName, SubjectKind, TenantId, TenantPair, Timestamp,
};

/// An approval request whose members fit together.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(try_from = "RawApprovalRequest", into = "RawApprovalRequest")]
pub struct ApprovalRequest(RawApprovalRequest);

/// An approval request as it is written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawApprovalRequest {
    /// The deciding gateway.
    pub aud: GatewayId,
    /// When it is too late.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub expires: Timestamp,
    /// The question, as the relying gateway names it.
    pub id: ApprovalId,
    /// The relying gateway.
    pub iss: GatewayId,
    /// When it was asked.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub issued: Timestamp,
    /// People at least.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1, max = limit::QUORUM_MAX)))]
    pub quorum: u32,
    /// On whose behalf the thing is to happen: they never decide it.
    pub requester: Requester,
    /// The run that waits, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// What is needed, in the relying gateway's words.
    pub scope: ScopeName,
    /// The deciding gateway's scopes that would do.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1, max = limit::SCOPES_MAX)))]
    pub scopes: BTreeSet<ScopeName>,
    /// What is to be approved.
    pub subject: Subject,
    /// Of whom it is asked, and for whom.
    pub tenant: ApprovalTenants,
    /// The form's version.
    pub v: FormVersion,
}

/// The tenants of an approval, told by what the gateways do, since either may be the caller.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ApprovalTenants {
    /// The deciding gateway's tenant.
    pub deciding: TenantId,
    /// The relying gateway's tenant.
    pub relying: TenantId,
}

impl ApprovalTenants {
    /// The tenants where the executor relies on the caller's operators.
    #[must_use]
    pub fn executor_relies(pair: &TenantPair) -> Self {
        Self { deciding: pair.src.clone(), relying: pair.dst.clone() }
    }

    /// The tenants where the caller relies on the executor's operators.
    #[must_use]
    pub fn caller_relies(pair: &TenantPair) -> Self {
        Self { deciding: pair.dst.clone(), relying: pair.src.clone() }
    }
}

/// On whose behalf something is asked.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Requester {
    /// The gateway that vouches for the name.
    pub gateway: GatewayId,
    /// The name.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1, max = limit::CLAIM_BYTES_MAX)))]
    pub principal: String,
}

/// The bytes that are approved, by their digest.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Whether the bytes are all that will be acted on.
    pub binding: Binding,
    /// Their digest.
    pub digest: Digest,
    /// What it is.
    pub kind: SubjectKind,
    /// The bytes' media type.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1, max = limit::MEDIA_BYTES_MAX)))]
    pub media: String,
    /// How many bytes.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1, max = limit::SUBJECT_BYTES_MAX)))]
    pub size: u64,
}

/// How much of what will happen the bytes are.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Binding {
    /// All of it.
    Exact,
    /// What the relying gateway sees of it.
    Observed,
}

/// Why an approval request does not fit together.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidApprovalRequest {
    /// Expires before it is issued, or lives longer than allowed.
    #[error("an approval request lives 1 to {max_ms} milliseconds")]
    BadLife {
        /// The longest life allowed.
        max_ms: i64,
    },
    /// Nobody or too many.
    #[error("a quorum is 1 to {max}")]
    BadQuorum {
        /// The most allowed.
        max: u32,
    },
    /// No scope would do, or too many.
    #[error("1 to {max} scopes would do")]
    BadScopes {
        /// The most allowed.
        max: usize,
    },
    /// A text or the subject is empty or too long.
    #[error("{0} is empty or longer than the contract allows")]
    BadLength(&'static str),
    /// A gateway that asks itself.
    #[error("a gateway asks another one")]
    AsksItself,
}

proven!(
    ApprovalRequest,
    RawApprovalRequest,
    InvalidApprovalRequest,
    Kind::ApprovalRequest,
    limit::DOCUMENT_BYTES_MAX
);

//= APR-14
fn check(raw: &RawApprovalRequest) -> Result<(), InvalidApprovalRequest> {
    let life_ms = raw.expires.since_ms(raw.issued);
    if raw.issued.0 < 0 || !(1..=limit::APPROVAL_LIFE_MS_MAX).contains(&life_ms) {
        return Err(InvalidApprovalRequest::BadLife { max_ms: limit::APPROVAL_LIFE_MS_MAX });
    }
    if !(1..=limit::QUORUM_MAX).contains(&raw.quorum) {
        return Err(InvalidApprovalRequest::BadQuorum { max: limit::QUORUM_MAX });
    }
    if !(1..=limit::SCOPES_MAX).contains(&raw.scopes.len()) {
        return Err(InvalidApprovalRequest::BadScopes { max: limit::SCOPES_MAX });
    }
    let fits = |text: &str, max: usize| !text.is_empty() && text.len() <= max;
    if !fits(&raw.requester.principal, limit::CLAIM_BYTES_MAX) {
        return Err(InvalidApprovalRequest::BadLength("requester.principal"));
    }
    if !fits(&raw.subject.media, limit::MEDIA_BYTES_MAX) {
        return Err(InvalidApprovalRequest::BadLength("subject.media"));
    }
    let size_max = u64::try_from(limit::SUBJECT_BYTES_MAX).unwrap_or(u64::MAX);
    if !(1..=size_max).contains(&raw.subject.size) {
        return Err(InvalidApprovalRequest::BadLength("subject"));
    }
    if raw.aud == raw.iss {
        return Err(InvalidApprovalRequest::AsksItself);
    }
    Ok(())
}

impl Subject {
    /// The subject of these bytes.
    #[must_use]
    pub fn of(kind: SubjectKind, media: impl Into<String>, binding: Binding, bytes: &[u8]) -> Self {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self { binding, digest: Self::digest_of(bytes), kind, media: media.into(), size }
    }

    /// The digest of a subject's bytes.
    #[must_use]
    pub fn digest_of(bytes: &[u8]) -> Digest {
        Digest::of(tag::SUBJECT, &[bytes])
    }

    /// Whether these are the bytes.
    #[must_use]
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        u64::try_from(bytes.len()) == Ok(self.size) && Self::digest_of(bytes) == self.digest
    }
}
