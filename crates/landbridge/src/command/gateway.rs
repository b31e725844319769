//! `gateway`: the OpenClaw gateway beside this bridge.

use std::path::Path;

use landbridge_node::config::{Config, Home};
use landbridge_node::local::api::BridgeView;
use landbridge_openclaw::{
    Authority, Fault, OpenClawConfig, Pairing, Secret, disconnect as forget, pair,
};
use zeroize::Zeroizing;

use crate::cli::{AdapterChoice, GatewayConnectArgs, GatewayTokenArgs};
use crate::client::Client;
use crate::command::config::{adapter, environment, wrong};
use crate::command::init::home_failure;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::out::{Look, Out, fields};

/// Pairs the bridge's own device with the gateway.
pub(super) async fn connect(
    home: &Path,
    args: &GatewayConnectArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    let home = Home::open(home).map_err(|fault| home_failure(&fault))?;
    let config = OpenClawConfig::new(gateway_url(&home, args.url.as_deref(), out)?, home.gateway());
    let failed = |fault| match fault {
        // While pairing there is no other credential that could be wrong.
        Fault::Unauthorized { code } => {
            Failure::new(Exit::Failed, format!("{} refuses the shared token", config.url))
                .why(code)
                .next("the same command with the token of the gateway's own gateway.auth.token")
        }
        fault => {
            Failure::new(Exit::Failed, format!("the bridge is not connected to {}", config.url))
                .because(fault)
        }
    };
    let authority = if args.approvals { Authority::RunsAndApprovals } else { Authority::Runs };
    match pair(&config, shared_token(&args.token)?, authority).await.map_err(failed)? {
        Pairing::Paired { device, gateway, version, scopes } => {
            let paired = serde_json::json!({"state": "paired", "url": config.url, "device": device,
                "gateway": gateway, "version": version, "scopes": scopes});
            out.data(&paired, |_| {
                fields(&[
                    ("gateway", gateway.clone()),
                    ("version", version.clone()),
                    ("device", device.clone()),
                    ("scopes", scopes.join(" ")),
                ])
            })?;
            out.say(Look::Green, "connected; the shared token was used this once and is not kept");
            Ok(Exit::Success)
        }
        Pairing::Pending { device, request, next } => {
            let pending = serde_json::json!({"state": "pending", "url": config.url, "device": device,
                "request": request, "next": next});
            out.data(&pending, |_| String::new())?;
            Err(Failure::new(
                Exit::Failed,
                "the gateway's operator must approve the bridge's device",
            )
            .next(format!("{next}, on the gateway's machine; then the same command again")))
        }
        // The pairing may learn new endings before this command does.
        other => Err(Failure::new(Exit::Internal, format!("the pairing ended in {other:?}"))),
    }
}

/// The gateway that was named, or the configured one. The running bridge uses the configured one.
fn gateway_url(home: &Home, named: Option<&str>, out: &Out) -> Result<String, Failure> {
    let config = Config::load(home, &environment()).map_err(|errors| wrong(&errors))?;
    let configured = match adapter(&config.gateway)? {
        AdapterChoice::Openclaw => Some(config.gateway.url.as_str()),
        AdapterChoice::Scripted => None,
    };
    let Some(named) = named else {
        return configured.map(str::to_owned).ok_or_else(|| {
            Failure::new(Exit::Config, "this bridge is configured for the scripted adapter")
                .next(format!("gateway.adapter = \"openclaw\" in {}", home.config().display()))
        });
    };
    if configured != Some(named) {
        out.say(Look::Yellow, format!(
            "the running bridge will use what {} says: set gateway.adapter and gateway.url there",
            home.config().display()
        ));
    }
    Ok(named.to_owned())
}

/// The shared token, from the file or the environment; never from the command line, where every
/// process of the machine could read it.
fn shared_token(args: &GatewayTokenArgs) -> Result<Secret, Failure> {
    let text = match &args.token_file {
        Some(path) => {
            Zeroizing::new(std::fs::read_to_string(path).or_fail(Exit::Usage, || {
                format!("cannot read the token from {}", path.display())
            })?)
        }
        None => Zeroizing::new(std::env::var("OPENCLAW_GATEWAY_TOKEN").unwrap_or_default()),
    };
    let token = text.trim();
    if token.is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            "the gateway's shared token is needed, once, to pair",
        )
        .next("the same command with --token-file FILE, or OPENCLAW_GATEWAY_TOKEN set"));
    }
    Ok(Secret::new(token.to_owned()))
}

/// Forgets the device's token at this side, and says what is left to do at the gateway.
pub(super) fn disconnect(home: &Path, out: &Out) -> Result<Exit, Failure> {
    let home = Home::open(home).map_err(|fault| home_failure(&fault))?;
    let done =
        forget(&home.gateway()).or_fail(Exit::Failed, || "the device's token was not forgotten")?;
    let remove = format!("openclaw devices remove {}", done.device);
    let answer = serde_json::json!({"device": done.device, "hadToken": done.had_token,
        "atGateway": remove});
    out.data(&answer, |_| String::new())?;
    if done.had_token {
        out.say(Look::Green, "forgotten; a running bridge leaves the gateway within seconds");
    } else {
        out.say(Look::Dim, "there was no token to forget");
    }
    out.say(
        Look::Plain,
        format!("the gateway still knows the device; its operator removes it there: {remove}"),
    );
    Ok(Exit::Success)
}

/// Shows how the running bridge sees its gateway.
pub(super) async fn status(client: &Client, out: &Out) -> Result<Exit, Failure> {
    let view: BridgeView = client.get("/v1/admin/bridge").await?;
    let adapter = view.adapter;
    out.data(&adapter, |adapter| {
        fields(&[
            ("adapter", adapter.adapter.clone()),
            ("software", adapter.software.clone()),
            ("reachable", if adapter.reachable { "yes" } else { "no" }.to_owned()),
            ("agents", adapter.agents.join(" ")),
            ("detail", adapter.detail.clone().unwrap_or_default()),
        ])
    })?;
    if adapter.reachable {
        return Ok(Exit::Success);
    }
    let failure = Failure::new(Exit::Failed, "the gateway cannot be asked now");
    let failure = adapter.detail.iter().fold(failure, |failure, detail| failure.why(detail));
    Err(failure.next("landbridge gateway connect, if it was never connected; landbridge doctor"))
}
