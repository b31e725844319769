//! What is about to be published, next to what is published.

use std::collections::BTreeMap;

use landbridge_proto::wire::approval::Scope;
use landbridge_proto::wire::name::TenantId;

/// One scope that is not the same on both sides.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Changed {
    /// Its tenant.
    pub tenant: TenantId,
    /// As it is published.
    pub before: Option<Scope>,
    /// As it is to be.
    pub after: Option<Scope>,
}

/// Scopes by tenant.
pub type Scopes = BTreeMap<TenantId, Vec<Scope>>;

/// Every scope that differs, by tenant and name.
#[must_use]
pub fn changes(before: &Scopes, after: &Scopes) -> Vec<Changed> {
    let named = |scopes: &Scopes| -> BTreeMap<_, Scope> {
        let all = scopes.iter().flat_map(|(tenant, scopes)| {
            scopes.iter().map(|scope| ((tenant.clone(), scope.name.clone()), scope.clone()))
        });
        all.collect()
    };
    let (mut before, mut after) = (named(before), named(after));
    let places: std::collections::BTreeSet<_> =
        before.keys().chain(after.keys()).cloned().collect();
    let pair = |place| {
        let (was, is) = (before.remove(&place), after.remove(&place));
        (was != is).then_some(Changed { tenant: place.0, before: was, after: is })
    };
    places.into_iter().filter_map(pair).collect()
}

/// What is to be published of each tenant where anything changes; nothing is left of a tenant that has
/// no scopes any more.
#[must_use]
pub fn to_publish(before: &Scopes, after: &Scopes) -> Scopes {
    let tenants = changes(before, after).into_iter().map(|changed| changed.tenant);
    let wanted = |tenant: TenantId| {
        let scopes = after.get(&tenant).cloned().unwrap_or_default();
        (tenant, scopes)
    };
    tenants.map(wanted).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use landbridge_proto::wire::approval::{Assurance, KeyMethod};
    use landbridge_proto::wire::name::ScopeName;

    use super::*;

    fn scope(name: &str, description: &str) -> Scope {
        let assurance = Assurance { methods: [KeyMethod::Ssh].into(), min_signers: 1 };
        let name = ScopeName::new(name).unwrap();
        Scope { assurance, deprecated: false, description: description.to_owned(), name }
    }

    #[test]
    fn what_is_new_gone_or_said_otherwise_differs_and_nothing_else() {
        let tenant = |name: &str| TenantId::new(name).unwrap();
        let before = Scopes::from([
            (tenant("a"), vec![scope("x", "1"), scope("y", "1")]),
            (tenant("b"), vec![scope("x", "1")]),
        ]);
        let after = Scopes::from([
            (tenant("a"), vec![scope("x", "2"), scope("y", "1")]),
            (tenant("c"), vec![scope("z", "1")]),
        ]);
        let found = changes(&before, &after);
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.tenant.as_str(), one.before.is_some(), one.after.is_some()))
            .collect();
        assert_eq!(told, [("a", true, true), ("b", true, false), ("c", false, true)]);
        let publish = to_publish(&before, &after);
        assert_eq!(publish[&tenant("a")].len(), 2, "a catalog is published whole");
        assert_eq!(publish[&tenant("b")], []);
        assert!(changes(&after, &after).is_empty() && to_publish(&after, &after).is_empty());
    }
}
