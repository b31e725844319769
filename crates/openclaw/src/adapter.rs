//! The adapter: the executor's door, opened onto an OpenClaw gateway.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use landbridge_node::adapter::{
    Adapter, AdapterFault, ApprovalDecided, Ask, Description, Ending, Hold, Intent, Progress,
    Report, Reports, SideEffects, StopReason, Stopped, Trouble, TroubleCode, Vote, Work,
};

use crate::OpenClawConfig;
use crate::approval::{self, Open, Questions};
use crate::drive::{self, Drive, Stops};
use crate::fault::Fault;
use crate::leads::Leads;
use crate::link::{Link, State};
use crate::names::{self, Names};
use crate::run::Run;
use crate::stop;
use crate::tool::{self, Calls, ToolRun};
use crate::walls;

/// An OpenClaw gateway as the executor sees it.
#[derive(Debug)]
pub struct OpenClaw {
    link: Link,
    stops: Stops,
    leads: Leads,
    calls: Calls,
    open: Open,
}

impl OpenClaw {
    /// Opens the adapter; it connects, and connects again, by itself. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the configuration or with the bridge's own files. A gateway that is
    /// away is not an error here.
    pub fn open(config: &OpenClawConfig) -> Result<Self, Fault> {
        let stops = Arc::new(Mutex::new(BTreeSet::new()));
        Ok(Self {
            link: Link::open(config)?,
            stops,
            leads: Leads::default(),
            calls: Calls::default(),
            open: Open::default(),
        })
    }

    /// The bridge's device at the gateway.
    #[must_use]
    pub fn device(&self) -> &str {
        self.link.device()
    }

    /// Waits until the gateway can be asked.
    ///
    /// # Errors
    ///
    /// Returns why it cannot, when `patience` is over.
    pub async fn ready(&self, patience: Duration) -> Result<(), Arc<Fault>> {
        self.link.up_within(patience).await.map(drop)
    }

    async fn lead(
        &self,
        work: Work,
        intent: Intent,
        progress: Progress,
        reports: Reports,
        hold: Option<Hold>,
    ) {
        let asked = hold.is_none();
        let named = Names::read(&intent).zip(names::handle(&work));
        let Some((names, handle)) = named.filter(|(names, handle)| is_ours(&work, names, handle))
        else {
            let _ = reports.send(not_ours(asked)).await;
            return;
        };
        if let Ask::ToolCall { tool, args } = &work.ask {
            let (tool, args) = (tool.clone(), args.clone());
            let (link, calls) = (self.link.clone(), self.calls.clone());
            let call = ToolRun { link, work, names, handle, calls, reports };
            match hold {
                None => call.adopt(&progress).await,
                Some(hold) => {
                    call.lead(&tool, args).await;
                    // Nobody could have taken it up before.
                    drop(hold);
                }
            }
            return;
        }
        let key = names.key.clone();
        let run_id = work.run.clone();
        let questions = Questions::new(self.open.clone(), &run_id);
        let run = Run::new(key.clone(), progress);
        let (link, stops) = (self.link.clone(), Arc::clone(&self.stops));
        let session = names.session.clone();
        let leads = self.leads.clone();
        leads.take(&session, &key);
        let stop_key = key.clone();
        Drive {
            link,
            work,
            names,
            stop_key,
            handle,
            stops,
            leads,
            run,
            questions,
            reports,
            asked,
            hold,
        }
        .lead()
        .await;
        self.leads.leave(&session, &key);
        self.open.forget(&run_id);
        self.stops.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

#[async_trait]
impl Adapter for OpenClaw {
    async fn describe(&self) -> Description {
        let state = self.link.state();
        let adapter = "openclaw".to_owned();
        match state {
            State::Up(up) => {
                let (cautions, approvals) = tokio::join!(
                    walls::cautions(&up.connection),
                    approval::missing(&up.connection, up.authority)
                );
                Description {
                    adapter,
                    software: format!("openclaw {}", up.connection.hello().version),
                    reachable: true,
                    detail: None,
                    agents: up.agents.to_vec(),
                    approvals,
                    cautions,
                }
            }
            State::Down(why) => Description {
                adapter,
                software: String::new(),
                reachable: false,
                detail: Some(why.map_or_else(|| CONNECTING.to_owned(), |why| why.to_string())),
                agents: Vec::new(),
                approvals: Some(CONNECTING.to_owned()),
                cautions: Vec::new(),
            },
        }
    }

    async fn intend(&self, work: &Work) -> Result<Intent, AdapterFault> {
        let refused =
            |code, detail: &str| AdapterFault(Trouble { code, detail: detail.to_owned() });
        let Some(handle) = names::handle(work) else {
            return Err(refused(
                TroubleCode::InputRefused,
                "the session is not one of this caller and tenant pair",
            ));
        };
        if matches!(&work.ask, Ask::Prompt(prompt) if prompt.trim().is_empty()) {
            return Err(refused(TroubleCode::InputRefused, "the prompt is empty"));
        }
        if !names::is_agent(work.agent.as_str()) {
            let detail = "the gateway would take this agent's name for another one's";
            return Err(refused(TroubleCode::AgentUnknown, detail));
        }
        let up = self
            .link
            .up_within(INTEND_PATIENCE)
            .await
            .map_err(|fault| AdapterFault::from(&*fault))?;
        if let Ask::ToolCall { tool, .. } = &work.ask {
            tool::check(&up, work, tool).await?;
        }
        let names = Names {
            v: 1,
            boot: up.connection.hello().boot.clone(),
            gateway: up.gateway,
            device: self.link.device().to_owned(),
            session: names::session_key(work, &handle),
            key: names::run_key(work),
            at: drive::now(),
        };
        Ok(names.intent())
    }

    async fn start(&self, work: Work, intent: Intent, reports: Reports, hold: Hold) {
        self.lead(work, intent, Progress::default(), reports, Some(hold)).await;
    }

    async fn adopt(&self, work: Work, intent: Intent, progress: Progress, reports: Reports) {
        self.lead(work, intent, progress, reports, None).await;
    }

    async fn stop(
        &self,
        work: &Work,
        intent: &Intent,
        why: StopReason,
    ) -> Result<Stopped, AdapterFault> {
        let named = Names::read(intent).zip(names::handle(work));
        let Some((names, _)) = named.filter(|(names, handle)| is_ours(work, names, handle)) else {
            return Ok(Stopped::NotRunning);
        };
        tracing::info!(run = %work.run, ?why, "asks the gateway to stop a run");
        if matches!(work.ask, Ask::ToolCall { .. }) {
            return Ok(self.calls.stop(&names.key));
        }
        self.stops.lock().unwrap_or_else(PoisonError::into_inner).insert(names.key.clone());
        let up = self.link.up().map_err(|fault| AdapterFault::from(&*fault))?;
        let stopped = if self.leads.is_anothers(&names.session, &names.key) {
            stop::stop_run(&up.connection, &names).await
        } else {
            stop::stop_work(&up.connection, work, &names).await
        };
        match stopped {
            Ok(true) => Ok(Stopped::Stopping),
            Ok(false) => Ok(Stopped::NotRunning),
            Err(fault) => Err(AdapterFault::from(&fault)),
        }
    }

    async fn stop_all(&self) -> Result<usize, AdapterFault> {
        let up = self.link.up().map_err(|fault| AdapterFault::from(&*fault))?;
        stop::stop_all(&up.connection).await.map_err(|fault| AdapterFault::from(&fault))
    }

    async fn resolve(
        &self,
        work: &Work,
        question: &str,
        vote: Vote,
    ) -> Result<ApprovalDecided, AdapterFault> {
        let up = self.link.up().map_err(|fault| AdapterFault::from(&*fault))?;
        let device = self.link.device();
        approval::resolve(&up.connection, &self.open, device, work, question, vote).await
    }
}

/// The names must be those that follow from the work: an intent cannot point at another's session.
fn is_ours(
    work: &Work,
    names: &Names,
    handle: &landbridge_proto::wire::name::SessionHandle,
) -> bool {
    names.session == names::session_key(work, handle) && names.key == names::run_key(work)
}

fn not_ours(asked: bool) -> Report {
    Report::Settled {
        ending: Ending::Failed,
        result: None,
        trouble: Some(Trouble {
            code: TroubleCode::GatewayError,
            detail: "the run's record is not one that this adapter wrote".to_owned(),
        }),
        usage: None,
        side_effects: if asked { SideEffects::Unknown } else { SideEffects::None },
    }
}

const INTEND_PATIENCE: Duration = Duration::from_millis(1_500);

/// Why there is no connection when no attempt has failed.
const CONNECTING: &str = "not connected yet; the bridge is connecting";
