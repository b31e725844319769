//! The transcript of a run: written by its caller, judged by anybody, offline.
//!
//! Judging needs the bytes and the id of the gateway that must have signed them, and nothing else: no
//! clock, no store and no network, so that the answer is the same years later. A file that somebody
//! changed and a file that ends early are different answers, because the second one may be honest.

mod verifier;

use std::fmt;

use serde::Serialize;

use super::contract::ReceivedSeal;
use super::verdict::{self, Judgement, Noted};
use crate::wire::document::{FormVersion, gateway_id};
use crate::wire::envelope::{Envelope, InvalidEnvelope};
use crate::wire::json::canonical;
use crate::wire::kind::Kind;
use crate::wire::name::{GatewayId, RunId, TenantPair, Timestamp};
use crate::wire::sse::{FrameLine, Malformed};
use crate::wire::stream::Accept;
use crate::wire::transcript::{Header, Line, LineFault, Side};

/// What a verifier found of a transcript.
pub type Verdict = verdict::Verdict<Outcome, Summary>;

/// Whether a transcript holds.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Outcome {
    /// Everything holds, up to a final seal.
    Verified,
    /// A line contradicts the lines before it.
    Tampered {
        /// The first such line, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The executor's chain holds, and is another gateway's.
    NotThePinnedSigner {
        /// Whose it is.
        found: GatewayId,
    },
    /// Not the form of a transcript.
    Unreadable {
        /// The first such line, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// All lines hold, and no final seal is among them.
    Unfinished {
        /// The last frame that a seal covers.
        seq: u64,
    },
}

/// What the lines that hold say about the run.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Summary {
    /// The run, as the executor names it.
    pub run: Option<RunId>,
    /// The gateway that asked.
    pub caller: Option<GatewayId>,
    /// The gateway that worked.
    pub executor: Option<GatewayId>,
    /// The tenant pair.
    pub tenant: Option<TenantPair>,
    /// Frames that a seal covers.
    pub frames: u64,
    /// How the run ended: the sealed terminal's word, or what the caller's own receipt says.
    pub outcome: Option<String>,
    /// The time of the last seal.
    pub sealed_at: Option<Timestamp>,
    /// What a reader should know although it breaks nothing.
    pub warnings: Vec<String>,
}

/// Judges a transcript by its bytes and the gateway that must be its executor.
//= STR-35
#[must_use]
pub fn verify(bytes: &[u8], pin: &GatewayId) -> Verdict {
    verifier::judge(bytes, pin)
}

impl Judgement for Outcome {
    fn exit_code(&self) -> u8 {
        //= STR-36
        match self {
            Self::Verified => 0,
            Self::Tampered { .. } => 2,
            Self::NotThePinnedSigner { .. } => 3,
            Self::Unreadable { .. } => 4,
            Self::Unfinished { .. } => 5,
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
            Self::Verified => f.write_str("verified"),
            Self::Tampered { line, what } => write!(f, "tampered: line {line}: {what}"),
            Self::NotThePinnedSigner { found } => write!(f, "signed by {found}, not as pinned"),
            Self::Unreadable { line, what } => write!(f, "unreadable: line {line}: {what}"),
            Self::Unfinished { seq } => write!(f, "unfinished: sealed up to frame {seq}"),
        }
    }
}

/// What a caller's store knows of a run: envelopes as canonical bytes, oldest first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Export {
    /// The executor's roots from version 1.
    pub executor_roots: Vec<String>,
    /// The executor's statuses by `seq`.
    pub executor_statuses: Vec<String>,
    /// The caller's roots from version 1.
    pub caller_roots: Vec<String>,
    /// The caller's statuses by `seq`.
    pub caller_statuses: Vec<String>,
    /// The start that was accepted, or the last one sent.
    pub request: Option<String>,
    /// The accept.
    pub accept: Option<String>,
    /// Exact frame bytes, from frame 1.
    pub frames: Vec<String>,
    /// The seals of the journal, in order. That of the caller's own terminal is its receipt: it becomes
    /// the last line, and the frame, which the executor never sealed, is not exported.
    pub seals: Vec<ReceivedSeal>,
    /// The caller's statement, signed for this export; not needed where the journal has one.
    pub receipt: Option<String>,
}

/// Why a run cannot be exported: the store holds what a caller never stores.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotExportable {
    /// Something stored is not an envelope.
    #[error("a stored {kind} cannot be read")]
    Unreadable {
        /// What it should be.
        kind: Kind,
        /// What is wrong with it.
        #[source]
        fault: InvalidEnvelope,
    },
    /// Something stored is an envelope of another kind.
    #[error("a stored {expected} is a {found}")]
    AnotherKind {
        /// What it should be.
        expected: Kind,
        /// What it is.
        found: Kind,
    },
    /// A stored frame is not a line.
    #[error("stored frame {seq} cannot be read")]
    BadFrame {
        /// The frame.
        seq: u64,
        /// What is wrong with it.
        #[source]
        fault: Malformed,
    },
    /// No root of a side.
    #[error("no root of the {of:?} is stored")]
    NoRoots {
        /// Whose.
        of: Side,
    },
    /// A line that a reader would refuse for its form.
    #[error("a line cannot be written")]
    BadLine(#[source] LineFault),
    /// Frames and seals do not fit together.
    #[error("the seals do not cover the frames up to {seq}")]
    Unsealed {
        /// The frame.
        seq: u64,
    },
}

/// The lines of a transcript, without the line feed that ends each.
///
/// # Errors
///
/// [`NotExportable`] when the store's rows do not fit together.
//= STR-34
pub fn export(run: &Export) -> Result<Vec<String>, NotExportable> {
    let caller = roots(Side::Caller, &run.caller_roots)?;
    let executor = roots(Side::Executor, &run.executor_roots)?;
    let accept = run.accept.as_ref().map(|text| read(Kind::Accept, text)).transpose()?;
    let header = Header {
        caller: gateway_id(&caller[0].digest()),
        executor: gateway_id(&executor[0].digest()),
        run: accept.as_ref().and_then(claimed_run),
        v: FormVersion,
    };
    let mut lines = vec![Line::Header(header)];
    let sides = [(Side::Caller, caller), (Side::Executor, executor)];
    lines.extend(
        sides
            .into_iter()
            .flat_map(|(of, roots)| roots.into_iter().map(move |value| Line::Root { of, value })),
    );
    let sides = [(Side::Caller, &run.caller_statuses), (Side::Executor, &run.executor_statuses)];
    for (of, statuses) in sides {
        for status in statuses {
            lines.push(Line::Status { of, value: read(Kind::Status, status)? });
        }
    }
    if let Some(request) = &run.request {
        lines.push(Line::Request { value: read(Kind::Request, request)? });
    }
    lines.extend(accept.map(|value| Line::Accept { value }));
    let own_end = frames(&mut lines, run)?;
    if let Some(receipt) = own_end.or(run.receipt.as_ref()) {
        lines.push(Line::Receipt { value: read(Kind::Receipt, receipt)? });
    }
    lines.iter().map(text).collect()
}

/// Frames, each batch followed by its seal; gives back the receipt that stands for a seal at the end.
fn frames<'a>(lines: &mut Vec<Line>, run: &'a Export) -> Result<Option<&'a String>, NotExportable> {
    let mut seq = 0;
    for ReceivedSeal { seq: covered, seal, .. } in &run.seals {
        let unsealed = NotExportable::Unsealed { seq: *covered };
        let to = usize::try_from(*covered).unwrap_or(usize::MAX);
        let Some(batch) = run.frames.get(seq..to).filter(|batch| !batch.is_empty()) else {
            return Err(unsealed);
        };
        let value = match read(Kind::Seal, seal) {
            Err(NotExportable::AnotherKind { found: Kind::Receipt, .. }) => {
                return if to == run.frames.len() { Ok(Some(seal)) } else { Err(unsealed) };
            }
            read => read?,
        };
        for frame in batch {
            seq += 1;
            let bad = |fault| NotExportable::BadFrame { seq: seq as u64, fault };
            lines.push(Line::Frame { value: FrameLine::new(frame.as_bytes()).map_err(bad)? });
        }
        lines.push(Line::Seal { value });
    }
    match seq == run.frames.len() {
        true => Ok(None),
        false => Err(NotExportable::Unsealed { seq: seq as u64 + 1 }),
    }
}

fn roots(of: Side, stored: &[String]) -> Result<Vec<Envelope>, NotExportable> {
    let roots = stored.iter().map(|text| read(Kind::Root, text)).collect::<Result<Vec<_>, _>>()?;
    if roots.is_empty() { Err(NotExportable::NoRoots { of }) } else { Ok(roots) }
}

fn read(kind: Kind, stored: &str) -> Result<Envelope, NotExportable> {
    let envelope = Envelope::parse(stored.as_bytes())
        .map_err(|fault| NotExportable::Unreadable { kind, fault })?;
    let found = envelope.kind();
    if found == kind {
        Ok(envelope)
    } else {
        Err(NotExportable::AnotherKind { expected: kind, found })
    }
}

/// The run that an accept names; the caller verified it before it stored it.
fn claimed_run(accept: &Envelope) -> Option<RunId> {
    canonical::from_slice::<Accept>(accept.payload()).ok().map(|accept| accept.run)
}

fn text(line: &Line) -> Result<String, NotExportable> {
    let mut bytes = line.to_bytes().map_err(NotExportable::BadLine)?;
    bytes.pop();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
