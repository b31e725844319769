//! `config`.
use crate::cli::ConfigCheckArgs;
use crate::exit::{Exit, Failure};
use crate::out::Out;
use std::path::Path;
pub(super) fn example(_out: &Out) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Internal, "not built yet"))
}
pub(super) fn check(_home: &Path, _args: &ConfigCheckArgs, _out: &Out) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Internal, "not built yet"))
}
