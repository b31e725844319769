//! Bridges as operators run them: processes with homes of their own, paired with the real commands.
//!
//! Nothing is linked in: a process can be killed without a goodbye, and what comes back is what was on
//! disk. The work is the scripted gateway's, whose log of executions survives every process.

mod api;
mod people;
mod program;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

pub use self::api::{Answer, Api};
pub use self::people::Person;
pub use self::program::{dying_program, program};

/// A bridge: its home, and its process while it runs.
#[derive(Debug)]
pub struct Bridge {
    home: PathBuf,
    gateway: String,
    listen: SocketAddr,
    settings: Vec<(String, String)>,
    /// What its log tells.
    log: &'static str,
    process: Option<Child>,
}

impl Bridge {
    /// Makes a bridge with the scripted gateway. `settings` are variables of its environment.
    ///
    /// # Errors
    ///
    /// Says which command failed.
    pub async fn init(home: PathBuf, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut bridge = Self::unmade(home, settings)?;
        bridge.make().await?;
        Ok(bridge)
    }

    /// A bridge to be: its home is not made yet.
    ///
    /// # Errors
    ///
    /// When there is no free address.
    pub fn unmade(home: PathBuf, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let settings =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let (settings, listen) = (settings.collect(), free_address()?);
        Ok(Self { home, gateway: String::new(), listen, settings, log: "info", process: None })
    }

    /// Makes its home.
    ///
    /// # Errors
    ///
    /// With what `init` said, when it fails.
    pub async fn make(&mut self) -> anyhow::Result<()> {
        self.make_with(&[]).await
    }

    /// Makes its home, with these further arguments.
    ///
    /// # Errors
    ///
    /// With what `init` said, when it fails.
    pub async fn make_with(&mut self, further: &[&str]) -> anyhow::Result<()> {
        let arguments = self.init_arguments();
        let arguments: Vec<&str> =
            arguments.iter().map(String::as_str).chain(further.iter().copied()).collect();
        let made = self.json(&arguments).await?;
        self.gateway = made["gateway"].as_str().context("init names the gateway")?.to_owned();
        Ok(())
    }

    /// The command that makes its home.
    #[must_use]
    pub fn init_arguments(&self) -> Vec<String> {
        let (at, url) = (self.listen.to_string(), format!("https://{}", self.listen));
        let allowed = ["--danger-allow-addresses", "127.0.0.0/8"];
        ["init", "--listen", &at, "--endpoint", &url, "--adapter", "scripted"]
            .into_iter()
            .chain(allowed)
            .map(str::to_owned)
            .collect()
    }

    /// Its gateway id.
    #[must_use]
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    /// Its home.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Where its federation plane listens.
    #[must_use]
    pub const fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Sets a variable of its environment, from its next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Sets what its log tells, from its next start on: `info` unless it is set.
    pub const fn log(&mut self, filter: &'static str) {
        self.log = filter;
    }

    /// Its local API, with the owner's power.
    #[must_use]
    pub fn api(&self) -> Api {
        Api::Socket(self.home.join("landbridge.sock"))
    }

    /// Starts the process and waits until it says that it listens.
    ///
    /// # Errors
    ///
    /// With the end of its log, when it does not.
    pub async fn serve(&mut self) -> anyhow::Result<()> {
        self.serve_by(program()?, None).await
    }

    /// Starts a process that will kill itself at a named point, as SIGKILL does, and waits until it listens.
    ///
    /// # Errors
    ///
    /// With the end of its log, when it does not.
    pub async fn serve_until(&mut self, point: &str) -> anyhow::Result<()> {
        self.serve_by(dying_program()?, Some(point)).await
    }

    async fn serve_by(&mut self, program: &Path, dies_at: Option<&str>) -> anyhow::Result<()> {
        ensure!(self.process.is_none(), "it runs already");
        let log = self.home.join("bridge.log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let mut command = self.command_of(program, &["--json", "serve", "--log", self.log]);
        command.envs(dies_at.map(|point| (DIES_AT, point)));
        command.stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().context("the process has an output")?;
        self.process = Some(child);
        let ready = async {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if serde_json::from_str::<Value>(&line).is_ok_and(|line| line["event"] == "ready") {
                    return true;
                }
            }
            false
        };
        if timeout(READY_WITHIN, ready).await == Ok(true) {
            return Ok(());
        }
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(5).collect();
        bail!("a bridge did not start: {last:#?}")
    }

    /// Ends the process with SIGKILL, and returns when it is gone.
    ///
    /// # Errors
    ///
    /// When it cannot be killed.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(mut child) => Ok(child.kill().await?),
            None => Ok(()),
        }
    }

    /// Stops the process where it is (SIGSTOP), and returns when nothing of it runs any more. It goes on
    /// when it is told to ([`Bridge::resume`]), or can be killed as it stands.
    ///
    /// # Errors
    ///
    /// When it does not run, or cannot be stopped.
    pub async fn pause(&self) -> anyhow::Result<()> {
        let pid = self.pid()?;
        rustix::process::kill_process(pid, Signal::STOP)?;
        let stopped = async {
            // Threads in a system call stop when it returns.
            let flags = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
            while rustix::process::waitid(WaitId::Pid(pid), flags)?.is_none() {
                sleep(Duration::from_millis(1)).await;
            }
            anyhow::Ok(())
        };
        timeout(STOPPED_WITHIN, stopped).await.context("it does not pause")?
    }

    /// Lets a paused process go on.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn resume(&self) -> anyhow::Result<()> {
        Ok(rustix::process::kill_process(self.pid()?, Signal::CONT)?)
    }

    fn pid(&self) -> anyhow::Result<Pid> {
        let child = self.process.as_ref().context("it does not run")?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        pid.and_then(Pid::from_raw).context("it has ended")
    }

    /// Asks the process to end (SIGTERM), and waits until it did.
    ///
    /// # Errors
    ///
    /// When it does not end in time.
    pub async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.terminate()?;
        self.ended().await
    }

    /// Asks the process to end (SIGTERM), and does not wait.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn terminate(&self) -> anyhow::Result<()> {
        Ok(rustix::process::kill_process(self.pid()?, Signal::TERM)?)
    }

    /// The process has not ended.
    ///
    /// # Errors
    ///
    /// When it cannot be asked.
    pub fn is_running(&mut self) -> anyhow::Result<bool> {
        Ok(match &mut self.process {
            Some(child) => child.try_wait()?.is_none(),
            None => false,
        })
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Errors
    ///
    /// When it does not end in time.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let mut child = self.process.take().context("it does not run")?;
        Ok(timeout(STOPPED_WITHIN, child.wait()).await.context("it does not stop")??)
    }

    /// Waits until the process has killed itself at the point that it was started with.
    ///
    /// # Errors
    ///
    /// When it does not end in time, or ends in another way.
    pub async fn died(&mut self) -> anyhow::Result<()> {
        let status = self.ended().await?;
        ensure!(was_killed(status), "it did not die at its point but {status}");
        Ok(())
    }

    /// Runs a command against this home, and reads the JSON that it prints.
    ///
    /// # Errors
    ///
    /// With what it said, when it fails.
    pub async fn json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let output = self.output(&[&["--json"], arguments].concat()).await?;
        if !output.status.success() {
            bail!("{}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Runs a command against this home, whatever it ends with.
    ///
    /// # Errors
    ///
    /// When it cannot be run.
    pub async fn output(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = self.command(arguments)?;
        Ok(timeout(COMMAND_WITHIN, command.output())
            .await
            .context("a command takes too long")??)
    }

    /// A command against this home, to be run as its caller likes.
    ///
    /// # Errors
    ///
    /// When there is no program.
    pub fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        Ok(self.command_of(program()?, arguments))
    }

    /// Runs a command against this home that kills itself at a named point, as SIGKILL does.
    ///
    /// # Errors
    ///
    /// When it cannot be run, and when it ends in another way: then it never came by that point.
    pub async fn dies(&self, arguments: &[&str], point: &str) -> anyhow::Result<()> {
        let mut command = self.command_of(dying_program()?, arguments);
        let ran = timeout(COMMAND_WITHIN, command.env(DIES_AT, point).output());
        let output = ran.await.context("a command takes too long")??;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            was_killed(output.status),
            "it did not die at {point} but {}: {said}",
            output.status
        );
        Ok(())
    }

    fn command_of(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.arg("--home").arg(&self.home).args(arguments);
        for (name, _) in std::env::vars_os() {
            // What is planted in the test is planted in the program; an ordinary one does not ask.
            if name.to_string_lossy().starts_with("LANDBRIDGE_") && name != PLANTED {
                command.env_remove(&name);
            }
        }
        let settings = self.settings.iter().map(|(name, value)| (name, value));
        command.envs(settings).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// How often the gateway beside this bridge executed each run.
    ///
    /// # Errors
    ///
    /// When its log is there and cannot be read.
    pub fn executions(&self) -> anyhow::Result<BTreeMap<String, usize>> {
        let mut counts = BTreeMap::new();
        let log = self.home.join("gateway").join("executions.log");
        if log.exists() {
            for line in std::fs::read_to_string(log)?.lines() {
                let run = line.split(' ').next().unwrap_or_default();
                *counts.entry(run.to_owned()).or_default() += 1;
            }
        }
        Ok(counts)
    }

    /// The audit log's events, oldest first.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn audit(&self) -> anyhow::Result<Vec<Value>> {
        let (mut events, mut after) = (Vec::new(), 0);
        loop {
            let page = self.api().get(&format!("/v1/admin/audit?limit=1000&after={after}")).await?;
            ensure!(page.status == 200, "the audit log answers {}", page.status);
            let page = page.json();
            for row in page["rows"].as_array().into_iter().flatten() {
                events.push(serde_json::from_str(row["event"].as_str().unwrap_or_default())?);
            }
            match page["next"].as_u64() {
                Some(next) => after = next,
                None => return Ok(events),
            }
        }
    }

    /// A run's transcript, exported by this bridge.
    ///
    /// # Errors
    ///
    /// When it cannot be had.
    pub async fn transcript(&self, run: &str) -> anyhow::Result<String> {
        let answer = self.api().get(&format!("/v1/runs/{run}/transcript")).await?;
        ensure!(answer.status == 200, "the transcript of {run} is answered {}", answer.status);
        Ok(String::from_utf8(answer.body.to_vec())?)
    }

    /// What `landbridge verify` ends with for a transcript that `signer` must have sealed.
    ///
    /// # Errors
    ///
    /// When the command cannot be run.
    pub async fn verify(&self, transcript: &str, signer: &str) -> anyhow::Result<i32> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), transcript)?;
        let path = file.path().to_string_lossy();
        let output = self.output(&["verify", &path, "--pin", signer]).await?;
        Ok(output.status.code().unwrap_or(-1))
    }
}

/// Two bridges that know each other: A asks, B executes.
#[derive(Debug)]
pub struct Pair {
    /// The caller. Its name for B is `eu`.
    pub a: Bridge,
    /// The executor. Its name for A is `us`.
    pub b: Bridge,
    /// Where both live.
    pub place: TempDir,
}

impl Pair {
    /// Starts and pairs two bridges. B grants nothing yet.
    ///
    /// # Errors
    ///
    /// Says which step failed.
    pub async fn start(a: &[(&str, &str)], b: &[(&str, &str)]) -> anyhow::Result<Self> {
        let place = tempfile::tempdir()?;
        let a = Bridge::init(place.path().join("a"), a).await?;
        let b = Bridge::init(place.path().join("b"), b).await?;
        Self::of(a, b, place).await
    }

    /// Starts and pairs two bridges that were made in `place`.
    ///
    /// # Errors
    ///
    /// Says which step failed.
    pub async fn of(mut a: Bridge, mut b: Bridge, place: TempDir) -> anyhow::Result<Self> {
        a.serve().await?;
        b.serve().await?;
        let invite = text(&b.json(&["peer", "invite", "us"]).await?, "invite")?;
        let joined = a.json(&["peer", "join", &invite, "--alias", "eu"]).await?;
        let words_a = text(&joined, "words")?;
        let words_b = text(&b.json(&["peer", "show", "us"]).await?, "words")?;
        a.json(&["peer", "accept", "eu", "--words", &words_b]).await?;
        b.json(&["peer", "accept", "us", "--words", &words_a]).await?;
        Ok(Self { a, b, place })
    }

    /// As [`Pair::start`], and B grants the agent `demo` to A with these further arguments.
    ///
    /// # Errors
    ///
    /// Says which step failed.
    pub async fn granted(
        a: &[(&str, &str)],
        b: &[(&str, &str)],
        further: &[&str],
    ) -> anyhow::Result<Self> {
        let pair = Self::start(a, b).await?;
        pair.grant(further).await?;
        Ok(pair)
    }

    /// Lets A use B's agent `demo`.
    ///
    /// # Errors
    ///
    /// With what the command said.
    pub async fn grant(&self, further: &[&str]) -> anyhow::Result<()> {
        let grant = [&["grant", "add", "us", "--agent", "demo"], further].concat();
        self.b.json(&grant).await.map(drop)
    }

    /// Starts a run through A's local API.
    ///
    /// # Errors
    ///
    /// When A refuses it.
    pub async fn run(&self, key: &str, prompt: &str) -> anyhow::Result<String> {
        let answer = self.a.api().post("/v1/runs", &start(key, prompt)).await?;
        ensure!(matches!(answer.status, 200 | 201), "a start is answered {}", answer.code());
        text(&answer.json(), "run")
    }
}

/// The body of a start at `eu`, agent `demo`.
#[must_use]
pub fn start(key: &str, prompt: &str) -> Value {
    json!({"gateway": "eu", "agent": "demo", "prompt": prompt, "idempotencyKey": key})
}

/// A member of a command's answer, as text.
///
/// # Errors
///
/// When there is none.
pub fn text(value: &Value, name: &str) -> anyhow::Result<String> {
    value[name].as_str().map(str::to_owned).with_context(|| format!("no {name} in {value}"))
}

/// A free port of loopback below those that the system gives to outgoing connections: a bridge that is
/// down for a moment finds it free again.
///
/// # Errors
///
/// When there is none.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    for _ in 0..100 {
        let mut bytes = [0_u8; 2];
        getrandom::fill(&mut bytes)?;
        let port = 20_000 + u16::from_be_bytes(bytes) % 12_000;
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return Ok(listener.local_addr()?);
        }
    }
    bail!("no port is free")
}

fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(rustix::process::Signal::KILL.as_raw())
}

const PLANTED: &str = "LANDBRIDGE_PLANTED";
const DIES_AT: &str = "LANDBRIDGE_DIES_AT";
const READY_WITHIN: Duration = Duration::from_secs(30);
const STOPPED_WITHIN: Duration = Duration::from_secs(30);
const COMMAND_WITHIN: Duration = Duration::from_secs(60);
