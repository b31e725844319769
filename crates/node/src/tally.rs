//! What is counted instead of being recorded one by one: garbage cannot fill the audit log.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use landbridge_planted::planted;
use landbridge_proto::machine::contract::{AuditEvent, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::wire::name::GatewayId;
use landbridge_proto::wire::problem::Problem;

use crate::core::Core;
use crate::{observe, room};

/// Between two records of what was counted, in milliseconds.
const REPORT_MS: i64 = 60_000;

/// Counts since the last record.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// What strangers were refused, and peers beyond their share, by code.
    refused: BTreeMap<String, u64>,
    /// What peers were answered beyond their share of the log. Only pinned peers get here.
    answered: BTreeMap<GatewayId, BTreeMap<String, u64>>,
    /// Federation requests that came to the local API.
    misdirected: u64,
}

impl Tally {
    /// A refusal on the federation plane that has no record of its own.
    pub fn refused(&self, problem: &Problem) {
        let code = problem.code_text().to_owned();
        metrics::counter!(observe::STRANGERS_REFUSED, "code" => code.clone()).increment(1);
        *self.counts().refused.entry(code).or_default() += 1;
    }

    /// An answer to a peer that had its share of the log.
    pub fn answered(&self, peer: &GatewayId, deed: &str) {
        let mut counts = self.counts();
        *counts.answered.entry(peer.clone()).or_default().entry(deed.to_owned()).or_default() += 1;
    }

    /// A federation request that was refused on the local plane.
    pub fn misdirected(&self) {
        observe::federation_on_local();
        if !planted!("misdirected_unaudited") {
            self.counts().misdirected += 1;
        }
    }

    /// Writes the counts once a minute, and what is left when the bridge stops.
    //= PRB-10
    pub async fn report(&self, core: &Core) {
        let mut stopping = false;
        // What was counted in the last minute is written at the stop.
        while !stopping {
            let at = core.now().plus_ms(REPORT_MS);
            tokio::select! {
                () = core.clock.sleep_until(at) => {}
                () = core.stopping.cancelled() => stopping = true,
            }
            if room::is_short(core) {
                continue;
            }
            let records = self.records(core);
            if records.is_empty() {
                continue;
            }
            let step = Step::new(Vec::new(), records, ());
            if let Err(error) = core.commit(step).await {
                tracing::error!(%error, "refusals were not recorded");
            }
        }
    }

    /// The records of what was counted since the last time: one for strangers, one for each peer, and one
    /// for the local plane.
    fn records(&self, core: &Core) -> Vec<Write> {
        let record = |actor: &str, deed: &str, counts: BTreeMap<String, u64>| {
            Write::Audit(AuditEvent {
                at: core.now(),
                actor: actor.to_owned(),
                deed: deed.to_owned(),
                subject: core.own().to_string(),
                detail: counts.into_iter().map(|(what, count)| (what, count.to_string())).collect(),
            })
        };
        let Counts { refused, answered, misdirected } = std::mem::take(&mut *self.counts());
        let strangers = Some(refused).filter(|counts| !counts.is_empty());
        let strangers = strangers.map(|counts| record("strangers", "requests_refused", counts));
        let peers = answered.into_iter();
        let peers = peers.map(|(peer, counts)| record(peer.as_str(), "requests_answered", counts));
        let local = (misdirected > 0)
            .then(|| BTreeMap::from([("federation_request".to_owned(), misdirected)]));
        let local = local.map(|counts| record("local", "local_requests_refused", counts));
        strangers.into_iter().chain(peers).chain(local).collect()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
