//! What stored transcripts say, and how one is tampered with.
//!
//! The figures of the demonstration come from here and not from what it saw go by: the file is what an
//! auditor would have.

use serde_json::Value;

use crate::exit::{Exit, Failure, OrFail as _};

/// What one transcript holds.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Record {
    /// Frame lines, exact.
    pub(super) frames: Vec<String>,
    /// Their events.
    pub(super) events: Vec<String>,
    /// Seals.
    pub(super) seals: usize,
    /// The terminal's outcome.
    pub(super) outcome: Option<String>,
    /// What the terminal says may have happened.
    pub(super) side_effects: Option<String>,
    /// Frames are numbered from 1 without a gap, and exactly the last is a terminal.
    pub(super) whole: bool,
}

impl Record {
    /// Reads a transcript's lines.
    pub(super) fn read(transcript: &str) -> Result<Self, Failure> {
        let mut record = Self::default();
        for line in transcript.lines() {
            let value: Value = serde_json::from_str(line)
                .or_fail(Exit::Failed, || "a transcript's line is no JSON")?;
            match value["type"].as_str() {
                Some("seal") => record.seals += 1,
                Some("frame") => {
                    let frame = value["value"].as_str().unwrap_or_default();
                    record.frame(frame)?;
                }
                _ => {}
            }
        }
        let terminals = record.events.iter().filter(|event| *event == "terminal").count();
        let last = record.events.last().is_some_and(|event| event == "terminal");
        record.whole = record.whole && terminals == 1 && last;
        Ok(record)
    }

    fn frame(&mut self, line: &str) -> Result<(), Failure> {
        let frame: Value =
            serde_json::from_str(line).or_fail(Exit::Failed, || "a frame is no JSON")?;
        let next = self.frames.len() as u64 + 1;
        self.whole = (self.frames.is_empty() || self.whole) && frame["seq"] == next;
        let event = frame["event"].as_str().unwrap_or_default();
        if event == "terminal" {
            let said = |name: &str| frame["payload"][name].as_str().map(str::to_owned);
            self.outcome = said("outcome");
            self.side_effects = said("sideEffects");
        }
        self.events.push(event.to_owned());
        self.frames.push(line.to_owned());
        Ok(())
    }

    /// How many frames have this event.
    pub(super) fn count(&self, event: &str) -> usize {
        self.events.iter().filter(|one| *one == event).count()
    }
}

/// The transcript with one letter of one output frame changed, and what was changed.
pub(super) fn tampered(transcript: &str) -> Option<(String, String)> {
    const BEFORE: &str = r#"\"text\":\""#;
    let is_output =
        |line: &&str| line.contains(r#""type":"frame""#) && line.contains(r#"\"output\""#);
    let line =
        transcript.lines().find(|line| is_output(line) && letters(line, BEFORE).is_some())?;
    let (from, to) = letters(line, BEFORE)?;
    let word = &line[from..to];
    let mut changed = word.to_owned();
    let last = if word.ends_with('x') { 'y' } else { 'x' };
    changed.pop();
    changed.push(last);
    let bad = format!("{}{changed}{}", &line[..from], &line[to..]);
    Some((transcript.replacen(line, &bad, 1), format!("{word} became {changed}")))
}

/// The first word of at least three letters behind `before`.
fn letters(line: &str, before: &str) -> Option<(usize, usize)> {
    let begin = line.find(before)? + before.len();
    let end = begin + line[begin..].find('\\')?;
    let mut from = begin;
    for (at, c) in line[begin..end].char_indices().chain(std::iter::once((end - begin, ' '))) {
        if c.is_ascii_alphabetic() {
            continue;
        }
        if begin + at >= from + 3 {
            return Some((from, begin + at));
        }
        from = begin + at + c.len_utf8();
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn transcript(frames: &[&str]) -> String {
        let line =
            |frame: &&str| serde_json::json!({"type": "frame", "value": frame}).to_string() + "\n";
        frames.iter().map(line).collect()
    }

    const STARTED: &str = r#"{"seq":1,"event":"started","payload":{}}"#;
    const OUTPUT: &str =
        r#"{"seq":2,"event":"output","payload":{"channel":"answer","text":"a clear sky"}}"#;
    const END: &str = r#"{"seq":3,"event":"terminal","payload":{"outcome":"succeeded","sideEffects":"possible"}}"#;

    #[test]
    fn a_gap_or_a_missing_end_is_noticed() {
        assert!(Record::read(&transcript(&[STARTED, OUTPUT, END])).unwrap().whole);
        assert!(!Record::read(&transcript(&[STARTED, OUTPUT])).unwrap().whole);
        assert!(!Record::read(&transcript(&[STARTED, END])).unwrap().whole);
        assert!(!Record::read(&transcript(&[OUTPUT, END])).unwrap().whole);
        assert!(!Record::read("").unwrap().whole);
    }

    #[test]
    fn tampering_changes_one_letter_and_keeps_the_form() {
        let text = transcript(&[STARTED, OUTPUT, END]);
        let (bad, what) = tampered(&text).unwrap();
        assert_eq!(what, "clear became cleax");
        assert_eq!(bad.len(), text.len());
        let differing = bad.bytes().zip(text.bytes()).filter(|(a, b)| a != b).count();
        assert_eq!(differing, 1);
        assert!(Record::read(&bad).unwrap().whole);
    }
}
