//! `completions`: shells learn the command tree from clap's own description of it.

use clap::CommandFactory as _;

use crate::cli::{Cli, CompletionsArgs};
use crate::exit::{Exit, Failure};
use crate::out::Out;

/// Prints the script.
pub(super) fn print(args: &CompletionsArgs, out: &Out) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "landbridge", &mut script);
    out.bytes(&script)?;
    Ok(Exit::Success)
}
