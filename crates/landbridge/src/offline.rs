//! Changes of the federation document, signed here with the policy key.
//!
//! The daemon holds no key that can make it trust anybody: it only verifies. So these commands fetch the
//! document that is in force, verify it against the home's own roots (a daemon that was taken over
//! could otherwise have a changed document signed), change it, show the change, and hand in a signed
//! next version.

use std::collections::VecDeque;

use landbridge_node::clock::{Clock as _, SystemClock};
use landbridge_node::identity::{self, IdentityError};
use landbridge_node::local::api::FederationView;
use landbridge_proto::trust::federation::{FederationDraft, TrustedFederation};
use landbridge_proto::trust::signer::sign_typed;
use landbridge_proto::wire::document::Federation;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::Role;
use serde_json::Value;

use crate::cli::PolicyArgs;
use crate::client::Client;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::out::{Look, Out};

/// The federation document in force, verified; `None` before the first.
pub(crate) async fn current(client: &Client) -> Result<Option<TrustedFederation>, Failure> {
    Ok(fetch(client).await?.1)
}

async fn fetch(client: &Client) -> Result<(FederationDraft, Option<TrustedFederation>), Failure> {
    let own = identity::own_root(client.home()).map_err(|error| identity_failure(&error))?;
    let view: FederationView = client.get("/v1/admin/federation").await?;
    let Some(text) = view.envelope else {
        return Ok((FederationDraft::first(own.gateway().clone()), None));
    };
    let what = || "the bridge's federation document does not verify; nothing was signed";
    let envelope = Envelope::parse(text.as_bytes()).or_fail(Exit::Failed, what)?;
    let trusted = TrustedFederation::open(&envelope, &own, view.version.max(1), SystemClock.now())
        .map_err(|error| {
            Failure::new(Exit::Failed, what()).because(error).next("landbridge doctor")
        })?;
    Ok((trusted.draft(), Some(trusted)))
}

/// Changes the federation document: fetches, edits, shows, signs and hands in.
///
/// `edit` works on a draft of the next version. Says whether anything was put in force.
pub(crate) async fn change(
    client: &Client,
    policy: &PolicyArgs,
    out: &Out,
    edit: impl FnOnce(&mut FederationDraft, Option<&TrustedFederation>) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    let (mut draft, trusted) = fetch(client).await?;
    edit(&mut draft, trusted.as_ref())?;
    let next = draft
        .finish(SystemClock.now())
        .or_fail(Exit::Failed, || "the changed federation document does not fit together")?;
    show_change(trusted.as_ref().map(TrustedFederation::document), &next, out)?;
    if policy.dry_run {
        out.say(Look::Dim, "nothing was signed: --dry-run");
        return Ok(false);
    }
    let loaded = match &policy.policy_key {
        Some(path) => identity::load_key(path, Role::Policy),
        None => identity::own_root(client.home()).and_then(|own| {
            let offline = client.home().join(identity::OFFLINE);
            identity::named_key(&offline, own.root(), Role::Policy, SystemClock.now())
        }),
    };
    let signer = loaded.map_err(|error| {
        let failure = identity_failure(&error);
        if policy.policy_key.is_none() && matches!(error, IdentityError::File { .. }) {
            failure.next("the same command with --policy-key FILE, where the policy key is")
        } else {
            failure
        }
    })?;
    let envelope =
        sign_typed(&signer, &next).or_fail(Exit::Failed, || "the document was not signed")?;
    let put = serde_json::json!({"envelope": String::from_utf8_lossy(&envelope.to_bytes())});
    let _in_force: FederationView = client.put("/v1/admin/federation", &put).await?;
    Ok(true)
}

/// A failure for what is wrong with keys or roots.
pub(crate) fn identity_failure(error: &IdentityError) -> Failure {
    let (exit, next) = match error {
        IdentityError::Exists { .. } => (
            Exit::CannotCreate,
            Some("another --home, or `landbridge serve` with this one".to_owned()),
        ),
        IdentityError::Missing { home } => {
            (Exit::Config, Some(format!("landbridge init --home {}", home.display())))
        }
        IdentityError::Exposed { path, .. } => {
            (Exit::Permissions, Some(format!("chmod go= {}", path.display())))
        }
        IdentityError::File { fault, .. }
            if fault.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            (
                Exit::Permissions,
                Some("run the command as the user that the bridge runs as".to_owned()),
            )
        }
        _ => (Exit::Failed, Some("landbridge doctor".to_owned())),
    };
    let mut failure = Failure::new(exit, error);
    if let Some(source) = std::error::Error::source(error) {
        failure = failure.because(source);
    }
    match next {
        Some(next) => failure.next(next),
        None => failure,
    }
}

fn show_change(from: Option<&Federation>, to: &Federation, out: &Out) -> Result<(), Failure> {
    if out.json() {
        return Ok(());
    }
    let before = from.map(lines).unwrap_or_default();
    let after = lines(to);
    out.say(Look::Bold, format!("federation document, version {}:", to.version));
    for line in difference(&before, &after) {
        let look = match line.as_bytes().first() {
            Some(b'+') => Look::Green,
            Some(b'-') => Look::Red,
            _ => Look::Dim,
        };
        out.say(look, format!("  {line}"));
    }
    Ok(())
}

/// The document's decisions, one line each: a whole member's path and value, so that a changed line
/// reads alone.
fn lines(document: &Federation) -> Vec<String> {
    let mut lines = Vec::new();
    for peer in &document.peers {
        let value = serde_json::to_value(peer).unwrap_or_default();
        flatten(&format!("peer {}", peer.alias), &value, &mut lines);
    }
    for root in &document.roots {
        let value = serde_json::to_value(root).unwrap_or_default();
        flatten(&format!("federation root {}", root.name), &value, &mut lines);
    }
    lines
}

fn flatten(path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            let pair = members.get("local").zip(members.get("remote"));
            let place = match pair.and_then(|(local, remote)| local.as_str().zip(remote.as_str())) {
                Some((local, remote)) => format!("{path} {local}:{remote}"),
                None => path.to_owned(),
            };
            for (name, member) in members {
                flatten(&format!("{place} {name}"), member, lines);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().for_each(|item| flatten(path, item, lines));
        }
        Value::Array(items) => {
            let texts: Vec<String> = items
                .iter()
                .map(|item| item.as_str().map_or(item.to_string(), str::to_owned))
                .collect();
            lines.push(format!("{path} = {}", texts.join(", ")));
        }
        Value::String(text) => lines.push(format!("{path} = {text}")),
        other => lines.push(format!("{path} = {other}")),
    }
}

/// The lines that went, with `-`, and the lines that came, with `+`, in the order of the new document.
fn difference(before: &[String], after: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    let mut gone: VecDeque<&String> = before.iter().filter(|line| !after.contains(line)).collect();
    for line in after.iter().filter(|line| !before.contains(line)) {
        let place = |line: &str| line.split(" = ").next().map(str::to_owned);
        if let Some(at) = gone.iter().position(|old| place(old) == place(line))
            && let Some(old) = gone.remove(at)
        {
            out.push(format!("- {old}"));
        }
        out.push(format!("+ {line}"));
    }
    out.extend(gone.into_iter().map(|line| format!("- {line}")));
    if out.is_empty() {
        out.push("  no change".to_owned());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn a_change_is_shown_next_to_what_it_replaces() {
        let before = texts(&["peer eu status = active", "peer us status = active"]);
        let after =
            texts(&["peer eu status = suspended", "peer us status = active", "peer us x = 1"]);
        let shown = difference(&before, &after);
        assert_eq!(
            shown,
            ["- peer eu status = active", "+ peer eu status = suspended", "+ peer us x = 1"]
        );
        assert_eq!(difference(&before, &before), ["  no change"]);
        assert_eq!(difference(&before, &[]).len(), 2);
    }

    #[test]
    fn a_grant_is_named_by_its_tenants() {
        let value =
            serde_json::json!({"grants": [{"local": "a", "remote": "b", "agents": ["x", "y"]}]});
        let mut lines = Vec::new();
        flatten("peer eu", &value, &mut lines);
        assert!(lines.contains(&"peer eu grants a:b agents = x, y".to_owned()), "{lines:?}");
    }
}
