//! The frames of one run, as a client got them.

use std::fmt;

use serde_json::Value;

/// Frames in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Story {
    run: String,
    lines: Vec<String>,
    frames: Vec<Value>,
}

impl Story {
    /// Nothing yet.
    #[must_use]
    pub fn new(run: &str) -> Self {
        Self { run: run.to_owned(), ..Self::default() }
    }

    /// Takes a frame; it must be the next one.
    pub fn tell(&mut self, line: &str) {
        let frame: Value = serde_json::from_str(line).expect("a frame is JSON");
        assert!(!self.is_ended(), "{line} after the terminal: {self}");
        assert_eq!(frame["seq"], self.frames.len() as u64 + 1, "{line} after {self}");
        self.lines.push(line.to_owned());
        self.frames.push(frame);
    }

    /// The run, as A names it.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The frame lines.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The number of the last frame.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.frames.len() as u64
    }

    /// The payloads of one event.
    #[must_use]
    pub fn payloads(&self, event: &str) -> Vec<&Value> {
        let frames = self.frames.iter().filter(|frame| frame["event"] == event);
        frames.map(|frame| &frame["payload"]).collect()
    }

    /// The event came.
    #[must_use]
    pub fn has(&self, event: &str) -> bool {
        !self.payloads(event).is_empty()
    }

    /// The terminal came.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.has("terminal")
    }

    /// The terminal's payload.
    #[must_use]
    pub fn terminal(&self) -> &Value {
        self.payloads("terminal").first().unwrap_or_else(|| panic!("no end: {self}"))
    }

    /// How it ended.
    #[must_use]
    pub fn outcome(&self) -> &str {
        self.terminal()["outcome"].as_str().unwrap_or_default()
    }

    /// The code of the terminal's problem.
    #[must_use]
    pub fn code(&self) -> &str {
        self.terminal()["problem"]["code"].as_str().unwrap_or_default()
    }

    /// What may have happened, as the terminal says.
    #[must_use]
    pub fn side_effects(&self) -> &str {
        self.terminal()["sideEffects"].as_str().unwrap_or_default()
    }

    /// The session that the run is led in, as B calls it.
    #[must_use]
    pub fn session(&self) -> String {
        let started = self.payloads("started");
        let started = started.first().unwrap_or_else(|| panic!("not started: {self}"));
        started["session"].as_str().unwrap_or_default().to_owned()
    }

    /// The answer's text so far.
    #[must_use]
    pub fn answer(&self) -> String {
        let mut answer = String::new();
        for output in self.payloads("output") {
            if output["channel"] == "answer" {
                if output["replace"] == true {
                    answer.clear();
                }
                answer.push_str(output["text"].as_str().unwrap_or_default());
            }
        }
        answer
    }

    /// It succeeded with this answer.
    pub fn is_answered(&self, text: &str) {
        assert_eq!(self.outcome(), "succeeded", "{self}");
        assert_eq!((self.answer().as_str(), &self.terminal()["result"]), (text, &text.into()));
    }

    /// What holds of every run that has ended.
    pub(crate) fn check(&self, exit: i32) {
        let told = match self.outcome() {
            "succeeded" => 0,
            "failed" => 10,
            "cancelled" => 11,
            "rejected" => 12,
            "expired" => 13,
            "lost" => 14,
            other => panic!("no such outcome: {other}"),
        };
        assert_eq!(exit, told, "{self}");
        assert_eq!(self.outcome() == "failed", !self.code().is_empty() && told == 10, "{self}");
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} with {} frames", self.run, self.lines.len())?;
        self.lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}
