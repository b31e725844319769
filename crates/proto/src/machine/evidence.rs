//! Evidence that a gateway contradicted itself: found by who asked it, judged by anybody, offline.
//!
//! Two statements are evidence only when the gateway's own keys signed both and no honest run of the
//! protocol signs both. So nothing here trusts bytes that no signature covers, and what was found is
//! judged by the public rules before it is called evidence: a caller holds nothing that a stranger
//! would turn down.

mod find;
mod verifier;

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

pub use self::find::Kept;
use super::verdict::{self, Judgement, Noted};
use crate::wire::digest::Digest;
use crate::wire::document::{FormVersion, Status, gateway_id};
use crate::wire::envelope::Envelope;
pub use crate::wire::evidence::Contradiction;
use crate::wire::evidence::{Header, Line};
use crate::wire::json::canonical;
use crate::wire::name::{GatewayId, IdempotencyKey, KeyId, RunId, TenantPair, Timestamp};
use crate::wire::transcript::LineFault;

/// The statements that contradict each other, and what is needed to see that they do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Proof {
    /// Two seals under one accept.
    Seals {
        /// The accept.
        accept: Envelope,
        /// The seal with the smaller number.
        first: Envelope,
        /// The head at that number in the chain of the other seal.
        head: Digest,
        /// The leaves of that chain after that number.
        leaves: Vec<Digest>,
        /// The other seal.
        second: Envelope,
    },
    /// Two accepts for one start.
    Accepts {
        /// The exact bytes of the start's body.
        body: String,
        /// The accept that came first.
        first: Envelope,
        /// The other one.
        second: Envelope,
    },
    /// Two statuses with one number.
    Statuses {
        /// The status that came first.
        first: Envelope,
        /// The other one.
        second: Envelope,
    },
}

impl Proof {
    /// What the statements contradict each other about.
    #[must_use]
    pub const fn kind(&self) -> Contradiction {
        match self {
            Self::Seals { .. } => Contradiction::Seals,
            Self::Accepts { .. } => Contradiction::Accepts,
            Self::Statuses { .. } => Contradiction::Statuses,
        }
    }

    /// The keys that claim to have signed the statements.
    fn signers(&self) -> BTreeSet<KeyId> {
        let statements = match self {
            Self::Seals { accept, first, second, .. } => vec![accept, first, second],
            Self::Accepts { first, second, .. } | Self::Statuses { first, second } => {
                vec![first, second]
            }
        };
        let signatures = statements.into_iter().flat_map(Envelope::signatures);
        signatures.map(|one| one.keyid().clone()).collect()
    }

    fn lines(self) -> Vec<Line> {
        match self {
            Self::Seals { accept, first, head, leaves, second } => {
                let mut lines = vec![
                    Line::Accept { value: accept },
                    Line::Seal { value: first },
                    Line::Head { value: head },
                ];
                lines.extend(leaves.into_iter().map(|value| Line::Leaf { value }));
                lines.push(Line::Seal { value: second });
                lines
            }
            Self::Accepts { body, first, second } => vec![
                Line::Body { value: body },
                Line::Accept { value: first },
                Line::Accept { value: second },
            ],
            Self::Statuses { first, second } => {
                vec![Line::Said { value: first }, Line::Said { value: second }]
            }
        }
    }
}

/// Why statements are no evidence.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotEvidence {
    /// No root of the gateway.
    #[error("no root of the gateway is there")]
    NoRoots,
    /// A line that a reader would refuse for its form.
    #[error("a line cannot be written")]
    BadLine(#[source] LineFault),
    /// A stranger would not be convinced.
    #[error("it would not convince a stranger: {0}")]
    NotProven(String),
}

/// Writes evidence, and judges it as a stranger would before it is called so.
///
/// `roots` are the gateway's from version 1, `statuses` those that tell of its keys, by `seq`.
///
/// # Errors
///
/// [`NotEvidence`]; honest material ends here.
//= STR-47
pub fn evidence(
    roots: &[Envelope],
    statuses: &[Envelope],
    proof: Proof,
) -> Result<String, NotEvidence> {
    let gateway = gateway_id(&roots.first().ok_or(NotEvidence::NoRoots)?.digest());
    let header = Header { gateway: gateway.clone(), kind: proof.kind(), v: FormVersion };
    let mut lines = vec![Line::Evidence(header)];
    lines.extend(roots.iter().cloned().map(|value| Line::Root { value }));
    lines.extend(statuses.iter().cloned().map(|value| Line::Status { value }));
    lines.extend(proof.lines());
    let mut bytes = Vec::new();
    for line in lines {
        bytes.extend(line.to_bytes().map_err(NotEvidence::BadLine)?);
    }
    match verify(&bytes, &gateway).outcome {
        Outcome::Proven => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        other => Err(NotEvidence::NotProven(other.to_string())),
    }
}

/// The same evidence with what is known of the gateway's keys by now: `roots` are its chain, and of
/// `statuses`, by `seq`, those are added that first revoke a key which signed.
///
/// # Errors
///
/// [`NotEvidence`] when it is not evidence with them.
pub fn evidence_with(
    file: &str,
    roots: &[Envelope],
    statuses: &[Envelope],
) -> Result<String, NotEvidence> {
    let proof = verifier::proof_of(file.as_bytes()).map_err(NotEvidence::BadLine)?;
    let proof = proof.ok_or_else(|| NotEvidence::NotProven("it is not complete".to_owned()))?;
    let mut signers = proof.signers();
    let mut telling = Vec::new();
    for status in statuses {
        let Ok(said) = canonical::from_slice::<Status>(status.payload()) else { continue };
        let before = signers.len();
        signers.retain(|kid| said.revoked.iter().all(|one| one.kid != *kid));
        if signers.len() < before {
            telling.push(status.clone());
        }
    }
    // What the file has is older than what revokes its keys, or the same.
    if telling.is_empty() {
        telling = verifier::statuses_of(file.as_bytes());
    }
    evidence(roots, &telling, proof)
}

/// What a verifier found of evidence.
pub type Verdict = verdict::Verdict<Outcome, Summary>;

/// Whether evidence convinces.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Outcome {
    /// The pinned gateway's keys signed two statements that contradict each other.
    Proven,
    /// A line does not hold, or what holds is no contradiction.
    NotProven {
        /// The first line that does not hold, from 1; the last one when something is missing.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The chain of roots holds, and is another gateway's.
    NotThePinnedSigner {
        /// Whose it is.
        found: GatewayId,
    },
    /// Not the form of evidence.
    Unreadable {
        /// The first such line, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
}

/// A key that signed one of the contradicting statements.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Signer {
    /// The key.
    pub kid: KeyId,
    /// The newest root of the file does not give it this role any more.
    pub retired: bool,
    /// When the first status of the file that revokes it was issued.
    pub revoked: Option<Timestamp>,
    /// Since when it is not good, in the gateway's own words.
    pub revoked_since: Option<Timestamp>,
}

/// What the lines that hold say about the contradiction.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Summary {
    /// The gateway.
    pub gateway: Option<GatewayId>,
    /// What it contradicted itself about.
    pub kind: Option<Contradiction>,
    /// To whom it spoke, where the statements say so.
    pub caller: Option<GatewayId>,
    /// The tenant pair.
    pub tenant: Option<TenantPair>,
    /// The key of the start.
    pub key: Option<IdempotencyKey>,
    /// The run; the first of two.
    pub run: Option<RunId>,
    /// The first number at which both sealed chains are known to differ, or the statuses' number.
    pub seq: Option<u64>,
    /// When the statements say that they were signed; accepts do not say it.
    pub signed: Vec<Timestamp>,
    /// Who signed them.
    pub signers: Vec<Signer>,
    /// What a reader should know although it breaks nothing.
    pub warnings: Vec<String>,
}

/// Judges evidence by its bytes and the gateway that must have signed it.
//= STR-48
#[must_use]
pub fn verify(bytes: &[u8], pin: &GatewayId) -> Verdict {
    verifier::judge(bytes, pin)
}

impl Judgement for Outcome {
    fn exit_code(&self) -> u8 {
        //= STR-48
        match self {
            Self::Proven => 0,
            Self::NotProven { .. } => 2,
            Self::NotThePinnedSigner { .. } => 3,
            Self::Unreadable { .. } => 4,
        }
    }
}

impl Noted for Summary {
    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proven => f.write_str("proven: the gateway contradicted itself"),
            Self::NotProven { line, what } => write!(f, "not proven: line {line}: {what}"),
            Self::NotThePinnedSigner { found } => write!(f, "signed by {found}, not as pinned"),
            Self::Unreadable { line, what } => write!(f, "unreadable: line {line}: {what}"),
        }
    }
}
