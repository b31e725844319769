//! What a client saw of a run, held against what the run was.
//!
//! The client keeps its own cursor and nothing else. Whatever broke in between, what it read over all
//! its connections must be the run's frames from 1 to the one terminal, byte for byte. The checker is
//! tried on histories that are wrong, because a checker that accepts everything proves nothing.

use serde_json::Value;

/// Frames as one client read them, over any number of connections.
#[derive(Clone, Debug, Default)]
pub struct History {
    lines: Vec<String>,
    connections: u32,
    terminal: Option<Value>,
}

/// Why a history is not a run's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// A line is no frame.
    NotAFrame(String),
    /// Another frame was due: one is missing, or came twice.
    OutOfOrder {
        /// The number that was due.
        due: u64,
        /// The number that came.
        came: u64,
    },
    /// A frame behind the terminal.
    AfterTerminal,
    /// It has no terminal.
    NoTerminal,
    /// The journal has other bytes, or another number of frames, from this frame on.
    Differs {
        /// The first frame that is not the same.
        seq: u64,
    },
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Fault {}

impl History {
    /// The last frame that the client has.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.lines.len() as u64
    }

    /// Notes one more connection.
    pub const fn connected(&mut self) {
        self.connections += 1;
    }

    /// On how many connections it was read.
    #[must_use]
    pub const fn connections(&self) -> u32 {
        self.connections
    }

    /// The frames' exact lines.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The frames' events, in order.
    #[must_use]
    pub fn events(&self) -> Vec<String> {
        let event = |line: &String| {
            let frame: Value = serde_json::from_str(line).unwrap_or_default();
            frame["event"].as_str().unwrap_or_default().to_owned()
        };
        self.lines.iter().map(event).collect()
    }

    /// Takes the next line.
    ///
    /// # Errors
    ///
    /// [`Fault`] when it is not the next one.
    pub fn take(&mut self, line: &str) -> Result<(), Fault> {
        if self.terminal.is_some() {
            return Err(Fault::AfterTerminal);
        }
        let not = || Fault::NotAFrame(line.to_owned());
        let frame: Value = serde_json::from_str(line).map_err(|_| not())?;
        let came = frame["seq"].as_u64().ok_or_else(not)?;
        let event = frame["event"].as_str().ok_or_else(not)?;
        let due = self.cursor() + 1;
        if came != due {
            return Err(Fault::OutOfOrder { due, came });
        }
        if event == "terminal" {
            self.terminal = Some(frame["payload"].clone());
        }
        self.lines.push(line.to_owned());
        Ok(())
    }

    /// The terminal was read.
    #[must_use]
    pub const fn ended(&self) -> bool {
        self.terminal.is_some()
    }

    /// A text member of the terminal, such as `outcome`; empty where there is none.
    #[must_use]
    pub fn said(&self, member: &str) -> &str {
        self.terminal.as_ref().and_then(|said| said[member].as_str()).unwrap_or_default()
    }

    /// The code of the terminal's problem; empty where there is none.
    #[must_use]
    pub fn code(&self) -> &str {
        let problem = self.terminal.as_ref().map(|said| &said["problem"]);
        problem.and_then(|problem| problem["code"].as_str()).unwrap_or_default()
    }

    /// Compares with the frames of an exported transcript.
    ///
    /// # Errors
    ///
    /// [`Fault`] where the two are not the same, or the terminal is missing.
    pub fn check(&self, transcript: &str) -> Result<(), Fault> {
        if self.terminal.is_none() {
            return Err(Fault::NoTerminal);
        }
        let stored = frames(transcript);
        let same = self.lines.iter().zip(&stored).take_while(|(ours, theirs)| ours == theirs);
        let same = same.count();
        if same == self.lines.len() && same == stored.len() {
            return Ok(());
        }
        Err(Fault::Differs { seq: same as u64 + 1 })
    }
}

/// The exact frame lines of an exported transcript.
#[must_use]
pub fn frames(transcript: &str) -> Vec<String> {
    let lines = transcript.lines().filter_map(|line| serde_json::from_str(line).ok());
    let frames = lines.filter(|line: &serde_json::Value| line["type"] == "frame");
    frames.filter_map(|line| line["value"].as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const ONE: &str = r#"{"seq":1,"event":"started","payload":{}}"#;
    const TWO: &str = r#"{"seq":2,"event":"output","payload":{"text":"a"}}"#;
    const END: &str = r#"{"seq":3,"event":"terminal","payload":{"outcome":"succeeded"}}"#;

    fn history(lines: &[&str]) -> Result<History, Fault> {
        let mut history = History::default();
        lines.iter().try_for_each(|line| history.take(line))?;
        Ok(history)
    }

    fn transcript(lines: &[&str]) -> String {
        let line = |frame: &&str| {
            serde_json::json!({ "type": "frame", "value": frame }).to_string() + "\n"
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn a_whole_history_is_the_runs() {
        let whole = history(&[ONE, TWO, END]).unwrap();
        assert_eq!(whole.check(&transcript(&[ONE, TWO, END])), Ok(()));
        assert_eq!((whole.said("outcome"), whole.code()), ("succeeded", ""));
    }

    #[test]
    fn a_gap_a_repetition_and_a_second_end_are_faults() {
        let out = |due, came| Err(Fault::OutOfOrder { due, came });
        assert_eq!(history(&[ONE, END]).map(drop), out(2, 3));
        assert_eq!(history(&[ONE, ONE]).map(drop), out(2, 1));
        assert_eq!(history(&[TWO]).map(drop), out(1, 2));
        assert_eq!(history(&[ONE, TWO, END, END]).map(drop), Err(Fault::AfterTerminal));
        assert!(matches!(history(&["{"]), Err(Fault::NotAFrame(_))));
    }

    #[test]
    fn other_bytes_and_a_missing_end_are_faults() {
        let whole = history(&[ONE, TWO, END]).unwrap();
        let other = TWO.replace('a', "b");
        let differs = |seq| Err(Fault::Differs { seq });
        assert_eq!(whole.check(&transcript(&[ONE, &other, END])), differs(2));
        assert_eq!(whole.check(&transcript(&[ONE, TWO])), differs(3));
        assert_eq!(whole.check(&transcript(&[ONE, TWO, END, END])), differs(4));
        let cut = history(&[ONE, TWO]).unwrap();
        assert_eq!(cut.check(&transcript(&[ONE, TWO])), Err(Fault::NoTerminal));
    }
}
