//! Lists of runs: filters, pages that stay consistent while new runs arrive, and what is deleted.

use std::collections::BTreeSet;

use http::Method;
use landbridge_node::core::Settings;
use landbridge_node::serve::prune;
use landbridge_node::statuses::forget;
use landbridge_proto::machine::contract::DocumentKind;
use serde_json::{Value, json};

use crate::plane::{Plane, start};

async fn page(plane: &Plane, query: &str) -> (Vec<String>, Option<String>) {
    let answer = plane.ask(Method::GET, &format!("/v1/runs?{query}"), None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let page = answer.json();
    let next = page["next"].as_str().map(str::to_owned);
    let link = answer.headers.get("link").map(|link| link.to_str().unwrap().to_owned());
    assert_eq!(next.is_some(), link.is_some());
    if let (Some(next), Some(link)) = (&next, link) {
        assert!(link.ends_with(&format!("cursor={next}>; rel=\"next\"")), "{link}");
    }
    let runs = page["runs"].as_array().unwrap().iter();
    (runs.map(|run| run["run"].as_str().unwrap().to_owned()).collect(), next)
}

async fn make(plane: &Plane, name: &str, prompt: &str, labels: Value) -> String {
    let mut body = start(name, prompt);
    body["labels"] = labels;
    let made = plane.ask(Method::POST, "/v1/runs", Some(body)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let run = made.json()["run"].as_str().unwrap().to_owned();
    if prompt != "hang" {
        plane.world.until(&run.parse().unwrap(), |entry| entry.outcome.is_some()).await;
    }
    // Runs of one millisecond are sorted by their random names; here their order is looked at.
    plane.world.clock.advance_ms(5);
    run
}

#[tokio::test]
async fn filters_narrow_and_add_up() {
    let plane = Plane::new().await;
    let sre = make(&plane, "sre", "say x", json!({"team": "sre", "step": "1"})).await;
    let failed = make(&plane, "failed", "fail model_error no", json!({"team": "sre"})).await;
    let shown = plane.ask(Method::GET, &format!("/v1/runs/{failed}"), None).await.json();
    assert_eq!(shown["outcome"], "failed", "{shown}");
    let created = shown["created"].as_str().unwrap().to_owned();
    let open = make(&plane, "open", "hang", json!({"team": "ops"})).await;
    for (query, runs) in [
        (String::new(), vec![&open, &failed, &sre]),
        ("gateway=eu".to_owned(), vec![&open, &failed, &sre]),
        ("gateway=us".to_owned(), vec![]),
        ("state=open".to_owned(), vec![&open]),
        ("state=settled".to_owned(), vec![&failed, &sre]),
        ("outcome=failed".to_owned(), vec![&failed]),
        ("outcome=lost".to_owned(), vec![]),
        ("label=team=sre".to_owned(), vec![&failed, &sre]),
        ("label=team=sre&label=step=1".to_owned(), vec![&sre]),
        ("label=team=sre&outcome=failed&gateway=eu".to_owned(), vec![&failed]),
        ("label=team=ops&state=settled".to_owned(), vec![]),
        (format!("since={created}"), vec![&open, &failed]),
        (format!("until={created}"), vec![&sre]),
        (format!("since={created}&state=settled"), vec![&failed]),
    ] {
        assert_eq!(page(&plane, &query).await.0.iter().collect::<Vec<_>>(), runs, "{query}");
    }
    for (path, allowed) in [
        ("/v1/runs?before=x", "gateway, state, outcome, since, until, limit, cursor, label"),
        (&*format!("/v1/runs/{open}?x=1"), "none"),
        ("/v1/gateways?probe=true", "none"),
        ("/v1/gateways/eu?prob=true", "probe"),
        ("/v1/admin/tokens?all=1", "none"),
    ] {
        let refused = plane.ask(Method::GET, path, None).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "malformed"), "{path}");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.ends_with(&format!("allowed: {allowed}")), "{detail}");
    }
    let refused = plane.ask(Method::POST, &format!("/v1/runs/{open}/cancel?force=1"), None).await;
    assert_eq!(refused.code(), "malformed");
}

#[tokio::test]
async fn pages_are_consistent_while_new_runs_arrive_and_old_ones_go() {
    let plane = Plane::new().await;
    let mut before = BTreeSet::new();
    for n in 0..7 {
        before.insert(make(&plane, &format!("before-{n}"), "say x", json!({"n": "1"})).await);
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    let mut pages = 0;
    loop {
        let at = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let (runs, next) = page(&plane, &format!("limit=2&label=n=1{at}")).await;
        seen.extend(runs);
        pages += 1;
        let Some(next) = next else { break };
        // Between two pages a new run arrives in front.
        make(&plane, &format!("between-{pages}"), "say x", json!({"n": "1"})).await;
        cursor = Some(next);
    }
    assert_eq!((pages, seen.len()), (4, 7), "{seen:?}");
    assert_eq!(seen.iter().cloned().collect::<BTreeSet<_>>(), before);

    // A page's last run may be deleted: its place in the list stays.
    let (first, next) = page(&plane, "limit=4").await;
    let (rest, _) = page(&plane, &format!("limit=200&cursor={}", next.clone().unwrap())).await;
    assert_eq!(first.len() + rest.len(), 10);
    plane.world.clock.advance_ms(31 * DAY_MS);
    prune(&plane.world.a.core, plane.world.a.core.now()).await;
    assert_eq!(page(&plane, "").await, (vec![], None));
    let (rest, after) = page(&plane, &format!("limit=200&cursor={}", next.unwrap())).await;
    assert_eq!((rest.len(), after), (0, None));
}

const DAY_MS: i64 = 24 * 3_600_000;

#[tokio::test]
async fn what_is_past_its_time_is_deleted_as_the_settings_say() {
    let kept = Settings {
        journal_ms: 3 * DAY_MS,
        frames_ms: 2 * DAY_MS,
        key_window_ms: DAY_MS,
        statuses_ms: 5 * DAY_MS,
        ..Settings::default()
    };
    let plane = Plane::both(kept.clone(), kept).await;
    let (a, b) = (&plane.world.a, &plane.world.b);
    let shown = plane.ended("settled", "say x").await;
    let run: landbridge_proto::wire::name::RunId = shown["run"].as_str().unwrap().parse().unwrap();
    let remote = shown["remoteRun"].as_str().unwrap().parse().unwrap();
    let open = make(&plane, "open", "hang", json!({})).await.parse().unwrap();
    let entry = |run| a.core.store.reads().entry(run).unwrap();
    let ended = entry(&run).unwrap().ended.unwrap();
    let of_b = b.core.store.reads().run(&remote).unwrap().unwrap().ended.unwrap();
    let prune_at = async |at: landbridge_proto::wire::name::Timestamp| {
        prune(&a.core, at).await;
        prune(&b.core, at).await;
    };
    // The frames of the executor, and with them the key, go after two days.
    prune_at(of_b.plus_ms(2 * DAY_MS)).await;
    assert!(b.core.store.reads().run(&remote).unwrap().is_some());
    prune_at(of_b.plus_ms(2 * DAY_MS + 1)).await;
    assert!(b.core.store.reads().run(&remote).unwrap().is_none());
    // The journal goes after three.
    prune_at(ended.plus_ms(3 * DAY_MS)).await;
    assert!(entry(&run).is_some());
    prune_at(ended.plus_ms(3 * DAY_MS + 1)).await;
    assert!(entry(&run).is_none());
    // Statuses go after five, but for the newest and a witness of each month; what is open never goes.
    let statuses = |of| a.core.store.reads().documents(of, DocumentKind::Status).unwrap();
    let own = a.core.own();
    for _ in 0..3 {
        plane.world.clock.advance_ms(3_600_000);
        a.core.trust.refresh_status(&a.core).await.unwrap();
    }
    let all = statuses(own);
    assert!(all.len() >= 4);
    let superseded = all[2].version;
    let superseded = landbridge_proto::wire::name::Timestamp(superseded.try_into().unwrap());
    forget(&a.core, superseded.plus_ms(5 * DAY_MS - 1)).await;
    assert_eq!(statuses(own).len(), all.len());
    forget(&a.core, superseded.plus_ms(5 * DAY_MS)).await;
    assert_eq!(statuses(own).len(), all.len() - 1);
    forget(&a.core, superseded.plus_ms(1_000 * DAY_MS)).await;
    let left: Vec<_> = statuses(own).iter().map(|row| row.version).collect();
    assert_eq!(left, [all[0].version, all[all.len() - 1].version]);
    assert!(entry(&open).is_some());
}
