//! A recorded stream, changed by one bit at a time: what a caller releases is a prefix of the truth.

use landbridge_proto::machine::chain::Chain;
use landbridge_proto::machine::outgoing::seal_over;
use landbridge_proto::machine::receive::{Mismatch, Reception};
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::verified::VerifyError;
use landbridge_proto::wire::document::{Revocation, RevocationReason};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::name::Timestamp;
use landbridge_proto::wire::sse::{Event, SseReader};
use landbridge_proto::wire::stream::Accept;

use crate::gateway::NOW;
use crate::run::Run;

const LATER: Timestamp = Timestamp(NOW.0 + 10_000);

/// A caller that reads a stream: what it has released, and whether it still listens.
#[derive(Clone, Default)]
struct Listener {
    reception: Option<Reception>,
    released: Vec<String>,
}

impl Listener {
    /// Takes an event; `None` when the connection must be dropped.
    fn take(&mut self, event: &Event, peer: &PeerView, run: &Run) -> Option<()> {
        match (event, &mut self.reception) {
            (Event::Accept(accept), None) => {
                let accept = peer.verify::<Accept>(accept, LATER).ok()?;
                (accept.digest() == run.accept.digest()).then_some(())?;
                self.reception = Some(Reception::start(&accept));
            }
            (Event::Frames(batch), Some(reception)) => {
                let frames = batch.frames().iter().map(|line| line.as_str().to_owned());
                let mut next = reception.clone();
                let sealed = next.take(peer, frames.collect(), batch.seal(), LATER).ok()?;
                (batch.id() == sealed.chain().seq()).then_some(())?;
                self.released.extend_from_slice(sealed.lines());
                *reception = next;
            }
            _ => return None,
        }
        Some(())
    }

    /// Reads pieces as they arrive, up to the first fault.
    fn read<'a>(
        &mut self,
        pieces: impl Iterator<Item = &'a [u8]>,
        peer: &PeerView,
        run: &Run,
    ) -> Option<()> {
        let mut reader = SseReader::new();
        for piece in pieces {
            for event in reader.push(piece).ok()? {
                self.take(&event, peer, run)?;
            }
        }
        Some(())
    }
}

//= STR-2
//= STR-10
//= STR-11
#[test]
fn no_flipped_bit_is_released() {
    let run = Run::new();
    let peer = run.executor.view();
    let mut events: Vec<Vec<u8>> = run.events().iter().map(Event::to_bytes).collect();
    let mut honest = Listener::default();
    let mut count = 0_u64;
    for at in 0..events.len() {
        for byte in 0..events[at].len() {
            for bit in 0..8 {
                events[at][byte] ^= 1 << bit;
                // What came before this event is unchanged and was read before.
                let mut listener = honest.clone();
                let rest = events[at..].iter().map(Vec::as_slice);
                let _ = listener.read(rest, &peer, &run);
                assert_eq!(
                    listener.released, honest.released,
                    "event {at}, byte {byte}, bit {bit}"
                );
                events[at][byte] ^= 1 << bit;
                count += 1;
            }
        }
        let event = std::iter::once(events[at].as_slice());
        honest.read(event, &peer, &run).unwrap();
    }
    assert_eq!(honest.released, run.lines, "unchanged, all of it is released");
    println!("{count} flipped bits of a recorded stream, none released");
}

//= STR-13
#[test]
fn lines_dropped_doubled_swapped_or_moved_to_another_batch_are_not_released() {
    let run = Run::new();
    let peer = run.executor.view();
    let (_, seal) = &run.seals[1];
    let honest = run.batch(1).to_vec();
    let mut others = vec![honest[1..].to_vec(), honest[..6].to_vec(), Vec::new()];
    others.push([&honest[..1], &honest[..]].concat());
    others.push([&honest[..], &run.batch(2)[..1]].concat());
    let mut swapped = honest.clone();
    swapped.swap(2, 3);
    others.push(swapped);
    for lines in others {
        let mut reception = Reception::start(&run.accept);
        reception.take(&peer, run.batch(0).to_vec(), &run.seals[0].1, LATER).unwrap();
        let before = reception.clone();
        assert!(reception.take(&peer, lines, seal, LATER).is_err());
        assert_eq!(reception, before, "nothing moved");
        // The positive twin: the same reception takes what was really sent.
        assert_eq!(reception.take(&peer, honest.clone(), seal, LATER).unwrap().lines(), honest);
    }
}

/// A stream's one batch of these lines, sealed by the executor whatever they are.
fn sealed(run: &Run, lines: &[&str], last: bool) -> (Vec<String>, Envelope) {
    let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
    let chain = Chain::start(run.accept.digest()).extend(&lines);
    let signer = run.executor.signer(Role::Stream);
    (lines, seal_over(&signer, &run.row, chain, last, 1, NOW).unwrap())
}

//= STR-8
#[test]
fn an_event_that_this_version_does_not_know_is_delivered() {
    let run = Run::new();
    let novelty = r#"{"seq":1,"event":"novelty","payload":{"terminal":true}}"#;
    let (lines, seal) = sealed(&run, &[novelty], false);
    let mut reception = Reception::start(&run.accept);
    let batch = reception.take(&run.executor.view(), lines, &seal, LATER).unwrap();
    assert_eq!(batch.lines(), [novelty]);
    assert!(batch.terminal().is_none());
}

//= STR-5
#[test]
fn a_line_that_is_no_frame_is_not_released_although_it_is_sealed() {
    let run = Run::new();
    let peer = run.executor.view();
    for line in [
        r#"{"seq":1,"event":"output","payload":{"b":1,"a":1}}"#,
        r#"{"seq":1, "event":"output","payload":{}}"#,
        r#"{"seq":2,"event":"output","payload":{}}"#,
        r#"{"seq":1,"event":"terminal","payload":{}}"#,
    ] {
        let (lines, seal) = sealed(&run, &[line], line.contains("terminal"));
        let mut reception = Reception::start(&run.accept);
        assert!(reception.take(&peer, lines, &seal, LATER).is_err(), "{line}");
    }
    // Its positive twin: a frame in its place.
    let (lines, seal) =
        sealed(&run, &[r#"{"seq":1,"event":"output","payload":{"a":1,"b":1}}"#], false);
    assert!(Reception::start(&run.accept).take(&peer, lines, &seal, LATER).is_ok());
}

//= STR-28
#[test]
fn nothing_follows_the_terminal() {
    let run = Run::new();
    let peer = run.executor.view();
    let mut listener = Listener::default();
    for event in run.events() {
        listener.take(&event, &peer, &run).unwrap();
    }
    let mut reception = listener.reception.unwrap();
    let line = r#"{"seq":41,"event":"output","payload":{}}"#.to_owned();
    let chain = reception.chain().push(&line);
    let signer = run.executor.signer(Role::Stream);
    let seal = seal_over(&signer, &run.row, chain, false, 1, NOW).unwrap();
    let before = reception.clone();
    let refused = reception.take(&peer, vec![line], &seal, LATER).unwrap_err();
    assert_eq!(refused, Mismatch::AfterTerminal { seq: 41 });
    assert_eq!(reception, before, "nothing moved");
}

//= STR-11
#[test]
fn a_seal_of_another_place_or_end_does_not_fit() {
    let run = Run::new();
    let peer = run.executor.view();
    let mut reception = Reception::start(&run.accept);
    let frames = run.batch(0).to_vec();
    let (_, seal) = sealed(&run, &[&frames[0]], true);
    let refused = reception.take(&peer, frames.clone(), &seal, LATER).unwrap_err();
    assert_eq!(refused, Mismatch::WrongFinal { seq: 1 });
    // Frames that say they are the end, under a seal that does not: a terminal that nobody sealed.
    let last = r#"{"seq":1,"event":"terminal","payload":{"by":"executor","outcome":"succeeded","sideEffects":"none"}}"#;
    let (ends, unsealed) = sealed(&run, &[last], false);
    let refused = reception.take(&peer, ends, &unsealed, LATER).unwrap_err();
    assert_eq!(refused, Mismatch::WrongFinal { seq: 1 });
    let refused = reception.take(&peer, frames.clone(), &run.seals[1].1, LATER).unwrap_err();
    assert_eq!(refused, Mismatch::ForeignSeal);
    // The seal of another run and of another accept, over this very head and number.
    let chain = Chain::start(run.accept.digest()).push(&frames[0]);
    let signer = run.executor.signer(Role::Stream);
    let mut other = run.row.clone();
    other.run = "run-zzzzzzzzzzzzzzzzzzzzzzzzzz".parse().unwrap();
    let mut replaced = run.row.clone();
    replaced.accept_digest = run.request.digest();
    for row in [other, replaced] {
        let seal = seal_over(&signer, &row, chain, false, 1, NOW).unwrap();
        let refused = reception.take(&peer, frames.clone(), &seal, LATER).unwrap_err();
        assert_eq!(refused, Mismatch::ForeignSeal);
    }
    // This stream's seal over the right head, with another number.
    let miscounted = Chain::stored(2, chain.head());
    let seal = seal_over(&signer, &run.row, miscounted, false, 1, NOW).unwrap();
    let refused = reception.take(&peer, frames.clone(), &seal, LATER).unwrap_err();
    assert_eq!(refused, Mismatch::ForeignSeal);
    assert_eq!(reception, Reception::start(&run.accept), "nothing moved");
    assert!(reception.alive(&peer, &run.seals[0].1, LATER).is_err(), "over frames not received");
    reception.take(&peer, frames, &run.seals[0].1, LATER).unwrap();
    reception.alive(&peer, &run.seals[0].1, LATER).unwrap();
}

//= STR-15
//= ID-21
#[test]
fn nothing_is_released_under_an_expired_status() {
    let run = Run::new();
    let peer = run.executor.view();
    let expires = run.executor.raw_status(NOW).expires;
    let mut reception = Reception::start(&run.accept);
    let (frames, seal) = (run.batch(0).to_vec(), &run.seals[0].1);
    let refused = reception.take(&peer, frames.clone(), seal, expires).unwrap_err();
    assert_eq!(refused, Mismatch::Seal(VerifyError::StatusStale { expires }));
    assert_eq!(reception, Reception::start(&run.accept), "nothing moved");
    reception.take(&peer, frames, seal, expires.plus_ms(-1)).unwrap();
}

//= STR-10
#[test]
fn a_seal_by_a_revoked_key_releases_nothing() {
    let run = Run::new();
    let kid = run.executor.kid(Role::Stream);
    let one = Revocation { kid: kid.clone(), reason: RevocationReason::Compromised, since: NOW };
    let status = run.executor.status_revoking(NOW.plus_ms(1), vec![one]);
    let told = NOW.plus_ms(2);
    let peer = run.executor.view().with_status(&status, told).unwrap();
    let mut reception = Reception::start(&run.accept);
    let honest = run.executor.view();
    reception.clone().take(&honest, run.batch(0).to_vec(), &run.seals[0].1, LATER).unwrap();
    // Also when the seal is dated before the revocation.
    let refused = reception.take(&peer, run.batch(0).to_vec(), &run.seals[0].1, LATER).unwrap_err();
    assert_eq!(refused, Mismatch::Seal(VerifyError::SignedWithRevokedKey { kid }));
    assert_eq!(reception, Reception::start(&run.accept), "nothing moved");
}
