//! Tries any implementation of the Gateway Federation Protocol against the clauses of `spec/`.
//!
//! The kit is a caller and an executor of its own: it shares no line with an implementation, and what is under
//! test meets it as it meets any peer. What it can try, and what it cannot yet, is in the crate's README.

mod asked;
mod caller;
mod caller_cases;
mod cases;
mod home;
mod host;
mod http;
mod local_client;
mod report;
mod script;
mod server;
mod stage;
mod stream;
mod succession;
mod terms;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};

use crate::caller::Caller;
use crate::home::Home;
use crate::host::Host;
use crate::report::Report;
use crate::server::Server;
use crate::stage::{Orders, Stage};
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
    List {
        /// Of this profile only.
        #[arg(long)]
        profile: Option<String>,
    },
    /// Join the executor under test by its invite; its operator then compares the words and accepts.
    Join {
        /// The invite.
        invite: String,
    },
    /// Invite the caller under test, and wait until it joined; its operator then compares the words and accepts.
    Invite {
        /// Where the kit listens, as an executor; the same address in every run.
        #[arg(long)]
        listen: String,
    },
    /// Run the cases of a profile.
    Run(Box<Run>),
    /// Run the cases of the profile `local-client` against a client of the local API.
    LocalClient(local_client::LocalClient),
}

#[derive(Args, Debug)]
struct Run {
    /// Run the cases of this profile; profiles of executors may be several. `core-executor` unless cases are named.
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
    #[command(flatten)]
    orders: OfCaller,
}

/// What a caller under test needs besides the agent that it asks the kit for.
#[derive(Args, Clone, Debug)]
struct OfCaller {
    /// Of a caller: where the kit listens.
    #[arg(long)]
    listen: Option<String>,
    /// Of a caller: the shell command that starts a run at the kit; the README says what it is given.
    #[arg(long)]
    start: Option<String>,
    /// Of a caller: the shell command that cancels a run; without one, some cases are skipped.
    #[arg(long)]
    cancel: Option<String>,
    /// Of a caller: the shell command that lifts a quarantine; without one, some cases are skipped.
    #[arg(long)]
    lift: Option<String>,
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
        Command::List { profile } => report::list(profile.as_deref(), cli.json)?,
        Command::Join { invite } => {
            let (gateway, words) = Home::open(&cli.home)?.join(invite)?;
            report::joined(&gateway, &words, cli.json);
        }
        Command::Invite { listen } => {
            let host = Host::open(&cli.home, listen)?;
            report::invited("invite", &host.invite()?, cli.json);
            let words = Server::begin(host, listen)?.paired(JOINS_WITHIN)?;
            report::invited("words", &words, cli.json);
        }
        Command::LocalClient(asked) => {
            let report = Report::new(&asked.expected, cli.json)?;
            let passed = local_client::run(asked, report)?;
            return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Run(run) => {
            let report = Report::new(&run.expected, cli.json)?;
            let of_caller = run.profiles.iter().any(|name| name == caller_cases::PROFILE);
            let passed = match of_caller {
                true => try_caller(cli, run, report)?,
                false => try_executor(cli, run, report)?,
            };
            return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn try_executor(cli: &Cli, run: &Run, mut report: Report) -> Result<bool> {
    for (profile, cases) in cases::wanted(&run.profiles, &run.only)? {
        let caller = Caller::new(Home::open(&cli.home)?, run.terms.clone())?;
        for case in cases {
            report.tried(profile, case, (case.run)(&caller));
        }
    }
    Ok(report.end())
}

fn try_caller(cli: &Cli, run: &Run, mut report: Report) -> Result<bool> {
    ensure!(run.profiles.len() == 1, "a caller and an executor are tried in two runs");
    for id in &run.only {
        ensure!(caller_cases::all().any(|case| case.id == *id), "there is no case {id} of callers");
    }
    let orders = &run.orders;
    let listen = orders.listen.as_deref().context("a caller needs --listen")?;
    let host = Host::open(&cli.home, listen)?;
    host.caller()?;
    let orders = Orders {
        agent: run.terms.agent.clone(),
        start: orders.start.clone().context("a caller needs --start")?,
        cancel: orders.cancel.clone(),
        lift: orders.lift.clone(),
    };
    let is_new = !host.was_tried()?;
    let stage = Stage { server: Server::begin(host, listen)?, orders, is_new };
    caller_cases::try_all(&stage, |id| run.is_chosen(id), &mut report);
    Ok(report.end())
}

impl Run {
    fn is_chosen(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|chosen| chosen == id)
    }
}

/// How long an invite is waited for.
const JOINS_WITHIN: Duration = Duration::from_secs(600);
