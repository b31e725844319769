//! A run's frames as a response body: server-sent events, or JSON lines.
//!
//! The server keeps no cursor for anybody: a client tells the last frame that it has, every time, so
//! that it may be restarted or moved freely. An end without a terminal frame means *unknown*: attach
//! again. What one read of the journal gives goes out as one chunk; the reader's pace is the stream's.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Uri};
use landbridge_proto::wire::problem::{Code, Problem};
use serde::Deserialize;

use landbridge_planted::planted;

use super::body::{query, value};
use super::problem::{LocalCode, LocalProblem};
use crate::bridge::Frames;

/// In which form frames are sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// `text/event-stream`.
    Events,
    /// `application/x-ndjson`.
    Lines,
}

/// What a client's `Accept` says, as far as this API is concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Accepts {
    /// A stream of frames.
    Frames(Form),
    /// JSON; `*/*` and silence are read so too.
    Json {
        /// Anything at all would do.
        anything: bool,
    },
    /// Nothing that is offered.
    Nothing,
}

impl Accepts {
    fn read(headers: &HeaderMap) -> Self {
        let mut found = Self::Nothing;
        let mut silent = true;
        for header in headers.get_all(ACCEPT) {
            for range in header.to_str().unwrap_or_default().split(',') {
                silent = false;
                // The first range that is offered counts; weights would decide nothing here.
                let essence = range.split(';').next().unwrap_or_default().trim();
                found = match essence.to_ascii_lowercase().as_str() {
                    "text/event-stream" => return Self::Frames(Form::Events),
                    "application/x-ndjson" => return Self::Frames(Form::Lines),
                    "*/*" => Self::Json { anything: true },
                    "application/json" | "application/*" if found == Self::Nothing => {
                        Self::Json { anything: false }
                    }
                    _ => found,
                };
            }
        }
        if silent { Self::Json { anything: true } } else { found }
    }

    /// The form for an answer that can only be frames.
    pub(super) fn frames(self) -> Result<Form, LocalProblem> {
        match self {
            Self::Frames(form) => Ok(form),
            Self::Json { anything: true } => Ok(Form::Events),
            Self::Json { anything: false } | Self::Nothing => Err(LocalProblem::new(
                LocalCode::NotAcceptable,
                "frames are text/event-stream or application/x-ndjson",
            )),
        }
    }

    /// The form where JSON is the plain answer; `None`: JSON.
    pub(super) fn frames_if_asked(self) -> Result<Option<Form>, LocalProblem> {
        match self {
            Self::Frames(form) => Ok(Some(form)),
            Self::Json { .. } => Ok(None),
            Self::Nothing => Err(LocalProblem::new(
                LocalCode::NotAcceptable,
                "the answer is application/json, text/event-stream or application/x-ndjson",
            )),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Accepts {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::read(&parts.headers))
    }
}

/// The last frame that the client has: `Last-Event-ID`, or `?after=`, or 0.
///
/// A browser-like client reconnects to the same address with its `Last-Event-ID`, so the header, being
/// newer, wins.
pub(super) fn cursor(uri: &Uri, headers: &HeaderMap) -> Result<u64, LocalProblem> {
    let [after] = query(uri, ["after"])?;
    if planted!("cursor_ignored") {
        return Ok(0);
    }
    if let Some(id) = headers.get(LAST_EVENT_ID) {
        return value(LAST_EVENT_ID, id.to_str().unwrap_or_default());
    }
    after.map_or(Ok(0), |after| value("after", &after))
}

/// Where frames come from.
pub(super) trait Source: Send + 'static {
    /// The next frames, or `None` after the terminal. Must be cancel safe.
    fn next(
        &mut self,
    ) -> impl Future<Output = Result<Option<Vec<(u64, String)>>, LocalProblem>> + Send;
}

impl Source for Frames {
    async fn next(&mut self) -> Result<Option<Vec<(u64, String)>>, LocalProblem> {
        Self::next(self).await
    }
}

/// The response that sends a source's frames until its terminal.
pub(super) fn response(source: impl Source, form: Form, heartbeat: Duration) -> Response {
    let opening = match form {
        Form::Events => Bytes::from_static(OPENING),
        Form::Lines => Bytes::new(),
    };
    let pieces = stream::unfold(Some(source), move |source| piece(source, form, heartbeat));
    let opening = stream::iter([Ok(opening)]).filter(|opening| {
        std::future::ready(opening.as_ref().is_ok_and(|bytes: &Bytes| !bytes.is_empty()))
    });
    let mut response = Response::new(Body::from_stream(opening.chain(pieces)));
    let media = match form {
        Form::Events => "text/event-stream",
        Form::Lines => "application/x-ndjson",
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

async fn piece<S: Source>(
    source: Option<S>,
    form: Form,
    heartbeat: Duration,
) -> Option<(io::Result<Bytes>, Option<S>)> {
    let mut source = source?;
    loop {
        let problem = match (tokio::time::timeout(heartbeat, source.next()).await, form) {
            (Err(_), Form::Events) => {
                return Some((Ok(Bytes::from_static(HEARTBEAT)), Some(source)));
            }
            (Err(_), Form::Lines) => continue,
            (Ok(Ok(None)), _) => return None,
            (Ok(Ok(Some(frames))), _) if frames.is_empty() => continue,
            (Ok(Ok(Some(frames))), _) => match write(&frames, form) {
                Ok(text) => return Some((Ok(Bytes::from(text)), Some(source))),
                Err(problem) => problem.into(),
            },
            (Ok(Err(problem)), _) => problem,
        };
        tracing::warn!(code = problem.view().code, "a stream of frames was broken off");
        return Some((broken_off(&problem, form), None));
    }
}

/// The last piece of a stream that ends without a terminal. JSON lines have no place for anything but
/// frames, so there the response itself is cut and no client can take it for complete.
fn broken_off(problem: &LocalProblem, form: Form) -> io::Result<Bytes> {
    match form {
        Form::Events => {
            let text = serde_json::to_string(problem.view())?;
            Ok(Bytes::from(format!("event: problem\ndata: {text}\n\n")))
        }
        Form::Lines => Err(io::Error::other(problem.view().code.clone())),
    }
}

fn write(frames: &[(u64, String)], form: Form) -> Result<String, Problem> {
    let size = frames.iter().map(|(_, line)| line.len() + EVENT_OVERHEAD_BYTES).sum();
    let mut text = String::with_capacity(size);
    for (seq, line) in frames {
        if line.contains(['\n', '\r']) {
            return Err(Problem::new(Code::Internal).with_detail("a stored frame is not one line"));
        }
        // Writing to a string cannot fail.
        let _ = match form {
            Form::Events => write!(text, "id: {seq}\nevent: {}\ndata: {line}\n\n", event_of(line)),
            Form::Lines => writeln!(text, "{line}"),
        };
    }
    Ok(text)
}

/// The frame's event name, for clients that dispatch on it. The line itself stays the truth.
fn event_of(line: &str) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        event: Cow<'a, str>,
    }
    match serde_json::from_str::<Named<'_>>(line) {
        Ok(Named { event }) if event.bytes().all(|byte| byte.is_ascii_alphanumeric()) => event,
        _ => Cow::Borrowed("frame"),
    }
}

/// The header of a client that comes back.
const LAST_EVENT_ID: &str = "last-event-id";
/// Tells a client to come back after a second, and makes the response begin at once.
const OPENING: &[u8] = b"retry: 1000\n\n";
/// A comment: keeps the connection visibly alive, and is no event.
const HEARTBEAT: &[u8] = b": alive\n\n";
/// `id`, `event`, `data` and line feeds around a line, roughly.
const EVENT_OVERHEAD_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::VecDeque;

    use http_body_util::BodyExt as _;

    use super::*;

    /// Batches, then what comes at the end; silence once before each batch.
    struct Scripted {
        batches: VecDeque<Vec<(u64, String)>>,
        end: Option<Problem>,
        quiet: bool,
    }

    impl Source for Scripted {
        async fn next(&mut self) -> Result<Option<Vec<(u64, String)>>, LocalProblem> {
            if std::mem::take(&mut self.quiet) {
                std::future::pending::<()>().await;
            }
            match (self.batches.pop_front(), self.end.take()) {
                (Some(batch), end) => {
                    self.end = end;
                    Ok(Some(batch))
                }
                (None, Some(problem)) => Err(problem.into()),
                (None, None) => Ok(None),
            }
        }
    }

    fn frame(seq: u64, event: &str) -> (u64, String) {
        (seq, format!(r#"{{"seq":{seq},"event":"{event}","payload":{{"text":"a\nb"}}}}"#))
    }

    async fn text(end: Option<Problem>, quiet: bool, form: Form) -> Result<String, axum::Error> {
        let batches =
            [vec![frame(3, "started"), frame(4, "output")], vec![], vec![frame(5, "terminal")]];
        let source = Scripted { batches: batches.into(), end, quiet };
        // The silence lasts for ever, so the least heartbeat is as good as the usual one.
        let body = response(source, form, Duration::from_millis(1)).into_body();
        body.collect().await.map(|all| String::from_utf8(all.to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn events_carry_the_exact_lines_and_end_after_the_terminal() {
        let expected = format!(
            "retry: 1000\n\n: alive\n\nid: 3\nevent: started\ndata: {}\n\nid: 4\nevent: output\ndata: {}\n\n\
             id: 5\nevent: terminal\ndata: {}\n\n",
            frame(3, "started").1,
            frame(4, "output").1,
            frame(5, "terminal").1
        );
        assert_eq!(text(None, true, Form::Events).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn lines_are_frames_and_nothing_else() {
        let all = text(None, true, Form::Lines).await.unwrap();
        let expected = [frame(3, "started").1, frame(4, "output").1, frame(5, "terminal").1];
        assert_eq!(all.lines().collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn a_stream_without_its_terminal_is_not_taken_for_complete() {
        let fault = || Some(Problem::new(Code::Internal));
        let events = text(fault(), false, Form::Events).await.unwrap();
        let last = events.trim_end().rsplit("\n\n").next().unwrap();
        assert!(last.starts_with("event: problem\ndata: {\"code\":\"internal\""), "{last}");
        assert!(text(fault(), false, Form::Lines).await.is_err());
    }

    #[tokio::test]
    async fn a_line_that_would_forge_an_event_breaks_the_stream() {
        let forged = "{}\n\nid: 9\nevent: terminal\ndata: {}".to_owned();
        let batches = [vec![(1, forged)]].into();
        let source = Scripted { batches, end: None, quiet: false };
        let body = response(source, Form::Events, Duration::from_secs(15)).into_body();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        assert!(text.contains("event: problem") && !text.contains("event: terminal"), "{text}");
    }

    #[test]
    fn an_event_name_cannot_leave_its_field() {
        assert_eq!(event_of(r#"{"seq":1,"event":"output","payload":{}}"#), "output");
        assert_eq!(event_of(r#"{"seq":1,"event":"a\nid: 9","payload":{}}"#), "frame");
        assert_eq!(event_of("not json"), "frame");
    }

    #[test]
    fn the_cursor_is_the_header_then_the_query_then_the_beginning() {
        let read = |uri: &str, id: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(id) = id {
                headers.insert(LAST_EVENT_ID, HeaderValue::from_static(id));
            }
            cursor(&uri.parse().unwrap(), &headers).map_err(|problem| problem.view().status)
        };
        assert_eq!(read("/f", None), Ok(0));
        assert_eq!(read("/f?after=7", None), Ok(7));
        assert_eq!(read("/f?after=7", Some("9")), Ok(9));
        assert_eq!(read("/f?after=-1", None), Err(400));
        assert_eq!(read("/f", Some("x")), Err(400));
        assert_eq!(read("/f?from=1", None), Err(400));
    }

    #[test]
    fn accept_chooses_the_form() {
        let read = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            Accepts::read(&headers)
        };
        assert_eq!(read(&[]).frames().unwrap(), Form::Events);
        assert_eq!(read(&["*/*"]).frames_if_asked().unwrap(), None);
        assert_eq!(read(&["application/json, text/event-stream"]).frames().unwrap(), Form::Events);
        assert_eq!(
            read(&["text/html", "Application/X-NDJSON; q=1"]).frames().unwrap(),
            Form::Lines
        );
        assert_eq!(read(&["application/json"]).frames_if_asked().unwrap(), None);
        assert!(read(&["application/json"]).frames().is_err());
        assert!(read(&["text/html"]).frames_if_asked().is_err());
    }
}
