//! From a home directory to a running bridge, and back to a stopped one.

mod shutdown;
mod storeless;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use landbridge_proto::machine::contract::{RunPhase, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{GatewayId, TenantPair, Timestamp};
use landbridge_store::{Fault, Handle, OpenError, Options as StoreOptions};
use metrics::{counter, gauge};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::shutdown::Shutdown;
use self::storeless::Storeless;
use crate::adapter::Adapter;
use crate::approvals::{self, Approvals};
use crate::bridge::Bridge;
use crate::call::Calls;
use crate::catalogs;
use crate::clock::{Clock, Entropy};
use crate::config::Config;
use crate::contact::Contacts;
use crate::core::{Core, Route, Settings, StepError, Wakes};
use crate::execute::{self, Executions};
use crate::federation::Federation;
use crate::halt::{self, Halt};
use crate::identity::Identity;
use crate::identity::current::CurrentIdentity;
use crate::local;
use crate::net::accept::{self, Server, TransportSecurity};
use crate::net::client::{Client, ClientSettings};
use crate::net::connect::TcpConnector;
use crate::net::listen::{TcpListener, UnixListener};
use crate::net::{App, tls};
use crate::observe::{self, Exporter};
use crate::rollback;
use crate::room::{self, Unrecorded};
use crate::rotation::{self, Expiry};
use crate::statuses;
use crate::trust::{Trust, TrustError};

/// Between two looks at what needs care, in milliseconds.
const CARE_EVERY_MS: i64 = 5_000;
/// Between two deletions of what its time has passed for, in milliseconds.
const PRUNE_EVERY_MS: i64 = 60_000;
/// Between two looks for statuses that nobody needs any more, in milliseconds.
const FORGET_EVERY_MS: i64 = 3_600_000;
/// Deleted at once, of each kind.
const PRUNE_AT_ONCE: u32 = 500;

/// What a bridge is made of.
pub struct Parts {
    /// Who it is.
    pub identity: Identity,
    /// Where the files of its identity are.
    pub home: std::path::PathBuf,
    /// What it was configured to do.
    pub config: Config,
    /// Where its durable state is kept.
    pub state: std::path::PathBuf,
    /// Its kill switch.
    pub halt: Halt,
    /// The gateway.
    pub adapter: Arc<dyn Adapter>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// Metrics, where they are kept.
    pub exporter: Option<Exporter>,
}

/// A bridge that listens.
#[derive(Clone, Debug)]
pub struct Listening {
    /// Its gateway.
    pub gateway: GatewayId,
    /// The federation plane.
    pub federation: SocketAddr,
    /// The local plane on loopback, where there is one.
    pub local: Option<SocketAddr>,
    /// The local plane's socket.
    pub socket: std::path::PathBuf,
    /// Open runs that it took up again.
    pub executing: usize,
    /// Open calls that it took up again.
    pub calling: usize,
}

/// Why a bridge does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store cannot be opened.
    #[error("the store cannot be opened")]
    Open(#[from] OpenError),
    /// The store failed: nothing is acknowledged any more, and the process must end.
    #[error("the store failed; the bridge stops rather than acknowledge what is not durable")]
    Store(#[from] Fault),
    /// Stored trust cannot be used.
    #[error("what is stored of peers and of ourselves cannot be used")]
    Trust(#[from] TrustError),
    /// A step at the start was not made.
    #[error("the start was not made durable")]
    Step(#[from] StepError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] tls::IdentityError),
    /// An address cannot be bound.
    #[error("{what} cannot be bound to {at}")]
    Bind {
        /// Which listener.
        what: &'static str,
        /// Where.
        at: String,
        /// Why.
        #[source]
        fault: std::io::Error,
    },
}

/// Runs a bridge until it is told to stop or its store fails. `ready` is told once it listens.
///
/// A bridge that is halted and has no store stays, and stops its work at the gateway until it is resumed or
/// told to stop.
///
/// # Errors
///
/// [`ServeError`].
pub async fn serve(
    parts: Parts,
    shutdown: impl Into<Shutdown>,
    ready: impl FnOnce(&Listening),
) -> Result<(), ServeError> {
    let shutdown = shutdown.into();
    let (adapter, clock) = (Arc::clone(&parts.adapter), Arc::clone(&parts.clock));
    let storeless = Storeless { adapter, clock, halt: parts.halt.clone() };
    let ended = run(parts, &shutdown, ready).await;
    if let Err(error) = &ended {
        storeless.hold(error, &shutdown).await;
    }
    ended
}

async fn run(
    parts: Parts,
    shutdown: &Shutdown,
    ready: impl FnOnce(&Listening),
) -> Result<(), ServeError> {
    let config = parts.config.clone();
    let exporter = parts.exporter.clone();
    let core = Arc::new(assemble(parts)?);
    rotation::note(&core).await;
    core.trust.refresh_status(&core).await?;
    catalogs::note(&core);
    let executions = Arc::new(Executions::default());
    let calls = Arc::new(Calls::default());
    let bridge = Bridge::new(Arc::clone(&core), Arc::clone(&calls), Arc::clone(&executions));
    let plane = Federation::new(Arc::clone(&core), Arc::clone(&executions));

    let bound = Bound::bind(&config).await?;
    let listening = Listening {
        gateway: core.own().clone(),
        federation: bound.federation_at,
        local: bound.local_at,
        socket: config.local.socket.clone(),
        executing: take_up_runs(&core, &executions)?,
        calling: take_up_calls(&core, &calls)?,
    };
    execute::take_up_lingering(&core)?;
    rollback::stop_abandoned(&core)?;
    let servers = bound.serve(&core, &config, &plane, &bridge, exporter.clone())?;
    tokio::spawn(halt::obey(Arc::clone(&core)));
    tokio::spawn(Arc::clone(&executions).cut_when_halted(Arc::clone(&core)));
    let strangers = tokio::spawn(plane.report_strangers());
    tokio::spawn(care(Arc::clone(&core), exporter));
    tokio::spawn(keep_fresh(Arc::clone(&core)));
    tokio::spawn(keep_catalogs(Arc::clone(&core)));
    tokio::spawn(room::watch(Arc::clone(&core)));
    tokio::spawn(approvals::watch(Arc::clone(&core)));
    tokio::spawn(measure(Arc::clone(&core), bridge, Arc::clone(&executions), calls));
    ready(&listening);

    let ended = tokio::select! {
        () = shutdown.drain.cancelled() => Ok(()),
        fault = core.store.closed() => Err(ServeError::Store(fault)),
    };
    shutdown::wind_down(&core, shutdown, servers, &executions, strangers).await;
    ended
}

fn assemble(parts: Parts) -> Result<Core, ServeError> {
    let store = open(&parts.state)?;
    let now = parts.clock.now();
    let epoch = next_epoch(&store)?;
    let trust = Trust::load(&parts.identity, &store, now)?;
    let connector = TcpConnector::new(parts.config.federation.address_policy());
    let unrecorded = Unrecorded::new(store.reserve_was_used(), now);
    Ok(Core {
        client: Client::new(ClientSettings::default(), Arc::new(connector)),
        settings: settings(&parts.config),
        identity: CurrentIdentity::new(&parts.home, parts.identity)?,
        store,
        clock: parts.clock,
        entropy: parts.entropy,
        adapter: parts.adapter,
        trust,
        epoch,
        halt: parts.halt,
        draining: CancellationToken::new(),
        stopping: CancellationToken::new(),
        wakes: Wakes::default(),
        unrecorded,
        contacts: Contacts::default(),
        tally: Arc::default(),
        approvals: Approvals::default(),
    })
}

fn open(state: &Path) -> Result<Handle, OpenError> {
    Handle::open(state, &store_options(state))
}

/// How a bridge's store is opened: with its witness beside the directory, so that whoever copies the
/// directory back does not copy the witness back.
#[must_use]
pub fn store_options(state: &Path) -> StoreOptions {
    StoreOptions { witness: Some(state.with_extension("witness")), ..StoreOptions::default() }
}

fn settings(config: &Config) -> Settings {
    let routes = config.routes.iter().map(|(alias, route)| {
        let tenant =
            TenantPair { src: route.local_tenant.clone(), dst: route.remote_tenant.clone() };
        let route = Route {
            peer: route.peer.clone(),
            tenant,
            agent: route.agent.clone(),
            deadline_ms_max: route.deadline_max.map(|period| period.as_ms()),
        };
        (alias.clone(), route)
    });
    let limits = &config.limits;
    Settings {
        routes: routes.collect(),
        executing_max: usize::try_from(limits.runs_open_max).unwrap_or(usize::MAX),
        executing_per_owner_max: limits.runs_open_per_peer_max,
        starts_per_minute_max: limits.starts_per_minute_max,
        deadline_ms: limits.deadline_default.as_ms(),
        deadline_ms_max: limits.deadline_max.as_ms(),
        handover_ms_max: config.gateway.handover_max.as_ms(),
        key_window_ms: limits.key_window.as_ms(),
        frames_ms: config.retention.frames.as_ms(),
        journal_ms: config.retention.journal.as_ms(),
        effective: config.effective.clone(),
        scopes: config.scopes.clone(),
        catalog_life_ms: config.approvals.catalog_life.as_ms(),
        credential_life_ms: config.approvals.credential_life.as_ms(),
        statuses_ms: config.retention.statuses.as_ms(),
        token_runs_open_max: limits.token_runs_open_max,
        token_starts_per_minute_max: limits.token_starts_per_minute_max,
        ..Settings::default()
    }
}

/// This process's turn at driving runs, one higher than the last.
fn next_epoch(store: &Handle) -> Result<u64, ServeError> {
    const EPOCH: &str = "epoch";
    let last = store.reads().meta(EPOCH)?.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let put = Write::PutMeta { name: EPOCH.to_owned(), value: (last + 1).to_string() };
    let (batch, held) = Step::new(Vec::new(), vec![put], last + 1).with_reserve().split();
    let receipt = store.commit_blocking(batch)?;
    Ok(held.release(receipt).map_err(StepError::from)?)
}

//= STR-45
fn take_up_runs(core: &Arc<Core>, executions: &Arc<Executions>) -> Result<usize, ServeError> {
    if core.trust.halted().is_cancelled() {
        return Ok(0);
    }
    let rows = core.store.reads().open_runs()?;
    let count = rows.len();
    for row in rows {
        debug_assert_ne!(row.phase, RunPhase::Settled, "an open run has no terminal");
        let seat = executions.seats().keep(&row.owner);
        executions.drive(core, row, seat);
    }
    Ok(count)
}

fn take_up_calls(core: &Arc<Core>, calls: &Arc<Calls>) -> Result<usize, ServeError> {
    if core.trust.halted().is_cancelled() {
        return Ok(0);
    }
    let entries = core.store.reads().open_entries()?;
    let count = entries.len();
    for entry in entries {
        calls.take_up(core, entry);
    }
    Ok(count)
}

/// Listeners that are bound and do not serve yet.
struct Bound {
    federation: TcpListener,
    federation_at: SocketAddr,
    local: Option<TcpListener>,
    local_at: Option<SocketAddr>,
    socket: UnixListener,
}

impl Bound {
    async fn bind(config: &Config) -> Result<Self, ServeError> {
        let failed = |what, at: &dyn std::fmt::Display| {
            let at = at.to_string();
            move |fault| ServeError::Bind { what, at, fault }
        };
        let at = config.federation.listen;
        let name = "the federation plane";
        let federation = TcpListener::bind(at).await.map_err(failed(name, &at))?;
        let federation_at = federation.local_addr().map_err(failed(name, &at))?;
        let name = "the local plane";
        let local = match config.local.listen {
            Some(at) => Some(TcpListener::bind_loopback(at).await.map_err(failed(name, &at))?),
            None => None,
        };
        let local_at = match &local {
            Some(bound) => Some(bound.local_addr().map_err(failed(name, &"loopback"))?),
            None => None,
        };
        let path = &config.local.socket;
        let socket = UnixListener::bind(path).await.map_err(failed(name, &path.display()))?;
        Ok(Self { federation, federation_at, local, local_at, socket })
    }

    fn serve(
        self,
        core: &Arc<Core>,
        config: &Config,
        plane: &Federation,
        bridge: &Bridge,
        exporter: Option<Exporter>,
    ) -> Result<Vec<JoinHandle<()>>, ServeError> {
        let limits = &config.limits;
        let settings = accept::Settings {
            connections_max: limits.connections_max,
            connections_per_source_max: limits.connections_per_address_max,
            ..accept::Settings::default()
        };
        let tls = TransportSecurity::Tls(core.identity.tls().server_config()?);
        let plane = plane.clone();
        let app = App::new(move |request| {
            let plane = plane.clone();
            async move { plane.answer(request).await }
        });
        let drain = || core.draining.clone();
        let federation = Server::new(settings, tls, app);
        let mut servers = vec![tokio::spawn(federation.run(self.federation, drain()))];

        let options = local::Options::new(self.local_at, limits.prompt_max.as_bytes(), exporter);
        let router = local::router(bridge.clone(), options);
        let settings = accept::Settings {
            connections_max: limits.local_connections_max,
            connections_per_source_max: limits.local_connections_max,
            ..accept::Settings::default()
        };
        let server = || {
            let plain = TransportSecurity::LocalPlaintext;
            Server::new(settings.clone(), plain, App::router(router.clone()))
        };
        servers.push(tokio::spawn(server().run(self.socket, drain())));
        if let Some(local) = self.local {
            servers.push(tokio::spawn(server().run(local, drain())));
        }
        Ok(servers)
    }
}

/// Keeps our status fresh, and the store small. Nothing here waits for anybody else.
async fn care(core: Arc<Core>, exporter: Option<Exporter>) {
    let (mut prune_at, mut forget_at) = (core.now(), core.now());
    let mut expiry = Expiry::default();
    while !core.stopping.is_cancelled() {
        rotation::note(&core).await;
        expiry.look(&core);
        if let Err(error) = core.trust.refresh_status(&core).await
            && !error.is_full()
        {
            tracing::error!(%error, "our status was not renewed");
        }
        if let Err(error) = core.trust.tend_memberships(&core).await
            && !error.is_full()
        {
            tracing::error!(%error, "a lapsed membership was not written down");
        }
        let now = core.now();
        // On a full disk nothing can be deleted either: a deletion is written first.
        if now >= prune_at && !room::is_short(&core) {
            prune_at = now.plus_ms(PRUNE_EVERY_MS);
            prune(&core, now).await;
        }
        if now >= forget_at && !room::is_short(&core) {
            forget_at = now.plus_ms(FORGET_EVERY_MS);
            statuses::forget(&core, now).await;
        }
        if let Some(exporter) = &exporter {
            exporter.upkeep();
        }
        tokio::select! {
            () = core.clock.sleep_until(now.plus_ms(CARE_EVERY_MS)) => {}
            () = core.stopping.cancelled() => {}
        }
    }
}

/// Keeps what we know of peers fresh.
async fn keep_fresh(core: Arc<Core>) {
    while !core.stopping.is_cancelled() {
        core.refresh_peers().await;
        tokio::select! {
            () = core.clock.sleep_until(core.now().plus_ms(CARE_EVERY_MS)) => {}
            () = core.stopping.cancelled() => {}
        }
    }
}

/// Keeps our catalogs fresh, and those of peers that count here.
async fn keep_catalogs(core: Arc<Core>) {
    let mut care = catalogs::Care::default();
    while !core.stopping.is_cancelled() {
        care.look(&core).await;
        tokio::select! {
            () = core.clock.sleep_until(core.now().plus_ms(CARE_EVERY_MS)) => {}
            () = core.stopping.cancelled() => {}
        }
    }
}

/// Records levels, which nobody could count where they change.
async fn measure(core: Arc<Core>, bridge: Bridge, executions: Arc<Executions>, calls: Arc<Calls>) {
    let level = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    while !core.stopping.is_cancelled() {
        let load = executions.seats().load();
        gauge!(observe::EXECUTING).set(level(load.executing));
        gauge!(observe::WAITING).set(level(load.waiting));
        gauge!(observe::OWNERS_EXECUTING).set(level(load.owners));
        gauge!(observe::OWNER_EXECUTING_MAX).set(level(load.most));
        gauge!(observe::CALLING).set(level(calls.count()));
        gauge!(observe::READY).set(if bridge.ready().is_ok() { 1.0 } else { 0.0 });
        let stats = core.store.stats();
        counter!(observe::COMMITS).absolute(stats.groups);
        counter!(observe::COMMITTED_BATCHES).absolute(stats.batches);
        gauge!(observe::COMMIT_SECONDS_MAX).set(stats.slowest_commit.as_secs_f64());
        if let Ok((rows, _)) = core.store.reads().audit_head() {
            gauge!(observe::AUDIT_ROWS).set(level(usize::try_from(rows).unwrap_or(usize::MAX)));
        }
        tokio::select! {
            () = core.clock.sleep_until(core.now().plus_ms(CARE_EVERY_MS)) => {}
            () = core.stopping.cancelled() => {}
        }
    }
}

/// Deletes what its time has passed for, a bounded number of each kind.
pub async fn prune(core: &Core, now: Timestamp) {
    let clock = core.store.reads().clock().unwrap_or(Timestamp(0));
    let prune = Write::Prune {
        //= REQ-18
        jti_before: clock,
        //= REQ-25
        runs_before: now.plus_ms(-keys_kept_ms(&core.settings)),
        entries_before: now.plus_ms(-core.settings.journal_ms),
        limit: PRUNE_AT_ONCE,
    };
    let step = Step::new(Vec::new(), vec![Write::Clock(now), prune], ());
    if let Err(error) = core.commit(step).await {
        tracing::error!(%error, "old state was not deleted");
    }
}
/// For how long a settled run and its key are kept, in milliseconds. A start says when it was invoked
/// by another clock: what is still young enough by that must not be forgotten by ours.
//= REQ-69
fn keys_kept_ms(settings: &Settings) -> i64 {
    let window = settings.key_window_ms.saturating_add(limit::CLOCK_SKEW_MS_MAX);
    settings.frames_ms.max(window)
}
