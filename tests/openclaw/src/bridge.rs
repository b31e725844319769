//! One bridge: a home, a process of the real binary, and the commands against it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use crate::follow::Follow;

/// A bridge's home, and its process while it runs. Killed when dropped.
#[derive(Debug)]
pub struct Bridge {
    name: String,
    home: PathBuf,
    id: String,
    process: Mutex<Option<Child>>,
}

/// What does the work that peers ask for.
#[derive(Clone, Debug)]
pub enum Work {
    /// The embedded script interpreter.
    Scripted,
    /// The gateway at this URL.
    OpenClaw(String),
}

impl Bridge {
    /// Makes keys and settings; peers are told that it listens on `endpoint`.
    pub async fn init(place: &Path, name: &str, listen: u16, endpoint: u16, work: &Work) -> Self {
        let home = place.join(name);
        let mut bridge =
            Self { name: name.to_owned(), home, id: String::new(), process: Mutex::new(None) };
        let (listen, endpoint) =
            (format!("127.0.0.1:{listen}"), format!("https://127.0.0.1:{endpoint}"));
        let mut arguments = vec!["init", "--listen", &listen, "--endpoint", &endpoint];
        // Both sides are on this machine, so each must be allowed to dial loopback.
        arguments.extend(["--danger-allow-addresses", "127.0.0.0/8", "--adapter"]);
        match work {
            Work::Scripted => arguments.push("scripted"),
            Work::OpenClaw(url) => arguments.extend(["openclaw", "--gateway-url", url]),
        }
        let made = bridge.json(&arguments).await;
        bridge.id = text(&made, "gateway");
        bridge.settings("\n[limits]\nstarts_per_minute_max = 6000\nruns_open_per_peer_max = 64\n");
        bridge
    }

    /// Adds to the settings file.
    pub fn settings(&self, more: &str) {
        let path = self.home.join("landbridge.toml");
        let settings = std::fs::read_to_string(&path).unwrap() + more;
        std::fs::write(&path, settings).unwrap();
    }

    /// Its gateway id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its home.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Starts the process and waits until it says that it listens.
    pub async fn serve(&self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        let mut command = self.command(&["--json", "serve", "--log", "info,landbridge=debug"]);
        command.process_group(0).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the bridge can be started");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if serde_json::from_str::<Value>(&line).is_ok_and(|line| line["event"] == "ready") {
                    return true;
                }
            }
            false
        };
        if tokio::time::timeout(READY_WITHIN, ready).await != Ok(true) {
            panic!("bridge {} did not start: {}", self.name, self.log_end());
        }
        *self.process.lock().await = Some(child);
    }

    /// Ends the process with SIGKILL.
    pub async fn kill(&self) {
        let mut child = self.process.lock().await.take().expect("the bridge runs");
        child.kill().await.expect("the bridge can be killed");
    }

    /// Asks the process to end (SIGTERM), and waits until it did.
    pub async fn stop(&self) {
        let mut child = self.process.lock().await.take().expect("the bridge runs");
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        let pid = pid.and_then(rustix::process::Pid::from_raw).expect("it has an id");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it can be asked");
        let ended = tokio::time::timeout(COMMAND_WITHIN, child.wait()).await;
        assert!(ended.expect("in time").expect("it ends").success());
    }

    /// Kills the process and starts another one in the same home.
    pub async fn restart(&self) {
        self.kill().await;
        self.serve().await;
    }

    /// Runs a command that must succeed, and reads the JSON that it prints.
    pub async fn json(&self, arguments: &[&str]) -> Value {
        let output = self.output(arguments).await;
        assert!(
            output.status.success(),
            "bridge {}: landbridge {} ended with {}: {}\n{}",
            self.name,
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr),
            self.log_end()
        );
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Waits until the bridge has reached its gateway; returns what it says of it.
    pub async fn reaches_gateway(&self) -> Value {
        let end = Instant::now() + COMMAND_WITHIN;
        while Instant::now() < end {
            let output = self.output(&["gateway", "status"]).await;
            if output.status.success() {
                return serde_json::from_slice(&output.stdout).unwrap_or_default();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("bridge {} does not reach its gateway: {}", self.name, self.log_end());
    }

    /// Runs a command that must fail; returns its exit code and what it said, as JSON.
    pub async fn refused(&self, arguments: &[&str]) -> (i32, Value) {
        let output = self.output(arguments).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "landbridge {} succeeded", arguments.join(" "));
        let last = said.lines().last().unwrap_or_default();
        let said = serde_json::from_str(last).unwrap_or_else(|_| panic!("not JSON: {said}"));
        (output.status.code().unwrap_or(-1), said)
    }

    /// Runs a command, whatever it ends with.
    pub async fn output(&self, arguments: &[&str]) -> Output {
        self.printed(&[&["--json"][..], arguments].concat()).await
    }

    /// As [`Bridge::output`], in the words for people.
    pub async fn printed(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        let output = command.output();
        tokio::time::timeout(COMMAND_WITHIN, output).await.expect("in time").expect("it can be run")
    }

    /// Follows a run from a cursor.
    #[must_use]
    pub fn follow(&self, run: &str, after: u64) -> Follow {
        let after = after.to_string();
        Follow::new(self.command(&["--json", "run", "tail", run, "--after", &after]), run)
    }

    /// Asks the local API with a token, by POST where there is a body; returns status and body.
    pub async fn ask(&self, path: &str, token: &str, body: Option<&Value>) -> (u16, Value) {
        let mut stream = UnixStream::connect(self.home.join("landbridge.sock")).await.unwrap();
        let verb = if body.is_some() { "POST" } else { "GET" };
        let body = body.map(Value::to_string).unwrap_or_default();
        let head = [
            format!("{verb} {path} HTTP/1.1"),
            "Host: landbridge".to_owned(),
            format!("Authorization: Bearer {token}"),
            "Content-Type: application/json".to_owned(),
            format!("Content-Length: {}", body.len()),
            "Connection: close".to_owned(),
        ];
        let request = format!("{}\r\n\r\n{body}", head.join("\r\n"));
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(COMMAND_WITHIN, read).await.expect("in time").unwrap();
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    /// The end of its log.
    #[must_use]
    pub fn log_end(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn log(&self) -> PathBuf {
        self.home.join("bridge.log")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.arg("--home").arg(&self.home).args(arguments);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("LANDBRIDGE_") || text.starts_with("OPENCLAW_") {
                command.env_remove(&name);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("bridge {} said last:\n{}", self.name, self.log_end());
        }
    }
}

/// A member of an answer, as text.
#[must_use]
pub fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

/// A free port that no outgoing connection is given, so that it is still free after a restart.
#[must_use]
pub fn free_port() -> u16 {
    let mut bytes = [0_u8; 2];
    for _ in 0..1000 {
        getrandom::fill(&mut bytes).expect("randomness");
        let port = 20_000 + u16::from_ne_bytes(bytes) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// The program: `LANDBRIDGE_BIN`, or built once from this tree.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("LANDBRIDGE_BIN").filter(|path| !path.is_empty()) {
            return PathBuf::from(path);
        }
        let output = std::process::Command::new(env!("CARGO"))
            .args([
                "build",
                "--package",
                "landbridge",
                "--message-format",
                "json-render-diagnostics",
            ])
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo can be run");
        assert!(output.status.success(), "landbridge does not build");
        let messages = String::from_utf8_lossy(&output.stdout);
        let built = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let paths = built.filter(|built| built["target"]["name"] == "landbridge");
        let path = paths.filter_map(|built| built["executable"].as_str().map(PathBuf::from)).next();
        path.expect("cargo says where the program is")
    })
}

const READY_WITHIN: Duration = Duration::from_secs(30);
const COMMAND_WITHIN: Duration = Duration::from_secs(60);
