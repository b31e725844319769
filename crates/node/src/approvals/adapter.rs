//! The adapter of runs that are about approvals: their work is done here, by no gateway.
//!
//! It keeps the promises of every other adapter, because the runs are runs like any other: an intent before
//! the start, reports until it has settled, and after a crash it looks at what is durable. What is durable
//! is the question's row, so starting and adopting are the same.

use std::sync::Arc;

use async_trait::async_trait;
use landbridge_proto::wire::name::SessionHandle;
use landbridge_proto::wire::stream::Frame;

use super::{grant, question};
use crate::adapter::{
    Adapter, AdapterFault, Ask, Description, Ending, Hold, Intent, Matter, Progress, Report,
    Reports, SideEffects, StopReason, Stopped, Trouble, TroubleCode, Work,
};
use crate::core::Core;
use crate::execute::lines_of;

/// What leads a run: the gateway's adapter, or this bridge.
pub(crate) fn adapter_for(core: &Arc<Core>, work: &Work) -> Arc<dyn Adapter> {
    match work.ask {
        Ask::Operators(_) => Arc::new(Operators(Arc::clone(core))),
        Ask::Prompt(_) | Ask::ToolCall { .. } => Arc::clone(&core.adapter),
    }
}

/// The bridge itself.
struct Operators(Arc<Core>);

/// What a run's frames already say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub started: bool,
    pub resolved: usize,
}

impl Told {
    fn of(core: &Core, work: &Work) -> Self {
        let row = core.store.reads().run(&work.run).ok().flatten();
        let lines = row.map(|row| lines_of(core, &row)).unwrap_or_default();
        let frames = lines.iter().filter_map(|line| Frame::parse(line).ok());
        frames.fold(Self::default(), |told, frame| match frame.event.as_str() {
            "started" => Self { started: true, ..told },
            "approvalResolved" => Self { resolved: told.resolved + 1, ..told },
            _ => told,
        })
    }
}

impl Operators {
    async fn lead(&self, work: &Work, reports: &Reports) {
        let core = &self.0;
        let told = Told::of(core, work);
        let end = match &work.ask {
            _ if !told.started && !begin(work, reports).await => return,
            Ask::Operators(matter) => match matter.as_ref() {
                Matter::Grant(given) => grant::deliver(core, work, given, told, reports).await,
                Matter::Question(_) => question::follow(core, work, told, reports).await,
            },
            _ => Some(failed(TroubleCode::NotSupported, "this is no matter of people")),
        };
        if let Some(end) = end {
            // Closed: nobody wants to know.
            let _ = reports.send(end).await;
        }
    }
}

async fn begin(work: &Work, reports: &Reports) -> bool {
    let Ok(session) = SessionHandle::new(format!("operators-{}", work.run)) else { return false };
    let software = format!("landbridge {}", env!("CARGO_PKG_VERSION"));
    reports.send(Report::Started { session, software }).await.is_ok()
}

/// The end of a run that did not do what was asked.
pub(super) fn failed(code: TroubleCode, detail: impl Into<String>) -> Report {
    let trouble = Some(Trouble { code, detail: detail.into() });
    let side_effects = SideEffects::None;
    Report::Settled { ending: Ending::Failed, result: None, trouble, usage: None, side_effects }
}

#[async_trait]
impl Adapter for Operators {
    async fn describe(&self) -> Description {
        self.0.adapter.describe().await
    }

    async fn intend(&self, work: &Work) -> Result<Intent, AdapterFault> {
        Ok(Intent(serde_json::json!({ "run": work.run })))
    }

    async fn start(&self, work: Work, _intent: Intent, reports: Reports, hold: Hold) {
        // What is done is found again in the question's row.
        drop(hold);
        self.lead(&work, &reports).await;
    }

    async fn adopt(&self, work: Work, _intent: Intent, _progress: Progress, reports: Reports) {
        self.lead(&work, &reports).await;
    }

    async fn stop(
        &self,
        work: &Work,
        _intent: &Intent,
        why: StopReason,
    ) -> Result<Stopped, AdapterFault> {
        match &work.ask {
            Ask::Operators(matter) if matches!(**matter, Matter::Question(_)) => {
                question::withdraw(&self.0, work, why).await
            }
            // A decision that was delivered is not taken back; it ends by itself.
            _ => Ok(Stopped::Stopping),
        }
    }

    async fn stop_all(&self) -> Result<usize, AdapterFault> {
        self.0.adapter.stop_all().await
    }
}
