//! The process's settings: what was proven of `landbridge.toml`, the environment and the flags.
//!
//! [`raw`] says what was written and where; [`Config`] holds only what was proven, so nobody checks
//! again. A setting's words, default and form stand once, in [`raw`]: the example file and the
//! reference of the documentation are made from them. Peers and grants are not settings: they live in
//! the signed federation document.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use landbridge_proto::wire::approval::Scope;
use landbridge_proto::wire::name::{AgentName, Alias, TenantId};

use crate::net::endpoint::{AddressPolicy, Endpoint, Network};
use crate::observe::LogFormat;

pub mod effective;
pub mod example;
pub mod home;
mod prove;
pub mod raw;
mod read;
mod scopes;
pub mod value;

pub use effective::Effective;
pub use home::Home;
pub use raw::{Origin, Overrides, Raw};
pub use value::{GatewayUrl, Period, Size};

/// Everything that was proven.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// The federation plane.
    pub federation: Federation,
    /// The local plane.
    pub local: Local,
    /// The gateway beside this bridge.
    pub gateway: Gateway,
    /// Logical gateway ids.
    pub routes: BTreeMap<Alias, Route>,
    /// Where commands find the offline keys.
    pub offline: PathBuf,
    /// Limits.
    pub limits: Limits,
    /// How long things are kept.
    pub retention: Retention,
    /// Logs.
    pub log: Log,
    /// How long what is signed about scopes and operators is good.
    pub approvals: Approvals,
    /// Our scopes, as they are to be published, by tenant and name.
    pub scopes: BTreeMap<TenantId, Vec<Scope>>,
    /// All of this as it was written, and where.
    pub effective: Vec<Effective>,
}

/// The federation plane.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Federation {
    /// Where the federation listener is bound.
    pub listen: SocketAddr,
    /// What peers are told, where it is not what `listen` says.
    pub endpoint: Option<Endpoint>,
    /// Addresses that are not public and may still be dialled.
    pub danger_allow_addresses: Vec<Network>,
}

impl Federation {
    /// The endpoint that peers are told.
    #[must_use]
    pub fn told_endpoint(&self) -> Endpoint {
        let listen = || Endpoint::at(self.listen.ip(), self.listen.port());
        self.endpoint.clone().unwrap_or_else(listen)
    }

    /// Which addresses the federation client may dial.
    #[must_use]
    pub fn address_policy(&self) -> AddressPolicy {
        let blocks = self.danger_allow_addresses.iter();
        blocks.fold(AddressPolicy::public_only(), |policy, &block| policy.danger_allow(block))
    }
}

/// The local plane.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Local {
    /// The unix socket.
    pub socket: PathBuf,
    /// Loopback TCP.
    pub listen: Option<SocketAddr>,
}

/// The gateway beside this bridge. Which adapters there are is for the program to say that has them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gateway {
    /// The adapter's name; `None`: the program's own choice.
    pub adapter: Option<String>,
    /// The gateway's WebSocket, for adapters that speak to one.
    pub url: GatewayUrl,
    /// How long a stopping bridge waits for it.
    pub handover_max: Period,
}

/// A logical gateway id.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// Our name for the peer.
    pub peer: Alias,
    /// Our tenant.
    pub local_tenant: TenantId,
    /// The peer's tenant.
    pub remote_tenant: TenantId,
    /// The agent, where the route names one.
    pub agent: Option<AgentName>,
    /// The longest that a run of this route may take.
    pub deadline_max: Option<Period>,
}

/// Limits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections of the federation plane at once.
    pub connections_max: usize,
    /// Of them from one address.
    pub connections_per_address_max: usize,
    /// Connections of the local plane at once.
    pub local_connections_max: usize,
    /// Open runs that we execute.
    pub runs_open_max: u64,
    /// Of them from one peer and tenant pair.
    pub runs_open_per_peer_max: u64,
    /// New runs of one peer in a minute.
    pub starts_per_minute_max: u32,
    /// Open runs of one local token, unless it says otherwise.
    pub token_runs_open_max: u64,
    /// New runs of one local token in a minute, unless it says otherwise.
    pub token_starts_per_minute_max: u32,
    /// For how long an idempotency key is remembered.
    pub key_window: Period,
    /// A run's deadline unless its client says otherwise.
    pub deadline_default: Period,
    /// The longest deadline, asked of us or by us.
    pub deadline_max: Period,
    /// The largest prompt that the local API takes.
    pub prompt_max: Size,
}

/// How long things are kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Retention {
    /// Settled runs of peers, with their frames and keys.
    pub frames: Period,
    /// Settled runs that we asked of peers.
    pub journal: Period,
    /// Statuses, ours and peers'; the newest of each is always kept.
    pub statuses: Period,
}

/// How long what is signed about scopes and operators is good.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Approvals {
    /// A catalog.
    pub catalog_life: Period,
    /// An operator's credential.
    pub credential_life: Period,
}

/// Logs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Log {
    /// The form of lines.
    pub format: LogFormat,
    /// What is logged: a level, or a filter such as `info,landbridge_node=debug`.
    pub level: String,
}

impl Config {
    /// Reads the file of a home (none: defaults), then `overrides`, and proves the whole.
    ///
    /// # Errors
    ///
    /// Returns everything that is wrong, each with its place and what is allowed.
    pub fn load(home: &Home, overrides: &Overrides) -> Result<Self, ConfigErrors> {
        let path = home.config();
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path, home, overrides),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Self::parse("", &path, home, overrides)
            }
            Err(error) => Err(ConfigErrors(vec![Wrong {
                origin: Origin::File { path, line: 1 },
                key: String::new(),
                what: format!("the file cannot be read: {error}"),
                allowed: None,
            }])),
        }
    }

    /// Proves a text as if it were the file at `path`.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn parse(
        text: &str,
        path: &Path,
        home: &Home,
        overrides: &Overrides,
    ) -> Result<Self, ConfigErrors> {
        let (mut raw, mut wrong) = read::read(text, path);
        wrong.extend(raw.apply(overrides));
        raw.fill_defaults();
        match prove::prove(&raw, home) {
            Ok(mut config) if wrong.is_empty() => {
                config.effective = effective::effective(&raw, &config);
                Ok(config)
            }
            Ok(_) => Err(ConfigErrors(wrong)),
            Err(more) => {
                wrong.extend(more);
                Err(ConfigErrors(wrong))
            }
        }
    }
}

/// The most open runs that a local token may be allowed.
pub const TOKEN_RUNS_OPEN_MAX: u64 = 10_000;
/// The most new runs in a minute that a local token may be allowed.
pub const TOKEN_STARTS_MAX: u32 = 100_000;

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wrong {
    /// Where it was written.
    pub origin: Origin,
    /// The setting, such as `federation.listen`; empty for the whole file.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
    /// What is allowed instead.
    pub allowed: Option<String>,
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)?;
        match &self.allowed {
            Some(allowed) => write!(f, "; allowed: {allowed}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with the settings, one line each.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigErrors(pub Vec<Wrong>);

#[cfg(test)]
mod tests;
