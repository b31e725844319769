//! The end of a question that nobody decided in time.
//!
//! One watcher for all of them: it reads what is open from the store whenever something changed and when
//! the next one's time is over, so a bridge that was down at that moment does it at its next start.

use std::sync::Arc;

use landbridge_planted::planted;
use landbridge_proto::machine::contract::{ApprovalRow, ApprovalSide, ApprovalState, RunPhase};
use landbridge_proto::machine::step::Step;
use landbridge_proto::wire::name::Timestamp;
use landbridge_store::Fault;

use super::answer::{Resolved, resolve};
use super::{RETRY_MS, needed, replaced};
use crate::adapter::Vote;
use crate::core::{Core, StepError};
use crate::room;

/// Ends questions whose time is over, until the bridge stops.
pub async fn watch(core: Arc<Core>) {
    let mut changes = core.approvals.watch();
    while !core.stopping.is_cancelled() && !core.trust.halted().is_cancelled() {
        changes.mark_unchanged();
        let next = match look(&core).await {
            Ok(next) => next,
            Err(error) => {
                if !matches!(error, StepError::Full) {
                    tracing::error!(%error, "open questions cannot be looked after");
                }
                room::wait(&core).await;
                Some(core.now().plus_ms(RETRY_MS))
            }
        };
        tokio::select! {
            () = core.stopping.cancelled() => {}
            changed = changes.changed() => if changed.is_err() { return },
            () = async {
                match next {
                    Some(at) => core.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            } => {}
        }
    }
}

/// Ends what is over, and gives the time of the next.
async fn look(core: &Arc<Core>) -> Result<Option<Timestamp>, StepError> {
    let mut next = None;
    for row in core.store.reads().open_approvals().map_err(StepError::Store)? {
        if is_abandoned(core, &row).map_err(StepError::Store)? {
            if let Some(run) = &row.run {
                needed::close_of(core, run).await?;
            }
        } else if row.expires <= core.now() && !planted!("questions_never_expire") {
            expire(core, row).await?;
        } else {
            next = Some(next.map_or(row.expires, |next: Timestamp| next.min(row.expires)));
        }
    }
    Ok(next)
}

/// The run that waited has its terminal: a crash may have come before the question was closed.
fn is_abandoned(core: &Core, row: &ApprovalRow) -> Result<bool, Fault> {
    let Some(run) = row.run.as_ref().filter(|_| row.side == ApprovalSide::Relying) else {
        return Ok(false);
    };
    let waiting = core.store.reads().run(run)?;
    Ok(waiting.is_none_or(|waiting| waiting.phase == RunPhase::Settled))
}

//= APR-25
async fn expire(core: &Arc<Core>, mut row: ApprovalRow) -> Result<(), StepError> {
    row.state = ApprovalState::Expired;
    row.decided = Some(core.now());
    let audit = core.audit("bridge", "approval_expired", row.id.as_str(), []);
    let after = row.clone();
    let (guard, put) = replaced(row);
    match core.commit(Step::new(vec![guard], vec![put, audit], ()).with_reserve()).await {
        Ok(()) => {}
        // Decided at the last moment; looked at again.
        Err(StepError::Stale(_)) => return Ok(()),
        Err(error) => return Err(error),
    }
    core.approvals.changed();
    if after.question.is_some() {
        let core = Arc::clone(core);
        tokio::spawn(async move {
            if let Resolved::Unknown(detail) = resolve(&core, &after, Vote::Deny).await {
                tracing::warn!(id = %after.id, detail, "the gateway forgot its question");
            }
        });
    }
    Ok(())
}
