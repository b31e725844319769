//! A bridge that lost its history: how it finds out, that it stops, and how a new life begins.
//!
//! Three things tell: the store's witness at the start, a peer that shows what we signed and do not
//! have, and `landbridge restore`. Whichever it is, the finding is durable and the bridge stops:
//! nothing is started, appended, sealed or asked for until a person begins the next incarnation.
//! Guessing on would be worse: what was lost may be a run that has already been executed.

mod abandoned;
mod recover;

use landbridge_proto::machine::contract::{AuditEvent, DocumentKind, Write};
use landbridge_proto::machine::history::Shown;
use landbridge_proto::wire::name::{GatewayId, RunId, Timestamp};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::stream::Seen;
use landbridge_store::{Behind, Fault, Handle};
use serde::{Deserialize, Serialize};

pub use self::abandoned::stop_abandoned;
pub use self::recover::{RecoverError, Recovered, mark_restored, recover};

/// That this bridge was rolled back, and what is known of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RolledBack {
    /// When it was found out.
    pub at: Timestamp,
    /// What told: `witness`, `restored`, or the kind of what a peer showed.
    pub told_by: String,
    /// The peer that showed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<GatewayId>,
    /// The newest incarnation and status that were shown; zero when none was.
    pub seen: Seen,
    /// What was lost reaches at least up to here.
    pub until: Timestamp,
}

impl RolledBack {
    /// The store is behind its witness.
    #[must_use]
    pub fn witnessed(behind: &Behind, now: Timestamp) -> Self {
        let told_by = match behind.witnessed {
            Some(_) => "witness",
            None => "witness of another history",
        };
        Self {
            at: now,
            told_by: told_by.to_owned(),
            peer: None,
            seen: Seen::default(),
            until: Timestamp(0),
        }
    }

    /// A backup was put in place.
    #[must_use]
    pub fn restored(now: Timestamp) -> Self {
        Self {
            at: now,
            told_by: "restored".to_owned(),
            peer: None,
            seen: Seen::default(),
            until: Timestamp(0),
        }
    }

    /// A peer showed what we signed.
    #[must_use]
    pub fn shown(peer: &GatewayId, shown: &Shown, now: Timestamp) -> Self {
        Self {
            at: now,
            told_by: shown.what.as_str().to_owned(),
            peer: Some(peer.clone()),
            seen: shown.seen,
            until: shown.at,
        }
    }

    /// What clients and operators are told.
    #[must_use]
    pub fn problem() -> Problem {
        Problem::new(Code::RolledBack).with_detail(ADVICE).with_retry_after_ms(RETRY_AFTER_MS)
    }

    /// The writes that make the finding durable.
    #[must_use]
    pub fn writes(&self, own: &GatewayId) -> Vec<Write> {
        let value = serde_json::to_string(self).unwrap_or_default();
        let peer = self.peer.as_ref().map_or("", GatewayId::as_str);
        let detail = [("told_by", self.told_by.as_str()), ("peer", peer)];
        let detail = detail.map(|(name, value)| (name.to_owned(), value.to_owned()));
        vec![
            Write::PutMeta { name: ROLLED_BACK.to_owned(), value },
            Write::Audit(AuditEvent {
                at: self.at,
                actor: "bridge".to_owned(),
                deed: "rollback_noticed".to_owned(),
                subject: own.to_string(),
                detail: detail.into(),
            }),
        ]
    }
}

/// The finding that is stored, if there is one.
///
/// # Errors
///
/// Returns the store's fault.
pub fn stored(store: &Handle) -> Result<Option<RolledBack>, Fault> {
    Ok(parse(store.reads().meta(ROLLED_BACK)?.as_deref()))
}

/// A finding that cannot be read is one all the same.
fn parse(text: Option<&str>) -> Option<RolledBack> {
    let text = text.filter(|text| !text.is_empty())?;
    Some(serde_json::from_str(text).unwrap_or_else(|_| RolledBack {
        at: Timestamp(0),
        told_by: "unreadable".to_owned(),
        peer: None,
        seen: Seen::default(),
        until: Timestamp(0),
    }))
}

/// The numbers of all statuses that this bridge remembers to have issued.
///
/// # Errors
///
/// Returns the store's fault.
pub fn issued(store: &Handle, own: &GatewayId) -> Result<Vec<u64>, Fault> {
    let rows = store.reads().documents(own, DocumentKind::Status)?;
    Ok(rows.into_iter().map(|row| row.version).collect())
}

fn run_list(text: &str) -> Vec<RunId> {
    text.split_whitespace().filter_map(|name| RunId::new(name).ok()).collect()
}

const ROLLED_BACK: &str = "rolled_back";
/// Runs of earlier incarnations that the gateway may still be at.
const ABANDONED: &str = "abandoned_runs";
/// How soon a peer may ask a bridge that waits for a person, in milliseconds.
const RETRY_AFTER_MS: u64 = 2_000;
/// What to do about it.
pub const ADVICE: &str = "this bridge's state is older than what it has done: it was restored from a \
    backup. It does nothing until a person decides; stop it, then run `landbridge recover`";
