//! What a caller makes of a stream: nothing is released before a seal vouches for it.
//!
//! [`SealedBatch`] has no public constructor. It comes only out of [`Reception::take`], which computed
//! the head over the very lines that it holds and verified the seal over that head, so whatever takes a
//! `SealedBatch` cannot be reached by frames that nobody sealed.

use landbridge_planted::planted;

use super::chain::Chain;
use crate::trust::peer::PeerView;
use crate::trust::verified::{Verified, VerifyError};
use crate::wire::digest::Digest;
use crate::wire::envelope::Envelope;
use crate::wire::limit;
use crate::wire::name::{RunId, SessionHandle, Timestamp};
use crate::wire::stream::{Accept, Frame, MalformedFrame, Seal, Terminal};

/// A run's stream as its caller has it so far.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reception {
    accept: Digest,
    run: RunId,
    chain: Chain,
    ended: bool,
}

/// Frames that a verified seal covers, and the seal.
#[derive(Clone, Debug)]
pub struct SealedBatch {
    first: u64,
    lines: Vec<String>,
    seal: String,
    chain: Chain,
    terminal: Option<Terminal>,
    session: Option<SessionHandle>,
}

/// How received bytes contradict each other or the chain. Never evidence against the peer by itself:
/// whoever carries the bytes may have changed them.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Mismatch {
    /// More frames or bytes than a batch may have, or none.
    #[error("a batch has 1 to {max} frames", max = limit::BATCH_FRAMES_MAX)]
    BatchSize,
    /// A line that is not a frame.
    #[error("frame {seq} is malformed")]
    Frame {
        /// Which frame was expected.
        seq: u64,
        /// What is wrong with it.
        #[source]
        fault: MalformedFrame,
    },
    /// A frame with another number than the next.
    #[error("expected frame {expected}, got {found}")]
    OutOfOrder {
        /// The next number.
        expected: u64,
        /// The number found.
        found: u64,
    },
    /// A frame after the terminal.
    #[error("frame {seq} comes after the terminal")]
    AfterTerminal {
        /// The frame.
        seq: u64,
    },
    /// A terminal whose payload cannot be read.
    #[error("frame {seq} is a terminal that cannot be read")]
    BadTerminal {
        /// The frame.
        seq: u64,
    },
    /// A seal that does not verify.
    #[error("the seal does not verify")]
    Seal(#[source] VerifyError),
    /// A seal of another stream, run or number.
    #[error("the seal belongs to another stream")]
    ForeignSeal,
    /// A seal over another head than that of the received frames.
    #[error("the seal covers other bytes than the {seq} frames received")]
    OtherHead {
        /// The last frame.
        seq: u64,
    },
    /// A seal whose `final` does not fit the last frame.
    #[error("the seal's final does not fit frame {seq}")]
    WrongFinal {
        /// The last frame.
        seq: u64,
    },
}

impl Reception {
    /// Before the first frame.
    #[must_use]
    pub fn start(accept: &Verified<Accept>) -> Self {
        Self {
            accept: accept.digest(),
            run: accept.value().run.clone(),
            chain: Chain::start(accept.digest()),
            ended: false,
        }
    }

    /// The stream after the last frame that was made durable.
    #[must_use]
    pub fn after(accept: &Verified<Accept>, seq: u64, head: Digest) -> Self {
        Self { chain: Chain::stored(seq, head), ..Self::start(accept) }
    }

    /// The chain so far.
    #[must_use]
    pub const fn chain(&self) -> Chain {
        self.chain
    }

    /// Verifies a batch and moves on behind it; on a mismatch nothing changes.
    ///
    /// # Errors
    ///
    /// Returns the first [`Mismatch`].
    pub fn take(
        &mut self,
        peer: &PeerView,
        lines: Vec<String>,
        seal: &Envelope,
        now: Timestamp,
    ) -> Result<SealedBatch, Mismatch> {
        let size: usize = lines.iter().map(String::len).sum();
        if lines.is_empty()
            || lines.len() > limit::BATCH_FRAMES_MAX
            || size > limit::BATCH_BYTES_MAX
        {
            return Err(Mismatch::BatchSize);
        }
        let first = self.chain.seq() + 1;
        let mut chain = self.chain;
        let mut terminal = None;
        let mut session = None;
        for line in &lines {
            let seq = chain.seq() + 1;
            //= STR-28
            let over = self.ended || terminal.is_some();
            if over && !planted!("frames_after_terminal") {
                return Err(Mismatch::AfterTerminal { seq });
            }
            //= STR-5
            let frame = Frame::parse(line).map_err(|fault| Mismatch::Frame { seq, fault })?;
            if frame.seq != seq && !planted!("order_unchecked") {
                return Err(Mismatch::OutOfOrder { expected: seq, found: frame.seq });
            }
            if frame.is_terminal() {
                terminal = Some(frame.terminal().ok_or(Mismatch::BadTerminal { seq })?);
            }
            session = session.or_else(|| frame.session());
            chain = chain.push(line);
        }
        let ended = terminal.is_some();
        //= STR-10
        let sealed = check_seal(peer, seal, &self.accept, &self.run, chain, ended, now);
        if !planted!("released_unsealed") {
            sealed?;
        }
        self.chain = chain;
        self.ended = ended;
        let seal = String::from_utf8_lossy(&seal.to_bytes()).into_owned();
        Ok(SealedBatch { first, lines, seal, chain, terminal, session })
    }

    /// Verifies a seal over what was already received.
    ///
    /// # Errors
    ///
    /// Returns the [`Mismatch`].
    pub fn alive(&self, peer: &PeerView, seal: &Envelope, now: Timestamp) -> Result<(), Mismatch> {
        check_seal(peer, seal, &self.accept, &self.run, self.chain, self.ended, now)
    }
}

impl SealedBatch {
    /// The first frame's number.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// Exact frame bytes, in order.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The envelope of the seal, canonical bytes.
    #[must_use]
    pub fn seal(&self) -> &str {
        &self.seal
    }

    /// The chain after the batch.
    #[must_use]
    pub const fn chain(&self) -> Chain {
        self.chain
    }

    /// The terminal, where the batch ends with one.
    #[must_use]
    pub const fn terminal(&self) -> Option<&Terminal> {
        self.terminal.as_ref()
    }

    /// The session that a `started` of the batch told.
    #[must_use]
    pub const fn session(&self) -> Option<&SessionHandle> {
        self.session.as_ref()
    }

    /// The part of the batch behind frame `seq`, under the same seal; `None` when there is none.
    #[must_use]
    pub fn behind(mut self, seq: u64) -> Option<Self> {
        let known = usize::try_from((seq + 1).saturating_sub(self.first)).unwrap_or(usize::MAX);
        if known >= self.lines.len() {
            return None;
        }
        self.lines.drain(..known);
        self.first += known as u64;
        Some(self)
    }
}

fn check_seal(
    peer: &PeerView,
    envelope: &Envelope,
    accept: &Digest,
    run: &RunId,
    chain: Chain,
    ended: bool,
    now: Timestamp,
) -> Result<(), Mismatch> {
    let seal = peer.verify::<Seal>(envelope, now).map_err(Mismatch::Seal)?;
    check_covers(seal.value(), accept, run, chain, ended)
}

/// Checks that a verified seal covers this chain and no other.
//= STR-11
pub(super) fn check_covers(
    seal: &Seal,
    accept: &Digest,
    run: &RunId,
    chain: Chain,
    ended: bool,
) -> Result<(), Mismatch> {
    let seq = chain.seq();
    let place = seal.accept == *accept && seal.run == *run;
    let foreign = !(place || planted!("seal_of_another_run"));
    if foreign || (seal.seq != seq && !planted!("seal_number_unchecked")) {
        return Err(Mismatch::ForeignSeal);
    }
    if seal.head != chain.head() && !planted!("head_unchecked") {
        return Err(Mismatch::OtherHead { seq });
    }
    if seal.last != ended && !planted!("final_unchecked") {
        return Err(Mismatch::WrongFinal { seq });
    }
    if planted!("no_seal_covers_anything") {
        return Err(Mismatch::ForeignSeal);
    }
    Ok(())
}
