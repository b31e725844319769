//! One bridge of the demonstration: a real process with a home of its own, driven by the real commands.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::exit::{Exit, Failure, OrFail as _};

/// A bridge's process and home.
pub(super) struct Bridge {
    name: &'static str,
    home: PathBuf,
    gateway: String,
    process: Option<Child>,
}

/// A command whose frames are read as they come.
pub(super) struct Following {
    pub(super) lines: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl Bridge {
    /// Makes keys and configuration in a new home.
    pub(super) async fn init(
        name: &'static str,
        home: PathBuf,
        listen: SocketAddr,
        endpoint: SocketAddr,
        adapter: &str,
        gateway_url: Option<&str>,
    ) -> Result<Self, Failure> {
        let mut bridge = Self { name, home, gateway: String::new(), process: None };
        let (listen, endpoint) = (listen.to_string(), format!("https://{endpoint}"));
        let mut arguments = vec![
            "init",
            "--listen",
            &listen,
            "--endpoint",
            &endpoint,
            "--adapter",
            adapter,
            // Both sides are on this machine, so each must be allowed to dial loopback.
            "--danger-allow-addresses",
            "127.0.0.0/8",
        ];
        if let Some(url) = gateway_url {
            arguments.extend(["--gateway-url", url]);
        }
        let made = bridge.json(&arguments).await?;
        bridge.gateway = text(&made, "gateway")?;
        Ok(bridge)
    }

    /// Its gateway id.
    pub(super) fn gateway(&self) -> &str {
        &self.gateway
    }

    /// Its home.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// Its process id, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(Child::id)
    }

    /// Adds a route to a peer of the same name, for the default tenants.
    pub(super) fn add_route(&self, name: &str) -> Result<(), Failure> {
        let path = self.home.join("landbridge.toml");
        let route = format!(
            "\n[routes.{name}]\npeer = \"{name}\"\ntenant = {{ local = \"default\", remote = \"default\" }}\n"
        );
        let text = std::fs::read_to_string(&path).map(|text| text + &route);
        text.and_then(|text| std::fs::write(&path, text))
            .or_fail(Exit::Failed, || format!("cannot change {}", path.display()))
    }

    /// Pairs the bridge's device with a real gateway.
    pub(super) async fn connect_gateway(
        &self,
        url: &str,
        token_file: Option<&Path>,
    ) -> Result<(), Failure> {
        let mut command = self.command(&["--json", "gateway", "connect", url])?;
        match (token_file, std::env::var_os("OPENCLAW_GATEWAY_TOKEN")) {
            (Some(file), _) => drop(command.arg("--token-file").arg(file)),
            (None, Some(token)) => drop(command.env("OPENCLAW_GATEWAY_TOKEN", token)),
            (None, None) => {
                return Err(Failure::new(
                    Exit::Usage,
                    "the gateway's token is needed, once, to pair",
                )
                .next("the same command with --token-file FILE, or OPENCLAW_GATEWAY_TOKEN set"));
            }
        }
        let output = command.stdin(Stdio::null()).output().await;
        let output = output.or_fail(Exit::Failed, || "cannot run a command")?;
        if output.status.success() {
            Ok(())
        } else {
            Err(self.failed(&["gateway", "connect"], &output))
        }
    }

    /// Waits until the bridge has reached its gateway, and checks that there is such an agent.
    pub(super) async fn find_agent(&self, agent: &str) -> Result<(), Failure> {
        let begun = std::time::Instant::now();
        loop {
            match self.json(&["gateway", "status"]).await {
                Ok(status) => {
                    let agents = status["agents"].as_array().into_iter().flatten();
                    let agents: Vec<&str> = agents.filter_map(Value::as_str).collect();
                    if agents.contains(&agent) {
                        return Ok(());
                    }
                    return Err(Failure::new(
                        Exit::Usage,
                        format!("the gateway has no agent {agent}"),
                    )
                    .why(format!("it has {}", agents.join(", ")))
                    .next("the same command with --agent and one of these"));
                }
                Err(failure) if begun.elapsed() > READY_WITHIN => return Err(failure),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Starts the process and waits until it says that it listens.
    pub(super) async fn serve(&mut self, listen: Option<SocketAddr>) -> Result<(), Failure> {
        let log = self.home.join("bridge.log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log);
        let file = file.or_fail(Exit::Failed, || format!("cannot write {}", log.display()))?;
        let mut command = self.command(&["--json", "serve", "--log", "info"])?;
        if let Some(listen) = listen {
            command.args(["--listen", &listen.to_string()]);
        }
        // A group of its own: an interrupt at the terminal is the demonstration's to handle.
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().or_fail(Exit::Failed, || "cannot start a bridge")?;
        let stdout = child.stdout.take();
        self.process = Some(child);
        let ready = async {
            let mut lines = BufReader::new(stdout?).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if serde_json::from_str::<Value>(&line).is_ok_and(|line| line["event"] == "ready") {
                    return Some(());
                }
            }
            None
        };
        match tokio::time::timeout(READY_WITHIN, ready).await {
            Ok(Some(())) => Ok(()),
            _ => Err(Failure::new(Exit::Failed, format!("bridge {} did not start", self.name))
                .why(last_lines(&log))),
        }
    }

    /// Ends the process with SIGKILL: no clean-up, no goodbye.
    pub(super) async fn kill(&mut self) -> Result<(), Failure> {
        match self.process.take() {
            Some(mut child) => child.kill().await.or_fail(Exit::Failed, || "cannot kill a bridge"),
            None => Ok(()),
        }
    }

    /// Asks the process to end, and waits for it.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        let Some(mut child) = self.process.take() else { return Ok(()) };
        let pid = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself; waiting finds out.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        match tokio::time::timeout(STOPPED_WITHIN, child.wait()).await {
            Ok(_) => Ok(()),
            Err(_) => child.kill().await.or_fail(Exit::Failed, || "cannot stop a bridge"),
        }
    }

    /// Leaves the process to itself.
    pub(super) fn release(&mut self) {
        if let Some(child) = self.process.take() {
            // Dropping it would end the process.
            std::mem::forget(child);
        }
    }

    /// Runs a command against this home, and reads the JSON that it prints.
    pub(super) async fn json(&self, arguments: &[&str]) -> Result<Value, Failure> {
        let output = self.output(&[&["--json"], arguments].concat()).await?;
        if !output.status.success() {
            return Err(self.failed(arguments, &output));
        }
        serde_json::from_slice(&output.stdout)
            .or_fail(Exit::Failed, || format!("landbridge {} printed no JSON", arguments.join(" ")))
    }

    /// Runs a command against this home, whatever it ends with.
    pub(super) async fn output(&self, arguments: &[&str]) -> Result<Output, Failure> {
        let mut command = self.command(arguments)?;
        command.stdin(Stdio::null()).kill_on_drop(true);
        match tokio::time::timeout(COMMAND_WITHIN, command.output()).await {
            Ok(output) => output.or_fail(Exit::Failed, || "cannot run a command"),
            Err(_) => Err(Failure::new(
                Exit::Failed,
                format!("landbridge {} took too long", arguments.first().unwrap_or(&"")),
            )),
        }
    }

    /// Starts a run and reads its frames as they come.
    pub(super) fn follow(&self, arguments: &[&str]) -> Result<Following, Failure> {
        let mut command = self.command(&[&["--json"], arguments].concat())?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = command.spawn().or_fail(Exit::Failed, || "cannot run a command")?;
        match child.stdout.take() {
            Some(stdout) => Ok(Following { lines: BufReader::new(stdout).lines(), child }),
            None => Err(Failure::new(Exit::Internal, "a command has no output")),
        }
    }

    fn command(&self, arguments: &[&str]) -> Result<Command, Failure> {
        let program =
            std::env::current_exe().or_fail(Exit::Internal, || "cannot find this program")?;
        let mut command = Command::new(program);
        command.arg("--home").arg(&self.home).args(arguments);
        for (name, _) in std::env::vars_os() {
            // The user's own settings and secrets are no part of the demonstration.
            let name_text = name.to_string_lossy();
            if name_text.starts_with("LANDBRIDGE_") || name_text == "OPENCLAW_GATEWAY_TOKEN" {
                command.env_remove(&name);
            }
        }
        Ok(command)
    }

    fn failed(&self, arguments: &[&str], output: &Output) -> Failure {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let verbs = arguments.iter().take(2).copied().collect::<Vec<_>>().join(" ");
        let failure = Failure::new(
            Exit::Failed,
            format!("at bridge {}: landbridge {verbs} failed", self.name),
        );
        let said = serde_json::from_str::<Value>(stderr.lines().last().unwrap_or_default());
        let Ok(said) = said else { return failure.why(stderr.trim()) };
        let reasons = said["error"]["why"].as_array().into_iter().flatten();
        let told = std::iter::once(&said["error"]["what"]).chain(reasons).filter_map(Value::as_str);
        let failure = told.fold(failure, Failure::why);
        let log = self.home.join("bridge.log");
        if log.exists() { failure.why(last_lines(&log)) } else { failure }
    }
}

impl Following {
    /// The next frame line, or `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<String>, Failure> {
        match tokio::time::timeout(FRAME_WITHIN, self.lines.next_line()).await {
            Ok(line) => line.or_fail(Exit::Failed, || "cannot read the run's frames"),
            Err(_) => Err(Failure::new(Exit::Failed, "the run fell silent")),
        }
    }

    /// The command's exit code, after its last line.
    pub(super) async fn exit(mut self) -> Result<i32, Failure> {
        let status =
            self.child.wait().await.or_fail(Exit::Failed, || "cannot wait for a command")?;
        Ok(status.code().unwrap_or(-1))
    }
}

/// A free port on loopback. Somebody else could take it in between, and then a bridge says so.
pub(super) fn free_address() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0));
    listener.and_then(|listener| listener.local_addr()).or_fail(Exit::Failed, || "no free port")
}

/// A member of a command's answer, as text.
pub(super) fn text(value: &Value, name: &str) -> Result<String, Failure> {
    match value[name].as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(Failure::new(Exit::Failed, format!("an answer has no {name}"))),
    }
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    format!("{} says: {}", log.display(), lines.into_iter().rev().collect::<Vec<_>>().join(" | "))
}

const READY_WITHIN: Duration = Duration::from_secs(10);
const STOPPED_WITHIN: Duration = Duration::from_secs(10);
const COMMAND_WITHIN: Duration = Duration::from_secs(30);
/// A real model may think for long before its first word.
const FRAME_WITHIN: Duration = Duration::from_secs(120);
