//! A run as a file that anybody can verify: one canonical JSON line for each thing that was signed.
//!
//! The lines come in one order, so that there is one file for one run: header; the caller's roots;
//! the executor's roots; statuses; request; accept; frames, each batch followed by its seal; receipt.
//! A frame is a JSON string that holds its exact bytes. The reader judges form and order. Who signed
//! what, and whether the chain holds, is for whoever verifies; a file that ends early is well formed.

use serde::{Deserialize, Serialize};

use super::document::FormVersion;
use super::envelope::Envelope;
use super::json::{InvalidJson, canonical};
use super::kind::Kind;
use super::limit;
use super::name::{GatewayId, RunId};
use super::sse::FrameLine;

/// One line of a transcript.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// What the file is about. Nothing is trusted because it stands here.
    Header(Header),
    /// A root of one side, from its first on.
    Root {
        /// Whose.
        of: Side,
        /// The root.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(schema_with = "crate::wire::schema::envelope::<crate::wire::document::Root>")
        )]
        value: Envelope,
    },
    /// A status of one side, in the order in which they arrived.
    Status {
        /// Whose.
        of: Side,
        /// The status.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(
                schema_with = "crate::wire::schema::envelope::<crate::wire::document::Status>"
            )
        )]
        value: Envelope,
    },
    /// What the caller asked.
    Request {
        /// The request.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(
                schema_with = "crate::wire::schema::envelope::<crate::wire::request::Request>"
            )
        )]
        value: Envelope,
    },
    /// The executor's first word.
    Accept {
        /// The accept.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(schema_with = "crate::wire::schema::envelope::<crate::wire::stream::Accept>")
        )]
        value: Envelope,
    },
    /// One frame.
    Frame {
        /// Its exact bytes.
        value: FrameLine,
    },
    /// The executor's word for all frames so far.
    Seal {
        /// The seal.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(schema_with = "crate::wire::schema::envelope::<crate::wire::stream::Seal>")
        )]
        value: Envelope,
    },
    /// The caller's own word about what it received.
    Receipt {
        /// The receipt.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(
                schema_with = "crate::wire::schema::envelope::<crate::wire::request::Receipt>"
            )
        )]
        value: Envelope,
    },
}

/// What a transcript is about.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[cfg_attr(any(test, feature = "schemas"), schemars(inline))]
pub struct Header {
    /// The gateway that asked.
    pub caller: GatewayId,
    /// The gateway that ran.
    pub executor: GatewayId,
    /// The run, as the executor names it; absent where it was never told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The form's version.
    pub v: FormVersion,
}

/// A side of a run.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The gateway that asked.
    Caller,
    /// The gateway that ran.
    Executor,
}

/// What is wrong with a transcript.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}")]
pub struct TranscriptError {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with it.
    #[source]
    pub fault: LineFault,
}

/// What is wrong with a line of a transcript.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LineFault {
    /// Longer than any line.
    #[error("a line has at most {max} bytes")]
    TooLong {
        /// The most allowed.
        max: usize,
    },
    /// Not a line in its one spelling.
    #[error("not a canonical line of a transcript")]
    NotCanonical(#[source] InvalidJson),
    /// An envelope of another kind than the line's type.
    #[error("expected a {expected}, got a {found}")]
    AnotherKind {
        /// The kind expected.
        expected: Kind,
        /// The kind found.
        found: Kind,
    },
    /// A line that comes too late, too early or once too often.
    #[error("a line out of order")]
    OutOfOrder,
    /// The file does not begin with a header.
    #[error("no header")]
    NoHeader,
    /// The last line has no line feed.
    #[error("the last line has no end")]
    NoLineEnd,
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
        if bytes.len() > limit::TRANSCRIPT_LINE_BYTES_MAX {
            return Err(LineFault::TooLong { max: limit::TRANSCRIPT_LINE_BYTES_MAX });
        }
        bytes.push(b'\n');
        Ok(bytes)
    }

    fn parse(bytes: &[u8]) -> Result<Self, LineFault> {
        if bytes.len() > limit::TRANSCRIPT_LINE_BYTES_MAX {
            return Err(LineFault::TooLong { max: limit::TRANSCRIPT_LINE_BYTES_MAX });
        }
        let line: Self = canonical::from_slice(bytes).map_err(LineFault::NotCanonical)?;
        line.check_kind()?;
        Ok(line)
    }

    fn check_kind(&self) -> Result<(), LineFault> {
        let (expected, envelope) = match self {
            Self::Header(_) | Self::Frame { .. } => return Ok(()),
            Self::Root { value, .. } => (Kind::Root, value),
            Self::Status { value, .. } => (Kind::Status, value),
            Self::Request { value } => (Kind::Request, value),
            Self::Accept { value } => (Kind::Accept, value),
            Self::Seal { value } => (Kind::Seal, value),
            Self::Receipt { value } => (Kind::Receipt, value),
        };
        let found = envelope.kind();
        if found == expected { Ok(()) } else { Err(LineFault::AnotherKind { expected, found }) }
    }

    /// Where the line stands in the file, and whether others of its place may follow.
    const fn place(&self) -> (u8, bool) {
        match self {
            Self::Header(_) => (0, false),
            Self::Root { of: Side::Caller, .. } => (1, true),
            Self::Root { of: Side::Executor, .. } => (2, true),
            Self::Status { of: Side::Caller, .. } => (3, true),
            Self::Status { of: Side::Executor, .. } => (4, true),
            Self::Request { .. } => (5, false),
            Self::Accept { .. } => (6, false),
            Self::Frame { .. } | Self::Seal { .. } => (7, true),
            Self::Receipt { .. } => (8, false),
        }
    }
}

/// Reads a transcript line by line.
#[derive(Debug, Default)]
pub struct TranscriptReader {
    lines: u64,
    place: u8,
}

impl TranscriptReader {
    /// A reader at the beginning of a file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next line, with the line feed that ends it.
    ///
    /// # Errors
    ///
    /// Says which line is wrong, and how.
    pub fn line(&mut self, bytes: &[u8]) -> Result<Line, TranscriptError> {
        let first = self.lines == 0;
        self.lines = self.lines.saturating_add(1);
        self.read(bytes, first).map_err(|fault| TranscriptError { line: self.lines, fault })
    }

    /// Reads a whole file.
    ///
    /// # Errors
    ///
    /// As [`TranscriptReader::line`].
    pub fn read_all(bytes: &[u8]) -> Result<Vec<Line>, TranscriptError> {
        if bytes.is_empty() {
            return Err(TranscriptError { line: 1, fault: LineFault::NoHeader });
        }
        let mut reader = Self::new();
        bytes.split_inclusive(|&byte| byte == b'\n').map(|line| reader.line(line)).collect()
    }

    fn read(&mut self, bytes: &[u8], first: bool) -> Result<Line, LineFault> {
        let bytes = bytes.strip_suffix(b"\n").ok_or(LineFault::NoLineEnd)?;
        let line = Line::parse(bytes)?;
        let (place, repeats) = line.place();
        if first {
            return if place == 0 { Ok(line) } else { Err(LineFault::NoHeader) };
        }
        if place < self.place || (place == self.place && !repeats) {
            return Err(LineFault::OutOfOrder);
        }
        self.place = place;
        Ok(line)
    }
}

#[cfg(test)]
mod tests;
