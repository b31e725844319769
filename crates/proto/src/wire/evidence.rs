//! Evidence that a gateway contradicted itself, as a file: one canonical JSON line for each thing.
//!
//! The form is a transcript's, cut down to what a stranger needs: whoever hands evidence on should not
//! have to hand over the frames too, so a chain stands here as its leaves. The reader judges form and
//! order, of which there is one for each kind of contradiction. Who signed what is for whoever verifies.

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::document::FormVersion;
use super::envelope::Envelope;
use super::json::canonical;
use super::kind::Kind;
use super::limit;
use super::name::GatewayId;
use super::transcript::LineFault;

/// What two statements contradict each other about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Contradiction {
    /// Two seals under one accept whose chains differ.
    Seals,
    /// Two accepts for one start.
    Accepts,
    /// Two statuses with one number.
    Statuses,
}

impl Contradiction {
    /// The word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seals => "seals",
            Self::Accepts => "accepts",
            Self::Statuses => "statuses",
        }
    }
}

/// One line of evidence.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// What the file is about. Nothing is trusted because it stands here.
    Evidence(Header),
    /// A root of the gateway, from its first on.
    Root {
        /// The root.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(schema_with = "crate::wire::schema::envelope::<crate::wire::document::Root>")
        )]
        value: Envelope,
    },
    /// A status of the gateway: what it says of its keys. Not one of the contradicting statements.
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
    /// The exact bytes of the start's body, of which both accepts speak.
    Body {
        /// The JSON text.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(schema_with = "crate::wire::schema::start_text")
        )]
        value: String,
    },
    /// An accept.
    Accept {
        /// The accept.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(schema_with = "crate::wire::schema::envelope::<crate::wire::stream::Accept>")
        )]
        value: Envelope,
    },
    /// A seal.
    Seal {
        /// The seal.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(schema_with = "crate::wire::schema::envelope::<crate::wire::stream::Seal>")
        )]
        value: Envelope,
    },
    /// The head of the second seal's chain at the number of the first seal.
    Head {
        /// The head.
        value: Digest,
    },
    /// The next leaf of the second seal's chain.
    Leaf {
        /// The leaf.
        value: Digest,
    },
    /// One of two statuses with one number.
    Said {
        /// The status.
        #[cfg_attr(
            any(test, feature = "schemas"),
            schemars(
                schema_with = "crate::wire::schema::envelope::<crate::wire::document::Status>"
            )
        )]
        value: Envelope,
    },
}

/// What evidence is about.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[cfg_attr(any(test, feature = "schemas"), schemars(inline))]
pub struct Header {
    /// The gateway that contradicted itself.
    pub gateway: GatewayId,
    /// About what.
    pub kind: Contradiction,
    /// The form's version.
    pub v: FormVersion,
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
            Self::Evidence(_) | Self::Body { .. } | Self::Head { .. } | Self::Leaf { .. } => {
                return Ok(());
            }
            Self::Root { value } => (Kind::Root, value),
            Self::Status { value } | Self::Said { value } => (Kind::Status, value),
            Self::Accept { value } => (Kind::Accept, value),
            Self::Seal { value } => (Kind::Seal, value),
        };
        let found = envelope.kind();
        if found == expected { Ok(()) } else { Err(LineFault::AnotherKind { expected, found }) }
    }

    /// Whether this line may come at a place of a file of this kind.
    const fn stands_at(&self, kind: Contradiction, place: Place) -> bool {
        use Contradiction::{Accepts, Seals, Statuses};
        matches!(
            (self, kind, place),
            (Self::Root { .. }, _, Place::Roots)
                | (Self::Status { .. }, _, Place::Statuses)
                | (Self::Body { .. }, Accepts, Place::Subject)
                | (Self::Accept { .. }, Seals, Place::Subject)
                | (Self::Accept { .. }, Accepts, Place::First | Place::Second)
                | (Self::Seal { .. }, Seals, Place::First | Place::Second)
                | (Self::Head { .. }, Seals, Place::Head)
                | (Self::Leaf { .. }, Seals, Place::Leaves)
                | (Self::Said { .. }, Statuses, Place::First | Place::Second)
        )
    }
}

fn check_length(bytes: &[u8]) -> Result<(), LineFault> {
    let max = limit::EVIDENCE_LINE_BYTES_MAX;
    if bytes.len() > max { Err(LineFault::TooLong { max }) } else { Ok(()) }
}

/// Where the reader stands: what the next line may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Roots,
    Statuses,
    Subject,
    First,
    Head,
    Leaves,
    Second,
    End,
}

impl Place {
    /// The next place in a file of this kind.
    const fn next(self, kind: Contradiction) -> Self {
        match (self, kind) {
            (Self::Roots, _) => Self::Statuses,
            (Self::Statuses, Contradiction::Statuses) | (Self::Subject, _) => Self::First,
            (Self::Statuses, _) => Self::Subject,
            (Self::First, Contradiction::Seals) => Self::Head,
            (Self::Head, _) => Self::Leaves,
            (Self::First | Self::Leaves, _) => Self::Second,
            (Self::Second | Self::End, _) => Self::End,
        }
    }

    /// Whether a file may have no line, or more than one, at this place.
    const fn repeats(self) -> bool {
        matches!(self, Self::Roots | Self::Statuses | Self::Leaves)
    }
}

/// Reads evidence line by line.
#[derive(Debug, Default)]
pub struct EvidenceReader(Option<(Contradiction, Place)>);

impl EvidenceReader {
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
        match (self.0, &line) {
            (None, Line::Evidence(header)) => self.0 = Some((header.kind, Place::Roots)),
            (None, _) => return Err(LineFault::NoHeader),
            (Some((kind, place)), _) => {
                let place = at(&line, kind, place).ok_or(LineFault::OutOfOrder)?;
                let next = if place.repeats() { place } else { place.next(kind) };
                self.0 = Some((kind, next));
            }
        }
        Ok(line)
    }

    /// Whether every line was there that a file of its kind must have.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        matches!(self.0, Some((_, Place::End)))
    }
}

/// The first place from `place` on at which the line may stand.
const fn at(line: &Line, kind: Contradiction, mut place: Place) -> Option<Place> {
    loop {
        if line.stands_at(kind, place) {
            return Some(place);
        }
        if !place.repeats() {
            return None;
        }
        place = place.next(kind);
    }
}
