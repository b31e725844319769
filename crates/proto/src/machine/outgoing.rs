//! What an executor sends: frames that are durable, under a seal. There is no other frame to send.
//!
//! [`Durable`] is read from the store, never built from what a machine is about to write, and
//! [`Sealed`] comes only from signing over it. Whoever writes a stream takes `Sealed`.

use super::chain::Chain;
use super::contract::{Reads, RunPhase, RunRow};
use crate::trust::signer::{SignError, Signer, sign_typed};
use crate::wire::envelope::Envelope;
use crate::wire::limit;
use crate::wire::name::Timestamp;
use crate::wire::stream::{One, Seal};

/// Frames read from a run's durable log, with the chain after them.
#[derive(Clone, Debug)]
pub struct Durable {
    lines: Vec<String>,
    chain: Chain,
    last: bool,
}

/// Durable frames and the seal that covers them.
#[derive(Clone, Debug)]
pub struct Sealed {
    lines: Vec<String>,
    seal: Envelope,
    chain: Chain,
    last: bool,
}

impl Durable {
    /// Reads the next batch after `chain`; `None` when there is nothing after it.
    ///
    /// `row` must be the run's row as it was read before: its `seq` bounds what is taken.
    ///
    /// # Errors
    ///
    /// Returns the store's fault.
    pub fn read<R: Reads + ?Sized>(
        reads: &R,
        row: &RunRow,
        chain: Chain,
    ) -> Result<Option<Self>, R::Fault> {
        let after = chain.seq();
        if after >= row.seq {
            return Ok(None);
        }
        let (count, bytes) = (limit::BATCH_FRAMES_MAX, limit::BATCH_BYTES_MAX);
        //= STR-7
        let mut lines = reads.frames(&row.run, after, count, bytes)?;
        // A step that came after `row` was read may have added more: they wait for the next batch.
        let known = usize::try_from(row.seq - after).unwrap_or(usize::MAX);
        lines.truncate(known);
        if lines.is_empty() {
            return Ok(None);
        }
        let chain = chain.extend(&lines);
        let last = row.phase == RunPhase::Settled && chain.seq() == row.seq;
        Ok(Some(Self { lines, chain, last }))
    }

    /// Computes the chain up to a cursor from the durable log, beginning at the last head before it that
    /// the store kept: at most one step's frames are hashed.
    ///
    /// # Errors
    ///
    /// Returns the store's fault.
    //= STR-20
    pub fn chain_at<R: Reads + ?Sized>(
        reads: &R,
        row: &RunRow,
        seq: u64,
    ) -> Result<Chain, R::Fault> {
        if seq == row.seq {
            return Ok(Chain::stored(row.seq, row.head));
        }
        let mut chain = match reads.head_before(&row.run, seq)? {
            Some((known, head)) => Chain::stored(known, head),
            None => Chain::start(row.accept_digest),
        };
        while chain.seq() < seq {
            let want = usize::try_from(seq - chain.seq()).unwrap_or(usize::MAX);
            let count = want.min(limit::BATCH_FRAMES_MAX);
            let lines = reads.frames(&row.run, chain.seq(), count, limit::BATCH_BYTES_MAX)?;
            if lines.is_empty() {
                break;
            }
            chain = chain.extend(&lines);
        }
        Ok(chain)
    }

    /// Seals the batch.
    ///
    /// # Errors
    ///
    /// Returns why the key did not sign; then there is nothing to send.
    pub fn seal(
        self,
        signer: &(impl Signer + ?Sized),
        row: &RunRow,
        root_version: u64,
        now: Timestamp,
    ) -> Result<Sealed, SignError> {
        //= STR-9
        let seal = seal_over(signer, row, self.chain, self.last, root_version, now)?;
        Ok(Sealed { lines: self.lines, seal, chain: self.chain, last: self.last })
    }
}

impl Sealed {
    /// Exact frame bytes, in order.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The seal.
    #[must_use]
    pub const fn seal(&self) -> &Envelope {
        &self.seal
    }

    /// The chain after the batch.
    #[must_use]
    pub const fn chain(&self) -> Chain {
        self.chain
    }

    /// The batch ends with the terminal.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        self.last
    }
}

/// A new seal over what was already sent: the body of an `alive` event.
///
/// # Errors
///
/// Returns why the key did not sign.
pub fn seal_over(
    signer: &(impl Signer + ?Sized),
    row: &RunRow,
    chain: Chain,
    last: bool,
    root_version: u64,
    now: Timestamp,
) -> Result<Envelope, SignError> {
    let seal = Seal {
        accept: row.accept_digest,
        last,
        head: chain.head(),
        root_version,
        run: row.run.clone(),
        seq: chain.seq(),
        t: now,
        v: One,
    };
    sign_typed(signer, &seal)
}
