//! Chores of the workspace, as one program: what CI runs, anybody can run with `cargo xtask`.
//!
//! The checkers read text instead of asking the compiler. They look for things that the compiler
//! does not know of (clauses, layers, words), and they must work on a tree that does not compile.

mod attacks;
mod ci;
mod clients;
mod conformance;
mod fair;
mod files;
mod finding;
mod fuzz;
mod layers;
mod openapi;
mod openclaw;
mod planted;
mod source;
mod spec;
mod tree;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::finding::Finding;

/// Chores of the Landbridge workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", version, about)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// List every known attack and the test that tries it.
    Attacks(attacks::Options),
    /// Run what CI runs.
    Ci(ci::Options),
    /// See that the conformance kit finds each fault that is planted in our own bridge.
    Conformance,
    /// Measure what a tenant at ten times its share costs another one: a minute, in a release build.
    Fair(fair::Options),
    /// Fuzz every reader that a peer or a stranger can reach; needs a C++ compiler.
    Fuzz(fuzz::Options),
    /// Install the pinned OpenClaw, start it, or run the tests against it.
    Openclaw {
        /// `install`, `start` or `test`, with their options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check that data flows one way through the crates and inside `proto`.
    Layers,
    /// Remove one check at a time, and see that a test notices.
    Planted(planted::Options),
    /// Run every test, those against a real OpenClaw gateway included.
    Test,
    /// Check the specification against the code and the tests that cite it.
    Spec(spec::Options),
    /// Check file lengths, forbidden words and the pages that have to exist.
    Tree,
}

fn main() -> Result<ExitCode> {
    if let Some(ended) = planted::as_rustc() {
        return Ok(ended);
    }
    let root = files::workspace_root()?;
    Ok(match Arguments::parse().chore {
        Chore::Attacks(options) => conclude("attacks", &attacks::run(&root, &options)?),
        Chore::Ci(options) => return ci::run(&root, &options),
        Chore::Conformance => return conformance::run(&root),
        Chore::Fair(options) => return fair::run(&root, &options),
        Chore::Fuzz(options) => return fuzz::run(&root, &options),
        Chore::Layers => conclude("layers", &layers::check(&root)?),
        Chore::Openclaw { arguments } => {
            openclaw::run(&arguments)?;
            ExitCode::SUCCESS
        }
        Chore::Planted(options) => return planted::run(&root, &options),
        Chore::Test => return ci::run(&root, &ci::Options::tests()),
        Chore::Spec(options) => conclude("spec", &spec::run(&root, &options)?),
        Chore::Tree => conclude("tree", &tree::check(&root)?),
    })
}

/// Prints what was found and turns it into an exit code: 0 for nothing, 1 otherwise.
fn conclude(chore: &str, findings: &[Finding]) -> ExitCode {
    for finding in findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() {
        eprintln!("{chore}: clean");
        return ExitCode::SUCCESS;
    }
    eprintln!("{chore}: {} to fix", findings.len());
    ExitCode::FAILURE
}
