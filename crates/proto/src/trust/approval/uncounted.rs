//! Why something about an approval is turned down: one reason for each obligation.

use super::proof::BadProof;
use crate::trust::verified::VerifyError;
use crate::wire::digest::Digest;
use crate::wire::json::InvalidJson;
use crate::wire::name::{GatewayId, KeyId, OperatorName, ScopeName, TenantId, Timestamp};
use crate::wire::problem::Code;

/// Why a decision does not count, or a question or a vote is not taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Uncounted {
    /// The deciding gateway's root or status is not fresh, so nobody knows which keys still are good.
    #[error("the deciding gateway is not fresh")]
    NotFresh(#[source] VerifyError),
    /// The catalog is not signed by the deciding gateway's role.
    #[error("the catalog does not verify")]
    CatalogUnverified(#[source] VerifyError),
    /// Another gateway's or tenant's catalog.
    #[error("a catalog of {tenant} at {iss}")]
    CatalogOfAnother {
        /// Whose it is.
        iss: GatewayId,
        /// Of which tenant.
        tenant: TenantId,
    },
    /// A catalog that is older than one that is kept.
    #[error("catalog {found} is older than {have}")]
    CatalogWentBack {
        /// The newest version kept.
        have: u64,
        /// The version found.
        found: u64,
    },
    /// Two catalogs with one version.
    #[error("two catalogs with the version {version}")]
    CatalogEquivocated {
        /// The version.
        version: u64,
        /// The digest of the one that is kept.
        first: Digest,
        /// The digest of the other.
        other: Digest,
    },
    /// No projection says that this scope of theirs fulfils the one that is needed.
    #[error("no projection of {remote_scope} in {remote} to {local_scope} in {local}")]
    Unmapped {
        /// What is needed.
        local_scope: ScopeName,
        /// Our tenant.
        local: TenantId,
        /// What the operator holds.
        remote_scope: ScopeName,
        /// Their tenant.
        remote: TenantId,
    },
    /// The newest catalog is too old, or of the future.
    #[error("the catalog is outside its life, which ends at {expires}")]
    CatalogExpired {
        /// When.
        expires: Timestamp,
    },
    /// The catalog does not have the scope any more.
    #[error("the catalog has no scope {scope}")]
    ScopeGone {
        /// The scope.
        scope: ScopeName,
    },
    /// The scope's words are not those that a person read.
    #[error("the catalog's entry for {scope} changed since it was mapped")]
    EntryChanged {
        /// The scope.
        scope: ScopeName,
        /// The entry that was mapped.
        mapped: Digest,
        /// The entry now.
        found: Digest,
    },
    /// Before the projection begins, or after it ended.
    #[error("the projection is good from {nbf} to {exp}")]
    ProjectionNotNow {
        /// When it begins.
        nbf: Timestamp,
        /// When it stops.
        exp: Timestamp,
    },
    /// The projection is not for such subjects.
    #[error("the projection is not for this kind of subject")]
    KindNotAllowed,
    /// The projection is only for subjects that were seen whole.
    #[error("the projection does not let an observed subject through")]
    ObservedNotAllowed,
    /// The projection does not let a key of this kind decide.
    #[error("the projection is not for this kind of key")]
    MethodNotAllowed,
    /// The approval lives longer than the projection lets it.
    #[error("the approval lives {life_ms} milliseconds, and the projection allows {max_ms}")]
    LivesTooLong {
        /// Its life.
        life_ms: i64,
        /// The most allowed.
        max_ms: i64,
    },
    /// The catalog says that the scope is not exercised with a key of this kind.
    #[error("scope {scope} is not exercised with this kind of key")]
    MethodNotAssured {
        /// The scope.
        scope: ScopeName,
    },
    /// The credential is not signed by the deciding gateway's role.
    #[error("the credential does not verify")]
    CredentialUnverified(#[source] VerifyError),
    /// Before the credential was issued, or after it expired.
    #[error("the credential is good from {issued} to {expires}")]
    CredentialNotNow {
        /// When it begins.
        issued: Timestamp,
        /// When it stops.
        expires: Timestamp,
    },
    /// Another credential than the approval names, or one of somebody else.
    #[error("the credential is not the approval's: {what} differs")]
    CredentialOfAnother {
        /// The member that differs.
        what: &'static str,
    },
    /// The operator does not hold the scope.
    #[error("{sub} does not hold {scope}")]
    ScopeNotHeld {
        /// The operator.
        sub: OperatorName,
        /// The scope.
        scope: ScopeName,
    },
    /// A key that is not the operator's.
    #[error("key {kid} is not the operator's")]
    KeyNotListed {
        /// The key.
        kid: KeyId,
    },
    /// A key that its gateway revoked.
    #[error("key {kid} is revoked")]
    KeyRevoked {
        /// The key.
        kid: KeyId,
    },
    /// Not signed as the role must, for a question.
    #[error("the approval request does not verify")]
    AskUnverified(#[source] VerifyError),
    /// A question of another exchange.
    #[error("the approval request is not of this exchange: {what} differs")]
    AskOfAnother {
        /// The member that differs.
        what: &'static str,
    },
    /// A question before its time or after it.
    #[error("the approval request is good from {issued} to {expires}")]
    AskNotNow {
        /// When it begins.
        issued: Timestamp,
        /// When it is too late.
        expires: Timestamp,
    },
    /// The bytes are not those of the subject.
    #[error("the subject is not what the approval request names")]
    AskOtherSubject,
    /// Somebody whom the federation document does not list for the tenant, or lists otherwise.
    #[error("{name} is not enrolled so: {what} differs")]
    NotEnrolled {
        /// The person.
        name: OperatorName,
        /// What differs.
        what: &'static str,
    },
    /// An approval of another question, or between others.
    #[error("the approval is not of this question: {what} differs")]
    OfAnother {
        /// The member that differs.
        what: &'static str,
    },
    /// An approval of other bytes.
    #[error("the approval is of another subject")]
    OtherSubject,
    /// An approval under a scope that was not asked.
    #[error("scope {scope} was not asked")]
    ScopeNotAsked {
        /// The scope.
        scope: ScopeName,
    },
    /// Outside the approval's life.
    #[error("the approval is good from {iat} to {exp}")]
    NotNow {
        /// When it begins.
        iat: Timestamp,
        /// When it stops.
        exp: Timestamp,
    },
    /// Signed before there was a question.
    #[error("the approval is older than its question")]
    BeforeQuestion,
    /// Signed before there was a credential.
    #[error("the approval is older than its credential")]
    BeforeCredential,
    /// Signed in another way than its key signs, or by nobody.
    #[error("the proof does not hold")]
    BadProof(#[source] BadProof),
    /// What was signed is no approval in its one spelling.
    #[error("what was signed is no approval")]
    Malformed(#[source] InvalidJson),
    /// The person on whose behalf the thing is to happen.
    #[error("{sub} decides on their own request")]
    ByRequester {
        /// The person.
        sub: OperatorName,
    },
    /// The question ended before.
    #[error("the question was good until {expires}")]
    TooLate {
        /// When it ended.
        expires: Timestamp,
    },
}

impl Uncounted {
    /// What the other gateway is told.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            //= APR-25
            Self::TooLate { .. } => Code::AlreadyResolved,
            //= APR-53
            _ => Code::ApprovalRefused,
        }
    }

    /// The reason in one word, for metrics and lists.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NotFresh(_) => "not_fresh",
            Self::CatalogUnverified(_) => "catalog_unverified",
            Self::CatalogOfAnother { .. } => "catalog_of_another",
            Self::CatalogWentBack { .. } => "catalog_went_back",
            Self::CatalogEquivocated { .. } => "catalog_equivocated",
            Self::Unmapped { .. } => "unmapped",
            Self::CatalogExpired { .. } => "catalog_expired",
            Self::ScopeGone { .. } => "scope_gone",
            Self::EntryChanged { .. } => "entry_changed",
            Self::ProjectionNotNow { .. } => "projection_not_now",
            Self::KindNotAllowed => "kind_not_allowed",
            Self::ObservedNotAllowed => "observed_not_allowed",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::LivesTooLong { .. } => "lives_too_long",
            Self::MethodNotAssured { .. } => "method_not_assured",
            Self::CredentialUnverified(_) => "credential_unverified",
            Self::CredentialNotNow { .. } => "credential_not_now",
            Self::CredentialOfAnother { .. } => "credential_of_another",
            Self::ScopeNotHeld { .. } => "scope_not_held",
            Self::KeyNotListed { .. } => "key_not_listed",
            Self::KeyRevoked { .. } => "key_revoked",
            Self::AskUnverified(_) => "ask_unverified",
            Self::AskOfAnother { .. } => "ask_of_another",
            Self::AskNotNow { .. } => "ask_not_now",
            Self::AskOtherSubject => "ask_other_subject",
            Self::NotEnrolled { .. } => "not_enrolled",
            Self::OfAnother { .. } => "of_another",
            Self::OtherSubject => "other_subject",
            Self::ScopeNotAsked { .. } => "scope_not_asked",
            Self::NotNow { .. } => "not_now",
            Self::BeforeQuestion => "before_question",
            Self::BeforeCredential => "before_credential",
            Self::BadProof(_) => "bad_proof",
            Self::Malformed(_) => "malformed",
            Self::ByRequester { .. } => "by_requester",
            Self::TooLate { .. } => "too_late",
        }
    }
}
