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

use crate::wire::document::{Federation, FederationRoot, Grant, Peer};
use crate::wire::name::{Alias, GatewayId, TenantId};

/// Everything that differs, peers first, each with its grants after it, then federation roots.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Difference {
    items: Vec<Item>,
}

/// A peer, a grant or a federation root that came, went or changed.
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
    pub fn between(from: Option<&Federation>, to: &Federation) -> Self {
        let mut items = Vec::new();
        let before = from.map(|from| from.peers.as_slice()).unwrap_or_default();
        for (old, new) in paired(before, &to.peers, |peer| peer.gid.clone()) {
            items.extend(item(peer_subject, peer_members, old, new));
            let grants = |peer: Option<&'_ Peer>| -> Vec<(Alias, Grant)> {
                let name = new.or(old).map(|peer| peer.alias.clone());
                let each = peer.into_iter().flat_map(|peer| &peer.grants);
                each.filter_map(|grant| Some((name.clone()?, grant.clone()))).collect()
            };
            let (old, new) = (grants(old), grants(new));
            let place = |(_, grant): &(Alias, Grant)| (grant.local.clone(), grant.remote.clone());
            for (old, new) in paired(&old, &new, place) {
                items.extend(item(grant_subject, |(_, grant)| members(grant, &[]), old, new));
            }
        }
        let before = from.map(|from| from.roots.as_slice()).unwrap_or_default();
        for (old, new) in paired(before, &to.roots, |root| root.name.clone()) {
            items.extend(item(root_subject, |root| members(root, &["name"]), old, new));
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

const NOUNS: [&str; 3] = ["peer", "grant", "federation root"];

impl Subject {
    const fn rank(&self) -> u8 {
        match self {
            Self::Peer { .. } => 0,
            Self::Grant { .. } => 1,
            Self::FederationRoot { .. } => 2,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer { alias, .. } => write!(f, "peer {alias}"),
            Self::Grant { peer, local, remote } => write!(f, "grant {peer} {local}:{remote}"),
            Self::FederationRoot { name } => write!(f, "federation root {name}"),
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

fn grant_subject((peer, grant): &(Alias, Grant)) -> Subject {
    let (local, remote) = (grant.local.clone(), grant.remote.clone());
    Subject::Grant { peer: peer.clone(), local, remote }
}

fn root_subject(root: &FederationRoot) -> Subject {
    Subject::FederationRoot { name: root.name.clone() }
}

/// Grants are items of their own.
fn peer_members(peer: &Peer) -> Members {
    members(peer, &["grants"])
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
