//! `serve`: puts the parts of a bridge together, and lets it run until it is told to stop.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use landbridge_node::adapter::Adapter;
use landbridge_node::clock::{SystemClock, SystemEntropy};
use landbridge_node::config::{Config, Gateway, Home, Log, Overrides};
use landbridge_node::identity::Identity;
use landbridge_node::observe::Exporter;
use landbridge_node::scripted::Scripted;
use landbridge_node::serve::{Listening, Parts, Shutdown};
use landbridge_openclaw::{OpenClaw, OpenClawConfig};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::cli::{AdapterChoice, ServeArgs};
use crate::command::config::{adapter as chosen, environment, wrong};
use crate::command::init::home_failure;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::offline::identity_failure;
use crate::out::{Look, Out};

/// Runs the bridge.
pub(super) async fn serve(home: &Path, args: &ServeArgs, out: &Out) -> Result<Exit, Failure> {
    let home = Home::open(home).map_err(|fault| home_failure(&fault))?;
    let config = Config::load(&home, &overrides(args)).map_err(|errors| wrong(&errors))?;
    log(&config.log)?;
    let identity = Identity::load(home.path()).map_err(|error| identity_failure(&error))?;
    let adapter = adapter(&config.gateway, &home)?;
    let stop = Shutdown::default();
    stop_on_signals(&stop)?;
    let exporter = Exporter::install().or_fail(Exit::Internal, || "cannot keep metrics")?;
    let parts = Parts {
        identity,
        home: home.path().to_owned(),
        config,
        state: home.state(),
        adapter,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        exporter: Some(exporter),
    };
    landbridge_node::serve::serve(parts, stop, |listening| say_ready(out, listening))
        .await
        .map_err(|error| {
            Failure::new(Exit::Failed, "the bridge does not run")
                .because(error)
                .next(format!("landbridge doctor --home {}", home.path().display()))
        })?;
    out.say(Look::Dim, "stopped");
    Ok(Exit::Success)
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
    match chosen(gateway)? {
        AdapterChoice::Openclaw => {
            let url = &gateway.url;
            let config = OpenClawConfig::new(url.as_str(), home.gateway());
            let adapter = OpenClaw::open(&config).map_err(|fault| {
                Failure::new(Exit::Failed, format!("the gateway at {url} cannot be used"))
                    .because(fault)
                    .next("landbridge gateway connect")
            })?;
            Ok(Arc::new(adapter))
        }
        AdapterChoice::Scripted => {
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

/// The first SIGTERM or SIGINT drains; the second cuts connections; the third ends at once, and may leave
/// a run behind of which nobody can say what became of it.
fn stop_on_signals(stop: &Shutdown) -> Result<(), Failure> {
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
            if stop.hurry.is_cancelled() {
                tracing::warn!("told to stop for the third time; ending now");
                std::process::exit(i32::from(Exit::Interrupted.code()));
            }
            if stop.drain.is_cancelled() {
                tracing::info!("told to stop again; cutting connections");
                stop.hurry.cancel();
            } else {
                tracing::info!("told to stop; draining");
                stop.drain.cancel();
            }
        }
    });
    Ok(())
}

/// Says once that the bridge listens: who waits for it need not poll.
fn say_ready(out: &Out, listening: &Listening) {
    let Listening { gateway, federation, socket, .. } = listening;
    if out.json() {
        let line = serde_json::json!({
            "event": "ready", "gateway": gateway, "listen": federation, "local": listening.local,
            "socket": socket, "pid": std::process::id(),
            "executing": listening.executing, "calling": listening.calling,
        });
        let mut stdout = std::io::stdout().lock();
        // Whoever waited may be gone; the bridge serves all the same.
        let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    } else {
        let at = socket.display();
        out.say(Look::Green, format!("{gateway} listens on {federation}; local API at {at}"));
    }
}
