//! Connections that are kept: HTTP/2 ones, shared by many streams. HTTP/1.1 carries one request and
//! goes.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::{ClientError, ClientSettings, PeerKey, Target};
use crate::net::activity::{Activity, WatchedIo};
use crate::net::connect::{BoxStream, Connector, ForbiddenAddress};
use crate::net::endpoint::{Endpoint, Host};
use crate::net::flood::FloodMeter;
use crate::net::serve::Protocol;
use crate::net::tls::{self, ALPN_H2, SpkiDigest};

/// The kept connections of a client.
pub(super) struct Pool {
    pub(super) settings: ClientSettings,
    connector: Arc<dyn Connector>,
    slots: Mutex<HashMap<Target, Arc<Slot>>>,
}

/// What is kept for one target.
#[derive(Default)]
struct Slot {
    /// Held while connecting to a peer that speaks HTTP/2, so that a hundred waiting requests open one
    /// connection and not a hundred.
    connecting: tokio::sync::Mutex<()>,
    lanes: Mutex<Vec<Lane>>,
    /// How many attempts to connect have failed. Who waited through a failure shares it, so that a
    /// crowd before a dead peer waits for one attempt and not one after the other for all of theirs.
    failures: AtomicUsize,
    /// The peer chose HTTP/1.1 last time: its connections are not shared, so nobody waits for another's.
    speaks_http1: AtomicBool,
}

/// One HTTP/2 connection.
#[derive(Clone)]
struct Lane {
    sender: http2::SendRequest<Full<Bytes>>,
    load: Arc<AtomicUsize>,
    peer: PeerKey,
}

/// A connection that takes one request.
pub(super) enum Line {
    Http1 { sender: http1::SendRequest<Full<Bytes>>, guard: LineGuard },
    Http2 { sender: http2::SendRequest<Full<Bytes>>, guard: LineGuard },
}

/// Why a request has no answer, as far as it matters to repeating it.
pub(super) enum Unsent {
    /// Not a byte of it went out.
    Certainly,
    /// It may have arrived.
    Maybe(hyper::Error),
}

/// Kept for as long as the response is read.
#[derive(Debug)]
pub(super) struct LineGuard {
    peer: PeerKey,
    hold: Hold,
}

#[derive(Debug)]
enum Hold {
    /// A place on a shared connection.
    Shared(Arc<AtomicUsize>),
    /// A connection of its own.
    Own(AbortHandle),
}

impl LineGuard {
    pub(super) const fn peer(&self) -> PeerKey {
        self.peer
    }

    pub(super) const fn protocol(&self) -> Protocol {
        match self.hold {
            Hold::Shared(_) => Protocol::Http2,
            Hold::Own(_) => Protocol::Http1,
        }
    }
}

impl Drop for LineGuard {
    fn drop(&mut self) {
        match &self.hold {
            Hold::Shared(load) => {
                load.fetch_sub(1, Ordering::Relaxed);
            }
            Hold::Own(task) => task.abort(),
        }
    }
}

impl Line {
    pub(super) const fn protocol(&self) -> Protocol {
        match self {
            Self::Http1 { .. } => Protocol::Http1,
            Self::Http2 { .. } => Protocol::Http2,
        }
    }

    pub(super) async fn send(
        self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, LineGuard), Unsent> {
        let (result, guard) = match self {
            Self::Http1 { mut sender, guard } => {
                sender.ready().await.map_err(|_| Unsent::Certainly)?;
                (sender.try_send_request(request).await, guard)
            }
            Self::Http2 { mut sender, guard } => {
                sender.ready().await.map_err(|_| Unsent::Certainly)?;
                (sender.try_send_request(request).await, guard)
            }
        };
        match result {
            Ok(response) => Ok((response, guard)),
            // hyper gives the request back when it did not get as far as the connection.
            Err(mut error) => match error.take_message() {
                Some(_) => Err(Unsent::Certainly),
                None => Err(Unsent::Maybe(error.into_error())),
            },
        }
    }
}

impl Slot {
    fn lanes(&self) -> MutexGuard<'_, Vec<Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The least loaded connection that has room, or the least loaded one at all when no more may be
    /// opened.
    fn pick(&self, settings: &ClientSettings) -> Option<Line> {
        let mut lanes = self.lanes();
        lanes.retain(|lane| !lane.sender.is_closed());
        let full = lanes.len() >= settings.connections_per_endpoint;
        let lane = lanes.iter().min_by_key(|lane| lane.load.load(Ordering::Relaxed))?;
        let has_room = lane.load.load(Ordering::Relaxed) < settings.streams_per_connection;
        (has_room || full).then(|| lane.line())
    }

    fn is_empty(&self) -> bool {
        self.lanes().iter().all(|lane| lane.sender.is_closed())
    }
}

impl Lane {
    fn line(&self) -> Line {
        self.load.fetch_add(1, Ordering::Relaxed);
        let guard = LineGuard { peer: self.peer, hold: Hold::Shared(Arc::clone(&self.load)) };
        Line::Http2 { sender: self.sender.clone(), guard }
    }
}

impl Pool {
    pub(super) fn new(settings: ClientSettings, connector: Arc<dyn Connector>) -> Self {
        Self { settings, connector, slots: Mutex::default() }
    }

    pub(super) fn clear(&self) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A kept connection with room, or a new one.
    pub(super) async fn line(&self, target: &Target) -> Result<Line, ClientError> {
        let slot = self.slot(target);
        if let Some(line) = slot.pick(&self.settings) {
            return Ok(line);
        }
        let failures = slot.failures.load(Ordering::Relaxed);
        let connecting = match slot.speaks_http1.load(Ordering::Relaxed) {
            true => None,
            false => Some(slot.connecting.lock().await),
        };
        if let Some(line) = slot.pick(&self.settings) {
            return Ok(line);
        }
        if connecting.is_some() && slot.failures.load(Ordering::Relaxed) != failures {
            let shared =
                io::Error::new(io::ErrorKind::NotConnected, "the attempt under way failed");
            return Err(ClientError::Connect(shared));
        }
        let opened = match timeout(self.settings.connect, self.open(target)).await {
            Ok(opened) => opened,
            Err(_) => Err(ClientError::Connect(io::ErrorKind::TimedOut.into())),
        };
        let opened = opened.inspect_err(|_| {
            slot.failures.fetch_add(1, Ordering::Relaxed);
        })?;
        slot.speaks_http1.store(matches!(opened, Opened::Http1(_)), Ordering::Relaxed);
        let line = match opened {
            Opened::Http1(line) => line,
            Opened::Http2(lane) => {
                let line = lane.line();
                slot.lanes().push(lane);
                line
            }
        };
        drop(connecting);
        Ok(line)
    }

    fn slot(&self, target: &Target) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= self.settings.endpoints_max && !slots.contains_key(target) {
            slots.retain(|_, slot| !slot.is_empty());
            if slots.len() >= self.settings.endpoints_max {
                // Full of living connections: this one is not kept.
                return Arc::default();
            }
        }
        Arc::clone(slots.entry(target.clone()).or_default())
    }

    async fn open(&self, target: &Target) -> Result<Opened, ClientError> {
        let plain = self.connector.connect(&target.endpoint).await.map_err(connect_error)?;
        let config = tls::client_config(target.trust)
            .map_err(|error| ClientError::Handshake(io::Error::other(error)))?;
        let stream = TlsConnector::from(config)
            .connect(server_name(&target.endpoint)?, plain)
            .await
            .map_err(handshake_error)?;
        let session = stream.get_ref().1;
        let is_h2 = session.alpn_protocol() == Some(ALPN_H2);
        let peer = session
            .peer_certificates()
            .and_then(|chain| SpkiDigest::of(chain.first()?).ok())
            .map(PeerKey)
            .ok_or_else(|| ClientError::Handshake(io::ErrorKind::InvalidData.into()))?;
        metrics::counter!(crate::observe::CLIENT_CONNECTIONS).increment(1);
        if is_h2 {
            self.open_http2(Box::new(stream), peer).await
        } else {
            self.open_http1(Box::new(stream), peer).await
        }
    }

    async fn open_http2(&self, stream: BoxStream, peer: PeerKey) -> Result<Opened, ClientError> {
        let settings = &self.settings;
        let meter = FloodMeter::of_server(settings.flood, Instant::now());
        let io = TokioIo::new(WatchedIo::new(stream, Activity::new(), Some(meter)));
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new());
        builder.initial_stream_window_size(settings.stream_window_bytes);
        builder.initial_connection_window_size(settings.connection_window_bytes);
        builder.max_header_list_size(settings.header_bytes_max);
        builder.keep_alive_interval(settings.ping_every).keep_alive_timeout(settings.ping_timeout);
        builder.keep_alive_while_idle(true);
        let (sender, connection) = builder.handshake(io).await.map_err(ClientError::Broken)?;
        // Ends when the peer closes, or when the last sender and stream are gone.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a peer broke");
            }
        });
        Ok(Opened::Http2(Lane { sender, load: Arc::default(), peer }))
    }

    async fn open_http1(&self, stream: BoxStream, peer: PeerKey) -> Result<Opened, ClientError> {
        let mut builder = http1::Builder::new();
        builder.max_headers(self.settings.header_count_max);
        builder.max_buf_size((self.settings.header_bytes_max as usize).max(8192));
        let (sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(ClientError::Broken)?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a peer broke");
            }
        });
        let guard = LineGuard { peer, hold: Hold::Own(task.abort_handle()) };
        Ok(Opened::Http1(Line::Http1 { sender, guard }))
    }
}

/// A connection that was just opened.
enum Opened {
    Http1(Line),
    Http2(Lane),
}

fn server_name(endpoint: &Endpoint) -> Result<ServerName<'static>, ClientError> {
    match endpoint.host() {
        Host::Ip(IpAddr::V4(ip)) => Ok(ServerName::from(IpAddr::V4(*ip))),
        Host::Ip(IpAddr::V6(ip)) => Ok(ServerName::from(IpAddr::V6(*ip))),
        Host::Name(name) => ServerName::try_from(name.to_string())
            .map_err(|_| ClientError::Unsendable { what: "the host is not a valid one" }),
    }
}

fn connect_error(error: io::Error) -> ClientError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<ForbiddenAddress>()) {
        Some(forbidden) => ClientError::Forbidden(forbidden.clone()),
        None => ClientError::Connect(error),
    }
}

fn handshake_error(error: io::Error) -> ClientError {
    use rustls::CertificateError::ApplicationVerificationFailure;
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(ApplicationVerificationFailure)) => {
            ClientError::WrongKey
        }
        _ => ClientError::Handshake(error),
    }
}
