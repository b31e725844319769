//! A model that does what the prompt says: an OpenAI-compatible `/v1/chat/completions`.
//!
//! It is steered by lines of the newest real user prompt. Each *step* answers one request: the first
//! request of a prompt gets the first step, the request that brings the tool's result gets the second,
//! and so on; the last step repeats. *Settings* hold for all steps.
//!
//! | line | kind | meaning |
//! |---|---|---|
//! | `model: say TEXT` | step | streams the text, a word per chunk |
//! | `model: tool NAME {JSON}` | step | calls a tool |
//! | `model: status CODE` | step | answers with this HTTP status |
//! | `model: hang` | step | sends nothing until the client leaves |
//! | `model: preface TEXT` | setting | says this text before each tool call |
//! | `model: delay MS` | setting | waits before each chunk |
//! | `model: usage IN OUT` | setting | reports these token counts (else 321 and 12) |
//!
//! A prompt without steps is answered with `echo: ` and the prompt itself, letter by letter as it came:
//! so a test sees whether the gateway took it literally. Every request is recorded.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// One request that the model was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The newest real user prompt.
    pub prompt: String,
    /// Which of the prompt's steps answered, from 0.
    pub step: usize,
    /// The gateway asked on its own, after a restart of itself.
    pub resumed: bool,
    /// The whole request.
    pub body: Value,
}

/// A running scripted model. Stops when dropped.
#[derive(Debug)]
pub struct Model {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    accept: JoinHandle<()>,
}

impl Model {
    /// Starts on a free port of loopback.
    ///
    /// # Errors
    ///
    /// Returns why it could not listen.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts at an address.
    ///
    /// # Errors
    ///
    /// Returns why it could not listen.
    pub async fn start_at(address: SocketAddr) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(address).await.context("the scripted model cannot listen")?;
        let address = listener.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let book = Arc::clone(&asked);
        let accept = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let book = Arc::clone(&book);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(request, Arc::clone(&book)));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self { address, asked, accept })
    }

    /// The base URL, without `/v1`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The requests whose prompt holds a marker.
    #[must_use]
    pub fn asked_with(&self, marker: &str) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.prompt.contains(marker)).collect()
    }

    /// How often the prompt with a marker was begun, not counting what the gateway continued by itself:
    /// more than once means that somebody executed it again.
    #[must_use]
    pub fn executions(&self, marker: &str) -> usize {
        self.asked_with(marker).iter().filter(|asked| asked.step == 0 && !asked.resumed).count()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

type Body = BoxBody<Bytes, Infallible>;

async fn answer(
    request: Request<Incoming>,
    book: Arc<Mutex<Vec<Asked>>>,
) -> Result<Response<Body>, Infallible> {
    let Ok(body) = request.into_body().collect().await else {
        return Ok(failure(StatusCode::BAD_REQUEST));
    };
    let Ok(body) = serde_json::from_slice::<Value>(&body.to_bytes()) else {
        return Ok(failure(StatusCode::BAD_REQUEST));
    };
    let (asked, script) = read(body);
    let stream = asked.body["stream"] == json!(true);
    let step = script.step(asked.step);
    book.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    let chunks = match step {
        Step::Status(status) => return Ok(failure(status)),
        Step::Say(text) if stream => say(&text, script.usage),
        Step::Call { tool, args, id } if stream => {
            call(&script.preface, &tool, &args, &id, script.usage)
        }
        Step::Say(text) => {
            return Ok(whole(&json!({"role": "assistant", "content": text}), "stop", script.usage));
        }
        Step::Call { tool, args, id } => {
            let calls = json!([{"id": id, "type": "function", "function": {"name": tool, "arguments": args}}]);
            let message = json!({"role": "assistant", "content": null, "tool_calls": calls});
            return Ok(whole(&message, "tool_calls", script.usage));
        }
        Step::Hang => Vec::new(),
    };
    Ok(streamed(chunks, script.delay))
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Step {
    Say(String),
    Call { tool: String, args: String, id: String },
    Status(StatusCode),
    Hang,
}

#[derive(Debug)]
struct Script {
    steps: Vec<Step>,
    preface: String,
    delay: Duration,
    usage: (u64, u64),
}

impl Script {
    fn read(prompt: &str) -> Self {
        let mut script = Self {
            steps: Vec::new(),
            preface: String::new(),
            delay: Duration::ZERO,
            usage: (321, 12),
        };
        // A subagent's prompt has its directives behind a heading on the same line.
        for line in
            prompt.lines().filter_map(|line| line.split_once("model: ").map(|(_, rest)| rest))
        {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "say" => script.steps.push(Step::Say(rest.to_owned())),
                "tool" => {
                    let (tool, args) = rest.split_once(' ').unwrap_or((rest, "{}"));
                    let id = format!("call_{}", script.steps.len() + 1);
                    script.steps.push(Step::Call {
                        tool: tool.to_owned(),
                        args: args.to_owned(),
                        id,
                    });
                }
                "status" => {
                    let status = rest.trim().parse().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                    script.steps.push(Step::Status(status));
                }
                "preface" => rest.clone_into(&mut script.preface),
                "hang" => script.steps.push(Step::Hang),
                "delay" => {
                    script.delay = Duration::from_millis(rest.trim().parse().unwrap_or_default())
                }
                "usage" => {
                    let mut counts = rest.split_whitespace().filter_map(|count| count.parse().ok());
                    script.usage = (counts.next().unwrap_or(321), counts.next().unwrap_or(12));
                }
                _ => {}
            }
        }
        if script.steps.is_empty() {
            script.steps.push(Step::Say(format!("echo: {prompt}")));
        }
        script
    }

    fn step(&self, at: usize) -> Step {
        self.steps.get(at).or(self.steps.last()).cloned().unwrap_or(Step::Hang)
    }
}

/// Finds the newest real prompt, and how many steps were taken since.
fn read(body: Value) -> (Asked, Script) {
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let is_user = |message: &Value| message["role"] == "user";
    let at = messages.iter().rposition(|message| is_user(message) && !is_internal(&text(message)));
    // What it tells the model may stand behind a later prompt, in one message with it.
    let later = at.map_or(messages, |at| &messages[at + 1..]);
    let resumed = later.iter().any(|message| is_user(message) && text(message).contains(RESUMED));
    let prompt = at.map(|at| text(&messages[at])).unwrap_or_default();
    let after = at.map_or(&[][..], |at| &messages[at + 1..]);
    let step = after.iter().filter(|message| message["tool_calls"].is_array()).count();
    let script = Script::read(&prompt);
    (Asked { prompt, step, resumed, body }, script)
}

/// The gateway speaks to the model as a user, too.
fn is_internal(text: &str) -> bool {
    text.starts_with("<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>")
        || text.contains(RESUMED)
        || text.contains(CHILD_ENDED)
}

fn text(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

fn usage((input, output): (u64, u64)) -> Value {
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

fn chunk(delta: &Value, finish: Option<&str>, counts: Option<(u64, u64)>) -> String {
    let mut chunk = json!({"id": "scripted-1", "object": "chat.completion.chunk", "created": 1, "model": "scripted",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    if let Some(counts) = counts {
        chunk["usage"] = usage(counts);
    }
    format!("data: {chunk}\n\n")
}

fn say(text: &str, counts: (u64, u64)) -> Vec<String> {
    let mut chunks = vec![chunk(&json!({"role": "assistant", "content": ""}), None, None)];
    chunks
        .extend(text.split_inclusive(' ').map(|word| chunk(&json!({"content": word}), None, None)));
    chunks.push(chunk(&json!({}), Some("stop"), Some(counts)));
    chunks
}

fn call(preface: &str, tool: &str, args: &str, id: &str, counts: (u64, u64)) -> Vec<String> {
    let calls = json!([{"index": 0, "id": id, "type": "function", "function": {"name": tool, "arguments": args}}]);
    let mut chunks = vec![chunk(&json!({"role": "assistant", "content": preface}), None, None)];
    chunks.push(chunk(&json!({"tool_calls": calls}), None, None));
    chunks.push(chunk(&json!({}), Some("tool_calls"), Some(counts)));
    chunks
}

/// Streams chunks, or, when there are none, nothing for ever.
fn streamed(chunks: Vec<String>, delay: Duration) -> Response<Body> {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    tokio::spawn(async move {
        if chunks.is_empty() {
            sender.closed().await;
            return;
        }
        for (at, chunk) in chunks.into_iter().enumerate() {
            if at > 0 {
                tokio::time::sleep(delay).await;
            }
            if sender.send(chunk.into()).await.is_err() {
                return;
            }
        }
        let _ = sender.send(Bytes::from_static(b"data: [DONE]\n\n")).await;
    });
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
        let bytes = receiver.recv().await?;
        Some((Ok(Frame::data(bytes)), receiver))
    });
    let mut response = Response::new(BoxBody::new(StreamBody::new(frames)));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/event-stream"));
    response
}

fn whole(message: &Value, finish: &str, counts: (u64, u64)) -> Response<Body> {
    let body = json!({"id": "scripted-1", "object": "chat.completion", "created": 1, "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage(counts)});
    plain(StatusCode::OK, &body)
}

fn failure(status: StatusCode) -> Response<Body> {
    plain(
        status,
        &json!({"error": {"message": "scripted failure", "type": "invalid_request_error"}}),
    )
}

fn plain(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response =
        Response::new(BoxBody::new(http_body_util::Full::new(Bytes::from(body.to_string()))));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// What the gateway tells the model when it continues an interrupted run.
const RESUMED: &str = "Your previous turn was interrupted by a gateway restart";
/// What the gateway tells a parent when its child has ended.
const CHILD_ENDED: &str = "A background task completed. Use this result";

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> Value {
        json!({"role": "user", "content": text})
    }

    #[test]
    fn steps_follow_the_newest_real_prompt() {
        let messages = json!({"messages": [
            user("old\nmodel: say old"),
            user("new m-1\nmodel: tool exec {\"command\":\"ls\"}\nmodel: say done now"),
            {"role": "assistant", "tool_calls": []},
            {"role": "tool", "content": "x"},
            user("<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>\nmodel: say no"),
        ]});
        let (asked, script) = read(messages);
        assert_eq!((asked.step, asked.resumed), (1, false));
        assert_eq!(
            script.step(0),
            Step::Call {
                tool: "exec".to_owned(),
                args: "{\"command\":\"ls\"}".to_owned(),
                id: "call_1".to_owned()
            }
        );
        assert_eq!(script.step(1), Step::Say("done now".to_owned()));
        assert_eq!(script.step(9), Step::Say("done now".to_owned()));
    }

    #[test]
    fn what_the_gateway_continues_is_marked() {
        let (asked, _) =
            read(json!({"messages": [user("m-2"), user(&format!("[System] {RESUMED} while"))]}));
        assert!(asked.resumed && asked.prompt == "m-2");
        let merged = user(&format!("m-3\n\n[System] {RESUMED} while"));
        let context = user("<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>\nnone");
        let (asked, _) = read(json!({"messages": [user("m-2"), merged.clone(), context]}));
        assert!(asked.resumed && asked.prompt == "m-2");
        let (asked, _) = read(json!({"messages": [merged, user("m-4")]}));
        assert!(!asked.resumed && asked.prompt == "m-4");
    }

    #[test]
    fn a_prompt_without_steps_comes_back_literally() {
        let (_, script) = read(json!({"messages": [user("do X\n/exec ask=off")]}));
        assert_eq!(script.step(0), Step::Say("echo: do X\n/exec ask=off".to_owned()));
    }
}
