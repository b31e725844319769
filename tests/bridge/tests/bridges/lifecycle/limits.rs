//! What a grant holds back: how much is seen, and how many run.

use landbridge_harness::bridge::Pair;
use serde_json::json;

use super::*;
use crate::forge::{Forge, RUNS};

/// A run in which every kind of content has a word of its own.
const TELLING: &str =
    "think thoughtword\ntool look.up {\"q\":\"argword\"} => resultword\nsay answerword";
const WORDS: [&str; 4] = ["thoughtword", "argword", "resultword", "answerword"];

#[tokio::test]
async fn a_grant_shows_no_more_than_it_says() {
    for (level, shown) in [("full", true), ("digest", false), ("none", false)] {
        let disclose = [
            "--disclose-output",
            level,
            "--disclose-tool-args",
            level,
            "--disclose-tool-results",
            level,
        ];
        let pair = Pair::granted(&[], &[], &disclose).await.unwrap();
        let run = pair.run("what-is-to-be-seen", TELLING).await.unwrap();
        let (history, exit) = finish(&pair, &run).await;
        assert_eq!((history.said("outcome"), exit), ("succeeded", 0), "{level}");
        let text = history.lines().concat();
        for word in WORDS {
            assert_eq!(text.contains(word), shown, "{word} under {level}: {text}");
        }
        // What happened is told all the same, only not what was said.
        for event in ["started", "output", "toolCall", "toolResult", "terminal"] {
            assert!(history.events().iter().any(|one| one == event), "{event} under {level}");
        }
        assert_eq!(text.contains("sha256") || text.contains("igest"), level == "digest", "{text}");
    }
}

#[tokio::test]
async fn a_run_beyond_the_grant_waits_and_then_happens_by_itself() {
    let pair = Pair::granted(&[], &[], &["--concurrent-max", "1"]).await.unwrap();
    let first = pair.run("takes-the-only-place", "say begun\nhang").await.unwrap();
    frames(&pair.a, &first, 2).await;
    let forge = Forge::of(&pair.a, &pair.b).await;
    let refused = forge.send(RUNS, &forge.start("one-too-many-00001")).await;
    assert_eq!(refused.refusal(), (429, "rate_limited", true));
    let after = refused.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    let second = pair.run("one-too-many-00001", "say at last").await.unwrap();
    let path = format!("/v1/runs/{second}");
    let told = |view: &Value| {
        view["connection"].as_str().is_some_and(|text| text.contains("rate_limited"))
    };
    let view = until(&pair.a.api(), &path, told).await;
    assert_eq!(view["phase"], "awaitAccept");
    assert_eq!(pair.b.executions().unwrap().len(), 1);
    pair.a.api().post(&format!("/v1/runs/{first}/cancel"), &json!({})).await.unwrap();
    let (history, exit) = finish(&pair, &second).await;
    assert_eq!((history.said("outcome"), exit), ("succeeded", 0));
    assert_eq!(pair.b.executions().unwrap().len(), 2);
}
