//! The OpenClaw adapter: the only crate that knows how an OpenClaw gateway behaves.
//!
//! A peer's prompt is untrusted text. It is handed over by the one method that takes it literally, under
//! a session of its own, by a device that may write and nothing more. What comes back is read from the
//! session's transcript, because the gateway forgets keys, drops events and restarts runs by itself.
//!
//! Start reading at [`OpenClaw`]; the decisions are in `run.rs`, the loop around them in `drive.rs`.

use std::path::PathBuf;
use std::time::Duration;

mod adapter;
mod approval;
mod connection;
mod device;
mod drive;
mod endpoint;
mod fault;
mod leads;
mod link;
mod look;
mod names;
mod pairing;
mod run;
mod stop;
mod subagent;
mod tls;
mod tool;
mod tool_policy;
mod transcript;
mod version;
mod voice;
mod walls;
mod wire;

pub use adapter::OpenClaw;
pub use device::{Authority, FileFault, Secret};
pub use fault::Fault;
pub use pairing::{Disconnected, Pairing, Status, disconnect, pair, status};
pub use tool_policy::is_closed_to_peers;
pub use version::{PROTOCOLS, UnsupportedGateway, VERSION_MIN, VERSION_TESTED};
pub use wire::{GatewayError, Hello};

/// Which gateway, and where the bridge keeps its own credential for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OpenClawConfig {
    /// The gateway's WebSocket, such as `ws://127.0.0.1:18789`.
    pub url: String,
    /// A directory of the bridge's own; made with mode 0700 when it is not there.
    pub state_dir: PathBuf,
    /// The certificates to trust for a `wss` gateway, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Sends the bridge's credential in clear to a gateway that is not on loopback.
    pub danger_plaintext_gateway: bool,
    /// How long the gateway may refuse the device, without a break, before runs that it had taken are
    /// given up: long enough for an operator to pair again.
    pub refused_max: Duration,
}

impl OpenClawConfig {
    /// A gateway on this machine.
    #[must_use]
    pub fn new(url: impl Into<String>, state_dir: impl Into<PathBuf>) -> Self {
        Self {
            url: url.into(),
            state_dir: state_dir.into(),
            ca_file: None,
            danger_plaintext_gateway: false,
            refused_max: REFUSED_MAX,
        }
    }

    /// The name under which the gateway's operator sees the device. Unique, because the gateway forgets
    /// devices that share one.
    fn display_name(&self, device: &str) -> String {
        format!("landbridge {}", device.get(..12).unwrap_or(device))
    }
}

const REFUSED_MAX: Duration = Duration::from_secs(120);
