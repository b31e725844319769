//! The setting: a model, a gateway, two bridges that were introduced, and a wire that can be cut.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use landbridge_harness::gateway::{Gateway, Installed};
use landbridge_harness::model::Model;
use landbridge_harness::operator::{Operator, Who};
use landbridge_harness::plugin::load_approvals;
use landbridge_harness::proxy::Proxy;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::bridge::{Bridge, Work, free_port, text};
use crate::follow::Follow;
use crate::story::Story;

/// An answer that takes a while, at a chunk for each word.
pub const WORDS: &str = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen \
    fifteen sixteen seventeen eighteen nineteen twenty";

/// Everything, running.
#[derive(Debug)]
pub struct World {
    /// The model that the gateway asks.
    pub model: Model,
    /// The gateway behind B.
    pub gateway: Mutex<Gateway>,
    /// The caller's bridge.
    pub a: Bridge,
    /// The executor's bridge.
    pub b: Bridge,
    /// Between A and B.
    pub wire: Proxy,
    /// Between B and its gateway, where B's device may answer approvals.
    pub line: Option<Proxy>,
    url: String,
    port: u16,
    token: String,
    place: TempDir,
}

/// A run to start.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The route.
    pub gateway: &'static str,
    /// The agent.
    pub agent: &'static str,
    /// The prompt.
    pub prompt: String,
    /// The idempotency key.
    pub key: String,
    /// How long it may take.
    pub deadline: &'static str,
    /// The session to continue.
    pub session: Option<String>,
    /// How it uses the session, where there is one.
    pub mode: &'static str,
}

impl Ask {
    /// A prompt for the agent that need not ask before it runs commands; the first word is its marker.
    #[must_use]
    pub fn new(prompt: &str) -> Self {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).expect("randomness");
        let key: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let prompt = prompt.to_owned();
        Self {
            gateway: "eu",
            agent: "auto",
            prompt,
            key,
            deadline: "5m",
            session: None,
            mode: "turn",
        }
    }

    fn arguments(&self) -> Vec<&str> {
        let mut arguments = vec!["run", "start", self.gateway, "--agent", self.agent, "--detach"];
        arguments.extend(["--prompt", &self.prompt, "--key", &self.key]);
        arguments.extend(["--deadline", self.deadline]);
        if let Some(session) = &self.session {
            arguments.extend(["--mode", self.mode, "--session", session]);
        }
        arguments
    }
}

impl World {
    /// Sets everything up; `None`, with a word on stderr, where no gateway is installed.
    pub async fn set() -> Option<Arc<Self>> {
        Self::set_with(|_| {}).await
    }

    /// As [`World::set`], with changes to the gateway's configuration.
    pub async fn set_with(change: impl FnOnce(&mut Value)) -> Option<Arc<Self>> {
        Self::set_up(change, false).await
    }

    /// As [`World::set`], on a gateway with the product's plugin, which B's device may answer. `settings` are
    /// the plugin's.
    pub async fn set_for_approvals(settings: &Value) -> Option<Arc<Self>> {
        Self::set_up(|config| load_approvals(config, settings), true).await
    }

    async fn set_up(change: impl FnOnce(&mut Value), approvals: bool) -> Option<Arc<Self>> {
        let installed = Installed::from_env()?;
        let model = Model::start().await.expect("the model starts");
        let gateway = Gateway::start_with(&installed, &model.url(), |config| {
            with_tenants(config);
            change(config);
        })
        .await;
        let gateway = gateway.expect("the gateway starts");
        let place = tempfile::Builder::new().prefix("landbridge-e2e-").tempdir().expect("a folder");
        let (a_port, b_port) = (free_port(), free_port());
        let wire = Proxy::start(b_port).await.expect("the wire");
        let a = Bridge::init(place.path(), "a", a_port, a_port, &Work::Scripted).await;
        a.settings(ROUTES);
        let line = match approvals {
            true => Some(Proxy::start(gateway.port()).await.expect("the line")),
            false => None,
        };
        let through = |line: &Proxy| format!("ws://127.0.0.1:{}", line.port());
        let url = line.as_ref().map_or_else(|| gateway.url(), through);
        let work = Work::OpenClaw(url.clone());
        let b = Bridge::init(place.path(), "b", b_port, wire.port(), &work).await;
        let (token, port) = (gateway.token().to_owned(), gateway.port());
        let gateway = Mutex::new(gateway);
        let world = Self { model, gateway, a, b, wire, line, url, port, token, place };
        world.connect(&world.b).await;
        world.a.serve().await;
        world.b.serve().await;
        world.b.reaches_gateway().await;
        world.introduce(&world.b, "eu", "us").await;
        world.grant(&world.b, "us", "auto", "default:default").await;
        world.grant(&world.b, "us", "main", "default:default").await;
        Some(Arc::new(world))
    }

    /// Another bridge beside the same gateway, introduced to A by a name.
    pub async fn another(&self, name: &'static str) -> Bridge {
        let port = free_port();
        let work = Work::OpenClaw(self.url.clone());
        let bridge = Bridge::init(self.place.path(), name, port, port, &work).await;
        self.connect(&bridge).await;
        bridge.serve().await;
        bridge.reaches_gateway().await;
        self.introduce(&bridge, name, "us").await;
        self.grant(&bridge, "us", "auto", "default:default").await;
        bridge
    }

    /// A bridge that knows nobody and is connected to nothing.
    pub async fn stranger(&self, name: &str) -> Bridge {
        let port = free_port();
        let work = Work::OpenClaw(self.url.clone());
        Bridge::init(self.place.path(), name, port, port, &work).await
    }

    /// Where a file of this name would be; nobody else writes there.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Writes a file that holds a token, and returns its path.
    pub fn token_file(&self, token: &str) -> String {
        let path = self.place.path().join(format!("token-{}", token.len()));
        std::fs::write(&path, token).expect("the token's file");
        path.to_string_lossy().into_owned()
    }

    /// Pairs a bridge's device with the gateway.
    pub async fn connect(&self, bridge: &Bridge) -> Value {
        let file = self.token_file(&self.token);
        let mut arguments = vec!["gateway", "connect", "--token-file", &file];
        arguments.extend(self.line.as_ref().map(|_| "--approvals"));
        let paired = bridge.json(&arguments).await;
        assert_eq!(paired["state"], "paired", "{paired}");
        paired
    }

    /// Introduces A and an executor to each other.
    async fn introduce(&self, executor: &Bridge, theirs: &str, ours: &str) {
        let invite = text(&executor.json(&["peer", "invite", ours]).await, "invite");
        let joined = self.a.json(&["peer", "join", &invite, "--alias", theirs]).await;
        let words = text(&executor.json(&["peer", "show", ours]).await, "words");
        self.a.json(&["peer", "accept", theirs, "--words", &words]).await;
        executor.json(&["peer", "accept", ours, "--words", &text(&joined, "words")]).await;
    }

    /// Lets a peer of an executor use an agent, for a pair of tenants, and see everything.
    pub async fn grant(&self, executor: &Bridge, peer: &str, agent: &str, tenant: &str) {
        let mut arguments = vec!["grant", "add", peer, "--agent", agent, "--tenant", tenant];
        arguments.extend(["--mode", "session", "--mode", "turn", "--mode", "subagent"]);
        arguments.extend(["--disclose-tool-args", "full", "--disclose-tool-results", "full"]);
        arguments.extend(["--concurrent-max", "32", "--starts-per-second", "100"]);
        executor.json(&arguments).await;
    }

    /// Starts a run, or attaches to one, as A answers.
    pub async fn start(&self, ask: &Ask) -> Value {
        self.a.json(&ask.arguments()).await
    }

    /// A start that A must refuse.
    pub async fn refused(&self, ask: &Ask) -> (i32, Value) {
        self.a.refused(&ask.arguments()).await
    }

    /// Starts a run and follows it.
    pub async fn follow(&self, ask: &Ask) -> Follow {
        let run = text(&self.start(ask).await, "run");
        self.a.follow(&run, 0)
    }

    /// Leads a run to its end and verifies its transcript.
    pub async fn run(&self, ask: &Ask) -> Story {
        let story = self.follow(ask).await.end().await;
        self.verify(&story).await;
        story
    }

    /// Reads a run again from the beginning: the same frames, byte for byte.
    pub async fn same_again(&self, ask: &Ask, story: &Story) {
        let again = self.start(ask).await;
        assert_eq!((&again["run"], &again["attached"]), (&json!(story.run()), &json!(true)));
        let replayed = self.a.follow(story.run(), 0).end().await;
        assert_eq!(replayed.lines(), story.lines());
    }

    /// The exported transcript verifies, and holds the frames that the client saw.
    pub async fn verify(&self, story: &Story) {
        self.verify_by(story, &self.b).await;
    }

    /// As [`World::verify`], for another executor.
    pub async fn verify_by(&self, story: &Story, executor: &Bridge) {
        let file = self.place.path().join(format!("{}.jsonl", story.run()));
        let path = file.to_string_lossy().into_owned();
        self.a.json(&["run", "export", story.run(), "--output", &path]).await;
        let verdict = self.a.output(&["verify", &path, "--pin", executor.id()]).await;
        let said = String::from_utf8_lossy(&verdict.stdout);
        // What never began was never sealed: then the caller's own word is all there is.
        let sealed = story.terminal()["by"] == "executor";
        assert_eq!(verdict.status.code(), Some(if sealed { 0 } else { 5 }), "{said}\n{story}");
        if sealed {
            let transcript = std::fs::read_to_string(&file).expect("the transcript");
            assert_eq!(frames(&transcript), story.lines(), "the transcript of {story}");
        }
    }

    /// The prompt with this marker was begun once, however often the gateway itself went on with it.
    pub fn executed_once(&self, marker: &str) {
        let asked = self.model.asked_with(marker);
        let told: Vec<_> = asked.iter().map(|asked| (asked.step, asked.resumed)).collect();
        assert_eq!(self.model.executions(marker), 1, "{marker}: (step, resumed) {told:?}");
    }

    /// The model was asked exactly so often, whoever began it.
    pub fn asked(&self, marker: &str, times: usize) {
        let asked = self.model.asked_with(marker);
        let told: Vec<_> = asked.iter().map(|asked| (asked.step, asked.resumed)).collect();
        assert_eq!(told.len(), times, "{marker}: (step, resumed) {told:?}");
    }

    /// The model was not asked more often than this.
    pub fn asked_at_most(&self, marker: &str, times: usize) {
        let asked = self.model.asked_with(marker).len();
        assert!(asked <= times, "{marker}: asked {asked} times");
    }

    /// Waits until the model was asked.
    pub async fn model_has(&self, marker: &str) {
        until(&format!("the model is asked {marker}"), || {
            !self.model.asked_with(marker).is_empty()
        })
        .await;
    }

    /// An operator of the gateway, with every scope.
    pub async fn operator(&self) -> Operator {
        let scopes = &["operator.admin", "operator.pairing", "operator.read"];
        let who = Who { seed: [7; 32], auth: "token", token: &self.token, scopes };
        Operator::connect(self.port, &who).await.expect("the gateway knows its token")
    }

    /// Something of this session runs at the gateway now.
    pub async fn is_active(&self, agent: &str, session: &str) -> bool {
        let params = json!({"sessionKey": format!("agent:{agent}:{session}")});
        let answer = self.operator().await.call("chat.history", &params).await.expect("an answer");
        assert_eq!(answer["ok"], true, "{answer}");
        answer["payload"]["sessionInfo"]["hasActiveRun"] == true
    }
}

/// The frame lines that a transcript holds.
fn frames(transcript: &str) -> Vec<String> {
    let lines = transcript.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["type"] == "frame").map(|line| text(&line, "value")).collect()
}

/// Asks again and again until it is so.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    until_within(Duration::from_secs(60), what, is_so).await;
}

/// Asks again and again until it is so, for as long as said.
pub async fn until_within(time: Duration, what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + time;
    while !is_so() {
        assert!(Instant::now() < end, "not so within {time:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An agent for each tenant: inside one agent of OpenClaw there are no walls.
fn with_tenants(config: &mut Value) {
    for tenant in ["acme", "bolt"] {
        let shared = text(&config["agents"]["defaults"], "workspace");
        config["agents"]["entries"][tenant] = json!({"workspace": format!("{shared}-{tenant}")});
    }
}

const ROUTES: &str = r#"
[routes.acme]
peer = "eu"
tenant = { local = "acme", remote = "acme-eu" }

[routes.bolt]
peer = "eu"
tenant = { local = "bolt", remote = "bolt-eu" }
"#;
