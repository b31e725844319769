//! `gateway`.
use crate::cli::GatewayConnectArgs;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::out::Out;
use std::path::Path;
pub(super) async fn connect(
    _home: &Path,
    _args: &GatewayConnectArgs,
    _out: &Out,
) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Internal, "not built yet"))
}
pub(super) async fn status(_client: &Client, _out: &Out) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Internal, "not built yet"))
}
