//! `verify`: a transcript's verdict, offline.
//!
//! The judging is `proto`'s, a pure function over the file's bytes; here they are read, and the verdict
//! is told. No home, no bridge and no network are needed: that is the point.

use landbridge_proto::machine::transcript::{Verdict, verify as judge};

use super::verdict::{read, tell};
use crate::cli::VerifyArgs;
use crate::exit::{Exit, Failure};
use crate::out::{Look, Out, fields};

/// Verifies a transcript.
pub(super) fn verify(args: &VerifyArgs, out: &Out) -> Result<Exit, Failure> {
    let exit = tell(&judge(&read(&args.file)?, &args.pin), summary, out)?;
    if exit == Exit::Incomplete {
        out.say(Look::Dim, "what is there is genuine; export again when the run has ended");
    }
    Ok(exit)
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
        ("outcome", summary.outcome.clone().unwrap_or_default()),
        ("sealed", summary.sealed_at.map(crate::out::instant).unwrap_or_default()),
    ])
}
