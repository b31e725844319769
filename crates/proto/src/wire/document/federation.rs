//! A gateway's own trust decisions: who its peers are, what they may ask, whom it lets vouch.
//!
//! It is local and signed all the same (role `policy`), so that a file edited on disk fails closed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use landbridge_planted::planted;

use super::grant::InvalidGrant;
use super::{Endpoint, FormVersion, RootKey, proven};
use crate::wire::digest::Digest;
use crate::wire::kind::Kind;
use crate::wire::limit;
use crate::wire::name::{AgentName, Alias, GatewayId, KeyId, TenantId, Timestamp};

pub use super::grant::Grant;

/// A federation document whose parts fit together.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawFederation", into = "RawFederation")]
pub struct Federation(RawFederation);

/// A federation document as it is written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawFederation {
    /// The gateway whose decisions these are.
    pub iss: GatewayId,
    /// When they were signed.
    pub issued: Timestamp,
    /// Other gateways, in the order of their ids.
    pub peers: Vec<Peer>,
    /// Federation roots, in the order of their names.
    pub roots: Vec<FederationRoot>,
    /// The form's version.
    pub v: FormVersion,
    /// 1, 2, 3 and so on; never goes down.
    pub version: u64,
}

/// Another gateway.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// What it is called here.
    pub alias: Alias,
    /// Where to reach it until its root says otherwise; empty for a peer that only calls.
    pub endpoints: Vec<Endpoint>,
    /// The digest of its first root.
    pub genesis: Digest,
    /// Its id.
    pub gid: GatewayId,
    /// What its tenants may ask, in the order of (local, remote), each pair once.
    pub grants: Vec<Grant>,
    /// No root before this version is accepted any more.
    pub min_root_version: u64,
    /// Whether it is talked to at all.
    pub status: PeerStatus,
}

/// Whether a peer is talked to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
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
#[serde(deny_unknown_fields)]
pub struct FederationRoot {
    /// Its keys by id.
    pub keys: BTreeMap<KeyId, RootKey>,
    /// The most members that it may vouch for.
    pub max_members: u32,
    /// Its name.
    pub name: Alias,
    /// The tenants that its members may speak for.
    pub tenants: BTreeSet<TenantId>,
    /// How many of its keys must sign.
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
    /// An agent that two tenant pairs would share, with its sessions, memory and workspace.
    #[error("agent {agent} is granted to two tenant pairs")]
    SharedAgent {
        /// The agent.
        agent: AgentName,
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
    raw.roots.iter().try_for_each(check_root)
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
