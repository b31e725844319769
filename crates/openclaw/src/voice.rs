//! A text that grows, as it is told in pieces.

use landbridge_node::adapter::{Channel, Report};
use landbridge_proto::wire::limit::OUTPUT_TEXT_BYTES_MAX;

/// A text that grows, and now and then starts over.
#[derive(Debug)]
pub(crate) struct Voice {
    channel: Channel,
    told: String,
    /// What was told is not known: the next text replaces it.
    anew: bool,
    /// The newest text of the transcript: what an event repeats of it is old.
    pub row: String,
}

impl Voice {
    /// A voice of which `told` was heard; `reduced` when the log holds something else than was said.
    pub(crate) fn new(channel: Channel, told: String, reduced: bool) -> Self {
        let told = if reduced { String::new() } else { told };
        Self { channel, told, anew: reduced, row: String::new() }
    }

    pub(crate) fn on_event(&mut self, text: &str, reports: &mut Vec<Report>) {
        if !text.is_empty() && !self.row.starts_with(text) && !self.told.starts_with(text) {
            self.say(text, reports);
        }
    }

    pub(crate) fn on_row(&mut self, text: String, reports: &mut Vec<Report>) {
        self.say(&text, reports);
        self.row = text;
    }

    /// Makes the told text equal to `text` with the smallest report.
    pub(crate) fn say(&mut self, text: &str, reports: &mut Vec<Report>) {
        if self.told == text {
            return;
        }
        let mut replace = std::mem::take(&mut self.anew) || !text.starts_with(self.told.as_str());
        let mut rest = if replace { text } else { &text[self.told.len()..] };
        loop {
            let (now, later) = rest.split_at(rest.floor_char_boundary(OUTPUT_TEXT_BYTES_MAX));
            reports.push(Report::Output { channel: self.channel, text: now.to_owned(), replace });
            rest = later;
            replace = false;
            if rest.is_empty() {
                break;
            }
        }
        text.clone_into(&mut self.told);
    }
}
