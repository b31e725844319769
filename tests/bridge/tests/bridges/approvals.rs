//! Approvals between real bridges: what happens once, or not at all, whoever is killed and when.

use std::time::Duration;

use landbridge_harness::bridge::{Bridge, Pair, text};
use landbridge_harness::history::History;
use tokio::time::{Instant, sleep};

const WAITS: &str = "say before\napproval exec 120000 systemctl restart web\nsay after";

/// What the gateway beside a bridge did because somebody approved it.
fn effects(bridge: &Bridge) -> usize {
    let log = bridge.home().join("gateway").join("effects.log");
    std::fs::read_to_string(log).unwrap_or_default().lines().count()
}

/// The open question at a bridge, once there is one.
async fn asked(bridge: &Bridge) -> String {
    let until = Instant::now() + Duration::from_secs(30);
    while Instant::now() < until {
        let answer = bridge.api().get("/v1/approvals?state=open").await;
        if let Ok(answer) = answer
            && let Some(first) = answer.json()["approvals"].get(0)
        {
            return text(first, "id").unwrap();
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("nobody was asked")
}

async fn state(bridge: &Bridge, id: &str, wanted: &str) {
    let until = Instant::now() + Duration::from_secs(30);
    let mut found = String::new();
    while Instant::now() < until {
        if let Ok(answer) = bridge.api().get(&format!("/v1/approvals/{id}")).await {
            found = answer.json()["state"].as_str().unwrap_or_default().to_owned();
            if found == wanted {
                return;
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("{id} is {found:?}, not {wanted}")
}

async fn outcome(bridge: &Bridge, run: &str) -> String {
    let mut history = History::default();
    bridge.api().follow(run, &mut history).await.unwrap();
    history.said("outcome").to_owned()
}

fn decide<'a>(vote: &'a str, id: &'a str, key: &'a str) -> [&'a str; 6] {
    ["approval", vote, id, "--key", key, "--yes"]
}

//= APR-26
//= APR-27
#[tokio::test]
async fn an_executor_killed_right_after_the_commit_tells_its_gateway_once() {
    let mut pair = Pair::start(&[], &[]).await.unwrap();
    let alice = pair.caller_decides("alice").await.unwrap();
    let key = alice.key.to_str().unwrap();
    pair.b.stop().await.unwrap();
    pair.b.serve_until("approval.committed").await.unwrap();
    let run = pair.run("approve-and-die-0000", WAITS).await.unwrap();
    let id = asked(&pair.a).await;
    let line = decide("approve", &id, key);
    let mut approving = pair.a.command(&line).unwrap();
    let approving = approving.output();
    let dying = async {
        pair.b.died().await.unwrap();
        assert_eq!(effects(&pair.b), 0);
        pair.b.serve().await.unwrap();
    };
    let (approved, ()) = tokio::join!(approving, dying);
    approved.unwrap();
    assert_eq!(outcome(&pair.a, &run).await, "succeeded");
    state(&pair.a, &id, "approved").await;
    assert_eq!(effects(&pair.b), 1);
    let counted = pair.b.audit().await.unwrap();
    assert_eq!(counted.iter().filter(|event| event["deed"] == "approval_counted").count(), 1);
}

/// The run that waits hears its gateway too, and may be the first of the two to do so.
//= APR-24
//= APR-27
#[tokio::test]
async fn a_decision_whose_answer_the_run_heard_first_ends_well() {
    let pair = Pair::start(&[], &[]).await.unwrap();
    let alice = pair.caller_decides("alice").await.unwrap();
    let run = pair.run("heard-by-the-run-000", WAITS).await.unwrap();
    let id = asked(&pair.a).await;
    // The gateway takes the answer, but cannot say so to the one who brings it.
    std::fs::create_dir(pair.b.home().join("gateway").join("effects.log")).unwrap();
    let line = decide("approve", &id, alice.key.to_str().unwrap());
    assert!(pair.a.output(&line).await.unwrap().status.success());
    assert_eq!(outcome(&pair.a, &run).await, "succeeded");
    let listed = pair.a.api().get(&format!("/v1/runs?label=approval={id}")).await.unwrap();
    let delivery = text(&listed.json()["runs"][0], "run").unwrap();
    assert_eq!(outcome(&pair.a, &delivery).await, "succeeded");
    state(&pair.b, &id, "approved").await;
}

//= APR-34
#[tokio::test]
async fn a_caller_killed_right_after_a_decision_delivers_it() {
    let mut pair = Pair::start(&[], &[]).await.unwrap();
    let alice = pair.caller_decides("alice").await.unwrap();
    let key = alice.key.to_str().unwrap();
    pair.a.stop().await.unwrap();
    pair.a.serve_until("approval.taken").await.unwrap();
    let run = pair.run("decide-and-die-00000", WAITS).await.unwrap();
    let id = asked(&pair.a).await;
    // The bridge dies before it can answer.
    pair.a.output(&decide("approve", &id, key)).await.unwrap();
    pair.a.died().await.unwrap();
    pair.a.serve().await.unwrap();
    assert_eq!(outcome(&pair.a, &run).await, "succeeded");
    state(&pair.a, &id, "approved").await;
    assert_eq!(effects(&pair.b), 1);
}

//= APR-23
#[tokio::test]
async fn what_is_denied_does_not_happen() {
    let pair = Pair::start(&[], &[]).await.unwrap();
    let alice = pair.caller_decides("alice").await.unwrap();
    let run = pair.run("deny-it-0000000000000", WAITS).await.unwrap();
    let id = asked(&pair.a).await;
    let line = decide("deny", &id, alice.key.to_str().unwrap());
    assert!(pair.a.output(&line).await.unwrap().status.success());
    assert_eq!(outcome(&pair.a, &run).await, "succeeded");
    state(&pair.a, &id, "denied").await;
    assert_eq!(effects(&pair.b), 0);
}

//= APR-35
#[tokio::test]
async fn a_workflow_is_approved_although_both_bridges_are_killed_meanwhile() {
    let mut pair = Pair::start(&[], &[]).await.unwrap();
    let carol = pair.executor_decides("carol").await.unwrap();
    let ask = serde_json::json!({"subject": "deploy 7", "kind": "exec", "scope": "ops-lead"});
    let made = pair.a.api().post("/v1/approvals", &ask).await.unwrap();
    assert_eq!(made.status, 201, "{}", made.json());
    let id = text(&made.json(), "id").unwrap();
    assert_eq!(asked(&pair.b).await, id);
    pair.b.kill().await.unwrap();
    pair.b.serve().await.unwrap();
    pair.a.kill().await.unwrap();
    let line = decide("approve", &id, carol.key.to_str().unwrap());
    let output = pair.b.output(&line).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    pair.a.serve().await.unwrap();
    state(&pair.a, &id, "approved").await;
    state(&pair.b, &id, "approved").await;
}
