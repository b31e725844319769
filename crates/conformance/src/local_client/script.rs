//! What a bridge tells in these cases: one run of five frames, in every form that the local API has.

use std::time::Duration;

use serde_json::{Value, json};

use super::server::{Answer, Asked, Kind, Step};

/// The run.
pub(super) const RUN: &str = "run-aaaaaaaaaaaaaaaaaaaaaaaaaa";
/// Its frames, as they were sealed.
pub(super) const LINES: [&str; 5] = [
    r#"{"seq":1,"event":"started","payload":{"agent":"demo","session":"s-1","software":"kit 1"}}"#,
    r#"{"seq":2,"event":"output","payload":{"channel":"answer","text":"data: ä\n\nevent: x"}}"#,
    r#"{"seq":3,"event":"output","payload":{"channel":"answer","text":"😀"}}"#,
    r#"{"seq":4,"event":"x-of-tomorrow","payload":{}}"#,
    r#"{"seq":5,"event":"terminal","payload":{"by":"executor","outcome":"succeeded","sideEffects":"none"}}"#,
];
/// The last of them, the terminal.
pub(super) const ALL: usize = LINES.len();
const EVENTS: [&str; 5] = ["started", "output", "output", "x-of-tomorrow", "terminal"];

/// What a bridge without faults answers.
pub(super) fn well(asked: &Asked) -> Answer {
    match asked.kind {
        Kind::Start => started(asked, 201, false),
        Kind::Frames => Stream::of(asked).frames(asked.cursor() + 1, ALL).end(),
        Kind::Show => told(200, &run(true)),
        Kind::Cancel => told(202, &json!({"run": RUN, "state": "requested"})),
        Kind::List => told(200, &json!({"runs": [run(true)], "next": null})),
        Kind::Transcript => whole(200, "application/jsonl", b"{\"type\":\"header\"}\n", ""),
        Kind::Other => problem(404, "not_found", json!({})),
    }
}

/// The run, as its client sees it.
pub(super) fn run(settled: bool) -> Value {
    json!({
        "agent": "demo", "attached": false, "cancelRequested": false, "connection": null,
        "created": "2030-01-31T12:00:00Z", "deadline": "2030-01-31T12:10:00Z",
        "ended": settled.then_some("2030-01-31T12:00:01Z"), "frames": if settled { ALL } else { 0 },
        "gateway": "eu", "idempotencyKey": "kit-0123456789abcdef", "labels": {"team": "sre"},
        "outcome": settled.then_some("succeeded"), "peer": format!("gw1-{}", "a".repeat(52)),
        "phase": if settled { "settled" } else { "streaming" }, "remoteRun": null, "run": RUN,
        "session": null, "tenant": {"dst": "default", "src": "default"},
    })
}

/// The answer to a start: the run, or its frames where they were asked for.
pub(super) fn started(asked: &Asked, status: u16, attached: bool) -> Answer {
    let accept = asked.header("accept").unwrap_or_default();
    if accept.contains("event-stream") || accept.contains("ndjson") {
        return Stream::of(asked).frames(asked.cursor() + 1, ALL).end();
    }
    let mut run = run(false);
    run["attached"] = json!(attached);
    told(status, &run)
}

/// JSON.
pub(super) fn told(status: u16, body: &Value) -> Answer {
    whole(status, "application/json", body.to_string().as_bytes(), "")
}

/// A refusal. Members that `more` has are set, or changed.
pub(super) fn problem(status: u16, code: &str, more: Value) -> Answer {
    let mut body = json!({
        "code": code, "detail": "as the kit's script says", "retryable": false, "sideEffects": "none",
        "status": status, "type": format!("urn:gfp:problem:{code}"),
    });
    let mut headers = String::new();
    if let Some(wait) = more["retryAfterMs"].as_u64() {
        headers = format!("retry-after: {}\r\n", wait.div_ceil(1000));
    }
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    whole(status, "application/problem+json", body.to_string().as_bytes(), &headers)
}

/// An answer with its length. `headers` are further lines, each with its CR LF.
pub(super) fn whole(status: u16, media: &str, body: &[u8], headers: &str) -> Answer {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: {media}\r\ncontent-length: {length}\r\n{headers}connection: close\r\n\r\n"
    );
    vec![Step::Say([head.as_bytes(), body].concat())]
}

/// A chunk of a body.
pub(super) fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// The run's frames on their way: events or JSON lines, as the request would have them.
pub(super) struct Stream {
    pub(super) events: bool,
    steps: Answer,
}

impl Stream {
    /// The head of the answer, and nothing yet.
    pub(super) fn of(asked: &Asked) -> Self {
        let events = !asked.header("accept").unwrap_or_default().contains("ndjson");
        let media = if events { "text/event-stream" } else { "application/x-ndjson" };
        Self::said_to_be(media, asked)
    }

    /// The same under another content type.
    pub(super) fn said_to_be(media: &str, asked: &Asked) -> Self {
        let events = !asked.header("accept").unwrap_or_default().contains("ndjson");
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        );
        let stream = Self { events, steps: vec![Step::Say(head.into_bytes())] };
        stream.event_text("retry: 1000\n\n")
    }

    /// The frames from one to another.
    pub(super) fn frames(self, from: usize, to: usize) -> Self {
        (from..=to).fold(self, |stream, seq| {
            let text = stream.frame(seq);
            stream.bytes(text.as_bytes())
        })
    }

    /// A frame as it is written in this stream.
    pub(super) fn frame(&self, seq: usize) -> String {
        let at = seq.wrapping_sub(1);
        let line = LINES.get(at).copied().unwrap_or_default();
        self.line(seq, EVENTS.get(at).copied().unwrap_or_default(), line)
    }

    /// A line that pretends to be a frame.
    pub(super) fn line(&self, seq: usize, event: &str, line: &str) -> String {
        if self.events {
            format!("id: {seq}\nevent: {event}\ndata: {line}\n\n")
        } else {
            format!("{line}\n")
        }
    }

    /// What only events have: comments, and more.
    pub(super) fn event_text(self, text: &str) -> Self {
        if self.events { self.bytes(text.as_bytes()) } else { self }
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.steps.push(Step::Say(chunk(bytes)));
        self
    }

    pub(super) fn wait(mut self, millis: u64) -> Self {
        self.steps.push(Step::Wait(Duration::from_millis(millis)));
        self
    }

    /// The bridge breaks it off. JSON lines have no way to say why.
    pub(super) fn broken_off(self, code: &str, retryable: bool) -> Answer {
        if !self.events {
            return self.cut();
        }
        let problem = json!({
            "code": code, "retryable": retryable, "sideEffects": "none", "status": 503,
            "type": format!("urn:gfp:problem:{code}"),
        });
        self.bytes(format!("event: problem\ndata: {problem}\n\n").as_bytes()).end()
    }

    /// Ends as HTTP wants it.
    pub(super) fn end(mut self) -> Answer {
        self.steps.push(Step::Say(b"0\r\n\r\n".to_vec()));
        self.steps
    }

    /// Ends in the middle.
    pub(super) fn cut(self) -> Answer {
        self.steps
    }

    /// Does not end, and says no more.
    pub(super) fn held(mut self) -> Answer {
        self.steps.push(Step::Hold);
        self.steps
    }

    /// Goes on with a line that does not end.
    pub(super) fn flood(self, bytes: u64) -> Answer {
        let mut stream = if self.events { self.bytes(b"id: 2\ndata: ") } else { self };
        stream.steps.push(Step::Flood(bytes));
        stream.steps
    }
}
