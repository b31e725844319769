//! When a stream does not fit what the journal holds: is it the way, or the peer?
//!
//! Whoever carries the bytes can change them, drop them and replay old ones, and all of that must end in
//! another attempt. Only what the peer's own key signed can speak against it: a verified seal over
//! another head than the journal's, or a verified batch with another frame than the journal's.

use landbridge_proto::machine::chain::Chain;
use landbridge_proto::machine::contract::Sides;
use landbridge_proto::machine::evidence::{Kept, Proof};
use landbridge_proto::machine::receive::SealedBatch;
use landbridge_proto::trust::verified::Verified;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::Kind;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::stream::{Accept, Seal};

use super::Driver;
use crate::evidence::Found;

impl Driver {
    /// What a seal proves against the peer, whatever frames came with it.
    pub(super) fn seal_speaks(&self, seal: &Envelope) -> Option<Found> {
        let view = self.core.peer_view(&self.entry().peer).ok()?;
        //= STR-23
        let seal = view.verify::<Seal>(seal, self.core.now()).ok()?;
        if seal.value().seq > self.entry().seq {
            return None;
        }
        let proof = self.kept()?.against_seal(&seal)?;
        Some(Found::new(proof, Some(self.entry().run.clone())))
    }

    /// What a verified batch proves against the peer: a frame of it is not the journal's.
    pub(super) fn batch_speaks(&self, before: Chain, batch: &SealedBatch) -> Option<Found> {
        let proof = self.kept()?.against_batch(before, batch)?;
        let entry = self.entry();
        let reads = self.core.store.reads();
        let (after, count) = (batch.first().saturating_sub(1), batch.lines().len());
        let kept = reads.received(&entry.run, after, count, limit::BATCH_BYTES_MAX).ok()?;
        let sides = Sides { first: batch.first(), kept, other: batch.lines().to_vec() };
        Some(Found { proof, run: Some(entry.run.clone()), sides })
    }

    /// What a second accept proves against the peer.
    pub(super) fn accept_speaks(&self, accept: &Verified<Accept>) -> Option<Found> {
        let entry = self.entry();
        let first = Envelope::parse(entry.accept.as_ref()?.as_bytes()).ok()?;
        let (body, second) = (entry.body.clone(), accept.envelope().clone());
        let proof = Proof::Accepts { body, first, second };
        Some(Found::new(proof, Some(entry.run.clone())))
    }

    /// The journal's history of this run; `None` when there is none, or it cannot be read.
    fn kept(&self) -> Option<Kept> {
        let entry = self.entry();
        let mut kept = Kept::new(Envelope::parse(entry.accept.as_ref()?.as_bytes()).ok()?);
        let reads = self.core.store.reads();
        let mut after = 0;
        while after < entry.seq {
            let (count, bytes) = (limit::BATCH_FRAMES_MAX, limit::BATCH_BYTES_MAX);
            let lines = reads.received(&entry.run, after, count, bytes).ok()?;
            if lines.is_empty() {
                return None;
            }
            lines.iter().for_each(|line| kept.push_frame(line));
            after += lines.len() as u64;
        }
        for seal in reads.received_seals(&entry.run).ok()? {
            let envelope = Envelope::parse(seal.seal.as_bytes()).ok()?;
            if envelope.kind() == Kind::Seal {
                kept.push_seal(seal.seq, envelope);
            }
        }
        Some(kept)
    }
}
