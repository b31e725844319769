//! The caller under test: how it is told to start a run, what it then asks, and what it tells its user.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

use crate::asked::{Asked, Open};
use crate::cases::Skipped;
use crate::host::Host;
use crate::script::{self, Script};
use crate::server::{Exchange, Server};
use crate::wire;

/// What the caller under test is told by.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    pub(crate) agent: String,
    pub(crate) start: String,
    pub(crate) cancel: Option<String>,
    /// Lifts a quarantine.
    pub(crate) lift: Option<String>,
}

/// The kit's executor, and the caller that is set on it.
pub(crate) struct Stage {
    pub(crate) server: Arc<Server>,
    pub(crate) orders: Orders,
    /// No case was tried on this caller before.
    pub(crate) is_new: bool,
}

/// One run that the caller was told to start.
pub(crate) struct Run<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) key: String,
    command: Child,
    lines: Receiver<Value>,
    /// What the user was told.
    told: Vec<Value>,
    to: Sender<Exchange>,
    from: Receiver<Exchange>,
    /// Operations that came while another was waited for.
    later: VecDeque<Asked>,
    /// The start as it was first asked: every further one has this body.
    first: Option<Value>,
    script: Option<Script>,
}

impl Stage {
    pub(crate) fn host(&self) -> &Host {
        &self.server.host
    }

    /// Tells the caller to start a run.
    pub(crate) fn start(&self) -> Result<Run<'_>> {
        let key = format!("kit-{}", BASE64URL_NOPAD.encode(&wire::random::<16>()?));
        let (to, from) = self.server.receiver(&key);
        let mut command = self.order(&self.orders.start, &key);
        let mut command = command.stdout(Stdio::piped()).spawn().context("--start")?;
        let output = command.stdout.take().context("a command has an output")?;
        let (tell, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Whatever is no frame, is talk.
                let frame =
                    serde_json::from_str::<Value>(&line).ok().filter(|it| it["seq"].is_u64());
                if frame.is_some_and(|frame| tell.send(frame).is_err()) {
                    return;
                }
            }
        });
        let (told, later) = (Vec::new(), VecDeque::new());
        Ok(Run {
            stage: self,
            key,
            command,
            lines,
            told,
            to,
            from,
            later,
            first: None,
            script: None,
        })
    }

    /// A run that began, and of which the user was told two frames of five.
    pub(crate) fn begun(&self) -> Result<(Run<'_>, Open)> {
        let mut run = self.start()?;
        let mut open = run.begin()?;
        open.write(run.batch(1, 2)?)?;
        run.must_be_told(2)?;
        Ok((run, open))
    }

    /// Lifts the quarantine, or says that nobody told how.
    pub(crate) fn lift(&self) -> Result<()> {
        let lift = self.orders.lift.as_ref().context(Skipped("--lift is not given".to_owned()))?;
        ensure!(self.order(lift, "").stdout(Stdio::null()).status()?.success(), "--lift failed");
        Ok(())
    }

    fn order(&self, order: &str, key: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", order]).stdin(Stdio::null()).stderr(Stdio::null());
        command.env("KIT_AGENT", &self.orders.agent).env("KIT_PROMPT", PROMPT).env("KIT_KEY", key);
        command
    }
}

impl Run<'_> {
    /// The next operation of this kind, judged.
    pub(crate) fn asked(&mut self, op: &str) -> Result<Asked> {
        self.asked_within(op, ASKS_WITHIN)?.with_context(|| format!("no {op} comes"))
    }

    /// The next operation of this kind, if one comes in time.
    pub(crate) fn asked_within(&mut self, op: &str, within: Duration) -> Result<Option<Asked>> {
        if let Some(at) = self.later.iter().position(|asked| asked.op() == op) {
            return Ok(self.later.remove(at));
        }
        let until = Instant::now() + within;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let exchange = match self.from.recv_timeout(left) {
                Ok(exchange) => exchange,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(None),
            };
            let asked = Asked::read(exchange, self.stage.host())?;
            self.judge(&asked)?;
            if asked.op() == op {
                return Ok(Some(asked));
            }
            self.later.push_back(asked);
        }
    }

    /// The next start or attach.
    pub(crate) fn asked_for_frames(&mut self) -> Result<Asked> {
        let until = Instant::now() + ASKS_WITHIN;
        while Instant::now() < until {
            for op in ["start", "attach"] {
                if let Some(asked) = self.asked_within(op, Duration::from_millis(50))? {
                    return Ok(asked);
                }
            }
        }
        anyhow::bail!("the caller does not ask again")
    }

    /// Takes the start and accepts it; its frames are these five.
    pub(crate) fn begin(&mut self) -> Result<Open> {
        self.begin_with(&script::five())
    }

    /// Takes the start and accepts it; its frames are these.
    pub(crate) fn begin_with(&mut self, frames: &[(&str, Value)]) -> Result<Open> {
        let asked = self.asked("start")?;
        let script = Script::of(self.stage.host(), &asked, frames)?;
        self.lead(script);
        asked.accept(self.script()?)
    }

    /// Leads the run by this script from now on.
    pub(crate) fn lead(&mut self, script: Script) {
        self.stage.server.expect(&script.run, &self.to);
        self.script = Some(script);
    }

    pub(crate) fn script(&self) -> Result<&Script> {
        self.script.as_ref().context("the run was accepted")
    }

    /// A batch of the run.
    pub(crate) fn batch(&self, first: usize, last: usize) -> Result<String> {
        self.script()?.batch(self.stage.host(), first, last)
    }

    /// The user is told the first `count` frames, each once, and no more for a moment.
    pub(crate) fn must_be_told(&mut self, count: usize) -> Result<()> {
        let until = Instant::now() + TOLD_WITHIN;
        while self.told.len() < count {
            self.hear(until)?.with_context(|| {
                format!("the user is told {} frames of {count}", self.told.len())
            })?;
        }
        let until = Instant::now() + A_MOMENT;
        while self.hear(until)?.is_some() {}
        ensure!(self.told.len() == count, "the user is told {} frames: {}", self.told.len(), {
            self.told.last().map(ToString::to_string).unwrap_or_default()
        });
        Ok(())
    }

    /// Answers whatever is asked for honestly until the user has the run's end.
    pub(crate) fn serve(&mut self) -> Result<()> {
        self.serve_as("succeeded")
    }

    /// As [`Run::serve`], of a run that ends like this.
    pub(crate) fn serve_as(&mut self, outcome: &str) -> Result<()> {
        let mut tries = 0;
        loop {
            let asked = self.asked_for_frames()?;
            if self.script.is_none() {
                let script = Script::of(self.stage.host(), &asked, &script::five())?;
                self.lead(script);
            }
            let (after, last) = (asked.after(), self.script()?.last());
            ensure!(after <= last, "an attach after {after}");
            tries += 1;
            // It may have gone for another attempt by now.
            if let Ok(mut open) = asked.accept(self.script()?) {
                for first in after + 1..=last {
                    let _gone = open.write(self.batch(first, first)?);
                }
                open.close();
            }
            if self.is_told(last, Duration::from_secs(3))? {
                return self.must_end(outcome);
            }
            ensure!(tries < TRIES_MAX, "the user is told {} frames of {last}", self.told.len());
        }
    }

    /// The run is over for its user: all frames of the script were told, the last one is the end.
    pub(crate) fn must_end(&mut self, outcome: &str) -> Result<()> {
        let last = self.script()?.last();
        self.must_be_told(last)?;
        self.must_exit(outcome)
    }

    /// The caller ends the run by a terminal of its own, behind the first `after` frames.
    pub(crate) fn must_end_itself(&mut self, after: usize, outcome: &str) -> Result<Value> {
        ensure!(self.is_told(after + 1, ENDS_WITHIN)?, "the caller does not end the run");
        let frame = self.told.get(after).context("a frame more")?.clone();
        let payload = &frame["payload"];
        ensure!(frame["event"] == "terminal", "the end is a terminal, not {frame}");
        ensure!(payload["by"] == "caller", "the end is the caller's own: {frame}");
        ensure!(payload["outcome"] == outcome, "{outcome} was due: {frame}");
        ensure!(payload["problem"]["code"].is_string(), "an end has its problem: {frame}");
        if outcome == "lost" {
            ensure!(payload["sideEffects"] == "unknown", "what was done is unknown: {frame}");
        }
        self.must_exit(outcome)?;
        ensure!(self.told.len() == after + 1, "the user is told something behind the end");
        Ok(frame)
    }

    /// Nothing more is asked.
    pub(crate) fn must_be_quiet(&mut self, within: Duration) -> Result<()> {
        for op in ["start", "attach"] {
            ensure!(self.asked_within(op, within / 2)?.is_none(), "the caller asks: {op}");
        }
        Ok(())
    }

    /// The run goes on for its user.
    pub(crate) fn must_go_on(&mut self) -> Result<()> {
        ensure!(self.command.try_wait()?.is_none(), "the run is over for its user");
        Ok(())
    }

    /// Tells the caller to cancel the run.
    pub(crate) fn cancel(&self) -> Result<()> {
        let order = self.stage.orders.cancel.as_ref();
        let order = order.context(Skipped("--cancel is not given".to_owned()))?;
        let told = self.stage.order(order, &self.key).stdout(Stdio::null()).status()?;
        ensure!(told.success(), "--cancel failed");
        Ok(())
    }

    fn must_exit(&mut self, outcome: &str) -> Result<()> {
        let until = Instant::now() + ENDS_WITHIN;
        let status = loop {
            if let Some(status) = self.command.try_wait()? {
                break status;
            }
            ensure!(Instant::now() < until, "the command does not end after the run's end");
            thread::sleep(Duration::from_millis(20));
        };
        while self.hear(Instant::now() + Duration::from_millis(50))?.is_some() {}
        ensure!(
            status.success() == (outcome == "succeeded"),
            "{outcome}, and the command ends {status}"
        );
        Ok(())
    }

    fn is_told(&mut self, count: usize, within: Duration) -> Result<bool> {
        let until = Instant::now() + within;
        while self.told.len() < count {
            if self.hear(until)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The next frame that the user is told; it has to be the script's, or an end of the caller's own.
    fn hear(&mut self, until: Instant) -> Result<Option<()>> {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(frame) = self.lines.recv_timeout(left) else { return Ok(None) };
        let at = self.told.len();
        ensure!(frame["seq"] == at + 1, "the user is told {frame} as frame {}", at + 1);
        let due = self.script.as_ref().and_then(|script| script.frames.get(at));
        let is_due = due
            .is_some_and(|line| serde_json::from_str::<Value>(line).is_ok_and(|due| due == frame));
        let is_own = frame["event"] == "terminal" && frame["payload"]["by"] == "caller";
        ensure!(is_due || is_own, "the user is told what nobody sealed: {frame}");
        self.told.push(frame);
        Ok(Some(()))
    }

    /// What holds of every operation on this run.
    fn judge(&mut self, asked: &Asked) -> Result<()> {
        let (request, body) = (&asked.request, &asked.request["body"]);
        let first = self.first.get_or_insert_with(|| request.clone());
        ensure!(request["tenant"] == first["tenant"], "another tenant pair in another attempt");
        if asked.op() == "start" {
            ensure!(*body == first["body"], "another body in another attempt (REQ-7)");
            ensure!(body["idempotencyKey"] == self.key, "a start under another key");
            ensure!(body["prompt"] == PROMPT, "a start with another prompt");
            ensure!(body["agentTarget"]["agent"] == self.stage.orders.agent, "another agent");
            return Ok(());
        }
        let run = self.script.as_ref().map(|script| script.run.as_str());
        let named = body["idempotencyKey"] == self.key || body["run"].as_str() == run;
        ensure!(named, "{} of another run", asked.op());
        // What a caller has, its user may be told: nothing else is behind a cursor.
        let after = asked.after();
        ensure!(self.is_told(after, TOLD_WITHIN)?, "an attach after {after}, which nobody is told");
        Ok(())
    }

    /// How much the user was told by now, and in so much time.
    pub(crate) fn hears(&mut self, within: Duration) -> Result<usize> {
        while self.hear(Instant::now() + within)?.is_some() {}
        Ok(self.told.len())
    }
}

impl Drop for Run<'_> {
    /// What the caller still asks of this run is refused for good.
    fn drop(&mut self) {
        self.stage.server.forget(&self.key);
        if let Some(script) = &self.script {
            self.stage.server.forget(&script.run);
        }
        let _gone = self.command.kill();
        let _ended = self.command.wait();
    }
}

/// What the agent is asked.
pub(crate) const PROMPT: &str = "Say hello.";
/// A caller pauses between attempts; this is longer than it should.
const ASKS_WITHIN: Duration = Duration::from_secs(40);
const TOLD_WITHIN: Duration = Duration::from_secs(15);
const ENDS_WITHIN: Duration = Duration::from_secs(30);
/// How long it is looked whether something is told that must not be.
pub(crate) const A_MOMENT: Duration = Duration::from_millis(250);
const TRIES_MAX: usize = 6;
