//! What one federation document says differently from another.
//!
//! It is computed here and not where it is shown, so that what a person reads before signing, what the
//! audit log keeps and what the history tells are one thing. Nothing is left out: a member that this
//! module does not know by name is compared all the same, because the comparison walks the document's
//! own JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::wire::approval::{Operator, Projection};
use crate::wire::document::{Federation, FederationRoot, Grant, Peer};
use crate::wire::name::{Alias, GatewayId, OperatorName, ScopeName, TenantId};

/// Everything that differs, peers first, each with its grants and projections after it, then federation
/// roots and operators.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Difference {
    items: Vec<Item>,
}

/// A peer, a grant, a projection, a federation root or an operator that came, went or changed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// What it is.
    #[serde(flatten)]
    pub subject: Subject,
    /// What happened to it.
    pub deed: Deed,
    /// Its members that differ; all of them when it came or went.
    pub members: Vec<Member>,
}

/// What differs.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(tag = "what", rename_all = "camelCase")]
pub enum Subject {
    /// A peer.
    Peer {
        /// Its id.
        gateway: GatewayId,
        /// What it is called in the newer document that has it.
        alias: Alias,
    },
    /// What a peer's tenant may ask of a local one.
    Grant {
        /// The peer's name in the newer document that has it.
        peer: Alias,
        /// The local tenant.
        local: TenantId,
        /// The peer's tenant.
        remote: TenantId,
    },
    /// A federation root.
    FederationRoot {
        /// Its name.
        name: Alias,
    },
    /// Whose decisions at a peer count for what here.
    Projection {
        /// The peer's name in the newer document that has it.
        peer: Alias,
        /// The local tenant.
        local: TenantId,
        /// What is needed here.
        local_scope: ScopeName,
        /// The peer's tenant.
        remote: TenantId,
        /// What its operators hold.
        remote_scope: ScopeName,
    },
    /// A person who may decide for a tenant of ours.
    Operator {
        /// The tenant.
        tenant: TenantId,
        /// What they are called.
        name: OperatorName,
    },
}

/// What happened to a thing between two documents.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Deed {
    /// Only the newer document has it.
    Added,
    /// Only the older document has it.
    Removed,
    /// Both have it, and not the same.
    Changed,
}

/// One member that differs: what it lost and what it got. A single value has at most one of each; a
/// set has those that went and those that came.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Its name in the document.
    pub name: String,
    /// What stands there no more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
    /// What stands there now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub got: Vec<String>,
}

impl Difference {
    /// What `to` says differently from `from`; everything where there was nothing before.
    #[must_use]
    pub fn between<'a>(from: Option<&'a Federation>, to: &'a Federation) -> Self {
        let mut items = Vec::new();
        let before = from.map(|from| from.peers.as_slice()).unwrap_or_default();
        for (old, new) in paired(before, &to.peers, |peer| peer.gid.clone()) {
            items.extend(item(peer_subject, peer_members, old, new));
            let Some(alias) = new.or(old).map(|peer| peer.alias.clone()) else { continue };
            let grants = |peer: Option<&'a Peer>| peer.map_or(&[][..], |peer| &peer.grants);
            let place = |grant: &Grant| (grant.local.clone(), grant.remote.clone());
            for (old, new) in paired(grants(old), grants(new), place) {
                let subject = |grant: &Grant| grant_subject(&alias, grant);
                items.extend(item(subject, |grant| members(grant, &[]), old, new));
            }
            let projections =
                |peer: Option<&'a Peer>| peer.map_or(&[][..], |peer| &peer.projections);
            let place = |one: &Projection| {
                let (local, remote, local_scope, remote_scope) = one.place();
                (local.clone(), remote.clone(), local_scope.clone(), remote_scope.clone())
            };
            for (old, new) in paired(projections(old), projections(new), place) {
                let subject = |one: &Projection| projection_subject(&alias, one);
                items.extend(item(subject, |one| members(one, &[]), old, new));
            }
        }
        let before = from.map(|from| from.roots.as_slice()).unwrap_or_default();
        for (old, new) in paired(before, &to.roots, |root| root.name.clone()) {
            items.extend(item(root_subject, |root| members(root, &["name"]), old, new));
        }
        let before = from.map(|from| from.operators.as_slice()).unwrap_or_default();
        let place = |one: &Operator| (one.tenant.clone(), one.name.clone());
        for (old, new) in paired(before, &to.operators, place) {
            items.extend(item(operator_subject, operator_members, old, new));
        }
        Self { items }
    }

    /// What differs, in order.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Whether the two documents say the same.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The difference in a few words, as in `1 peer added, 2 grants changed`.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut counts = BTreeMap::<(u8, Deed), usize>::new();
        for item in &self.items {
            *counts.entry((item.subject.rank(), item.deed)).or_default() += 1;
        }
        let words = counts.iter().map(|((rank, deed), &count)| {
            let noun = NOUNS[usize::from(*rank)];
            format!("{count} {noun}{} {deed}", if count == 1 { "" } else { "s" })
        });
        let words: Vec<_> = words.collect();
        if words.is_empty() { "no change".to_owned() } else { words.join(", ") }
    }
}

const NOUNS: [&str; 5] = ["peer", "grant", "projection", "federation root", "operator"];

impl Subject {
    const fn rank(&self) -> u8 {
        match self {
            Self::Peer { .. } => 0,
            Self::Grant { .. } => 1,
            Self::Projection { .. } => 2,
            Self::FederationRoot { .. } => 3,
            Self::Operator { .. } => 4,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer { alias, .. } => write!(f, "peer {alias}"),
            Self::Grant { peer, local, remote } => write!(f, "grant {peer} {local}:{remote}"),
            Self::FederationRoot { name } => write!(f, "federation root {name}"),
            Self::Projection { peer, local, local_scope, remote, remote_scope } => write!(
                f,
                "projection of {remote_scope} in {remote} at {peer} to {local_scope} in {local}"
            ),
            Self::Operator { tenant, name } => write!(f, "operator {name} of {tenant}"),
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        })
    }
}

fn peer_subject(peer: &Peer) -> Subject {
    Subject::Peer { gateway: peer.gid.clone(), alias: peer.alias.clone() }
}

fn grant_subject(peer: &Alias, grant: &Grant) -> Subject {
    let (local, remote) = (grant.local.clone(), grant.remote.clone());
    Subject::Grant { peer: peer.clone(), local, remote }
}

fn root_subject(root: &FederationRoot) -> Subject {
    Subject::FederationRoot { name: root.name.clone() }
}

fn projection_subject(peer: &Alias, projection: &Projection) -> Subject {
    let (local, remote, local_scope, remote_scope) = projection.place();
    Subject::Projection {
        peer: peer.clone(),
        local: local.clone(),
        local_scope: local_scope.clone(),
        remote: remote.clone(),
        remote_scope: remote_scope.clone(),
    }
}

fn operator_subject(operator: &Operator) -> Subject {
    Subject::Operator { tenant: operator.tenant.clone(), name: operator.name.clone() }
}

/// Grants and projections are items of their own.
fn peer_members(peer: &Peer) -> Members {
    members(peer, &["grants", "projections"])
}

/// A key is one value: which it is, and how it signs, belong together.
fn operator_members(operator: &Operator) -> Members {
    members(operator, &["name", "tenant"])
}

/// Things of two lists, matched by what they are, in the order of that.
fn paired<'a, T, K: Ord>(
    old: &'a [T],
    new: &'a [T],
    key: impl Fn(&T) -> K,
) -> Vec<(Option<&'a T>, Option<&'a T>)> {
    let mut pairs = BTreeMap::<K, (Option<&T>, Option<&T>)>::new();
    for one in old {
        pairs.entry(key(one)).or_default().0 = Some(one);
    }
    for one in new {
        pairs.entry(key(one)).or_default().1 = Some(one);
    }
    pairs.into_values().collect()
}

fn item<T>(
    subject: impl Fn(&T) -> Subject,
    members: impl Fn(&T) -> Members,
    old: Option<&T>,
    new: Option<&T>,
) -> Option<Item> {
    let deed = match (old, new) {
        (None, _) => Deed::Added,
        (_, None) => Deed::Removed,
        (Some(_), Some(_)) => Deed::Changed,
    };
    let (before, after) = (old.map(&members), new.map(&members));
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let none = BTreeSet::new();
    let differ = names.into_iter().filter_map(|name| {
        let (before, after) = (before.get(name).unwrap_or(&none), after.get(name).unwrap_or(&none));
        let lost = before.difference(after).cloned().collect::<Vec<_>>();
        let got = after.difference(before).cloned().collect::<Vec<_>>();
        let differs = !lost.is_empty() || !got.is_empty();
        differs.then(|| Member { name: name.clone(), lost, got })
    });
    let members: Vec<_> = differ.collect();
    if deed == Deed::Changed && members.is_empty() {
        return None;
    }
    Some(Item { subject: subject(new.or(old)?), deed, members })
}

/// Members by their path, each with its values.
type Members = BTreeMap<String, BTreeSet<String>>;

fn members(thing: &impl Serialize, without: &[&str]) -> Members {
    let mut all = Members::new();
    // What cannot be written was never read: a document's parts all have a JSON form.
    if let Ok(Value::Object(object)) = serde_json::to_value(thing) {
        for (name, value) in object.iter().filter(|(name, _)| !without.contains(&name.as_str())) {
            collect(name, value, &mut all);
        }
    }
    all
}

fn collect(path: &str, value: &Value, all: &mut Members) {
    match value {
        // Objects of things with names, such as keys, are sets; plain records are walked.
        Value::Object(object) if object.values().all(Value::is_object) => {
            let each = object.iter().map(|(name, value)| format!("{name} {}", inline(value)));
            all.entry(path.to_owned()).or_default().extend(each);
        }
        Value::Object(object) => {
            for (name, value) in object {
                collect(&format!("{path}.{name}"), value, all);
            }
        }
        Value::Array(items) => {
            all.entry(path.to_owned()).or_default().extend(items.iter().map(inline));
        }
        other => {
            all.entry(path.to_owned()).or_default().insert(inline(other));
        }
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(object) => {
            let each = object.iter().map(|(name, value)| format!("{name}={}", inline(value)));
            each.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
