//! The client under test: a command that is told what to do, and tells what it saw.

use std::io::{Read, Write as _};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::script::LINES;
use super::server::{Asked, Kind, Script, serve};

/// The command, and how long a silence is in these cases.
pub(crate) struct Client {
    pub(super) command: String,
    pub(super) silence: Duration,
}

/// What came of a case.
pub(super) struct Told {
    /// What the client printed, but for the end.
    pub(super) lines: Vec<Value>,
    /// The last line.
    pub(super) end: Value,
    pub(super) asked: Vec<Asked>,
    pub(super) flooded: u64,
}

impl Client {
    /// Has the client do a task, against a bridge that does what the script says.
    pub(super) fn run(&self, task: Value, script: &Script<'_>) -> Result<Told> {
        let (said, heard) = serve(script, |at| self.told(task, &at.to_string()))?;
        let (mut lines, at) = said?;
        let end = lines.pop().context("it says nothing")?;
        ensure!(
            ["ok", "problem", "unknown"].iter().any(|known| end["end"] == *known),
            "its last line is no end: {end}"
        );
        let told = Told { lines, end, asked: heard.asked, flooded: heard.flooded };
        ensure!(!told.asked.is_empty(), "it asks for nothing");
        told.asked.iter().try_for_each(|asked| in_form(asked, &at))?;
        let starts: Vec<&Asked> = told.of(Kind::Start).collect();
        let same = starts.windows(2).all(|two| matches!(two, [a, b] if a.body == b.body));
        ensure!(same, "a start is repeated with another body");
        Ok(told)
    }

    /// Has it do a task where nobody listens.
    pub(super) fn run_alone(&self, task: Value) -> Result<Value> {
        // The listener is gone when its port is used.
        let at = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let (mut lines, _) = self.told(task, &at)?;
        lines.pop().context("it says nothing")
    }

    fn told(&self, mut task: Value, at: &str) -> Result<(Vec<Value>, String)> {
        task["url"] = json!(format!("http://{at}"));
        task["token"] = json!(TOKEN);
        task["giveUpAfterMs"] = json!(GIVE_UP_AFTER_MS);
        task["silenceMs"] = json!(u64::try_from(self.silence.as_millis())?);
        let mut child = Command::new("sh")
            .args(["-c", &format!("exec {}", self.command)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("the client does not start")?;
        let mut stdin = child.stdin.take().context("a pipe")?;
        let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
        // A client that ends before it reads says so by its exit code.
        let _left = writeln!(stdin, "{task}");
        drop(stdin);
        let until = Instant::now() + PATIENCE + self.silence;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if Instant::now() > until {
                child.kill()?;
                child.wait()?;
                bail!("it does not end");
            }
            thread::sleep(Duration::from_millis(10));
        };
        let (stdout, stderr) = (stdout.join(), stderr.join());
        let (stdout, stderr) =
            (stdout.ok().context("its output")?, stderr.ok().context("its errors")?);
        ensure!(!stdout.contains(TOKEN), "its output tells the token");
        ensure!(!stderr.contains(TOKEN), "its error text tells the token");
        ensure!(status.success(), "it ended with {status}: {}", stderr.trim());
        let lines = stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>();
        Ok((lines.context("a line of its output is not JSON")?, at.to_owned()))
    }
}

impl Told {
    /// The requests of a kind.
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = &Asked> {
        self.asked.iter().filter(move |asked| asked.kind == kind)
    }

    /// The cursors that streams were asked from.
    pub(super) fn cursors(&self) -> Vec<usize> {
        self.of(Kind::Frames).map(Asked::cursor).collect()
    }

    /// The first of the lines with a member.
    pub(super) fn said(&self, name: &str) -> Result<&Value> {
        let found = self.lines.iter().find_map(|line| line.get(name));
        found.with_context(|| format!("it does not tell `{name}`"))
    }

    /// Its frames are those from one to another, each once, in order and as they were sealed.
    pub(super) fn ensure_frames(&self, from: usize, to: usize) -> Result<()> {
        let shown: Vec<&Value> = self.lines.iter().filter_map(|line| line.get("frame")).collect();
        let seqs: Vec<&Value> = shown.iter().map(|frame| &frame["seq"]).collect();
        let due: Vec<Value> = (from..=to).map(|seq| json!(seq)).collect();
        ensure!(seqs == due.iter().collect::<Vec<_>>(), "frames {from} to {to} were due: {seqs:?}");
        for (frame, line) in shown.iter().zip(LINES.iter().skip(from.saturating_sub(1))) {
            ensure!(frame["line"] == *line, "a frame is not as it was sealed: {frame}");
        }
        Ok(())
    }

    /// It ended so.
    pub(super) fn ensure_end(&self, due: &str) -> Result<()> {
        ensure!(self.end["end"] == due, "the end `{due}` was due: {}", self.end);
        Ok(())
    }

    /// It ended, and not well.
    pub(super) fn ensure_not_ok(&self) -> Result<()> {
        ensure!(self.end["end"] != "ok", "it takes this for a success");
        Ok(())
    }

    /// It ended with a refusal of this code.
    pub(super) fn ensure_problem(&self, code: &str) -> Result<()> {
        self.ensure_end("problem")?;
        ensure!(self.end["code"] == code, "the code {code} was due: {}", self.end);
        Ok(())
    }
}

/// What holds for every request of a client.
fn in_form(asked: &Asked, at: &str) -> Result<()> {
    let bearer = format!("Bearer {TOKEN}");
    ensure!(asked.header("authorization") == Some(&bearer), "a request without the token");
    ensure!(!asked.target.contains(TOKEN), "the token is in an address");
    ensure!(asked.header("host") == Some(at), "the host is not that of the URL");
    ensure!(asked.header("origin").is_none(), "a request with an Origin");
    ensure!(asked.kind != Kind::Other, "it asks for {}", asked.target);
    if asked.kind == Kind::Start {
        let media = asked.header("content-type").unwrap_or_default();
        ensure!(media.starts_with("application/json"), "a start that is {media:?}");
    }
    Ok(())
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut said = Vec::new();
        // What a broken pipe gave until then is all that there is.
        let _end = pipe.map(|mut pipe| pipe.read_to_end(&mut said));
        String::from_utf8_lossy(&said).into_owned()
    })
}

const TOKEN: &str = "lbt_kit-0123456789abcdefghijklmnopqrstuvwxyz";
const GIVE_UP_AFTER_MS: u64 = 1_000;
/// How long a client may take for a case, silences aside.
const PATIENCE: Duration = Duration::from_secs(30);
