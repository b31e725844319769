//! Trust that ends in the middle of work: a peer, a key, or everything, with fifty streams open.
//!
//! What is asserted is order, by the times that the streams and logs themselves tell: nothing sealed, shown
//! or started after the order, and every end within the five seconds that are promised.

use std::path::Path;
use std::time::Duration;

use landbridge_harness::bridge::{Bridge, Pair, start, text};
use landbridge_harness::history::History;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::kill9::WIDE;

const STREAMS: usize = 50;
/// What every end is held to, in milliseconds.
const ENDED_WITHIN_MS: i64 = 5_000;
/// A commit that was under way may be sealed a moment later, in milliseconds.
const UNDER_WAY_MS: i64 = 1_000;
/// Longer than any of these tests.
const LONG: &str = "count 1200 200";

/// Fifty runs, each with frames already, and a client that reads each to its end.
struct Fifty {
    runs: Vec<String>,
    clients: JoinSet<History>,
}

async fn fifty(pair: &Pair, name: &str) -> Fifty {
    let mut fifty = Fifty { runs: Vec::new(), clients: JoinSet::new() };
    for n in 0..STREAMS {
        let run = pair.run(&format!("{name}-{n:04}-streams"), LONG).await.unwrap();
        let (api, read) = (pair.a.api(), run.clone());
        fifty.clients.spawn(async move {
            let mut history = History::default();
            api.follow(&read, &mut history).await.unwrap();
            history
        });
        fifty.runs.push(run);
    }
    for run in &fifty.runs {
        until("frames", async || shown(&pair.a, run).await["frames"].as_u64().unwrap() >= 3).await;
    }
    fifty
}

async fn shown(bridge: &Bridge, run: &str) -> Value {
    bridge.api().get(&format!("/v1/runs/{run}")).await.unwrap().json()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let by = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < by, "not reached: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// When the bridge wrote down a deed, in milliseconds, and on which row.
async fn told(bridge: &Bridge, deed: &str) -> (i64, usize) {
    let events = bridge.audit().await.unwrap();
    let at = events.iter().position(|event| event["deed"] == deed);
    let at = at.unwrap_or_else(|| panic!("no {deed} in the audit log"));
    (events[at]["at"].as_i64().unwrap(), at)
}

async fn count(bridge: &Bridge, deed: &str) -> usize {
    let events = bridge.audit().await.unwrap();
    events.iter().filter(|event| event["deed"] == deed).count()
}

/// The time of a run's last seal, as its transcript says it.
async fn sealed_at(pair: &Pair, run: &str) -> i64 {
    verdict(pair, run).await["summary"]["sealed_at"].as_i64().unwrap()
}

async fn verdict(pair: &Pair, run: &str) -> Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pair.a.transcript(run).await.unwrap()).unwrap();
    let path = file.path().to_string_lossy();
    let line = ["--json", "verify", &path, "--pin", pair.b.gateway()];
    let output = pair.a.output(&line).await.unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn millis(time: &Value) -> i64 {
    // 2026-11-22T21:00:00.123Z, by way of the store's own clock: no calendar is needed for a difference.
    let text = time.as_str().unwrap();
    let day = |text: &str| text.parse::<i64>().unwrap();
    let (date, clock) = text.trim_end_matches('Z').split_once('T').unwrap();
    let ymd: Vec<i64> = date.split('-').map(day).collect();
    let (y, m) = if ymd[1] <= 2 { (ymd[0] - 1, ymd[1] + 9) } else { (ymd[0], ymd[1] - 3) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + ymd[2] - 1 - 719_468;
    let hms: Vec<&str> = clock.split(':').collect();
    let seconds: f64 = hms[2].parse().unwrap();
    ((days * 24 + day(hms[0])) * 60 + day(hms[1])) * 60_000 + (seconds * 1000.0).round() as i64
}

fn stops_at(bridge: &Bridge) -> usize {
    let gateway = bridge.home().join("gateway");
    let files = std::fs::read_dir(gateway).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "stop")).count()
}

//= ID-61
//= ID-62
//= ID-63
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_revoked_under_fifty_streams_is_told_lost_and_shown_nothing_more() {
    let pair = Pair::granted(&WIDE, &WIDE, &[]).await.unwrap();
    let mut fifty = fifty(&pair, "revoked").await;
    let line = ["peer", "revoke", "us", "--because", "its operator lost a laptop"];
    let revoked = pair.b.json(&line).await.unwrap();
    assert_eq!(revoked["state"], "revoked");

    while let Some(history) = fifty.clients.join_next().await {
        let history = history.unwrap();
        assert_eq!((history.said("outcome"), history.said("by")), ("lost", "caller"));
        assert_eq!(history.said("sideEffects"), "unknown");
    }
    let (at, _) = told(&pair.b, "peer_revoked").await;
    for run in &fifty.runs {
        let view = shown(&pair.a, run).await;
        assert!(millis(&view["ended"]) <= at + ENDED_WITHIN_MS, "{view} after {at}");
        assert!(sealed_at(&pair, run).await <= at + UNDER_WAY_MS, "sealed after it: {view}");
    }
    // Each stream ended with a problem that the caller verified as the executor's.
    assert_eq!(ended_with(&pair.a, "peer_revoked").await, STREAMS);
    // They are stopped at the gateway and sealed here.
    until("all stopped", async || count(&pair.b, "run_ended").await == STREAMS).await;
    let events = pair.b.audit().await.unwrap();
    let ended: Vec<_> = events.iter().filter(|event| event["deed"] == "run_ended").collect();
    assert!(ended.iter().all(|event| event["detail"]["outcome"] == "cancelled"));
    assert!(ended.iter().all(|event| event["at"].as_i64().unwrap() <= at + ENDED_WITHIN_MS));
    assert_eq!(stops_at(&pair.b), STREAMS);
    let why = events.iter().find(|event| event["deed"] == "peer_revoked").unwrap();
    assert_eq!(why["detail"]["because"], "its operator lost a laptop");

    // It is told so, signed, whatever it asks; and it is over for good.
    let (code, refused) = started(&pair.a, "after-the-revocation").await;
    assert_eq!((code, refused.as_str()), ("rejected".to_owned(), "peer_revoked"));
    assert_eq!(pair.b.executions().unwrap().len(), STREAMS);
    let test = pair.a.output(&["--json", "peer", "test", "eu"]).await.unwrap();
    assert_eq!(test.status.code(), Some(1));
    let test: Value = serde_json::from_slice(&test.stdout).unwrap();
    let answer = test["steps"].as_array().unwrap().iter().find(|step| step["step"] == "answer");
    assert!(answer.unwrap()["detail"].as_str().unwrap().contains("peer_revoked"), "{test}");
    for verb in ["resume", "suspend", "revoke"] {
        let line = ["peer", verb, "us", "--because", "second thoughts"];
        let output = pair.b.output(&line).await.unwrap();
        assert_eq!(output.status.code(), Some(1), "{verb}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("peer invite"), "{verb}");
    }

    // Only a new pairing makes it a peer again.
    let invite = text(&pair.b.json(&["peer", "invite", "us"]).await.unwrap(), "invite").unwrap();
    let again = ["peer", "join", &invite, "--alias", "eu", "--again"];
    let words = text(&pair.a.json(&again).await.unwrap(), "words").unwrap();
    pair.b.json(&["peer", "accept", "us", "--words", &words]).await.unwrap();
    pair.grant(&[]).await.unwrap();
    let run = pair.run("paired-anew-00000001", "say again").await.unwrap();
    let mut history = History::default();
    pair.a.api().follow(&run, &mut history).await.unwrap();
    assert_eq!(history.said("outcome"), "succeeded");
}

/// How many streams of a bridge's peers ended with a signed problem of this code.
async fn ended_with(bridge: &Bridge, code: &str) -> usize {
    let metrics = bridge.api().get("/metrics").await.unwrap();
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    let name = format!("landbridge_streams_ended_by_peers_total{{code=\"{code}\"}}");
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |count| count.trim().parse().unwrap())
}

/// A run to its end: its outcome, and the terminal's code.
async fn started(bridge: &Bridge, key: &str) -> (String, String) {
    let answer = bridge.api().post("/v1/runs", &start(key, "say no")).await.unwrap();
    assert!(matches!(answer.status, 200 | 201), "{}", answer.code());
    let run = text(&answer.json(), "run").unwrap();
    let mut history = History::default();
    bridge.api().follow(&run, &mut history).await.unwrap();
    (history.said("outcome").to_owned(), history.code().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_executor_revoked_or_suspended_under_fifty_streams_is_read_no_more() {
    let pair = Pair::granted(&WIDE, &WIDE, &[]).await.unwrap();
    let mut fifty = fifty(&pair, "caller").await;
    // Suspended: nothing is read, and nothing final is told.
    pair.a.json(&["peer", "suspend", "eu", "--because", "a look first"]).await.unwrap();
    sleep(Duration::from_secs(2)).await;
    let mut held = Vec::new();
    for run in &fifty.runs {
        held.push(shown(&pair.a, run).await["frames"].as_u64().unwrap());
    }
    let refused = pair.a.api().post("/v1/runs", &start("while-suspended-1", "say x")).await;
    assert_eq!(refused.unwrap().code(), "peer_suspended");
    sleep(Duration::from_secs(2)).await;
    for (run, held) in fifty.runs.iter().zip(&held) {
        let view = shown(&pair.a, run).await;
        assert_eq!((view["frames"].as_u64(), &view["phase"]), (Some(*held), &"streaming".into()));
    }
    // It is resumed: what it sealed meanwhile is read. Nothing has to be granted again.
    let line = ["peer", "resume", "eu", "--because", "it was nothing"];
    assert_eq!(pair.a.json(&line).await.unwrap()["state"], "active");
    for (run, held) in fifty.runs.iter().zip(&held) {
        let further = async || shown(&pair.a, run).await["frames"].as_u64() > Some(held + 10);
        until("further frames", further).await;
    }
    assert_eq!(pair.a.output(&line).await.unwrap().status.code(), Some(16), "nothing to resume");

    pair.a.json(&["peer", "revoke", "eu", "--because", "it was something"]).await.unwrap();
    while let Some(history) = fifty.clients.join_next().await {
        let history = history.unwrap();
        assert_eq!((history.said("outcome"), history.said("by")), ("lost", "caller"));
    }
    let (at, _) = told(&pair.a, "peer_revoked").await;
    for run in &fifty.runs {
        let view = shown(&pair.a, run).await;
        assert!(millis(&view["ended"]) <= at + ENDED_WITHIN_MS, "{view} after {at}");
    }
    let refused = pair.a.api().post("/v1/runs", &start("after-revocation-1", "say x")).await;
    assert_eq!(refused.unwrap().code(), "peer_revoked");
}

//= ID-23
//= ID-60
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_key_revoked_under_fifty_streams_releases_nothing_more() {
    let pair = Pair::granted(&WIDE, &WIDE, &[]).await.unwrap();
    let mut fifty = fifty(&pair, "stream-key").await;
    let ended = pair.run("ended-before-it-0001", "say done").await.unwrap();
    let mut history = History::default();
    pair.a.api().follow(&ended, &mut history).await.unwrap();
    // Since a moment before any of it: as if a thief had answered all the time.
    let line =
        ["key", "revoke", "stream", "--reason", "compromised", "--since", "2026-01-01T00:00:00Z"];
    let revoked = pair.b.json(&line).await.unwrap();
    assert_eq!(revoked["told"][0]["told"], true, "{revoked}");
    let (at, _) = told(&pair.b, "key_revoked").await;
    let (arrived, _) = told(&pair.a, "peer_key_revoked").await;
    assert!(arrived <= at + ENDED_WITHIN_MS, "told {} ms later", arrived - at);
    sleep(Duration::from_secs(2)).await;
    let mut held = Vec::new();
    for run in &fifty.runs {
        let view = shown(&pair.a, run).await;
        assert!(sealed_at(&pair, run).await <= at + UNDER_WAY_MS, "sealed after it: {view}");
        assert_eq!(view["phase"], "streaming", "nothing says that it ended: {view}");
        assert_eq!(
            (&view["disputed"]["kid"], &view["disputed"]["fromFrame"]),
            (&revoked["kid"], &0.into())
        );
        held.push(view["frames"].as_u64());
    }
    sleep(Duration::from_secs(2)).await;
    for (run, held) in fifty.runs.iter().zip(&held) {
        assert_eq!(shown(&pair.a, run).await["frames"].as_u64(), *held, "released after it");
    }
    // What was received stands, and says that it is disputed.
    let view = shown(&pair.a, &ended).await;
    assert_eq!(
        (&view["outcome"], &view["disputed"]["reason"]),
        (&"succeeded".into(), &"compromised".into())
    );
    let said = verdict(&pair, &ended).await;
    assert_eq!(said["outcome"]["verdict"], "verified");
    assert_eq!(said["summary"]["disputed"][0]["kid"], revoked["kid"], "{said}");
    let human = pair.a.output(&["run", "show", &ended]).await.unwrap();
    let human = String::from_utf8_lossy(&human.stdout).into_owned();
    assert!(human.contains("disputed"), "{human}");

    // Nothing new is answered for, and both sides say what is to do.
    assert_eq!(pair.b.api().get("/readyz").await.unwrap().status, 503);
    let doctor = pair.b.output(&["--json", "doctor"]).await.unwrap();
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("key rotate"));
    assert_eq!(count(&pair.b, "run_created").await, STREAMS + 1);
    let again = pair.b.output(&["key", "revoke", "stream", "--reason", "retired"]).await.unwrap();
    assert_eq!(again.status.code(), Some(1));
    let root = pair.b.output(&["key", "revoke", "root", "--reason", "retired"]).await.unwrap();
    assert_eq!(root.status.code(), Some(1));
    // Nothing ends by silence: a person at the caller decides.
    pair.a.json(&["peer", "revoke", "eu", "--because", "its key was stolen"]).await.unwrap();
    while let Some(history) = fifty.clients.join_next().await {
        assert_eq!(history.unwrap().said("outcome"), "lost");
    }
}

//= ID-60
//= ID-66
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_key_that_is_revoked_asks_for_nothing_and_reads_nothing_also_after_a_restart() {
    let mut pair = Pair::granted(&WIDE, &WIDE, &[]).await.unwrap();
    let fifty = fifty(&pair, "request-key").await;
    let line = ["key", "revoke", "request", "--reason", "compromised"];
    let revoked = pair.a.json(&line).await.unwrap();
    assert_eq!(revoked["told"][0]["told"], true, "{revoked}");
    // The executor ends what that key opened; the runs go on, as the contract says.
    until("told", async || count(&pair.b, "peer_key_revoked").await == 1).await;
    sleep(Duration::from_secs(2)).await;
    let mut held = Vec::new();
    for run in &fifty.runs {
        held.push(shown(&pair.a, run).await["frames"].as_u64());
    }
    sleep(Duration::from_secs(2)).await;
    for (run, held) in fifty.runs.iter().zip(&held) {
        assert_eq!(shown(&pair.a, run).await["frames"].as_u64(), *held, "read after it");
    }
    assert_eq!(count(&pair.b, "run_ended").await, 0);
    for restarted in [false, true] {
        if restarted {
            pair.a.stop().await.unwrap();
            pair.a.serve().await.unwrap();
        }
        let refused = pair.a.api().post("/v1/runs", &start("with-a-revoked-key", "say x")).await;
        let refused = refused.unwrap();
        assert_eq!(refused.code(), "halted");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("revoked"), "{detail}");
        assert_eq!(pair.a.api().get("/readyz").await.unwrap().status, 503);
    }
}

/// The way back from a stolen key: revoked first, so that nothing more is believed, and then replaced.
//= ID-60
//= ID-52
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_is_replaced_at_once_and_what_was_open_goes_on() {
    let mut pair = Pair::granted(&WIDE, &WIDE, &[]).await.unwrap();
    for (index, role) in ["stream", "request", "status"].into_iter().enumerate() {
        let open = pair.run(&format!("open-under-{role}-key"), "count 60 150").await.unwrap();
        until("it streams", async || shown(&pair.a, &open).await["frames"].as_u64() > Some(1))
            .await;
        let bridge = if role == "request" { &pair.a } else { &pair.b };
        let revoked =
            bridge.json(&["key", "revoke", role, "--reason", "compromised"]).await.unwrap();
        assert_eq!(bridge.api().get("/readyz").await.unwrap().status, 503, "{role}");
        bridge.json(&["key", "rotate", role, "--now"]).await.unwrap();
        assert_eq!(bridge.api().get("/readyz").await.unwrap().status, 200, "{role}");
        let status = bridge.json(&["key", "list"]).await.unwrap();
        let still = status.as_array().unwrap().iter().any(|key| key["kid"] == revoked["kid"]);
        assert!(!still, "a revoked key is in no newer root: {status}");

        let mut history = History::default();
        pair.a.api().follow(&open, &mut history).await.unwrap();
        assert_eq!(history.said("outcome"), "succeeded", "{role}");
        let run = pair.run(&format!("after-{role}-key-000{index}"), "say again").await.unwrap();
        let mut history = History::default();
        pair.a.api().follow(&run, &mut history).await.unwrap();
        assert_eq!(history.said("outcome"), "succeeded", "{role}");
        for run in [&open, &run] {
            assert_eq!(verdict(&pair, run).await["outcome"]["verdict"], "verified", "{role}");
        }
    }
    // The next processes know the revocations, and go by the new keys.
    for executor in [false, true] {
        let bridge = if executor { &mut pair.b } else { &mut pair.a };
        bridge.kill().await.unwrap();
        bridge.serve().await.unwrap();
        assert_eq!(bridge.api().get("/readyz").await.unwrap().status, 200);
    }
    let run = pair.run("after-all-of-it-0001", "say still").await.unwrap();
    let mut history = History::default();
    pair.a.api().follow(&run, &mut history).await.unwrap();
    assert_eq!(history.said("outcome"), "succeeded");
    assert!(pair.b.executions().unwrap().values().all(|count| *count == 1));
}

//= ID-64
//= ID-65
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_halted_executor_stops_everything_and_begins_nothing_also_after_a_restart() {
    let mut pair = Pair::granted(&WIDE, &WIDE, &[]).await.unwrap();
    let mut fifty = fifty(&pair, "halted").await;
    let began = now_ms();
    let halted = pair.b.json(&["halt", "--because", "smoke"]).await.unwrap();
    assert_eq!((&halted["halted"], &halted["bridge"]), (&true.into(), &"heard".into()));
    until("all stopped", async || stops_at(&pair.b) == STREAMS).await;
    until("all sealed", async || count(&pair.b, "run_ended").await == STREAMS).await;
    let events = pair.b.audit().await.unwrap();
    for event in events.iter().filter(|event| event["deed"] == "run_ended") {
        assert_eq!(event["detail"]["outcome"], "cancelled");
        assert!(event["at"].as_i64().unwrap() <= began + ENDED_WITHIN_MS, "{event} after {began}");
    }
    // The caller is told nothing final by a halted executor, and starts nothing there.
    let queued = pair.run("while-it-is-halted-1", "say later").await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(shown(&pair.a, &queued).await["phase"], "awaitAccept");
    assert_eq!(pair.b.executions().unwrap().len(), STREAMS);
    said_to_be_halted(&pair.b, "smoke").await;

    pair.b.kill().await.unwrap();
    pair.b.serve().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(pair.b.executions().unwrap().len(), STREAMS, "a restart began something");
    said_to_be_halted(&pair.b, "smoke").await;

    assert_eq!(pair.b.json(&["resume"]).await.unwrap()["bridge"], "heard");
    while let Some(history) = fifty.clients.join_next().await {
        let history = history.unwrap();
        assert_eq!((history.said("outcome"), history.said("by")), ("cancelled", "executor"));
    }
    let mut history = History::default();
    pair.a.api().follow(&queued, &mut history).await.unwrap();
    assert_eq!(history.said("outcome"), "succeeded");
    for deed in ["halted", "resumed"] {
        until(deed, async || count(&pair.b, deed).await >= 1).await;
    }
    assert_eq!(pair.b.api().get("/readyz").await.unwrap().status, 200);
}

async fn said_to_be_halted(bridge: &Bridge, because: &str) {
    let ready = bridge.api().get("/readyz").await.unwrap();
    assert_eq!(ready.status, 503);
    assert!(String::from_utf8_lossy(&ready.body).contains("landbridge resume"));
    let doctor = bridge.output(&["--json", "doctor"]).await.unwrap();
    assert_eq!(doctor.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&doctor.stdout).contains(because));
    let listed = bridge.output(&["peer", "list"]).await.unwrap();
    assert!(String::from_utf8_lossy(&listed.stderr).contains("halted"));
    let metrics = bridge.api().get("/metrics").await.unwrap();
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(
        text.lines().any(|line| line.starts_with("landbridge_halted") && line.ends_with(" 1")),
        "{text}"
    );
}

/// The switch is thrown with the executor's store locked, and both ways of asking for it are tried.
//= ID-65
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_halt_reaches_the_gateway_while_the_store_is_locked() {
    for by_hand in [false, true] {
        let pair = Pair::granted(&WIDE, &WIDE, &[]).await.unwrap();
        let run = pair.run("while-it-is-locked-1", LONG).await.unwrap();
        until("frames", async || shown(&pair.a, &run).await["frames"].as_u64().unwrap() >= 3).await;
        let database = pair.b.home().join("state/landbridge.db");
        let locked = lock(&database);
        if by_hand {
            // Not even the command is needed.
            std::fs::write(pair.b.home().join("halt"), "").unwrap();
        } else {
            let halted = pair.b.json(&["halt", "--because", "locked"]).await.unwrap();
            assert_eq!((&halted["halted"], &halted["changed"]), (&true.into(), &true.into()));
        }
        let by = Instant::now() + Duration::from_secs(5);
        while stops_at(&pair.b) == 0 {
            assert!(Instant::now() < by, "the gateway was not told to stop");
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(count_locked(&pair.b), 0, "nothing could be recorded");
        drop(locked);
        until("it is recorded", async || count(&pair.b, "run_ended").await == 1).await;

        let locked = lock(&database);
        let resumed = pair.b.json(&["resume"]).await.unwrap();
        assert_eq!((&resumed["halted"], &resumed["changed"]), (&false.into(), &true.into()));
        assert_eq!(resumed["bridge"], "heard");
        drop(locked);
        let mut history = History::default();
        pair.a.api().follow(&run, &mut history).await.unwrap();
        assert_eq!((history.said("outcome"), history.said("by")), ("cancelled", "executor"));
    }
}

/// A bridge that cannot read its records any more finds what it started at the gateway.
//= ID-65
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_halt_reaches_the_gateway_although_the_store_is_lost() {
    let mut pair = Pair::granted(&WIDE, &WIDE, &[]).await.unwrap();
    let run = pair.run("while-it-is-lost-001", LONG).await.unwrap();
    until("frames", async || shown(&pair.a, &run).await["frames"].as_u64().unwrap() >= 3).await;
    pair.b.kill().await.unwrap();
    let database = pair.b.home().join("state/landbridge.db");
    for rest in ["", "-wal", "-shm"] {
        let file = format!("{}{rest}", database.display());
        std::fs::write(file, "what is left after a disk fault").unwrap();
    }
    // A fault of the store is no order to stop anything.
    let refused = pair.b.output(&["serve"]).await.unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", String::from_utf8_lossy(&refused.stderr));
    assert_eq!(stops_at(&pair.b), 0);

    let halted = pair.b.json(&["halt", "--because", "its disk is gone"]).await.unwrap();
    assert_eq!(halted["halted"], true);
    let mut left = pair.b.command(&["serve"]).unwrap().kill_on_drop(true).spawn().unwrap();
    until("it is stopped", async || stops_at(&pair.b) == 1).await;
    assert!(left.try_wait().unwrap().is_none(), "it stays while it is halted");
    pair.b.json(&["resume"]).await.unwrap();
    assert_eq!(left.wait().await.unwrap().code(), Some(1));
}

/// Holds the store's write lock.
fn lock(database: &Path) -> rusqlite::Connection {
    let lock = rusqlite::Connection::open(database).unwrap();
    lock.busy_timeout(Duration::from_secs(30)).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    lock
}

/// Stops that the store has recorded.
fn count_locked(bridge: &Bridge) -> i64 {
    let database = bridge.home().join("state/landbridge.db");
    let read = rusqlite::Connection::open(database).unwrap();
    let count = "SELECT count(*) FROM runs WHERE stop_reason IS NOT NULL";
    read.query_row(count, [], |row| row.get(0)).unwrap()
}

//= ID-64
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_halted_caller_asks_for_nothing_and_reads_on_when_it_is_resumed() {
    let pair = Pair::granted(&WIDE, &WIDE, &[]).await.unwrap();
    let run = pair.run("the-caller-halts-001", "say one\nsleep 4000\nsay two").await.unwrap();
    until("frames", async || shown(&pair.a, &run).await["frames"].as_u64().unwrap() >= 2).await;
    pair.a.json(&["halt"]).await.unwrap();
    let refused = pair.a.api().post("/v1/runs", &start("while-halted-00001", "say x")).await;
    assert_eq!(refused.unwrap().code(), "halted");
    // A client's stream ends with the same word, and no terminal.
    let (path, events) =
        (format!("/v1/runs/{run}/frames?after=2"), [("accept", "text/event-stream")]);
    let told = pair.a.api().send(http::Method::GET, &path, &events, None).await.unwrap();
    let told = String::from_utf8(told.body.to_vec()).unwrap();
    assert!(told.contains("event: problem") && told.contains("\"halted\""), "{told}");
    sleep(Duration::from_secs(5)).await;
    let view = shown(&pair.a, &run).await;
    assert_eq!((&view["phase"], &view["frames"]), (&"streaming".into(), &2.into()));
    pair.a.json(&["resume"]).await.unwrap();
    let mut history = History::default();
    pair.a.api().follow(&run, &mut history).await.unwrap();
    assert_eq!(history.said("outcome"), "succeeded");
    assert_eq!(pair.a.json(&["resume"]).await.unwrap()["changed"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_of_a_peer_names_the_step_and_the_remedy() {
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let test = async |pair: &Pair| {
        let output = pair.a.output(&["--json", "peer", "test", "eu"]).await.unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let failed = found["steps"].as_array().unwrap().iter().find(|step| step["state"] == "fail");
        let failed = failed.map(|step| {
            assert!(step["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{step}");
            step["step"].as_str().unwrap().to_owned()
        });
        (output.status.code().unwrap(), failed, found)
    };
    let (code, failed, found) = test(&pair).await;
    assert_eq!((code, failed), (0, None), "{found}");
    let steps: Vec<_> = found["steps"].as_array().unwrap().iter().map(|one| &one["step"]).collect();
    let all = ["standing", "address", "reach", "tls", "chain", "status", "answer", "clock"];
    assert_eq!(steps, all, "{found}");
    let human = pair.a.output(&["peer", "test", "eu"]).await.unwrap();
    assert!(String::from_utf8_lossy(&human.stdout).contains("TLS 1.3"));
    assert_eq!(pair.a.output(&["peer", "test", "nobody"]).await.unwrap().status.code(), Some(16));

    pair.b.json(&["peer", "suspend", "us", "--because", "a test"]).await.unwrap();
    assert_eq!(test(&pair).await.1.as_deref(), Some("answer"));
    pair.b.json(&["peer", "resume", "us", "--because", "a test"]).await.unwrap();
    assert_eq!(test(&pair).await.0, 0);
    pair.b.json(&["halt"]).await.unwrap();
    assert_eq!(test(&pair).await.1.as_deref(), Some("answer"));
    pair.b.json(&["resume"]).await.unwrap();
    pair.a.json(&["peer", "suspend", "eu", "--because", "a test"]).await.unwrap();
    assert_eq!(test(&pair).await.1.as_deref(), Some("standing"));
    pair.a.json(&["peer", "resume", "eu", "--because", "a test"]).await.unwrap();
    pair.b.kill().await.unwrap();
    let (code, failed, found) = test(&pair).await;
    assert_eq!((code, failed.as_deref()), (1, Some("reach")), "{found}");
    assert_eq!(found["steps"].as_array().unwrap().last().unwrap()["state"], "skipped", "{found}");
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}
