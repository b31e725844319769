//! Tries any implementation of the Gateway Federation Protocol against the clauses of `spec/`.
//!
//! The kit is a caller of its own: it shares no line with an implementation, and an executor under test
//! meets it as it meets any peer. What it can try, and what it cannot yet, is in the crate's README.

mod caller;
mod cases;
mod home;
mod http;
mod report;
mod stream;
mod succession;
mod terms;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::caller::Caller;
use crate::home::Home;
use crate::report::Report;
use crate::terms::Terms;

/// Tries an implementation of the Gateway Federation Protocol against its clauses.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Where the kit keeps its keys and the executor that it was introduced to.
    #[arg(long, global = true, default_value = "conformance-kit")]
    home: PathBuf,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the cases.
    List,
    /// Join the executor under test by its invite; its operator then compares the words and accepts.
    Join {
        /// The invite.
        invite: String,
    },
    /// Run the cases against the executor.
    Run(Box<Run>),
}

#[derive(Args, Debug)]
struct Run {
    /// Run the cases of this profile; may be repeated. `core-executor` unless cases are named.
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<String>,
    /// Run these cases only.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A case that is known to fail, and why.
    #[arg(long = "expect-fail", value_name = "CASE=REASON")]
    expected: Vec<String>,
    #[command(flatten)]
    terms: Terms,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(code) => code,
        Err(fault) => {
            eprintln!("landbridge-conformance: {fault:#}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode> {
    match &cli.command {
        Command::List => report::list(cli.json),
        Command::Join { invite } => {
            let (gateway, words) = Home::open(&cli.home)?.join(invite)?;
            report::joined(&gateway, &words, cli.json);
        }
        Command::Run(run) => {
            let wanted = cases::wanted(&run.profiles, &run.only)?;
            let mut report = Report::new(&run.expected, cli.json)?;
            for (profile, cases) in wanted {
                let caller = Caller::new(Home::open(&cli.home)?, run.terms.clone())?;
                for case in cases {
                    report.tried(profile, case, (case.run)(&caller));
                }
            }
            return Ok(if report.end() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}
