//! Scopes, operators and their approvals as they are written (`spec/approvals.md`).
//!
//! As with the other documents, a raw struct says what was written and the type of the same name what
//! was proven of its form. Who signed what, and whether it counts, is for `trust::approval`.

pub mod ask;
pub mod catalog;
pub mod credential;
pub mod decision;
pub mod operator_key;
pub mod projection;

pub use ask::{ApprovalRequest, ApprovalTenants, Binding, Requester, Subject};
pub use catalog::{Assurance, Catalog, InvalidCatalog, Scope};
pub use credential::{Operator, OperatorCredential};
pub use decision::{Approval, Decision, Proof, SignedApproval, Vote};
pub use operator_key::{KeyMethod, OperatorKey, OperatorPublic};
pub use projection::{ApprovalRule, Constraints, Projection};

/// The forms that can be filled in freely.
pub mod raw {
    pub use super::ask::RawApprovalRequest as ApprovalRequest;
    pub use super::catalog::RawCatalog as Catalog;
    pub use super::credential::RawOperatorCredential as OperatorCredential;
    pub use super::decision::RawApproval as Approval;
    pub use super::operator_key::RawOperatorKey as OperatorKey;
}

/// The agent that stands for a gateway's operators in a start that is about approvals.
pub const OPERATORS_AGENT: &str = "operators";

/// The namespace of SSH signatures over approvals (OpenSSH, `PROTOCOL.sshsig`).
pub const SSH_NAMESPACE: &str = "approval.v1@gfp";

#[cfg(test)]
mod tests;
