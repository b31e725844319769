//! Bridges that die at the worst moment: what was acknowledged stays, and nothing runs twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use landbridge_openclaw_tests::dice::Dice;
use landbridge_openclaw_tests::scenarios::Scenarios;
use landbridge_openclaw_tests::story::Story;
use landbridge_openclaw_tests::world::{Ask, WORDS, World};

#[tokio::test(flavor = "multi_thread")]
async fn bridges_are_killed_under_runs() {
    let Some(world) = World::set().await else { return };
    let mut scenarios = Scenarios::default();
    scenarios.play("B is killed in a text", b_in_text(Arc::clone(&world))).await;
    scenarios.play("B is killed in a tool", b_in_tool(Arc::clone(&world))).await;
    scenarios.play("A is killed in a text", a_in_text(Arc::clone(&world))).await;
    scenarios.play("A is killed before B heard", a_before_b_heard(Arc::clone(&world))).await;
    scenarios.play("a cancel while B is away", cancel_while_away(Arc::clone(&world))).await;
    scenarios.play("the same key over restarts", same_key(Arc::clone(&world))).await;
    scenarios.play("B is killed at random", at_random(Arc::clone(&world))).await;
    scenarios.finish();
}

async fn b_in_text(world: Arc<World>) {
    let ask = Ask::new(&format!("m-btext\nmodel: delay 100\nmodel: say {WORDS}"));
    let mut follow = world.follow(&ask).await;
    follow.until(|story| story.answer().contains("three")).await;
    world.b.restart().await;
    let story = follow.end().await;
    story.is_answered(WORDS);
    world.verify(&story).await;
    world.asked("m-btext", 1);
}

async fn b_in_tool(world: Arc<World>) {
    let file = world.token_file("").replace("token-0", "tool-ran");
    let tool = format!("model: tool exec {{\"command\":\"echo once >> {file}; sleep 2\"}}");
    let ask = Ask::new(&format!("m-btool\n{tool}\nmodel: say done"));
    let mut follow = world.follow(&ask).await;
    follow.until_event("toolCall").await;
    world.b.kill().await;
    // A does not take silence for an end.
    follow.within(Duration::from_secs(3)).await;
    assert!(!follow.story().is_ended(), "{}", follow.story());
    world.b.serve().await;
    let story = follow.end().await;
    assert_eq!(story.outcome(), "succeeded", "{story}");
    assert_eq!((story.payloads("toolCall").len(), story.payloads("toolResult").len()), (1, 1));
    assert!(story.answer().ends_with("done"), "{story}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "once\n");
    world.verify(&story).await;
    world.asked("m-btool", 2);
}

async fn a_in_text(world: Arc<World>) {
    let ask = Ask::new(&format!("m-atext\nmodel: delay 100\nmodel: say {WORDS}"));
    let mut follow = world.follow(&ask).await;
    follow.until(|story| story.answer().contains("three")).await;
    world.a.restart().await;
    let story = follow.end().await;
    story.is_answered(WORDS);
    world.verify(&story).await;
    world.asked("m-atext", 1);
}

async fn a_before_b_heard(world: Arc<World>) {
    world.wire.close();
    let ask = Ask::new(&format!("m-unheard\nmodel: delay 20\nmodel: say {WORDS}"));
    let run = world.start(&ask).await;
    world.a.kill().await;
    world.wire.open();
    world.asked("m-unheard", 0);
    world.a.serve().await;
    let story = world.a.follow(run["run"].as_str().unwrap(), 0).end().await;
    story.is_answered(WORDS);
    world.same_again(&ask, &story).await;
    world.verify(&story).await;
    world.asked("m-unheard", 1);
}

async fn cancel_while_away(world: Arc<World>) {
    let ask = Ask::new(&format!("m-gone\nmodel: delay 500\nmodel: say {WORDS}"));
    let mut follow = world.follow(&ask).await;
    follow.until(|story| story.answer().contains("two")).await;
    let session = follow.story().session();
    world.b.kill().await;
    let answer = world.a.json(&["run", "cancel", follow.story().run()]).await;
    assert_eq!(answer["state"], "requested");
    world.b.serve().await;
    let story = follow.end().await;
    assert_eq!(story.outcome(), "cancelled", "{story}");
    assert!(!world.is_active("auto", &session).await, "the gateway goes on");
    world.verify(&story).await;
    world.asked("m-gone", 1);
}

async fn same_key(world: Arc<World>) {
    let ask = Ask::new(&format!("m-keys\nmodel: delay 100\nmodel: say {WORDS}"));
    let mut follow = world.follow(&ask).await;
    follow.until(|story| story.answer().contains("three")).await;
    // Asked again while B is away, and again while it comes back.
    world.b.kill().await;
    assert_eq!(world.start(&ask).await["run"], follow.story().run());
    world.b.serve().await;
    world.a.restart().await;
    assert_eq!(world.start(&ask).await["run"], follow.story().run());
    let story = follow.end().await;
    story.is_answered(WORDS);
    world.b.restart().await;
    world.same_again(&ask, &story).await;
    world.a.restart().await;
    world.same_again(&ask, &story).await;
    world.verify(&story).await;
    world.asked("m-keys", 1);
}

/// Short runs, one of the bridges killed at a random moment of each, some twice; then, where no kill met
/// a bridge in some phase of a run, a run in which it does.
async fn at_random(world: Arc<World>) {
    let mut kills = Kills { dice: Dice::new(), met: BTreeMap::new(), runs: 0, unknown: 0 };
    for _ in 0..rounds() {
        kills.round(&world, None).await;
    }
    let all = BRIDGES.into_iter().flat_map(|bridge| PHASES.map(|phase| (bridge, phase)));
    for aim in all {
        if !kills.met.contains_key(&aim) {
            kills.round(&world, Some(aim)).await;
        }
        assert!(kills.met.contains_key(&aim), "no kill met {aim:?}");
    }
    let Kills { met, runs, unknown, .. } = kills;
    assert!(unknown <= runs / 5, "{unknown} of {runs} ended without an answer");
    println!("  {unknown} of {runs} runs ended as interrupted, side effects unknown");
    println!("  killed when the client had seen: {met:?}");
}

/// What was killed, and where its run was then.
struct Kills {
    dice: Dice,
    met: BTreeMap<(&'static str, &'static str), u32>,
    runs: u32,
    unknown: u32,
}

const BRIDGES: [&str; 2] = ["A", "B"];
const PHASES: [&str; 5] = ["accepted or not", "started", "in the tool", "after the tool", "ended"];

/// How much of a run its client has seen.
fn phase(story: &Story) -> &'static str {
    let [unseen, started, in_tool, after_tool, ended] = PHASES;
    match story.lines().last() {
        None => unseen,
        Some(_) if story.is_ended() => ended,
        Some(_) if story.has("toolResult") => after_tool,
        Some(_) if story.has("toolCall") => in_tool,
        Some(_) => started,
    }
}

impl Kills {
    /// One run, and a kill of this bridge in this phase, or of either at any moment.
    async fn round(&mut self, world: &World, aim: Option<(&'static str, &'static str)>) {
        let marker = format!("m-dice-{}.", self.runs);
        self.runs += 1;
        let tool = "model: tool exec {\"command\":\"sleep 0.4; echo ran\"}";
        let ask = Ask::new(&format!("{marker}\n{tool}\nmodel: delay 50\nmodel: say {WORDS}"));
        world.b.reaches_gateway().await;
        let mut follow = world.follow(&ask).await;
        let kills = if aim.is_some() { 1 } else { 1 + self.dice.below(2) };
        for _ in 0..kills {
            let name = match aim {
                Some((name, wanted)) => {
                    follow.until(|story| phase(story) == wanted).await;
                    name
                }
                None => {
                    follow.within(Duration::from_millis(self.dice.below(1_400))).await;
                    if self.dice.below(4) == 0 { "A" } else { "B" }
                }
            };
            *self.met.entry((name, phase(follow.story()))).or_default() += 1;
            let bridge = if name == "A" { &world.a } else { &world.b };
            bridge.restart().await;
        }
        let begun = Instant::now();
        let story = follow.end().await;
        assert!(begun.elapsed() < Duration::from_secs(60));
        world.same_again(&ask, &story).await;
        world.verify(&story).await;
        if story.outcome() == "succeeded" {
            assert!(story.answer().ends_with(WORDS), "{story}");
            let (calls, results) = (story.payloads("toolCall"), story.payloads("toolResult"));
            assert_eq!((calls.len(), results.len()), (1, 1));
            world.asked(&marker, 2);
        } else {
            // Killed between the durable intent and the gateway's answer: what came of it cannot be
            // known, so it is said, and never done again.
            assert_eq!((story.code(), story.side_effects()), ("interrupted", "unknown"), "{story}");
            world.asked_at_most(&marker, 2);
            self.unknown += 1;
        }
    }
}

/// How many runs; `LANDBRIDGE_KILLS` says more for a long campaign.
fn rounds() -> u32 {
    std::env::var("LANDBRIDGE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(25)
}
