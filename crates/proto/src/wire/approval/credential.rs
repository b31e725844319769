//! Operators: as the gateway's own document lists them, and as it vouches for one to others.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::operator_key::OperatorKey;
use crate::wire::document::{FormVersion, proven};
use crate::wire::kind::Kind;
use crate::wire::limit;
use crate::wire::name::{GatewayId, OperatorName, ScopeName, TenantId, Timestamp};

/// A person who may decide for one tenant, as the federation document lists them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// Their keys, by id.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1, max = limit::OPERATOR_KEYS_MAX)))]
    pub keys: Vec<OperatorKey>,
    /// What they are called.
    pub name: OperatorName,
    /// What they may decide.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1, max = limit::SCOPES_MAX)))]
    pub scopes: BTreeSet<ScopeName>,
    /// For which tenant.
    pub tenant: TenantId,
}

/// A credential whose members fit together.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(try_from = "RawOperatorCredential", into = "RawOperatorCredential")]
pub struct OperatorCredential(RawOperatorCredential);

/// A credential as it is written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawOperatorCredential {
    /// When it stops being good.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub expires: Timestamp,
    /// The gateway whose operator this is.
    pub iss: GatewayId,
    /// When it was issued.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub issued: Timestamp,
    /// The operator's keys, by id.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1, max = limit::OPERATOR_KEYS_MAX)))]
    pub keys: Vec<OperatorKey>,
    /// What they may decide.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1, max = limit::SCOPES_MAX)))]
    pub scopes: BTreeSet<ScopeName>,
    /// The operator.
    pub sub: OperatorName,
    /// For which tenant of `iss`.
    pub tenant: TenantId,
    /// The form's version.
    pub v: FormVersion,
}

/// Why an operator or a credential does not fit together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidCredential {
    /// Expires before it is issued, or lives longer than allowed.
    #[error("a credential lives 1 to {max_ms} milliseconds")]
    BadLife {
        /// The longest life allowed.
        max_ms: i64,
    },
    /// None or too many.
    #[error("an operator has 1 to {max} keys, in the order of their ids, each once")]
    BadKeys {
        /// The most allowed.
        max: usize,
    },
    /// None or too many.
    #[error("an operator has 1 to {max} scopes")]
    BadScopes {
        /// The most allowed.
        max: usize,
    },
}

proven!(
    OperatorCredential,
    RawOperatorCredential,
    InvalidCredential,
    Kind::OperatorCredential,
    limit::DOCUMENT_BYTES_MAX
);

//= APR-11
fn check(raw: &RawOperatorCredential) -> Result<(), InvalidCredential> {
    let life_ms = raw.expires.since_ms(raw.issued);
    if raw.issued.0 < 0 || !(1..=limit::CREDENTIAL_LIFE_MS_MAX).contains(&life_ms) {
        return Err(InvalidCredential::BadLife { max_ms: limit::CREDENTIAL_LIFE_MS_MAX });
    }
    check_holder(&raw.keys, &raw.scopes)
}

fn check_holder(
    keys: &[OperatorKey],
    scopes: &BTreeSet<ScopeName>,
) -> Result<(), InvalidCredential> {
    let ordered = keys.windows(2).all(|pair| pair[0].kid < pair[1].kid);
    if !ordered || !(1..=limit::OPERATOR_KEYS_MAX).contains(&keys.len()) {
        return Err(InvalidCredential::BadKeys { max: limit::OPERATOR_KEYS_MAX });
    }
    if !(1..=limit::SCOPES_MAX).contains(&scopes.len()) {
        return Err(InvalidCredential::BadScopes { max: limit::SCOPES_MAX });
    }
    Ok(())
}

impl Operator {
    /// Checks what the types of the members do not.
    pub(crate) fn check(&self) -> Result<(), InvalidCredential> {
        check_holder(&self.keys, &self.scopes)
    }
}
