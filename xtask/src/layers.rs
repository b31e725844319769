//! `cargo xtask layers`: data flows one way.
//!
//! `wire -> trust -> machine` inside `proto`, then `store -> node -> openclaw -> landbridge`. Cargo
//! forbids cycles between crates and no more; which edges exist, and what `proto` stays clear of, is
//! decided here.

use std::path::Path;

use anyhow::{Context, Result};

use crate::files::{self, File};
use crate::finding::Finding;
use crate::source::{self, Source, Token};

/// What a crate may know of the others, by the last part of their names.
struct Layer {
    directory: &'static str,
    may_use: &'static [&'static str],
}

const LAYERS: [Layer; 8] = [
    Layer { directory: "crates/planted", may_use: &[] },
    Layer { directory: "crates/proto", may_use: &["planted"] },
    Layer { directory: "crates/store", may_use: &["planted", "proto"] },
    Layer { directory: "crates/node", may_use: &["planted", "proto", "store"] },
    Layer { directory: "crates/openclaw", may_use: &["planted", "proto", "node"] },
    Layer { directory: "crates/landbridge", may_use: &["proto", "store", "node", "openclaw"] },
    Layer { directory: "crates/conformance", may_use: &[] },
    Layer { directory: "crates/sim", may_use: &["proto", "store"] },
];

/// Modules of `proto` and the later modules that they know nothing of.
const MODULES: [(&str, &[&str]); 2] =
    [("crates/proto/src/wire", &["trust", "machine"]), ("crates/proto/src/trust", &["machine"])];

/// Identifiers that mean I/O, a clock, randomness, async or an order that differs between runs.
const IMPURE: [&str; 13] = [
    "SystemTime",
    "Instant",
    "HashMap",
    "HashSet",
    "RandomState",
    "tokio",
    "rand",
    "getrandom",
    "OsRng",
    "async",
    "await",
    "println",
    "eprintln",
];

/// Modules of `std` that `proto` stays clear of.
const IMPURE_STD: [&str; 5] = ["net", "fs", "thread", "process", "env"];

/// The crates that know nothing of the one real gateway.
const NEUTRAL: [&str; 3] = ["crates/proto/", "crates/store/", "crates/node/"];

/// Checks every crate's manifest and sources.
///
/// # Errors
///
/// Fails when a file cannot be read or a manifest does not parse.
pub(crate) fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    // Crates below `tests/` drive the whole and may know all of it.
    for manifest in files::below(root, "crates", &["Cargo.toml"])? {
        findings.extend(manifest_findings(&manifest)?);
    }
    for file in files::below(root, "crates", &[".rs"])? {
        findings.extend(source_findings(&file));
    }
    findings.sort();
    Ok(findings)
}

fn layer_of(path: &str) -> Option<&'static Layer> {
    LAYERS
        .iter()
        .find(|layer| path.strip_prefix(layer.directory).is_some_and(|rest| rest.starts_with('/')))
}

fn manifest_findings(file: &File) -> Result<Vec<Finding>> {
    let manifest: toml::Table = file.text.parse().with_context(|| file.path.clone())?;
    let Some(layer) = layer_of(&file.path) else {
        return Ok(vec![Finding::new(
            &file.path,
            0,
            "a crate without a place in the layers: add it to xtask's table",
        )]);
    };
    let mut findings = Vec::new();
    for table in ["dependencies", "build-dependencies", "dev-dependencies"] {
        let names = manifest
            .get(table)
            .and_then(toml::Value::as_table)
            .into_iter()
            .flat_map(toml::Table::keys);
        for name in names {
            let fault = match name.strip_prefix("landbridge-") {
                Some("harness") if table == "dev-dependencies" => continue,
                Some(other) => !layer.may_use.contains(&other),
                None => name == "rusqlite" && layer.directory != "crates/store",
            };
            if fault {
                findings.push(Finding::new(
                    &file.path,
                    0,
                    format!("{} must not know {name}", layer.directory),
                ));
            }
        }
    }
    Ok(findings)
}

fn source_findings(file: &File) -> Vec<Finding> {
    let source = Source::new(&file.text);
    let Some(layer) = layer_of(&file.path) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let all_test = source::is_test_path(&file.path);
    let tokens = source.tokens();
    let mut complain =
        |line: usize, what: String| findings.push(Finding::new(&file.path, line, what));
    for token in &tokens {
        if let Some(other) = token.text.strip_prefix("landbridge_")
            && LAYERS.iter().any(|known| known.directory.ends_with(&format!("/{other}")))
            && !layer.directory.ends_with(&format!("/{other}"))
            && !layer.may_use.contains(&other)
        {
            complain(token.line, format!("{} must not know {}", layer.directory, token.text));
        }
        if token.text == "rusqlite" && layer.directory != "crates/store" {
            complain(token.line, "only crates/store speaks SQL".to_owned());
        }
    }
    if all_test {
        return findings;
    }
    // Tests may reach for what signs or decides; the layers are about what ships.
    let later = later_modules(&file.path, &tokens);
    for (line, what) in later.into_iter().filter(|(line, _)| !source.is_test(*line)) {
        complain(line, what);
    }
    if layer.directory == "crates/proto" {
        for (line, what) in
            impurities(&tokens).into_iter().filter(|(line, _)| !source.is_test(*line))
        {
            complain(line, what);
        }
    }
    if NEUTRAL.iter().any(|place| file.path.starts_with(place)) {
        for (at, line) in source.bare.lines().enumerate() {
            if line.to_ascii_lowercase().contains("openclaw") && !source.is_test(at + 1) {
                complain(at + 1, "only crates/openclaw knows OpenClaw".to_owned());
            }
        }
    }
    findings
}

/// Mentions of a later module of `proto` as part of a path or an import.
fn later_modules(path: &str, tokens: &[Token<'_>]) -> Vec<(usize, String)> {
    let inside = |module: &str| {
        path.strip_prefix(module).is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
    };
    let Some((module, later)) = MODULES.iter().find(|(module, _)| inside(module)) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let mut importing = false;
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "use" => importing = true,
            ";" => importing = false,
            _ => {}
        }
        let joined = |other: Option<&Token<'_>>| other.is_some_and(|other| other.text == "::");
        let before = at.checked_sub(1).and_then(|before| tokens.get(before));
        let in_path = importing || joined(before) || joined(tokens.get(at + 1));
        if in_path && later.contains(&token.text) {
            findings.push((token.line, format!("{module} must not know {}", token.text)));
        }
    }
    findings
}

fn impurities(tokens: &[Token<'_>]) -> Vec<(usize, String)> {
    let mut findings = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let after_std = at >= 2 && tokens[at - 1].text == "::" && tokens[at - 2].text == "std";
        let grouped = in_std_group(tokens, at);
        if token.text == "net" && is_address(tokens.get(at + 2)) {
            continue;
        }
        if IMPURE.contains(&token.text)
            || ((after_std || grouped) && IMPURE_STD.contains(&token.text))
        {
            findings.push((
                token.line,
                format!("proto has no I/O, clock, randomness or async: {}", token.text),
            ));
        }
    }
    findings
}

/// Whether what follows `net::` is a plain value: an address opens no socket.
fn is_address(token: Option<&Token<'_>>) -> bool {
    token.is_some_and(|token| token.text.starts_with("Ip") || token.text.starts_with("SocketAddr"))
}

/// Whether the token stands directly inside `std::{…}`.
fn in_std_group(tokens: &[Token<'_>], at: usize) -> bool {
    let mut depth = 0_usize;
    for open in (0..at).rev() {
        match tokens[open].text {
            "}" => depth += 1,
            "{" if depth > 0 => depth -= 1,
            "{" => {
                return open >= 2
                    && tokens[open - 1].text == "::"
                    && tokens[open - 2].text == "std";
            }
            ";" => return false,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn in_source(path: &str, text: &str) -> Vec<String> {
        let file = File { path: path.to_owned(), text: text.to_owned() };
        source_findings(&file).into_iter().map(|finding| finding.what).collect()
    }

    fn in_manifest(path: &str, text: &str) -> usize {
        let file = File { path: path.to_owned(), text: text.to_owned() };
        manifest_findings(&file).unwrap().len()
    }

    #[test]
    fn a_manifest_that_reaches_upwards_is_found() {
        assert_eq!(
            in_manifest(
                "crates/store/Cargo.toml",
                "[dependencies]\nlandbridge-proto.workspace = true\n"
            ),
            0
        );
        assert_eq!(
            in_manifest(
                "crates/store/Cargo.toml",
                "[dependencies]\nlandbridge-node.workspace = true\n"
            ),
            1
        );
        assert_eq!(
            in_manifest(
                "crates/conformance/Cargo.toml",
                "[dependencies]\nlandbridge-proto.workspace = true\n"
            ),
            1
        );
        assert_eq!(
            in_manifest(
                "crates/node/Cargo.toml",
                "[dev-dependencies]\nlandbridge-harness.workspace = true\n"
            ),
            0
        );
        assert_eq!(
            in_manifest("crates/node/Cargo.toml", "[dependencies]\nrusqlite.workspace = true\n"),
            1
        );
        assert_eq!(in_manifest("crates/surprise/Cargo.toml", ""), 1);
    }

    #[test]
    fn wire_knows_neither_trust_nor_machine() {
        let wire = "crates/proto/src/wire/seal.rs";
        for bad in [
            "use crate::trust::Key;",
            "use crate::{trust, wire};",
            "fn a() { super::super::machine::b(); }",
        ] {
            assert_eq!(in_source(wire, bad).len(), 1, "{bad}");
        }
        assert!(
            in_source(
                wire,
                "// see crate::trust\nfn trust() { let machine = \"crate::machine\"; }"
            )
            .is_empty()
        );
        assert_eq!(in_source("crates/proto/src/wire.rs", "use crate::trust;").len(), 1);
        let tests = "#[cfg(test)]\nmod tests {\n    use crate::trust::testing;\n}\n";
        assert!(in_source(wire, tests).is_empty());
        assert!(
            in_source("crates/proto/src/wire/sse/tests.rs", "use crate::trust::testing;")
                .is_empty()
        );
        assert_eq!(in_source("crates/proto/src/trust/key.rs", "use crate::machine::Run;").len(), 1);
        assert!(in_source("crates/proto/src/trust/key.rs", "use crate::wire::name;").is_empty());
        assert!(in_source("crates/proto/src/machine/run.rs", "use crate::trust::Key;").is_empty());
    }

    #[test]
    fn proto_is_pure_outside_its_tests() {
        let path = "crates/proto/src/machine/run.rs";
        for bad in [
            "use std::time::Instant;",
            "use std::fs;",
            "use std::{fmt, net::TcpStream};",
            "use std::collections::HashMap;",
            "async fn a() {}",
            "fn a() { getrandom::fill(&mut b); }",
        ] {
            assert!(!in_source(path, bad).is_empty(), "{bad}");
        }
        assert!(in_source(path, "#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n").is_empty());
        assert!(
            in_source(path, "use std::{fmt, collections::BTreeMap}; struct A { net: u8 }")
                .is_empty()
        );
    }

    #[test]
    fn only_the_adapter_names_its_gateway() {
        assert_eq!(in_source("crates/node/src/a.rs", "const A: &str = \"OpenClaw\";").len(), 1);
        assert!(in_source("crates/node/src/a.rs", "// unlike OpenClaw\n").is_empty());
        assert!(in_source("crates/openclaw/src/a.rs", "const A: &str = \"OpenClaw\";").is_empty());
    }

    #[test]
    fn a_path_to_a_later_crate_is_found() {
        assert_eq!(in_source("crates/store/src/a.rs", "fn a() { landbridge_node::b(); }").len(), 1);
        assert!(in_source("crates/node/src/a.rs", "use landbridge_proto::wire;").is_empty());
        assert_eq!(in_source("crates/node/src/a.rs", "use rusqlite::Connection;").len(), 1);
    }
}
