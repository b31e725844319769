//! One connection, from its first byte to its last.
//!
//! The protocol is chosen by ALPN and never by looking at the first bytes: a guesser has to wait for
//! them, and a peer that sends half a preface keeps it waiting for ever.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use landbridge_planted::planted;

use super::accept::{Settings, TransportSecurity};
use super::activity::{Activity, Cut, InFlight, Limits, StreamWatch, WatchedBody, WatchedIo};
use super::connect::BoxStream;
use super::flood::FloodMeter;
use super::limit_body::RequestBody;
use super::listen::RemoteAddr;
use super::tls::ALPN_H2;

/// The body of a response, whatever it is made of.
pub type ResponseBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// What answers requests: any function, or an axum router.
#[derive(Clone)]
pub struct App {
    answer: Arc<
        dyn Fn(Request<RequestBody>) -> BoxFuture<'static, Response<ResponseBody>> + Send + Sync,
    >,
}

impl App {
    /// An app made of a function.
    pub fn new<F, Fut, B>(answer: F) -> Self
    where
        F: Fn(Request<RequestBody>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<B>> + Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let answer = Arc::new(answer);
        Self {
            answer: Arc::new(move |request| {
                let answering = answer(request);
                Box::pin(async move {
                    answering.await.map(|body| body.map_err(Into::into).boxed_unsync())
                })
            }),
        }
    }

    /// An app made of an axum router.
    #[must_use]
    pub fn router(router: axum::Router) -> Self {
        Self::new(move |request| {
            let mut router = router.clone();
            async move {
                // A router is always ready and cannot fail.
                match tower::Service::call(&mut router, request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
        })
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}

/// How a request came in; in every request's extensions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connection {
    /// Who is at the other end.
    pub remote: RemoteAddr,
    /// The protocol that ALPN chose.
    pub protocol: Protocol,
}

/// The two protocols of the contract.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself, or by the drain.
    Orderly,
    /// The TLS handshake failed or was late.
    NoHandshake,
    /// By the server.
    Cut(Cut),
    /// By a fault of the peer or the network.
    Broken(hyper::Error),
}

/// What every connection of one server shares.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) security: TransportSecurity,
    pub(super) app: App,
    pub(super) drain: CancellationToken,
}

/// Serves one connection to its end. `handshaking` is dropped when the TLS handshake is over.
pub(super) async fn serve<G>(
    shared: Arc<Shared>,
    stream: BoxStream,
    remote: RemoteAddr,
    handshaking: G,
) -> Ended {
    let first_head_by = Instant::now() + shared.settings.first_request;
    let (stream, protocol) = match &shared.security {
        TransportSecurity::Tls(config) => {
            let accepting = TlsAcceptor::from(Arc::clone(config)).accept(stream);
            let handshake = tokio::select! {
                handshake = timeout_at(first_head_by, accepting) => handshake,
                () = shared.drain.cancelled() => return Ended::NoHandshake,
            };
            let Ok(Ok(stream)) = handshake else {
                return Ended::NoHandshake;
            };
            let is_h2 = stream.get_ref().1.alpn_protocol() == Some(ALPN_H2);
            let protocol = if is_h2 { Protocol::Http2 } else { Protocol::Http1 };
            (Box::new(stream) as BoxStream, protocol)
        }
        TransportSecurity::LocalPlaintext => (stream, Protocol::Http1),
    };
    drop(handshaking);

    let settings = &shared.settings;
    let limits = Limits { first_head_by, idle: settings.idle, write_stall: settings.write_stall };
    let activity = Activity::new();
    let meter = (protocol == Protocol::Http2)
        .then(|| FloodMeter::of_client(settings.flood, Instant::now()));
    let io = TokioIo::new(WatchedIo::new(stream, Arc::clone(&activity), meter));
    let service = ConnectionService {
        shared: Arc::clone(&shared),
        activity: Arc::clone(&activity),
        connection: Connection { remote, protocol },
        next_watch: NextWatch::default(),
    };
    match protocol {
        Protocol::Http1 => {
            let connection = http1_builder(settings).serve_connection(io, service);
            drive(
                connection,
                http1::Connection::graceful_shutdown,
                &activity,
                &limits,
                &shared.drain,
            )
            .await
        }
        Protocol::Http2 => {
            let gone = CancellationToken::new();
            let executor = StreamExecutor {
                next_watch: service.next_watch.clone(),
                write_stall: settings.write_stall,
                gone: gone.clone(),
            };
            // Streams run in tasks of their own and must not outlive their connection.
            let _gone = gone.drop_guard();
            let connection = http2_builder(settings, executor).serve_connection(io, service);
            drive(
                connection,
                http2::Connection::graceful_shutdown,
                &activity,
                &limits,
                &shared.drain,
            )
            .await
        }
    }
}

/// Lets a connection run until it ends, has to be cut, or the server drains.
async fn drive<C>(
    connection: C,
    graceful_shutdown: impl Fn(Pin<&mut C>),
    activity: &Activity,
    limits: &Limits,
    drain: &CancellationToken,
) -> Ended
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = std::pin::pin!(connection);
    let mut closing = false;
    loop {
        let look_again_at = activity.look_again_at(limits, Instant::now());
        tokio::select! {
            result = connection.as_mut() => return result.map_or_else(Ended::Broken, |()| Ended::Orderly),
            () = drain.cancelled(), if !closing => {
                graceful_shutdown(connection.as_mut());
                closing = true;
            }
            () = sleep_until(look_again_at) => match activity.verdict(limits, Instant::now()) {
                // An idle peer is told, and cut only if it does not mind the telling.
                Some(Cut::Idle) if !closing => {
                    graceful_shutdown(connection.as_mut());
                    closing = true;
                }
                Some(cut) => return Ended::Cut(cut),
                None => {}
            },
        }
    }
}

fn http1_builder(settings: &Settings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // hyper starts this timer when it waits for a head, so it also ends idle connections.
    builder.timer(TokioTimer::new()).header_read_timeout(settings.first_request);
    builder
        .max_headers(settings.header_count_max)
        .max_buf_size(settings.header_bytes_max.max(8192));
    builder.half_close(false);
    builder
}

fn http2_builder(settings: &Settings, executor: StreamExecutor) -> http2::Builder<StreamExecutor> {
    let mut builder = http2::Builder::new(executor);
    builder.timer(TokioTimer::new());
    builder.max_concurrent_streams(settings.streams_max);
    builder.max_header_list_size(u32::try_from(settings.header_bytes_max).unwrap_or(u32::MAX));
    builder.initial_stream_window_size(settings.stream_window_bytes);
    builder.initial_connection_window_size(settings.connection_window_bytes);
    builder.max_send_buf_size(settings.send_buffer_bytes);
    builder.keep_alive_interval(settings.ping_every).keep_alive_timeout(settings.ping_timeout);
    builder.max_pending_accept_reset_streams(settings.pending_resets_max);
    builder.max_local_error_reset_streams(settings.pending_resets_max);
    builder
}

/// Where the service leaves a stream's watch for the executor, which is called right after it, from the
/// same poll: hyper offers no other way to tell which stream a task belongs to.
#[derive(Clone, Debug, Default)]
struct NextWatch(Arc<Mutex<Option<Arc<StreamWatch>>>>);

impl NextWatch {
    fn put(&self, watch: Option<Arc<StreamWatch>>) -> Option<Arc<StreamWatch>> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), watch)
    }
}

/// Runs HTTP/2 streams as tasks, and resets one that its reader lets stall.
#[derive(Clone)]
struct StreamExecutor {
    next_watch: NextWatch,
    write_stall: std::time::Duration,
    gone: CancellationToken,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let watch = self.next_watch.put(None);
        let (write_stall, gone) = (self.write_stall, self.gone.clone());
        tokio::spawn(async move {
            let stalled = async {
                match watch {
                    Some(watch) => watch.stalled(write_stall).await,
                    None => std::future::pending().await,
                }
            };
            // Dropping the stream's future resets the stream and leaves the others alone.
            tokio::select! {
                () = stream => {}
                () = stalled => {
                    metrics::counter!(crate::observe::STREAMS_CUT, "reason" => "write_stalled").increment(1);
                }
                () = gone.cancelled() => {}
            }
        });
    }
}

/// Answers the requests of one connection.
struct ConnectionService {
    shared: Arc<Shared>,
    activity: Arc<Activity>,
    connection: Connection,
    next_watch: NextWatch,
}

impl hyper::service::Service<Request<Incoming>> for ConnectionService {
    type Response = Response<WatchedBody<ResponseBody>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let in_flight = self.activity.begin();
        let watch = StreamWatch::new();
        if self.connection.protocol == Protocol::Http2 {
            self.next_watch.put(Some(Arc::clone(&watch)));
        }
        metrics::counter!(crate::observe::REQUESTS).increment(1);
        if let Err(status) = check_head(&self.shared.settings, &request) {
            return Box::pin(async move { Ok(refuse(status, watch, in_flight)) });
        }
        if planted!("nobody_is_served") {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return Box::pin(async move { Ok(refuse(status, watch, in_flight)) });
        }
        let (head, body) = request.into_parts();
        let body = RequestBody::incoming(body, &head.headers, self.shared.settings.request_body);
        let mut request = Request::from_parts(head, body);
        request.extensions_mut().insert(self.connection);
        let answering = (self.shared.app.answer)(request);
        Box::pin(
            async move { Ok(answering.await.map(|body| WatchedBody::new(body, watch, in_flight))) },
        )
    }
}

/// Refuses what no plane has a use for, before anybody reads it.
fn check_head(settings: &Settings, request: &Request<Incoming>) -> Result<(), StatusCode> {
    if request.method() == http::Method::CONNECT {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let target_bytes = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target_bytes > settings.target_bytes_max {
        return Err(StatusCode::URI_TOO_LONG);
    }
    if request.headers().len() > settings.header_count_max
        || header_bytes(request.headers()) > settings.header_bytes_max
    {
        return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    Ok(())
}

fn header_bytes(headers: &HeaderMap<HeaderValue>) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

fn refuse(
    status: StatusCode,
    watch: Arc<StreamWatch>,
    in_flight: InFlight,
) -> Response<WatchedBody<ResponseBody>> {
    let empty = http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(WatchedBody::new(empty, watch, in_flight));
    *response.status_mut() = status;
    response
}
