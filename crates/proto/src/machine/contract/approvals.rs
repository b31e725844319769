//! Rows about questions for operators, on either side, and about catalogs.

use serde::{Deserialize, Serialize};

use crate::wire::digest::Digest;
use crate::wire::name::{ApprovalId, GatewayId, RunId, TenantId, Timestamp};

/// A question for operators, as this gateway keeps it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ApprovalRow {
    /// The question, as the relying gateway named it.
    pub id: ApprovalId,
    /// Whether we need the answer or our operators give it.
    pub side: ApprovalSide,
    /// Our tenant.
    pub tenant: TenantId,
    /// Who was asked (when we rely: one or more gateways), or who asks (when we decide: one).
    pub asked: Vec<AskedRow>,
    /// The subject's bytes.
    pub subject: String,
    /// The run that waits: the executor's run when we execute it, the journal's when we called it.
    pub run: Option<RunId>,
    /// The gateway's own id of the question, where a run of ours waits.
    pub question: Option<String>,
    /// Which local token asked; `None` for an administrator, and where no client of ours did.
    pub token: Option<String>,
    /// When it was asked.
    pub created: Timestamp,
    /// When it is too late.
    pub expires: Timestamp,
    /// Where it stands.
    pub state: ApprovalState,
    /// The decisions that counted (when we rely) or that our operators took (when we decide), in order:
    /// each the JSON text of a `Decision`.
    pub decisions: Vec<CountedRow>,
    /// What the gateway answered, once it did (JSON), or why it ended without one.
    pub answer: Option<String>,
    /// When it ended, decided or not. Set for every state but open, or the store takes it for a fault.
    pub decided: Option<Timestamp>,
    /// How often the row was written.
    pub revision: u64,
}

impl ApprovalRow {
    /// Whether it has ended exactly if it says when. By its end it is pruned.
    #[must_use]
    pub fn is_dated(&self) -> bool {
        (self.state == ApprovalState::Open) == self.decided.is_none()
    }
}

/// Which side of a question we are.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ApprovalSide {
    /// We need the answer.
    Relying,
    /// Our operators give it.
    Deciding,
}

impl ApprovalSide {
    /// The word in lists and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Relying => "relying",
            Self::Deciding => "deciding",
        }
    }
}

/// One gateway of a question.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct AskedRow {
    /// The other gateway.
    pub peer: GatewayId,
    /// The approval request's envelope, canonical bytes.
    pub request: String,
    /// `D(approval-request)`.
    pub digest: Digest,
    /// The journal's run with which it was asked, where we are the caller.
    pub run: Option<RunId>,
}

/// One decision that counted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct CountedRow {
    /// The gateway whose operator it was.
    pub gateway: GatewayId,
    /// The decision, JSON text.
    pub decision: String,
    /// When it was accepted here.
    pub at: Timestamp,
}

/// Where a question stands.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// Undecided.
    Open,
    /// Approved by as many as are needed; where a gateway of ours waits, it may not have answered yet.
    Approved,
    /// Denied.
    Denied,
    /// Nobody decided in time.
    Expired,
    /// Decided by somebody at the gateway, or withdrawn by it.
    Closed,
}

impl ApprovalState {
    /// The word in lists and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Closed => "closed",
        }
    }
}

/// The newest catalog of a gateway's tenant, our own included.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct CatalogRow {
    /// The gateway.
    pub gateway: GatewayId,
    /// Its tenant.
    pub tenant: TenantId,
    /// The catalog's version.
    pub version: u64,
    /// The envelope, canonical bytes.
    pub envelope: String,
    /// When it was verified, or issued.
    pub at: Timestamp,
}
