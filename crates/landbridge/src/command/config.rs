//! `config`: the settings file, checked and explained by the code that reads it.

use std::path::Path;

use clap::ValueEnum as _;
use landbridge_node::config::{Config, ConfigErrors, Gateway, Home, Overrides, example};
use landbridge_node::local::api::SettingView;

use crate::cli::{AdapterChoice, ConfigCheckArgs};
use crate::client::Client;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::out::{Look, Out, table};

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
    adapter(&config.gateway)?;
    let answer = serde_json::json!({"file": path, "ok": true, "routes": config.routes.len()});
    out.data(&answer, |_| String::new())?;
    out.say(Look::Green, format!("{} is right; {} routes", path.display(), config.routes.len()));
    Ok(Exit::Success)
}

/// Shows what the running bridge goes by: its file may say something else by now.
pub(super) async fn show(client: &Client, out: &Out) -> Result<Exit, Failure> {
    let settings: Vec<SettingView> = client.get("/v1/admin/settings").await?;
    out.data(&settings, |settings| {
        let mut rows = vec![["SETTING", "VALUE", "FROM"].map(String::from).to_vec()];
        for each in settings {
            rows.push(vec![each.setting.clone(), each.value.clone(), each.origin.clone()]);
        }
        table(&rows)
    })?;
    Ok(Exit::Success)
}

/// Settings of the environment.
pub(crate) fn environment() -> Overrides {
    // A variable that is not UTF-8 is none of ours.
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Overrides::of_environment(variables)
}

/// The adapter that the settings name. Only this program knows which ones it has.
pub(crate) fn adapter(gateway: &Gateway) -> Result<AdapterChoice, Failure> {
    let Some(name) = &gateway.adapter else { return Ok(AdapterChoice::Openclaw) };
    let known = AdapterChoice::value_variants();
    known.iter().find(|choice| choice.as_str() == name).copied().ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|choice| choice.as_str()).collect();
        Failure::new(Exit::Config, "the configuration is wrong")
            .why(format!(
                "gateway.adapter: there is no adapter {name:?}; allowed: {}",
                names.join(", ")
            ))
            .next("landbridge config example")
    })
}

/// A failure with everything that is wrong.
pub(crate) fn wrong(errors: &ConfigErrors) -> Failure {
    let failure = errors
        .0
        .iter()
        .fold(Failure::new(Exit::Config, "the configuration is wrong"), |failure, wrong| {
            failure.why(wrong)
        });
    failure.next("landbridge config example")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn chosen(text: &str) -> Result<AdapterChoice, Failure> {
        let path = Path::new("landbridge.toml");
        let config = Config::parse(text, path, &Home::at("/h"), &Overrides::none()).unwrap();
        adapter(&config.gateway)
    }

    #[test]
    fn adapters_are_those_of_this_program() {
        assert_eq!(chosen("").unwrap(), AdapterChoice::Openclaw);
        assert_eq!(chosen("[gateway]\nadapter = \"scripted\"").unwrap(), AdapterChoice::Scripted);
        let failure = chosen("[gateway]\nadapter = \"open\"").unwrap_err();
        assert_eq!(failure.exit(), Exit::Config);
    }
}
