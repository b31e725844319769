//! Tokens: what one may reach and see, and that nothing crosses from one to another.

use std::time::{Duration, Instant};

use http::Method;
use http_body_util::BodyExt as _;
use landbridge_node::core::{Route, Settings};
use landbridge_proto::wire::document::Grant;
use landbridge_proto::wire::name::{AgentName, Alias, TenantPair};
use serde_json::{Value, json};

use crate::plane::{Answer, Plane, start};
use crate::support::{grant, tenant};

/// A has the routes `eu` of the tenant acme and `eu-globex` of the tenant globex; B grants both.
async fn two_tenants(settings: Settings) -> Plane {
    let globex = Route {
        peer: Alias::new("eu").unwrap(),
        tenant: TenantPair { src: tenant("globex"), dst: tenant("ops") },
        agent: Some(demo2()),
        deadline_ms_max: None,
    };
    let routes = [(Alias::new("eu-globex").unwrap(), globex)].into();
    let plane = Plane::with(Settings { routes, ..settings }).await;
    let b = &plane.world.b;
    let mut peer = b.core.trust.state().federation.as_ref().unwrap().document().peers[0].clone();
    peer.grants.push(Grant { agents: [demo2()].into(), remote: tenant("globex"), ..grant() });
    let mut draft = b.draft();
    draft.put_peer(peer);
    b.put(draft).await;
    plane
}

/// No two tenants share an agent.
fn demo2() -> AgentName {
    AgentName::new("demo2").unwrap()
}

fn at(gateway: &str, name: &str, prompt: &str) -> Value {
    let mut body = start(name, prompt);
    body["gateway"] = gateway.into();
    body
}

fn run_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["run"].as_str().unwrap().to_owned()
}

async fn listed(plane: &Plane, token: &str, query: &str) -> Vec<String> {
    let answer = plane.ask_as(token, Method::GET, &format!("/v1/runs{query}"), None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut runs: Vec<String> = answer.json()["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["run"].as_str().unwrap().to_owned())
        .collect();
    runs.sort();
    runs
}

/// Whether a run exists for a token: every way to ask after it says the same.
async fn exists(plane: &Plane, token: &str, run: &str) -> bool {
    let mut found = Vec::new();
    for (method, rest) in [
        (Method::GET, ""),
        (Method::GET, "/frames?after=0"),
        (Method::GET, "/transcript"),
        (Method::POST, "/cancel"),
    ] {
        let path = format!("/v1/runs/{run}{rest}");
        let answer = plane.ask_as(token, method, &path, None).await;
        if answer.status == 404 {
            assert_eq!(answer.code(), "not_found");
            assert!(!answer.text().contains(run), "{}", answer.text());
        } else {
            assert!(answer.status < 300, "{path}: {}", answer.text());
        }
        found.push(answer.status != 404);
    }
    assert!(found.windows(2).all(|two| two[0] == two[1]), "{found:?}");
    let lists = listed(plane, token, "").await.contains(&run.to_owned());
    assert_eq!(lists, found[0], "the list says the same");
    found[0]
}

#[tokio::test]
async fn what_a_token_does_not_see_does_not_exist_for_it() {
    let plane = two_tenants(Settings::default()).await;
    let make = async |name: &str, more: Value| {
        let mut body = json!({"name": name});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        plane.token(body).await.1
    };
    let free = make("free", json!({})).await;
    let acme = make("acme", json!({"tenants": ["acme"]})).await;
    let acme_all = make("acme-all", json!({"tenants": ["acme"], "sees": "tenants"})).await;
    let globex_all = make("globex", json!({"tenants": ["globex"], "sees": "tenants"})).await;
    let both_all = make("both", json!({"tenants": ["acme", "globex"], "sees": "tenants"})).await;
    let narrow = json!({"tenants": ["acme", "globex"], "routes": ["eu-globex"], "sees": "tenants"});
    let narrow = make("narrow", narrow).await;

    // Every run has ended before it is looked at: asking to cancel changes nothing then.
    let as_token = async |token: &str, gateway: &str, name: &str| {
        let body = Some(at(gateway, name, "say x"));
        let run = run_of(&plane.ask_as(token, Method::POST, "/v1/runs", body).await);
        let run_id = run.parse().unwrap();
        plane.world.until(&run_id, |entry| entry.outcome.is_some()).await;
        run
    };
    let of_owner = plane.ended("by-the-owner", "say x").await["run"].as_str().unwrap().to_owned();
    let of_free = as_token(&free, "eu-globex", "by-free").await;
    let of_acme = as_token(&acme, "eu", "by-acme").await;
    let of_globex = as_token(&globex_all, "eu-globex", "by-globex").await;
    let runs = [&of_owner, &of_free, &of_acme, &of_globex];
    for (name, token, sees) in [
        ("free", &free, [false, true, false, false]),
        ("acme", &acme, [false, false, true, false]),
        ("acme-all", &acme_all, [true, false, true, false]),
        ("globex-all", &globex_all, [false, true, false, true]),
        ("both-all", &both_all, [true, true, true, true]),
        ("narrow", &narrow, [false, true, false, true]),
    ] {
        for (run, sees) in runs.into_iter().zip(sees) {
            assert_eq!(exists(&plane, token, run).await, sees, "{name} and {run}");
        }
        // A filter narrows further and never widens.
        let elsewhere = listed(&plane, token, "?gateway=eu").await;
        assert_eq!(elsewhere.contains(&of_owner), sees[0], "{name}");
        assert!(!elsewhere.contains(&of_globex), "{name}");
    }
    assert_eq!(
        plane.ask(Method::GET, "/v1/runs", None).await.json()["runs"].as_array().unwrap().len(),
        4
    );
}

#[tokio::test]
async fn a_token_starts_runs_at_what_its_scope_names_and_learns_of_nothing_else() {
    let plane = two_tenants(Settings::default()).await;
    let (_, acme) = plane.token(json!({"name": "acme", "tenants": ["acme"]})).await;
    let (_, route) = plane.token(json!({"name": "route", "routes": ["eu-globex"]})).await;
    for (token, gateway, status) in [
        (&acme, "eu", 201),
        (&acme, "eu-globex", 403),
        (&acme, "nowhere", 403),
        (&route, "eu-globex", 201),
        (&route, "eu", 403),
        (&route, "nowhere", 403),
    ] {
        let name = format!("{gateway}-{}", &token[4..10]);
        let body = Some(at(gateway, &name, "say x"));
        let answer = plane.ask_as(token, Method::POST, "/v1/runs", body).await;
        assert_eq!(answer.status, status, "{gateway}: {}", answer.text());
        if status == 403 {
            assert_eq!(answer.code(), "not_granted");
            let detail = answer.json()["detail"].clone();
            assert_eq!(detail, format!("this token may not use the gateway {gateway}"));
        }
        // Gateways are there or not, by the same scope.
        let there = if status == 201 { 200 } else { 404 };
        let path = format!("/v1/gateways/{gateway}");
        assert_eq!(plane.ask_as(token, Method::GET, &path, None).await.status, there);
        let test = format!("{path}/test");
        assert_eq!(plane.ask_as(token, Method::POST, &test, None).await.status, there);
    }
    let seen = plane.ask_as(&acme, Method::GET, "/v1/gateways", None).await.json();
    let seen: Vec<_> = seen.as_array().unwrap().iter().map(|one| one["gateway"].clone()).collect();
    assert_eq!(seen, ["eu"]);
}

#[tokio::test]
async fn a_key_of_another_token_is_a_conflict_that_tells_nothing_unless_its_run_is_seen() {
    let plane = two_tenants(Settings::default()).await;
    let (_, first) = plane.token(json!({"name": "first", "tenants": ["acme"]})).await;
    let (_, second) = plane.token(json!({"name": "second", "tenants": ["acme"]})).await;
    let all = json!({"name": "all", "tenants": ["acme"], "sees": "tenants"});
    let (_, all) = plane.token(all).await;
    let body = || Some(start("one-key", "say x"));
    let run = run_of(&plane.ask_as(&first, Method::POST, "/v1/runs", body()).await);
    let other = plane.ask_as(&second, Method::POST, "/v1/runs", body()).await;
    assert_eq!((other.status, other.code().as_str()), (422, "key_conflict"));
    assert!(!other.text().contains(&run));
    // Who sees the run attaches to it, such as a token that replaces another one; with the same body.
    for token in [&first, &all] {
        let again = plane.ask_as(token, Method::POST, "/v1/runs", body()).await;
        assert_eq!((again.status, again.json()["run"].as_str()), (200, Some(run.as_str())));
    }
    let again = plane.ask(Method::POST, "/v1/runs", body()).await;
    assert_eq!(again.json()["run"], run.as_str());
    let changed = Some(start("one-key", "say y"));
    let changed = plane.ask_as(&all, Method::POST, "/v1/runs", changed).await;
    assert_eq!(changed.code(), "key_conflict");
    // Another tenant's keys are keys of its own.
    let (_, globex) = plane.token(json!({"name": "globex", "tenants": ["globex"]})).await;
    let body = Some(at("eu-globex", "one-key", "say x"));
    assert_ne!(run_of(&plane.ask_as(&globex, Method::POST, "/v1/runs", body).await), run);
}

#[tokio::test]
async fn a_revoked_or_expired_token_loses_its_open_streams_within_a_second() {
    let plane = Plane::new().await;
    let (id, revoked) = plane.token(json!({"name": "revoked"})).await;
    let (_, kept) = plane.token(json!({"name": "kept"})).await;
    let open = async |token: &str, name: &str, form: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("accept", form)];
        let body = Some(start(name, "say working\nhang"));
        let response = plane.open(Method::POST, "/v1/runs", &headers, body).await;
        let mut body = response.into_body();
        let mut text = String::new();
        while !text.contains("working") {
            let chunk = body.frame().await.unwrap().unwrap().into_data().unwrap();
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        body
    };
    let events = open(&revoked, "events", "text/event-stream").await;
    let lines = open(&revoked, "lines", "application/x-ndjson").await;
    let mut other = open(&kept, "other", "text/event-stream").await;
    let path = format!("/v1/admin/tokens/{id}/revoke");
    let asked = Instant::now();
    assert_eq!(plane.ask(Method::POST, &path, None).await.status, 200);
    let within = Duration::from_secs(1);
    let rest = tokio::time::timeout(within, events.collect()).await.unwrap().unwrap().to_bytes();
    let rest = std::str::from_utf8(&rest).unwrap();
    assert!(rest.contains("event: problem") && rest.contains("\"unauthorized\""), "{rest}");
    let cut = tokio::time::timeout(within, lines.collect()).await.unwrap();
    assert!(cut.is_err(), "lines have no place for a problem: the connection is cut");
    assert!(asked.elapsed() < Duration::from_secs(2));
    assert_eq!(plane.ask_as(&revoked, Method::GET, "/v1/runs", None).await.code(), "unauthorized");
    // Nobody else's stream ends, and the runs go on.
    let quiet = tokio::time::timeout(Duration::from_millis(300), async {
        while let Some(Ok(frame)) = other.frame().await {
            let text = frame.into_data().unwrap();
            assert!(!text.windows(7).any(|at| at == b"problem"), "{text:?}");
        }
    });
    assert!(quiet.await.is_err(), "the other stream is still open");
    let going = plane.ask(Method::GET, "/v1/runs?state=open", None).await.json();
    assert_eq!(going["runs"].as_array().unwrap().len(), 3);

    // The clock of this plane runs ten times as fast as ours.
    let (_, short) = plane.token(json!({"name": "short", "expiresIn": "20s"})).await;
    let stream = open(&short, "expiring", "text/event-stream").await;
    let rest = tokio::time::timeout(Duration::from_secs(20), stream.collect()).await.unwrap();
    let rest = rest.unwrap().to_bytes();
    assert!(std::str::from_utf8(&rest).unwrap().contains("\"unauthorized\""));
}

#[tokio::test]
async fn a_quota_of_open_runs_is_exact_even_when_many_start_at_once() {
    let plane = Plane::with(Settings { token_runs_open_max: 2, ..Settings::default() }).await;
    let (id, four) = plane.token(json!({"name": "four", "runsOpenMax": 4})).await;
    let (_, default) = plane.token(json!({"name": "default"})).await;
    let ask = async |token: &str, name: String, prompt: &str| {
        let body = Some(start(&name, prompt));
        plane.ask_as(token, Method::POST, "/v1/runs", body).await
    };
    let all = (0..12).map(|n| ask(&four, format!("at-once-{n}"), "hang"));
    let all = futures_util::future::join_all(all).await;
    let made: Vec<&Answer> = all.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(made.len(), 4);
    for refused in all.iter().filter(|answer| answer.status != 201) {
        assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
        assert_eq!(refused.headers["retry-after"], "5");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(&id) && detail.contains("4 open runs"), "{detail}");
        assert_eq!(refused.json()["retryable"], true);
    }
    let tokens = plane.ask(Method::GET, "/v1/admin/tokens", None).await.json();
    let four_now = tokens.as_array().unwrap().iter().find(|token| token["id"] == id.as_str());
    assert_eq!(
        (&four_now.unwrap()["runsOpen"], &four_now.unwrap()["runsOpenMax"]),
        (&json!(4), &json!(4))
    );
    // A key that is known attaches all the same, and another token is not concerned.
    let key = made[0].json()["idempotencyKey"].as_str().unwrap().to_owned();
    let mut again = start("x", "hang");
    again["idempotencyKey"] = key.into();
    let again = plane.ask_as(&four, Method::POST, "/v1/runs", Some(again)).await;
    assert_eq!(again.status, 200, "{}", again.text());
    for n in 0..2 {
        assert_eq!(ask(&default, format!("default-{n}"), "hang").await.status, 201);
    }
    assert_eq!(ask(&default, "default-2".to_owned(), "hang").await.status, 429);
    // The owner has no quota. When a run has ended there is room for another one.
    assert_eq!(plane.ended("by-the-owner", "say x").await["outcome"], "succeeded");
    let run = run_of(made[0]);
    let path = format!("/v1/runs/{run}/cancel");
    assert!(plane.ask_as(&four, Method::POST, &path, None).await.status < 300);
    plane.world.until(&run.parse().unwrap(), |entry| entry.outcome.is_some()).await;
    assert_eq!(ask(&four, "room-again".to_owned(), "hang").await.status, 201);
    assert_eq!(ask(&four, "full-again".to_owned(), "hang").await.status, 429);
}

#[tokio::test]
async fn a_quota_of_starts_refills_as_time_goes_by() {
    let settings = Settings { token_starts_per_minute_max: 3, ..Settings::default() };
    let plane = Plane::with(settings).await;
    let (_, token) = plane.token(json!({"name": "default"})).await;
    let (_, more) = plane.token(json!({"name": "more", "startsPerMinuteMax": 100})).await;
    let ask = async |token: &str, name: String| {
        plane.ask_as(token, Method::POST, "/v1/runs", Some(start(&name, "say x"))).await
    };
    let mut refused = None;
    for n in 0..10 {
        let answer = ask(&token, format!("start-{n}")).await;
        if answer.status == 429 {
            refused = Some((n, answer));
            break;
        }
    }
    let (n, refused) = refused.unwrap();
    assert!(n >= 3, "{n}");
    assert_eq!(refused.code(), "rate_limited");
    let wait: i64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    for n in 0..10 {
        assert_eq!(ask(&more, format!("more-{n}")).await.status, 201);
    }
    plane.world.clock.advance_ms(wait * 1_000);
    assert_eq!(ask(&token, "after-the-wait".to_owned()).await.status, 201);
}
