//! A run as its client reads it: `landbridge run tail`, line by line.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::story::Story;

/// A running `run tail`. It outlives a restart of the bridge that it reads from.
#[derive(Debug)]
pub struct Follow {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    story: Story,
}

impl Follow {
    pub(crate) fn new(mut command: Command, run: &str) -> Self {
        command.stderr(Stdio::null());
        let mut child = command.spawn().expect("a run can be followed");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines, story: Story::new(run) }
    }

    /// What was read so far.
    #[must_use]
    pub const fn story(&self) -> &Story {
        &self.story
    }

    /// Reads until what was read fits.
    pub async fn until(&mut self, fits: impl Fn(&Story) -> bool) {
        let wait = async {
            while !fits(&self.story) {
                let line = self.lines.next_line().await.expect("lines");
                let line = line.unwrap_or_else(|| panic!("it ended early: {}", self.story));
                self.story.tell(&line);
            }
        };
        if tokio::time::timeout(FRAMES_WITHIN, wait).await.is_err() {
            panic!("it fell silent: {}", self.story);
        }
    }

    /// Reads until a frame with this event came.
    pub async fn until_event(&mut self, event: &str) -> Value {
        self.until(|story| story.has(event)).await;
        self.story.payloads(event)[0].clone()
    }

    /// Reads what comes within a time; returns early at the terminal.
    pub async fn within(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while !self.story.is_ended() {
            let left = end.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, self.lines.next_line()).await {
                Ok(line) => self.story.tell(&line.expect("lines").expect("a line before the end")),
                Err(_) => return,
            }
        }
    }

    /// Reads to the end: every frame once, in order, and one terminal, which the exit code tells.
    pub async fn end(mut self) -> Story {
        self.until(Story::is_ended).await;
        let last = tokio::time::timeout(FRAMES_WITHIN, self.lines.next_line()).await;
        assert_eq!(last.expect("the reader ends").expect("lines"), None, "after {}", self.story);
        let status = self.child.wait().await.expect("the reader ends");
        self.story.check(status.code().unwrap_or(-1));
        self.story
    }
}

/// The gateway takes a minute at most after its return.
const FRAMES_WITHIN: Duration = Duration::from_secs(120);
