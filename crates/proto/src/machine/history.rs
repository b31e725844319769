//! Whether what others hold under this gateway's own signatures is still remembered here.
//!
//! A gateway that was restored from a backup cannot see that it was; whoever dealt with it since can.
//! A bare claim would let any peer stop a gateway with one lie, so what counts is what the gateway
//! itself signed: a status, an accept, a seal that its store does not have. What may have been deleted
//! because its time had passed, and what belongs to an earlier incarnation, says nothing.

use super::contract::{DocumentKind, Reads, RunRow};
use super::outgoing::Durable;
use crate::trust::recorded::{Stated, verify_stated};
use crate::trust::root::TrustedRoot;
use crate::wire::document::{Incarnation, Status};
use crate::wire::envelope::Envelope;
use crate::wire::kind::Kind;
use crate::wire::limit;
use crate::wire::name::{GatewayId, RunId, Timestamp};
use crate::wire::stream::{Accept, Outcome, Seal, Seen};

/// What a gateway must know of itself to judge.
pub struct Present<'a> {
    /// Its own roots.
    pub chain: &'a TrustedRoot,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// How long settled runs are kept at least, in milliseconds.
    pub kept_ms: i64,
    /// The present.
    pub now: Timestamp,
}

/// What one held envelope says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Recall {
    /// It is remembered, or says nothing that could be missing.
    Remembered,
    /// It is of a run that an earlier incarnation lost.
    Past(RunId),
    /// This gateway signed it and does not have it: it was rolled back.
    Lost(Shown),
}

/// What a gateway was shown and does not remember.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shown {
    /// The kind of what was shown.
    pub what: Kind,
    /// The incarnation and number that it names; zero where it names none.
    pub seen: Seen,
    /// No later than this it was signed, as far as it says.
    pub at: Timestamp,
}

/// The outcome of a run that a recovery closed without a terminal: its log ends where the backup did.
#[must_use]
pub fn is_abandoned(row: &RunRow) -> bool {
    row.outcome.as_deref() == Some(Outcome::Lost.as_str())
}

/// Judges an envelope that `peer` holds and says that this gateway signed.
///
/// One that does not verify under this gateway's own roots says nothing.
///
/// # Errors
///
/// Returns the store's fault.
//= ID-42
pub fn judge<R: Reads + ?Sized>(
    reads: &R,
    present: &Present<'_>,
    peer: &GatewayId,
    envelope: &Envelope,
) -> Result<Recall, R::Fault> {
    match envelope.kind() {
        Kind::Status => judge_status(reads, present, envelope),
        Kind::Accept => judge_accept(reads, present, peer, envelope),
        Kind::Seal => judge_seal(reads, present, envelope),
        _ => Ok(Recall::Remembered),
    }
}

fn judge_status<R: Reads + ?Sized>(
    reads: &R,
    present: &Present<'_>,
    envelope: &Envelope,
) -> Result<Recall, R::Fault> {
    let stated =
        |status: &Status| Stated { root_version: Some(status.root_version), at: status.issued };
    let Ok(status) = verify_stated::<Status>(present.chain, envelope, stated) else {
        return Ok(Recall::Remembered);
    };
    let said = status.value();
    let own = present.chain.gateway();
    if said.iss != *own || said.incarnation.n < present.incarnation.n {
        return Ok(Recall::Remembered);
    }
    let seq = said.seq.unsigned_abs();
    let stored = reads.document_upto(own, DocumentKind::Status, seq)?;
    if stored.is_some_and(|row| row.envelope.as_bytes() == envelope.to_bytes()) {
        return Ok(Recall::Remembered);
    }
    let seen = Seen { n: said.incarnation.n, seq };
    Ok(Recall::Lost(Shown { what: Kind::Status, seen, at: said.issued }))
}

fn judge_accept<R: Reads + ?Sized>(
    reads: &R,
    present: &Present<'_>,
    peer: &GatewayId,
    envelope: &Envelope,
) -> Result<Recall, R::Fault> {
    let stated =
        |accept: &Accept| Stated { root_version: Some(accept.root_version), at: accept.deadline };
    let Ok(accept) = verify_stated::<Accept>(present.chain, envelope, stated) else {
        return Ok(Recall::Remembered);
    };
    let said = accept.value();
    if said.iss != *present.chain.gateway() || said.aud != *peer {
        return Ok(Recall::Remembered);
    }
    if let Some(row) = reads.run(&said.run)?
        && row.accept_digest == accept.digest()
    {
        return Ok(Recall::Remembered);
    }
    // No run lives longer than this, so it was accepted after that moment.
    let created_after = said.deadline.plus_ms(-limit::DEADLINE_MS_MAX);
    let is_kept = present.now.since_ms(created_after) < present.kept_ms;
    let is_ours = present.incarnation.n <= 1 || created_after >= present.incarnation.since;
    if is_kept && is_ours {
        let shown = Shown { what: Kind::Accept, seen: Seen::default(), at: created_after };
        return Ok(Recall::Lost(shown));
    }
    Ok(Recall::Past(said.run.clone()))
}

fn judge_seal<R: Reads + ?Sized>(
    reads: &R,
    present: &Present<'_>,
    envelope: &Envelope,
) -> Result<Recall, R::Fault> {
    let stated = |seal: &Seal| Stated { root_version: Some(seal.root_version), at: seal.t };
    let Ok(seal) = verify_stated::<Seal>(present.chain, envelope, stated) else {
        return Ok(Recall::Remembered);
    };
    let said = seal.value();
    // Its accept is judged by itself; a log that is not there has nothing to compare.
    let Some(row) = reads.run(&said.run)?.filter(|row| row.accept_digest == said.accept) else {
        return Ok(Recall::Remembered);
    };
    if is_abandoned(&row) {
        return Ok(Recall::Past(row.run));
    }
    let is_in_log =
        said.seq <= row.seq && Durable::chain_at(reads, &row, said.seq)?.head() == said.head;
    if is_in_log {
        return Ok(Recall::Remembered);
    }
    if present.incarnation.n > 1 && said.t < present.incarnation.since {
        // The log went on in another way before anybody knew; a person has given up what is missing.
        return Ok(Recall::Past(row.run));
    }
    Ok(Recall::Lost(Shown { what: Kind::Seal, seen: Seen::default(), at: said.t }))
}
