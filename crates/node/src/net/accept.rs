//! The accept loop: how many connections, from whom, and until when.
//!
//! Why not a ready-made server: those tried held every slow or silent connection open for as long as
//! the peer liked. Here each connection has a place in three counts before a byte of it is read, and
//! one deadline until its first request is complete.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::activity::Cut;
use super::flood::FloodSettings;
use super::listen::{Listener, RemoteAddr, source_group};
use super::serve::{App, Ended, Shared, serve};

/// Limits of one listener.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once from one IPv4 address or one IPv6 /64.
    pub connections_per_source_max: usize,
    /// TLS handshakes at once.
    pub handshakes_max: usize,
    /// From the accepted connection to its first complete request head; for HTTP/1.1 also from any
    /// response to the next head.
    pub first_request: Duration,
    /// From a request's head to the end of its body.
    pub request_body: Duration,
    /// Without any request in flight (HTTP/2; HTTP/1.1 ends earlier, see `first_request`).
    pub idle: Duration,
    /// Without the peer taking anything of what is written to it.
    pub write_stall: Duration,
    /// From the shutdown to the end of the last connection.
    pub drain: Duration,
    /// Bytes of a request's header names and values.
    pub header_bytes_max: usize,
    /// Headers of a request.
    pub header_count_max: usize,
    /// Bytes of a request's path and query.
    pub target_bytes_max: usize,
    /// HTTP/2 streams of one connection.
    pub streams_max: u32,
    /// Request bytes that one HTTP/2 stream may send ahead.
    pub stream_window_bytes: u32,
    /// Request bytes that one HTTP/2 connection may send ahead.
    pub connection_window_bytes: u32,
    /// Response bytes that one HTTP/2 stream keeps inside the protocol's own buffer.
    pub send_buffer_bytes: usize,
    /// A PING goes out on a silent HTTP/2 connection this often.
    pub ping_every: Duration,
    /// A PING without answer ends the connection after this long.
    pub ping_timeout: Duration,
    /// Streams reset before they were looked at, or by our own errors.
    pub pending_resets_max: usize,
    /// HTTP/2 frames that are all cost.
    pub flood: FloodSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            connections_per_source_max: 256,
            handshakes_max: 512,
            first_request: Duration::from_secs(10),
            request_body: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            write_stall: Duration::from_secs(30),
            drain: Duration::from_secs(5),
            header_bytes_max: 16 * 1024,
            header_count_max: 64,
            target_bytes_max: 2048,
            streams_max: 512,
            stream_window_bytes: 64 * 1024,
            connection_window_bytes: 1024 * 1024,
            send_buffer_bytes: 64 * 1024,
            ping_every: Duration::from_secs(15),
            ping_timeout: Duration::from_secs(10),
            pending_resets_max: 64,
            flood: FloodSettings::default(),
        }
    }
}

/// What lies between the socket and HTTP.
#[derive(Clone, Debug)]
pub enum TransportSecurity {
    /// TLS: the federation plane, always.
    Tls(Arc<rustls::ServerConfig>),
    /// Nothing, and HTTP/1.1 only: unix sockets and loopback. The listener types see to it that nothing
    /// else is bound for this.
    LocalPlaintext,
}

/// A listener's server.
#[derive(Clone, Debug)]
pub struct Server {
    settings: Settings,
    security: TransportSecurity,
    app: App,
}

impl Server {
    /// A server that is not running yet.
    #[must_use]
    pub const fn new(settings: Settings, security: TransportSecurity, app: App) -> Self {
        Self { settings, security, app }
    }

    /// Serves until `shutdown` is cancelled, and then until every connection has ended or the drain's
    /// deadline has passed. Streams that should end earlier listen to the same token.
    pub async fn run(self, mut listener: impl Listener, shutdown: CancellationToken) {
        let drain_for = self.settings.drain;
        let door = Door::new(&self.settings);
        let shared = Arc::new(Shared {
            settings: self.settings,
            security: self.security,
            app: self.app,
            drain: shutdown.clone(),
        });
        let mut connections = JoinSet::new();
        let mut backoff = Backoff::default();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => record(ended),
                accepted = listener.accept() => match accepted {
                    Ok((stream, remote)) => {
                        backoff = Backoff::default();
                        match door.enter(&remote) {
                            Ok(place) => {
                                let shared = Arc::clone(&shared);
                                connections.spawn(async move {
                                    let Place { handshaking, seat } = place;
                                    let ended = serve(shared, stream, remote, handshaking).await;
                                    drop(seat);
                                    ended
                                });
                            }
                            // Dropping the stream closes it; there is no TLS yet in which to say why.
                            Err(full) => refused(full.label()),
                        }
                    }
                    Err(error) => backoff.after(&error, &shutdown).await,
                },
            }
        }
        drop(listener);
        drain(connections, drain_for).await;
    }
}

/// Waits for connections to end; what is left at the deadline is ended.
async fn drain(mut connections: JoinSet<Ended>, drain_for: Duration) {
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            record(ended);
        }
    };
    if tokio::time::timeout(drain_for, all_ended).await.is_err() {
        tracing::info!(
            left = connections.len(),
            "connections were still open at the drain's deadline"
        );
        connections.shutdown().await;
    }
}

fn refused(reason: &'static str) {
    metrics::counter!(crate::observe::CONNECTIONS_REFUSED, "reason" => reason).increment(1);
}

/// Counts how a connection ended. Nothing of it is worth more than a debug line: anybody can cause it.
fn record(ended: Result<Ended, tokio::task::JoinError>) {
    let reason = match ended {
        Ok(Ended::Orderly) => "orderly",
        Ok(Ended::NoHandshake) => "no_handshake",
        Ok(Ended::Cut(Cut::NoRequest)) => "no_request",
        Ok(Ended::Cut(Cut::Idle)) => "idle",
        Ok(Ended::Cut(Cut::WriteStalled)) => "write_stalled",
        Ok(Ended::Broken(error)) => {
            tracing::debug!(%error, "a connection broke");
            "broken"
        }
        Err(error) if error.is_panic() => {
            tracing::error!("a connection ended with a panic; please report this");
            "panic"
        }
        Err(_) => "drained",
    };
    metrics::counter!(crate::observe::CONNECTIONS_ENDED, "reason" => reason).increment(1);
}

/// Which count is full.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Full {
    Total,
    Source,
    Handshakes,
}

impl Full {
    const fn label(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Source => "source",
            Self::Handshakes => "handshakes",
        }
    }
}

/// Counts connections.
struct Door {
    total: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    per_source_max: usize,
    sources: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// A connection's place in the counts.
struct Place {
    handshaking: OwnedSemaphorePermit,
    seat: Seat,
}

/// The part of a place that lasts for as long as the connection.
struct Seat {
    _total: OwnedSemaphorePermit,
    source: Option<IpAddr>,
    sources: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl Door {
    fn new(settings: &Settings) -> Self {
        Self {
            total: Arc::new(Semaphore::new(settings.connections_max)),
            handshakes: Arc::new(Semaphore::new(settings.handshakes_max)),
            per_source_max: settings.connections_per_source_max,
            sources: Arc::default(),
        }
    }

    fn enter(&self, remote: &RemoteAddr) -> Result<Place, Full> {
        let total = Arc::clone(&self.total).try_acquire_owned().map_err(|_| Full::Total)?;
        let handshaking =
            Arc::clone(&self.handshakes).try_acquire_owned().map_err(|_| Full::Handshakes)?;
        let source = source_group(remote);
        if let Some(source) = source {
            let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
            let count = sources.entry(source).or_default();
            // An entry is zero only when it was just made.
            if *count >= self.per_source_max {
                if *count == 0 {
                    sources.remove(&source);
                }
                return Err(Full::Source);
            }
            *count += 1;
        }
        metrics::gauge!(crate::observe::CONNECTIONS).increment(1);
        Ok(Place {
            handshaking,
            seat: Seat { _total: total, source, sources: Arc::clone(&self.sources) },
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        metrics::gauge!(crate::observe::CONNECTIONS).decrement(1);
        let Some(source) = self.source else { return };
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = sources.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                sources.remove(&source);
            }
        }
    }
}

/// How long to wait after a failed accept.
#[derive(Debug, Default)]
struct Backoff {
    last: Duration,
}

impl Backoff {
    /// A longer pause each time when the fault is ours (no descriptors, no memory), and none when it was
    /// one connection's.
    fn pause_after(&mut self, error: &io::Error) -> Option<Duration> {
        use io::ErrorKind::{
            ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, NotConnected,
        };
        if matches!(
            error.kind(),
            ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | NotConnected
        ) {
            return None;
        }
        self.last = (self.last * 2).clamp(BACKOFF_MIN, BACKOFF_MAX);
        Some(self.last)
    }

    async fn after(&mut self, error: &io::Error, shutdown: &CancellationToken) {
        refused("accept_failed");
        let Some(pause) = self.pause_after(error) else {
            return tokio::task::yield_now().await;
        };
        tracing::warn!(%error, pause_ms = pause.as_millis(), "cannot accept connections");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

const BACKOFF_MIN: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_descriptors_asks_less_and_less_often() {
        const EMFILE: i32 = 24;
        let mut backoff = Backoff::default();
        let mut pauses =
            std::iter::repeat_with(|| backoff.pause_after(&io::Error::from_raw_os_error(EMFILE)));
        assert_eq!(pauses.next(), Some(Some(Duration::from_millis(5))));
        assert_eq!(pauses.next(), Some(Some(Duration::from_millis(10))));
        assert_eq!(pauses.nth(20), Some(Some(Duration::from_secs(1))));
    }

    #[test]
    fn one_broken_connection_does_not_delay_the_next() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.pause_after(&io::ErrorKind::ConnectionAborted.into()), None);
    }
}
