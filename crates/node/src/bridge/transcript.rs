//! Exports: what anybody needs to judge a run offline.

use landbridge_proto::machine::caller::Caller;
use landbridge_proto::machine::contract::{DocumentKind, EntryRow};
use landbridge_proto::machine::transcript::{Export, export};
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{GatewayId, RunId};
use landbridge_proto::wire::problem::{Code, Problem};

use super::{Bridge, Principal};
use crate::core::{bug, unreadable};
use crate::statuses;

impl Bridge {
    /// The transcript, one canonical line each, without line feeds.
    ///
    /// # Errors
    ///
    /// `not_found`, or a problem when the journal cannot be read.
    pub async fn transcript(&self, who: &Principal, run: &RunId) -> Result<Vec<String>, Problem> {
        let entry = self.entry_for(who, run)?;
        let reads = self.core.store.reads();
        let mut frames = Vec::new();
        loop {
            let (count, bytes) = (limit::BATCH_FRAMES_MAX, limit::BATCH_BYTES_MAX);
            let more = reads.received(run, frames.len() as u64, count, bytes);
            let more = more.map_err(|fault| unreadable(&fault))?;
            if more.is_empty() {
                break;
            }
            frames.extend(more);
        }
        let mut seals = reads.received_seals(run).map_err(|fault| unreadable(&fault))?;
        // What was received since the entry was read is not in its receipt.
        frames.truncate(usize::try_from(entry.seq).unwrap_or(usize::MAX));
        seals.retain(|seal| seal.seq <= entry.seq);
        let receipt = match &entry.receipt {
            Some(receipt) => receipt.clone(),
            None => {
                let (identity, now) = (self.core.identity.present(), self.core.now());
                let root = identity.root().version();
                let receipt = Caller::read(entry.clone()).receipt(now, self.core.own(), root);
                let signed = identity
                    .sign(&receipt, now)
                    .map_err(|error| bug("a receipt was not signed", &error))?;
                String::from_utf8_lossy(&signed.to_bytes()).into_owned()
            }
        };
        let identity = self.core.identity.present();
        let own_roots = identity.chain().iter().map(|root| root.to_bytes());
        let export_of = Export {
            executor_roots: self.kept(&entry.peer, DocumentKind::Root)?,
            executor_statuses: self.statuses(&entry.peer, &entry)?,
            caller_roots: own_roots
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .collect(),
            caller_statuses: self.statuses(self.core.own(), &entry)?,
            request: entry.request.clone(),
            accept: entry.accept.clone(),
            frames,
            seals,
            receipt: Some(receipt),
        };
        export(&export_of).map_err(|error| {
            tracing::error!(%run, %error, "a run cannot be exported");
            Problem::new(Code::Internal).with_detail("this run cannot be exported as it is stored")
        })
    }

    /// The statuses that were in force while the run was open, by either clock, and the newest.
    fn statuses(&self, gateway: &GatewayId, entry: &EntryRow) -> Result<Vec<String>, Problem> {
        let rows = self.core.store.reads().documents(gateway, DocumentKind::Status);
        let rows = rows.map_err(|fault| unreadable(&fault))?;
        let told = statuses::told_revocations(&self.core.trust.state(), gateway);
        let from = entry.created.plus_ms(-limit::CLOCK_SKEW_MS_MAX);
        let to = entry.ended.unwrap_or(self.core.now()).plus_ms(limit::CLOCK_SKEW_MS_MAX);
        let rows = statuses::of_run(rows, &told, from, to);
        Ok(rows.into_iter().map(|row| row.envelope).collect())
    }

    fn kept(&self, gateway: &GatewayId, kind: DocumentKind) -> Result<Vec<String>, Problem> {
        let rows = self.core.store.reads().documents(gateway, kind);
        let rows = rows.map_err(|fault| unreadable(&fault))?;
        Ok(rows.into_iter().map(|row| row.envelope).collect())
    }
}
