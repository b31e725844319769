//! Stands between cargo and rustc while bugs are planted, and gives our crates `--cfg plantable`.
//!
//! `RUSTFLAGS` would change every crate and build the world again. As `RUSTC_WORKSPACE_WRAPPER` this program
//! sees the crates of the workspace alone, cargo keeps what it builds apart from the ordinary build, and
//! third-party crates are shared.
//!
//! A bug that is still written as `cfg` is compiled into its one crate. Cargo does not know that the flags depend on
//! us, so the crate's dependency file says that it read a variable of the environment; when that has changed, cargo
//! builds this crate again and no other.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Set while bugs are planted: this process is called in place of rustc.
const MARK: &str = "LANDBRIDGE_PLANTING";

/// Makes a cargo command build through this program, with a bug (crate and name) or without.
pub(super) fn prepare(command: &mut Command, bug: Option<(&str, &str)>) {
    if let Ok(own) = std::env::current_exe() {
        command.env("RUSTC_WORKSPACE_WRAPPER", own).env(MARK, "1");
    }
    if let Some((krate, bug)) = bug {
        command.env(variable(krate), bug);
    }
}

/// Which bug a crate gets.
fn variable(krate: &str) -> String {
    format!("LANDBRIDGE_PLANTED_{krate}")
}

/// Acts as rustc, when cargo calls us as that; `None` when we are called by somebody else.
pub(crate) fn as_rustc() -> Option<ExitCode> {
    std::env::var_os(MARK)?;
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.is_empty() {
        return None;
    }
    let mut command = Command::new(arguments.remove(0));
    let output = Output::read(&arguments);
    let bug = output.as_ref().and_then(|output| std::env::var(variable(&output.krate)).ok());
    command.args(&arguments).args(["--cfg", "plantable"]);
    if let Some(bug) = &bug {
        command.arg("--cfg").arg(format!("planted=\"{bug}\""));
    }
    let status = match command.status() {
        Ok(status) => status,
        Err(error) => {
            eprintln!("rustc cannot be run: {error}");
            return Some(ExitCode::FAILURE);
        }
    };
    if !status.success() {
        return Some(ExitCode::FAILURE);
    }
    match output.map_or(Ok(()), |output| output.depends_on(bug.as_deref())) {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("a dependency file cannot be written: {error}");
            Some(ExitCode::FAILURE)
        }
    }
}

/// What rustc was asked to make.
#[derive(Debug, Eq, PartialEq)]
struct Output {
    krate: String,
    dependencies: PathBuf,
}

impl Output {
    /// `None` for a question of cargo's, which makes nothing.
    fn read(arguments: &[OsString]) -> Option<Self> {
        let arguments: Vec<_> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
        let after = |flag: &str| {
            let at = arguments.iter().position(|argument| *argument == flag)?;
            arguments.get(at + 1).copied()
        };
        let krate = after("--crate-name")?;
        let directory = after("--out-dir")?;
        let extra = arguments.iter().find_map(|argument| argument.strip_prefix("extra-filename="));
        let file = format!("{krate}{}.d", extra.unwrap_or_default());
        Some(Self { krate: krate.to_owned(), dependencies: PathBuf::from(directory).join(file) })
    }

    /// Writes down that the crate was built with this bug, or with none.
    fn depends_on(&self, bug: Option<&str>) -> std::io::Result<()> {
        if !self.dependencies.exists() {
            return Ok(());
        }
        let mut file = OpenOptions::new().append(true).open(&self.dependencies)?;
        let name = variable(&self.krate);
        match bug {
            Some(bug) => writeln!(file, "\n# env-dep:{name}={bug}"),
            None => writeln!(file, "\n# env-dep:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn arguments(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_dependency_file_is_where_rustc_puts_it() {
        let asked =
            "--crate-name landbridge_proto src/lib.rs -C extra-filename=-0a1b --out-dir /t/deps";
        let output = Output::read(&arguments(asked)).unwrap();
        assert_eq!(output.krate, "landbridge_proto");
        assert_eq!(output.dependencies, PathBuf::from("/t/deps/landbridge_proto-0a1b.d"));
        assert_eq!(Output::read(&arguments("- --crate-name ___ --print=file-names")), None);
        assert_eq!(Output::read(&arguments("-vV")), None);
    }
}
