//! Which runs are disputed: their executor revoked a key with effect from before what the key signed
//! arrived here.
//!
//! Nothing is taken back. Computed from the journal, which says when each seal arrived, and from the
//! revocations, which are kept for ever; so the answer is the same after every restart.

use landbridge_planted::planted;
use landbridge_proto::machine::contract::EntryBrief;
use landbridge_proto::trust::status::{Revoked, TrustedStatus};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::Kind;
use landbridge_proto::wire::name::{KeyId, Timestamp};

use super::Bridge;
use super::views::instant;
use crate::local::standing::DisputeView;

/// What arrived under one seal.
#[derive(Debug)]
struct Arrived {
    /// Its first frame.
    first: u64,
    at: Timestamp,
    kids: Vec<KeyId>,
}

impl Bridge {
    /// Why what was received of a run is disputed; `None` when it is not.
    //= ID-23
    pub(super) fn disputed(&self, entry: &EntryBrief) -> Option<DisputeView> {
        if planted!("disputed_unmarked") {
            return None;
        }
        let state = self.core.trust.state();
        let status = state.peers.get(&entry.peer)?.status()?;
        // Hardly any peer ever revoked a key: then nothing is read.
        status.revocations().next()?;
        entry.remote.as_ref()?;
        let whole = self.core.store.reads().entry(&entry.run);
        let whole = whole.map_err(|fault| tracing::error!(run = %entry.run, %fault, "unreadable"));
        let accept = whole.ok().flatten().and_then(|whole| whole.accept);
        let accept = accept.and_then(|text| signers(&text, Kind::Accept));
        let mut batches = Vec::new();
        let mut first = 1;
        match self.core.store.reads().received_seals(&entry.run) {
            Ok(seals) => {
                for seal in seals {
                    if let Some(kids) = signers(&seal.seal, Kind::Seal) {
                        batches.push(Arrived { first, at: seal.at, kids });
                    }
                    first = seal.seq + 1;
                }
            }
            Err(fault) => tracing::error!(run = %entry.run, %fault, "seals cannot be read"),
        }
        let found = judge(status, entry.created, accept.as_deref(), &batches);
        found.map(|(kid, revoked, from_frame)| DisputeView {
            kid: kid.clone(),
            reason: revoked.reason,
            since: instant(revoked.since),
            received: instant(revoked.received),
            from_frame,
        })
    }
}

/// The earliest doubt.
fn judge<'a>(
    status: &'a TrustedStatus,
    created: Timestamp,
    accept: Option<&[KeyId]>,
    batches: &[Arrived],
) -> Option<(&'a KeyId, Revoked, u64)> {
    let doubt = |(kid, revoked): (&'a KeyId, &Revoked)| {
        // An accept arrives after the run was created, and without a seal nothing says how long after.
        let late = created > revoked.since || batches.is_empty();
        let accepted = accept.is_some_and(|kids| kids.contains(kid));
        let from = match accepted && late {
            true => Some(0),
            false => batches
                .iter()
                .find(|one| one.at > revoked.since && one.kids.contains(kid))
                .map(|one| one.first),
        };
        from.map(|from| (kid, *revoked, from))
    };
    status.revocations().filter_map(doubt).min_by_key(|(_, _, from)| *from)
}

fn signers(text: &str, kind: Kind) -> Option<Vec<KeyId>> {
    let envelope = Envelope::parse(text.as_bytes()).ok().filter(|one| one.kind() == kind)?;
    Some(envelope.signatures().iter().map(|one| one.keyid().clone()).collect())
}
