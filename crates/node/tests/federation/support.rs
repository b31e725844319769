//! Two real bridges in one process, without a socket: what one of them is asked, bytes by hand.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request as HttpRequest};
use http_body_util::BodyExt as _;
use landbridge_node::adapter::{
    Adapter, AdapterFault, ApprovalDecided, Description, Hold, Intent, Progress, Reports,
    StopReason, Stopped, Trouble, TroubleCode, Vote, Work,
};
use landbridge_node::approvals::Approvals;
use landbridge_node::bridge::{Bridge, Principal};
use landbridge_node::call::Calls;
use landbridge_node::clock::{Clock as _, SeededEntropy, VirtualClock};
use landbridge_node::contact::Contacts;
use landbridge_node::core::{Core, Route, Settings, Wakes};
use landbridge_node::execute::Executions;
use landbridge_node::federation::Federation;
use landbridge_node::halt::Halt;
use landbridge_node::identity::current::CurrentIdentity;
use landbridge_node::identity::{Identity, NewIdentity, load_key, offline_key};
use landbridge_node::local::api::{RunView, StartRun};
use landbridge_node::net::accept::{Server, Settings as Accepting, TransportSecurity};
use landbridge_node::net::client::{Client, ClientSettings};
use landbridge_node::net::endpoint::Endpoint;
use landbridge_node::net::limit_body::RequestBody;
use landbridge_node::net::listen::MemoryNetwork;
use landbridge_node::net::{App, ResponseBody};
use landbridge_node::room::Unrecorded;
use landbridge_node::scripted::Scripted;
use landbridge_node::trust::{Trust, TrustError};
use landbridge_proto::machine::admission::PROTO;
use landbridge_proto::machine::contract::{AuditEvent, DocumentKind, DocumentRow, EntryRow, Write};
use landbridge_proto::machine::operation::Operation;
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::federation::FederationDraft;
use landbridge_proto::trust::pairing::Invite;
use landbridge_proto::trust::signer::{Signer as _, sign_typed};
use landbridge_proto::wire::document::{
    Disclose, Disclosure, EndpointUrl, FormVersion, Grant, PairingRequest, Peer, PeerStatus, Root,
    raw,
};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::{PayloadKind, Role};
use landbridge_proto::wire::name::{
    AgentName, Alias, GatewayId, IdempotencyKey, KeyId, Owner, RunId, TenantId, TenantPair,
    Timestamp,
};
use landbridge_proto::wire::problem::Problem;
use landbridge_proto::wire::request::{
    AgentTarget, Ask, Attach, Body, CallerIdentity, Mode, Refusal, Request, Start, Target,
};
use landbridge_proto::wire::sse::{Event, SseReader};
use landbridge_proto::wire::stream::Seen;
use landbridge_store::{Handle, memory};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);
pub(crate) const MINUTE_MS: i64 = 60_000;

/// One bridge: everything but its listener.
pub(crate) struct Side {
    home: Arc<TempDir>,
    pub(crate) core: Arc<Core>,
    pub(crate) plane: Federation,
    pub(crate) bridge: Bridge,
    pub(crate) calls: Arc<Calls>,
    /// The store's model, whose room a test may take away.
    pub(crate) disk: memory::Engine,
    endpoint: Endpoint,
}

/// A asks, B executes.
pub(crate) struct World {
    pub(crate) clock: VirtualClock,
    pub(crate) network: MemoryNetwork,
    pub(crate) a: Side,
    pub(crate) b: Side,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    /// Two bridges that have pinned each other; `settings` are B's.
    pub(crate) async fn with(settings: Settings) -> Self {
        Self::of(Settings::default(), settings).await
    }

    /// As [`World::with`], with settings for A too; its route is added.
    pub(crate) async fn of(ours: Settings, settings: Settings) -> Self {
        let world = Self::apart(ours, settings).await;
        world.a.pin("eu", &world.b, Vec::new()).await;
        world.b.pin("us", &world.a, vec![grant()]).await;
        world
    }

    /// Two bridges that do not know each other.
    pub(crate) async fn strangers() -> Self {
        Self::apart(Settings::default(), Settings::default()).await
    }

    async fn apart(ours: Settings, settings: Settings) -> Self {
        let (clock, network) = (VirtualClock::new(NOW), MemoryNetwork::new());
        let eu = Route {
            peer: Alias::new("eu").unwrap(),
            tenant: pair(),
            agent: Some(AgentName::new("demo").unwrap()),
            deadline_ms_max: None,
        };
        let mut routes = ours.routes.clone();
        routes.insert(Alias::new("eu").unwrap(), eu);
        let a = Side::new("us", 1, Settings { routes, ..ours }, &clock, &network);
        let b = Side::new("eu", 2, settings, &clock, &network);
        let (a, b) = (a.await, b.await);
        Self { clock, network, a, b }
    }

    /// Anything under B's name and TLS key.
    pub(crate) fn serve_app(&self, app: App) -> CancellationToken {
        self.serve_as(&self.b, app)
    }

    /// Anything under the name and the TLS key of a side.
    pub(crate) fn serve_as(&self, side: &Side, app: App) -> CancellationToken {
        let tls = TransportSecurity::Tls(side.core.identity.tls().server_config().unwrap());
        let (server, stop) =
            (Server::new(Accepting::default(), tls, app), CancellationToken::new());
        tokio::spawn(server.run(self.network.listen(side.endpoint.clone()), stop.clone()));
        stop
    }

    /// A third bridge, which nobody knows.
    pub(crate) async fn third(&self) -> Side {
        Side::new("third", 3, Settings::default(), &self.clock, &self.network).await
    }

    /// A's pairing by an invite of B, as it is sent.
    pub(crate) fn pairing_body(&self, invite: &Invite) -> Vec<u8> {
        let core = &self.a.core;
        let request = PairingRequest::try_from(raw::PairingRequest {
            aud: invite.inviter(),
            exp: self.clock.now().plus_ms(MINUTE_MS),
            genesis: core.identity.present().root().genesis_digest(),
            iat: self.clock.now(),
            invite: invite.id(),
            iss: core.own().clone(),
            jti: core.new_jti().unwrap(),
            proof: invite.secret.proof(&invite.inviter(), core.own()),
            v: FormVersion,
        });
        let request = core.identity.present().sign(&request.unwrap(), core.now()).unwrap();
        let status = core.trust.state().status.clone().unwrap();
        let roots = Some(core.identity.present().chain().to_vec());
        Operation { roots, status, request, held: None }.to_bytes()
    }

    /// A's request with everything right.
    pub(crate) fn request(&self, body: Body) -> Request {
        let core = &self.a.core;
        Request {
            aud: self.b.core.own().clone(),
            body,
            exp: self.clock.now().plus_ms(MINUTE_MS),
            iat: self.clock.now(),
            iss: core.own().clone(),
            jti: core.new_jti().unwrap(),
            proto: vec![PROTO],
            seen: Seen::default(),
            tenant: pair(),
            traceparent: None,
        }
    }

    /// The body of an operation: A's status and this request, signed.
    pub(crate) fn operation(&self, request: &Request) -> (Vec<u8>, Envelope) {
        let core = &self.a.core;
        let request = core.identity.present().sign(request, core.now()).unwrap();
        let status = core.trust.state().status.clone().unwrap();
        (
            Operation { roots: None, status, request: request.clone(), held: None }.to_bytes(),
            request,
        )
    }

    /// Sends B a request, as `op` says.
    pub(crate) async fn ask(&self, request: &Request) -> Reply {
        let (bytes, envelope) = self.operation(request);
        Reply { request: Some(envelope), ..self.post(request.body.op().path(), bytes).await }
    }

    /// Sends B the operation of a request, with what A holds beside it.
    pub(crate) async fn show(&self, request: &Request, held: Vec<Envelope>) -> Reply {
        let (bytes, envelope) = self.operation(request);
        let operation = Operation { held: Some(held), ..Operation::parse(&bytes).unwrap() };
        let path = request.body.op().path();
        Reply { request: Some(envelope), ..self.post(path, operation.to_bytes()).await }
    }

    pub(crate) async fn ask_for(&self, body: Body) -> Reply {
        self.ask(&self.request(body)).await
    }

    pub(crate) async fn post(&self, path: &str, bytes: Vec<u8>) -> Reply {
        self.send(Method::POST, path, &[("content-type", "application/json")], bytes).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], Vec::new()).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        bytes: Vec<u8>,
    ) -> Reply {
        let mut request = HttpRequest::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(RequestBody::full(bytes)).unwrap();
        let (head, body) = self.b.plane.answer(request).await.into_parts();
        let media = head.headers.get("content-type").map(|value| value.to_str().unwrap());
        Reply {
            status: head.status.as_u16(),
            media: media.unwrap_or_default().to_owned(),
            headers: head.headers,
            body,
            request: None,
        }
    }

    /// Whom A's runs belong to.
    pub(crate) fn owner(&self) -> Owner {
        Owner { caller: self.a.core.own().clone(), tenant: pair() }
    }

    /// Starts a run through A's local face.
    pub(crate) async fn start_run(&self, name: &str, prompt: &str) -> RunView {
        let start =
            serde_json::json!({"gateway": "eu", "prompt": prompt, "idempotencyKey": key(name)});
        let start: StartRun = serde_json::from_value(start).unwrap();
        self.a.bridge.start_run(&Principal::Admin, start).await.unwrap()
    }

    /// Waits, moving the clock, until A's journal entry is as wanted.
    pub(crate) async fn until(
        &self,
        run: &RunId,
        mut wanted: impl FnMut(&EntryRow) -> bool,
    ) -> EntryRow {
        for _ in 0..5_000 {
            let entry = self.a.core.store.reads().entry(run).unwrap().unwrap();
            if wanted(&entry) {
                return entry;
            }
            self.clock.advance_ms(20);
            // Real work is done by other tasks, some of it behind real timers of the transport.
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        let entry = self.a.core.store.reads().entry(run).unwrap().unwrap();
        panic!("not reached: {entry:?}; {:?}", self.a.calls.connection(run));
    }
}

impl Side {
    async fn new(
        name: &str,
        seed: u64,
        settings: Settings,
        clock: &VirtualClock,
        network: &MemoryNetwork,
    ) -> Self {
        let home = Arc::new(tempfile::tempdir().unwrap());
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(home.path(), private).unwrap();
        let url = format!("https://{name}.example:7443");
        let entropy = SeededEntropy::new(seed);
        let new = NewIdentity { endpoints: vec![EndpointUrl::new(&url).unwrap()], now: NOW };
        let place = home.path().join("bridge");
        Identity::create(&place, &new, &entropy).unwrap();
        let identity = Identity::load(&place).unwrap();
        let clock = Arc::new(clock.clone());
        let adapter = Scripted::open(&home.path().join("gateway"), clock.clone()).unwrap();
        let disk = memory::Engine::default();
        let store = Handle::inline(disk.clone(), disk.clone());
        let core = Arc::new(Core {
            trust: Trust::load(&identity, &store, NOW).unwrap(),
            identity: CurrentIdentity::new(&place, identity).unwrap(),
            store,
            clock,
            entropy: Arc::new(entropy),
            adapter: Arc::new(adapter),
            client: Client::new(ClientSettings::default(), Arc::new(network.clone())),
            settings,
            epoch: 1,
            halt: Halt::default(),
            draining: CancellationToken::new(),
            stopping: CancellationToken::new(),
            wakes: Wakes::default(),
            // As after a time without room: nothing that is asked in a test was signed before it.
            unrecorded: Unrecorded::new(true, NOW),
            contacts: Contacts::default(),
            tally: Arc::default(),
            approvals: Approvals::default(),
        });
        core.trust.refresh_status(&core).await.unwrap();
        let executions = Arc::new(Executions::default());
        let calls = Arc::new(Calls::default());
        Self {
            plane: Federation::new(Arc::clone(&core), Arc::clone(&executions)),
            bridge: Bridge::new(Arc::clone(&core), Arc::clone(&calls), executions),
            calls,
            disk,
            endpoint: Endpoint::parse(&url).unwrap(),
            home,
            core,
        }
    }

    /// The next process of this side, on what the last one left on disk. With `deaf`, its gateway takes no
    /// answer to a question.
    pub(crate) async fn again(&self, world: &World, deaf: bool) -> Self {
        self.core.stopping.cancel();
        let identity = Identity::load(&self.home.path().join("bridge")).unwrap();
        let clock = Arc::new(world.clock.clone());
        let scripted = Scripted::open(&self.home.path().join("gateway"), clock.clone()).unwrap();
        let scripted: Arc<dyn Adapter> = Arc::new(scripted);
        let disk = self.disk.clone();
        let store = Handle::inline(disk.clone(), disk.clone());
        let core = Arc::new(Core {
            trust: Trust::load(&identity, &store, world.clock.now()).unwrap(),
            identity: CurrentIdentity::new(&self.home.path().join("bridge"), identity).unwrap(),
            store,
            clock,
            entropy: Arc::clone(&self.core.entropy),
            adapter: if deaf { Arc::new(Deaf(scripted)) } else { scripted },
            client: Client::new(ClientSettings::default(), Arc::new(world.network.clone())),
            settings: self.core.settings.clone(),
            epoch: self.core.epoch + 1,
            halt: Halt::default(),
            draining: CancellationToken::new(),
            stopping: CancellationToken::new(),
            wakes: Wakes::default(),
            unrecorded: Unrecorded::new(true, NOW),
            contacts: Contacts::default(),
            approvals: Approvals::default(),
            tally: Arc::default(),
        });
        core.trust.refresh_status(&core).await.unwrap();
        let executions = Arc::new(Executions::default());
        let calls = Arc::new(Calls::default());
        for row in core.store.reads().open_runs().unwrap() {
            let seat = executions.seats().keep(&row.owner);
            executions.drive(&core, row, seat);
        }
        for entry in core.store.reads().open_entries().unwrap() {
            calls.take_up(&core, entry);
        }
        tokio::spawn(landbridge_node::approvals::watch(Arc::clone(&core)));
        Self {
            plane: Federation::new(Arc::clone(&core), Arc::clone(&executions)),
            bridge: Bridge::new(Arc::clone(&core), Arc::clone(&calls), executions),
            calls,
            disk,
            endpoint: self.endpoint.clone(),
            home: Arc::clone(&self.home),
            core,
        }
    }

    /// This side's roots, and so many more after them, all as they must be.
    pub(crate) fn endless_roots(&self, count: usize) -> Vec<Envelope> {
        let path = offline_key(&self.home.path().join("bridge"), Role::Root);
        let signer = load_key(&path, Role::Root).unwrap();
        let mut chain = self.core.identity.present().chain().to_vec();
        let mut root = raw::Root::from(self.core.identity.present().root().root().clone());
        for _ in 0..count {
            root.version += 1;
            root.prev = chain.last().map(Envelope::digest);
            chain.push(sign_typed(&signer, &Root::try_from(root.clone()).unwrap()).unwrap());
        }
        chain
    }

    /// Keeps another side's documents.
    pub(crate) async fn know(&self, peer: &Self) {
        let (core, other) = (&self.core, &peer.core);
        let save = |kind, version, envelope: &Envelope| {
            let envelope = String::from_utf8(envelope.to_bytes()).unwrap();
            let gateway = other.own().clone();
            Write::SaveDocument(DocumentRow { gateway, kind, version, envelope, at: NOW })
        };
        let state = other.trust.state();
        let writes = vec![
            save(DocumentKind::Root, 1, &other.identity.present().chain()[0]),
            save(DocumentKind::Status, state.issued.seq, state.status.as_ref().unwrap()),
        ];
        core.commit(Step::new(Vec::new(), writes, ())).await.unwrap();
    }

    /// Keeps another side's documents and lets it ask for what `grants` say.
    pub(crate) async fn pin(&self, alias: &str, peer: &Self, grants: Vec<Grant>) {
        self.know(peer).await;
        let other = &peer.core;
        let core = &self.core;
        let mut draft = FederationDraft::first(core.own().clone());
        draft.put_peer(Peer {
            alias: Alias::new(alias).unwrap(),
            endpoints: Vec::new(),
            genesis: other.identity.present().root().genesis_digest(),
            gid: other.own().clone(),
            grants,
            min_root_version: 1,
            projections: Vec::new(),
            status: PeerStatus::Active,
        });
        self.put(draft).await;
    }

    /// Puts a federation document in force, signed by this side's own policy key.
    pub(crate) async fn put(&self, draft: FederationDraft) {
        self.try_put(draft).await.unwrap();
    }

    /// As [`Side::put`], whatever comes of it.
    pub(crate) async fn try_put(&self, draft: FederationDraft) -> Result<u64, TrustError> {
        let policy =
            load_key(&offline_key(&self.home.path().join("bridge"), Role::Policy), Role::Policy)
                .unwrap();
        let document = draft.finish(self.core.now()).unwrap();
        let envelope = sign_typed(&policy, &document).unwrap();
        self.core.trust.put_federation(&self.core, &envelope).await
    }

    /// Who this side is, read again from its files, as a new process would.
    pub(crate) fn identity_again(&self) -> Identity {
        Identity::load(&self.home.path().join("bridge")).unwrap()
    }

    /// The next version of the federation document.
    pub(crate) fn draft(&self) -> FederationDraft {
        self.core.trust.state().federation.as_ref().unwrap().draft()
    }

    pub(crate) fn audit(&self) -> Vec<AuditEvent> {
        let rows = self.core.store.reads().audit(0, 1_000).unwrap();
        rows.iter().map(|row| serde_json::from_str(&row.event).unwrap()).collect()
    }

    /// How often the audit log has this deed.
    pub(crate) fn deeds(&self, deed: &str) -> usize {
        self.audit().iter().filter(|event| event.deed == deed).count()
    }

    /// What the scripted gateway did because somebody approved it.
    pub(crate) fn effects(&self) -> Vec<String> {
        let log = self.home.path().join("gateway").join("effects.log");
        let text = std::fs::read_to_string(log).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Somebody at the scripted gateway answers.
    pub(crate) fn says(&self, answers: &str) {
        std::fs::write(self.home.path().join("gateway").join("answers"), answers).unwrap();
    }

    /// The scripted gateway loses its sessions.
    pub(crate) fn forget_sessions(&self) {
        for file in std::fs::read_dir(self.home.path().join("gateway")).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "session") {
                std::fs::remove_file(path).unwrap();
            }
        }
    }

    /// Prunes runs that ended before a moment.
    pub(crate) async fn prune_ended_before(&self, before: Timestamp) {
        let old = Timestamp(0);
        let prune =
            Write::Prune { jti_before: old, runs_before: before, entries_before: old, limit: 100 };
        self.core.commit(Step::new(Vec::new(), vec![prune], ())).await.unwrap();
    }

    /// The key that signs for a role now.
    pub(crate) fn key(&self, role: Role) -> KeyId {
        self.core.identity.present().signer(role, self.core.now()).unwrap().kid().clone()
    }

    pub(crate) fn open_runs(&self) -> usize {
        self.core.store.reads().open_runs().unwrap().len()
    }
}

/// What B answered.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) media: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: ResponseBody,
    request: Option<Envelope>,
}

impl Reply {
    pub(crate) async fn bytes(self) -> Bytes {
        self.body.collect().await.unwrap().to_bytes()
    }

    /// The code of an unsigned problem.
    pub(crate) async fn unsigned(self) -> String {
        assert_eq!(self.media, "application/problem+json");
        let status = self.status;
        let problem: Problem = serde_json::from_slice(&self.bytes().await).unwrap();
        assert_eq!(problem.status, status);
        problem.code_text().to_owned()
    }

    /// The problem that B signed for this very request; everything about its proof is checked.
    pub(crate) async fn signed(self, world: &World) -> Problem {
        assert_eq!(self.media, "application/vnd.gfp.envelope+json");
        let (status, request) = (self.status, self.request.as_ref().unwrap().digest());
        let refusal: Refusal = world.verified(&self.envelope().await);
        assert_eq!(refusal.request, request);
        assert_eq!(refusal.aud, *world.a.core.own());
        assert_eq!(refusal.iss, *world.b.core.own());
        assert_eq!(refusal.problem.status, status);
        refusal.problem
    }

    /// The code of a signed problem.
    pub(crate) async fn code(self, world: &World) -> String {
        self.signed(world).await.code_text().to_owned()
    }

    pub(crate) async fn envelope(self) -> Envelope {
        Envelope::parse(&self.bytes().await).unwrap()
    }

    /// Reads events; they come when the clock is moved.
    pub(crate) fn events(self) -> Events {
        assert_eq!((self.status, self.media.as_str()), (200, "text/event-stream"));
        Events { body: self.body, reader: SseReader::new(), ready: Vec::new().into() }
    }
}

impl World {
    /// What B signed, verified as A knows B.
    pub(crate) fn verified<T>(&self, envelope: &Envelope) -> T
    where
        T: PayloadKind + serde::Serialize + serde::de::DeserializeOwned + Clone,
    {
        let view = self.a.core.peer_view(self.b.core.own()).unwrap();
        view.verify::<T>(envelope, self.clock.now()).unwrap().value().clone()
    }
}

/// A stream's events.
pub(crate) struct Events {
    body: ResponseBody,
    reader: SseReader,
    ready: std::collections::VecDeque<Event>,
}

impl Events {
    /// The next event; `None` when the stream has ended in order.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        while self.ready.is_empty() {
            let chunk = self.body.frame().await?.unwrap().into_data().unwrap();
            self.ready.extend(self.reader.push(&chunk).unwrap());
        }
        self.ready.pop_front()
    }

    /// Everything up to where the stream ends or breaks off.
    pub(crate) async fn until_broken(mut self) -> Vec<Event> {
        let mut events = Vec::from(self.ready);
        while let Some(Ok(frame)) = self.body.frame().await {
            events.extend(self.reader.push(&frame.into_data().unwrap()).unwrap());
        }
        events
    }

    pub(crate) async fn accept(&mut self) -> Envelope {
        match self.next().await {
            Some(Event::Accept(accept)) => accept,
            other => panic!("a stream begins with its accept, not {other:?}"),
        }
    }

    /// Everything up to the end of the stream.
    pub(crate) async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// The lines of all frames among these events.
pub(crate) fn lines(events: &[Event]) -> Vec<String> {
    let frames = events.iter().filter_map(|event| match event {
        Event::Frames(batch) => Some(batch.frames()),
        _ => None,
    });
    frames.flatten().map(|line| line.as_str().to_owned()).collect()
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

/// A key. Keys have at least 16 characters; the name is padded.
pub(crate) fn key(name: &str) -> IdempotencyKey {
    IdempotencyKey::new(format!("{name:-<16}")).unwrap()
}

pub(crate) fn pair() -> TenantPair {
    TenantPair { src: tenant("acme"), dst: tenant("ops") }
}

pub(crate) fn grant() -> Grant {
    Grant {
        agents: [AgentName::new("demo").unwrap()].into(),
        approval: None,
        asks: [Ask::Prompt].into(),
        bytes_max: None,
        concurrent_max: None,
        cost_micro_usd_per_day: None,
        deadline_ms_max: 3_600_000,
        disclose: Disclose {
            output: Disclosure::Full,
            tool_args: Disclosure::Full,
            tool_results: Disclosure::Full,
        },
        frames_max: None,
        local: tenant("ops"),
        modes: [Mode::Session].into(),
        remote: tenant("acme"),
        starts_per_second: None,
        tokens_per_day: None,
        tools: [].into(),
    }
}

pub(crate) fn start(name: &str, prompt: &str) -> Start {
    Start {
        agent_target: AgentTarget {
            agent: AgentName::new("demo").unwrap(),
            mode: Mode::Session,
            session: None,
        },
        approval_grant: None,
        approval_request: None,
        caller_identity: CallerIdentity {
            labels: [].into(),
            principal: "ci@acme".to_owned(),
            step: None,
            workflow: None,
        },
        deadline: None,
        idempotency_key: key(name),
        invoked_at: NOW,
        limits: None,
        prompt: Some(prompt.to_owned()),
        remote_run_id: None,
        tool_call: None,
    }
}

/// A start's body.
pub(crate) fn started(name: &str, prompt: &str) -> Body {
    Body::Start(Box::new(start(name, prompt)))
}

pub(crate) fn attach(run: &RunId, after: u64) -> Body {
    Body::Attach(Attach { after, target: Target::Run(run.clone()) })
}

pub(crate) fn nobody() -> GatewayId {
    GatewayId::new(format!("gw1-{}", "a".repeat(52))).unwrap()
}

/// A gateway that cannot be told what was decided.
struct Deaf(Arc<dyn Adapter>);

#[async_trait::async_trait]
impl Adapter for Deaf {
    async fn describe(&self) -> Description {
        self.0.describe().await
    }

    async fn intend(&self, work: &Work) -> Result<Intent, AdapterFault> {
        self.0.intend(work).await
    }

    async fn start(&self, work: Work, intent: Intent, reports: Reports, hold: Hold) {
        self.0.start(work, intent, reports, hold).await;
    }

    async fn adopt(&self, work: Work, intent: Intent, progress: Progress, reports: Reports) {
        self.0.adopt(work, intent, progress, reports).await;
    }

    async fn stop(
        &self,
        work: &Work,
        intent: &Intent,
        why: StopReason,
    ) -> Result<Stopped, AdapterFault> {
        self.0.stop(work, intent, why).await
    }

    async fn stop_all(&self) -> Result<usize, AdapterFault> {
        self.0.stop_all().await
    }

    async fn resolve(
        &self,
        _work: &Work,
        question: &str,
        _vote: Vote,
    ) -> Result<ApprovalDecided, AdapterFault> {
        let (code, detail) = (TroubleCode::GatewayUnavailable, question.to_owned());
        Err(AdapterFault(Trouble { code, detail }))
    }
}
