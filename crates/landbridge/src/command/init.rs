//! `init`.
use crate::cli::InitArgs;
use crate::exit::{Exit, Failure};
use crate::out::Out;
use std::path::Path;
pub(super) fn init(_home: &Path, _args: &InitArgs, _out: &Out) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Internal, "not built yet"))
}
