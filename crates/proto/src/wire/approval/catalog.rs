//! A gateway's statement of what its operators may decide for one tenant.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};

use super::operator_key::KeyMethod;
use crate::wire::digest::{Digest, tag};
use crate::wire::document::{FormVersion, proven};
use crate::wire::json::{InvalidJson, canonical};
use crate::wire::kind::Kind;
use crate::wire::limit;
use crate::wire::name::{GatewayId, ScopeName, TenantId, Timestamp};

/// A catalog whose scopes are in order and whose life is allowed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(try_from = "RawCatalog", into = "RawCatalog")]
pub struct Catalog(RawCatalog);

/// A catalog as it is written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawCatalog {
    /// When it stops being good.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub expires: Timestamp,
    /// The gateway.
    pub iss: GatewayId,
    /// When it was issued.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub issued: Timestamp,
    /// The scopes, by name.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(max = limit::SCOPES_MAX)))]
    pub scopes: Vec<Scope>,
    /// The gateway's tenant that they belong to.
    pub tenant: TenantId,
    /// The form's version.
    pub v: FormVersion,
    /// Higher than that of every catalog of the tenant before.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub version: u64,
}

/// One thing that operators may decide.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// With what it is exercised.
    pub assurance: Assurance,
    /// Not to be mapped anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::only_true")
    )]
    pub deprecated: bool,
    /// What a holder may decide, for the people who map it.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1, max = limit::DESCRIPTION_BYTES_MAX)))]
    pub description: String,
    /// Its name.
    pub name: ScopeName,
}

/// With what a scope is exercised.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Assurance {
    /// Kinds of keys.
    #[serde(deserialize_with = "distinct")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1)))]
    pub methods: BTreeSet<KeyMethod>,
    /// People at least.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1, max = limit::QUORUM_MAX)))]
    pub min_signers: u32,
}

/// Entries of which none stands there twice.
fn distinct<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<KeyMethod>, D::Error> {
    let listed = Vec::<KeyMethod>::deserialize(from)?;
    let distinct: BTreeSet<_> = listed.iter().copied().collect();
    if distinct.len() == listed.len() {
        return Ok(distinct);
    }
    Err(serde::de::Error::custom("a kind of key is named twice"))
}

/// Why a catalog does not fit together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidCatalog {
    /// Version 0.
    #[error("catalogs are numbered from 1")]
    VersionZero,
    /// Expires before it is issued, or lives longer than allowed.
    #[error("a catalog lives 1 to {max_ms} milliseconds")]
    BadLife {
        /// The longest life allowed.
        max_ms: i64,
    },
    /// Too many scopes.
    #[error("a catalog has at most {max} scopes")]
    TooMany {
        /// The most allowed.
        max: usize,
    },
    /// Scopes out of order, or one twice.
    #[error("scopes are in the order of their names, each once")]
    Unsorted,
    /// A scope that cannot be exercised, or whose description is empty or too long.
    #[error("scope {name} does not fit together: {what}")]
    BadScope {
        /// The scope.
        name: ScopeName,
        /// What is wrong.
        what: &'static str,
    },
}

proven!(Catalog, RawCatalog, InvalidCatalog, Kind::Catalog, limit::DOCUMENT_BYTES_MAX);

//= APR-1
fn check(raw: &RawCatalog) -> Result<(), InvalidCatalog> {
    if raw.version == 0 {
        return Err(InvalidCatalog::VersionZero);
    }
    let life_ms = raw.expires.since_ms(raw.issued);
    if raw.issued.0 < 0 || !(1..=limit::CATALOG_LIFE_MS_MAX).contains(&life_ms) {
        return Err(InvalidCatalog::BadLife { max_ms: limit::CATALOG_LIFE_MS_MAX });
    }
    if raw.scopes.len() > limit::SCOPES_MAX {
        return Err(InvalidCatalog::TooMany { max: limit::SCOPES_MAX });
    }
    if raw.scopes.windows(2).any(|pair| pair[0].name >= pair[1].name) {
        return Err(InvalidCatalog::Unsorted);
    }
    raw.scopes.iter().try_for_each(Scope::check)
}

impl Catalog {
    /// The scope of this name.
    #[must_use]
    pub fn scope(&self, name: &ScopeName) -> Option<&Scope> {
        let at = self.scopes.binary_search_by(|scope| scope.name.cmp(name)).ok()?;
        self.scopes.get(at)
    }
}

impl Scope {
    /// What a projection pins: the digest of this entry's canonical bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidJson`] when it has no canonical form; no entry that was read lacks one.
    pub fn entry(&self) -> Result<Digest, InvalidJson> {
        Ok(Digest::of(tag::SCOPE, &[&canonical::to_vec(self)?]))
    }

    /// Whether the scope belongs to the operator surface of a gateway itself, which never crosses.
    #[must_use]
    pub fn is_reserved(name: &ScopeName) -> bool {
        name.as_str() == "operator" || name.as_str().starts_with("operator.")
    }

    /// Checks what the types of the members do not.
    ///
    /// # Errors
    ///
    /// [`InvalidCatalog::BadScope`].
    pub fn check(&self) -> Result<(), InvalidCatalog> {
        let bad = |what| Err(InvalidCatalog::BadScope { name: self.name.clone(), what });
        if self.description.is_empty() || self.description.len() > limit::DESCRIPTION_BYTES_MAX {
            return bad("its description is empty or too long");
        }
        if self.assurance.methods.is_empty() {
            return bad("no kind of key exercises it");
        }
        if !(1..=limit::QUORUM_MAX).contains(&self.assurance.min_signers) {
            return bad("its number of signers is not within the limits");
        }
        Ok(())
    }
}
