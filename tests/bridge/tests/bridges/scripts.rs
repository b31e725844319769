//! The command line as scripts use it: exit codes, JSON and waiting, against real bridges.

use std::process::Output;
use std::time::Duration;

use http::Method;
use landbridge_harness::bridge::{Bridge, Pair, start, text};
use serde_json::Value;

async fn ends(bridge: &Bridge, arguments: &[&str]) -> (i32, Output) {
    let output = bridge.output(arguments).await.unwrap();
    (output.status.code().unwrap(), output)
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn detached(bridge: &Bridge, prompt: &str, label: &str) -> String {
    let line =
        ["run", "start", "eu", "--agent", "demo", "--prompt", prompt, "--detach", "--label", label];
    text(&bridge.json(&line).await.unwrap(), "run").unwrap()
}

#[tokio::test]
async fn waiting_ends_as_the_runs_did() {
    let pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let a = &pair.a;
    let good = detached(a, "say x", "n=1").await;
    let bad = detached(a, "fail no", "n=1").await;
    let hanging = detached(a, "hang", "n=2").await;
    let start = |prompt: &'static str, more: &[&'static str]| {
        let line = ["--json", "run", "start", "eu", "--agent", "demo", "--prompt", prompt];
        [&line[..], more].concat()
    };
    for (arguments, code) in [
        (vec!["run", "wait", &good], 0),
        (vec!["run", "wait", &bad], 10),
        (vec!["run", "wait", &good, &bad], 10),
        (vec!["run", "wait", "--any", &good, &hanging], 0),
        (vec!["run", "wait", "--timeout", "200ms", &good, &hanging], 15),
        (vec!["run", "wait", &good, "run-aaaaaaaaaaaaaaaaaaaaaaaaaa"], 16),
        (vec!["run", "show", "run-aaaaaaaaaaaaaaaaaaaaaaaaaa"], 16),
        (vec!["run", "wait"], 64),
        (vec!["run", "wait", "--any", "--all", &good], 64),
        (start("say y", &["--wait"]), 0),
        (start("fail no", &["--wait"]), 10),
        (start("hang", &["--wait", "--timeout", "200ms"]), 15),
        (start("hang", &["--wait", "--deadline", "1s"]), 13),
        (vec!["run", "start", "nowhere", "--prompt", "x"], 16),
        (vec!["run", "start", "eu", "--agent", "other", "--prompt", "x", "--wait"], 12),
    ] {
        let (found, output) = ends(a, &arguments).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(found, code, "{arguments:?}: {said}");
    }
    // The transcript of a run that its executor refused says so too: the caller signed it.
    let refused = a.json(&["run", "list", "--outcome", "rejected"]).await.unwrap();
    let refused = text(&refused["runs"][0], "run").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), a.transcript(&refused).await.unwrap()).unwrap();
    let path = file.path().to_string_lossy();
    let (code, output) = ends(a, &["--json", "verify", &path, "--pin", pair.b.gateway()]).await;
    assert_eq!((code, &lines(&output)[0]["summary"]["outcome"]), (5, &"rejected".into()));
    // What is printed is the run, once, as `run show` prints it.
    let (_, output) = ends(a, &["--json", "run", "wait", &good, &bad]).await;
    let mut runs = lines(&output);
    runs.sort_by_key(|run| run["outcome"].as_str().unwrap().to_owned());
    assert_eq!(runs[1], a.json(&["run", "show", &good]).await.unwrap());
    assert_eq!(runs[0]["run"], bad.as_str());
    // A run that ends while it is waited for, at a bridge that is restarted meanwhile.
    let line = ["--json", "run", "wait", &hanging];
    let waiting = a.output(&line);
    let ending = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        a.json(&["run", "cancel", &hanging]).await.unwrap();
    };
    let (output, ()) = tokio::join!(waiting, ending);
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(11));
    assert_eq!(lines(&output)[0]["outcome"], "cancelled");
}

#[tokio::test]
async fn a_restart_of_the_bridge_is_waited_for_and_its_absence_is_69() {
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let run = detached(&pair.a, "say x\nsleep 3s\nsay y", "n=1").await;
    let mut client = pair.a.command(&["--json", "run", "wait", &run]).unwrap();
    client.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let waiting = client.spawn().unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    pair.a.kill().await.unwrap();
    pair.a.serve().await.unwrap();
    let output = waiting.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(lines(&output)[0]["outcome"], "succeeded");
    pair.a.kill().await.unwrap();
    assert_eq!(ends(&pair.a, &["run", "list"]).await.0, 69);
}

#[tokio::test]
async fn lists_are_filtered_and_read_to_their_end() {
    let pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let a = &pair.a;
    let mut runs = Vec::new();
    for n in 0..5 {
        runs.push(detached(a, "say x", if n < 3 { "team=sre" } else { "team=ops" }).await);
    }
    let mut wait = vec!["run", "wait"];
    wait.extend(runs.iter().map(String::as_str));
    assert_eq!(ends(a, &wait).await.0, 0);
    let all = async |more: &[&str]| {
        let (code, output) = ends(a, &[&["--json", "run", "list", "--all"], more].concat()).await;
        assert_eq!(code, 0, "{}", String::from_utf8_lossy(&output.stderr));
        lines(&output).len()
    };
    assert_eq!(all(&[]).await, 5);
    assert_eq!(all(&["--label", "team=sre", "--outcome", "succeeded"]).await, 3);
    assert_eq!(all(&["--gateway", "eu", "--settled", "--since", "1h"]).await, 5);
    assert_eq!(all(&["--until", "1h"]).await, 0);
    assert_eq!(all(&["--outcome", "lost"]).await, 0);
    let page = a.json(&["run", "list", "--limit", "2"]).await.unwrap();
    assert_eq!(page["runs"].as_array().unwrap().len(), 2);
    let next = text(&page, "next").unwrap();
    let rest = a.json(&["run", "list", "--cursor", &next]).await.unwrap();
    assert_eq!((rest["runs"].as_array().unwrap().len(), &rest["next"]), (3, &Value::Null));
    let (code, _) = ends(a, &["run", "list", "--cursor", &next, "--gateway", "eu"]).await;
    assert_eq!(code, 1, "a cursor of another list");
    let (code, output) = ends(a, &["run", "list", "--all"]).await;
    assert_eq!((code, String::from_utf8_lossy(&output.stdout).lines().count()), (0, 6));
}

#[tokio::test]
async fn tokens_routes_settings_and_the_gateway_are_shown() {
    let pair = Pair::granted(&[("LANDBRIDGE_RETENTION_JOURNAL", "60d")], &[], &[]).await.unwrap();
    let a = &pair.a;
    let line = [
        "token",
        "create",
        "ci",
        "--tenant",
        "default",
        "--sees",
        "tenants",
        "--route",
        "eu",
        "--verb",
        "read",
        "--verb",
        "run",
        "--expires",
        "90d",
        "--runs-open-max",
        "3",
    ];
    let made = a.json(&line).await.unwrap();
    assert!(text(&made, "secret").unwrap().starts_with("lbt_"));
    let listed = a.json(&["token", "list"]).await.unwrap();
    let token = &listed[0];
    assert_eq!(token["tenants"], serde_json::json!(["default"]));
    assert_eq!((&token["sees"], &token["runsOpenMax"]), (&"tenants".into(), &3.into()));
    assert_eq!(token["startsPerMinuteMax"], 600);
    let table = ends(a, &["token", "list"]).await.1;
    let table = String::from_utf8(table.stdout).unwrap();
    for word in ["TENANTS", "default", "read,run", "0/3", "600", "active"] {
        assert!(table.contains(word), "{word} is not in\n{table}");
    }
    assert_eq!(ends(a, &["token", "create", "x", "--sees", "tenants"]).await.0, 1);
    assert_eq!(ends(a, &["token", "revoke", "tok-none"]).await.0, 16);

    let routes = a.json(&["route", "list"]).await.unwrap();
    assert_eq!(routes, a.api().get("/v1/gateways").await.unwrap().json());
    assert_eq!(routes[0]["peerGateway"], pair.b.gateway());
    let table = String::from_utf8(ends(a, &["route", "list"]).await.1.stdout).unwrap();
    assert!(table.contains("REACHABLE") && table.contains("active"), "{table}");
    a.json(&["route", "test", "eu"]).await.unwrap();
    let routes = a.json(&["route", "list"]).await.unwrap();
    assert_eq!(routes[0]["health"]["reachable"], true);
    assert_eq!(ends(a, &["route", "test", "nowhere"]).await.0, 16);

    let settings = a.json(&["config", "show"]).await.unwrap();
    let of = |name: &str| {
        let all = settings.as_array().unwrap();
        all.iter().find(|each| each["setting"] == name).unwrap().clone()
    };
    assert_eq!(of("retention.journal")["value"], "\"60d\"");
    let from = "environment variable LANDBRIDGE_RETENTION_JOURNAL";
    assert_eq!(of("retention.journal")["origin"], from);
    assert_eq!(of("retention.statuses")["value"], "\"62d\"");

    // There is nothing to forget yet, and what is left to do is said all the same.
    let gone = a.json(&["gateway", "disconnect"]).await.unwrap();
    assert_eq!(gone["hadToken"], false);
    let device = text(&gone, "device").unwrap();
    assert_eq!(gone["atGateway"], format!("openclaw devices remove {device}"));
    let token = a.home().join("gateway/device.token");
    std::fs::write(&token, "secret").unwrap();
    let gone = a.json(&["gateway", "disconnect"]).await.unwrap();
    assert_eq!((&gone["hadToken"], &gone["device"]), (&true.into(), &device.into()));
    assert!(!token.exists());
}

#[tokio::test]
async fn a_quota_of_open_runs_is_guarded_where_they_are_written() {
    let pair = Pair::granted(&[], &[], &[]).await.unwrap();
    // They share commits, so many look before any of them is written: not in every round, but in one.
    for round in 0..8 {
        let name = format!("three-{round}");
        let line = ["token", "create", &name, "--runs-open-max", "3"];
        let secret = text(&pair.a.json(&line).await.unwrap(), "secret").unwrap();
        let bearer = format!("Bearer {secret}");
        let mut asked = tokio::task::JoinSet::new();
        for n in 0..24 {
            let (api, bearer) = (pair.a.api(), bearer.clone());
            asked.spawn(async move {
                let shown = [("authorization", bearer.as_str())];
                let body = start(&format!("at-once-{round}-{n:08}"), "hang");
                api.send(Method::POST, "/v1/runs", &shown, Some(&body)).await.unwrap().status
            });
        }
        let all = asked.join_all().await;
        let of = |status| all.iter().filter(|found| **found == status).count();
        assert_eq!((of(201), of(429)), (3, 21), "round {round}: {all:?}");
    }
}

#[tokio::test]
async fn a_second_tenant_is_warned_of_walls_that_are_open() {
    let pair = Pair::start(&[], &[]).await.unwrap();
    let gateway = pair.b.home().join("gateway");
    std::fs::create_dir_all(&gateway).unwrap();
    std::fs::write(gateway.join("cautions"), "the door is open\n").unwrap();
    let grant = async |agent: &str, tenant: &str| {
        let line = ["grant", "add", "us", "--agent", agent, "--tenant", tenant];
        let (code, output) = ends(&pair.b, &line).await;
        assert_eq!(code, 0);
        String::from_utf8(output.stderr).unwrap().contains("the door is open")
    };
    let logged = || {
        let log = std::fs::read_to_string(pair.b.home().join("bridge.log")).unwrap();
        log.matches("the door is open").count()
    };
    assert!(!grant("demo", "one:one").await, "one tenant has nobody to listen to");
    assert!(!grant("more", "one:one").await);
    assert_eq!(logged(), 0);
    assert!(grant("other", "two:two").await);
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    while logged() == 0 {
        assert!(tokio::time::Instant::now() < until, "the log does not say it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_run_carries_an_id_of_its_clients_own() {
    let pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let start = ["--json", "run", "start", "eu", "--agent", "demo", "--prompt", "say x"];
    let (code, output) = ends(&pair.a, &[&start[..], &["--remote-run-id", "wf-81"]].concat()).await;
    assert_eq!(code, 0);
    let frames = lines(&output);
    assert_eq!(frames[0]["payload"]["remoteRunId"], "wf-81", "{frames:?}");
    let long = "x".repeat(257);
    let (code, _) = ends(&pair.a, &[&start[..], &["--remote-run-id", &long]].concat()).await;
    assert_ne!(code, 0);
}
