//! The gateway beside this bridge.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum GatewayCommand {
    /// Pair this bridge's own device with the gateway, with the fewest scopes
    Connect(GatewayConnectArgs),
    /// Forget the token of this bridge's device; its operator removes the device itself
    Disconnect,
    /// Show how the gateway does
    Status,
}

#[derive(Debug, Args)]
pub(crate) struct GatewayConnectArgs {
    /// The gateway's WebSocket [default: the configured one]
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Let the device answer approvals too; the gateway then needs our plugin
    #[arg(long)]
    pub(crate) approvals: bool,
    #[command(flatten)]
    pub(crate) token: GatewayTokenArgs,
}

/// The gateway's shared token: used once, to pair, and never stored.
#[derive(Debug, Args)]
pub(crate) struct GatewayTokenArgs {
    /// A file with the gateway's shared token, used once and never stored
    /// [default: OPENCLAW_GATEWAY_TOKEN in the environment]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) token_file: Option<PathBuf>,
}
