//! Scopes, operators and projections, by the commands that people use.

use landbridge_harness::bridge::{Bridge, Pair};
use serde_json::Value;

async fn said(bridge: &Bridge, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = bridge.output(arguments).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

async fn state(bridge: &Bridge) -> Value {
    bridge.json(&["scope", "map", "list"]).await.unwrap()[0]["state"].clone()
}

/// What doctor says of everything whose name begins so.
async fn doctor(bridge: &Bridge, check: &str) -> Vec<(String, String)> {
    let output = bridge.output(&["--json", "doctor"]).await.unwrap();
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ours = findings
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["check"].as_str().unwrap().starts_with(check));
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    ours.map(|one| (text(one, "state"), text(one, "detail"))).collect()
}

//= APR-3
//= APR-4
//= APR-7
#[tokio::test]
async fn changed_words_suspend_a_projection_until_somebody_reads_them() {
    let pair = Pair::start(&[], &[]).await.unwrap();
    let (a, b) = (&pair.a, &pair.b);
    // Nothing is published silently.
    a.configure_scope("sre-lead", "Leads an incident.").unwrap();
    assert_eq!(a.api().get("/v1/scopes").await.unwrap().json(), serde_json::json!([]));
    assert_eq!(doctor(a, "scopes").await[0].0, "warn");
    let (code, shown, _) = said(a, &["scope", "diff"]).await;
    assert!(code == Some(0) && shown.contains("+ description = Leads an incident."), "{shown}");
    let (code, _, shown) = said(a, &["scope", "publish", "--dry-run"]).await;
    assert!(code == Some(0) && shown.contains("nothing was published"), "{shown}");
    let published = a.json(&["scope", "publish"]).await.unwrap();
    assert_eq!(published[0]["scopes"][0]["name"], "sre-lead");
    assert_eq!(a.json(&["scope", "publish"]).await.unwrap(), serde_json::json!([]));
    assert_eq!(doctor(a, "scopes").await[0].0, "ok");

    // A peer without a grant reads nothing, and is told what helps.
    let map = ["scope", "map", "add", "us", "--remote-scope", "sre-lead", "--scope", "ops-lead"];
    let (code, _, told) = said(b, &map).await;
    assert_ne!(code, Some(0));
    assert!(told.contains("--ask approval-request"), "{told}");
    a.json(&["grant", "add", "eu", "--ask", "approval-request"]).await.unwrap();
    let (code, _, shown) = said(b, &map).await;
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("Leads an incident.") && shown.contains("no words of ours"), "{shown}");
    assert!(shown.contains("projection"), "the change is shown before it is signed: {shown}");
    assert_eq!(state(b).await, "active");
    let shown = b.json(&["scope", "map", "show", "us"]).await.unwrap();
    assert_eq!(shown["projection"]["local_scope"], "ops-lead");
    assert_eq!(shown["projection"]["constraints"]["max_ttl_ms"], 600_000);

    a.publish("sre-lead", "Leads an incident; may delete data.").await.unwrap();
    let peer = b.json(&["scope", "show", "--peer", "us"]).await.unwrap();
    assert_eq!(peer["scopes"][0]["description"], "Leads an incident; may delete data.");
    assert_eq!(state(b).await, "suspended");
    let (_, _, told) = said(b, &["scope", "map", "list"]).await;
    assert!(told.contains("- description = Leads an incident.\n"), "{told}");
    assert!(told.contains("+ description = Leads an incident; may delete data."), "{told}");
    assert_eq!(doctor(b, "projection").await[0].0, "warn");
    let (code, _, told) = said(b, &["scope", "map", "confirm", "us"]).await;
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(state(b).await, "active");
    b.json(&["scope", "map", "remove", "us"]).await.unwrap();
    assert_eq!(b.json(&["scope", "map", "list"]).await.unwrap(), serde_json::json!([]));
}

#[tokio::test]
async fn what_never_crosses_is_not_mapped_and_a_file_does_where_nobody_can_be_asked() {
    let pair = Pair::start(&[], &[]).await.unwrap();
    let (a, b) = (&pair.a, &pair.b);
    a.publish("sre-lead", "Leads an incident.").await.unwrap();
    let file = pair.place.path().join("catalog.json");
    let path = file.to_str().unwrap();
    assert_eq!(said(a, &["scope", "export", "--output", path]).await.0, Some(0));
    let add = ["scope", "map", "add", "us", "--catalog", path];
    for (remote, local) in [("operator.admin", "ops"), ("sre-lead", "operator.write")] {
        let arguments = [&add[..], &["--remote-scope", remote, "--scope", local]].concat();
        assert_eq!(said(b, &arguments).await.0, Some(64), "{remote} {local}");
    }
    let unknown = [&add[..], &["--remote-scope", "none", "--scope", "ops"]].concat();
    assert_ne!(said(b, &unknown).await.0, Some(0));
    let known = [&add[..], &["--remote-scope", "sre-lead", "--scope", "ops"]].concat();
    let (code, _, told) = said(b, &known).await;
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(state(b).await, "active");
    // A file that somebody changed is no catalog of the peer's.
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("\"sig\":\"", "\"sig\":\"A", 1)).unwrap();
    assert_ne!(said(b, &known).await.0, Some(0));
}

//= APR-10
#[tokio::test]
async fn an_operator_is_vouched_for_until_revoked_and_then_never_again() {
    let mut pair = Pair::start(&[], &[]).await.unwrap();
    pair.a.set("LANDBRIDGE_APPROVALS_CREDENTIAL_LIFE", "2h");
    pair.a.stop().await.unwrap();
    pair.a.serve().await.unwrap();
    let a = &pair.a;
    let alice = pair.caller_decides("alice").await.unwrap();
    let listed = a.json(&["operator", "list"]).await.unwrap();
    assert_eq!(
        (&listed[0]["name"], &listed[0]["scopes"][0]),
        (&"alice".into(), &"sre-lead".into())
    );
    let kid = listed[0]["keys"][0]["kid"].clone();
    let got = a.api().get("/v1/operators/alice/credential").await.unwrap();
    assert_eq!(got.status, 200);
    let credential = got.json();
    let payload = credential["credential"]["payload"].as_str().unwrap();
    let payload = data_encoding::BASE64.decode(payload.as_bytes()).unwrap();
    let said_of: Value = serde_json::from_slice(&payload).unwrap();
    let life = said_of["expires"].as_i64().unwrap() - said_of["issued"].as_i64().unwrap();
    // Half of it is left at least when it is handed out, and it states no time before its key's.
    assert!((3_600_000..=2 * 3_600_000).contains(&life), "{life}");
    assert_eq!(said_of["keys"][0]["kid"], kid);
    let again = a.api().get("/v1/operators/alice/credential").await.unwrap().json();
    assert_eq!(again["digest"], credential["digest"]);
    assert_eq!(a.api().get("/v1/operators/bob/credential").await.unwrap().status, 404);

    let (code, _, told) = said(a, &["operator", "revoke", "alice"]).await;
    assert!(code == Some(0) && told.contains("told: eu"), "{told}");
    assert_eq!(a.api().get("/v1/operators/alice/credential").await.unwrap().status, 404);
    // B heard of it at once.
    let heard = pair.b.audit().await.unwrap();
    let heard = heard.iter().find(|event| event["deed"] == "peer_key_revoked").unwrap();
    assert_eq!(heard["detail"]["kid"], kid);
    let public = alice.public();
    let again =
        ["operator", "enrol", "alice", "--scope", "sre-lead", "--key", public.to_str().unwrap()];
    let (code, _, told) = said(a, &again).await;
    assert!(code != Some(0) && told.contains("refused for good"), "{told}");
}
