//! A graceful stop loses no run: not between the durable intent and the gateway's taking of the work, and
//! not when the operator is impatient.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use landbridge_node::adapter::{
    Adapter, AdapterFault, Description, Hold, Intent, Progress, Reports, StopReason, Stopped, Work,
};
use landbridge_node::clock::{Clock as _, SystemClock, SystemEntropy, VirtualClock};
use landbridge_node::config::{Config, Home, Overrides};
use landbridge_node::identity::Identity;
use landbridge_node::scripted::Scripted;
use landbridge_node::serve::{Parts, serve};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::*;

/// The scripted gateway, which takes work only when the test lets it.
struct Reluctant {
    gateway: Scripted,
    asked: AtomicUsize,
    gate: Semaphore,
}

#[async_trait]
impl Adapter for Reluctant {
    async fn describe(&self) -> Description {
        self.gateway.describe().await
    }

    async fn intend(&self, work: &Work) -> Result<Intent, AdapterFault> {
        self.gateway.intend(work).await
    }

    async fn start(&self, work: Work, intent: Intent, reports: Reports, hold: Hold) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        self.gateway.start(work, intent, reports, hold).await;
    }

    async fn adopt(&self, work: Work, intent: Intent, progress: Progress, reports: Reports) {
        self.gateway.adopt(work, intent, progress, reports).await;
    }

    async fn stop(
        &self,
        work: &Work,
        intent: &Intent,
        why: StopReason,
    ) -> Result<Stopped, AdapterFault> {
        self.gateway.stop(work, intent, why).await
    }

    async fn stop_all(&self) -> Result<usize, AdapterFault> {
        self.gateway.stop_all().await
    }
}

/// The executor in a thread and a runtime of its own: when it has stopped, nothing of it goes on.
struct Executor {
    gateway: Arc<Reluctant>,
    clock: Arc<VirtualClock>,
    stop: CancellationToken,
    thread: std::thread::JoinHandle<()>,
}

impl Executor {
    async fn in_place_of(pair: &mut Pair) -> Self {
        Self::with(pair, Overrides::none()).await
    }

    async fn with(pair: &mut Pair, overrides: Overrides) -> Self {
        pair.b.kill().await.unwrap();
        let clock = Arc::new(VirtualClock::new(SystemClock.now()));
        let home = Home::open(pair.b.home()).unwrap();
        let gateway = Arc::new(Reluctant {
            gateway: Scripted::open(&home.gateway(), clock.clone()).unwrap(),
            asked: AtomicUsize::new(0),
            gate: Semaphore::new(0),
        });
        let stop = CancellationToken::new();
        let parts = Parts {
            identity: Identity::load(home.path()).unwrap(),
            home: home.path().to_owned(),
            config: Config::load(&home, &overrides).unwrap(),
            state: home.state(),
            halt: landbridge_node::halt::Halt::default(),
            adapter: gateway.clone(),
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
            exporter: None,
        };
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(serve(parts, stopped, |_| {})).unwrap();
        });
        until(&pair.b.api(), "/v1/admin/bridge", |view| view["gateway"].is_string()).await;
        Self { gateway, clock, stop, thread }
    }

    /// Waits until the intent of the first run is durable and its start is on its way.
    async fn asked(&self) {
        while self.gateway.asked.load(Ordering::SeqCst) == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until it has stopped; false when it has not after `patience`.
    async fn stopped_within(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while !self.thread.is_finished() && Instant::now() < until {
            sleep(Duration::from_millis(5)).await;
        }
        self.thread.is_finished()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_between_the_intent_and_the_start_waits_for_the_gateway_to_take_the_run() {
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let executor = Executor::in_place_of(&mut pair).await;
    let run = pair.run("handed-over-first", "say done").await.unwrap();
    executor.asked().await;
    executor.stop.cancel();
    assert!(!executor.stopped_within(Duration::from_millis(1_500)).await, "it left a start behind");
    executor.gateway.gate.add_permits(1);
    executor.thread.join().unwrap();
    assert_eq!(pair.b.executions().unwrap().into_values().collect::<Vec<_>>(), [1]);
    pair.b.serve().await.unwrap();
    let (history, exit) = finish(&pair, &run).await;
    assert_eq!((history.said("outcome"), history.code(), exit), ("succeeded", "", 0));
    assert_eq!(pair.b.executions().unwrap().into_values().collect::<Vec<_>>(), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_never_takes_a_run_does_not_keep_the_bridge_from_stopping() {
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let executor = Executor::in_place_of(&mut pair).await;
    let run = pair.run("never-handed-over", "say done").await.unwrap();
    executor.asked().await;
    executor.stop.cancel();
    for _ in 0..100 {
        // Its patience is of its own clock.
        executor.clock.advance_ms(500);
        if executor.stopped_within(Duration::from_millis(100)).await {
            break;
        }
    }
    assert!(executor.stopped_within(Duration::from_secs(5)).await);
    executor.thread.join().unwrap();
    pair.b.serve().await.unwrap();
    let (history, exit) = finish(&pair, &run).await;
    assert_eq!((history.said("outcome"), history.code(), exit), ("failed", "interrupted", 0));
    assert_eq!(history.said("sideEffects"), "unknown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_stays_for_its_gateway_as_long_as_it_is_told_to() {
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let patient = Overrides::none().flag("gateway.handover_max", "60s");
    let executor = Executor::with(&mut pair, patient).await;
    let run = pair.run("handed-over-at-last", "say done").await.unwrap();
    executor.asked().await;
    executor.stop.cancel();
    assert!(!executor.stopped_within(Duration::from_millis(500)).await);
    // Long after a bridge of the default would have left.
    for _ in 0..40 {
        executor.clock.advance_ms(1_000);
        sleep(Duration::from_millis(10)).await;
    }
    assert!(!executor.stopped_within(Duration::from_millis(500)).await, "it did not wait");
    executor.gateway.gate.add_permits(1);
    executor.thread.join().unwrap();
    pair.b.serve().await.unwrap();
    let (history, exit) = finish(&pair, &run).await;
    assert_eq!((history.said("outcome"), history.code(), exit), ("succeeded", "", 0));
}

#[tokio::test]
async fn a_second_signal_cuts_the_connections_that_the_first_waits_for() {
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let run = pair.run("hurried-in-between", "count 100 20").await.unwrap();
    frames(&pair.a, &run, 2).await;
    // A request that never becomes whole holds the drain open for seconds.
    let socket = pair.b.home().join("landbridge.sock");
    let mut slow = tokio::net::UnixStream::connect(&socket).await.unwrap();
    slow.write_all(b"GET /v1/admin/bridge HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
    sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    pair.b.terminate().unwrap();
    sleep(Duration::from_millis(1_500)).await;
    assert!(pair.b.is_running().unwrap(), "the first signal did not wait for a connection");
    pair.b.terminate().unwrap();
    let status = pair.b.ended().await.unwrap();
    assert!(status.success(), "{status}");
    assert!(began.elapsed() < Duration::from_secs(5), "it waited all the same");
    pair.b.serve().await.unwrap();
    let (history, exit) = finish(&pair, &run).await;
    assert_eq!((history.said("outcome"), history.code(), exit), ("succeeded", "", 0));
}
