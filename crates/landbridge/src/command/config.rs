//! `config`: the settings file, checked and explained by the code that reads it.

use std::path::Path;

use landbridge_node::config::{Config, ConfigErrors, Home, Overrides, example};

use crate::cli::ConfigCheckArgs;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::out::{Look, Out};

/// Prints a file with every setting explained.
pub(super) fn example(out: &Out) -> Result<Exit, Failure> {
    out.bytes(example::example().as_bytes())?;
    Ok(Exit::Success)
}

/// Checks a file as `serve` would read it.
pub(super) fn check(home: &Path, args: &ConfigCheckArgs, out: &Out) -> Result<Exit, Failure> {
    let home = Home::at(home);
    let path = args.file.clone().unwrap_or_else(|| home.config());
    let checked = if path.exists() || args.file.is_some() {
        let text = std::fs::read_to_string(&path)
            .or_fail(Exit::Config, || format!("cannot read {}", path.display()))?;
        Config::parse(&text, &path, &home, &environment())
    } else {
        out.say(Look::Dim, format!("there is no {}; defaults apply", path.display()));
        Config::load(&home, &environment())
    };
    let config = checked.map_err(|errors| wrong(&errors))?;
    let answer = serde_json::json!({"file": path, "ok": true, "routes": config.routes.len()});
    out.data(&answer, |_| String::new())?;
    out.say(Look::Green, format!("{} is right; {} routes", path.display(), config.routes.len()));
    Ok(Exit::Success)
}

/// Settings of the environment.
pub(crate) fn environment() -> Overrides {
    // A variable that is not UTF-8 is none of ours.
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Overrides::of_environment(variables)
}

/// A failure with everything that is wrong.
pub(crate) fn wrong(errors: &ConfigErrors) -> Failure {
    let failure = errors
        .0
        .iter()
        .fold(Failure::new(Exit::Config, "the configuration is wrong"), |failure, wrong| failure.why(wrong));
    failure.next("landbridge config example")
}
