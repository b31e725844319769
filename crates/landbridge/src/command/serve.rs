//! `serve`.
use crate::cli::ServeArgs;
use crate::exit::{Exit, Failure};
use crate::out::Out;
use std::path::Path;
pub(super) async fn serve(_home: &Path, _args: &ServeArgs, _out: &Out) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Internal, "not built yet"))
}
