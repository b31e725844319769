#![allow(clippy::unwrap_used, reason = "tests")]
use proptest::prelude::*;

use super::*;
use crate::trust::testing::sign_bytes;

fn envelope(kind: Kind) -> Envelope {
    sign_bytes(kind, b"{}", &[1])
}

fn line(text: &str) -> FrameLine {
    FrameLine::new(text.as_bytes()).unwrap()
}

fn batch(id: u64, frames: &[&str]) -> Event {
    let frames = frames.iter().map(|text| line(text)).collect();
    Event::Frames(Batch::new(id, frames, envelope(Kind::Seal)).unwrap())
}

fn stream() -> Vec<Event> {
    vec![
        Event::Accept(envelope(Kind::Accept)),
        batch(2, &[r#"{"seq":1,"event":"started","payload":{}}"#, r#"{"seq":2,"é":"😀"}"#]),
        Event::Alive(envelope(Kind::Seal)),
        Event::Status(envelope(Kind::Status)),
        batch(3, &["{}"]),
        Event::Problem(envelope(Kind::Problem)),
    ]
}

fn bytes(events: &[Event]) -> Vec<u8> {
    events.iter().flat_map(Event::to_bytes).collect()
}

fn read(bytes: &[u8]) -> Result<Vec<Event>, Malformed> {
    let mut reader = SseReader::new();
    let mut events = reader.push(bytes)?;
    events.extend(reader.push(b"")?);
    reader.finish()?;
    Ok(events)
}

//= STR-1
#[test]
fn the_wire_looks_as_specified() {
    let seal = String::from_utf8(envelope(Kind::Seal).to_bytes()).unwrap();
    let expected =
        format!("id: 2\nevent: frames\ndata: {{\"seq\":1}}\ndata: {{\"seq\":2}}\ndata: {seal}\n\n");
    assert_eq!(
        String::from_utf8(batch(2, &["{\"seq\":1}", "{\"seq\":2}"]).to_bytes()).unwrap(),
        expected
    );
    let accept = String::from_utf8(envelope(Kind::Accept).to_bytes()).unwrap();
    assert_eq!(
        Event::Accept(envelope(Kind::Accept)).to_bytes(),
        format!("event: accept\ndata: {accept}\n\n").into_bytes()
    );
}

#[test]
fn what_was_written_is_read_whole_and_byte_by_byte() {
    let bytes = bytes(&stream());
    assert_eq!(read(&bytes).unwrap(), stream());
    let mut reader = SseReader::new();
    let events: Vec<_> = bytes.iter().flat_map(|byte| reader.push(&[*byte]).unwrap()).collect();
    assert_eq!(events, stream());
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn every_flipped_bit_is_noticed() {
    for event in stream() {
        let bytes = event.to_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let read = read(&bad);
            assert_ne!(read.as_deref().ok(), Some(std::slice::from_ref(&event)), "bit {bit}");
        }
    }
}

//= STR-2
#[test]
fn whatever_is_read_is_what_would_be_written() {
    // One spelling: no other bytes give the same events.
    let bytes = bytes(&stream());
    for at in 0..=bytes.len() {
        for inserted in [
            b"\n".as_slice(),
            b"\r",
            b" ",
            b":",
            b": ping\n",
            b"data: \n",
            b"id: 1\n",
            b"retry: 1\n",
            b"\xEF\xBB\xBF",
        ] {
            let mut bad = bytes.clone();
            bad.splice(at..at, inserted.iter().copied());
            if let Ok(events) = read(&bad) {
                assert_eq!(super::tests::bytes(&events), bad, "{inserted:?} at {at}");
            }
        }
    }
}

#[test]
fn a_cut_anywhere_is_noticed_and_costs_only_the_last_event() {
    let bytes = bytes(&stream());
    let ends: Vec<usize> =
        (1..=stream().len()).map(|count| super::tests::bytes(&stream()[..count]).len()).collect();
    for cut in 0..bytes.len() {
        let mut reader = SseReader::new();
        let events = reader.push(&bytes[..cut]).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(events, stream()[..whole]);
        let expected =
            if cut == 0 || ends.contains(&cut) { Ok(()) } else { Err(Malformed::Truncated) };
        assert_eq!(reader.finish(), expected, "cut at {cut}");
    }
}

#[test]
fn events_before_a_fault_come_first_and_the_fault_stays() {
    let mut reader = SseReader::new();
    let mut bytes = bytes(&stream()[..2]);
    bytes.extend_from_slice(b"event: other\ndata: x\n\n");
    bytes.extend(super::tests::bytes(&stream()));
    assert_eq!(reader.push(&bytes).unwrap(), stream()[..2]);
    for _ in 0..2 {
        let found = reader.push(b"event: accept\n").unwrap_err();
        assert!(matches!(found, Malformed::UnexpectedLine { .. }));
    }
    assert!(reader.finish().is_err());
}

//= STR-2
#[test]
fn other_spellings_of_a_batch_are_refused() {
    let seal = String::from_utf8(envelope(Kind::Seal).to_bytes()).unwrap();
    let accept = String::from_utf8(envelope(Kind::Accept).to_bytes()).unwrap();
    let good = format!("id: 2\nevent: frames\ndata: {{}}\ndata: {seal}\n\n");
    assert!(read(good.as_bytes()).is_ok());
    for bad in [
        good.replace('\n', "\r\n"),
        good.replace("id: 2", "id:2"),
        good.replace("id: 2", "id: 02"),
        good.replace("id: 2", "id: +2"),
        good.replace("id: 2", "id: 0"),
        good.replace("id: 2", "id: 18446744073709551616"),
        good.replace("id: 2", "id: "),
        good.replace("data: {}", "data:{}"),
        good.replace("data: {}", "data: "),
        good.replace("data: {}\n", ""),
        good.replace("data: {}", "data: \u{1}"),
        good.replace("data: {}", "data: {}\r"),
        good.replace(&seal, &accept),
        good.replace(&format!("data: {seal}\n"), ""),
        good.replace("event: frames", "event: frame"),
        format!("event: frames\nid: 2\ndata: {{}}\ndata: {seal}\n\n"),
        format!("event: alive\ndata: {accept}\n\n"),
        format!("event: alive\ndata: {seal}\ndata: {seal}\n\n"),
        "event: alive\n\n".to_owned(),
        "\n\n".to_owned(),
        format!("\n{good}"),
        format!("{good}\n\n"),
    ] {
        assert!(read(bad.as_bytes()).is_err(), "{bad:?}");
    }
    let not_utf8 =
        [b"id: 1\nevent: frames\ndata: \xff\ndata: ".as_slice(), seal.as_bytes(), b"\n\n"].concat();
    assert_eq!(read(&not_utf8), Err(Malformed::BadFrameBytes));
}

//= STR-5
#[test]
fn a_frame_that_is_not_utf8_is_refused() {
    let seal = envelope(Kind::Seal).to_bytes();
    let event = |frame: &[u8]| {
        [b"id: 1\nevent: frames\ndata: ", frame, b"\ndata: ", seal.as_slice(), b"\n\n"].concat()
    };
    assert!(read(&event("\u{fffd}é".as_bytes())).is_ok());
    for bad in [b"\xff".as_slice(), b"{\"a\":\"\xc0\xaf\"}", b"\xed\xa0\x80", b"a\xf5", b"\xc3"] {
        assert_eq!(read(&event(bad)), Err(Malformed::BadFrameBytes));
        assert_eq!(FrameLine::new(bad), Err(Malformed::BadFrameBytes));
    }
}

//= STR-3
#[test]
fn counts_and_sizes_are_exact() {
    let frames = |count: usize, bytes: usize| {
        Batch::new(1, vec![line(&"x".repeat(bytes)); count], envelope(Kind::Seal))
            .map(Event::Frames)
    };
    let (count, frame, total) =
        (limit::BATCH_FRAMES_MAX, limit::FRAME_BYTES_MAX, limit::BATCH_BYTES_MAX);
    for good in [frames(count, 1), frames(total / frame, frame), frames(count, total / count)] {
        let good = good.unwrap();
        assert_eq!(read(&good.to_bytes()).unwrap(), [good]);
    }
    assert_eq!(frames(0, 1), Err(Malformed::BadFrameCount { max: count }));
    assert_eq!(frames(count + 1, 1), Err(Malformed::BadFrameCount { max: count }));
    assert_eq!(frames(count, total / count + 1), Err(Malformed::BatchTooLong { max: total }));
    assert_eq!(FrameLine::new(&vec![b'x'; frame + 1]), Err(Malformed::FrameTooLong { max: frame }));
    let many = frames(count, 1).unwrap().to_bytes();
    let text = String::from_utf8(many).unwrap().replacen("data: x\n", "data: x\ndata: x\n", 1);
    assert_eq!(read(text.as_bytes()), Err(Malformed::BadFrameCount { max: count }));
}

//= STR-3
#[test]
fn an_event_without_end_is_refused_and_not_kept() {
    let mut reader = SseReader::new();
    let piece = vec![b'x'; limit::EVENT_BYTES_MAX];
    assert_eq!(reader.push(&piece), Ok(Vec::new()));
    let too_long = Malformed::EventTooLong { max: limit::EVENT_BYTES_MAX };
    assert_eq!(reader.push(b"x"), Err(too_long.clone()));
    assert_eq!(reader.pending.capacity(), 0);
    let mut reader = SseReader::new();
    assert_eq!(reader.push(&vec![b'x'; 64 * limit::EVENT_BYTES_MAX]), Err(too_long));
}

proptest! {
    #[test]
    fn pieces_do_not_matter(
        frames in prop::collection::vec(prop::collection::vec("[^\\x00-\\x1f]{1,40}", 1..5), 0..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let mut events = stream();
        for (at, lines) in frames.iter().enumerate() {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            events.insert(at, batch(at as u64 + 1, &lines));
        }
        let bytes = bytes(&events);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut reader = SseReader::new();
        let mut found = Vec::new();
        for pair in cuts.windows(2) {
            found.extend(reader.push(&bytes[pair[0]..pair[1]]).unwrap());
        }
        prop_assert_eq!(found, events);
        prop_assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..300), split in any::<prop::sample::Index>()) {
        let (one, two) = noise.split_at(split.index(noise.len() + 1));
        let mut pieces = SseReader::new();
        let _ = pieces.push(one).and_then(|_| pieces.push(two));
        let _ = read(&noise);
    }
}
