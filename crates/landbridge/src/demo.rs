//! Demo.
use crate::cli::DemoArgs;
use crate::exit::{Exit, Failure};
use crate::out::Out;
pub(crate) async fn demo(_args: DemoArgs, _out: &Out) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Internal, "not built yet"))
}
