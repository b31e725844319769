//! One WebSocket connection to the gateway: the handshake, then requests, answers and events.
//!
//! A task owns the socket; everybody else holds a cheap handle. When the socket ends, every request that
//! still waits fails as [`Fault::Lost`]: the gateway may or may not have acted, and only its transcript
//! can tell.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_util::sync::CancellationToken;

use landbridge_planted::planted;

use crate::device::{Authority, Device, Secret};
use crate::endpoint::Endpoint;
use crate::fault::Fault;
use crate::tls;
use crate::version::{self, PROTOCOLS, UnsupportedGateway};
use crate::wire::{Answer, Event, GatewayError, Hello, Incoming, Request, text};

/// The credential that a connection is opened with.
#[derive(Clone, Debug)]
pub(crate) enum Credential {
    /// The gateway's shared token: for pairing, once.
    Shared(Secret),
    /// The bridge's own device token.
    Device(Secret),
}

/// What connections tell to whoever listens.
#[derive(Clone, Debug)]
pub(crate) enum Notice {
    /// The gateway reported an event.
    Event(Arc<Event>),
    /// Events were lost: ask the transcript.
    Gap,
}

/// A handle to an open connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    hello: Arc<Hello>,
    device_token: Option<Secret>,
    requests: mpsc::Sender<Ask>,
    notices: broadcast::Sender<Notice>,
    closed: CancellationToken,
    next_id: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Ask {
    id: String,
    frame: String,
    answer: oneshot::Sender<Answer>,
    second: Option<oneshot::Sender<Answer>>,
}

impl Connection {
    /// Connects and says who the bridge is.
    ///
    /// # Errors
    ///
    /// Returns why the gateway could not be reached or did not let the bridge in.
    pub(crate) async fn open(
        endpoint: &Endpoint,
        device: &Device,
        credential: &Credential,
        authority: Authority,
        display_name: &str,
    ) -> Result<Self, Fault> {
        let late = || Fault::Silent { method: "connect", after_ms: CONNECT_MS_MAX };
        timeout(
            Duration::from_millis(CONNECT_MS_MAX),
            handshake(endpoint, device, credential, authority, display_name),
        )
        .await
        .map_err(|_| late())?
    }

    /// What the gateway said of itself.
    pub(crate) fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The device token that this connection brought.
    pub(crate) const fn device_token(&self) -> Option<&Secret> {
        self.device_token.as_ref()
    }

    /// Listens to events from now on.
    pub(crate) fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    /// Completes when the connection has ended.
    pub(crate) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Ends the connection.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// Asks the gateway and waits for its answer.
    ///
    /// # Errors
    ///
    /// Returns why there is no good answer. After [`Fault::Lost`] and [`Fault::Silent`] it is unknown
    /// whether the gateway acted.
    pub(crate) async fn call(&self, method: &'static str, params: &Value) -> Result<Value, Fault> {
        let (answer, receiver) = oneshot::channel();
        self.send(method, params, answer, None).await?;
        wait(method, receiver).await
    }

    /// Asks for something that is answered twice: when it is taken, and when it is done.
    ///
    /// # Errors
    ///
    /// As [`Connection::call`], for the first answer.
    pub(crate) async fn call_twice(
        &self,
        method: &'static str,
        params: &Value,
    ) -> Result<(Value, oneshot::Receiver<Answer>), Fault> {
        let (answer, receiver) = oneshot::channel();
        let (second, second_receiver) = oneshot::channel();
        self.send(method, params, answer, Some(second)).await?;
        Ok((wait(method, receiver).await?, second_receiver))
    }

    /// Asks for something that may take as long as it likes. The answer never comes when the connection
    /// ends first: then it is unknown whether the gateway acted.
    ///
    /// # Errors
    ///
    /// Returns why the gateway was not asked at all.
    pub(crate) async fn ask(
        &self,
        method: &'static str,
        params: &impl Serialize,
    ) -> Result<oneshot::Receiver<Answer>, Fault> {
        let (answer, receiver) = oneshot::channel();
        self.send(method, params, answer, None).await?;
        Ok(receiver)
    }

    async fn send(
        &self,
        method: &'static str,
        params: &impl Serialize,
        answer: oneshot::Sender<Answer>,
        second: Option<oneshot::Sender<Answer>>,
    ) -> Result<(), Fault> {
        let id = format!("r{}", self.next_id.fetch_add(1, Ordering::Relaxed));
        let frame =
            serde_json::to_string(&Request::new(&id, method, params)).map_err(|_| Fault::Lost)?;
        if u64::try_from(frame.len()).is_ok_and(|size| size > self.hello.payload_bytes_max) {
            let error = GatewayError { code: "TOO_LARGE".to_owned(), ..GatewayError::default() };
            return Err(Fault::Refused { method, error });
        }
        self.requests.send(Ask { id, frame, answer, second }).await.map_err(|_| Fault::Lost)
    }
}

async fn wait(method: &'static str, receiver: oneshot::Receiver<Answer>) -> Result<Value, Fault> {
    let answer = timeout(Duration::from_millis(ANSWER_MS_MAX), receiver)
        .await
        .map_err(|_| Fault::Silent { method, after_ms: ANSWER_MS_MAX })?
        .map_err(|_| Fault::Lost)?;
    if answer.ok {
        Ok(answer.payload)
    } else {
        Err(Fault::Refused { method, error: answer.error.unwrap_or_default() })
    }
}

/// A stream of bytes, secured or not.
trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

type Socket = WebSocketStream<Box<dyn Bytes>>;

async fn handshake(
    endpoint: &Endpoint,
    device: &Device,
    credential: &Credential,
    authority: Authority,
    display_name: &str,
) -> Result<Connection, Fault> {
    let unreachable = |error: &dyn std::fmt::Display| Fault::Unreachable(error.to_string());
    let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port))
        .await
        .map_err(|e| unreachable(&e))?;
    stream.set_nodelay(true).map_err(|e| unreachable(&e))?;
    let stream: Box<dyn Bytes> = if endpoint.tls {
        Box::new(tls::secure(stream, &endpoint.host, endpoint.ca_file.as_deref()).await?)
    } else {
        Box::new(stream)
    };
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(FRAME_BYTES_MAX);
    config.max_frame_size = Some(FRAME_BYTES_MAX);
    let (mut socket, _) =
        tokio_tungstenite::client_async_with_config(endpoint.url.as_str(), stream, Some(config))
            .await
            .map_err(|e| unreachable(&e))?;
    let challenge = loop {
        match receive(&mut socket).await? {
            Incoming::Event(event) if event.event == "connect.challenge" => break event.payload,
            _ => {}
        }
    };
    let params = connect_params(&challenge, device, credential, authority, display_name);
    let frame = serde_json::to_string(&Request::new("connect", "connect", &params))
        .map_err(|_| Fault::Lost)?;
    socket.send(Message::text(frame)).await.map_err(|e| unreachable(&e))?;
    let answer = loop {
        match receive(&mut socket).await? {
            Incoming::Res(answer) if answer.id == "connect" => break answer,
            _ => {}
        }
    };
    if !answer.ok {
        return Err(refusal(answer.error.unwrap_or_default()));
    }
    let hello = Hello::read(&answer.payload);
    version::check(&hello)?;
    let token = text(&answer.payload, "/auth/deviceToken");
    let device_token = (!token.is_empty()).then(|| Secret::new(token.to_owned()));
    Ok(run(socket, hello, device_token))
}

fn connect_params(
    challenge: &Value,
    device: &Device,
    credential: &Credential,
    authority: Authority,
    display_name: &str,
) -> Value {
    let nonce = text(challenge, "/nonce");
    let signed_at = challenge.pointer("/ts").and_then(Value::as_i64).unwrap_or_default();
    let (member, token) = match credential {
        Credential::Shared(token) => ("token", token.expose()),
        Credential::Device(token) => ("deviceToken", token.expose()),
    };
    let mut asked = authority.scopes().to_vec();
    if planted!("admin_scope_asked") {
        asked.push("operator.admin");
    }
    if planted!("no_scope_is_asked") {
        asked.clear();
    }
    let scopes = asked.join(",");
    let id = device.id();
    let signed = format!(
        "v3|{id}|{CLIENT}|{MODE}|operator|{scopes}|{signed_at}|{token}|{nonce}|{PLATFORM}|"
    );
    json!({
        "minProtocol": PROTOCOLS.start(), "maxProtocol": PROTOCOLS.end(),
        "client": {"id": CLIENT, "version": env!("CARGO_PKG_VERSION"), "platform": PLATFORM, "mode": MODE,
            "displayName": display_name},
        "role": "operator", "scopes": asked, "caps": ["tool-events", "session-scoped-events"],
        "auth": {member: token},
        "device": {"id": id, "publicKey": device.public_key(), "signature": device.sign(&signed),
            "signedAt": signed_at, "nonce": nonce},
    })
}

/// What a refused `connect` means.
fn refusal(error: GatewayError) -> Fault {
    let detail = error.detail_code().to_owned();
    let either = |code: &str| error.code == code || detail == code;
    if either("PAIRING_REQUIRED") || either("NOT_PAIRED") {
        return match text(&error.details, "/requestId") {
            "" => Fault::NotPaired,
            request => Fault::PairingPending { request: request.to_owned() },
        };
    }
    if detail.contains("PROTOCOL") || error.message.contains("protocol mismatch") {
        let theirs = error.details.pointer("/expectedProtocol").and_then(Value::as_u64);
        return UnsupportedGateway::Protocol { theirs }.into();
    }
    if detail.starts_with("AUTH_")
        || detail.starts_with("DEVICE_AUTH")
        || error.message.contains("unauthorized")
    {
        let code = if detail.is_empty() { error.code } else { detail };
        return Fault::Unauthorized { code };
    }
    Fault::Refused { method: "connect", error }
}

async fn receive(socket: &mut Socket) -> Result<Incoming, Fault> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(frame))) => {
                return serde_json::from_str(&frame)
                    .map_err(|error| Fault::Unreachable(error.to_string()));
            }
            Some(Ok(Message::Close(_))) | None => return Err(Fault::Lost),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(Fault::Unreachable(error.to_string())),
        }
    }
}

fn run(socket: Socket, hello: Hello, device_token: Option<Secret>) -> Connection {
    let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
    let (notices, _) = broadcast::channel(NOTICES_MAX);
    let closed = CancellationToken::new();
    let silence = Duration::from_millis(hello.tick_interval_ms.clamp(1_000, 120_000)) * 5 / 2;
    let pump =
        Pump { inbox, notices: notices.clone(), waiting: HashMap::new(), last_seq: None, silence };
    let connection = Connection {
        hello: Arc::new(hello),
        device_token,
        requests,
        notices,
        closed: closed.clone(),
        next_id: Arc::new(AtomicU64::new(1)),
    };
    tokio::spawn(async move {
        // The guard also fires when the pump panics: nobody may wait on a dead connection.
        let guard = closed.clone().drop_guard();
        pump.run(socket, &closed).await;
        drop(guard);
    });
    connection
}

struct Pump {
    inbox: mpsc::Receiver<Ask>,
    notices: broadcast::Sender<Notice>,
    waiting: HashMap<String, Waiting>,
    last_seq: Option<u64>,
    silence: Duration,
}

/// Who waits for the answers to one request.
struct Waiting {
    first: Option<oneshot::Sender<Answer>>,
    second: Option<oneshot::Sender<Answer>>,
}

impl Pump {
    async fn run(mut self, mut socket: Socket, closed: &CancellationToken) {
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                () = closed.cancelled() => break,
                () = tokio::time::sleep_until(heard + self.silence) => break,
                ask = self.inbox.recv() => {
                    let Some(ask) = ask else { break };
                    self.waiting.insert(ask.id, Waiting { first: Some(ask.answer), second: ask.second });
                    match timeout(self.silence, socket.send(Message::text(ask.frame))).await {
                        Ok(Ok(())) => {}
                        _ => break,
                    }
                }
                frame = socket.next() => {
                    heard = Instant::now();
                    match frame {
                        Some(Ok(Message::Text(frame))) => self.handle(&frame),
                        Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                        Some(Ok(_)) => {}
                    }
                }
            }
        }
        let _ = timeout(Duration::from_millis(200), socket.close(None)).await;
    }

    fn handle(&mut self, frame: &str) {
        match serde_json::from_str(frame) {
            Ok(Incoming::Res(answer)) => self.handle_answer(answer),
            Ok(Incoming::Event(event)) => self.handle_event(event),
            Ok(Incoming::Other) => {}
            Err(error) => tracing::warn!(%error, "the gateway sent a frame that does not parse"),
        }
    }

    fn handle_answer(&mut self, answer: Answer) {
        let Some(Waiting { first, second }) = self.waiting.get_mut(&answer.id) else {
            return;
        };
        if let Some(first) = first.take() {
            // A refusal, and an answer from the gateway's cache, stay alone.
            let alone =
                second.is_none() || !answer.ok || text(&answer.payload, "/status") != "accepted";
            if alone {
                self.waiting.remove(&answer.id);
            }
            let _ = first.send(answer);
            return;
        }
        if let Some(second) = self.waiting.remove(&answer.id).and_then(|waiting| waiting.second) {
            let _ = second.send(answer);
        }
    }

    fn handle_event(&mut self, event: Event) {
        if let Some(seq) = event.seq {
            if self.last_seq.is_some_and(|last| seq != last + 1) {
                let _ = self.notices.send(Notice::Gap);
            }
            self.last_seq = Some(seq);
        }
        if event.event != "tick" {
            let _ = self.notices.send(Notice::Event(Arc::new(event)));
        }
    }
}

const CLIENT: &str = "cli";
const MODE: &str = "cli";
/// Pinned by the gateway at pairing, so it must not follow the machine's details.
const PLATFORM: &str = std::env::consts::OS;
const CONNECT_MS_MAX: u64 = 15_000;
const ANSWER_MS_MAX: u64 = 30_000;
const FRAME_BYTES_MAX: usize = 32 * 1024 * 1024;
const REQUESTS_MAX: usize = 64;
const NOTICES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn error(code: &str, details: Value) -> GatewayError {
        GatewayError { code: code.to_owned(), message: String::new(), details }
    }

    #[test]
    fn refusals_become_what_a_person_can_act_on() {
        let pending =
            refusal(error("NOT_PAIRED", json!({"code": "PAIRING_REQUIRED", "requestId": "7"})));
        assert!(matches!(pending, Fault::PairingPending { request } if request == "7"));
        let bad = refusal(error("INVALID_REQUEST", json!({"code": "AUTH_TOKEN_MISMATCH"})));
        assert!(matches!(bad, Fault::Unauthorized { code } if code == "AUTH_TOKEN_MISMATCH"));
        let new = refusal(error(
            "INVALID_REQUEST",
            json!({"code": "PROTOCOL_MISMATCH", "expectedProtocol": 5}),
        ));
        assert!(matches!(
            new,
            Fault::Unsupported(UnsupportedGateway::Protocol { theirs: Some(5) })
        ));
        assert!(matches!(refusal(error("UNAVAILABLE", Value::Null)), Fault::Refused { .. }));
    }

    #[test]
    fn the_signature_covers_scopes_and_token() {
        let home = tempfile::tempdir().unwrap();
        let device = Device::open(&home.path().join("d")).unwrap();
        let challenge = json!({"nonce": "n", "ts": 5});
        let asked = |token: &str, authority| {
            let credential = Credential::Device(Secret::new(token.to_owned()));
            connect_params(&challenge, &device, &credential, authority, "x")
        };
        let one = asked("a", Authority::Runs);
        for other in [asked("b", Authority::Runs), asked("a", Authority::RunsAndApprovals)] {
            assert_ne!(one["device"]["signature"], other["device"]["signature"]);
        }
        assert_eq!(one["scopes"], json!(["operator.write"]));
    }
}
