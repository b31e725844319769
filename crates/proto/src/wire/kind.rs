//! Kinds of signed payloads, and who may sign each.
//!
//! A signature says nothing about what the signer meant unless the kind is under it. So the kind is
//! part of the signed bytes, each kind has exactly one role that may sign it, and a reader names the
//! kind that it expects: there is no "any kind".

use std::fmt;

use serde::{Deserialize, Serialize};

use landbridge_planted::planted;

/// What a gateway's key is for. One key has one role.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
pub enum Role {
    /// Signs roots: says which keys have which role.
    #[serde(rename = "root")]
    Root,
    /// Signs what a run streams: accepts, seals, answers and problems.
    #[serde(rename = "stream")]
    Stream,
    /// Signs what the gateway asks of others.
    #[serde(rename = "request")]
    Request,
    /// Signs statuses: freshness and revocations.
    #[serde(rename = "status")]
    Status,
    /// Signs the scope catalog.
    #[serde(rename = "catalog")]
    Catalog,
    /// Signs operators' credentials.
    #[serde(rename = "operator-ca")]
    OperatorCa,
    /// Signs the gateway's own trust decisions: federation document and projections.
    #[serde(rename = "policy")]
    Policy,
}

impl Role {
    /// Every role, in the order of the specification.
    pub const ALL: [Self; 7] = [
        Self::Root,
        Self::Stream,
        Self::Request,
        Self::Status,
        Self::Catalog,
        Self::OperatorCa,
        Self::Policy,
    ];

    /// The role's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Stream => "stream",
            Self::Request => "request",
            Self::Status => "status",
            Self::Catalog => "catalog",
            Self::OperatorCa => "operator-ca",
            Self::Policy => "policy",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose keys a signature must come from.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum SignedBy {
    /// Keys of one role in a gateway's root.
    Role(Role),
    /// Keys of a federation root that the receiver pinned in its own federation document.
    FederationRoot,
    /// A key in an operator's credential.
    Operator,
}

impl From<Role> for SignedBy {
    fn from(role: Role) -> Self {
        Self::Role(role)
    }
}

impl fmt::Display for SignedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => write!(f, "role {role}"),
            Self::FederationRoot => f.write_str("federation root"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident, $name:literal, $by:expr;)*) => {
        /// What a signed payload is.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            /// Every kind, in the order of the specification.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// The kind's name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// The payload type that stands under the signature.
            #[must_use]
            pub const fn payload_type(self) -> &'static str {
                match self { $(Self::$kind => concat!("application/vnd.gfp.", $name, ".v1+json"),)* }
            }

            /// Whose keys may sign it.
            #[must_use]
            pub const fn signed_by(self) -> SignedBy {
                match self { $(Self::$kind => $by,)* }
            }
        }
    };
}

kinds! {
    /// A gateway's keys and roles, said by itself.
    Root, "root", SignedBy::Role(Role::Root);
    /// A gateway's freshness, incarnation and revocations.
    Status, "status", SignedBy::Role(Role::Status);
    /// A gateway's own peers, grants and federation roots.
    Federation, "federation", SignedBy::Role(Role::Policy);
    /// A federation root's word that a gateway is a member.
    Membership, "membership", SignedBy::FederationRoot;
    /// A joiner's answer to an invite.
    Pairing, "pairing", SignedBy::Role(Role::Request);
    /// A member's request to be admitted.
    Admission, "admission", SignedBy::Role(Role::Request);
    /// One operation asked of an executor.
    Request, "request", SignedBy::Role(Role::Request);
    /// The executor's first word about a run.
    Accept, "accept", SignedBy::Role(Role::Stream);
    /// The executor's word for all frames up to one.
    Seal, "seal", SignedBy::Role(Role::Stream);
    /// The executor's answer to an operation that has no stream.
    Answer, "answer", SignedBy::Role(Role::Stream);
    /// The executor's refusal.
    Problem, "problem", SignedBy::Role(Role::Stream);
    /// The caller's own word about what it received, and its own `lost`.
    Receipt, "receipt", SignedBy::Role(Role::Request);
    /// A gateway's scopes.
    Catalog, "catalog", SignedBy::Role(Role::Catalog);
    /// An operator's keys and scopes for a day.
    OperatorCredential, "operator-credential", SignedBy::Role(Role::OperatorCa);
    /// A question to a peer's operators.
    ApprovalRequest, "approval-request", SignedBy::Role(Role::Request);
    /// An operator's answer.
    Approval, "approval", SignedBy::Operator;
}

impl Kind {
    /// The kind with this payload type, if there is one. Letter case counts.
    #[must_use]
    pub fn from_payload_type(text: &str) -> Option<Self> {
        if planted!("payload_type_case") {
            let text = text.to_ascii_lowercase();
            return Self::ALL.iter().copied().find(|kind| kind.payload_type() == text);
        }
        if planted!("no_payload_type_is_known") {
            return None;
        }
        let found = Self::ALL.iter().copied().find(|kind| kind.payload_type() == text);
        found.or_else(|| planted!("payload_type_guessed").then_some(Self::Seal))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A payload struct that knows which kind it is and how long it may be.
///
/// Its `Deserialize` must refuse unknown members and its fields must be types which cannot be wrong:
/// nobody checks again after verification.
pub trait PayloadKind {
    /// The kind.
    const KIND: Kind;
    /// The most bytes that its payload may have.
    const BYTES_MAX: usize;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_types_are_distinct_and_case_counts() {
        for (at, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(Kind::from_payload_type(kind.payload_type()), Some(*kind));
            assert!(
                Kind::ALL[at + 1..].iter().all(|other| other.payload_type() != kind.payload_type())
            );
            assert_eq!(Kind::from_payload_type(&kind.payload_type().to_uppercase()), None);
        }
        assert_eq!(Kind::Root.payload_type(), "application/vnd.gfp.root.v1+json");
        assert_eq!(Kind::from_payload_type("application/vnd.gfp.rооt.v1+json"), None);
        assert_eq!(Kind::from_payload_type("application/vnd.gfp.root.v2+json"), None);
        assert_eq!(Kind::from_payload_type(""), None);
    }
}
