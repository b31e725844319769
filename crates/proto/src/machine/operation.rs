//! The body of an operation: roots, a status and the request, verified in this order.

use serde::{Deserialize, Serialize};

use landbridge_planted::planted;

use crate::wire::envelope::Envelope;
use crate::wire::limit;
use crate::wire::name::GatewayId;
use crate::wire::problem::Code;

/// An operation as it crosses. Nothing of it is verified yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Newer roots of the sender, oldest first; absent when there is no reason to send any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(schema_with = "crate::wire::schema::envelopes::<crate::wire::document::Root>", length(min = 1, max = limit::CHAIN_ROOTS_MAX)))]
    pub roots: Option<Vec<Envelope>>,
    /// The sender's freshest status.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::envelope::<crate::wire::document::Status>")
    )]
    pub status: Envelope,
    /// What is asked.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::any_request")
    )]
    pub request: Envelope,
    /// What the sender holds under the receiver's own signature, so that a receiver that lost its
    /// history can see it; absent when there is no reason to show any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(schema_with = "crate::wire::schema::any_envelopes", length(min = 1, max = limit::HELD_MAX)))]
    pub held: Option<Vec<Envelope>>,
}

/// Why bytes are not an operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MalformedOperation {
    /// Longer than allowed.
    #[error("an operation has at most {max} bytes", max = limit::OPERATION_BYTES_MAX)]
    TooLong,
    /// Not the one spelling of its members.
    #[error(
        "an operation is roots, status, request and held, in this order and without white space"
    )]
    BadShape,
    /// More roots than one update, or a chain that is shown whole, may have.
    #[error("an operation of this kind brings at most {max} roots")]
    TooManyRoots {
        /// So many.
        max: usize,
    },
    /// More of the receiver's own words than one operation may show.
    #[error("an operation shows at most {max} held envelopes", max = limit::HELD_MAX)]
    TooManyHeld,
}

impl MalformedOperation {
    /// What the sender is told.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            //= REQ-2
            Self::TooLong | Self::TooManyRoots { .. } | Self::TooManyHeld => Code::TooLarge,
            Self::BadShape => Code::Malformed,
        }
    }
}

impl Operation {
    /// Reads an operation from its one spelling.
    ///
    /// # Errors
    ///
    /// Returns why the bytes are not an operation.
    pub fn parse(bytes: &[u8]) -> Result<Self, MalformedOperation> {
        Self::parse_up_to(bytes, limit::ROOT_STEPS_MAX)
    }

    /// Reads the body of a pairing or an admission, in the same spelling: its sender shows its whole chain,
    /// however long ago the last of its roots was known here.
    ///
    /// # Errors
    ///
    /// As [`Operation::parse`].
    //= ID-79
    pub fn parse_introduction(bytes: &[u8]) -> Result<Self, MalformedOperation> {
        Self::parse_up_to(bytes, limit::CHAIN_ROOTS_MAX)
    }

    fn parse_up_to(bytes: &[u8], roots_max: usize) -> Result<Self, MalformedOperation> {
        //= REQ-2
        if bytes.len() > limit::OPERATION_BYTES_MAX {
            return Err(MalformedOperation::TooLong);
        }
        //= REQ-1
        let operation: Self =
            serde_json::from_slice(bytes).map_err(|_| MalformedOperation::BadShape)?;
        let empty = |list: &Option<Vec<Envelope>>| list.as_ref().is_some_and(Vec::is_empty);
        let empty = empty(&operation.roots) || empty(&operation.held);
        if empty || operation.to_bytes() != bytes {
            return Err(MalformedOperation::BadShape);
        }
        //= REQ-2
        //= ID-10
        let many = operation.roots.as_ref().is_some_and(|roots| roots.len() > roots_max);
        if many && !planted!("root_steps_unchecked") {
            return Err(MalformedOperation::TooManyRoots { max: roots_max });
        }
        if operation.held.as_ref().is_some_and(|held| held.len() > limit::HELD_MAX) {
            return Err(MalformedOperation::TooManyHeld);
        }
        Ok(operation)
    }

    /// The operation's one spelling.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![b'{'];
        if let Some(roots) = &self.roots {
            out.extend_from_slice(b"\"roots\":");
            push_list(&mut out, roots);
            out.push(b',');
        }
        out.extend_from_slice(b"\"status\":");
        out.extend_from_slice(&self.status.to_bytes());
        out.extend_from_slice(b",\"request\":");
        out.extend_from_slice(&self.request.to_bytes());
        if let Some(held) = &self.held {
            out.extend_from_slice(b",\"held\":");
            push_list(&mut out, held);
        }
        out.push(b'}');
        out
    }

    /// Who the status says that it comes from: a claim, used only to choose the keys that verify it.
    #[must_use]
    pub fn claimed_sender(&self) -> Option<GatewayId> {
        let claim: Claim = serde_json::from_slice(self.status.payload()).ok()?;
        Some(claim.iss)
    }

    /// The newest root that the status says to know: a claim, used only to tell a sender that is ahead
    /// from a stranger.
    #[must_use]
    pub fn claimed_root_version(&self) -> Option<u64> {
        let claim: ClaimedRoot = serde_json::from_slice(self.status.payload()).ok()?;
        Some(claim.root_version)
    }
}

fn push_list(out: &mut Vec<u8>, envelopes: &[Envelope]) {
    out.push(b'[');
    for (at, envelope) in envelopes.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&envelope.to_bytes());
    }
    out.push(b']');
}

#[derive(Deserialize)]
struct Claim {
    iss: GatewayId,
}

#[derive(Deserialize)]
struct ClaimedRoot {
    root_version: u64,
}
