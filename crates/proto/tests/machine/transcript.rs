//! A run's transcript, as anybody judges it: honest, changed, cut, and signed by somebody else.

use landbridge_proto::machine::transcript::{Outcome, Verdict, export, verify};
use landbridge_proto::wire::document::{Revocation, RevocationReason};
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::request::Lost;
use landbridge_proto::wire::stream::SideEffects;

use crate::gateway::{Gateway, NOW};
use crate::run::{Run, text};

fn file(lines: &[String]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>().into_bytes()
}

fn judge(run: &Run, lines: &[String]) -> Verdict {
    verify(&file(lines), &run.executor.id())
}

fn lost() -> Lost {
    Lost { code: "run_lost".to_owned(), side_effects: SideEffects::Unknown }
}

//= STR-34
//= STR-35
//= STR-36
#[test]
fn an_honest_transcript_is_verified() {
    let run = Run::new();
    let lines = export(&run.export()).unwrap();
    let verdict = judge(&run, &lines);
    assert_eq!((&verdict.outcome, verdict.exit_code()), (&Outcome::Verified, 0));
    let summary = &verdict.summary;
    assert_eq!((summary.frames, summary.outcome.as_deref()), (40, Some("succeeded")));
    assert_eq!(summary.sealed_at, Some(NOW.plus_ms(5500)));
    assert_eq!(summary.caller, Some(run.caller.id()));
    assert_eq!(summary.run, Some(run.accept.value().run.clone()));
    assert_eq!(summary.warnings, Vec::<String>::new());
    let json = serde_json::to_value(&verdict).unwrap();
    assert_eq!(json["outcome"]["verdict"], "verified");
}

//= STR-34
#[test]
fn the_lines_stand_in_the_order_of_the_specification() {
    let run = Run::new();
    let lines = export(&run.export()).unwrap();
    let heads = [
        "{\"caller\":\"gw1-",
        "{\"of\":\"caller\",\"type\":\"root\",",
        "{\"of\":\"executor\",\"type\":\"root\",",
        "{\"of\":\"caller\",\"type\":\"status\",",
        "{\"of\":\"caller\",\"type\":\"status\",",
        "{\"of\":\"executor\",\"type\":\"status\",",
        "{\"type\":\"request\",",
        "{\"type\":\"accept\",",
        "{\"type\":\"frame\",\"value\":\"",
        "{\"type\":\"seal\",",
    ];
    for (line, head) in lines.iter().zip(heads) {
        assert!(line.starts_with(head), "{line}");
    }
    assert!(lines.last().unwrap().starts_with("{\"type\":\"receipt\","));
    let frame: serde_json::Value = serde_json::from_str(&lines[8]).unwrap();
    assert_eq!(frame["value"], run.lines[0]);
}

//= STR-36
#[test]
fn the_published_transcript_is_verified() {
    let bytes = include_bytes!("../../../../spec/examples/transcript.jsonl");
    let executor: serde_json::Value =
        serde_json::from_slice(bytes.split(|&b| b == b'\n').next().unwrap()).unwrap();
    let pin = executor["executor"].as_str().unwrap().parse().unwrap();
    let verdict = verify(bytes, &pin);
    assert_eq!(verdict.outcome, Outcome::Verified, "{verdict:?}");
    assert_eq!((verdict.summary.frames, verdict.summary.warnings.len()), (3, 0));
}

//= STR-36
#[test]
fn a_header_that_says_something_else_is_found() {
    let run = Run::new();
    let lines = export(&run.export()).unwrap();
    let caller = run.caller.id();
    let other = Gateway::new(99).id();
    let executor = run.executor.id();
    for (was, is, line) in [
        (caller.as_str(), other.as_str(), 2),
        (executor.as_str(), other.as_str(), 3),
        ("run-abcdefghijklmnopqrstuvwxyz", "run-bbcdefghijklmnopqrstuvwxyz", 8),
        (",\"run\":\"run-abcdefghijklmnopqrstuvwxyz\"", "", 8),
    ] {
        let mut changed = lines.clone();
        changed[0] = changed[0].replace(was, is);
        let found = judge(&run, &changed).outcome;
        assert!(matches!(found, Outcome::Tampered { line: at, .. } if at == line), "{found}");
    }
}

//= STR-35
//= STR-36
#[test]
fn no_flipped_bit_is_verified() {
    let run = Run::new();
    let lines = export(&run.export()).unwrap();
    let bytes = file(&lines);
    let flips = flips(&lines);
    let half = flips.len().div_ceil(2);
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        for part in flips.chunks(half) {
            let (run, bytes) = (&run, bytes.clone());
            scope.spawn(move || flip_each(run, bytes, part));
        }
    });
    let (count, took) = (flips.len(), begun.elapsed());
    println!(
        "{count} flipped bits in {} bytes of a transcript, none verified ({took:?})",
        bytes.len()
    );
}

/// The bits to be flipped, by the byte's place: of each byte one, another one each time, and of a frame all
/// eight. All eight of everything take minutes without optimisation; LANDBRIDGE_EVERY_BIT=1 asks for them.
/// (All eight of an accept and of a seal are tried in `documents`.)
fn flips(lines: &[String]) -> Vec<(usize, u8)> {
    let every = std::env::var("LANDBRIDGE_EVERY_BIT").is_ok_and(|text| text == "1");
    let mut whole = true;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let (mut flips, mut at) = (Vec::new(), 0);
    for line in lines {
        let first = whole && line.starts_with("{\"type\":\"frame\"");
        whole &= !first;
        let all = first || every;
        for _ in 0..=line.len() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let one = (random >> 61) as u8;
            flips.extend((0..8).filter(|bit| all || *bit == one).map(|bit| (at, bit)));
            at += 1;
        }
    }
    flips
}

fn flip_each(run: &Run, mut bytes: Vec<u8>, flips: &[(usize, u8)]) {
    let pin = run.executor.id();
    for (at, bit) in flips.iter().copied() {
        let line = 1 + bytes[..at].iter().filter(|&&byte| byte == b'\n').count() as u64;
        let was = bytes[at];
        bytes[at] ^= 1 << bit;
        let verdict = verify(&bytes, &pin);
        match &verdict.outcome {
            Outcome::Tampered { line: found, what } | Outcome::Unreadable { line: found, what } => {
                assert!(!what.is_empty());
                // A frame that is still a frame is found by the seal over it.
                assert!(*found >= line, "byte {at} of line {line}: found in {found}: {what}");
                assert!([2, 4].contains(&verdict.exit_code()));
            }
            other => panic!("byte {at}, {was:#x} to {:#x}: {other}", bytes[at]),
        }
        bytes[at] = was;
    }
}

//= STR-36
#[test]
fn a_transcript_cut_after_any_line_is_not_verified_before_its_final_seal() {
    let run = Run::new();
    let lines = export(&run.export()).unwrap();
    for count in 0..lines.len() {
        let verdict = judge(&run, &lines[..count]);
        match (count, &verdict.outcome) {
            (0, Outcome::Unreadable { line: 1, .. }) => {}
            // Everything up to the final seal is there; only the caller's own word is missing.
            (n, Outcome::Verified) if n == lines.len() - 1 => {
                assert_eq!(verdict.summary.warnings, ["the caller's receipt is missing"]);
            }
            (_, Outcome::Unfinished { seq }) => {
                assert_eq!((*seq, verdict.exit_code()), (verdict.summary.frames, 5));
            }
            (_, other) => panic!("cut after {count} lines: {other}"),
        }
    }
    let bytes = file(&lines);
    let cut = verify(&bytes[..bytes.len() - 1], &run.executor.id());
    assert_eq!(cut.exit_code(), 4, "a line without its end is no line");
}

//= STR-36
#[test]
fn lines_removed_doubled_or_swapped_are_found() {
    let run = Run::new();
    let lines = export(&run.export()).unwrap();
    // Each seal covers all frames before it, so the final one stands in for those between.
    let last = format!("{{\"type\":\"seal\",\"value\":{}}}", text(&run.seals[5].1));
    let optional = |line: &str| {
        let may = ["\"type\":\"status\"", "\"type\":\"seal\"", "\"type\":\"receipt\""];
        line != last && may.iter().any(|kind| line.contains(kind))
    };
    for at in 0..lines.len() {
        let mut less = lines.clone();
        let gone = less.remove(at);
        assert_eq!(judge(&run, &less).exit_code() == 0, optional(&gone), "without line {}", at + 1);
        let mut more = lines.clone();
        more.insert(at, lines[at].clone());
        assert_ne!(judge(&run, &more).exit_code(), 0, "line {} twice", at + 1);
        if at > 0 {
            let mut swapped = lines.clone();
            swapped.swap(at - 1, at);
            assert_ne!(judge(&run, &swapped).exit_code(), 0, "lines {at} and {} swapped", at + 1);
        }
    }
}

//= STR-36
#[test]
fn another_executor_than_the_pinned_one_is_named() {
    let run = Run::new();
    let lines = export(&run.export()).unwrap();
    for pin in [run.caller.id(), Gateway::new(99).id()] {
        let verdict = verify(&file(&lines), &pin);
        assert_eq!(verdict.outcome, Outcome::NotThePinnedSigner { found: run.executor.id() });
        assert_eq!(verdict.exit_code(), 3);
        assert_eq!(verify(&file(&lines[..3]), &pin).exit_code(), 3, "also when nothing follows");
    }
}

//= STR-36
#[test]
fn lines_of_another_run_do_not_fit() {
    let run = Run::new();
    let other = Run::between(Gateway::new(61), run.executor.clone(), 0);
    let (lines, theirs) = (export(&run.export()).unwrap(), export(&other.export()).unwrap());
    assert_eq!(judge(&run, &theirs).exit_code(), 0, "by itself it holds");
    for at in 3..lines.len() {
        if lines[at] == theirs[at] {
            continue;
        }
        let mut mixed = lines.clone();
        mixed[at].clone_from(&theirs[at]);
        let verdict = judge(&run, &mixed);
        assert_eq!(verdict.exit_code(), 2, "line {}: {}", at + 1, verdict.outcome);
    }
}

//= STR-37
#[test]
fn each_seal_is_judged_by_the_root_that_it_names_at_the_time_that_it_states() {
    let run = Run::between(Gateway::new(1), Gateway::new(21), 3);
    assert_eq!(run.executor.chain.version(), 2);
    let mut given = run.export();
    assert_eq!(judge(&run, &export(&given).unwrap()).outcome, Outcome::Verified);
    // Without the second root the first two batches hold, and the status that speaks of it does not.
    given.executor_roots.pop();
    let lines = export(&given).unwrap();
    assert!(matches!(judge(&run, &lines).outcome, Outcome::Tampered { line: 6, .. }));
    given.executor_statuses.clear();
    let lines = export(&given).unwrap();
    let seal = lines.iter().position(|line| {
        line == &format!("{{\"type\":\"seal\",\"value\":{}}}", text(&run.seals[3].1))
    });
    let Outcome::Tampered { line, .. } = judge(&run, &lines).outcome else { panic!("no root") };
    assert_eq!(line, seal.unwrap() as u64 + 1);
}

//= STR-37
#[test]
fn seals_by_a_key_that_a_later_status_revokes_are_reported() {
    let run = Run::new();
    let mut given = run.export();
    let since = NOW.plus_ms(-5);
    let kid = run.executor.kid(Role::Stream);
    let revoked = Revocation { kid: kid.clone(), reason: RevocationReason::Compromised, since };
    given
        .executor_statuses
        .push(text(&run.executor.status_revoking(NOW.plus_ms(9001), vec![revoked])));
    let verdict = judge(&run, &export(&given).unwrap());
    assert_eq!(verdict.outcome, Outcome::Verified);
    let warnings = &verdict.summary.warnings;
    let seals = warnings.iter().find(|text| text.contains("the seal is signed by")).unwrap();
    assert!(seals.contains(kid.as_str()) && seals.contains(&since.to_string()), "{seals}");
}

//= ID-23
#[test]
fn what_was_signed_after_the_since_of_a_revocation_is_disputed_and_stands() {
    let run = Run::new();
    let kid = run.executor.kid(Role::Stream);
    let judged = |since| {
        let mut given = run.export();
        let revoked = Revocation { kid: kid.clone(), reason: RevocationReason::Compromised, since };
        let status = run.executor.status_revoking(NOW.plus_ms(900_001), vec![revoked]);
        given.executor_statuses.push(text(&status));
        judge(&run, &export(&given).unwrap())
    };
    let verdict = judged(NOW.plus_ms(-5));
    assert_eq!(verdict.outcome, Outcome::Verified);
    let disputed = &verdict.summary.disputed;
    let whats: Vec<_> = disputed.iter().map(|one| (one.what.as_str(), one.from_frame)).collect();
    assert_eq!(whats, [("accept", None), ("seal", Some(1))]);
    assert!(disputed.iter().all(|one| one.kid == kid && one.since == NOW.plus_ms(-5)));
    // From a moment in the middle on: the frames before it are not disputed.
    let last = verdict.summary.sealed_at.unwrap();
    let late = judged(last);
    let [one] = &late.summary.disputed[..] else { panic!("{:?}", late.summary.disputed) };
    assert!(one.from_frame.unwrap() > 1, "{one:?}");
    // All of it was signed before: nothing is disputed.
    let verdict = judged(NOW.plus_ms(900_000));
    assert_eq!((verdict.outcome, verdict.summary.disputed), (Outcome::Verified, Vec::new()));
}

//= STR-29
//= STR-30
#[test]
fn the_callers_own_end_is_its_receipt_and_no_final_seal() {
    let run = Run::new();
    let mut given = run.export();
    let own = text(&run.receipt(10, Some(lost())));
    given.seals.truncate(3);
    given.frames.truncate(11);
    given.seals.push(landbridge_proto::machine::contract::ReceivedSeal {
        seq: 11,
        seal: own,
        at: NOW,
    });
    let lines = export(&given).unwrap();
    assert_eq!(lines.iter().filter(|line| line.starts_with("{\"type\":\"frame\"")).count(), 10);
    let verdict = judge(&run, &lines);
    assert_eq!((&verdict.outcome, verdict.exit_code()), (&Outcome::Unfinished { seq: 10 }, 5));
    assert_eq!(verdict.summary.outcome.as_deref(), Some("lost"));

    let mut both = run.export();
    both.receipt = Some(text(&run.receipt(40, Some(lost()))));
    let verdict = judge(&run, &export(&both).unwrap());
    assert_eq!(verdict.exit_code(), 2, "lost, and a final seal: {}", verdict.outcome);
}

#[test]
fn a_receipt_of_other_frames_does_not_fit() {
    let run = Run::new();
    let mut given = run.export();
    given.receipt = Some(text(&run.receipt(39, None)));
    assert_eq!(judge(&run, &export(&given).unwrap()).exit_code(), 2);
}

#[test]
fn what_no_caller_stores_is_not_exported() {
    let run = Run::new();
    let mut given = run.export();
    given.seals.pop();
    assert!(export(&given).is_err(), "frames without a seal");
    let mut given = run.export();
    given.frames.pop();
    assert!(export(&given).is_err(), "a seal without its frames");
    let mut given = run.export();
    given.accept = given.request.clone();
    assert!(export(&given).is_err(), "a request for an accept");
}
