//! Measures what a greedy tenant costs its neighbour.
//!
//! Two bridges as processes on loopback, a scripted gateway behind the second, two tenant pairs with one
//! share of starts each. First the neighbour starts runs at its share alone; then it does so again while
//! the other tenant starts ten times its own share, at the same two processes. What counts is how long
//! the neighbour waits for its first frame, which is sealed after admission, at the 99th percentile: with
//! the greedy tenant it must be less than twice as long. Ends with 1 when it is not, and when the greedy
//! tenant was not greedy: then nothing was shown.
//!
//! It says something with a release build only, which is what `cargo xtask fair` gives it.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use landbridge_harness::bridge::{Api, Pair};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

const USAGE: &str = "fair-shares [--seconds N] [--share STARTS_PER_SECOND] [--json]";
/// How much more than its share the greedy tenant asks for.
const GREED: u32 = 10;
/// How much more than its share it must really have asked for.
const GREED_MIN: u32 = 9;
/// Connections of the greedy tenant's client: it is a client of the same local API as the other one.
const CONNECTIONS: usize = 16;
/// The bound that is to be kept.
const RATIO_MAX: f64 = 2.0;

struct Options {
    seconds: u32,
    share: u32,
    json: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let options = options()?;
    let pair = setting(options.share).await?;
    let api = pair.a.api();
    // Connections, caches and files are warm before anything is measured.
    load(&api, "calm", "warm", options.share, 3).await?;
    let alone = load(&api, "calm", "alone", options.share, options.seconds).await?;
    let greedy = {
        let api = api.clone();
        let (rate, seconds) = (options.share * GREED, options.seconds);
        tokio::spawn(async move { flood(&api, rate, seconds).await })
    };
    let beside = load(&api, "calm", "beside", options.share, options.seconds).await?;
    let asked = greedy.await??;
    let begun = pair.b.executions()?.len();
    let (before, after) = (percentile(&alone, 99), percentile(&beside, 99));
    let ratio = after.as_secs_f64() / before.as_secs_f64();
    let share = options.share * options.seconds;
    let flooded = asked >= share * GREED_MIN;
    let kept = ratio < RATIO_MAX && flooded;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    if options.json {
        let report = json!({
            "share_per_second": options.share, "seconds": options.seconds, "greed": GREED,
            "starts": alone.len() + beside.len(), "greedy_starts": asked, "executed": begun,
            "alone": {"p50_ms": ms(percentile(&alone, 50)), "p99_ms": ms(before)},
            "beside": {"p50_ms": ms(percentile(&beside, 50)), "p99_ms": ms(after)},
            "ratio": ratio, "ratio_max": RATIO_MAX, "flooded": flooded, "kept": kept,
        });
        println!("{report}");
    } else {
        let line = |name: &str, times: &[Duration]| {
            let (p50, p99) = (ms(percentile(times, 50)), ms(percentile(times, 99)));
            println!("{name:<8} {:>5} starts   p50 {p50:>8.2} ms   p99 {p99:>8.2} ms", times.len());
        };
        line("alone", &alone);
        line("beside", &beside);
        let times = f64::from(asked) / f64::from(share);
        println!("the other tenant asked for {asked} starts, {times:.1} times its share");
        println!("ratio    {ratio:.2}, to be less than {RATIO_MAX}");
    }
    if !flooded {
        eprintln!("the flood fell short of {GREED_MIN} times the share: nothing was shown");
    }
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn options() -> anyhow::Result<Options> {
    let mut options = Options { seconds: 20, share: 20, json: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|word| word.parse().ok()).context(USAGE);
        match word.as_str() {
            "--seconds" => options.seconds = number()?,
            "--share" => options.share = number()?,
            "--json" => options.json = true,
            _ => bail!("{USAGE}"),
        }
    }
    Ok(options)
}

/// Two bridges, and two tenant pairs with the same share.
async fn setting(share: u32) -> anyhow::Result<Pair> {
    let mut pair = Pair::start(&[], &[]).await?;
    let share = share.to_string();
    for (agent, tenant) in [("demo", "calm:calm"), ("other", "greedy:greedy")] {
        let grant = ["grant", "add", "us", "--agent", agent, "--tenant", tenant];
        let limits = ["--starts-per-second", &share, "--concurrent", "64"];
        pair.b.json(&[&grant[..], &limits[..]].concat()).await?;
    }
    pair.a.stop().await?;
    let file = pair.a.home().join("landbridge.toml");
    let mut settings = std::fs::read_to_string(&file)?;
    for (tenant, agent) in [("calm", "demo"), ("greedy", "other")] {
        settings += &format!(
            "\n[routes.{tenant}]\npeer = \"eu\"\nagent = \"{agent}\"\n\
             tenant = {{ local = \"{tenant}\", remote = \"{tenant}\" }}\n"
        );
    }
    std::fs::write(&file, settings)?;
    pair.a.serve().await?;
    Ok(pair)
}

fn start(tenant: &str, name: &str, n: u32, deadline: &str) -> Value {
    let key = format!("{tenant}-{name}-{n:012}");
    json!({"gateway": tenant, "idempotencyKey": key, "prompt": "say hello", "deadline": deadline})
}

/// Starts runs at a steady rate, whether or not earlier ones were answered, and times each.
async fn load(
    api: &Api,
    tenant: &'static str,
    name: &'static str,
    rate: u32,
    seconds: u32,
) -> anyhow::Result<Vec<Duration>> {
    let (mut tasks, api) = (JoinSet::new(), Arc::new(api.clone()));
    // A little below the share: its bucket must not run dry by a clock's granularity.
    let mut ticks = tokio::time::interval(Duration::from_secs(1) * 21 / (rate * 20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for n in 0..rate * seconds {
        ticks.tick().await;
        let api = Arc::clone(&api);
        tasks.spawn(async move { api.time_to_frame(&start(tenant, name, n, "10m")).await });
    }
    let mut times = Vec::new();
    while let Some(time) = tasks.join_next().await {
        times.push(time??);
    }
    times.sort_unstable();
    Ok(times)
}

/// Starts runs at a rate without waiting for what becomes of them.
async fn flood(api: &Api, rate: u32, seconds: u32) -> anyhow::Result<u32> {
    let (mut tasks, api) = (JoinSet::new(), Arc::new(api.clone()));
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (mut asked, end) = (0, Instant::now() + Duration::from_secs(u64::from(seconds)));
    while Instant::now() < end {
        ticks.tick().await;
        let (api, n) = (Arc::clone(&api), asked);
        let place = Arc::clone(&places).acquire_owned().await?;
        tasks.spawn(async move {
            let _place = place;
            let start = start("greedy", "flood", n, "10m");
            api.post("/v1/runs", &start).await
        });
        asked += 1;
    }
    while let Some(answer) = tasks.join_next().await {
        let answer = answer??;
        // The caller's own bridge may have had enough of it, too.
        if !matches!(answer.status, 200 | 201 | 429 | 503) {
            bail!("a start is answered {}", answer.status);
        }
    }
    Ok(asked)
}

/// A percentile of sorted times.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or(Duration::MAX)
}
