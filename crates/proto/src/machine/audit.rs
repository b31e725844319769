//! The audit log's chain: each row's digest covers the row before it.
//!
//! Whoever kept one head (a peer that read it in a status, an operator who wrote it down) can tell
//! whether anything before it was altered, deleted or reordered since. The chain is pure, so that the
//! store that writes it, the command that checks it and a stranger with an export agree on the bytes.

use landbridge_planted::planted;
use serde::Serialize;

use super::contract::{AuditEvent, AuditRow};
use crate::wire::digest::{Digest, tag};

/// The chain's value before the first row.
#[must_use]
pub fn start() -> Digest {
    Digest::of(tag::AUDIT, &[])
}

/// The chain's head after row `n`, whose canonical event bytes are `event`.
#[must_use]
pub fn link(prev: Digest, n: u64, event: &[u8]) -> Digest {
    Digest::of(tag::AUDIT, &[prev.as_bytes(), &n.to_be_bytes(), event])
}

/// The bytes of an event that are stored and hashed: compact JSON, members sorted.
///
/// # Errors
///
/// Returns the serializer's error; text and integers have none.
pub fn event_text(event: &AuditEvent) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Sorted {
        actor: &event.actor,
        at: event.at.0,
        deed: &event.deed,
        detail: &event.detail,
        subject: &event.subject,
    })
}

/// Finds the first row at which alteration, deletion or reordering shows, and returns the head.
///
/// Rows that were cut off the end leave no trace in what remains: compare the head with one that was
/// kept elsewhere.
///
/// # Errors
///
/// Returns where and how the chain breaks.
pub fn verify<'a>(rows: impl IntoIterator<Item = &'a AuditRow>) -> Result<Head, Broken> {
    let mut head = Head::start();
    for row in rows {
        head = head.next(row)?;
    }
    Ok(head)
}

/// A point of the chain: how many rows, and the digest over them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    /// The last row's number; 0 before the first.
    pub n: u64,
    /// The chain's value there.
    pub digest: Digest,
}

impl Head {
    /// Before the first row.
    #[must_use]
    pub fn start() -> Self {
        Self { n: 0, digest: start() }
    }

    /// Checks the row that follows; long logs are checked page by page with this.
    ///
    /// # Errors
    ///
    /// Returns how the row does not follow.
    pub fn next(self, row: &AuditRow) -> Result<Self, Broken> {
        let at = self.n.saturating_add(1);
        if row.n != at {
            return Err(Broken { at, why: Why::OtherRow { found: row.n } });
        }
        let digest = link(self.digest, at, row.event.as_bytes());
        if digest != row.head && !planted!("audit_chain_unchecked") {
            return Err(Broken { at, why: Why::OtherHead });
        }
        if planted!("no_audit_row_follows") {
            return Err(Broken { at, why: Why::OtherHead });
        }
        Ok(Self { n: at, digest })
    }
}

/// A check of a whole log against heads that were kept elsewhere, row by row.
///
/// The chain alone shows every change before its end; only a kept head shows that the end was cut off,
/// or that the whole log was written anew.
#[derive(Clone, Debug)]
pub struct Inspection {
    head: Head,
    /// The latest first, so that the next one is taken from the end.
    kept: Vec<Head>,
    confirmed: usize,
}

impl Inspection {
    /// Before the first row; `kept` in any order.
    #[must_use]
    pub fn new(mut kept: Vec<Head>) -> Self {
        kept.sort_by_key(|head| std::cmp::Reverse(head.n));
        Self { head: Head::start(), kept, confirmed: 0 }
    }

    /// Checks the row that follows.
    ///
    /// # Errors
    ///
    /// Returns how the row does not follow, or that a kept head says otherwise.
    pub fn row(&mut self, row: &AuditRow) -> Result<(), Broken> {
        self.confirm()?;
        self.head = self.head.next(row)?;
        self.confirm()
    }

    /// After the last row: the log's head, and how many kept heads it confirmed.
    ///
    /// # Errors
    ///
    /// Returns that the log ends before a kept head.
    pub fn finish(mut self) -> Result<(Head, usize), Broken> {
        self.confirm()?;
        match self.kept.first() {
            Some(kept) if !planted!("audit_cut_unnoticed") => {
                let why = Why::CutOff { kept: kept.n };
                Err(Broken { at: self.head.n.saturating_add(1), why })
            }
            _ => Ok((self.head, self.confirmed)),
        }
    }

    fn confirm(&mut self) -> Result<(), Broken> {
        while let Some(kept) = self.kept.pop_if(|kept| kept.n == self.head.n) {
            if kept.digest != self.head.digest && !planted!("audit_rewrite_unnoticed") {
                return Err(Broken { at: kept.n, why: Why::OtherThanKept });
            }
            self.confirmed += 1;
        }
        Ok(())
    }
}

/// Where and how the audit chain breaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the audit log breaks at row {at}: {why}")]
pub struct Broken {
    /// The number of the first row that does not follow from those before it.
    pub at: u64,
    /// What is wrong there.
    pub why: Why,
}

/// How a row does not follow.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Why {
    /// Another number stands there: rows were deleted, inserted or reordered.
    #[error("row {found} stands there")]
    OtherRow {
        /// The number found.
        found: u64,
    },
    /// The row's digest is not that of the rows up to it: it or an earlier head was altered.
    #[error("its digest does not match its contents")]
    OtherHead,
    /// The chain fits together, and yet a head that was kept elsewhere is another one.
    #[error("the head that was kept for it is another: the log up to it was written anew")]
    OtherThanKept,
    /// The log ends, and a head of a later row was kept elsewhere.
    #[error("the log ends before it, and a head of row {kept} was kept: rows were cut off")]
    CutOff {
        /// The latest row of which a head was kept.
        kept: u64,
    },
}

/// An event with its members in the order of their names; `derive` keeps the order of declaration.
#[derive(Serialize)]
struct Sorted<'a> {
    actor: &'a str,
    at: i64,
    deed: &'a str,
    detail: &'a std::collections::BTreeMap<String, String>,
    subject: &'a str,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeMap;

    use super::*;
    use crate::wire::name::Timestamp;

    fn event(at: i64) -> AuditEvent {
        AuditEvent {
            at: Timestamp(at),
            actor: "admin".into(),
            deed: "token_created".into(),
            subject: format!("token-{at}"),
            detail: BTreeMap::from([("z".into(), "1".into()), ("a".into(), "\"\n".into())]),
        }
    }

    fn log(count: u64) -> Vec<AuditRow> {
        let mut head = start();
        (1..=count)
            .map(|n| {
                let event = event_text(&event(n as i64)).unwrap();
                head = link(head, n, event.as_bytes());
                AuditRow { n, event, head }
            })
            .collect()
    }

    #[test]
    fn event_bytes_are_sorted_and_compact() {
        assert_eq!(
            event_text(&event(7)).unwrap(),
            r#"{"actor":"admin","at":7,"deed":"token_created","detail":{"a":"\"\n","z":"1"},"subject":"token-7"}"#
        );
    }

    #[test]
    fn a_whole_log_verifies() {
        let rows = log(20);
        assert_eq!(verify(&rows), Ok(Head { n: 20, digest: rows[19].head }));
        assert_eq!(verify([]), Ok(Head::start()));
    }

    #[test]
    fn every_alteration_deletion_and_swap_shows_at_its_row() {
        let rows = log(1000);
        for at in 0..rows.len() {
            let n = at as u64 + 1;
            let mut altered = rows.clone();
            altered[at].event = altered[at].event.replace("admin", "adm1n");
            assert_eq!(verify(&altered), Err(Broken { at: n, why: Why::OtherHead }));

            let mut cut = rows.clone();
            cut.remove(at);
            if n < 1000 {
                let why = Why::OtherRow { found: n + 1 };
                assert_eq!(verify(&cut), Err(Broken { at: n, why }));
                let mut swapped = rows.clone();
                swapped.swap(at, at + 1);
                assert_eq!(verify(&swapped), Err(Broken { at: n, why }));
            } else {
                assert_ne!(verify(&cut), verify(&rows), "truncation changes the head");
            }
        }
    }

    fn inspect(rows: &[AuditRow], kept: &[Head]) -> Result<(Head, usize), Broken> {
        let mut inspection = Inspection::new(kept.to_vec());
        rows.iter().try_for_each(|row| inspection.row(row))?;
        inspection.finish()
    }

    #[test]
    fn a_kept_head_shows_every_truncation_and_every_log_written_anew() {
        let rows = log(1000);
        let last = Head { n: 1000, digest: rows[999].head };
        let early = Head { n: 3, digest: rows[2].head };
        let kept = [early, last, early, Head::start()];
        assert_eq!(inspect(&rows, &kept), Ok((last, 4)));
        for length in 0..rows.len() {
            let why = Why::CutOff { kept: 1000 };
            let broken = Err(Broken { at: length as u64 + 1, why });
            assert_eq!(inspect(&rows[..length], &[last]), broken);
        }
        for from in 0..rows.len() {
            // Whoever writes the rest anew makes a chain that fits together.
            let mut anew = rows.clone();
            let mut head = from.checked_sub(1).map_or_else(start, |before| rows[before].head);
            for (at, row) in anew.iter_mut().enumerate().skip(from) {
                row.event = event_text(&event(at as i64 + 5000)).unwrap();
                head = link(head, row.n, row.event.as_bytes());
                row.head = head;
            }
            assert!(verify(&anew).is_ok());
            let broken = Err(Broken { at: 1000, why: Why::OtherThanKept });
            assert_eq!(inspect(&anew, &[last]), broken);
        }
    }

    #[test]
    fn a_deletion_that_renumbers_what_follows_shows() {
        let mut rows = log(10);
        rows.remove(4);
        for (at, row) in rows.iter_mut().enumerate() {
            row.n = at as u64 + 1;
        }
        assert_eq!(verify(&rows), Err(Broken { at: 5, why: Why::OtherHead }));
    }
}
