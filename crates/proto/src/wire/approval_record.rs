//! How an approval came about, as a file: one canonical JSON line for each thing.
//!
//! The lines come in one order: header; the relying gateway's roots, statuses and federation documents; the
//! subject's bytes; then, for each gateway that was asked, its roots and statuses, the question, and the
//! decisions of its operators in the order in which they were taken; then the verdict. The reader judges form and
//! order. Who signed what, and whether it counts, is for whoever verifies.

use serde::{Deserialize, Serialize};

use super::approval::Decision;
use super::document::FormVersion;
use super::envelope::Envelope;
use super::json::canonical;
use super::kind::Kind;
use super::limit;
use super::name::{ApprovalId, GatewayId, Timestamp};
use super::transcript::LineFault;

/// One line of an approval's record.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// What the file is about. Nothing is trusted because it stands here.
    Approval(Header),
    /// A root, from the gateway's first on. Whose it is, its place says.
    Root {
        /// The root.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(schema_with = "crate::wire::schema::envelope::<crate::wire::document::Root>")
        )]
        value: Envelope,
    },
    /// A status, by its number.
    Status {
        /// The status.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(
                schema_with = "crate::wire::schema::envelope::<crate::wire::document::Status>"
            )
        )]
        value: Envelope,
    },
    /// A federation document of the relying gateway, by its version.
    Federation {
        /// The document.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(
                schema_with = "crate::wire::schema::envelope::<crate::wire::document::Federation>"
            )
        )]
        value: Envelope,
    },
    /// The bytes that were approved.
    Subject {
        /// The text.
        value: String,
    },
    /// Begins what is about one gateway that was asked.
    Asked {
        /// The gateway.
        gateway: GatewayId,
    },
    /// The question to that gateway.
    Request {
        /// The approval request.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(
                schema_with = "crate::wire::schema::envelope::<crate::wire::approval::ApprovalRequest>"
            )
        )]
        value: Envelope,
    },
    /// A decision of an operator of that gateway.
    Decision {
        /// When the relying gateway took it.
        at: Timestamp,
        /// The decision.
        value: Box<Decision>,
    },
    /// What the decisions come to.
    Verdict {
        /// The word.
        value: Standing,
    },
}

/// What an approval's record is about.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[cfg_attr(any(test, feature = "schemas"), schemars(inline))]
pub struct Header {
    /// The question.
    pub id: ApprovalId,
    /// The gateway that needed the answer.
    pub relying: GatewayId,
    /// The form's version.
    pub v: FormVersion,
}

/// What the decisions of a record come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// As many approved as were needed.
    Approved,
    /// Somebody denied before that.
    Denied,
    /// Neither.
    Undecided,
}

impl Standing {
    /// The word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Undecided => "undecided",
        }
    }
}

impl Line {
    /// The line's bytes, with the line feed that ends it.
    ///
    /// # Errors
    ///
    /// Refuses a line that the reader would refuse for its form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LineFault> {
        self.check_kind()?;
        let mut bytes = canonical::to_vec(self).map_err(LineFault::NotCanonical)?;
        check_length(&bytes)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    fn parse(bytes: &[u8]) -> Result<Self, LineFault> {
        check_length(bytes)?;
        let line: Self = canonical::from_slice(bytes).map_err(LineFault::NotCanonical)?;
        line.check_kind()?;
        Ok(line)
    }

    fn check_kind(&self) -> Result<(), LineFault> {
        let (expected, envelope) = match self {
            Self::Root { value } => (Kind::Root, value),
            Self::Status { value } => (Kind::Status, value),
            Self::Federation { value } => (Kind::Federation, value),
            Self::Request { value } => (Kind::ApprovalRequest, value),
            Self::Approval(_)
            | Self::Subject { .. }
            | Self::Asked { .. }
            | Self::Decision { .. }
            | Self::Verdict { .. } => return Ok(()),
        };
        let found = envelope.kind();
        if found == expected { Ok(()) } else { Err(LineFault::AnotherKind { expected, found }) }
    }
}

fn check_length(bytes: &[u8]) -> Result<(), LineFault> {
    let max = limit::APPROVAL_LINE_BYTES_MAX;
    if bytes.len() > max { Err(LineFault::TooLong { max }) } else { Ok(()) }
}

/// Where the reader stands: after which line.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Place {
    #[default]
    Start,
    Header,
    RelyingRoot,
    RelyingStatus,
    Federation,
    Subject,
    Asked,
    Root,
    Status,
    Request,
    Decision,
    Verdict,
}

impl Place {
    /// Where a line leads to; `None` where it may not stand.
    const fn after(self, line: &Line) -> Option<Self> {
        use Place::{
            Asked, Decision, Federation, Header, RelyingRoot, RelyingStatus, Request, Root, Start,
            Status, Subject, Verdict,
        };
        Some(match (self, line) {
            (Start, Line::Approval(_)) => Header,
            (Header | RelyingRoot, Line::Root { .. }) => RelyingRoot,
            (RelyingRoot | RelyingStatus, Line::Status { .. }) => RelyingStatus,
            (RelyingRoot | RelyingStatus | Federation, Line::Federation { .. }) => Federation,
            (Federation, Line::Subject { .. }) => Subject,
            (Subject | Request | Decision, Line::Asked { .. }) => Asked,
            (Asked | Root, Line::Root { .. }) => Root,
            (Root | Status, Line::Status { .. }) => Status,
            (Root | Status, Line::Request { .. }) => Request,
            (Request | Decision, Line::Decision { .. }) => Decision,
            (Request | Decision, Line::Verdict { .. }) => Verdict,
            _ => return None,
        })
    }
}

/// Reads an approval's record line by line.
#[derive(Debug, Default)]
pub struct ApprovalReader(Place);

impl ApprovalReader {
    /// A reader at the beginning of a file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next line, with the line feed that ends it.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn line(&mut self, bytes: &[u8]) -> Result<Line, LineFault> {
        let bytes = bytes.strip_suffix(b"\n").ok_or(LineFault::NoLineEnd)?;
        let line = Line::parse(bytes)?;
        self.0 = match self.0.after(&line) {
            Some(place) => place,
            None if self.0 == Place::Start => return Err(LineFault::NoHeader),
            None => return Err(LineFault::OutOfOrder),
        };
        Ok(line)
    }

    /// Whether the last line was there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0 == Place::Verdict
    }
}
