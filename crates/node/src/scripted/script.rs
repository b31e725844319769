//! The language of the scripted gateway: a prompt, one directive a line.
//!
//! There is no wrong script: a line that is not a directive is what the agent says back. So any prompt
//! works against this gateway, and a test that mistypes one sees its line in the answer.

use landbridge_proto::wire::name::SubjectKind;
use serde::de::IgnoredAny;

use crate::adapter::Binding;

/// The most outputs of one `count`, so that a line cannot ask for endless work.
pub(super) const COUNT_MAX: u64 = 1_000_000;
/// The longest wait that one directive can ask for: 30 days.
pub(super) const WAIT_MS_MAX: i64 = 30 * 24 * 3_600 * 1_000;

/// One line of a prompt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Directive {
    /// `say TEXT`: answer text as it stands; any other line is said with a line feed.
    Say(String),
    /// `think TEXT`: thinking text.
    Think(String),
    /// `tool NAME ARGS => RESULT` and `tool-fail NAME ARGS => ERROR`.
    Tool { name: String, args: String, ok: bool, text: String },
    /// No line: a tool that was called directly, and answers with its arguments after so long.
    Call { name: String, args: String, ms: i64 },
    /// `usage IN OUT` and `usage IN OUT MICRO_USD`: cumulative.
    Usage { input: u64, output: u64, cost: Option<u64> },
    /// `phase NAME`: a phase ends.
    Phase(String),
    /// `sleep MS`.
    Sleep { ms: i64 },
    /// `slow MS TEXT`: a word at a time.
    Slow { gap_ms: i64, words: Vec<String> },
    /// `error TEXT`: trouble that does not end the run.
    Error(String),
    /// `fail TEXT`: the model fails, and the run with it.
    Fail(String),
    /// `interrupt TEXT`: the run did not survive a restart of the gateway.
    Interrupt(String),
    /// `recall`: says how many prompts its session had before.
    Recall,
    /// `no-subagent`: a gateway that does not let a session start a child.
    NoSubagent,
    /// `hang`: nothing more, until somebody stops the run.
    Hang,
    /// `count N MS`: `1 `, `2 ` and so on.
    Count { count: u64, gap_ms: i64 },
    /// `approval KIND MS TEXT` and `approval-observed KIND MS TEXT`: a tool that waits for a person, for so
    /// long at most.
    Approval { kind: SubjectKind, ms: i64, text: String, binding: Binding },
}

impl Directive {
    /// How long it takes; `None` for ever.
    pub(super) fn duration_ms(&self) -> Option<i64> {
        let gaps = |outputs: u64, gap_ms: i64| {
            gap_ms.saturating_mul(i64::try_from(outputs.saturating_sub(1)).unwrap_or(i64::MAX))
        };
        match self {
            // Nobody knows when it is answered.
            Self::Hang | Self::Approval { .. } => None,
            Self::Sleep { ms } | Self::Call { ms, .. } => Some(*ms),
            Self::Slow { gap_ms, words } => Some(gaps(words.len() as u64, *gap_ms)),
            Self::Count { count, gap_ms } => Some(gaps(*count, *gap_ms)),
            _ => Some(0),
        }
    }

    /// Nothing comes after it.
    pub(super) const fn is_last(&self) -> bool {
        matches!(self, Self::Fail(_) | Self::Interrupt(_) | Self::Hang)
    }
}

/// One direct call; a number `ms` among its arguments is how long it takes.
pub(super) fn call(name: &str, args: &str) -> Directive {
    let read: Option<serde_json::Value> = serde_json::from_str(args).ok();
    let ms = read.and_then(|args| args["ms"].as_i64()).unwrap_or_default();
    Directive::Call { name: name.to_owned(), args: args.to_owned(), ms: ms.clamp(0, WAIT_MS_MAX) }
}

/// Reads a prompt; what follows the run's end is left out.
pub(super) fn parse(prompt: &str) -> Vec<Directive> {
    let mut script = Vec::new();
    for line in prompt.lines() {
        let directive = read(line).unwrap_or_else(|| Directive::Say(format!("{line}\n")));
        let is_last = directive.is_last();
        script.push(directive);
        if is_last {
            break;
        }
    }
    script
}

/// When the script ends by itself, counted from its start; `None` when it hangs.
pub(super) fn duration_ms(script: &[Directive]) -> Option<i64> {
    script
        .iter()
        .try_fold(0_i64, |sum, directive| Some(sum.saturating_add(directive.duration_ms()?)))
}

fn read(line: &str) -> Option<Directive> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let text = || (!rest.is_empty()).then(|| rest.to_owned());
    Some(match word {
        "say" => Directive::Say(text()?),
        "think" => Directive::Think(text()?),
        "tool" => tool(rest, true)?,
        "tool-fail" => tool(rest, false)?,
        "usage" => {
            let (input, output) = rest.split_once(' ')?;
            let (output, cost) = match output.split_once(' ') {
                Some((output, cost)) => (output, Some(cost.parse().ok()?)),
                None => (output, None),
            };
            Directive::Usage { input: input.parse().ok()?, output: output.parse().ok()?, cost }
        }
        "phase" => Directive::Phase(text()?),
        "sleep" => Directive::Sleep { ms: wait(rest)? },
        "slow" => {
            let (gap, text) = rest.split_once(' ')?;
            let words = text.split_inclusive(' ').map(str::to_owned).collect();
            Directive::Slow { gap_ms: wait(gap)?, words }
        }
        "error" => Directive::Error(text()?),
        "fail" => Directive::Fail(text()?),
        "interrupt" => Directive::Interrupt(text()?),
        "recall" if rest.is_empty() => Directive::Recall,
        "no-subagent" if rest.is_empty() => Directive::NoSubagent,
        "hang" if rest.is_empty() => Directive::Hang,
        "approval" => approval(rest, Binding::Exact)?,
        "approval-observed" => approval(rest, Binding::Observed)?,
        "count" => {
            let (count, gap) = rest.split_once(' ')?;
            let count = count.parse::<u64>().ok()?.min(COUNT_MAX);
            Directive::Count { count, gap_ms: wait(gap)? }
        }
        _ => return None,
    })
}

fn approval(rest: &str, binding: Binding) -> Option<Directive> {
    let (kind, rest) = rest.split_once(' ')?;
    let (ms, text) = rest.split_once(' ')?;
    let kind = kind.parse().ok()?;
    Some(Directive::Approval { kind, ms: wait(ms)?, text: text.to_owned(), binding })
}

/// The arguments are read as JSON, because an arrow may stand inside them too.
fn tool(rest: &str, ok: bool) -> Option<Directive> {
    let (name, rest) = rest.split_once(' ')?;
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    let (args, rest) = rest.split_at_checked(values.byte_offset())?;
    let text = rest.trim_start().strip_prefix("=>")?;
    let text = text.strip_prefix(' ').unwrap_or(text).to_owned();
    Some(Directive::Tool { name: name.to_owned(), args: args.trim().to_owned(), ok, text })
}

fn wait(text: &str) -> Option<i64> {
    text.parse::<u64>()
        .ok()
        .map(|ms| i64::try_from(ms).map_or(WAIT_MS_MAX, |ms| ms.min(WAIT_MS_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrow_inside_the_arguments_is_theirs() {
        let tool = Directive::Tool {
            name: "t".into(),
            args: r#"{"a":" => "}"#.into(),
            ok: true,
            text: "x => y".into(),
        };
        assert_eq!(parse(r#"tool t {"a":" => "} => x => y"#), [tool]);
    }

    #[test]
    fn what_is_not_a_directive_is_said() {
        for line in [
            "hello",
            "",
            "say",
            "tool t {} no arrow",
            "tool t {a => b",
            "usage 1",
            "usage a b",
            "usage 1 2 free",
            "sleep -5",
            "slow x words",
            "count 3",
            "hang on",
            "approval exec soon rm -rf /tmp/x",
            "approval EXEC 5 x",
            "approval exec 5",
        ] {
            assert_eq!(parse(&format!("{line}\n")), [Directive::Say(format!("{line}\n"))]);
        }
    }

    #[test]
    fn a_script_knows_when_it_ends() {
        let duration = |prompt| duration_ms(&parse(prompt));
        assert_eq!(duration("say a\nsleep 5\nslow 10 a b c\ncount 3 100"), Some(5 + 20 + 200));
        assert_eq!(duration("sleep 5\nfail now\nsleep 7"), Some(5));
        assert_eq!(duration("sleep 5\nhang\nsay never"), None);
        let longest = "sleep 99999999999999999999\ncount 18446744073709551615 18446744073709551615";
        assert!(duration(longest).is_some_and(|ms| ms > 0));
    }
}
