//! Streams of a run, and what is made of them afterwards.

use landbridge_proto::machine::evidence::{self, Outcome as Proven};
use landbridge_proto::machine::receive::Reception;
use landbridge_proto::machine::transcript::{self, Outcome};
use landbridge_proto::wire::evidence::EvidenceReader;
use landbridge_proto::wire::sse::{Event, SseReader};
use landbridge_proto::wire::stream::Frame;
use landbridge_proto::wire::transcript::{Line, TranscriptReader};

use crate::gateway::NOW;
use crate::honest::honest;

pub(crate) fn sse(bytes: &[u8]) {
    let mut whole = SseReader::new();
    let Ok(events) = whole.push(bytes) else { return };
    let written: Vec<u8> = events.iter().flat_map(Event::to_bytes).collect();
    assert!(bytes.starts_with(&written), "one spelling");
    assert_eq!(whole.finish().is_ok(), written.len() == bytes.len(), "and nothing after it");
    // However it is cut; what stands after the last event may be refused earlier or later.
    let cut = usize::from(bytes.first().copied().unwrap_or(0)) % 61 + 1;
    let mut pieces = SseReader::new();
    let mut read = Vec::new();
    for piece in bytes.chunks(cut) {
        let Ok(found) = pieces.push(piece) else { break };
        read.extend(found);
    }
    assert_eq!(read, events);
}

pub(crate) fn frame(bytes: &[u8]) {
    let Ok(line) = std::str::from_utf8(bytes) else { return };
    let Ok(frame) = Frame::parse(line) else { return };
    let again = format!(
        r#"{{"seq":{},"event":{},"payload":{}}}"#,
        frame.seq,
        serde_json::to_string(&frame.event).unwrap(),
        frame.payload.get()
    );
    assert_eq!(again, line, "one spelling");
    assert!(frame.terminal().is_none() || frame.is_terminal());
    let _ = frame.session();
}

pub(crate) fn reception(bytes: &[u8]) {
    let honest = honest();
    let mut reader = SseReader::new();
    let Ok(events) = reader.push(bytes) else { return };
    let mut reception = Reception::start(&honest.run.accept);
    let mut released = Vec::new();
    for event in events {
        let before = reception.clone();
        match event {
            Event::Frames(batch) => {
                let lines = batch.frames().iter().map(|line| line.as_str().to_owned()).collect();
                match reception.take(&honest.executor, lines, batch.seal(), NOW.plus_ms(10_000)) {
                    Ok(sealed) => released.extend_from_slice(sealed.lines()),
                    Err(_) => assert_eq!(reception, before, "nothing moved"),
                }
            }
            Event::Alive(seal) => {
                let _ = reception.alive(&honest.executor, &seal, NOW.plus_ms(10_000));
                assert_eq!(reception, before, "nothing moved");
            }
            _ => {}
        }
    }
    assert!(honest.run.lines.starts_with(&released), "what is released is what was sealed");
}

pub(crate) fn transcript(bytes: &[u8]) {
    let run = &honest().run;
    let verdict = transcript::verify(bytes, &run.executor.id());
    if let Outcome::Verified = verdict.outcome {
        let lines = TranscriptReader::read_all(bytes).unwrap();
        let frames: Vec<&str> = lines
            .iter()
            .filter_map(|line| match line {
                Line::Frame { value } => Some(value.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(frames, run.lines, "the frames are those that were sealed");
    }
    if let Ok(lines) = TranscriptReader::read_all(bytes) {
        let again: Vec<u8> = lines.iter().flat_map(|line| line.to_bytes().unwrap()).collect();
        assert_eq!(again, bytes, "one spelling");
    }
}

pub(crate) fn evidence(bytes: &[u8]) {
    let honest = honest();
    let verdict = evidence::verify(bytes, &honest.run.executor.id());
    if let Proven::Proven = verdict.outcome {
        let text = String::from_utf8_lossy(bytes);
        for signed in &honest.statuses {
            let signed = String::from_utf8(signed.to_bytes()).unwrap();
            assert!(text.contains(&signed), "it rests on both statuses");
        }
    }
    let mut reader = EvidenceReader::new();
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let Ok(read) = reader.line(line) else { return };
        assert_eq!(read.to_bytes().unwrap(), line, "one spelling");
    }
}
