//! Retention: what is past its time goes, the oldest first, a bounded number at a time.

use landbridge_proto::machine::budget::Day;
use landbridge_proto::wire::name::Timestamp;
use rusqlite::Connection;

use super::execute;
use crate::fault::Fault;

/// Frames, seals and texts go with their run by foreign key, and a run's key is the run's own row.
pub(super) fn prune(
    db: &Connection,
    jti_before: Timestamp,
    runs_before: Timestamp,
    entries_before: Timestamp,
    limit: u32,
) -> Result<(), Fault> {
    let steps = [
        (
            "DELETE FROM jtis WHERE (issuer, jti) IN (
                 SELECT issuer, jti FROM jtis WHERE keep_until < ?1
                 ORDER BY keep_until, issuer, jti LIMIT ?2)",
            jti_before,
        ),
        (
            "DELETE FROM runs WHERE run IN (
                 SELECT run FROM runs WHERE phase = 'settled' AND ended < ?1
                 ORDER BY ended, run LIMIT ?2)",
            runs_before,
        ),
        (
            "DELETE FROM blocked_keys WHERE (caller, dst, src, key) IN (
                 SELECT caller, dst, src, key FROM blocked_keys WHERE at < ?1
                 ORDER BY at, caller, dst, src, key LIMIT ?2)",
            runs_before,
        ),
        (
            "DELETE FROM entries WHERE run IN (
                 SELECT run FROM entries WHERE phase = 'settled' AND ended < ?1
                 ORDER BY ended, run LIMIT ?2)",
            entries_before,
        ),
    ];
    let sql = "DELETE FROM spent WHERE (day, caller, dst, src) IN (
                   SELECT day, caller, dst, src FROM spent WHERE day < ?1
                   ORDER BY day, caller, dst, src LIMIT ?2)";
    execute(db, sql, [Day::of(runs_before).0, i64::from(limit)])?;
    for (sql, before) in steps {
        execute(db, sql, [before.0, i64::from(limit)])?;
    }
    super::approvals::prune(db, runs_before, limit)
}
