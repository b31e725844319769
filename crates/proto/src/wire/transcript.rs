//! A run as a file that anybody can verify: one line for each thing that was signed or sealed.
//!
//! A line is an object with one member, and what stands in it are the bytes that crossed: an envelope
//! in its one spelling, or a frame as it was hashed. Nothing is wrapped or escaped, so a line is judged
//! by the very bytes that were signed. The reader judges each line's form; which line may follow which,
//! who signed what, and whether the chain holds is for [`crate::machine::transcript`].

use super::envelope::{Envelope, InvalidEnvelope};
use super::kind::Kind;
use super::limit;
use super::sse::{FrameLine, Malformed};

/// One line of a transcript.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Line {
    /// The first line: what the file is, and the version of its form.
    Header,
    /// A root of the executor or of the caller.
    Root(Envelope),
    /// A status of the executor or of the caller.
    Status(Envelope),
    /// What the caller asked.
    Request(Envelope),
    /// The executor's word that it took the run.
    Accept(Envelope),
    /// The exact bytes of one frame.
    Frame(FrameLine),
    /// The executor's word for all frames so far.
    Seal(Envelope),
    /// The caller's own word about what it received.
    Receipt(Envelope),
}

/// Why bytes are not a line of a transcript.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidLine {
    /// Longer than any line may be.
    #[error("a line has at most {max} bytes", max = limit::TRANSCRIPT_LINE_BYTES_MAX)]
    TooLong,
    /// Not an object with one member that this form knows.
    #[error("not a line of a transcript")]
    UnknownLine,
    /// Not an envelope.
    #[error("not an envelope")]
    BadEnvelope(#[source] InvalidEnvelope),
    /// An envelope of another kind than the line's.
    #[error("expected a {expected}, got a {found}")]
    AnotherKind {
        /// The kind expected.
        expected: Kind,
        /// The kind found.
        found: Kind,
    },
    /// Not the bytes of a frame.
    #[error("not a frame")]
    BadFrame(#[source] Malformed),
}

const HEADER: &[u8] = b"{\"transcript\":1}";
const FRAME: &[u8] = b"{\"frame\":";
type Wrap = fn(Envelope) -> Line;
const ENVELOPES: [(&[u8], Kind, Wrap); 6] = [
    (b"{\"root\":", Kind::Root, Line::Root),
    (b"{\"status\":", Kind::Status, Line::Status),
    (b"{\"request\":", Kind::Request, Line::Request),
    (b"{\"accept\":", Kind::Accept, Line::Accept),
    (b"{\"seal\":", Kind::Seal, Line::Seal),
    (b"{\"receipt\":", Kind::Receipt, Line::Receipt),
];

impl Line {
    /// The line of an envelope; `None` for a kind that no transcript holds.
    #[must_use]
    pub fn of(envelope: Envelope) -> Option<Self> {
        let kind = envelope.kind();
        let (_, _, wrap) = ENVELOPES.into_iter().find(|(_, of, _)| *of == kind)?;
        Some(wrap(envelope))
    }

    /// Reads a line, without the line feed that ends it.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with its form.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidLine> {
        if bytes.len() > limit::TRANSCRIPT_LINE_BYTES_MAX {
            return Err(InvalidLine::TooLong);
        }
        if bytes == HEADER {
            return Ok(Self::Header);
        }
        let inside = |prefix: &[u8]| bytes.strip_prefix(prefix)?.strip_suffix(b"}");
        if let Some(frame) = inside(FRAME) {
            return FrameLine::new(frame).map(Self::Frame).map_err(InvalidLine::BadFrame);
        }
        for (prefix, expected, wrap) in ENVELOPES {
            if let Some(envelope) = inside(prefix) {
                let envelope = Envelope::parse(envelope).map_err(InvalidLine::BadEnvelope)?;
                let found = envelope.kind();
                if found != expected {
                    return Err(InvalidLine::AnotherKind { expected, found });
                }
                return Ok(wrap(envelope));
            }
        }
        Err(InvalidLine::UnknownLine)
    }

    /// The line, without the line feed that ends it.
    #[must_use]
    pub fn text(&self) -> String {
        let (member, value) = match self {
            Self::Header => return String::from_utf8_lossy(HEADER).into_owned(),
            Self::Frame(frame) => ("frame", frame.as_str().to_owned()),
            Self::Root(envelope) => ("root", text(envelope)),
            Self::Status(envelope) => ("status", text(envelope)),
            Self::Request(envelope) => ("request", text(envelope)),
            Self::Accept(envelope) => ("accept", text(envelope)),
            Self::Seal(envelope) => ("seal", text(envelope)),
            Self::Receipt(envelope) => ("receipt", text(envelope)),
        };
        format!("{{\"{member}\":{value}}}")
    }
}

fn text(envelope: &Envelope) -> String {
    // An envelope's spelling is ASCII.
    String::from_utf8_lossy(&envelope.to_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_line_reads_back_from_its_one_spelling() {
        for text in [
            r#"{"transcript":1}"#,
            r#"{"frame":{"seq":1,"event":"output","payload":{"text":"}"}}}"#,
        ] {
            assert_eq!(Line::parse(text.as_bytes()).unwrap().text(), text);
        }
    }

    #[test]
    fn other_lines_are_refused() {
        for bad in [
            "",
            "{}",
            r#"{"transcript":2}"#,
            r#"{"transcript":1} "#,
            r#"{"header":{}}"#,
            r#"{"frame":}"#,
            "{\"frame\":{\r}}",
            r#"{"root":{}}"#,
            r#"{"frame":{"seq":1}"#,
        ] {
            let read = Line::parse(bad.as_bytes());
            // The inside of a frame is for the frame's own reader to judge; the braces are the line's.
            let kept = read.is_ok_and(|line| line.text() == bad);
            assert!(!kept || bad == r#"{"frame":{"seq":1}"#, "{bad}");
        }
    }
}
