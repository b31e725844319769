//! `init`: a new bridge, complete or not there at all.
//!
//! The settings file is written first and the keys last, because a home with keys is a bridge; a home
//! with settings only is an unfinished one, and `init` goes on with it.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use landbridge_node::clock::{Clock as _, SystemClock, SystemEntropy};
use landbridge_node::config::{Config, Home, Overrides};
use landbridge_node::identity::online::key_files;
use landbridge_node::identity::{Identity, NewIdentity};
use landbridge_proto::wire::document::EndpointUrl;
use landbridge_proto::wire::kind::Role;

use crate::cli::InitArgs;
use crate::command::config::wrong;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::offline::identity_failure;
use crate::out::{Look, Out, fields};

/// Makes the bridge.
pub(super) fn init(path: &Path, args: &InitArgs, out: &Out) -> Result<Exit, Failure> {
    let endpoints = endpoints(args)?;
    let text = settings(args);
    let home = Home::at(path);
    // Proven before anything is made, so that a slip in a flag leaves nothing behind.
    Config::parse(&text, &home.config(), &home, &Overrides::none())
        .map_err(|errors| wrong(&errors))?;
    if key_files(&home.keys(), Role::Stream).is_ok_and(|all| !all.is_empty()) {
        return Err(Failure::new(
            Exit::CannotCreate,
            format!("{} holds a bridge already", path.display()),
        )
        .why("keys are never overwritten")
        .next(format!(
            "landbridge serve --home {0}, or init with another --home",
            path.display()
        )));
    }
    let home = Home::create(path).map_err(|fault| home_failure(&fault))?;
    write_settings(&home, &text, out)?;
    let new = NewIdentity { endpoints: endpoints.clone(), now: SystemClock.now() };
    let gateway = Identity::create(home.path(), &new, &SystemEntropy)
        .map_err(|error| identity_failure(&error))?;
    let made = serde_json::json!({
        "gateway": gateway,
        "home": home.path(),
        "listen": args.listen,
        "endpoints": endpoints,
        "adapter": args.adapter.as_str(),
    });
    out.data(&made, |_| {
        let urls: Vec<&str> = endpoints.iter().map(EndpointUrl::as_str).collect();
        fields(&[
            ("gateway", gateway.to_string()),
            ("home", home.path().display().to_string()),
            ("endpoints", urls.join(" ")),
        ])
    })?;
    let offline = home.offline();
    out.say(Look::Yellow, format!(
        "{} holds the root and policy keys: the running bridge never reads them; keep a copy elsewhere",
        offline.display()
    ));
    let at = home_flag(path);
    if args.adapter == crate::cli::AdapterChoice::Openclaw {
        out.say(
            Look::Dim,
            format!("next: landbridge gateway connect{at}, then landbridge serve{at}"),
        );
    } else {
        out.say(Look::Dim, format!("next: landbridge serve{at}"));
    }
    Ok(Exit::Success)
}

/// The flag that names this home, where it is not the default one.
fn home_flag(path: &Path) -> String {
    let default = std::env::home_dir().map(|home| home.join(".landbridge"));
    if default.as_deref() == Some(path) {
        String::new()
    } else {
        format!(" --home {}", path.display())
    }
}

fn endpoints(args: &InitArgs) -> Result<Vec<EndpointUrl>, Failure> {
    let named: Vec<String> = if args.endpoints.is_empty() {
        if args.listen.ip().is_unspecified() {
            return Err(Failure::new(Exit::Usage, format!("peers cannot reach {}", args.listen))
                .next("the same command with --endpoint https://HOST:PORT"));
        }
        vec![format!("https://{}", args.listen)]
    } else {
        args.endpoints.clone()
    };
    let read = |text: &String| {
        EndpointUrl::new(text).or_fail(Exit::Usage, || format!("{text} is no endpoint"))
    };
    named.iter().map(read).collect()
}

/// The settings file: what was asked for, and where the rest is explained.
fn settings(args: &InitArgs) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut text = format!(
        "# Settings of one Landbridge bridge; `landbridge config example` explains every one.\n\n\
         [federation]\nlisten = {}\n",
        quoted(&args.listen.to_string())
    );
    if let Some(endpoint) = args.endpoints.first() {
        text.push_str(&format!("endpoint = {}\n", quoted(endpoint)));
    }
    if !args.danger_allow_addresses.is_empty() {
        let blocks: Vec<String> =
            args.danger_allow_addresses.iter().map(|block| quoted(block)).collect();
        text.push_str(&format!("danger_allow_addresses = [{}]\n", blocks.join(", ")));
    }
    text.push_str(&format!("\n[gateway]\nadapter = {}\n", quoted(args.adapter.as_str())));
    if let Some(url) = &args.gateway_url {
        text.push_str(&format!("url = {}\n", quoted(url)));
    }
    text
}

fn write_settings(home: &Home, text: &str, out: &Out) -> Result<(), Failure> {
    let path = home.config();
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match opened {
        Ok(mut file) => file
            .write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .or_fail(Exit::CannotCreate, || format!("cannot write {}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            out.say(Look::Yellow, format!("{} exists and stays as it is", path.display()));
            Ok(())
        }
        Err(error) => {
            Err(Failure::new(Exit::CannotCreate, format!("cannot write {}", path.display()))
                .because(error))
        }
    }
}

/// A failure for a home that cannot be used.
pub(super) fn home_failure(fault: &landbridge_node::config::home::HomeFault) -> Failure {
    use landbridge_node::config::home::HomeFault;
    let failure = |exit| Failure::new(exit, fault);
    match fault {
        HomeFault::Missing { path } => {
            failure(Exit::Config).next(format!("landbridge init --home {}", path.display()))
        }
        HomeFault::Open { path, .. } => {
            failure(Exit::Permissions).next(format!("chmod 700 {}", path.display()))
        }
        HomeFault::NotOurs { .. } => {
            failure(Exit::Permissions).next("run the command as the user that owns the home")
        }
        HomeFault::NotADirectory { .. } => failure(Exit::Config).next("another --home"),
        HomeFault::System { source, .. } => failure(Exit::CannotCreate).why(source),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;

    fn parsed(line: &str) -> InitArgs {
        let Command::Init(args) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
            panic!("{line}")
        };
        args
    }

    #[test]
    fn what_init_writes_is_what_serve_reads() {
        let args = parsed(
            "landbridge init --listen 127.0.0.1:7001 --endpoint https://eu.example:7443 \
             --adapter scripted --danger-allow-addresses 127.0.0.0/8",
        );
        let home = Home::at("/nowhere");
        let config =
            Config::parse(&settings(&args), &home.config(), &home, &Overrides::none()).unwrap();
        assert_eq!(config.federation.listen, args.listen);
        assert_eq!(config.federation.told_endpoint().to_string(), "https://eu.example:7443");
        assert_eq!(config.federation.danger_allow_addresses.len(), 1);
        assert_eq!(config.gateway.adapter.as_deref(), Some("scripted"));
    }

    #[test]
    fn a_wildcard_needs_an_endpoint() {
        let args = parsed("landbridge init --listen 0.0.0.0:7443");
        assert_eq!(endpoints(&args).unwrap_err().exit(), Exit::Usage);
    }

    #[test]
    fn a_second_init_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("home");
        let out = Out::new(true);
        let args = parsed("landbridge init --adapter scripted");
        assert_eq!(init(&path, &args, &out).unwrap(), Exit::Success);
        let before = std::fs::read(path.join("root/1.json")).unwrap();
        assert_eq!(init(&path, &args, &out).unwrap_err().exit(), Exit::CannotCreate);
        assert_eq!(std::fs::read(path.join("root/1.json")).unwrap(), before);
    }
}
