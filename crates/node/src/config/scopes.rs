//! Our scopes as the file has them, proven.

use std::collections::{BTreeMap, BTreeSet};

use landbridge_proto::wire::approval::{Assurance, KeyMethod, Scope};
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{ScopeName, TenantId};

use super::Wrong;
use super::prove::{At, number, required};
use super::raw::{Origin, RawScope, Value, Written};

/// Proves the scopes, each and all of them together.
pub(super) fn scopes(raw: &[RawScope]) -> Result<BTreeMap<TenantId, Vec<Scope>>, Wrong> {
    let mut scopes: BTreeMap<TenantId, Vec<Scope>> = BTreeMap::new();
    for (at, one) in raw.iter().enumerate() {
        let (tenant, scope, name) = scope(at + 1, one)?;
        let of_tenant = scopes.entry(tenant).or_default();
        match of_tenant.binary_search_by(|known| known.name.cmp(&scope.name)) {
            Ok(_) => return Err(name.wrong("the tenant has this scope already", "another name")),
            Err(_) if of_tenant.len() >= limit::SCOPES_MAX => {
                let allowed = format!("{} scopes of a tenant at most", limit::SCOPES_MAX);
                return Err(name.wrong("too many scopes", &allowed));
            }
            Err(place) => of_tenant.insert(place, scope),
        }
    }
    Ok(scopes)
}

fn scope(at: usize, raw: &RawScope) -> Result<(TenantId, Scope, At<'_, ScopeName>), Wrong> {
    let key = |setting: &str| format!("scopes.{at}.{setting}");
    let written = [&raw.tenant, &raw.name, &raw.description, &raw.methods, &raw.min_signers];
    let origin = written.into_iter().flatten().next();
    let origin = || origin.map_or(Origin::Default, |written| written.origin.clone());
    let needed = |setting: &str, written: &Option<Written>| match written {
        Some(_) => Ok(()),
        None => Err(Wrong {
            origin: origin(),
            key: key(setting),
            what: "a scope needs this setting".to_owned(),
            allowed: None,
        }),
    };
    needed("tenant", &raw.tenant)?;
    needed("name", &raw.name)?;
    needed("description", &raw.description)?;
    let tenant: At<'_, TenantId> = required(&key("tenant"), &raw.tenant, "a tenant")?;
    let name: At<'_, ScopeName> = required(&key("name"), &raw.name, NAMES)?;
    if Scope::is_reserved(&name.value) {
        return Err(name.wrong("what begins with operator. never crosses", NAMES));
    }
    let description: At<'_, String> = required(&key("description"), &raw.description, "a text")?;
    let min_signers = match &raw.min_signers {
        None => 1,
        written => number(&key("min_signers"), written, 1, i64::from(limit::QUORUM_MAX))?,
    };
    let scope = Scope {
        assurance: Assurance {
            methods: methods(&key("methods"), &raw.methods)?,
            min_signers: u32::try_from(min_signers).unwrap_or(1),
        },
        deprecated: flag(&key("deprecated"), &raw.deprecated)?,
        description: description.value.clone(),
        name: name.value.clone(),
    };
    let allowed = format!("1 to {} bytes", limit::DESCRIPTION_BYTES_MAX);
    scope.check().map_err(|fault| description.wrong(&fault.to_string(), &allowed))?;
    Ok((tenant.value, scope, name))
}

fn methods(key: &str, written: &Option<Written>) -> Result<BTreeSet<KeyMethod>, Wrong> {
    if written.is_none() {
        return Ok(BTreeSet::from(KeyMethod::ALL));
    }
    let at = At::new(key, written)?;
    let Value::List(texts) = &at.written.value else {
        return Err(at.wrong("not a list of texts", METHODS));
    };
    let method = |text: &String| {
        let known = KeyMethod::ALL.into_iter().find(|method| method.as_str() == text);
        known.ok_or_else(|| at.wrong(&format!("{text:?} is no kind of key"), METHODS))
    };
    let methods: BTreeSet<_> = texts.iter().map(method).collect::<Result<_, _>>()?;
    if methods.is_empty() {
        return Err(at.wrong("no kind of key would exercise it", METHODS));
    }
    Ok(methods)
}

fn flag(key: &str, written: &Option<Written>) -> Result<bool, Wrong> {
    if written.is_none() {
        return Ok(false);
    }
    let at = At::new(key, written)?;
    match at.written.value {
        Value::Flag(flag) => Ok(flag),
        _ => Err(at.wrong("neither true nor false", "true or false")),
    }
}

const METHODS: &str = "a list of file, ssh, ssh_sk, webauthn";
const NAMES: &str = "1 to 64 of a-z 0-9 . _ -, not beginning with operator.";
