//! Which run leads which session now.
//!
//! Whatever is done about a run that was given up (stopping it, watching whether it rises again) reaches
//! for its whole session. Once a later turn leads the session, it must reach for the run alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The newest run of each session that is led, by the gateway's names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leads(Arc<Mutex<BTreeMap<String, String>>>);

impl Leads {
    /// The run leads the session from now on.
    pub(crate) fn take(&self, session: &str, run: &str) {
        let mut leads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        leads.insert(session.to_owned(), run.to_owned());
    }

    /// The run leads the session no more; another one that does goes on.
    pub(crate) fn leave(&self, session: &str, run: &str) {
        let mut leads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if leads.get(session).is_some_and(|lead| lead == run) {
            leads.remove(session);
        }
    }

    /// Another run leads the session.
    pub(crate) fn is_anothers(&self, session: &str, run: &str) -> bool {
        let leads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        leads.get(session).is_some_and(|lead| lead != run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_leaver_does_not_take_the_lead_along() {
        let leads = Leads::default();
        leads.take("s", "first");
        assert!(!leads.is_anothers("s", "first"));
        leads.take("s", "second");
        leads.leave("s", "first");
        assert!(leads.is_anothers("s", "first") && !leads.is_anothers("s", "second"));
        leads.leave("s", "second");
        assert!(!leads.is_anothers("s", "first"));
    }
}
