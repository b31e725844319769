//! `peer`.
use crate::cli::PeerCommand;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::out::Out;
pub(super) async fn run(
    _client: &Client,
    _command: PeerCommand,
    _out: &Out,
) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Internal, "not built yet"))
}
