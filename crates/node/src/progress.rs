//! What a run's own frames say was already reported: where an adopting adapter goes on.

use landbridge_proto::wire::problem::Code;
use landbridge_proto::wire::stream::{Channel, Event, Frame};

use crate::adapter::Progress;

/// Reads a run's frame lines, from the first on.
#[must_use]
pub fn progress_of<'a>(lines: impl IntoIterator<Item = &'a str>) -> Progress {
    let mut progress = Progress::default();
    for line in lines {
        if let Some(event) = read(line) {
            push(&mut progress, event);
        }
    }
    progress
}

fn read(line: &str) -> Option<Event> {
    let frame = Frame::parse(line).ok()?;
    let payload: serde_json::Value = serde_json::from_str(frame.payload.get()).ok()?;
    serde_json::from_value(serde_json::json!({ "event": frame.event, "payload": payload })).ok()
}

fn push(progress: &mut Progress, event: Event) {
    match event {
        Event::Started { .. } => progress.started = true,
        Event::Output { channel, text, rest, replace } => {
            // Reduced by disclosure: the text is not in the log, so nothing can be compared with it.
            progress.reduced |= text.is_none() || rest.truncated;
            let held = match channel {
                Channel::Answer => &mut progress.answer,
                Channel::Thinking => &mut progress.thinking,
            };
            if replace {
                held.clear();
            }
            held.push_str(text.as_deref().unwrap_or_default());
        }
        Event::TokenUsage(usage) => progress.usage = Some(usage),
        Event::ToolCall { call_id, .. } => {
            progress.calls.insert(call_id);
        }
        Event::ToolResult { call_id, .. } => {
            progress.results.insert(call_id);
        }
        Event::PhaseEnd { phase, .. } => progress.phases.push(phase),
        // The executor's own words, about an event that it left out or a question that it asked nobody, were
        // never reported.
        Event::Error(problem) => {
            let own = matches!(problem.code(), Some(Code::TooLarge | Code::NoApprovalRoute));
            progress.errors += usize::from(!own);
        }
        // The bridge knows which questions it asked.
        Event::ApprovalRequested(_) | Event::ApprovalResolved(_) | Event::Terminal(_) => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_log_reads_back_as_progress() {
        let progress = progress_of([
            r#"{"seq":1,"event":"started","payload":{"agent":"a","session":"s","software":"x"}}"#,
            r#"{"seq":2,"event":"output","payload":{"channel":"answer","text":"ab"}}"#,
            r#"{"seq":3,"event":"output","payload":{"channel":"answer","replace":true,"text":"c"}}"#,
            r#"{"seq":4,"event":"output","payload":{"channel":"answer","text":"d"}}"#,
            r#"{"seq":5,"event":"toolCall","payload":{"args":"{}","callId":"1","tool":"t"}}"#,
            r#"{"seq":6,"event":"novelty","payload":{}}"#,
        ]);
        assert!(progress.started && !progress.reduced);
        assert_eq!(progress.answer, "cd");
        assert!(progress.calls.contains("1") && progress.results.is_empty());
    }

    #[test]
    fn a_reduced_text_is_said_to_be_reduced() {
        let line = r#"{"seq":1,"event":"output","payload":{"channel":"answer"}}"#;
        assert!(progress_of([line]).reduced);
    }
}
