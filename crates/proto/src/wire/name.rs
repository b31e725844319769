//! Names that cross the wire, each parsed once into a type that cannot be wrong.
//!
//! Every name is ASCII from a closed alphabet, so that two names that look alike are alike: there is
//! no Unicode normalisation, no case folding and no confusable to think about (`spec/identity.md`).

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use landbridge_planted::planted;

use super::limit;

/// Why a string is not a name of the wanted kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidName {
    /// Shorter than the kind allows.
    #[error("a {kind} has at least {min} characters")]
    TooShort {
        /// What was being read.
        kind: &'static str,
        /// The fewest characters allowed.
        min: usize,
    },
    /// Longer than the kind allows.
    #[error("a {kind} has at most {max} characters")]
    TooLong {
        /// What was being read.
        kind: &'static str,
        /// The most characters allowed.
        max: usize,
    },
    /// A byte outside the kind's alphabet, or a wrong fixed part.
    #[error("byte {at} is not allowed in a {kind}; allowed: {alphabet}")]
    BadByte {
        /// What was being read.
        kind: &'static str,
        /// Offset of the first such byte.
        at: usize,
        /// The alphabet, for people.
        alphabet: &'static str,
    },
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $kind:literal, $min:expr, $max:expr, $alphabet:literal, $ok:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Reads a name.
            ///
            /// # Errors
            ///
            /// Returns what is wrong with the text and where.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
                let text = text.as_ref();
                check($kind, text, $min, $max, $alphabet, $ok)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        #[cfg(any(test, feature = "schemas"))]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                super::schema::name(&[$(stringify!($doc)),*], $min, $max, $ok)
            }
        }
    )*};
}

names! {
    /// A gateway's self-certifying id: `gw1-` and the base32 of its first root's digest.
    GatewayId, "gateway id", 56, 56, "gw1- then 52 of a-z and 2-7",
        |at, byte, _| match at { 0..=3 => byte == b"gw1-"[at], _ => matches!(byte, b'a'..=b'z' | b'2'..=b'7') };
    /// A key's id: the base64url SHA-256 over its algorithm and its public bytes.
    KeyId, "key id", 43, 43, "base64url",
        |_, byte, _| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_');
    /// One customer or domain inside a gateway, opaque to the other side.
    TenantId, "tenant", 1, limit::TENANT_BYTES_MAX, "a-z, 0-9, '.', '_' and '-', beginning with a letter or digit",
        |at, byte, _| matches!(byte, b'a'..=b'z' | b'0'..=b'9') || (at > 0 && matches!(byte, b'.' | b'_' | b'-'));
    /// An agent of the executor's gateway.
    AgentName, "agent name", 1, limit::AGENT_BYTES_MAX, "a-z, A-Z, 0-9, '.', '_' and '-', beginning with a letter or digit",
        |at, byte, _| byte.is_ascii_alphanumeric() || (at > 0 && matches!(byte, b'.' | b'_' | b'-'));
    /// A tool of the executor's gateway.
    ToolName, "tool name", 1, limit::TOOL_BYTES_MAX, "visible ASCII",
        |_, byte, _| byte.is_ascii_graphic();
    /// A run, named by the side that keeps it.
    RunId, "run id", 30, 30, "run- then 26 of a-z and 2-7",
        |at, byte, _| match at { 0..=3 => byte == b"run-"[at], _ => matches!(byte, b'a'..=b'z' | b'2'..=b'7') };
    /// A session that an earlier run started, as told to its owner in `started`.
    SessionHandle, "session handle", 1, limit::SESSION_BYTES_MAX, "visible ASCII",
        |_, byte, _| byte.is_ascii_graphic();
    /// The caller's name for one decision to start work; resent unchanged with every attempt.
    IdempotencyKey, "idempotency key", limit::KEY_BYTES_MIN, limit::KEY_BYTES_MAX, "visible ASCII",
        |_, byte, _| byte.is_ascii_graphic();
    /// The random id of one signed request.
    Jti, "jti", limit::JTI_BYTES_MIN, limit::JTI_BYTES_MAX, "base64url",
        |_, byte, _| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_');
    /// What an operator may decide, as one gateway names it for one tenant.
    ScopeName, "scope name", 1, limit::SCOPE_BYTES_MAX, "a-z, 0-9, '.', '_' and '-', beginning with a letter or digit",
        |at, byte, _| matches!(byte, b'a'..=b'z' | b'0'..=b'9') || (at > 0 && matches!(byte, b'.' | b'_' | b'-'));
    /// A person who decides at one gateway, as that gateway names them.
    OperatorName, "operator name", 1, limit::OPERATOR_BYTES_MAX, "a-z, 0-9, '.', '_', '-' and '@', beginning with a letter or digit",
        |at, byte, _| matches!(byte, b'a'..=b'z' | b'0'..=b'9') || (at > 0 && matches!(byte, b'.' | b'_' | b'-' | b'@'));
    /// What a subject is: `exec`, `tool`, or a word of the relying side's own.
    SubjectKind, "subject kind", 1, limit::SUBJECT_KIND_BYTES_MAX, "a-z, 0-9, '_' and '-', beginning with a letter",
        |at, byte, _| byte.is_ascii_lowercase() || (at > 0 && (byte.is_ascii_digit() || matches!(byte, b'_' | b'-')));
    /// A question for operators, named by the gateway that needs the answer.
    ApprovalId, "approval id", 30, 30, "apr- then 26 of a-z and 2-7",
        |at, byte, _| match at { 0..=3 => byte == b"apr-"[at], _ => matches!(byte, b'a'..=b'z' | b'2'..=b'7') };
    /// A local nickname for a peer or a route; never sent, never compared across gateways.
    Alias, "alias", 1, limit::ALIAS_BYTES_MAX, "a-z, 0-9 and '-', beginning with a letter or digit",
        |at, byte, _| matches!(byte, b'a'..=b'z' | b'0'..=b'9') || (at > 0 && byte == b'-');
}

/// (caller's tenant, executor's tenant): the unit of ownership, grants and quotas.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TenantPair {
    /// The executor's tenant.
    pub dst: TenantId,
    /// The caller's tenant.
    pub src: TenantId,
}

/// Who owns a run or a key: for everybody else it does not exist.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Owner {
    /// The gateway that asked.
    pub caller: GatewayId,
    /// The tenant pair that it asked for.
    pub tenant: TenantPair,
}

/// Milliseconds since the Unix epoch, UTC. All times on the wire are of this form, and none is before it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Timestamp(#[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 0)))] pub i64);

impl<'de> Deserialize<'de> for Timestamp {
    //= ENV-19
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match i64::deserialize(deserializer)? {
            ms @ 0.. => Ok(Self(ms)),
            _ => Err(D::Error::custom("a time is not before 1970")),
        }
    }
}

impl Timestamp {
    /// The instant `ms` milliseconds later; saturates at the ends of time.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to `self`; negative when `earlier` is later.
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

//= ID-3
fn check(
    kind: &'static str,
    text: &str,
    min: usize,
    max: usize,
    alphabet: &'static str,
    allowed: impl Fn(usize, u8, &str) -> bool,
) -> Result<(), InvalidName> {
    if text.len() < min && !planted!("name_alphabet_unchecked") {
        return Err(InvalidName::TooShort { kind, min });
    }
    if text.len() > max {
        return Err(InvalidName::TooLong { kind, max });
    }
    let wrong = text.bytes().enumerate().find(|&(at, byte)| !allowed(at, byte, text));
    match wrong.filter(|_| !planted!("name_alphabet_unchecked")) {
        Some((at, _)) => Err(InvalidName::BadByte { kind, at, alphabet }),
        None if planted!("no_name_is_good") => Err(InvalidName::TooLong { kind, max }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= ID-3
    #[test]
    fn confusable_and_uppercase_tenants_are_refused() {
        assert!(TenantId::new("acme").is_ok());
        for bad in ["аcme", "Acme", "", "acme ", "ac\u{200b}me", "-acme", "acmı"] {
            assert!(TenantId::new(bad).is_err(), "{bad:?}");
        }
    }

    //= ID-3
    #[test]
    fn lengths_are_exact() {
        assert!(IdempotencyKey::new("k".repeat(limit::KEY_BYTES_MIN - 1)).is_err());
        assert!(IdempotencyKey::new("k".repeat(limit::KEY_BYTES_MIN)).is_ok());
        assert!(IdempotencyKey::new("k".repeat(limit::KEY_BYTES_MAX)).is_ok());
        assert!(IdempotencyKey::new("k".repeat(limit::KEY_BYTES_MAX + 1)).is_err());
    }
}
