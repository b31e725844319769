//! `verify`: the verdict on a transcript, or on the record of an approval, offline.
//!
//! The judging is `proto`'s, a pure function over the file's bytes; here they are read, and the verdict
//! is told. No home, no bridge and no network are needed: that is the point.

use landbridge_proto::machine::approval_record;
use landbridge_proto::machine::transcript::{Verdict, verify as judge};

use super::verdict::{read, tell};
use crate::approval::question::binding;
use crate::approval::visible;
use crate::cli::VerifyArgs;
use crate::exit::{Exit, Failure};
use crate::out::{Look, Out, fields};

/// Verifies a transcript or a record; the first line says which it is.
pub(super) fn verify(args: &VerifyArgs, out: &Out) -> Result<Exit, Failure> {
    let bytes = read(&args.file)?;
    if is_record(&bytes) {
        return approval(&approval_record::verify(&bytes, &args.pin), out);
    }
    let verdict = judge(&bytes, &args.pin);
    let exit = tell(&verdict, summary, out)?;
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
        ("disputed", if summary.disputed.is_empty() { String::new() } else { "yes".to_owned() }),
        ("outcome", summary.outcome.clone().unwrap_or_default()),
        ("sealed", summary.sealed_at.map(crate::out::instant).unwrap_or_default()),
    ])
}

/// Whether a file says that it is the record of an approval. Which judge it is given to follows from that, and
/// nothing else.
fn is_record(bytes: &[u8]) -> bool {
    let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let header = serde_json::from_slice::<serde_json::Value>(first);
    header.is_ok_and(|header| header["type"] == "approval")
}

fn approval(report: &approval_record::Report, out: &Out) -> Result<Exit, Failure> {
    let exit = tell(report, approval_summary, out)?;
    if exit == Exit::Incomplete {
        out.say(Look::Dim, "everything in it holds; it proves no approval");
    }
    Ok(exit)
}

/// Who approved what, and when.
fn approval_summary(report: &approval_record::Report) -> String {
    let summary = &report.summary;
    let subject = summary.subject.as_ref();
    let requester = summary.requester.as_ref().map(|requester| {
        format!("{} of {}", visible::one_line(&requester.principal), requester.gateway)
    });
    let mut text = fields(&[
        ("approval", summary.id.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("needed by", summary.relying.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("requester", requester.unwrap_or_default()),
        ("scope", summary.scope.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("run", summary.run.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("kind", subject.map(|subject| subject.kind.to_string()).unwrap_or_default()),
        ("binding", subject.map(|one| binding(one.binding).to_owned()).unwrap_or_default()),
        (
            "subject",
            subject
                .map(|one| format!("{} bytes of {}", one.size, visible::one_line(&one.media)))
                .unwrap_or_default(),
        ),
        ("digest", subject.map(|subject| subject.digest.to_string()).unwrap_or_default()),
        ("approved", format!("{} of {} people", summary.have, summary.need)),
    ]);
    for one in &summary.decisions {
        let approval_record::Decided { gateway, sub, scope, method, kid, .. } = one;
        let (vote, method) = (one.vote.as_str(), method.as_str());
        let (signed, at) = (crate::out::instant(one.signed), crate::out::instant(one.at));
        let counted = if one.counted { "" } else { ", which added nothing" };
        text.push_str(&format!(
            "{vote}: {sub} of {gateway} as {scope}, with the {method} key {kid}, signed at {signed}, taken at \
             {at}{counted}\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_which_judge_it_is_for() {
        assert!(is_record(b"{\"id\":\"apr-x\",\"type\":\"approval\",\"v\":1}\nrest"));
        for other in
            [&b""[..], b"\n", b"{}", b"{\"type\":\"run\"}\n{\"type\":\"approval\"}", b"approval"]
        {
            assert!(!is_record(other));
        }
    }
}
