//! Putting a good document above one that was edited.

use std::path::Path;

use landbridge_node::clock::{Clock as _, SystemClock};
use landbridge_node::config::Home;
use landbridge_node::identity;
use landbridge_node::trust::document::{self, RestoreError};
use landbridge_proto::trust::federation::difference::Difference;
use landbridge_store::OpenError;

use super::{bundle_failure, read_bundle};
use crate::cli::TrustRestoreArgs;
use crate::command::change;
use crate::command::init::home_failure;
use crate::exit::{Exit, Failure};
use crate::offline::{self, identity_failure};
use crate::out::{Look, Out};

pub(super) fn restore(home: &Path, args: &TrustRestoreArgs, out: &Out) -> Result<Exit, Failure> {
    let home = Home::open(home).map_err(|fault| home_failure(&fault))?;
    let own = identity::own_root(home.path()).map_err(|error| identity_failure(&error))?;
    let (_, good) =
        read_bundle(&args.file)?.open(own.gateway()).map_err(|fault| bundle_failure(&fault))?;
    let now = SystemClock.now();
    let version =
        document::next_version(&home.state(), &own, now).map_err(|error| failure(&error))?;
    let next = good.draft().numbered(version).finish(now);
    let next = next.map_err(|error| {
        Failure::new(Exit::Failed, "the document does not fit together").because(error)
    })?;
    let everything = Difference::between(None, &next);
    let heading =
        format!("version {} as version {version}, with all that it says:", good.document().version);
    if !out.json() || out.interactive() {
        change::show(&heading, &everything, out);
    }
    if args.policy.dry_run {
        out.say(Look::Dim, "nothing was signed: --dry-run");
        return Ok(Exit::Success);
    }
    change::confirm("Sign this with the policy key?", args.policy.yes, out)?;
    let envelope = offline::sign(home.path(), &args.policy, own.root(), &next, out)?;
    document::restore(&home.state(), &own, &envelope, now).map_err(|error| failure(&error))?;
    out.data(&serde_json::json!({ "version": version }), |_| String::new())?;
    out.say(Look::Green, format!("version {version} is in force; next: landbridge serve"));
    out.say(
        Look::Yellow,
        "what was changed after it was exported is undone: revoke again what was revoked since",
    );
    Ok(Exit::Success)
}

fn failure(error: &RestoreError) -> Failure {
    let failure = match error {
        RestoreError::Open(OpenError::InUse { .. }) => {
            Failure::new(Exit::Failed, "the bridge runs")
                .next("stop the bridge; then the same command")
        }
        RestoreError::NothingWrong { .. } => {
            Failure::new(Exit::Failed, "nothing was put back").next("landbridge serve")
        }
        _ => Failure::new(Exit::Failed, "nothing was put back"),
    };
    let mut failure = failure.why(error.to_string());
    let mut cause = std::error::Error::source(error);
    while let Some(fault) = cause {
        failure = failure.why(fault.to_string());
        cause = fault.source();
    }
    failure
}
