//! Requests to peers: pinned TLS, one shared HTTP/2 connection where the peer speaks it, and a deadline
//! on everything but the stream itself.
//!
//! What it does not do is part of its job: it follows no redirect, keeps no cookie, inflates nothing and
//! repeats no request that may have arrived. Repeating is the driver's decision, with the same key.

mod pool;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, EXPECT, HOST, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout, timeout_at};

use self::pool::{LineGuard, Pool, Unsent};
use landbridge_planted::planted;

use super::connect::{Connector, ForbiddenAddress};
use super::endpoint::Endpoint;
use super::flood::FloodSettings;
use super::limit_body::{self, BodyError};
use super::serve::Protocol;
use super::tls::{SpkiDigest, Trust};

/// Limits of a client.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// From the first packet to the end of the TLS handshake.
    pub connect: Duration,
    /// From the call to the response's head, connecting included.
    pub response_head: Duration,
    /// From the response's head to the end of a body that is taken whole.
    pub response_body: Duration,
    /// Response streams of one HTTP/2 connection before another one is opened.
    pub streams_per_connection: usize,
    /// HTTP/2 connections to one endpoint.
    pub connections_per_endpoint: usize,
    /// Endpoints whose connections are kept.
    pub endpoints_max: usize,
    /// Bytes of a response's headers.
    pub header_bytes_max: u32,
    /// Headers of an HTTP/1.1 response.
    pub header_count_max: usize,
    /// Response bytes that one stream may be sent ahead.
    pub stream_window_bytes: u32,
    /// Response bytes that one connection may be sent ahead.
    pub connection_window_bytes: u32,
    /// A PING goes out on a connection this often; half-open connections are found by it.
    pub ping_every: Duration,
    /// A PING without answer ends the connection after this long.
    pub ping_timeout: Duration,
    /// HTTP/2 frames that are all cost.
    pub flood: FloodSettings,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            response_head: Duration::from_secs(30),
            response_body: Duration::from_secs(30),
            streams_per_connection: 128,
            connections_per_endpoint: 8,
            endpoints_max: 256,
            header_bytes_max: 16 * 1024,
            header_count_max: 64,
            stream_window_bytes: 256 * 1024,
            connection_window_bytes: 16 * 1024 * 1024,
            ping_every: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(10),
            flood: FloodSettings::default(),
        }
    }
}

/// A peer's endpoint, and who must answer there.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Target {
    /// Where.
    pub endpoint: Endpoint,
    /// Who.
    pub trust: Trust,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The request itself cannot be sent: a path without a leading slash, or a header that the client
    /// does not send.
    #[error("the request cannot be sent: {what}")]
    Unsendable {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The endpoint leads only to addresses that must not be dialled.
    #[error(transparent)]
    Forbidden(ForbiddenAddress),
    /// No connection.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// The other side holds another key than the pinned one.
    #[error("what answers there does not have the peer's TLS key")]
    WrongKey,
    /// The TLS handshake failed.
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
    /// No response's head in time.
    #[error("no response in time")]
    Late {
        /// Whether the request had been handed to a connection by then.
        sent: bool,
    },
    /// The connection or its framing broke before the response's head.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
    /// The connection closed before the request was sent, twice in a row.
    #[error("the connection closed before the request was sent")]
    Closed,
    /// The response's body was refused or broke off.
    #[error("the response's body is not usable")]
    Body(#[source] BodyError),
}

impl ClientError {
    /// Says whether the peer may have seen the request. When not, trying elsewhere is always safe.
    #[must_use]
    pub const fn may_have_arrived(&self) -> bool {
        match self {
            Self::Unsendable { .. }
            | Self::Forbidden(_)
            | Self::Connect(_)
            | Self::WrongKey
            | Self::Handshake(_)
            | Self::Closed => false,
            Self::Late { sent } => *sent,
            Self::Broken(_) | Self::Body(_) => true,
        }
    }
}

/// The key that the other side of the connection proved to hold; in every response's extensions, as is
/// [`Protocol`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerKey(pub SpkiDigest);

/// Sends requests. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    pool: Arc<Pool>,
}

impl Client {
    /// A client over this connector.
    #[must_use]
    pub fn new(settings: ClientSettings, connector: Arc<dyn Connector>) -> Self {
        Self { pool: Arc::new(Pool::new(settings, connector)) }
    }

    /// Posts `body` and returns with the response's head; the body follows as a stream.
    ///
    /// # Errors
    ///
    /// When there is no usable head in time. Any HTTP status is a response, a redirect too.
    //= ID-39
    pub async fn post(
        &self,
        target: &Target,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<ResponseStream>, ClientError> {
        self.send(target, Outgoing { method: Method::POST, path, headers, body }).await
    }

    /// Gets a document.
    ///
    /// # Errors
    ///
    /// When there is no usable head in time. Any HTTP status is a response, a redirect too.
    pub async fn get(
        &self,
        target: &Target,
        path: &str,
        headers: HeaderMap,
    ) -> Result<Response<ResponseStream>, ClientError> {
        self.send(target, Outgoing { method: Method::GET, path, headers, body: Bytes::new() }).await
    }

    /// Forgets all kept connections; streams that are under way go on.
    pub fn forget_connections(&self) {
        self.pool.clear();
    }

    async fn send(
        &self,
        target: &Target,
        outgoing: Outgoing<'_>,
    ) -> Result<Response<ResponseStream>, ClientError> {
        outgoing.check()?;
        let head_by = Instant::now() + self.pool.settings.response_head;
        let sent = AtomicBool::new(false);
        let sending = self.send_once_or_again(target, &outgoing, &sent);
        let (response, guard) = match timeout_at(head_by, sending).await {
            Ok(answered) => answered?,
            Err(_) => {
                let sent = sent.load(Ordering::Relaxed);
                return Err(ClientError::Late { sent });
            }
        };
        if planted!("redirect_followed") && response.status().is_redirection() {
            drop((response, guard));
            let (response, guard) = self.send_once_or_again(target, &outgoing, &sent).await?;
            let whole_within = self.pool.settings.response_body;
            return Ok(response.map(|inner| ResponseStream { inner, whole_within, _guard: guard }));
        }
        if limit_body::is_encoded(response.headers()) {
            return Err(ClientError::Body(BodyError::Encoded));
        }
        if planted!("no_response_is_taken") {
            return Err(ClientError::Body(BodyError::Encoded));
        }
        let mut response = response;
        response.extensions_mut().insert(guard.peer());
        response.extensions_mut().insert(guard.protocol());
        let whole_within = self.pool.settings.response_body;
        Ok(response.map(|inner| ResponseStream { inner, whole_within, _guard: guard }))
    }

    /// A kept connection may turn out to be closed. A request that was certainly not sent on it is sent
    /// once more, on a new one.
    async fn send_once_or_again(
        &self,
        target: &Target,
        outgoing: &Outgoing<'_>,
        sent: &AtomicBool,
    ) -> Result<(Response<Incoming>, LineGuard), ClientError> {
        for _ in 0..2 {
            let line = self.pool.line(target).await?;
            let request = outgoing.request(&target.endpoint, line.protocol())?;
            sent.store(true, Ordering::Relaxed);
            match line.send(request).await {
                Ok(answered) => return Ok(answered),
                Err(Unsent::Certainly) => sent.store(false, Ordering::Relaxed),
                Err(Unsent::Maybe(error)) => return Err(ClientError::Broken(error)),
            }
        }
        Err(ClientError::Closed)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// A request before it is known which protocol carries it.
struct Outgoing<'a> {
    method: Method,
    path: &'a str,
    headers: HeaderMap,
    body: Bytes,
}

impl Outgoing<'_> {
    fn check(&self) -> Result<(), ClientError> {
        if !self.path.starts_with('/') || self.path.starts_with("//") {
            return Err(ClientError::Unsendable { what: "the path does not begin with one slash" });
        }
        let unwanted = [CONTENT_ENCODING, EXPECT, HOST, CONNECTION, TRANSFER_ENCODING];
        if unwanted.iter().any(|name| self.headers.contains_key(name)) {
            return Err(ClientError::Unsendable { what: "a header that only the client may set" });
        }
        Ok(())
    }

    fn request(
        &self,
        endpoint: &Endpoint,
        protocol: Protocol,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let unsendable = |_| ClientError::Unsendable { what: "the path is not a valid one" };
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let authority = endpoint.authority();
        let uri = match protocol {
            Protocol::Http2 => {
                *request.version_mut() = Version::HTTP_2;
                format!("https://{authority}{}", self.path)
            }
            Protocol::Http1 => {
                let host = HeaderValue::from_str(&authority)
                    .map_err(|_| ClientError::Unsendable { what: "the host is not a valid one" })?;
                request.headers_mut().insert(HOST, host);
                request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                self.path.to_owned()
            }
        };
        *request.uri_mut() = uri.parse::<Uri>().map_err(unsendable)?;
        Ok(request)
    }
}

/// A response's body, as it arrives. Dropping it ends the stream at once: a reset on HTTP/2, a closed
/// connection on HTTP/1.1.
#[derive(Debug)]
pub struct ResponseStream {
    inner: Incoming,
    whole_within: Duration,
    _guard: LineGuard,
}

impl ResponseStream {
    /// The next bytes, or `None` at the body's orderly end. Cancel safe; how long to wait is up to the
    /// caller.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, BodyError>> {
        loop {
            match self.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Body for ResponseStream {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.inner)
            .poll_frame(cx)
            .map(|frame| frame.map(|frame| frame.map_err(limit_body::broken)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Takes a whole response of at most `limit` bytes, within the client's `response_body`.
///
/// # Errors
///
/// When the body is too large, too slow or broken.
pub async fn collect(
    response: Response<ResponseStream>,
    limit: usize,
) -> Result<(http::response::Parts, Bytes), ClientError> {
    let (head, body) = response.into_parts();
    let within = body.whole_within;
    let bytes = timeout(within, limit_body::collect_body(body, &head.headers, limit))
        .await
        .map_err(|_| ClientError::Body(BodyError::TooSlow))?
        .map_err(ClientError::Body)?;
    Ok((head, bytes))
}
