//! `gateway connect`: makes the bridge's own device known to the gateway, once.
//!
//! The shared token of a gateway can raise any device's scopes silently. It is used for this one
//! connection and forgotten; what is kept is a token that is bound to the device's key and to the fewest
//! scopes.

use std::path::Path;

use crate::OpenClawConfig;
use crate::connection::{Connection, Credential};
use crate::device::{Authority, Device, Secret};
use crate::endpoint::Endpoint;
use crate::fault::Fault;
use crate::link::identity;

/// What became of a pairing.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Pairing {
    /// The bridge has its own credential now.
    Paired {
        /// The bridge's device at the gateway.
        device: String,
        /// The gateway's own identity.
        gateway: String,
        /// The gateway's version.
        version: String,
        /// What the device may do.
        scopes: Vec<String>,
    },
    /// The gateway's operator must approve first; then pair again.
    Pending {
        /// The bridge's device at the gateway.
        device: String,
        /// The gateway's id of the request.
        request: String,
        /// The command that approves it, on the gateway's machine.
        next: String,
    },
}

/// Pairs the bridge's device, and proves that its own credential works.
///
/// # Errors
///
/// Returns why the gateway did not let the bridge in, or gave it more than it asked for.
pub async fn pair(
    config: &OpenClawConfig,
    shared_token: Secret,
    authority: Authority,
) -> Result<Pairing, Fault> {
    let endpoint = Endpoint::of(config)?;
    let device = Device::open(&config.state_dir)?;
    let id = device.id();
    let name = config.display_name(&id);
    let shared = Credential::Shared(shared_token);
    let opened = Connection::open(&endpoint, &device, &shared, authority, &name).await;
    let connection = match opened {
        Err(Fault::PairingPending { request }) => {
            let next = format!("openclaw devices approve {request}");
            return Ok(Pairing::Pending { device: id, request, next });
        }
        other => other?,
    };
    let token = connection.device_token().cloned();
    let gateway = identity(&connection).await;
    connection.close();
    let (token, gateway) = (token.ok_or(Fault::NotPaired)?, gateway?);

    let credential = Credential::Device(token.clone());
    let own = Connection::open(&endpoint, &device, &credential, authority, &name).await?;
    let hello = own.hello().clone();
    own.close();
    if !authority.is(&hello.scopes) {
        return Err(Fault::OtherScopes { scopes: hello.scopes });
    }
    device.keep_gateway(&gateway)?;
    device.keep_authority(authority)?;
    device.keep_token(&token)?;
    Ok(Pairing::Paired { device: id, gateway, version: hello.version, scopes: hello.scopes })
}

/// What [`disconnect`] did at this side.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Disconnected {
    /// The bridge's device at the gateway, which the gateway's operator can remove.
    pub device: String,
    /// There was a token to forget.
    pub had_token: bool,
}

/// Forgets the device's token. A running bridge leaves the gateway within seconds; the gateway itself
/// still knows the device until its operator removes it.
///
/// # Errors
///
/// Returns what is wrong with the bridge's own files.
pub fn disconnect(state_dir: &Path) -> Result<Disconnected, Fault> {
    let device = Device::open(state_dir)?;
    Ok(Disconnected { had_token: device.forget_token()?, device: device.id() })
}

/// How the bridge's device stands at the gateway.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// The bridge's device at the gateway.
    pub device: String,
    /// The gateway's own identity.
    pub gateway: String,
    /// The gateway's version.
    pub version: String,
    /// Changes with every start of the gateway.
    pub boot: String,
    /// What the device may do.
    pub scopes: Vec<String>,
}

/// Connects with the bridge's own credential and tells how things stand.
///
/// # Errors
///
/// Returns why the gateway cannot be used, in words that name the next step.
pub async fn status(config: &OpenClawConfig) -> Result<Status, Fault> {
    let endpoint = Endpoint::of(config)?;
    let device = Device::open(&config.state_dir)?;
    let token = device.token()?.ok_or(Fault::NotPaired)?;
    let name = config.display_name(&device.id());
    let credential = Credential::Device(token);
    let authority = device.authority()?;
    let connection = Connection::open(&endpoint, &device, &credential, authority, &name).await?;
    let gateway = identity(&connection).await;
    let hello = connection.hello().clone();
    connection.close();
    let gateway = gateway?;
    if device.gateway()?.is_some_and(|known| known != gateway) {
        return Err(Fault::OtherGateway);
    }
    Ok(Status {
        device: device.id(),
        gateway,
        version: hello.version,
        boot: hello.boot,
        scopes: hello.scopes,
    })
}
