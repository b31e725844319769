//! Keys and roots are rotated while runs are under way: nobody notices, and everything verifies.

use std::collections::BTreeSet;
use std::time::Duration;

use landbridge_harness::bridge::{Bridge, Pair};
use landbridge_harness::history::History;
use landbridge_node::clock::{Clock as _, SystemClock};
use landbridge_node::identity::online::later_key_file;
use landbridge_node::identity::{OFFLINE, load_key, own_root};
use landbridge_proto::trust::signer::sign_typed;
use landbridge_proto::wire::document::{Root, raw};
use landbridge_proto::wire::kind::Role;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::kill9::WIDE;

/// Runs that are open while everything is rotated.
const RUNS: usize = 50;
/// What they do: they take as long as all of the rotations.
const LONG: &str = "count 300 150";
/// What signs every day.
const ONLINE: [&str; 3] = ["stream", "request", "status"];
/// A successor takes over this soon.
const LEAD: [&str; 2] = ["--lead", "12s"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_and_the_root_are_rotated_under_fifty_runs_and_no_run_notices() {
    let pair = Pair::granted(&WIDE, &WIDE, &[]).await.unwrap();
    let mut runs = Vec::new();
    for index in 0..RUNS {
        runs.push(pair.run(&format!("rotated-run-{index:04}"), LONG).await.unwrap());
    }
    let mut clients = JoinSet::new();
    for run in runs.clone() {
        let api = pair.a.api();
        clients.spawn(async move {
            let mut history = History::default();
            api.follow_within(&run, &mut history, Duration::from_secs(180)).await.map(|()| history)
        });
    }
    let before = signing(&pair.b).await;
    let before_at_a = signing(&pair.a).await;
    executing(&pair.b, RUNS).await;

    // As an operator does it: listed ahead, taken over by the clock, on both sides.
    for bridge in [&pair.b, &pair.a] {
        let everything = [&["key", "rotate", "--all-online", "root", "policy"][..], &LEAD].concat();
        let done = bridge.json(&everything).await.unwrap();
        assert_eq!(
            done["version"], 3,
            "one root for all, and one that drops the policy key: {done}"
        );
        if bridge.gateway() == pair.b.gateway() {
            let still = signing(bridge).await;
            for role in ONLINE {
                assert_eq!(still[role], before[role], "{role} is listed, and not used yet");
            }
            for role in ["tls", "root", "policy"] {
                assert_ne!(still[role], before[role], "{role} changes at once");
            }
        }
    }
    // Work goes on meanwhile, and new work is taken.
    let early = pair.run("asked-between-the-keys", "say hello").await.unwrap();
    told(&pair, &early, "succeeded").await;
    let until = Instant::now() + Duration::from_secs(40);
    for (bridge, before) in [(&pair.b, &before), (&pair.a, &before_at_a)] {
        for role in ONLINE {
            while signing(bridge).await[role] == before[role] {
                assert!(Instant::now() < until, "the successor of {role} never took over");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    let between = [signing(&pair.a).await, signing(&pair.b).await];
    // And as in an emergency: at once, without the former keys.
    for bridge in [&pair.a, &pair.b] {
        let all = ["key", "rotate", "--all-online", "root", "--now"];
        assert_eq!(bridge.json(&all).await.unwrap()["version"], 4);
    }
    let late = pair.run("asked-after-the-keys", "say hello").await.unwrap();
    told(&pair, &late, "succeeded").await;

    while let Some(history) = clients.join_next().await {
        let history = history.unwrap().unwrap();
        assert_eq!((history.said("outcome"), history.said("by")), ("succeeded", "executor"));
    }
    let present = signing(&pair.b).await;
    for (now, before) in [(&signing(&pair.a).await, &between[0]), (&present, &between[1])] {
        for role in ONLINE.into_iter().chain(["tls", "root"]) {
            assert_ne!(now[role], before[role], "{role}");
        }
        assert_eq!(now["policy"], before["policy"], "it was not asked for");
    }
    for run in &runs {
        let transcript = pair.a.transcript(run).await.unwrap();
        assert_eq!(pair.a.verify(&transcript, pair.b.gateway()).await.unwrap(), 0, "{run}");
        let seals = signers(&transcript, "seal");
        //= ID-51
        assert_eq!(seals.last(), present["stream"].as_str().map(str::to_owned).as_ref());
        assert!(seals.iter().collect::<BTreeSet<_>>().len() >= 2, "{run} saw no rotation");
    }
    assert!(pair.b.executions().unwrap().values().all(|count| *count == 1));
    for (bridge, peer) in [(&pair.a, "eu"), (&pair.b, "us")] {
        let known = bridge.json(&["peer", "show", peer]).await.unwrap();
        assert_eq!((&known["state"], &known["rootVersion"]), (&"active".into(), &4.into()));
        let deeds = bridge.audit().await.unwrap();
        let changes = deeds.iter().filter(|event| event["deed"] == "keys_in_use").count();
        assert!(changes >= 4, "{changes}");
        assert!(!deeds.iter().any(|event| event["deed"] == "peer_quarantined"));
    }
}

//= ID-52
//= ID-53
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_was_away_for_several_roots_attaches_and_verifies() {
    let mut pair = Pair::granted(&WIDE, &WIDE, &[]).await.unwrap();
    let open = pair.run("open-while-away-0001", "say begun\nsleep 6000\nsay ended").await.unwrap();
    let ended = pair.run("ends-while-away-0001", "say begun\nsleep 1500\nsay ended").await.unwrap();
    executing(&pair.b, 2).await;
    pair.a.kill().await.unwrap();
    for round in 2..=4 {
        let all = ["key", "rotate", "--all-online", "root", "--now"];
        assert_eq!(pair.b.json(&all).await.unwrap()["version"], round);
    }
    // Nothing of the first root's online keys is left, and the accepts are signed by one of them.
    let present = signing(&pair.b).await;
    pair.a.serve().await.unwrap();
    for run in [&open, &ended] {
        told(&pair, run, "succeeded").await;
        let transcript = pair.a.transcript(run).await.unwrap();
        assert_eq!(pair.a.verify(&transcript, pair.b.gateway()).await.unwrap(), 0);
        assert_ne!(signers(&transcript, "accept")[0], present["stream"]);
        assert_eq!(*signers(&transcript, "seal").last().unwrap(), present["stream"]);
        assert_eq!(transcript.matches("\"of\":\"executor\",\"type\":\"root\"").count(), 4);
    }
}

/// Points of the command, and of the daemon, each of which a root passes.
const COMMAND: [&str; 4] =
    ["rotation.keys_made", "rotation.root_signed", "rotation.federation_signed", "rotation.done"];
const DAEMON: [&str; 4] =
    ["rotation.verified", "rotation.root_durable", "rotation.in_force", "rotation.told"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_point_of_a_rotation_old_or_new_trust_is_in_force() {
    let mut pair = Pair::granted(&WIDE, &WIDE, &[]).await.unwrap();
    let all = ["key", "rotate", "--all-online", "root", "policy", "--now"];
    let mut seen = BTreeSet::new();
    for (at, point) in COMMAND.into_iter().chain(DAEMON).enumerate() {
        let before = version(&pair.b).await;
        let begun = pair.b.executions().unwrap().len();
        let run = pair.run(&format!("open-at-the-point-{at}"), "say a\nsleep 2000\nsay b").await;
        let run = run.unwrap();
        executing(&pair.b, begun + 1).await;
        if COMMAND.contains(&point) {
            pair.b.dies(&all, point).await.unwrap();
            pair.b.kill().await.unwrap();
        } else {
            pair.b.stop().await.unwrap();
            pair.b.serve_until(point).await.unwrap();
            assert!(!pair.b.output(&all).await.unwrap().status.success());
            pair.b.died().await.unwrap();
        }
        pair.b.serve().await.unwrap();
        let after = version(&pair.b).await;
        // The policy key takes two roots: only whoever dies after everything leaves both behind.
        let most = if point == "rotation.done" { 2 } else { 1 };
        assert!((before..=before + most).contains(&after), "{point}: root {before} became {after}");
        seen.insert((point, after - before));
        // Whichever it is, the files and the store go with it, and the peer verifies all of it.
        told(&pair, &run, "succeeded").await;
        let new = pair.run(&format!("after-the-point-{at:04}"), "say c").await.unwrap();
        told(&pair, &new, "succeeded").await;
        pair.b.json(&["grant", "add", "us", "--agent", &format!("agent{at}")]).await.unwrap();
        for run in [&run, &new] {
            let transcript = pair.a.transcript(run).await.unwrap();
            assert_eq!(pair.a.verify(&transcript, pair.b.gateway()).await.unwrap(), 0, "{point}");
        }
        // And the next rotation goes through.
        pair.b.json(&all).await.unwrap();
        assert_eq!(version(&pair.b).await, after + 2, "{point}");
    }
    //= ID-49
    let old: BTreeSet<_> = ["rotation.keys_made", "rotation.root_signed", "rotation.verified"]
        .map(|point| (point, 0))
        .into();
    assert!(seen.is_superset(&old), "{seen:?}");
    assert!(seen.contains(&("rotation.done", 2)), "{seen:?}");
    let changed = seen.iter().filter(|(_, steps)| *steps == 1).count();
    assert_eq!(changed, COMMAND.len() + DAEMON.len() - old.len() - 1, "{seen:?}");
}

#[tokio::test]
async fn a_bridge_that_does_not_run_is_rotated_in_its_files() {
    let mut pair = Pair::granted(&WIDE, &WIDE, &[]).await.unwrap();
    pair.b.stop().await.unwrap();
    let done = pair.b.json(&["key", "rotate", "--all-online", "root", "--now"]).await.unwrap();
    assert_eq!(done["version"], 2);
    assert!(!pair.b.output(&["key", "rotate", "policy"]).await.unwrap().status.success());
    pair.b.serve().await.unwrap();
    let run = pair.run("after-the-offline-one", "say hello").await.unwrap();
    told(&pair, &run, "succeeded").await;
    // Nothing is due, so a timer changes nothing.
    let due = pair.b.json(&["key", "rotate", "--all-online", "--due"]).await.unwrap();
    assert_eq!((&due["version"], &due["rotated"]), (&2.into(), &serde_json::json!([])));

    // A key that ends soon is due, and no other; and once a successor is listed, nothing is.
    pair.b.stop().await.unwrap();
    ends_soon(&pair.b, "request");
    pair.b.serve().await.unwrap();
    let before = signing(&pair.b).await;
    let due =
        pair.b.json(&["key", "rotate", "--all-online", "--due", "--lead", "1s"]).await.unwrap();
    assert_eq!((&due["version"], &due["rotated"]), (&4.into(), &serde_json::json!(["request"])));
    let again = pair.b.json(&["key", "rotate", "--all-online", "--due"]).await.unwrap();
    assert_eq!((&again["version"], &again["rotated"]), (&4.into(), &serde_json::json!([])));
    let until = Instant::now() + Duration::from_secs(40);
    while signing(&pair.b).await["request"] == before["request"] {
        assert!(Instant::now() < until, "the successor never took over");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(signing(&pair.b).await["stream"], before["stream"]);
}

/// Signs the next root of a bridge that is down, under which the key of a role ends in thirty days.
fn ends_soon(bridge: &Bridge, role: &str) {
    let own = own_root(bridge.home()).unwrap();
    let mut root = raw::Root::from(own.root().clone());
    let role = Role::ALL.into_iter().find(|one| one.as_str() == role).unwrap();
    for kid in &root.roles[&role].keyids {
        root.keys.get_mut(kid).unwrap().exp = SystemClock.now().plus_ms(30 * 24 * 3_600_000);
    }
    root.version += 1;
    root.prev = Some(own.digest());
    let version = root.version;
    let key = root.roles[&Role::Root].keyids.first().unwrap().clone();
    let path = later_key_file(&bridge.home().join(OFFLINE), Role::Root, &key);
    let signer = load_key(&path, Role::Root).unwrap();
    let envelope = sign_typed(&signer, &Root::try_from(root).unwrap()).unwrap();
    let path = bridge.home().join(format!("root/{version}.json"));
    std::fs::write(path, envelope.to_bytes()).unwrap();
}

/// Follows a run to its end.
async fn told(pair: &Pair, run: &str, outcome: &str) {
    let mut history = History::default();
    pair.a.api().follow_within(run, &mut history, Duration::from_secs(90)).await.unwrap();
    assert_eq!((history.said("outcome"), history.said("by")), (outcome, "executor"));
}

/// The keys that sign, by role.
async fn signing(bridge: &Bridge) -> serde_json::Map<String, Value> {
    let keys = bridge.json(&["key", "list"]).await.unwrap();
    let keys = keys.as_array().unwrap().iter().filter(|key| key["use"] == "inUse");
    keys.map(|key| (key["role"].as_str().unwrap().to_owned(), key["kid"].clone())).collect()
}

async fn version(bridge: &Bridge) -> u64 {
    let answer = bridge.api().get("/v1/admin/bridge").await.unwrap();
    answer.json()["rootVersion"].as_u64().unwrap()
}

async fn executing(bridge: &Bridge, count: usize) {
    while bridge.executions().unwrap().len() < count {
        sleep(Duration::from_millis(20)).await;
    }
}

/// Who signed the lines of one type, in order.
fn signers(transcript: &str, kind: &str) -> Vec<String> {
    let lines = transcript.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines = lines.filter(|line| line["type"] == kind);
    lines.map(|line| line["value"]["signatures"][0]["keyid"].as_str().unwrap().to_owned()).collect()
}
