//! The events of a run's stream, as `text/event-stream` with exactly one spelling.
//!
//! A general SSE parser forgives line ends, comments, repeated and unknown fields: room in which a
//! proxy can change a recorded stream without anybody noticing. This reader accepts only the bytes
//! that the writer writes, incrementally, and holds at most one event.

use std::fmt;
use std::str;

use serde::{Deserialize, Serialize};

use landbridge_planted::planted;

use super::envelope::{Envelope, InvalidEnvelope};
use super::kind::Kind;
use super::limit;

/// One event of a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// The executor's first word: the first event of every stream.
    Accept(Envelope),
    /// Frames and the seal that covers them.
    Frames(Batch),
    /// A seal over what was sealed before, with a newer time.
    Alive(Envelope),
    /// A newer status of the executor.
    Status(Envelope),
    /// The executor's reason for ending the connection; no statement about the run.
    Problem(Envelope),
}

/// Frames of one commit, and the seal that covers them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Batch {
    id: u64,
    frames: Vec<FrameLine>,
    seal: Envelope,
}

/// The exact bytes of one frame: one line of UTF-8 without control characters.
///
/// Whether it is a frame is for the frame's own type to say; it is hashed as it stands here.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FrameLine(Box<str>);

/// Why bytes are not the canonical bytes of a stream.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// An event longer than any may be.
    #[error("an event has at most {max} bytes")]
    EventTooLong {
        /// The most bytes allowed.
        max: usize,
    },
    /// A line that is not where it belongs.
    #[error("expected {expected}")]
    UnexpectedLine {
        /// What belongs there.
        expected: &'static str,
    },
    /// An id that is not the shortest decimal form of a number above zero.
    #[error("an id is a decimal number above 0")]
    BadId,
    /// A batch without frames or with too many.
    #[error("a batch has 1 to {max} frames")]
    BadFrameCount {
        /// The most allowed.
        max: usize,
    },
    /// A batch whose frames have too many bytes.
    #[error("the frames of a batch have at most {max} bytes")]
    BatchTooLong {
        /// The most bytes allowed.
        max: usize,
    },
    /// A frame that is too long.
    #[error("a frame has at most {max} bytes")]
    FrameTooLong {
        /// The most bytes allowed.
        max: usize,
    },
    /// A frame that is empty, not UTF-8 or has a control character.
    #[error("a frame is one line of UTF-8 without control characters")]
    BadFrameBytes,
    /// Not an envelope.
    #[error("not an envelope")]
    BadEnvelope(#[source] InvalidEnvelope),
    /// An envelope of a kind that this event does not carry.
    #[error("expected a {expected}, got a {found}")]
    AnotherKind {
        /// The kind expected.
        expected: Kind,
        /// The kind found.
        found: Kind,
    },
    /// The stream ended inside an event.
    #[error("the stream ended inside an event")]
    Truncated,
}

impl FrameLine {
    /// A frame's bytes.
    ///
    /// # Errors
    ///
    /// Refuses what could not stand on one line of a stream.
    pub fn new(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > limit::FRAME_BYTES_MAX {
            return Err(Malformed::FrameTooLong { max: limit::FRAME_BYTES_MAX });
        }
        let text = match str::from_utf8(bytes) {
            Err(_) if planted!("frame_utf8_forgiven") => "\u{fffd}",
            text => text.map_err(|_| Malformed::BadFrameBytes)?,
        };
        if text.is_empty() || text.bytes().any(|byte| byte < b' ') {
            return Err(Malformed::BadFrameBytes);
        }
        if planted!("no_line_is_read") {
            return Err(Malformed::BadFrameBytes);
        }
        Ok(Self(text.into()))
    }

    /// The bytes as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl TryFrom<String> for FrameLine {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        Self::new(text.as_bytes())
    }
}

impl From<FrameLine> for String {
    fn from(line: FrameLine) -> Self {
        line.0.into()
    }
}

impl fmt::Debug for FrameLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameLine({} bytes)", self.0.len())
    }
}

impl Batch {
    /// A batch. `id` is the number of its last frame; that it is so, the seal proves.
    ///
    /// # Errors
    ///
    /// Refuses no frames, too many, too many bytes, and an envelope that is not a seal.
    pub fn new(id: u64, frames: Vec<FrameLine>, seal: Envelope) -> Result<Self, Malformed> {
        if id == 0 {
            return Err(Malformed::BadId);
        }
        if frames.is_empty() || frames.len() > limit::BATCH_FRAMES_MAX {
            return Err(Malformed::BadFrameCount { max: limit::BATCH_FRAMES_MAX });
        }
        if frames.iter().map(|frame| frame.as_bytes().len()).sum::<usize>() > limit::BATCH_BYTES_MAX
        {
            return Err(Malformed::BatchTooLong { max: limit::BATCH_BYTES_MAX });
        }
        Ok(Self { id, frames, seal: of_kind(Kind::Seal, seal)? })
    }

    /// The number of the last frame, as the event says it; it is not under the seal's signature, so
    /// compare it with the seal's `seq`.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The frames.
    #[must_use]
    pub fn frames(&self) -> &[FrameLine] {
        &self.frames
    }

    /// The seal.
    #[must_use]
    pub const fn seal(&self) -> &Envelope {
        &self.seal
    }
}

impl Event {
    /// Appends the event's bytes to `out`. The envelope of an event must have the event's kind.
    //= STR-1
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Accept(envelope) => write_one(out, ACCEPT, envelope),
            Self::Frames(batch) => {
                out.extend_from_slice(format!("id: {}\n", batch.id).as_bytes());
                out.extend_from_slice(FRAMES);
                for frame in &batch.frames {
                    write_data(out, frame.as_bytes());
                }
                write_data(out, &batch.seal.to_bytes());
                out.push(b'\n');
            }
            Self::Alive(envelope) => write_one(out, ALIVE, envelope),
            Self::Status(envelope) => write_one(out, STATUS, envelope),
            Self::Problem(envelope) => write_one(out, PROBLEM, envelope),
        }
    }

    /// The event's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }
}

/// Reads a stream as it arrives, in whatever pieces.
#[derive(Debug, Default)]
pub struct SseReader {
    pending: Vec<u8>,
    /// Bytes of `pending` in which no event ends.
    searched: usize,
    fault: Option<Malformed>,
}

impl SseReader {
    /// A reader at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and returns the events that they complete.
    ///
    /// Events that are complete before a fault are returned first; the fault comes with the next call
    /// and with each one after it.
    ///
    /// # Errors
    ///
    /// Returns the first fault of the stream.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Malformed> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let mut events = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            // Never hold more than one event, however much arrives at once.
            //= STR-3
            let room = limit::EVENT_BYTES_MAX + 1 - self.pending.len();
            let (piece, later) = rest.split_at(room.min(rest.len()));
            self.pending.extend_from_slice(piece);
            rest = later;
            if let Err(fault) = self.take_events(&mut events) {
                self.pending = Vec::new();
                self.fault = Some(fault.clone());
                return if events.is_empty() { Err(fault) } else { Ok(events) };
            }
        }
        Ok(events)
    }

    /// Checks that the stream did not end inside an event. It says nothing about the run.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`], or the fault that was found before.
    pub fn finish(self) -> Result<(), Malformed> {
        match self.fault {
            Some(fault) => Err(fault),
            None if !self.pending.is_empty() => Err(Malformed::Truncated),
            None => Ok(()),
        }
    }

    fn take_events(&mut self, events: &mut Vec<Event>) -> Result<(), Malformed> {
        let mut start = 0;
        while let Some(end) = find_end(&self.pending, start.max(self.searched)) {
            let event = &self.pending[start..end];
            if event.len() + 1 > limit::EVENT_BYTES_MAX {
                return Err(Malformed::EventTooLong { max: limit::EVENT_BYTES_MAX });
            }
            events.push(parse(event)?);
            start = end + 1;
        }
        self.pending.drain(..start);
        // The last byte may be the first of an event's two line feeds.
        self.searched = self.pending.len().saturating_sub(1);
        if self.pending.len() > limit::EVENT_BYTES_MAX {
            return Err(Malformed::EventTooLong { max: limit::EVENT_BYTES_MAX });
        }
        Ok(())
    }
}

const ACCEPT: &[u8] = b"event: accept\n";
const FRAMES: &[u8] = b"event: frames\n";
const ALIVE: &[u8] = b"event: alive\n";
const STATUS: &[u8] = b"event: status\n";
const PROBLEM: &[u8] = b"event: problem\n";
const DATA: &[u8] = b"data: ";

/// The offset just behind the first of the two line feeds that end an event.
fn find_end(bytes: &[u8], from: usize) -> Option<usize> {
    bytes[from..].windows(2).position(|pair| pair == b"\n\n").map(|at| from + at + 1)
}

fn write_one(out: &mut Vec<u8>, event: &[u8], envelope: &Envelope) {
    out.extend_from_slice(event);
    write_data(out, &envelope.to_bytes());
    out.push(b'\n');
}

fn write_data(out: &mut Vec<u8>, line: &[u8]) {
    out.extend_from_slice(DATA);
    out.extend_from_slice(line);
    out.push(b'\n');
}

/// Parses one event: its lines, each with its line feed, without the empty line behind them.
//= STR-2
fn parse(event: &[u8]) -> Result<Event, Malformed> {
    if let Some(rest) = event.strip_prefix(b"id: ") {
        return parse_frames(rest);
    }
    let one = |prefix: &[u8], kind| event.strip_prefix(prefix).map(|rest| parse_one(rest, kind));
    if let Some(envelope) = one(ACCEPT, Kind::Accept) {
        return envelope.map(Event::Accept);
    }
    if let Some(envelope) = one(ALIVE, Kind::Seal) {
        return envelope.map(Event::Alive);
    }
    if let Some(envelope) = one(STATUS, Kind::Status) {
        return envelope.map(Event::Status);
    }
    if let Some(envelope) = one(PROBLEM, Kind::Problem) {
        return envelope.map(Event::Problem);
    }
    Err(Malformed::UnexpectedLine { expected: "an id or the name of an event" })
}

fn parse_one(rest: &[u8], kind: Kind) -> Result<Envelope, Malformed> {
    let (line, rest) = take_data(rest)?;
    if !rest.is_empty() {
        return Err(Malformed::UnexpectedLine { expected: "the end of the event" });
    }
    of_kind(kind, Envelope::parse(line).map_err(Malformed::BadEnvelope)?)
}

fn parse_frames(rest: &[u8]) -> Result<Event, Malformed> {
    let end = rest.iter().position(|&byte| byte == b'\n').ok_or(Malformed::BadId)?;
    let (digits, rest) = rest.split_at(end);
    let digits = str::from_utf8(digits).map_err(|_| Malformed::BadId)?;
    let id: u64 = digits.parse().map_err(|_| Malformed::BadId)?;
    if id.to_string() != digits {
        return Err(Malformed::BadId);
    }
    let mut rest = rest[1..]
        .strip_prefix(FRAMES)
        .ok_or(Malformed::UnexpectedLine { expected: "event: frames" })?;
    let mut lines = Vec::new();
    while !rest.is_empty() {
        // One more line than frames: the seal.
        if lines.len() > limit::BATCH_FRAMES_MAX {
            return Err(Malformed::BadFrameCount { max: limit::BATCH_FRAMES_MAX });
        }
        let (line, later) = take_data(rest)?;
        lines.push(line);
        rest = later;
    }
    let seal = lines.pop().ok_or(Malformed::UnexpectedLine { expected: "data" })?;
    let seal = Envelope::parse(seal).map_err(Malformed::BadEnvelope)?;
    let frames = lines.into_iter().map(FrameLine::new).collect::<Result<Vec<_>, _>>()?;
    Batch::new(id, frames, seal).map(Event::Frames)
}

fn take_data(rest: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let line = rest.strip_prefix(DATA).ok_or(Malformed::UnexpectedLine { expected: "data" })?;
    let end = line
        .iter()
        .position(|&byte| byte == b'\n')
        .ok_or(Malformed::UnexpectedLine { expected: "the end of the line" })?;
    Ok((&line[..end], &line[end + 1..]))
}

fn of_kind(expected: Kind, envelope: Envelope) -> Result<Envelope, Malformed> {
    let found = envelope.kind();
    if found == expected { Ok(envelope) } else { Err(Malformed::AnotherKind { expected, found }) }
}

#[cfg(test)]
mod tests;
