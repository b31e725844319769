//! What a gateway told of its audit log, against what it told before.
//!
//! Each status names the log's length and its chain's head. A log only grows, so of two statuses of one
//! life the later one cannot name a shorter log, nor another head of the same length. Whoever keeps
//! statuses is a witness, without asking for anything and without reading the log.

use landbridge_planted::planted;

use crate::wire::document::Status;

/// How what is told of an audit log contradicts what was told before.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WentBack {
    /// It has fewer rows than before.
    #[error("its audit log had {had} rows, and has {has}")]
    Shorter {
        /// Rows before.
        had: u64,
        /// Rows after.
        has: u64,
    },
    /// It has as many rows, and other ones.
    #[error("the first {size} rows of its audit log are other ones than before")]
    Rewritten {
        /// How many.
        size: u64,
    },
}

/// Compares two statuses of one gateway, the earlier one first. Another life may have another log: it
/// began from a backup.
#[must_use]
//= ID-83
pub fn compare(earlier: &Status, later: &Status) -> Option<WentBack> {
    if planted!("every_log_went_back") {
        return Some(WentBack::Rewritten { size: later.audit.size });
    }
    if earlier.incarnation.n != later.incarnation.n || planted!("audit_heads_not_compared") {
        return None;
    }
    let (had, has) = (earlier.audit.size, later.audit.size);
    if has < had {
        return Some(WentBack::Shorter { had, has });
    }
    let rewritten = has == had && earlier.audit.head != later.audit.head;
    rewritten.then_some(WentBack::Rewritten { size: has })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::trust::testing::{Holders, NOW, chain_of, raw_status};
    use crate::wire::digest::Digest;
    use crate::wire::document::{AuditHead, Incarnation};

    fn told(n: u64, size: u64, head: &[u8]) -> Status {
        let mut raw = raw_status(&chain_of(&Holders::new(10).first()), NOW);
        raw.incarnation = Incarnation { n, since: NOW.plus_ms(-1) };
        raw.audit = AuditHead { head: Digest::of(head, &[]), size };
        Status::try_from(raw).unwrap()
    }

    //= ID-83
    #[test]
    fn a_log_only_grows_within_one_life() {
        let before = told(1, 9, b"a\n");
        assert_eq!(compare(&before, &told(1, 9, b"a\n")), None);
        assert_eq!(compare(&before, &told(1, 10, b"b\n")), None);
        let shorter = compare(&before, &told(1, 8, b"b\n"));
        assert_eq!(shorter, Some(WentBack::Shorter { had: 9, has: 8 }));
        let rewritten = compare(&before, &told(1, 9, b"b\n"));
        assert_eq!(rewritten, Some(WentBack::Rewritten { size: 9 }));
        assert_eq!(compare(&before, &told(2, 1, b"b\n")), None, "another life");
    }
}
