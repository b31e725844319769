//! From reports to frame lines: disclosure first, then limits, then numbers and the chain.

use landbridge_planted::planted;

use super::chain::Chain;
use super::report::{Channel, Report};
use crate::wire::digest::Digest;
use crate::wire::document::{Disclose, Disclosure};
use crate::wire::limit;
use crate::wire::name::AgentName;
use crate::wire::problem::Problem;
use crate::wire::stream::{Event, MalformedFrame, Rest};

/// What a run's frames say of it besides the reports.
#[derive(Clone, Debug)]
pub struct Framing<'a> {
    /// What the grant lets the peer see.
    pub disclose: &'a Disclose,
    /// The agent.
    pub agent: &'a AgentName,
    /// The caller's own id.
    pub remote_run_id: Option<&'a String>,
}

impl Framing<'_> {
    /// The events of one report that is not the last; long text becomes several.
    #[must_use]
    pub fn events(&self, report: Report) -> Vec<Event> {
        match report {
            Report::Started { session, software } => vec![Event::Started {
                session,
                agent: self.agent.clone(),
                software,
                remote_run_id: self.remote_run_id.cloned(),
            }],
            Report::Output { channel, text, replace } => self.output(channel, &text, replace),
            Report::Usage(usage) => vec![Event::TokenUsage(usage)],
            Report::ToolCall { call, tool, args } => {
                let (args, rest) =
                    reduce(args, self.disclose.tool_args, limit::TOOL_TEXT_BYTES_MAX);
                vec![Event::ToolCall { call_id: call, tool, args, rest }]
            }
            Report::ToolResult { call, ok, text } => {
                let (text, rest) =
                    reduce(text, self.disclose.tool_results, limit::TOOL_TEXT_BYTES_MAX);
                let (result, error) = if ok { (text, None) } else { (None, text) };
                vec![Event::ToolResult { call_id: call, ok, result, error, rest }]
            }
            Report::PhaseEnd { phase, ending, started, ended } => {
                vec![Event::PhaseEnd {
                    phase,
                    outcome: ending,
                    started_at: started,
                    ended_at: ended,
                }]
            }
            Report::Error(trouble) => {
                vec![Event::Error(Problem::new(trouble.code.code()).with_detail(trouble.detail))]
            }
            //= APR-33
            Report::ApprovalRequested(asked) => vec![Event::ApprovalRequested(asked)],
            Report::ApprovalResolved(resolved) => vec![Event::ApprovalResolved(resolved)],
            // The bridge puts these into the contract's words before they come here.
            Report::ApprovalNeeded(_) | Report::ApprovalDecided(_) | Report::Settled { .. } => {
                Vec::new()
            }
        }
    }

    /// The authoritative result as the grant shows it.
    #[must_use]
    pub fn result(&self, result: Option<String>) -> (Option<String>, Rest) {
        match result {
            Some(text) => reduce(text, self.disclose.output, limit::RESULT_TEXT_BYTES_MAX),
            None => (None, Rest::default()),
        }
    }

    //= STR-31
    //= STR-32
    fn output(&self, channel: Channel, text: &str, replace: bool) -> Vec<Event> {
        if self.disclose.output != Disclosure::Full {
            let (text, rest) = reduce(text.to_owned(), self.disclose.output, 0);
            return vec![Event::Output { channel, text, rest, replace }];
        }
        let parts = split(text, limit::OUTPUT_TEXT_BYTES_MAX).into_iter().enumerate();
        parts
            .map(|(at, part)| Event::Output {
                channel,
                text: Some(part.to_owned()),
                rest: Rest::default(),
                replace: replace && at == 0,
            })
            .collect()
    }
}

/// Frame lines that are numbered and chained, ready to be appended.
#[derive(Clone, Debug)]
pub struct Lines {
    /// The chain after them.
    pub chain: Chain,
    /// Exact frame bytes, in order.
    pub lines: Vec<String>,
    /// Their size.
    pub bytes: u64,
}

impl Lines {
    /// No lines yet, after `chain`.
    #[must_use]
    pub const fn after(chain: Chain) -> Self {
        Self { chain, lines: Vec::new(), bytes: 0 }
    }

    /// Numbers and appends one event.
    ///
    /// # Errors
    ///
    /// [`MalformedFrame`] when its line would be too long; nothing is appended then.
    pub fn push(&mut self, event: &Event) -> Result<(), MalformedFrame> {
        //= STR-6
        let line = event.line(self.chain.seq() + 1)?;
        self.chain = self.chain.push(&line);
        self.bytes += line.len() as u64;
        self.lines.push(line);
        Ok(())
    }
}

fn reduce(text: String, disclosure: Disclosure, max: usize) -> (Option<String>, Rest) {
    let whole = || Rest {
        digest: Some(Digest::of(b"", &[text.as_bytes()])),
        size: Some(text.len() as u64),
        truncated: false,
    };
    match disclosure {
        _ if planted!("discloses_all") => (Some(text), Rest::default()),
        _ if planted!("nothing_is_disclosed") => (None, Rest::default()),
        Disclosure::None => (None, Rest::default()),
        Disclosure::Digest => (None, whole()),
        Disclosure::Full if text.len() <= max => (Some(text), Rest::default()),
        Disclosure::Full => {
            let rest = Rest { truncated: true, ..whole() };
            (Some(split(&text, max)[0].to_owned()), rest)
        }
    }
}

/// The text in parts of at most `max` bytes, cut at character boundaries; at least one part.
fn split(text: &str, max: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > max {
        let at = (1..=max).rev().find(|&at| rest.is_char_boundary(at)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(at);
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    //= STR-31
    #[test]
    fn long_text_is_cut_between_characters() {
        let text = "ä".repeat(limit::OUTPUT_TEXT_BYTES_MAX);
        let parts = split(&text, limit::OUTPUT_TEXT_BYTES_MAX - 1);
        assert!(parts.iter().all(|part| part.len() < limit::OUTPUT_TEXT_BYTES_MAX));
        assert_eq!(parts.concat(), text);
    }

    //= STR-32
    #[test]
    fn disclosure_hides_what_it_says() {
        let text = || "secret".to_owned();
        assert_eq!(reduce(text(), Disclosure::None, 99), (None, Rest::default()));
        let (shown, rest) = reduce(text(), Disclosure::Digest, 99);
        assert_eq!((shown, rest.size), (None, Some(6)));
        assert_eq!(reduce(text(), Disclosure::Full, 99).0.as_deref(), Some("secret"));
        let (shown, rest) = reduce(text(), Disclosure::Full, 3);
        assert_eq!((shown.as_deref(), rest.truncated, rest.size), (Some("sec"), true, Some(6)));
    }

    //= STR-6
    #[test]
    fn the_longest_text_of_any_kind_fits_a_frame() {
        let nasty = "\u{1}".repeat(limit::OUTPUT_TEXT_BYTES_MAX);
        let mut lines = Lines::after(Chain::start(Digest::of(b"", &[b"x"])));
        let event = Event::Output {
            channel: Channel::Answer,
            text: Some(nasty),
            rest: Rest::default(),
            replace: true,
        };
        lines.push(&event).unwrap();
        assert_eq!(lines.chain.seq(), 1);
    }
}
