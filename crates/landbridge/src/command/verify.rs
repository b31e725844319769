//! `verify`.
use crate::cli::VerifyArgs;
use crate::exit::{Exit, Failure};
use crate::out::Out;
pub(super) fn verify(_args: &VerifyArgs, _out: &Out) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Internal, "not built yet"))
}
