//! Evidence, as anybody judges it: of a gateway that contradicted itself, changed, and made of honest
//! material; and by keys that somebody else may have.

use landbridge_proto::machine::admission::print_of;
use landbridge_proto::machine::chain::{Chain, leaf};
use landbridge_proto::machine::evidence::{Kept, Outcome, Proof, evidence, evidence_with, verify};
use landbridge_proto::machine::outgoing::seal_over;
use landbridge_proto::machine::receive::{Reception, SealedBatch};
use landbridge_proto::trust::signer::sign_typed;
use landbridge_proto::trust::verified::Verified;
use landbridge_proto::wire::document::{Revocation, RevocationReason, Status, raw};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::name::RunId;
use landbridge_proto::wire::stream::{Accept, Seal};

use crate::gateway::{DAY_MS, Gateway, NOW};
use crate::run::{BATCHES, Run, start};

/// The history that the caller kept.
fn kept(run: &Run) -> Kept {
    let mut kept = Kept::new(run.accept.envelope().clone());
    run.lines.iter().for_each(|line| kept.push_frame(line));
    run.seals.iter().for_each(|(seq, seal)| kept.push_seal(*seq, seal.clone()));
    kept
}

/// Another history of the same run, other from frame `from` on, in batches of these sizes.
struct Other {
    lines: Vec<String>,
    batches: Vec<(Chain, SealedBatch)>,
}

fn other(run: &Run, from: usize, sizes: &[usize]) -> Other {
    let change = |(at, line): (usize, &String)| {
        if at + 1 < from { line.clone() } else { line.replace("word", "deed") }
    };
    let lines: Vec<String> = run.lines.iter().enumerate().map(change).collect();
    let mut reception = Reception::start(&run.accept);
    let (mut at, mut batches) = (0, Vec::new());
    for size in sizes {
        let before = reception.chain();
        let batch = lines[at..at + size].to_vec();
        at += size;
        let chain = before.extend(&batch);
        let seal = seal_with(run, chain, at == run.lines.len());
        let view = run.executor.view();
        let sealed = reception.take(&view, batch, &seal, NOW.plus_ms(9_000)).unwrap();
        batches.push((before, sealed));
    }
    Other { lines, batches }
}

fn seal_with(run: &Run, chain: Chain, last: bool) -> Envelope {
    let signer = run.executor.signer(Role::Stream);
    seal_over(&signer, &run.row, chain, last, run.executor.chain.version(), NOW.plus_ms(7_000))
        .unwrap()
}

fn verified(run: &Run, seal: &Envelope) -> Verified<Seal> {
    run.executor.view().verify(seal, NOW.plus_ms(9_000)).unwrap()
}

fn file(run: &Run, proof: Proof) -> Result<String, String> {
    let roots = &run.executor.roots;
    evidence(roots, &[run.executor.status(NOW)], proof).map_err(|error| error.to_string())
}

fn outcome(run: &Run, file: &str) -> Outcome {
    verify(file.as_bytes(), &run.executor.id()).outcome
}

/// Two histories whose batches end elsewhere, as evidence.
fn forked() -> (Run, String) {
    let run = Run::new();
    let other = other(&run, 4, &[2, 3]);
    let (before, batch) = &other.batches[1];
    let proof = kept(&run).against_batch(*before, batch).unwrap();
    let file = file(&run, proof).unwrap();
    (run, file)
}

/// A second accept for the same start.
fn accepts(run: &Run, change: impl FnOnce(&mut Accept)) -> Proof {
    let mut second = run.accept.value().clone();
    second.run = RunId::new("run-zbcdefghijklmnopqrstuvwxyz").unwrap();
    change(&mut second);
    let second = sign_typed(&run.executor.signer(Role::Stream), &second).unwrap();
    let body = print_of(&start()).unwrap().1;
    Proof::Accepts { body, first: run.accept.envelope().clone(), second }
}

fn statuses(run: &Run, from: &Gateway, seq_moves: i64) -> Proof {
    let second = raw::Status { refresh_ms: 1, ..from.raw_status(NOW.plus_ms(seq_moves)) };
    let second = Status::try_from(second).unwrap();
    let second = sign_typed(&from.signer(Role::Status), &second).unwrap();
    Proof::Statuses { first: run.executor.status(NOW), second }
}

//= STR-47
//= STR-51
#[test]
fn two_sealed_histories_are_proven_wherever_their_batches_end() {
    let run = Run::new();
    let kept = kept(&run);
    let mut count = 0;
    for from in 2..=38 {
        for sizes in [&[1, 39][..], &[7, 33], &[8, 2, 30], &[10, 10, 10, 10], &[39, 1]] {
            let other = other(&run, from, sizes);
            assert_ne!(other.lines, run.lines);
            let mut found = other.batches.iter().map(|(before, batch)| {
                let proof = kept.against_batch(*before, batch);
                assert_eq!(proof.is_some(), batch.chain().seq() >= from as u64, "{from} {sizes:?}");
                proof
            });
            let proof = found.find_map(|proof| proof).unwrap();
            let file = file(&run, proof).unwrap();
            assert_eq!(outcome(&run, &file), Outcome::Proven);
            assert!(!file.contains("deed") && !file.contains("word"), "no frame is handed on");
            count += 1;
        }
    }
    println!("{count} forks, all proven");
}

//= STR-47
#[test]
fn a_seal_over_another_head_is_enough_whatever_came_with_it() {
    let run = Run::new();
    let kept = kept(&run);
    for at in 4..=39_usize {
        let other = other(&run, 3, &[at]);
        let seal = &other.batches[0].1;
        let seal = Envelope::parse(seal.seal().as_bytes()).unwrap();
        let proof = kept.against_seal(&verified(&run, &seal)).unwrap();
        let file = file(&run, proof).unwrap();
        assert_eq!(outcome(&run, &file), Outcome::Proven);
    }
}

//= STR-50
#[test]
fn two_accepts_for_one_start_and_two_statuses_with_one_number_are_proven() {
    let run = Run::new();
    let both = file(&run, accepts(&run, |_| {})).unwrap();
    let verdict = verify(both.as_bytes(), &run.executor.id());
    assert_eq!((verdict.outcome, verdict.summary.caller), (Outcome::Proven, Some(run.caller.id())));
    let both = file(&run, statuses(&run, &run.executor, 0)).unwrap();
    assert_eq!(outcome(&run, &both), Outcome::Proven);
}

//= STR-50
//= STR-51
#[test]
fn honest_material_is_no_evidence() {
    let run = Run::new();
    let kept = kept(&run);
    // The same history, sealed anew, whole and in other batches.
    let again = other(&run, 99, &[8, 20, 12]);
    for (before, batch) in &again.batches {
        assert_eq!(kept.against_batch(*before, batch), None);
        let seal = Envelope::parse(batch.seal().as_bytes()).unwrap();
        assert_eq!(kept.against_seal(&verified(&run, &seal)), None);
    }
    // A prefix and its continuation, as if they were two histories.
    let honest = |first: usize, second: usize| {
        let until = |at: usize| usize::try_from(run.seals[at].0).unwrap();
        let leaves = run.lines[until(first)..until(second)].iter().map(|line| leaf(line));
        let start = Chain::start(run.accept.digest());
        Proof::Seals {
            accept: run.accept.envelope().clone(),
            first: run.seals[first].1.clone(),
            head: start.extend(&run.lines[..until(first)]).head(),
            leaves: leaves.collect(),
            second: run.seals[second].1.clone(),
        }
    };
    for (first, second) in [(0, 0), (0, 1), (1, 3), (4, 5)] {
        let refused = file(&run, honest(first, second)).unwrap_err();
        assert!(refused.contains("do not contradict"), "{refused}");
    }
    // Any other head than that of the second seal's chain does not lead to the second seal.
    let Proof::Seals { accept, first, leaves, second, .. } = honest(1, 2) else { panic!() };
    for head in [Chain::start(run.accept.digest()).head(), leaf("x")] {
        let (accept, first) = (accept.clone(), first.clone());
        let (leaves, second) = (leaves.clone(), second.clone());
        let bent = Proof::Seals { accept, first, head, leaves, second };
        let refused = file(&run, bent).unwrap_err();
        assert!(refused.contains("leaves do not lead"), "{refused}");
    }
    // The same accept, one for another caller, key or body, and a later status.
    let same = accepts(&run, |accept| accept.run = run.accept.value().run.clone());
    assert!(file(&run, same).unwrap_err().contains("do not contradict"));
    let other_key = "another-key-of-the-caller".parse().unwrap();
    for (what, proof) in [
        ("aud", accepts(&run, |accept| accept.aud = Gateway::new(99).id())),
        ("print", accepts(&run, |accept| accept.print = leaf("another body"))),
        ("key", accepts(&run, |accept| accept.key = other_key)),
        ("iss", accepts(&run, |accept| accept.iss = run.caller.id())),
        ("seq", statuses(&run, &run.executor, 1)),
    ] {
        let refused = file(&run, proof).unwrap_err();
        assert!(refused.contains(what), "{what}: {refused}");
    }
    let mut foreign = accepts(&run, |_| {});
    if let Proof::Accepts { second, .. } = &mut foreign {
        *second = sign_typed(&Gateway::new(99).signer(Role::Stream), run.accept.value()).unwrap();
    }
    assert!(file(&run, foreign).is_err(), "signed by somebody else");
}

//= STR-50
#[test]
fn a_new_status_key_may_use_a_number_again() {
    let run = Run::new();
    let next = run.executor.rotated(Role::Status, NOW);
    let proof = statuses(&run, &next, 0);
    let refused = evidence(&next.roots, &[], proof).unwrap_err().to_string();
    assert!(refused.contains("role"), "{refused}");
}

//= STR-48
#[test]
fn seals_of_two_runs_do_not_contradict_each_other() {
    let run = Run::new();
    let theirs = Run::between(Gateway::new(61), run.executor.clone(), 0);
    let (_, foreign) = &theirs.seals[0];
    assert_eq!(kept(&run).against_seal(&verified(&theirs, foreign)), None);
    let (accept, first) = (run.accept.envelope().clone(), run.seals[0].1.clone());
    let head = Chain::start(theirs.accept.digest()).extend(&theirs.lines[..1]).head();
    let proof = Proof::Seals { accept, first, head, leaves: Vec::new(), second: foreign.clone() };
    assert!(file(&run, proof).unwrap_err().contains("the seal's accept"));
}

//= STR-48
#[test]
fn another_gateway_than_the_pinned_one_is_named() {
    let (run, file) = forked();
    let verdict = verify(file.as_bytes(), &run.caller.id());
    assert_eq!(verdict.outcome, Outcome::NotThePinnedSigner { found: run.executor.id() });
    assert_eq!(verdict.exit_code(), 3);
    assert_eq!(verify(file.as_bytes(), &run.executor.id()).exit_code(), 0);
}

//= STR-48
#[test]
fn no_changed_byte_and_no_missing_line_is_proven() {
    let (run, forked) = forked();
    let files = [
        forked,
        file(&run, accepts(&run, |_| {})).unwrap(),
        file(&run, statuses(&run, &run.executor, 0)).unwrap(),
    ];
    let pin = run.executor.id();
    let (mut changed, mut random) = (0, 0x9e37_79b9_7f4a_7c15_u64);
    for file in &files {
        let mut bytes = file.clone().into_bytes();
        // Every third byte, another bit each time: all of them take minutes without optimisation.
        for at in (0..bytes.len()).step_by(3) {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let was = bytes[at];
            bytes[at] ^= 1 << (random >> 61);
            let verdict = verify(&bytes, &pin);
            assert!([2, 3, 4].contains(&verdict.exit_code()), "byte {at}: {}", verdict.outcome);
            bytes[at] = was;
            changed += 1;
        }
        let lines: Vec<&str> = file.split_inclusive('\n').collect();
        for at in 0..lines.len() {
            let less = [&lines[..at], &lines[at + 1..]].concat().concat();
            let status = lines[at].starts_with("{\"type\":\"status\"");
            assert_eq!(outcome(&run, &less) == Outcome::Proven, status, "without {}", lines[at]);
            assert_ne!(outcome(&run, &lines[..at].concat()), Outcome::Proven, "cut at {at}");
            let twice = [&lines[..=at], &lines[at..]].concat().concat();
            assert_ne!(outcome(&run, &twice), Outcome::Proven, "twice {}", lines[at]);
        }
        assert_ne!(outcome(&run, &file[..file.len() - 1]), Outcome::Proven);
    }
    println!("{changed} bytes changed, one at a time, none proven");
}

//= STR-48
#[test]
fn no_bytes_make_the_reader_fail() {
    let (run, file) = forked();
    let pin = run.executor.id();
    let mut random = 1_u64;
    let mut next = |below: usize| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % below
    };
    for _ in 0..3_000 {
        let mut bytes = file.clone().into_bytes();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            match next(4) {
                0 => bytes[at] = u8::try_from(next(256)).unwrap(),
                1 => bytes.truncate(at.max(1)),
                2 => drop(bytes.drain(at..(at + next(200)).min(bytes.len()))),
                _ => {
                    let piece = bytes[at..(at + next(200)).min(bytes.len())].to_vec();
                    let to = next(bytes.len());
                    bytes.splice(to..to, piece);
                }
            }
            bytes.push(b'\n');
        }
        let proven = verify(&bytes, &pin).exit_code() == 0;
        assert_eq!(proven, bytes == file.as_bytes(), "only what came back to itself");
        let noise: Vec<u8> = (0..next(400)).map(|_| u8::try_from(next(256)).unwrap()).collect();
        assert_eq!(verify(&noise, &pin).exit_code(), 4);
    }
    for text in ["", "\n", "{}", "{\"type\":\"evidence\"}\n", "[[[[[[[[[[[[[[[[[[[[[[[["] {
        assert_eq!(verify(text.as_bytes(), &pin).exit_code(), 4, "{text}");
    }
}

//= STR-52
#[test]
fn a_key_that_is_revoked_or_retired_is_named() {
    let (run, file) = forked();
    let quiet = verify(file.as_bytes(), &run.executor.id()).summary;
    assert_eq!(quiet.warnings, Vec::<String>::new());
    assert!(quiet.signers.iter().all(|signer| !signer.retired && signer.revoked.is_none()));
    let since = NOW.plus_ms(-5);
    let (kid, reason) = (run.executor.kid(Role::Stream), RevocationReason::Compromised);
    let revoked = vec![Revocation { kid: kid.clone(), reason, since }];
    // What the gateway said later is added by whoever exports.
    let next = run.executor.rotated(Role::Stream, NOW.plus_ms(DAY_MS));
    let told = NOW.plus_ms(DAY_MS + 1);
    let later = next.status_revoking(told, revoked);
    let file = evidence_with(&file, &next.roots, &[run.executor.status(NOW), later]).unwrap();
    let verdict = verify(file.as_bytes(), &run.executor.id());
    assert_eq!(verdict.outcome, Outcome::Proven, "a date does not undo what was signed");
    let [signer] = &verdict.summary.signers[..] else { panic!("{:?}", verdict.summary) };
    assert_eq!((&signer.kid, signer.retired), (&kid, true));
    assert_eq!((signer.revoked, signer.revoked_since), (Some(told), Some(since)));
    let warning = &verdict.summary.warnings[0];
    assert!(warning.contains("revoked") && warning.contains(&since.to_string()), "{warning}");
}

//= STR-48
#[test]
fn the_published_evidence_is_proven() {
    let (run, file) = forked();
    let published = include_str!("../../../../spec/examples/evidence.jsonl");
    assert_eq!(published, file, "the example is this very fork");
    assert_eq!(outcome(&run, published), Outcome::Proven);
}

//= STR-49
#[test]
fn a_key_outside_its_time_or_of_no_such_root_proves_nothing() {
    let run = Run::new();
    // A seal dated after the key's end, and one that names a root that is not there.
    for (t, version) in [(NOW.plus_ms(301 * DAY_MS), 1), (NOW, 2)] {
        let chain = Chain::start(run.accept.digest()).push("{}");
        let seal =
            seal_over(&run.executor.signer(Role::Stream), &run.row, chain, false, version, t);
        let proof = Proof::Seals {
            accept: run.accept.envelope().clone(),
            first: run.seals[0].1.clone(),
            head: chain.head(),
            leaves: Vec::new(),
            second: seal.unwrap(),
        };
        assert!(file(&run, proof).unwrap_err().contains("the seal does not hold"));
    }
    assert_eq!(BATCHES[0], 1, "the first seal covers frame 1");
}
