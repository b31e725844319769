//! What the tests against a real gateway share.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "tests; each file uses a part"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use landbridge_harness::gateway::Gateway;
use landbridge_node::adapter::{
    Adapter, ApprovalDecided, ApprovalNeeded, Ask, Channel, Ending, Hold, Intent, Progress, Report,
    SideEffects, Trouble, Usage, Work,
};
use landbridge_openclaw::{Authority, OpenClaw, OpenClawConfig, Pairing, Secret, pair};
use landbridge_proto::wire::name::{AgentName, GatewayId, RunId, TenantId, TenantPair, Timestamp};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A bridge with a device of its own at the gateway.
pub struct Bridge {
    pub config: OpenClawConfig,
    pub adapter: Arc<OpenClaw>,
    _home: tempfile::TempDir,
}

impl Bridge {
    pub async fn paired(gateway: &Gateway) -> Self {
        Self::paired_at(gateway, gateway.port()).await
    }

    /// Pairs directly, then works through `port`.
    pub async fn paired_at(gateway: &Gateway, port: u16) -> Self {
        Self::paired_for(gateway, port, Authority::Runs).await
    }

    /// Pairs a device that may answer approvals.
    pub async fn paired_for_approvals(gateway: &Gateway) -> Self {
        Self::paired_for(gateway, gateway.port(), Authority::RunsAndApprovals).await
    }

    async fn paired_for(gateway: &Gateway, port: u16, authority: Authority) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut config = OpenClawConfig::new(gateway.url(), home.path().join("gateway"));
        let token = Secret::new(gateway.token().to_owned());
        let pairing = pair(&config, token, authority).await.unwrap();
        let Pairing::Paired { mut scopes, .. } = pairing else { panic!("{pairing:?}") };
        scopes.sort();
        assert_eq!(scopes, authority.scopes());
        config.url = format!("ws://127.0.0.1:{port}");
        let adapter = Arc::new(OpenClaw::open(&config).unwrap());
        adapter.ready(Duration::from_secs(20)).await.unwrap();
        Self { config, adapter, _home: home }
    }

    /// The adapter of a new process of the same bridge.
    pub fn restarted(&self) -> Arc<OpenClaw> {
        Arc::new(OpenClaw::open(&self.config).unwrap())
    }

    pub fn state_dir(&self) -> PathBuf {
        self.config.state_dir.clone()
    }

    /// Commits to the work and starts it.
    pub async fn start(&self, work: &Work) -> Watch {
        let intent = self.adapter.intend(work).await.unwrap();
        start(&self.adapter, work, intent)
    }

    /// Does the work to its end.
    pub async fn run(&self, work: &Work) -> Story {
        self.start(work).await.end().await
    }
}

pub fn start(adapter: &Arc<OpenClaw>, work: &Work, intent: Intent) -> Watch {
    let (sender, reports) = mpsc::channel(256);
    let (adapter, work, kept) = (Arc::clone(adapter), work.clone(), intent.clone());
    let task =
        tokio::spawn(async move { adapter.start(work, intent, sender, Hold::new().0).await });
    Watch { intent: kept, reports, task, story: Story::default() }
}

pub fn adopt(adapter: &Arc<OpenClaw>, work: &Work, intent: Intent, progress: Progress) -> Watch {
    let (sender, reports) = mpsc::channel(256);
    let (adapter, work, kept) = (Arc::clone(adapter), work.clone(), intent.clone());
    let story = Story { progress: progress.clone(), ..Story::default() };
    let task = tokio::spawn(async move { adapter.adopt(work, intent, progress, sender).await });
    Watch { intent: kept, reports, task, story }
}

pub fn work(prompt: &str) -> Work {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut number =
        NEXT.fetch_add(1, Ordering::Relaxed) + 1_000_000 * u64::from(std::process::id());
    let mut name = String::new();
    for _ in 0..26 {
        name.push(char::from(b'a' + u8::try_from(number % 26).unwrap()));
        number /= 26;
    }
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    Work {
        run: RunId::new(format!("run-{name}")).unwrap(),
        caller: GatewayId::new(format!("gw1-{}", "b".repeat(52))).unwrap(),
        tenant: TenantPair {
            src: TenantId::new("acme").unwrap(),
            dst: TenantId::new("here").unwrap(),
        },
        agent: AgentName::new("auto").unwrap(),
        mode: landbridge_node::adapter::Mode::Session,
        session: None,
        ask: Ask::Prompt(prompt.to_owned()),
        deadline: Timestamp(i64::try_from(now).unwrap()).plus_ms(600_000),
    }
}

/// A run being watched.
pub struct Watch {
    pub intent: Intent,
    pub story: Story,
    reports: mpsc::Receiver<Report>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Reads reports until one fits.
    pub async fn until(&mut self, fits: impl Fn(&Story) -> bool) {
        let wait = async {
            while !fits(&self.story) {
                let report = self.reports.recv().await.expect("the run goes on");
                self.story.tell(report);
            }
        };
        if tokio::time::timeout(Duration::from_secs(120), wait).await.is_err() {
            panic!("nothing came: {:#?}", self.story);
        }
    }

    /// Reads to the end.
    pub async fn end(mut self) -> Story {
        self.until(|story| story.end.is_some()).await;
        assert!(self.reports.recv().await.is_none(), "nothing follows the end");
        self.task.await.unwrap();
        self.story.check();
        self.story
    }

    /// Stops watching, as a process that dies would.
    pub async fn abandon(self) -> (Intent, Story) {
        drop(self.reports);
        self.task.await.unwrap();
        (self.intent, self.story)
    }
}

/// What a run's reports tell, put together as the bridge's log does.
#[derive(Clone, Debug, Default)]
pub struct Story {
    pub all: Vec<Report>,
    pub progress: Progress,
    pub calls: Vec<(String, String, String)>,
    pub results: Vec<(String, bool, String)>,
    pub errors: Vec<Trouble>,
    pub needed: Vec<ApprovalNeeded>,
    pub decided: Vec<ApprovalDecided>,
    pub end: Option<End>,
}

#[derive(Clone, Debug)]
pub struct End {
    pub ending: Ending,
    pub result: Option<String>,
    pub trouble: Option<Trouble>,
    pub usage: Option<Usage>,
    pub side_effects: SideEffects,
}

impl Story {
    pub fn tell(&mut self, report: Report) {
        self.all.push(report.clone());
        let progress = &mut self.progress;
        match report.clone() {
            Report::Started { .. } => {
                assert!(!progress.started, "started once");
                progress.started = true;
            }
            Report::Output { channel, text, replace } => {
                let told = match channel {
                    Channel::Answer => &mut progress.answer,
                    Channel::Thinking => &mut progress.thinking,
                };
                if replace {
                    told.clear();
                }
                told.push_str(&text);
            }
            Report::Usage(usage) => progress.usage = Some(usage),
            Report::ToolCall { call, tool, args } => {
                assert!(progress.calls.insert(call.clone()), "call {call} once");
                self.calls.push((call, tool, args));
            }
            Report::ToolResult { call, ok, text } => {
                assert!(progress.calls.contains(&call), "call before result");
                assert!(progress.results.insert(call.clone()), "result {call} once");
                self.results.push((call, ok, text));
            }
            Report::PhaseEnd { phase, .. } => progress.phases.push(phase),
            Report::Error(trouble) => {
                progress.errors += 1;
                self.errors.push(trouble);
            }
            Report::ApprovalNeeded(needed) => self.needed.push(*needed),
            Report::ApprovalDecided(decided) => {
                let asked = |needed: &ApprovalNeeded| needed.question == decided.question;
                assert!(self.needed.iter().any(asked), "asked before decided");
                self.decided.push(decided);
            }
            Report::ApprovalRequested(_) | Report::ApprovalResolved(_) => {
                panic!("these are the bridge's own: {report:?}")
            }
            Report::Settled { ending, result, trouble, usage, side_effects } => {
                assert!(self.end.is_none(), "one end");
                self.end = Some(End { ending, result, trouble, usage, side_effects });
            }
        }
    }

    /// Goes on with what an earlier process heard.
    pub fn after(&self, later: &Self) -> Self {
        let mut whole = self.clone();
        for report in &later.all {
            whole.tell(report.clone());
        }
        whole
    }

    /// What holds of every finished run.
    pub fn check(&self) {
        let end = self.end();
        if end.ending == Ending::Succeeded {
            assert_eq!(
                end.result.as_deref(),
                Some(self.progress.answer.as_str()),
                "{:#?}",
                self.all
            );
            assert!(end.trouble.is_none());
        }
        if end.ending == Ending::Failed {
            assert!(end.trouble.is_some());
        }
        assert_eq!(
            self.progress.calls.len(),
            self.progress.results.len().max(self.progress.calls.len())
        );
        let troubles = end.trouble.iter().chain(&self.errors);
        for trouble in troubles {
            assert!(!trouble.detail.contains('/'), "{trouble:?}");
        }
    }

    pub fn end(&self) -> &End {
        self.end.as_ref().expect("an end")
    }

    pub fn answer(&self) -> &str {
        &self.progress.answer
    }
}

/// A gateway takes seconds to start, so scenarios share one. Each is led to its end, fails alone, and
/// is named.
#[derive(Default)]
pub struct Scenarios(Vec<(&'static str, Result<(), tokio::task::JoinError>)>);

impl Scenarios {
    pub async fn play(
        &mut self,
        name: &'static str,
        scenario: impl Future<Output = ()> + Send + 'static,
    ) {
        let only = std::env::var("LANDBRIDGE_SCENARIO").unwrap_or_default();
        if !name.contains(only.as_str()) {
            return;
        }
        let begun = std::time::Instant::now();
        let played = tokio::spawn(scenario).await;
        let verdict = if played.is_ok() { "ok" } else { "FAILED" };
        println!("scenario {name} ... {verdict} ({} ms)", begun.elapsed().as_millis());
        self.0.push((name, played));
    }

    pub fn finish(self) {
        let failed: Vec<_> =
            self.0.iter().filter(|(_, played)| played.is_err()).map(|(name, _)| name).collect();
        assert!(failed.is_empty(), "failed: {failed:?}");
    }
}

/// The same names again: they follow from the work.
pub async fn intent_of(bridge: &Bridge, work: &Work) -> Intent {
    bridge.adapter.intend(work).await.unwrap()
}
