#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::trust::testing::{Holders, id_of, sign_bytes};

fn some(kind: Kind) -> Envelope {
    sign_bytes(kind, b"{}", &[1])
}

fn frame(text: &str) -> Line {
    Line::Frame { value: FrameLine::new(text.as_bytes()).unwrap() }
}

fn transcript() -> Vec<Line> {
    let (caller, executor) = (Holders::new(10).first(), Holders::new(30).first());
    vec![
        Line::Header(Header {
            caller: id_of(&caller),
            executor: id_of(&executor),
            run: Some(RunId::new(format!("run-{}", "a".repeat(26))).unwrap()),
            v: FormVersion,
        }),
        Line::Root { of: Side::Caller, value: caller },
        Line::Root { of: Side::Executor, value: executor },
        Line::Status { of: Side::Caller, value: some(Kind::Status) },
        Line::Status { of: Side::Executor, value: some(Kind::Status) },
        Line::Request { value: some(Kind::Request) },
        Line::Accept { value: some(Kind::Accept) },
        frame(r#"{"seq":1,"event":"started"}"#),
        frame("{\"text\":\"\\n é 😀\"}"),
        Line::Seal { value: some(Kind::Seal) },
        frame("{}"),
        Line::Seal { value: some(Kind::Seal) },
        Line::Receipt { value: some(Kind::Receipt) },
    ]
}

fn bytes(lines: &[Line]) -> Vec<u8> {
    lines.iter().flat_map(|line| line.to_bytes().unwrap()).collect()
}

#[test]
fn what_was_written_is_read() {
    assert_eq!(TranscriptReader::read_all(&bytes(&transcript())).unwrap(), transcript());
    for count in 1..transcript().len() {
        let prefix = &transcript()[..count];
        assert_eq!(TranscriptReader::read_all(&bytes(prefix)).unwrap(), prefix);
    }
}

#[test]
fn lines_look_as_specified() {
    let text = String::from_utf8(frame("{\"a\":\"\\n\"}").to_bytes().unwrap()).unwrap();
    assert_eq!(text, "{\"type\":\"frame\",\"value\":\"{\\\"a\\\":\\\"\\\\n\\\"}\"}\n");
    let root = Line::Root { of: Side::Caller, value: some(Kind::Root) };
    let value = String::from_utf8(some(Kind::Root).to_bytes()).unwrap();
    let expected = format!("{{\"of\":\"caller\",\"type\":\"root\",\"value\":{value}}}\n");
    assert_eq!(String::from_utf8(root.to_bytes().unwrap()).unwrap(), expected);
}

#[test]
fn every_flipped_bit_is_noticed() {
    // Line by line, and with short envelopes, so that it ends; what joins two lines has no line end.
    let short = |line: Line| match line {
        Line::Root { of, .. } => Line::Root { of, value: some(Kind::Root) },
        other => other,
    };
    for line in transcript().into_iter().map(short) {
        let bytes = line.to_bytes().unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let read = bad.strip_suffix(b"\n").map(Line::parse);
            assert!(!matches!(read, Some(Ok(read)) if read == line), "bit {bit} of {line:?}");
        }
    }
}

#[test]
fn lines_out_of_order_are_refused() {
    let lines = transcript();
    let swapped = |one: usize, two: usize| {
        let mut lines = lines.clone();
        lines.swap(one, two);
        TranscriptReader::read_all(&bytes(&lines)).unwrap_err()
    };
    assert_eq!(swapped(0, 1), TranscriptError { line: 1, fault: LineFault::NoHeader });
    assert_eq!(swapped(1, 2), TranscriptError { line: 3, fault: LineFault::OutOfOrder });
    assert_eq!(swapped(5, 6), TranscriptError { line: 7, fault: LineFault::OutOfOrder });
    assert_eq!(swapped(11, 12), TranscriptError { line: 13, fault: LineFault::OutOfOrder });
    for once in [0, 5, 6, 12] {
        let mut lines = lines.clone();
        lines.insert(once, lines[once].clone());
        let found = TranscriptReader::read_all(&bytes(&lines)).unwrap_err();
        assert_eq!(found, TranscriptError { line: once as u64 + 2, fault: LineFault::OutOfOrder });
    }
    for often in [1, 2, 3, 4, 7, 9] {
        let mut lines = lines.clone();
        lines.insert(often, lines[often].clone());
        assert!(TranscriptReader::read_all(&bytes(&lines)).is_ok());
    }
}

#[test]
fn other_spellings_are_refused() {
    let fault = |bytes: &[u8]| TranscriptReader::read_all(bytes).unwrap_err();
    let good = bytes(&transcript());
    assert_eq!(fault(b"").fault, LineFault::NoHeader);
    assert_eq!(
        fault(&good[..good.len() - 1]),
        TranscriptError { line: 13, fault: LineFault::NoLineEnd }
    );
    let text = String::from_utf8(good).unwrap();
    for bad in [
        text.replace('\n', "\r\n"),
        text.replace('\n', "\n\n"),
        format!(" {text}"),
        format!("\u{feff}{text}"),
        text.replacen("\"v\":1", "\"v\":1,\"w\":1", 1),
        text.replacen("\"v\":1", "\"v\":2", 1),
        text.replacen("\"type\":\"accept\"", "\"extra\":1,\"type\":\"accept\"", 1),
        text.replacen("\"type\":\"accept\"", "\"of\":\"caller\",\"type\":\"accept\"", 1),
        text.replacen("\"type\":\"accept\"", "\"type\":\"seal\"", 1),
        text.replacen("\"type\":\"accept\"", "\"type\":\"other\"", 1),
        text.replacen("\"value\":\"{}\"", "\"value\":{}", 1),
        text.replacen("\"value\":\"{}\"", "\"value\":\"{\\u007d\"", 1),
        text.replacen("\"value\":\"{}\"", "\"value\":\"{\\n}\"", 1),
    ] {
        assert_ne!(bad, text);
        assert!(TranscriptReader::read_all(bad.as_bytes()).is_err());
    }
}

#[test]
fn the_longest_frame_fits_a_line() {
    for byte in ["\"", "\\", "x", "é"] {
        let line = frame(&byte.repeat(limit::FRAME_BYTES_MAX / byte.len()));
        assert_eq!(
            TranscriptReader::new().line(&line.to_bytes().unwrap()).unwrap_err().fault,
            LineFault::NoHeader
        );
    }
    let envelope = sign_bytes(Kind::Request, &vec![b'x'; limit::REQUEST_BYTES_MAX], &[1]);
    assert!(Line::Request { value: envelope }.to_bytes().is_ok());
}

#[test]
fn an_envelope_of_another_kind_is_not_written() {
    let found = Line::Seal { value: some(Kind::Accept) }.to_bytes().unwrap_err();
    assert_eq!(found, LineFault::AnotherKind { expected: Kind::Seal, found: Kind::Accept });
}
