//! What the demonstration asks for: directives for the scripted adapter, or plain words for a model.

use super::record::Record;

/// The prompts of one demonstration.
pub(super) struct Script {
    /// Output, and where it can be scripted a tool call, usage and phases.
    pub(super) answer: &'static str,
    /// An answer that takes a while.
    pub(super) long: &'static str,
    /// An answer that does not end by itself, or not soon.
    pub(super) endless: &'static str,
    scripted: bool,
}

/// When things are broken: late enough to be in the middle, early enough that much is left.
pub(super) struct Trigger {
    event: &'static str,
    left: u32,
}

impl Script {
    /// What to wait for before breaking something.
    pub(super) const fn trigger(&self) -> Trigger {
        if self.scripted {
            Trigger { event: r#""event":"output""#, left: 4 }
        } else {
            Trigger { event: r#""event":"started""#, left: 1 }
        }
    }

    /// Whether the work is scripted, so that everything about it is known.
    pub(super) const fn is_scripted(&self) -> bool {
        self.scripted
    }

    /// The run in which the bridge was killed ended as it must. What a real gateway makes of it is its
    /// own business, as long as it ends.
    pub(super) fn survives(&self, outcome: &str) -> bool {
        outcome == "succeeded" || (!self.scripted && outcome == "failed")
    }

    /// The first run's transcript shows what it was meant to show.
    pub(super) fn shows(&self, record: &Record) -> bool {
        let always = record.count("started") == 1 && record.outcome.as_deref() == Some("succeeded");
        let scripted = || {
            ["output", "toolCall", "toolResult", "tokenUsage", "phaseEnd"]
                .iter()
                .all(|event| record.count(event) > 0)
        };
        always && (!self.scripted || scripted())
    }
}

impl Trigger {
    /// This frame line is the one; true once.
    pub(super) fn pulled_by(&mut self, line: &str) -> bool {
        if self.left == 0 || !line.contains(self.event) {
            return false;
        }
        self.left -= 1;
        self.left == 0
    }
}

/// For the scripted adapter.
pub(super) const SCRIPTED: Script = Script {
    answer: "\
think The harbour master will know.
tool harbour.tide {\"port\":\"Lisbon\"} => {\"tide\":\"rising\",\"metres\":2.1}
phase look-up
slow 60 In Lisbon the tide is rising and stands at two metres, so the ferry leaves on time and the \
bridge stays open until the evening.
usage 1240 58
phase answer",
    long: "\
slow 60 This answer is slow on purpose, because somebody is going to pull the plug of the machine that \
gives it while it is still speaking, and yet it has to come to an end.
usage 800 40
phase answer",
    endless: "\
say I wait for a tide that never comes.
hang",
    scripted: true,
};

/// For a real gateway. Nothing here asks for a tool: which ones there are is the gateway's business.
pub(super) const OPENCLAW: Script = Script {
    answer: "Write twelve short numbered lines about bridges. Use no tools.",
    long: "Write twenty short numbered lines about harbours. Use no tools.",
    endless: "Count from one to three hundred in words, one per line. Use no tools.",
    scripted: false,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_is_pulled_once() {
        let mut trigger = SCRIPTED.trigger();
        let output = r#"{"seq":1,"event":"output","payload":{}}"#;
        let other = r#"{"seq":1,"event":"tokenUsage","payload":{}}"#;
        let pulled: Vec<bool> = [output, output, other, output, output, output]
            .iter()
            .map(|line| trigger.pulled_by(line))
            .collect();
        assert_eq!(pulled, [false, false, false, false, true, false]);
    }
}
