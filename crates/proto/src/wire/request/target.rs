//! Which run an operation is about.

use serde::{Deserialize, Serialize};

use super::MalformedRequest;
use crate::wire::limit;
use crate::wire::name::{IdempotencyKey, RunId};

/// A run, by its id or by its key (a caller whose response was lost has no id).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// By the key that started it.
    Key(IdempotencyKey),
    /// By the executor's id.
    Run(RunId),
}

/// The body of an attach.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attach {
    /// The last frame that the caller has; 0 for all.
    pub after: u64,
    /// Which run.
    pub target: Target,
}

/// The body of a cancel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cancel {
    /// Which run.
    pub target: Target,
    /// Why, for the executor's audit.
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawTarget {
    /// The last frame that the caller has; 0 for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<u64>,
    /// The run, by the key that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) idempotency_key: Option<IdempotencyKey>,
    /// Why, for the executor's audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schemas"), schemars(length(max = limit::CLAIM_BYTES_MAX)))]
    pub(super) reason: Option<String>,
    /// The run, by the executor's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<RunId>,
}

impl RawTarget {
    pub(super) fn new(target: &Target) -> Self {
        match target {
            Target::Key(key) => Self { idempotency_key: Some(key.clone()), ..Self::default() },
            Target::Run(run) => Self { run: Some(run.clone()), ..Self::default() },
        }
    }

    fn target(&mut self) -> Result<Target, MalformedRequest> {
        match (self.run.take(), self.idempotency_key.take()) {
            (Some(run), None) => Ok(Target::Run(run)),
            (None, Some(key)) => Ok(Target::Key(key)),
            _ => Err(MalformedRequest::NotOneTarget),
        }
    }
}

impl TryFrom<RawTarget> for Attach {
    type Error = MalformedRequest;

    fn try_from(mut raw: RawTarget) -> Result<Self, MalformedRequest> {
        match (raw.after, &raw.reason) {
            (Some(after), None) => Ok(Self { after, target: raw.target()? }),
            _ => Err(MalformedRequest::Body("an attach has after and no reason".to_owned())),
        }
    }
}

impl TryFrom<RawTarget> for Cancel {
    type Error = MalformedRequest;

    fn try_from(mut raw: RawTarget) -> Result<Self, MalformedRequest> {
        if raw.after.is_some() {
            return Err(MalformedRequest::Body("a cancel has no after".to_owned()));
        }
        if raw.reason.as_ref().is_some_and(|reason| reason.len() > limit::CLAIM_BYTES_MAX) {
            return Err(MalformedRequest::TooLong("reason"));
        }
        Ok(Self { target: raw.target()?, reason: raw.reason })
    }
}

/// What an inspect names.
pub(super) fn inspected(mut raw: RawTarget) -> Result<Target, MalformedRequest> {
    if raw.after.is_some() || raw.reason.is_some() {
        return Err(MalformedRequest::Body("an inspect names the run only".to_owned()));
    }
    raw.target()
}
