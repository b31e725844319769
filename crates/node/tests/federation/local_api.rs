//! The local API end to end: the real router over a real unix socket and loopback TCP, with a real
//! bridge that has a real peer.

use http::Method;
use http_body_util::BodyExt as _;
use landbridge_proto::machine::contract::DocumentKind;
use landbridge_proto::machine::transcript::{Outcome, verify};
use serde_json::{Value, json};

use crate::plane::{Plane, start, whole};

#[tokio::test]
async fn a_run_from_its_start_to_its_transcript() {
    let plane = Plane::new().await;
    let shown = plane.ended("whole", "say one\nsay two").await;
    assert_eq!(shown["outcome"], "succeeded");
    let run = shown["run"].as_str().unwrap();
    // The same key and body give the same run; another body does not.
    let again = plane.ask(Method::POST, "/v1/runs", Some(start("whole", "say one\nsay two"))).await;
    assert_eq!((again.status, again.json()["attached"].as_bool()), (200, Some(true)));
    assert_eq!(again.json()["run"], run);
    assert_eq!(again.headers["location"], format!("/v1/runs/{run}"));
    let other = plane.ask(Method::POST, "/v1/runs", Some(start("whole", "say three"))).await;
    assert_eq!((other.status, other.code().as_str()), (422, "key_conflict"));
    let listed = plane.ask(Method::GET, "/v1/runs?state=settled&gateway=eu", None).await.json();
    assert_eq!(listed["runs"][0]["run"], run);
    assert_eq!(plane.ask(Method::GET, "/v1/runs?state=open", None).await.json()["runs"], json!([]));
    let transcript = plane.ask(Method::GET, &format!("/v1/runs/{run}/transcript"), None).await;
    assert_eq!(transcript.headers["content-type"], "application/jsonl");
    let lines: Vec<Value> =
        transcript.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["type"], "header");
    assert_eq!(lines.last().unwrap()["type"], "receipt");
    let cancel = plane.ask(Method::POST, &format!("/v1/runs/{run}/cancel"), None).await;
    assert_eq!((cancel.status, cancel.json()["state"].as_str()), (200, Some("alreadyTerminal")));
}

#[tokio::test]
async fn a_transcript_carries_the_statuses_of_its_run_and_verifies() {
    let plane = Plane::new().await;
    let core = &plane.world.a.core;
    for _ in 0..10 {
        plane.world.clock.advance_ms(40 * 60_000);
        core.trust.refresh_status(core).await.unwrap();
        plane.world.b.core.trust.refresh_status(&plane.world.b.core).await.unwrap();
    }
    let shown = plane.ended("statuses", "say one").await;
    for _ in 0..10 {
        plane.world.clock.advance_ms(40 * 60_000);
        core.trust.refresh_status(core).await.unwrap();
    }
    let path = format!("/v1/runs/{}/transcript", shown["run"].as_str().unwrap());
    let text = plane.ask(Method::GET, &path, None).await.text();
    let stored = core.store.reads().documents(core.own(), DocumentKind::Status).unwrap();
    assert!(stored.len() > 20, "{} statuses are stored", stored.len());
    let carried = text.lines().filter(|line| line.contains(r#""type":"status""#)).count();
    assert!((3..=6).contains(&carried), "{carried} statuses are carried");
    let verdict = verify(text.as_bytes(), plane.world.b.core.own());
    assert_eq!(verdict.outcome, Outcome::Verified);
}

#[tokio::test]
async fn frames_come_as_events_and_as_lines_from_the_clients_own_cursor() {
    let plane = Plane::new().await;
    let shown = plane.ended("frames", "say one\nsay two").await;
    let path = format!("/v1/runs/{}/frames", shown["run"].as_str().unwrap());
    let count = shown["frames"].as_u64().unwrap();
    let read = async |headers: &[(&str, &str)], query: &str| {
        whole(plane.open(Method::GET, &format!("{path}{query}"), headers, None).await).await
    };
    let lines = read(&[("accept", "application/x-ndjson")], "").await;
    assert_eq!(lines.headers["content-type"], "application/x-ndjson");
    let frames: Vec<Value> =
        lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<u64> = frames.iter().map(|frame| frame["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
    assert_eq!(frames[0]["event"], "started");
    assert_eq!(frames.last().unwrap()["event"], "terminal");
    // Events carry the number as their id; `Last-Event-ID` beats `after`.
    let all = read(&[("accept", "text/event-stream")], "").await.text();
    assert_eq!(all.lines().filter(|line| line.starts_with("id: ")).count() as u64, count);
    let last = (count - 1).to_string();
    let rest =
        read(&[("accept", "text/event-stream"), ("last-event-id", &last)], "?after=0").await.text();
    assert!(rest.contains(&format!("id: {count}\n")) && !rest.contains("id: 1\n"), "{rest}");
    let after = read(&[("accept", "application/x-ndjson")], &format!("?after={last}")).await;
    assert_eq!(after.text().lines().count(), 1);
    for (headers, query, code) in [
        (vec![("accept", "image/png")], "", "not_acceptable"),
        (vec![], "?after=99999", "cursor_ahead"),
        (vec![], "?after=x", "malformed"),
        (vec![], "?from=1", "malformed"),
    ] {
        assert_eq!(read(&headers, query).await.code(), code, "{query}");
    }
}

#[tokio::test]
async fn a_start_can_be_followed_at_once_and_cancelled() {
    let plane = Plane::new().await;
    let accept = [("accept", "application/x-ndjson")];
    let body = Some(start("follow", "say working\nhang"));
    let response = plane.open(Method::POST, "/v1/runs", &accept, body).await;
    let run = response.headers()["landbridge-run"].to_str().unwrap().to_owned();
    let mut body = response.into_body();
    let mut text = String::new();
    while !text.contains("working") {
        let chunk = body.frame().await.unwrap().unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    let cancelled = plane.ask(Method::POST, &format!("/v1/runs/{run}/cancel"), None).await;
    assert_eq!((cancelled.status, cancelled.json()["state"].as_str()), (202, Some("requested")));
    let rest = body.collect().await.unwrap().to_bytes();
    let rest = std::str::from_utf8(&rest).unwrap();
    let last: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["event"], &last["payload"]["outcome"]),
        (&json!("terminal"), &json!("cancelled"))
    );
}

#[tokio::test]
async fn tokens_may_what_they_say_until_they_are_revoked() {
    let plane = Plane::new().await;
    let (id, reader) = plane.token(json!({"name": "reader", "verbs": ["read"]})).await;
    let (_, elsewhere) = plane.token(json!({"name": "elsewhere", "routes": ["us"]})).await;
    let (_, engine) = plane.token(json!({"name": "engine", "routes": ["eu"]})).await;
    let body = || Some(start("token", "say hello"));
    for (token, status, code) in [
        ("", 401, "unauthorized"),
        ("lbt_nobody", 401, "unauthorized"),
        (reader.as_str(), 403, "forbidden"),
        (elsewhere.as_str(), 403, "not_granted"),
    ] {
        let refused = plane.ask_as(token, Method::POST, "/v1/runs", body()).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{token}");
    }
    let made = plane.ask_as(&engine, Method::POST, "/v1/runs", body()).await;
    assert_eq!(made.status, 201);
    // A run of one token is not there for another.
    let path = format!("/v1/runs/{}", made.json()["run"].as_str().unwrap());
    assert_eq!(plane.ask_as(&engine, Method::GET, &path, None).await.status, 200);
    assert_eq!(plane.ask_as(&reader, Method::GET, &path, None).await.code(), "not_found");
    assert_eq!(
        plane.ask_as(&reader, Method::GET, "/v1/runs", None).await.json()["runs"],
        json!([])
    );
    // No token administers.
    for path in ["/v1/admin/tokens", "/v1/admin/bridge", "/v1/admin/audit"] {
        assert_eq!(plane.ask_as(&engine, Method::GET, path, None).await.status, 403, "{path}");
    }
    let listed = plane.ask(Method::GET, "/v1/admin/tokens", None).await;
    assert_eq!(listed.json().as_array().unwrap().len(), 3);
    assert!(!listed.text().contains(&engine), "secrets are shown once");
    let revoke = format!("/v1/admin/tokens/{id}/revoke");
    assert_eq!(plane.ask(Method::POST, &revoke, None).await.status, 200);
    assert_eq!(plane.ask_as(&reader, Method::GET, "/v1/runs", None).await.status, 401);
}

#[tokio::test]
async fn the_owner_administers_through_the_socket() {
    let plane = Plane::new().await;
    let core = &plane.world.a.core;
    let get = async |path: &str| {
        let answer = plane.ask(Method::GET, path, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    };
    assert_eq!(get("/v1/admin/bridge").await["gateway"], core.own().as_str());
    assert_eq!(get("/v1/admin/peers").await[0]["gateway"], plane.world.b.core.own().as_str());
    assert_eq!(get("/v1/admin/pairings").await, json!([]));
    assert_eq!(get("/v1/admin/federation").await["version"], 1);
    assert_eq!(get("/v1/gateways").await[0]["gateway"], "eu");
    let invite = plane.ask(Method::POST, "/v1/admin/invites", Some(json!({"alias": "new"}))).await;
    assert_eq!(invite.status, 201);
    assert!(invite.json()["invite"].as_str().unwrap().starts_with("gfp1:"));
    let audit = get("/v1/admin/audit?limit=1000").await;
    let text = audit["rows"].to_string();
    assert!(text.contains("invite_created") && text.contains("federation_changed"), "{text}");
    // What the policy key did not sign changes nothing.
    let put = Some(json!({"envelope": "{}"}));
    let refused = plane.ask(Method::PUT, "/v1/admin/federation", put).await;
    assert!(refused.status >= 400 && !refused.code().is_empty());
    assert_eq!(get("/v1/admin/federation").await["version"], 1);
    let test = plane.ask(Method::POST, "/v1/gateways/eu/test", None).await;
    assert_eq!(test.status, 200, "{}", test.text());
    let absent = format!("/v1/admin/pairings/{}", core.own());
    assert_eq!(plane.ask(Method::DELETE, &absent, None).await.code(), "not_found");
}

#[tokio::test]
async fn a_backup_without_a_place_of_its_own_is_refused() {
    let (plane, place) = (Plane::new().await, tempfile::tempdir().unwrap());
    let back_up = async |directory: &str| {
        plane.ask(Method::POST, "/v1/admin/backup", Some(json!({"directory": directory}))).await
    };
    for relative in ["", "backup", "./backup"] {
        assert_eq!(back_up(relative).await.code(), "malformed", "{relative:?}");
    }
    let directory = place.path().to_str().unwrap();
    std::fs::write(place.path().join("landbridge.db"), "another").unwrap();
    let over_another = back_up(directory).await;
    assert_eq!((over_another.status, over_another.code().as_str()), (422, "input_refused"));
    let below_a_file = format!("{directory}/landbridge.db/x");
    assert_eq!(back_up(&below_a_file).await.code(), "input_refused");
}

#[tokio::test]
async fn both_planes_are_described_to_whoever_asks() {
    let plane = Plane::new().await;
    for name in ["federation-3.1.json", "federation-3.2.json", "local-3.1.json", "local-3.2.json"] {
        let path = format!("/v1/openapi/{name}");
        let answer = plane.ask_as("", Method::GET, &path, None).await;
        let told: Value = serde_json::from_str(&answer.text()).unwrap();
        let version = told["openapi"].as_str().unwrap();
        assert!(name.contains(version.rsplit_once('.').unwrap().0), "{name}: {version}");
    }
    assert_eq!(plane.ask(Method::GET, "/v1/openapi/x.json", None).await.code(), "not_found");
}

#[tokio::test]
async fn health_needs_no_credential_and_what_is_not_there_is_said_in_one_form() {
    let plane = Plane::new().await;
    for path in ["/livez", "/readyz"] {
        let answer = plane.ask_as("", Method::GET, path, None).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok\n"), "{path}");
    }
    // Metrics name gateways; they are for clients, and this bridge keeps none.
    assert_eq!(plane.ask_as("", Method::GET, "/metrics", None).await.code(), "unauthorized");
    assert_eq!(plane.ask(Method::GET, "/metrics", None).await.code(), "not_found");
    for (method, path, code) in [
        (Method::GET, "/v1/nothing", "not_found"),
        (Method::DELETE, "/v1/runs", "method_not_allowed"),
        (Method::GET, "/v1/runs/run-x", "not_found"),
        (Method::POST, "/federation/v1/runs", "not_found"),
    ] {
        assert_eq!(plane.ask(method, path, None).await.code(), code, "{path}");
    }
    let unknown =
        json!({"gateway": "eu", "prompt": "x", "idempotencyKey": "0123456789abcdef", "x": 1});
    let refused = plane.ask(Method::POST, "/v1/runs", Some(unknown)).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "malformed"));
    let origin = [("origin", "https://evil.example")];
    let page = whole(plane.open(Method::GET, "/livez", &origin, None).await).await;
    assert_eq!((page.status, page.code().as_str()), (403, "cross_origin"));
    plane.world.a.core.draining.cancel();
    let draining = plane.ask(Method::GET, "/readyz", None).await;
    assert_eq!((draining.status, draining.code().as_str()), (503, "not_ready"));
    assert!(draining.headers.contains_key("retry-after"));
    let refused = plane.ask(Method::POST, "/v1/runs", Some(start("late", "say x"))).await;
    assert_eq!(refused.code(), "draining");
}
