//! SIGKILL to either bridge at any moment, many runs under way: nothing is lost, nothing done twice.
//!
//! Most kills come by chance. Then one is aimed at each phase of a run: the bridge is paused and looked at,
//! again and again, until a run is in that phase, and killed as it stands.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use landbridge_harness::bridge::{Api, Bridge, Pair, start};
use landbridge_harness::history::History;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::dice::Dice;
use crate::phases::{self, Phases};

/// Runs of one batch, all under way together.
const RUNS: usize = 10;
/// Kills in one batch.
const KILLS: u64 = 10;
/// Batches: 50 runs, 50 kills.
const BATCHES: u64 = 5;
/// How many runs may go through a phase before a bridge is caught in it.
const AIMS: usize = 50;
/// How long a run may go on, on its way to a phase; pauses do not count.
const AIM_WITHIN: Duration = Duration::from_secs(3);

/// Limits that are not what is tried here.
pub(crate) const WIDE: [(&str, &str); 3] = [
    ("LANDBRIDGE_LIMITS_STARTS_PER_MINUTE_MAX", "100000"),
    ("LANDBRIDGE_LIMITS_RUNS_OPEN_MAX", "1000"),
    ("LANDBRIDGE_LIMITS_RUNS_OPEN_PER_PEER_MAX", "1000"),
];

/// What runs do, and how one ends that nothing interrupts.
pub(crate) const PROMPTS: [(&str, &str); 5] = [
    ("count 60 25\nusage 10 20", "succeeded"),
    (
        "think first\ntool t.look {\"a\":1} => {\"b\":2}\nslow 80 one two three four five six",
        "succeeded",
    ),
    ("say at once", "succeeded"),
    ("sleep 700\nsay late\nphase wait\nsleep 700\nsay later", "succeeded"),
    ("count 12 60\nfail the model fails", "failed"),
];

/// When a bridge is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// Some time later.
    Later,
    /// Shortly after new runs were asked for.
    Asked,
    /// As soon as the executor has taken one of the new runs.
    Taken,
    /// As soon as a client sees a run end.
    Ended,
}

/// Who is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Caller,
    Executor,
    Both,
}

/// Each batch's kills. Their order and what else happens is the dice's.
const PLAN: [(Moment, Victim); KILLS as usize] = [
    (Moment::Taken, Victim::Executor),
    (Moment::Asked, Victim::Caller),
    (Moment::Later, Victim::Executor),
    (Moment::Ended, Victim::Caller),
    (Moment::Taken, Victim::Executor),
    (Moment::Asked, Victim::Both),
    (Moment::Ended, Victim::Executor),
    (Moment::Later, Victim::Caller),
    (Moment::Ended, Victim::Both),
    (Moment::Later, Victim::Both),
];

struct Batch {
    /// Lets clients ask.
    gate: Arc<Semaphore>,
    /// Keys that were asked for.
    asked: Arc<Mutex<Vec<String>>>,
    /// How many runs clients saw end.
    ended: watch::Receiver<usize>,
    /// What clients are left with; none of who was not let ask.
    clients: JoinSet<Option<Finished>>,
}

/// What a client is left with.
pub(crate) struct Finished {
    pub(crate) run: String,
    pub(crate) history: History,
    pub(crate) expected: &'static str,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_each_run_happens_once_and_its_frames_are_whole() {
    let mut dice = Dice::from_environment();
    let kills = std::env::var("LANDBRIDGE_KILLS").ok().and_then(|text| text.parse().ok());
    let batches = kills.map_or(BATCHES, |kills: u64| kills.div_ceil(KILLS).max(1));
    let mut pair = Pair::granted(&WIDE, &WIDE, &[]).await.unwrap();
    let (mut phases, mut runs, mut reconnected) = (Phases::default(), 0, 0);
    let mut interrupted = 0;
    for number in 0..=batches {
        let began = Instant::now();
        let mut batch = if number < batches {
            let mut batch = Batch::open(&pair, number, RUNS, &mut dice);
            batch.kill(&mut pair, &mut dice, &mut phases).await;
            batch
        } else {
            let batch = Batch::open(&pair, number, AIMS, &mut dice);
            for phase in phases::ALL {
                batch.aim(phase, &mut pair, &mut dice, &mut phases).await;
            }
            batch
        };
        batch.gate.close();
        while let Some(finished) = batch.clients.join_next().await {
            let Some(finished) = finished.unwrap() else { continue };
            runs += 1;
            reconnected += finished.history.connections() - 1;
            interrupted += u32::from(check(&pair, &finished).await);
        }
        println!("batch {number}: {:?}", began.elapsed());
    }
    let executions = pair.b.executions().unwrap();
    let twice: Vec<_> = executions.iter().filter(|(_, count)| **count > 1).collect();
    assert_eq!(twice, [], "executed twice");
    assert!(executions.len() <= runs, "{} executions of {runs} runs", executions.len());
    println!("{runs} runs, {interrupted} of them interrupted, {reconnected} reconnections");
    println!("kills met:\n{phases}");
}

impl Batch {
    /// So many clients, each of which asks for a run as soon as it is let.
    fn open(pair: &Pair, number: u64, clients: usize, dice: &mut Dice) -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (ends, ended) = watch::channel(0);
        let mut tasks = JoinSet::new();
        for index in 0..clients {
            let key = format!("batch-{number:04}-run-{index:04}");
            let (prompt, expected) = PROMPTS[dice.below(PROMPTS.len() as u64) as usize];
            let (gate, asked) = (Arc::clone(&gate), Arc::clone(&asked));
            let (api, ends) = (pair.a.api(), ends.clone());
            tasks.spawn(async move {
                gate.acquire().await.ok()?.forget();
                asked.lock().unwrap().push(key.clone());
                let run = ask(&api, &key, prompt).await;
                let mut history = History::default();
                api.follow(&run, &mut history).await.unwrap();
                ends.send_modify(|ended| *ended += 1);
                Some(Finished { run, history, expected })
            });
        }
        Self { gate, asked, ended, clients: tasks }
    }

    /// Kills and restarts, again and again, and lets clients ask meanwhile.
    async fn kill(&mut self, pair: &mut Pair, dice: &mut Dice, phases: &mut Phases) {
        let mut held = RUNS;
        for (at, (moment, victim)) in PLAN.into_iter().enumerate() {
            let before = executing(pair).await;
            if matches!(moment, Moment::Asked | Moment::Taken) || at == PLAN.len() - 4 {
                let more = (2 + dice.below(3) as usize).min(held);
                let more = if at == PLAN.len() - 4 { held } else { more };
                self.gate.add_permits(more);
                held -= more;
            }
            match moment {
                Moment::Later => sleep(Duration::from_millis(dice.below(250))).await,
                Moment::Asked => {
                    sleep(Duration::from_millis(dice.below(60).saturating_sub(20))).await
                }
                Moment::Taken => {
                    let taken = async { while executing(pair).await <= before {} };
                    // All may have been taken before the first look.
                    let _ = timeout(Duration::from_millis(400), taken).await;
                }
                Moment::Ended => {
                    self.ended.mark_unchanged();
                    let ended = self.ended.changed();
                    let _ = timeout(Duration::from_millis(400), ended).await;
                }
            }
            self.strike(pair, victim, dice, phases).await;
        }
    }

    /// Kills a bridge as soon as a run is in this phase, which new runs go through until it is.
    async fn aim(&self, phase: &str, pair: &mut Pair, dice: &mut Dice, phases: &mut Phases) {
        let of_executor = phase.starts_with("executor");
        let victim = if of_executor { Victim::Executor } else { Victim::Caller };
        loop {
            // Paused before it can hear of the new run.
            bridge(pair, victim).pause().await.unwrap();
            let asked = self.asked().len();
            assert!(asked < AIMS, "{phase}: no run was met in it");
            self.gate.add_permits(1);
            while self.asked().len() == asked {
                sleep(Duration::from_millis(1)).await;
            }
            let mut watched = Duration::ZERO;
            while watched < AIM_WITHIN {
                let (mut seen, now) = (Phases::default(), SystemTime::now());
                match victim {
                    Victim::Executor => seen.executor(&pair.b, now, &self.asked()),
                    _ => seen.caller(&pair.a, now, &self.asked()),
                }
                if seen.met(phase) {
                    self.strike(pair, victim, dice, phases).await;
                    return;
                }
                // Early phases are short, late ones far away.
                let step = Duration::from_micros(100 + dice.below(100)) + watched / 10;
                bridge(pair, victim).resume().unwrap();
                std::thread::sleep(step);
                bridge(pair, victim).pause().await.unwrap();
                watched += step;
            }
            bridge(pair, victim).resume().unwrap();
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    async fn strike(&self, pair: &mut Pair, victim: Victim, dice: &mut Dice, phases: &mut Phases) {
        let (a, b) = match victim {
            Victim::Caller => (true, false),
            Victim::Executor => (false, true),
            Victim::Both => (true, true),
        };
        let asked = self.asked();
        let killed = SystemTime::now();
        if b {
            pair.b.kill().await.unwrap();
        }
        if a {
            pair.a.kill().await.unwrap();
        }
        if b {
            phases.executor(&pair.b, killed, &asked);
        }
        if a {
            phases.caller(&pair.a, killed, &asked);
        }
        sleep(Duration::from_millis(dice.below(60))).await;
        if b {
            pair.b.serve().await.unwrap();
        }
        if a {
            pair.a.serve().await.unwrap();
        }
    }
}

/// Who is killed, if it is one.
fn bridge(pair: &Pair, victim: Victim) -> &Bridge {
    match victim {
        Victim::Executor => &pair.b,
        _ => &pair.a,
    }
}

/// Asks until there is an answer, always with the same key.
async fn ask(api: &Api, key: &str, prompt: &str) -> String {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        if let Ok(answer) = api.post("/v1/runs", &start(key, prompt)).await {
            assert!(matches!(answer.status, 200 | 201), "{} {}", answer.status, answer.code());
            return answer.json()["run"].as_str().unwrap().to_owned();
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("{key} was never taken");
}

/// Runs that B executes now; 0 when it cannot say.
async fn executing(pair: &Pair) -> u64 {
    let view = pair.b.api().get("/v1/admin/bridge").await;
    view.map_or(0, |view| view.json()["executing"].as_u64().unwrap_or(0))
}

/// Everything that must hold of a finished run; true when it ended as interrupted.
pub(crate) async fn check(pair: &Pair, finished: &Finished) -> bool {
    let Finished { run, history, expected } = finished;
    let transcript = pair.a.transcript(run).await.unwrap();
    history.check(&transcript).unwrap();
    assert_eq!(history.said("by"), "executor", "{run}");
    let exit = pair.a.verify(&transcript, pair.b.gateway()).await.unwrap();
    assert_eq!(exit, 0, "verify {run}");
    let view = pair.a.api().get(&format!("/v1/runs/{run}")).await.unwrap().json();
    assert_eq!(
        (view["phase"].as_str(), view["outcome"].as_str()),
        (Some("settled"), Some(history.said("outcome")))
    );
    // B may have died between its decision to call the gateway and the call: then nobody can know
    // what happened, and the terminal says so. It is never called a second time to find out.
    if history.code() == "interrupted" {
        assert_eq!((history.said("outcome"), history.said("sideEffects")), ("failed", "unknown"));
        return true;
    }
    assert_eq!(history.said("outcome"), *expected, "{run}");
    let remote = view["remoteRun"].as_str().unwrap();
    assert_eq!(pair.b.executions().unwrap().get(remote), Some(&1), "{run}");
    false
}
