//! A real disk that runs full under a real bridge: nothing is acknowledged that is not durable, what was
//! is still read, runs end, and everything goes on when there is room again.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use landbridge_harness::bridge::{Answer, Bridge, Pair, start};
use landbridge_harness::history::History;
use landbridge_harness::skip::{may_mount, skipped};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::lifecycle::until;

/// The disk under a bridge's state: a file system of its own. The store keeps 32 MiB of it for ends.
struct Disk(PathBuf);

impl Disk {
    /// Moves a bridge's state onto a disk of its own; `None` where this user may not mount one.
    async fn under(bridge: &mut Bridge) -> Option<Self> {
        bridge.stop().await.unwrap();
        let state = bridge.home().join("state");
        let before = bridge.home().join("state.before");
        std::fs::rename(&state, &before).unwrap();
        std::fs::create_dir(&state).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=72m,mode=0700", "tmpfs"];
        let mounted = Command::new("mount").args(options).arg(&state).output();
        if !mounted.is_ok_and(|done| done.status.success()) {
            skipped("no file system can be mounted, so no disk was filled", may_mount());
            return None;
        }
        let disk = Self(state);
        for entry in std::fs::read_dir(&before).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "reserve" {
                std::fs::copy(entry.path(), disk.0.join(entry.file_name())).unwrap();
            }
        }
        bridge.serve().await.unwrap();
        assert!(disk.has_reserve());
        Some(disk)
    }

    fn has_reserve(&self) -> bool {
        std::fs::metadata(self.0.join("reserve")).is_ok_and(|file| file.len() == 32 * 1024 * 1024)
    }

    /// Takes every byte that is left.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filling")).unwrap();
        let mut size = 1024 * 1024;
        while size > 0 {
            // What fitted of it is written all the same.
            size = if file.write_all(&vec![7; size]).is_ok() { size } else { size / 2 };
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("filling")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the bridge has files open and is killed after this.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

async fn refuses_work(bridge: &Bridge) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let answer = loop {
        let answer = bridge.api().get("/readyz").await.unwrap();
        if answer.status == 503 {
            break answer;
        }
        assert!(Instant::now() < deadline, "a full disk was not noticed");
        sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(answer.code(), "not_ready");
    assert!(answer.json()["detail"].as_str().unwrap().contains("the disk is full"));
    assert_eq!(metric(bridge, "landbridge_store_full").await, "1");
}

async fn takes_work_within(bridge: &Bridge, seconds: u64) {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while bridge.api().get("/readyz").await.unwrap().status != 200 {
        assert!(Instant::now() < deadline, "there is room, and it was not noticed");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn metric(bridge: &Bridge, name: &str) -> String {
    let text = bridge.api().get("/metrics").await.unwrap().body;
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.rsplit(' ').next().unwrap_or_default().to_owned()
}

fn logged(bridge: &Bridge, what: &str) -> usize {
    let text = std::fs::read_to_string(bridge.home().join("bridge.log")).unwrap();
    text.lines().filter(|line| line.contains(what)).count()
}

fn refused(answer: &Answer) {
    assert_eq!((answer.status, answer.code().as_str()), (503, "store_unavailable"));
    assert!(answer.headers.contains_key("retry-after"));
}

async fn seq(bridge: &Bridge, run: &str) -> u64 {
    let view = bridge.api().get(&format!("/v1/runs/{run}")).await.unwrap().json();
    view["frames"].as_u64().unwrap()
}

/// Everything that must hold of a run that ended.
async fn whole(pair: &Pair, run: &str, outcome: &str) -> usize {
    let mut history = History::default();
    pair.a.api().follow(run, &mut history).await.unwrap();
    assert_eq!((history.said("outcome"), history.said("by")), (outcome, "executor"), "{run}");
    let transcript = pair.a.transcript(run).await.unwrap();
    history.check(&transcript).unwrap();
    assert_eq!(pair.a.verify(&transcript, pair.b.gateway()).await.unwrap(), 0, "verify {run}");
    transcript.lines().filter(|line| line.contains("\"frame\"")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_executor_with_a_full_disk_ends_what_is_open_and_takes_nothing_new() {
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let Some(disk) = Disk::under(&mut pair.b).await else { return };
    let long = pair.run("key-of-the-long-run", "count 300 20").await.unwrap();
    let ending = pair.run("key-of-the-ending-run", "say begun\nsleep 2500").await.unwrap();
    let late = pair.run("key-of-the-late-run", "say begun\nsleep 2500").await.unwrap();
    for run in [&long, &ending, &late] {
        until(&pair.a.api(), &format!("/v1/runs/{run}"), |view| view["frames"].as_u64() >= Some(2))
            .await;
    }
    disk.fill();
    refuses_work(&pair.b).await;
    let stalled = seq(&pair.a, &long).await;

    // New work is refused on both planes, and said to be nothing else.
    refused(&pair.b.api().post("/v1/runs", &json!({
        "gateway": "us", "agent": "demo", "prompt": "say no", "idempotencyKey": "key-at-a-full-disk",
    })).await.unwrap());
    let new = pair.run("key-of-the-new-run", "say new").await.unwrap();
    let says = |view: &serde_json::Value| {
        view["connection"].as_str().is_some_and(|text| text.contains("store_unavailable"))
    };
    until(&pair.a.api(), &format!("/v1/runs/{new}"), says).await;

    // A caller that comes back is served: it attaches, and gets the terminals that the reserve holds.
    pair.a.kill().await.unwrap();
    pair.a.serve().await.unwrap();
    for run in [&ending, &late] {
        assert!(whole(&pair, run, "succeeded").await > 0);
    }
    let streams = |view: &serde_json::Value| view["connection"] == "streaming";
    until(&pair.a.api(), &format!("/v1/runs/{long}"), streams).await;
    assert!(
        seq(&pair.a, &long).await <= stalled + 128,
        "reports are no end: the reserve is not theirs"
    );
    assert_eq!(pair.b.api().get("/readyz").await.unwrap().status, 503);
    assert!(!disk.has_reserve());
    assert_eq!(logged(&pair.b, "the disk is full"), 1, "one line for the change");

    disk.make_room();
    takes_work_within(&pair.b, 5).await;
    assert!(disk.has_reserve(), "built anew");
    assert_eq!(whole(&pair, &new, "succeeded").await, whole(&pair, &ending, "succeeded").await);
    assert!(whole(&pair, &long, "succeeded").await >= 300, "nothing of it is lost");
    assert_eq!(metric(&pair.b, "landbridge_store_full").await, "0");
    let executions = pair.b.executions().unwrap();
    assert_eq!(executions.values().collect::<Vec<_>>(), [&1; 4], "each once");
    let deeds = pair.b.audit().await.unwrap();
    let count = |deed: &str| deeds.iter().filter(|event| event["deed"] == deed).count();
    assert_eq!(count("store_was_full"), 1);
    assert!(count("run_attached") >= 2, "what was read meanwhile is recorded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_with_a_full_disk_releases_nothing_and_resumes() {
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let Some(disk) = Disk::under(&mut pair.a).await else { return };
    let long = pair.run("key-of-the-long-run", "count 300 20").await.unwrap();
    until(&pair.a.api(), &format!("/v1/runs/{long}"), |view| view["frames"].as_u64() >= Some(3))
        .await;
    disk.fill();
    refuses_work(&pair.a).await;
    let before = seq(&pair.a, &long).await;
    let frames = pair.a.api().get(&format!("/v1/runs/{long}/transcript")).await.unwrap();
    assert_eq!(frames.status, 200, "what is there is still read");
    refused(&pair.a.api().post("/v1/runs", &start("key-at-a-full-disk", "say no")).await.unwrap());
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(seq(&pair.a, &long).await, before, "nothing is released that is not in the journal");
    assert_eq!(logged(&pair.a, "the disk is full"), 1, "one line for the change");

    disk.make_room();
    takes_work_within(&pair.a, 5).await;
    assert!(whole(&pair, &long, "succeeded").await >= 300);
    let again = pair.run("key-at-a-full-disk", "say now").await.unwrap();
    assert!(whole(&pair, &again, "succeeded").await > 0);
    assert_eq!(pair.b.executions().unwrap().values().collect::<Vec<_>>(), [&1; 2], "each once");
}
