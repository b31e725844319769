//! What each command does: reads its arguments, asks the bridge, prints the answer.

mod approval;
mod audit;
mod backup;
pub(crate) mod change;
mod completions;
pub(crate) mod config;
mod doctor;
mod evidence;
mod gateway;
mod grant;
mod halt;
mod init;
mod init_offline;
mod key;
mod membership;
mod operator;
mod peer;
mod root;
mod route;
mod run;
mod scope;
mod serve;
mod standing;
mod token;
mod trust;
mod verdict;
mod verify;

use std::path::PathBuf;

use crate::cli::{
    Cli, Command, ConfigCommand, EvidenceCommand, GatewayCommand, KeyCommand, TrustCommand,
};
use crate::client::Client;
use crate::demo;
use crate::exit::{Exit, Failure};
use crate::out::Out;

/// Runs one command.
pub(crate) async fn run(cli: Cli, out: &Out) -> Result<Exit, Failure> {
    // These need no home, so they also work where there is none.
    match cli.command {
        Command::Verify(args) => return verify::verify(&args, out),
        Command::Evidence(EvidenceCommand::Verify(args)) => return evidence::verify(&args, out),
        Command::Trust(TrustCommand::Verify(args)) => return trust::verify(&args, out),
        Command::Trust(TrustCommand::Show(args)) if args.file.is_some() => {
            return trust::show_file(&args, out);
        }
        Command::Membership(command) => {
            if let Some(done) = membership::without_home(&command, out) {
                return done;
            }
            return membership::run(&Client::new(&home(cli.home)?), command, out).await;
        }
        Command::Completions(args) => return completions::print(&args, out),
        Command::Demo(args) => return demo::demo(args, out).await,
        Command::Config(ConfigCommand::Example) => return config::example(out),
        Command::Key(KeyCommand::Passphrase(args)) => return key::passphrase(&args, out),
        Command::Operator(ref command) => {
            if let Some(done) = operator::without_home(command, out) {
                return done;
            }
        }
        Command::Root(ref command) => {
            if let Some(done) = root::without_home(command, out) {
                return done;
            }
        }
        _ => {}
    }
    let home = home(cli.home)?;
    let client = Client::new(&home);
    match cli.command {
        Command::Init(args) => init::init(&home, &args, out),
        Command::Serve(args) => serve::serve(&home, &args, out).await,
        Command::Peer(peer) => peer::run(&client, peer, out).await,
        Command::Halt(args) => halt::halt(&client, &args, out).await,
        Command::Resume => halt::resume(&client, out).await,
        Command::Grant(grant) => grant::run(&client, grant, out).await,
        Command::Scope(scope) => scope::run(&client, scope, out).await,
        Command::Operator(operator) => operator::run(&client, operator, out).await,
        Command::Key(key) => key::run(&client, key, out).await,
        Command::Trust(trust) => trust::run(&client, trust, out).await,
        Command::Token(token) => token::run(&client, token, out).await,
        Command::Root(root) => root::run(&client, root, out).await,
        Command::Route(route) => route::run(&client, route, out).await,
        Command::Run(run) => run::run(&client, run, out).await,
        Command::Approval(approval) => approval::run(&client, approval, out).await,
        Command::Gateway(GatewayCommand::Connect(args)) => {
            gateway::connect(&home, &args, out).await
        }
        Command::Gateway(GatewayCommand::Disconnect) => gateway::disconnect(&home, out),
        Command::Gateway(GatewayCommand::Status) => gateway::status(&client, out).await,
        Command::Evidence(evidence) => evidence::run(&client, evidence, out).await,
        Command::Doctor => doctor::doctor(&client, out).await,
        Command::Config(ConfigCommand::Check(args)) => config::check(&home, &args, out),
        Command::Config(ConfigCommand::Show) => config::show(&client, out).await,
        Command::Audit(audit) => audit::run(&client, audit, out).await,
        Command::Backup(args) => backup::backup(&client, &args, out).await,
        Command::Restore(args) => backup::restore(&home, &args, out),
        Command::Recover(args) => backup::recover(&home, &args, out),
        Command::Verify(_)
        | Command::Membership(_)
        | Command::Completions(_)
        | Command::Demo(_)
        | Command::Config(ConfigCommand::Example) => Ok(Exit::Success),
    }
}

/// The home that was named, or the default one.
fn home(named: Option<PathBuf>) -> Result<PathBuf, Failure> {
    if let Some(home) = named {
        return std::path::absolute(&home).map_err(|error| {
            Failure::new(Exit::Usage, format!("{} is not a directory's name", home.display()))
                .because(error)
        });
    }
    match std::env::home_dir() {
        Some(home) if home.is_absolute() => Ok(home.join(".landbridge")),
        _ => Err(Failure::new(Exit::Usage, "this user has no home directory")
            .next("name the bridge's home: --home DIR or LANDBRIDGE_HOME")),
    }
}
