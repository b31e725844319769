//! Following a run to its end, across restarts of the daemon that it is read from.
//!
//! The cursor is the last frame that was printed, so a lost connection repeats nothing and skips
//! nothing. On a terminal a quiet stream also says how the connection to the executor does, because
//! silence looks the same whether an agent thinks or a network is down.

use std::time::{Duration, Instant};

use landbridge_node::local::api::RunView;
use landbridge_proto::wire::name::RunId;
use landbridge_proto::wire::stream::Frame;

use crate::client::{Client, Lines};
use crate::exit::{Exit, Failure};
use crate::live::LiveView;
use crate::out::{Look, Out};

/// Prints a run's frames after a cursor until its terminal, and exits with its outcome.
pub(super) async fn follow(
    client: &Client,
    run: &RunId,
    after: u64,
    out: &Out,
) -> Result<Exit, Failure> {
    let mut follower = Follower {
        client,
        run,
        out,
        after,
        view: out.live().then(|| LiveView::new(out)),
        connection: None,
        last_heard: Instant::now(),
    };
    tokio::select! {
        exit = follower.follow_on() => exit,
        _ = tokio::signal::ctrl_c() => {
            out.say(Look::Yellow, format!(
                "\nthe run goes on; follow it: landbridge run tail {run}, or stop it: landbridge run cancel {run}"
            ));
            Ok(Exit::Interrupted)
        }
    }
}

struct Follower<'a> {
    client: &'a Client,
    run: &'a RunId,
    out: &'a Out,
    after: u64,
    view: Option<LiveView<'a>>,
    connection: Option<String>,
    last_heard: Instant,
}

impl Follower<'_> {
    async fn follow_on(&mut self) -> Result<Exit, Failure> {
        let mut told = false;
        loop {
            let path = format!("/v1/runs/{}/frames?after={}", self.run, self.after);
            let broken = match self.client.lines(&path).await {
                Ok(mut lines) => {
                    if told {
                        self.say(Look::Green, "· reading again");
                        told = false;
                    }
                    match self.read(&mut lines).await {
                        Ok(Some(exit)) => return Ok(exit),
                        Ok(None) => None,
                        Err(failure) if failure.exit() == Exit::NoBridge => Some(failure),
                        Err(failure) => return Err(failure),
                    }
                }
                Err(failure) if failure.exit() == Exit::NoBridge => Some(failure),
                // A daemon that starts or drains says so; it will be back.
                Err(failure)
                    if matches!(failure.problem_code(), Some("draining" | "overloaded")) =>
                {
                    Some(failure)
                }
                Err(failure) => return Err(failure),
            };
            if let Some(failure) = broken.filter(|_| self.last_heard.elapsed() > PATIENCE) {
                return Err(failure.next(format!(
                    "landbridge serve, then landbridge run tail {} --after {}",
                    self.run, self.after
                )));
            }
            if !told {
                self.say(Look::Yellow, "· lost this side's bridge; trying again");
                told = true;
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    /// Reads until the terminal, or until the answer ends without one.
    async fn read(&mut self, lines: &mut Lines) -> Result<Option<Exit>, Failure> {
        loop {
            self.last_heard = Instant::now();
            let line = match tokio::time::timeout(QUIET, lines.next()).await {
                Ok(line) => line?,
                Err(_) => {
                    self.tell_connection().await;
                    continue;
                }
            };
            let Some(line) = line else { return Ok(None) };
            if let Some(exit) = self.line(&line)? {
                return Ok(Some(exit));
            }
        }
    }

    fn line(&mut self, line: &str) -> Result<Option<Exit>, Failure> {
        let frame = Frame::parse(line).map_err(|error| {
            Failure::new(Exit::Internal, "the bridge sent a line that is no frame").because(error)
        })?;
        if frame.seq <= self.after {
            return Ok(None);
        }
        match &mut self.view {
            Some(view) => view.frame(&frame)?,
            None => self.out.line(line)?,
        }
        self.after = frame.seq;
        if !frame.is_terminal() {
            return Ok(None);
        }
        let outcome = frame.terminal().map(|terminal| terminal.outcome.as_str());
        Ok(Some(Exit::of_outcome(outcome.unwrap_or_default())))
    }

    /// Says how the connection to the executor does, when that changed.
    async fn tell_connection(&mut self) {
        if self.view.is_none() {
            return;
        }
        let view: Result<RunView, Failure> =
            self.client.get(&format!("/v1/runs/{}", self.run)).await;
        let Ok(view) = view else { return };
        if view.connection != self.connection {
            if let Some(sentence) = &view.connection {
                self.say(Look::Yellow, &format!("· {sentence}"));
            }
            self.connection = view.connection;
        }
    }

    fn say(&mut self, look: Look, text: &str) {
        match &mut self.view {
            Some(view) => view.say(look, text),
            None => self.out.say(look, text),
        }
    }
}

/// After so much silence a person wants to know why.
const QUIET: Duration = Duration::from_secs(2);
/// Between two attempts to reach the daemon.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// A restart of the daemon takes less than this.
const PATIENCE: Duration = Duration::from_secs(30);
