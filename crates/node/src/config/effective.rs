//! The settings as they hold, each with the place that it came from: what `config show` prints.
//!
//! What a running bridge goes by may differ from what its file says by now, so the bridge itself is
//! asked, and answers with what it read when it started. There are no secrets among settings.

use super::Config;
use super::raw::{FIELDS, Raw, Value, Written};

/// A setting as it holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Effective {
    /// Its name, such as `retention.journal` or `routes.eu.peer`.
    pub setting: String,
    /// Its value, as TOML.
    pub value: String,
    /// Where it was written, or `default`.
    pub origin: String,
}

/// Every setting that has a value, in the file's order.
pub(super) fn effective(raw: &Raw, config: &Config) -> Vec<Effective> {
    let mut raw = raw.clone();
    let mut all = Vec::new();
    let repeated = |section: &str| matches!(section, "routes" | "scopes");
    for field in FIELDS.iter().filter(|field| !repeated(field.section)) {
        if let Some(Some(written)) = raw.slot(field.section, field.key) {
            all.push(of(format!("{}.{}", field.section, field.key), written));
        }
    }
    for at in 0..raw.scopes.len() {
        for field in FIELDS.iter().filter(|field| field.section == "scopes") {
            if let Some(Some(written)) = raw.scope_slot(at, field.key) {
                all.push(of(format!("scopes.{}.{}", at + 1, field.key), written));
            }
        }
    }
    let names: Vec<String> = raw.routes.keys().cloned().collect();
    for name in names {
        for field in FIELDS.iter().filter(|field| field.section == "routes") {
            if let Some(Some(written)) = raw.route_slot(&name, field.key) {
                all.push(of(format!("routes.{name}.{}", field.key), written));
            }
        }
    }
    // The one default that follows others.
    if let Some(statuses) = all.iter_mut().find(|each| each.setting == "retention.statuses") {
        statuses.value = quoted(&config.retention.statuses.to_string());
    }
    all
}

fn of(setting: String, written: &Written) -> Effective {
    Effective { setting, value: toml(&written.value), origin: written.origin.to_string() }
}

fn toml(value: &Value) -> String {
    match value {
        Value::Text(text) => quoted(text),
        Value::Number(number) => number.to_string(),
        Value::List(texts) => {
            format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
        }
        Value::Table(table) => {
            let pairs = table.iter().map(|(name, text)| format!("{name} = {}", quoted(text)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::Flag(flag) => flag.to_string(),
        Value::Other(kind) => (*kind).to_owned(),
    }
}

/// A basic string of TOML: a string of JSON is one too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
