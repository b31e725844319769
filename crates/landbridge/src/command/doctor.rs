//! `doctor`.
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::out::Out;
pub(super) async fn doctor(_client: &Client, _out: &Out) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Internal, "not built yet"))
}
