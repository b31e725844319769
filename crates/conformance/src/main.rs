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
mod report;
mod script;
mod server;
mod stage;
mod stream;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::caller::{Caller, Terms};
use crate::home::Home;
use crate::host::Host;
use crate::report::Report;
use crate::server::Server;
use crate::stage::{Orders, Stage};

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
        profile: Option<Profile>,
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
}

/// Who is under test.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Profile {
    /// An executor; the kit is its caller.
    CoreExecutor,
    /// A caller; the kit is its executor.
    CoreCaller,
}

impl Profile {
    const fn name(self) -> &'static str {
        match self {
            Self::CoreExecutor => cases::PROFILE,
            Self::CoreCaller => caller_cases::PROFILE,
        }
    }
}

#[derive(Args, Debug)]
struct Run {
    /// Who is under test.
    #[arg(long, default_value = "core-executor")]
    profile: Profile,
    /// Run these cases only.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A case that is known to fail, and why.
    #[arg(long = "expect-fail", value_name = "CASE=REASON")]
    expected: Vec<String>,
    /// The agent that the executor grants to the kit, or that the caller asks the kit for.
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
    /// Of a caller: where the kit listens.
    #[arg(long, required_if_eq("profile", "core-caller"))]
    listen: Option<String>,
    /// Of a caller: the shell command that starts a run at the kit; the README says what it is given.
    #[arg(long, required_if_eq("profile", "core-caller"))]
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
        Command::List { profile } => report::list(profile.map(Profile::name), cli.json),
        Command::Join { invite } => {
            let (gateway, words) = Home::open(&cli.home)?.join(&cli.home, invite)?;
            report::joined(&gateway, &words, cli.json);
        }
        Command::Invite { listen } => {
            let host = Host::open(&cli.home, listen)?;
            report::invited("invite", &host.invite()?, cli.json);
            let words = Server::begin(host, listen)?.paired(JOINS_WITHIN)?;
            report::invited("words", &words, cli.json);
        }
        Command::Run(run) => {
            let profile = run.profile.name();
            for id in &run.only {
                ensure!(report::ids(profile).contains(&id.as_str()), "there is no case {id}");
            }
            let report = Report::new(profile, &run.expected, cli.json)?;
            let passed = match run.profile {
                Profile::CoreExecutor => try_executor(cli, run, report)?,
                Profile::CoreCaller => try_caller(cli, run, report)?,
            };
            return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn try_executor(cli: &Cli, run: &Run, mut report: Report) -> Result<bool> {
    let terms = Terms {
        agent: run.agent.clone(),
        src: run.src.clone(),
        dst: run.dst.clone(),
        prompt: run.prompt.clone(),
        endless: run.endless_prompt.clone(),
    };
    let caller = Caller::new(Home::open(&cli.home)?, terms)?;
    for case in cases::all().filter(|case| run.is_chosen(case.id)) {
        report.tried(case, (case.run)(&caller));
    }
    Ok(report.end())
}

fn try_caller(cli: &Cli, run: &Run, mut report: Report) -> Result<bool> {
    let listen = run.listen.as_deref().context("--listen")?;
    let host = Host::open(&cli.home, listen)?;
    host.caller()?;
    let orders = Orders {
        agent: run.agent.clone(),
        start: run.start.clone().context("--start")?,
        cancel: run.cancel.clone(),
        lift: run.lift.clone(),
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
