//! A run's frames, as its clients read them: from the journal, with a cursor of their own.

use std::sync::Arc;

use landbridge_planted::planted;
use landbridge_proto::machine::contract::EntryPhase;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::RunId;
use landbridge_proto::wire::problem::{Code, Problem};

use super::tokens::Lease;
use crate::core::{Core, unreadable};
use crate::halt::Halted;
use crate::local::problem::LocalProblem;

/// Frames of a run after a cursor, in the journal's order; waits for more until the terminal.
pub struct Frames {
    core: Arc<Core>,
    run: RunId,
    after: u64,
    over: bool,
    /// The reader's token, where it has one.
    lease: Option<Lease>,
}

impl Frames {
    pub(super) const fn new(core: Arc<Core>, run: RunId, after: u64, lease: Option<Lease>) -> Self {
        Self { core, run, after, over: false, lease }
    }

    /// The next frames (`seq`, exact line), or `None` after the terminal. Cancel-safe.
    ///
    /// # Errors
    ///
    /// Returns a problem when the journal cannot be read, or the bridge shuts down: read again then,
    /// from the last frame. `unauthorized` when the reader's token is good no more.
    pub async fn next(&mut self) -> Result<Option<Vec<(u64, String)>>, LocalProblem> {
        let wake = self.core.wakes.of(&self.run);
        while !self.over {
            if let Some(lease) = &mut self.lease {
                lease.check(&self.core)?;
            }
            // Subscribed before the journal is read: what comes in between wakes us.
            let more = wake.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            let reads = self.core.store.reads();
            let entry = reads.entry(&self.run).map_err(|fault| unreadable(&fault))?;
            let entry = entry.ok_or_else(|| Problem::new(Code::NotFound))?;
            let lines = reads
                .received(&self.run, self.after, limit::BATCH_FRAMES_MAX, limit::BATCH_BYTES_MAX)
                .map_err(|fault| unreadable(&fault))?;
            if !lines.is_empty() {
                let first = self.after + 1;
                self.after += lines.len() as u64;
                return Ok(Some((first..).zip(lines).collect()));
            }
            if entry.phase == EntryPhase::Settled {
                self.over = true;
                break;
            }
            tokio::select! {
                () = more => {}
                () = looked_at(&mut self.lease, &self.core) => {}
                //= ID-64
                () = halted(&self.core) => return Err(Halted::problem().into()),
                () = self.core.draining.cancelled() => {
                    return Err(Problem::new(Code::Draining).into());
                }
            }
        }
        Ok(None)
    }
}

/// Returns once the operator halted the bridge.
async fn halted(core: &Core) {
    let mut watch = core.halt.watch();
    if watch.wait_for(Option::is_some).await.is_err() || planted!("halt_ignored_by_caller") {
        std::future::pending::<()>().await;
    }
}

/// Returns when the reader's token should be looked at again; never without one.
async fn looked_at(lease: &mut Option<Lease>, core: &Core) {
    match lease {
        Some(lease) => lease.changed(core).await,
        None => std::future::pending().await,
    }
}
