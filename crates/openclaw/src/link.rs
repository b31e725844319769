//! Keeps one connection to the gateway alive, and tells everybody when it changes.
//!
//! Runs never own a connection. They wait here for the next one, and notice a restart of the gateway by
//! its boot id.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::OpenClawConfig;
use crate::connection::{Connection, Credential};
use crate::device::{Authority, Device};
use crate::endpoint::Endpoint;
use crate::fault::Fault;
use crate::wire::{list, text};

/// How the gateway stands to the bridge.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// Not yet, or no longer, connected.
    Down(Option<Arc<Fault>>),
    /// Connected.
    Up(Up),
}

/// An open connection and what was asked on it first.
#[derive(Clone, Debug)]
pub(crate) struct Up {
    /// The connection.
    pub connection: Connection,
    /// The gateway's own identity.
    pub gateway: String,
    /// Its agents.
    pub agents: Arc<Vec<String>>,
    /// What the connection may do.
    pub authority: Authority,
}

/// The bridge's line to its gateway.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    state: watch::Receiver<State>,
    device: String,
    refused_max: Duration,
    _task: Arc<DropGuard>,
}

impl Link {
    /// Begins to connect, and goes on until dropped.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the configuration or the bridge's own files.
    pub(crate) fn open(config: &OpenClawConfig) -> Result<Self, Fault> {
        let endpoint = Endpoint::of(config)?;
        let device = Device::open(&config.state_dir)?;
        let (sender, state) = watch::channel(State::Down(None));
        let cancel = CancellationToken::new();
        let id = device.id();
        let name = config.display_name(&id);
        tokio::spawn(
            cancel.clone().run_until_cancelled_owned(keep(endpoint, device, name, sender)),
        );
        let refused_max = config.refused_max;
        Ok(Self { state, device: id, refused_max, _task: Arc::new(cancel.drop_guard()) })
    }

    /// The bridge's device at the gateway.
    pub(crate) fn device(&self) -> &str {
        &self.device
    }

    /// How things are now.
    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// The open connection, or why there is none.
    ///
    /// # Errors
    ///
    /// Returns why the last attempt failed.
    pub(crate) fn up(&self) -> Result<Up, Arc<Fault>> {
        match self.state() {
            State::Up(up) => Ok(up),
            State::Down(why) => {
                Err(why.unwrap_or_else(|| {
                    Arc::new(Fault::Unreachable("not connected yet".to_owned()))
                }))
            }
        }
    }

    /// Waits for an open connection.
    pub(crate) async fn wait_up(&self) -> Up {
        let mut state = self.state.clone();
        loop {
            if let State::Up(up) = &*state.borrow_and_update() {
                return up.clone();
            }
            if state.changed().await.is_err() {
                // The task ends only with the last handle; whoever waits here holds one.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits for an open connection for as long as one can still come.
    ///
    /// # Errors
    ///
    /// Returns why the gateway refuses the device, when it has done nothing else for a while.
    pub(crate) async fn wait_up_unless_refused(&self) -> Result<Up, Arc<Fault>> {
        let mut state = self.state.clone();
        let mut refused: Option<(Instant, Arc<Fault>)> = None;
        loop {
            match &*state.borrow_and_update() {
                State::Up(up) => return Ok(up.clone()),
                State::Down(Some(why)) if why.refuses_the_device() => {
                    refused.get_or_insert_with(|| (Instant::now(), Arc::clone(why)));
                }
                State::Down(_) => refused = None,
            }
            let changed = match &refused {
                None => state.changed().await,
                Some((since, why)) => {
                    match timeout_at(*since + self.refused_max, state.changed()).await {
                        Ok(changed) => changed,
                        Err(_) => return Err(Arc::clone(why)),
                    }
                }
            };
            if changed.is_err() {
                // The task ends only with the last handle; whoever waits here holds one.
                std::future::pending::<()>().await;
            }
        }
    }

    /// As [`Link::up`], but gives a new connection this long to come.
    ///
    /// # Errors
    ///
    /// Returns why the last attempt failed.
    pub(crate) async fn up_within(&self, patience: Duration) -> Result<Up, Arc<Fault>> {
        match tokio::time::timeout(patience, self.wait_up()).await {
            Ok(up) => Ok(up),
            Err(_) => self.up(),
        }
    }
}

async fn keep(endpoint: Endpoint, device: Device, name: String, state: watch::Sender<State>) {
    let mut failures = 0_u32;
    loop {
        match connect(&endpoint, &device, &name).await {
            Ok(up) => {
                let hello = up.connection.hello();
                tracing::info!(version = %hello.version, boot = %hello.boot, "connected to the gateway");
                failures = 0;
                let (connection, authority) = (up.connection.clone(), up.authority);
                state.send_replace(State::Up(up));
                tokio::select! {
                    () = connection.closed() => {}
                    () = changed(&device, authority) => {
                        tracing::warn!("the device's token was removed, or its scopes changed; leaving the gateway");
                        connection.close();
                    }
                }
                tracing::warn!("the connection to the gateway ended");
                state.send_replace(State::Down(None));
            }
            Err(fault) => {
                failures = failures.saturating_add(1);
                tracing::warn!(%fault, failures, "cannot connect to the gateway");
                state.send_replace(State::Down(Some(Arc::new(fault))));
            }
        }
        tokio::time::sleep(pause(failures)).await;
    }
}

/// Returns when an operator disconnected the bridge, or paired it for something else.
async fn changed(device: &Device, authority: Authority) {
    loop {
        tokio::time::sleep(TOKEN_LOOK).await;
        let other = device.authority().is_ok_and(|now| now != authority);
        if other || matches!(device.token(), Ok(None)) {
            return;
        }
    }
}

async fn connect(endpoint: &Endpoint, device: &Device, name: &str) -> Result<Up, Fault> {
    let token = device.token()?.ok_or(Fault::NotPaired)?;
    let (credential, authority) = (Credential::Device(token), device.authority()?);
    let connection = Connection::open(endpoint, device, &credential, authority, name).await?;
    let guard = CloseOnDrop(Some(connection));
    let Some(connection) = &guard.0 else {
        return Err(Fault::Lost);
    };
    let gateway = identity(connection).await?;
    match device.gateway()? {
        Some(known) if known != gateway => return Err(Fault::OtherGateway),
        _ => {}
    }
    let agents = agents(connection).await?;
    let up = Up { connection: connection.clone(), gateway, agents: Arc::new(agents), authority };
    guard.keep();
    Ok(up)
}

/// The gateway's own identity.
///
/// # Errors
///
/// Returns why the gateway did not tell it.
pub(crate) async fn identity(connection: &Connection) -> Result<String, Fault> {
    let answer = connection.call("gateway.identity.get", &json!({})).await?;
    Ok(text(&answer, "/deviceId").to_owned())
}

async fn agents(connection: &Connection) -> Result<Vec<String>, Fault> {
    let answer = connection.call("agents.list", &json!({})).await?;
    Ok(list(&answer, "/agents").iter().map(|agent| text(agent, "/id").to_owned()).collect())
}

/// Closes a connection that nobody will use.
struct CloseOnDrop(Option<Connection>);

impl CloseOnDrop {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.close();
        }
    }
}

/// Doubles from a tenth of a second to three, then a random half of it: a herd spreads out, and a
/// gateway that is back is found soon.
fn pause(failures: u32) -> Duration {
    let whole = PAUSE_MS.saturating_mul(1 << failures.min(6)).min(PAUSE_MS_MAX);
    let mut random = [0_u8; 8];
    let jitter =
        getrandom::fill(&mut random).map_or(0, |()| u64::from_le_bytes(random) % (whole / 2));
    Duration::from_millis(whole / 2 + jitter)
}

/// Between two looks whether the device's token is still there.
const TOKEN_LOOK: Duration = Duration::from_secs(2);
const PAUSE_MS: u64 = 100;
const PAUSE_MS_MAX: u64 = 3_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        assert!(pause(0) < Duration::from_millis(101));
        for failures in [5, 6, 60, u32::MAX] {
            let pause = pause(failures);
            assert!(pause >= Duration::from_millis(1_500) && pause < Duration::from_millis(3_001));
        }
    }
}
