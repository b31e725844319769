//! Tries any implementation of the Gateway Federation Protocol against the clauses of `spec/`.
//!
//! The kit is a caller of its own: it shares no line with an implementation, and an executor under test
//! meets it as it meets any peer. What it can try, and what it cannot yet, is in the crate's README.

mod caller;
mod cases;
mod home;
mod http;
mod local_client;
mod report;
mod stream;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};

use crate::caller::{Caller, Terms};
use crate::home::Home;
use crate::report::Report;

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
    Run(Run),
    /// Run the cases of the profile `local-client` against a client of the local API.
    LocalClient(local_client::LocalClient),
}

#[derive(Args, Debug)]
struct Run {
    /// Run these cases only.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A case that is known to fail, and why.
    #[arg(long = "expect-fail", value_name = "CASE=REASON")]
    expected: Vec<String>,
    /// The agent that the executor grants to the kit.
    #[arg(long)]
    agent: String,
    /// The kit's tenant.
    #[arg(long, default_value = "default")]
    src: String,
    /// The executor's tenant.
    #[arg(long, default_value = "default")]
    dst: String,
    /// A prompt that the agent answers soon and successfully, best with several frames.
    #[arg(long, default_value = "Say hello.")]
    prompt: String,
    /// A prompt that keeps the agent at work until it is stopped; without one, some cases are skipped.
    #[arg(long)]
    endless_prompt: Option<String>,
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
            let (gateway, words) = Home::open(&cli.home)?.join(&cli.home, invite)?;
            report::joined(&gateway, &words, cli.json);
        }
        Command::LocalClient(asked) => {
            let passed = local_client::run(asked, cli.json)?;
            return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Run(run) => {
            for id in &run.only {
                ensure!(cases::all().any(|case| case.id == id), "there is no case {id}");
            }
            let terms = Terms {
                agent: run.agent.clone(),
                src: run.src.clone(),
                dst: run.dst.clone(),
                prompt: run.prompt.clone(),
                endless: run.endless_prompt.clone(),
            };
            let caller = Caller::new(Home::open(&cli.home)?, terms)?;
            let mut report = Report::new(&run.expected, cli.json)?;
            for case in cases::all() {
                if run.only.is_empty() || run.only.iter().any(|id| id == case.id) {
                    report.tried(case, (case.run)(&caller));
                }
            }
            return Ok(if report.end() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}
