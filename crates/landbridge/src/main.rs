//! `landbridge`: the daemon and the command line.
//!
//! Every command that changes something asks the running daemon through its unix socket, so there is one
//! writer and one place where rules are applied. The two exceptions are the commands that make a home
//! (`init`) and the ones that sign with an offline key: that key is never given to the daemon, so the
//! command line signs and the daemon only verifies.

mod approval;
mod cli;
mod client;
mod command;
mod demo;
mod exit;
mod live;
mod offline;
mod out;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;
use crate::exit::{Exit, Failure};
use crate::out::Out;

fn main() -> ExitCode {
    arm();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let out = Out::new(cli.json);
    let outcome = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let outcome = runtime.block_on(command::run(cli, &out));
            // A reader of standard input may still block: it must not hold the process.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(Failure::new(Exit::Internal, "cannot start").because(error)),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            out.failure(&failure);
            failure.exit().into()
        }
    }
}

/// In the example `dying`, which is built of this file too, makes a named point deadly. In the program
/// itself it is nothing.
fn arm() {
    if env!("CARGO_CRATE_NAME") == "dying"
        && let Ok(point) = std::env::var("LANDBRIDGE_DIES_AT")
    {
        landbridge_node::fail::die_at(point);
    }
}

/// Help and version are data; anything else is wrong usage, which has an exit code of its own because
/// clap's own, 2, means "tampered" here.
fn usage(error: &clap::Error) -> ExitCode {
    // Nothing can be done about a closed terminal.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Success.into() }
}
