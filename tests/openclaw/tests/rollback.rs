//! Either bridge's state is copied back under a load of runs at a real gateway: the model is never asked
//! twice for one prompt, nobody honest is quarantined, and every client is told the truth.
//!
//! The gateway is not copied back. It is the one who remembers, and the model's server counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use landbridge_harness::bridge::Api;
use landbridge_harness::history::History;
use landbridge_openclaw_tests::bridge::Bridge;
use landbridge_openclaw_tests::dice::Dice;
use landbridge_openclaw_tests::world::{WORDS, World};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Runs of one round.
const RUNS: usize = 20;
/// Rounds, unless LANDBRIDGE_ROLLBACKS says otherwise: each bridge once, one of them as when its whole
/// machine is restored; four have all of it.
const ROUNDS: u64 = 4;
/// How long a round's clients may take, once the bridge works again.
const ROUND_WITHIN: Duration = Duration::from_secs(180);

/// What a client was told, at the end.
struct Told {
    marker: String,
    outcome: String,
    by: String,
    code: String,
    effects: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_copied_back_the_model_is_asked_once() {
    let Some(world) = World::set().await else { return };
    let mut dice = Dice::new();
    let rounds = std::env::var("LANDBRIDGE_ROLLBACKS").ok().and_then(|text| text.parse().ok());
    let rounds: u64 = rounds.unwrap_or(ROUNDS);
    let mut sums: BTreeMap<String, u32> = BTreeMap::new();
    for round in 0..rounds {
        // The executor's whole machine comes first: nothing at its side can tell.
        let (executor, machine) = (round % 2 == 0, (round + round / 2) % 2 == 0);
        for one in play(&world, round, executor, machine, &mut dice).await {
            *sums.entry(format!("{} by {}", one.outcome, one.by)).or_default() += 1;
        }
    }
    println!("{rounds} rollbacks, {} runs: {sums:?}", rounds as usize * RUNS);
    assert!(sums.contains_key("succeeded by executor"), "no run was led to its end");
}

async fn play(
    world: &Arc<World>,
    round: u64,
    executor: bool,
    machine: bool,
    dice: &mut Dice,
) -> Vec<Told> {
    let begun = Instant::now();
    let victim = if executor { &world.b } else { &world.a };
    let mut clients = JoinSet::new();
    let early = 4 + dice.below(RUNS as u64 - 8) as usize;
    for index in 0..early {
        ask(world, &mut clients, round, index);
        sleep(Duration::from_millis(dice.below(60))).await;
    }
    sleep(Duration::from_millis(dice.below(1_500))).await;
    ended(&api(&world.a), round, dice.below(4) as usize).await;
    let copy = victim.home().with_extension(format!("copy-{round}"));
    victim.kill().await;
    keep(victim.home(), &copy);
    victim.serve().await;
    world.b.reaches_gateway().await;
    for index in early..RUNS {
        ask(world, &mut clients, round, index);
        sleep(Duration::from_millis(dice.below(60))).await;
    }
    taken(&api(&world.a), round, early).await;
    sleep(Duration::from_millis(dice.below(3_000))).await;
    victim.kill().await;
    put_back(victim.home(), &copy, machine);
    victim.serve().await;

    if machine {
        // Only its peer can tell it: at the first contact.
        let probe = start(&format!("round-{round:04}-probe"), "model: say probe");
        let answer = api(&world.a).post("/v1/runs", &probe).await.unwrap();
        assert!(matches!(answer.status, 201 | 503), "{}", answer.code());
    }
    let until = Instant::now() + Duration::from_secs(60);
    while api(victim).get("/readyz").await.unwrap().status == 200 {
        assert!(Instant::now() < until, "round {round}: the rollback was not noticed");
        sleep(Duration::from_millis(50)).await;
    }
    victim.kill().await;
    let recovered = victim.json(&["recover", "--yes"]).await;
    victim.serve().await;
    let mut told = Vec::new();
    let until = tokio::time::Instant::now() + ROUND_WITHIN;
    while let Ok(Some(one)) = tokio::time::timeout_at(until, clients.join_next()).await {
        told.push(one.unwrap());
    }
    assert_eq!(told.len(), RUNS, "round {round}: not every client was told an end");
    for one in &told {
        judge(world, one);
    }
    for (bridge, alias) in [(&world.a, "eu"), (&world.b, "us")] {
        let peer = bridge.json(&["peer", "show", alias]).await;
        assert_eq!(peer["state"], "active", "round {round}: {peer}");
    }
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    told.iter()
        .for_each(|one| *ends.entry(format!("{} {}", one.outcome, one.code)).or_default() += 1);
    let (who, what) = (if executor { "B" } else { "A" }, if machine { "machine" } else { "state" });
    println!("round {round}: {what} of {who}, {ends:?}, {recovered}, {:?}", begun.elapsed());
    told
}

fn judge(world: &World, told: &Told) {
    let Told { marker, outcome, by, code, effects } = told;
    let executions = world.model.executions(marker);
    assert!(executions <= 1, "{marker} was executed {executions} times; told {outcome} {code}");
    match (outcome.as_str(), by.as_str(), effects.as_str()) {
        ("succeeded", "executor", _) => assert_eq!(executions, 1, "{marker}"),
        ("lost", "caller", "unknown") | ("failed", "executor", "unknown") => {}
        // Nothing was done, and it is said.
        ("failed", "executor", "none") => assert_eq!(executions, 0, "{marker}: {code}"),
        other => panic!("{marker} ended {other:?} {code}"),
    }
}

fn ask(world: &Arc<World>, clients: &mut JoinSet<Told>, round: u64, index: usize) {
    clients.spawn(client(api(&world.a), round, index));
}

fn start(key: &str, prompt: &str) -> Value {
    json!({"gateway": "eu", "agent": "auto", "prompt": prompt, "idempotencyKey": key})
}

fn key(round: u64, index: usize) -> String {
    format!("round-{round:04}-run-{index:04}")
}

fn api(bridge: &Bridge) -> Api {
    Api::Socket(bridge.home().join("landbridge.sock"))
}

/// A workflow engine: asks, reads, and asks again with the same key where its run is not known any more.
async fn client(api: Api, round: u64, index: usize) -> Told {
    let marker = format!("m-roll-{round}-{index}.");
    let prompt = format!("{marker}\nmodel: delay 40\nmodel: say {WORDS}");
    loop {
        let run = loop {
            if let Ok(answer) = api.post("/v1/runs", &start(&key(round, index), &prompt)).await
                && answer.status != 503
            {
                assert!(matches!(answer.status, 200 | 201), "{} {}", answer.status, answer.code());
                break answer.json()["run"].as_str().unwrap().to_owned();
            }
            sleep(Duration::from_millis(100)).await;
        };
        let mut history = History::default();
        if api.follow_within(&run, &mut history, ROUND_WITHIN).await.is_err() {
            sleep(Duration::from_millis(100)).await;
            continue;
        }
        return Told {
            marker,
            outcome: history.said("outcome").to_owned(),
            by: history.said("by").to_owned(),
            code: history.code().to_owned(),
            effects: history.said("sideEffects").to_owned(),
        };
    }
}

/// Waits until the executor took one of the later runs, so that there is something to be lost.
async fn taken(api: &Api, round: u64, early: usize) {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        if let Ok(list) = api.get("/v1/runs?limit=100").await {
            let list = list.json();
            let later = |run: &&Value| {
                let named = run["idempotencyKey"].as_str().unwrap_or_default();
                (early..RUNS).any(|index| named == key(round, index))
            };
            let runs = list["runs"].as_array().into_iter().flatten();
            if runs.filter(later).any(|run| run["frames"].as_u64().unwrap_or(0) > 0) {
                return;
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("round {round}: no later run was taken");
}

/// Waits until so many runs of the round have ended.
async fn ended(api: &Api, round: u64, count: usize) {
    let until = Instant::now() + Duration::from_secs(30);
    while Instant::now() < until {
        if let Ok(list) = api.get("/v1/runs?limit=100").await {
            let list = list.json();
            let named = format!("round-{round:04}-");
            let of_round = |run: &&Value| {
                run["idempotencyKey"].as_str().is_some_and(|key| key.starts_with(&named))
            };
            let runs = list["runs"].as_array().into_iter().flatten().filter(of_round);
            if runs.filter(|run| run["phase"] == "settled").count() >= count {
                return;
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
}

fn keep(home: &Path, copy: &Path) {
    copy_files(&home.join("state"), &copy.join("state"));
    std::fs::copy(home.join("state.witness"), copy.join("state.witness")).unwrap();
}

fn put_back(home: &Path, copy: &Path, machine: bool) {
    std::fs::remove_dir_all(home.join("state")).unwrap();
    copy_files(&copy.join("state"), &home.join("state"));
    if machine {
        std::fs::copy(copy.join("state.witness"), home.join("state.witness")).unwrap();
    }
}

fn copy_files(from: &Path, to: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700)).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
