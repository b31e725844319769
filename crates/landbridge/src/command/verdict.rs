//! Verdicts, told alike: the summary as data, what a reader should know, the outcome, and the exit code.

use std::io::Read as _;
use std::path::Path;

use landbridge_proto::machine::verdict::{Judgement, Noted, Verdict};
use serde::Serialize;

use crate::exit::{Exit, Failure, OrFail as _};
use crate::out::{Look, Out};

/// A file that is not there is wrong usage; one that cannot be read as what it should be is a verdict.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.or_fail(Exit::Usage, || format!("cannot read {}", path.display()))?;
    Ok(bytes)
}

/// Tells a verdict; a command ends as it says.
pub(super) fn tell<O, S>(
    verdict: &Verdict<O, S>,
    summary: impl Fn(&Verdict<O, S>) -> String,
    out: &Out,
) -> Result<Exit, Failure>
where
    O: Judgement + Serialize,
    S: Noted + Serialize,
{
    out.data(verdict, summary)?;
    for warning in verdict.summary.warnings() {
        out.say(Look::Yellow, format!("note: {warning}"));
    }
    let exit = exit_of(verdict.exit_code());
    let look = if exit == Exit::Success { Look::Green } else { Look::Red };
    out.say(look, verdict.outcome.to_string());
    Ok(exit)
}

/// The exit that a verdict's code stands for.
const fn exit_of(code: u8) -> Exit {
    match code {
        0 => Exit::Success,
        2 => Exit::Tampered,
        3 => Exit::OtherSigner,
        4 => Exit::Unreadable,
        5 => Exit::Incomplete,
        _ => Exit::Internal,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use landbridge_proto::machine::{evidence, transcript};
    use landbridge_proto::wire::name::GatewayId;

    use super::*;

    #[test]
    fn a_command_ends_as_the_verdict_says() {
        let found = GatewayId::new(format!("gw1-{}", "a".repeat(52))).unwrap();
        let (line, what) = (1, String::new());
        let transcripts = [
            transcript::Outcome::Verified,
            transcript::Outcome::Tampered { line, what: what.clone() },
            transcript::Outcome::NotThePinnedSigner { found: found.clone() },
            transcript::Outcome::Unreadable { line, what: what.clone() },
            transcript::Outcome::Unfinished { seq: 1 },
        ];
        let evidence = [
            evidence::Outcome::Proven,
            evidence::Outcome::NotProven { line, what: what.clone() },
            evidence::Outcome::NotThePinnedSigner { found },
            evidence::Outcome::Unreadable { line, what },
        ];
        let codes = transcripts.iter().map(Judgement::exit_code);
        let codes: Vec<u8> = codes.chain(evidence.iter().map(Judgement::exit_code)).collect();
        assert_eq!(codes, [0, 2, 3, 4, 5, 0, 2, 3, 4]);
        assert!(codes.iter().all(|code| exit_of(*code).code() == *code));
    }
}
