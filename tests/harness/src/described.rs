//! Whether an answer of the local API is one that its OpenAPI description has.

use std::sync::OnceLock;

use anyhow::{Context, ensure};
use serde_json::Value;

/// Fails when the description does not have this answer: its status, and where it is a problem, its code.
///
/// What no path of the description is asked for is not judged.
///
/// # Errors
///
/// Says what is missing.
pub(crate) fn check(method: &str, target: &str, status: u16, code: &str) -> anyhow::Result<()> {
    let description = description()?;
    let path = target.split('?').next().unwrap_or_default();
    let Some(operation) = operation(description, &method.to_lowercase(), path) else {
        return Ok(());
    };
    let answer = &operation["responses"][status.to_string()];
    ensure!(!answer.is_null(), "{method} {path}: an answer {status} {code} is not described");
    if let Some(shared) = answer["$ref"].as_str() {
        let refusal = description.pointer(shared.trim_start_matches('#'));
        let refusal = refusal.context("a reference of the description leads nowhere")?;
        let codes = &refusal["content"]["application/problem+json"]["schema"]["properties"];
        let codes = codes["code"]["enum"].as_array().context("a refusal without codes")?;
        ensure!(codes.contains(&code.into()), "{method} {path}: {code} is not described");
    }
    Ok(())
}

fn operation<'a>(description: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let fits = |template: &str| {
        let (mut given, mut known) = (path.split('/'), template.split('/'));
        loop {
            match (given.next(), known.next()) {
                (None, None) => return true,
                (Some(given), Some(known)) if given == known || known.starts_with('{') => {}
                _ => return false,
            }
        }
    };
    // A path without a variable part is more exact than one with it.
    let paths = description["paths"].as_object()?;
    let exact = paths
        .get(path)
        .or_else(|| paths.iter().find(|(template, _)| fits(template)).map(|(_, methods)| methods));
    exact?.get(method)
}

fn description() -> anyhow::Result<&'static Value> {
    static READ: OnceLock<Value> = OnceLock::new();
    if let Some(read) = READ.get() {
        return Ok(read);
    }
    let file = crate::workspace_root().join("spec/openapi/local-3.2.json");
    let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let description: Value = serde_json::from_slice(&text)?;
    ensure!(description["paths"]["/v1/runs"].is_object(), "{} describes nothing", file.display());
    Ok(READ.get_or_init(|| description))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::check;

    #[test]
    fn what_the_description_has_passes_and_nothing_else_does() {
        check("GET", "/v1/runs?limit=5", 200, "").unwrap();
        check("GET", "/v1/runs/run-1", 404, "not_found").unwrap();
        check("GET", "/v1/nothing", 404, "not_found").unwrap();
        assert!(check("GET", "/v1/runs/run-1", 404, "run_lost").is_err());
        assert!(check("GET", "/v1/runs/run-1", 418, "").is_err());
    }
}
