//! What is remembered for good: the events of the audit log, and their rows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::wire::digest::Digest;
use crate::wire::name::Timestamp;

/// One thing worth remembering: who did what to what, and how it went. No payload, no secret.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// When.
    pub at: Timestamp,
    /// Who: a gateway id, a token id, `admin` or `bridge`.
    pub actor: String,
    /// The deed, such as `run_accepted` or `request_refused`.
    pub deed: String,
    /// What it was done to: a run, a peer, a document.
    pub subject: String,
    /// Codes and counts.
    pub detail: BTreeMap<String, String>,
}

/// One row of the audit log, as it is stored and chained.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuditRow {
    /// Its number, from 1.
    pub n: u64,
    /// Canonical JSON of the event, the bytes that are hashed.
    pub event: String,
    /// The chain's head after this row.
    pub head: Digest,
}
