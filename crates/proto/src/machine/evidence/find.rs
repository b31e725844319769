//! Finding a contradiction: what was verified just now, held against what was kept.
//!
//! A caller keeps one chain. A verified seal over another head at a number of that chain is already the
//! contradiction, whatever frames came with it; frames count only where a verified seal covers them.

use super::Proof;
use crate::machine::chain::{Chain, leaf};
use crate::machine::receive::SealedBatch;
use crate::trust::verified::Verified;
use crate::wire::digest::Digest;
use crate::wire::envelope::Envelope;
use crate::wire::stream::Seal;

/// The history of one run that a caller verified and made durable.
#[derive(Clone, Debug)]
pub struct Kept {
    accept: Envelope,
    /// Of frame 1 and so on.
    leaves: Vec<Digest>,
    /// Seals with the number of the last frame that each covers, ascending; the last covers all.
    seals: Vec<(u64, Envelope)>,
}

impl Kept {
    /// A history without frames.
    #[must_use]
    pub const fn new(accept: Envelope) -> Self {
        Self { accept, leaves: Vec::new(), seals: Vec::new() }
    }

    /// Adds the next frame.
    pub fn push_frame(&mut self, line: &str) {
        self.leaves.push(leaf(line));
    }

    /// Adds the next seal, which covers the frames up to `seq`.
    pub fn push_seal(&mut self, seq: u64, seal: Envelope) {
        self.seals.push((seq, seal));
    }

    /// What a verified seal and this history prove together, if the seal is of the same accept and
    /// over another head at a number that this history has.
    //= STR-47
    #[must_use]
    pub fn against_seal(&self, seal: &Verified<Seal>) -> Option<Proof> {
        let said = seal.value();
        if said.accept != self.accept.digest() {
            return None;
        }
        let ours = self.chain_at(said.seq)?;
        if ours.head() == said.head {
            return None;
        }
        let (seq, second) = self.seal_from(said.seq)?;
        Some(Proof::Seals {
            accept: self.accept.clone(),
            first: seal.envelope().clone(),
            head: ours.head(),
            leaves: self.leaves_between(said.seq, seq)?.to_vec(),
            second,
        })
    }

    /// What a sealed batch and this history prove together, if a frame of it differs. `before` is the
    /// chain that the batch continues.
    //= STR-47
    #[must_use]
    pub fn against_batch(&self, before: Chain, batch: &SealedBatch) -> Option<Proof> {
        let other: Vec<Digest> = batch.lines().iter().map(|line| leaf(line)).collect();
        let skip = usize::try_from(before.seq()).ok()?;
        let ours = self.leaves.get(skip..)?;
        let same = ours.iter().zip(&other).take_while(|(ours, other)| ours == other).count();
        if same >= ours.len().min(other.len()) {
            return None;
        }
        let differs = before.seq() + same as u64 + 1;
        let (seq, kept) = self.seal_from(differs)?;
        let theirs = Envelope::parse(batch.seal().as_bytes()).ok()?;
        let end = batch.chain().seq();
        if end <= seq {
            return Some(Proof::Seals {
                accept: self.accept.clone(),
                first: theirs,
                head: self.chain_at(end)?.head(),
                leaves: self.leaves_between(end, seq)?.to_vec(),
                second: kept,
            });
        }
        let until = usize::try_from(seq - before.seq()).ok()?;
        let at = other.get(..until)?.iter().fold(before, |chain, leaf| chain.push_leaf(*leaf));
        Some(Proof::Seals {
            accept: self.accept.clone(),
            first: kept,
            head: at.head(),
            leaves: other.get(until..)?.to_vec(),
            second: theirs,
        })
    }

    fn chain_at(&self, seq: u64) -> Option<Chain> {
        let leaves = self.leaves.get(..usize::try_from(seq).ok()?)?;
        let start = Chain::start(self.accept.digest());
        Some(leaves.iter().fold(start, |chain, leaf| chain.push_leaf(*leaf)))
    }

    /// The first seal that covers frame `seq`.
    fn seal_from(&self, seq: u64) -> Option<(u64, Envelope)> {
        self.seals.iter().find(|(last, _)| *last >= seq).cloned()
    }

    fn leaves_between(&self, after: u64, to: u64) -> Option<&[Digest]> {
        self.leaves.get(usize::try_from(after).ok()?..usize::try_from(to).ok()?)
    }
}
