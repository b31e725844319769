//! Guards: what a decision rests on, looked at again inside the transaction that commits it.

use std::fmt;

use super::DocumentKind;
use crate::wire::digest::Digest;
use crate::wire::name::{
    AgentName, ApprovalId, GatewayId, IdempotencyKey, Jti, Owner, RunId, SessionHandle, TenantId,
    TenantPair,
};

/// What must still be true when a batch is committed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Guard {
    /// This request was never accepted before.
    JtiUnseen {
        /// Who signed it.
        issuer: GatewayId,
        /// Its random id.
        jti: Jti,
    },
    /// The owner has not used this key, nor blocked it.
    KeyFree {
        /// Whose key.
        owner: Owner,
        /// The key.
        key: IdempotencyKey,
    },
    /// The executor's run is still driven in this epoch and was not changed since it was read.
    Run {
        /// The run.
        run: RunId,
        /// The driver's epoch.
        epoch: u64,
        /// The row's revision.
        revision: u64,
    },
    /// The caller's journal entry was not changed since it was read.
    Entry {
        /// The entry's run.
        run: RunId,
        /// The row's revision.
        revision: u64,
    },
    /// No journal entry uses this key for this peer and tenant pair.
    EntryKeyFree {
        /// The executor that would be asked.
        peer: GatewayId,
        /// The tenant pair.
        tenant: TenantPair,
        /// The key.
        key: IdempotencyKey,
    },
    /// This local token has fewer journal entries without a terminal.
    TokenOpenBelow {
        /// The token's id.
        token: String,
        /// Than so many.
        max: u64,
    },
    /// The newest stored document of this kind is this version; `None`: there is none.
    DocumentAt {
        /// Whom the document describes.
        gateway: GatewayId,
        /// Its kind.
        kind: DocumentKind,
        /// The newest version.
        version: Option<u64>,
    },
    /// A kept run of this owner was led in the session by this agent.
    SessionKnown {
        /// Whose session.
        owner: Owner,
        /// Who leads it.
        agent: AgentName,
        /// Its handle.
        session: SessionHandle,
    },
    /// No open run was bound to the run's session before it. Holds for a run without a session.
    NextInSession {
        /// The run.
        run: RunId,
    },
    /// The invite exists and was neither used nor withdrawn.
    InviteUnused {
        /// The invite.
        id: Digest,
    },
    /// No approval has this id.
    ApprovalFree {
        /// The id.
        id: ApprovalId,
    },
    /// The approval was not changed since it was read.
    Approval {
        /// The approval.
        id: ApprovalId,
        /// The row's revision.
        revision: u64,
    },
    /// The catalog that is kept of the gateway's tenant is this version; `None`: none is kept.
    CatalogAt {
        /// Whose scopes.
        gateway: GatewayId,
        /// Of which tenant.
        tenant: TenantId,
        /// The kept version.
        version: Option<u64>,
    },
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JtiUnseen { jti, .. } => write!(f, "request {jti} was accepted before"),
            Self::KeyFree { key, .. } => write!(f, "key {key} is taken"),
            Self::Run { run, .. } => write!(f, "{run} was changed by another step"),
            Self::Entry { run, .. } => {
                write!(f, "{run} of the journal was changed by another step")
            }
            Self::EntryKeyFree { key, .. } => write!(f, "key {key} is taken in the journal"),
            Self::TokenOpenBelow { token, max } => {
                write!(f, "token {token} has {max} open runs by now")
            }
            Self::DocumentAt { gateway, kind, .. } => {
                write!(f, "a newer {kind} of {gateway} is stored")
            }
            Self::SessionKnown { session, .. } => write!(f, "session {session} is not known"),
            Self::NextInSession { run } => write!(f, "another run is ahead of {run}"),
            Self::InviteUnused { .. } => f.write_str("the invite is used or unknown"),
            Self::ApprovalFree { id } => write!(f, "{id} is taken"),
            Self::Approval { id, .. } => write!(f, "{id} was changed by another step"),
            Self::CatalogAt { gateway, tenant, .. } => {
                write!(f, "another catalog of {tenant} at {gateway} is kept")
            }
        }
    }
}
