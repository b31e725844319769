//! What is written in other languages: the clients' own tests, three verifiers that have to agree, the
//! clients and an executor under the conformance kit, and what drives a bridge by its OpenAPI descriptions.
//!
//! What they need to be tested (a compiler for TypeScript, a type checker and `cryptography` for Python)
//! comes from npm and PyPI in pinned versions, into a cache folder outside the tree; what is built goes to
//! the target directory.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::files;

/// Why the clients cannot be tested on this machine; `None` when they can.
pub(crate) fn missing() -> Option<&'static str> {
    let works = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let python = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))";
    let node = "process.exit(Number(process.versions.node.split('.')[0]) < 20 ? 1 : 0)";
    if !works("python3", &["-c", python]) {
        Some("python3 of version 3.11 or later with its venv module is not installed")
    } else if !works("node", &["--eval", node]) {
        Some("node of version 20 or later is not installed")
    } else if !works("npm", &["--version"]) {
        Some("npm is not installed")
    } else {
        None
    }
}

/// Builds the program (unless `LANDBRIDGE_BIN` names one), installs what the tests need, and runs them.
///
/// # Errors
///
/// Fails with the first command that did not end well.
pub(crate) fn run(root: &Path) -> Result<()> {
    let tools = install(root, "clients", &LISTS)?;
    let (bin, kit) = (program(root)?, build(root, "landbridge-conformance")?);
    let place = Place { root, bin, kit, tools, out: target(root).join("clients") };
    place.typescript()?;
    place.python()?;
    place.local_clients()?;
    place.executor()
}

struct Place<'a> {
    root: &'a Path,
    bin: PathBuf,
    kit: PathBuf,
    tools: PathBuf,
    out: PathBuf,
}

impl Place<'_> {
    fn typescript(&self) -> Result<()> {
        let package = self.root.join("clients/typescript");
        // Tests whose source is gone would go on passing.
        let _ = fs::remove_dir_all(&self.out);
        fs::create_dir_all(&self.out)?;
        fs::copy(package.join("package.json"), self.out.join("package.json"))?;
        let modules = self.tools.join("node_modules");
        let types = modules.join("@types");
        for project in ["tsconfig.json", "tsconfig.browser.json"] {
            let mut command = Command::new("node");
            command.arg(modules.join("typescript/bin/tsc")).arg("--project");
            command.arg(package.join(project)).arg("--outDir").arg(&self.out);
            step(command.arg("--typeRoots").arg(&types))?;
        }
        // By name: versions of Node differ in what a folder means here.
        let files = fs::read_dir(self.out.join("test"))?.collect::<Result<Vec<_>, _>>()?;
        let tests = files.iter().map(fs::DirEntry::path);
        let tests = tests.filter(|path| path.to_string_lossy().ends_with(".test.js"));
        let mut command = self.with_places(Command::new("node"));
        step(command.args(["--no-warnings", "--test"]).args(tests))
    }

    fn python(&self) -> Result<()> {
        let python = || self.with_places(Command::new(self.tools.join("venv/bin/python")));
        let types = ["-m", "mypy", "--strict", "--no-incremental", "--package", "landbridge"];
        step(python().args(types).env("MYPYPATH", self.root.join("clients/python/src")))?;
        for made in ["clients/generate.py", "vectors/build.py"] {
            step(python().args([made, "--check"]))?;
        }
        for tests in ["clients/python/tests", "clients/tests"] {
            step(python().args(["-m", "unittest", "discover", "--start-directory", tests]))?;
        }
        Ok(())
    }

    /// The clients, under the conformance kit.
    fn local_clients(&self) -> Result<()> {
        let python = format!(
            "'{}' clients/python/tests/driver.py",
            self.tools.join("venv/bin/python").display()
        );
        let node = format!("node '{}'", self.out.join("test/driver.js").display());
        for client in [python.clone(), format!("{python} --asyncio"), node] {
            let mut command = self.with_places(Command::new(&self.kit));
            step(command.args(["local-client", "--client", &client]))?;
        }
        Ok(())
    }

    /// The second executor, under the conformance kit.
    fn executor(&self) -> Result<()> {
        // Below those that outgoing connections are given, which could take it in between.
        let free =
            (20_000..32_000).rev().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
        let free = free.context("no port is free")?;
        let mut command = self.with_places(Command::new("examples/executor/check.sh"));
        command.arg(&self.kit).env("PYTHON", self.tools.join("venv/bin/python"));
        step(command.env("PORT", free.to_string()))
    }

    /// Tells a test where everything is.
    fn with_places(&self, mut command: Command) -> Command {
        command
            .current_dir(self.root)
            .stdin(Stdio::null())
            .env("LANDBRIDGE_BIN", &self.bin)
            .env("LANDBRIDGE_KIT", &self.kit)
            .env("LANDBRIDGE_TREE", self.root)
            .env("LANDBRIDGE_JUDGE", self.out.join("test/judge.js"))
            .env("PYTHONPATH", self.root.join("clients/python/src"))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

/// The program under test: that of `LANDBRIDGE_BIN`, or one that is built.
pub(crate) fn program(root: &Path) -> Result<PathBuf> {
    std::env::var_os("LANDBRIDGE_BIN")
        .map_or_else(|| build(root, "landbridge"), |set| Ok(set.into()))
}

/// Builds a program of the package of the same name.
fn build(root: &Path, name: &str) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--locked", "--package", name, "--bin", name];
    step(Command::new(cargo).current_dir(root).args(arguments))?;
    Ok(target(root).join("debug").join(name))
}

fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |set| root.join(set))
}

/// Installs what the lists name unless it is there already; the folder is named by the lists.
pub(crate) fn install(root: &Path, purpose: &str, lists: &[&str]) -> Result<PathBuf> {
    let listed =
        |path: &&str| fs::read(root.join(path)).with_context(|| format!("cannot read {path}"));
    let contents = lists.iter().map(listed).collect::<Result<Vec<_>>>()?;
    let name = HEXLOWER.encode(&Sha256::digest(contents.concat()));
    let folder = files::cache()?.join(format!("{purpose}-{}", name.get(..16).unwrap_or_default()));
    if folder.join(STAMP).exists() {
        return Ok(folder);
    }
    eprintln!("installing what the step {purpose} needs from npm and PyPI (about 120 MB, once)");
    // In place, because a virtual environment knows where it is. Without the stamp it is done anew.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"];
    for (path, content) in lists.iter().zip(&contents) {
        let name = Path::new(path).file_name().context("a list without a name")?.to_string_lossy();
        fs::write(folder.join(&*name), content)?;
        if name == "package-lock.json" {
            let npm = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
            step(Command::new("npm").args(npm).current_dir(&folder).stdin(Stdio::null()))?;
        } else if name.starts_with("requirements") {
            step(Command::new("python3").args(["-m", "venv", "venv"]).current_dir(&folder))?;
            let mut command = Command::new(folder.join("venv/bin/python"));
            let list = ["--requirement", &name];
            step(command.args(pip).args(list).current_dir(&folder))?;
        }
    }
    fs::write(folder.join(STAMP), "")?;
    Ok(folder)
}

pub(crate) fn step(command: &mut Command) -> Result<()> {
    let words = || {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    };
    let words = words();
    let status = command.status().with_context(|| format!("cannot run {words}"))?;
    if status.success() { Ok(()) } else { bail!("{words} ended with {status}") }
}

const STAMP: &str = ".installed";
/// What is installed: exact versions, by digest where the registry's list has them.
const LISTS: [&str; 3] = [
    "clients/typescript/package.json",
    "clients/typescript/package-lock.json",
    "clients/python/requirements-test.txt",
];
