//! `serve`: puts the parts of a bridge together, and lets it run until it is told to stop.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use landbridge_node::adapter::Adapter;
use landbridge_node::clock::SystemClock;
use landbridge_node::config::{Config, Gateway, Home, Log, Overrides};
use landbridge_node::identity::Identity;
use landbridge_node::scripted::Scripted;
use landbridge_openclaw::{OpenClaw, OpenClawConfig};
use landbridge_store::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::cli::ServeArgs;
use crate::command::config::{environment, wrong};
use crate::command::init::home_failure;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::offline::identity_failure;
use crate::out::{Look, Out};

/// What a bridge is made of.
pub(crate) struct Parts {
    /// The proven settings.
    pub(crate) config: Config,
    /// Keys, certificate, roots.
    pub(crate) identity: Identity,
    /// Durable state.
    pub(crate) store: Handle,
    /// The gateway.
    pub(crate) adapter: Arc<dyn Adapter>,
}

/// Runs the bridge.
pub(super) async fn serve(home: &Path, args: &ServeArgs, out: &Out) -> Result<Exit, Failure> {
    let home = Home::open(home).map_err(|fault| home_failure(&fault))?;
    let config = Config::load(&home, &overrides(args)).map_err(|errors| wrong(&errors))?;
    log(&config.log)?;
    let identity = Identity::load(home.path()).map_err(|error| identity_failure(&error))?;
    let store =
        Handle::open(&home.state(), &landbridge_store::Options::default()).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("cannot open the state in {}", home.state().display()),
            )
            .because(error)
            .next(format!("landbridge doctor --home {}", home.path().display()))
        })?;
    let adapter = adapter(&config.gateway, &home)?;
    let stop = CancellationToken::new();
    stop_on_signals(&stop)?;
    let ready = {
        let (gateway, listen) = (identity.gateway().to_string(), config.federation.listen);
        let (socket, out) = (config.local.socket.clone(), *out);
        move || say_ready(&out, &gateway, &listen.to_string(), &socket)
    };
    run(Parts { config, identity, store, adapter }, stop, ready).await?;
    out.say(Look::Dim, "stopped");
    Ok(Exit::Success)
}

/// Hands the parts to the bridge, which runs until `stop` and calls `ready` once when it listens.
async fn run(
    parts: Parts,
    stop: CancellationToken,
    ready: impl FnOnce() + Send + 'static,
) -> Result<(), Failure> {
    // The bridge's own loop is handed these parts here.
    let _ = (parts.config, parts.identity, parts.store, parts.adapter, stop, ready);
    Err(Failure::new(Exit::Internal, "this build has no bridge to run"))
}

/// Flags beat the environment.
fn overrides(args: &ServeArgs) -> Overrides {
    let mut overrides = environment();
    if let Some(listen) = args.listen {
        overrides = overrides.flag("federation.listen", listen.to_string());
    }
    if let Some(level) = &args.log {
        overrides = overrides.flag("log.level", level.clone());
    }
    overrides
}

fn adapter(gateway: &Gateway, home: &Home) -> Result<Arc<dyn Adapter>, Failure> {
    match gateway {
        Gateway::Openclaw { url } => {
            let config = OpenClawConfig::new(url.as_str(), home.gateway());
            let adapter = OpenClaw::open(&config).map_err(|fault| {
                Failure::new(Exit::Failed, format!("the gateway at {url} cannot be used"))
                    .because(fault)
                    .next("landbridge gateway connect")
            })?;
            Ok(Arc::new(adapter))
        }
        Gateway::Scripted => {
            let place = home.gateway();
            let adapter = Scripted::open(&place, Arc::new(SystemClock))
                .or_fail(Exit::CannotCreate, || format!("cannot use {}", place.display()))?;
            Ok(Arc::new(adapter))
        }
    }
}

fn log(log: &Log) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&log.level)
        .or_fail(Exit::Config, || format!("log.level: {:?} is no filter", log.level))?;
    let json = log.format.is_json(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::io::IsTerminal::is_terminal(&std::io::stderr());
    let set = if json { lines.json().try_init() } else { lines.with_ansi(colour).try_init() };
    set.map_err(|error| Failure::new(Exit::Internal, "cannot log").why(error))
}

/// The first SIGTERM or SIGINT drains; the second ends at once, as an impatient operator expects.
fn stop_on_signals(stop: &CancellationToken) -> Result<(), Failure> {
    let what = || "cannot listen for signals";
    let mut terminate = signal(SignalKind::terminate()).or_fail(Exit::Internal, what)?;
    let mut interrupt = signal(SignalKind::interrupt()).or_fail(Exit::Internal, what)?;
    let stop = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.is_cancelled() {
                tracing::warn!("told to stop twice; ending now");
                std::process::exit(i32::from(Exit::Interrupted.code()));
            }
            tracing::info!("told to stop; draining");
            stop.cancel();
        }
    });
    Ok(())
}

/// Says once that the bridge listens: who waits for it need not poll.
fn say_ready(out: &Out, gateway: &str, listen: &str, socket: &Path) {
    if out.json() {
        let line = serde_json::json!({
            "event": "ready", "gateway": gateway, "listen": listen, "socket": socket,
            "pid": std::process::id(),
        });
        let mut stdout = std::io::stdout().lock();
        // Whoever waited may be gone; the bridge serves all the same.
        let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    } else {
        out.say(
            Look::Green,
            format!("{gateway} listens on {listen}; local API at {}", socket.display()),
        );
    }
}
