//! The local API as a stranger's program would speak it: HTTP/1.1 and JSON, nothing of our own types.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

use crate::described;
use crate::history::History;

/// Where a bridge's local API is.
#[derive(Clone, Debug)]
pub enum Api {
    /// Its socket: the owner's power.
    Socket(PathBuf),
    /// Loopback TCP: a token's power.
    Loopback(SocketAddr),
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The problem's code; empty when it is none.
    #[must_use]
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Api {
    /// Reads a resource with the caller's own power.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(Method::GET, path, &[], None).await
    }

    /// Posts JSON.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(Method::POST, path, &[], Some(body)).await
    }

    /// Sends any request and takes the whole answer.
    ///
    /// # Errors
    ///
    /// When there is no answer, or one that the API's description does not have.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let asked = method.clone();
        let answer = async {
            let response = self.open(method, path, headers, body).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
        };
        let answer: anyhow::Result<Answer> =
            timeout(ANSWER_WITHIN, answer).await.context("the local API did not answer")?;
        let answer = answer?;
        described::check(asked.as_str(), path, answer.status, &answer.code())?;
        Ok(answer)
    }

    /// Starts a run and measures how long its first frame takes.
    ///
    /// # Errors
    ///
    /// When the start is refused, or no frame comes.
    pub async fn time_to_frame(&self, start: &Value) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let first = async {
            let headers = [("accept", "application/x-ndjson")];
            let mut answer = self.open(Method::POST, "/v1/runs", &headers, Some(start)).await?;
            anyhow::ensure!(
                answer.status().is_success(),
                "a start is answered {}",
                answer.status()
            );
            while let Some(frame) = answer.body_mut().frame().await {
                if frame?.into_data().is_ok_and(|data| data.contains(&b'{')) {
                    return Ok(begun.elapsed());
                }
            }
            anyhow::bail!("the stream ended before a frame")
        };
        timeout(FRAME_WITHIN, first).await.context("no frame came in time")?
    }

    async fn open(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> anyhow::Result<Response<Incoming>> {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", self.host());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let bytes = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Bytes::from(serde_json::to_vec(body)?)
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(bytes))?;
        let io = TokioIo::new(self.connect().await?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
        tokio::spawn(connection);
        Ok(sender.send_request(request).await?)
    }

    async fn connect(&self) -> anyhow::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Socket(path) => Box::new(UnixStream::connect(path).await?),
            Self::Loopback(address) => Box::new(TcpStream::connect(address).await?),
        })
    }

    fn host(&self) -> String {
        match self {
            Self::Socket(_) => "landbridge".to_owned(),
            Self::Loopback(address) => address.to_string(),
        }
    }

    /// Reads a run's frames into a history, over as many connections as it takes, until its terminal.
    ///
    /// # Errors
    ///
    /// When the frames do not fit together, or the terminal does not come in time.
    pub async fn follow(&self, run: &str, history: &mut History) -> anyhow::Result<()> {
        self.follow_within(run, history, TERMINAL_WITHIN).await
    }

    /// As [`Api::follow`], with a deadline of one's own.
    ///
    /// # Errors
    ///
    /// When the frames do not fit together, or the terminal does not come in time.
    pub async fn follow_within(
        &self,
        run: &str,
        history: &mut History,
        within: Duration,
    ) -> anyhow::Result<()> {
        let until = Instant::now() + within;
        while !history.ended() {
            anyhow::ensure!(
                Instant::now() < until,
                "run {run} has no terminal in time, after frame {}",
                history.cursor()
            );
            let left = until - Instant::now();
            match timeout(left, self.read_some(run, history)).await {
                // A bridge that is down, or went down: the cursor is ours, so come back with it.
                Ok(Ok(())) | Err(_) => tokio::time::sleep(POLL_EVERY).await,
                Ok(Err(fault)) => return Err(fault),
            }
        }
        Ok(())
    }

    /// One connection's worth of frames. A line that was cut short is not a line.
    async fn read_some(&self, run: &str, history: &mut History) -> anyhow::Result<()> {
        let path = format!("/v1/runs/{run}/frames?after={}", history.cursor());
        let headers = [("accept", "application/x-ndjson")];
        let Ok(response) = self.open(Method::GET, &path, &headers, None).await else {
            return Ok(());
        };
        let status = response.status().as_u16();
        anyhow::ensure!(matches!(status, 200 | 503), "frames of {run} are answered {status}");
        if status != 200 {
            return Ok(());
        }
        history.connected();
        let (mut body, mut rest) = (response.into_body(), BytesMut::new());
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(data) = frame.into_data() else { continue };
            rest.extend_from_slice(&data);
            while let Some(at) = rest.iter().position(|&byte| byte == b'\n') {
                let line = rest.split_to(at + 1);
                if at > 0 {
                    history.take(std::str::from_utf8(&line[..at])?)?;
                }
            }
        }
        Ok(())
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

const FRAME_WITHIN: Duration = Duration::from_secs(120);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const TERMINAL_WITHIN: Duration = Duration::from_secs(60);
const POLL_EVERY: Duration = Duration::from_millis(10);
