//! `verify`: a transcript's verdict, offline.
//!
//! The judging is `proto`'s, a pure function over the file's bytes; here they are read, and the verdict
//! is told. No home, no bridge and no network are needed: that is the point.

use std::io::Read as _;
use std::path::Path;

use landbridge_proto::machine::transcript::{Outcome, Verdict, verify as judge};

use crate::cli::VerifyArgs;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::out::{Look, Out, fields};

/// Verifies a transcript.
pub(super) fn verify(args: &VerifyArgs, out: &Out) -> Result<Exit, Failure> {
    let bytes = read(&args.file)?;
    let verdict = judge(&bytes, &args.pin);
    out.data(&verdict, summary)?;
    for warning in &verdict.summary.warnings {
        out.say(Look::Yellow, format!("note: {warning}"));
    }
    for one in &verdict.summary.disputed {
        let from = one.from_frame.map_or(String::new(), |frame| format!(" from frame {frame} on"));
        let text = format!(
            "disputed: the {}{from}: its key {} is revoked since {}",
            one.what,
            one.kid,
            crate::out::instant(one.since)
        );
        out.say(Look::Red, text);
    }
    let exit = exit_of(&verdict.outcome);
    let look = if exit == Exit::Success { Look::Green } else { Look::Red };
    out.say(look, verdict.outcome.to_string());
    if exit == Exit::Incomplete {
        out.say(Look::Dim, "what is there is genuine; export again when the run has ended");
    }
    Ok(exit)
}

const fn exit_of(outcome: &Outcome) -> Exit {
    match outcome {
        Outcome::Verified => Exit::Success,
        Outcome::Tampered { .. } => Exit::Tampered,
        Outcome::NotThePinnedSigner { .. } => Exit::OtherSigner,
        Outcome::Unreadable { .. } => Exit::Unreadable,
        Outcome::Unfinished { .. } => Exit::Incomplete,
    }
}

/// A file that is not there is wrong usage; one that cannot be read as a transcript is a verdict.
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

fn summary(verdict: &Verdict) -> String {
    let summary = &verdict.summary;
    let tenant = summary.tenant.as_ref();
    fields(&[
        ("run", summary.run.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("executor", summary.executor.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("caller", summary.caller.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("tenants", tenant.map(|pair| format!("{} -> {}", pair.src, pair.dst)).unwrap_or_default()),
        ("frames", summary.frames.to_string()),
        ("disputed", if summary.disputed.is_empty() { String::new() } else { "yes".to_owned() }),
        ("outcome", summary.outcome.clone().unwrap_or_default()),
        ("sealed", summary.sealed_at.map(crate::out::instant).unwrap_or_default()),
    ])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use landbridge_proto::machine::transcript::Summary;

    #[test]
    fn the_command_ends_as_the_verdict_says() {
        let gateway =
            landbridge_proto::wire::name::GatewayId::new(format!("gw1-{}", "a".repeat(52)));
        for outcome in [
            Outcome::Verified,
            Outcome::Tampered { line: 1, what: String::new() },
            Outcome::NotThePinnedSigner { found: gateway.unwrap() },
            Outcome::Unreadable { line: 1, what: String::new() },
            Outcome::Unfinished { seq: 1 },
        ] {
            let exit = exit_of(&outcome).code();
            assert_eq!(Verdict { outcome, summary: Summary::default() }.exit_code(), exit);
        }
    }
}
