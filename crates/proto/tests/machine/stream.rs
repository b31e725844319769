//! A recorded stream, changed by one bit at a time: what a caller releases is a prefix of the truth.

use landbridge_proto::machine::receive::Reception;
use landbridge_proto::trust::peer::PeerView;
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
