//! Beginning the next incarnation: offline, in one transaction, while no daemon has the store.
//!
//! Offline because nothing can then be under way: no driver between two steps, no stream, no request.
//! The store's lock keeps a daemon out for the time it takes.

use std::path::Path;

use landbridge_proto::machine::contract::{AuditEvent, Reads as _, RunPhase, RunRow, Write};
use landbridge_proto::machine::step::{self, Step};
use landbridge_proto::wire::document::Incarnation;
use landbridge_proto::wire::name::{GatewayId, Timestamp};
use landbridge_proto::wire::stream::Outcome;
use landbridge_store::sqlite::Engine;
use landbridge_store::{Fault, OpenError};

use super::{ABANDONED, ROLLED_BACK, RolledBack, parse};
use crate::serve::store_options;
use crate::trust::{INCARNATION, incarnation_text, parse_incarnation};

/// What a recovery did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recovered {
    /// The incarnation that begins.
    pub incarnation: Incarnation,
    /// Why the bridge had stopped; `None`: nothing showed it.
    pub found: Option<RolledBack>,
    /// Runs of peers that were open and are closed without a terminal.
    pub abandoned: usize,
    /// Our own runs that go on.
    pub calling: usize,
}

/// Why there is no recovery.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The store cannot be opened; a running bridge is the usual reason.
    #[error("the store cannot be opened")]
    Open(#[from] OpenError),
    /// The store failed.
    #[error("the store failed; nothing was changed")]
    Store(#[from] Fault),
    /// Nothing says that this bridge was rolled back.
    #[error("nothing shows that this bridge was rolled back")]
    NotRolledBack,
}

/// Begins the next incarnation: forgets nothing, continues nothing of what peers had asked for.
///
/// With `unnoticed`, also where nothing shows a rollback, because a person knows better.
///
/// # Errors
///
/// [`RecoverError`]; then nothing was changed.
//= ID-26
pub fn recover(
    state: &Path,
    own: &GatewayId,
    now: Timestamp,
    unnoticed: bool,
) -> Result<Recovered, RecoverError> {
    let mut engine = Engine::open(state, &store_options(state))?;
    let reads = engine.readers();
    let found = parse(reads.meta(ROLLED_BACK)?.as_deref())
        .or_else(|| engine.behind().map(|behind| RolledBack::witnessed(behind, now)));
    if found.is_none() && !unnoticed {
        return Err(RecoverError::NotRolledBack);
    }
    let known = reads.meta(INCARNATION)?.as_deref().and_then(parse_incarnation);
    let next = next(known, found.as_ref(), reads.clock()?, now);
    let open = reads.open_runs()?;
    let calling = reads.open_entries()?.len();
    let abandoned = open.len();

    let mut list = reads.meta(ABANDONED)?.unwrap_or_default();
    let mut writes = vec![
        Write::Clock(next.since),
        Write::PutMeta { name: INCARNATION.to_owned(), value: incarnation_text(next) },
        Write::PutMeta { name: ROLLED_BACK.to_owned(), value: String::new() },
    ];
    for row in open {
        list = format!("{list} {}", row.run);
        writes.push(audit(
            now,
            "run_abandoned",
            row.run.as_str(),
            &[("owner", row.owner.caller.as_str())],
        ));
        writes.push(Write::PutRun(closed(row, now)));
    }
    writes.push(Write::PutMeta { name: ABANDONED.to_owned(), value: list.trim().to_owned() });
    let told_by = found.as_ref().map_or("a person", |found| found.told_by.as_str());
    let (n, count) = (next.n.to_string(), abandoned.to_string());
    let detail = [("n", n.as_str()), ("abandoned", &count), ("told_by", told_by)];
    writes.push(audit(now, "incarnation_begun", own.as_str(), &detail));
    let (batch, held) = Step::new(Vec::new(), writes, ()).split();
    let receipts = step::commit(&mut engine, vec![batch])?;
    // A batch without guards cannot be stale.
    let _released = receipts.into_iter().next().map(|receipt| held.release(receipt));
    // Only now: a crash before it leaves a witness that asks for one more recovery.
    engine.begin_history()?;
    Ok(Recovered { incarnation: next, found, abandoned, calling })
}

/// Notes that a backup was put in place, so that the bridge starts stopped.
///
/// # Errors
///
/// [`RecoverError`]; then the backup must not be used.
pub fn mark_restored(state: &Path, own: &GatewayId, now: Timestamp) -> Result<(), RecoverError> {
    let mut engine = Engine::open(state, &store_options(state))?;
    let (batch, _held) = Step::new(Vec::new(), RolledBack::restored(now).writes(own), ()).split();
    step::commit(&mut engine, vec![batch])?;
    Ok(())
}

//= ID-45
/// Later than everything that may have been lost, also where the clock was set back since.
fn next(
    known: Option<Incarnation>,
    found: Option<&RolledBack>,
    clock: Timestamp,
    now: Timestamp,
) -> Incarnation {
    let shown = found.map_or(0, |found| found.seen.n);
    let n = known.map_or(1, |known| known.n).max(shown).saturating_add(1);
    let lost = found.map_or(Timestamp(0), |found| {
        let seq = i64::try_from(found.seen.seq).unwrap_or(0);
        found.until.max(Timestamp(seq))
    });
    let before = known.map_or(Timestamp(0), |known| known.since);
    let since = [clock, lost, before].into_iter().max().unwrap_or(now).plus_ms(1).max(now);
    Incarnation { n, since }
}

/// The run as it is closed: its log ends where it is, without a terminal of ours.
fn closed(row: RunRow, now: Timestamp) -> RunRow {
    RunRow {
        phase: RunPhase::Settled,
        outcome: Some(Outcome::Lost.as_str().to_owned()),
        ended: Some(now),
        ..row
    }
}

fn audit(at: Timestamp, deed: &str, subject: &str, detail: &[(&str, &str)]) -> Write {
    let detail = detail.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Write::Audit(AuditEvent {
        at,
        actor: "admin".to_owned(),
        deed: deed.to_owned(),
        subject: subject.to_owned(),
        detail: detail.collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use landbridge_proto::wire::stream::Seen;
    use landbridge_store::Handle;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn own() -> GatewayId {
        GatewayId::new(format!("gw1-{}", "a".repeat(52))).unwrap()
    }

    //= ID-45
    #[test]
    fn an_incarnation_follows_everything_that_was_shown_also_with_a_clock_that_went_back() {
        let known = Some(Incarnation { n: 2, since: Timestamp(50) });
        assert_eq!(next(known, None, Timestamp(60), NOW), Incarnation { n: 3, since: NOW });
        let mut found = RolledBack::restored(NOW);
        found.seen = Seen { n: 7, seq: 2_000_000_000_000 };
        let after = Incarnation { n: 8, since: Timestamp(2_000_000_000_001) };
        assert_eq!(next(known, Some(&found), Timestamp(60), NOW), after);
        found.until = Timestamp(3_000_000_000_000);
        assert_eq!(
            next(known, Some(&found), Timestamp(60), NOW).since,
            Timestamp(3_000_000_000_001)
        );
        assert_eq!(next(None, None, NOW.plus_ms(5), NOW).since, NOW.plus_ms(6));
    }

    //= ID-26
    #[test]
    fn only_what_was_rolled_back_is_recovered_and_once() {
        let place = tempfile::tempdir().unwrap();
        let state = place.path().join("state");
        let refused = recover(&state, &own(), NOW, false);
        assert!(matches!(refused, Err(RecoverError::NotRolledBack)), "{refused:?}");
        mark_restored(&state, &own(), NOW).unwrap();
        let done = recover(&state, &own(), NOW, false).unwrap();
        assert_eq!((done.incarnation.n, done.found.unwrap().told_by.as_str()), (2, "restored"));
        let refused = recover(&state, &own(), NOW, false);
        assert!(matches!(refused, Err(RecoverError::NotRolledBack)), "{refused:?}");
        // A person may know better.
        assert_eq!(recover(&state, &own(), NOW, true).unwrap().incarnation.n, 3);
        let store = Handle::open_inline(&state, &store_options(&state)).unwrap();
        assert_eq!(super::super::stored(&store).unwrap(), None);
        let rows = store.reads().audit(0, 100).unwrap();
        assert_eq!(rows.iter().filter(|row| row.event.contains("incarnation_begun")).count(), 2);
        let running = recover(&state, &own(), NOW, true);
        assert!(matches!(running, Err(RecoverError::Open(OpenError::InUse { .. }))), "{running:?}");
    }
}
