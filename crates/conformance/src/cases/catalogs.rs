//! Catalogs: what the executor's operators may decide, as it says itself.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Case, operation_refused, refusal_of};
use crate::caller::Caller;
use crate::wire::{self, Envelope};

/// Where a catalog is asked for.
pub(super) const CATALOG: &str = "/federation/v1/catalog";

pub(super) const CASES: &[Case] = &[
    Case {
        id: "catalog",
        clauses: &["APR-1", "APR-2"],
        about: "the catalog of the tenant is signed by its role, in order, fresh and bounded",
        run: |caller| {
            let scope = caller.terms.given(&caller.terms.scope, "--scope")?;
            let catalog = catalog(caller)?.1;
            ensure!(catalog["iss"] == caller.gid, "a catalog of another gateway");
            ensure!(catalog["tenant"] == json!(caller.terms.dst), "a catalog of another tenant");
            let time = |name: &str| catalog[name].as_i64().unwrap_or_default();
            let life = time("expires") - time("issued");
            ensure!((1..=86_400_000).contains(&life), "it lives {life} ms");
            ensure!(wire::now() < time("expires"), "it expired");
            let scopes = catalog["scopes"].as_array().context("a catalog has scopes")?;
            let names: Vec<&str> = scopes.iter().filter_map(|one| one["name"].as_str()).collect();
            let ascending = names.windows(2).all(|pair| pair[0] < pair[1]);
            ensure!(names.len() <= 64 && ascending, "its scopes are {names:?}");
            ensure!(names.contains(&scope), "{scope} is none of {names:?}");
            Ok(())
        },
    },
    Case {
        id: "catalog-again",
        clauses: &["APR-3", "APR-4"],
        about: "a catalog never goes back: the same bytes, or a higher version",
        run: |caller| {
            caller.terms.given(&caller.terms.scope, "--scope")?;
            let (one, two) = (catalog(caller)?, catalog(caller)?);
            let (before, after) = (one.1["version"].as_u64(), two.1["version"].as_u64());
            ensure!(before <= after, "version {after:?} after {before:?}");
            ensure!(before != after || one.0 == two.0, "two catalogs of version {after:?}");
            Ok(())
        },
    },
    Case {
        id: "catalog-not-granted",
        clauses: &["APR-2", "REQ-13"],
        about: "a catalog of a tenant pair without a grant is not_granted, signed",
        run: |caller| {
            for name in ["src", "dst"] {
                let mut request = caller.request("catalog", json!({}))?;
                request["tenant"][name] = json!("kit-nobody");
                operation_refused(caller, CATALOG, &request, "not_granted")?;
            }
            Ok(())
        },
    },
    Case {
        id: "catalog-form",
        clauses: &["ENV-19", "REQ-12"],
        about: "a catalog request with a body, or another operation there, is malformed",
        run: |caller| {
            let request = caller.request("catalog", json!({"tenant": "default"}))?;
            let (reply, signed) = caller.send(CATALOG, &request)?;
            refusal_of(caller, reply, Some(&signed), ("malformed", false))?;
            let start = caller.start()?;
            operation_refused(caller, CATALOG, &start, "malformed")?;
            super::nothing_of(caller, &start)
        },
    },
];

/// The executor's catalog, as text and as it says.
pub(super) fn catalog(caller: &Caller) -> Result<(String, Value)> {
    let (mut reply, signed) = caller.send(CATALOG, &caller.request("catalog", json!({}))?)?;
    if reply.status != 200 {
        let refusal = caller.refusal(&mut reply, Some(&signed))?;
        anyhow::bail!("a catalog was due, and it is {}", refusal.code);
    }
    let envelope = Envelope::read(&reply.all()?)?;
    let value = verified(caller, "catalog", "catalog", &envelope)?;
    Ok((envelope.text(), value))
}

/// What the executor signed under a role of its newest root.
pub(super) fn verified(
    caller: &Caller,
    kind: &str,
    role: &str,
    envelope: &Envelope,
) -> Result<Value> {
    let roots = caller.roots();
    let newest = roots.last().context("there are roots")?;
    envelope.verified(kind, newest, role, wire::now())
}
