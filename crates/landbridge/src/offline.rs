//! Changes of the federation document, signed here with the policy key.
//!
//! The daemon holds no key that can make it trust anybody: it only verifies. So these commands fetch the
//! document that is in force, verify it against the home's own roots (a daemon that was taken over
//! could otherwise have a changed document signed), change it, show the change, and hand in a signed
//! next version.
//!
//! Below are the keys that do it: where they are, what opens them, and how the next root is made.

pub(crate) mod passphrase;
pub(crate) mod signers;
mod terminal;

use std::collections::VecDeque;
use std::path::Path;

use landbridge_node::clock::{Clock as _, SystemClock};
use landbridge_node::identity::{self, IdentityError};
use landbridge_node::local::api::FederationView;
use landbridge_proto::trust::federation::difference::Difference;
use landbridge_proto::trust::federation::{FederationDraft, TrustedFederation};
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::signer::sign_typed;
use landbridge_proto::wire::document::{Federation, Root};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::KeyId;

use crate::cli::PolicyArgs;
use crate::client::Client;
use crate::command::change;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::out::{Look, Out};

/// The federation document in force, verified; `None` before the first.
pub(crate) async fn current(client: &Client) -> Result<Option<TrustedFederation>, Failure> {
    let own = identity::own_root(client.home()).map_err(|error| identity_failure(&error))?;
    Ok(fetch(client, &own).await?.1)
}

async fn fetch(
    client: &Client,
    own: &TrustedRoot,
) -> Result<(FederationDraft, Option<TrustedFederation>), Failure> {
    let view: FederationView = client.get("/v1/admin/federation").await?;
    let Some(text) = view.envelope else {
        return Ok((FederationDraft::first(own.gateway().clone()), None));
    };
    let what = || "the bridge's federation document does not verify; nothing was signed";
    let envelope = Envelope::parse(text.as_bytes()).or_fail(Exit::Failed, what)?;
    let trusted = TrustedFederation::open(&envelope, own, view.version.max(1), SystemClock.now())
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
    change_because(client, policy, None, out, edit).await
}

/// As [`change()`], with a person's reason for the audit log.
pub(crate) async fn change_because(
    client: &Client,
    policy: &PolicyArgs,
    because: Option<&str>,
    out: &Out,
    edit: impl FnOnce(&mut FederationDraft, Option<&TrustedFederation>) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    Ok(change_viewed(client, policy, because, out, edit).await?.is_some())
}

/// As [`change_because()`], with what the bridge says of the document that it put in force.
pub(crate) async fn change_viewed(
    client: &Client,
    policy: &PolicyArgs,
    because: Option<&str>,
    out: &Out,
    edit: impl FnOnce(&mut FederationDraft, Option<&TrustedFederation>) -> Result<(), Failure>,
) -> Result<Option<FederationView>, Failure> {
    let own = identity::own_root(client.home()).map_err(|error| identity_failure(&error))?;
    let (mut draft, trusted) = fetch(client, &own).await?;
    edit(&mut draft, trusted.as_ref())?;
    let next = draft
        .finish(SystemClock.now())
        .or_fail(Exit::Failed, || "the changed federation document does not fit together")?;
    let before = trusted.as_ref().map(TrustedFederation::document);
    let difference = Difference::between(before, &next);
    // Whoever is about to be asked must see what about, also where the data is JSON.
    if !out.json() || out.interactive() {
        change::show(&format!("federation document, version {}:", next.version), &difference, out);
    }
    if policy.dry_run {
        out.say(Look::Dim, "nothing was signed: --dry-run");
        return Ok(None);
    }
    if before.is_some() && difference.is_empty() {
        out.say(Look::Dim, "nothing was signed: the document says so already");
        return Ok(None);
    }
    change::confirm("Sign this with the policy key?", policy.yes, out)?;
    let envelope = sign(client.home(), policy, own.root(), &next, out)?;
    let mut put = serde_json::json!({"envelope": String::from_utf8_lossy(&envelope.to_bytes())});
    if let Some(because) = because {
        put["because"] = because.into();
    }
    client.put("/v1/admin/federation", &put).await.map(Some)
}

/// Signs a document with the policy key, wherever it is kept. Nobody is asked here.
pub(crate) fn sign(
    home: &Path,
    policy: &PolicyArgs,
    root: &Root,
    document: &Federation,
    out: &Out,
) -> Result<Envelope, Failure> {
    let named = policy.policy_key.as_ref();
    let signer = signers::policy_signer(home, named, &policy.offline, root, out)?;
    sign_typed(&signer, document).or_fail(Exit::Failed, || "the document was not signed")
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
        IdentityError::NotOurs { .. } => {
            (Exit::Permissions, Some("run the command as the user that owns it".to_owned()))
        }
        IdentityError::PassphraseMissing { .. } => (
            Exit::Failed,
            Some("the same command with --passphrase-file FILE, or on a terminal".to_owned()),
        ),
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

/// The beginning of a key's id: enough for people to tell the keys of one gateway apart.
pub(crate) fn short_kid(kid: &KeyId) -> &str {
    kid.as_str().get(..12).unwrap_or_default()
}

/// The lines that went, with `-`, and the lines that came, with `+`, in the order of the new document.
pub(crate) fn difference(before: &[String], after: &[String]) -> Vec<String> {
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
}
