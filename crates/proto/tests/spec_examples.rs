//! The exchange published in `spec/examples/`, read by this implementation.
//!
//! The bytes were made by a program that shares no line with ours, so agreement here means that two
//! readers of the specification agree.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;

use landbridge_proto::machine::admission::print_of;
use landbridge_proto::machine::operation::Operation;
use landbridge_proto::machine::receive::Reception;
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::Timestamp;
use landbridge_proto::wire::request::{Body, Receipt, Request};
use landbridge_proto::wire::sse::{Event, SseReader};
use landbridge_proto::wire::stream::Accept;
use serde_json::Value;

const OPERATION: &str = include_str!("../../../spec/examples/operation.json");
const STREAM: &str = include_str!("../../../spec/examples/stream.sse");
const TRANSCRIPT: &str = include_str!("../../../spec/examples/transcript.jsonl");
const PAGE: &str = include_str!("../../../spec/examples/README.md");
const NOW: Timestamp = Timestamp(1_700_000_005_000);

/// The value of a row of the page's second table.
fn told(name: &str) -> &'static str {
    let row = PAGE.lines().find(|line| line.starts_with(&format!("| {name} |"))).unwrap();
    row.split('`').nth_back(1).unwrap()
}

/// The envelopes of one type in the transcript, of one side where it has sides.
fn envelopes(kind: &str, of: Option<&str>) -> Vec<Envelope> {
    let lines = TRANSCRIPT.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter(|line| line["type"] == kind && line.get("of").and_then(Value::as_str) == of)
        .map(|line| Envelope::parse(line["value"].to_string().as_bytes()).unwrap())
        .collect()
}

fn view(side: &str) -> PeerView {
    let root = TrustedRoot::introduced(&envelopes("root", Some(side))[0]).unwrap();
    assert_eq!(root.gateway().as_str(), told(&format!("the {side}'s gateway id")));
    PeerView::new(root).with_status(&envelopes("status", Some(side))[0], NOW).unwrap()
}

#[test]
fn the_request_verifies_and_has_the_published_digest() {
    let operation = Operation::parse(OPERATION.as_bytes()).unwrap();
    assert_eq!(operation.to_bytes(), OPERATION.as_bytes());
    let caller = view("caller");
    assert_eq!(operation.claimed_sender().as_ref(), Some(caller.gateway()));
    let request = caller.verify::<Request>(&operation.request, NOW).unwrap();
    assert_eq!(request.digest().to_string(), told("`D(request)`"));
    let Body::Start(start) = &request.value().body else { panic!("not a start") };
    let (print, bytes) = print_of(start).unwrap();
    assert_eq!(print.to_string(), told("the body's `print`"));
    assert!(PAGE.contains(&format!("\n{bytes}\n")));
}

#[test]
fn the_stream_verifies_up_to_its_terminal() {
    let executor = view("executor");
    let mut reader = SseReader::new();
    let events = reader.push(STREAM.as_bytes()).unwrap();
    reader.finish().unwrap();
    let mut again = Vec::new();
    events.iter().for_each(|event| event.write(&mut again));
    assert_eq!(again, STREAM.as_bytes());

    let Event::Accept(accept) = &events[0] else { panic!("{:?}", events[0]) };
    let accept = executor.verify::<Accept>(accept, NOW).unwrap();
    assert_eq!(accept.digest().to_string(), told("`D(accept)`"));
    assert_eq!(accept.value().print.to_string(), told("the body's `print`"));
    let mut reception = Reception::start(&accept);
    let mut heads = BTreeMap::from([(0, reception.chain().head().to_string())]);
    let mut ended = false;
    for event in &events[1..] {
        match event {
            Event::Frames(batch) => {
                let lines = batch.frames().iter().map(|line| line.as_str().to_owned()).collect();
                let sealed = reception.take(&executor, lines, batch.seal(), NOW).unwrap();
                heads.insert(sealed.chain().seq(), sealed.chain().head().to_string());
                ended = sealed.terminal().is_some();
            }
            Event::Alive(seal) => reception.alive(&executor, seal, NOW).unwrap(),
            other => panic!("{other:?}"),
        }
    }
    assert!(ended);
    for (seq, head) in heads {
        assert_eq!(head, told(&format!("`h_{seq}`")));
    }
}

#[test]
fn the_receipt_verifies() {
    let receipt = view("caller").verify::<Receipt>(&envelopes("receipt", None)[0], NOW).unwrap();
    assert_eq!(receipt.value().head.map(|head| head.to_string()).as_deref(), Some(told("`h_3`")));
}
