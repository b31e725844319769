//! A gateway's root: its keys, their roles and its addresses, said by itself.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};

use landbridge_planted::planted;

use super::{Endpoint, FormVersion, proven};
use crate::wire::digest::Digest;
use crate::wire::key::{Algorithm, PublicKey};
use crate::wire::kind::{Kind, Role};
use crate::wire::limit;
use crate::wire::name::{GatewayId, KeyId, Timestamp};

/// A root whose keys and roles fit together. Who signed it is another question.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(try_from = "RawRoot", into = "RawRoot")]
pub struct Root(RawRoot);

/// A root as it is written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[cfg_attr(any(test, feature = "schemas"), schemars(extend("allOf" = crate::wire::schema::rule::root())))]
#[serde(deny_unknown_fields)]
pub struct RawRoot {
    /// Where the gateway listens; empty for one that cannot be reached.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(max = limit::ENDPOINTS_MAX)))]
    pub endpoints: Vec<Endpoint>,
    /// When this root stops being good.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub expires: Timestamp,
    /// When it was issued.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub issued: Timestamp,
    /// The keys by id.
    #[cfg_attr(any(test, feature = "schemas"), schemars(extend("minProperties" = 1, "maxProperties" = limit::KEYS_MAX)))]
    pub keys: BTreeMap<KeyId, RootKey>,
    /// The lowest protocol version that the gateway speaks.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub min_proto: u32,
    /// The digest of the root before this one; absent in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<Digest>,
    /// Who may sign what. `catalog` and `operator-ca` may be absent, the others not.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::roles")
    )]
    pub roles: BTreeMap<Role, RoleHolders>,
    /// The form's version.
    pub v: FormVersion,
    /// 1, 2, 3 and so on.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub version: u64,
}

/// A key of a root.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RootKey {
    /// The key's algorithm.
    pub alg: Algorithm,
    /// The key is not good at this instant and after it.
    pub exp: Timestamp,
    /// The key is not good before this instant.
    pub nbf: Timestamp,
    /// The key.
    #[serde(rename = "pub")]
    pub public: PublicKey,
}

/// The keys of one role.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RoleHolders {
    /// Their ids.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1, max = limit::KEYS_MAX)))]
    pub keyids: BTreeSet<KeyId>,
    /// How many of them must sign.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1, max = limit::KEYS_MAX)))]
    pub threshold: u64,
}

/// Why a root does not fit together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidRoot {
    /// Version 0.
    #[error("roots are numbered from 1")]
    VersionZero,
    /// A first root with a predecessor, or a later one without.
    #[error("exactly the first root has no predecessor")]
    PrevMisplaced,
    /// Expires before it is issued, or lives longer than allowed.
    #[error("a root lives 1 to {max_ms} milliseconds")]
    BadLife {
        /// The longest life allowed.
        max_ms: i64,
    },
    /// A protocol version that was never published.
    #[error("the lowest protocol version is at least 1")]
    MinProtoZero,
    /// No keys, or too many.
    #[error("a root has 1 to {max} keys")]
    BadKeyCount {
        /// The most allowed.
        max: usize,
    },
    /// A key under an id that is not its own.
    #[error("key {kid} does not have this id")]
    ForeignKeyId {
        /// The id it stands under.
        kid: KeyId,
    },
    /// A key that is never valid, or valid beyond its root's expiry.
    #[error("key {kid} is valid from before its end, and not longer than its root")]
    BadKeyLife {
        /// The key.
        kid: KeyId,
    },
    /// A role that every gateway needs and that this one lacks.
    #[error("the {role} role is missing")]
    RoleMissing {
        /// The role.
        role: Role,
    },
    /// A role whose threshold is zero or more than its keys.
    #[error("the threshold of {role} is not within its keys")]
    BadThreshold {
        /// The role.
        role: Role,
    },
    /// A role that names a key which the root does not have.
    #[error("{role} names the unknown key {kid}")]
    UnknownKey {
        /// The role.
        role: Role,
        /// The id.
        kid: KeyId,
    },
    /// A key with two roles.
    #[error("key {kid} has two roles")]
    KeyWithTwoRoles {
        /// The key.
        kid: KeyId,
    },
    /// A key without a role.
    #[error("a key without a role")]
    KeyWithoutRole,
    /// More endpoints than allowed, or one twice.
    #[error("a root has at most {max} endpoints, each once")]
    BadEndpoints {
        /// The most allowed.
        max: usize,
    },
}

proven!(Root, RawRoot, InvalidRoot, Kind::Root, limit::DOCUMENT_BYTES_MAX);

impl RootKey {
    /// A key with its window.
    #[must_use]
    pub const fn new(public: PublicKey, nbf: Timestamp, exp: Timestamp) -> Self {
        Self { alg: Algorithm::Ed25519, exp, nbf, public }
    }
}

/// The gateway id of a first root: nobody assigns it, and it survives every rotation.
#[must_use]
#[expect(clippy::expect_used, reason = "52 characters of base32 in lower case")]
pub fn gateway_id(genesis: &Digest) -> GatewayId {
    let text = BASE32_NOPAD.encode(genesis.as_bytes()).to_ascii_lowercase();
    GatewayId::new(format!("gw1-{text}")).expect("the form of a gateway id")
}

/// The digest of a gateway's first root, which its id holds; `None` where the id holds no digest.
#[must_use]
pub fn genesis_of(gateway: &GatewayId) -> Option<Digest> {
    let text = gateway.as_str().strip_prefix("gw1-")?.to_ascii_uppercase();
    let bytes = BASE32_NOPAD.decode(text.as_bytes()).ok()?;
    let genesis = Digest::from_bytes(bytes.try_into().ok()?);
    (gateway_id(&genesis) == *gateway).then_some(genesis)
}

fn check(raw: &RawRoot) -> Result<(), InvalidRoot> {
    if raw.version == 0 {
        return Err(InvalidRoot::VersionZero);
    }
    if raw.prev.is_some() != (raw.version > 1) {
        return Err(InvalidRoot::PrevMisplaced);
    }
    let life_ms = raw.expires.since_ms(raw.issued);
    let long = raw.issued.0 < 0 || !(1..=limit::ROOT_LIFE_MS_MAX).contains(&life_ms);
    if long && !planted!("root_life_unchecked") {
        //= ID-8
        return Err(InvalidRoot::BadLife { max_ms: limit::ROOT_LIFE_MS_MAX });
    }
    if raw.min_proto == 0 {
        return Err(InvalidRoot::MinProtoZero);
    }
    check_endpoints(raw)?;
    check_keys(raw)?;
    check_roles(raw)
}

fn check_endpoints(raw: &RawRoot) -> Result<(), InvalidRoot> {
    let distinct: BTreeSet<_> = raw.endpoints.iter().map(|endpoint| &endpoint.url).collect();
    if raw.endpoints.len() > limit::ENDPOINTS_MAX || distinct.len() != raw.endpoints.len() {
        return Err(InvalidRoot::BadEndpoints { max: limit::ENDPOINTS_MAX });
    }
    Ok(())
}

fn check_keys(raw: &RawRoot) -> Result<(), InvalidRoot> {
    if raw.keys.is_empty() || raw.keys.len() > limit::KEYS_MAX {
        return Err(InvalidRoot::BadKeyCount { max: limit::KEYS_MAX });
    }
    for (kid, key) in &raw.keys {
        if key.public.kid() != *kid && !planted!("key_id_unchecked") {
            //= ID-1
            return Err(InvalidRoot::ForeignKeyId { kid: kid.clone() });
        }
        if key.nbf >= key.exp || key.exp > raw.expires {
            return Err(InvalidRoot::BadKeyLife { kid: kid.clone() });
        }
    }
    Ok(())
}

//= ID-7
fn check_roles(raw: &RawRoot) -> Result<(), InvalidRoot> {
    for role in [Role::Root, Role::Stream, Role::Request, Role::Status, Role::Policy] {
        if !raw.roles.contains_key(&role) {
            return Err(InvalidRoot::RoleMissing { role });
        }
    }
    let mut held = BTreeSet::new();
    for (&role, holders) in &raw.roles {
        let count = u64::try_from(holders.keyids.len()).unwrap_or(u64::MAX);
        if !(1..=count).contains(&holders.threshold) && !planted!("root_threshold_unchecked") {
            return Err(InvalidRoot::BadThreshold { role });
        }
        for kid in &holders.keyids {
            if !raw.keys.contains_key(kid) {
                return Err(InvalidRoot::UnknownKey { role, kid: kid.clone() });
            }
            if !held.insert(kid) && !planted!("key_in_two_roles") {
                return Err(InvalidRoot::KeyWithTwoRoles { kid: kid.clone() });
            }
        }
    }
    if held.len() != raw.keys.len() {
        return Err(InvalidRoot::KeyWithoutRole);
    }
    if planted!("no_root_fits") {
        return Err(InvalidRoot::VersionZero);
    }
    Ok(())
}
