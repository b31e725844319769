//! The deciding side: what is shown to operators, and what leaves in their name.
//!
//! Nothing here makes another gateway act: it judges for itself. These checks keep our own operators from
//! being asked for what nobody asked, and from sending what would be refused.

use landbridge_planted::planted;

use super::{Uncounted, is_now, open};
use crate::trust::peer::PeerView;
use crate::trust::signer::{SignError, Signer};
use crate::trust::verified::Verified;
use crate::wire::approval::{
    Approval, ApprovalRequest, ApprovalTenants, Operator, OperatorCredential, Proof, SignedApproval,
};
use crate::wire::base64;
use crate::wire::digest::Digest;
use crate::wire::envelope::Envelope;
use crate::wire::kind::Kind;
use crate::wire::name::{GatewayId, Timestamp};

/// Checks a question that a gateway asks of our operators, and the bytes that it is about.
///
/// # Errors
///
/// [`Uncounted`], with one of the reasons that are about questions.
//= APR-14
pub fn check_ask(
    envelope: &Envelope,
    relying: &PeerView,
    own: &GatewayId,
    tenants: &ApprovalTenants,
    subject: &[u8],
    now: Timestamp,
) -> Result<Verified<ApprovalRequest>, Uncounted> {
    let verified =
        relying.verify::<ApprovalRequest>(envelope, now).map_err(Uncounted::AskUnverified)?;
    let said = verified.value();
    let other = |what| Err(Uncounted::AskOfAnother { what });
    if said.iss != *relying.gateway() && !planted!("ask_issuer_unchecked") {
        return other("iss");
    }
    if said.aud != *own && !planted!("ask_audience_unchecked") {
        return other("aud");
    }
    if said.tenant != *tenants && !planted!("ask_tenant_unchecked") {
        return other("tenant");
    }
    let (issued, expires) = (said.issued, said.expires);
    if !is_now(issued, expires, now) && !planted!("ask_life_unchecked") {
        return Err(Uncounted::AskNotNow { issued, expires });
    }
    if !said.subject.is_of(subject) && !planted!("ask_subject_unchecked") {
        return Err(Uncounted::AskOtherSubject);
    }
    Ok(verified)
}

/// What a vote of our own operator is checked by.
#[derive(Clone, Copy, Debug)]
pub struct Ballot<'a> {
    /// The question.
    pub request: &'a ApprovalRequest,
    /// `D(approval-request)`.
    pub digest: Digest,
    /// The operator, as the federation document lists them now.
    pub operator: &'a Operator,
    /// What our gateway says of the operator.
    pub credential: &'a OperatorCredential,
    /// `D(credential)`.
    pub credential_digest: Digest,
    /// The present.
    pub now: Timestamp,
}

/// Checks what an operator of ours signed, before it leaves.
///
/// # Errors
///
/// [`Uncounted`] with what the other gateway would hold against it, and what only we can know: that the
/// person is enrolled.
//= APR-16
pub fn check_vote(ballot: &Ballot<'_>, signed: &SignedApproval) -> Result<Approval, Uncounted> {
    let Ballot { request, operator, credential, now, .. } = *ballot;
    if now >= request.expires && !planted!("vote_too_late") {
        return Err(Uncounted::TooLate { expires: request.expires });
    }
    let kid = signed.proof().kid();
    let keys = operator.keys.iter().filter(|key| credential.keys.contains(key));
    let key = keys.into_iter().find(|key| key.kid == *kid);
    let key = key.ok_or_else(|| Uncounted::KeyNotListed { kid: kid.clone() })?;
    let approval = open(signed, key)?;
    let name = || operator.name.clone();
    let other = |what| Err(Uncounted::NotEnrolled { name: name(), what });
    if approval.sub != operator.name || credential.sub != operator.name {
        return other("sub");
    }
    if operator.tenant != request.tenant.deciding || credential.tenant != operator.tenant {
        return other("tenant");
    }
    super::check_against(request, ballot.digest, &approval)?;
    if approval.credential != ballot.credential_digest || credential.iss != request.aud {
        return Err(Uncounted::CredentialOfAnother { what: "credential" });
    }
    let holds =
        operator.scopes.contains(&approval.scope) && credential.scopes.contains(&approval.scope);
    if !holds && !planted!("vote_without_scope") {
        return Err(Uncounted::ScopeNotHeld { sub: name(), scope: approval.scope.clone() });
    }
    super::check_requester(request, &approval)?;
    let (issued, expires) = (credential.issued, credential.expires);
    if !is_now(issued, expires, now) {
        return Err(Uncounted::CredentialNotNow { issued, expires });
    }
    super::check_times(request, credential, &approval, now)?;
    Ok(approval)
}

/// Signs an approval with an operator's key in a file.
///
/// # Errors
///
/// As [`crate::trust::signer::sign_typed`]; the signer must be of [`crate::wire::kind::SignedBy::Operator`].
pub fn sign_file(
    signer: &(impl Signer + ?Sized),
    approval: &Approval,
) -> Result<SignedApproval, SignError> {
    let envelope = crate::trust::signer::sign_typed(signer, approval)?;
    let kind = Kind::Approval;
    let (payload, _) = SignedApproval::to_be_signed(approval)
        .map_err(|fault| SignError::NotCanonical { kind, fault })?;
    let signature = &envelope.signatures()[0];
    let sig = base64::encode(signature.as_bytes());
    Ok(SignedApproval::new(payload, Proof::File { kid: signature.keyid().clone(), sig }))
}
