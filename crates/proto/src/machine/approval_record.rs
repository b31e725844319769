//! The record of an approval: written by the gateway that relied on it, judged by anybody, offline.
//!
//! The gateway that relied is the one that is pinned: its policy key signed whose decisions count and for
//! what, and from there everything else follows. Every decision is judged again, by the function that judged
//! it when it came, at the time at which it came; what the file says of itself is only compared.

mod verifier;

use std::fmt;

use serde::Serialize;

use super::verdict::{self, Judgement, Noted};
use crate::wire::approval::{Binding, Decision, KeyMethod, Requester, Vote};
use crate::wire::approval_record::{Header, Line, Standing};
use crate::wire::digest::Digest;
use crate::wire::document::{FormVersion, gateway_id};
use crate::wire::envelope::Envelope;
use crate::wire::name::{
    ApprovalId, GatewayId, KeyId, OperatorName, RunId, ScopeName, SubjectKind, Timestamp,
};
use crate::wire::transcript::LineFault;

/// What the relying gateway has of one approval.
#[derive(Clone, Debug)]
pub struct Record {
    /// The question.
    pub id: ApprovalId,
    /// The relying gateway's own roots and statuses.
    pub relying: Told,
    /// Its federation documents under which decisions were taken, by version.
    pub federation: Vec<Envelope>,
    /// The subject's bytes.
    pub subject: String,
    /// The gateways that were asked.
    pub asked: Vec<Asked>,
}

/// What a gateway told of itself.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Its roots from version 1.
    pub roots: Vec<Envelope>,
    /// Its statuses by `seq`.
    pub statuses: Vec<Envelope>,
}

/// One gateway that was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What it told of itself.
    pub told: Told,
    /// The question to it.
    pub request: Envelope,
    /// The decisions of its operators that were taken, in order, each with when.
    pub decisions: Vec<(Timestamp, Decision)>,
}

/// Why there is no record.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotRecorded {
    /// No root of a gateway.
    #[error("no root of a gateway is there")]
    NoRoots,
    /// A line that a reader would refuse for its form.
    #[error("a line cannot be written")]
    BadLine(#[source] LineFault),
    /// A stranger would not be convinced.
    #[error("it would not convince a stranger: {0}")]
    NotProven(String),
}

impl Record {
    /// Writes the record, and judges it as a stranger would.
    ///
    /// # Errors
    ///
    /// [`NotRecorded`] when a stranger would turn it down.
    //= APR-36
    pub fn write(&self) -> Result<String, NotRecorded> {
        let relying = gateway_of(&self.relying)?;
        let mut lines = vec![Line::Approval(Header {
            id: self.id.clone(),
            relying: relying.clone(),
            v: FormVersion,
        })];
        self.relying.put(&mut lines);
        lines.extend(self.federation.iter().cloned().map(|value| Line::Federation { value }));
        lines.push(Line::Subject { value: self.subject.clone() });
        for asked in &self.asked {
            lines.push(Line::Asked { gateway: gateway_of(&asked.told)? });
            asked.told.put(&mut lines);
            lines.push(Line::Request { value: asked.request.clone() });
            lines.extend(
                asked
                    .decisions
                    .iter()
                    .cloned()
                    .map(|(at, decision)| Line::Decision { at, value: Box::new(decision) }),
            );
        }
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend(line.to_bytes().map_err(NotRecorded::BadLine)?);
        }
        let value = verifier::standing(&bytes, &relying).map_err(NotRecorded::NotProven)?;
        bytes.extend(Line::Verdict { value }.to_bytes().map_err(NotRecorded::BadLine)?);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Told {
    fn put(&self, lines: &mut Vec<Line>) {
        lines.extend(self.roots.iter().cloned().map(|value| Line::Root { value }));
        lines.extend(self.statuses.iter().cloned().map(|value| Line::Status { value }));
    }
}

fn gateway_of(told: &Told) -> Result<GatewayId, NotRecorded> {
    let first = told.roots.first().ok_or(NotRecorded::NoRoots)?;
    Ok(gateway_id(&first.digest()))
}

/// What a verifier found of a record.
pub type Report = verdict::Verdict<Outcome, Summary>;

/// Whether a record convinces, and of what.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Outcome {
    /// Everything holds, and as many approved as were needed.
    Approved,
    /// Everything holds, and somebody denied.
    Denied,
    /// Everything holds, and too few approved.
    Undecided,
    /// A line does not hold.
    NotProven {
        /// The first line that does not hold, from 1; the last one when something is missing.
        line: u64,
        /// What is wrong with it.
        what: String,
        /// Of a decision that does not count: why, in one word.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
    },
    /// The chain of roots holds, and is another gateway's.
    NotThePinnedSigner {
        /// Whose it is.
        found: GatewayId,
    },
    /// Not the form of a record.
    Unreadable {
        /// The first such line, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
}

/// What the lines that hold say.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Summary {
    /// The question.
    pub id: Option<ApprovalId>,
    /// The gateway that needed the answer.
    pub relying: Option<GatewayId>,
    /// The run that waited.
    pub run: Option<RunId>,
    /// What was needed, in the relying gateway's words.
    pub scope: Option<ScopeName>,
    /// On whose behalf the thing was to happen.
    pub requester: Option<Requester>,
    /// What was to be approved.
    pub subject: Option<Approved>,
    /// People who approved, of those needed.
    pub have: u32,
    /// People who had to.
    pub need: u32,
    /// Who decided what, in order.
    pub decisions: Vec<Decided>,
    /// What a reader should know although it breaks nothing.
    pub warnings: Vec<String>,
}

/// What was to be approved; the bytes themselves stand in the file.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Approved {
    /// What it is.
    pub kind: SubjectKind,
    /// Whether the bytes were all of it.
    pub binding: Binding,
    /// Their media type.
    pub media: String,
    /// Their digest.
    pub digest: Digest,
    /// How many.
    pub size: u64,
}

/// One person's decision.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Decided {
    /// The person's gateway.
    pub gateway: GatewayId,
    /// The person, as that gateway names them.
    pub sub: OperatorName,
    /// Under which scope of that gateway.
    pub scope: ScopeName,
    /// What they decided.
    pub vote: Vote,
    /// With which kind of key.
    pub method: KeyMethod,
    /// With which key.
    pub kid: KeyId,
    /// When they signed.
    pub signed: Timestamp,
    /// When it was taken, in the relying gateway's word.
    pub at: Timestamp,
    /// Whether it added to the count.
    pub counted: bool,
}

/// Judges a record by its bytes and the gateway that must have relied on it.
//= APR-37
#[must_use]
pub fn verify(text: &[u8], pin: &GatewayId) -> Report {
    verifier::judge(text, pin)
}

impl Judgement for Outcome {
    fn exit_code(&self) -> u8 {
        //= APR-37
        match self {
            Self::Approved => 0,
            Self::NotProven { .. } => 2,
            Self::NotThePinnedSigner { .. } => 3,
            Self::Unreadable { .. } => 4,
            Self::Denied | Self::Undecided => 5,
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
            Self::Approved => f.write_str("approved"),
            Self::Denied => f.write_str("denied"),
            Self::Undecided => f.write_str("undecided: too few approved"),
            Self::NotProven { line, what, .. } => write!(f, "not proven: line {line}: {what}"),
            Self::NotThePinnedSigner { found } => write!(f, "relied on by {found}, not as pinned"),
            Self::Unreadable { line, what } => write!(f, "unreadable: line {line}: {what}"),
        }
    }
}

impl From<Standing> for Outcome {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Approved => Self::Approved,
            Standing::Denied => Self::Denied,
            Standing::Undecided => Self::Undecided,
        }
    }
}
