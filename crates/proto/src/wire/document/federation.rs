//! A gateway's own trust decisions: who its peers are, what they may ask, whom it lets vouch.
//!
//! It is local and signed all the same (role `policy`), so that a file edited on disk fails closed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use landbridge_planted::planted;

use super::grant::InvalidGrant;
use super::{Endpoint, FormVersion, RootKey, proven};
use crate::wire::approval::credential::InvalidCredential;
use crate::wire::approval::projection::InvalidProjection;
use crate::wire::approval::{Operator, Projection};
use crate::wire::digest::Digest;
use crate::wire::kind::Kind;
use crate::wire::limit;
use crate::wire::name::{AgentName, Alias, GatewayId, KeyId, OperatorName, TenantId, Timestamp};

pub use super::grant::Grant;

/// A federation document whose parts fit together.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(try_from = "RawFederation", into = "RawFederation")]
pub struct Federation(RawFederation);

/// A federation document as it is written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawFederation {
    /// The gateway whose decisions these are.
    pub iss: GatewayId,
    /// When they were signed.
    #[cfg_attr(
        any(test, feature = "schemas"),
        schemars(schema_with = "crate::wire::schema::time")
    )]
    pub issued: Timestamp,
    /// People who may decide for our tenants, in the order of tenant and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1, max = limit::OPERATORS_MAX)))]
    pub operators: Vec<Operator>,
    /// Other gateways, in the order of their ids.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(max = limit::PEERS_MAX)))]
    pub peers: Vec<Peer>,
    /// Federation roots, in the order of their names.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(max = limit::FEDERATION_ROOTS_MAX)))]
    pub roots: Vec<FederationRoot>,
    /// The form's version.
    pub v: FormVersion,
    /// 1, 2, 3 and so on; never goes down.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub version: u64,
}

/// Another gateway.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// What it is called here.
    pub alias: Alias,
    /// Where to reach it until its root says otherwise; empty for a peer that only calls.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(max = limit::ENDPOINTS_MAX)))]
    pub endpoints: Vec<Endpoint>,
    /// The digest of its first root.
    pub genesis: Digest,
    /// Its id.
    pub gid: GatewayId,
    /// What its tenants may ask, in the order of (local, remote), each pair once.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(max = limit::GRANTS_MAX)))]
    pub grants: Vec<Grant>,
    /// No root before this version is accepted any more.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1)))]
    pub min_root_version: u64,
    /// Whose decisions count here and for what, in the order of tenants and scopes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1, max = limit::PROJECTIONS_MAX)))]
    pub projections: Vec<Projection>,
    /// Whether it is talked to at all.
    pub status: PeerStatus,
}

/// Whether a peer is talked to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PeerStatus {
    /// It is.
    Active,
    /// Not for now.
    Suspended,
    /// Never again under this identity.
    Revoked,
}

/// Somebody who may vouch for members.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FederationRoot {
    /// Its keys by id.
    #[cfg_attr(any(test, feature = "schemas"), schemars(extend("minProperties" = 1, "maxProperties" = limit::KEYS_MAX)))]
    pub keys: BTreeMap<KeyId, RootKey>,
    /// The most members that it may vouch for.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1, max = limit::MEMBERS_MAX)))]
    pub max_members: u32,
    /// Peers that are talked to only while a membership of this root counts for them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1)))]
    pub members: BTreeSet<GatewayId>,
    /// Its name.
    pub name: Alias,
    /// The tenants that its members may speak for.
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(min = 1)))]
    pub tenants: BTreeSet<TenantId>,
    /// How many of its keys must sign.
    #[cfg_attr(any(test, feature = "schemas"), schemars(range(min = 1, max = limit::KEYS_MAX)))]
    pub threshold: u64,
}

/// Why a federation document does not fit together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidFederation {
    /// Version 0.
    #[error("federation documents are numbered from 1")]
    VersionZero,
    /// A time before 1970.
    #[error("issued before 1970")]
    BadIssued,
    /// More peers, grants, endpoints or roots than allowed.
    #[error("at most {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most allowed.
        max: usize,
    },
    /// Peers, grants or roots out of order, or one twice.
    #[error("{what} are not in order, each once")]
    Unsorted {
        /// What.
        what: &'static str,
    },
    /// Two peers with one alias.
    #[error("two peers are called {alias}")]
    AliasTaken {
        /// The alias.
        alias: Alias,
    },
    /// A gateway id that does not come from the first root's digest.
    #[error("the id of {alias} is not that of its first root")]
    ForeignGatewayId {
        /// The peer.
        alias: Alias,
    },
    /// The gateway itself among its peers.
    #[error("a gateway is not its own peer")]
    PeersWithItself,
    /// Lowest root version 0.
    #[error("roots are numbered from 1")]
    RootVersionZero,
    /// A grant that does not fit together.
    #[error("a grant of {alias} does not fit together")]
    BadGrant {
        /// The peer.
        alias: Alias,
        /// Why not.
        #[source]
        fault: InvalidGrant,
    },
    /// A projection that does not fit together.
    #[error("a projection of {alias} does not fit together")]
    BadProjection {
        /// The peer.
        alias: Alias,
        /// What is wrong.
        #[source]
        fault: InvalidProjection,
    },
    /// An operator who does not fit together.
    #[error("operator {name} does not fit together")]
    BadOperator {
        /// The operator.
        name: OperatorName,
        /// What is wrong.
        #[source]
        fault: InvalidCredential,
    },
    /// One key that stands for two people of a tenant: nobody could tell who decided.
    #[error("key {kid} stands for two operators")]
    SharedOperatorKey {
        /// The key.
        kid: KeyId,
    },
    /// An agent that two tenant pairs would share, with its sessions, memory and workspace.
    #[error("agent {agent} is granted to two tenant pairs")]
    SharedAgent {
        /// The agent.
        agent: AgentName,
    },
    /// A member that is no peer, or that is a member of two federation roots.
    #[error("{member} is no peer, or a member of two federation roots; one is {name}")]
    BadMember {
        /// The root.
        name: Alias,
        /// The member.
        member: GatewayId,
    },
    /// More members than the federation root may bring.
    #[error("federation root {name} may bring {max} members")]
    TooManyMembers {
        /// The root.
        name: Alias,
        /// The most allowed.
        max: u32,
    },
    /// A grant of a member for a tenant that its federation root may not speak for.
    #[error("federation root {name} may not speak for tenant {tenant}")]
    ForeignTenant {
        /// The root.
        name: Alias,
        /// The tenant.
        tenant: TenantId,
    },
    /// A federation root whose keys, threshold, members or tenants do not fit together.
    #[error("federation root {name} does not fit together")]
    BadFederationRoot {
        /// The root.
        name: Alias,
    },
}

proven!(Federation, RawFederation, InvalidFederation, Kind::Federation, limit::DOCUMENT_BYTES_MAX);

//= ID-29
fn check(raw: &RawFederation) -> Result<(), InvalidFederation> {
    if raw.version == 0 {
        return Err(InvalidFederation::VersionZero);
    }
    if raw.issued.0 < 0 {
        return Err(InvalidFederation::BadIssued);
    }
    ordered("peers", limit::PEERS_MAX, &raw.peers, |peer| &peer.gid)?;
    ordered("federation roots", limit::FEDERATION_ROOTS_MAX, &raw.roots, |root| &root.name)?;
    let mut aliases = BTreeSet::new();
    let mut agents = BTreeSet::new();
    for peer in &raw.peers {
        if peer.gid == raw.iss {
            return Err(InvalidFederation::PeersWithItself);
        }
        if !aliases.insert(&peer.alias) {
            return Err(InvalidFederation::AliasTaken { alias: peer.alias.clone() });
        }
        check_peer(peer)?;
        if peer.status == PeerStatus::Revoked {
            continue;
        }
        for grant in &peer.grants {
            // Gateways may take names that differ in case for one agent, and its sessions, memory and
            // workspace are one room: so do we.
            let folded: BTreeMap<_, _> = grant
                .agents
                .iter()
                .map(|agent| (agent.as_str().to_ascii_lowercase(), agent))
                .collect();
            for (folded, agent) in folded {
                if !agents.insert(folded) && !planted!("agent_shared") {
                    return Err(InvalidFederation::SharedAgent { agent: agent.clone() });
                }
            }
        }
    }
    raw.roots.iter().try_for_each(check_root)?;
    check_operators(&raw.operators)?;
    check_members(raw)
}

fn check_operators(operators: &[Operator]) -> Result<(), InvalidFederation> {
    ordered("operators", limit::OPERATORS_MAX, operators, |one| (&one.tenant, &one.name))?;
    let mut holders = BTreeMap::new();
    for operator in operators {
        operator.check().map_err(|fault| InvalidFederation::BadOperator {
            name: operator.name.clone(),
            fault,
        })?;
        for key in &operator.keys {
            let holder = holders.insert(&key.kid, &operator.name);
            if holder.is_some_and(|holder| *holder != operator.name) {
                return Err(InvalidFederation::SharedOperatorKey { kid: key.kid.clone() });
            }
        }
    }
    Ok(())
}

impl Federation {
    /// The members of a root that are not revoked: those that take a place.
    pub fn present_members<'a>(
        &'a self,
        root: &'a FederationRoot,
    ) -> impl Iterator<Item = &'a Peer> {
        present(&self.0.peers, root)
    }
}

fn present<'a>(peers: &'a [Peer], root: &'a FederationRoot) -> impl Iterator<Item = &'a Peer> {
    let is_present =
        |peer: &&Peer| peer.status != PeerStatus::Revoked && root.members.contains(&peer.gid);
    peers.iter().filter(is_present)
}

//= ID-67
fn check_members(raw: &RawFederation) -> Result<(), InvalidFederation> {
    let mut seen = BTreeSet::new();
    for root in &raw.roots {
        let name = || root.name.clone();
        for member in &root.members {
            let is_peer = raw.peers.binary_search_by(|peer| peer.gid.cmp(member)).is_ok();
            if !is_peer || !seen.insert(member) {
                return Err(InvalidFederation::BadMember { name: name(), member: member.clone() });
            }
        }
        let max = usize::try_from(root.max_members).unwrap_or(usize::MAX);
        if present(&raw.peers, root).count() > max {
            return Err(InvalidFederation::TooManyMembers { name: name(), max: root.max_members });
        }
        for peer in present(&raw.peers, root) {
            let foreign = peer.grants.iter().find(|grant| !root.tenants.contains(&grant.remote));
            if let Some(grant) = foreign {
                let tenant = grant.remote.clone();
                return Err(InvalidFederation::ForeignTenant { name: name(), tenant });
            }
        }
    }
    Ok(())
}

fn check_peer(peer: &Peer) -> Result<(), InvalidFederation> {
    if super::root::gateway_id(&peer.genesis) != peer.gid {
        return Err(InvalidFederation::ForeignGatewayId { alias: peer.alias.clone() });
    }
    if peer.min_root_version == 0 {
        return Err(InvalidFederation::RootVersionZero);
    }
    if peer.endpoints.len() > limit::ENDPOINTS_MAX {
        return Err(InvalidFederation::TooMany { what: "endpoints", max: limit::ENDPOINTS_MAX });
    }
    ordered("grants", limit::GRANTS_MAX, &peer.grants, |grant| (&grant.local, &grant.remote))?;
    for grant in &peer.grants {
        grant
            .check()
            .map_err(|fault| InvalidFederation::BadGrant { alias: peer.alias.clone(), fault })?;
    }
    //= APR-5
    ordered("projections", limit::PROJECTIONS_MAX, &peer.projections, Projection::place)?;
    for projection in &peer.projections {
        projection.check().map_err(|fault| InvalidFederation::BadProjection {
            alias: peer.alias.clone(),
            fault,
        })?;
    }
    Ok(())
}

fn check_root(root: &FederationRoot) -> Result<(), InvalidFederation> {
    let count = u64::try_from(root.keys.len()).unwrap_or(u64::MAX);
    let fits = root.keys.len() <= limit::KEYS_MAX
        && (1..=count).contains(&root.threshold)
        && (1..=limit::MEMBERS_MAX).contains(&root.max_members)
        && !root.tenants.is_empty()
        && root.keys.iter().all(|(kid, key)| key.public.kid() == *kid && key.nbf < key.exp);
    if fits {
        Ok(())
    } else {
        Err(InvalidFederation::BadFederationRoot { name: root.name.clone() })
    }
}

fn ordered<'a, T, K: Ord>(
    what: &'static str,
    max: usize,
    items: &'a [T],
    key: impl Fn(&'a T) -> K,
) -> Result<(), InvalidFederation> {
    if items.len() > max {
        return Err(InvalidFederation::TooMany { what, max });
    }
    if items.windows(2).any(|pair| key(&pair[0]) >= key(&pair[1])) {
        return Err(InvalidFederation::Unsorted { what });
    }
    Ok(())
}
