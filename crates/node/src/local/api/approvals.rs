//! Approvals: what is asked of operators, by whom, and what came of it.

use std::collections::BTreeSet;
use std::fmt;

use landbridge_proto::machine::contract::{ApprovalSide, ApprovalState};
use landbridge_proto::wire::approval::{Binding, KeyMethod, Requester, SignedApproval, Vote};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::name::{
    Alias, ApprovalId, GatewayId, OperatorName, RunId, ScopeName, SubjectKind, TenantId,
};
use serde::{Deserialize, Serialize};

/// `GET /v1/approvals`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ApprovalList {
    /// Newest first.
    pub approvals: Vec<ApprovalBrief>,
}

/// An approval without its subject, for lists.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ApprovalBrief {
    /// The approval.
    pub id: ApprovalId,
    /// `relying`: we need the answer; `deciding`: our operators give it.
    pub side: ApprovalSide,
    /// `open`, `approved`, `denied`, `expired` or `closed`.
    pub state: ApprovalState,
    /// Our tenant.
    pub tenant: TenantId,
    /// Who was asked, or who asks.
    pub peers: Vec<ApprovalPeer>,
    /// What is needed, in the relying gateway's words.
    pub scope: ScopeName,
    /// The deciding gateway's scopes that would do.
    pub scopes: BTreeSet<ScopeName>,
    /// How many people must approve at least.
    pub quorum: u32,
    /// On whose behalf it is asked.
    pub requester: Requester,
    /// What the subject is.
    pub kind: SubjectKind,
    /// `exact`: the subject is all that will be acted on; `observed`: it is what the relying side sees of it.
    pub binding: Binding,
    /// When it was asked.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub created: String,
    /// When it is too late.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub expires: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub decided: Option<String>,
    /// The run that waits, as this bridge names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

/// The other gateway of an approval.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ApprovalPeer {
    /// Its id.
    pub gateway: GatewayId,
    /// What it is called here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Alias>,
}

/// `GET /v1/approvals/{id}`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ApprovalView {
    /// What lists show.
    #[serde(flatten)]
    pub brief: ApprovalBrief,
    /// The subject's media type.
    pub media: String,
    /// The subject, whole.
    pub subject: String,
    /// The subject's digest, as the approval request says it.
    pub digest: Digest,
    /// The subject's bytes, as the approval request says it.
    pub size: u64,
    /// The decisions that counted, or that our operators took, in order.
    pub decisions: Vec<DecisionView>,
    /// What the gateway answered, or why it ended without an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The approval request's envelope, as text; of the first gateway where several were asked.
    pub request: String,
}

impl fmt::Debug for ApprovalView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApprovalView")
            .field("brief", &self.brief)
            .field("digest", &self.digest)
            .field("decisions", &self.decisions)
            .finish_non_exhaustive()
    }
}

/// One decision.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DecisionView {
    /// The gateway whose operator it was.
    pub gateway: GatewayId,
    /// Who decided.
    pub sub: OperatorName,
    /// Under which scope of that gateway.
    pub scope: ScopeName,
    /// With what kind of key.
    pub method: KeyMethod,
    /// What was decided.
    pub vote: Vote,
    /// When it was accepted here.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub at: String,
}

/// `POST /v1/approvals`: ask for an approval that a workflow here waits for.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AskApproval {
    /// What is to be approved, whole.
    pub subject: String,
    /// Its media type; `text/plain` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<String>,
    /// What it is.
    pub kind: SubjectKind,
    /// Our scope that is needed.
    pub scope: ScopeName,
    /// Our tenant; needed where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// How many people must approve at least; one by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<u32>,
    /// For how long it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<i64>,
    /// On whose behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// Whether the subject is all that will be acted on; `exact` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
}

impl fmt::Debug for AskApproval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AskApproval")
            .field("kind", &self.kind)
            .field("scope", &self.scope)
            .field("tenant", &self.tenant)
            .field("quorum", &self.quorum)
            .finish_non_exhaustive()
    }
}

/// `POST /v1/approvals/{id}/decisions`: an operator of ours decided.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecideApproval {
    /// What the operator signed.
    pub approval: SignedApproval,
}
