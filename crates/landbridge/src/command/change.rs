//! A change of the federation document as people read it, before anything is signed.
//!
//! The policy key's word is what makes this gateway trust somebody. So nobody gives it unseen: each
//! command that signs shows here what the next version says differently, and on a terminal asks.

use std::io::{BufRead as _, Write as _};

use landbridge_proto::trust::federation::difference::{Deed, Difference, Item};

use crate::exit::{Exit, Failure, OrFail as _};
use crate::out::{Look, Out};

/// Shows a change on standard error, one line for each thing and below it one for each value.
pub(crate) fn show(heading: &str, difference: &Difference, out: &Out) {
    out.say(Look::Bold, heading);
    for (look, line) in lines(difference) {
        out.say(look, format!("  {line}"));
    }
    out.say(Look::Dim, format!("  {}", difference.summary()));
}

/// Asks whether to sign what was shown. Whoever is no terminal, or said `--yes`, was asked before.
///
/// # Errors
///
/// The person said no.
pub(crate) fn confirm(question: &str, yes: bool, out: &Out) -> Result<(), Failure> {
    if yes || !out.interactive() {
        return Ok(());
    }
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{question} [y/N] ");
    let _ = stderr.flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.or_fail(Exit::Failed, || "cannot read the answer")?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::new(Exit::Failed, "nothing was signed"))
    }
}

/// A difference as text, for standard output.
pub(crate) fn text(difference: &Difference) -> String {
    let lines = lines(difference).into_iter().map(|(_, line)| line);
    lines.chain([difference.summary()]).map(|line| format!("{line}\n")).collect()
}

fn lines(difference: &Difference) -> Vec<(Look, String)> {
    difference.items().iter().flat_map(item_lines).collect()
}

fn item_lines(item: &Item) -> Vec<(Look, String)> {
    let (sign, look) = match item.deed {
        Deed::Added => ('+', Look::Green),
        Deed::Removed => ('-', Look::Red),
        Deed::Changed => ('~', Look::Yellow),
    };
    let mut lines = vec![(look, format!("{sign} {}", item.subject))];
    for member in &item.members {
        let name = &member.name;
        let value = |sign, value: &String| format!("    {sign} {name} = {}", visible(value));
        lines.extend(member.lost.iter().map(|lost| (Look::Red, value('-', lost))));
        lines.extend(member.got.iter().map(|got| (Look::Green, value('+', got))));
    }
    lines
}

/// A value on one line: a line feed inside it could write a line of its own below.
fn visible(value: &str) -> String {
    value.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_on_its_line() {
        assert_eq!(visible("a\n+ b\u{1b}[2K"), "a\u{fffd}+ b\u{fffd}[2K");
        assert_eq!(visible("https://eu.example:7443"), "https://eu.example:7443");
    }
}
