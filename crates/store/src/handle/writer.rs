//! The one writer: a bounded queue, a thread that empties it a group at a time, and one fate for all.
//!
//! The queue is a plain deque under a mutex, and a semaphore bounds it. A channel would do the same, but
//! its blocking calls panic inside a runtime, where some callers of `commit_blocking` are.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use landbridge_proto::machine::contract::{Room, Store, Write};
use landbridge_proto::machine::step::{self, Batch, Receipt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::Stats;
use crate::fault::Fault;
use crate::sqlite::open::Options;

/// Between two looks for room on a full disk.
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Engine = Box<dyn Engines + Send>;

/// What the writer asks of a store, whatever its type.
trait Engines {
    fn commit(&mut self, group: Vec<Batch>) -> Result<Vec<Receipt>, Fault>;
    fn room(&self) -> Room;
    fn look_for_room(&mut self) -> Room;
}

impl<S: Store<Fault = Fault>> Engines for S {
    fn commit(&mut self, group: Vec<Batch>) -> Result<Vec<Receipt>, Fault> {
        step::commit(self, group)
    }

    fn room(&self) -> Room {
        Store::room(self)
    }

    fn look_for_room(&mut self) -> Room {
        Store::look_for_room(self)
    }
}

/// Commits batches, on a thread of its own or on the caller's.
pub(super) struct Writer {
    shared: Arc<Shared>,
    kind: Kind,
}

enum Kind {
    Thread { permits: Arc<Semaphore>, join: Option<JoinHandle<()>> },
    Inline(Mutex<Engine>),
}

/// What the committers and the writer's thread share.
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    stats: Mutex<Stats>,
    fault: watch::Sender<Option<Fault>>,
    room: watch::Sender<Room>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// A batch, who waits for it, and its place in the queue.
struct Job {
    batch: Batch,
    bytes: usize,
    answer: oneshot::Sender<Result<Receipt, Fault>>,
    _place: OwnedSemaphorePermit,
}

impl Writer {
    pub(super) fn spawn<S>(store: S, options: &Options) -> std::io::Result<Self>
    where
        S: Store<Fault = Fault> + Send + 'static,
    {
        let shared = Arc::new(Shared::new(store.room()));
        let permits = Arc::new(Semaphore::new(options.queue.clamp(1, Semaphore::MAX_PERMITS)));
        let (batches, bytes) = (options.group_batches.max(1), options.group_bytes);
        let (mut engine, theirs): (Engine, _) = (Box::new(store), Arc::clone(&shared));
        let join = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || theirs.run(&mut engine, batches, bytes))?;
        Ok(Self { shared, kind: Kind::Thread { permits, join: Some(join) } })
    }

    pub(super) fn inline<S>(store: S) -> Self
    where
        S: Store<Fault = Fault> + Send + 'static,
    {
        let shared = Arc::new(Shared::new(store.room()));
        Self { shared, kind: Kind::Inline(Mutex::new(Box::new(store))) }
    }

    pub(super) async fn commit(&self, batch: Batch) -> Result<Receipt, Fault> {
        let permits = match &self.kind {
            Kind::Thread { permits, .. } => permits,
            Kind::Inline(engine) => {
                let mut engine = lock(engine);
                if *self.shared.room.borrow() == Room::Short {
                    self.shared.tell(engine.look_for_room());
                }
                let mut receipts = self.shared.commit(&mut engine, vec![batch])?;
                return receipts.pop().ok_or(Fault::Closed);
            }
        };
        let place = Arc::clone(permits).acquire_owned().await.map_err(|_| Fault::Closed)?;
        let (answer, answered) = oneshot::channel();
        let bytes = weight(&batch);
        self.shared.push(Job { batch, bytes, answer, _place: place })?;
        // Dropped unanswered only when the thread died between taking the job and answering it.
        answered.await.unwrap_or_else(|_| Err(self.shared.fate()))
    }

    pub(super) async fn closed(&self) -> Fault {
        let mut faults = self.shared.fault.subscribe();
        match faults.wait_for(Option::is_some).await {
            Ok(fault) => fault.clone().unwrap_or(Fault::Closed),
            Err(_) => Fault::Closed,
        }
    }

    pub(super) fn room(&self) -> watch::Receiver<Room> {
        self.shared.room.subscribe()
    }

    pub(super) fn stats(&self) -> Stats {
        let queued = lock(&self.shared.queue).jobs.len();
        Stats { queued, ..*lock(&self.shared.stats) }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let Kind::Thread { join, .. } = &mut self.kind else { return };
        lock(&self.shared.queue).closed = true;
        self.shared.filled.notify_all();
        if let Some(join) = join.take()
            && join.thread().id() != thread::current().id()
        {
            // A panic of the thread was answered to everybody as a fault.
            let _ = join.join();
        }
    }
}

impl Shared {
    fn new(room: Room) -> Self {
        Self {
            queue: Mutex::default(),
            filled: Condvar::new(),
            stats: Mutex::default(),
            fault: watch::Sender::new(None),
            room: watch::Sender::new(room),
        }
    }

    fn push(&self, job: Job) -> Result<(), Fault> {
        let mut queue = lock(&self.queue);
        // Under the queue's lock: a writer that fails takes this lock before it gives up.
        if let Some(fault) = self.fault.borrow().clone() {
            return Err(fault);
        }
        if queue.closed {
            return Err(Fault::Closed);
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.filled.notify_one();
        Ok(())
    }

    /// The thread: one group after the other until the queue is closed and empty, or a fault.
    fn run(&self, engine: &mut Engine, batches_max: usize, bytes_max: usize) {
        let mut look_at = Instant::now();
        while let Some(group) = self.next_group((batches_max, bytes_max), engine, &mut look_at) {
            let (batches, answers): (Vec<_>, Vec<_>) =
                group.into_iter().map(|job| (job.batch, job.answer)).unzip();
            match self.commit(engine, batches) {
                Ok(receipts) => {
                    for (answer, receipt) in answers.into_iter().zip(receipts) {
                        // Nobody waits any more: durable all the same.
                        let _ = answer.send(Ok(receipt));
                    }
                }
                Err(fault) => {
                    let rest = std::mem::take(&mut lock(&self.queue).jobs);
                    let rest = rest.into_iter().map(|job| job.answer);
                    for answer in answers.into_iter().chain(rest) {
                        let _ = answer.send(Err(fault.clone()));
                    }
                    return;
                }
            }
        }
    }

    /// Waits for work, and looks for room meanwhile where there is none; `None` when there will be no
    /// work any more.
    fn next_group(
        &self,
        (batches_max, bytes_max): (usize, usize),
        engine: &mut Engine,
        look_at: &mut Instant,
    ) -> Option<Vec<Job>> {
        let mut queue = lock(&self.queue);
        loop {
            let short = *self.room.borrow() == Room::Short;
            // Also between groups: who is refused and asks again must not keep us from looking.
            if short && Instant::now() >= *look_at {
                drop(queue);
                self.tell(engine.look_for_room());
                *look_at = Instant::now() + LOOK_EVERY;
                queue = lock(&self.queue);
                continue;
            }
            if !queue.jobs.is_empty() {
                break;
            }
            if queue.closed {
                return None;
            }
            queue = if short {
                let left = look_at.saturating_duration_since(Instant::now());
                let waited = self.filled.wait_timeout(queue, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            } else {
                self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner)
            };
        }
        let mut bytes = 0_usize;
        let fits = |job: &Job| {
            bytes = bytes.saturating_add(job.bytes);
            bytes <= bytes_max
        };
        // The first always goes, however large.
        let count = queue.jobs.iter().take(batches_max).take_while(fits_after_first(fits)).count();
        Some(queue.jobs.drain(..count).collect())
    }

    /// Commits a group; a fault or a panic is the fate of all that follow.
    fn commit(&self, engine: &mut Engine, group: Vec<Batch>) -> Result<Vec<Receipt>, Fault> {
        if let Some(fault) = self.fault.borrow().clone() {
            return Err(fault);
        }
        let (size, begun) = (group.len(), Instant::now());
        let done = catch_unwind(AssertUnwindSafe(|| engine.commit(group)));
        let done = done.unwrap_or(Err(Fault::WriterPanicked));
        self.tell(engine.room());
        match &done {
            Ok(_) => self.count(size, begun.elapsed()),
            Err(fault) => {
                tracing::error!(error = fault as &dyn std::error::Error, "the store failed");
                let _queue = lock(&self.queue);
                self.fault.send_replace(Some(fault.clone()));
            }
        }
        done
    }

    /// Tells whoever waits for room; says nothing when nothing changed.
    fn tell(&self, room: Room) {
        self.room.send_if_modified(|known| std::mem::replace(known, room) != room);
    }

    fn count(&self, size: usize, took: Duration) {
        let mut stats = lock(&self.stats);
        stats.groups += 1;
        stats.batches += size as u64;
        stats.last_group = size;
        stats.largest_group = stats.largest_group.max(size);
        stats.last_commit = took;
        stats.slowest_commit = stats.slowest_commit.max(took);
        stats.commit_time += took;
    }

    fn fate(&self) -> Fault {
        self.fault.borrow().clone().unwrap_or(Fault::WriterPanicked)
    }
}

fn fits_after_first(mut fits: impl FnMut(&Job) -> bool) -> impl FnMut(&&Job) -> bool {
    let mut first = true;
    move |job| {
        let fitting = fits(job);
        std::mem::take(&mut first) || fitting
    }
}

/// About how many bytes a batch adds to the log.
fn weight(batch: &Batch) -> usize {
    let lines = |lines: &[String]| lines.iter().map(String::len).sum::<usize>();
    let write = |write: &Write| match write {
        Write::CreateRun(row) => row.request.len() + row.accept.len() + row.work.len(),
        Write::AppendFrames { lines: new, .. } => lines(new),
        Write::CreateEntry(row) => row.body.len(),
        Write::PutEntry(row) => row.accept.as_ref().map_or(0, String::len),
        Write::AppendReceived { lines: new, seal, .. } => lines(new) + seal.len(),
        Write::SaveDocument(row) => row.envelope.len(),
        _ => 0,
    };
    batch.writes().iter().map(|each| 256 + write(each)).sum()
}

/// Runs a future on this thread, asleep while it waits.
///
/// The runtime's cooperative budget must not count here: it is only refilled by returning to it.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(tokio::task::unconstrained(future));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// A panic under one of these locks is answered as a fault; what they hold stays usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
