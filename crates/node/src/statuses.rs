//! Which statuses are worth keeping, and which of them tell something about one run.
//!
//! A gateway issues one every half hour for as long as it lives. Kept are the newest; each that was in
//! force lately, as the settings say, because an export shows what vouched for its run's keys; each that told of a revocation, which is remembered for ever; and one of every 30 days, as
//! a witness of the audit log's head that it names.

use std::collections::BTreeSet;

use landbridge_proto::machine::contract::{DocumentKind, DocumentRow, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::status::TrustedStatus;
use landbridge_proto::wire::name::{GatewayId, Timestamp};

use crate::core::{Core, StepError};
use crate::trust::State;

/// Of each such span, one status is kept for good, in milliseconds.
const WITNESS_EVERY_MS: i64 = 30 * 24 * 3_600_000;
/// Statuses of one gateway that are forgotten at once.
const AT_ONCE: usize = 1_000;

/// When a gateway's statuses arrived that told of a revocation first.
pub(crate) fn told_revocations(state: &State, gateway: &GatewayId) -> BTreeSet<Timestamp> {
    let status = state.peers.get(gateway).and_then(|view| view.status());
    let revocations = status.into_iter().flat_map(TrustedStatus::revocations);
    revocations.map(|(_, revoked)| revoked.received).collect()
}

/// The statuses of one gateway that belong to a run's record: those in force between `from` and `to`,
/// those that told of a revocation, and the newest. `rows` ascend.
pub(crate) fn of_run(
    rows: Vec<DocumentRow>,
    told: &BTreeSet<Timestamp>,
    from: Timestamp,
    to: Timestamp,
) -> Vec<DocumentRow> {
    let ends: Vec<_> = rows.iter().skip(1).map(issued).collect();
    let keep = |(at, row): (usize, DocumentRow)| {
        let in_force = ends.get(at).is_none_or(|end| issued(&row) <= to && *end > from);
        (in_force || told.contains(&row.at)).then_some(row)
    };
    rows.into_iter().enumerate().filter_map(keep).collect()
}

/// The statuses of one gateway that nobody needs any more: superseded before `before`, no teller of a
/// revocation and no witness. `rows` ascend.
fn needless(rows: &[DocumentRow], told: &BTreeSet<Timestamp>, before: Timestamp) -> Vec<u64> {
    let mut witnessed = None;
    let mut versions = Vec::new();
    for (row, next) in rows.iter().zip(rows.iter().skip(1)) {
        let span = issued(row).0.div_euclid(WITNESS_EVERY_MS);
        let is_witness = witnessed.replace(span) != Some(span);
        if !is_witness && issued(next) <= before && !told.contains(&row.at) {
            versions.push(row.version);
        }
    }
    versions
}

/// Forgets statuses that nobody needs any more, ours and those of each peer.
pub async fn forget(core: &Core, now: Timestamp) {
    let state = core.trust.state();
    let before = now.plus_ms(-core.settings.statuses_ms);
    // A peer that is not pinned any more issues nothing new for us.
    for gateway in state.peers.keys().chain([core.own()]) {
        let rows = match core.store.reads().documents(gateway, DocumentKind::Status) {
            Ok(rows) => rows,
            Err(error) => return tracing::error!(%error, "statuses cannot be read"),
        };
        let mut versions = needless(&rows, &told_revocations(&state, gateway), before);
        versions.truncate(AT_ONCE);
        if versions.is_empty() {
            continue;
        }
        let forget = Write::ForgetStatuses { gateway: gateway.clone(), versions };
        match core.commit(Step::new(Vec::new(), vec![forget], ())).await {
            Ok(()) | Err(StepError::Full) => {}
            Err(error) => tracing::error!(%gateway, %error, "old statuses were not deleted"),
        }
    }
}

/// When it was issued: that is its number.
fn issued(row: &DocumentRow) -> Timestamp {
    Timestamp(i64::try_from(row.version).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;

    fn rows(issued: impl IntoIterator<Item = u64>) -> Vec<DocumentRow> {
        let row = |version| DocumentRow {
            gateway: GatewayId::new(format!("gw1-{}", "a".repeat(52))).unwrap(),
            kind: DocumentKind::Status,
            version,
            envelope: String::new(),
            at: time(version + 5),
        };
        issued.into_iter().map(row).collect()
    }

    fn time(ms: u64) -> Timestamp {
        Timestamp(i64::try_from(ms).unwrap())
    }

    fn versions(rows: Vec<DocumentRow>) -> Vec<u64> {
        rows.into_iter().map(|row| row.version).collect()
    }

    #[test]
    fn a_run_is_shown_with_what_was_in_force_and_the_newest() {
        let none = BTreeSet::new();
        let of =
            |from, to| versions(of_run(rows([10, 20, 30, 40, 50]), &none, time(from), time(to)));
        assert_eq!(of(25, 35), [20, 30, 50]);
        assert_eq!(of(20, 29), [20, 50]);
        assert_eq!(of(1, 9), [50], "none was in force yet");
        assert_eq!(of(60, 70), [50]);
        let told = BTreeSet::from([time(15)]);
        assert_eq!(versions(of_run(rows([10, 20, 30]), &told, time(40), time(50))), [10, 30]);
    }

    #[test]
    fn what_nobody_needs_is_forgotten_and_nothing_else() {
        let all = rows((0..60 * 24).map(|hour| hour * HOUR));
        let told = BTreeSet::from([time(7 * HOUR + 5)]);
        let gone = needless(&all, &told, time(40 * DAY));
        for row in &all {
            let hour = row.version / HOUR;
            let witness = hour == 0 || hour == 30 * 24;
            let kept = witness || hour == 7 || row.version >= 40 * DAY;
            assert_eq!(!gone.contains(&row.version), kept, "hour {hour}");
        }
        assert_eq!(needless(&rows([5]), &told, time(40 * DAY)), [0_u64; 0], "the newest stays");
        assert_eq!(needless(&[], &told, time(40 * DAY)), [0_u64; 0]);
    }

    #[test]
    fn what_is_kept_of_a_run_is_what_its_export_shows() {
        let all = rows((0..60 * 24).map(|hour| hour * HOUR + 1));
        let none = BTreeSet::new();
        let gone: BTreeSet<_> = needless(&all, &none, time(40 * DAY)).into_iter().collect();
        let kept: Vec<_> = all.iter().filter(|row| !gone.contains(&row.version)).cloned().collect();
        let run = |rows| versions(of_run(rows, &none, time(40 * DAY), time(41 * DAY)));
        assert_eq!(run(kept), run(all));
    }
}
