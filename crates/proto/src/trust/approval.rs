//! Whether another gateway's operator's decision counts here.
//!
//! One function answers, [`judge`], and only it makes a [`Judged`]: a function that takes one cannot be
//! reached by a decision that nobody judged. It trusts nothing that a decision says of itself. The
//! credential is held against the deciding gateway's roots and status, the approval against the key in the
//! credential, the catalog against what is kept, and all of it against our own question and our own
//! projection, which is the only place where their scope means something here.

mod ask;
mod kept;
mod proof;
pub mod ssh;
mod tally;
mod uncounted;
pub mod webauthn;

use landbridge_planted::planted;

pub use self::ask::{Ballot, check_ask, check_vote, sign_file};
pub use self::kept::{Said, said};
pub use self::proof::BadProof;
pub use self::tally::{Counted, Standing, Tally};
pub use self::uncounted::Uncounted;
use super::peer::PeerView;
use super::verified::Verified;
use crate::wire::approval::{
    Approval, ApprovalRequest, Binding, Catalog, Decision, KeyMethod, OperatorCredential,
    OperatorKey, Projection, SignedApproval, Vote,
};
use crate::wire::digest::Digest;
use crate::wire::envelope::Envelope;
use crate::wire::json::canonical;
use crate::wire::limit;
use crate::wire::name::{GatewayId, Jti, KeyId, OperatorName, ScopeName, TenantId, Timestamp};

/// What a decision is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What was asked.
    pub request: &'a ApprovalRequest,
    /// `D(approval-request)`.
    pub digest: Digest,
    /// The gateway that was asked.
    pub deciding: &'a PeerView,
    /// Our projections below that gateway.
    pub projections: &'a [Projection],
    /// Version and digest of the newest catalog that is kept of the gateway and tenant.
    pub kept: Option<(u64, Digest)>,
    /// The present.
    pub now: Timestamp,
}

/// A decision that counts. Made by [`judge`] alone.
#[derive(Clone, Debug)]
pub struct Judged {
    gateway: GatewayId,
    approval: Approval,
    digest: Digest,
    kid: KeyId,
    method: KeyMethod,
    needed: u32,
    catalog: Verified<Catalog>,
    credential: Verified<OperatorCredential>,
}

impl Judged {
    /// The gateway whose operator decided.
    #[must_use]
    pub const fn gateway(&self) -> &GatewayId {
        &self.gateway
    }

    /// Who decided.
    #[must_use]
    pub fn sub(&self) -> &OperatorName {
        &self.approval.sub
    }

    /// With which key.
    #[must_use]
    pub const fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// What kind of key that is.
    #[must_use]
    pub const fn method(&self) -> KeyMethod {
        self.method
    }

    /// What was decided.
    #[must_use]
    pub fn vote(&self) -> Vote {
        self.approval.decision
    }

    /// By what it is known that it was used.
    #[must_use]
    pub fn jti(&self) -> &Jti {
        &self.approval.jti
    }

    /// When it was signed.
    #[must_use]
    pub fn iat(&self) -> Timestamp {
        self.approval.iat
    }

    /// When it stops being good.
    #[must_use]
    pub fn exp(&self) -> Timestamp {
        self.approval.exp
    }

    /// Under which scope of the deciding gateway.
    #[must_use]
    pub fn scope(&self) -> &ScopeName {
        &self.approval.scope
    }

    /// How many people must approve, as far as this decision's way here says.
    #[must_use]
    pub const fn needed(&self) -> u32 {
        self.needed
    }

    /// The approval.
    #[must_use]
    pub const fn approval(&self) -> &Approval {
        &self.approval
    }

    /// `D(approval)`.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The catalog that came with it: the newest that is to be kept.
    #[must_use]
    pub const fn catalog(&self) -> &Verified<Catalog> {
        &self.catalog
    }

    /// Who the operator is, as their gateway says.
    #[must_use]
    pub const fn credential(&self) -> &Verified<OperatorCredential> {
        &self.credential
    }
}

/// Judges a decision.
///
/// Decisions that were kept are judged again whenever they are counted, at the present: what was revoked or
/// ended meanwhile counts no more. A kept decision then travels with the newest catalog that is kept
/// ([`Decision::catalog`] is not under the operator's signature), since an older one would be refused.
///
/// # Errors
///
/// [`Uncounted`] with the first reason that stands against it.
pub fn judge(question: &Question<'_>, decision: &Decision) -> Result<Judged, Uncounted> {
    if !planted!("stale_decider_trusted") {
        question.deciding.check_fresh(question.now).map_err(Uncounted::NotFresh)?;
    }
    judge_recorded(question, decision)
}

/// As [`judge`], for a decision of the past: whether the view was fresh then is not asked, because nobody
/// keeps every status for ever.
pub(crate) fn judge_recorded(
    question: &Question<'_>,
    decision: &Decision,
) -> Result<Judged, Uncounted> {
    let request = question.request;
    if question.now >= request.expires && !planted!("question_never_ends") {
        //= APR-25
        return Err(Uncounted::TooLate { expires: request.expires });
    }
    let credential = credential(question, decision)?;
    let (approval, key) = signed(question.deciding, credential.value(), decision, question.now)?;
    check_against(request, question.digest, &approval)?;
    check_credential(&credential, &approval)?;
    check_times(request, credential.value(), &approval, question.now)?;
    let catalog = catalog(question, decision)?;
    let needed = project(question, catalog.value(), &approval, key.kind)?;
    check_requester(request, &approval)?;
    if planted!("no_decision_counts") {
        return Err(Uncounted::OtherSubject);
    }
    Ok(Judged {
        gateway: request.aud.clone(),
        digest: decision.approval.digest(),
        kid: key.kid.clone(),
        method: key.kind,
        approval,
        needed,
        catalog,
        credential,
    })
}

//= APR-11
fn credential(
    question: &Question<'_>,
    decision: &Decision,
) -> Result<Verified<OperatorCredential>, Uncounted> {
    let verified = question
        .deciding
        .verify_recorded::<OperatorCredential>(&decision.credential, question.now)
        .map_err(Uncounted::CredentialUnverified)?;
    let said = verified.value();
    let (issued, expires) = (said.issued, said.expires);
    if !is_now(issued, expires, question.now) && !planted!("credential_life_unchecked") {
        return Err(Uncounted::CredentialNotNow { issued, expires });
    }
    let other = |what| Err(Uncounted::CredentialOfAnother { what });
    if said.iss != question.request.aud && !planted!("credential_issuer_unchecked") {
        return other("iss");
    }
    if said.tenant != question.request.tenant.deciding && !planted!("credential_tenant_unchecked") {
        return other("tenant");
    }
    Ok(verified)
}

/// Reads what an operator signed, after the signature held.
fn signed<'a>(
    deciding: &PeerView,
    credential: &'a OperatorCredential,
    decision: &Decision,
    now: Timestamp,
) -> Result<(Approval, &'a OperatorKey), Uncounted> {
    let kid = decision.approval.proof().kid();
    //= APR-12
    let key = credential.keys.iter().find(|key| key.kid == *kid);
    let key = key.ok_or_else(|| Uncounted::KeyNotListed { kid: kid.clone() })?;
    let revoked = deciding.revocation(kid).is_some_and(|revoked| revoked.received <= now);
    if revoked && !planted!("revoked_operator_counts") {
        return Err(Uncounted::KeyRevoked { kid: kid.clone() });
    }
    Ok((open(&decision.approval, key)?, key))
}

/// The only way from a signed approval to what it says.
fn open(signed: &SignedApproval, key: &OperatorKey) -> Result<Approval, Uncounted> {
    proof::check(signed, key).map_err(Uncounted::BadProof)?;
    canonical::from_slice(signed.payload()).map_err(Uncounted::Malformed)
}

//= APR-17
fn check_against(
    request: &ApprovalRequest,
    digest: Digest,
    approval: &Approval,
) -> Result<(), Uncounted> {
    let other = |what| Err(Uncounted::OfAnother { what });
    if approval.iss != request.aud && !planted!("approval_issuer_unchecked") {
        return other("iss");
    }
    if approval.aud != request.iss && !planted!("approval_audience_unchecked") {
        return other("aud");
    }
    if approval.tenant != request.tenant && !planted!("approval_tenant_unchecked") {
        return other("tenant");
    }
    if approval.request != digest && !planted!("approval_question_unchecked") {
        return other("request");
    }
    if approval.subject != request.subject.digest && !planted!("approval_subject_unchecked") {
        return Err(Uncounted::OtherSubject);
    }
    if !request.scopes.contains(&approval.scope) && !planted!("approval_scope_unasked") {
        return Err(Uncounted::ScopeNotAsked { scope: approval.scope.clone() });
    }
    Ok(())
}

fn check_credential(
    credential: &Verified<OperatorCredential>,
    approval: &Approval,
) -> Result<(), Uncounted> {
    let said = credential.value();
    //= APR-11
    if said.sub != approval.sub && !planted!("credential_owner_unchecked") {
        return Err(Uncounted::CredentialOfAnother { what: "sub" });
    }
    if credential.digest() != approval.credential && !planted!("credential_unbound") {
        return Err(Uncounted::CredentialOfAnother { what: "credential" });
    }
    //= APR-12
    if !said.scopes.contains(&approval.scope) && !planted!("scope_holding_unchecked") {
        let (sub, scope) = (approval.sub.clone(), approval.scope.clone());
        return Err(Uncounted::ScopeNotHeld { sub, scope });
    }
    Ok(())
}

//= APR-18
fn check_times(
    request: &ApprovalRequest,
    credential: &OperatorCredential,
    approval: &Approval,
    now: Timestamp,
) -> Result<(), Uncounted> {
    let (iat, exp) = (approval.iat, approval.exp);
    if !is_now(iat, exp, now) && !planted!("approval_life_unchecked") {
        return Err(Uncounted::NotNow { iat, exp });
    }
    // Three clocks are at work here, so each has its tolerance.
    let latest = iat.plus_ms(limit::CLOCK_SKEW_MS_MAX);
    if latest < request.issued && !planted!("approval_before_question") {
        return Err(Uncounted::BeforeQuestion);
    }
    if latest < credential.issued && !planted!("approval_before_credential") {
        return Err(Uncounted::BeforeCredential);
    }
    Ok(())
}

//= APR-22
fn check_requester(request: &ApprovalRequest, approval: &Approval) -> Result<(), Uncounted> {
    let requester = &request.requester;
    let own = requester.gateway == request.aud && requester.principal == approval.sub.as_str();
    if own && !planted!("requester_counts") {
        return Err(Uncounted::ByRequester { sub: approval.sub.clone() });
    }
    Ok(())
}

//= APR-4
fn catalog(question: &Question<'_>, decision: &Decision) -> Result<Verified<Catalog>, Uncounted> {
    let verified = question
        .deciding
        .verify_recorded::<Catalog>(&decision.catalog, question.now)
        .map_err(Uncounted::CatalogUnverified)?;
    let tenant = &question.request.tenant.deciding;
    follows(verified, question.deciding.gateway(), tenant, question.kept)
}

/// Checks a catalog that a gateway sent: whose it is, and that it does not go back. Whether it expired
/// is a question of its use.
///
/// `kept` are version and digest of the newest that is kept of the gateway and tenant.
///
/// # Errors
///
/// [`Uncounted`], with one of the reasons that are about catalogs.
//= APR-4
pub fn check_catalog(
    view: &PeerView,
    tenant: &TenantId,
    kept: Option<(u64, Digest)>,
    envelope: &Envelope,
    now: Timestamp,
) -> Result<Verified<Catalog>, Uncounted> {
    let verified = view.verify::<Catalog>(envelope, now).map_err(Uncounted::CatalogUnverified)?;
    follows(verified, view.gateway(), tenant, kept)
}

/// Holds a catalog against whose it must be, and against the one that is kept.
fn follows(
    verified: Verified<Catalog>,
    gateway: &GatewayId,
    tenant: &TenantId,
    kept: Option<(u64, Digest)>,
) -> Result<Verified<Catalog>, Uncounted> {
    let said = verified.value();
    let other = said.iss != *gateway || said.tenant != *tenant;
    if other && !planted!("catalog_owner_unchecked") {
        let (iss, tenant) = (said.iss.clone(), said.tenant.clone());
        return Err(Uncounted::CatalogOfAnother { iss, tenant });
    }
    let Some((have, first)) = kept else { return Ok(verified) };
    let found = said.version;
    if found < have && !planted!("catalog_rollback_unseen") {
        return Err(Uncounted::CatalogWentBack { have, found });
    }
    if found == have && verified.digest() != first && !planted!("catalog_equivocation_unseen") {
        let other = verified.digest();
        return Err(Uncounted::CatalogEquivocated { version: have, first, other });
    }
    Ok(verified)
}

/// Finds the projection and holds everything against it; returns how many people it needs.
fn project(
    question: &Question<'_>,
    catalog: &Catalog,
    approval: &Approval,
    method: KeyMethod,
) -> Result<u32, Uncounted> {
    let request = question.request;
    //= APR-6
    let place =
        (&request.tenant.relying, &request.tenant.deciding, &request.scope, &approval.scope);
    let mut projections = question.projections.iter();
    let projection = projections
        .find(|one| one.place() == place || planted!("unmapped_scope_counts"))
        .ok_or_else(|| Uncounted::Unmapped {
            local_scope: request.scope.clone(),
            local: request.tenant.relying.clone(),
            remote_scope: approval.scope.clone(),
            remote: request.tenant.deciding.clone(),
        })?;
    //= APR-7
    if !is_now(catalog.issued, catalog.expires, question.now) && !planted!("catalog_life_unchecked")
    {
        return Err(Uncounted::CatalogExpired { expires: catalog.expires });
    }
    let gone = || Uncounted::ScopeGone { scope: approval.scope.clone() };
    let scope = catalog.scope(&approval.scope).ok_or_else(gone)?;
    let found = scope.entry().map_err(|_| gone())?;
    if found != projection.entry && !planted!("entry_unpinned") {
        let (scope, mapped) = (approval.scope.clone(), projection.entry);
        return Err(Uncounted::EntryChanged { scope, mapped, found });
    }
    check_constraints(question, projection, approval, method)?;
    //= APR-40
    if !scope.assurance.methods.contains(&method) && !planted!("assurance_unchecked") {
        return Err(Uncounted::MethodNotAssured { scope: approval.scope.clone() });
    }
    //= APR-9
    let needed = projection.constraints.min_signers.max(scope.assurance.min_signers);
    Ok(if planted!("min_signers_ignored") { request.quorum } else { needed.max(request.quorum) })
}

//= APR-8
fn check_constraints(
    question: &Question<'_>,
    projection: &Projection,
    approval: &Approval,
    method: KeyMethod,
) -> Result<(), Uncounted> {
    let (nbf, exp) = (projection.nbf, projection.exp);
    if !(nbf..exp).contains(&question.now) && !planted!("projection_life_unchecked") {
        return Err(Uncounted::ProjectionNotNow { nbf, exp });
    }
    let (constraints, subject) = (&projection.constraints, &question.request.subject);
    if !constraints.subject_kinds.contains(&subject.kind) && !planted!("subject_kind_unchecked") {
        return Err(Uncounted::KindNotAllowed);
    }
    let observed = subject.binding == Binding::Observed && !constraints.observed;
    if observed && !planted!("observed_as_exact") {
        return Err(Uncounted::ObservedNotAllowed);
    }
    if !constraints.methods.contains(&method) && !planted!("method_unchecked") {
        return Err(Uncounted::MethodNotAllowed);
    }
    let (life_ms, max_ms) = (approval.exp.since_ms(approval.iat), constraints.max_ttl_ms);
    if life_ms > max_ms && !planted!("approval_ttl_unchecked") {
        return Err(Uncounted::LivesTooLong { life_ms, max_ms });
    }
    Ok(())
}

/// Whether something that begins at one clock is good now at another.
fn is_now(from: Timestamp, until: Timestamp, now: Timestamp) -> bool {
    now.plus_ms(limit::CLOCK_SKEW_MS_MAX) >= from && now < until
}
