//! `cargo xtask fuzz`: every reader that a peer or a stranger can reach, with coverage as the guide.
//!
//! What is fuzzed, and the property of each target, stands in `tests/fuzzing`; the ordinary tests try it too, on seeds
//! and bent seeds. Here libFuzzer looks further. It comes with a crate that is compiled from C++, so a C++ compiler is
//! needed for this and for nothing else; the compiler's own coverage instrumentation works on the stable toolchain.
//! There is no address sanitizer, which needs another toolchain: our code has no `unsafe`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

/// What to fuzz, and for how long.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Fuzz only this target.
    target: Option<String>,
    /// For how long each target is fuzzed, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// A few seconds for each target, and no complaint when there is no C++ compiler; what CI does.
    #[arg(long, conflicts_with = "seconds")]
    short: bool,
    /// Print the targets with what must hold, and build nothing.
    #[arg(long)]
    list: bool,
}

/// How one target ended.
struct Row {
    target: String,
    executions: String,
    coverage: String,
    artefact: Option<PathBuf>,
}

/// Builds the fuzzer, writes the seeds, and fuzzes.
///
/// # Errors
///
/// Fails when the fuzzer cannot be built or started, or when there is no such target.
pub(crate) fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let targets = targets(root)?;
    if options.list {
        for (name, property) in &targets {
            println!("{name:<12}  {property}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(name) = &options.target
        && targets.iter().all(|(known, _)| known != name)
    {
        bail!("there is no target {name}; `cargo xtask fuzz --list` has them all");
    }
    let Some(compiler) = compiler() else {
        let needs = "the fuzzer is compiled from C++, and there is no C++ compiler: install g++ or clang++, or set CXX";
        if options.short {
            eprintln!("fuzz: skipped. {needs}");
            return Ok(ExitCode::SUCCESS);
        }
        bail!("{needs}");
    };
    let program = build(root, &compiler)?;
    let seeds = root.join("fuzz/seeds");
    let mut command = Command::new(&program);
    command.env("LANDBRIDGE_FUZZ", "seeds").env("LANDBRIDGE_FUZZ_SEEDS", &seeds);
    if !command.status().context("cannot run the fuzzer")?.success() {
        bail!("the seeds were not written");
    }
    let seconds = if options.short { SHORT_SECONDS } else { options.seconds };
    let mut failed = false;
    for (name, _) in &targets {
        if options.target.as_ref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        let row = fuzz(root, &program, name, seconds)?;
        print(&row, &program);
        failed |= row.artefact.is_some();
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Names and properties, as the sources have them.
fn targets(root: &Path) -> Result<Vec<(String, String)>> {
    let place = root.join("tests/fuzzing/src/lib.rs");
    let text =
        fs::read_to_string(&place).with_context(|| format!("reading {}", place.display()))?;
    Ok(targets_in(&text))
}

fn targets_in(text: &str) -> Vec<(String, String)> {
    let quoted = |line: &str, member: &str| -> Option<String> {
        let rest = line.trim().strip_prefix(member)?.strip_prefix(": \"")?;
        Some(rest.strip_suffix("\",")?.to_owned())
    };
    let names = text.lines().filter_map(|line| quoted(line, "name"));
    let properties = text.lines().filter_map(|line| quoted(line, "property"));
    names.zip(properties).collect()
}

/// The C++ compiler: what `CXX` says, or the first that answers.
fn compiler() -> Option<String> {
    let named = std::env::var("CXX").ok().into_iter();
    let usual = ["c++", "g++", "clang++"].map(str::to_owned);
    named.chain(usual).find(|name| {
        let mut command = Command::new(name);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

fn build(root: &Path, compiler: &str) -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |at| root.join(at))
        .join("fuzz");
    let host = host()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // With `--target`, what runs while building is not instrumented.
    command.args(["build", "--quiet", "--release", "--locked", "--target", &host]);
    command.current_dir(root.join("fuzz")).arg("--target-dir").arg(&target);
    command.env("RUSTFLAGS", FLAGS.join(" ")).env("CXX", compiler);
    if !command.status().context("cannot run cargo")?.success() {
        bail!("the fuzzer does not build");
    }
    Ok(target.join(host).join("release").join("landbridge-fuzz"))
}

/// The platform that we compile for.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say what it compiles for")
}

fn fuzz(root: &Path, program: &Path, target: &str, seconds: u32) -> Result<Row> {
    let fuzz = root.join("fuzz");
    let (corpus, artifacts) = (fuzz.join("corpus").join(target), fuzz.join("artifacts"));
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    let mut command = Command::new(program);
    command.current_dir(&fuzz).env("LANDBRIDGE_FUZZ", target);
    command.arg(&corpus).arg(fuzz.join("seeds").join(target));
    command.arg(format!("-dict={}", fuzz.join("dictionary").display()));
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-artifact_prefix={}/{target}-", artifacts.display()));
    command.args(["-max_len=65536", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]);
    let output = command.output().context("cannot run the fuzzer")?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    fs::write(artifacts.join(format!("{target}.log")), told.as_bytes())?;
    let artefact = if output.status.success() {
        None
    } else {
        Some(artefact(&told).unwrap_or_else(|| artifacts.join(format!("{target}.log"))))
    };
    Ok(Row {
        target: target.to_owned(),
        executions: statistic(&told, "stat::number_of_executed_units:").unwrap_or("?").to_owned(),
        coverage: last_after(&told, "cov: ").unwrap_or("?").to_owned(),
        artefact,
    })
}

fn print(row: &Row, program: &Path) {
    let Row { target, executions, coverage, artefact } = row;
    let ended = if artefact.is_some() { "FAILED" } else { "held" };
    println!("{target:<12}  {ended:<6}  {executions:>10} executions  {coverage:>6} places reached");
    if let Some(artefact) = artefact {
        println!("  what failed: {}", artefact.display());
        let (program, artefact) = (program.display(), artefact.display());
        println!("  once more:   LANDBRIDGE_FUZZ={target} {program} {artefact}");
    }
}

/// Where the fuzzer kept what failed.
fn artefact(told: &str) -> Option<PathBuf> {
    last_after(told, "Test unit written to ").map(PathBuf::from)
}

fn statistic<'a>(told: &'a str, name: &str) -> Option<&'a str> {
    told.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn last_after<'a>(told: &'a str, mark: &str) -> Option<&'a str> {
    told.rsplit_once(mark)?.1.split_whitespace().next()
}

/// Coverage as libFuzzer reads it.
const FLAGS: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg fuzzing",
];
const SHORT_SECONDS: u32 = 5;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_sources_name_the_targets() {
        let found = targets(&crate::files::workspace_root().unwrap()).unwrap();
        assert_eq!(found.len(), 17, "{found:?}");
        assert_eq!(found[0].0, "envelope");
    }

    #[test]
    fn what_the_fuzzer_says_is_understood() {
        let told = "#2 INITED cov: 12 ft: 13\n#9 NEW cov: 71 ft: 9\n\
            stat::number_of_executed_units: 900\nTest unit written to /a/envelope-crash-1\n";
        assert_eq!(last_after(told, "cov: "), Some("71"));
        assert_eq!(statistic(told, "stat::number_of_executed_units:"), Some("900"));
        assert_eq!(artefact(told), Some("/a/envelope-crash-1".into()));
    }
}
