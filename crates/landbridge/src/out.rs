//! What people and pipes see: data on standard output, talk on standard error.
//!
//! Texts of peers, agents and models pass through here on their way to a terminal. A terminal obeys
//! escape sequences inside texts, so control characters are replaced before anything is printed for
//! people; JSON output keeps the exact bytes, because JSON escapes them itself.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use crate::exit::{Exit, Failure};

/// Where output goes and in which form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    json: bool,
    stdout_terminal: bool,
    stderr_terminal: bool,
    colour: bool,
}

/// How a piece of talk looks on a terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Look {
    /// As it is.
    Plain,
    /// Less important.
    Dim,
    /// A heading.
    Bold,
    /// Good.
    Green,
    /// Worth a look.
    Yellow,
    /// Bad.
    Red,
}

impl Out {
    /// Looks at the environment once.
    pub(crate) fn new(json: bool) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            json,
            stdout_terminal: io::stdout().is_terminal(),
            stderr_terminal: io::stderr().is_terminal(),
            colour: !no_colour,
        }
    }

    /// JSON was asked for.
    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    /// Standard output is a terminal, and people read it.
    pub(crate) const fn live(&self) -> bool {
        self.stdout_terminal && !self.json
    }

    /// Standard input and standard error are a person's.
    pub(crate) fn interactive(&self) -> bool {
        self.stderr_terminal && io::stdin().is_terminal()
    }

    /// Standard error is a terminal, and people read it.
    pub(crate) const fn talks_to_a_terminal(&self) -> bool {
        self.stderr_terminal && !self.json
    }

    /// Draws on standard error. The lines are ours, escape sequences included.
    pub(crate) fn picture(&self, lines: &[String]) {
        let mut stderr = io::stderr().lock();
        for line in lines {
            // A picture that nobody sees is not a failure.
            let _ = writeln!(stderr, "{line}");
        }
    }

    /// Prints data: one line of JSON, or what `human` makes of it.
    pub(crate) fn data<T: Serialize>(
        &self,
        value: &T,
        human: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            let text = serde_json::to_string(value)
                .map_err(|error| Failure::new(Exit::Internal, "cannot print").because(error))?;
            return self.line(&text);
        }
        let text = human(value);
        if text.is_empty() { Ok(()) } else { self.line(&text) }
    }

    /// Prints one piece of data and a line feed on standard output.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        self.bytes(format!("{}\n", text.trim_end_matches('\n')).as_bytes())
    }

    /// Prints data as it is on standard output.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            // The reader has seen enough, as in `landbridge run list | head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                Err(Failure::new(Exit::Success, ""))
            }
            Err(error) => {
                Err(Failure::new(Exit::Failed, "cannot write to standard output").because(error))
            }
        }
    }

    /// Says something on standard error.
    pub(crate) fn say(&self, look: Look, text: impl AsRef<str>) {
        let text = printable(text.as_ref());
        // Talk that nobody hears is not a failure.
        let _ = writeln!(io::stderr().lock(), "{}", self.dressed(look, &text));
    }

    /// The text in its look, where standard error is a terminal that takes colours.
    pub(crate) fn dressed(&self, look: Look, text: &str) -> String {
        let code = match look {
            Look::Plain => "",
            Look::Dim => "2",
            Look::Bold => "1",
            Look::Green => "32",
            Look::Yellow => "33",
            Look::Red => "31",
        };
        if code.is_empty() || !self.colour || !self.stderr_terminal {
            text.to_owned()
        } else {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        }
    }

    /// Prints a failure: what happened, why, and what to try next.
    pub(crate) fn failure(&self, failure: &Failure) {
        if failure.exit() == Exit::Success {
            return;
        }
        if self.json {
            let error = serde_json::json!({"error": {
                "what": failure.what(),
                "why": failure.reasons(),
                "code": failure.problem_code(),
                "next": failure.next_step(),
                "exit": failure.exit().code(),
            }});
            self.say(Look::Plain, error.to_string());
            return;
        }
        let label = self.dressed(Look::Red, "error:");
        let code = failure.problem_code().map(|code| format!(" [{code}]")).unwrap_or_default();
        let mut stderr = io::stderr().lock();
        let _ = writeln!(stderr, "{label} {}{code}", printable(failure.what()));
        for why in failure.reasons() {
            let _ = writeln!(stderr, "  because: {}", printable(why));
        }
        if let Some(next) = failure.next_step() {
            let _ = writeln!(stderr, "  try: {}", printable(next));
        }
    }
}

/// The text with every control character but line feed and tab made visible.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| c == '\n' || c == '\t' || !(c.is_control() || is_bidi_control(c));
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if harmless(c) { c } else { '\u{fffd}' }).collect())
}

/// Characters that reorder what follows, and could show another command than the one that runs.
const fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// A time as people read it.
pub(crate) fn instant(at: landbridge_proto::wire::name::Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| at.to_string(), |at| at.to_string())
}

/// One line of at most `max` characters, for a list.
pub(crate) fn short(text: &str, max: usize) -> String {
    let line = printable(text).replace(['\n', '\t'], " ");
    if line.chars().count() <= max {
        return line;
    }
    let mut cut: String = line.chars().take(max.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Columns of texts, aligned; the first row is the heading.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| {
        rows.iter()
            .filter_map(|row| row.get(at))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let cell = printable(cell);
            line.push_str(&cell);
            line.push_str(&" ".repeat(width.saturating_sub(cell.chars().count()) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Names and values below each other, without the empty ones.
pub(crate) fn fields(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        text.push_str(&format!("{name:width$}  {}\n", printable(value)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_sequence_of_a_peer_never_reaches_the_terminal() {
        let hostile = "ok\u{1b}]0;owned\u{7}\r\u{9b}31m\u{202e}txt";
        let shown = printable(hostile);
        assert!(!shown.chars().any(|c| c.is_control() || is_bidi_control(c)), "{shown:?}");
        assert_eq!(printable("two\nlines\tand é 漢"), "two\nlines\tand é 漢");
    }

    #[test]
    fn columns_line_up() {
        let row = |cells: &[&str]| cells.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>();
        let text = table(&[row(&["RUN", "STATE"]), row(&["run-1", "open"])]);
        assert_eq!(text, "RUN    STATE\nrun-1  open\n");
    }

    #[test]
    fn a_long_text_is_cut_to_one_line() {
        assert_eq!(short("one\ntwo three", 8), "one two…");
        assert_eq!(short("short", 8), "short");
    }
}
