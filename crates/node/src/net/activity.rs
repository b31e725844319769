//! What one connection is doing, and when that becomes too little.
//!
//! hyper's own timers do not see a connection that sends nothing, a partial preface, or a reader that
//! stopped taking bytes. This is the one place that does: the connection's parts report what they do,
//! and the connection's task asks from time to time whether it should still be there.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::connect::BoxStream;
use super::flood::FloodMeter;

/// Why the server ended a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cut {
    /// No complete request head by the first deadline.
    NoRequest,
    /// No request in flight for too long.
    Idle,
    /// The peer takes nothing of what is written.
    WriteStalled,
}

/// Limits in time of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) first_head_by: Instant,
    pub(super) idle: Duration,
    pub(super) write_stall: Duration,
}

/// Shared by the parts of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    born: Instant,
    first_head: AtomicBool,
    in_flight: AtomicUsize,
    idle_since: AtomicU64,
    writing_since: Mark,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            born: Instant::now(),
            first_head: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            writing_since: Mark::default(),
        })
    }

    /// A request head is complete; its exchange lasts until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.first_head.store(true, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight { activity: Arc::clone(self) }
    }

    /// When to ask [`verdict`](Self::verdict) again.
    pub(super) fn look_again_at(&self, limits: &Limits, now: Instant) -> Instant {
        let pause = (limits.idle.min(limits.write_stall) / 4).max(LOOK_PAUSE_MIN);
        if self.first_head.load(Ordering::Relaxed) {
            now + pause
        } else {
            limits.first_head_by.min(now + pause)
        }
    }

    /// Says whether the connection has to go.
    pub(super) fn verdict(&self, limits: &Limits, now: Instant) -> Option<Cut> {
        if !self.first_head.load(Ordering::Relaxed) {
            return (now >= limits.first_head_by).then_some(Cut::NoRequest);
        }
        let age = self.age(now);
        if self.writing_since.age_ms(age).is_some_and(|ms| ms >= millis(limits.write_stall)) {
            return Some(Cut::WriteStalled);
        }
        let idle_ms = age.saturating_sub(self.idle_since.load(Ordering::Relaxed));
        let idle = self.in_flight.load(Ordering::Relaxed) == 0 && idle_ms >= millis(limits.idle);
        idle.then_some(Cut::Idle)
    }

    fn age(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.born))
    }
}

/// One exchange: from the complete request head to the end of the response's body.
#[derive(Debug)]
pub(super) struct InFlight {
    activity: Arc<Activity>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let age = self.activity.age(Instant::now());
        self.activity.idle_since.store(age, Ordering::Relaxed);
        self.activity.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Since when something lasts, in milliseconds of its connection's or stream's life; zero is "it does
/// not", so ages are stored one up.
#[derive(Debug, Default)]
struct Mark(AtomicU64);

impl Mark {
    fn set_if_clear(&self, age: u64) {
        // Only one task writes; losing a race would move the mark by less than a millisecond.
        if self.0.load(Ordering::Relaxed) == 0 {
            self.0.store(age + 1, Ordering::Relaxed);
        }
    }

    fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn age_ms(&self, age: u64) -> Option<u64> {
        let mark = self.0.load(Ordering::Relaxed);
        (mark != 0).then(|| age.saturating_sub(mark - 1))
    }
}

/// A connection's bytes on their way: notes writes that do not get through, and counts floods.
pub(super) struct WatchedIo {
    inner: BoxStream,
    activity: Arc<Activity>,
    flood: Option<FloodMeter>,
}

impl WatchedIo {
    pub(super) fn new(
        inner: BoxStream,
        activity: Arc<Activity>,
        flood: Option<FloodMeter>,
    ) -> Self {
        Self { inner, activity, flood }
    }

    fn note<T>(&self, poll: Poll<T>) -> Poll<T> {
        if poll.is_pending() {
            self.activity.writing_since.set_if_clear(self.activity.age(Instant::now()));
        } else {
            self.activity.writing_since.clear();
        }
        poll
    }
}

impl AsyncRead for WatchedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.inner).poll_read(cx, buf);
        if poll.is_ready()
            && let Some(flood) = &mut self.flood
            && let Err(flood) = flood.read(&buf.filled()[before..], Instant::now())
        {
            metrics::counter!(crate::observe::CONNECTIONS_CUT, "reason" => "flood").increment(1);
            return Poll::Ready(Err(io::Error::other(flood)));
        }
        poll
    }
}

impl AsyncWrite for WatchedIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.note(poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.inner).poll_flush(cx);
        self.note(poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.note(poll)
    }
}

/// Whether one response's next piece waits to be written. HTTP/2 only: there, a reader can close one
/// stream's window and keep the connection lively.
#[derive(Debug)]
pub(super) struct StreamWatch {
    born: Instant,
    waiting_since: Mark,
}

impl StreamWatch {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { born: Instant::now(), waiting_since: Mark::default() })
    }

    /// Returns once a piece has waited for longer than `limit`.
    pub(super) async fn stalled(&self, limit: Duration) {
        loop {
            tokio::time::sleep((limit / 4).max(LOOK_PAUSE_MIN)).await;
            let age = millis(self.born.elapsed());
            if self.waiting_since.age_ms(age).is_some_and(|ms| ms >= millis(limit)) {
                return;
            }
        }
    }
}

/// A response's body that reports how it fares.
pub(super) struct WatchedBody<B> {
    inner: B,
    watch: Arc<StreamWatch>,
    _in_flight: InFlight,
}

impl<B> WatchedBody<B> {
    pub(super) fn new(inner: B, watch: Arc<StreamWatch>, in_flight: InFlight) -> Self {
        Self { inner, watch, _in_flight: in_flight }
    }
}

impl<B: Body + Unpin> Body for WatchedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        // Being asked for more means that the piece before went through.
        self.watch.waiting_since.clear();
        let poll = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(_))) = poll {
            self.watch.waiting_since.set_if_clear(millis(self.watch.born.elapsed()));
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const LOOK_PAUSE_MIN: Duration = Duration::from_millis(10);
