//! A response that goes on for as long as its run: fed in pieces, read at the reader's pace.
//!
//! A plain channel would either hold any amount for a reader that sleeps, or write one small chunk per
//! event. This one holds a bounded number of bytes, joins what is ready into one chunk, and gives up a
//! reader that takes nothing for too long. Giving up loses nothing: a run's log is durable, and the
//! reader attaches again where it stopped.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use landbridge_proto::wire::limit;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How much a stream may hold, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct StreamSettings {
    /// Bytes held for the reader. One piece may exceed it when nothing else is held.
    pub held_bytes_max: usize,
    /// Small pieces are joined up to this size.
    pub chunk_bytes_max: usize,
    /// A reader that takes nothing of what is held for this long is cut.
    pub stall: Duration,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            held_bytes_max: 256 * 1024,
            chunk_bytes_max: 64 * 1024,
            //= STR-19
            stall: Duration::from_millis(limit::SILENCE_MS_MAX.unsigned_abs()),
        }
    }
}

/// Why a piece was not taken; the stream is over either way.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamEnd {
    /// The reader went away.
    #[error("the reader went away")]
    Gone,
    /// The reader took nothing for too long, and was cut.
    #[error("the reader took nothing for too long")]
    Stalled,
}

/// The body's error when the stream is broken off instead of ended; hyper then resets the stream, so
/// that the reader cannot take a cut for an orderly end.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the stream was broken off")]
pub struct BrokenOff;

/// Makes a stream: the writer's end, and the body of the response.
#[must_use]
pub fn channel(settings: StreamSettings) -> (StreamWriter, StreamBody) {
    let shared = Arc::new(Shared {
        settings,
        state: Mutex::new(State {
            held: VecDeque::new(),
            held_bytes: 0,
            taken_at: Instant::now(),
            reader: None,
            end: End::Open,
        }),
        changed: Notify::new(),
    });
    (StreamWriter { shared: Arc::clone(&shared) }, StreamBody { shared })
}

#[derive(Debug)]
struct Shared {
    settings: StreamSettings,
    state: Mutex<State>,
    /// Tells the writer that room came or that the reader went. There is one writer, so one permit is
    /// enough and none is lost.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    held: VecDeque<Bytes>,
    held_bytes: usize,
    /// When the reader last took something, or had everything there was.
    taken_at: Instant,
    reader: Option<Waker>,
    end: End,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Open,
    Finished,
    BrokenOff,
    Gone,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&mut self, end: End) {
        if self.end == End::Open {
            self.end = end;
            if end != End::Finished {
                self.held.clear();
                self.held_bytes = 0;
            }
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// The end that is written to. Dropping it ends the stream in order.
#[derive(Debug)]
pub struct StreamWriter {
    shared: Arc<Shared>,
}

impl StreamWriter {
    /// Adds a piece, waiting for room as long as the reader moves.
    ///
    /// # Errors
    ///
    /// When the reader is gone, or was cut because it took nothing for too long.
    pub async fn send(&mut self, piece: Bytes) -> Result<(), StreamEnd> {
        loop {
            let stalls_at = {
                let mut state = self.shared.lock();
                if state.end != End::Open {
                    return Err(StreamEnd::Gone);
                }
                let stalls_at = state.taken_at + self.shared.settings.stall;
                if !state.held.is_empty() && Instant::now() >= stalls_at {
                    state.end(End::BrokenOff);
                    metrics::counter!(crate::observe::STREAMS_CUT, "reason" => "stalled")
                        .increment(1);
                    return Err(StreamEnd::Stalled);
                }
                let fits = state.held_bytes.saturating_add(piece.len())
                    <= self.shared.settings.held_bytes_max;
                if fits || state.held.is_empty() {
                    self.push(&mut state, piece);
                    return Ok(());
                }
                stalls_at
            };
            // Either outcome leads back to the look above.
            let _room_or_late =
                tokio::time::timeout_at(stalls_at, self.shared.changed.notified()).await;
        }
    }

    /// Breaks the stream off: what is held is dropped, and the reader sees an error and not an end.
    pub fn break_off(self) {
        self.shared.lock().end(End::BrokenOff);
    }

    /// Returns once the reader is gone; for a writer that has nothing to send.
    pub async fn gone(&mut self) {
        while self.shared.lock().end == End::Open {
            self.shared.changed.notified().await;
        }
    }

    fn push(&self, state: &mut State, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        if state.held.is_empty() {
            state.taken_at = Instant::now();
        }
        state.held_bytes += piece.len();
        state.held.push_back(piece);
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        self.shared.lock().end(End::Finished);
    }
}

/// The body of the response.
#[derive(Debug)]
pub struct StreamBody {
    shared: Arc<Shared>,
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let mut state = self.shared.lock();
        if let Some(chunk) = take_chunk(&mut state, self.shared.settings.chunk_bytes_max) {
            drop(state);
            self.shared.changed.notify_one();
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match state.end {
            End::Open => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            End::BrokenOff => Poll::Ready(Some(Err(BrokenOff))),
            End::Finished | End::Gone => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        let state = self.shared.lock();
        state.held.is_empty() && state.end == End::Finished
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        self.shared.lock().end(End::Gone);
        self.shared.changed.notify_one();
    }
}

/// Joins what is ready: one write and one frame for many small events.
fn take_chunk(state: &mut State, chunk_bytes_max: usize) -> Option<Bytes> {
    let first = state.held.pop_front()?;
    let mut total = first.len();
    let mut more = 0;
    for piece in &state.held {
        if total + piece.len() > chunk_bytes_max {
            break;
        }
        total += piece.len();
        more += 1;
    }
    state.held_bytes -= total;
    state.taken_at = Instant::now();
    if more == 0 {
        return Some(first);
    }
    let mut chunk = BytesMut::with_capacity(total);
    chunk.extend_from_slice(&first);
    for piece in state.held.drain(..more) {
        chunk.extend_from_slice(&piece);
    }
    Some(chunk.freeze())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use http_body_util::BodyExt;

    use super::*;

    fn small() -> (StreamWriter, StreamBody) {
        small_with(Duration::from_secs(600))
    }

    fn small_with(stall: Duration) -> (StreamWriter, StreamBody) {
        channel(StreamSettings { held_bytes_max: 10, chunk_bytes_max: 8, stall })
    }

    async fn next(body: &mut StreamBody) -> Option<Result<Bytes, BrokenOff>> {
        Some(body.frame().await?.map(|frame| frame.into_data().unwrap()))
    }

    #[tokio::test]
    async fn ready_pieces_are_joined_and_order_is_kept() {
        let (mut writer, mut body) = small();
        for piece in ["ab", "cd", "ef", "ghi"] {
            writer.send(piece.into()).await.unwrap();
        }
        drop(writer);
        assert_eq!(next(&mut body).await, Some(Ok("abcdef".into())));
        assert!(!body.is_end_stream());
        assert_eq!(next(&mut body).await, Some(Ok("ghi".into())));
        assert!(body.is_end_stream());
        assert_eq!(next(&mut body).await, None);
    }

    #[tokio::test]
    async fn a_piece_larger_than_the_limit_passes_alone() {
        let (mut writer, mut body) = small();
        writer.send("x".repeat(50).into()).await.unwrap();
        let waiting = tokio::spawn(async move { writer.send("y".into()).await });
        assert_eq!(next(&mut body).await.unwrap().unwrap().len(), 50);
        waiting.await.unwrap().unwrap();
        assert_eq!(next(&mut body).await, Some(Ok("y".into())));
    }

    //= STR-19
    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_cut_and_sees_an_error() {
        let (mut writer, mut body) = small_with(Duration::from_millis(50));
        writer.send("12345678".into()).await.unwrap();
        assert_eq!(writer.send("12345678".into()).await, Err(StreamEnd::Stalled));
        assert_eq!(next(&mut body).await, Some(Err(BrokenOff)));
        assert_eq!(writer.send("z".into()).await, Err(StreamEnd::Gone));
    }

    #[tokio::test]
    async fn a_reader_that_waits_for_news_is_not_cut() {
        let (mut writer, mut body) = small_with(Duration::ZERO);
        for _ in 0..3 {
            writer.send("12345678".into()).await.unwrap();
            assert!(next(&mut body).await.unwrap().is_ok());
        }
    }

    #[tokio::test]
    async fn the_writer_learns_that_the_reader_left() {
        let (mut writer, body) = small();
        drop(body);
        writer.gone().await;
        assert_eq!(writer.send("x".into()).await, Err(StreamEnd::Gone));
    }

    #[tokio::test]
    async fn breaking_off_is_not_an_end() {
        let (mut writer, mut body) = small();
        writer.send("x".into()).await.unwrap();
        writer.break_off();
        assert!(!body.is_end_stream());
        assert_eq!(next(&mut body).await, Some(Err(BrokenOff)));
    }
}
