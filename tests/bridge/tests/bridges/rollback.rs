//! Either bridge's state is copied back under a load of runs: nothing is executed twice, nobody honest is
//! quarantined, and every client reads one terminal that is true.
//!
//! The scripted gateway's log of executions lies outside of what is copied back, as a real gateway would.
//! In half of the rounds the witness beside the state is copied back too, as when a whole machine is
//! restored: then only the peer can tell, at the first contact.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use landbridge_harness::bridge::{Api, Bridge, Pair, start};
use landbridge_harness::history::History;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::dice::Dice;

/// Runs of one round.
const RUNS: usize = 20;
/// Rounds, unless LANDBRIDGE_ROLLBACKS says otherwise.
const ROUNDS: u64 = 8;
/// How long a round's clients may take, once the bridge works again.
const ROUND_WITHIN: Duration = Duration::from_secs(120);

/// Limits that are not what is tried here.
const WIDE: [(&str, &str); 3] = [
    ("LANDBRIDGE_LIMITS_STARTS_PER_MINUTE_MAX", "100000"),
    ("LANDBRIDGE_LIMITS_RUNS_OPEN_MAX", "1000"),
    ("LANDBRIDGE_LIMITS_RUNS_OPEN_PER_PEER_MAX", "1000"),
];

const PROMPTS: [&str; 4] = [
    "say at once",
    "count 30 25",
    "sleep 700\nsay late",
    "slow 80 one two three four five six seven",
];

/// What a client was told, at the end.
struct Told {
    key: String,
    outcome: String,
    by: String,
    effects: String,
    remote: Option<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_copied_back_nothing_happens_twice_and_everybody_is_told_the_truth() {
    let mut dice = Dice::from_environment();
    let rounds = std::env::var("LANDBRIDGE_ROLLBACKS").ok().and_then(|text| text.parse().ok());
    let rounds: u64 = rounds.unwrap_or(ROUNDS);
    let mut pair = Pair::granted(&WIDE, &WIDE, &[]).await.unwrap();
    let mut sums: BTreeMap<String, u32> = BTreeMap::new();
    for round in 0..rounds {
        let (executor, machine) = (round % 2 == 0, round / 2 % 2 == 1);
        let told = play(&mut pair, round, executor, machine, &mut dice).await;
        for one in told {
            *sums.entry(format!("{} by {}", one.outcome, one.by)).or_default() += 1;
        }
    }
    println!("{rounds} rollbacks, {} runs: {sums:?}", rounds as usize * RUNS);
    assert!(sums.keys().any(|end| end == "succeeded by executor"), "no run was led to its end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_made_under_work_is_restored_and_recovered_step_by_step() {
    let mut pair = Pair::granted(&WIDE, &WIDE, &[]).await.unwrap();
    let kept = pair.run("before-the-backup-1", "say kept").await.unwrap();
    let mut history = History::default();
    pair.a.api().follow(&kept, &mut history).await.unwrap();
    let open = pair.run("open-in-the-backup", "say begun\nhang").await.unwrap();
    while pair.b.executions().unwrap().len() < 2 {
        sleep(Duration::from_millis(10)).await;
    }

    // Made while it works; never made over another one; without keys.
    let directory = pair.place.path().join("backup");
    let path = directory.to_str().unwrap();
    let manifest = pair.b.json(&["backup", path]).await.unwrap();
    assert_eq!(
        (&manifest["gateway"], &manifest["keys"]),
        (&pair.b.gateway().into(), &false.into())
    );
    assert!(!directory.join("keys").exists() && !directory.join("offline").exists());
    assert!(!pair.b.output(&["backup", path]).await.unwrap().status.success());

    let lost = pair.run("after-the-backup-01", "say forgotten").await.unwrap();
    let mut forgotten = History::default();
    pair.a.api().follow(&lost, &mut forgotten).await.unwrap();
    assert_eq!(forgotten.said("outcome"), "succeeded");

    // Each step refuses to come before the one that it needs.
    for early in [&["restore", path, "--yes"][..], &["recover", "--yes"]] {
        assert!(!pair.b.output(early).await.unwrap().status.success(), "{early:?}");
    }
    pair.b.stop().await.unwrap();
    assert!(!pair.b.output(&["recover", "--yes"]).await.unwrap().status.success());
    assert!(!pair.b.output(&["restore", path]).await.unwrap().status.success(), "nobody decided");
    let done = pair.b.json(&["restore", path, "--yes"]).await.unwrap();
    assert!(Path::new(done["replaced"].as_str().unwrap()).join("state/landbridge.db").exists());
    pair.b.serve().await.unwrap();
    assert_eq!(pair.b.api().get("/readyz").await.unwrap().status, 503);
    pair.b.stop().await.unwrap();
    let done = pair.b.json(&["recover", "--yes"]).await.unwrap();
    assert_eq!((&done["incarnation"], &done["abandoned"]), (&2.into(), &1.into()));
    pair.b.serve().await.unwrap();
    assert_eq!(pair.b.api().get("/readyz").await.unwrap().status, 200);

    // What was open is lost and stopped, what had ended is as it was, and new work is done.
    let mut history = History::default();
    pair.a.api().follow(&open, &mut history).await.unwrap();
    assert_eq!((history.said("outcome"), history.said("sideEffects")), ("lost", "unknown"));
    let stopped = async || {
        let events = pair.b.audit().await.unwrap();
        events.iter().any(|event| event["deed"] == "abandoned_run_stopped")
    };
    while !stopped().await {
        sleep(Duration::from_millis(20)).await;
    }
    let new = pair.run("after-the-recovery1", "say new").await.unwrap();
    let mut history = History::default();
    pair.a.api().follow(&new, &mut history).await.unwrap();
    assert_eq!(history.said("outcome"), "succeeded");
    assert!(pair.b.executions().unwrap().values().all(|count| *count == 1));
    assert_eq!(pair.a.json(&["peer", "show", "eu"]).await.unwrap()["state"], "active");
}

/// One round; says what its clients were told.
async fn play(
    pair: &mut Pair,
    round: u64,
    executor: bool,
    machine: bool,
    dice: &mut Dice,
) -> Vec<Told> {
    let began = Instant::now();
    let mut clients = JoinSet::new();
    let early = 2 + dice.below(RUNS as u64 - 6) as usize;
    for index in 0..early {
        ask(pair, &mut clients, round, index, dice);
        sleep(Duration::from_millis(dice.below(30))).await;
    }
    sleep(Duration::from_millis(dice.below(500))).await;

    // The backup, of a moment in the middle.
    let copy = pair.place.path().join(format!("copy-{round}"));
    victim(pair, executor).kill().await.unwrap();
    keep(victim(pair, executor).home(), &copy);
    victim(pair, executor).serve().await.unwrap();

    // The future that will be lost.
    for index in early..RUNS {
        ask(pair, &mut clients, round, index, dice);
        sleep(Duration::from_millis(dice.below(30))).await;
    }
    taken(&pair.a.api(), round, early).await;
    sleep(Duration::from_millis(dice.below(900))).await;
    victim(pair, executor).kill().await.unwrap();
    let mut known = bound_keys(&pair.b);
    put_back(victim(pair, executor).home(), &copy, machine);
    victim(pair, executor).serve().await.unwrap();

    noticed(pair, executor, machine, round).await;
    victim(pair, executor).stop().await.unwrap();
    let recovered = victim(pair, executor).json(&["recover", "--yes"]).await.unwrap();
    victim(pair, executor).serve().await.unwrap();
    assert_eq!(victim(pair, executor).api().get("/readyz").await.unwrap().status, 200);
    let mut told = Vec::new();
    let until = Instant::now() + ROUND_WITHIN;
    while let Ok(Some(one)) = tokio::time::timeout_at(until, clients.join_next()).await {
        told.push(one.unwrap());
    }
    assert_eq!(told.len(), RUNS, "round {round}: not every client was told an end");

    known.extend(bound_keys(&pair.b));
    judge(pair, round, &told, &known).await;
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    told.iter()
        .for_each(|one| *ends.entry(format!("{} by {}", one.outcome, one.by)).or_default() += 1);
    let (who, what) = (if executor { "B" } else { "A" }, if machine { "machine" } else { "state" });
    println!("round {round}: {what} of {who}, {ends:?}, {recovered}, {:?}", began.elapsed());
    told
}

/// Asserts everything that must hold of what clients were told.
async fn judge(pair: &Pair, round: u64, told: &[Told], known: &BTreeSet<(String, String)>) {
    let executions = pair.b.executions().unwrap();
    let twice: Vec<_> = executions.iter().filter(|(_, count)| **count > 1).collect();
    assert_eq!(twice, [], "round {round}: executed twice");
    // Nor once more under another id: of the runs that ever belonged to a key one was executed at most.
    let mut of_key: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, run) in known.iter().filter(|(_, run)| executions.contains_key(run)) {
        of_key.entry(key).or_default().push(run);
    }
    let twice: Vec<_> = of_key.iter().filter(|(_, runs)| runs.len() > 1).collect();
    assert!(twice.is_empty(), "round {round}: executed twice under two ids: {twice:?}");
    for one in told {
        match (one.outcome.as_str(), one.by.as_str()) {
            ("succeeded", "executor") => {
                // A caller that forgot the run after its client had read the end names none.
                let executed = match &one.remote {
                    Some(remote) => executions.get(remote).copied().unwrap_or_default(),
                    None => of_key.get(&*one.key).map_or(0, Vec::len),
                };
                assert_eq!(executed, 1, "round {round}: {}", one.key);
            }
            // Not known whether it was executed, and it says so.
            ("lost", "caller") | ("failed", "executor") => {
                assert_eq!(one.effects, "unknown", "round {round}: {}", one.key);
            }
            other => panic!("round {round}: {} ended {other:?}", one.key),
        }
    }
    for (bridge, alias) in [(&pair.a, "eu"), (&pair.b, "us")] {
        let peer = bridge.json(&["peer", "show", alias]).await.unwrap();
        assert_eq!(peer["state"], "active", "round {round}: {peer}");
    }
}

/// Waits until the bridge has found out, and asserts that it then does nothing, also after a restart.
async fn noticed(pair: &mut Pair, executor: bool, machine: bool, round: u64) {
    if machine {
        // Only its peer can tell it: at the first contact.
        let probe = start(&format!("round-{round:04}-probe"), "say probe");
        let answer = pair.a.api().post("/v1/runs", &probe).await.unwrap();
        assert!(matches!(answer.status, 201 | 503), "{}", answer.code());
        let until = Instant::now() + Duration::from_secs(30);
        while victim(pair, executor).api().get("/readyz").await.unwrap().status == 200 {
            assert!(Instant::now() < until, "round {round}: the rollback was not noticed");
            sleep(Duration::from_millis(20)).await;
        }
    }
    let before = pair.b.executions().unwrap();
    for restart in [true, false] {
        let bridge = victim(pair, executor);
        assert_eq!(bridge.api().get("/readyz").await.unwrap().status, 503);
        let doctor = bridge.output(&["--json", "doctor"]).await.unwrap();
        assert!(!doctor.status.success());
        let findings = String::from_utf8_lossy(&doctor.stdout).into_owned();
        assert!(findings.contains("landbridge recover"), "{findings}");
        let refused = bridge.api().post("/v1/runs", &start("refused-while-waiting", "say x")).await;
        let refused = refused.unwrap();
        // B has no route to A's agents; who is rolled back says so before it looks.
        assert_eq!((refused.status, &*refused.code()), (503, "rolled_back"));
        if restart {
            bridge.kill().await.unwrap();
            bridge.serve().await.unwrap();
        }
    }
    if executor {
        sleep(Duration::from_millis(300)).await;
        assert_eq!(pair.b.executions().unwrap(), before, "round {round}: executed while it waits");
    }
}

fn victim(pair: &mut Pair, executor: bool) -> &mut Bridge {
    if executor { &mut pair.b } else { &mut pair.a }
}

fn ask(pair: &Pair, clients: &mut JoinSet<Told>, round: u64, index: usize, dice: &mut Dice) {
    let key = format!("round-{round:04}-run-{index:04}");
    let prompt = PROMPTS[dice.below(PROMPTS.len() as u64) as usize];
    clients.spawn(client(pair.a.api(), key, prompt));
}

/// A workflow engine: asks, reads, and asks again with the same key where its run is not known any more.
async fn client(api: Api, key: String, prompt: &'static str) -> Told {
    loop {
        let run = loop {
            if let Ok(answer) = api.post("/v1/runs", &start(&key, prompt)).await
                && answer.status != 503
            {
                assert!(matches!(answer.status, 200 | 201), "{} {}", answer.status, answer.code());
                break answer.json()["run"].as_str().unwrap().to_owned();
            }
            sleep(Duration::from_millis(20)).await;
        };
        let mut history = History::default();
        // A run that is not there any more, or a journal behind the cursor: what was read was lost.
        if api.follow_within(&run, &mut history, ROUND_WITHIN).await.is_err() {
            sleep(Duration::from_millis(20)).await;
            continue;
        }
        let view = loop {
            if let Ok(view) = api.get(&format!("/v1/runs/{run}")).await
                && matches!(view.status, 200 | 404)
            {
                break view.json();
            }
            sleep(Duration::from_millis(20)).await;
        };
        return Told {
            key,
            outcome: history.said("outcome").to_owned(),
            by: history.said("by").to_owned(),
            effects: history.said("sideEffects").to_owned(),
            remote: view["remoteRun"].as_str().map(str::to_owned),
        };
    }
}

/// Waits until the executor took one of the later runs, so that there is something to be lost.
async fn taken(api: &Api, round: u64, early: usize) {
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        if let Ok(list) = api.get("/v1/runs?limit=100").await {
            let later = |run: &&Value| {
                let key = run["idempotencyKey"].as_str().unwrap_or_default();
                (early..RUNS).any(|index| key == format!("round-{round:04}-run-{index:04}"))
            };
            let list = list.json();
            let runs = list["runs"].as_array().into_iter().flatten();
            if runs.filter(later).any(|run| run["frames"].as_u64().unwrap_or(0) > 0) {
                return;
            }
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("round {round}: no later run was taken");
}

/// Every key with the run that it is bound to, as B's database has it now.
fn bound_keys(b: &Bridge) -> BTreeSet<(String, String)> {
    let path = b.home().join("state").join("landbridge.db");
    let db = rusqlite::Connection::open(path).unwrap();
    let mut rows = db.prepare("SELECT key, run FROM runs").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
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
