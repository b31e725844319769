//! The body of an operation: roots, a status and the request, verified in this order.

use serde::{Deserialize, Serialize};

use crate::wire::envelope::Envelope;
use crate::wire::limit;
use crate::wire::name::GatewayId;

/// An operation as it crosses. Nothing of it is verified yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Newer roots of the sender, oldest first; absent when there is no reason to send any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<Vec<Envelope>>,
    /// The sender's freshest status.
    pub status: Envelope,
    /// What is asked.
    pub request: Envelope,
}

/// Why bytes are not an operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MalformedOperation {
    /// Longer than allowed.
    #[error("an operation has at most {max} bytes", max = limit::OPERATION_BYTES_MAX)]
    TooLong,
    /// Not the one spelling of the three members.
    #[error("an operation is roots, status and request, in this order and without white space")]
    BadShape,
    /// More roots than one update may bring, or an empty list.
    #[error("an operation brings 1 to {max} roots, or none at all", max = limit::ROOT_STEPS_MAX)]
    BadRoots,
}

impl Operation {
    /// Reads an operation from its one spelling.
    ///
    /// # Errors
    ///
    /// Returns why the bytes are not an operation.
    pub fn parse(bytes: &[u8]) -> Result<Self, MalformedOperation> {
        //= REQ-2
        if bytes.len() > limit::OPERATION_BYTES_MAX {
            return Err(MalformedOperation::TooLong);
        }
        //= REQ-1
        let operation: Self =
            serde_json::from_slice(bytes).map_err(|_| MalformedOperation::BadShape)?;
        let roots = operation.roots.as_ref().map_or(1, Vec::len);
        if roots == 0 || roots > limit::ROOT_STEPS_MAX {
            return Err(MalformedOperation::BadRoots);
        }
        if operation.to_bytes() != bytes {
            return Err(MalformedOperation::BadShape);
        }
        Ok(operation)
    }

    /// The operation's one spelling.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![b'{'];
        if let Some(roots) = &self.roots {
            out.extend_from_slice(b"\"roots\":[");
            for (at, root) in roots.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(&root.to_bytes());
            }
            out.extend_from_slice(b"],");
        }
        out.extend_from_slice(b"\"status\":");
        out.extend_from_slice(&self.status.to_bytes());
        out.extend_from_slice(b",\"request\":");
        out.extend_from_slice(&self.request.to_bytes());
        out.push(b'}');
        out
    }

    /// Who the status says that it comes from: a claim, used only to choose the keys that verify it.
    #[must_use]
    pub fn claimed_sender(&self) -> Option<GatewayId> {
        #[derive(Deserialize)]
        struct Claim {
            iss: GatewayId,
        }
        serde_json::from_slice::<Claim>(self.status.payload()).ok().map(|claim| claim.iss)
    }
}
